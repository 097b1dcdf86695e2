/* manager/batch.c: calls that are put together here, and done by the server in one (manager/bundle.h). */
#include "error/error.h"
#include "manager/message.h"
#include "manager/proxy.h"
#include "region/region.h"

#include <brood/batch.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MARK UINT64_C(0x686374616201)
#define ROOM_FIRST 1024
#define NAME_ROOM 40 /* bytes of an operation's name; all are shorter */

/* Of a call that has been done: its result, and where in the reply its value or sentence lies. */
struct answer {
    int result;
    size_t at, size;
};

/* calls: so many, encoded. ran: they are sent with the next call no more. answers: as many as there were calls, of the
 * last run, if that succeeded; else NULL. */
struct brood_batch {
    uint64_t mark;
    struct brood_manager *manager;
    struct out calls;
    int count;
    bool ran;
    struct answer *answers;
    struct bytes reply;
};

static int enter(const brood_batch *batch, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!batch)
        return error_null(call, "the batch");
    if (batch->mark != BATCH_MARK)
        return error_set(EINVAL, "%s: %p is no batch", call, (const void *)batch);
    return 0;
}

brood_batch *brood_batch_create(brood_manager *manager)
{
    static const char call[] = "brood_batch_create";
    if (manager_enter(manager, call) < 0)
        return NULL;
    struct brood_batch *batch = calloc(1, sizeof *batch);
    if (!batch) {
        error_set(ENOMEM, "%s: no memory for a batch", call);
        return NULL;
    }
    batch->mark = BATCH_MARK;
    batch->manager = manager;
    return batch;
}

static void forget_answers(struct brood_batch *batch)
{
    free(batch->answers);
    free(batch->reply.at);
    batch->answers = NULL;
    batch->reply.at = NULL;
}

int brood_batch_destroy(brood_batch *batch)
{
    if (!batch)
        return 0;
    int failed = enter(batch, "brood_batch_destroy");
    if (failed < 0)
        return failed;
    forget_answers(batch);
    free(batch->calls.bytes);
    batch->mark = 0;
    free(batch);
    return 0;
}

/* ---- putting ---- */

/* What the server calls it, into `name`: how many bytes that is. -EINVAL with a sentence. */
static int name_of(const struct brood_batch *batch, const char *call, const struct proxy *object, const char *operation,
                   char name[NAME_ROOM])
{
    if (!object || !operation)
        return error_null(call, object ? "the operation" : "the object");
    const struct plain_type *type = proxy_plain(object);
    if (!type)
        return error_set(EINVAL, "%s: %p is no object that a batch may call", call, (const void *)object);
    if (object->manager != batch->manager)
        return error_set(EINVAL, "%s: the object is of another manager", call);
    size_t kind = strlen(type->word), size = kind + 1 + strnlen(operation, NAME_ROOM);
    const struct operation *found = NULL;
    if (size < NAME_ROOM) {
        memcpy(name, type->word, kind);
        name[kind] = '.';
        memcpy(name + kind + 1, operation, size - kind - 1);
        found = operation_named(name, size);
    }
    if (!found || !operation_is_plain(found))
        return error_set(EINVAL, "%s: %s has no '%.*s'", call, type->article, NAME_ROOM, operation);
    return (int)size;
}

/* What does not fit is only counted. 0, or -errno with a sentence. */
static int write_call(struct out *out, const char *call, const struct item *name, uint64_t id, const brood_any *values,
                      int count)
{
    const struct item head = { .kind = BROOD_LIST, .natural = 2 + (uint64_t)count }, object = item_natural(id);
    item_write(out, &head);
    item_write(out, name);
    item_write(out, &object);
    for (int i = 0; i < count; i++) {
        int failed = any_write(out, &values[i], CBOR_DEPTH_MOST);
        if (failed == -EMSGSIZE)
            return error_set(EMSGSIZE, "%s: lists and maps lie more than %d deep", call, CBOR_DEPTH_MOST);
        if (failed == -EILSEQ)
            return error_set(EINVAL, "%s: a string is no UTF-8", call);
        if (failed < 0)
            return error_set(EINVAL, "%s: something in a value is of no kind, or a list, map or reference is a key",
                             call);
    }
    return 0;
}

/* Room for all that has been counted. */
static bool grow(struct out *out)
{
    size_t room = out->room ? out->room : ROOM_FIRST;
    while (room < out->size)
        room *= 2;
    uint8_t *bytes = realloc(out->bytes, room);
    if (!bytes)
        return false;
    out->bytes = bytes;
    out->room = room;
    return true;
}

