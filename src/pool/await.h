/* pool/await.h: how a thread waits for something that a pool does.
 *
 * It sits down in one of the pool's seats, says there which one, and sleeps on the seat's duty word (pool/pool.h). If
 * the keeper is gone its creator starts another. Where more threads wait than there are seats, the others look every
 * millisecond.
 */
#ifndef POOL_AWAIT_H
#define POOL_AWAIT_H

#include "pool/pool.h"

struct await {
    struct brood_pool *pool;
    bool (*over)(void *context);               /* whether it has come */
    void (*ask)(void *context, unsigned seat); /* has that seat (from 1) told of it; over() is asked again after it */
    void (*tick)(void *context);               /* every PROGRESS_NS while it waits; NULL: nothing */
    uint32_t (*cpu)(void *context);            /* where who owes it runs, + 1: wait/spin.h; NULL: it does not spin */
    void *context;
    /* The pool's verdicts that were told the caller before, who is told of each once; NULL: those before this call. */
    _Atomic uint32_t *heard;
    int64_t deadline;
};

#define AWAIT_TICK 100000000 /* ns */

/* 0: it has come.  -ETIMEDOUT, without a sentence.  -ECANCELED, likewise: the pool was ended, and it will not come.
 * -EAGAIN, -ENOTRECOVERABLE: it will not come as things are, with a sentence. */
int pool_await(const struct await *await);

/* What stands in the way of anything's coming: 0, or as pool_await; it sees to the keeper. The pool's *verdicts are
 * believed only if there is one since `since`. */
int pool_foresee(struct brood_pool *pool, uint32_t since, uint32_t *verdicts);

#endif
