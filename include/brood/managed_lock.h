/* brood/managed_lock.h: a lock in a manager: who asks for it first gets it first.
 *
 *     brood_managed_lock *lock = brood_manager_lock(manager, "ledger");     by its name, from any process of the family
 *     if (brood_managed_lock_acquire(lock, BROOD_FOREVER) < 0) ...
 *
 * Within a family a brood_lock (brood/lock.h) is many times faster; this one is fair, can be found by its name, and
 * nobody can scribble over it. It is held by a thread, not by a process. A recursive one is made, and found, by
 * brood_manager_rlock: its holder may take it again, and releases it as often.
 *
 * Crash rule: as brood_lock: a thread that dies holding the lock passes it on, and the next one gets it with
 * BROOD_INHERITED (1) instead of 0: what it guards may be half written. Each next holder is told, until one has
 * released it in order. A thread that is killed in acquire, before the call has returned, has not held it (of one of
 * another family nobody can know, and it is passed on as held: brood_manager_connect). One that dies waiting leaves its
 * place in the line, and no other trace. The server hears of a death from the kernel, as a rule within a millisecond.
 * One that is stopped, not dead, holds the others up when its turn has come.
 *
 * The lock goes when it has neither handle nor name, also while it is held, or waited for: who waits gets EINVAL.
 *
 * EINVAL, of every call: the lock is NULL or none, or its process has ended. And what brood/manager.h says of every
 * call to the server: a server that ends, or is killed, ends all waits at once, with EPIPE or EOWNERDEAD; whoever held
 * a lock there holds nothing any more.
 */
#ifndef BROOD_MANAGED_LOCK_H
#define BROOD_MANAGED_LOCK_H

#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_managed_lock_close(brood_managed_lock *lock);

/* Takes the lock, waiting up to `timeout_ms` milliseconds (0: only try, BROOD_FOREVER: never give up).
 * 0: taken.  BROOD_INHERITED: taken, from a dead holder. Test for < 0: both mean that it is yours to release.
 * A recursive lock that this thread holds is taken once more, at once, with 0.
 * ETIMEDOUT: another held it to the end.  EDEADLK: this thread holds it already, and it is not recursive.
 * EINVAL: also, the timeout. */
BROOD_API int brood_managed_lock_acquire(brood_managed_lock *lock, int timeout_ms);

/* Gives it back; a recursive one once. EPERM: this thread does not hold it. */
BROOD_API int brood_managed_lock_release(brood_managed_lock *lock);

/* The process id of its holder, for messages: it may be out of date when you read it. 0: nobody holds it. */
BROOD_API int brood_managed_lock_holder(brood_managed_lock *lock);

#ifdef __cplusplus
}
#endif

#endif
