/* resize.c: blocks that change their size, memory that goes back to the system, and blocks whose owners are known,
 * under the knife; as heap.c says.
 */
#include "heap.h"

enum {
    POINTS = 40, /* of a quick run */
    IDLE = 400 << 10,
    IDLE_BYTE = 0x11,
};

/* ---- preparations ---- */

/* Dirty memory that nobody uses. */
static void before_trim(struct ground *ground, size_t size)
{
    heap_prepare(ground, size);
    brood_free(heap_filled(IDLE, IDLE_BYTE));
}

/* What lies behind is free, and dirty. */
static void before_grow(struct ground *ground, size_t size)
{
    heap_before_block(ground, size);
    brood_free(heap_filled(3 * size, IDLE_BYTE));
}

static void before_stuck(struct ground *ground, size_t size)
{
    heap_before_block(ground, size);
    heap_filled(size, IDLE_BYTE);
}

/* ---- operations ---- */

static void act_alloc(struct ground *ground, size_t size)
{
    (void)ground;
    brood_alloc(size);
}

static void act_aligned(struct ground *ground, size_t size)
{
    (void)ground;
    brood_alloc_aligned(size, size > HEAP_SPAN ? 2 * HEAP_SPAN : 256);
}

static void act_grow(struct ground *ground, size_t size)
{
    brood_realloc(ground->block, size > HEAP_SPAN ? size + HEAP_SPAN : 3 * size);
}

static void act_shrink(struct ground *ground, size_t size)
{
    brood_realloc(ground->block, size > HEAP_SPAN ? HEAP_SPAN : size / 4);
}

static void act_to_large(struct ground *ground, size_t size)
{
    (void)size;
    brood_realloc(ground->block, HEAP_LARGE);
}

static void act_to_small(struct ground *ground, size_t size)
{
    (void)size;
    brood_realloc(ground->block, HEAP_WIDE);
}

static void act_trim(struct ground *ground, size_t size)
{
    (void)ground;
    (void)size;
    brood_heap_trim();
}

static void act_strdup(struct ground *ground, size_t size)
{
    (void)ground;
    (void)size;
    brood_strdup("forty-seven characters make a block of 48 bytes");
}

static void act_label(struct ground *ground, size_t size)
{
    (void)size;
    brood_heap_label(ground->block, "victim's");
}

