/* pool/map.c: brood_pool_map, the caller's side: makes the job, waits for it, gathers what it left. */
#include "error/error.h"
#include "os/clock.h"
#include "os/futex.h"
#include "pool/owner.h"
#include "pool/pool.h"
#include "region/heap.h"
#include "region/region.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHUNKS_PER_WORKER 64 /* so that at the end nobody waits for more than a 64th of a share */
#define RETRIES_MOST 1000
#define PROGRESS_NS 100000000
#define RETIRE_NS 2000000
#define KEEPER_STARTS_NS 5000000 /* between looks at a keeper that has not taken up its duty yet */

/* One call: what the user gave, and what was made of it. */
struct map {
    struct brood_pool *pool;
    const void *in;
    void *out;
    size_t in_size, out_size, count;
    const brood_task_options *options;
    void *in_copy, *out_copy; /* blocks, where the user's arrays lie outside the region */
    struct job *job;
    struct place *place; /* where the job is offered */
};

static int check(const struct map *map, brood_task *task)
{
    const brood_task_options *options = map->options;
    if (!task)
        return error_set(EINVAL, "brood_pool_map: task is NULL");
    if (map->count > 0 && map->in_size && !map->in)
        return error_set(EINVAL, "brood_pool_map: in is NULL, and its items have %zu bytes", map->in_size);
    if (map->count > 0 && map->out_size && !map->out)
        return error_set(EINVAL, "brood_pool_map: out is NULL, and results have %zu bytes", map->out_size);
    if (map->count > 0 && !map->out_size && map->out)
        return error_set(EINVAL, "brood_pool_map: out is there, but results have no size");
    if (!map->in_size && map->in && !region_contains(map->in))
        return error_set(EINVAL, "brood_pool_map: in_size is 0 and in %p is not in the region", map->in);
    if (map->count > JOB_ITEMS_MOST)
        return error_set(EINVAL, "brood_pool_map: %zu items are more than %llu", map->count,
                         (unsigned long long)JOB_ITEMS_MOST);
    size_t bytes;
    if (__builtin_mul_overflow(map->count, map->in_size, &bytes) ||
        __builtin_mul_overflow(map->count, map->out_size, &bytes))
        return error_set(ENOMEM, "brood_pool_map: %zu items of %zu bytes in and %zu out are more than there can be",
                         map->count, map->in_size, map->out_size);
    if (!options)
        return 0;
    if (options->retries < 0 || options->retries > RETRIES_MOST)
        return error_set(EINVAL, "brood_pool_map: %d retries: 0 to %d can be had", options->retries, RETRIES_MOST);
    for (size_t i = 0; i < sizeof options->reserved / sizeof *options->reserved; i++)
        if (options->reserved[i])
            return error_set(EINVAL, "brood_pool_map: the options are of a newer brood (reserved[%zu])", i);
    return 0;
}

/* ---- the job's memory ---- */

static size_t choose_chunk(const struct map *map)
{
    size_t chunk = map->options ? map->options->chunk : 0;
    if (chunk == 0)
        chunk = map->count / ((size_t)map->pool->count * CHUNKS_PER_WORKER);
    return chunk == 0 ? 1 : chunk > map->count ? map->count : chunk;
}

/* Names the task, so that workers find it. 0 or -errno with a sentence. */
static int name_task(struct job *job, brood_task *task)
{
    uintptr_t address;
    memcpy(&address, &task, sizeof address);
    /* A library whose file is gone may still have been there when the keeper was forked: workers tell. */
    if (module_name(address, &job->task) == -EINVAL)
        return error_set(EINVAL, "brood_pool_map: the task at %p is in no module: workers cannot find it",
                         (void *)address);
    return 0;
}

static int make_job(struct map *map, brood_task *task)
{
    bool want_ends = map->options && map->options->ends;
    map->job = job_create(map->count, choose_chunk(map), map->pool->count, want_ends);
    bool copy_in = map->in_size && !region_holds(map->in, map->count * map->in_size);
    bool copy_out = map->out_size && !region_holds(map->out, map->count * map->out_size);
    if (map->job && copy_in)
        map->in_copy = heap_take(map->count * map->in_size, false);
    if (map->job && copy_out)
        map->out_copy = heap_take(map->count * map->out_size, true);
    if (!map->job || (copy_in && !map->in_copy) || (copy_out && !map->out_copy))
        return error_set(ENOMEM, "no memory in the region for a map of %zu items of %zu bytes in and %zu out",
                         map->count, map->in_size, map->out_size);
    if (copy_in)
        memcpy(map->in_copy, map->in, map->count * map->in_size);
    map->job->in = copy_in ? map->in_copy : map->in;
    map->job->out = copy_out ? map->out_copy : map->out;
    map->job->out_is_ours = copy_out;
    map->job->in_size = map->in_size;
    map->job->out_size = map->out_size;
    map->job->retries = map->options ? map->options->retries : 0;
    return name_task(map->job, task);
}

static bool job_is_named(const struct brood_pool *pool, const struct job *job)
{
    for (uint32_t i = 0; i < pool->count; i++)
        if (atomic_load(&pool->workers[i].look) == job)
            return true;
    return false;
}

