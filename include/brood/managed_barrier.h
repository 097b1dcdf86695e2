/* brood/managed_barrier.h: a barrier in a manager: a place where a number of parties wait for each other, round by
 * round.
 *
 * A party is a thread that calls brood_managed_barrier_wait; who takes part may differ from round to round. When the
 * last party of a round has come all of them go on, and the next round begins at once.
 *
 * Crash rule: a party that dies while it waits breaks the barrier, for all and at once: every wait, those under way and
 * those to come, fails with EOWNERDEAD, until brood_managed_barrier_reset. A party whose time is over breaks it too,
 * and so does brood_managed_barrier_abort: then the others fail with EPIPE. So does a party of another family
 * (brood_manager_connect) whose connection ends while it waits: EPIPE too, since nobody can know how it ended. Only a
 * party that waits can be missed: one that dies before it comes is not, so waits that somebody must come to need a
 * timeout. A party that dies when the round is complete, on its way out, is no loss. The server hears of a death from
 * the kernel, as a rule within a millisecond.
 *
 * EINVAL, of every call: the barrier is NULL or none, or its process has ended; it is gone (it has neither handle nor
 * name) while one waits. And what brood/manager.h says of every call to the server: its end ends all waits at once.
 */
#ifndef BROOD_MANAGED_BARRIER_H
#define BROOD_MANAGED_BARRIER_H

#include <brood/manager.h>
#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the handle back, by whatever process; nobody may use it afterwards. NULL is fine. */
BROOD_API int brood_managed_barrier_close(brood_managed_barrier *barrier);

/* Waits until as many parties as there are have come, up to `timeout_ms` milliseconds (BROOD_FOREVER: never gives up;
 * 0: comes only if it is the last, and otherwise changes nothing).
 * 0: all have come.  BROOD_CHOSEN (1): the same, for one of them, the last to come.
 * EOWNERDEAD: a party has died, which the sentence names by its process id; it is broken. (The server's death has the
 * same code, and a sentence of its own.)  EPIPE: broken: another's timeout, or the end of its connection,
 * brood_managed_barrier_abort, or a brood_managed_barrier_reset that ended this wait.  ETIMEDOUT: they did not come in
 * time, and it is broken now, unless the timeout was 0.  EINVAL: also, the timeout. */
BROOD_API int brood_managed_barrier_wait(brood_managed_barrier *barrier, int timeout_ms);

/* Breaks it: who waits, and who comes, gets EPIPE. One that is broken stays as it is. */
BROOD_API int brood_managed_barrier_abort(brood_managed_barrier *barrier);

/* Mends it: the next to come begins a new round. Who waits meanwhile gets EPIPE. */
BROOD_API int brood_managed_barrier_reset(brood_managed_barrier *barrier);

/* How many parties wait, for messages: it may be out of date when you read it. 0: none, or it is broken. */
BROOD_API int brood_managed_barrier_waiting(brood_managed_barrier *barrier);

#ifdef __cplusplus
}
#endif

#endif
