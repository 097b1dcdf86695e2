/* pool/turn.h: a worker's turns: what it is at, so that the keeper can end just that and nothing that comes after it.
 *
 * A turn is a task with limits, a call, or a visit to a map without limits. The worker opens it, runs, and closes it,
 * by one CAS; the keeper condemns it, by one CAS. So of the two one comes first: a worker that finds its turn condemned
 * waits to be killed, and what a condemned worker was killed in is the turn that was meant. What is said of a turn is
 * written before it is opened, and read before it is condemned: then it was that turn's.
 */
#ifndef POOL_TURN_H
#define POOL_TURN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { TURN_NONE, TURN_OPEN, TURN_CONDEMNED, TURN_STATES = 4 };

struct turn {
    _Atomic uint64_t word; /* its number, TURN_STATES apart, and how it stands; by worker and keeper, as above */
    /* By the worker. */
    _Atomic int64_t began; /* os/clock.h; 0: not known */
    _Atomic int64_t hard;  /* when it is to be ended; 0: never */
    _Atomic int64_t most;  /* bytes of its own memory that the worker may have; 0: any */
    /* By callers, under the pool's guard: that turn is not wanted, if it is still open then. The word is written
     * last. */
    _Atomic int64_t cancel_at;
    _Atomic uint64_t cancel;
};

static inline bool turn_is_open(uint64_t word)
{
    return word % TURN_STATES == TURN_OPEN;
}

/* Sequentially consistent: a worker opens its turn, then looks whether it is still wanted; who wants it no more says
 * so, then looks for the turn. */
static inline void turn_open(struct turn *turn)
{
    uint64_t word = atomic_load_explicit(&turn->word, memory_order_relaxed);
    atomic_store(&turn->word, (word / TURN_STATES + 1) * TURN_STATES + TURN_OPEN);
}

/* False: it has been condemned. */
static inline bool turn_close(struct turn *turn)
{
    uint64_t word = atomic_load_explicit(&turn->word, memory_order_relaxed);
    return turn_is_open(word) && atomic_compare_exchange_strong(&turn->word, &word, word - TURN_OPEN + TURN_NONE);
}

static inline bool turn_condemn(struct turn *turn, uint64_t word)
{
    return atomic_compare_exchange_strong(&turn->word, &word, word - TURN_OPEN + TURN_CONDEMNED);
}

#endif
