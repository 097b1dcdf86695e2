/* brood/managed_semaphore.h: a semaphore in a manager: units that threads take and give back, and wait for while there
 * is none, first come, first served.
 *
 * A plain one (brood_manager_semaphore) is a number: who gives a unit need not have taken one. Crash rule: a unit whose
 * taker dies before it has given it back is gone. A bounded one (brood_manager_bounded_semaphore) has its units for
 * ever: they are held, each by the thread that took it, and only that thread can give it back; a thread may hold
 * several. Crash rule: a unit whose holder dies passes on, and the next that gets this unit gets it with
 * BROOD_INHERITED (1) instead of 0: what it used the unit for may be half done. If that one dies too, the next is told
 * again.
 *
 * Of both: a thread that is killed in acquire, before the call has returned, has not had the unit, which is there for
 * the next (of one of another family nobody can know, and the next gets it with BROOD_INHERITED, of a plain one too:
 * brood_manager_connect); who dies waiting leaves its place in the line. The server hears of a death from the kernel,
 * as a rule within a millisecond. One that is stopped, not dead, when its turn has come has its unit, and holds up
 * nobody else.
 *
 * EINVAL, of every call: the semaphore is NULL or none, or its process has ended; it is gone (it has neither handle nor
 * name) while one waits. And what brood/manager.h says of every call to the server: its end ends all waits at once.
 */
#ifndef BROOD_MANAGED_SEMAPHORE_H
#define BROOD_MANAGED_SEMAPHORE_H

#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_managed_semaphore_close(brood_managed_semaphore *semaphore);

/* Takes a unit, waiting up to `timeout_ms` milliseconds (0: only try, BROOD_FOREVER: never give up).
 * 0: taken.  BROOD_INHERITED: taken, and its last holder died with it. Test for < 0: both mean that it is yours.
 * ETIMEDOUT: there was none to the end.  EINVAL: also, the timeout. */
BROOD_API int brood_managed_semaphore_acquire(brood_managed_semaphore *semaphore, int timeout_ms);

/* Gives a unit. EOVERFLOW, of a plain one: there are INT_MAX already.  EPERM, of a bounded one: this thread holds none:
 * so there are never more than it was made with. */
BROOD_API int brood_managed_semaphore_release(brood_managed_semaphore *semaphore);

/* How many units there are to be taken, at least 0; for messages: it may be out of date when you read it. Those of the
 * dead are among them. */
BROOD_API int brood_managed_semaphore_units(brood_managed_semaphore *semaphore);

#ifdef __cplusplus
}
#endif

#endif
