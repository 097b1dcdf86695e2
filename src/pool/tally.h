/* pool/tally.h: what a worker's place has done: brood/stats.h says what for.
 *
 * Written by the worker alone, and for a dead one by the keeper, so a count is a load and a store. Anyone may read.
 */
#ifndef POOL_TALLY_H
#define POOL_TALLY_H

#include "os/module.h"

#include <brood/end.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TALLY_SLOWEST 8
#define TALLY_HOWS (BROOD_OVER_MEMORY + 1)

/* A task that took long. */
struct slow {
    const struct module_function *task;
    uint64_t index;
    int64_t wall; /* ns */
    int32_t how, pid;
};

struct tally {
    _Atomic uint64_t ended[TALLY_HOWS];
    _Atomic uint64_t counted;     /* the items of the chunk that it is at are, up to this one; said before it has it */
    _Atomic uint64_t failed_here; /* of `ended`, BROOD_FAILED: of those from there on */
    _Atomic uint64_t retried, starts;
    _Atomic int64_t busy, lived; /* ns, of what is over; `lived`: of those who had the place before */
    _Atomic int64_t born, since; /* os/clock.h: of this one, and when it began what it is at; 0: it is at nothing */
    _Atomic int64_t least;       /* of the slowest; who is not slower need not be looked at */
    _Atomic uint32_t version;    /* of the slowest; odd: they are being changed */
    struct slow slowest[TALLY_SLOWEST];
};

static inline void tally_add(_Atomic uint64_t *count, uint64_t more)
{
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + more, memory_order_relaxed);
}

/* It is at something from `now` on (os/clock.h); it was. */
static inline void tally_begin(struct tally *tally, int64_t now)
{
    atomic_store_explicit(&tally->since, now, memory_order_relaxed);
}

static inline void tally_stop(struct tally *tally, int64_t now)
{
    int64_t since = atomic_load_explicit(&tally->since, memory_order_relaxed);
    int64_t busy = atomic_load_explicit(&tally->busy, memory_order_relaxed);
    atomic_store_explicit(&tally->since, 0, memory_order_relaxed);
    if (since)
        atomic_store_explicit(&tally->busy, busy + now - since, memory_order_relaxed);
}

/* Items of the chunk have been run to their end, up to that one, those that failed among them. While the chunk is still
 * the worker's: of what was not counted when it dies the keeper knows. */
static inline void tally_chunk(struct tally *tally, uint64_t item)
{
    uint64_t items = item - atomic_load_explicit(&tally->counted, memory_order_relaxed);
    uint64_t failed = atomic_load_explicit(&tally->failed_here, memory_order_relaxed);
    atomic_store_explicit(&tally->counted, item, memory_order_relaxed);
    atomic_store_explicit(&tally->failed_here, 0, memory_order_relaxed);
    tally_add(&tally->ended[BROOD_RETURNED], items > failed ? items - failed : 0);
}

void tally_keep_slow(struct tally *tally, const struct slow *slow);

/* A task that was timed has ended, or its worker in it. */
static inline void tally_slow(struct tally *tally, const struct module_function *task, uint64_t index, int64_t wall,
                              brood_how how, int32_t pid)
{
    if (wall > atomic_load_explicit(&tally->least, memory_order_relaxed))
        tally_keep_slow(tally, &(struct slow){ task, index, wall, (int32_t)how, pid });
}

/* A worker has the place from now on; it is gone. */
void tally_open(struct tally *tally);
void tally_close(struct tally *tally);

/* The slowest, in no order: how many. */
int tally_read_slowest(const struct tally *tally, struct slow slowest[static TALLY_SLOWEST]);

#endif
