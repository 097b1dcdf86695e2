/* sight_pool.c: a pool, its workers, and what it has to do (pool/pool.h). */
#include "pool/pool.h"
#include "sight.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS_MOST ((size_t)1 << 20) /* chunks of a map that are looked at: before and behind these it is said so */
#define WORDS_STEP ((size_t)4096)
#define RACKS_MOST 64
#define FAILURES_MOST 1000

/* ---- a map ---- */

/* The items of the chunks that are done. Before `frontier` all are; it is a hint, and never ahead. */
static uint64_t items_done(struct sight *sight, const struct window *window, const struct job *job)
{
    uint64_t words[WORDS_STEP], done = 0;
    size_t from = atomic_load(&job->frontier), end = job->chunks;
    if (from > end)
        return 0;
    size_t most = SIGHT_CHUNKS - sight->chunks < WORDS_MOST ? SIGHT_CHUNKS - sight->chunks : WORDS_MOST;
    if (end - from > most)
        end = from + most;
    sight->chunks += end - from;
    for (size_t chunk = from; chunk < end;) {
        size_t step = end - chunk < WORDS_STEP ? end - chunk : WORDS_STEP;
        if (!window_read(window, (const void *)&job->words[chunk], words, step * sizeof *words))
            break;
        for (size_t i = 0; i < step; i++)
            done += words[i] >> JOB_OWNER_SHIFT == JOB_CHUNK_DONE;
        chunk += step;
    }
    done = (done + from) * job->chunk;
    return done < job->count ? done : job->count;
}

static void see_failures(struct seen_work *work, const struct window *window, const struct job *job)
{
    struct failure failure;
    const struct failure *at = atomic_load(&job->failures);
    for (; at && work->failures < FAILURES_MOST && window_read(window, at, &failure, sizeof failure);
         at = failure.next) {
        if (work->failures++ == 0)
            window_text(window, at->end.why, work->last, sizeof work->last);
    }
    work->more = at != NULL;
}

static bool see_map(struct sight *sight, struct seen_work *work, const struct window *window, const void *address)
{
    struct job job;
    if (!window_read(window, address, &job, sizeof job) || job.chunk == 0 || job.chunks > job.count)
        return false;
    const uint64_t count = job.count;
    if (count > JOB_ITEMS_MOST)
        return false;
    work->is_map = true;
    work->items = job.count;
    work->done = items_done(sight, window, &job);
    see_failures(work, window, &job);
    return !atomic_load(&job.finished);
}

static bool see_calls(struct seen_work *work, const struct window *window, const void *address)
{
    struct ring ring;
    if (!window_read(window, address, &ring, sizeof ring))
        return false;
    uint64_t tail = atomic_load(&ring.tail), next = atomic_load(&ring.next);
    work->calls = tail;
    work->queued = tail > next ? tail - next : 0;
    return true;
}

static void see_work(struct sight *sight, struct seen_pool *pool, const struct window *window,
                     const struct work *address)
{
    struct work work;
    if (pool->works == SEEN_WORKS || !address || !window_read(window, address, &work, sizeof work) ||
        work.pool != pool->object)
        return;
    struct seen_work *seen = &pool->work[pool->works];
    *seen = (struct seen_work){ .object = address };
    if (work.kind == WORK_MAP ? see_map(sight, seen, window, address) : see_calls(seen, window, address))
        pool->works++;
}

static void see_rack(struct sight *sight, struct seen_pool *pool, const struct window *window, const struct rack *first)
{
    struct rack rack = *first;
    for (int i = 0; i < RACKS_MOST; i++) {
        for (int k = 0; k < RACK_PLACES; k++)
            see_work(sight, pool, window, atomic_load(&rack.places[k].work));
        const struct rack *next = atomic_load(&rack.next);
        if (!next || !window_read(window, next, &rack, sizeof rack))
            return;
    }
}

/* ---- workers ---- */

static void see_worker(struct seen_worker *seen, const struct window *window, const struct worker *worker)
{
    struct work work;
    const struct work *address = atomic_load(&worker->work);
    uint64_t item = atomic_load(&worker->item), turn = atomic_load(&worker->turn.word);
    seen->pid = atomic_load(&worker->pid);
    seen->slot = worker->slot;
    seen->began = turn_is_open(turn) ? atomic_load(&worker->turn.began) : 0;
    if (!seen->pid)
        snprintf(seen->doing, sizeof seen->doing, "being replaced");
    else if (!address || !window_read(window, address, &work, sizeof work))
        snprintf(seen->doing, sizeof seen->doing, "idle");
    else if (work.kind == WORK_MAP && item)
        snprintf(seen->doing, sizeof seen->doing, "item %" PRIu64 " of a map", item - 1);
    else
        snprintf(seen->doing, sizeof seen->doing, "%s", work.kind == WORK_MAP ? "a map" : "a call");
}

/* A place's record, by way of the block that it lies in. */
static bool read_worker(const struct window *window, const struct seen_pool *pool, unsigned index, struct worker *copy)
{
    const struct brood_pool *there = pool->object;
    const struct worker *crew;
    return index < POOL_WORKERS &&
           window_read(window, &there->crews[index / CREW_WORKERS], (void *)&crew, sizeof crew) &&
           window_read(window, crew + index % CREW_WORKERS, copy, sizeof *copy) && copy->index == index &&
           copy->pool == pool->object;
}

