/* pool/map.c: maps, the caller's side: makes the job, waits for it, gathers what it left. */
#include "pool/map.h"

#include "error/error.h"
#include "os/clock.h"
#include "pool/task.h"
#include "process/end.h"
#include "region/heap.h"
#include "region/region.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* If one chunk is all of items that take 1,000 times as long as 99 % of the others, it is still but a twentieth of a
 * worker's share: nobody waits for more at the end. */
#define CHUNKS_PER_WORKER 2048
#define RETRIES_MOST 1000
#define RETIRE_NS 2000000
#define BLOCK_ALIGNMENT 16 /* of copies of varying size */

/* ---- what the user gave ---- */

uintptr_t task_address(brood_task *task)
{
    uintptr_t address;
    memcpy(&address, &task, sizeof address);
    return address;
}

int task_check(const char *call, brood_task *task, const brood_task_options *options)
{
    if (!task)
        return error_set(EINVAL, "%s: task is NULL", call);
    if (!options)
        return 0;
    if (options->retries < 0 || options->retries > RETRIES_MOST)
        return error_set(EINVAL, "%s: %d retries: 0 to %d can be had", call, options->retries, RETRIES_MOST);
    if (options->soft_ms < 0 || options->hard_ms < 0)
        return error_set(EINVAL, "%s: a limit of %d ms", call,
                         options->soft_ms < 0 ? options->soft_ms : options->hard_ms);
    if (options->priority < BROOD_PRIORITY_LEAST || options->priority > BROOD_PRIORITY_MOST)
        return error_set(EINVAL, "%s: priority %d: %d to %d can be had", call, options->priority, BROOD_PRIORITY_LEAST,
                         BROOD_PRIORITY_MOST);
    return error_reserved(call, options->reserved, sizeof options->reserved / sizeof(void *));
}

bool task_varies(size_t size)
{
    return size == BROOD_BLOCKS || size == BROOD_STRINGS;
}

int map_check(const struct map *map, const char *call, brood_task *task)
{
    int failed = task_check(call, task, &map->options);
    if (failed < 0)
        return failed;
    if (map->out_size == BROOD_STRINGS)
        return error_set(EINVAL, "%s: results of varying size are BROOD_BLOCKS", call);
    if (map->count > 0 && map->in_size && !map->in)
        return error_set(EINVAL, "%s: in is NULL, and its items have a size", call);
    if (map->count > 0 && map->out_size && !map->out)
        return error_set(EINVAL, "%s: out is NULL, and results have a size", call);
    if (map->count > 0 && !map->out_size && map->out)
        return error_set(EINVAL, "%s: out is there, but results have no size", call);
    if (!map->in_size && map->in && !region_contains(map->in))
        return error_set(EINVAL, "%s: in_size is 0 and in %p is not in the region", call, map->in);
    const uint64_t count = map->count;
    if (count > JOB_ITEMS_MOST)
        return error_set(EINVAL, "%s: %zu items are more than %llu", call, map->count,
                         (unsigned long long)JOB_ITEMS_MOST);
    size_t bytes, in_size = task_varies(map->in_size) ? sizeof(brood_block) : map->in_size;
    size_t out_size = task_varies(map->out_size) ? sizeof(brood_block) : map->out_size;
    if (__builtin_mul_overflow(map->count, in_size, &bytes) || __builtin_mul_overflow(map->count, out_size, &bytes))
        return error_set(ENOMEM, "%s: %zu items of %zu bytes in and %zu out are more than there can be", call,
                         map->count, in_size, out_size);
    return 0;
}

/* ---- the job's memory ---- */

static size_t choose_chunk(const struct map *map)
{
    size_t chunk = map->options.chunk;
    if (chunk == 0)
        chunk = map->count / ((size_t)atomic_load(&map->pool->wanted) * CHUNKS_PER_WORKER);
    return chunk == 0 ? 1 : chunk > map->count ? map->count : chunk;
}

brood_block task_item(const void *in, size_t in_size, size_t i)
{
    if (in_size == BROOD_BLOCKS)
        return ((const brood_block *)in)[i];
    char *string = ((char *const *)in)[i];
    return (brood_block){ string, string ? strlen(string) + 1 : 1 };
}

