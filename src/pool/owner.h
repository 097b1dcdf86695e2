/* pool/owner.h: a process' private side of a pool that it calls: its threads, its results, and what is not freed yet;
 * and, where that is the pool's creator, the keeper's handle.
 */
#ifndef POOL_OWNER_H
#define POOL_OWNER_H

#include "os/wiped.h"
#include "pool/function.h"
#include "pool/pool.h"

#include <brood/process.h>
#include <pthread.h>

struct retired {
    struct job *job;
    struct retired *next;
};

/* A thread that runs a callback, in its own stack. */
struct teller {
    const brood_result *result;
    uint32_t thread; /* os/thread.h: id */
    struct teller *next;
};

struct owner {
    struct brood_pool *pool;
    _Atomic int64_t serial; /* the pool's, where another process created it; 0: of none now */
    struct owner *next;     /* of these; constant */
    bool is_creator;        /* of the pool; constant */
    struct caller *caller;  /* this process' record in the pool */
    pthread_mutex_t guard;  /* of all here that is not atomic; the pool's is taken inside */
    brood_process *keeper;
    int fallen; /* keepers in a row that ended, or were killed, without a wait's end between */
    /* By others than the creator: the keeper that was last found to be off duty, its pid * 2, + 1 if it was there all
     * the same; and since when. */
    int64_t missed, missed_since;
    struct retired *retired; /* jobs that have ended, but whose memory a worker may still look at */
    struct known_function known[FUNCTIONS_KNOWN];
    struct held **places; /* free ones, of the caller's shelves, of which this is the last */
    struct shelf *last_shelf;
    size_t place_count, place_room;
    struct call *abandoned; /* calls whose callers could not wait for their ends, with the cells they are in */
    brood_result *results;  /* not yet destroyed; the latest first */
    brood_result *untold;   /* of those, which have a callback to be run; the oldest first */
    brood_result *untold_last;
    _Atomic unsigned callbacks; /* so many are untold */
    bool watched;               /* for those: the watchers' seat is to be told of all results */
    struct teller *tellers;
    int trace_file; /* holds the lock on it; -1: there is none */
};

/* The same where another process created the pool. NULL: it has not called it yet. */
struct owner *owner_of_other(const struct brood_pool *pool);

/* Whether this process created it: another may have got its process id. */
static inline bool pool_is_own(const struct brood_pool *pool)
{
    return pool->creator == thread_self()->process &&
           (!pool->creator_slot || pool->creator_slot == atomic_load_explicit(&wiped->slot, memory_order_relaxed));
}

/* This process' private side of the pool. */
static inline struct owner *pool_owner(const struct brood_pool *pool)
{
    return pool_is_own(pool) ? pool->owner : owner_of_other(pool);
}

static inline bool owner_is_closed(struct owner *owner)
{
    return atomic_load(&owner->caller->users) & CALLER_CLOSED;
}

/* Begins with it; whose caller that is. */
void owner_begin(struct owner *owner, struct brood_pool *pool, struct caller *caller);

/* A place for a block that this process is about to take: 0, or -ENOMEM without a sentence. And gives it back, when the
 * block is gone. Under guard. */
int owner_reserve(struct owner *owner, struct held **held);
void owner_unreserve(struct owner *owner, struct held *held);

/* 0, or why this process may not ask the pool for anything, with a sentence; and the same of calls that only its
 * creator may make. */
int pool_enter(const struct brood_pool *pool, const char *call);
int pool_enter_creator(const struct brood_pool *pool, const char *call);

/* The same as pool_enter, for calls that wait: the pool is not destroyed meanwhile. This process' side of it; NULL with
 * errno and a sentence. owner_leave ends it. */
struct owner *pool_stay(struct brood_pool *pool, const char *call);

/* That, in *owner, and callbacks are called; and for calls that submit (EPIPE where the pool is closed, ENOTRECOVERABLE
 * where it is broken), which see to the keeper. 0, or -errno with a sentence. */
int pool_use(struct brood_pool *pool, const char *call, bool submits, struct owner **owner);

/* pool_use of who has its side already, and so may call. */
int owner_use(struct owner *owner, const char *call, bool submits);
void owner_leave(struct owner *owner);

/* What such a call that submits asks for is in the rack, or will not be: once for each that began. Until then who joins
 * the pool waits for it. */
void owner_has_asked(struct owner *owner);

/* -ECANCELED, or -EOWNERDEAD with a sentence: what has not come of a pool that has ended. 0: it has not. */
int pool_why_ended(const struct brood_pool *pool);

/* The worker's turn is to be ended then, if it is still the open one that `word` says, and `is_its` is true of it. */
void pool_cancel_turn(struct brood_pool *pool, struct worker *worker,
                      bool (*is_its)(const struct worker *, const void *), const void *what, int64_t at);

/* Has the keeper look around at once. */
void pool_poke(struct brood_pool *pool);

/* Puts work where workers find it: 0, or -ENOMEM. The bell is lifted then, and the caller rings it. And takes it out
 * again. */
int pool_put(struct brood_pool *pool, struct work *work);
void pool_withdraw(struct brood_pool *pool, const struct work *work);

/* Items that nobody has begun, of all that is in the rack. */
size_t rack_count_queued(const struct brood_pool *pool);

/* Whether all that is there of other callers than that one is over; has a seat told of what is not. */
bool rack_is_over(struct brood_pool *pool, const struct caller *but);
void rack_ask(struct brood_pool *pool, const struct caller *but, unsigned seat);

/* Frees the jobs that no worker names any more; `all`: no worker is left. Under guard, or with no other user. */
void owner_free_retired(struct owner *owner, const struct brood_pool *pool, bool all);

#endif
