/* exchange/queue_side.c: a queue's side: its latch, its mark, and the front of those who wait there. */
#include "exchange/queue_line.h"
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
        line_mend(self, queue);
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
    enum loans_seen seen = loans_watch(side, watch, FUTEX_WATCH_MOST - 4, count);
    *naps = *naps || seen == LOANS_TOO_MANY;
    return seen != LOANS_RETURNED;
}

/* Adds what tells of the debtor's death, if it lives still. Fronts of several queues may wait for that, and the kernel
 * wakes one of those who sleep on the life word: should he be killed before he has woken the rest, nobody else would do
 * it. So only the `watcher` sleeps there; the rest, on the version beside it, which never changes, and they nap. */
static bool watch_life(const struct side *other, struct slot *life, bool is_watcher, struct futex_watch *watch,
                       unsigned *count)
{
    const struct debt *debt;
    struct slot *now;
    bool naps;
    uint32_t word = atomic_fetch_or(&life->life.word, FUTEX_WAITERS) | FUTEX_WAITERS;
    if (is_watcher)
        watch[(*count)++] = (struct futex_watch){ &life->life.word, word };
    else
        watch[(*count)++] = (struct futex_watch){ &life->life.version, atomic_load(&life->life.version) };
    /* Since the debtor was found alive its slot may have become another's, whose death is not what is waited for: this
     * look comes after the word was read, so that was the debtor's. */
    return debts_state(other, &debt, &now, &naps) == 0 && now == life;
}

/* Before anything else is pending. */
static bool become_watcher(struct thread *self, struct slot *life)
{
    if (!life || latch_take(self, &life->watcher, LATCH_TRY) < 0)
        return false;
    latch_hold(self, &life->watcher);
    return true;
}

static void resign(struct thread *self, struct slot *life)
{
    latch_unhold(self, &life->watcher);
    latch_drop(self, &life->watcher);
}

bool side_doze(struct thread *self, struct queue *queue, struct side *side, uint32_t seen, struct slot *life, bool naps,
               int64_t deadline)
{
    struct futex_watch watch[FUTEX_WATCH_MOST];
    struct side *other = other_side(queue, side);
    bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
    bool is_watcher = become_watcher(self, life);
    unsigned count = 1;
    thread_expects(self, &other->latch.word);
    uint64_t cell = robust_cell(&other->latch);
    if (!told && (uint32_t)cell & FUTEX_TID_MASK)
        latch_mark_if_gone(&other->latch, (uint32_t)cell);
    if (latch_announce(&other->latch, cell, &watch[0].expected) &&
        (side == &queue->puts || gather(side, watch + 1, &count, &naps)) &&
        (!life || watch_life(other, life, is_watcher, watch, &count))) {
        watch[0].word = &other->latch.word;
        watch[count++] = (struct futex_watch){ &other->latch.version, latch_announced(cell) };
        watch[count++] = (struct futex_watch){ &other->turn, seen };
        int64_t nap = naps || !told || (life && !is_watcher) ? clock_now() + THREAD_NAP : deadline;
        futex_sleep_any(watch, count, nap < deadline ? nap : deadline);
        latch_pass_on(&other->latch);
        if (is_watcher && atomic_load(&life->life.word) & FUTEX_OWNER_DIED)
            futex_wake(&life->life.version, FUTEX_EVERYONE);
    }
    thread_expects(self, NULL);
    if (is_watcher)
        resign(self, life);
    return deadline == CLOCK_NEVER || clock_now() < deadline;
}

/* WATCHED stays until all are awake: killed before, they are the next holder's to tell, who is the first to change
 * anything. */
void side_tell(struct side *side)
{
    uint32_t next = atomic_load_explicit(&side->watch, memory_order_relaxed) + 2 * WATCHED;
    atomic_store(&side->watch, next);
    futex_wake(&side->watch, FUTEX_EVERYONE);
    atomic_store(&side->watch, next & ~WATCHED);
}

bool side_watch(struct thread *self, struct queue *queue, struct side *side, struct futex_watch *word)
{
    if (side_take_silently(self, queue, side, LATCH_TRY) < 0)
        return false;
    uint32_t watch = atomic_load(&side->watch) | WATCHED;
    atomic_store(&side->watch, watch);
    latch_drop(self, &side->latch);
    *word = (struct futex_watch){ &side->watch, watch };
    return true;
}
