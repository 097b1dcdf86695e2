/* brood/wait.h: waiting for any of many: processes, queues, connections, events, semaphores, results of pools and
 * descriptors, in one call; and a descriptor of it all, or of one of them, for those who have a loop already.
 *
 *     brood_waitable items[] = {
 *         { .kind = BROOD_WAIT_PROCESS, .object = process },
 *         { .kind = BROOD_WAIT_QUEUE, .object = queue },
 *         { .kind = BROOD_WAIT_FD, .fd = 0 },
 *     };
 *     if (brood_wait(items, 3, BROOD_FOREVER) > 0 && items[1].ready) ...
 *
 * Ready means that the call which waits for that thing alone would not have to wait just now. It reserves nothing:
 * another may be faster, so make that call with a timeout of 0.
 *
 * A wait of many takes nobody's place: who waits for a semaphore or at a queue by itself is served as if nobody
 * watched.
 *
 * Crash rule: a death that makes something ready wakes as the object's own header says; who gives a unit or puts a
 * message, and is killed whenever in that call, has told those who watch before anyone could have it. Whoever is killed
 * in here leaves nothing behind.
 */
#ifndef BROOD_WAIT_H
#define BROOD_WAIT_H

#include <brood/connection.h>
#include <brood/listener.h>
#include <brood/queue.h>
#include <brood/result.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum brood_wait_kind {
    BROOD_WAIT_FD,        /* .fd: what poll(2) says of it; its end and errors count as ready */
    BROOD_WAIT_PROCESS,   /* a brood_process that this process started: it has ended */
    BROOD_WAIT_EVENT,     /* a brood_event: it is set. One that is set and cleared at once may be missed */
    BROOD_WAIT_SEMAPHORE, /* a brood_semaphore: it has a unit. Of an owned one the news may come 10 ms late */
    /* A brood_queue: a get, or with .want BROOD_PUTS a put of one byte, would not wait: for there is a message or room,
     * or there will never be. That a message came back from a dead borrower may be seen 10 ms late. */
    BROOD_WAIT_QUEUE,
    BROOD_WAIT_CONNECTION, /* a brood_connection: there is something to receive, or it has ended */
    BROOD_WAIT_LISTENER,   /* a brood_listener: there may be somebody to accept */
    /* A brood_result: brood_result_wait, or of an imap brood_result_next, would not wait: for all of it is there, or
     * the next is, or its pool stands in the way. A keeper that has died is replaced meanwhile, as by those calls. */
    BROOD_WAIT_RESULT,
    BROOD_WAIT_POOL, /* a brood_pool: a callback of this thread's results is to be called (brood_pool_callbacks) */
} brood_wait_kind;

enum { BROOD_READABLE = 1, BROOD_WRITABLE = 2 };

typedef struct brood_waitable {
    brood_wait_kind kind;
    int want;           /* of a descriptor: BROOD_READABLE, BROOD_WRITABLE or both; 0: readable. Of a queue: BROOD_GETS
                         * or BROOD_PUTS; 0: gets. Else 0 */
    const void *object; /* NULL for a descriptor */
    int fd;             /* of a descriptor */
    int ready;          /* filled in: 0, or 1; of a descriptor what of `want` */
    void *tag;          /* yours */
} brood_waitable;

/* Waits until at least one of `count` things is ready, and tells of all of them by `ready`.
 * How many are.  ETIMEDOUT: none was to the end; with timeout 0 it is a look.
 * EINVAL: items is NULL, or count 0; a bad timeout; or one of them is no such thing as it says.  EBADF: no open
 * descriptor; one of a file on disk is always ready.  EEXIST: the same descriptor or process twice.  ECHILD: a process
 * that another process started.  EPERM: a result of another process.  EMFILE, ENFILE: no descriptor is free:
 * it needs up to four, but for events and semaphores alone, up to 128.  ENOMEM. */
BROOD_API int brood_wait(brood_waitable *items, size_t count, int timeout_ms);

/* What is waited for again and again: a set of things that is kept. Its process' own: EPERM in others. Its threads may
 * share it, one call at a time: EBUSY, and EINVAL before brood_init, are not repeated below. */
typedef struct brood_watch brood_watch;

/* An empty one. Yours to brood_watch_destroy. NULL: EMFILE, ENFILE, ENOMEM. */
BROOD_API brood_watch *brood_watch_create(void);

/* NULL is fine. What it watched is none the wiser. */
BROOD_API int brood_watch_destroy(brood_watch *watch);

/* From now on it watches that thing too; `tag` comes back with it. What it watches must be removed before it is freed,
 * joined or closed. EEXIST: it does already. Errors as of brood_wait. */
BROOD_API int brood_watch_add(brood_watch *watch, const brood_waitable *item);

/* From now on it does not. ENOENT: it does not now. */
BROOD_API int brood_watch_remove(brood_watch *watch, const brood_waitable *item);

/* Waits until something is ready, and copies what is, at most `most`, to `ready`; who comes first in it changes from
 * call to call, so that none is starved. How many.  ETIMEDOUT.  EINVAL: most is 0; ready is NULL. */
BROOD_API int brood_watch_wait(brood_watch *watch, brood_waitable *ready, size_t most, int timeout_ms);

/* A descriptor for poll(2), epoll(7), libuv and the like. It can be read when brood_watch_wait, with timeout 0, may
 * have something; and then it goes on so until that call has found nothing ready. So when it can be read, call that
 * until ETIMEDOUT, or once for each turn of the loop. It is the watch's: do not read or close it.
 * epoll_wait(2) in the thread that last called brood_watch_wait may return EINTR, as if for a signal, just when it
 * becomes readable: call it again, as loops do. Before Linux 6.7, and in sandboxes without io_uring, it can be read
 * every 5 ms while events or semaphores are watched. EMFILE, ENFILE, ENOMEM: the first time. */
BROOD_API int brood_watch_fd(brood_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
