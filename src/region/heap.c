/* region/heap.c: the region's heap.
 *
 * The heap is made of units of 64 KiB. A unit is free, or a span (blocks of one size class), or begins a run of units
 * that is one large block. What is true is said by single words:
 *
 *   kinds[unit]       what the unit is, and the length of a run; 0 inside a run
 *   span.bits         which blocks of a span are handed out
 *
 * so every change is one store, and a process killed at any instruction leaves a heap that is whole. All else (lists of
 * spans with room, counts, the map of free units) is derived, for speed; it is changed under a latch, and whoever takes
 * a latch from a dead holder rebuilds what that latch guards from what is true.
 *
 * brood_alloc_into and brood_free_from change two words, the block's and the pointer's. They first leave an intent
 * beside the latch; whoever inherits the latch sees from the pointer whether the change had happened, and if not takes
 * the block's half back.
 *
 * A thread uses one of several arenas, another one when it finds its own busy; an arena's latch guards its spans, the
 * heap's latch the units. The order is arena, then units, and the arena is then held in the robust list, because a
 * thread has one pending word only (wait/latch.h).
 */
#include "region/heap.h"

#include "error/error.h"
#include "os/limits.h"
#include "os/shm.h"
#include "region/region.h"
#include "wait/latch.h"

#include <brood/memory.h>
#include <errno.h>
#include <string.h>

#define UNIT ((size_t)1 << 16)
#define UNIT_SHIFT 16
#define CLASSES 40
#define CLASS_LARGEST 32768
#define ARENAS 16
#define SPAN_WORDS (UNIT / 16 / 64)
#define GRANT ((size_t)2 << 20) /* bytes of growth that one look at the machine's memory allows */

/* A unit's kind: the low byte says what, the rest is of that. */
enum { KIND_FREE = 0, KIND_SPAN = 1, KIND_LARGE = 2 };

/* Written under the latch it stands beside; read by the next to take that latch, if its writer died. `work` says
 * whether there is one: it is written last when it begins and first when it ends. */
struct intent {
    enum { INTENT_NONE, INTENT_TAKE, INTENT_GIVE } work;
    void *block;
    void **place;
};

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
    uint32_t partial[CLASSES]; /* spans with free blocks: unit + 1, or 0; derived */
};

struct heap {
    _Alignas(64) struct robust_word latch; /* guards kinds (but a span's arena reads its own), and the next five */
    struct intent intent;
    size_t hint;              /* no unit below is free; derived */
    _Atomic size_t top;       /* no unit from here on was ever used; only grows */
    size_t granted;           /* bytes that may still be backed before looking at the machine's memory again */
    uint64_t *taken;          /* a bit a unit: in a run, or a span; derived */
    _Atomic uint64_t *backed; /* a bit a unit: the system has given its pages. Set by the unit's owner */
    size_t units;             /* how many there are; these four are constant */
    _Atomic uint64_t *kinds;
    struct span *spans;
    char *first; /* of unit 0 */
    struct arena arenas[ARENAS];
};

static uint64_t kind_of_span(unsigned class, unsigned arena)
{
    return KIND_SPAN | class << 8 | arena << 16;
}

static uint64_t kind_of_large(size_t units)
{
    return KIND_LARGE | (uint64_t)units << 16;
}

/* Classes: 16 to 128 in steps of 16, then four to each doubling, up to 32 KiB. */
static unsigned class_of(size_t size)
{
    if (size <= 128)
        return size ? (unsigned)(size - 1) / 16 : 0;
    unsigned doubling = 63 - (unsigned)__builtin_clzll(size - 1); /* 7: 129 to 256 */
    return 8 + (doubling - 7) * 4 + ((unsigned)((size - 1) >> (doubling - 2)) & 3);
}

static const uint16_t class_size[CLASSES] = {
    16,   32,   48,   64,   80,    96,    112,   128,   160,   192,   224,   256,   320,  384,
    448,  512,  640,  768,  896,   1024,  1280,  1536,  1792,  2048,  2560,  3072,  3584, 4096,
    5120, 6144, 7168, 8192, 10240, 12288, 14336, 16384, 20480, 24576, 28672, 32768,
};

static unsigned class_blocks(unsigned class)
{
    return (unsigned)(UNIT / class_size[class]);
}

static char *unit_start(const struct heap *heap, size_t unit)
{
    return heap->first + (unit << UNIT_SHIFT);
}

/* ---- intents ---- */

