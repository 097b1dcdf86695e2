/* wait/crowd.h: sleeping until a number is turned on, or a word of the noun's own has changed, where one is woken or
 * all.
 *
 * A wait is over for good once the number is another one than when it began. Beside it, in one 64-bit
 * state, stands the noun's tally of those who wait, so that whoever turns the number on, and for whom, is one CAS. A
 * noun that counts who waits knows when to wake; so `gate`, on which all sleep, need not say it: it is always 0, and
 * the kernel wakes one there for whoever is killed with the gate as its pending word (os/thread.h): between the state's
 * change and the wake, or after being woken. What a sleeper must not miss the kernel compares as it falls asleep
 * (futex_waitv(2)).
 *
 * Who is woken in the place of one who was to wake all may have begun to wait after that and gain nothing by it: `rung`
 * says for which number all were woken last, and whoever wakes up and finds it behind wakes all.
 */
#ifndef WAIT_CROWD_H
#define WAIT_CROWD_H

#include "os/futex.h"
#include "os/thread.h"

#define CROWD_EXTRA_MOST (FUTEX_WATCH_MOST - 3)

/* By anyone, each by atomic steps. */
struct crowd {
    union {
        struct {
            _Atomic uint32_t number; /* what is waited for */
            _Atomic uint32_t tally;  /* the noun's */
        };
        _Alignas(8) _Atomic uint64_t state; /* both at once */
    };
    _Atomic uint32_t gate; /* 0 */
    _Atomic uint32_t rung; /* never ahead of the number */
};

static inline uint32_t crowd_number(uint64_t state)
{
    return (uint32_t)state;
}

/* In each of these the gate is the caller's pending word (thread_expects): from before the state's change to after the
 * wake; from before the first look at what is waited for until after the last. */

/* Wakes all, for the number that has just come. */
void crowd_ring(struct crowd *crowd, uint32_t number);

/* Wakes one. */
static inline void crowd_nudge(struct crowd *crowd)
{
    futex_wake(&crowd->gate, 1);
}

/* One sleep, until woken, or the state is not `seen`, or a word of `extra` (CROWD_EXTRA_MOST at most; also woken on
 * them) not what is expected there, or the deadline; also for no reason. 0 or -ETIMEDOUT. */
int crowd_sleep(struct crowd *crowd, uint64_t seen, const struct futex_watch *extra, unsigned count, int64_t deadline);

#endif
