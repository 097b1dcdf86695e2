/* pool/owner.c: who may call a pool, and what each call begins and ends with. */
#include "pool/owner.h"

#include "error/error.h"
#include "pool/result.h"
#include "region/region.h"

#include <errno.h>

int pool_enter(const struct brood_pool *pool, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!pool)
        return error_null(call, "the pool");
    if (pool->creator != thread_self()->process)
        return error_set(EPERM, "%s: pool '%s' belongs to process %d", call, pool->name, pool->creator);
    return 0;
}

int pool_use(struct brood_pool *pool, const char *call, bool submits)
{
    int failed = pool_enter(pool, call);
    if (failed < 0)
        return failed;
    struct owner *owner = pool_owner(pool);
    if ((atomic_fetch_add(&owner->users, 1) & OWNER_CLOSED) && submits) {
        pool_leave(pool);
        return error_set(EPIPE, "%s: pool '%s' is closed", call, pool->name);
    }
    if (atomic_load_explicit(&owner->callbacks, memory_order_relaxed))
        results_tell(pool, false, submits);
    if (!submits)
        return 0;
    if (atomic_load(&pool->broken))
        failed = error_set(ENOTRECOVERABLE, "pool '%s' is broken: %s", pool->name, pool->why);
    else if (!pool_is_kept(pool))
        failed = pool_keep(pool);
    if (failed == -ECANCELED) /* another thread has just ended it */
        failed = error_set(EPIPE, "%s: pool '%s' is closed", call, pool->name);
    if (failed < 0)
        pool_leave(pool);
    return failed;
}

void pool_leave(struct brood_pool *pool)
{
    atomic_fetch_sub(&pool_owner(pool)->users, 1);
}

void pool_cancel_turn(struct brood_pool *pool, struct worker *worker,
                      bool (*is_its)(const struct worker *, const void *), const void *what, int64_t at)
{
    struct turn *turn = &worker->turn;
    pthread_mutex_lock(&pool_owner(pool)->turns); /* or one who was late with an old turn would undo a newer one's */
    uint64_t word = atomic_load(&turn->word);
    if (turn_is_open(word) && is_its(worker, what) && atomic_load(&turn->word) == word) {
        atomic_store(&turn->cancel_at, at);
        atomic_store(&turn->cancel, word);
    }
    pthread_mutex_unlock(&pool_owner(pool)->turns);
}
