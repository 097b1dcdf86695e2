/* pool/pool.c: creating and destroying pools, and their keepers as the creator sees them. */
#include "pool/pool.h"

#include "error/error.h"
#include "error/log.h"
#include "os/clock.h"
#include "os/futex.h"
#include "pool/owner.h"
#include "process/process.h"
#include "process/start.h"
#include "region/heap.h"
#include "region/region.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEEPERS_MOST 300 /* killed in a row, in one map, until its caller is told */
#define KEEPERS_UNABLE 3 /* ended by themselves */
#define POOL_END_MS 5000 /* for a keeper to end its workers; then it is killed, and they with it */

void pool_offer(struct brood_pool *pool)
{
    struct thread *self = thread_self();
    bell_lift(self, &pool->work);
    bell_ring(self, &pool->work);
}

void place_tell(struct place *place)
{
    if (atomic_fetch_or(&place->duty.word, PLACE_NEWS) & FUTEX_WAITERS)
        futex_wake(&place->duty.word, FUTEX_EVERYONE);
}

void pool_tell_callers(struct brood_pool *pool)
{
    for (int i = 0; i < POOL_JOBS; i++)
        if (atomic_load(&pool->places[i].job))
            place_tell(&pool->places[i]);
}

int pool_enter(const struct brood_pool *pool, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!pool)
        return error_null(call, "the pool");
    if (pool->creator != getpid())
        return error_set(EPERM, "%s: pool '%s' belongs to process %d", call, pool->name, pool->creator);
    return 0;
}

/* By the fork server rather than fork where there are other threads now, whose locks it would hand on torn. SIGTERM is
 * held back: a handler of the program's must not run in it before it has its own. */
static brood_process *start_keeper(struct brood_pool *pool)
{
    brood_start start = (brood_start)pool->start;
    if (start == BROOD_DEFAULT && (start = start_default()) == BROOD_FORK && !thread_is_only()) {
        start = BROOD_FORKSERVER;
        log_say(BROOD_INFO, "pool '%s': by the fork server, since the program has other threads", pool->name);
    }
    char name[SLOT_NAME];
    snprintf(name, sizeof name, "%.20s keeper", pool->name);
    sigset_t term, before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &before);
    /* It survives as far as the start goes: it watches its creator by itself. */
    const brood_process_options options = { .name = name, .start = start, .survives = true };
    brood_process *keeper = process_start(keeper_main, pool, 0, &options, HANDLE_INTERNAL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return keeper;
}

int pool_keep(struct brood_pool *pool)
{
    struct owner *owner = pool->owner;
    int failed = 0;
    pthread_mutex_lock(&owner->guard);
    brood_end end;
    if (owner->keeper && process_await(owner->keeper, &end, 0)) {
        process_discard(owner->keeper);
        owner->keeper = NULL;
        /* One that ended by itself could not do its work, and the next will not either. */
        owner->fallen += end.how == BROOD_CRASHED ? 1 : KEEPERS_MOST / KEEPERS_UNABLE;
        if (owner->fallen >= KEEPERS_MOST)
            failed = error_set(EAGAIN, "pool '%s' cannot keep a keeper: the last one %s", pool->name,
                               end.why[0] ? end.why : "ended");
    }
    if (failed < 0)
        owner->fallen = 0; /* whoever calls again tries again */
    if (!owner->keeper && failed == 0) {
        owner->keeper = start_keeper(pool);
        failed = owner->keeper ? 0 : -errno;
    }
    pthread_mutex_unlock(&owner->guard);
    return failed;
}

/* The keeper is gone; its workers were killed with it, and this waits until they are gone too. */
static void await_workers(struct brood_pool *pool)
{
    int64_t end = clock_now() + (int64_t)POOL_END_MS * 1000000;
    for (uint32_t i = 0; i < pool->count; i++) {
        int32_t pid = atomic_load(&pool->workers[i].pid);
        while (pid && !thread_is_gone((uint32_t)pid) && clock_now() < end)
            nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
        if (pid)
            table_release(pool->workers[i].slot);
    }
}

static void discard(struct brood_pool *pool)
{
    struct owner *owner = pool->owner;
    if (owner) {
        pthread_cond_destroy(&owner->room);
        pthread_mutex_destroy(&owner->guard);
        free(owner);
    }
    if (pool->workers)
        heap_give(pool->workers, NULL);
    heap_give(pool, NULL);
}

