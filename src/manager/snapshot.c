/* manager/snapshot.c */
#include "manager/snapshot.h"

#include "manager/collection.h"
#include "manager/hoard.h"
#include "manager/object.h"
#include "manager/reply.h"
#include "manager/words.h"

#include <errno.h>
#include <string.h>

#define SNAPSHOT_MOST (UINT32_MAX - 4096) /* bytes: of a parcel, and of the request that brings it back */
#define LEVELS 2                          /* lists around an object's content */

enum { PART_NAME, PART_TYPE, PART_CONTENT, PARTS };

static bool is_kept(unsigned type)
{
    return type == MANAGER_DICT || type == MANAGER_NAMESPACE || type == MANAGER_LIST || type == MANAGER_SET ||
           type == MANAGER_ARRAY || type == MANAGER_VALUE;
}

/* ---- taking ---- */

static void write_content(struct out *out, const struct object *object)
{
    const struct item value = datum_item(&object->value);
    if (object->type == MANAGER_VALUE)
        write_item(out, &value);
    else if (object->type == MANAGER_LIST || object->type == MANAGER_ARRAY)
        write_data(out, object->list.items, object->list.count);
    else
        write_mapping(out, &object->dictionary, true, object->type != MANAGER_SET);
}

static void write_objects(struct out *out, const struct objects *objects, uint64_t count)
{
    const struct item all = { .kind = BROOD_LIST, .natural = count }, one = { .kind = BROOD_LIST, .natural = PARTS };
    struct object *object;
    item_write(out, &all);
    for (const struct pair *pair = NULL; (pair = objects_next(objects, pair, &object));) {
        if (!is_kept(object->type))
            continue;
        const char *word = operation_of(0, object->type)->name;
        const struct item name = datum_item(&pair->key);
        const struct item type = { .kind = BROOD_STRING, .bytes = (const uint8_t *)word, .size = strlen(word) };
        item_write(out, &one);
        write_item(out, &name);
        write_item(out, &type);
        write_content(out, object);
    }
}

int snapshot_take(const struct objects *objects, struct parcel *reply)
{
    uint64_t count = 0;
    struct object *object;
    for (const struct pair *pair = NULL; (pair = objects_next(objects, pair, &object));)
        count += is_kept(object->type);
    struct out out = { .bytes = NULL };
    write_objects(&out, objects, count); /* how much it is */
    size_t size = out.size;
    if (size > SNAPSHOT_MOST)
        return reply_fail(reply, -EFBIG, "%zu bytes are more than can be saved", size);
    uint8_t *bytes = parcel_room(reply, size);
    if (!bytes) {
        reply->size = 0;
        return -ENOMEM;
    }
    out = (struct out){ .bytes = bytes, .room = size };
    write_objects(&out, objects, count);
    return 0;
}

/* ---- restoring ---- */

static int fill(struct object *object, const struct item *content, struct parcel *reply)
{
    static const unsigned methods[] = { [MANAGER_DICT] = DICT_UPDATE,
                                        [MANAGER_NAMESPACE] = DICT_UPDATE,
                                        [MANAGER_LIST] = LIST_EXTEND,
                                        [MANAGER_SET] = SET_UPDATE };
    const struct kind *kind = object_kind(object);
    int result = kind->begin ? kind->begin(object, content, reply)
                             : kind->call(object, NULL, methods[object->type], content, 1, reply);
    return result == -EINVAL ? -EBADMSG : result;
}

static int no_snapshot(struct parcel *reply)
{
    return reply_fail(reply, -EBADMSG, "what stands there are no objects");
}

/* `value` is known to be well. */
static int restore_one(struct objects *objects, const struct item *value, struct parcel *reply)
{
    struct item parts[PARTS];
    if (value->kind != BROOD_LIST || value->natural != PARTS)
        return no_snapshot(reply);
    struct cursor cursor = item_inside(value);
    item_next(&cursor, &parts[PART_NAME]);
    item_next(&cursor, &parts[PART_TYPE]);
    if (parts[PART_NAME].kind != BROOD_STRING || parts[PART_TYPE].kind != BROOD_STRING)
        return no_snapshot(reply);
    const struct operation *type = operation_named((const char *)parts[PART_TYPE].bytes, parts[PART_TYPE].size);
    if (!type || type->type != 0 || !is_kept(type->method))
        return no_snapshot(reply);
    int depth = objects_depth(objects) + (type->method != MANAGER_VALUE);
    if (item_read(&cursor, &parts[PART_CONTENT], depth) < 0)
        return reply_fail(reply, -EMSGSIZE, "lists and maps lie more than %d deep", objects_depth(objects));
    struct object *object;
    int failed = objects_add(objects, type->method, &parts[PART_NAME], &object, reply);
    if (failed < 0)
        return failed == -EEXIST ? -EBADMSG : failed;
    return fill(object, &parts[PART_CONTENT], reply);
}

static int restore_all(struct objects *objects, struct cursor *arguments, struct parcel *reply)
{
    struct item all;
    int failed = item_read(arguments, &all, LEVELS + 1 + CBOR_DEPTH_MOST);
    if (failed < 0 || all.kind != BROOD_LIST || arguments->at != arguments->end)
        return no_snapshot(reply);
    struct cursor cursor = item_inside(&all);
    for (uint64_t i = 0; i < all.natural && failed == 0; i++) {
        struct item value;
        failed = item_read(&cursor, &value, LEVELS + CBOR_DEPTH_MOST) < 0 ? no_snapshot(reply)
                                                                          : restore_one(objects, &value, reply);
    }
    return failed;
}

/* More memory is needed meanwhile than when all is there, and that alone counts. */
int snapshot_restore(struct objects *objects, struct cursor *arguments, struct parcel *reply)
{
    size_t most = hoard_most;
    hoard_most = SIZE_MAX;
    int failed = restore_all(objects, arguments, reply);
    hoard_most = most;
    if (failed == 0 && hoard_used > most)
        failed =
            reply_fail(reply, -ENOMEM, "its objects take %zu bytes, and the server is to have %zu", hoard_used, most);
    return failed;
}
