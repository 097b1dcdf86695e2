/* brood/managed_condition.h: a condition in a manager: a lock, and a place to wait until another says that what it
 * guards has changed.
 *
 *     brood_managed_condition_acquire(changed, BROOD_FOREVER);
 *     while (!is_full(shelf))
 *         brood_managed_condition_wait(changed, BROOD_FOREVER);
 *     ...
 *     brood_managed_condition_release(changed);
 *
 * The lock is its own, a recursive one: all that brood/managed_lock.h says holds for it. A notify is for those who wait
 * when it is called, the ones who came first, and for them alone.
 *
 * Crash rule: no notify is lost by a death: one that was notified and dies, or is killed, before its wait has returned
 * leaves that to the next who waits; so a wait may now and then end without cause, and stands in a loop that looks. A
 * notifier holds the lock; if it dies before its notify, whoever gets the lock is told by BROOD_INHERITED, and should
 * notify all when it has mended. That the holder died wakes nobody who waits for a notify.
 *
 * EINVAL, of every call: the condition is NULL or none, or its process has ended; it is gone while one waits. And what
 * brood/manager.h says of every call to the server: its end ends all waits at once.
 */
#ifndef BROOD_MANAGED_CONDITION_H
#define BROOD_MANAGED_CONDITION_H

#include <brood/condition.h>
#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_managed_condition_close(brood_managed_condition *condition);

/* Takes its lock, waiting up to `timeout_ms` milliseconds. 0, BROOD_INHERITED: taken.  ETIMEDOUT.  EINVAL: also, the
 * timeout. */
BROOD_API int brood_managed_condition_acquire(brood_managed_condition *condition, int timeout_ms);

/* Gives it back, once. EPERM: this thread does not hold it. */
BROOD_API int brood_managed_condition_release(brood_managed_condition *condition);

/* Gives the lock back whole, which says "mended", waits up to `timeout_ms` milliseconds to be notified (0: lets others
 * have the lock for a moment, BROOD_FOREVER: never gives up), and takes it again as often as before, however long that
 * takes; in one step each: no notify falls in between. The lock is held after all three of these, the third of which is
 * the exception to the rule of negative results:
 * 0: notified, or without cause.  BROOD_INHERITED: the lock comes from a dead holder; whether there was a notify is not
 * told.  ETIMEDOUT: not notified in time.
 * Nothing has happened: EPERM: this thread does not hold the lock.  EINVAL: the timeout. The lock is not held, if the
 * condition is gone, or the server. */
BROOD_API int brood_managed_condition_wait(brood_managed_condition *condition, int timeout_ms);

/* Wakes `count` of those who wait (BROOD_ALL: everyone); all of them, if there are not so many. Does nothing if nobody
 * waits. EPERM: this thread does not hold the lock.  EINVAL: the count is negative. */
BROOD_API int brood_managed_condition_notify(brood_managed_condition *condition, int count);

#ifdef __cplusplus
}
#endif

#endif
