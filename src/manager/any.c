/* manager/any.c: brood/any.h.
 *
 * A decoded value is one block: its lists' items first, then its texts. It is measured before it is filled.
 */
#include "error/error.h"
#include "manager/cbor.h"

#include <brood/any.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *brood_kind_name(brood_kind kind)
{
    static const char *const names[] = { "nil",    "bool",  "int",  "uint", "double",
                                         "string", "bytes", "list", "map",  "reference" };
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : NULL;
}

brood_any brood_any_nil(void)
{
    return (brood_any){ .kind = BROOD_NIL };
}

brood_any brood_any_bool(bool value)
{
    return (brood_any){ .kind = BROOD_BOOL, .boolean = value };
}

brood_any brood_any_int(int64_t value)
{
    return (brood_any){ .kind = BROOD_INT, .integer = value };
}

brood_any brood_any_uint(uint64_t value)
{
    return (brood_any){ .kind = value > INT64_MAX ? BROOD_UINT : BROOD_INT, .natural = value };
}

brood_any brood_any_double(double value)
{
    return (brood_any){ .kind = BROOD_DOUBLE, .real = value };
}

brood_any brood_any_string(const char *value)
{
    return value ? (brood_any){ .kind = BROOD_STRING, .size = strlen(value), .string = value } : brood_any_nil();
}

brood_any brood_any_bytes(const void *bytes, size_t size)
{
    return bytes || size == 0 ? (brood_any){ .kind = BROOD_BYTES, .size = size, .bytes = bytes } : brood_any_nil();
}

brood_any brood_any_list(const brood_any *items, size_t count)
{
    return items || count == 0 ? (brood_any){ .kind = BROOD_LIST, .size = count, .items = items } : brood_any_nil();
}

brood_any brood_any_map(const brood_any *pairs, size_t count)
{
    return pairs || count == 0 ? (brood_any){ .kind = BROOD_MAP, .size = count, .items = pairs } : brood_any_nil();
}

brood_any brood_any_same(brood_any value)
{
    return value;
}

/* ---- looking ---- */

const brood_any *brood_any_find(const brood_any *map, const brood_any *key)
{
    if (!map || !key || map->kind != BROOD_MAP)
        return NULL;
    for (size_t i = 0; i < map->size; i++)
        if (brood_any_equal(&map->items[2 * i], key))
            return &map->items[2 * i + 1];
    return NULL;
}

static bool maps_equal(const brood_any *one, const brood_any *other)
{
    for (size_t i = 0; i < one->size; i++) {
        const brood_any *found = brood_any_find(other, &one->items[2 * i]);
        if (!found || !brood_any_equal(&one->items[2 * i + 1], found))
            return false;
    }
    return true;
}

static bool lists_equal(const brood_any *one, const brood_any *other)
{
    for (size_t i = 0; i < one->size; i++)
        if (!brood_any_equal(&one->items[i], &other->items[i]))
            return false;
    return true;
}

int brood_any_equal(const brood_any *one, const brood_any *other)
{
    if (!one || !other || one->kind != other->kind)
        return 0;
    switch (one->kind) {
    case BROOD_NIL:
        return 1;
    case BROOD_BOOL:
        return one->boolean == other->boolean;
    case BROOD_INT:
    case BROOD_UINT:
    case BROOD_REFERENCE:
        return one->natural == other->natural;
    case BROOD_DOUBLE:
        return one->real == other->real || (isnan(one->real) && isnan(other->real));
    case BROOD_STRING:
    case BROOD_BYTES:
        return one->size == other->size && (one->size == 0 || memcmp(one->bytes, other->bytes, one->size) == 0);
    case BROOD_LIST:
        return one->size == other->size && lists_equal(one, other);
    case BROOD_MAP:
        return one->size == other->size && maps_equal(one, other);
    }
    return 0;
}

/* ---- to bytes ---- */

int any_write(struct out *out, const brood_any *value, int depth)
{
    if (!brood_kind_name(value->kind))
        return -EINVAL;
    bool inside = value->kind == BROOD_LIST || value->kind == BROOD_MAP;
    if (inside && depth == 0)
        return -EMSGSIZE;
    struct item item = { .kind = value->kind };
    if (inside)
        item.natural = value->size;
    else if (value->kind == BROOD_STRING || value->kind == BROOD_BYTES)
        item = (struct item){ .kind = value->kind, .bytes = value->bytes, .size = value->size };
    else if (value->kind == BROOD_BOOL)
        item.boolean = value->boolean;
    else
        item.natural = value->natural;
    if (value->kind == BROOD_STRING && !bytes_are_utf8(item.bytes, item.size))
        return -EILSEQ;
    item_write(out, &item);
    size_t count = !inside ? 0 : value->kind == BROOD_MAP ? 2 * value->size : value->size;
    for (size_t i = 0; i < count; i++) {
        if (value->kind == BROOD_MAP && i % 2 == 0 && value->items[i].kind > BROOD_BYTES)
            return -EINVAL;
        int failed = any_write(out, &value->items[i], depth - 1);
        if (failed < 0)
            return failed;
    }
    return 0;
}

