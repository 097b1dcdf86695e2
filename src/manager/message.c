/* manager/message.c */
#include "manager/message.h"

#include "manager/manager.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define NAME_SAID 40 /* bytes of an operation in a sentence */

/* Lists around a value: of a message; and of a call in it; of an answer, of the answers in it, and of one. */
enum { REQUEST_AROUND = 1, BATCH_AROUND = 2, ANSWER_AROUND = 3 };

static int refuse(int failed, char why[MESSAGE_WHY], const char *sentence)
{
    snprintf(why, MESSAGE_WHY, "%s", sentence);
    return failed;
}

static bool is_integer(const struct item *item)
{
    return item->kind == BROOD_INT || item->kind == BROOD_UINT;
}

/* How deep a value in it may lie, and the lists around it. */
static int read_whole(const void *bytes, size_t size, struct item *whole, int around)
{
    struct cursor cursor = { bytes, (const uint8_t *)bytes + size };
    int failed = item_read(&cursor, whole, CBOR_DEPTH_MOST + around);
    return failed == 0 && cursor.at != cursor.end ? -EBADMSG : failed;
}

/* So that even a message that cannot be read is answered by its number. */
static struct item number_of(const struct item *whole)
{
    struct item number = { .kind = BROOD_NIL };
    if (whole->kind == BROOD_LIST && whole->natural > 0) {
        struct cursor inside = item_inside(whole);
        if (item_read(&inside, &number, 0) < 0 || !is_integer(&number))
            number = (struct item){ .kind = BROOD_NIL };
    }
    return number;
}

static int find_operation(struct message *message, const struct item *name, char why[MESSAGE_WHY])
{
    if (name->kind != BROOD_STRING)
        return refuse(-EBADMSG, why, "the operation is no string");
    message->operation = operation_named((const char *)name->bytes, name->size);
    if (message->operation)
        return 0;
    snprintf(why, MESSAGE_WHY, "there is no operation '%.*s'", (int)(name->size < NAME_SAID ? name->size : NAME_SAID),
             (const char *)name->bytes);
    return -ENOTSUP;
}

int message_read(const void *bytes, size_t size, struct message *message, char why[MESSAGE_WHY])
{
    struct item whole, name, object;
    *message = (struct message){ .number = { .kind = BROOD_NIL } };
    int failed = read_whole(bytes, size, &whole, REQUEST_AROUND);
    bool deep = failed == -EMSGSIZE;
    if (deep)
        failed = read_whole(bytes, size, &whole, BATCH_AROUND);
    message->number = number_of(&whole);
    if (failed == -EMSGSIZE)
        return refuse(failed, why, "lists and maps lie too deep");
    if (failed == -EILSEQ)
        return refuse(-EINVAL, why, "a string is no UTF-8");
    if (failed == -EINVAL)
        return refuse(failed, why, "a list, map or reference is a key");
    if (failed < 0)
        return refuse(failed, why, "the message is not one value");
    if (whole.kind != BROOD_LIST || whole.natural < 2 || message->number.kind == BROOD_NIL)
        return refuse(-EBADMSG, why, "a message is a list: a number, an operation, its arguments");
    struct cursor inside = item_inside(&whole);
    item_next(&inside, &name);
    item_next(&inside, &name);
    failed = find_operation(message, &name, why);
    if (failed < 0)
        return failed;
    if (deep && (message->operation->type || message->operation->method != MANAGER_BATCH))
        return refuse(-EMSGSIZE, why, "lists and maps lie too deep");
    uint64_t count = whole.natural - 2;
    if (message->operation->type) {
        item_next(&inside, &object);
        if (count == 0 || object.kind != BROOD_INT || object.integer <= 0)
            return refuse(-EINVAL, why, "the first argument is not the number of an object");
        message->object = object.natural;
        count--;
    }
    if (count > UINT16_MAX)
        return refuse(-EINVAL, why, "that are too many arguments");
    message->arguments = inside;
    message->count = (unsigned)count;
    return 0;
}

/* A text that may be cut in the middle of a character. */
static void write_sentence(struct out *out, const void *content, size_t size)
{
    const struct item sentence = { .kind = BROOD_STRING, .bytes = content, .size = size };
    size_t begin = out->size;
    item_write(out, &sentence);
    if (out->size > out->room)
        return;
    struct cursor cursor = { out->bytes + begin, out->bytes + out->size };
    struct item written;
    if (item_read(&cursor, &written, 0) < 0)
        for (uint8_t *at = out->bytes + out->size - size; at < out->bytes + out->size; at++)
            *at = *at < 0x80 ? *at : '?';
}

void message_result(struct out *out, int result, const void *content, size_t size)
{
    const struct item nil = { .kind = BROOD_NIL };
    if (result < 0) {
        const char *name = code_name(result), *text = size ? content : strerror(-result);
        const struct item code = { .kind = BROOD_STRING, .bytes = (const uint8_t *)name, .size = strlen(name) };
        item_write(out, &code);
        write_sentence(out, text, size ? size : strlen(text));
        return;
    }
    const struct item done = item_int(result);
    item_write(out, &done);
    if (size == 0) {
        item_write(out, &nil);
        return;
    }
    if (out->size <= out->room && size <= out->room - out->size)
        memcpy(out->bytes + out->size, content, size);
    out->size += size;
}

void message_answer(struct out *out, const struct item *number, int result, const void *content, size_t size)
{
    const struct item head = { .kind = BROOD_LIST, .natural = 3 };
    item_write(out, &head);
    item_write(out, number);
    message_result(out, result, content, size);
}

int message_resulted(struct cursor *inside, int *result, struct cursor *value)
{
    struct item code, content;
    if (item_read(inside, &code, 1) < 0)
        return -EBADMSG;
    *value = *inside;
    if (item_read(inside, &content, CBOR_DEPTH_MOST + ANSWER_AROUND) < 0)
        return -EBADMSG;
    value->end = inside->at;
    if (code.kind == BROOD_STRING && content.kind == BROOD_STRING)
        *result = -code_named((const char *)code.bytes, code.size);
    else if (code.kind == BROOD_INT && code.integer >= 0 && code.integer <= INT_MAX)
        *result = (int)code.integer;
    else
        return -EBADMSG;
    return 0;
}

int message_answered(const void *bytes, size_t size, struct item *number, int *result, struct cursor *value)
{
    struct item whole;
    if (read_whole(bytes, size, &whole, ANSWER_AROUND) < 0 || whole.kind != BROOD_LIST || whole.natural != 3)
        return -EBADMSG;
    struct cursor inside = item_inside(&whole);
    item_next(&inside, number);
    if (message_resulted(&inside, result, value) < 0)
        return -EBADMSG;
    return number->kind == BROOD_NIL || is_integer(number) ? 0 : -EBADMSG;
}
