/* pool/pool.c: creating and destroying pools, and their keepers as the creator sees them. */
#include "pool/pool.h"

#include "error/error.h"
#include "error/log.h"
#include "os/child.h"
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

#define KEEPERS_MOST 300        /* killed in a row, in one map, until its caller is told */
#define KEEPERS_UNABLE 3        /* ended by themselves */
#define KEEPER_MISSED 500000000 /* ns that others than the creator wait for another, */
#define KEEPER_DUE 5000000000   /* and for one that seems to begin, or that the creator is about to start */
#define POOL_END_MS 5000        /* for a keeper to end its workers; then it is killed, and they with it */

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

/* The keeper, as all see it: it holds the duty words, and has one thread. 0: none is on duty. */
static int32_t keeper_on_duty(const struct brood_pool *pool)
{
    return (int32_t)(atomic_load(&pool->seats[0].duty.word) & FUTEX_TID_MASK);
}

/* By a process that is not its parent: no stranger that got its pid is meant, since it was still on duty once the pidfd
 * was there, or, where no descriptor is free, just now. */
static void poke_from_afar(const struct brood_pool *pool)
{
    int32_t keeper = keeper_on_duty(pool);
    int pidfd = keeper ? child_pidfd(keeper) : -1;
    if (keeper && (pidfd >= 0 || pool_is_kept(pool)) && keeper_on_duty(pool) == keeper)
        child_signal(keeper, pidfd, SIGTERM);
    if (pidfd >= 0)
        close(pidfd);
}

void pool_poke(struct brood_pool *pool)
{
    struct owner *owner = pool_owner(pool);
    if (!owner->is_creator) {
        poke_from_afar(pool);
        return;
    }
    pthread_mutex_lock(&owner->guard);
    if (owner->keeper)
        process_signal(owner->keeper, SIGTERM);
    pthread_mutex_unlock(&owner->guard);
}

bool pool_is_watched(const struct brood_pool *pool)
{
    if (pool->max_memory)
        return true;
    for (const struct caller *caller = atomic_load(&pool->callers); caller; caller = atomic_load(&caller->next))
        if (atomic_load(&caller->watched))
            return true;
    return false;
}

/* By the fork server rather than fork where there are other threads now, whose locks it would hand on torn. A
 * handler of the program's for SIGTERM must not run in it before it has its own. */
static brood_process *start_keeper(struct brood_pool *pool)
{
    brood_start start = (brood_start)pool->start;
    if (start == BROOD_DEFAULT && (start = start_default()) == BROOD_FORK && !thread_is_only()) {
        start = BROOD_FORKSERVER;
        log_say(BROOD_INFO, "pool '%s': by the fork server, since the program has other threads", pool->name);
    }
    char name[SLOT_NAME];
    snprintf(name, sizeof name, "%.20s keeper", pool->name);
    /* It survives as far as the start goes: it watches its creator by itself. */
    const brood_process_options options = { .name = name, .start = start, .survives = true };
    return process_start(keeper_main, pool, 0, &options, HANDLE_SERVICE, NULL);
}

/* Under the owner's guard, or before anyone else sees the pool. 0, or -errno with a sentence: as brood_process_start's,
 * of which some mean another thing where a pool is asked. */
static int employ_keeper(struct brood_pool *pool, struct owner *owner)
{
    owner->keeper = start_keeper(pool);
    if (!owner->keeper)
        return -errno;
    atomic_store(&pool->keeper, brood_process_pid(owner->keeper));
    return 0;
}

bool pool_is_orphaned(struct brood_pool *pool)
{
    uint32_t lives = POOL_LIVES;
    if (!slot_process_is_gone(pool->creator_slot, pool->creator))
        return atomic_load(&pool->ended) == POOL_ORPHANED;
    if (atomic_compare_exchange_strong(&pool->ended, &lives, POOL_ORPHANED))
        pool_tell_callers(pool);
    return true;
}

