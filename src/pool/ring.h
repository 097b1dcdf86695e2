/* pool/ring.h: single calls of tasks: a ring of cells, into which one process puts calls, and from which workers claim.
 *
 * A cell's word is the truth: who has its call (0 nobody, a worker's index + 1, or DONE), which call of the ring it is
 * (its number, so that who comes late to a cell that is used anew claims nothing), and who is to be told (a seat). It
 * is claimed by one CAS and ended by one exchange, after which no worker touches the call. `next` is a hint: a death
 * may lose one, and the keeper then turns it back; who comes by passes over what is not to be claimed. Where a long
 * task still has a cell when its turn comes again, the caller passes over that number.
 *
 * A worker names the number before it claims it, and says in its record when it has begun the task; `end.how` is
 * written last. So after its death the keeper finds one call at most that carries its number, and knows whether it was
 * not begun, was being run, or had ended.
 */
#ifndef POOL_RING_H
#define POOL_RING_H

#include "os/module.h"
#include "pool/caller.h"
#include "pool/work.h"

#include <brood/task.h>

#define RING_OWNER_SHIFT 48
#define RING_SEAT_SHIFT 40
#define RING_NUMBER_MASK ((UINT64_C(1) << RING_SEAT_SHIFT) - 1)
#define RING_DONE UINT64_C(0xffff)
#define RING_EVERY_SEAT 255

struct worker;

/* One call: a block of the region. Above the line: by its caller before it is offered. Below: by the worker that has
 * it, or the keeper for a dead one; by its caller, when it has ended. */
struct call {
    const struct module_function *task;
    const void *in;
    void *out;
    size_t in_size, index;
    size_t out_zeroed; /* bytes of a copy of ours, zeroed before each attempt */
    _Atomic int32_t retries;
    int soft_ms, hard_ms; /* 0: none */
    int64_t max_memory;
    _Atomic bool cancelled; /* it is not wanted any more */
    bool replies;           /* the result is `reply` */
    struct held *held;      /* where the block stands */
    struct call *next;      /* the caller's, and the next two: of those it has abandoned */
    struct ring *ring;
    uint64_t number;
    /* -- */
    brood_block reply;
    int64_t began;          /* the attempt: os/clock.h */
    _Atomic uint64_t death; /* how often a worker died in it << 32 | the pid of the last */
    _Atomic int32_t how;    /* end.how, written last; BROOD_RUNNING: it has not ended */
    bool unfit;             /* its worker does not have the task: end.code says why */
    brood_end end;
};

struct cell {
    _Atomic uint64_t word;
    struct call *call; /* by the caller, while the cell is done */
};

struct ring {
    struct work work;
    uint32_t size;                      /* of cells: a power of two */
    _Atomic bool ended;                 /* nothing more is claimed: its process is gone; by the keeper */
    _Alignas(64) _Atomic uint64_t tail; /* one more than the last number: by its process */
    _Alignas(64) _Atomic uint64_t next; /* the next number to look at: a hint */
    _Alignas(64) struct cell cells[];
};

static inline struct cell *ring_cell(struct ring *ring, uint64_t number)
{
    return &ring->cells[number & (ring->size - 1)];
}

/* An empty ring of that caller's, which stands in `place`; NULL: no memory. `size`: a power of two. */
struct ring *ring_create(struct brood_pool *pool, struct caller *caller, struct ring **place, uint32_t size,
                         unsigned level);

/* Puts the call in: true, and *number is what it got. False: too many cells are in use. By one thread at a time. */
bool ring_put(struct ring *ring, struct call *call, uint64_t *number);

/* Whether there may be a call to claim. */
static inline bool ring_is_open(const struct ring *ring)
{
    return atomic_load(&ring->next) < atomic_load(&ring->tail);
}

/* Calls that nobody has claimed, about. */
size_t ring_waiting(const struct ring *ring);

/* Claims a call for the worker; NULL: there is none now. */
struct call *ring_claim(struct ring *ring, struct worker *worker, uint64_t *number);

/* The claimed call has ended: its end is there. */
void ring_done(struct ring *ring, uint64_t number);

/* The worker is gone and `how` it ended is known: what it was at has ended too, or can be claimed again. May be
 * repeated if its caller was killed in it. */
void ring_settle(struct ring *ring, struct worker *worker, const brood_end *how);

/* Whether the call of that number has ended, in order or taken back. */
static inline bool ring_is_over(struct ring *ring, uint64_t number)
{
    /* Acquire: pairs with the exchange that ended it. */
    uint64_t word = atomic_load_explicit(&ring_cell(ring, number)->word, memory_order_acquire);
    return word >> RING_OWNER_SHIFT == RING_DONE || (word & RING_NUMBER_MASK) != number;
}

/* Has the seat told when that call has ended; the caller looks again after this. */
void ring_ask(struct ring *ring, uint64_t number, unsigned seat);

/* Who has the call: an index + 1; 0: nobody, or it is over. */
static inline uint32_t ring_holder(struct ring *ring, uint64_t number)
{
    uint64_t word = atomic_load(&ring_cell(ring, number)->word), owner = word >> RING_OWNER_SHIFT;
    return owner == RING_DONE || (word & RING_NUMBER_MASK) != number ? 0 : (uint32_t)owner;
}

/* Whether none of its calls is under way; has a seat told of the end of those that are. */
bool ring_is_idle(const struct ring *ring);
void ring_ask_all(struct ring *ring, unsigned seat);

/* Takes a call back that nobody has claimed: whether it did. By the caller. */
bool ring_take_back(struct ring *ring, uint64_t number);

/* The call's block, with what it holds. */
void call_destroy(struct call *call);

#endif