/* Behind those that are there. 0, or -errno with a sentence, and nothing is. */
static int put(struct out *out, const char *call, const struct item *name, uint64_t id, const brood_any *values,
               int count)
{
    size_t before = out->size;
    int failed = write_call(out, call, name, id, values, count);
    if (failed == 0 && out->size > out->room) {
        failed = grow(out) ? 0 : error_set(ENOMEM, "%s: no memory for one more call", call);
        out->size = before;
        if (failed == 0)
            write_call(out, call, name, id, values, count);
    }
    if (failed < 0)
        out->size = before;
    return failed;
}

int brood_batch_call(brood_batch *batch, const void *object, const char *operation, const brood_any *values, int count)
{
    static const char call[] = "brood_batch_call";
    const struct proxy *proxy = object;
    char name[NAME_ROOM];
    int size = enter(batch, call);
    if (size == 0)
        size = name_of(batch, call, proxy, operation, name);
    if (size < 0)
        return size;
    if (count < 0 || (!values && count > 0))
        return error_set(EINVAL, "%s: %d values at %p", call, count, (const void *)values);
    if (batch->ran) {
        forget_answers(batch);
        batch->calls.size = 0;
        batch->count = 0;
        batch->ran = false;
    }
    if (batch->count == BROOD_BATCH_MOST)
        return error_set(EMSGSIZE, "%s: there are %d calls in the batch", call, BROOD_BATCH_MOST);
    const struct item what = { .kind = BROOD_STRING, .bytes = (const uint8_t *)name, .size = (size_t)size };
    int failed = put(&batch->calls, call, &what, proxy->id, values, count);
    return failed < 0 ? failed : batch->count++;
}

/* ---- running ---- */

/* Notes where each answer lies. How many calls failed; or -EPROTO with a sentence. */
static int read_answers(struct brood_batch *batch, const char *call)
{
    struct cursor cursor = { batch->reply.at, batch->reply.at + batch->reply.size }, value;
    uint64_t count;
    bool well = item_enter(&cursor, &count) == 0 && count == (uint64_t)batch->count;
    int failures = 0;
    for (int i = 0; i < batch->count && well; i++) {
        struct answer *answer = &batch->answers[i];
        well =
            item_enter(&cursor, &count) == 0 && count == 2 && message_resulted(&cursor, &answer->result, &value) == 0;
        if (!well)
            break;
        answer->at = (size_t)(value.at - batch->reply.at);
        answer->size = (size_t)(value.end - value.at);
        failures += answer->result < 0;
    }
    return well ? failures : error_set(EPROTO, "%s: manager '%s' answers something else", call, batch->manager->name);
}

int brood_batch_run(brood_batch *batch)
{
    static const char call[] = "brood_batch_run";
    int result = enter(batch, call);
    if (result == 0)
        result = manager_enter(batch->manager, call);
    if (result < 0)
        return result;
    if (batch->ran)
        batch->count = 0;
    forget_answers(batch);
    batch->ran = true;
    if (batch->count == 0)
        return 0;
    batch->answers = calloc((size_t)batch->count, sizeof *batch->answers);
    if (!batch->answers)
        return error_set(ENOMEM, "%s: no memory for %d results", call, batch->count);
    const struct request request = { .method = MANAGER_BATCH, .count = (uint16_t)batch->count };
    const struct bytes calls = { batch->calls.bytes, batch->calls.size };
    result = manager_ask_encoded(batch->manager, call, &request, &calls, &batch->reply);
    if (result >= 0)
        result = read_answers(batch, call);
    if (result < 0)
        forget_answers(batch);
    return result;
}

int brood_batch_result(brood_batch *batch, int number, brood_any *value)
{
    static const char call[] = "brood_batch_result";
    if (value)
        *value = brood_any_nil();
    int failed = enter(batch, call);
    if (failed < 0)
        return failed;
    if (!batch->answers || number < 0 || number >= batch->count)
        return error_set(EINVAL, "%s: the batch has no result %d", call, number);
    const struct answer *answer = &batch->answers[number];
    if (answer->result >= 0) {
        failed = value ? brood_any_decode(batch->reply.at + answer->at, answer->size, value) : 0;
        return failed < 0 ? failed : answer->result;
    }
    brood_any sentence;
    failed = brood_any_decode(batch->reply.at + answer->at, answer->size, &sentence);
    if (failed < 0)
        return failed;
    failed = error_set(-answer->result, "%s: %s", call, sentence.string);
    brood_any_clear(&sentence);
    return failed;
}
