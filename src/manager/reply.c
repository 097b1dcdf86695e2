/* manager/reply.c */
#include "manager/reply.h"

#include "manager/reference.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SENTENCE 240

size_t reply_most = SIZE_MAX;

int reply_fail(struct parcel *reply, int failed, const char *sentence, ...)
{
    char text[SENTENCE];
    va_list arguments;
    va_start(arguments, sentence);
    int length = vsnprintf(text, sizeof text, sentence, arguments);
    va_end(arguments);
    size_t size = length < 0 ? 0 : length < SENTENCE ? (size_t)length : SENTENCE - 1;
    memcpy(parcel_room(reply, size), text, size); /* it fits into every channel */
    return failed;
}

static int too_large(struct parcel *reply, size_t size)
{
    return reply_fail(reply, -EMSGSIZE, "its answer would have %zu bytes: the server sends %zu at most", size,
                      reply_most);
}

/* Of a list or map item_write gives the head alone, and this all. */
void write_item(struct out *out, const struct item *item)
{
    out->refers |= item->refers;
    if (item->kind != BROOD_LIST && item->kind != BROOD_MAP) {
        item_write(out, item);
        return;
    }
    if (out->bytes && out->size <= out->room && item->size <= out->room - out->size)
        memcpy(out->bytes + out->size, item->bytes, item->size);
    out->size += item->size;
}

int reply_item(struct parcel *reply, int result, const struct item *item)
{
    size_t size = item->size + CBOR_HEAD_MOST;
    if (item->size > reply_most)
        return too_large(reply, item->size);
    uint8_t *bytes = reference_lend(item) ? parcel_room(reply, size) : NULL;
    if (!bytes) {
        reply->size = 0;
        return -ENOMEM;
    }
    struct out out = { .bytes = bytes, .room = size };
    write_item(&out, item);
    if (size > CHANNEL_ROOM && out.size <= CHANNEL_ROOM)
        memcpy(reply->bytes, bytes, out.size); /* where one looks for so few */
    reply->size = (uint32_t)out.size;
    return result;
}

int reply_datum(struct parcel *reply, int result, const struct datum *datum)
{
    struct item item = datum_item(datum);
    return reply_item(reply, result, &item);
}

static void write_mapping(struct out *out, const struct mapping *mapping, bool keys, bool values)
{
    struct item head = { .kind = keys && values ? BROOD_MAP : BROOD_LIST, .natural = mapping->count };
    item_write(out, &head);
    for (const struct pair *pair = NULL; (pair = mapping_next(mapping, pair));) {
        struct item key = datum_item(&pair->key), value = datum_item(&pair->value);
        if (keys)
            write_item(out, &key);
        if (values)
            write_item(out, &value);
    }
}

static bool lend_values(const struct mapping *mapping)
{
    bool lent = true;
    for (const struct pair *pair = NULL; lent && (pair = mapping_next(mapping, pair));) {
        const struct item value = datum_item(&pair->value);
        lent = reference_lend(&value);
    }
    return lent;
}

int reply_mapping(struct parcel *reply, const struct mapping *mapping, bool keys, bool values)
{
    struct out out = { .bytes = NULL };
    write_mapping(&out, mapping, keys, values); /* how much it is */
    size_t size = out.size;
    if (size > reply_most)
        return too_large(reply, size);
    uint8_t *bytes = !out.refers || lend_values(mapping) ? parcel_room(reply, size) : NULL;
    if (!bytes) {
        reply->size = 0;
        return -ENOMEM;
    }
    out = (struct out){ .bytes = bytes, .room = size };
    write_mapping(&out, mapping, keys, values);
    return 0;
}

static void write_data(struct out *out, const struct datum *data, size_t count)
{
    const struct item head = { .kind = BROOD_LIST, .natural = count };
    item_write(out, &head);
    for (size_t i = 0; i < count; i++) {
        struct item item = datum_item(&data[i]);
        write_item(out, &item);
    }
}

static bool lend_data(const struct datum *data, size_t count)
{
    bool lent = true;
    for (size_t i = 0; i < count && lent; i++) {
        const struct item item = datum_item(&data[i]);
        lent = reference_lend(&item);
    }
    return lent;
}

int reply_data(struct parcel *reply, const struct datum *data, size_t count)
{
    struct out out = { .bytes = NULL };
    write_data(&out, data, count);
    size_t size = out.size;
    if (size > reply_most)
        return too_large(reply, size);
    uint8_t *bytes = !out.refers || lend_data(data, count) ? parcel_room(reply, size) : NULL;
    if (!bytes) {
        reply->size = 0;
        return -ENOMEM;
    }
    out = (struct out){ .bytes = bytes, .room = size };
    write_data(&out, data, count);
    return 0;
}

int reply_sum(struct parcel *reply, struct datum *number, const struct item *amount)
{
    struct item now = datum_item(number), sum;
    if (!item_is_number(&now) || !item_is_number(amount))
        return reply_fail(reply, -EINVAL, "%s cannot be added to %s: both must be numbers", item_is_what(amount),
                          item_is_what(&now));
    if (item_sum(&now, amount, &sum) < 0)
        return reply_fail(reply, -ERANGE, "the sum is no integer of 64 bits");
    int result = reply_item(reply, 0, &sum);
    return result < 0 ? result : datum_keep(number, &sum); /* a number: nothing to be dropped */
}

const char *item_is_what(const struct item *item)
{
    static const char *const names[] = { "nil",      "a bool", "an int", "an int", "a double",
                                         "a string", "bytes",  "a list", "a map",  "a reference" };
    return names[item->kind];
}
