/* exchange/queue_side.c: a queue's side: its latch, its mark, and the front of those who wait there. */
#include "exchange/queue.h"
#include "os/clock.h"
#include "os/futex.h"

#include <errno.h>

struct place side_look(const struct side *side)
{
    for (;;) {
        /* Acquire: with the release in side_turn. */
        uint32_t turn = atomic_load_explicit(&side->turn, memory_order_acquire);
        struct place place = side_place(side);
        if (atomic_load_explicit(&side->turn, memory_order_relaxed) == turn)
            return place;
    }
}

static void mend(struct thread *self, struct queue *queue, struct side *side)
{
    latch_hold(self, &side->latch); /* the heap needs the pending entry */
    heap_settle();
    if (side == &queue->puts)
        puts_mend(self, queue);
    else
        gets_mend(self, queue);
    latch_unhold(self, &side->latch);
}

int side_take_slowly(struct thread *self, struct queue *queue, struct side *side, int64_t deadline)
{
    int64_t patience = clock_now() + PATIENCE;
    int taken = latch_take_slowly(self, &side->latch, 0, patience > deadline ? patience : deadline);
    if (taken == LATCH_INHERITED)
        mend(self, queue, side);
    return taken < 0 ? taken : 0;
}

void side_settle(struct thread *self, struct queue *queue, struct side *side)
{
    uint32_t word = atomic_load(&side->latch.word);
    if (!(word & FUTEX_OWNER_DIED) || word & FUTEX_TID_MASK)
        return;
    if (side_take(self, queue, side, LATCH_TRY) == 0)
        side_drop(self, side);
}

int side_front(struct thread *self, struct side *side, int64_t deadline)
{
    if (latch_take(self, &side->turnstile, deadline) < 0)
        return -ETIMEDOUT;
    latch_hold(self, &side->turnstile);
    return 0;
}

void side_retire(struct thread *self, struct side *side)
{
    latch_unhold(self, &side->turnstile);
    latch_drop(self, &side->turnstile);
}

/* What the front of that side sleeps on, beside the latch. False: there is something to get. */
static bool gather(struct side *side, struct futex_watch *watch, unsigned *count, bool *naps)
{
    enum loans_seen seen = loans_watch(side, watch, FUTEX_WATCH_MOST - 5, count);
    *naps = *naps || seen == LOANS_TOO_MANY;
    return seen != LOANS_RETURNED;
}

/* Whether this thread is the first of those who are about to sleep on a life word, which fronts of several queues may
 * do. At a death the kernel wakes the first, who wakes the rest: should he be killed before he does, the rest must look
 * by themselves, and he need not. Two that come at once are told apart by the life word's version, which nobody else
 * uses: each turns it on, then counts who sleeps, and sleeps only if it is the same still, compared when he is in the
 * life word's line already. */
static bool sleeps_first(struct robust_word *life, struct futex_watch *turn)
{
    *turn = (struct futex_watch){ &life->version, atomic_fetch_add(&life->version, 1) + 1 };
    return futex_sleepers(&life->word) == 0;
}

bool side_doze(struct thread *self, struct queue *queue, struct side *side, uint32_t seen, struct robust_word *life,
               bool naps, int64_t deadline)
{
    struct futex_watch watch[FUTEX_WATCH_MOST];
    struct side *other = other_side(queue, side);
    bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
    unsigned count = 1;
    thread_expects(self, &other->latch.word);
    uint64_t cell = atomic_load(&other->latch.cell);
    if (!told && (uint32_t)cell & FUTEX_TID_MASK)
        latch_mark_if_gone(&other->latch, (uint32_t)cell);
    if (latch_announce(&other->latch, cell, &watch[0].expected) &&
        (side == &queue->puts || gather(side, watch + 1, &count, &naps))) {
        watch[0].word = &other->latch.word;
        if (life) {
            uint32_t word = atomic_fetch_or(&life->word, FUTEX_WAITERS) | FUTEX_WAITERS;
            watch[count++] = (struct futex_watch){ &life->word, word };
            naps = naps || word & FUTEX_OWNER_DIED; /* it died before it knew that we sleep, or was no last thread */
            naps = !sleeps_first(life, &watch[count++]) || naps;
        }
        watch[count++] = (struct futex_watch){ &other->latch.version, latch_announced(cell) };
        watch[count++] = (struct futex_watch){ &other->turn, seen };
        int64_t nap = naps || !told ? clock_now() + THREAD_NAP : deadline;
        futex_sleep_any(watch, count, nap < deadline ? nap : deadline);
        latch_pass_on(&other->latch);
        if (life && atomic_load(&life->word) & FUTEX_OWNER_DIED)
            futex_wake(&life->word, FUTEX_EVERYONE);
    }
    thread_expects(self, NULL);
    return deadline == CLOCK_NEVER || clock_now() < deadline;
}

void side_tell(struct side *side)
{
    uint32_t watch = atomic_load(&side->watch);
    if (watch & WATCHED && atomic_compare_exchange_strong(&side->watch, &watch, (watch & ~WATCHED) + 2 * WATCHED))
        futex_wake(&side->watch, FUTEX_EVERYONE);
}

bool side_watch(struct thread *self, struct queue *queue, struct side *side, struct futex_watch *word)
{
    if (side_take(self, queue, side, LATCH_TRY) < 0)
        return false;
    uint32_t watch = atomic_fetch_or(&side->watch, WATCHED) | WATCHED;
    latch_drop(self, &side->latch); /* without telling ourselves */
    *word = (struct futex_watch){ &side->watch, watch };
    return true;
}
