/* manager/message.h: what is said to a server by those outside its family, and its answers (docs/protocol.md): bytes
 * that come from anywhere. It reads and writes bytes, and nothing else.
 *
 * A request is the list [number, operation, argument...], an answer [number, result, value], both CBOR. What is asked
 * of an object has its id as the first argument.
 */
#ifndef MANAGER_MESSAGE_H
#define MANAGER_MESSAGE_H

#include "manager/cbor.h"
#include "manager/words.h"

#define MESSAGE_WHY 120
#define MESSAGE_VERSION 1

/* number: of the request, or nil as long as it is not known. object: 0: the manager itself. arguments: `count` of them,
 * which are known to be well, and lie where the message does. */
struct message {
    struct item number;
    const struct operation *operation;
    uint64_t object;
    struct cursor arguments;
    unsigned count;
};

/* Reads a request. 0; or -errno, with a sentence, and what of it could be read. */
int message_read(const void *bytes, size_t size, struct message *message, char why[MESSAGE_WHY]);

/* Writes an answer; what does not fit is only counted. `content`: the value, encoded, of `size` bytes (0: nil); with a
 * result below 0 a sentence (0: there is none), of which what is no UTF-8 is replaced. */
void message_answer(struct out *out, const struct item *number, int result, const void *content, size_t size);

/* The latter part of it: the result and the value. And back: 0, or -EBADMSG. */
void message_result(struct out *out, int result, const void *content, size_t size);
int message_resulted(struct cursor *inside, int *result, struct cursor *value);

/* Reads an answer: the same, and where its value lies, encoded. 0, or -EBADMSG. A result below 0 is a -errno, and the
 * value a string. */
int message_answered(const void *bytes, size_t size, struct item *number, int *result, struct cursor *value);

#endif
