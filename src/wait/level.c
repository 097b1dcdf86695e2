/* wait/level.c */
#include "wait/level.h"

#include "os/futex.h"
#include "wait/latch.h"
#include "wait/spin.h"

#include <errno.h>

/* Takes one, if there is one. It leaves FUTEX_WAITERS as it is, or sets it. */
static bool take(struct level *level, uint64_t waiters, uint32_t *left)
{
    uint64_t cell = atomic_load_explicit(&level->cell, memory_order_relaxed);
    while (level_units(cell) > 0) {
        *left = level_units(cell) - 1;
        if (atomic_compare_exchange_weak(&level->cell, &cell, level_cell(*left, cell | waiters)))
            return true;
    }
    return false;
}

static void spin_until_open(struct thread *self, struct level *level, uint32_t cpu)
{
    if (!spin_pays(cpu))
        return;
    int64_t end = clock_now() + self->spin;
    for (;;) {
        for (int i = 0; i < 32; i++)
            cpu_pause();
        bool open = atomic_load_explicit(&level->word, memory_order_relaxed) & LEVEL_OPEN;
        if (open || clock_now() >= end) {
            spin_learn(self, open);
            return;
        }
    }
}

int level_take_slowly(struct thread *self, struct level *level, uint32_t cpu, int64_t deadline)
{
    uint32_t left = 0;
    if (deadline == LATCH_TRY)
        return -ETIMEDOUT;
    spin_until_open(self, level, cpu);
    int result = 0;
    bool woken = false, in_time = true;
    thread_expects(self, &level->word);
    while (!take(level, woken ? FUTEX_WAITERS : 0, &left)) {
        /* Announced anew before each sleep, and by one who leaves after he was woken: others may be asleep. */
        uint64_t cell = atomic_load(&level->cell);
        if (level_units(cell) ||
            !atomic_compare_exchange_strong(&level->cell, &cell, level_cell(0, cell | FUTEX_WAITERS)))
            continue;
        if (!in_time) {
            result = -ETIMEDOUT;
            break;
        }
        bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
        int64_t nap = told ? deadline : clock_now() + THREAD_NAP;
        if (futex_sleep(&level->word, FUTEX_WAITERS, nap < deadline ? nap : deadline) == -ETIMEDOUT)
            in_time = clock_now() < deadline;
        else
            woken = true;
    }
    if (result == 0 && woken && left)
        futex_wake(&level->word, 1);
    thread_expects(self, NULL);
    return result;
}

bool level_announce(struct level *level)
{
    uint64_t cell = atomic_load(&level->cell);
    while (level_units(cell) == 0)
        if (atomic_compare_exchange_weak(&level->cell, &cell, level_cell(0, cell | LEVEL_WATCHED)))
            return false;
    return true;
}

int level_give_slowly(struct thread *self, struct level *level, uint32_t most, uint64_t told)
{
    uint64_t cell = atomic_load_explicit(&level->cell, memory_order_relaxed), given;
    do {
        if (level_units(cell) >= most) {
            thread_expects(self, NULL);
            return -EOVERFLOW;
        }
        if (cell & LEVEL_WATCHED & ~told) {
            thread_expects(self, NULL);
            return LEVEL_SEEN;
        }
        if (cell & FUTEX_WAITERS)
            thread_expects(self, &level->word);
        given = level_cell(level_units(cell) + 1, cell & ~told);
    } while (!atomic_compare_exchange_weak(&level->cell, &cell, given));
    if (given & FUTEX_WAITERS && futex_wake(&level->word, 1) == 0)
        atomic_compare_exchange_strong(&level->cell, &given, given & ~(uint64_t)FUTEX_WAITERS);
    thread_expects(self, NULL);
    return 0;
}
