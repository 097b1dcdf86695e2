/* region/heap.c: the region's heap: blocks of spans (region/span.h) and of whole units (region/run.h).
 *
 * What is true of the heap is said by single words, so every change is one store, and a process killed at any
 * instruction leaves a heap that is whole. All else is derived, for speed, and rebuilt from what is true by whoever
 * inherits the latch that guards it.
 */
#include "region/heap.h"

#include "error/error.h"
#include "os/shm.h"
#include "region/owner.h"
#include "region/region.h"
#include "region/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- laying it out ---- */

/* The next `size` bytes, on a cache line of their own. */
static void *place(char **at, size_t size)
{
    char *start = (char *)(((uintptr_t)*at + 63) & ~(uintptr_t)63);
    *at = start + size;
    return start;
}

/* With both tables, which are written to wherever a new owner or label comes up. NULL: no memory. */
static struct ledger *lay_out_ledger(char **at, const char *end)
{
    size_t room = (size_t)(end - *at) / LEDGER_PART;
    uint32_t count = room < LEDGER_MOST ? (uint32_t)room : LEDGER_MOST;
    struct ledger *ledger = place(at, sizeof *ledger);
    struct owner *owners = place(at, count * sizeof *owners);
    struct label *labels = place(at, count * sizeof *labels);
    if (shm_populate(ledger, (size_t)(*at - (char *)ledger)) < 0)
        return NULL;
    ledger->count = count;
    ledger->owners = owners;
    ledger->labels = labels;
    return ledger;
}

int heap_lay_out(struct heap *heap, char *end, brood_heap_mode mode)
{
    char *begin = (char *)(heap + 1);
    struct units *units = &heap->units;
    if (shm_populate(heap, sizeof *heap) < 0)
        return -ENOMEM;
    if (mode != BROOD_HEAP_DEFAULT && !(heap->ledger = lay_out_ledger(&begin, end)))
        return -ENOMEM;
    size_t tags = heap->ledger ? TAGS_PER_UNIT * sizeof *heap->ledger->tags : 0;
    size_t count = (size_t)(end - begin) / (UNIT + sizeof(struct span) + sizeof(uint64_t) + tags);
    for (;; count--) { /* the tables' alignment may cost a unit */
        size_t words = (count + 63) / 64;
        char *at = begin;
        units->taken = place(&at, words * sizeof *units->taken);
        units->backed = place(&at, words * sizeof *units->backed);
        units->dirty = place(&at, words * sizeof *units->dirty);
        units->kinds = place(&at, count * sizeof *units->kinds);
        heap->spans = place(&at, count * sizeof *heap->spans);
        if (heap->ledger)
            heap->ledger->tags = place(&at, count * tags);
        units->first = (char *)(((uintptr_t)at + UNIT - 1) & ~(UNIT - 1));
        if (units->first + (count << UNIT_SHIFT) <= end)
            break;
    }
    units->count = count;
    units->keep = UNITS_KEPT;
    heap->reports = mode == BROOD_HEAP_REPORT ? REPORT_ALWAYS : REPORT_NEVER;
#ifdef BROOD_DEBUG_BUILD
    if (heap->reports == REPORT_NEVER)
        heap->reports = REPORT_IF_HEARD;
#endif
    return 0;
}

int heap_choose(brood_heap_mode *mode)
{
    const char *text = getenv("BROOD_HEAP"); /* NOLINT(concurrency-mt-unsafe): brood_init's header says so */
    if ((int)*mode < BROOD_HEAP_DEFAULT || (int)*mode > BROOD_HEAP_REPORT)
        return error_set(EINVAL, "%d is no brood_heap_mode", (int)*mode);
    if (*mode != BROOD_HEAP_DEFAULT || !text || !text[0])
        return 0;
    if (strcmp(text, "track") != 0 && strcmp(text, "report") != 0)
        return error_set(EINVAL, "BROOD_HEAP is '%s': it must be track or report", text);
    *mode = text[0] == 't' ? BROOD_HEAP_TRACK : BROOD_HEAP_REPORT;
    return 0;
}

/* ---- blocks ---- */

static inline void *take(const struct wish *wish)
{
    struct heap *heap = region->heap;
    return span_fits(wish->size, wish->step) ? span_take(heap, wish) : run_take(heap, wish);
}

void *heap_take(size_t size, bool zeroed)
{
    return take(&(struct wish){ .size = size, .raw = !zeroed, .tag = owner_self(region->heap) });
}

void *heap_take_copy(size_t size, const void *from, size_t length)
{
    return take(&(struct wish){ .size = size, .from = from, .length = length, .tag = owner_self(region->heap) });
}

void *heap_take_aligned(size_t size, size_t alignment)
{
    return take(&(struct wish){ .size = size, .step = alignment, .tag = owner_self(region->heap) });
}

