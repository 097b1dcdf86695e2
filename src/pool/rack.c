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

static struct place *free_place(struct rack *rack)
{
    for (int i = 0; i < RACK_PLACES; i++)
        if (!atomic_load(&rack->places[i].work))
            return &rack->places[i];
    return NULL;
}

/* The next of all that there are, in a circle. */
static struct rack *next_rack(struct brood_pool *pool, struct rack *rack)
{
    struct rack *next = atomic_load(&rack->next);
    return next ? next : &pool->rack;
}

/* One more, at the end; NULL: no memory. */
static struct rack *add_rack(struct brood_pool *pool)
{
    struct rack *end = pool->end ? pool->end : &pool->rack, *next;
    while ((next = atomic_load(&end->next)))
        end = next;
    if (!heap_take_into((void **)(void *)&end->next, sizeof *end))
        return NULL;
    pool->end = atomic_load(&end->next);
    pool->spare = RACK_PLACES;
    heap_label(pool->end, "rack of a pool");
    return pool->end;
}

/* One with a free place; NULL: no memory for more. Where there are many, none is looked for that there is not. */
static struct rack *find_rack(struct brood_pool *pool)
{
    struct rack *near = pool->near ? pool->near : &pool->rack, *rack = near;
    bool found = pool->spare && free_place(rack);
    if (pool->spare && !found)
        for (rack = next_rack(pool, near); rack != near && !found; rack = found ? rack : next_rack(pool, rack))
            found = free_place(rack);
    return found ? rack : add_rack(pool);
}

int pool_put(struct brood_pool *pool, struct work *work)
{
    pool_lock(pool);
    struct rack *rack = find_rack(pool);
    if (rack) {
        struct place *place = free_place(rack);
        uint64_t order = (uint64_t)work->level << RACK_LEVEL_SHIFT | (work->kind == WORK_MAP ? RACK_MAP : 0);
        atomic_store(&place->order, order + ++pool->turns);
        atomic_fetch_or(&pool->levels, 1U << work->level);
        work->rack = rack;
        atomic_store(&place->work, work);
        pool->near = rack;
        pool->spare--;
    }
    pool_unlock(pool);
    if (!rack)
        return -ENOMEM;
    /* Killed before this, the caller has left work that nobody was told of, and that nobody wants any more. */
    bell_lift(thread_self(), &pool->work);
    atomic_fetch_add(&pool->offers, 1);
    return 0;
}

void pool_withdraw(struct brood_pool *pool, const struct work *work)
{
    pool_lock(pool);
    struct rack *rack = work->rack;
    for (int i = 0; rack && i < RACK_PLACES; i++)
        if (atomic_load(&rack->places[i].work) == work) {
            atomic_store(&rack->places[i].work, NULL);
            pool->near = rack;
            pool->spare++;
        }
    pool_unlock(pool);
}

/* And says anew how many places are free: it may have been killed before it had said so. */
void rack_withdraw_caller(struct brood_pool *pool, const struct caller *caller)
{
    size_t spare = 0;
    pool_lock(pool);
    for (struct rack *rack = &pool->rack; rack; rack = atomic_load(&rack->next))
        for (int i = 0; i < RACK_PLACES; i++) {
            const struct work *there = atomic_load(&rack->places[i].work);
            if (there && there->caller == caller)
                atomic_store(&rack->places[i].work, NULL);
            spare += !there || there->caller == caller;
        }
    pool->spare = spare;
    pool_unlock(pool);
}

static uint64_t turn_of(uint64_t order, bool calls_first)
{
    return calls_first ? order : order & ~RACK_MAP;
}

int rack_pick(struct rack *rack, bool calls_first, uint64_t after, struct pick picks[static RACK_PICKS])
{
    int count = 0;
    for (; rack; rack = atomic_load(&rack->next)) {
        for (int i = 0; i < RACK_PLACES; i++) {
            struct place *place = &rack->places[i];
            uint64_t order = turn_of(atomic_load_explicit(&place->order, memory_order_relaxed), calls_first);
            if (order <= after || !atomic_load_explicit(&place->work, memory_order_relaxed) ||
                (count == RACK_PICKS && order > picks[count - 1].order))
                continue;
            int at = count < RACK_PICKS ? count++ : count - 1;
            for (; at > 0 && picks[at - 1].order > order; at--)
                picks[at] = picks[at - 1];
            picks[at] = (struct pick){ place, order };
        }
    }
    return count;
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