/* The same without those who are gone for good, for when there is no keeper to settle them. */
static bool job_is_worked_on(const struct brood_pool *pool, const struct job *job)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        int32_t pid = atomic_load(&pool->workers[i].pid);
        if (atomic_load(&pool->workers[i].look) == job && pid && !thread_is_gone((uint32_t)pid))
            return true;
    }
    return false;
}

void owner_free_retired(struct owner *owner, const struct brood_pool *pool, bool all)
{
    for (struct retired **at = &owner->retired; *at;) {
        struct retired *retired = *at;
        if (!all && job_is_named(pool, retired->job)) {
            at = &retired->next;
            continue;
        }
        *at = retired->next;
        job_destroy(retired->job);
        free(retired);
    }
}

/* A worker may still look at the job, though there is nothing left in it to do: it is freed when none does. */
static void retire(struct map *map)
{
    struct owner *owner = map->pool->owner;
    if (!map->job)
        return;
    /* As a rule they leave at once. One that has lost its CPU is not waited for. */
    int64_t end = clock_now() + RETIRE_NS;
    while (job_is_named(map->pool, map->job) && clock_now() < end)
        sched_yield();
    struct retired *retired = malloc(sizeof *retired);
    while (!retired && job_is_named(map->pool, map->job))
        sched_yield();
    pthread_mutex_lock(&owner->guard);
    if (retired) {
        *retired = (struct retired){ .job = map->job, .next = owner->retired };
        owner->retired = retired;
    } else {
        job_destroy(map->job);
    }
    owner_free_retired(owner, map->pool, false);
    pthread_mutex_unlock(&owner->guard);
}

static void discard(struct map *map)
{
    retire(map);
    if (map->in_copy)
        heap_give(map->in_copy, NULL);
    if (map->out_copy)
        heap_give(map->out_copy, NULL);
}

/* ---- running it ---- */

/* Whether a keeper is on duty whose death would be told. */
static bool is_kept(const struct map *map)
{
    return atomic_load(&map->place->duty.word) & FUTEX_TID_MASK && atomic_load(&thread_deaths_are_told);
}

static struct place *free_place(struct brood_pool *pool)
{
    for (int i = 0; i < POOL_JOBS; i++)
        if (!atomic_load(&pool->places[i].job))
            return &pool->places[i];
    return NULL;
}

static void submit(struct map *map)
{
    struct brood_pool *pool = map->pool;
    struct owner *owner = pool->owner;
    struct thread *self = thread_self();
    pthread_mutex_lock(&owner->guard);
    while (!(map->place = free_place(pool)))
        pthread_cond_wait(&owner->room, &owner->guard);
    map->job->place = map->place;
    bell_lift(self, &pool->work);
    atomic_store(&map->place->job, map->job);
    pthread_mutex_unlock(&owner->guard);
    bell_ring(self, &pool->work);
}

static void withdraw(struct map *map)
{
    struct owner *owner = map->pool->owner;
    pthread_mutex_lock(&owner->guard);
    owner->fallen = 0;
    atomic_store(&map->place->job, NULL);
    pthread_cond_signal(&owner->room);
    pthread_mutex_unlock(&owner->guard);
}

/* Sleeps until there is news, or the keeper dies, or until `deadline`, or for no reason. */
static void sleep_on_duty(struct map *map, uint32_t verdicts, int64_t deadline)
{
    _Atomic uint32_t *duty = &map->place->duty.word;
    uint32_t word = atomic_load(duty);
    if (!is_kept(map)) {
        int64_t look = clock_now() + KEEPER_STARTS_NS;
        futex_sleep(duty, word, look < deadline ? look : deadline);
        return;
    }
    if (word & PLACE_NEWS) {
        atomic_fetch_and(duty, ~(uint32_t)PLACE_NEWS);
        return;
    }
    if (!(word & FUTEX_WAITERS) && !atomic_compare_exchange_strong(duty, &word, word | FUTEX_WAITERS))
        return;
    /* Read after the word: news that this does not show yet will have changed the word. */
    if (!atomic_load(&map->job->finished) && atomic_load(&map->pool->verdicts) == verdicts)
        futex_sleep(duty, word | FUTEX_WAITERS, deadline);
}

static void tell_progress(struct map *map, size_t *told, int64_t *next)
{
    const brood_task_options *options = map->options;
    if (!options || !options->progress)
        return;
    if (clock_now() < *next)
        return;
    size_t done = job_progress(map->job);
    *told = done > *told ? done : *told; /* an item that is run again counts once */
    options->progress(options->context, *told, map->count);
    *next = clock_now() + PROGRESS_NS;
}

