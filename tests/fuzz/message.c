/* fuzz/message.c: bytes from outside, as a stranger may send them, through the parser of requests to a manager's server
 * and of its answers (docs/protocol.md).
 *
 * What must hold: nothing is read outside the bytes; a request that is taken has as many arguments as it says, which
 * end where it does; one that is not has a sentence; and whatever is answered can be read again, and is as long as was
 * counted.
 *
 * With libFuzzer (clang) it is fuzz_message. Without, it runs the files that it is given once: a test by every
 * compiler.
 */
#include "manager/message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static _Noreturn void fail(const char *what, int line)
{
    fprintf(stderr, "message.c:%d: does not hold: %s\n", line, what);
    abort();
}

/* A block of just that size, so that a sanitizer sees what lies outside. */
static uint8_t *copy(const void *bytes, size_t size)
{
    uint8_t *block = malloc(size ? size : 1);
    MUST(block != NULL);
    if (size)
        memcpy(block, bytes, size);
    return block;
}

static void check_arguments(const struct message *message, const uint8_t *end)
{
    struct cursor cursor = message->arguments;
    struct item item;
    MUST(cursor.end == end);
    bool is_batch = strcmp(message->operation->name, "batch") == 0; /* its calls are lists around values */
    for (unsigned i = 0; i < message->count; i++)
        MUST(item_read(&cursor, &item, CBOR_DEPTH_MOST + is_batch) == 0);
    MUST(cursor.at == end);
    MUST((message->operation->type != 0) == (message->object != 0));
}

/* The answer of a request that was taken or not: it says the same when it is read. */
static void check_answer(const struct item *number, int result, const void *content, size_t size)
{
    struct out out = { .bytes = NULL };
    message_answer(&out, number, result, content, size);
    size_t room = out.size;
    uint8_t *bytes = malloc(room);
    MUST(bytes != NULL);
    out = (struct out){ .bytes = bytes, .room = room };
    message_answer(&out, number, result, content, size);
    MUST(out.size == room);
    struct item again;
    struct cursor value;
    int code;
    MUST(message_answered(bytes, room, &again, &code, &value) == 0);
    MUST(code == result && again.kind == number->kind &&
         (number->kind == BROOD_NIL || again.natural == number->natural));
    free(bytes);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct message message;
    struct item number;
    struct cursor value;
    char why[MESSAGE_WHY] = "";
    int code;
    uint8_t *bytes = copy(data, size);
    int failed = message_read(bytes, size, &message, why);
    if (failed == 0) {
        MUST(message.operation && message.number.kind != BROOD_NIL);
        check_arguments(&message, bytes + size);
        check_answer(&message.number, 1, NULL, 0);
    } else {
        MUST(failed == -EBADMSG || failed == -EINVAL || failed == -EMSGSIZE || failed == -ENOTSUP);
        MUST(why[0]);
        check_answer(&message.number, failed, why, strlen(why));
        check_answer(&message.number, failed, bytes, size); /* as if it were a sentence, of any bytes */
    }
    failed = message_answered(bytes, size, &number, &code, &value);
    MUST(failed == 0 || failed == -EBADMSG);
    if (failed == 0)
        MUST(item_read(&value, &number, CBOR_DEPTH_MOST) == 0 && value.at == value.end);
    free(bytes);
    return 0;
}

#ifdef FUZZ_BY_HAND
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        unsigned char data[4096];
        FILE *file = fopen(argv[i], "rbe");
        if (!file)
            return perror(argv[i]), 1;
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
#endif
