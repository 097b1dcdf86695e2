/* pool/work.h: what a pool has to do: the heads of its jobs and rings of calls, and the rack in which they are offered.
 *
 * A rack is a chain of places that only grows. A place holds a work from when the creator offers it until it withdraws
 * it; a worker that has named a work in its record (pool.h) and then still finds it in its place may touch it until it
 * takes the name away.
 */
#ifndef POOL_WORK_H
#define POOL_WORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RACK_PLACES 15

enum work_kind { WORK_MAP, WORK_CALLS };

/* First in struct job and struct ring. Constant. */
struct work {
    enum work_kind kind;
    struct brood_pool *pool;
};

/* Places are set and cleared by the creator, under its guard; read by all. */
struct rack {
    _Alignas(64) _Atomic(struct work *) places[RACK_PLACES];
    _Atomic(struct rack *) next;
};

#endif
