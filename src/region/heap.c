/* region/heap.c: the region's heap: blocks of spans (region/span.h) and of whole units (region/units.h).
 *
 * What is true of the heap is said by single words, so every change is one store, and a process killed at any
 * instruction leaves a heap that is whole. All else is derived, for speed, and rebuilt from what is true by whoever
 * inherits the latch that guards it.
 */
#include "region/heap.h"

#include "error/error.h"
#include "region/region.h"
#include "region/span.h"

#include <brood/memory.h>
#include <errno.h>
#include <string.h>

void heap_lay_out(struct heap *heap, char *end)
{
    char *begin = (char *)(heap + 1);
    struct units *units = &heap->units;
    size_t count = (size_t)(end - begin) / (UNIT + sizeof(struct span) + sizeof(uint64_t));
    for (;; count--) { /* the tables' alignment may cost a unit */
        size_t words = (count + 63) / 64;
        char *at = begin;
        units->taken = (uint64_t *)(void *)at;
        at += words * sizeof(uint64_t);
        units->backed = (_Atomic uint64_t *)(void *)at;
        at += words * sizeof(uint64_t);
        units->kinds = (_Atomic uint64_t *)(void *)at;
        at += count * sizeof(uint64_t);
        at += (64 - (uintptr_t)at % 64) % 64;
        heap->spans = (struct span *)(void *)at;
        at += count * sizeof(struct span);
        units->first = (char *)(((uintptr_t)at + UNIT - 1) & ~(UNIT - 1));
        if (units->first + (count << UNIT_SHIFT) <= end)
            break;
    }
    units->count = count;
}

/* Takes a run for a large block that is not one yet; 0 or -ENOMEM. */
static int run_take(struct thread *self, struct units *units, size_t count, size_t *unit)
{
    units_lock(self, units);
    int failed = units_take(units, count, kind_of_making(count, self->id), unit);
    if (!failed && units_grant(units, *unit, count) < 0) {
        units_give(units, *unit);
        failed = -ENOMEM;
    }
    units_unlock(self, units);
    return failed;
}

/* It is one from here on; with a place, as one step with the pointer to it. */
static void *run_finish(struct thread *self, struct units *units, size_t unit, size_t count, void **place)
{
    void *block = unit_start(units, unit);
    units_lock(self, units);
    if (place)
        intend(&units->intent, INTENT_TAKE, block, place);
    atomic_store(&units->kinds[unit], kind_of_large(count));
    if (place)
        place_set(place, block);
    intend_no_more(&units->intent);
    units_unlock(self, units);
    return block;
}

static void *large_take(size_t size, bool zeroed, void **place)
{
    struct heap *heap = region->heap;
    struct units *units = &heap->units;
    struct thread *self = thread_self();
    if (size > units->count << UNIT_SHIFT)
        return NULL;
    size_t count = (size + UNIT - 1) >> UNIT_SHIFT, unit;
    if (run_take(self, units, count, &unit) < 0) {
        spans_trim(heap);
        if (run_take(self, units, count, &unit) < 0)
            return NULL;
    }
    if (units_back(units, unit, count, zeroed) == 0) /* without the latch: this may take long */
        return run_finish(self, units, unit, count, place);
    units_lock(self, units);
    units_give(units, unit);
    units_unlock(self, units);
    return NULL;
}

static int large_give(struct thread *self, struct heap *heap, size_t unit, void *block, void **place)
{
    units_lock(self, &heap->units);
    bool whole =
        (atomic_load(&heap->units.kinds[unit]) & 0xff) == KIND_LARGE && block == unit_start(&heap->units, unit);
    if (whole && place) {
        intend(&heap->units.intent, INTENT_GIVE, block, place);
        place_set(place, NULL);
    }
    if (whole)
        units_give(&heap->units, unit);
    intend_no_more(&heap->units.intent);
    units_unlock(self, &heap->units);
    return whole ? 0 : -EINVAL;
}

void *heap_take(size_t size, bool zeroed)
{
    if (size > SPAN_LARGEST)
        return large_take(size, zeroed, NULL);
    void *block = span_take(region->heap, size, NULL);
    return block && zeroed ? memset(block, 0, size) : block;
}

void *heap_take_into(void **place, size_t size)
{
    return size <= SPAN_LARGEST ? span_take(region->heap, size, place) : large_take(size, true, place);
}

void heap_settle(void)
{
    struct thread *self = thread_self();
    units_lock(self, &region->heap->units);
    units_unlock(self, &region->heap->units);
    spans_settle(region->heap);
}

int heap_give(void *block, void **place)
{
    struct heap *heap = region->heap;
    if ((char *)block < heap->units.first || (char *)block >= unit_start(&heap->units, heap->units.count))
        return -EINVAL;
    size_t unit = unit_of(&heap->units, block);
    uint64_t kind = atomic_load_explicit(&heap->units.kinds[unit], memory_order_relaxed);
    if ((kind & 0xff) == KIND_SPAN)
        return span_give(heap, unit, kind, block, place);
    return (kind & 0xff) == KIND_LARGE ? large_give(thread_self(), heap, unit, block, place) : -EINVAL;
}

int brood_heap_stat(brood_heap_stats *stats)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!stats)
        return error_set(EINVAL, "brood_heap_stat: stats is NULL");
    const struct heap *heap = region->heap;
    *stats = (brood_heap_stats){ .limit = region->size };
    for (size_t unit = 0; unit < heap->units.top; unit++) {
        uint64_t kind = atomic_load(&heap->units.kinds[unit]);
        size_t size = kind_units(kind) << UNIT_SHIFT;
        unsigned used = (kind & 0xff) == KIND_LARGE;
        if ((kind & 0xff) == KIND_SPAN)
            used = span_used(&heap->spans[unit], kind, &size);
        stats->blocks += used;
        stats->used += used * size;
        stats->backed += unit_backed(&heap->units, unit) ? UNIT : 0;
    }
    return 0;
}

int brood_heap_check(void)
{
    if (region_enter() < 0)
        return -EINVAL;
    struct heap *heap = region->heap;
    struct thread *self = thread_self();
    units_lock(self, &heap->units);
    int result = units_check(&heap->units);
    units_unlock(self, &heap->units);
    return result < 0 ? result : spans_check(heap);
}
