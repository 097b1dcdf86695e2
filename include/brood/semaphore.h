/* brood/semaphore.h: a number of units that threads take and give back, and wait for while there is none.
 *
 * A brood_semaphore is 64 bytes in a struct of yours, in the region; zeroed memory is one with 0 units and no bound.
 * Any thread of any process of the family may use it; a signal handler may not. Not fair: a newcomer may pass a waiter.
 *
 * A plain one is a number: who gives a unit need not have taken one. Crash rule: a unit whose taker dies before it has
 * given it back is gone. Where that would be wrong, as with places of work that must all be there for ever, make it an
 * owned one: there the units are held, each by the thread that took it, and only that thread can give it back; a thread
 * may hold several. Crash rule: a unit whose holder dies passes on. The next that gets this unit gets it with
 * BROOD_INHERITED (1) instead of 0: what it used the unit for may be half done. Which holder that was is not told: keep
 * a record of who uses what. If that one dies too, the next is told again; a normal release says "mended".
 *
 * Of both: who dies waiting leaves no trace, and a wake that it was owed, or owed others, is sent in its place. A unit
 * is taken or it is not, and given or not, whenever in the call a process is killed. Waiters are told of a death by the
 * kernel, as a rule within a millisecond; where the kernel cannot (before 6.2, in some sandboxes), within 50.
 *
 * One that is stopped, not dead, while it waits or inside a call, may hold up others that wait, though there are units.
 *
 * Never free, unmap or reuse memory that holds a semaphore which is held or waited for.
 *
 * EINVAL, of every call: the semaphore is NULL, not in the region, not aligned to 8 bytes, or its memory is neither
 * zeroed nor a semaphore's; or brood_init has not been called. Not repeated below.
 */
#ifndef BROOD_SEMAPHORE_H
#define BROOD_SEMAPHORE_H

#include <brood/result.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_semaphore {
    uint64_t opaque[8] __attribute__((aligned(8)));
} brood_semaphore;

typedef struct brood_semaphore_options {
    const char *name; /* in messages; NULL: its address */
    bool owned;       /* units are held by threads, and pass on when those die */
    int max;          /* there may be no more units than this; 0: INT_MAX */
    void *reserved[4];
} brood_semaphore_options;

/* Makes `semaphore` one with so many units, 0 to .max. Its memory must be zeroed, or a semaphore's after
 * brood_semaphore_fini. An owned one has its `units`, 1 at least, for ever, each of them a place of 64 bytes in the
 * region; with more than 128 a waiter may hear of one that is free up to 5 ms late.
 * A process killed in here leaves zeroed memory, or a semaphore for brood_semaphore_fini: it may have no unit.
 * EBUSY: it is a semaphore already: it has been initialised, or used, before. ENOMEM: no room for the name or the
 * units. EINVAL: units or .max is negative, there would be more than .max, or none of an owned one. */
BROOD_API int brood_semaphore_init(brood_semaphore *semaphore, int units, const brood_semaphore_options *options);

/* Ends its use: the memory is zeroed, name and units freed. NULL is fine. A plain one's units are no matter.
 * EBUSY: somebody waits for a unit, asleep at this moment (who is just about to cannot be seen), or holds one. */
BROOD_API int brood_semaphore_fini(brood_semaphore *semaphore);

/* Takes a unit, waiting up to `timeout_ms` milliseconds (0: only try, BROOD_FOREVER: never give up).
 * 0: taken.  BROOD_INHERITED: taken, and its last holder died with it. Test for < 0: both mean that it is yours.
 * ETIMEDOUT: there was none to the end.
 * ENOLCK, of an owned one: this thread holds 1,024 locks, units and the like. */
BROOD_API int brood_semaphore_acquire(brood_semaphore *semaphore, int timeout_ms);

/* Gives a unit. EOVERFLOW: there are .max already. EPERM, of an owned one: this thread holds none. */
BROOD_API int brood_semaphore_release(brood_semaphore *semaphore);

/* How many units there are to be taken, at least 0; for messages: it may be out of date when you read it. Those of the
 * dead are among them. */
BROOD_API int brood_semaphore_units(brood_semaphore *semaphore);

#ifdef __cplusplus
}
#endif

#endif