static void see_workers(struct seen_pool *pool, const struct window *window)
{
    struct worker worker;
    pool->workers = calloc(pool->count, sizeof *pool->workers);
    for (unsigned i = 0; pool->workers && i < pool->count && read_worker(window, pool, i, &worker); i++) {
        see_worker(&pool->workers[i], window, &worker);
        pool->alive += pool->workers[i].pid != 0;
        pool->busy += pool->workers[i].pid && atomic_load(&worker.work);
    }
}

/* Whether it is still that pool, and not ending; and how many places are to have a worker. */
static bool goes_on(const struct window *window, const struct seen_pool *pool, uint32_t *wanted)
{
    const struct brood_pool *there = pool->object;
    int64_t serial;
    uint32_t closing;
    return window_read(window, (const void *)&there->wanted, wanted, sizeof *wanted) &&
           window_read(window, (const void *)&there->closing, &closing, sizeof closing) && closing == CLOSING_NOT &&
           window_read(window, &there->serial, &serial, sizeof serial) && serial == pool->serial;
}

unsigned sight_replaced(const struct window *window, struct seen_pool *pool)
{
    struct worker worker;
    uint32_t wanted;
    unsigned replaced = 0;
    if (!pool->workers || !goes_on(window, pool, &wanted))
        return 0;
    for (unsigned i = 0; i < pool->count && read_worker(window, pool, i, &worker); i++) {
        uint64_t slot = i < wanted ? worker.slot : 0;
        if (slot != pool->workers[i].slot) {
            replaced += i < wanted && pool->workers[i].slot; /* else it is a new place, or wanted again */
            pool->workers[i].slot = slot;
        }
    }
    return replaced;
}

static void see_call(const struct window *window, const struct worker *worker, const struct ring *there,
                     struct seen_task *task)
{
    struct ring ring;
    struct cell cell;
    struct call call;
    uint64_t number = atomic_load(&worker->chunk);
    if (!window_read(window, there, &ring, sizeof ring) || !ring.size ||
        !window_read(window, &there->cells[number & (ring.size - 1)], &cell, sizeof cell) ||
        atomic_load(&cell.word) >> RING_OWNER_SHIFT != worker->index + 1 ||
        !window_read(window, cell.call, &call, sizeof call))
        return;
    task->work = cell.call;
    task->item = call.index;
    task->function = call.task;
}

bool sight_task(const struct window *window, const struct seen_pool *pool, unsigned index, struct seen_task *task)
{
    struct worker worker;
    struct work work;
    struct job job;
    *task = (struct seen_task){ 0 };
    if (!read_worker(window, pool, index, &worker))
        return false;
    const struct work *address = atomic_load(&worker.work);
    uint64_t item = atomic_load(&worker.item);
    task->pid = atomic_load(&worker.pid);
    task->began = turn_is_open(atomic_load(&worker.turn.word)) ? atomic_load(&worker.turn.began) : 0;
    if (!task->pid || !address || !item || !window_read(window, address, &work, sizeof work))
        return true;
    task->is_map = work.kind == WORK_MAP;
    if (!task->is_map) {
        see_call(window, &worker, (const struct ring *)(const void *)address, task);
    } else if (window_read(window, address, &job, sizeof job)) {
        task->work = address;
        task->item = item - 1;
        task->function = job.task;
    }
    return true;
}

/* ---- the pool ---- */

/* It is one if its workers' records say so. */
static bool is_pool(const struct window *window, const struct brood_pool *copy, const void *address)
{
    struct worker worker;
    struct seen_pool pool = { .object = address };
    uint32_t count = atomic_load(&copy->count);
    return count > 0 && count <= POOL_WORKERS && copy->creator > 0 && read_worker(window, &pool, 0, &worker) &&
           read_worker(window, &pool, count - 1, &worker);
}

bool may_be_pool(const struct window *window, const char *copy, size_t size)
{
    const struct brood_pool *pool = (const struct brood_pool *)(const void *)copy;
    return size >= sizeof *pool && atomic_load(&pool->count) > 0 && atomic_load(&pool->count) <= POOL_WORKERS &&
           pool->creator > 0 && window_holds(window, pool->crews[0], sizeof *pool->crews[0]);
}

bool see_pool(struct sight *sight, const struct window *window, const char *block)
{
    struct brood_pool copy;
    if ((uintptr_t)block % 64 || !window_read(window, block, &copy, sizeof copy) || !is_pool(window, &copy, block))
        return true;
    if (sight->pool_count == SIGHT_POOLS) {
        sight->heap.overlooked = true;
        return true;
    }
    struct seen_pool *all = sight_grow(sight->pools, sight->pool_count, sizeof *all);
    if (!all)
        return false;
    sight->pools = all;
    struct seen_pool *pool = &all[sight->pool_count++];
    *pool = (struct seen_pool){ .object = block,
                                .serial = copy.serial,
                                .creator = copy.creator,
                                .count = atomic_load(&copy.count),
                                .wanted = atomic_load(&copy.wanted),
                                .broken = atomic_load(&copy.broken) != 0,
                                .recycles = copy.max_tasks > 0 || copy.max_memory > 0,
                                .closing = atomic_load(&copy.closing) != CLOSING_NOT,
                                .stuck = atomic_load(&copy.stuck) };
    const struct brood_pool *there = (const void *)block;
    window_text(window, there->name, pool->name, sizeof pool->name);
    if (pool->broken)
        window_text(window, there->why, pool->why, sizeof pool->why);
    see_workers(pool, window);
    see_rack(sight, pool, window, &copy.rack);
    return true;
}