static size_t aligned(size_t size)
{
    return (size + BLOCK_ALIGNMENT - 1) & ~(size_t)(BLOCK_ALIGNMENT - 1);
}

/* Where the items are, and copies of those that do not lie in the region: all in one block. 0 or -errno. */
static int pack_items(struct map *map, const char *call)
{
    size_t size = map->count * sizeof(brood_block);
    for (size_t i = 0; i < map->count; i++) {
        brood_block item = task_item(map->in, map->in_size, i);
        if (item.size && !item.data)
            return error_set(EINVAL, "%s: item %zu is NULL, and has a size", call, i);
        if (item.size > SIZE_MAX / 4 ||
            (!region_holds(item.data, item.size) && __builtin_add_overflow(size, aligned(item.size), &size)))
            return error_set(ENOMEM, "%s: the items are more than there can be", call);
    }
    brood_block *blocks = heap_take_raw_into(&map->job->in_copy, size);
    if (!blocks)
        return error_set(ENOMEM, "%s: no memory in the region for items of %zu bytes", call, size);
    char *at = (char *)(blocks + map->count);
    for (size_t i = 0; i < map->count; i++) {
        blocks[i] = task_item(map->in, map->in_size, i);
        if (blocks[i].size == 0) {
            blocks[i].data = NULL;
        } else if (!region_holds(blocks[i].data, blocks[i].size)) {
            memcpy(at, blocks[i].data, blocks[i].size);
            blocks[i].data = at;
            at += aligned(blocks[i].size);
        }
    }
    map->job->in = (char *)blocks;
    map->job->in_size = sizeof *blocks;
    map->job->in_varies = true;
    return 0;
}

static int no_memory(const struct map *map, const char *call)
{
    return error_set(ENOMEM, "%s: no memory in the region for a map of %zu items", call, map->count);
}

static int place_items(struct map *map, const char *call)
{
    struct job *job = map->job;
    size_t bytes = map->count * map->in_size;
    if (task_varies(map->in_size))
        return pack_items(map, call);
    job->in = map->in;
    job->in_size = map->in_size;
    if (!map->in_size || region_holds(map->in, bytes))
        return 0;
    job->in = heap_take_raw_into(&job->in_copy, bytes);
    return job->in ? (memcpy(job->in_copy, map->in, bytes), 0) : no_memory(map, call);
}

static int place_results(struct map *map, const char *call)
{
    struct job *job = map->job;
    bool replies = map->out_size == BROOD_BLOCKS;
    job->out = map->out;
    job->out_size = replies ? sizeof(brood_block) : map->out_size;
    if (!job->out_size || (!replies && region_holds(map->out, map->count * map->out_size)))
        return 0;
    job->out_is_ours = true;
    job->out = heap_take_into(&job->out_copy, map->count * job->out_size);
    atomic_signal_fence(memory_order_seq_cst); /* if we die here, replies are looked for where they would be */
    job->replies = replies;
    return job->out ? 0 : no_memory(map, call);
}

static void unreserve(struct owner *owner, struct held *held)
{
    pthread_mutex_lock(&owner->guard);
    owner_unreserve(owner, held);
    pthread_mutex_unlock(&owner->guard);
}

static int make_job(struct map *map, const char *call, brood_task *task)
{
    struct owner *owner = map->owner;
    struct held *held;
    pthread_mutex_lock(&owner->guard);
    int failed = owner_reserve(owner, &held);
    pthread_mutex_unlock(&owner->guard);
    if (failed < 0)
        return no_memory(map, call);
    map->retired = malloc(sizeof *map->retired);
    map->job = !map->retired ? NULL
                             : job_create(map->pool, held, map->count, choose_chunk(map),
                                          atomic_load(&map->pool->wanted), map->options.ends != NULL);
    if (!map->job) {
        unreserve(owner, held);
        no_memory(map, call);
        return -ENOMEM;
    }
    map->job->work.caller = owner->caller;
    map->job->work.level = work_level(map->options.priority);
    map->job->loose = map->options.chunk == 0;
    map->job->retries = map->options.retries;
    map->job->soft_ms = map->options.soft_ms;
    map->job->hard_ms = map->options.hard_ms;
    map->job->max_memory = task_most(&map->options);
    map->job->limited = map->options.soft_ms || map->options.hard_ms || map->options.max_memory;
    pthread_mutex_lock(&owner->guard);
    map->job->task = function_name(owner, task_address(task), call);
    pthread_mutex_unlock(&owner->guard);
    if (!map->job->task)
        return -errno;
    failed = place_items(map, call);
    return failed < 0 ? failed : place_results(map, call);
}