static int check(int workers, const brood_pool_options *options)
{
    if (workers < 0 || workers > POOL_WORKERS)
        return error_set(EINVAL, "brood_pool_create: %d workers: there must be 0 to %d", workers, POOL_WORKERS);
    for (size_t i = 0; options && i < sizeof options->reserved / sizeof *options->reserved; i++)
        if (options->reserved[i])
            return error_set(EINVAL, "brood_pool_create: the options are of a newer brood (reserved[%zu])", i);
    if (options && options->start != BROOD_DEFAULT && !brood_start_name(options->start))
        return error_set(EINVAL, "brood_pool_create: %d is no start method", (int)options->start);
    return 0;
}

brood_pool *brood_pool_create(int workers, const brood_pool_options *options)
{
    if (region_enter() < 0 || check(workers, options) < 0)
        return NULL;
    uint32_t count = workers ? (uint32_t)workers : (uint32_t)brood_cpu_count();
    if (count > POOL_WORKERS)
        count = POOL_WORKERS;
    struct brood_pool *pool = heap_take(sizeof *pool, true);
    struct worker *records = pool ? heap_take(count * sizeof *records, true) : NULL;
    struct owner *owner = records ? calloc(1, sizeof *owner) : NULL;
    if (pool)
        pool->workers = records;
    if (!owner) {
        if (pool)
            discard(pool);
        error_set(ENOMEM, "no memory for a pool of %u workers", count);
        return NULL;
    }
    pthread_mutex_init(&owner->guard, NULL);
    pthread_cond_init(&owner->room, NULL);
    pool->owner = owner;
    pool->creator = getpid();
    pool->count = count;
    pool->start = options ? (int32_t)options->start : BROOD_DEFAULT;
    snprintf(pool->name, sizeof pool->name, "%s", options && options->name ? options->name : "pool");
    for (uint32_t i = 0; i < count; i++) {
        records[i].index = i;
        records[i].pool = pool;
    }
    if (pool_keep(pool) == 0)
        return pool;
    int failed = errno;
    discard(pool);
    errno = failed;
    return NULL;
}

int brood_pool_workers(const brood_pool *pool)
{
    if (region_enter() < 0)
        return -EINVAL;
    return pool ? (int)pool->count : error_null("brood_pool_workers", "the pool");
}

int brood_pool_keeper(const brood_pool *pool)
{
    int failed = pool_enter(pool, "brood_pool_keeper");
    if (failed < 0)
        return failed;
    pthread_mutex_lock(&pool->owner->guard);
    brood_process *keeper = pool->owner->keeper;
    int pid = keeper && !process_await(keeper, NULL, 0) ? brood_process_pid(keeper) : 0;
    pthread_mutex_unlock(&pool->owner->guard);
    return pid;
}

int brood_pool_worker(const brood_pool *pool, int index)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!pool)
        return error_null("brood_pool_worker", "the pool");
    if (index < 0 || (uint32_t)index >= pool->count)
        return error_set(EINVAL, "brood_pool_worker: pool '%s' has no worker %d", pool->name, index);
    return atomic_load(&pool->workers[index].pid);
}

int brood_pool_destroy(brood_pool *pool)
{
    if (!pool)
        return 0;
    int failed = pool_enter(pool, "brood_pool_destroy");
    if (failed < 0)
        return failed;
    struct owner *owner = pool->owner;
    pthread_mutex_lock(&owner->guard);
    bool busy = owner->users > 0;
    pthread_mutex_unlock(&owner->guard);
    if (busy)
        return error_set(EBUSY, "pool '%s' is in use by another thread", pool->name);
    atomic_store(&pool->closing, 1);
    if (owner->keeper) {
        process_signal(owner->keeper, SIGTERM);
        if (!process_await(owner->keeper, NULL, clock_deadline(POOL_END_MS))) {
            process_signal(owner->keeper, SIGKILL);
            process_await(owner->keeper, NULL, CLOCK_NEVER);
        }
        process_discard(owner->keeper);
    }
    await_workers(pool);
    owner_free_retired(owner, pool, true);
    discard(pool);
    return 0;
}
