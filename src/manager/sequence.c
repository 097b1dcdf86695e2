/* manager/sequence.c */
#include "manager/sequence.h"

#include "manager/hoard.h"
#include "manager/object.h"

#include <errno.h>
#include <string.h>

#define ROOM_LEAST 8

typedef int method(struct sequence *sequence, const struct item *args, struct parcel *reply);

static int no_memory(struct parcel *reply)
{
    return reply_fail(reply, -ENOMEM, "the server has no memory for that, or is not to have");
}

static int no_item(const struct sequence *sequence, const struct item *index, struct parcel *reply)
{
    return reply_fail(reply, -ERANGE, "item %lld of %zu", (long long)index->integer, sequence->count);
}

/* ---- places ---- */

/* Negative ones count from the end. NULL: there is none. */
static struct datum *at(const struct sequence *sequence, const struct item *index)
{
    int64_t count = (int64_t)sequence->count, place = index->integer < 0 ? index->integer + count : index->integer;
    return place < 0 || place >= count ? NULL : &sequence->items[place];
}

/* As a bound of a slice: within the list. */
static size_t bound(const struct sequence *sequence, const struct item *index)
{
    int64_t count = (int64_t)sequence->count, place = index->integer < 0 ? index->integer + count : index->integer;
    return place < 0 ? 0 : place > count ? sequence->count : (size_t)place;
}

/* `count` items that begin at `from` are to be `more` instead: those behind move. 0 or -ENOMEM, and nothing has. */
static int make_room(struct sequence *sequence, size_t from, size_t count, size_t more)
{
    size_t total = sequence->count - count + more;
    if (total > sequence->room) {
        size_t room = total > 2 * sequence->room ? total : 2 * sequence->room;
        room = room < ROOM_LEAST ? ROOM_LEAST : room;
        struct datum *items = hoard_resize(sequence->items, sequence->room * sizeof *items, room * sizeof *items);
        if (!items)
            return -ENOMEM;
        sequence->items = items;
        sequence->room = room;
    }
    if (sequence->items && count != more)
        memmove(sequence->items + from + more, sequence->items + from + count,
                (sequence->count - from - count) * sizeof *sequence->items);
    sequence->count = total;
    return 0;
}

static int put(struct sequence *sequence, size_t place, const struct item *item, struct parcel *reply)
{
    struct datum kept;
    int failed = datum_keep(&kept, item);
    if (failed == 0 && (failed = make_room(sequence, place, 0, 1)) < 0)
        datum_drop(&kept);
    if (failed < 0)
        return no_memory(reply);
    sequence->items[place] = kept;
    return 0;
}

/* In place of the items from `from` on up to the one before `to` comes a whole list, or nothing is changed. */
static int put_all(struct sequence *sequence, size_t from, size_t to, const struct item *list, struct parcel *reply)
{
    if (list->kind != BROOD_LIST)
        return reply_fail(reply, -EINVAL, "%s is no list", item_is_what(list));
    struct sequence more = { .items = NULL };
    struct cursor cursor = item_inside(list);
    int failed = make_room(&more, 0, 0, (size_t)list->natural);
    size_t kept = 0;
    for (; kept < list->natural && failed == 0; kept += failed == 0) {
        struct item item;
        item_next(&cursor, &item);
        failed = datum_keep(&more.items[kept], &item);
    }
    more.count = failed < 0 ? kept : more.count;
    struct sequence old = { .items = NULL };
    if (failed == 0 && to > from && (failed = make_room(&old, 0, 0, to - from)) == 0 && old.items)
        memcpy(old.items, sequence->items + from, (to - from) * sizeof *old.items);
    if (failed == 0 && (failed = make_room(sequence, from, to - from, more.count)) == 0 && more.count)
        memcpy(sequence->items + from, more.items, more.count * sizeof *more.items);
    if (failed == 0)
        more.count = 0; /* they are the list's now, and those before them are ours to drop */
    else
        old.count = 0;
    sequence_clear(&more);
    sequence_clear(&old);
    return failed < 0 ? no_memory(reply) : 0;
}

/* ---- one item ---- */

static int append(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    return put(sequence, sequence->count, &args[0], reply);
}

static int extend(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    return put_all(sequence, sequence->count, sequence->count, &args[0], reply);
}

static int insert(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    return put(sequence, bound(sequence, &args[0]), &args[1], reply);
}

static int append_if(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    if (args[0].natural != sequence->count)
        return reply_fail(reply, -EAGAIN, "it has %zu items", sequence->count);
    return put(sequence, sequence->count, &args[1], reply);
}

