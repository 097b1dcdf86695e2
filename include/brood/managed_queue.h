/* brood/managed_queue.h: a queue in a manager: of dynamic values, first come, first served at both ends.
 *
 *     brood_managed_queue *jobs = brood_manager_joinable_queue(manager, "jobs", 100);
 *     brood_managed_queue_put(jobs, "build", BROOD_FOREVER);         in C: a plain C value, or a brood_any
 *     ...
 *     brood_any job;
 *     while (brood_managed_queue_get(jobs, &job, BROOD_FOREVER) >= 0) {
 *         ...
 *         brood_any_clear(&job);
 *         brood_managed_queue_done(jobs);
 *     }
 *
 * Within a family a brood_queue (brood/queue.h) is many times faster. brood/any.h says what items are; each goes to one
 * getter, in the order in which they were put. Getters and putters that wait are served in the order in which they
 * came.
 *
 * From a plain queue (brood_manager_queue) an item is its getter's. Crash rule: it is lost only with a getter that had
 * it: one that is killed before its get has returned leaves it to the next, in its old place (of one of another family
 * nobody can know, and it comes as from the dead: brood_manager_connect). From a joinable one
 * (brood_manager_joinable_queue) an item is lent to the thread that got it, until that says that it is done with it.
 * Crash rule: what a thread had and was not done with when it died comes back, before all that was put after it, and
 * the next get returns how often that has happened to it. Of both: a put that is killed has happened or not; who dies
 * waiting leaves its place in the line, and what it wanted to put is not put. The server hears of a death from the
 * kernel, as a rule within a millisecond. One that is stopped, not dead, holds nobody up, but has what its turn has
 * brought it.
 *
 * The server keeps a copy of what a thread got last until that thread calls it again: for something else, or for more.
 *
 * EINVAL, of every call: the queue is NULL or none, or its process has ended; it is gone (it has neither handle nor
 * name) while one waits; with an item: a string that is no UTF-8. EMSGSIZE, with an item: lists and maps lie in each
 * other more than 64 deep. And what brood/manager.h says of every call to the server: its end ends all waits at once.
 */
#ifndef BROOD_MANAGED_QUEUE_H
#define BROOD_MANAGED_QUEUE_H

#include <brood/any.h>
#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_managed_queue_close(brood_managed_queue *queue);

/* Puts a copy of the item, waiting for room up to `timeout_ms` milliseconds (0: only tries, BROOD_FOREVER: never gives
 * up). What comes back from the dead is not counted as too much.
 * 0: it is in.  ETIMEDOUT: there was no room to the end.  EPIPE: also, the queue was shut down.  EINVAL: also, the
 * timeout. */
BROOD_API int brood_managed_queue_put(brood_managed_queue *queue, const brood_any *item, int timeout_ms);

/* Gets the next item, waiting for one up to `timeout_ms` milliseconds; to be given back by brood_any_clear.
 * 0: got.  n > 0: got, and n times before a thread died that had it.
 * ETIMEDOUT: there was none to the end.  EPIPE: also, there is none, and the queue was shut down.  EINVAL: also, the
 * timeout; `item` is NULL.  ENOMEM: it is the next one again, for whoever comes. *item is nil then. */
BROOD_API int brood_managed_queue_get(brood_managed_queue *queue, brood_any *item, int timeout_ms);

/* Of a joinable queue: this thread is done with what it got, of several things with the one that it got first. EPERM:
 * it has got nothing that it is not done with.  EINVAL: also, the queue is a plain one. */
BROOD_API int brood_managed_queue_done(brood_managed_queue *queue);

/* Of a joinable queue: waits up to `timeout_ms` milliseconds until it is empty, and all that was got from it is done
 * with. 0.  ETIMEDOUT.  EINVAL: also, the timeout; the queue is a plain one. */
BROOD_API int brood_managed_queue_join(brood_managed_queue *queue, int timeout_ms);

/* No more puts, for ever: they fail with EPIPE, those that wait too; gets go on until it is empty, and then fail with
 * EPIPE. (What is lent may still come back to it.) 0, also if it is shut down already. */
BROOD_API int brood_managed_queue_shutdown(brood_managed_queue *queue);

/* How many items are in it to be got; for messages: it may be out of date when you read it. INT_MAX, if there are more.
 * How many there may be; 0: any number. */
BROOD_API int brood_managed_queue_count(brood_managed_queue *queue);
BROOD_API int brood_managed_queue_capacity(brood_managed_queue *queue);

#ifdef __cplusplus
}
#else
#define brood_managed_queue_put(queue, item, timeout_ms) \
    (brood_managed_queue_put)((queue), BROOD_ANY(item), (timeout_ms))
#endif

#endif
