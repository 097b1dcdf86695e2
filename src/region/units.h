/* region/units.h: the heap's memory in units of 64 KiB: which are free, which are spans, which begin a large block.
 *
 * What is true is kinds[unit], one word: what the unit is, and how many units a large block has; 0 inside of one. So a
 * run is taken and given back by one store. The rest is derived; it changes under the latch, and whoever inherits that
 * rebuilds it.
 */
#ifndef REGION_UNITS_H
#define REGION_UNITS_H

#include "region/intent.h"
#include "wait/latch.h"

#include <stddef.h>
#include <stdint.h>

#define UNIT ((size_t)1 << 16)
#define UNIT_SHIFT 16

/* A unit's kind: the low byte says what, the rest is of that. KIND_MAKING is a large block that its maker has not got
 * yet (it is being backed and cleared, without the latch): free again if that thread is gone. */
enum { KIND_FREE = 0, KIND_SPAN = 1, KIND_LARGE = 2, KIND_MAKING = 3 };

struct units {
    _Alignas(64) struct robust_word latch; /* guards kinds, and the next four */
    struct intent intent;
    size_t hint;              /* no unit below is free; derived */
    size_t granted;           /* bytes that may still be backed before looking at the machine's memory again */
    uint64_t *taken;          /* a bit a unit: it is not free; derived */
    _Atomic size_t top;       /* no unit from here on was ever used; only grows */
    _Atomic uint64_t *backed; /* a bit a unit: the system has given its pages. Set by the unit's owner */
    _Atomic uint64_t *kinds;
    size_t count; /* constant, as where the tables lie and the next */
    char *first;  /* of unit 0 */
};

static inline uint64_t kind_of_span(unsigned rank, unsigned arena)
{
    return KIND_SPAN | rank << 8 | arena << 16;
}

static inline uint64_t kind_of_large(size_t units)
{
    return KIND_LARGE | (uint64_t)units << 16;
}

#define KIND_COUNT_BITS 26 /* of KIND_MAKING; its maker's thread id, of 30 bits, lies above */

static inline uint64_t kind_of_making(size_t units, uint32_t maker)
{
    return KIND_MAKING | (uint64_t)units << 8 | (uint64_t)maker << (8 + KIND_COUNT_BITS);
}

static inline uint32_t kind_maker(uint64_t kind)
{
    return (uint32_t)(kind >> (8 + KIND_COUNT_BITS));
}

static inline size_t kind_units(uint64_t kind)
{
    if ((kind & 0xff) == KIND_MAKING)
        return (size_t)(kind >> 8) & (((size_t)1 << KIND_COUNT_BITS) - 1);
    return (kind & 0xff) == KIND_LARGE ? (size_t)(kind >> 16) : 1;
}

static inline char *unit_start(const struct units *units, size_t unit)
{
    return units->first + (unit << UNIT_SHIFT);
}

static inline size_t unit_of(const struct units *units, const void *block)
{
    return (size_t)((const char *)block - units->first) >> UNIT_SHIFT;
}

bool unit_backed(const struct units *units, size_t unit);

/* The latch; inherited, what it guards is mended first. */
void units_lock(struct thread *self, struct units *units);
static inline void units_unlock(struct thread *self, struct units *units)
{
    latch_drop(self, &units->latch);
}

/* Under the latch: takes a run of free units and says what it is; -ENOMEM: there is none. */
int units_take(struct units *units, size_t count, uint64_t kind, size_t *taken);

/* Under the latch: gives back the run that begins there. */
void units_give(struct units *units, size_t unit);

/* Under the latch: whether the machine has memory for those of the run that are not backed yet. 0 or -ENOMEM. */
int units_grant(struct units *units, size_t unit, size_t count);

/* Has the system back units that the caller owns; 0 or -ENOMEM. `zero`: clears those that were used before. */
int units_back(struct units *units, size_t unit, size_t count, bool zero);

/* Under the latch: what is derived against what is true. 0, or -EUCLEAN with a sentence. */
int units_check(const struct units *units);

#endif
