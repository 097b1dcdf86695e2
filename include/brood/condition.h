/* brood/condition.h: a condition: waiting, with a lock given up meanwhile, until another says that something changed.
 *
 * A brood_condition is 64 bytes in a struct of yours, in the region; zeroed memory is ready. What is waited for is in
 * your own data, guarded by a brood_lock. A wait may end without cause, so it stands in a loop that looks:
 *     int told = 0;
 *     while (!shared->full && told >= 0)
 *         if ((told = brood_condition_wait(&shared->changed, &shared->lock, BROOD_FOREVER)) == BROOD_INHERITED)
 *             mend(shared);
 * or is brood_condition_wait_until, which is that loop. All who wait at one time give the same lock; that is not
 * checked.
 *
 * A notify is for those who wait when it is called, and for them alone: a wait that begins later takes none of it.
 * Whoever changes the data holds the lock while it does; it may notify with the lock or after it has given it back.
 *
 * Crash rule: no notify is lost by a waiter's death. If one that was woken is killed before its call returns, the
 * notify goes to another who waited; if the notifier is killed in it, the notify has happened or it has not; killed
 * before it, it has not. So notify with the lock held: who is killed before it leaves the lock to an heir, whose
 * mending should end with a notify of all; killed between release and notify, nobody is told. The death of the lock's
 * holder wakes nobody who waits here: if nobody else may ever acquire the lock, wait with a timeout. A waiter that dies
 * leaves no trace but, now and then, a wait of another's that ends without cause. Nobody owes a notify: that everyone
 * who could notify is dead is not told. One that is stopped, not dead, while it takes the lock again holds up others
 * that were notified one by one; a notify of all it does not.
 *
 * Never free, unmap or reuse memory that holds a condition which is waited for.
 *
 * EINVAL, of every call: the condition is NULL, not in the region, not aligned to 8 bytes, or its memory is neither
 * zeroed nor a condition's; or brood_init has not been called. Not repeated below.
 */
#ifndef BROOD_CONDITION_H
#define BROOD_CONDITION_H

#include <brood/lock.h>
#include <brood/result.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A count for brood_condition_notify: everyone who waits. */
#define BROOD_ALL 0x7fffffff

typedef struct brood_condition {
    uint64_t opaque[8] __attribute__((aligned(8)));
} brood_condition;

/* Makes `condition` one: needed for a name only. Its memory must be zeroed, or a condition's after
 * brood_condition_fini. EBUSY: it is a condition already: it has been waited for before.  ENOMEM: no room for the
 * name. */
BROOD_API int brood_condition_init(brood_condition *condition, const brood_name_options *options);

/* Ends its use: the memory is zeroed, and the name freed: one without may just as well be forgotten with the memory
 * that holds it. NULL is fine. Everyone who waited must have returned, a
 * notify of all is not enough: one whose time is over and who waits for the lock is not seen here, so do not call this
 * with the lock held. EBUSY: someone waits. Where a waiter has died it looks for some milliseconds whether others live.
 */
BROOD_API int brood_condition_fini(brood_condition *condition);

/* Gives `lock` back, which this thread must hold, waits up to `timeout_ms` milliseconds to be notified (0: lets others
 * have the lock for a moment, BROOD_FOREVER: never gives up), and takes the lock again, however long that takes. A
 * recursive lock is given back whole, and held as often as before afterwards. Giving it back says "mended", as
 * brood_lock_release does.
 * The lock is held after all three of these, the third of which is the exception to the rule of negative results:
 * 0: notified, or without cause.  BROOD_INHERITED: the lock comes from a dead holder: mend what it guards; whether
 * there was a notify is not told.  ETIMEDOUT: not notified in time.
 * Nothing has happened: EPERM: this thread does not hold the lock.  EINVAL: the lock is none; the timeout. */
BROOD_API int brood_condition_wait(brood_condition *condition, brood_lock *lock, int timeout_ms);

/* Waits until holds(arg) is true, for `timeout_ms` milliseconds in all. `holds` runs in this thread, with the lock
 * held, first before any wait; it leaves the lock held. The lock is held after all three of these:
 * 0: it holds.  BROOD_INHERITED: the lock comes from a dead holder: at once and without asking, since what `holds`
 * would read may be half written: mend it, and wait again.  ETIMEDOUT: it did not hold at the end either.
 * Otherwise as brood_condition_wait. EINVAL: `holds` is NULL. */
BROOD_API int brood_condition_wait_until(brood_condition *condition, brood_lock *lock, bool (*holds)(void *arg),
                                         void *arg, int timeout_ms);

/* Wakes `count` of those who wait (BROOD_ALL: everyone); all of them, if there are not so many. Does nothing if nobody
 * waits. EINVAL: the count is negative. */
BROOD_API int brood_condition_notify(brood_condition *condition, int count);

#ifdef __cplusplus
}
#endif

#endif