int64_t task_most(const brood_task_options *options)
{
    uint64_t most = options->max_memory;
    return most < INT64_MAX / 2 ? (int64_t)most : INT64_MAX / 2;
}

void task_watch(struct owner *owner, struct watch *watch)
{
    if (!watch->on && atomic_fetch_add(&owner->caller->watched, 1) == 0)
        pool_poke(owner->pool);
    watch->on = true;
}

void task_unwatch(struct owner *owner, struct watch *watch)
{
    if (watch->on)
        atomic_fetch_sub(&owner->caller->watched, 1);
    watch->on = false;
}

void owner_free_retired(struct owner *owner, const struct brood_pool *pool, bool all)
{
    for (struct retired **at = &owner->retired; *at;) {
        struct retired *retired = *at;
        struct held *held = retired->job->held;
        /* Of a pool that has ended nobody settles the workers. */
        bool named = atomic_load(&pool->ended) ? job_is_worked_on(retired->job) : job_is_named(retired->job);
        if (!all && named) {
            at = &retired->next;
            continue;
        }
        *at = retired->next;
        job_destroy(retired->job);
        owner_unreserve(owner, held);
        free(retired);
    }
}

/* A worker may still look at the job, though there is nothing left in it to do: it is freed when none does. */
static void retire(struct map *map)
{
    struct owner *owner = map->owner;
    pthread_mutex_lock(&map->job_guard); /* other threads may look whether it is over */
    struct job *job = map->job;
    map->job = NULL;
    pthread_mutex_unlock(&map->job_guard);
    /* As a rule they leave at once. One that has lost its CPU is not waited for. */
    int64_t end = clock_now() + RETIRE_NS;
    while (job_is_named(job) && clock_now() < end)
        sched_yield();
    pthread_mutex_lock(&owner->guard);
    *map->retired = (struct retired){ .job = job, .next = owner->retired };
    owner->retired = map->retired;
    map->retired = NULL;
    owner_free_retired(owner, map->pool, false);
    pthread_mutex_unlock(&owner->guard);
}

/* ---- running it ---- */

static int offer(struct map *map, const char *call)
{
    struct brood_pool *pool = map->pool;
    struct thread *self = thread_self();
    int failed = pool_put(pool, &map->job->work);
    bell_ring(self, &pool->work);
    return failed < 0 ? no_memory(map, call) : 0;
}

int map_begin(struct map *map, const char *call, brood_task *task)
{
    int failed = map_check(map, call, task);
    progress_begin(&map->progress, &map->options);
    if (failed < 0 || map->count == 0)
        return failed;
    failed = make_job(map, call, task);
    if (failed == 0 && (map->options.hard_ms || map->options.max_memory))
        task_watch(map->owner, &map->watch);
    if (failed == 0) {
        map->traced = trace_map_begins(map->pool, map->job->task, map->count);
        failed = offer(map, call);
        if (failed < 0)
            trace_map_ends(map->pool, map->traced, map->job->task, failed);
    }
    if (failed < 0)
        task_unwatch(map->owner, &map->watch);
    if (failed < 0 && map->job) {
        struct held *held = map->job->held;
        job_destroy(map->job);
        map->job = NULL;
        unreserve(map->owner, held);
    }
    if (failed < 0) {
        free(map->retired);
        map->retired = NULL;
    }
    return failed;
}

/* One that was refused is not finished for its caller while a worker is in it. */
bool map_is_over(struct map *map)
{
    pthread_mutex_lock(&map->job_guard);
    const struct job *job = map->job;
    bool over = !job || (atomic_load(&job->finished) && (!atomic_load(&job->refused) || !job_is_worked_on(job)));
    pthread_mutex_unlock(&map->job_guard);
    return over;
}

static bool is_in_job(const struct worker *worker, const void *job)
{
    return atomic_load(&worker->work) == &((const struct job *)job)->work;
}

