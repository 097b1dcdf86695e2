/* manager/dictionary.c */
#include "manager/dictionary.h"

#include "manager/object.h"

#include <errno.h>
#include <stddef.h>

typedef int method(struct mapping *mapping, const struct item *args, struct parcel *reply);

static int no_key(struct parcel *reply)
{
    return reply_fail(reply, -ENOENT, "there is no such key");
}

static int no_memory(struct parcel *reply)
{
    return reply_fail(reply, -ENOMEM, "the server has no memory for that, or is not to have");
}

/* Puts the value there: 1: the key is new; 0; or -ENOMEM with a sentence. `before` is the caller's to drop. */
static int put(struct mapping *mapping, const struct item *args, struct parcel *reply, struct datum *before)
{
    struct datum value;
    int result = datum_keep(&value, &args[1]);
    if (result == 0 && (result = mapping_set(mapping, &args[0], value, before)) < 0)
        datum_drop(&value);
    return result < 0 ? no_memory(reply) : result;
}

static int set(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    struct datum before;
    int result = put(mapping, args, reply, &before);
    if (result < 0)
        return result;
    datum_drop(&before);
    return 0;
}

static int get(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    const struct pair *pair = mapping_find(mapping, &args[0]);
    return pair ? reply_datum(reply, 0, &pair->value) : no_key(reply);
}

static int delete (struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    struct pair *pair = mapping_find(mapping, &args[0]);
    if (!pair)
        return no_key(reply);
    struct datum value = mapping_take(mapping, pair);
    datum_drop(&value);
    return 0;
}

static int pop(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    int result = get(mapping, args, reply); /* before it is taken: there may be no memory for the reply */
    return result < 0 ? result : delete (mapping, args, reply);
}

static int setdefault(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    const struct pair *pair = mapping_find(mapping, &args[0]);
    if (pair)
        return reply_datum(reply, 0, &pair->value);
    int result = reply_item(reply, 1, &args[1]);
    struct datum before;
    return result < 0 ? result : put(mapping, args, reply, &before);
}

static int add(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    struct pair *pair = mapping_find(mapping, &args[0]);
    if (!pair)
        return no_key(reply);
    return reply_sum(reply, &pair->value, &args[1]);
}

static int compare(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    const struct pair *pair = mapping_find(mapping, &args[0]);
    if (!pair)
        return no_key(reply);
    struct item now = datum_item(&pair->value);
    if (!item_equal(&now, &args[1]))
        return reply_fail(reply, -EAGAIN, "another value stands there");
    return set(mapping, (const struct item[]){ args[0], args[2] }, reply);
}

static int swap(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    const struct pair *pair = mapping_find(mapping, &args[0]);
    const struct item nil = { .kind = BROOD_NIL };
    int result = pair ? reply_datum(reply, 0, &pair->value) : reply_item(reply, 1, &nil);
    struct datum before;
    if (result < 0 || (result = put(mapping, args, reply, &before)) < 0)
        return result;
    datum_drop(&before);
    return result;
}

/* All, or none: without memory for one of them nothing is changed. */
static int update(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    if (args[0].kind != BROOD_MAP)
        return reply_fail(reply, -EINVAL, "it cannot be updated by %s: only by a map", item_is_what(&args[0]));
    struct mapping changed = { .pairs = NULL };
    int result = mapping_copy(&changed, mapping);
    struct cursor cursor = item_inside(&args[0]);
    for (uint64_t i = 0; i < args[0].natural && result >= 0; i++) {
        struct item pair[2];
        item_next(&cursor, &pair[0]);
        item_next(&cursor, &pair[1]);
        result = set(&changed, pair, reply);
    }
    if (result < 0) {
        mapping_clear(&changed);
        return no_memory(reply);
    }
    mapping_clear(mapping);
    *mapping = changed;
    return 0;
}

static int contains(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    (void)reply;
    return mapping_find(mapping, &args[0]) != NULL;
}

static int length(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    const struct item count = item_natural(mapping->count);
    (void)args;
    return reply_item(reply, 0, &count);
}

static int keys(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    (void)args;
    return reply_mapping(reply, mapping, true, false);
}

static int values(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    (void)args;
    return reply_mapping(reply, mapping, false, true);
}

static int items(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    (void)args;
    return reply_mapping(reply, mapping, true, true);
}

static int clear(struct mapping *mapping, const struct item *args, struct parcel *reply)
{
    (void)args;
    (void)reply;
    mapping_clear(mapping);
    return 0;
}

/* count: of arguments; keyed: the first is a key. */
static const struct {
    method *call;
    unsigned count;
    bool keyed;
} methods[DICT_METHODS] = {
    [DICT_SET] = { set, 2, true },
    [DICT_GET] = { get, 1, true },
    [DICT_DELETE] = { delete, 1, true },
    [DICT_POP] = { pop, 1, true },
    [DICT_SETDEFAULT] = { setdefault, 2, true },
    [DICT_ADD] = { add, 2, true },
    [DICT_COMPARE] = { compare, 3, true },
    [DICT_SWAP] = { swap, 2, true },
    [DICT_UPDATE] = { update, 1, false },
    [DICT_CONTAINS] = { contains, 1, true },
    [DICT_LENGTH] = { length, 0, false },
    [DICT_KEYS] = { keys, 0, false },
    [DICT_VALUES] = { values, 0, false },
    [DICT_ITEMS] = { items, 0, false },
    [DICT_CLEAR] = { clear, 0, false },
};

int dictionary_call(struct mapping *mapping, unsigned number, const struct item *args, unsigned count,
                    struct parcel *reply)
{
    if (number >= DICT_METHODS || count != methods[number].count)
        return reply_fail(reply, -EINVAL, "a dictionary has no such method, with %u arguments", count);
    if (methods[number].keyed && !item_is_key(&args[0]))
        return reply_fail(reply, -EINVAL, "%s is no key", item_is_what(&args[0]));
    return methods[number].call(mapping, args, reply);
}

static int call(struct object *object, struct claimant *claimant, unsigned number, const struct item *args,
                unsigned count, struct parcel *reply)
{
    (void)claimant;
    return dictionary_call(&object->dictionary, number, args, count, reply);
}

static int copy(struct object *other, const struct object *object)
{
    return mapping_copy(&other->dictionary, &object->dictionary);
}

static void clear_object(struct object *object)
{
    mapping_clear(&object->dictionary);
}

const struct kind dictionary_served = {
    "a dictionary", "dictionary", false, NULL, call, copy, clear_object, NULL, NULL
};
const struct kind namespace_served = { "a namespace", "namespace", false, NULL, call, copy, clear_object, NULL, NULL };