/* 0: finished.  -errno with a sentence: it cannot be. */
static int wait_for(struct map *map)
{
    bool progress = map->options && map->options->progress;
    int64_t next = clock_now() + PROGRESS_NS;
    uint32_t verdicts = atomic_load(&map->pool->verdicts);
    size_t told = 0;
    int failed;
    while (!atomic_load(&map->job->finished)) {
        if (!is_kept(map) && (failed = pool_keep(map->pool)) < 0)
            return failed;
        uint32_t now = atomic_load(&map->pool->verdicts);
        int stuck = atomic_load(&map->pool->stuck);
        if (stuck && now != verdicts)
            return error_set(EAGAIN, "pool '%s' has no worker and can start none: %s", map->pool->name,
                             strerror(stuck));
        sleep_on_duty(map, now, progress ? next : CLOCK_NEVER);
        if (!atomic_load(&map->job->finished))
            tell_progress(map, &told, &next);
    }
    next = 0;
    tell_progress(map, &told, &next);
    return 0;
}

/* ---- what it left ---- */

static const struct failure *failure_of(const struct job *job, size_t item)
{
    const struct failure *failure = atomic_load(&job->failures);
    while (failure && failure->end.index != item)
        failure = failure->next;
    return failure;
}

/* An item's attempt is one more than its deaths, unless the last death was its end. */
static void gather_ends(const struct map *map, bool finished)
{
    brood_end *ends = map->options ? map->options->ends : NULL;
    const struct job *job = map->job;
    if (!ends)
        return;
    for (size_t i = 0; i < map->count; i++) {
        brood_how how = (brood_how)atomic_load_explicit(&job->fates[i], memory_order_acquire);
        bool done = finished || job_item_over(job, i);
        ends[i] = (brood_end){ .how = how    ? how
                                      : done ? BROOD_RETURNED
                                             : BROOD_RUNNING,
                               .index = i,
                               .attempt = 1,
                               .pid = atomic_load(&job->pids[i]) };
    }
    for (const struct failure *failure = atomic_load(&job->failures); failure; failure = failure->next) {
        brood_end *end = &ends[failure->end.index];
        int deaths = end->attempt - 1 + (failure->end.how != BROOD_FAILED);
        if (end->how == failure->end.how && !end->why[0])
            *end = failure->end; /* the newest comes first: the others are of attempts before it */
        end->attempt = deaths + 1;
    }
    for (size_t i = 0; i < map->count; i++)
        if (ends[i].how > BROOD_FAILED)
            ends[i].attempt--; /* its last death was its last attempt */
}

/* Results of items that did not fail go to the user's array; how many failed, with the sentence of the first. */
static int gather(const struct map *map)
{
    const struct job *job = map->job;
    size_t failed = 0, first = map->count;
    for (size_t i = 0; i < map->count; i++) {
        if (!atomic_load_explicit(&job->fates[i], memory_order_acquire))
            continue;
        first = failed++ == 0 ? i : first;
    }
    if (map->out_copy && failed == 0)
        memcpy(map->out, map->out_copy, map->count * map->out_size);
    for (size_t i = 0; map->out_copy && failed > 0 && i < map->count; i++)
        if (!atomic_load_explicit(&job->fates[i], memory_order_relaxed))
            memcpy((char *)map->out + i * map->out_size, (char *)map->out_copy + i * map->out_size, map->out_size);
    gather_ends(map, true);
    if (failed == 0)
        return 0;
    const struct failure *failure = failure_of(job, first);
    error_tell("%zu of %zu tasks failed; the first, item %zu: %s", failed, map->count, first,
               failure ? failure->end.why : brood_how_name((brood_how)job->fates[first]));
    return failed > INT32_MAX ? INT32_MAX : (int)failed;
}

static int run(struct map *map, brood_task *task)
{
    int result = make_job(map, task);
    if (result < 0)
        return result;
    submit(map);
    result = wait_for(map);
    if (result < 0)
        atomic_store(&map->job->refused, result);
    withdraw(map);
    if (atomic_load(&map->job->refused)) {
        /* A worker may be in one of its chunks all the same: that is run to its end, since it uses our memory. */
        while (job_is_worked_on(map->pool, map->job))
            nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    if (result < 0) {
        gather_ends(map, false);
        return result;
    }
    if (atomic_load(&map->job->refused) < 0) {
        char function[MODULE_PATH_MAX + 64];
        module_describe(&map->job->task, function, sizeof function);
        return error_set(ENOENT, "the workers of pool '%s' lack the %s", map->pool->name, function);
    }
    return gather(map);
}

int brood_pool_map(brood_pool *pool, brood_task *task, const void *in, size_t in_size, void *out, size_t out_size,
                   size_t count, const brood_task_options *options)
{
    struct map map = {
        .pool = pool, .in = in, .out = out, .in_size = in_size, .out_size = out_size, .count = count, .options = options
    };
    int result = pool_enter(pool, "brood_pool_map");
    if (result < 0 || (result = check(&map, task)) < 0)
        return result;
    if (count == 0) {
        if (options && options->progress)
            options->progress(options->context, 0, 0);
        return 0;
    }
    pthread_mutex_lock(&pool->owner->guard);
    pool->owner->users++;
    pthread_mutex_unlock(&pool->owner->guard);
    result = run(&map, task);
    int failed = errno;
    discard(&map);
    pthread_mutex_lock(&pool->owner->guard);
    pool->owner->users--;
    pthread_mutex_unlock(&pool->owner->guard);
    errno = failed;
    return result;
}