/* The turns of those who are in it; whoever opens one after `refused` was said sees that. */
static void cancel_turns(struct map *map, int64_t at)
{
    struct brood_pool *pool = map->pool;
    for (uint32_t i = 0; i < pool->count; i++)
        pool_cancel_turn(pool, pool_worker(pool, i), is_in_job, map->job, at);
}

void map_cancel(struct map *map, int64_t at)
{
    if (!map->job || atomic_load(&map->job->finished))
        return;
    task_watch(map->owner, &map->watch);
    job_refuse(map->job, -ECANCELED);
    cancel_turns(map, at);
    pool_poke(map->pool);
}

void map_ask(struct map *map, unsigned seat)
{
    pthread_mutex_lock(&map->job_guard);
    if (map->job)
        atomic_fetch_or(&map->job->seats, UINT64_C(1) << (seat - 1));
    pthread_mutex_unlock(&map->job_guard);
}

void map_tell(struct map *map, bool over)
{
    const struct job *job = map->job;
    if (!progress_is_due(&map->progress, over))
        return;
    size_t failed = job ? job_failed(job, over) : 0, done = job ? job_progress(job) : 0;
    progress_tell(&map->progress, done, map->count, failed, over);
}

/* ---- what it left ---- */

static const struct failure *failure_of(const struct job *job, size_t item)
{
    const struct failure *failure = atomic_load(&job->failures);
    while (failure && failure->end.index != item)
        failure = failure->next;
    return failure;
}

/* A record knows all but how long the item ran. */
static void keep_wall(brood_end *end, const brood_end *record)
{
    int64_t wall_us = end->wall_us;
    *end = *record;
    end->wall_us = wall_us;
}

/* An item's attempt is one more than its deaths, unless the last death was its end. `others`: how those ended that are
 * not known to have. */
static void gather_ends(const struct map *map, bool finished, brood_how others)
{
    brood_end *ends = map->options.ends;
    const struct job *job = map->job;
    if (!ends)
        return;
    for (size_t i = 0; i < map->count; i++) {
        brood_how how = (brood_how)atomic_load_explicit(&job->fates[i], memory_order_acquire);
        bool done = finished || job_item_over(job, i);
        int code = atomic_load_explicit(&job->codes[i], memory_order_relaxed);
        ends[i] = (brood_end){ .how = how    ? how
                                      : done ? BROOD_RETURNED
                                             : others,
                               .code = how == BROOD_CRASHED ? 0 : code,
                               .signal = how == BROOD_CRASHED ? code : 0,
                               .index = i,
                               .attempt = 1,
                               .wall_us = atomic_load(&job->walls[i]),
                               .pid = atomic_load(&job->pids[i]) };
    }
    for (const struct failure *failure = atomic_load(&job->failures); failure; failure = failure->next) {
        brood_end *end = &ends[failure->end.index];
        int deaths = end->attempt - 1 + (failure->end.how != BROOD_FAILED);
        if (end->how == failure->end.how && !end->why[0])
            keep_wall(end, &failure->end); /* the newest comes first: the others are of attempts before it */
        end->attempt = deaths + 1;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (ends[i].how > BROOD_FAILED && ends[i].why[0])
            ends[i].attempt--; /* its last death was its last attempt; without a record it was not counted */
        end_explain(&ends[i]);
    }
}

/* The result of an item that returned 0, to the user's array. */
static void hand_over(const struct map *map, size_t i)
{
    struct job *job = map->job;
    if (!job->out_copy)
        return;
    char *out = (char *)map->out + i * job->out_size, *copy = (char *)job->out_copy + i * job->out_size;
    if (!job->replies) {
        memcpy(out, copy, job->out_size);
        return;
    }
    /* Killed between the two it is lost, and not two's. */
    const brood_block reply = *(brood_block *)(void *)copy;
    *(brood_block *)(void *)copy = (brood_block){ 0 };
    atomic_signal_fence(memory_order_seq_cst);
    *(brood_block *)(void *)out = reply;
}

/* Of a map that was refused: what has been done all the same. How many items have not. */
static size_t gather_some(const struct map *map, brood_how others)
{
    const struct job *job = map->job;
    size_t missing = 0;
    for (size_t i = 0; i < map->count; i++) {
        if (job_item_over(job, i) && !atomic_load_explicit(&job->fates[i], memory_order_acquire))
            hand_over(map, i);
        else
            missing++;
    }
    gather_ends(map, false, others);
    return missing;
}

