/* brood/async.h: results that come later: calls of a pool that return at once, and what they return.
 *
 * A brood_result is the caller's handle of what a pool has been asked for: get it by brood_result_wait or
 * brood_result_next, give it back by brood_result_destroy. `in` has been read when the call returns, but
 * what of it lies in the region: tasks read that there as they run, and write there where `out` lies in the region. So
 * that, `out` and `ends` must stay until brood_result_wait has returned something else than ETIMEDOUT, or the result is
 * destroyed. `out` and `ends` outside the region are written inside brood_result_wait, and in brood_pool_destroy, which
 * waits for no task but ends them.
 *
 * For loops: brood_wait and brood_watch (brood/wait.h) take results among other things, and pools for their callbacks.
 *
 * multiprocessing's AsyncResult in these words: get and wait are brood_result_wait; ready is brood_result_wait(result,
 * 0) != -ETIMEDOUT; successful is its being 0; callback and error_callback are `done` of brood_task_options.
 *
 * Crash rule: as brood/pool.h says of each task. Neither a worker's nor the keeper's death leaves a result without its
 * end; nobody hangs on one.
 *
 * Any thread of the process that asked for it may use a result; EPERM: a child that was forked since; to others its
 * address means nothing. It ends with that process. If the process that created the pool is gone, what has not ended
 * will not: EOWNERDEAD.
 */
#ifndef BROOD_ASYNC_H
#define BROOD_ASYNC_H

#include <brood/end.h>
#include <brood/pool.h>
#include <brood/result.h>
#include <brood/task.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As brood_pool_map and brood_pool_apply, but they return at once; options->progress is called inside brood_result_wait
 * (not of apply_async). NULL with errno as those calls say; what only the workers can find out (ENOENT) or is a matter
 * of time (EAGAIN) comes by brood_result_wait. */
BROOD_API brood_result *brood_pool_map_async(brood_pool *pool, brood_task *task, const void *in, size_t in_size,
                                             void *out, size_t out_size, size_t count,
                                             const brood_task_options *options);
BROOD_API brood_result *brood_pool_apply_async(brood_pool *pool, brood_task *task, const void *in, size_t in_size,
                                               void *out, size_t out_size, const brood_task_options *options);

/* Where imap's items come from: puts the next one at `in`: `in_size` bytes; with BROOD_BLOCKS a brood_block, with
 * BROOD_STRINGS a char *, whose bytes need to stay until the next call only: here they are copied even from the region.
 * 0: done.  1: there are no more.  Anything below 0: it failed; brood_result_next hands that code on when what was read
 * before has been told. Called inside brood_pool_imap and brood_result_next, by one thread at a time; it must not call
 * into the same pool. */
typedef int brood_source(void *context, void *in);

/* Runs the task for what `source` yields, and hands the results out one by one: brood_result_next. The source, which
 * may be endless, is read only as far ahead as options->ahead says, so memory is bounded. Each item is a task of its
 * own: where those are tiny, brood_pool_map is faster. in_size 0: the task is handed NULL, and the source only says
 * whether there is one more. options->ends, chunk and done are not for this: EINVAL; options->progress is called inside
 * brood_result_next.
 * NULL with errno as brood_pool_apply_async; EINVAL too: source is NULL. */
BROOD_API brood_result *brood_pool_imap(brood_pool *pool, brood_task *task, brood_source *source, void *context,
                                        size_t in_size, size_t out_size, const brood_task_options *options);

/* Waits until all has ended: 0: all returned 0.  > 0: how many did not, with the sentence of the first.  ETIMEDOUT: not
 * yet.  Else what brood_pool_map or brood_pool_apply would have returned. It says the same again when called again.
 * EINVAL: result is NULL, or imap's; bad timeout. */
BROOD_API int brood_result_wait(brood_result *result, int timeout_ms);

/* Of brood_pool_imap: the next result, at `out`: `out_size` bytes, or a brood_block (NULL: not wanted, if out_size is
 * 0; a block then is given back). `end`, if not NULL, says whose it is (index) and how it ended.
 * 0: it returned 0.  1: it did not, and `out` is as it was; brood_error() says why.  EPIPE: there are no more.
 * ETIMEDOUT: not yet.  A negative code of the source's.  ENOMEM: no room in the region for further items: what was
 * read before has been told, and the same item is tried again by the next call.  EBUSY: another thread is in it.  Else
 * as brood_result_wait. */
BROOD_API int brood_result_next(brood_result *result, void *out, brood_end *end, int timeout_ms);

/* How brood_pool_apply_async's task ended, with its run time and its worker's pid; BROOD_RUNNING: it has not, or is
 * still waiting. EINVAL: NULL, or a map's or imap's: those have `ends`, and brood_result_next. */
BROOD_API int brood_result_end(brood_result *result, brood_end *end);

/* Nothing more of it is wanted: what has not begun is not run; what runs is told (brood_task_expired), and after
 * `grace_ms` milliseconds (0: at once; BROOD_FOREVER: never) its worker is killed and replaced. What was not run, or
 * not to its end, ends as BROOD_CANCELLED, the rest as it does. Returns at once: brood_result_wait waits for all that.
 * Of imap no more is read: brood_result_next tells what was, then EPIPE.
 * 0, also when all has ended already, or the pool has, by its creator's death too.  EINVAL: NULL; bad grace.
 * EAGAIN: as brood_pool_map. */
BROOD_API int brood_result_cancel(brood_result *result, int grace_ms);

/* Calls the callbacks (`done`) of this thread's results that are there; how many. Every call that waits does the same,
 * and one that submits does for those among the four oldest results: who only submits calls this now and then. For
 * loops: BROOD_WAIT_POOL says when there are some. EINVAL: pool is NULL.  EPERM: a task's own pool.  EAGAIN, ENOMEM:
 * this is the process' first call, and the family's table is full, or there is no memory. */
BROOD_API int brood_pool_callbacks(brood_pool *pool);

/* Gives the handle back. NULL is fine. EBUSY: something of it has not ended, or another thread is in its `done`, or in
 * brood_result_next. Imap's is not refused for what has not ended: what has not begun is not run, and this waits for
 * what runs. */
BROOD_API int brood_result_destroy(brood_result *result);

#ifdef __cplusplus
}
#endif

#endif
