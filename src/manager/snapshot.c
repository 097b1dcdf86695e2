/* manager/snapshot.c */
#include "manager/snapshot.h"

#include "manager/collection.h"
#include "manager/hoard.h"
#include "manager/object.h"
#include "manager/reference.h"
#include "manager/reply.h"
#include "manager/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SNAPSHOT_MOST (UINT32_MAX - 4096) /* bytes: of a parcel, and of the request that brings it back */
#define LEVELS 2                          /* lists around an object's content */

enum { PARTS = 3 }; /* of an object: its name, its type, its content */

static bool is_kept(unsigned type)
{
    return type == MANAGER_DICT || type == MANAGER_NAMESPACE || type == MANAGER_LIST || type == MANAGER_SET ||
           type == MANAGER_ARRAY || type == MANAGER_VALUE;
}

/* ---- taking ---- */

/* The objects that are kept: those that have a name, in the order of names, then what they refer to. first: the first
 * one, in that order, each with its number; last: the last one so far. */
struct graph {
    struct object *first, *last;
    uint64_t count, walk;
};

static void add_object(struct graph *graph, struct object *object)
{
    if (object->walk == graph->walk || !is_kept(object->type))
        return;
    object->walk = graph->walk;
    object->number = graph->count++;
    object->next = NULL;
    *(graph->last ? &graph->last->next : &graph->first) = object;
    graph->last = object;
}

static void add_referred(void *context, uint64_t id)
{
    struct object *object = objects_find(id);
    if (object) /* as a reference that is kept has */
        add_object(context, object);
}

/* How many of them have a name. */
static uint64_t find_objects(struct graph *graph, const struct objects *objects)
{
    struct object *object;
    for (const struct pair *pair = NULL; (pair = objects_next(objects, pair, &object));)
        add_object(graph, object);
    uint64_t named = graph->count;
    for (object = graph->first; object; object = object->next) {
        size_t values = SIZE_MAX;
        reference_each(object, &values, add_referred, graph);
    }
    return named;
}

/* A reference becomes its object's number; nil, if that is not kept. */
static void write_value(struct out *out, const struct graph *graph, const struct item *item)
{
    const struct item nil = { .kind = BROOD_NIL };
    if (!item->refers) {
        write_item(out, item);
    } else if (item->kind == BROOD_REFERENCE) {
        const struct object *object = objects_find(item->natural);
        bool kept = object && object->walk == graph->walk;
        const struct item number = { .kind = BROOD_REFERENCE, .natural = kept ? object->number : 0 };
        item_write(out, kept ? &number : &nil);
    } else {
        uint64_t count = item->kind == BROOD_MAP ? 2 * item->natural : item->natural;
        struct cursor cursor = item_inside(item);
        item_write(out, item);
        for (uint64_t i = 0; i < count; i++) {
            struct item inner;
            item_next(&cursor, &inner);
            write_value(out, graph, &inner);
        }
    }
}

static void write_datum(struct out *out, const struct graph *graph, const struct datum *datum)
{
    const struct item item = datum_item(datum);
    write_value(out, graph, &item);
}

static void write_pairs(struct out *out, const struct graph *graph, const struct mapping *mapping, bool values)
{
    const struct item head = { .kind = values ? BROOD_MAP : BROOD_LIST, .natural = mapping->count };
    item_write(out, &head);
    for (const struct pair *pair = NULL; (pair = mapping_next(mapping, pair));) {
        write_datum(out, graph, &pair->key);
        if (values)
            write_datum(out, graph, &pair->value);
    }
}

static void write_content(struct out *out, const struct graph *graph, const struct object *object)
{
    const struct item head = { .kind = BROOD_LIST, .natural = object->list.count };
    if (object->type == MANAGER_VALUE) {
        write_datum(out, graph, &object->value);
    } else if (object->type == MANAGER_LIST || object->type == MANAGER_ARRAY) {
        item_write(out, &head);
        for (size_t i = 0; i < object->list.count; i++)
            write_datum(out, graph, &object->list.items[i]);
    } else {
        write_pairs(out, graph, &object->dictionary, object->type != MANAGER_SET);
    }
}

static void write_object(struct out *out, const struct graph *graph, const struct object *object,
                         const struct item *name)
{
    const struct item parts = { .kind = BROOD_LIST, .natural = PARTS };
    const char *word = operation_of(0, object->type)->name;
    const struct item type = { .kind = BROOD_STRING, .bytes = (const uint8_t *)word, .size = strlen(word) };
    item_write(out, &parts);
    write_item(out, name);
    write_item(out, &type);
    write_content(out, graph, object);
}

static void write_objects(struct out *out, const struct graph *graph, const struct objects *objects, uint64_t named)
{
    const struct item all = { .kind = BROOD_LIST, .natural = graph->count }, nil = { .kind = BROOD_NIL };
    struct object *object;
    item_write(out, &all);
    for (const struct pair *pair = NULL; (pair = objects_next(objects, pair, &object));) {
        const struct item name = datum_item(&pair->key);
        if (is_kept(object->type))
            write_object(out, graph, object, &name);
    }
    for (object = graph->first; object; object = object->next)
        if (object->number >= named)
            write_object(out, graph, object, &nil);
}

