/* brood/pool.h: a pool of worker processes that run tasks (brood/task.h).
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
 * lives on after a task: what that leaves behind (a lock it holds, an open file) stays with the worker. The copy of a
 * worker that a task, `begin` or `finish` makes by fork ends when it comes back from that, and so in an item that a
 * task asks of its own pool; a worker that a task makes another program of (exec) counts as one that died, and that
 * program is killed within a second. Workers begin with no signal blocked, whatever the creator has blocked, and with
 * SIGTERM and SIGCHLD at their defaults.
 *
 * Who may call: any thread of any process of the family that has the pool's address, which is the same in all; calls
 * are served side by side. Each process has its own results and callbacks. What ends the pool or changes its size is
 * for the process that created it: EPERM in others. Another process that is killed, or ends, anywhere in these calls
 * leaves the pool and its other callers untouched: what it had asked for and has not been begun is not run, what runs
 * is ended as by brood_result_cancel, and the keeper gives back what it had in the region, but for what it may have
 * been handed just then. If the creator is gone the pool is: others' calls fail with EOWNERDEAD, also those that wait.
 * The keeper then gives back what the creator had in it, but for the pool's own records, by which others know: some
 * 20 KiB for eight workers, until the family ends. Where the keeper is killed too nothing is given back.
 * If the keeper is killed only the creator can start another: others wait for its next call, half a second long; then
 * it is EAGAIN. So it is after five seconds where the creator is in a call already, but stands still. A caller that
 * makes another program of itself (exec) counts as one until that has ended.
 *
 * A task may create a pool of its own; and it may call brood_pool_map and brood_pool_apply of the very pool that runs
 * it, to any depth: its worker then runs their items itself, one after another, so nothing has to wait for a worker.
 * They are part of the task: its limits count, theirs do not (but for soft_ms), and an item that dies takes the task
 * with it. All else of its own pool is EPERM to a task. Before brood_init every call here fails with EINVAL.
 *
 * The calls here wait until what they asked for is done; those of brood/async.h return at once.
 */
#ifndef BROOD_POOL_H
#define BROOD_POOL_H

#include <brood/family.h>
#include <brood/process.h>
#include <brood/result.h>
#include <brood/task.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_pool brood_pool;

typedef struct brood_pool_options {
    const char *name;  /* in messages; NULL: "pool" */
    brood_start start; /* of the keeper, whose forks the workers are. BROOD_DEFAULT: as everywhere, but the fork server
                        * instead of fork where the program has other threads, whose locks a forked worker would inherit
                        * torn; the log says so (brood/log.h) */
    /* In each worker, before its first task: begin(arg). Not 0: the pool is broken: its workers end and none is
     * started, and its calls fail with ENOTRECOVERABLE and the sentence that brood_fail gave. And finish(arg), as a
     * worker leaves with nothing to do: when the pool ends in order, not by a death or brood_pool_terminate. NULL:
     * nothing. `arg` is handed as a process' (brood_process_start): arg_size bytes are copied; 0: the pointer itself,
     * which is NULL or in the region. */
    brood_target *begin, *finish;
    const void *arg;
    size_t arg_size;
    int max_tasks; /* items that a worker runs before it is replaced; 0: any number */
    /* Bytes of memory of its own (resident, private) that a worker may have; 0: any. One that has more when a chunk or
     * a call is done is replaced; one that gets there in a task is killed within some 10 ms, and the task has ended as
     * BROOD_OVER_MEMORY. Needs /proc. */
    size_t max_memory;
    /* So many workers that die, or exit, within so many milliseconds break the pool: its calls fail with
     * ENOTRECOVERABLE. Those that the pool ends itself do not count. At most 1,000; 0: any number. max_deaths_ms 0:
     * within whatever time. The count begins anew when the keeper dies. */
    int max_deaths, max_deaths_ms;
    bool timed; /* the items of every map are timed, for brood_pool_slowest (brood/stats.h): some 50 ns each */
    /* Each worker runs on one processor only: on those that the keeper may use, in turn, so that with more workers than
     * these some share one. Where that cannot be had it runs on any. */
    bool pinned;
    /* A file that gets a trace of the pool, for a timeline in Perfetto (ui.perfetto.dev) or chrome://tracing: a JSON
     * array of Chrome's trace events. Each process has a row, and each run of a task a span there: its function's name,
     * if the program is not stripped, its index, and how it ended; that of a task whose worker died ends with it. Items
     * of a task's own maps are spans in its span. Maps are spans of their callers (but not imap's, nor single tasks);
     * starts and deaths of workers and keepers, and resizes, are instants.
     * The file is emptied first; "%p" in its name is the creator's process id. It is written some 0.1 s late, by a
     * worker when it has run 256 tasks; it is whole JSON whoever dies, except while a write is under way: one that a
     * death has cut is mended by whoever comes next. A task takes about 0.5 us longer, and 150 bytes of the file; the
     * region holds 20 KiB for each worker. If the file cannot be written any more (a full disk), or a write takes
     * longer than a second, the trace ends, with a line in the log (brood/log.h), and the pool goes on.
     * NULL: none, unless BROOD_TRACE in the environment names a file; the process' second pool then has FILE.2, and so
     * on, and one whose file cannot be had is not traced, which the log tells. */
    const char *trace;
    void *reserved[7];
} brood_pool_options;

