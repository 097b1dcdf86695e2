/* brood/queue.h: a queue of messages between processes: any number put, any number get.
 *
 *     brood_queue *queue = brood_queue_create(NULL);
 *     brood_queue_put(queue, &number, sizeof number, BROOD_FOREVER);             from any process: the pointer is good
 *     brood_queue_get(queue, &number, sizeof number, NULL, BROOD_FOREVER);       in all of them
 *
 * A message is bytes, 0 to what the region holds, and whole: it may hold pointers into the region. Messages come in the
 * order in which they were put, each to one getter; where puts overlap, in the order in which they took effect. One
 * that is put wakes a getter that waits; no other is woken for it but the next in line, to watch in its place.
 *
 * Crash rule: whoever is killed in a call of these has done it wholly or not at all, leaves nothing behind that the
 * next one does not find, and holds nobody up. A message whose put returned 0 is got once. It is lost only with a
 * getter that had it already, and a getter can ask for more: what it only borrowed comes back when it dies, to the next
 * getter, before all others, and marked as redelivered. Others hear of a death as a rule within a millisecond; where
 * the kernel cannot tell of it (before 6.2, in some sandboxes), within 50.
 *
 * Nobody owes a queue its next message, unless the program says who (brood_process_owes). A process that is stopped,
 * not dead, in the middle of a call holds others up that want the same end of the queue; one that is stopped while it
 * waits does not, but may have to be woken before another that waits is.
 *
 * timeout_ms: 0 waits for no message and no room, and where others may be in the middle of a call for 20 ms at most:
 * once with small messages, up to four times with those of more than 4,096 bytes.
 *
 * EINVAL, of every call: the queue is NULL, or no queue that lives; or brood_init has not been called; a negative
 * timeout other than BROOD_FOREVER. ENOLCK, of those that borrow or reserve, and of put and get with messages of more
 * than 4,096 bytes: this thread holds as many locks and the like as it may. Not repeated below.
 */
#ifndef BROOD_QUEUE_H
#define BROOD_QUEUE_H

#include <brood/block.h>
#include <brood/process.h>
#include <brood/result.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_queue brood_queue;

typedef struct brood_queue_options {
    const char *name;    /* in messages; NULL: its address */
    size_t max_messages; /* so many may be in it; 0: any number */
    size_t max_bytes;    /* so many bytes of messages may be in it; 0: any number. What is borrowed is not in it */
    /* A message that was borrowed so often by ones that died goes to `dead_letters`; 0: it comes back each time. */
    int max_deliveries;
    brood_queue *dead_letters; /* NULL: it is thrown away then, and the log told. Its own bounds do not count */
    void *reserved[5];
} brood_queue_options;

/* An empty queue. It takes some 9 KiB of the region; more as messages lie in it, most of which is given back when it
 * is empty again. NULL, EINVAL: bad options; dead_letters without max_deliveries, or no queue.  ENOMEM.
 * A process killed in here, or in destroy, loses what the queue took at most. */
BROOD_API brood_queue *brood_queue_create(const brood_queue_options *options);

/* Ends it for all, with what is in it. NULL is fine. EBUSY: somebody waits for it, or is in the middle of a call, or
 * has borrowed or reserved a message; one that is dead does not count. Nobody may use it meanwhile, or its pointer
 * afterwards. Destroy a queue before its dead_letters. */
BROOD_API int brood_queue_destroy(brood_queue *queue);

/* ---- putting ---- */

/* Puts a copy of `size` bytes at `message` (NULL only with size 0), waiting for room up to `timeout_ms`.
 * 0: it is in.  ETIMEDOUT: there was no room to the end.  EMSGSIZE: it is larger than .max_bytes.  EPIPE: the queue is
 * closed, or all who owed it gets have returned.  EOWNERDEAD: the same, but one of these crashed, exited or failed, and
 * is named by brood_error().  ENOMEM: the region's limit, or the machine's memory, is reached. */
BROOD_API int brood_queue_put(brood_queue *queue, const void *message, size_t size, int timeout_ms);

/* Puts `count` messages in their order, and waits for room for each; messages of other putters may come in between.
 * How many it has put; less than `count` if what would be put's failure met the next one. That failure, if it met the
 * first. */
BROOD_API int brood_queue_put_many(brood_queue *queue, const brood_block *messages, size_t count, int timeout_ms);

/* Room for a message of up to `size` bytes, to be filled in place and put by commit: nothing is copied. It waits as a
 * put does, but keeps no room in the queue: what several have reserved may together exceed its bounds when they commit.
 * Aligned as brood_alloc's blocks; its bytes are anything. It is this thread's, to commit or withdraw; if the thread
 * dies it is given back when the process has ended. NULL, errno as of put. */
BROOD_API void *brood_queue_reserve(brood_queue *queue, size_t size, int timeout_ms);

/* Puts what was reserved, its first `size` bytes. 0: it is the queue's now. EPIPE, EOWNERDEAD, as put: it is still
 * reserved. EINVAL: more bytes than were reserved.  EPERM: this thread has reserved nothing there.  ENOMEM: still
 * reserved. */