static void intend(struct intent *intent, int work, void *block, void **place)
{
    intent->block = block;
    intent->place = place;
    atomic_signal_fence(memory_order_seq_cst);
    intent->work = work;
    atomic_signal_fence(memory_order_seq_cst);
}

static void intend_no_more(struct intent *intent)
{
    atomic_signal_fence(memory_order_seq_cst);
    intent->work = INTENT_NONE;
    atomic_signal_fence(memory_order_seq_cst);
}

static void place_set(void **place, void *block)
{
    atomic_signal_fence(memory_order_seq_cst);
    *(void *volatile *)place = block;
    atomic_signal_fence(memory_order_seq_cst);
}

/* Whether the dead one's change had not happened (a take) or had (a give): then the block is nobody's. */
static bool intent_orphans(const struct intent *intent)
{
    bool points = *(void *volatile *)intent->place == intent->block;
    return intent->work == INTENT_TAKE ? !points : intent->work == INTENT_GIVE && !points;
}

/* ---- units: under the heap's latch ---- */

static bool unit_taken(const struct heap *heap, size_t unit)
{
    return heap->taken[unit / 64] >> unit % 64 & 1;
}

static void units_mark(struct heap *heap, size_t unit, size_t count, bool taken)
{
    for (; count; unit++, count--) {
        uint64_t bit = UINT64_C(1) << unit % 64;
        heap->taken[unit / 64] = taken ? heap->taken[unit / 64] | bit : heap->taken[unit / 64] & ~bit;
    }
}

static size_t kind_units(uint64_t kind)
{
    return (kind & 0xff) == KIND_LARGE ? (size_t)(kind >> 16) : 1;
}

/* After a death: the intent, then all that is derived. */
static void units_mend(struct heap *heap)
{
    if (heap->intent.work == INTENT_GIVE && intent_orphans(&heap->intent))
        atomic_store(&heap->kinds[((char *)heap->intent.block - heap->first) >> UNIT_SHIFT], KIND_FREE);
    intend_no_more(&heap->intent);
    memset(heap->taken, 0, (heap->top + 63) / 64 * sizeof *heap->taken);
    for (size_t unit = 0; unit < heap->top;) {
        uint64_t kind = atomic_load(&heap->kinds[unit]);
        if (kind != KIND_FREE)
            units_mark(heap, unit, kind_units(kind), true);
        unit += kind_units(kind);
    }
    heap->hint = 0;
}

static void units_lock(struct thread *self, struct heap *heap)
{
    if (latch_take(self, &heap->latch, CLOCK_NEVER) == LATCH_INHERITED)
        units_mend(heap);
}

/* The first run of `count` free units, or heap->units. */
static size_t units_find(struct heap *heap, size_t count)
{
    while (heap->hint < heap->units && unit_taken(heap, heap->hint))
        heap->hint++;
    size_t run = 0;
    for (size_t unit = heap->hint; unit < heap->units; unit++) {
        if (unit % 64 == 0 && heap->taken[unit / 64] == UINT64_MAX) {
            run = 0;
            unit += 63;
            continue;
        }
        run = unit_taken(heap, unit) ? 0 : run + 1;
        if (run == count)
            return unit + 1 - count;
        if (unit >= heap->top && heap->units - (unit + 1 - run) >= count)
            return unit + 1 - run; /* all from here on is free */
    }
    return heap->units;
}

/* Takes a run and says what it is; 0, or -ENOMEM. The last store of kinds is what makes it so. */
static int units_take(struct heap *heap, size_t count, uint64_t kind, size_t *taken)
{
    size_t unit = units_find(heap, count);
    if (unit >= heap->units)
        return -ENOMEM;
    if (heap->top < unit + count)
        heap->top = unit + count;
    units_mark(heap, unit, count, true);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store(&heap->kinds[unit], kind);
    *taken = unit;
    return 0;
}

static void units_give(struct heap *heap, size_t unit)
{
    size_t count = kind_units(atomic_load(&heap->kinds[unit]));
    atomic_store(&heap->kinds[unit], KIND_FREE);
    units_mark(heap, unit, count, false);
    if (unit < heap->hint)
        heap->hint = unit;
}

/* Whether that many more bytes may be backed: asked of the machine once for many. Under the heap's latch. */
static int units_grant(struct heap *heap, size_t bytes)
{
    if (heap->granted < bytes) {
        size_t more = bytes > GRANT ? bytes : GRANT;
        if (limits_allow(more) < 0) {
            more = bytes;
            if (limits_allow(more) < 0)
                return -ENOMEM;
        }
        heap->granted = more;
    }
    heap->granted -= bytes;
    return 0;
}

