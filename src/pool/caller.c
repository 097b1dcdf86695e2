/* pool/caller.c */
#include "pool/caller.h"

#include "error/error.h"
#include "os/cpu.h"
#include "pool/pool.h"
#include "region/heap.h"

#include <errno.h>

#define COMING_LOOKS 64 /* at a worker that is just coming to a work, or leaving it */

/* ---- joining ---- */

/* A free record, or a new one at the chain's end. Under the pool's guard. */
static struct caller *find_place(struct brood_pool *pool)
{
    struct caller *_Atomic *at = &pool->callers;
    struct caller *caller;
    while ((caller = atomic_load(at)) && atomic_load(&caller->slot) != 0)
        at = &caller->next;
    if (caller || !heap_take_into((void **)(void *)at, sizeof *caller))
        return caller;
    heap_label(atomic_load(at), "caller of a pool");
    return atomic_load(at);
}

struct caller *caller_enlist(struct brood_pool *pool, const char *call)
{
    slot_id self = table_self("process");
    if (self == 0) {
        error_set(errno,
                  errno == EAGAIN ? "%s: the family's table is full"
                                  : "%s: no memory for a place in the family's table",
                  call);
        return NULL;
    }
    pool_lock(pool);
    struct caller *caller = find_place(pool);
    if (caller) {
        atomic_store(&caller->users, atomic_load(&pool->closed) ? CALLER_CLOSED : 0);
        atomic_store(&caller->pid, thread_self()->process);
        atomic_store(&caller->slot, self); /* the commit */
    }
    pool_unlock(pool);
    if (!caller)
        error_set(ENOMEM, "%s: no memory in the region for a caller of pool '%s'", call, pool->name);
    return caller;
}

bool caller_is_gone(const struct caller *caller)
{
    return slot_process_is_gone(atomic_load(&caller->slot), atomic_load(&caller->pid));
}

/* ---- places ---- */

struct shelf *caller_add_shelf(struct caller *caller, struct shelf *last)
{
    struct shelf **at = last ? &last->next : &caller->shelves;
    struct shelf *shelf = heap_take_into((void **)at, sizeof *shelf);
    if (shelf)
        heap_label(shelf, "places of a pool's caller");
    return shelf;
}

void *held_take(struct held *held, size_t size, bool zeroed)
{
    held_is(held, HELD_RAW);
    return zeroed ? heap_take_into(&held->block, size) : heap_take_raw_into(&held->block, size);
}

void held_give(struct held *held, void *block)
{
    heap_give(block, &held->block);
}

void held_is(struct held *held, uint32_t what)
{
    atomic_signal_fence(memory_order_seq_cst); /* whoever comes after our death reads these in program order */
    atomic_store_explicit(&held->what, what, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

/* ---- when it is gone ---- */

static bool has_ring(const struct caller *caller, unsigned level, int at)
{
    return at < CALLER_RINGS && caller->queues[level].rings[at];
}

void caller_turn_away(struct brood_pool *pool, struct caller *caller)
{
    for (struct shelf *shelf = caller->shelves; shelf; shelf = shelf->next)
        for (int i = 0; i < SHELF_PLACES; i++) {
            struct job *job = shelf->places[i].block;
            if (job && atomic_load(&shelf->places[i].what) == HELD_JOB && !atomic_load(&job->finished))
                job_refuse(job, -ECANCELED);
        }
    for (unsigned level = 0; level < WORK_LEVELS; level++)
        for (int i = 0; has_ring(caller, level, i); i++)
            atomic_store(&caller->queues[level].rings[i]->ended, true);
    rack_withdraw_caller(pool, caller);
    atomic_store(&caller->away, true);
}

bool caller_is_served(const struct caller *caller, const struct worker *worker)
{
    return atomic_load(&worker->work) && atomic_load(&worker->caller) == caller;
}

/* What is offered no more is looked at by those only who named it before. */
bool caller_is_touched(const struct caller *caller, const struct worker *worker)
{
    for (int looks = 0; looks < COMING_LOOKS; looks++, cpu_pause()) {
        const struct work *look = atomic_load(&worker->look);
        if (!look)
            return false;
        if (atomic_load(&worker->work) == look)
            return atomic_load(&worker->caller) == caller;
    }
    return true;
}

static void clear_place(struct held *held)
{
    if (!held->block)
        return;
    uint32_t what = atomic_load(&held->what);
    if (what == HELD_CALL)
        call_destroy(held->block);
    else if (what == HELD_JOB)
        job_destroy(held->block);
    else
        held_give(held, held->block);
}

static void clear_shelves(struct caller *caller)
{
    struct shelf *last = NULL;
    for (struct shelf *shelf = caller->shelves; shelf; shelf = shelf->next) {
        for (int i = 0; i < SHELF_PLACES; i++)
            clear_place(&shelf->places[i]);
        shelf->previous = last;
        last = shelf;
    }
    while (last) { /* the last first: the chain stays whole */
        struct shelf *previous = last->previous;
        heap_give(last, (void **)(previous ? &previous->next : &caller->shelves));
        last = previous;
    }
}

void caller_clear(struct brood_pool *pool, struct caller *caller)
{
    clear_shelves(caller);
    for (unsigned level = 0; level < WORK_LEVELS; level++) {
        struct queue *queue = &caller->queues[level];
        for (int i = CALLER_RINGS; i-- > 0;) /* the last first: they stand without a gap */
            if (queue->rings[i])
                heap_give(queue->rings[i], (void **)&queue->rings[i]);
        queue->count = 0;
    }
    for (int i = 0; i < POOL_SEATS; i++)
        if (atomic_load(&pool->seats[i].holder) == caller)
            atomic_store(&pool->seats[i].holder, NULL);
    atomic_store(&caller->results, 0);
    atomic_store(&caller->watched, 0);
    atomic_store(&caller->users, 0);
    atomic_store(&caller->asking, 0);
    atomic_store(&caller->away, false);
    atomic_store(&caller->slot, 0);
}
