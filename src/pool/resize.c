/* pool/resize.c: a pool that becomes larger or smaller as it runs.
 *
 * A pool's places only become more; `wanted` says how many of them are to have a worker, and is all that changes: the
 * keeper fills those below it, a worker at or above it leaves by itself.
 */
#include "error/error.h"
#include "pool/await.h"
#include "pool/owner.h"
#include "sync/noun.h"

#include <errno.h>

static bool is_as_wanted(void *context)
{
    const struct brood_pool *pool = context;
    uint32_t count = atomic_load(&pool->count), wanted = atomic_load(&pool->wanted);
    for (uint32_t i = 0; i < count; i++) {
        const struct worker *worker = pool_worker(pool, i);
        bool there = atomic_load(&worker->pid) != 0;
        if (there != (i < wanted) || (there && !atomic_load(&worker->ready)))
            return false;
    }
    return true;
}

/* Each worker that begins tells all, as long as someone waits, and so does the keeper of each that has ended. */
static void ask(void *context, unsigned seat)
{
    (void)context;
    (void)seat;
}

/* 0, or -ENOMEM with a sentence. */
static int want(struct brood_pool *pool, uint32_t workers)
{
    struct owner *owner = pool->owner;
    pthread_mutex_lock(&owner->guard);
    int failed = pool_make_places(pool, workers);
    if (failed == 0) {
        atomic_store(&pool->wanted, workers);
        atomic_fetch_add(&pool->offers, 1); /* who is in a chunk looks up */
    }
    pthread_mutex_unlock(&owner->guard);
    if (failed < 0)
        return error_set(ENOMEM, "no memory in the region for %u workers", workers);
    trace_resized(pool, workers);
    pool_offer(pool);
    pool_poke(pool);
    return 0;
}

int brood_pool_resize(brood_pool *pool, int workers, int timeout_ms)
{
    static const char call[] = "brood_pool_resize";
    int64_t deadline;
    int failed = pool_enter_creator(pool, call);
    if (failed < 0 || (failed = noun_deadline(call, timeout_ms, &deadline)) < 0)
        return failed;
    if (workers < 0 || workers > POOL_WORKERS)
        return error_set(EINVAL, "%s: %d workers: there must be 0 to %d", call, workers, POOL_WORKERS);
    if (workers == 0)
        workers = brood_cpu_count() < POOL_WORKERS ? brood_cpu_count() : POOL_WORKERS;
    if ((failed = owner_use(pool->owner, call, true)) < 0)
        return failed;
    const struct await await = {
        .pool = pool, .over = is_as_wanted, .ask = ask, .context = pool, .deadline = deadline
    };
    atomic_fetch_add(&pool->resizes, 1);
    failed = want(pool, (uint32_t)workers);
    if (failed == 0)
        failed = pool_await(&await);
    atomic_fetch_sub(&pool->resizes, 1);
    if (failed == -ETIMEDOUT)
        failed = error_set(ETIMEDOUT, "pool '%s' does not have %d workers yet", pool->name, workers);
    if (failed == -ECANCELED)
        failed = error_set(EPIPE, "%s: pool '%s' is closed", call, pool->name);
    int error = errno;
    owner_leave(pool->owner);
    errno = error;
    return failed;
}