static int get(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    const struct datum *item = at(sequence, &args[0]);
    return item ? reply_datum(reply, 0, item) : no_item(sequence, &args[0], reply);
}

static int set(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    struct datum *item = at(sequence, &args[0]), kept;
    if (!item)
        return no_item(sequence, &args[0], reply);
    if (datum_keep(&kept, &args[1]) < 0)
        return no_memory(reply);
    datum_drop(item);
    *item = kept;
    return 0;
}

static int swap(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    int failed = get(sequence, args, reply);
    return failed < 0 ? failed : set(sequence, args, reply);
}

static int compare(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    const struct datum *datum = at(sequence, &args[0]);
    if (!datum)
        return no_item(sequence, &args[0], reply);
    struct item now = datum_item(datum);
    if (!item_equal(&now, &args[1]))
        return reply_fail(reply, -EAGAIN, "another item stands there");
    return set(sequence, (const struct item[]){ args[0], args[2] }, reply);
}

static int add(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    struct datum *datum = at(sequence, &args[0]);
    return datum ? reply_sum(reply, datum, &args[1]) : no_item(sequence, &args[0], reply);
}

static void take_out(struct sequence *sequence, struct datum *datum)
{
    datum_drop(datum);
    make_room(sequence, (size_t)(datum - sequence->items), 1, 0);
}

static int delete (struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    struct datum *datum = at(sequence, &args[0]);
    if (!datum)
        return no_item(sequence, &args[0], reply);
    take_out(sequence, datum);
    return 0;
}

static int pop(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    int failed = get(sequence, args, reply);
    return failed < 0 ? failed : delete (sequence, args, reply);
}

/* ---- by what they are ---- */

static size_t find(const struct sequence *sequence, const struct item *item, size_t from)
{
    for (; from < sequence->count; from++) {
        struct item other = datum_item(&sequence->items[from]);
        if (item_equal(&other, item))
            break;
    }
    return from;
}

static int reply_number(struct parcel *reply, size_t number)
{
    const struct item item = item_natural(number);
    return reply_item(reply, 0, &item);
}

static int find_or_fail(const struct sequence *sequence, const struct item *item, struct parcel *reply, size_t *place)
{
    *place = find(sequence, item, 0);
    return *place < sequence->count ? 0 : reply_fail(reply, -ENOENT, "no item is equal to it");
}

static int remove_equal(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    size_t place;
    int failed = find_or_fail(sequence, &args[0], reply, &place);
    if (failed == 0)
        take_out(sequence, &sequence->items[place]);
    return failed;
}

static int index_of(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    size_t place;
    int failed = find_or_fail(sequence, &args[0], reply, &place);
    return failed < 0 ? failed : reply_number(reply, place);
}

static int count_equal(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    size_t count = 0;
    for (size_t i = find(sequence, &args[0], 0); i < sequence->count; i = find(sequence, &args[0], i + 1))
        count++;
    return reply_number(reply, count);
}

/* ---- all of them ---- */

static int length(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    (void)args;
    return reply_number(reply, sequence->count);
}

static int slice(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    size_t from = bound(sequence, &args[0]), to = bound(sequence, &args[1]);
    return reply_data(reply, sequence->items ? sequence->items + from : NULL, to > from ? to - from : 0);
}

static int set_slice(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    size_t from = bound(sequence, &args[0]), to = bound(sequence, &args[1]);
    return put_all(sequence, from, to > from ? to : from, &args[2], reply);
}

static int items(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    (void)args;
    return reply_data(reply, sequence->items, sequence->count);
}

static int reverse(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    (void)args;
    (void)reply;
    for (size_t i = 0; i < sequence->count / 2; i++) {
        struct datum last = sequence->items[sequence->count - 1 - i];
        sequence->items[sequence->count - 1 - i] = sequence->items[i];
        sequence->items[i] = last;
    }
    return 0;
}

static int order(const struct datum *one, const struct datum *other)
{
    struct item a = datum_item(one), b = datum_item(other);
    return item_order(&a, &b);
}

/* Stable: runs that are in order already are merged, each twice as long as those before. */
static void merge(struct datum *to, const struct datum *from, size_t begin, size_t middle, size_t end, bool descending)
{
    for (size_t left = begin, right = middle, i = begin; i < end; i++) {
        bool takes_right =
            left == middle ||
            (right < end && (descending ? order(&from[left], &from[right]) < 0 : order(&from[left], &from[right]) > 0));
        to[i] = takes_right ? from[right++] : from[left++];
    }
}

