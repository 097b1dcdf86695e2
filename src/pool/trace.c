/* pool/trace.c: the events of a traced pool, and who writes them when. */
#include "pool/trace.h"

#include "error/error.h"
#include "os/clock.h"
#include "pool/owner.h"
#include "region/heap.h"
#include "wait/latch.h"

#include <errno.h>
#include <sys/file.h>
#include <unistd.h>

#define LATCH_MS 1000 /* that anybody waits for a writer */

static bool is_over(const struct trace *trace)
{
    return atomic_load_explicit(&trace->ended, memory_order_relaxed) != 0;
}

bool trace_goes_on(const struct brood_pool *pool)
{
    return pool->trace && !is_over(pool->trace);
}

static bool is_full(const struct trace_ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_relaxed) -
               atomic_load_explicit(&ring->tail, memory_order_relaxed) ==
           TRACE_EVENTS;
}

static bool is_empty(const struct trace_ring *ring)
{
    return atomic_load(&ring->head) == atomic_load(&ring->tail);
}

/* ---- the latch ---- */

/* False: the trace is over, since whoever has the latch does not come to an end. */
static bool take(struct brood_pool *pool)
{
    struct trace *trace = pool->trace;
    int taken = latch_take(thread_self(), &trace->latch, clock_deadline(LATCH_MS));
    if (taken < 0)
        trace_end(pool, ETIMEDOUT);
    if (taken >= 0 && is_over(trace)) {
        latch_drop(thread_self(), &trace->latch);
        return false;
    }
    return taken >= 0;
}

static void drop(struct brood_pool *pool)
{
    latch_drop(thread_self(), &pool->trace->latch);
}

/* Of any ring but the callers'. */
static void flush_ring(struct brood_pool *pool, struct trace_ring *ring)
{
    if (!take(pool))
        return;
    trace_write(pool, ring);
    drop(pool);
}

/* ---- the rings ---- */

/* By the ring's one writer; there is room. Release: pairs with the acquire in trace_write. */
static void append(struct trace_ring *ring, const struct trace_event *event)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    ring->events[head % TRACE_EVENTS] = *event;
    atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

static void put(struct brood_pool *pool, struct trace_ring *ring, const struct trace_event *event)
{
    if (is_over(pool->trace))
        return;
    if (is_full(ring))
        flush_ring(pool, ring);
    if (!is_full(ring))
        append(ring, event);
}

/* Callers are many, and share a ring. */
static void put_caller(struct brood_pool *pool, const struct trace_event *event)
{
    struct trace_ring *ring = &pool->trace->callers;
    if (!take(pool))
        return;
    if (is_full(ring))
        trace_write(pool, ring);
    if (!is_full(ring))
        append(ring, event);
    drop(pool);
}

int trace_make_rings(struct brood_pool *pool, uint32_t from, uint32_t count)
{
    for (uint32_t i = from; i < count; i++) {
        struct worker *worker = pool_worker(pool, i);
        if (!worker->trace && !(worker->trace = heap_take(sizeof *worker->trace, true)))
            return -ENOMEM;
        heap_label(worker->trace, "trace of a worker");
    }
    return 0;
}

/* ---- tasks ---- */

void trace_task_begins(struct worker *worker, const struct module_function *task, uint64_t index, int64_t now)
{
    struct trace_ring *ring = worker->trace;
    ring->task = task;
    ring->index = index;
    ring->pid = atomic_load_explicit(&worker->pid, memory_order_relaxed);
    /* Release: whoever finds it after our death finds the rest, too. */
    atomic_store_explicit(&ring->begin, now, memory_order_release);
}

void trace_task_ends(struct worker *worker, int64_t now, int code)
{
    struct trace_ring *ring = worker->trace;
    put(worker->pool, ring,
        &(struct trace_event){ .begin = atomic_load_explicit(&ring->begin, memory_order_relaxed),
                               .end = now,
                               .task = ring->task,
                               .index = ring->index,
                               .kind = TRACE_TASK,
                               .how = code ? BROOD_FAILED : BROOD_RETURNED,
                               .code = code,
                               .pid = ring->pid });
    atomic_store_explicit(&ring->begin, 0, memory_order_release); /* who dies before it is known by its event */
}

void trace_nested(struct worker *worker, const brood_end *end, int64_t began)
{
    put(worker->pool, worker->trace,
        &(struct trace_event){ .begin = began,
                               .end = clock_now(),
                               .index = end->index,
                               .kind = TRACE_NESTED,
                               .how = (int32_t)end->how,
                               .code = end->code,
                               .pid = end->pid });
}

