/* manager/belt.h: messages in a row: what is in a queue, and what a thread has got from one.
 *
 * A message is a block of its own, so that nothing but making one needs memory.
 */
#ifndef MANAGER_BELT_H
#define MANAGER_BELT_H

#include "manager/datum.h"

/* deliveries: how often one died who had it. place: the queue's: higher than that of any that was put before it. */
struct message {
    struct message *next;
    struct datum item;
    unsigned deliveries;
    uint64_t place;
};

struct belt {
    struct message *first, *last;
    size_t count;
};

/* NULL: no memory. */
struct message *message_make(const struct item *item);
void message_drop(struct message *message);

void belt_append(struct belt *belt, struct message *message);

/* Back into a queue: behind those alone that were put before it, which have come back, too. */
void belt_insert(struct belt *belt, struct message *message);

/* The first one, out of it; the last one. NULL: there is none. */
struct message *belt_take_first(struct belt *belt);
struct message *belt_take_last(struct belt *belt);

/* All of `from` comes back from one that died. */
void belt_return(struct belt *belt, struct belt *from);

void belt_clear(struct belt *belt);

#endif