static bool unit_backed(const struct heap *heap, size_t unit)
{
    return atomic_load_explicit(&heap->backed[unit / 64], memory_order_relaxed) >> unit % 64 & 1;
}

/* Has the system back units that the caller owns; 0 or -ENOMEM. With `zero`, those that were used before are cleared:
 * fresh ones are zero. */
static int units_back(struct heap *heap, size_t unit, size_t count, bool zero)
{
    for (size_t end = unit + count; unit < end;) {
        bool backed = unit_backed(heap, unit);
        size_t run = 1;
        while (unit + run < end && unit_backed(heap, unit + run) == backed)
            run++;
        if (!backed) {
            if (shm_populate(unit_start(heap, unit), run << UNIT_SHIFT) < 0)
                return -ENOMEM;
            for (size_t i = unit; i < unit + run; i++)
                atomic_fetch_or(&heap->backed[i / 64], UINT64_C(1) << i % 64);
        } else if (zero) {
            memset(unit_start(heap, unit), 0, run << UNIT_SHIFT);
        }
        unit += run;
    }
    return 0;
}

static size_t units_unbacked(const struct heap *heap, size_t unit, size_t count)
{
    size_t bytes = 0;
    for (size_t i = unit; i < unit + count; i++)
        bytes += unit_backed(heap, i) ? 0 : UNIT;
    return bytes;
}

/* ---- large blocks ---- */

static void *large_take(size_t size, bool zeroed)
{
    struct heap *heap = region->heap;
    struct thread *self = thread_self();
    if (size > heap->units << UNIT_SHIFT)
        return NULL;
    size_t count = (size + UNIT - 1) >> UNIT_SHIFT, unit;
    units_lock(self, heap);
    int failed = units_take(heap, count, kind_of_large(count), &unit);
    if (!failed && units_grant(heap, units_unbacked(heap, unit, count)) < 0) {
        units_give(heap, unit);
        failed = -ENOMEM;
    }
    latch_drop(self, &heap->latch);
    if (failed)
        return NULL;
    if (units_back(heap, unit, count, zeroed) < 0) { /* without the latch: this may take long */
        units_lock(self, heap);
        units_give(heap, unit);
        latch_drop(self, &heap->latch);
        return NULL;
    }
    return unit_start(heap, unit);
}

static int large_give(struct thread *self, struct heap *heap, size_t unit, void *block, void **place)
{
    units_lock(self, heap);
    bool whole = (atomic_load(&heap->kinds[unit]) & 0xff) == KIND_LARGE && block == unit_start(heap, unit);
    if (whole && place) {
        intend(&heap->intent, INTENT_GIVE, block, place);
        place_set(place, NULL);
    }
    if (whole)
        units_give(heap, unit);
    intend_no_more(&heap->intent);
    latch_drop(self, &heap->latch);
    return whole ? 0 : -EINVAL;
}

/* ---- spans: under their arena's latch ---- */

static void span_link(struct heap *heap, struct arena *arena, unsigned class, size_t unit)
{
    struct span *span = &heap->spans[unit];
    uint32_t first = arena->partial[class];
    span->prev = 0;
    span->next = first;
    if (first)
        heap->spans[first - 1].prev = (uint32_t)unit + 1;
    arena->partial[class] = (uint32_t)unit + 1;
}

static void span_unlink(struct heap *heap, struct arena *arena, unsigned class, const struct span *span)
{
    if (span->prev)
        heap->spans[span->prev - 1].next = span->next;
    else
        arena->partial[class] = span->next;
    if (span->next)
        heap->spans[span->next - 1].prev = span->prev;
}

static uint64_t bits_load(const struct span *span, unsigned word)
{
    return atomic_load_explicit(&span->bits[word], memory_order_relaxed);
}

static bool bits_has(const struct span *span, unsigned block)
{
    return bits_load(span, block / 64) >> block % 64 & 1;
}

