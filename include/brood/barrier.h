/* brood/barrier.h: a barrier: a place where a number of parties wait for each other, round by round.
 *
 * A brood_barrier is 64 bytes in a struct of yours, in the region. It is told the number of its parties by
 * brood_barrier_init: zeroed memory is no barrier. A party is a thread that calls brood_barrier_wait; who takes part
 * may differ from round to round. When the last party of a round has come all of them go on, and what any of them wrote
 * before is seen by each. The next round begins at once, and nobody in it is mistaken for one of the round before,
 * however slowly that one leaves.
 *
 * Crash rule: a party that dies while it waits breaks the barrier, for all and at once: every wait, those under way and
 * those to come, fails with EOWNERDEAD, until brood_barrier_reset. A party whose time is over breaks it too, and so
 * does brood_barrier_abort: then the others fail with EPIPE. Only a party that waits can be missed: one that dies
 * before it comes is not, so waits that somebody must come to need a timeout. A party that dies when the round is
 * complete, on its way out, is no loss. (One that was stopped since its round was broken by a death, and goes on when a
 * later one has been too, may get EPIPE for EOWNERDEAD.) The kernel tells of the death as a rule within a millisecond;
 * with more than 125 parties, or where the kernel cannot (before 6.2, in some sandboxes), the parties look for it every
 * 5.
 *
 * To go on with fewer parties let one survivor, under a lock, call brood_barrier_fini, again while it says EBUSY, then
 * brood_barrier_init with the new number; who comes in between gets EINVAL, and tries again. Let one party reset, too:
 * a second reset breaks those who wait again already. ETIMEDOUT and EPIPE do not say who is missing: the processes'
 * ends do.
 *
 * Never free, unmap or reuse memory that holds a barrier which is waited at.
 *
 * EINVAL, of every call: the barrier is NULL, not in the region, not aligned to 8 bytes, or its memory is no barrier's:
 * brood_barrier_init makes it one; or brood_init has not been called. Not repeated below.
 */
#ifndef BROOD_BARRIER_H
#define BROOD_BARRIER_H

#include <brood/result.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_barrier {
    uint64_t opaque[8] __attribute__((aligned(8)));
} brood_barrier;

/* Makes `barrier` one of `parties` parties, 1 to 4,096. Its memory must be zeroed, or a barrier's after
 * brood_barrier_fini. It takes 64 bytes a party from the region.
 * EINVAL: the number of parties; bad options.  EBUSY: it is a barrier already.  ENOMEM: no room for the parties, or the
 * name. If the caller is killed in it, brood_barrier_fini frees what there is, and it can be called again. */
BROOD_API int brood_barrier_init(brood_barrier *barrier, int parties, const brood_name_options *options);

/* Ends its use: frees what init took, and zeroes the memory. NULL and zeroed memory are fine. EBUSY: a party waits, or
 * is about to leave. */
BROOD_API int brood_barrier_fini(brood_barrier *barrier);

/* Waits until as many parties as there are have come, up to `timeout_ms` milliseconds (BROOD_FOREVER: never gives up;
 * 0: comes only if it is the last, and otherwise changes nothing).
 * 0: all have come.  BROOD_CHOSEN (1): the same, for one of them, the last to come.
 * EOWNERDEAD: a party has died, which the sentence names by its process id; it is broken.  EPIPE: broken: another's
 * timeout, brood_barrier_abort, or a brood_barrier_reset that ended this wait.  ETIMEDOUT: they did not come in time,
 * and that breaks it (not so with timeout 0).  ENOLCK: this thread holds as many locks and the like as it may. */
BROOD_API int brood_barrier_wait(brood_barrier *barrier, int timeout_ms);

/* Breaks it: who waits, and who comes, gets EPIPE. One that is broken stays as it is. */
BROOD_API int brood_barrier_abort(brood_barrier *barrier);

/* Mends it: the next to come begins a new round. Who waits meanwhile gets EPIPE. */
BROOD_API int brood_barrier_reset(brood_barrier *barrier);

/* How many parties wait, for messages: it may be out of date when you read it. 0: none, or it is broken. */
BROOD_API int brood_barrier_waiting(brood_barrier *barrier);

#ifdef __cplusplus
}
#endif

#endif
