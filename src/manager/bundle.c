/* manager/bundle.c */
#include "manager/bundle.h"

#include "manager/message.h"
#include "manager/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 4096
#define ANSWER_MOST 512 /* bytes of an answer, besides its value or sentence; or with what strerror says */

enum { CALL_ARGUMENTS = 2 }; /* of a call's list: behind the operation and the object */

/* So much more will be written. 0 or -ENOMEM. */
static int reserve(struct out *out, size_t more)
{
    size_t room = out->room ? out->room : ROOM_FIRST;
    if (out->room - out->size >= more)
        return 0;
    while (room - out->size < more)
        room *= 2;
    uint8_t *bytes = realloc(out->bytes, room);
    if (!bytes)
        return -ENOMEM;
    out->bytes = bytes;
    out->room = room;
    return 0;
}

static const struct operation *operation_in(const struct item *name)
{
    const struct operation *operation =
        name->kind == BROOD_STRING ? operation_named((const char *)name->bytes, name->size) : NULL;
    return operation && operation_is_plain(operation) ? operation : NULL;
}

/* Stands behind the call that began there, of which not all has been read. False: it is no value. */
static bool skip(const struct cursor *begin, struct cursor *calls)
{
    struct item call;
    *calls = *begin;
    return item_read(calls, &call, CBOR_DEPTH_MOST + 1) == 0;
}

/* The first of the calls that lie there: it stands behind what it has read of it. */
static int call_one(struct objects *objects, struct client *client, struct cursor *calls, struct parcel *reply)
{
    struct item name, object;
    uint64_t count;
    if (item_enter(calls, &count) < 0 || count < CALL_ARGUMENTS || item_read(calls, &name, CBOR_DEPTH_MOST) < 0 ||
        item_read(calls, &object, CBOR_DEPTH_MOST) < 0)
        return reply_fail(reply, -EBADMSG, "a call in a batch is a list: an operation, an object, its arguments");
    const struct operation *operation = operation_in(&name);
    if (!operation)
        return reply_fail(reply, -ENOTSUP, "there is no such operation for a batch");
    if (object.kind != BROOD_INT || object.integer <= 0)
        return reply_fail(reply, -EINVAL, "the first argument is not the number of an object");
    count -= CALL_ARGUMENTS;
    if (count > UINT16_MAX)
        return reply_fail(reply, -EINVAL, "that are too many arguments");
    const struct request request = {
        .object = object.natural, .method = operation->method, .count = (uint16_t)count, .type = operation->type
    };
    return objects_call(objects, client, &request, calls, reply);
}

/* Each call's reply is the parcel's for a moment, then behind the others. */
static int call_all(struct objects *objects, struct client *client, struct cursor *calls, unsigned count,
                    struct parcel *reply, struct out *out, uint64_t *done)
{
    const struct item head = { .kind = BROOD_LIST, .natural = count }, pair = { .kind = BROOD_LIST, .natural = 2 };
    if (reserve(out, ANSWER_MOST) < 0)
        return -ENOMEM;
    item_write(out, &head);
    for (unsigned i = 0; i < count; i++) {
        const struct cursor begin = *calls;
        reply->size = 0;
        int result = call_one(objects, client, calls, reply);
        if (result < 0 && !skip(&begin, calls))
            return reply_fail(reply, -EBADMSG, "call %u of a batch is no value", i);
        ++*done;
        size_t size;
        const void *content = parcel_content(reply, &size);
        if (out->size > reply_most || size > reply_most - out->size) {
            reply->size = 0;
            result = reply_fail(reply, -EMSGSIZE, "it is done, but the answers to the batch are too large together");
            content = parcel_content(reply, &size);
        }
        if (!content || reserve(out, size + ANSWER_MOST) < 0)
            return -ENOMEM;
        item_write(out, &pair);
        message_result(out, result, content, size);
    }
    return 0;
}

int bundle_call(struct objects *objects, struct client *client, struct cursor *calls, unsigned count,
                struct parcel *reply, uint64_t *done)
{
    struct out out = { .bytes = NULL };
    int failed = call_all(objects, client, calls, count, reply, &out, done);
    uint8_t *room = failed < 0 ? NULL : parcel_room(reply, out.size);
    if (room)
        memcpy(room, out.bytes, out.size);
    else if (failed == 0)
        failed = -ENOMEM;
    free(out.bytes);
    if (failed == -ENOMEM)
        return reply_fail(reply, failed, "there is no memory for the answers of a batch, which may have been done");
    return failed;
}
