/* region/intent.h: what lets a block and the pointer to it change as one.
 *
 * Whoever is about to change both leaves an intent beside the latch it holds. If it dies in the middle, whoever
 * inherits the latch sees from the pointer whether the change had happened, and if not takes the block's half back.
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

static inline void place_set(void **place, void *block)
{
    atomic_signal_fence(memory_order_seq_cst);
    *(void *volatile *)place = block;
    atomic_signal_fence(memory_order_seq_cst);
}

/* Whether the block is nobody's: the change of the two had begun and the pointer does not lead to the block, be it not
 * yet (a take) or not any more (a give). */
static inline bool intent_orphans(const struct intent *intent)
{
    return intent->work != INTENT_NONE && *(void *volatile *)intent->place != intent->block;
}

#endif
