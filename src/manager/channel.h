/* manager/channel.h: how a thread of the family calls the server of a manager.
 *
 * Each thread that calls has a channel of its own, a block of the region: a request and the reply to it, which only it
 * and the server write, in turn. A request is prepared and becomes true by one store of its number; so does the reply.
 * A client killed before that store has asked for nothing, after it the server does what was asked for. What does not
 * fit into the channel is a block of the heap that hangs from it, taken and given back as one with the pointer, so that
 * nothing of it is lost with either side.
 *
 * The channel is held, as a lock is, by its thread for life, so that the kernel marks it when the thread is gone. The
 * server then carries out what had been asked for, gives back what the client held, and leaves the channel to the next
 * thread that needs one.
 *
 * *Waking.* The server looks at its channels in turn, and sleeps on one bell (wait/bell.h): a client rings it, which is
 * a system call only if the server has said that it sleeps; if the client is killed between its store and the ring, the
 * kernel rings. A client spins, then sleeps on the reply's number and on the manager's `duty`, a word that the server's
 * thread holds. If the server dies the kernel wakes one of those who sleep there, who wakes the rest; killed before it
 * has, it has the word pending, and the kernel wakes the next. So the server owes no wake: one that it is killed
 * before is made up for by its death.
 */
#ifndef MANAGER_CHANNEL_H
#define MANAGER_CHANNEL_H

#include "os/thread.h"
#include "wait/bell.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CHANNEL_ROOM 1952         /* bytes of a request or reply that need no block */
#define CHANNEL_BLOCK_KEPT 262144 /* a larger block is not kept for the next one */
#define CHANNEL_MARK 0x6e616863u  /* "chan" */

/* Written by who sends it, before the number. number: the last; a request without a reply has another number than the
 * reply. block: the sender's to take, and to exchange for another; given back by the client, or by the server when the
 * client is gone, or is no thread of the family and waits. size: of the content, which is in `bytes` if it fits there,
 * else in the block.
 * Of a request: cpu, where the client runs, + 1; sleeping: 1 while the client may sleep, by it; cancelled: the number
 * of the request that it does not want to wait for any more; took: of the last one whose reply it has taken, of those
 * that are to be told (channel_took). Of a reply: result. */
struct parcel {
    _Atomic uint32_t number;
    uint32_t size;
    void *block;
    union {
        struct {
            _Atomic uint32_t cpu;
            _Atomic uint32_t sleeping;
            _Atomic uint32_t cancelled;
            _Atomic uint32_t took;
        };
        int32_t result;
    };
    unsigned char bytes[CHANNEL_ROOM];
};

/* holder: see above; 0: nobody's. next, manager: set before it is linked; constant. left: the manager is gone, and the
 * holder is to give the block back; by who destroys the manager. session: for whom the holder speaks, by it: 0: for
 * itself; else manager/visitor.h. lost: the number of the last request whose reply was of no use to the holder
 * (channel_lost), unsure: of which it is not known whether what came with it has been had (channel_doubt); by it. */
struct channel {
    _Alignas(64) struct robust_word holder;
    struct channel *next;
    struct brood_manager *manager;
    _Atomic uint32_t left;
    _Atomic int32_t session;
    _Atomic uint32_t lost, unsure;
    _Alignas(64) struct parcel request;
    _Alignas(64) struct parcel reply;
};

enum { MANAGER_STARTING, MANAGER_UP, MANAGER_ENDED };

/* The part of a manager that channels need; in the region. guard: of the making of channels; held by who makes one.
 * fresh: a channel that is being made; linked by `channels`, which commits it: whoever inherits the guard sees by that
 * whether it was. duty: held by the server's thread for its life, which says with `cpu` where it runs. state: by the
 * server; ENDED: it ended in order. `ending`: it is to end; by the owner. */
struct switchboard {
    _Alignas(64) struct robust_word guard;
    void *fresh;
    struct channel *_Atomic channels;
    _Alignas(64) struct robust_word duty;
    _Atomic uint32_t state;
    _Atomic uint32_t ending;
    _Alignas(64) struct bell bell;
};

/* The calling thread's channel of the manager: its own, or one that it takes now. NULL with errno and a sentence:
 * ENOLCK, ENOMEM. `board` lies in the manager. */
struct channel *channel_find(struct brood_manager *manager, struct switchboard *board, const char *call);

/* One more channel, besides that which the thread has, to speak for somebody outside the family. NULL as above. And the
 * end of it: what it held is given back, as if its holder had died. */
struct channel *channel_take(struct brood_manager *manager, struct switchboard *board, int32_t session,
                             const char *call);
void channel_leave(struct thread *self, struct switchboard *board, struct channel *channel);

/* Room for a content of that size in the parcel, which has it from now on. NULL: no memory, without a sentence. */
void *parcel_room(struct parcel *parcel, size_t size);

/* Gives back a block that is not worth keeping; all: any. One that is none is left alone, and forgotten. */
void parcel_tidy(struct parcel *parcel, bool all);

/* The content, whose sender may be mad: NULL, if it cannot be. */
const void *parcel_content(const struct parcel *parcel, size_t *size);

/* Sends the request that is prepared; and waits for the reply, which is the channel's until the next request. 0.
 * -EOWNERDEAD: the server was killed.  -EPIPE: it ended in order.  -ETIMEDOUT: it is not there yet; after
 * channel_cancel it comes soon, and says what became of the request. Without a sentence. */
void channel_send(struct thread *self, struct switchboard *board, struct channel *channel);
int channel_await(struct thread *self, struct switchboard *board, struct channel *channel, int64_t deadline);

/* Has the server leave a request that waits. */
void channel_cancel(struct thread *self, struct switchboard *board, struct channel *channel);

/* What came with the reply is the client's, from this store on. One that is killed before has not had it. */
void channel_took(struct channel *channel);

/* Nobody knows whether it was the client's, who is gone: before channel_leave. */
void channel_doubt(struct channel *channel);

/* It could not be taken: the server gives it back, without waiting for the next request. */
void channel_lost(struct thread *self, struct switchboard *board, struct channel *channel);

/* Whether the request that was sent last has its reply. */
bool channel_is_answered(struct channel *channel);

/* How long either side spins, in nanoseconds: by its experience, but what falling asleep costs at least, and all that a
 * wake costs now and then: two that both sleep at once would never learn that they need not. */
int64_t spin_budget(const struct thread *self);

/* At a manager's end, by its owner, when the server is gone: gives back all channels but those of others that live,
 * which give them back themselves with their next call to any manager. */
void channels_end(struct switchboard *board);

#endif
