/* sight_block.c: the heap: its sums, and a walk over the blocks that are handed out, among which are queues and pools.
 *
 * No list of them is kept anywhere: the heap's own bits say where each block begins, and a queue or a pool is known by
 * what lies in it. So they cost the family nothing, and no kill can leave a list wrong.
 */
#include "sight.h"

#include "region/span.h"
#include "sync/noun.h"

#include <stdlib.h>

#define UNITS_STEP ((size_t)4096)     /* kinds that are read at once */
#define SPANS_STEP ((size_t)64)       /* spans */
#define SPANS_MOST ((size_t)65536)    /* that are looked into: 4 GiB of small blocks */
#define BYTES_MOST ((size_t)64 << 20) /* of blocks that are looked through for objects */
#define SCAN_MOST ((size_t)512 << 20) /* ... and for locks */
#define SCAN_STEP ((size_t)1 << 20)
#define OBJECT_LEAST ((size_t)256)  /* and at least */
#define OBJECT_MOST ((size_t)16384) /* bytes of a block that a queue, with its name, or a pool is in */

struct walk {
    struct sight *sight;
    const struct window *window;
    struct units units;
    size_t spans_left, bytes_left;
    bool locks;   /* are looked for, too */
    char *buffer; /* SCAN_STEP */
};

/* Whether so many bytes may still be looked through. */
static bool may_read(struct walk *walk, size_t size)
{
    if (size > walk->bytes_left) {
        walk->sight->heap.overlooked = true;
        return false;
    }
    walk->bytes_left -= size;
    return true;
}

/* The locks in a large block. */
static bool scan(struct walk *walk, const char *address, size_t size)
{
    while (size >= NOUN_SIZE) {
        size_t step = size < SCAN_STEP ? size : SCAN_STEP;
        if (!may_read(walk, step) || !window_read(walk->window, address, walk->buffer, step))
            return true;
        if (!see_locks(walk->sight, walk->window, address, walk->buffer, step))
            return false;
        if (step == size)
            break;
        step -= NOUN_SIZE - sizeof(uint64_t); /* one may lie across the border */
        address += step;
        size -= step;
    }
    return true;
}

/* One block, and a copy of it. */
static bool see_block(struct walk *walk, const char *block, const char *copy, size_t size)
{
    if (may_be_queue(copy, size) && !see_queue(walk->sight, walk->window, block))
        return false;
    return !may_be_pool(walk->window, copy, size) || see_pool(walk->sight, walk->window, block);
}

/* One span: `start` is its unit's first byte. Its unit is copied at once: a call for each block would be too many. */
static bool walk_span(struct walk *walk, const char *start, const struct span *span, uint64_t kind)
{
    size_t size;
    if ((kind >> 8 & 0xff) >= SPAN_CLASSES)
        return true;
    unsigned used = span_used(span, kind, &size);
    walk->sight->heap.blocks += used;
    walk->sight->heap.used += used * size;
    bool objects = size >= OBJECT_LEAST && size <= OBJECT_MOST, locks = walk->locks && size >= NOUN_SIZE;
    if (used == 0 || !(objects || locks) || !may_read(walk, UNIT) ||
        !window_read(walk->window, start, walk->buffer, UNIT))
        return true;
    for (unsigned block = 0; block < UNIT / size; block++) {
        size_t at = block * size;
        if (!span_has(span, block))
            continue;
        if ((objects && !see_block(walk, start + at, walk->buffer + at, size)) ||
            (locks && !see_locks(walk->sight, walk->window, start + at, walk->buffer + at, size)))
            return false;
    }
    return true;
}

static bool walk_large(struct walk *walk, const char *start, uint64_t kind)
{
    size_t size = kind_units(kind) << UNIT_SHIFT;
    if (!window_holds(walk->window, start, size))
        return true;
    walk->sight->heap.blocks++;
    walk->sight->heap.used += size;
    return !walk->locks || scan(walk, start, size);
}

/* Some units in a row, whose kinds are `kinds`. */
static bool walk_units(struct walk *walk, const struct heap *heap, size_t first, const uint64_t *kinds, size_t count)
{
    struct span spans[SPANS_STEP];
    size_t known = 0, from = 0; /* spans[0] is unit first + from */
    for (size_t i = 0; i < count; i++) {
        const char *start = walk->units.first + ((first + i) << UNIT_SHIFT);
        if ((kinds[i] & 0xff) == KIND_LARGE && !walk_large(walk, start, kinds[i]))
            return false;
        if ((kinds[i] & 0xff) != KIND_SPAN)
            continue;
        if (walk->spans_left == 0) {
            walk->sight->heap.partly = true;
            continue;
        }
        walk->spans_left--;
        if (i >= from + known) {
            from = i;
            known = count - i < SPANS_STEP ? count - i : SPANS_STEP;
            if (!window_read(walk->window, &heap->spans[first + i], spans, known * sizeof *spans))
                known = 0;
        }
        if (i < from + known && !walk_span(walk, start, &spans[i - from], kinds[i]))
            return false;
    }
    return true;
}

/* Bits of a table that are set, of the first `count`. */
static uint64_t count_bits(const struct window *window, const void *table, size_t count)
{
    uint64_t words[512], sum = 0;
    size_t left = (count + 63) / 64;
    for (const uint64_t *at = table; left > 0;) {
        size_t step = left < 512 ? left : 512;
        if (!window_read(window, at, words, step * sizeof *words))
            break;
        for (size_t i = 0; i < step; i++)
            sum += (uint64_t)__builtin_popcountll(words[i]);
        at += step;
        left -= step;
    }
    return sum;
}

static bool walk_all(struct walk *walk, const struct heap *heap, size_t top)
{
    uint64_t *kinds = malloc(UNITS_STEP * sizeof *kinds);
    bool good = kinds != NULL;
    for (size_t unit = 0; good && unit < top; unit += UNITS_STEP) {
        size_t count = top - unit < UNITS_STEP ? top - unit : UNITS_STEP;
        if (!window_read(walk->window, &walk->units.kinds[unit], kinds, count * sizeof *kinds))
            break;
        good = walk_units(walk, heap, unit, kinds, count);
    }
    free(kinds);
    return good;
}

bool see_blocks(struct sight *sight, const struct window *window, enum sight_depth depth)
{
    struct heap heap;
    struct walk walk = { .sight = sight, .window = window, .spans_left = SPANS_MOST, .locks = depth == SIGHT_SCAN };
    if (!window_read(window, window->head.heap, &heap, sizeof heap))
        return true;
    walk.units = heap.units;
    walk.bytes_left = walk.locks ? SCAN_MOST : BYTES_MOST;
    size_t most = window->size >> UNIT_SHIFT, top = atomic_load(&heap.units.top);
    top = top < most ? top : most;
    if ((uintptr_t)walk.units.first % UNIT || !window_holds(window, walk.units.first, 1))
        return true;
    if (!(walk.buffer = aligned_alloc(64, SCAN_STEP)))
        return false;
    sight->heap.limit = window->size;
    sight->heap.held = (uint64_t)atomic_load(&heap.units.held) << UNIT_SHIFT;
    sight->heap.peak = (uint64_t)atomic_load(&heap.units.peak) << UNIT_SHIFT;
    sight->heap.backed = count_bits(window, (const void *)heap.units.dirty, top) << UNIT_SHIFT;
    bool good = walk_all(&walk, &heap, top);
    free(walk.buffer);
    return good;
}