/* Another process than the creator sees no keeper on duty. Waits, with 0, for one that is about to begin or to be
 * missed, or for the creator's next call, but not for ever: a stranger may have got the pid of either, and the creator
 * may have been killed in a call. */
static int miss_keeper(struct brood_pool *pool, struct owner *owner)
{
    if (pool_is_orphaned(pool))
        return pool_why_ended(pool);
    if (atomic_load(&pool->closing))
        return -ECANCELED;
    int32_t keeper = atomic_load(&pool->keeper);
    const struct caller *creator = atomic_load(&pool->callers);
    bool is_there = keeper && !thread_is_gone((uint32_t)keeper);
    bool is_due = is_there || (atomic_load(&creator->users) & ~CALLER_CLOSED);
    int64_t now = clock_now(), missed = INT64_C(2) * keeper + is_there;
    pthread_mutex_lock(&owner->guard);
    if (owner->missed != missed || !owner->missed_since) {
        owner->missed = missed;
        owner->missed_since = now;
    }
    int64_t since = owner->missed_since;
    pthread_mutex_unlock(&owner->guard);
    if (now - since < (is_due ? KEEPER_DUE : KEEPER_MISSED))
        return 0;
    return error_set(EAGAIN, "pool '%s' has lost its keeper, and only process %d can start another, by its next call",
                     pool->name, pool->creator);
}

int pool_keep(struct brood_pool *pool)
{
    struct owner *owner = pool_owner(pool);
    int failed = 0;
    if (!owner->is_creator)
        return miss_keeper(pool, owner);
    pthread_mutex_lock(&owner->guard);
    if (atomic_load(&pool->closing)) { /* it is the one's who ends the pool now */
        pthread_mutex_unlock(&owner->guard);
        return -ECANCELED;
    }
    brood_end end;
    if (owner->keeper && process_await(owner->keeper, &end, 0)) {
        process_discard(owner->keeper);
        owner->keeper = NULL;
        atomic_store(&pool->keeper, 0); /* a stranger may get its pid */
        /* One that ended by itself could not do its work, and the next will not either. */
        owner->fallen += end.how == BROOD_CRASHED ? 1 : KEEPERS_MOST / KEEPERS_UNABLE;
        if (owner->fallen >= KEEPERS_MOST)
            failed = error_set(EAGAIN, "pool '%s' cannot keep a keeper: the last one %s", pool->name,
                               end.why[0] ? end.why : "ended");
    }
    if (failed < 0)
        owner->fallen = 0; /* whoever calls again tries again */
    if (!owner->keeper && failed == 0) {
        failed = employ_keeper(pool, owner);
        if (failed < 0) { /* whatever it was: the pool is usable again when that is over. Its sentence stays */
            errno = EAGAIN;
            failed = -EAGAIN;
        }
    }
    pthread_mutex_unlock(&owner->guard);
    return failed;
}

bool pool_worker_lives(const struct brood_pool *pool, uint32_t index)
{
    const struct worker *worker = pool_worker(pool, index);
    uint32_t pid = (uint32_t)atomic_load(&worker->pid);
    uint32_t life = atomic_load(&slot_of(atomic_load(&worker->slot))->life.word) & FUTEX_TID_MASK;
    return pid && life == pid && !thread_is_gone(pid); /* the last: where the kernel does not tell of deaths */
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

void pool_settle_reports(struct brood_pool *pool)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        struct worker *worker = pool_worker(pool, i);
        struct work *work = atomic_load(&worker->work);
        if (work && work->kind == WORK_MAP)
            job_settle_report((struct job *)(void *)work, worker);
    }
}