/* Whether the task that a dead worker was at is in its ring already: it died as it came from there. */
static bool is_told(const struct trace_ring *ring, int64_t begin)
{
    uint64_t head = atomic_load(&ring->head);
    const struct trace_event *last = &ring->events[(head - 1) % TRACE_EVENTS];
    return head > 0 && last->kind == TRACE_TASK && last->begin == begin && last->index == ring->index;
}

void trace_settle(struct worker *worker, const brood_end *how)
{
    struct trace_ring *ring = worker->trace;
    int64_t begin = ring ? atomic_load(&ring->begin) : 0;
    if (!begin)
        return;
    if (!is_told(ring, begin))
        put(worker->pool, ring,
            &(struct trace_event){ .begin = begin,
                                   .end = clock_now(),
                                   .task = ring->task,
                                   .index = ring->index,
                                   .kind = TRACE_TASK,
                                   .how = (int32_t)how->how,
                                   .code = how->code,
                                   .signal = how->signal,
                                   .pid = ring->pid });
    atomic_store(&ring->begin, 0);
}

/* ---- what happens to the pool ---- */

void trace_keeper(struct brood_pool *pool)
{
    if (pool->trace)
        put(pool, &pool->trace->keeper,
            &(struct trace_event){ .begin = clock_now(), .kind = TRACE_KEEPER, .pid = getpid() });
}

void trace_worker(struct worker *worker)
{
    if (worker->trace)
        put(worker->pool, &worker->pool->trace->keeper,
            &(struct trace_event){
                .begin = clock_now(), .index = worker->index, .kind = TRACE_WORKER, .pid = atomic_load(&worker->pid) });
}

void trace_died(struct worker *worker, const brood_end *how)
{
    if (worker->trace)
        put(worker->pool, &worker->pool->trace->keeper,
            &(struct trace_event){ .begin = clock_now(),
                                   .kind = TRACE_DIED,
                                   .how = (int32_t)how->how,
                                   .code = how->code,
                                   .signal = how->signal,
                                   .pid = how->pid ? how->pid : atomic_load(&worker->pid) });
}

static void tell_map(struct brood_pool *pool, struct trace_event event)
{
    event.begin = clock_now();
    event.pid = getpid();
    event.tid = (int32_t)thread_self()->id;
    put_caller(pool, &event);
}

uint64_t trace_map_begins(struct brood_pool *pool, const struct module_function *task, uint64_t count)
{
    if (!trace_goes_on(pool))
        return 0;
    uint64_t number = atomic_fetch_add(&pool->trace->maps, 1) + 1;
    tell_map(pool, (struct trace_event){ .task = task, .index = number, .count = count, .kind = TRACE_MAP_BEGIN });
    return number;
}

void trace_map_ends(struct brood_pool *pool, uint64_t number, const struct module_function *task, int result)
{
    if (number && trace_goes_on(pool))
        tell_map(pool, (struct trace_event){ .task = task, .index = number, .kind = TRACE_MAP_END, .code = result });
}

void trace_resized(struct brood_pool *pool, uint32_t workers)
{
    if (trace_goes_on(pool))
        tell_map(pool, (struct trace_event){ .index = workers, .kind = TRACE_RESIZED });
}

/* ---- to the file ---- */

void trace_flush(struct brood_pool *pool)
{
    struct trace *trace = pool->trace;
    uint32_t count = atomic_load(&pool->count);
    bool any =
        trace_goes_on(pool) && (atomic_load(&trace->torn) || !is_empty(&trace->keeper) || !is_empty(&trace->callers));
    for (uint32_t i = 0; trace_goes_on(pool) && i < count && !any; i++)
        any = !is_empty(pool_worker(pool, i)->trace);
    if (!any || !take(pool))
        return;
    bool good = trace_write(pool, &trace->keeper) && trace_write(pool, &trace->callers);
    for (uint32_t i = 0; good && i < count; i++)
        good = trace_write(pool, pool_worker(pool, i)->trace);
    drop(pool);
}

void trace_finish(struct brood_pool *pool)
{
    if (!pool->trace)
        return;
    for (uint32_t i = 0; i < atomic_load(&pool->count); i++)
        trace_settle(pool_worker(pool, i), &(brood_end){ .how = BROOD_CANCELLED });
    trace_flush(pool);
}

void trace_discard(struct brood_pool *pool)
{
    struct owner *owner = pool_owner(pool);
    struct trace *trace = pool->trace;
    if (!trace)
        return;
    if (owner && owner->trace_file >= 0 && shm_is(owner->trace_file, &trace->file)) {
        flock(owner->trace_file, LOCK_UN); /* a child that the program forked meanwhile has it too */
        close(owner->trace_file);
    }
    for (uint32_t i = 0; i < atomic_load(&pool->count); i++)
        if (pool_worker(pool, i)->trace)
            heap_give(pool_worker(pool, i)->trace, NULL);
    heap_give(trace, NULL);
}