static int sort(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    for (size_t i = 1; i < sequence->count; i++) {
        struct item first = datum_item(&sequence->items[0]), other = datum_item(&sequence->items[i]);
        if (!item_has_order(&first, &other))
            return reply_fail(reply, -EINVAL, "%s has no order with %s", item_is_what(&other), item_is_what(&first));
    }
    size_t count = sequence->count, size = count * sizeof(struct datum);
    if (count < 2)
        return 0;
    struct datum *other = hoard_take(size);
    if (!other)
        return no_memory(reply);
    struct datum *from = sequence->items, *to = other;
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t i = 0; i < count; i += 2 * run) {
            size_t middle = i + run < count ? i + run : count, end = middle + run < count ? middle + run : count;
            merge(to, from, i, middle, end, args[0].boolean);
        }
        struct datum *sorted = to;
        to = from;
        from = sorted;
    }
    if (from == other)
        memcpy(sequence->items, other, size);
    hoard_give(other, size);
    return 0;
}

static int clear(struct sequence *sequence, const struct item *args, struct parcel *reply)
{
    (void)args;
    (void)reply;
    sequence_clear(sequence);
    return 0;
}

void sequence_clear(struct sequence *sequence)
{
    for (size_t i = 0; i < sequence->count; i++)
        datum_drop(&sequence->items[i]);
    hoard_give(sequence->items, sequence->room * sizeof *sequence->items);
    *sequence = (struct sequence){ .items = NULL };
}

size_t sequence_span(const struct sequence *sequence, const struct item *begin, const struct item *end)
{
    size_t from = bound(sequence, begin), to = bound(sequence, end);
    return to > from ? to - from : 0;
}

int sequence_copy(struct sequence *copy, const struct sequence *sequence)
{
    int failed = make_room(copy, 0, 0, sequence->count);
    for (size_t i = 0; i < sequence->count && failed == 0; i++)
        copy->items[i] = datum_share(&sequence->items[i]);
    return failed;
}

/* count: of arguments; numbers: how many of them, the first ones, are integers; flag: the first is a bool. */
static const struct {
    method *call;
    unsigned count, numbers;
    bool flag;
} methods[LIST_METHODS] = {
    [LIST_APPEND] = { append, 1, 0, false },
    [LIST_EXTEND] = { extend, 1, 0, false },
    [LIST_INSERT] = { insert, 2, 1, false },
    [LIST_APPEND_IF] = { append_if, 2, 1, false },
    [LIST_GET] = { get, 1, 1, false },
    [LIST_SET] = { set, 2, 1, false },
    [LIST_SWAP] = { swap, 2, 1, false },
    [LIST_COMPARE] = { compare, 3, 1, false },
    [LIST_ADD] = { add, 2, 1, false },
    [LIST_POP] = { pop, 1, 1, false },
    [LIST_DELETE] = { delete, 1, 1, false },
    [LIST_REMOVE] = { remove_equal, 1, 0, false },
    [LIST_INDEX] = { index_of, 1, 0, false },
    [LIST_COUNT] = { count_equal, 1, 0, false },
    [LIST_LENGTH] = { length, 0, 0, false },
    [LIST_SLICE] = { slice, 2, 2, false },
    [LIST_SET_SLICE] = { set_slice, 3, 2, false },
    [LIST_ITEMS] = { items, 0, 0, false },
    [LIST_REVERSE] = { reverse, 0, 0, false },
    [LIST_SORT] = { sort, 1, 0, true },
    [LIST_CLEAR] = { clear, 0, 0, false },
};

int sequence_call(struct sequence *sequence, unsigned number, const struct item *args, unsigned count,
                  struct parcel *reply)
{
    if (number >= LIST_METHODS || count != methods[number].count)
        return reply_fail(reply, -EINVAL, "a list has no such method, with %u arguments", count);
    for (unsigned i = 0; i < methods[number].numbers; i++)
        if (args[i].kind != BROOD_INT)
            return reply_fail(reply, -EINVAL, "%s is no index", item_is_what(&args[i]));
    if (methods[number].flag && args[0].kind != BROOD_BOOL)
        return reply_fail(reply, -EINVAL, "%s is no bool", item_is_what(&args[0]));
    return methods[number].call(sequence, args, reply);
}

static int call(struct object *object, struct claimant *claimant, unsigned number, const struct item *args,
                unsigned count, struct parcel *reply)
{
    (void)claimant;
    return sequence_call(&object->list, number, args, count, reply);
}

static int copy(struct object *other, const struct object *object)
{
    return sequence_copy(&other->list, &object->list);
}

static void clear_object(struct object *object)
{
    sequence_clear(&object->list);
}

const struct kind list_served = { "a list", "list", false, NULL, call, copy, clear_object, NULL, NULL };
