/* pool/rack.c: the places where work is offered. */
#include "pool/owner.h"
#include "region/heap.h"

#include <errno.h>

int pool_put(struct brood_pool *pool, struct work *work)
{
    struct rack *rack = &pool->rack, *next;
    int at = 0;
    while (atomic_load(&rack->places[at].work)) {
        if (++at < RACK_PLACES)
            continue;
        next = atomic_load(&rack->next);
        if (!next) {
            next = heap_take_aligned(sizeof *next, 64);
            if (!next)
                return -ENOMEM;
            heap_label(next, "rack of a pool");
            atomic_store(&rack->next, next);
        }
        rack = next;
        at = 0;
    }
    uint64_t order = (uint64_t)work->level << RACK_LEVEL_SHIFT | (work->kind == WORK_MAP ? RACK_MAP : 0);
    atomic_store(&rack->places[at].order, order + ++pool->turns);
    atomic_fetch_or(&pool->levels, 1U << work->level);
    bell_lift(thread_self(), &pool->work);
    atomic_store(&rack->places[at].work, work);
    atomic_store(&pool->offers, atomic_load(&pool->offers) + 1);
    return 0;
}

void pool_withdraw(struct brood_pool *pool, const struct work *work)
{
    struct owner *owner = pool_owner(pool);
    pthread_mutex_lock(&owner->guard);
    for (struct rack *rack = &pool->rack; rack; rack = atomic_load(&rack->next))
        for (int i = 0; i < RACK_PLACES; i++)
            if (atomic_load(&rack->places[i].work) == work)
                atomic_store(&rack->places[i].work, NULL);
    pthread_mutex_unlock(&owner->guard);
}
