/* brood/lock.h: a lock that processes share.
 *
 * A brood_lock is 64 bytes in a struct of yours, in the region; zeroed memory is a free lock. Recursive only if
 * initialised so. It is held by a thread, not by a process. Whoever comes while it is free takes it, before those who
 * sleep, which is what makes it fast; but a waiter that was woken 16 times in vain goes before all who come.
 *
 * Crash rule: a thread that dies holding the lock passes it on. The next acquirer gets it with BROOD_INHERITED (1)
 * instead of 0: what the lock guards may be half written, and that caller is the one to put it right. If it dies too,
 * the next one is told again; a normal release says "mended". A waiter that dies leaves no trace. A waiter is told of
 * its holder's death by the kernel, as a rule within a millisecond; where the kernel cannot (before 6.2, in some
 * sandboxes), within 50. One that is stopped, not dead, while it holds the lock, has
 * just been woken for it, or is inside a call of brood, holds the others up.
 *
 * Mending: compilers may move plain stores about between acquire and release, so what an heir finds half written need
 * not be the first half. Where the order matters, say so: make "being changed" and "changed" atomic or volatile stores
 * around the change, as in
 *     shared->state = CHANGING;  (a volatile or _Atomic field, as the next one)
 *     ... change ...
 *     shared->state = GOOD;
 * and let the one that gets BROOD_INHERITED look at the state first. Every call of brood is a barrier to the compiler.
 *
 * Never free, unmap or reuse memory that holds a lock which is held or waited for.
 *
 * EINVAL, of every call: the lock is NULL, not in the region, not aligned to 8 bytes, or its memory is neither zeroed
 * nor a lock's; or brood_init has not been called. Not repeated below.
 */
#ifndef BROOD_LOCK_H
#define BROOD_LOCK_H

#include <brood/result.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_lock {
    uint64_t opaque[8] __attribute__((aligned(8)));
} brood_lock;

typedef struct brood_lock_options {
    const char *name; /* in messages; NULL: its address */
    bool recursive;   /* its holder may take it again, and releases it as often */
    void *reserved[4];
} brood_lock_options;

/* Makes `lock` a free lock: needed for a name or a recursive one only. Its memory must be zeroed, or a lock's after
 * brood_lock_fini. EBUSY: it is a lock already: it has been initialised, or acquired, before. ENOMEM: no room for the
 * name. */
BROOD_API int brood_lock_init(brood_lock *lock, const brood_lock_options *options);

/* Ends its use: the memory is zeroed, and the name freed: one without may just as well be forgotten with the memory
 * that holds it. NULL is fine, and so is a lock whose holder died: the news of that is lost then. EBUSY: it is held. */
BROOD_API int brood_lock_fini(brood_lock *lock);

/* Takes the lock, waiting up to `timeout_ms` milliseconds (0: only try, BROOD_FOREVER: never give up).
 * 0: taken.  BROOD_INHERITED: taken, from a dead holder. Test for < 0: both mean that it is yours to release.
 * A recursive lock that this thread holds is taken once more, at once, with 0.
 * ETIMEDOUT: another held it to the end.  EDEADLK: this thread holds it already, and it is not recursive.
 * ENOLCK: this thread holds 1,024 locks, units of semaphores and the like.  EOVERFLOW: a recursive lock, 2^32 times. */
BROOD_API int brood_lock_acquire(brood_lock *lock, int timeout_ms);

/* Gives it back; a recursive one once. EPERM: this thread does not hold it. */
BROOD_API int brood_lock_release(brood_lock *lock);

/* Gives it back as if its holder had died: the next acquirer gets BROOD_INHERITED. For one that finds that it cannot
 * finish what it began. A recursive one is given back whole. EPERM: this thread does not hold it. */
BROOD_API int brood_lock_abandon(brood_lock *lock);

/* The process id of its holder, for messages: it may be out of date when you read it. 0: nobody holds it. */
BROOD_API int brood_lock_holder(brood_lock *lock);

/* For how long it has been held, in microseconds, for messages: since its holder got it, if that had to wait for it,
 * else since another thread first waited for it, so at least so long. 0: nobody holds it, or nobody has wanted it
 * since. To some milliseconds. Who waits: brood/waiter.h. */
BROOD_API int64_t brood_lock_held_us(brood_lock *lock);

#ifdef __cplusplus
}
#endif

#endif
