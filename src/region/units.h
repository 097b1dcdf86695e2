/* region/units.h: the heap's memory in units of 64 KiB: which are free, which are spans, which begin a large block.
 *
 * What is true is kinds[unit], one word: what the unit is, and how many units a large block has; 0 inside of one. So a
 * run is taken and given back by one store. The rest is derived; it changes under the latch, and whoever inherits that
 * rebuilds it.
 *
 * A unit's pages: `backed` says that they are accounted for and there; `dirty` that they may be there, and not zero.
 * `dirty` is set before the first page is asked for, and cleared when the last is gone; `backed` is set when all are
 * there, and cleared before the first goes. So refused or killed anywhere between we leave a unit that is dirty and not
 * backed: who takes it asks for its memory anew, and clears it; who tidies gives back what there is of it.
 * The bits of a free unit change under the latch, those of others by whoever is about to have it.
 */
#ifndef REGION_UNITS_H
#define REGION_UNITS_H

#include "region/intent.h"
#include "wait/latch.h"

#include <stddef.h>
#include <stdint.h>

#define UNIT ((size_t)1 << 16)
#define UNIT_SHIFT 16

#define UNITS_KEPT ((size_t)64)        /* free units that keep their pages at first: 4 MiB */
#define UNITS_KEPT_MOST ((size_t)1024) /* ... and as experience may have it */

/* A unit's kind: the low byte says what, the rest is of that. KIND_MAKING is a span, a large block, or a stretch to be
 * added to one, that its maker has not got yet (it is being backed and cleared, without the latch): free again if that
 * thread is gone. */
enum { KIND_FREE = 0, KIND_SPAN = 1, KIND_LARGE = 2, KIND_MAKING = 3 };

struct units {
    _Alignas(64) struct robust_word latch; /* guards kinds, and what follows to `taken` */
    struct intent intent;
    size_t hint;      /* no unit below is free; derived */
    size_t granted;   /* bytes that may still be backed before looking at the machine's memory again */
    size_t making;    /* how many runs are KIND_MAKING; derived */
    size_t discarded; /* units given back, and not wanted again so far */
    size_t tabled;    /* the tables' words for the units below are there: nobody touches others; only grows */
    /* The next four may be looked at without the latch. */
    _Atomic size_t held, idle; /* how many are not free; are free and dirty; derived */
    _Atomic size_t keep;       /* so many idle ones are kept: grows if what was given back is wanted again */
    _Atomic size_t peak;       /* the most that `held` has been */
    uint64_t *taken;           /* a bit a unit: it is not free; derived */
    _Atomic size_t top;        /* no unit from here on was ever used; only grows, as far as `tabled` */
    _Atomic uint64_t *backed;  /* a bit a unit: see above */
    _Atomic uint64_t *dirty;   /* a bit a unit: see above */
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

/* Units that so many bytes take. */
static inline size_t units_for(size_t size)
{
    return (size >> UNIT_SHIFT) + (size % UNIT != 0);
}

bool unit_backed(const struct units *units, size_t unit);
bool unit_dirty(const struct units *units, size_t unit);

/* The latch; inherited, what it guards is mended first. */
void units_lock(struct thread *self, struct units *units);
static inline void units_unlock(struct thread *self, struct units *units)
{
    latch_drop_light(self, &units->latch);
}

/* The next seven under the latch. */

/* Takes a run of free units, at an address that is a multiple of `step` units (a power of two), and says what it is.
 * -ENOMEM: there is none, or no memory for what the tables say of it. */
int units_take(struct units *units, size_t count, size_t step, uint64_t kind, size_t *taken);

/* Takes just that run, if it is free. 0 or -ENOMEM. */
int units_take_at(struct units *units, size_t unit, size_t count, uint64_t kind);

/* The run that begins there, of KIND_MAKING so far, is made. */
void units_make(struct units *units, size_t unit, uint64_t kind);

/* Gives back the run that begins there. */
void units_give(struct units *units, size_t unit);

/* The large block that begins there gives the units from its count-th on back; or it gets so many by the run that was
 * taken behind it, by us and as KIND_MAKING. */
void units_cut(struct units *units, size_t unit, size_t count);
void units_join(struct units *units, size_t unit, size_t count);

/* Frees the runs whose makers died making them. */
void units_sweep(struct units *units);

/* Without the latch, which they take. */

/* Has the system back units that the caller owns; 0 or -ENOMEM: the limits, or the machine, have no more. `zero`:
 * clears those that were used before. */
int units_back(struct thread *self, struct units *units, size_t unit, size_t count, bool zero);

/* Gives idle units back to the system until no more than `keep` are left; none where it has
 * refused this process before. */
void units_tidy(struct thread *self, struct units *units, size_t keep);

/* Whether there are so many idle ones that some had better be given back; asked without the latch it is a hint. */
static inline bool units_are_many(const struct units *units)
{
    return atomic_load_explicit(&units->idle, memory_order_relaxed) >
           atomic_load_explicit(&units->keep, memory_order_relaxed) + UNITS_KEPT / 2;
}

/* Under the latch: what is derived against what is true. 0, or -EUCLEAN with a sentence. */
int units_check(const struct units *units);

#endif
