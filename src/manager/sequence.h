/* manager/sequence.h: what can be asked of a list; in the server, and in requests.
 */
#ifndef MANAGER_SEQUENCE_H
#define MANAGER_SEQUENCE_H

#include "manager/reply.h"

enum list_method {
    LIST_APPEND,
    LIST_EXTEND,
    LIST_INSERT,
    LIST_APPEND_IF,
    LIST_GET,
    LIST_SET,
    LIST_SWAP,
    LIST_COMPARE,
    LIST_ADD,
    LIST_POP,
    LIST_DELETE,
    LIST_REMOVE,
    LIST_INDEX,
    LIST_COUNT,
    LIST_LENGTH,
    LIST_SLICE,
    LIST_SET_SLICE,
    LIST_ITEMS,
    LIST_REVERSE,
    LIST_SORT,
    LIST_CLEAR,
    LIST_METHODS,
};

struct sequence {
    struct datum *items;
    size_t count, room;
};

/* Carries it out; the result and the reply's content are as brood/list.h says. */
int sequence_call(struct sequence *sequence, unsigned number, const struct item *args, unsigned count,
                  struct parcel *reply);

/* How many items lie between two bounds of a slice. */
size_t sequence_span(const struct sequence *sequence, const struct item *begin, const struct item *end);

/* 0 or -ENOMEM: `copy`, empty, has the same. */
int sequence_copy(struct sequence *copy, const struct sequence *sequence);
void sequence_clear(struct sequence *sequence);

#endif
