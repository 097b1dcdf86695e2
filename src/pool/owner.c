/* pool/owner.c: who may call a pool, and what each call begins and ends with.
 *
 * A process finds its side of a pool that another created in a list that only grows, and a fork leaves behind. What it
 * has of a pool that is gone is used anew for the next one at the same address.
 */
#include "pool/owner.h"

#include "error/error.h"
#include "pool/result.h"
#include "pool/task.h"
#include "pool/watched.h"
#include "region/heap.h"
#include "region/region.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct owner *owner_of_other(const struct brood_pool *pool)
{
    struct owner *owner = atomic_load_explicit(&wiped->owners, memory_order_acquire); /* pairs with make's release */
    while (owner && (owner->pool != pool || atomic_load(&owner->serial) != pool->serial))
        owner = owner->next;
    return owner;
}

void owner_begin(struct owner *owner, struct brood_pool *pool, struct caller *caller)
{
    owner->pool = pool;
    owner->caller = caller;
    owner->trace_file = -1;
    pthread_mutex_init(&owner->guard, NULL);
}

/* What was there for a pool of the same address, which is gone. Under the list's guard. NULL: nothing. */
static struct owner *find_unused(const struct brood_pool *pool)
{
    struct owner *owner = atomic_load(&wiped->owners);
    while (owner && owner->pool != pool)
        owner = owner->next;
    if (!owner)
        return NULL;
    atomic_store(&owner->serial, 0);
    for (struct retired *retired = owner->retired, *next; retired; retired = next) { /* the jobs went with the pool */
        next = retired->next;
        free(retired);
    }
    free(owner->places);
    owner->retired = NULL;
    owner->places = NULL;
    owner->last_shelf = NULL;
    owner->place_count = owner->place_room = 0;
    owner->abandoned = NULL;
    owner->missed = 0;
    owner->missed_since = 0;
    memset(owner->known, 0, sizeof owner->known);
    return owner;
}

static struct owner *make(struct brood_pool *pool)
{
    struct owner *owner = wiped_allocate(sizeof *owner);
    if (!owner)
        return NULL;
    owner_begin(owner, pool, NULL);
    owner->next = atomic_load(&wiped->owners);
    atomic_store_explicit(&wiped->owners, owner, memory_order_release);
    return owner;
}

/* The first call of this process. NULL with errno and a sentence. */
static struct owner *join(struct brood_pool *pool, const char *call)
{
    pthread_mutex_lock(&wiped->owners_guard);
    struct owner *owner = owner_of_other(pool);
    if (!owner && !(owner = find_unused(pool)) && !(owner = make(pool)))
        error_set(ENOMEM, "%s: no memory", call);
    else if (atomic_load(&owner->serial) != pool->serial && !(owner->caller = caller_enlist(pool, call)))
        owner = NULL;
    else
        atomic_store(&owner->serial, pool->serial);
    pthread_mutex_unlock(&wiped->owners_guard);
    return owner;
}

/* ---- places for blocks ---- */

static int add_places(struct owner *owner)
{
    size_t room = owner->place_room + SHELF_PLACES;
    struct held **places = realloc(owner->places, room * sizeof(struct held *));
    if (!places)
        return -ENOMEM;
    owner->places = places;
    struct shelf *shelf = caller_add_shelf(owner->caller, owner->last_shelf);
    if (!shelf)
        return -ENOMEM;
    owner->last_shelf = shelf;
    owner->place_room = room;
    for (int i = SHELF_PLACES; i-- > 0;)
        places[owner->place_count++] = &shelf->places[i];
    return 0;
}

int owner_reserve(struct owner *owner, struct held **held)
{
    *held = NULL;
    if (owner->place_count == 0 && add_places(owner) < 0)
        return -ENOMEM;
    *held = owner->places[--owner->place_count];
    return 0;
}

void owner_unreserve(struct owner *owner, struct held *held)
{
    owner->places[owner->place_count++] = held;
}

/* ---- calls ---- */

/* Whether this is a worker of that pool, not a child that one has started. */
static bool is_own(const struct brood_pool *pool)
{
    return worker_here && worker_here->pool == pool && atomic_load(&worker_here->pid) == thread_self()->process;
}

