/* manager/collection.c: sets, in the server: mappings whose values are nil. */
#include "manager/collection.h"

#include "manager/object.h"
#include "manager/reply.h"

#include <errno.h>

typedef int set_call(struct mapping *set, const struct item *args, struct parcel *reply);

static const struct datum no_value = { .kind = BROOD_NIL };

static int no_memory(struct parcel *reply)
{
    return reply_fail(reply, -ENOMEM, "the server has no memory for that, or is not to have");
}

/* 0: it is new; 1: it was there. */
static int add(struct mapping *set, const struct item *args, struct parcel *reply)
{
    struct datum before;
    if (mapping_find(set, &args[0]))
        return 1;
    return mapping_set(set, &args[0], no_value, &before) < 0 ? no_memory(reply) : 0;
}

static int remove_one(struct mapping *set, const struct item *args, struct parcel *reply)
{
    struct pair *pair = mapping_find(set, &args[0]);
    if (!pair)
        return reply_fail(reply, -ENOENT, "it is not in the set");
    mapping_take(set, pair);
    return 0;
}

static int pop(struct mapping *set, const struct item *args, struct parcel *reply)
{
    struct pair *pair = mapping_last(set);
    (void)args;
    if (!pair)
        return reply_fail(reply, -ENOENT, "the set is empty");
    int result = reply_datum(reply, 0, &pair->key); /* before it is taken: there may be no memory for the reply */
    if (result == 0)
        mapping_take(set, pair);
    return result;
}

static int contains(struct mapping *set, const struct item *args, struct parcel *reply)
{
    (void)reply;
    return mapping_find(set, &args[0]) != NULL;
}

static int length(struct mapping *set, const struct item *args, struct parcel *reply)
{
    const struct item count = item_natural(set->count);
    (void)args;
    return reply_item(reply, 0, &count);
}

static int items(struct mapping *set, const struct item *args, struct parcel *reply)
{
    (void)args;
    return reply_mapping(reply, set, true, false);
}

/* A set of the list's items: 0, or why not. */
static int read_list(struct mapping *set, const struct item *list, struct parcel *reply)
{
    if (list->kind != BROOD_LIST)
        return reply_fail(reply, -EINVAL, "%s is no list", item_is_what(list));
    struct cursor cursor = item_inside(list);
    int result = 0;
    for (uint64_t i = 0; i < list->natural && result >= 0; i++) {
        struct item item;
        item_next(&cursor, &item);
        result = item_is_key(&item) ? add(set, &item, reply)
                                    : reply_fail(reply, -EINVAL, "%s cannot be in a set", item_is_what(&item));
    }
    return result < 0 ? result : 0;
}

/* All that `from` has goes into it: 0 or -ENOMEM. */
static int add_all(struct mapping *set, const struct mapping *from, struct parcel *reply)
{
    int result = 0;
    for (const struct pair *pair = NULL; result >= 0 && (pair = mapping_next(from, pair));) {
        const struct item key = datum_item(&pair->key);
        result = add(set, &key, reply);
    }
    return result < 0 ? result : 0;
}

/* Of what it has only that stays which is in `other` too, or is not. */
static void sift(struct mapping *set, const struct mapping *other, bool keep)
{
    for (struct pair *pair = NULL; (pair = mapping_next(set, pair));) {
        const struct item key = datum_item(&pair->key);
        if ((mapping_find(other, &key) != NULL) != keep)
            mapping_take(set, pair);
    }
}

/* All, or none: without memory for one of them nothing is changed. */
static int update(struct mapping *set, const struct item *args, struct parcel *reply)
{
    struct mapping list = { .pairs = NULL }, changed = { .pairs = NULL };
    int result = read_list(&list, &args[0], reply);
    if (result == 0 && (result = mapping_copy(&changed, set)) < 0)
        no_memory(reply);
    if (result == 0 && (result = add_all(&changed, &list, reply)) == 0) {
        struct mapping before = *set;
        *set = changed;
        changed = before;
    }
    mapping_clear(&list);
    mapping_clear(&changed);
    return result;
}

static int sift_by_list(struct mapping *set, const struct item *list, struct parcel *reply, bool keep)
{
    struct mapping other = { .pairs = NULL };
    int result = read_list(&other, list, reply);
    if (result == 0)
        sift(set, &other, keep);
    mapping_clear(&other);
    return result;
}

static int keep(struct mapping *set, const struct item *args, struct parcel *reply)
{
    return sift_by_list(set, &args[0], reply, true);
}

static int subtract(struct mapping *set, const struct item *args, struct parcel *reply)
{
    return sift_by_list(set, &args[0], reply, false);
}

static int clear_all(struct mapping *set, const struct item *args, struct parcel *reply)
{
    (void)args;
    (void)reply;
    mapping_clear(set);
    return 0;
}

/* count: of arguments; keyed: the first is to be a member. */
static const struct {
    set_call *call;
    unsigned count;
    bool keyed;
} methods[SET_METHODS] = {
    [SET_ADD] = { add, 1, true },
    [SET_REMOVE] = { remove_one, 1, true },
    [SET_POP] = { pop, 0, false },
    [SET_CONTAINS] = { contains, 1, true },
    [SET_LENGTH] = { length, 0, false },
    [SET_ITEMS] = { items, 0, false },
    [SET_UPDATE] = { update, 1, false },
    [SET_KEEP] = { keep, 1, false },
    [SET_SUBTRACT] = { subtract, 1, false },
    [SET_CLEAR] = { clear_all, 0, false },
};

static int call(struct object *object, struct claimant *claimant, unsigned method, const struct item *args,
                unsigned count, struct parcel *reply)
{
    (void)claimant;
    if (method >= SET_METHODS || count != methods[method].count)
        return reply_fail(reply, -EINVAL, "a set has no such method, with %u arguments", count);
    if (methods[method].keyed && !item_is_key(&args[0]))
        return reply_fail(reply, -EINVAL, "%s cannot be in a set", item_is_what(&args[0]));
    return methods[method].call(&object->set, args, reply);
}

static int copy(struct object *other, const struct object *object)
{
    return mapping_copy(&other->set, &object->set);
}

static void clear(struct object *object)
{
    mapping_clear(&object->set);
}

const struct kind set_served = { "a set", "set", false, NULL, call, copy, clear, NULL, NULL };
