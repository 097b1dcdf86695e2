/* exchange/parcel.h: descriptors that belong to messages of a queue.
 *
 * A queue over which a descriptor was sent has a pair of sockets in the family's post box (process/postbox.h). Before
 * a message with a descriptor is committed, that is sent there, with the message's number and a number of its own; a
 * getter has a copy before it commits that it has got the message, and takes away the original afterwards. All putters
 * hold one latch, and all getters one, so the sockets' order is the line's. What somebody has left there who was
 * killed in between is told by its numbers: it is taken away by the next who comes to it.
 */
#ifndef EXCHANGE_PARCEL_H
#define EXCHANGE_PARCEL_H

#include "exchange/queue.h"

/* By a putter, its side's latch in the list: a copy of the descriptor, for the message of that number, that is about to
 * be committed. *parcel: what the message is to say. 0; -EAGAIN: so many are on their way that no more can be;
 * -ETIMEDOUT: others were in the way; or, with a sentence: -EBADF, -ENOTSUP, -ETOOMANYREFS, -EMFILE, -ENFILE. */
int parcel_send(struct thread *self, struct queue *queue, uint64_t number, int fd, uint64_t *parcel, int64_t deadline,
                const char *call);

/* By a getter, its side's latch in the list: a copy of the descriptor that came with that message, close-on-exec and
 * from 3 on. It stays where it is. -ETIMEDOUT: others were in the way; or, with a sentence: -EBADF, -EMFILE, -ENFILE;
 * -EIO: somebody has taken it out, and it will never be there. */
int parcel_take(struct thread *self, struct queue *queue, uint64_t number, uint64_t parcel, int64_t deadline,
                const char *call);

/* By the same, once it has the message. */
void parcel_done(struct thread *self, struct queue *queue, uint64_t number);

/* The queue is about to end: what is on its way is closed. */
void parcels_close(struct thread *self, struct queue *queue);

#endif
