/* pool/pool.c: creating and destroying pools, and their keepers as the creator sees them. */
#include "pool/pool.h"

#include "error/error.h"
#include "error/log.h"
#include "os/clock.h"
#include "os/futex.h"
#include "pool/call.h"
#include "pool/owner.h"
#include "pool/result.h"
#include "pool/task.h"
#include "pool/watched.h"
#include "process/process.h"
#include "process/start.h"
#include "region/heap.h"
#include "region/region.h"
#include "sync/noun.h"

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

void seat_tell(struct seat *seat)
{
    if (atomic_fetch_or(&seat->duty.word, SEAT_NEWS) & FUTEX_WAITERS)
        futex_wake(&seat->duty.word, FUTEX_EVERYONE);
    if (atomic_load(&seat->turn) & SEAT_WATCHED) {
        atomic_fetch_add(&seat->turn, 2 * SEAT_WATCHED);
        futex_wake(&seat->turn, FUTEX_EVERYONE);
    }
}

void pool_tell_callers(struct brood_pool *pool)
{
    for (int i = 0; i < POOL_SEATS; i++)
        seat_tell(&pool->seats[i]);
}

void work_settle(struct worker *worker, const brood_end *how)
{
    struct work *work = atomic_load(&worker->work);
    trace_settle(worker, how);
    task_settle_nests(worker); /* before its caller is told */
    if (work && work->kind == WORK_MAP)
        job_settle((struct job *)(void *)work, worker, how);
    else if (work)
        ring_settle((struct ring *)(void *)work, worker, how);
    tally_close(&worker->tally);
    atomic_store(&worker->work, NULL);
    atomic_store(&worker->look, NULL);
}

