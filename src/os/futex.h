/* os/futex.h: sleep on a 32-bit word of shared memory, and wake who sleeps there. futex(2). */
#ifndef OS_FUTEX_H
#define OS_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

#define FUTEX_EVERYONE INT32_MAX

/* Sleeps while *word == expected, until woken or until `deadline` (os/clock.h).
 * 0: woken, or the word differs, or a signal came, or for no reason: look again.  -ETIMEDOUT: the deadline has come. */
int futex_sleep(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);

/* Both leave errno alone: some calls tell by it alone that they failed, and may meet a busy latch. */

/* Wakes up to `count` sleepers; how many there were. */
int futex_wake(_Atomic uint32_t *word, int count);

#endif
