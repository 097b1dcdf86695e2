/* region/intent.h: what lets a block and the pointer to it change as one.
 *
 * Whoever is about to change both leaves an intent beside the latch it holds. If it dies in the middle, whoever
 * inherits the latch sees from the pointer whether the change had happened, and if not takes the block's half back.
 * Without a place to look at, a block being handed out is nobody's as long as the intent stands: its taker, which had
 * the latch still, has not told anyone.
 */
#ifndef REGION_INTENT_H
#define REGION_INTENT_H

#include <stdatomic.h>
#include <stdbool.h>

/* Written under the latch it stands beside; read by the next to take that latch, if its writer died. `work` says
 * whether there is one: it is written last when it begins and first when it ends. */
struct intent {
    enum { INTENT_NONE, INTENT_TAKE, INTENT_GIVE } work;
    void *block;
    void **place;
};

static inline void intend(struct intent *intent, int work, void *block, void **place)
{
    intent->block = block;
    intent->place = place;
    atomic_signal_fence(memory_order_seq_cst);
    intent->work = work;
    atomic_signal_fence(memory_order_seq_cst);
}

static inline void intend_no_more(struct intent *intent)
{
    atomic_signal_fence(memory_order_seq_cst);
    intent->work = INTENT_NONE;
    atomic_signal_fence(memory_order_seq_cst);
}

/* Release: pairs with the acquire of whoever follows the pointer without a lock, as readers of an rwlock do. */
static inline void place_set(void **place, void *block)
{
    atomic_signal_fence(memory_order_seq_cst);
    __atomic_store_n(place, block, __ATOMIC_RELEASE);
    atomic_signal_fence(memory_order_seq_cst);
}

/* Whether the block is nobody's: the change of the two had begun and no pointer leads to the block, be it not yet (a
 * take) or not any more (a give). */
static inline bool intent_orphans(const struct intent *intent)
{
    if (intent->work == INTENT_NONE)
        return false;
    return !intent->place || *(void *volatile *)intent->place != intent->block;
}

#endif
