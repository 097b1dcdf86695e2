/* pool/owner.h: the creator's private side of a pool: its threads, its keeper's handle, its results, and what is not
 * freed yet.
 */
#ifndef POOL_OWNER_H
#define POOL_OWNER_H

#include "pool/function.h"
#include "pool/pool.h"

#include <brood/process.h>
#include <pthread.h>

#define OWNER_RINGS 16
#define OWNER_CLOSED (1U << 31) /* beside the users: one step says that there are none, and that none may come */

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
    pthread_mutex_t guard; /* of all here that is not atomic */
    brood_process *keeper;
    int fallen;              /* keepers in a row that ended, or were killed, without a wait's end between */
    _Atomic unsigned users;  /* threads in a call that submits or waits; OWNER_CLOSED: no more tasks */
    _Atomic bool ended;      /* keeper and workers are gone, for good */
    uint64_t seats;          /* a bit for each that a thread has, and for the watchers' */
    struct retired *retired; /* jobs that have ended, but whose memory a worker may still look at */
    struct functions functions;
    struct queue {
        struct ring *rings[OWNER_RINGS]; /* each twice the size of the one before, which was too small */
        unsigned count;                  /* the last is in use */
    } queues[WORK_LEVELS];
    struct call *abandoned; /* calls whose callers could not wait for their ends, with the cells they are in */
    brood_result *results;  /* not yet destroyed; the latest first */
    brood_result *oldest;
    _Atomic unsigned callbacks; /* results that have one to be run */
    bool watched;               /* for those: the watchers' seat is to be told of all results */
    struct teller *tellers;
    int trace_file;        /* holds the lock on it; -1: there is none */
    pthread_mutex_t turns; /* who cancels a turn; no other guard is taken inside */
};

/* This process' private side of the pool. */
static inline struct owner *pool_owner(const struct brood_pool *pool)
{
    return pool->owner;
}

static inline bool owner_is_closed(struct owner *owner)
{
    return atomic_load(&owner->users) & OWNER_CLOSED;
}

/* 0, or why this process may not use the pool, with a sentence. */
int pool_enter(const struct brood_pool *pool, const char *call);

/* The same, for calls that submit (EPIPE where the pool is closed, ENOTRECOVERABLE where it is broken; and they keep
 * the keeper alive) or wait: callbacks are called. pool_leave ends it. */
int pool_use(struct brood_pool *pool, const char *call, bool submits);
void pool_leave(struct brood_pool *pool);

/* The worker's turn is to be ended then, if it is still the open one that `word` says, and `is_its` is true of it. */
void pool_cancel_turn(struct brood_pool *pool, struct worker *worker,
                      bool (*is_its)(const struct worker *, const void *), const void *what, int64_t at);

/* Has the keeper look around at once. */
void pool_poke(struct brood_pool *pool);

/* Puts work where workers find it, under guard: 0, or -ENOMEM. The bell is lifted then, and the caller rings it. And
 * takes it out again. */
int pool_put(struct brood_pool *pool, struct work *work);
void pool_withdraw(struct brood_pool *pool, const struct work *work);

/* Frees the jobs that no worker names any more; `all`: no worker is left. Under guard, or with no other user. */
void owner_free_retired(struct owner *owner, const struct brood_pool *pool, bool all);

#endif