const struct operation resize_operations[] = {
    { "aligned_small", "48 bytes at a multiple of 256", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_prepare, .act = act_aligned, .most = 1, .tail = HEAP_TAIL),
      .modes = ALL_MODES, .quick = 3 * POINTS, .last = 1, .switches = 1 },
    { "aligned_large", "100 KiB at a multiple of 128 KiB", heap_run,
      ACT(.size = HEAP_LARGE, .before = heap_prepare, .act = act_aligned, .most = 1, .tail = HEAP_TAIL),
      .modes = ALL_MODES, .quick = POINTS, .last = 1, .switches = 1 },
    { "strdup", "48 bytes copied", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_prepare, .act = act_strdup, .most = 1, .tail = HEAP_TAIL),
      .modes = ALL_MODES, .whole = true, .last = 1, .switches = 1 },
    { "realloc_move", "48 bytes become 144, elsewhere", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_before_block, .act = act_grow, .most = 1, .whole = HEAP_SMALL),
      .modes = ALL_MODES, .quick = 3 * POINTS, .switches = 2 },
    { "realloc_shrink", "4,000 bytes become 1,000, elsewhere", heap_run,
      ACT(.size = HEAP_WIDE, .before = heap_before_block, .act = act_shrink, .most = 1, .whole = HEAP_WIDE / 4),
      .modes = ALL_MODES, .quick = POINTS, .switches = 2 },
    { "realloc_to_large", "4,000 bytes become 100 KiB", heap_run,
      ACT(.size = HEAP_WIDE, .before = heap_before_block, .act = act_to_large, .most = 1, .whole = HEAP_WIDE),
      .modes = ALL_MODES, .quick = POINTS, .switches = 2 },
    { "realloc_to_small", "100 KiB become 4,000 bytes", heap_run,
      ACT(.size = HEAP_LARGE, .before = heap_before_block, .act = act_to_small, .most = 1, .whole = HEAP_WIDE),
      .modes = ALL_MODES, .quick = POINTS, .switches = 2 },
    { "realloc_grow", "100 KiB become 164, in place", heap_run,
      ACT(.size = HEAP_LARGE, .before = before_grow, .act = act_grow, .whole = HEAP_LARGE), .modes = ALL_MODES,
      .quick = POINTS },
    { "realloc_stuck", "100 KiB become 164, with something behind them", heap_run,
      ACT(.size = HEAP_LARGE, .before = before_stuck, .act = act_grow, .most = 1, .whole = HEAP_LARGE),
      .modes = ALL_MODES, .quick = POINTS, .switches = 2 },
    { "realloc_cut", "100 KiB become 64, in place", heap_run,
      ACT(.size = HEAP_LARGE, .before = heap_before_block, .act = act_shrink, .whole = HEAP_SPAN), .modes = ALL_MODES,
      .quick = POINTS },
    { "trim", "400 KiB, and empty spans, go back to the system", heap_run,
      ACT(.size = HEAP_LARGE, .before = before_trim, .act = act_trim), .modes = ALL_MODES, .quick = 3 * POINTS },
    { "trim_small", "the same, and small blocks", heap_run,
      ACT(.size = HEAP_WIDE, .before = before_trim, .act = act_trim), .modes = ALL_MODES, .quick = POINTS },
    { "tracked_first", "a process' first block, where owners are known", heap_run,
      ACT(.size = HEAP_SMALL, .act = act_alloc, .most = 1, .cold = true, .tail = HEAP_TAIL, .tracked = true),
      .modes = ALL_MODES, .quick = 2 * POINTS, .last = 1, .switches = 1 },
    { "tracked_alloc", "48 bytes, where owners are known", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_prepare, .act = act_alloc, .most = 1, .tail = HEAP_TAIL, .tracked = true),
      .modes = ALL_MODES, .whole = true, .last = 1, .switches = 1 },
    { "tracked_large", "100 KiB, where owners are known", heap_run,
      ACT(.size = HEAP_LARGE, .before = heap_prepare, .act = act_alloc, .most = 1, .tail = HEAP_TAIL, .tracked = true),
      .modes = ALL_MODES, .quick = POINTS, .last = 1, .switches = 1 },
    { "tracked_realloc", "48 bytes become 144, and their label moves", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_before_block, .act = act_grow, .most = 1, .whole = HEAP_SMALL,
          .tracked = true),
      .modes = ALL_MODES, .quick = 2 * POINTS, .switches = 2 },
    { "tracked_label", "a new label", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_before_block, .act = act_label, .whole = HEAP_SMALL, .tracked = true),
      .modes = ALL_MODES, .quick = 2 * POINTS },
    { "repair_trim_70", "repair, by another trim, after a trim died", heap_run,
      ACT(.size = HEAP_LARGE, .before = before_trim, .act = act_trim, .repair = 70, .mend = act_trim),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { "repair_realloc_60", "repair after realloc_move died", heap_run,
      ACT(.size = HEAP_SMALL, .before = heap_before_block, .act = act_grow, .least = -1, .most = 1, .repair = 60,
          .mend = heap_mend_by_free, .whole = HEAP_SMALL),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { "repair_grow_95", "repair, by an alloc, after realloc_grow died", heap_run,
      ACT(.size = HEAP_LARGE, .before = before_grow, .act = act_grow, .most = 1, .repair = 95, .mend = act_alloc,
          .whole = HEAP_LARGE),
      .modes = ALL_MODES, .long_only = true, .any_result = true },
    { 0 },
};
