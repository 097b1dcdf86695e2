/* pool/pool.h: what creator, keeper and workers of a pool share.
 *
 * The pool, its workers' records and its jobs are blocks of the region. The creator makes jobs and waits; workers claim
 * chunks of them (pool/job.h); the keeper settles what a dead worker was at, and replaces it.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "os/thread.h"
#include "pool/job.h"
#include "process/table.h"
#include "wait/bell.h"

#include <brood/pool.h>

#define POOL_WORKERS 1024
#define POOL_JOBS 16 /* maps at once; further callers wait for one of them to end */

/* One worker's place. Written by its process alone while that lives; by the keeper when it is gone. */
struct worker {
    _Alignas(64) _Atomic int32_t pid; /* 0: there is none just now */
    uint32_t index;
    slot_id slot;               /* its process': the keeper's to release, but if that dies its successor's */
    _Atomic(struct job *) look; /* the one it may touch: that job's memory stays while this names it */
    _Atomic(struct job *) job;  /* the one it is in: set only when it was still offered after `look` was set */
    _Atomic uint64_t chunk;     /* the chunk it claims or has; named before it is claimed */
    _Atomic uint64_t item;      /* the item it runs, + 1; 0: it has begun none of this chunk */
    _Atomic bool served;        /* it has run a chunk to its end */
    struct failure *report;     /* a record that it was about to hand in */
    struct brood_pool *pool;
    struct end_note note; /* what its task says by brood_fail */
};

/* Where one map is offered. The keeper holds `duty` for its life, and the map's caller sleeps on it, so that the kernel
 * wakes the caller if the keeper dies. While it is held its FUTEX_OWNER_DIED bit means nothing to the kernel; here it
 * says PLACE_NEWS: look again. It is set by whoever has news (the job is finished, the pool is stuck), cleared by the
 * caller before it looks: so the word on which it then sleeps is another one if there was news meanwhile. */
struct place {
    _Alignas(64) struct robust_word duty;
    _Atomic(struct job *) job; /* put by the creator, and taken out by it */
};

#define PLACE_NEWS FUTEX_OWNER_DIED

struct brood_pool {
    struct bell work;          /* idle workers sleep here, until a job has a chunk to claim */
    _Atomic uint32_t closing;  /* the creator wants it ended */
    _Atomic int32_t stuck;     /* an errno while no worker lives and none can be started; else 0 */
    _Atomic uint32_t verdicts; /* how often that was found anew: a caller believes none from before its call */
    int32_t creator;           /* pid: only it may call */
    int32_t start;             /* brood_start of the keeper, as the creator asked */
    uint32_t count;            /* of workers; constant, as are the two below and the name */
    struct owner *owner;       /* the creator's private side: means nothing elsewhere */
    struct worker *workers;
    char name[SLOT_NAME];
    struct place places[POOL_JOBS];
};

/* There may be work, or the pool is closing: wakes the idle workers. */
void pool_offer(struct brood_pool *pool);

/* Something happened that the caller there, or all, must look at. */
void place_tell(struct place *place);
void pool_tell_callers(struct brood_pool *pool);

/* The targets of keeper and workers: arg is the pool, and the worker. */
int keeper_main(void *arg);
int worker_main(void *arg);

/* Has the pool a keeper that lives or is starting? If not, starts one. 0 or -errno with a sentence. In the creator. */
int pool_keep(struct brood_pool *pool);

#endif