static int count_of(size_t failed)
{
    return failed > INT32_MAX ? INT32_MAX : (int)failed;
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
    if (job->out_copy && failed == 0 && !job->replies)
        memcpy(map->out, job->out_copy, map->count * map->out_size);
    else
        for (size_t i = 0; job->out_copy && i < map->count; i++)
            if (!atomic_load_explicit(&job->fates[i], memory_order_relaxed))
                hand_over(map, i);
    gather_ends(map, true, BROOD_RUNNING);
    if (failed == 0)
        return 0;
    const struct failure *failure = failure_of(job, first);
    error_tell("%zu of %zu tasks failed; the first, item %zu: %s", failed, map->count, first,
               failure ? failure->end.why : brood_how_name((brood_how)job->fates[first]));
    return count_of(failed);
}

static int gather_cancelled(const struct map *map)
{
    size_t missing = gather_some(map, BROOD_CANCELLED);
    error_tell("%zu of %zu tasks were cancelled, or failed before that", missing, map->count);
    return count_of(missing);
}

static int gather_refused(const struct map *map, int failed)
{
    gather_some(map, BROOD_RUNNING);
    if (failed < 0)
        return failed;
    char function[MODULE_PATH_MAX + 64];
    module_describe(map->job->task, function, sizeof function);
    return error_set(ENOENT, "the workers of pool '%s' lack the %s", map->pool->name, function);
}

static int gather_all(struct map *map, int failed)
{
    struct job *job = map->job;
    if (failed < 0)
        atomic_store(&job->refused, failed);
    pool_withdraw(map->pool, &job->work);
    if (!atomic_load(&job->refused))
        return gather(map);
    /* A worker may be in one of its chunks all the same: that is run to its end, since it uses our memory. */
    while (job_is_worked_on(job))
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    heap_settle(); /* one that is gone may not have been reaped yet */
    return atomic_load(&job->refused) == -ECANCELED ? gather_cancelled(map) : gather_refused(map, failed);
}

int map_end(struct map *map, int failed)
{
    map_tell(map, true);
    if (!map->job)
        return 0;
    int result = gather_all(map, failed);
    int error = errno;
    trace_map_ends(map->pool, map->traced, map->job->task, result);
    task_unwatch(map->owner, &map->watch);
    retire(map);
    errno = error;
    return result;
}

/* Of a pool that was orphaned: its workers are about to end, and use the caller's memory until then. */
static void await_end_of_work(const struct map *map)
{
    while (atomic_load(&map->pool->ended) && job_is_worked_on(map->job))
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

void map_forget(struct map *map)
{
    map_tell(map, true);
    if (!map->job)
        return;
    pool_withdraw(map->pool, &map->job->work);
    task_unwatch(map->owner, &map->watch);
    await_end_of_work(map);
    retire(map);
}

/* ---- the call that waits ---- */

static bool is_over(void *map)
{
    return map_is_over(map);
}

static void ask(void *map, unsigned seat)
{
    map_ask(map, seat);
}

static void tick(void *map)
{
    map_tell(map, false);
}

int brood_pool_map(brood_pool *pool, brood_task *task, const void *in, size_t in_size, void *out, size_t out_size,
                   size_t count, const brood_task_options *options)
{
    static const char call[] = "brood_pool_map";
    struct map map = { .pool = pool,
                       .in = in,
                       .out = out,
                       .in_size = in_size,
                       .out_size = out_size,
                       .count = count,
                       .job_guard = PTHREAD_MUTEX_INITIALIZER };
    if (options)
        map.options = *options;
    if (task_is_of(pool))
        return task_run_nested(&map, call, task);
    int result = pool_use(pool, call, true, &map.owner);
    if (result < 0)
        return result;
    result = map_begin(&map, call, task);
    int failed = errno;
    owner_has_asked(map.owner);
    errno = failed;
    if (result == 0) {
        const struct await await = { .pool = pool,
                                     .over = is_over,
                                     .ask = ask,
                                     .tick = map.options.progress ? tick : NULL,
                                     .context = &map,
                                     .deadline = CLOCK_NEVER };
        result = map_end(&map, pool_await(&await));
    }
    failed = errno;
    owner_leave(map.owner);
    free(map.retired); /* NULL, unless it has not begun */
    errno = failed;
    return result;
}
