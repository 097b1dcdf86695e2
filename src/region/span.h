/* region/span.h: small blocks: spans of one size class each, in arenas.
 *
 * What is true is a span's bits: which of its blocks are handed out. Each change is one store to one of them. A span is
 * its arena's; a thread uses one of several arenas, another one when it finds its own busy. Latches are taken in the
 * order arena, then units, and the arena is then held in the robust list, because a thread has one pending word only
 * (wait/latch.h).
 */
#ifndef REGION_SPAN_H
#define REGION_SPAN_H

#include "region/units.h"
#include "region/wish.h"

#define SPAN_CLASSES 40
#define SPAN_LARGEST ((size_t)32768) /* bytes of a block */
#define SPAN_WORDS (UNIT / 16 / 64)
#define ARENAS 16

/* Of one unit that is a span. Guarded by its arena's latch; bits is the truth, the rest is derived. */
struct span {
    uint32_t free;       /* blocks that are not handed out */
    uint32_t next, prev; /* of the arena's list for this class: unit + 1, or 0 */
    uint32_t cursor;     /* bits before this word are all set */
    uint64_t room[6];
    _Atomic uint64_t bits[SPAN_WORDS]; /* all 0 while the unit is no span; stored to under the latch only */
};

struct arena {
    _Alignas(64) struct robust_word latch;
    struct intent intent;
    uint32_t partial[SPAN_CLASSES]; /* spans with free blocks: unit + 1, or 0; derived */
};

struct ledger;

struct heap {
    struct units units;
    struct span *spans;    /* one a unit */
    struct ledger *ledger; /* region/owner.h; NULL: nothing is tracked */
    int reports;           /* what is left in the end is told: REPORT_... */
    struct arena arenas[ARENAS];
};

enum { REPORT_NEVER, REPORT_IF_HEARD, REPORT_ALWAYS };

/* Whether spans have such blocks. */
bool span_fits_at(size_t size, size_t step);
static inline bool span_fits(size_t size, size_t step)
{
    return size <= SPAN_LARGEST && (!step || span_fits_at(size, step));
}

/* One of them, or NULL: no memory. */
void *span_take(struct heap *heap, const struct wish *wish);

/* Gives a block of the span `unit`, of that kind, back; with a place, *place becomes NULL as one step with it.
 * 0; 1: and a unit with it; -EINVAL: no block that is handed out starts there. */
int span_give(struct heap *heap, size_t unit, uint64_t kind, void *block, void **place);

/* The bytes of the block that starts there and is handed out, and which one of its span it is; 0: none does. */
size_t span_block(const struct heap *heap, size_t unit, uint64_t kind, const void *block, unsigned *index);

/* Takes and drops each arena's latch, so that what the dead had begun is mended. */
void spans_settle(struct heap *heap);

/* Gives all empty spans back to the units. */
void spans_trim(struct heap *heap);

/* Blocks of a span that are handed out, and the bytes of each. */
unsigned span_used(const struct span *span, uint64_t kind, size_t *size);

/* Whether that one is. */
bool span_has(const struct span *span, unsigned block);

/* Takes each arena's latch in turn. 0, or -EUCLEAN with a sentence. */
int spans_check(struct heap *heap);

#endif
