/* sync/place.h: where a thread says what it waits for (sync/waiter.c), as others read it. */
#ifndef SYNC_PLACE_H
#define SYNC_PLACE_H

#include "error/log.h"
#include "os/thread.h"

#include <stdatomic.h>
#include <stdint.h>

#define PLACES 41 /* in a block of 4 KiB */

/* Written by its thread alone, but for `thread`, which is taken by CAS. `object` is written last when a wait begins,
 * and first when it ends. */
struct wait_place {
    struct robust_word thread; /* held by it to its end, when the kernel marks it: its id may soon be another's */
    _Atomic int32_t pid;
    _Atomic(const void *) object; /* NULL: it waits for nothing */
    _Atomic int64_t since;        /* os/clock.h */
    char process[LOG_NAME];
};

/* The id of the thread that has it; 0: nobody has. */
static inline uint32_t place_thread(const struct wait_place *place)
{
    return atomic_load(&place->thread.word) & FUTEX_TID_MASK;
}

/* The first block is the region's; others are added at the end, by CAS, and stay. */
struct wait_places {
    _Atomic(void *) more;
    struct wait_place place[PLACES];
};

#endif
