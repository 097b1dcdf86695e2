/* pool/work.h: what a pool has to do: the heads of its jobs and rings of calls, and the rack in which they are offered.
 *
 * A rack is a chain of places that only grows; a place's `order` says when the turn of its work is. A place holds a
 * work from when its caller offers it until it withdraws it; a worker that has named a work in its record (pool.h) and
 * then still finds it in its place may touch it until it takes the name away.
 */
#ifndef POOL_WORK_H
#define POOL_WORK_H

#include <brood/task.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RACK_PLACES 15
#define RACK_PICKS 64 /* works that are put into their order at once */
#define WORK_LEVELS (BROOD_PRIORITY_MOST - BROOD_PRIORITY_LEAST + 1)

enum work_kind { WORK_MAP, WORK_CALLS };

/* First in struct job and struct ring. Constant, but for the last. */
struct work {
    enum work_kind kind;
    unsigned level; /* of its priority: 0 is the highest */
    struct brood_pool *pool;
    struct caller *caller; /* whose it is */
    struct rack *rack;     /* where it is offered; by its caller, under the pool's guard, before it is */
};

static inline unsigned work_level(int priority)
{
    return (unsigned)(BROOD_PRIORITY_MOST - priority);
}

/* The order in which work is done, the lowest first: by its level, then in turn. A worker that comes from a map does
 * calls first: so it comes by them, though it goes round anew whenever something is put. */
#define RACK_LEVEL_SHIFT 56
#define RACK_MAP (UINT64_C(1) << 55)

static inline unsigned rack_level(uint64_t order)
{
    return (unsigned)(order >> RACK_LEVEL_SHIFT);
}

/* Set and cleared by callers, cleared by the keeper for dead ones, under the pool's guard; read by all. The order is
 * written first: who reads it beside another work, in passing, takes that in a wrong order. */
struct place {
    _Atomic(struct work *) work;
    _Atomic uint64_t order;
};

struct rack {
    _Alignas(64) struct place places[RACK_PLACES];
    _Atomic(struct rack *) next;
};

/* A work whose turn is to come. */
struct pick {
    struct place *place;
    uint64_t order;
};

/* The places whose turn is next after those of that order, the first one first, at most RACK_PICKS: how many. */
int rack_pick(struct rack *rack, bool calls_first, uint64_t after, struct pick picks[static RACK_PICKS]);

#endif