void pool_poke(struct brood_pool *pool)
{
    struct owner *owner = pool_owner(pool);
    pthread_mutex_lock(&owner->guard);
    if (owner->keeper)
        process_signal(owner->keeper, SIGTERM);
    pthread_mutex_unlock(&owner->guard);
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
    brood_process *keeper = process_start(keeper_main, pool, 0, &options, HANDLE_INTERNAL, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return keeper;
}

int pool_keep(struct brood_pool *pool)
{
    struct owner *owner = pool_owner(pool);
    int failed = 0;
    pthread_mutex_lock(&owner->guard);
    if (atomic_load(&pool->closing)) { /* it is the one's who ends the pool now */
        pthread_mutex_unlock(&owner->guard);
        return -ECANCELED;
    }
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

void pool_await_orphan(struct worker *worker, int64_t deadline)
{
    int32_t pid = atomic_load(&worker->pid);
    while ((pid && !thread_is_gone((uint32_t)pid)) || !table_reclaim(atomic_load(&worker->slot))) {
        if (clock_now() >= deadline)
            break;
        nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
    }
    heap_settle(); /* it may have died after its keeper was reaped */
}

/* The keeper is gone; its workers were killed with it. */
static void await_workers(struct brood_pool *pool)
{
    int64_t end = clock_deadline(POOL_END_MS);
    for (uint32_t i = 0; i < pool->count; i++)
        pool_await_orphan(pool_worker(pool, i), end);
}

static void discard(struct brood_pool *pool)
{
    struct owner *owner = pool_owner(pool);
    trace_discard(pool);
    if (owner) {
        calls_free(owner);
        functions_free(&owner->functions);
        pthread_mutex_destroy(&owner->guard);
        pthread_mutex_destroy(&owner->turns);
        free(owner);
    }
    for (struct rack *rack = atomic_load(&pool->rack.next), *next; rack; rack = next) {
        next = atomic_load(&rack->next);
        heap_give(rack, NULL);
    }
    for (uint32_t i = 0; i < pool->count; i++)
        task_settle_nests(pool_worker(pool, i)); /* of those who were ended with the pool */
    for (size_t i = 0; i < sizeof pool->crews / sizeof *pool->crews; i++)
        if (pool->crews[i])
            heap_give(pool->crews[i], NULL);
    if (pool->arg_copy)
        heap_give(pool->arg_copy, NULL);
    heap_give(pool, NULL);
}

static int check(int workers, const brood_pool_options *options)
{
    static const char call[] = "brood_pool_create";
    if (workers < 0 || workers > POOL_WORKERS)
        return error_set(EINVAL, "%s: %d workers: there must be 0 to %d", call, workers, POOL_WORKERS);
    if (!options)
        return 0;
    if (error_reserved(call, options->reserved, sizeof options->reserved / sizeof(void *)) < 0)
        return -EINVAL;
    if (options->start != BROOD_DEFAULT && !brood_start_name(options->start))
        return error_set(EINVAL, "%s: %d is no start method", call, (int)options->start);
    if (options->max_tasks < 0 || options->max_deaths < 0 || options->max_deaths > DEATHS_MOST ||
        options->max_deaths_ms < 0)
        return error_set(EINVAL,
                         "%s: max_tasks %d, max_deaths %d, max_deaths_ms %d: 0 is the least, 1,000 deaths the most",
                         call, options->max_tasks, options->max_deaths, options->max_deaths_ms);
    if (options->arg_size && !options->arg)
        return error_set(EINVAL, "%s: arg is NULL, and has a size", call);
    if (!options->arg_size && options->arg && !region_contains(options->arg))
        return error_set(EINVAL, "%s: arg_size is 0 and arg %p is not in the region", call, options->arg);
    return 0;
}

/* A hook of the user's is named, NULL is not. 0 or -errno. */
static int name_hook(struct owner *owner, brood_target *hook, const struct module_function **name)
{
    uintptr_t address;
    memcpy(&address, &hook, sizeof address);
    *name = hook ? function_name(&owner->functions, address, "brood_pool_create") : NULL;
    return hook && !*name ? -errno : 0;
}

static int take_options(struct brood_pool *pool, const brood_pool_options *options)
{
    pool->start = options ? (int32_t)options->start : BROOD_DEFAULT;
    snprintf(pool->name, sizeof pool->name, "%s", options && options->name ? options->name : "pool");
    if (!options)
        return 0;
    pool->max_tasks = options->max_tasks;
    pool->timed = options->timed;
    pool->pinned = options->pinned;
    pool->max_deaths = options->max_deaths;
    pool->max_deaths_ms = options->max_deaths_ms;
    pool->max_memory = options->max_memory < INT64_MAX ? (int64_t)options->max_memory : INT64_MAX;
    int failed = name_hook(pool_owner(pool), options->begin, &pool->begin);
    if (failed == 0)
        failed = name_hook(pool_owner(pool), options->finish, &pool->finish);
    if (failed < 0)
        return failed;
    pool->arg = (void *)(uintptr_t)options->arg;
    if (!options->arg_size)
        return 0;
    pool->arg = pool->arg_copy = heap_take_copy(options->arg_size, options->arg, options->arg_size);
    return pool->arg ? 0 : error_set(ENOMEM, "no memory in the region for an argument of %zu bytes", options->arg_size);
}

int pool_make_places(struct brood_pool *pool, uint32_t count)
{
    for (uint32_t i = atomic_load(&pool->count); i < count; i++) {
        struct worker **crew = &pool->crews[i / CREW_WORKERS];
        if (!*crew) {
            *crew = heap_take_aligned(CREW_WORKERS * sizeof **crew, 64);
            if (!*crew)
                return -ENOMEM;
            heap_label(*crew, "workers of a pool");
        }
        (*crew)[i % CREW_WORKERS].index = i;
        (*crew)[i % CREW_WORKERS].pool = pool;
    }
    if (pool->trace && trace_make_rings(pool, atomic_load(&pool->count), count) < 0)
        return -ENOMEM;
    if (count > atomic_load(&pool->count))
        atomic_store(&pool->count, count);
    return 0;
}

/* The blocks of a pool; NULL with errno, without a sentence. */
static struct brood_pool *lay_out(uint32_t count)
{
    struct brood_pool *pool = heap_take_aligned(sizeof *pool, 64);
    bool has_places = pool && pool_make_places(pool, count) == 0;
    struct owner *owner = has_places ? calloc(1, sizeof *owner) : NULL;
    if (!owner) {
        if (pool)
            discard(pool);
        error_set(ENOMEM, "no memory for a pool of %u workers", count);
        return NULL;
    }
    pthread_mutex_init(&owner->guard, NULL);
    owner->trace_file = -1;
    pthread_mutex_init(&owner->turns, NULL);
    heap_label(pool, "pool");
    owner->seats = UINT64_C(1) << (WATCH_SEAT - 1);
    pool->owner = owner;
    pool->creator = getpid();
    pool->wanted = count;
    return pool;
}

brood_pool *brood_pool_create(int workers, const brood_pool_options *options)
{
    if (region_enter() < 0 || check(workers, options) < 0)
        return NULL;
    uint32_t count = workers ? (uint32_t)workers : (uint32_t)brood_cpu_count();
    pool_can_be_watched();
    struct brood_pool *pool = lay_out(count > POOL_WORKERS ? POOL_WORKERS : count);
    if (!pool)
        return NULL;
    if (take_options(pool, options) == 0 && trace_open(pool, options ? options->trace : NULL) == 0 &&
        pool_keep(pool) == 0)
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
    return pool ? (int)atomic_load(&pool->wanted) : error_null("brood_pool_workers", "the pool");
}

int brood_pool_keeper(const brood_pool *pool)
{
    int failed = pool_enter(pool, "brood_pool_keeper");
    if (failed < 0)
        return failed;
    pthread_mutex_lock(&pool_owner(pool)->guard);
    brood_process *keeper = pool_owner(pool)->keeper;
    int pid = keeper && !process_await(keeper, NULL, 0) ? brood_process_pid(keeper) : 0;
    pthread_mutex_unlock(&pool_owner(pool)->guard);
    return pid;
}

int brood_pool_worker(const brood_pool *pool, int index)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!pool)
        return error_null("brood_pool_worker", "the pool");
    if (index < 0 || (uint32_t)index >= atomic_load(&pool->wanted))
        return error_set(EINVAL, "brood_pool_worker: pool '%s' has no worker %d", pool->name, index);
    return atomic_load(&pool_worker(pool, index)->pid);
}

