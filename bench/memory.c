/* bench/memory.c: what a block of shared memory costs, from its allocation to its being free again: to one process, and
 * to two that are at it at the same time.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "trouble.h"

#include <brood.h>
#include <sched.h>
#include <stdatomic.h>

#define TURNS 31250 /* of BLOCKS pairs each: 2,000,000 pairs, of each process */

enum { BLOCKS = 64, LEAST = 48, STEP = 8, PARTIES = 2, CACHE_LINE = 64 };

/* 0, or -1: no memory. */
static int take_and_give(void)
{
    void *blocks[BLOCKS];
    for (int turn = 0; turn < TURNS; turn++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            blocks[i] = brood_alloc(LEAST + i * STEP);
            if (!blocks[i])
                return -1;
        }
        for (size_t i = 0; i < BLOCKS; i++)
            brood_free(blocks[i]);
    }
    return 0;
}

double alloc_free_brood(void)
{
    uint64_t began = clock_ns();
    if (take_and_give() < 0)
        return trouble("%s", brood_error());
    double each = (double)(clock_ns() - began) / (TURNS * BLOCKS);
    if (brood_heap_check() < 0)
        return trouble("the heap is broken after alloc_free: %s", brood_error());
    return each;
}

/* Each party's own; `ready` by both. Read by the starter after it has joined them. */
struct meeting {
    _Alignas(CACHE_LINE) atomic_int ready;
    struct {
        _Alignas(CACHE_LINE) uint64_t began;
        uint64_t ended;
    } party[PARTIES];
};

static int meet_and_take(void *arg)
{
    struct meeting *meeting = arg;
    int party = atomic_fetch_add(&meeting->ready, 1);
    while (atomic_load(&meeting->ready) < PARTIES)
        sched_yield();
    meeting->party[party].began = clock_ns();
    int result = take_and_give();
    meeting->party[party].ended = clock_ns();
    return result < 0;
}

double alloc_free_2_brood(void)
{
    struct meeting *meeting = brood_alloc_aligned(sizeof *meeting, CACHE_LINE);
    if (!meeting)
        return trouble("%s", brood_error());
    struct hand hands[PARTIES] = { { 0 } };
    int failed = 0;
    for (int i = 0; i < PARTIES && !failed; i++)
        failed = hand_start(&hands[i], false, meet_and_take, meeting) < 0;
    if (failed)
        atomic_store(&meeting->ready, PARTIES); /* lets one that waits for the other go */
    for (int i = 0; i < PARTIES; i++)
        failed |= hand_join(&hands[i]) != 0;
    uint64_t began = UINT64_MAX, ended = 0;
    for (int i = 0; i < PARTIES; i++) {
        began = meeting->party[i].began < began ? meeting->party[i].began : began;
        ended = meeting->party[i].ended > ended ? meeting->party[i].ended : ended;
    }
    brood_free(meeting);
    if (failed)
        return trouble("a party to alloc_free_2 failed");
    if (brood_heap_check() < 0)
        return trouble("the heap is broken after alloc_free_2: %s", brood_error());
    return (double)(ended - began) / ((double)PARTIES * TURNS * BLOCKS);
}
