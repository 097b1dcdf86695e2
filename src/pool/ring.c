/* pool/ring.c */
#include "pool/ring.h"

#include "os/clock.h"
#include "pool/pool.h"
#include "region/heap.h"

#include <string.h>

static uint64_t word_of(uint64_t owner, uint64_t number)
{
    return owner << RING_OWNER_SHIFT | number;
}

static unsigned seat_of(uint64_t word)
{
    return (unsigned)(word >> RING_SEAT_SHIFT) & 0xff;
}

struct ring *ring_create(struct brood_pool *pool, struct caller *caller, struct ring **place, uint32_t size,
                         unsigned level)
{
    struct ring *ring = heap_take_into((void **)place, sizeof *ring + size * sizeof(struct cell));
    if (!ring)
        return NULL;
    heap_label(ring, "calls of a pool");
    ring->work = (struct work){ .kind = WORK_CALLS, .level = level, .pool = pool, .caller = caller };
    ring->size = size;
    for (uint32_t i = 0; i < size; i++)
        atomic_store_explicit(&ring->cells[i].word, word_of(RING_DONE, 0), memory_order_relaxed);
    return ring;
}

bool ring_put(struct ring *ring, struct call *call, uint64_t *number)
{
    uint64_t at = atomic_load_explicit(&ring->tail, memory_order_relaxed), most = at + ring->size / 2;
    /* Acquire: pairs with the exchange in finish: its worker has read cell->call before we change it. */
    while (atomic_load_explicit(&ring_cell(ring, at)->word, memory_order_acquire) >> RING_OWNER_SHIFT != RING_DONE)
        if (++at == most)
            return false;
    if (at >= RING_NUMBER_MASK)
        return false;
    struct cell *cell = ring_cell(ring, at);
    cell->call = call;
    *number = at;
    /* Release: pairs with the acquire in ring_claim. */
    atomic_store_explicit(&cell->word, word_of(0, at), memory_order_release);
    /* Release: pairs with the acquire in ring_claim. Who would sleep is told by what its caller does next: the pool's
     * offers, and the bell. */
    atomic_store_explicit(&ring->tail, at + 1, memory_order_release);
    return true;
}

struct call *ring_claim(struct ring *ring, struct worker *worker, uint64_t *number)
{
    uint64_t at = atomic_load_explicit(&ring->next, memory_order_relaxed);
    while (at < atomic_load_explicit(&ring->tail, memory_order_acquire) &&
           !atomic_load_explicit(&ring->ended, memory_order_relaxed)) {
        if (!atomic_compare_exchange_weak_explicit(&ring->next, &at, at + 1, memory_order_relaxed,
                                                   memory_order_relaxed))
            continue;
        struct cell *cell = ring_cell(ring, at);
        uint64_t word = atomic_load_explicit(&cell->word, memory_order_relaxed);
        atomic_store_explicit(&worker->item, 0, memory_order_relaxed);
        atomic_store_explicit(&worker->chunk, at, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst); /* the keeper reads these as a death in program order left them */
        while (word >> RING_OWNER_SHIFT == 0 && (word & RING_NUMBER_MASK) == at)
            /* Acquire: pairs with the releases in ring_put and ring_settle. */
            if (atomic_compare_exchange_weak_explicit(&cell->word, &word, word | word_of(worker->index + 1, 0),
                                                      memory_order_acquire, memory_order_relaxed)) {
                *number = at;
                return cell->call;
            }
        at = atomic_load_explicit(&ring->next, memory_order_relaxed);
    }
    return NULL;
}

size_t ring_waiting(const struct ring *ring)
{
    size_t waiting = 0;
    uint64_t at = atomic_load(&ring->next), tail = atomic_load(&ring->tail);
    for (; at < tail; at++) {
        uint64_t word = atomic_load_explicit(&ring->cells[at & (ring->size - 1)].word, memory_order_relaxed);
        waiting += word >> RING_OWNER_SHIFT == 0 && (word & RING_NUMBER_MASK) == at;
    }
    return waiting;
}

static void tell(struct ring *ring, uint64_t word)
{
    unsigned seat = seat_of(word);
    if (seat == RING_EVERY_SEAT)
        pool_tell_callers(ring->work.pool);
    else if (seat)
        seat_tell(&ring->work.pool->seats[seat - 1]);
}

void ring_done(struct ring *ring, uint64_t number)
{
    /* Sequentially consistent, as ring_ask's: either we see the seat there, or who waits sees the end. */
    tell(ring, atomic_exchange(&ring_cell(ring, number)->word, word_of(RING_DONE, number)));
}