/* ---- the end ---- */

/* Ends keeper and workers; returns when they are gone. */
static void end_processes(struct brood_pool *pool, uint32_t how)
{
    struct owner *owner = pool_owner(pool);
    if (atomic_load(&owner->ended))
        return;
    atomic_store(&pool->closing, how);
    pthread_mutex_lock(&owner->guard); /* whoever sees to the keeper has done so, and nobody will again */
    brood_process *keeper = owner->keeper;
    pthread_mutex_unlock(&owner->guard);
    if (keeper) {
        process_signal(keeper, SIGTERM);
        if (!process_await(keeper, NULL, clock_deadline(POOL_END_MS))) {
            process_signal(keeper, SIGKILL);
            process_await(keeper, NULL, CLOCK_NEVER);
        }
    }
    await_workers(pool);
    trace_finish(pool);
    atomic_store(&owner->ended, true);
    pool_tell_callers(pool);
}

/* No more tasks from here on. False, and nothing is changed: a thread waits here, and `alone` is wanted. */
static bool close_pool(struct owner *owner, bool alone)
{
    unsigned users = atomic_load(&owner->users);
    do {
        if (alone && (users & ~OWNER_CLOSED))
            return false;
    } while (!atomic_compare_exchange_weak(&owner->users, &users, users | OWNER_CLOSED));
    return true;
}

int brood_pool_close(brood_pool *pool)
{
    int failed = pool_enter(pool, "brood_pool_close");
    if (failed == 0)
        close_pool(pool_owner(pool), false);
    return failed;
}

int brood_pool_terminate(brood_pool *pool)
{
    int failed = pool_enter(pool, "brood_pool_terminate");
    if (failed < 0)
        return failed;
    close_pool(pool_owner(pool), false);
    atomic_fetch_add(&pool_owner(pool)->users, 1); /* it waits: the pool is not to be destroyed meanwhile */
    end_processes(pool, CLOSING_AT_ONCE);
    results_tell(pool, false, false);
    pool_leave(pool);
    return 0;
}

static bool has_news(void *owner)
{
    return results_have_news(owner, 0) || results_are_over(owner);
}

static void ask_all(void *owner, unsigned seat)
{
    results_ask(owner, seat);
}

int brood_pool_join(brood_pool *pool, int timeout_ms)
{
    static const char call[] = "brood_pool_join";
    int64_t deadline;
    int failed = pool_enter(pool, call);
    if (failed < 0 || (failed = noun_deadline(call, timeout_ms, &deadline)) < 0)
        return failed;
    struct owner *owner = pool_owner(pool);
    if (!close_pool(owner, true))
        return error_set(EBUSY, "pool '%s' is in use by another thread", pool->name);
    const struct await await = {
        .pool = pool, .over = has_news, .ask = ask_all, .context = owner, .deadline = deadline
    };
    if ((failed = pool_use(pool, call, false)) < 0)
        return failed;
    while (!results_are_over(owner) && (failed = pool_await(&await)) == 0)
        results_tell(pool, true, false);
    results_tell(pool, true, false);
    if (failed == -ETIMEDOUT) {
        failed = error_set(ETIMEDOUT, "pool '%s': not all that was asked for has ended", pool->name);
        pool_leave(pool);
        return failed;
    }
    end_processes(pool, failed < 0 ? CLOSING_AT_ONCE : CLOSING_ORDERLY);
    results_tell(pool, true, false); /* of those that will not end any more, too */
    pool_leave(pool);
    return failed == -ECANCELED ? 0 : failed;
}

int brood_pool_destroy(brood_pool *pool)
{
    if (!pool)
        return 0;
    int failed = pool_enter(pool, "brood_pool_destroy");
    if (failed < 0)
        return failed;
    struct owner *owner = pool_owner(pool);
    if (!close_pool(owner, true))
        return error_set(EBUSY, "pool '%s' is in use by another thread", pool->name);
    end_processes(pool, results_are_over(owner) ? CLOSING_ORDERLY : CLOSING_AT_ONCE);
    results_end(pool, -ECANCELED);
    owner_free_retired(owner, pool, true);
    if (owner->keeper)
        process_discard(owner->keeper);
    discard(pool);
    return 0;
}
