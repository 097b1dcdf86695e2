/* pool/call.c: calls, the caller's side. */
#include "pool/call.h"

#include "error/error.h"
#include "os/clock.h"
#include "pool/result.h"
#include "process/end.h"
#include "region/heap.h"
#include "region/region.h"
#include "wait/spin.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define RING_FIRST 256 /* cells; the last of CALLER_RINGS has 8 million */
#define ALIGNMENT 16   /* of items and results */

static size_t aligned(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

/* The block: the call, then copies of what does not lie in the region. NULL: no memory. */
static struct call *make(const struct map *map, struct held *held, size_t index, bool own)
{
    brood_block item = { (void *)(uintptr_t)map->in, map->in_size };
    if (task_varies(map->in_size))
        item = task_item(map->in, map->in_size, 0);
    bool replies = map->out_size == BROOD_BLOCKS;
    size_t out_size = replies ? 0 : map->out_size;
    bool copy_in = item.size > 0 && (own || !region_holds(item.data, item.size));
    bool copy_out = out_size > 0 && (own || !region_holds(map->out, out_size));
    if (item.size > SIZE_MAX / 4 || out_size > SIZE_MAX / 4)
        return NULL;
    size_t head = aligned(sizeof(struct call)), in_size = copy_in ? aligned(item.size) : 0;
    size_t size = head + in_size + (copy_out ? out_size : 0);
    struct call *call = held_take(held, size, false);
    if (!call)
        return NULL;
    heap_label(call, "call of a task");
    memset(call, 0, sizeof *call);
    call->held = held;
    held_is(held, HELD_CALL);
    call->in = item.size || !map->in_size ? item.data : NULL;
    call->in_size = item.size;
    call->index = index;
    call->replies = replies;
    call->retries = map->options.retries;
    call->soft_ms = map->options.soft_ms;
    call->hard_ms = map->options.hard_ms;
    call->max_memory = task_most(&map->options);
    call->out = out_size ? map->out : NULL;
    if (copy_in)
        call->in = memcpy((char *)call + head, item.data, item.size);
    if (copy_out) {
        call->out = memset((char *)call + head + in_size, 0, out_size);
        call->out_zeroed = out_size;
    }
    return call;
}

/* Under guard. */
static void destroy(struct owner *owner, struct call *call)
{
    struct held *held = call->held;
    call_destroy(call);
    owner_unreserve(owner, held);
}

static void destroy_now(struct owner *owner, struct call *call)
{
    pthread_mutex_lock(&owner->guard);
    destroy(owner, call);
    pthread_mutex_unlock(&owner->guard);
}

/* The same as make, in a place of this process'. */
static struct call *make_held(struct owner *owner, const struct map *map, size_t index, bool own)
{
    struct held *held;
    pthread_mutex_lock(&owner->guard);
    int failed = owner_reserve(owner, &held);
    pthread_mutex_unlock(&owner->guard);
    struct call *call = failed < 0 ? NULL : make(map, held, index, own);
    if (!call && failed == 0) {
        pthread_mutex_lock(&owner->guard);
        owner_unreserve(owner, held);
        pthread_mutex_unlock(&owner->guard);
    }
    return call;
}

/* Those that are over by now are given back. Under guard. */
static void free_abandoned(struct owner *owner, bool all)
{
    for (struct call **at = &owner->abandoned; *at;) {
        struct call *call = *at;
        if (!all && !ring_is_over(call->ring, call->number)) {
            at = &call->next;
            continue;
        }
        *at = call->next;
        destroy(owner, call);
    }
}

/* A ring with room, or NULL: no memory. Under guard. */
static struct ring *next_ring(struct owner *owner, struct queue *queue, unsigned level)
{
    unsigned at = queue->count;
    if (at == CALLER_RINGS)
        return NULL;
    struct ring *ring = ring_create(owner->pool, owner->caller, &queue->rings[at], RING_FIRST << at, level);
    if (!ring)
        return NULL;
    if (pool_put(owner->pool, &ring->work) < 0) {
        heap_give(ring, (void **)&queue->rings[at]);
        return NULL;
    }
    queue->count++;
    return ring;
}

/* With the bell lifted. Under guard. */
static bool put(struct owner *owner, struct placed *placed, struct call *call, unsigned level)
{
    struct thread *self = thread_self();
    if (owner->abandoned)
        free_abandoned(owner, false);
    struct queue *queue = &owner->caller->queues[level];
    placed->ring = queue->count ? queue->rings[queue->count - 1] : NULL;
    bell_lift(self, &owner->pool->work);
    while (!placed->ring || !ring_put(placed->ring, call, &placed->number)) {
        if (!(placed->ring = next_ring(owner, queue, level)))
            return false;
        bell_lift(self, &owner->pool->work);
    }
    return true;
}

/* Not if an idle worker looks out: it will see that there is something, and rings if there is more. */
static void ring_bell(struct brood_pool *pool)
{
    struct thread *self = thread_self();
    if (atomic_load(&pool->lookout) == 0)
        bell_ring(self, &pool->work);
    else
        thread_expects(self, NULL);
}

static int no_memory(const char *name)
{
    return error_set(ENOMEM, "%s: no memory in the region for a call", name);
}

int call_begin(struct placed *placed, const struct map *map, const char *name, brood_task *task, size_t index, bool own,
               brood_result *result)
{
    struct brood_pool *pool = map->pool;
    struct owner *owner = map->owner;
    placed->owner = owner;
    if (task_varies(map->in_size)) {
        brood_block item = task_item(map->in, map->in_size, 0);
        if (item.size && !item.data)
            return error_set(EINVAL, "%s: item %zu is NULL, and has a size", name, index);
    }
    struct call *call = make_held(owner, map, index, own);
    if (!call)
        return no_memory(name);
    if (call->hard_ms || call->max_memory)
        task_watch(owner, &placed->watch);
    pthread_mutex_lock(&owner->guard);
    call->task = function_name(owner, task_address(task), name);
    int failed = call->task ? 0 : -errno;
    bool is_put = failed == 0 && put(owner, placed, call, work_level(map->options.priority));
    if (is_put) {
        spin_publish(&pool->caller_cpu);
        atomic_fetch_add(&pool->offers, 1);
        placed->call = call;
        if (result)
            result_link(result);
    }
    pthread_mutex_unlock(&owner->guard);
    if (is_put) { /* a result's callback may have destroyed it by now, and with it what was placed */
        ring_bell(pool);
        return 0;
    }
    thread_expects(thread_self(), NULL);
    task_unwatch(owner, &placed->watch);
    destroy_now(owner, call);
    return failed < 0 ? failed : no_memory(name);
}

bool call_is_over(const struct placed *placed)
{
    return !placed->call || ring_is_over(placed->ring, placed->number);
}

void call_ask(const struct placed *placed, unsigned seat)
{
    if (placed->call)
        ring_ask(placed->ring, placed->number, seat);
}

uint32_t call_cpu(const struct placed *placed)
{
    const struct brood_pool *pool = placed->owner->pool;
    uint32_t worker = ring_holder(placed->ring, placed->number);
    if (worker == 0)
        worker = atomic_load(&pool->lookout);
    return worker ? atomic_load_explicit(&pool_worker(pool, worker - 1)->cpu, memory_order_relaxed) : 0;
}

void call_take(const struct placed *placed, void *out, size_t out_size, brood_end *end)
{
    struct call *call = placed->call;
    if (atomic_load_explicit(&call->how, memory_order_acquire) != BROOD_RUNNING)
        *end = call->end;
    else
        memset(end, 0, sizeof *end);
    if (end->how != BROOD_RETURNED || !out)
        return;
    if (call->replies) {
        /* Killed between the two it is lost, and not two's. */
        const brood_block reply = call->reply;
        call->reply.data = NULL;
        atomic_signal_fence(memory_order_seq_cst);
        *(brood_block *)out = reply;
    } else if (call->out_zeroed) {
        memcpy(out, call->out, out_size);
    }
}

static bool is_run(const struct placed *placed)
{
    uint32_t worker = ring_holder(placed->ring, placed->number);
    return worker && pool_worker_lives(placed->owner->pool, worker - 1);
}

void call_stop(const struct placed *placed)
{
    if (!placed->call)
        return;
    placed->call->retries = 0;
    atomic_store(&placed->call->cancelled,
                 true); /* a claim that has not begun may yet be let go: nobody runs it then */
    while (!call_is_over(placed) && !ring_take_back(placed->ring, placed->number) && is_run(placed))
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    heap_settle(); /* its worker may not have been reaped yet */
}

static bool has_call(const struct worker *worker, const void *placed)
{
    const struct placed *call = placed;
    return ring_holder(call->ring, call->number) == worker->index + 1;
}

/* The turn of whoever has it, if it has opened one by now; if not, it will see that the call is cancelled. */
static void cancel_turn(const struct placed *placed, int64_t at)
{
    struct brood_pool *pool = placed->owner->pool;
    uint32_t holder = ring_holder(placed->ring, placed->number);
    if (holder)
        pool_cancel_turn(pool, pool_worker(pool, holder - 1), has_call, placed, at);
}

bool call_cancel(struct placed *placed, int64_t at)
{
    if (call_is_over(placed))
        return false;
    task_watch(placed->owner, &placed->watch);
    atomic_store(&placed->call->cancelled, true);
    if (ring_take_back(placed->ring, placed->number))
        return false;
    cancel_turn(placed, at);
    return true;
}

void call_release(struct placed *placed)
{
    struct call *call = placed->call;
    if (!call)
        return;
    struct owner *owner = placed->owner;
    task_unwatch(owner, &placed->watch);
    placed->call = NULL;
    if (ring_is_over(placed->ring, placed->number)) {
        destroy_now(owner, call);
        return;
    }
    pthread_mutex_lock(&owner->guard);
    call->ring = placed->ring;
    call->number = placed->number;
    call->next = owner->abandoned;
    owner->abandoned = call;
    pthread_mutex_unlock(&owner->guard);
}

int call_outcome(const struct placed *placed, const brood_end *end)
{
    const struct call *call = placed->call;
    if (end->how == BROOD_RETURNED)
        return 0;
    if (call && call->unfit) {
        char function[MODULE_PATH_MAX + 64];
        module_describe(call->task, function, sizeof function);
        return error_set(ENOENT, "the workers of pool '%s' lack the %s", placed->owner->pool->name, function);
    }
    error_tell("the task, item %zu, failed: %s", end->index, end->why);
    return 1;
}

void calls_free(struct owner *owner)
{
    free_abandoned(owner, true);
}