int pool_enter(const struct brood_pool *pool, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!pool)
        return error_null(call, "the pool");
    if (is_own(pool))
        return error_set(EPERM, "%s: a task may only map and apply on its own pool '%s'", call, pool->name);
    return 0;
}

int pool_enter_creator(const struct brood_pool *pool, const char *call)
{
    int failed = pool_enter(pool, call);
    if (failed == 0 && !pool_is_own(pool))
        return error_set(EPERM, "%s: pool '%s' belongs to process %d", call, pool->name, pool->creator);
    return failed;
}

struct owner *pool_stay(struct brood_pool *pool, const char *call)
{
    if (pool_enter(pool, call) < 0)
        return NULL;
    struct owner *owner = pool_owner(pool);
    bool first = !owner;
    if (first && !(owner = join(pool, call)))
        return NULL;
    if (first)
        pool_poke(pool); /* the keeper is to watch this process from now on */
    atomic_fetch_add(&owner->caller->users, 1);
    return owner;
}

void owner_has_asked(struct owner *owner)
{
    if (owner->is_creator)
        return;
    atomic_fetch_sub(&owner->caller->asking, 1);
    if (owner_is_closed(owner)) /* the pool stays: we are counted as its users still */
        pool_tell_callers(owner->pool);
}

/* Its user is counted. */
static int begin_use(struct owner *owner, const char *call, bool submits)
{
    struct brood_pool *pool = owner->pool;
    int failed = 0;
    if (submits && owner_is_closed(owner)) {
        owner_leave(owner);
        return error_set(EPIPE, "%s: pool '%s' is closed", call, pool->name);
    }
    if (atomic_load_explicit(&owner->callbacks, memory_order_relaxed))
        results_tell(owner, false, submits);
    if (!submits)
        return 0;
    if (!owner->is_creator)
        atomic_fetch_add(&owner->caller->asking, 1);
    /* Who closes it says so before it looks who asks. */
    if (!owner->is_creator && owner_is_closed(owner))
        failed = -ECANCELED;
    else if (atomic_load(&pool->broken))
        failed = error_set(ENOTRECOVERABLE, "pool '%s' is broken: %s", pool->name, pool->why);
    else if (!pool_is_kept(pool))
        failed = pool_keep(pool);
    if (failed == -ECANCELED) /* another thread has just ended it */
        failed = error_set(EPIPE, "%s: pool '%s' is closed", call, pool->name);
    if (failed < 0) {
        owner_has_asked(owner);
        errno = -failed;
        owner_leave(owner);
    }
    return failed;
}

int pool_use(struct brood_pool *pool, const char *call, bool submits, struct owner **owner)
{
    *owner = pool_stay(pool, call);
    return *owner ? begin_use(*owner, call, submits) : -errno;
}

int owner_use(struct owner *owner, const char *call, bool submits)
{
    atomic_fetch_add(&owner->caller->users, 1);
    return begin_use(owner, call, submits);
}

void owner_leave(struct owner *owner)
{
    atomic_fetch_sub(&owner->caller->users, 1);
}

int pool_why_ended(const struct brood_pool *pool)
{
    uint32_t ended = atomic_load(&pool->ended);
    if (ended == POOL_ORPHANED)
        return error_set(EOWNERDEAD, "pool '%s' has ended with process %d, which created it", pool->name,
                         pool->creator);
    return ended ? -ECANCELED : 0;
}

void pool_cancel_turn(struct brood_pool *pool, struct worker *worker,
                      bool (*is_its)(const struct worker *, const void *), const void *what, int64_t at)
{
    struct turn *turn = &worker->turn;
    pool_lock(pool); /* or one who was late with an old turn would undo a newer one's */
    uint64_t word = atomic_load(&turn->word);
    if (turn_is_open(word) && is_its(worker, what) && atomic_load(&turn->word) == word) {
        atomic_store(&turn->cancel_at, at);
        atomic_store(&turn->cancel, word);
    }
    pool_unlock(pool);
}