/* The one store that hands a block out or takes it back. */
static void bits_change(struct span *span, unsigned block, bool set)
{
    uint64_t bit = UINT64_C(1) << block % 64, bits = bits_load(span, block / 64);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&span->bits[block / 64], set ? bits | bit : bits & ~bit, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

static unsigned span_used(const struct span *span, unsigned class)
{
    unsigned used = 0;
    for (unsigned word = 0; word * 64 < class_blocks(class); word++)
        used += (unsigned)__builtin_popcountll(bits_load(span, word));
    return used;
}

static void arena_mend(struct heap *heap, struct arena *arena)
{
    if (arena->intent.work != INTENT_NONE && intent_orphans(&arena->intent)) {
        size_t offset = (size_t)((char *)arena->intent.block - heap->first);
        struct span *span = &heap->spans[offset >> UNIT_SHIFT];
        unsigned class = (unsigned)(atomic_load(&heap->kinds[offset >> UNIT_SHIFT]) >> 8 & 0xff);
        unsigned block = (unsigned)((offset & (UNIT - 1)) / class_size[class]);
        bits_change(span, block, false);
    }
    intend_no_more(&arena->intent);
    memset(arena->partial, 0, sizeof arena->partial);
    for (size_t unit = 0; unit < heap->top; unit++) {
        uint64_t kind = atomic_load(&heap->kinds[unit]);
        unsigned class = (unsigned)(kind >> 8 & 0xff);
        if (kind != kind_of_span(class, (unsigned)(arena - heap->arenas)))
            continue;
        struct span *span = &heap->spans[unit];
        span->free = class_blocks(class) - span_used(span, class);
        span->cursor = 0;
        if (span->free)
            span_link(heap, arena, class, unit);
    }
}

/* Locks the arena this thread used last, or one that is free, or waits for it. */
static struct arena *arena_lock_any(struct thread *self, struct heap *heap)
{
    for (unsigned tries = 0; tries <= ARENAS; tries++) {
        struct arena *arena = &heap->arenas[(self->arena + tries) % ARENAS];
        int taken = latch_take(self, &arena->latch, tries < ARENAS ? LATCH_TRY : CLOCK_NEVER);
        if (taken < 0)
            continue;
        if (taken == LATCH_INHERITED)
            arena_mend(heap, arena);
        self->arena = (self->arena + tries) % ARENAS;
        return arena;
    }
    return NULL; /* not reached: the last try waits */
}

static void arena_lock(struct thread *self, struct heap *heap, struct arena *arena)
{
    if (latch_take(self, &arena->latch, CLOCK_NEVER) == LATCH_INHERITED)
        arena_mend(heap, arena);
}

/* A fresh span for the locked arena: its index + 1, or 0 without memory. Killed after units_take, the arena's heir
 * finds the span by its kind. */
static uint32_t arena_grow(struct thread *self, struct heap *heap, struct arena *arena, unsigned class)
{
    size_t unit;
    latch_hold(self, &arena->latch);
    units_lock(self, heap);
    int failed = units_take(heap, 1, kind_of_span(class, (unsigned)(arena - heap->arenas)), &unit);
    if (!failed && !unit_backed(heap, unit) &&
        (units_grant(heap, UNIT) < 0 || shm_populate(&heap->spans[unit], sizeof *heap->spans) < 0 ||
         units_back(heap, unit, 1, false) < 0)) {
        units_give(heap, unit);
        failed = -ENOMEM;
    }
    latch_drop(self, &heap->latch);
    latch_unhold(self, &arena->latch);
    if (failed)
        return 0;
    struct span *span = &heap->spans[unit];
    span->free = class_blocks(class);
    span->cursor = 0;
    span_link(heap, arena, class, unit);
    return (uint32_t)unit + 1;
}

static void *small_take(size_t size, bool zeroed, void **place)
{
    struct heap *heap = region->heap;
    struct thread *self = thread_self();
    unsigned class = class_of(size);
    struct arena *arena = arena_lock_any(self, heap);
    uint32_t link = arena->partial[class];
    if (!link)
        link = arena_grow(self, heap, arena, class);
    if (!link) {
        latch_drop(self, &arena->latch);
        return NULL;
    }
    struct span *span = &heap->spans[link - 1];
    while (bits_load(span, span->cursor) == UINT64_MAX)
        span->cursor++;
    unsigned bit = (unsigned)__builtin_ctzll(~bits_load(span, span->cursor));
    char *block = unit_start(heap, link - 1) + (size_t)(span->cursor * 64 + bit) * class_size[class];
    if (place) {
        memset(block, 0, size);
        intend(&arena->intent, INTENT_TAKE, block, place);
    }
    bits_change(span, span->cursor * 64 + bit, true);
    if (place) {
        place_set(place, block);
        intend_no_more(&arena->intent);
    }
    if (--span->free == 0)
        span_unlink(heap, arena, class, span);
    latch_drop(self, &arena->latch);
    if (zeroed && !place)
        memset(block, 0, size);
    return block;
}

static int small_give(struct thread *self, struct heap *heap, size_t unit, uint64_t kind, void *block, void **place)
{
    struct arena *arena = &heap->arenas[kind >> 16 & 0xff];
    unsigned class = (unsigned)(kind >> 8 & 0xff);
    struct span *span = &heap->spans[unit];
    size_t offset = (size_t)((char *)block - unit_start(heap, unit));
    unsigned index = (unsigned)offset / class_size[class];
    if ((size_t)index * class_size[class] != offset || index >= class_blocks(class))
        return -EINVAL;
    arena_lock(self, heap, arena);
    if (atomic_load_explicit(&heap->kinds[unit], memory_order_relaxed) != kind || !bits_has(span, index)) {
        latch_drop(self, &arena->latch);
        return -EINVAL;
    }
    if (place) {
        intend(&arena->intent, INTENT_GIVE, block, place);
        place_set(place, NULL);
    }
    bits_change(span, index, false);
    if (place)
        intend_no_more(&arena->intent);
    if (index / 64 < span->cursor)
        span->cursor = index / 64;
    if (span->free++ == 0)
        span_link(heap, arena, class, unit);
    /* An empty span goes back, unless it is the only one with room: a class in use would come and go. */
    if (span->free == class_blocks(class) && (span->next || span->prev)) {
        span_unlink(heap, arena, class, span);
        latch_hold(self, &arena->latch);
        units_lock(self, heap);
        units_give(heap, unit);
        latch_drop(self, &heap->latch);
        latch_unhold(self, &arena->latch);
    }
    latch_drop(self, &arena->latch);
    return 0;
}

/* ---- for the other rooms ---- */

void heap_lay_out(struct heap *heap, char *end)
{
    char *begin = (char *)(heap + 1);
    size_t units = (size_t)(end - begin) / (UNIT + sizeof(struct span) + sizeof(uint64_t));
    for (;; units--) { /* the tables' alignment may cost a unit */
        size_t words = (units + 63) / 64;
        char *at = begin;
        heap->taken = (uint64_t *)(void *)at;
        at += words * sizeof(uint64_t);
        heap->backed = (_Atomic uint64_t *)(void *)at;
        at += words * sizeof(uint64_t);
        heap->kinds = (_Atomic uint64_t *)(void *)at;
        at += units * sizeof(uint64_t);
        at += (64 - (uintptr_t)at % 64) % 64;
        heap->spans = (struct span *)(void *)at;
        at += units * sizeof(struct span);
        heap->first = (char *)(((uintptr_t)at + UNIT - 1) & ~(UNIT - 1));
        if (heap->first + (units << UNIT_SHIFT) <= end)
            break;
    }
    heap->units = units;
}

void *heap_take(size_t size, bool zeroed)
{
    return size <= CLASS_LARGEST ? small_take(size, zeroed, NULL) : large_take(size, zeroed);
}

void *heap_take_into(void **place, size_t size)
{
    if (size <= CLASS_LARGEST)
        return small_take(size, true, place);
    void *block = large_take(size, true);
    if (block)
        place_set(place, block);
    return block;
}

int heap_give(void *block, void **place)
{
    struct heap *heap = region->heap;
    if ((char *)block < heap->first || (char *)block >= unit_start(heap, heap->units))
        return -EINVAL;
    struct thread *self = thread_self();
    size_t unit = (size_t)((char *)block - heap->first) >> UNIT_SHIFT;
    uint64_t kind = atomic_load_explicit(&heap->kinds[unit], memory_order_relaxed);
    if ((kind & 0xff) == KIND_SPAN)
        return small_give(self, heap, unit, kind, block, place);
    return (kind & 0xff) == KIND_LARGE ? large_give(self, heap, unit, block, place) : -EINVAL;
}

/* ---- looking at it ---- */

int brood_heap_stat(brood_heap_stats *stats)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!stats)
        return error_set(EINVAL, "brood_heap_stat: stats is NULL");
    const struct heap *heap = region->heap;
    *stats = (brood_heap_stats){ .limit = region->size };
    for (size_t unit = 0; unit < heap->units; unit++) {
        uint64_t kind = atomic_load(&heap->kinds[unit]);
        unsigned class = (unsigned)(kind >> 8 & 0xff);
        stats->backed += unit_backed(heap, unit) ? UNIT : 0;
        if ((kind & 0xff) == KIND_SPAN) {
            unsigned used = span_used(&heap->spans[unit], class);
            stats->blocks += used;
            stats->used += (size_t)used * class_size[class];
        } else if ((kind & 0xff) == KIND_LARGE) {
            stats->blocks++;
            stats->used += kind_units(kind) << UNIT_SHIFT;
        }
    }
    return 0;
}