int brood_any_encode(const brood_any *value, void *bytes, size_t room, size_t *size)
{
    static const char call[] = "brood_any_encode";
    if (!value || !size || (!bytes && room > 0))
        return error_set(EINVAL, "%s: the value, its bytes or their size are NULL", call);
    struct out out = { .bytes = bytes, .room = room };
    int failed = any_write(&out, value, CBOR_DEPTH_MOST);
    if (failed == -EMSGSIZE)
        return error_set(EMSGSIZE, "%s: lists and maps lie more than %d deep", call, CBOR_DEPTH_MOST);
    if (failed == -EILSEQ)
        return error_set(EINVAL, "%s: a string is no UTF-8", call);
    if (failed < 0)
        return error_set(EINVAL, "%s: something in the value is of no kind, or a list, map or reference is a key",
                         call);
    *size = out.size;
    if (out.size > room)
        return error_set(EMSGSIZE, "%s: %zu bytes, and room for %zu", call, out.size, room);
    return 0;
}

/* ---- from bytes ---- */

/* Of the items in it, and of its texts with a 0 behind each. */
struct measure {
    size_t items, text;
};

static void measure(const struct item *item, struct measure *sum)
{
    if (item->kind == BROOD_STRING || item->kind == BROOD_BYTES)
        sum->text += item->size + 1;
    if (item->kind != BROOD_LIST && item->kind != BROOD_MAP)
        return;
    size_t count = (size_t)item->natural * (item->kind == BROOD_MAP ? 2 : 1);
    struct cursor cursor = item_inside(item);
    sum->items += count;
    for (size_t i = 0; i < count; i++) {
        struct item inner;
        item_next(&cursor, &inner);
        measure(&inner, sum);
    }
}

/* What is still free of the block. */
struct block {
    brood_any *items;
    char *text;
};

static brood_any fill(const struct item *item, struct block *block)
{
    brood_any value = { .kind = item->kind };
    if (item->kind == BROOD_STRING || item->kind == BROOD_BYTES) {
        value.size = item->size;
        value.bytes = block->text;
        if (item->size && block->text)
            memcpy(block->text, item->bytes, item->size);
        if (block->text) { /* it is there: measured */
            block->text[item->size] = 0;
            block->text += item->size + 1;
        }
    } else if (item->kind == BROOD_LIST || item->kind == BROOD_MAP) {
        size_t count = (size_t)item->natural * (item->kind == BROOD_MAP ? 2 : 1);
        struct cursor cursor = item_inside(item);
        brood_any *items = block->items;
        block->items += count;
        for (size_t i = 0; i < count; i++) {
            struct item inner;
            item_next(&cursor, &inner);
            items[i] = fill(&inner, block);
        }
        value.size = (size_t)item->natural;
        value.items = items;
    } else if (item->kind == BROOD_BOOL) {
        value.boolean = item->boolean;
    } else {
        value.natural = item->natural;
    }
    return value;
}

int brood_any_decode(const void *bytes, size_t size, brood_any *value)
{
    static const char call[] = "brood_any_decode";
    if (!value)
        return error_set(EINVAL, "%s: the value is NULL", call);
    *value = brood_any_nil();
    if (!bytes)
        return error_set(EINVAL, "%s: the bytes are NULL", call);
    struct cursor cursor = { bytes, (const uint8_t *)bytes + size };
    struct item item;
    int failed = item_read(&cursor, &item, CBOR_DEPTH_MOST);
    if (failed == -EMSGSIZE)
        return error_set(EMSGSIZE, "%s: lists and maps lie more than %d deep", call, CBOR_DEPTH_MOST);
    if (failed == -EILSEQ || failed == -EINVAL)
        return error_set(EINVAL, "%s: %s", call,
                         failed == -EINVAL ? "a list, map or reference is a key" : "a string is no UTF-8");
    if (failed < 0 || cursor.at != cursor.end)
        return error_set(EBADMSG, "%s: the %zu bytes are not one value", call, size);
    struct measure sum = { 0, 0 };
    measure(&item, &sum);
    struct block block = { NULL, NULL };
    if (sum.items + sum.text > 0) {
        size_t most = (SIZE_MAX - sum.text) / sizeof(brood_any);
        block.items = sum.items < most ? malloc(sum.items * sizeof(brood_any) + sum.text) : NULL;
        if (!block.items)
            return error_set(ENOMEM, "%s: no memory for a value of %zu bytes", call, size);
        block.text = (char *)(block.items + sum.items);
    }
    void *owner = block.items;
    *value = fill(&item, &block);
    value->owner = owner;
    return 0;
}

void brood_any_clear(brood_any *value)
{
    if (!value)
        return;
    free(value->owner);
    *value = brood_any_nil();
}
