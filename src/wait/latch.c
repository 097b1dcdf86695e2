/* wait/latch.c: taking a latch that is not free, and dropping one that is waited for. */
#include "wait/latch.h"

#include "os/futex.h"

/* Of a cell: the word, the version, the turns. */
#define VERSION_ONE (UINT64_C(1) << 32)
#define VERSION (UINT64_C(0x3ffffff) << 32)
#define TURN_ONE (UINT64_C(1) << 58)
#define TURNS (UINT64_C(0x3f) << 58)

#define PASSED_MOST 16
#define COURTESY_NS 1000000

/* The cell with another word, and the next version. */
static uint64_t changed(uint64_t cell, uint32_t word)
{
    return (cell & TURNS) | ((cell + VERSION_ONE) & VERSION) | word;
}

/* Watches the word, ever less often (the holder needs its cache line), while that may pay.
 * True: it was free a moment ago. */
static bool spin_until_free(struct thread *self, struct robust_word *latch)
{
    if (!spin_pays(atomic_load_explicit(&latch->cpu, memory_order_relaxed)))
        return false;
    int64_t end = clock_now() + self->spin;
    for (unsigned burst = 8;; burst = burst < 512 ? burst * 2 : burst) {
        for (unsigned i = 0; i < burst; i++)
            cpu_pause();
        bool is_free = !(atomic_load_explicit(&latch->word, memory_order_relaxed) & FUTEX_TID_MASK);
        if (is_free || clock_now() >= end) {
            spin_learn(self, is_free);
            return is_free;
        }
    }
}

/* Announced anew before each sleep: that is what latch_drop_slowly's proof rests on. */
static bool announce(struct robust_word *latch, uint64_t cell, uint64_t turns, uint32_t *waited)
{
    *waited = (uint32_t)cell | FUTEX_WAITERS;
    return robust_swap(latch, &cell, changed(cell, *waited) | turns);
}

bool latch_announce(struct robust_word *latch, uint64_t cell, uint32_t *waited)
{
    return announce(latch, cell, 0, waited);
}

uint32_t latch_announced(uint64_t cell)
{
    return (uint32_t)(changed(cell, 0) >> 32);
}

static bool deaths_are_told(void)
{
    return atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
}

void latch_mark_if_gone(struct robust_word *latch, uint32_t word)
{
    if (thread_is_gone(word & FUTEX_TID_MASK))
        atomic_compare_exchange_strong(&latch->word, &word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
}

/* `told`: whether a sleeper is sure to be woken. */
static inline int take(struct thread *self, struct robust_word *latch, uint32_t note, int64_t deadline, bool told)
{
    bool may_spin = deadline > LATCH_GLANCE;
    bool in_time = deadline > LATCH_GLANCE;
    unsigned passed = 0; /* sleeps that ended without it */
    for (;;) {
        uint64_t cell = robust_cell(latch);
        uint32_t word = (uint32_t)cell;
        bool is_free = !(word & FUTEX_TID_MASK), asks = passed >= PASSED_MOST;
        bool may_take = passed || deadline == LATCH_TRY || !(cell & TURNS);
        if (is_free && may_take) {
            bool inherited = word & FUTEX_OWNER_DIED;
            uint32_t mine = self->id | (inherited ? 0 : note) | (word & FUTEX_WAITERS);
            uint64_t kept = asks ? VERSION : VERSION | TURNS;
            if (!robust_swap(latch, &cell, (cell & kept) | mine))
                continue;
            return inherited ? LATCH_INHERITED : LATCH_CLEAN;
        }
        if (!in_time) {
            if (!is_free && !deaths_are_told()) { /* one that only tries is never asleep to find that out */
                latch_mark_if_gone(latch, word);
                if (!(atomic_load(&latch->word) & FUTEX_TID_MASK))
                    continue;
            }
            thread_expects(self, NULL);
            return -ETIMEDOUT;
        }
        if (!is_free && may_spin && spin_until_free(self, latch))
            continue;
        may_spin = false;
        /* It may be free: nobody need wake us then, so that sleep is short. */
        uint32_t waited;
        if (!announce(latch, cell, asks ? TURNS : 0, &waited))
            continue;
        int64_t nap = is_free ? clock_now() + COURTESY_NS : told ? deadline : clock_now() + THREAD_NAP;
        if (futex_sleep(&latch->word, waited, nap < deadline ? nap : deadline) == -ETIMEDOUT) {
            in_time = clock_now() < deadline;
            if (!deaths_are_told() && !is_free)
                latch_mark_if_gone(latch, waited);
        }
        passed++;
    }
}

int latch_take_slowly(struct thread *self, struct robust_word *latch, uint32_t note, int64_t deadline)
{
    return take(self, latch, note, deadline, deaths_are_told());
}

int latch_take_napping(struct thread *self, struct robust_word *latch, int64_t deadline)
{
    return take(self, latch, 0, deadline, false);
}

void latch_drop_slowly(struct robust_word *latch, uint32_t left)
{
    uint64_t cell = robust_cell(latch), dropped;
    do {
        dropped = changed(cell, (cell & FUTEX_WAITERS) | left);
        dropped -= dropped & TURNS ? TURN_ONE : 0;
    } while (!robust_swap(latch, &cell, dropped));
    /* Killed from here to the wake: the word is pending and its id part 0, so the kernel wakes one in our place. After
     * an abandoning the cell proves nothing: a later holder's death brings the same one back, its version too. */
    if (dropped & FUTEX_WAITERS && futex_wake(&latch->word, 1) == 0 && !left)
        robust_swap(latch, &dropped, dropped & ~(FUTEX_WAITERS | TURNS));
}

void latch_pass_on(struct robust_word *latch)
{
    uint64_t cell = robust_cell(latch);
    if (!(cell & FUTEX_WAITERS) || cell & FUTEX_TID_MASK)
        return;
    /* The same proof as above that nobody sleeps. */
    if (futex_wake(&latch->word, 1) == 0 && !(cell & FUTEX_OWNER_DIED))
        robust_swap(latch, &cell, cell & ~(FUTEX_WAITERS | TURNS));
}