int snapshot_take(const struct objects *objects, struct parcel *reply)
{
    struct graph graph = { .walk = reference_walk() };
    uint64_t named = find_objects(&graph, objects);
    struct out out = { .bytes = NULL };
    write_objects(&out, &graph, objects, named); /* how much it is */
    size_t size = out.size;
    if (size > SNAPSHOT_MOST)
        return reply_fail(reply, -EFBIG, "%zu bytes are more than can be saved", size);
    uint8_t *bytes = parcel_room(reply, size);
    if (!bytes) {
        reply->size = 0;
        return -ENOMEM;
    }
    out = (struct out){ .bytes = bytes, .room = size };
    write_objects(&out, &graph, objects, named);
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

/* What has been read of a file: its objects, by their numbers. */
struct restored {
    struct objects *objects;
    struct object **made;
    uint64_t count;
};

/* The parts of an object but its content, before which *inside is left. `value` is known to be well. */
static int read_parts(const struct item *value, struct cursor *inside, struct item *name, unsigned *method,
                      struct parcel *reply)
{
    struct item word;
    if (value->kind != BROOD_LIST || value->natural != PARTS)
        return no_snapshot(reply);
    *inside = item_inside(value);
    item_next(inside, name);
    item_next(inside, &word);
    if ((name->kind != BROOD_STRING && name->kind != BROOD_NIL) || word.kind != BROOD_STRING)
        return no_snapshot(reply);
    const struct operation *type = operation_named((const char *)word.bytes, word.size);
    if (!type || type->type != 0 || !is_kept(type->method))
        return no_snapshot(reply);
    *method = type->method;
    return 0;
}

static int make_one(struct restored *restored, const struct item *value, struct parcel *reply)
{
    struct cursor inside;
    struct item name;
    unsigned method = 0;
    int failed = read_parts(value, &inside, &name, &method, reply);
    if (failed == 0)
        failed = objects_add(restored->objects, method, &name, &restored->made[restored->count], reply);
    restored->count += failed == 0;
    return failed == -EEXIST ? -EBADMSG : failed;
}

/* A number becomes the reference to its object. 0, or -EBADMSG: there is none of that number. */
static int write_referring(struct out *out, const struct restored *restored, const struct item *item)
{
    if (!item->refers) {
        write_item(out, item);
        return 0;
    }
    if (item->kind == BROOD_REFERENCE) {
        if (item->natural >= restored->count)
            return -EBADMSG;
        const struct item reference = { .kind = BROOD_REFERENCE, .natural = restored->made[item->natural]->id };
        item_write(out, &reference);
        return 0;
    }
    uint64_t count = item->kind == BROOD_MAP ? 2 * item->natural : item->natural;
    struct cursor cursor = item_inside(item);
    int failed = 0;
    item_write(out, item);
    for (uint64_t i = 0; i < count && failed == 0; i++) {
        struct item inner;
        item_next(&cursor, &inner);
        failed = write_referring(out, restored, &inner);
    }
    return failed;
}

/* The same, of content that has references. */
static int fill_referring(const struct restored *restored, struct object *object, const struct item *content,
                          struct parcel *reply)
{
    struct out out = { .bytes = NULL };
    int failed = write_referring(&out, restored, content);
    if (failed < 0)
        return no_snapshot(reply);
    size_t size = out.size;
    uint8_t *bytes = malloc(size);
    if (!bytes)
        return reply_fail(reply, -ENOMEM, "the server has no memory for %zu bytes", size);
    out = (struct out){ .bytes = bytes, .room = size };
    write_referring(&out, restored, content);
    struct cursor cursor = { bytes, bytes + size };
    struct item item;
    failed = item_read(&cursor, &item, LEVELS + CBOR_DEPTH_MOST);
    if (failed == 0)
        failed = reference_check(object, &item, SIZE_MAX, reply);
    object->refers = true;
    if (failed == 0)
        failed = fill(object, &item, reply);
    free(bytes);
    return failed == -ELOOP ? -EBADMSG : failed;
}

static int fill_one(const struct restored *restored, struct object *object, const struct item *value,
                    struct parcel *reply)
{
    struct cursor inside;
    struct item name, content;
    unsigned method = 0;
    int failed = read_parts(value, &inside, &name, &method, reply);
    if (failed < 0)
        return failed;
    int depth = objects_depth(restored->objects) + (method != MANAGER_VALUE);
    if (item_read(&inside, &content, depth) < 0)
        return reply_fail(reply, -EMSGSIZE, "lists and maps lie more than %d deep", objects_depth(restored->objects));
    return content.refers ? fill_referring(restored, object, &content, reply) : fill(object, &content, reply);
}

/* First all objects, then what is in them: one may refer to another that comes later. */
static int restore(struct restored *restored, const struct item *all, struct parcel *reply)
{
    int failed = 0;
    for (int pass = 0; pass < 2; pass++) {
        struct cursor cursor = item_inside(all);
        for (uint64_t i = 0; i < all->natural && failed == 0; i++) {
            struct item value;
            if (item_read(&cursor, &value, LEVELS + CBOR_DEPTH_MOST) < 0)
                failed = no_snapshot(reply);
            else if (pass == 0)
                failed = make_one(restored, &value, reply);
            else if (restored->made[i])
                failed = fill_one(restored, restored->made[i], &value, reply);
        }
    }
    for (uint64_t i = 0; i < restored->count; i++)
        objects_release(restored->made[i]); /* what has no name, and is referred to by nothing, goes */
    return failed;
}

static int restore_all(struct objects *objects, struct cursor *arguments, struct parcel *reply)
{
    struct item all;
    int failed = item_read(arguments, &all, LEVELS + 1 + CBOR_DEPTH_MOST);
    if (failed < 0 || all.kind != BROOD_LIST || arguments->at != arguments->end)
        return no_snapshot(reply);
    struct restored restored = { .objects = objects };
    restored.made = calloc(all.natural ? (size_t)all.natural : 1, sizeof(struct object *));
    if (!restored.made)
        return reply_fail(reply, -ENOMEM, "the server has no memory for %llu objects", (unsigned long long)all.natural);
    failed = restore(&restored, &all, reply);
    free(restored.made);
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
