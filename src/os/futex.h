/* os/futex.h: sleep on a 32-bit word of shared memory, and wake who sleeps there. futex(2). */
#ifndef OS_FUTEX_H
#define OS_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

#define FUTEX_EVERYONE INT32_MAX

/* Sleeps while *word == expected, until woken or until `deadline` (os/clock.h).
 * 0: woken, or the word differs, or a signal came, or for no reason: look again.  -ETIMEDOUT: the deadline has come. */
int futex_sleep(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);

/* A word, and what it must hold for anyone to sleep on it. */
struct futex_watch {
    _Atomic uint32_t *word;
    uint32_t expected;
};

#define FUTEX_WATCH_MOST 128

/* Sleeps while all of them hold what is expected, until woken on any; results as futex_sleep. Where that cannot be had
 * (before Linux 5.16, some sandboxes) it sleeps on the first for some milliseconds at most, and returns 0. */
int futex_sleep_any(const struct futex_watch *watch, unsigned count, int64_t deadline);

/* These leave errno alone: some calls tell by it alone that they failed, and may meet a busy latch. */

/* Wakes up to `count` sleepers; how many there were. */
int futex_wake(_Atomic uint32_t *word, int count);

/* How many sleep on it just now; none of them is woken. */
int futex_sleepers(_Atomic uint32_t *word);

/* *word |= bits (below 2^11), and wakes all who sleep on it, as one step, which a kill cannot split. Where the kernel
 * refuses that (none that brood runs on does; a sandbox may) it is two. */
void futex_raise(_Atomic uint32_t *word, uint32_t bits);

#endif