/* Nobody has it: the seat stays, which may be set just now. */
static void let_claim(struct cell *cell)
{
    uint64_t word = atomic_load(&cell->word);
    /* Release: pairs with the acquire in ring_claim. */
    while (!atomic_compare_exchange_weak_explicit(&cell->word, &word, word & ~word_of(UINT16_MAX, 0),
                                                  memory_order_release, memory_order_relaxed))
        continue;
}

/* Its worker died in it. True: that was its end. */
static bool settle_call(struct worker *worker, struct call *call, const brood_end *how)
{
    uint64_t death = atomic_load(&call->death);
    if ((uint32_t)death != (uint32_t)how->pid) { /* else an earlier keeper counted it */
        death = ((death >> 32) + 1) << 32 | (uint32_t)how->pid;
        atomic_store(&call->death, death);
    }
    if (call->reply.data)
        heap_give(call->reply.data, &call->reply.data);
    call->reply.size = 0;
    tally_slow(&worker->tally, call->task, call->index, clock_now() - call->began, how->how, how->pid);
    if (how_is_retried(how->how) && (int)(death >> 32) <= call->retries) {
        tally_add(&worker->tally.retried, 1);
        if (call->out_zeroed)
            memset(call->out, 0, call->out_zeroed);
        return false;
    }
    tally_add(&worker->tally.ended[how->how], 1);
    call->end = *how;
    call->end.index = call->index;
    call->end.attempt = (int)(death >> 32);
    call->end.wall_us = (clock_now() - call->began) / 1000;
    call->end.cpu_us = call->end.peak_bytes = 0; /* the worker's, of all that it ran */
    atomic_store_explicit(&call->how, (int32_t)how->how, memory_order_release);
    return true;
}

/* Back to the first call that nobody has: a worker that died may have passed it, and then some. */
static void turn_back(struct ring *ring)
{
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < ring->size; i++) {
        uint64_t word = atomic_load(&ring->cells[i].word), number = word & RING_NUMBER_MASK;
        if (word >> RING_OWNER_SHIFT == 0 && number < first)
            first = number;
    }
    uint64_t next = atomic_load(&ring->next);
    while (first < next && !atomic_compare_exchange_weak(&ring->next, &next, first))
        continue;
}

void ring_settle(struct ring *ring, struct worker *worker, const brood_end *how)
{
    uint64_t number = atomic_load(&worker->chunk);
    struct cell *cell = ring_cell(ring, number);
    uint64_t word = atomic_load(&cell->word);
    if (word >> RING_OWNER_SHIFT == worker->index + 1 && (word & RING_NUMBER_MASK) == number) {
        struct call *call = cell->call;
        bool begun = atomic_load(&worker->item) != 0;
        bool over = atomic_load_explicit(&call->how, memory_order_acquire) != BROOD_RUNNING;
        if (over || (begun && settle_call(worker, call, how)))
            ring_done(ring, number);
        else
            let_claim(cell);
    }
    turn_back(ring);
}

void ring_ask(struct ring *ring, uint64_t number, unsigned seat)
{
    struct cell *cell = ring_cell(ring, number);
    uint64_t word = atomic_load(&cell->word), asked;
    do {
        unsigned now = seat_of(word);
        if (word >> RING_OWNER_SHIFT == RING_DONE || (word & RING_NUMBER_MASK) != number || now == seat ||
            now == RING_EVERY_SEAT)
            return;
        asked = (word & ~((uint64_t)0xff << RING_SEAT_SHIFT)) | (uint64_t)(now ? RING_EVERY_SEAT : seat)
                                                                    << RING_SEAT_SHIFT;
    } while (!atomic_compare_exchange_weak(&cell->word, &word, asked));
}

bool ring_is_idle(const struct ring *ring)
{
    for (uint32_t i = 0; i < ring->size; i++)
        if (atomic_load(&ring->cells[i].word) >> RING_OWNER_SHIFT != RING_DONE)
            return false;
    return true;
}

void ring_ask_all(struct ring *ring, unsigned seat)
{
    for (uint32_t i = 0; i < ring->size; i++)
        ring_ask(ring, atomic_load(&ring->cells[i].word) & RING_NUMBER_MASK, seat);
}

bool ring_take_back(struct ring *ring, uint64_t number)
{
    struct cell *cell = ring_cell(ring, number);
    uint64_t word = atomic_load(&cell->word);
    while (word >> RING_OWNER_SHIFT == 0 && (word & RING_NUMBER_MASK) == number)
        if (atomic_compare_exchange_weak(&cell->word, &word, word_of(RING_DONE, number))) {
            tell(ring, word);
            return true;
        }
    return false;
}

void call_destroy(struct call *call)
{
    if (!call)
        return;
    if (call->reply.data)
        heap_give(call->reply.data, &call->reply.data);
    held_give(call->held, call);
}
