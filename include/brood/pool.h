/* brood/pool.h: a pool of worker processes that run tasks.
 *
 * A pool has a keeper, a small process that starts the workers, notices their deaths and replaces them. Keeper and
 * workers ignore SIGINT, SIGHUP and SIGQUIT, have the standard streams and no other descriptor of yours, and offer
 * themselves to the OOM killer before you (oom_score_adj). They end with the pool's creator, whichever way that ends.
 *
 * Crash rule: a task whose worker dies costs itself: its end says how (brood_end), the other items of its chunk still
 * run, the worker is replaced. If the keeper is killed its workers die with it; the tasks they were at end as
 * BROOD_LOST, a new keeper and new workers are started by the next or the running call, and the rest goes on. With
 * `retries` a task that ended by a death is run again. Nothing here hangs for a death.
 *
 * What workers see: forked ones have the program's memory as it was when the pool was created (or its keeper replaced),
 * spawned ones start afresh. So what tasks are to share, and all that items point to, must lie in the region. A worker
 * lives on after a task: what that leaves behind (a lock it holds, an open file) stays with the worker.
 *
 * A pool belongs to the process that created it: calls from another are EPERM. Its threads may share it; their calls
 * are served side by side. Before brood_init every call here fails with EINVAL.
 */
#ifndef BROOD_POOL_H
#define BROOD_POOL_H

#include <brood/end.h>
#include <brood/family.h>
#include <brood/result.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_pool brood_pool;

/* What a pool runs for each item: reads the item at `in`, writes its result at `out` (zeroed before, unless it lies in
 * the region: then as the caller, or an attempt that died, left it). Both are aligned as the caller's arrays are, up to
 * 16 bytes. 0: the result counts. Anything else: the item failed (brood_fail gives the reason). */
typedef int brood_task(const void *in, void *out);

typedef struct brood_pool_options {
    const char *name;  /* in messages; NULL: "pool" */
    brood_start start; /* of the keeper, whose forks the workers are. BROOD_DEFAULT: as everywhere, but the fork server
                        * instead of fork where the program has other threads, whose locks a forked worker would inherit
                        * torn; the log says so (brood/log.h) */
    void *reserved[8];
} brood_pool_options;

typedef struct brood_task_options {
    size_t chunk; /* items handed to a worker together; 0: by itself, a 64th of each worker's share */
    int retries; /* how often an item is run again after its worker ended in it, by a death or by exit; at most 1,000 */
    brood_end *ends; /* one an item, filled for all items; NULL: not wanted */
    /* Called in the caller's thread while it waits, at most every 100 ms, and once at the end; it must not call into
     * the same pool. NULL: none. */
    void (*progress)(void *context, size_t done, size_t count);
    void *context; /* for progress */
    void *reserved[8];
} brood_task_options;

/* Makes a pool of `workers` processes, at most 1,024; 0: as many as brood_cpu_count(). Returns at once; the workers
 * start meanwhile. Yours to brood_pool_destroy.
 * NULL, EINVAL: workers is negative or too large; bad options.  ENOMEM: no memory in the region.  EAGAIN: the keeper
 * could not be started: the limit of processes, or the family's table, is full. And what brood_process_start says of a
 * spawned process. */
BROOD_API brood_pool *brood_pool_create(int workers, const brood_pool_options *options);

/* Runs task(in + i * in_size, out + i * out_size) for every i below `count`, in the workers, in no order, and returns
 * when all have ended. Where `in` lies in the region the workers read it there; else it is copied. Where `out` lies in
 * the region results are written there at once; else they come when the call returns, those of items that failed
 * excepted: their `out` is left as it was. out_size 0 (and `out` NULL): no result; in_size 0: every item is handed `in`
 * itself, which must be NULL or in the region.
 * `task` must be a function of the program or of a library; one that the workers have not loaded they load by its path.
 * 0: all returned 0.  > 0: how many failed; brood_error() has the sentence of the first (by index), `ends` all.
 * EINVAL: pool or task is NULL; a size without its array, or an array without its size; more than 2^40 items; bad
 * options.  ENOMEM: sizes that overflow, or no room in the region for the copies.  ENOENT: the workers cannot load the
 * library the task is in, or not that build of it.  EPERM: another process' pool.  EAGAIN: the keeper, or a worker,
 * died and could not be replaced; `ends` tells what was not run (BROOD_RUNNING); the pool is usable again when the
 * shortage is over. Both of these come only when every item that a worker is in has ended, since its task uses the
 * arrays: a task that never ends holds up the refusal too. */
BROOD_API int brood_pool_map(brood_pool *pool, brood_task *task, const void *in, size_t in_size, void *out,
                             size_t out_size, size_t count, const brood_task_options *options);

/* Inside a task: the index of its item. 0 elsewhere. */
BROOD_API size_t brood_task_index(void);

/* How many workers it has; EINVAL: NULL. */
BROOD_API int brood_pool_workers(const brood_pool *pool);

/* The process id of its keeper, and of worker `index` (from 0), for messages and tests; 0: being replaced just now.
 * EINVAL: NULL, or no such worker. */
BROOD_API int brood_pool_keeper(const brood_pool *pool);
BROOD_API int brood_pool_worker(const brood_pool *pool, int index);

/* Ends the workers and the keeper and frees the pool; returns when they are gone. NULL is fine.
 * EBUSY: a thread is in brood_pool_map.  EPERM: another process' pool. */
BROOD_API int brood_pool_destroy(brood_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
