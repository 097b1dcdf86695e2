/* wait/latch.h: a robust word as a lock, stronger than a robust mutex in what it survives.
 *
 * This is the one lock of brood: short ones inside are latches held through the pending entry of the thread's robust
 * list alone (no list work; one at a time, nothing foreign called meanwhile); brood_lock is a latch put into the list.
 *
 * The word holds the owner's thread id, FUTEX_WAITERS if someone may sleep, FUTEX_OWNER_DIED after a death. A plain
 * robust mutex clears FUTEX_WAITERS on release and trusts the one it woke to set it again: if that one is killed while
 * a third has barged in, the other sleepers are forgotten. Here FUTEX_WAITERS stays set through release and taking, and
 * is cleared only on proof that nobody sleeps: a wake that found no one, and no one who announced a sleep and no
 * contended release since. Both of those raise `version`, which shares a 64-bit cell with the word, so that the
 * clearing is one CAS of both.
 */
#ifndef WAIT_LATCH_H
#define WAIT_LATCH_H

#include "os/thread.h"
#include "wait/spin.h"

#include <errno.h>

enum { LATCH_CLEAN = 0, LATCH_INHERITED = 1 };

#define LATCH_TRY 0 /* a deadline that has passed: no wait at all */

int latch_take_slowly(struct thread *self, struct robust_word *latch, int64_t deadline);
void latch_drop_slowly(struct robust_word *latch, uint32_t left);

/* Takes it; the latch is then this thread's pending word. LATCH_CLEAN; LATCH_INHERITED: its holder died, what it guards
 * may be half changed.  -ETIMEDOUT; then nothing is pending. */
static inline int latch_take(struct thread *self, struct robust_word *latch, int64_t deadline)
{
    uint32_t nobody = 0;
    thread_expects(self, &latch->word);
    /* Acquire: pairs with the release in latch_drop. */
    if (!atomic_compare_exchange_strong_explicit(&latch->word, &nobody, self->id, memory_order_acquire,
                                                 memory_order_relaxed))
        return latch_take_slowly(self, latch, deadline);
    return LATCH_CLEAN;
}

/* Gives it back. It must be the pending word, and is not afterwards. */
static inline void latch_drop(struct thread *self, struct robust_word *latch)
{
    uint32_t mine = self->id;
    /* Release: pairs with the acquire in latch_take. */
    if (!atomic_compare_exchange_strong_explicit(&latch->word, &mine, 0, memory_order_release, memory_order_relaxed))
        latch_drop_slowly(latch, 0);
    thread_expects(self, NULL);
}

/* Gives it back as if this thread had died. */
static inline void latch_abandon(struct thread *self, struct robust_word *latch)
{
    latch_drop_slowly(latch, FUTEX_OWNER_DIED);
    thread_expects(self, NULL);
}

/* From the pending entry into the list, and back: while it is in the list another word may be pending. */
static inline void latch_hold(struct thread *self, struct robust_word *latch)
{
    thread_enlist(self, latch);
    thread_expects(self, NULL);
}

static inline void latch_unhold(struct thread *self, struct robust_word *latch)
{
    thread_expects(self, &latch->word);
    thread_delist(latch);
}

#endif
