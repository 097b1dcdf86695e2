/* pool/rack.c: the places where work is offered. */
#include "os/clock.h"
#include "pool/owner.h"
#include "region/heap.h"
#include "sync/noun.h"

#include <errno.h>

void pool_lock(struct brood_pool *pool)
{
    struct thread *self = thread_self();
    if (latch_take(self, &pool->guard, CLOCK_NEVER) == LATCH_INHERITED) {
        noun_settle(self, &pool->guard);
        functions_mend(&pool->functions);
    }
    latch_hold(self, &pool->guard);
}

void pool_unlock(struct brood_pool *pool)
{
    struct thread *self = thread_self();
    latch_unhold(self, &pool->guard);
    latch_drop(self, &pool->guard);
}

/* A free place; NULL: no memory for more. */
static struct place *find_place(struct brood_pool *pool)
{
    for (struct rack *rack = &pool->rack;; rack = atomic_load(&rack->next)) {
        for (int i = 0; i < RACK_PLACES; i++)
            if (!atomic_load(&rack->places[i].work))
                return &rack->places[i];
        if (atomic_load(&rack->next))
            continue;
        if (!heap_take_into((void **)(void *)&rack->next, sizeof *rack))
            return NULL;
        heap_label(atomic_load(&rack->next), "rack of a pool");
    }
}

int pool_put(struct brood_pool *pool, struct work *work)
{
    pool_lock(pool);
    struct place *place = find_place(pool);
    if (place) {
        uint64_t order = (uint64_t)work->level << RACK_LEVEL_SHIFT | (work->kind == WORK_MAP ? RACK_MAP : 0);
        atomic_store(&place->order, order + ++pool->turns);
        atomic_fetch_or(&pool->levels, 1U << work->level);
        atomic_store(&place->work, work);
    }
    pool_unlock(pool);
    if (!place)
        return -ENOMEM;
    /* Killed before this, the caller has left work that nobody was told of, and that nobody wants any more. */
    bell_lift(thread_self(), &pool->work);
    atomic_fetch_add(&pool->offers, 1);
    return 0;
}

/* Of that work, or of all of that caller. */
static void withdraw(struct brood_pool *pool, const struct work *work, const struct caller *caller)
{
    pool_lock(pool);
    for (struct rack *rack = &pool->rack; rack; rack = atomic_load(&rack->next))
        for (int i = 0; i < RACK_PLACES; i++) {
            const struct work *there = atomic_load(&rack->places[i].work);
            if (there && (there == work || there->caller == caller))
                atomic_store(&rack->places[i].work, NULL);
        }
    pool_unlock(pool);
}

void pool_withdraw(struct brood_pool *pool, const struct work *work)
{
    withdraw(pool, work, NULL);
}

void rack_withdraw_caller(struct brood_pool *pool, const struct caller *caller)
{
    withdraw(pool, NULL, caller);
}

/* ---- looking at all of it: what stays in the rack stays allocated while the guard is held ---- */

size_t rack_count_queued(const struct brood_pool *pool)
{
    struct brood_pool *there = (struct brood_pool *)(uintptr_t)pool;
    size_t queued = 0;
    pool_lock(there);
    for (const struct rack *rack = &pool->rack; rack; rack = atomic_load(&rack->next))
        for (int i = 0; i < RACK_PLACES; i++) {
            const struct work *work = atomic_load(&rack->places[i].work);
            if (work && work->kind == WORK_MAP)
                queued += job_waiting((const struct job *)(const void *)work);
            else if (work)
                queued += ring_waiting((const struct ring *)(const void *)work);
        }
    pool_unlock(there);
    return queued;
}

static bool is_over(const struct work *work)
{
    if (work->kind == WORK_MAP)
        return atomic_load(&((const struct job *)(const void *)work)->finished);
    return ring_is_idle((const struct ring *)(const void *)work);
}

bool rack_is_over(struct brood_pool *pool, const struct caller *but)
{
    bool over = true;
    pool_lock(pool);
    for (struct rack *rack = &pool->rack; rack && over; rack = atomic_load(&rack->next))
        for (int i = 0; i < RACK_PLACES && over; i++) {
            const struct work *work = atomic_load(&rack->places[i].work);
            over = !work || work->caller == but || is_over(work);
        }
    pool_unlock(pool);
    return over;
}

void rack_ask(struct brood_pool *pool, const struct caller *but, unsigned seat)
{
    pool_lock(pool);
    for (struct rack *rack = &pool->rack; rack; rack = atomic_load(&rack->next))
        for (int i = 0; i < RACK_PLACES; i++) {
            struct work *work = atomic_load(&rack->places[i].work);
            if (!work || work->caller == but)
                continue;
            if (work->kind == WORK_MAP)
                atomic_fetch_or(&((struct job *)(void *)work)->seats, UINT64_C(1) << (seat - 1));
            else
                ring_ask_all((struct ring *)(void *)work, seat);
        }
    pool_unlock(pool);
}
