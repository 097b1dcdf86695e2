/* brood/stats.h: what a pool is at, and has done since it was created.
 *
 * Counted always, by the workers themselves: some nanoseconds a call, and a chunk of a map. The figures are of no
 * single moment: workers go on while they are read. Items of a map are counted as its chunks are done. What a killed
 * worker was at is counted by the keeper; if that is killed just then too, one task may be counted twice or not at all.
 *
 * Any process of the family may call, but no task of the pool's own: EPERM. EINVAL: pool, or where to write, is NULL.
 */
#ifndef BROOD_STATS_H
#define BROOD_STATS_H

#include <brood/end.h>
#include <brood/pool.h>
#include <brood/result.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_pool_stats {
    int workers;   /* that live */
    int running;   /* of those: at tasks now */
    size_t queued; /* tasks that were asked for and have not been begun, about, what imap has read among them */
    /* Tasks, by how they ended: ended[BROOD_RETURNED], ... Those that were cancelled before they were begun, and maps
     * that were refused, are in none. */
    uint64_t ended[BROOD_OVER_MEMORY + 1];
    uint64_t retried;   /* times that a task was, or is to be, run again because its worker ended in it */
    uint64_t restarts;  /* workers that were started in place of another */
    int64_t busy_us;    /* of all workers together: at tasks, and */
    int64_t waiting_us; /* ... alive, and not at tasks */
    void *reserved[4];
} brood_pool_stats;

/* Fills in what the whole pool is at, and has done so far. 0. */
BROOD_API int brood_pool_stat(const brood_pool *pool, brood_pool_stats *stats);

/* The same of one worker's place, and all who have had it. */
typedef struct brood_worker_stats {
    int pid;        /* 0: it is being replaced just now */
    int busy;       /* 1: it is at a task */
    uint64_t tasks; /* that ended there */
    uint64_t restarts;
    int64_t busy_us, waiting_us;
    void *reserved[4];
} brood_worker_stats;

/* Of worker `index`, from 0. EINVAL: there is no such worker. */
BROOD_API int brood_pool_worker_stat(const brood_pool *pool, int index, brood_worker_stats *stats);

/* A task that took long. */
typedef struct brood_slow_task {
    char name[64];   /* its function: "+0x1234 of the program" */
    size_t index;    /* as brood_task_index */
    int64_t wall_us; /* how long its last attempt ran */
    brood_how how;
    int pid; /* of the worker that had it */
    void *reserved[4];
} brood_slow_task;

/* The slowest tasks so far, slowest first: fills in at most `room`, and returns how many. Each worker's place remembers
 * its eight slowest. Among them are all single calls and imap's, those items of maps that are timed (where `ends` are
 * wanted, or limits set, or with the pool's option `timed`), and of what a worker died in whatever is known. EINVAL:
 * room is negative. */
BROOD_API int brood_pool_slowest(const brood_pool *pool, brood_slow_task *tasks, int room);

#ifdef __cplusplus
}
#endif

#endif
