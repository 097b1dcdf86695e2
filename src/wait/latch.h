/* wait/latch.h: a robust word as a lock, stronger than a robust mutex in what it survives.
 *
 * This is the one lock of brood: short ones inside are latches held through the pending entry of the thread's robust
 * list alone (no list work; one at a time, nothing foreign called meanwhile); brood_lock is a latch put into the list.
 *
 * The word holds the owner's thread id, FUTEX_WAITERS if someone may sleep, FUTEX_OWNER_DIED after a death. A plain
 * robust mutex clears FUTEX_WAITERS on release and trusts the one it woke to set it again: if that one is killed while
 * a third has barged in, the other sleepers are forgotten. Here FUTEX_WAITERS stays set through release and taking, and
 * is cleared only on proof that nobody sleeps: a wake that found no one, and no one who announced a sleep and no
 * contended release since. Both of those raise the version, which shares a 64-bit cell with the word, so that the
 * clearing is one CAS of both.
 *
 * It is fast because whoever comes while it is free takes it, though others have slept for it. A waiter that was passed
 * over so PASSED_MOST times asks for its turn: as it falls asleep again it sets `turns`, which shares the cell too. As
 * long as there are turns, one who has just come leaves a free latch to those who have slept, and sleeps first;
 * sleepers are woken in the order in which they fell asleep, so the asker is served after so many turns as there are
 * others. It is a courtesy, and nothing but speed rests on it: the turns end when the asker has it, or after 63
 * contended releases, or when nobody sleeps, and who is courteous sleeps for COURTESY_NS at most; so one that dies
 * asking holds nobody up. While there are turns FUTEX_WAITERS is set, so they cost nothing where there is no
 * contention.
 *
 * Latches that are taken millions of times a second and held for nanoseconds have a lighter pair of calls, one atomic
 * step for both: the release is a plain store where no FUTEX_WAITERS was seen. Who sets FUTEX_WAITERS between that look
 * and that store is not woken, if the kernel lets it sleep before the store is seen at all: the releaser must have been
 * interrupted between the two. So sleepers of such a latch nap: they look again after 5 ms.
 */
#ifndef WAIT_LATCH_H
#define WAIT_LATCH_H

#include "os/thread.h"
#include "wait/spin.h"

#include <errno.h>

enum { LATCH_CLEAN = 0, LATCH_INHERITED = 1 };

#define LATCH_TRY 0    /* a deadline that has passed: no wait at all */
#define LATCH_GLANCE 1 /* the same, of one who is ready to wait: not past those who have asked for their turn */

/* A bit that nobody looks at, neither the kernel nor a latch, while the word has an owner: the owner's, to say
 * something to those who only look. It comes and goes with the owner. */
#define LATCH_NOTE FUTEX_OWNER_DIED

int latch_take_slowly(struct thread *self, struct robust_word *latch, uint32_t note, int64_t deadline);
int latch_take_napping(struct thread *self, struct robust_word *latch, int64_t deadline);
void latch_drop_slowly(struct robust_word *latch, uint32_t left);

/* Says that this thread is about to sleep on a latch that another holds, and whose cell was `cell` just now. Anew
 * before each sleep: that is what latch_drop_slowly's proof rests on. True: it may sleep while the word is *waited. */
bool latch_announce(struct robust_word *latch, uint64_t cell, uint32_t *waited);

/* The latch's version after that. One who announces a sleep on a latch that is *free* must have the kernel compare it
 * too, after the word: others may take and drop the latch meanwhile, find nobody to wake, and so clear FUTEX_WAITERS
 * when it sleeps already, since the word was the same again. */
uint32_t latch_announced(uint64_t cell);

/* For one who has slept on a latch, announced, but does not want it: if it is free, the wake may have been meant for
 * one who does. The latch is its pending word until then: should it die, the kernel does this. */
void latch_pass_on(struct robust_word *latch);

/* Where the kernel marks no dead holder (thread_deaths_are_told), whoever waits does it: `word` was seen there. */
void latch_mark_if_gone(struct robust_word *latch, uint32_t word);

/* Takes it; the latch is then this thread's pending word. LATCH_CLEAN; LATCH_INHERITED: its holder died, what it guards
 * may be half changed.  -ETIMEDOUT; then nothing is pending. With a note (LATCH_NOTE), unless it is inherited. */
static inline int latch_take_noting(struct thread *self, struct robust_word *latch, uint32_t note, int64_t deadline)
{
    uint32_t nobody = 0;
    thread_expects(self, &latch->word);
    /* It pairs with the release in latch_drop, for which acquire would do. Sequentially consistent, as in
     * latch_take_slowly: an rwlock's writer takes its latch, then looks for readers. */
    if (!atomic_compare_exchange_strong_explicit(&latch->word, &nobody, self->id | note, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return latch_take_slowly(self, latch, note, deadline);
    return LATCH_CLEAN;
}

static inline int latch_take(struct thread *self, struct robust_word *latch, int64_t deadline)
{
    return latch_take_noting(self, latch, 0, deadline);
}

/* Gives it back. It must be the pending word, and is not afterwards. */
static inline void latch_drop(struct thread *self, struct robust_word *latch)
{
    uint32_t mine = self->id;
    /* Release: pairs with the exchange in latch_take. */
    if (!atomic_compare_exchange_strong_explicit(&latch->word, &mine, 0, memory_order_release, memory_order_relaxed))
        latch_drop_slowly(latch, 0);
    thread_expects(self, NULL);
}

/* The lighter pair. All who take such a latch must take it by this one, and may drop it by either. */
static inline int latch_take_light(struct thread *self, struct robust_word *latch, int64_t deadline)
{
    uint32_t nobody = 0;
    thread_expects(self, &latch->word);
    /* Acquire: pairs with the releases in latch_drop_light and latch_drop. */
    if (!atomic_compare_exchange_strong_explicit(&latch->word, &nobody, self->id, memory_order_acquire,
                                                 memory_order_relaxed))
        return latch_take_napping(self, latch, deadline);
    return LATCH_CLEAN;
}

static inline void latch_drop_light(struct thread *self, struct robust_word *latch)
{
    /* Release: pairs with the acquire in latch_take_light. */
    if (atomic_load_explicit(&latch->word, memory_order_relaxed) == self->id)
        atomic_store_explicit(&latch->word, 0, memory_order_release);
    else
        latch_drop_slowly(latch, 0);
    thread_expects(self, NULL);
}

/* Whether someone may be asleep for it. */
static inline bool latch_is_wanted(const struct robust_word *latch)
{
    return atomic_load_explicit(&latch->word, memory_order_relaxed) & FUTEX_WAITERS;
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
    thread_delist(self, latch);
}

#endif
