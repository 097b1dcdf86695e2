/* sync/seat.h: seats: robust words that threads hold one of, in a block of the region.
 *
 * Where a noun must know each of several holders, so that one that dies counts no more, each holds a seat of its own: a
 * latch (wait/latch.h) on a cache line of its own, in the holder's robust list, marked by the kernel at its death.
 */
#ifndef SYNC_SEAT_H
#define SYNC_SEAT_H

#include "region/heap.h"
#include "sync/noun.h"

#define SEATS_LEAST 256 /* bytes: the heap aligns no smaller block to a cache line */

struct seat {
    _Alignas(64) struct robust_word word;
    uint64_t own[3]; /* the noun's */
};

/* count: 0 until the block is ready to be used; constant from then on. more: the noun's, if it grows. */
struct seats {
    _Alignas(64) _Atomic uint32_t count;
    struct seats *_Atomic more;
    struct seat seat[];
};

/* Makes seats and hangs them into `place`, in the region, which nobody else changes meanwhile. What one who was killed
 * in here has left there is used. NULL: no memory; without a sentence. */
static inline struct seats *seats_make(struct seats **place, uint32_t count)
{
    size_t size;
    if (__builtin_mul_overflow(count, sizeof(struct seat), &size) ||
        __builtin_add_overflow(size, sizeof(struct seats), &size))
        return NULL;
    if (!*place && !heap_take_into((void **)place, size < SEATS_LEAST ? SEATS_LEAST : size))
        return NULL;
    atomic_store(&(*place)->count, count);
    return *place;
}

#endif
