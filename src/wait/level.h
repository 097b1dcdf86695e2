/* wait/level.h: units that are taken and given one by one, and slept for while there is none.
 *
 * Word and number of units share a 64-bit cell, so each change of both is one CAS. The word has FUTEX_WAITERS if
 * someone may sleep and LEVEL_OPEN while there is a unit, and nothing else, so that the kernel wakes for a giver, or a
 * woken taker, that is killed (os/thread.h).
 *
 * Nobody sleeps while there is a unit: a sleeper sleeps only while the word is FUTEX_WAITERS alone. A giver that sees
 * FUTEX_WAITERS wakes one. It clears the bit if its wake found nobody and the cell is still the same; should that be
 * the same cell come back, with others asleep, then a wake is on its way to one of them, because there is a unit; and
 * whoever was woken sets the bit again: as it takes, as it falls asleep anew, or as it gives up; or it dies, and the
 * kernel wakes another. One that was woken and leaves units behind wakes the next.
 *
 * Some only want to know whether there is a unit, and take none: a wake that went to one of them would be wasted on it.
 * They sleep elsewhere, where the noun has them, and LEVEL_WATCHED says so: while it is set no unit is given but by one
 * who has told them first (level_give_told).
 */
#ifndef WAIT_LEVEL_H
#define WAIT_LEVEL_H

#include "os/thread.h"

#include <stdbool.h>

#define LEVEL_MOST INT32_MAX

enum { LEVEL_SEEN = 1 };

/* All by CAS of the cell, by anyone. */
struct level {
    union {
        struct {
            _Atomic uint32_t word;
            _Atomic uint32_t units;
        };
        _Alignas(8) _Atomic uint64_t cell;
    };
};

#define LEVEL_OPEN FUTEX_OWNER_DIED       /* a bit that the kernel does not look at where the id part is 0 */
#define LEVEL_WATCHED (UINT64_C(1) << 63) /* beside the units, of which there is none then */
#define LEVEL_SLEPT (LEVEL_WATCHED | FUTEX_WAITERS)

static inline uint32_t level_units(uint64_t cell)
{
    return (uint32_t)(cell >> 32) & LEVEL_MOST;
}

/* So many units, and what `slept` has of LEVEL_SLEPT. */
static inline uint64_t level_cell(uint32_t units, uint64_t slept)
{
    return (uint64_t)units << 32 | (slept & LEVEL_SLEPT) | (units ? LEVEL_OPEN : 0);
}

int level_take_slowly(struct thread *self, struct level *level, uint32_t cpu, int64_t deadline);
int level_give_slowly(struct thread *self, struct level *level, uint32_t most, uint64_t told);

/* For one who only wants to know: whether there is a unit. If not, the next giver is told LEVEL_SEEN. */
bool level_announce(struct level *level);

/* So many units, at once: before anyone else uses it. */
static inline void level_fill(struct level *level, uint32_t units)
{
    atomic_store(&level->cell, level_cell(units, 0));
}

/* Takes a unit, if there is one. */
static inline bool level_try(struct level *level)
{
    uint64_t cell = atomic_load_explicit(&level->cell, memory_order_relaxed);
    while (level_units(cell) > 0)
        if (atomic_compare_exchange_weak(&level->cell, &cell, level_cell(level_units(cell) - 1, cell)))
            return true;
    return false;
}

/* Takes a unit: 0, or -ETIMEDOUT. `cpu`: where the one that would give it was seen to run, + 1: wait/spin.h. */
static inline int level_take(struct thread *self, struct level *level, uint32_t cpu, int64_t deadline)
{
    return level_try(level) ? 0 : level_take_slowly(self, level, cpu, deadline);
}

/* Gives a unit. 0, or -EOVERFLOW: there would be more than `most`. LEVEL_SEEN: it has not, for some watch. */
static inline int level_give(struct thread *self, struct level *level, uint32_t most)
{
    uint64_t cell = atomic_load_explicit(&level->cell, memory_order_relaxed);
    while (!(cell & LEVEL_SLEPT) && level_units(cell) < most)
        if (atomic_compare_exchange_weak(&level->cell, &cell, level_cell(level_units(cell) + 1, 0)))
            return 0;
    return level_give_slowly(self, level, most, 0);
}

/* The same, by one who has told those who watch, and who begin to watch, that a unit may come. */
static inline int level_give_told(struct thread *self, struct level *level, uint32_t most)
{
    return level_give_slowly(self, level, most, LEVEL_WATCHED);
}

#endif
