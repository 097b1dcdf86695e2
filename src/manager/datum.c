/* manager/datum.c */
#include "manager/datum.h"

#include "manager/hoard.h"
#include "manager/reference.h"

#include <errno.h>
#include <string.h>

#define DATUM_LONG 0xff

static bool is_blob(const struct datum *datum)
{
    return (datum->kind == BROOD_STRING || datum->kind == BROOD_BYTES)
               ? datum->length == DATUM_LONG
               : datum->kind == BROOD_LIST || datum->kind == BROOD_MAP;
}

/* Of the first references in it so many, or all. */
static void drop_references(const struct blob *blob, size_t count)
{
    struct cursor cursor = { blob->bytes, blob->bytes + blob->size };
    uint64_t id;
    for (size_t i = 0; i < count && item_next_reference(&cursor, &id); i++)
        reference_drop(id);
}

/* In the copy, over which nobody can write: 0, or -ENOMEM, and none is counted. */
static int take_references(struct blob *blob)
{
    struct cursor cursor = { blob->bytes, blob->bytes + blob->size };
    uint64_t id;
    for (size_t taken = 0; item_next_reference(&cursor, &id); taken++)
        if (!reference_take(id)) {
            drop_references(blob, taken);
            return -ENOMEM;
        }
    blob->refers = true;
    return 0;
}

static void drop_blob(struct blob *blob)
{
    if (blob->refers)
        drop_references(blob, SIZE_MAX);
    hoard_give(blob, sizeof *blob + blob->size);
}

static int keep_blob(struct datum *datum, const struct item *item)
{
    struct blob *blob = hoard_take(sizeof *blob + item->size);
    if (!blob)
        return -ENOMEM;
    *blob = (struct blob){ .uses = 1, .size = item->size };
    blob->count = item->kind == BROOD_LIST || item->kind == BROOD_MAP ? item->natural : 0;
    if (item->size)
        memcpy(blob->bytes, item->bytes, item->size);
    if (item->refers && take_references(blob) < 0) {
        drop_blob(blob);
        return -ENOMEM;
    }
    datum->length = DATUM_LONG;
    datum->blob = blob;
    return 0;
}

int datum_keep(struct datum *datum, const struct item *item)
{
    *datum = (struct datum){ .kind = (uint8_t)item->kind };
    bool is_text = item->kind == BROOD_STRING || item->kind == BROOD_BYTES;
    int failed = 0;
    if (is_text && item->size <= DATUM_SHORT) {
        datum->length = (uint8_t)item->size;
        if (item->size)
            memcpy((uint8_t *)datum + offsetof(struct datum, text), item->bytes, item->size);
    } else if (is_text || item->kind == BROOD_LIST || item->kind == BROOD_MAP) {
        failed = keep_blob(datum, item);
    } else if (item->kind == BROOD_BOOL) {
        datum->boolean = item->boolean;
    } else {
        datum->natural = item->natural;
        failed = item->kind == BROOD_REFERENCE && !reference_take(item->natural) ? -ENOMEM : 0;
    }
    if (failed < 0)
        *datum = (struct datum){ .kind = BROOD_NIL };
    return failed;
}

void datum_drop(struct datum *datum)
{
    struct datum dropped = *datum;
    *datum = (struct datum){ .kind = BROOD_NIL };
    if (dropped.kind == BROOD_REFERENCE)
        reference_drop(dropped.natural);
    if (is_blob(&dropped) && --dropped.blob->uses == 0)
        drop_blob(dropped.blob);
}

struct datum datum_share(const struct datum *datum)
{
    if (is_blob(datum))
        datum->blob->uses++;
    else if (datum->kind == BROOD_REFERENCE)
        reference_take(datum->natural);
    return *datum;
}

struct item datum_item(const struct datum *datum)
{
    struct item item = { .kind = (brood_kind)datum->kind };
    if (is_blob(datum)) {
        item.natural = datum->blob->count;
        item.bytes = datum->blob->bytes;
        item.size = datum->blob->size;
        item.refers = datum->blob->refers;
    } else if (datum->kind == BROOD_STRING || datum->kind == BROOD_BYTES) {
        item.bytes = (const uint8_t *)datum + offsetof(struct datum, text);
        item.size = datum->length;
    } else if (datum->kind == BROOD_BOOL) {
        item.boolean = datum->boolean;
    } else {
        item.natural = datum->natural;
        item.refers = datum->kind == BROOD_REFERENCE;
    }
    return item;
}