/* Makes a pool of `workers` processes, at most 1,024; 0: as many as brood_cpu_count(). Returns at once; the workers
 * start meanwhile. Yours to brood_pool_destroy.
 * NULL, EINVAL: workers is negative or too large; bad options (a negative number, more than 1,000 deaths); begin or
 * finish lies in no module; arg has no size and is not in the region; `trace` is no regular file.  EBUSY: another pool
 * writes its trace there.  EACCES, ENOENT, ...: as open(2) of it.  ENOMEM: no memory in the region.  EAGAIN: the
 * keeper could not be started: the limit of processes, or the family's table, is full. And what brood_process_start
 * says of a spawned process. */
BROOD_API brood_pool *brood_pool_create(int workers, const brood_pool_options *options);

/* Runs task(in + i * in_size, out + i * out_size) for every i below `count`, in the workers, in no order, and returns
 * when all have ended. Where `in` lies in the region the workers read it there; else it is copied. Where `out` lies in
 * the region results are written there at once; else they come when the call returns, those of items that failed
 * excepted: their `out` is left as it was. out_size 0 (and `out` NULL): no result; in_size 0: every item is handed `in`
 * itself, which must be NULL or in the region. Sizes may also be BROOD_BLOCKS and BROOD_STRINGS: items, or results, of
 * varying size.
 * 0: all returned 0.  > 0: how many failed; brood_error() has the sentence of the first (by index), `ends` all.
 * EINVAL: pool or task is NULL; a size without its array, or an array without its size; more than 2^40 items (2^28 on
 * 32-bit machines); bad options.  ENOMEM: sizes that overflow, or no room in the region for the copies.  ENOENT: the
 * workers cannot load the library the task is in, or not that build of it.  EAGAIN: the keeper, or a worker, died and
 * could not be replaced; the pool is usable again when the shortage is over; or this is another process' first call,
 * and the family's table is full.  EPIPE: the pool is closed.  ENOTRECOVERABLE: it is broken, and the sentence says by
 * what.  EOWNERDEAD: the process that created it is gone.
 * With ENOENT, EAGAIN, ENOTRECOVERABLE and EOWNERDEAD `ends` tells what has ended, and the results of that are there;
 * BROOD_RUNNING: not known to have ended, though it may have been begun. They come only when every item that a worker
 * is in has ended, since its task uses the arrays: a task that never ends holds up the refusal too. */
BROOD_API int brood_pool_map(brood_pool *pool, brood_task *task, const void *in, size_t in_size, void *out,
                             size_t out_size, size_t count, const brood_task_options *options);

/* The same for one item: task(in, out). It is served beside maps, not after them. Results as brood_pool_map's: 1: the
 * task failed. */
BROOD_API int brood_pool_apply(brood_pool *pool, brood_task *task, const void *in, size_t in_size, void *out,
                               size_t out_size, const brood_task_options *options);

/* Makes it a pool of `workers` processes, at most 1,024; 0: as many as brood_cpu_count(). What runs is not disturbed:
 * more are started at once, and those that are too many, of the highest indices, leave as soon as what they are at has
 * ended: a task, the item of a map, or its chunk, if its size was given; `finish` runs in them. Waits until there are
 * so many, ready for tasks, up to timeout_ms; of two calls at once both wait for what the later one asked for.
 * 0.  ETIMEDOUT: not yet, but it will be so.  EINVAL: pool is NULL; bad number or timeout.  ENOMEM, and then nothing is
 * changed: no memory in the region.  EPERM: another process' pool.  EAGAIN, EPIPE, ENOTRECOVERABLE: as
 * brood_pool_map. */
BROOD_API int brood_pool_resize(brood_pool *pool, int workers, int timeout_ms);

/* How many workers it has, or will have when a resize is done; EINVAL: NULL. */
BROOD_API int brood_pool_workers(const brood_pool *pool);

/* The process id of its keeper, and of worker `index` (from 0), for messages and tests; 0: being started just now.
 * EINVAL: NULL, or no such worker. */
BROOD_API int brood_pool_keeper(const brood_pool *pool);
BROOD_API int brood_pool_worker(const brood_pool *pool, int index);

/* No more tasks are taken (EPIPE), whoever asks; those there are run on. Not even of a source of brood_pool_imap is
 * more read. 0, also when it was closed before.  EPERM: another process' pool. */
BROOD_API int brood_pool_close(brood_pool *pool);

/* Closes it and ends at once what runs and what waits: workers are killed, the items of all results that have not ended
 * end as BROOD_CANCELLED, those being waited for by other threads and processes, too. Returns when the workers are
 * gone. 0.  EPERM: another process' pool. */
BROOD_API int brood_pool_terminate(brood_pool *pool);

/* Closes it, and waits until all that it was asked for, by any process, has ended and its workers have left. For this
 * they have a second (the pool's `finish` included) beyond timeout_ms, which is for the tasks; who stays is killed. The
 * results stay to be looked at, and the pool to be destroyed. 0.  ETIMEDOUT.  EBUSY: a thread is in another call that
 * waits.  EPERM: another process' pool.  EAGAIN, ENOTRECOVERABLE: as brood_pool_map; then what has not ended will
 * not. */
BROOD_API int brood_pool_join(brood_pool *pool, int timeout_ms);

/* Ends the workers and the keeper and frees the pool; returns when they are gone. Tasks of results that have not ended
 * are ended as brood_pool_terminate does; such results may still be looked at, and are to be destroyed. NULL is fine.
 * EBUSY: a thread is in a call that waits; or another process is, or has results of it that it has not destroyed: the
 * pool stays, but may be closed by now. Others must not be about to call it, or to wait for it, just then.
 * EPERM: another process' pool. */
BROOD_API int brood_pool_destroy(brood_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