/* One arena's lists and counts against its spans' bits; 0 or -EUCLEAN with a sentence. Under its latch. */
static int arena_check(const struct heap *heap, const struct arena *arena)
{
    size_t with_room = 0, listed = 0;
    unsigned number = (unsigned)(arena - heap->arenas);
    for (size_t unit = 0; unit < heap->top; unit++) {
        uint64_t kind = atomic_load(&heap->kinds[unit]);
        unsigned class = (unsigned)(kind >> 8 & 0xff);
        if ((kind & 0xff) != KIND_SPAN || (kind >> 16 & 0xff) != number)
            continue;
        if (class >= CLASSES || kind != kind_of_span(class, number))
            return error_set(EUCLEAN, "heap: unit %zu has the impossible kind %#llx", unit, (unsigned long long)kind);
        const struct span *span = &heap->spans[unit];
        if (span->free != class_blocks(class) - span_used(span, class))
            return error_set(EUCLEAN, "heap: unit %zu counts %u free blocks of %u and has %u in use", unit, span->free,
                             class_blocks(class), span_used(span, class));
        for (unsigned bit = class_blocks(class); bit < SPAN_WORDS * 64; bit++)
            if (bits_has(span, bit))
                return error_set(EUCLEAN, "heap: unit %zu hands out block %u of %u", unit, bit, class_blocks(class));
        for (unsigned word = 0; word < span->cursor; word++)
            if (bits_load(span, word) != UINT64_MAX)
                return error_set(EUCLEAN, "heap: unit %zu looks for free blocks beyond a free one", unit);
        with_room += span->free != 0;
    }
    for (unsigned class = 0; class < CLASSES; class ++) {
        uint32_t prev = 0;
        for (uint32_t link = arena->partial[class]; link; prev = link, link = heap->spans[link - 1].next) {
            if (link > heap->top || ++listed > with_room || heap->spans[link - 1].prev != prev ||
                !heap->spans[link - 1].free || atomic_load(&heap->kinds[link - 1]) != kind_of_span(class, number))
                return error_set(EUCLEAN, "heap: arena %u lists unit %u wrongly for blocks of %u bytes", number,
                                 link - 1, class_size[class]);
        }
    }
    if (listed != with_room)
        return error_set(EUCLEAN, "heap: arena %u lists %zu of %zu units with room", number, listed, with_room);
    return 0;
}

