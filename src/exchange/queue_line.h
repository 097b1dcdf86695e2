/* exchange/queue_line.h: the end of a queue's line: the records there, and the segments that it goes through.
 *
 * A batch of records becomes true by its first head, which is stored last; behind its last one there is a 0 already. A
 * jump, to the next segment, is a record too. It is for who holds the putters' latch, but for line_trim.
 */
#ifndef EXCHANGE_QUEUE_LINE_H
#define EXCHANGE_QUEUE_LINE_H

#include "exchange/queue.h"

/* A batch. first: where its first head belongs, and which that is; until it is stored nobody sees any of it. */
struct writer {
    struct place place;
    struct record *first;
    uint64_t first_head;
};

/* Where a record of that length goes, in the next segment if need be. NULL: no memory. */
struct record *line_make_room(struct thread *self, struct queue *queue, struct writer *writer, size_t length);

/* The record that has been made room for is one of that head. */
void line_write(struct writer *writer, uint64_t head);

/* A record with the message in it; one with the loan's block. False: no memory. */
bool line_write_inline(struct thread *self, struct queue *queue, struct writer *writer, const void *data, size_t size);
bool line_write_block(struct thread *self, struct queue *queue, struct writer *writer, const struct loan *loan);

/* All of them become true, and the mark follows. */
void line_commit(struct queue *queue, const struct writer *writer);

/* Makes the mark follow the heads, and judges what a dead putter was about to do. The latch is in the list. */
void line_mend(struct thread *self, struct queue *queue);

/* Gives free segments back, if there are more than are worth keeping. */
void line_trim(struct thread *self, struct queue *queue);

#endif
