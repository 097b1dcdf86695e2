/* wait/latch.c: taking a latch that is not free, and dropping one that is waited for. */
#include "wait/latch.h"

#include "os/futex.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a cell's low half is the word");

static uint64_t cell_of(uint32_t word, uint32_t version)
{
    return (uint64_t)version << 32 | word;
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

/* Where the kernel marks no dead holder, whoever waits does it. */
static void mark_if_gone(struct robust_word *latch, uint32_t word)
{
    if (thread_is_gone(word & FUTEX_TID_MASK))
        atomic_compare_exchange_strong(&latch->word, &word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
}

int latch_take_slowly(struct thread *self, struct robust_word *latch, int64_t deadline)
{
    bool may_spin = deadline != LATCH_TRY;
    bool in_time = deadline != LATCH_TRY;
    for (;;) {
        uint64_t cell = atomic_load(&latch->cell);
        uint32_t word = (uint32_t)cell;
        if (!(word & FUTEX_TID_MASK)) {
            uint32_t was = word;
            if (!atomic_compare_exchange_strong(&latch->word, &was, self->id | (word & FUTEX_WAITERS)))
                continue;
            return word & FUTEX_OWNER_DIED ? LATCH_INHERITED : LATCH_CLEAN;
        }
        if (!in_time) {
            thread_expects(self, NULL);
            return -ETIMEDOUT;
        }
        if (may_spin && spin_until_free(self, latch))
            continue;
        may_spin = false;
        /* Announced anew before each sleep: that is what latch_drop_slowly's proof rests on. */
        uint32_t waited = word | FUTEX_WAITERS;
        if (!atomic_compare_exchange_strong(&latch->cell, &cell, cell_of(waited, (uint32_t)(cell >> 32) + 1)))
            continue;
        bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
        int64_t nap = told ? deadline : clock_now() + THREAD_NAP;
        if (futex_sleep(&latch->word, waited, nap < deadline ? nap : deadline) == -ETIMEDOUT) {
            in_time = clock_now() < deadline;
            if (!told)
                mark_if_gone(latch, waited);
        }
    }
}

void latch_drop_slowly(struct robust_word *latch, uint32_t left)
{
    uint64_t cell = atomic_load(&latch->cell), dropped;
    do {
        dropped = cell_of((cell & FUTEX_WAITERS) | left, (uint32_t)(cell >> 32) + 1);
    } while (!atomic_compare_exchange_weak(&latch->cell, &cell, dropped));
    /* Killed from here to the wake: the word is pending and its id part 0, so the kernel wakes one in our place. */
    if (dropped & FUTEX_WAITERS && futex_wake(&latch->word, 1) == 0)
        atomic_compare_exchange_strong(&latch->cell, &dropped, dropped & ~(uint64_t)FUTEX_WAITERS);
}