BROOD_API int brood_queue_commit(brood_queue *queue, void *reserved, size_t size);

/* Gives back what was reserved. EPERM: as commit. */
BROOD_API int brood_queue_withdraw(brood_queue *queue, void *reserved);

/* ---- getting ---- */

/* Gets the next message into `buffer` of `size` bytes, waiting for one up to `timeout_ms`, and its size into *got.
 * `got` NULL: it must have exactly `size` bytes.
 * 0: got.  n > 0: got, and n times before it had been given to one that died before it was done with it.
 * ETIMEDOUT: there was none to the end.  EMSGSIZE: it does not fit (or is of another size); it stays the next one, and
 * *got is its size.  EPIPE: there is none, and none will come: the queue is closed, or all who owed it puts have
 * returned.  EOWNERDEAD: the same, but one of these did not return 0: it crashed, exited or failed, and is named by
 * brood_error(): what was got may not be all. (What others have borrowed may still come back to the queue.)
 * Killed in here: a message of up to 4,096 bytes is still in the queue, or lost with the caller; a larger one comes
 * back as if it had been borrowed. */
BROOD_API int brood_queue_get(brood_queue *queue, void *buffer, size_t size, size_t *got, int timeout_ms);

/* Gets the next message as a block of the region, which is the caller's then, to be freed with brood_free: into
 * message->data and message->size. Results as of get, but EMSGSIZE; ENOMEM: no memory for a small one's block, and it
 * stays. Killed in here: the message is still in the queue, comes back, or is a block that nobody knows of. */
BROOD_API int brood_queue_get_block(brood_queue *queue, brood_block *message, int timeout_ms);

/* Gets several: waits for the first, takes what else is there, up to `max` messages and `size` bytes of `buffer`, in
 * which they lie one after the other, each aligned to 16 bytes if the buffer is; messages[i] says where, and how long.
 * How many; those up to 4,096 bytes all at once: killed in here all of them are in the queue, or none. Which ones are
 * redelivered is not told. Errors as of get; EMSGSIZE: the first does not fit: messages[0].size is its size. */
BROOD_API int brood_queue_get_many(brood_queue *queue, void *buffer, size_t size, brood_block *messages, size_t max,
                                   int timeout_ms);

/* Gets the next message to read it in place, until this thread says that it is done with it: message->data, aligned as
 * brood_alloc's blocks, and message->size. Results as of get_block. If the thread dies before, in whatever way, the
 * message comes back to the queue; other threads of its process must have no use for it then.
 * With .max_deliveries, one that was borrowed so often goes to .dead_letters instead of coming back. */
BROOD_API int brood_queue_borrow(brood_queue *queue, brood_block *message, int timeout_ms);

/* Is done with a borrowed message: it is gone. EPERM: this thread has borrowed no message of this queue there. */
BROOD_API int brood_queue_done(brood_queue *queue, const void *borrowed);

/* ---- its end ---- */

/* No more puts, for ever: they fail with EPIPE, those that wait too; gets go on until it is empty, and then fail with
 * EPIPE. 0, also if it is closed already. Killed in here: it is closed, for all, or not. */
BROOD_API int brood_queue_close(brood_queue *queue);

/* Waits until the queue is empty and nothing borrowed from it: all that was put has been got, and is done with.
 * 0.  ETIMEDOUT. */
BROOD_API int brood_queue_join(brood_queue *queue, int timeout_ms);

enum { BROOD_GETS = 1, BROOD_PUTS = 2 };

/* Says that the process owes the queue its messages (BROOD_PUTS), or their getting (BROOD_GETS), or both (|), until it
 * ends. Where processes owe puts, getters that find the queue empty when all of these have ended get EPIPE or
 * EOWNERDEAD instead of waiting; where processes owe gets, so do putters then, also where there is room. Say it of each
 * before the first may have ended: one that owes when all others have ended opens the queue again. To be called by the
 * process that has the handle, best right after brood_process_start; it may have ended already. Each process of which
 * it was ever said costs some 80 bytes until the queue's end, and who gets from an empty queue a look.
 * 0.  EINVAL: `what` says neither; the process is NULL.  ECHILD: as brood_process_join.  ENOMEM. */
BROOD_API int brood_process_owes(brood_process *process, brood_queue *queue, int what);

/* ---- looking ---- */

/* How many messages are in it to be got, those that came back included, and how many bytes they have; how many it may
 * have at most (SIZE_MAX: any number). For messages, and for decisions that may be wrong: what is true when you read it
 * may not be a moment later. 0 with errno set: of no queue. */
BROOD_API size_t brood_queue_count(brood_queue *queue);
BROOD_API size_t brood_queue_bytes(brood_queue *queue);
BROOD_API size_t brood_queue_capacity(brood_queue *queue);

/* 1 or 0: whether it is empty; whether a message of one byte would have to wait for room. */
BROOD_API int brood_queue_is_empty(brood_queue *queue);
BROOD_API int brood_queue_is_full(brood_queue *queue);

#ifdef __cplusplus
}
#endif

#endif