static int units_check(const struct heap *heap)
{
    for (size_t unit = 0; unit < heap->top;) {
        uint64_t kind = atomic_load(&heap->kinds[unit]);
        size_t count = kind_units(kind);
        if ((kind & 0xff) > KIND_LARGE || count == 0 || count > heap->top - unit)
            return error_set(EUCLEAN, "heap: unit %zu has the impossible kind %#llx", unit, (unsigned long long)kind);
        for (size_t i = unit; i < unit + count; i++)
            if (unit_taken(heap, i) != (kind != KIND_FREE) || (i > unit && atomic_load(&heap->kinds[i]) != KIND_FREE))
                return error_set(EUCLEAN, "heap: unit %zu is not what unit %zu says", i, unit);
        if (kind == KIND_FREE && unit < heap->hint)
            return error_set(EUCLEAN, "heap: unit %zu is free and overlooked", unit);
        unit += count;
    }
    return 0;
}

int brood_heap_check(void)
{
    if (region_enter() < 0)
        return -EINVAL;
    struct heap *heap = region->heap;
    struct thread *self = thread_self();
    units_lock(self, heap);
    int result = units_check(heap);
    latch_drop(self, &heap->latch);
    for (unsigned i = 0; i < ARENAS && result == 0; i++) {
        arena_lock(self, heap, &heap->arenas[i]);
        result = arena_check(heap, &heap->arenas[i]);
        latch_drop(self, &heap->arenas[i].latch);
    }
    return result;
}