void *heap_take_into(void **place, size_t size)
{
    return take(&(struct wish){ .size = size, .place = place, .tag = owner_self(region->heap) });
}

void *heap_take_raw_into(void **place, size_t size)
{
    return take(&(struct wish){ .size = size, .place = place, .raw = true, .tag = owner_self(region->heap) });
}

void heap_settle(void)
{
    struct thread *self = thread_self();
    struct units *units = &region->heap->units;
    units_lock(self, units);
    units_sweep(units);
    units_unlock(self, units);
    spans_settle(region->heap);
}

/* The kind of the unit that the address lies in; KIND_FREE: it lies in none. */
static uint64_t kind_at(const struct units *units, const void *address, size_t *unit)
{
    if ((uintptr_t)address - (uintptr_t)units->first >= units->count << UNIT_SHIFT)
        return KIND_FREE;
    *unit = unit_of(units, address);
    if (*unit >= atomic_load_explicit(&units->top, memory_order_relaxed)) /* nor do the tables tell of it */
        return KIND_FREE;
    return atomic_load_explicit(&units->kinds[*unit], memory_order_relaxed);
}

int heap_give(void *block, void **place)
{
    struct heap *heap = region->heap;
    size_t unit;
    uint64_t kind = kind_at(&heap->units, block, &unit);
    if ((kind & 0xff) == KIND_LARGE)
        return run_give(heap, unit, block, place);
    int given = (kind & 0xff) == KIND_SPAN ? span_give(heap, unit, kind, block, place) : -EINVAL;
    if (given > 0 && units_are_many(&heap->units))
        units_tidy(thread_self(), &heap->units, heap->units.keep);
    return given < 0 ? given : 0;
}

/* Where a block is, and how large; 0: none that is handed out starts there. */
struct site {
    size_t unit, size;
    unsigned index;
    bool small;
};

static size_t site_find(const struct heap *heap, const void *block, struct site *site)
{
    uint64_t kind = kind_at(&heap->units, block, &site->unit);
    site->small = (kind & 0xff) == KIND_SPAN;
    site->size = site->index = 0;
    if (site->small)
        site->size = span_block(heap, site->unit, kind, block, &site->index);
    else if ((kind & 0xff) == KIND_LARGE && block == unit_start(&heap->units, site->unit))
        site->size = kind_units(kind) << UNIT_SHIFT;
    return site->size;
}

size_t heap_size(const void *block)
{
    struct site site;
    return site_find(region->heap, block, &site);
}

/* Into a new block. */
static int move(void **block, const struct site *old, size_t size)
{
    struct heap *heap = region->heap;
    struct site site;
    void *moved = heap_take_copy(size, *block, size < old->size ? size : old->size);
    if (!moved)
        return -ENOMEM;
    if (site_find(heap, moved, &site))
        owner_move(heap, old->unit, old->index, site.unit, site.index);
    if (heap_give(*block, NULL) < 0) { /* somebody freed it meanwhile */
        heap_give(moved, NULL);
        return -EINVAL;
    }
    *block = moved;
    return 0;
}

int heap_resize(void **block, size_t size)
{
    struct heap *heap = region->heap;
    struct site site;
    if (!site_find(heap, *block, &site))
        return -EINVAL;
    bool fits = size <= site.size;
    bool wasteful = fits && site.small && size < site.size / 2 && site.size > 64;
    if (!site.small && size > SPAN_LARGEST) {
        int failed = run_resize(heap, site.unit, *block, size);
        return failed == -ENOMEM ? move(block, &site, size) : failed;
    }
    if (!fits || wasteful || !site.small) {
        int failed = move(block, &site, size);
        if (failed != -ENOMEM || !fits)
            return failed;
        if (!site.small) /* no memory for a small one: one unit of it stays */
            return run_resize(heap, site.unit, *block, size);
    }
    memset((char *)*block + size, 0, site.size - size);
    return 0;
}

/* ---- the rest of memory.h that is no block ---- */

bool heap_tracks(void)
{
    return region->heap->ledger;
}

void heap_label(void *block, const char *label)
{
    struct heap *heap = region->heap;
    struct site site;
    if (heap->ledger && site_find(heap, block, &site))
        owner_label(heap, site.unit, site.index, label);
}

int brood_heap_trim(void)
{
    if (region_enter() < 0)
        return -EINVAL;
    struct heap *heap = region->heap;
    struct thread *self = thread_self();
    heap_settle();
    spans_trim(heap);
    units_tidy(self, &heap->units, 0);
    units_lock(self, &heap->units);
    heap->units.keep = UNITS_KEPT; /* and what is wanted again teaches nothing: it was the program's own wish */
    heap->units.discarded = 0;
    units_unlock(self, &heap->units);
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
    if (result == 0)
        result = spans_check(heap);
    return result < 0 || !heap->ledger ? result : owners_check(heap);
}