static void discard(struct brood_pool *pool)
{
    struct owner *owner = pool_owner(pool);
    trace_discard(pool);
    if (owner) {
        calls_free(owner);
        free(owner->places);
        pthread_mutex_destroy(&owner->guard);
        free(owner);
    }
    functions_free(&pool->functions);
    for (struct caller *caller = atomic_load(&pool->callers), *next; caller; caller = next) {
        next = atomic_load(&caller->next);
        caller_clear(pool, caller);
        heap_give(caller, NULL);
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
    *name = hook ? function_name(owner, address, "brood_pool_create") : NULL;
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
    uint64_t memory = options->max_memory;
    pool->max_memory = memory < INT64_MAX ? (int64_t)memory : INT64_MAX;
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
    if (pool)
        pool->creator = thread_self()->process;
    bool has_places = pool && pool_make_places(pool, count) == 0;
    struct caller *caller = has_places ? caller_enlist(pool, "brood_pool_create") : NULL;
    struct owner *owner = caller ? calloc(1, sizeof *owner) : NULL;
    if (!owner) {
        int failed = has_places && !caller ? errno : 0; /* it has its sentence */
        if (pool)
            discard(pool);
        if (!failed)
            error_set(ENOMEM, "no memory for a pool of %u workers", count);
        errno = failed ? failed : ENOMEM;
        return NULL;
    }
    owner_begin(owner, pool, caller);
    owner->is_creator = true;
    heap_label(pool, "pool");
    pool->owner = owner;
    pool->creator_slot = atomic_load(&caller->slot);
    pool->serial = clock_now();
    pool->wanted = count;
    pool->spare = RACK_PLACES;
    atomic_store(&pool->seats[WATCH_SEAT - 1].holder, caller);
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
        employ_keeper(pool, pool->owner) == 0)
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
    struct owner *owner = pool_owner(pool);
    if (!owner || !owner->is_creator)
        return keeper_on_duty(pool);
    pthread_mutex_lock(&owner->guard);
    int pid = owner->keeper && !process_await(owner->keeper, NULL, 0) ? brood_process_pid(owner->keeper) : 0;
    pthread_mutex_unlock(&owner->guard);
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
    struct owner *owner = pool->owner;
    if (atomic_load(&pool->ended))
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
    pool_settle_reports(pool);
    trace_finish(pool);
    atomic_store(&pool->ended, POOL_ENDED);
    pool_tell_callers(pool);
}

/* No more tasks from here on. False, and nothing is changed: a thread waits here, and `alone` is wanted. */
static bool close_pool(struct brood_pool *pool, bool alone)
{
    struct caller *own = pool->owner->caller;
    unsigned users = atomic_load(&own->users);
    do {
        if (alone && (users & ~CALLER_CLOSED))
            return false;
    } while (!atomic_compare_exchange_weak(&own->users, &users, users | CALLER_CLOSED));
    pool_lock(pool); /* nobody joins meanwhile */
    atomic_store(&pool->closed, 1);
    for (struct caller *caller = atomic_load(&pool->callers); caller; caller = atomic_load(&caller->next))
        atomic_fetch_or(&caller->users, CALLER_CLOSED);
    pool_unlock(pool);
    return true;
}

/* 0, or -EBUSY with a sentence: another process that lives is in a call, or has results of it. */
static int others_are_out(struct brood_pool *pool)
{
    int32_t busy = 0;
    pool_lock(pool);
    for (struct caller *caller = atomic_load(&pool->callers); caller && !busy; caller = atomic_load(&caller->next)) {
        bool uses = (atomic_load(&caller->users) & ~CALLER_CLOSED) || atomic_load(&caller->results);
        if (uses && caller != pool->owner->caller && atomic_load(&caller->slot) && !caller_is_gone(caller))
            busy = atomic_load(&caller->pid);
    }
    pool_unlock(pool);
    if (!busy)
        return 0;
    return error_set(EBUSY, "pool '%s' is in use by process %d, which waits in it or has results of it", pool->name,
                     busy);
}

int brood_pool_close(brood_pool *pool)
{
    int failed = pool_enter_creator(pool, "brood_pool_close");
    if (failed == 0)
        close_pool(pool, false);
    return failed;
}

int brood_pool_terminate(brood_pool *pool)
{
    static const char call[] = "brood_pool_terminate";
    int failed = pool_enter_creator(pool, call);
    if (failed < 0)
        return failed;
    close_pool(pool, false);
    struct owner *owner = pool_stay(pool, call);
    if (!owner)
        return -errno;
    end_processes(pool, CLOSING_AT_ONCE);
    results_tell(owner, false, false);
    owner_leave(owner);
    return 0;
}

static bool others_ask(const struct brood_pool *pool)
{
    bool asks = false;
    for (struct caller *caller = atomic_load(&pool->callers); caller && !asks; caller = atomic_load(&caller->next))
        asks = atomic_load(&caller->asking) && atomic_load(&caller->slot) && !caller_is_gone(caller);
    return asks;
}

/* All that it was asked for has ended. The rack last: who asks no more has put it there. */
static bool is_over(struct owner *owner)
{
    return !others_ask(owner->pool) && results_are_over(owner) && rack_is_over(owner->pool, owner->caller);
}

/* seat: where it waits; 0: it does not sleep. */
struct joining {
    struct owner *owner;
    unsigned seat;
};

/* Others whose calls had begun before the pool was closed may put work into the rack still: it is asked too. */
static bool has_news(void *context)
{
    const struct joining *joining = context;
    if (joining->seat)
        rack_ask(joining->owner->pool, joining->owner->caller, joining->seat);
    return results_have_news(joining->owner, 0) || is_over(joining->owner);
}

static void ask_all(void *context, unsigned seat)
{
    struct joining *joining = context;
    joining->seat = seat;
    results_ask(joining->owner, seat);
    rack_ask(joining->owner->pool, joining->owner->caller, seat);
}

int brood_pool_join(brood_pool *pool, int timeout_ms)
{
    static const char call[] = "brood_pool_join";
    int64_t deadline;
    int failed = pool_enter_creator(pool, call);
    if (failed < 0 || (failed = noun_deadline(call, timeout_ms, &deadline)) < 0)
        return failed;
    struct owner *owner = pool->owner;
    if (!close_pool(pool, true))
        return error_set(EBUSY, "pool '%s' is in use by another thread", pool->name);
    struct joining joining = { owner, 0 };
    const struct await await = {
        .pool = pool, .over = has_news, .ask = ask_all, .context = &joining, .deadline = deadline
    };
    if ((failed = owner_use(owner, call, false)) < 0)
        return failed;
    while (!is_over(owner) && (failed = pool_await(&await)) == 0) {
        joining.seat = 0;
        results_tell(owner, true, false);
    }
    results_tell(owner, true, false);
    if (failed == -ETIMEDOUT) {
        failed = error_set(ETIMEDOUT, "pool '%s': not all that was asked for has ended", pool->name);
        owner_leave(owner);
        return failed;
    }
    end_processes(pool, failed < 0 ? CLOSING_AT_ONCE : CLOSING_ORDERLY);
    results_tell(owner, true, false); /* of those that will not end any more, too */
    owner_leave(owner);
    return failed == -ECANCELED ? 0 : failed;
}

int brood_pool_destroy(brood_pool *pool)
{
    if (!pool)
        return 0;
    int failed = pool_enter_creator(pool, "brood_pool_destroy");
    if (failed < 0 || (failed = others_are_out(pool)) < 0)
        return failed;
    struct owner *owner = pool->owner;
    if (!close_pool(pool, true))
        return error_set(EBUSY, "pool '%s' is in use by another thread", pool->name);
    if ((failed = others_are_out(pool)) < 0) /* one came before it was closed */
        return failed;
    end_processes(pool, is_over(owner) ? CLOSING_ORDERLY : CLOSING_AT_ONCE);
    results_end(pool, -ECANCELED);
    owner_free_retired(owner, pool, true);
    if (owner->keeper)
        process_discard(owner->keeper);
    discard(pool);
    return 0;
}
