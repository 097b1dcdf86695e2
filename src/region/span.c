/* region/span.c */
#include "region/span.h"

#include "error/error.h"
#include "os/shm.h"
#include "region/owner.h"

#include <errno.h>
#include <string.h>

/* The rank of a size among the classes: 16 to 128 in steps of 16, then four to each doubling, up to 32 KiB. */
static unsigned class_of(size_t size)
{
    if (size <= 128)
        return size ? (unsigned)(size - 1) / 16 : 0;
    unsigned doubling = 63 - (unsigned)__builtin_clzll(size - 1); /* 7: 129 to 256 */
    return 8 + (doubling - 7) * 4 + ((unsigned)((size - 1) >> (doubling - 2)) & 3);
}

/* `inverse`: offset / size is offset * inverse >> 32, exactly, for offsets within a unit. */
#define CLASS(size) \
    { \
        size, UNIT / (size), UINT32_MAX / (size) + 1 \
    }
static const struct {
    uint32_t size, blocks, inverse;
} classes[SPAN_CLASSES] = {
    CLASS(16),    CLASS(32),    CLASS(48),    CLASS(64),    CLASS(80),    CLASS(96),    CLASS(112),   CLASS(128),
    CLASS(160),   CLASS(192),   CLASS(224),   CLASS(256),   CLASS(320),   CLASS(384),   CLASS(448),   CLASS(512),
    CLASS(640),   CLASS(768),   CLASS(896),   CLASS(1024),  CLASS(1280),  CLASS(1536),  CLASS(1792),  CLASS(2048),
    CLASS(2560),  CLASS(3072),  CLASS(3584),  CLASS(4096),  CLASS(5120),  CLASS(6144),  CLASS(7168),  CLASS(8192),
    CLASS(10240), CLASS(12288), CLASS(14336), CLASS(16384), CLASS(20480), CLASS(24576), CLASS(28672), CLASS(32768),
};
#undef CLASS

/* Of the smallest blocks that hold `size` bytes and, all of them, lie at multiples of `step`; SPAN_CLASSES: none do. */
static unsigned class_aligned(size_t size, size_t step)
{
    unsigned rank = class_of(size);
    while (rank < SPAN_CLASSES && classes[rank].size % step)
        rank++;
    return rank;
}

bool span_fits_at(size_t size, size_t step)
{
    return class_aligned(size, step) < SPAN_CLASSES;
}

static unsigned class_blocks(unsigned rank)
{
    return classes[rank].blocks;
}

/* Which block of a span of that class the offset lies in. */
static unsigned class_index(unsigned rank, size_t offset)
{
    return (unsigned)((uint64_t)offset * classes[rank].inverse >> 32);
}

/* ---- bits ---- */

static uint64_t bits_load(const struct span *span, unsigned word)
{
    return atomic_load_explicit(&span->bits[word], memory_order_relaxed);
}

static bool bits_has(const struct span *span, unsigned block)
{
    return bits_load(span, block / 64) >> block % 64 & 1;
}

/* The one store that hands a block out or takes it back. */
static void bits_store(struct span *span, unsigned word, uint64_t bits)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&span->bits[word], bits, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
}

static unsigned bits_count(const struct span *span, unsigned rank)
{
    unsigned used = 0;
    for (unsigned word = 0; word * 64 < class_blocks(rank); word++)
        used += (unsigned)__builtin_popcountll(bits_load(span, word));
    return used;
}

/* ---- spans, under their arena's latch ---- */

static void span_link(struct heap *heap, struct arena *arena, unsigned rank, size_t unit)
{
    struct span *span = &heap->spans[unit];
    uint32_t first = arena->partial[rank];
    span->prev = 0;
    span->next = first;
    if (first)
        heap->spans[first - 1].prev = (uint32_t)unit + 1;
    arena->partial[rank] = (uint32_t)unit + 1;
}

static void span_unlink(struct heap *heap, struct arena *arena, unsigned rank, const struct span *span)
{
    if (span->prev)
        heap->spans[span->prev - 1].next = span->next;
    else
        arena->partial[rank] = span->next;
    if (span->next)
        heap->spans[span->next - 1].prev = span->prev;
}

/* Gives a unit of the latched arena back. The arena is held through the list meanwhile: one word only can be pending.
 * */
static __attribute__((noinline)) void arena_give_unit(struct thread *self, struct heap *heap, struct arena *arena,
                                                      size_t unit)
{
    latch_hold(self, &arena->latch);
    units_lock(self, &heap->units);
    units_give(&heap->units, unit);
    units_unlock(self, &heap->units);
    latch_unhold(self, &arena->latch);
}

/* After a death: the intent, then all that is derived. */
static __attribute__((noinline)) void arena_mend(struct heap *heap, struct arena *arena)
{
    if (intent_orphans(&arena->intent)) {
        size_t offset = (size_t)((char *)arena->intent.block - heap->units.first);
        struct span *span = &heap->spans[offset >> UNIT_SHIFT];
        unsigned rank = (unsigned)(atomic_load(&heap->units.kinds[offset >> UNIT_SHIFT]) >> 8 & 0xff);
        unsigned block = class_index(rank, offset & (UNIT - 1));
        bits_store(span, block / 64, bits_load(span, block / 64) & ~(UINT64_C(1) << block % 64));
    }
    intend_no_more(&arena->intent);
    memset(arena->partial, 0, sizeof arena->partial);
    for (size_t unit = 0; unit < heap->units.top; unit++) {
        uint64_t kind = atomic_load(&heap->units.kinds[unit]);
        unsigned rank = (unsigned)(kind >> 8 & 0xff);
        if (kind != kind_of_span(rank, (unsigned)(arena - heap->arenas)))
            continue;
        struct span *span = &heap->spans[unit];
        span->free = class_blocks(rank) - bits_count(span, rank);
        span->cursor = 0;
        if (span->free)
            span_link(heap, arena, rank, unit);
    }
}

/* Locks one that is free, or waits for the one this thread used last. */
static __attribute__((noinline)) struct arena *arena_lock_other(struct thread *self, struct heap *heap)
{
    for (unsigned tries = 0;; tries++) {
        unsigned number = (self->arena + tries) % ARENAS;
        struct arena *arena = &heap->arenas[number];
        int taken = latch_take_light(self, &arena->latch, tries < ARENAS ? LATCH_TRY : CLOCK_NEVER);
        if (taken < 0)
            continue;
        if (taken == LATCH_INHERITED)
            arena_mend(heap, arena);
        if (tries)
            self->arena = number;
        return arena;
    }
}

/* Locks the arena this thread used last, if it is free, else another. */
static inline struct arena *arena_lock_any(struct thread *self, struct heap *heap)
{
    struct arena *arena = &heap->arenas[self->arena % ARENAS];
    int taken = latch_take_light(self, &arena->latch, LATCH_TRY);
    if (taken < 0)
        return arena_lock_other(self, heap);
    if (taken == LATCH_INHERITED)
        arena_mend(heap, arena);
    return arena;
}

static inline void arena_lock(struct thread *self, struct heap *heap, struct arena *arena)
{
    if (latch_take_light(self, &arena->latch, CLOCK_NEVER) == LATCH_INHERITED)
        arena_mend(heap, arena);
}

/* All that a span is made of: its entry, its blocks' tags, its memory. 0 or -ENOMEM. */
static int span_back(struct thread *self, struct heap *heap, size_t unit, unsigned rank)
{
    if (shm_populate(&heap->spans[unit], sizeof *heap->spans) < 0)
        return -ENOMEM;
    int failed = owner_room(heap, unit, class_blocks(rank));
    return failed ? failed : units_back(self, &heap->units, unit, 1, false);
}

/* A fresh span for the locked arena: its index + 1, or 0 without memory. It is one when all of it is there: killed
 * before, we leave a unit whose maker is gone; after, the arena's heir finds the span by its kind. */
static __attribute__((noinline)) uint32_t arena_grow(struct thread *self, struct heap *heap, struct arena *arena,
                                                     unsigned rank)
{
    size_t unit;
    latch_hold(self, &arena->latch);
    units_lock(self, &heap->units);
    int failed = units_take(&heap->units, 1, 1, kind_of_making(1, self->id), &unit);
    units_unlock(self, &heap->units);
    if (!failed) {
        failed = span_back(self, heap, unit, rank);
        units_lock(self, &heap->units);
        if (failed)
            units_give(&heap->units, unit);
        else
            units_make(&heap->units, unit, kind_of_span(rank, (unsigned)(arena - heap->arenas)));
        units_unlock(self, &heap->units);
    }
    latch_unhold(self, &arena->latch);
    if (failed)
        return 0;
    struct span *span = &heap->spans[unit];
    span->free = class_blocks(rank);
    span->cursor = 0;
    span_link(heap, arena, rank, unit);
    return (uint32_t)unit + 1;
}

/* A block of that class from the locked arena; NULL: there is none, and, with `grow`, no unit for a new span. */
static inline void *take_from(struct thread *self, struct heap *heap, struct arena *arena, const struct wish *wish,
                              bool grow)
{
    unsigned rank = wish->step ? class_aligned(wish->size, wish->step) : class_of(wish->size);
    uint32_t link = arena->partial[rank];
    if (!link && grow)
        link = arena_grow(self, heap, arena, rank);
    if (!link)
        return NULL;
    struct span *span = &heap->spans[link - 1];
    uint32_t word = span->cursor;
    uint64_t bits;
    while ((bits = bits_load(span, word)) == UINT64_MAX)
        word++;
    span->cursor = word;
    unsigned bit = (unsigned)__builtin_ctzll(~bits);
    char *block = unit_start(&heap->units, link - 1) + (size_t)(word * 64 + bit) * classes[rank].size;
    wish_fill(wish, block, classes[rank].size); /* before it is anybody's: killed in there we lose nothing */
    owner_write(heap, link - 1, word * 64 + bit, wish->tag);
    intend(&arena->intent, INTENT_TAKE, block, wish->place);
    bits_store(span, word, bits | UINT64_C(1) << bit);
    if (--span->free == 0)
        span_unlink(heap, arena, rank, span);
    if (wish->place)
        place_set(wish->place, block);
    intend_no_more(&arena->intent);
    return block;
}

/* Gives back the locked arena's spans that are empty. */
static void arena_trim(struct thread *self, struct heap *heap, struct arena *arena)
{
    for (unsigned rank = 0; rank < SPAN_CLASSES; rank++)
        for (uint32_t link = arena->partial[rank], next; link; link = next) {
            struct span *span = &heap->spans[link - 1];
            next = span->next;
            if (span->free != class_blocks(rank))
                continue;
            span_unlink(heap, arena, rank, span);
            arena_give_unit(self, heap, arena, link - 1);
        }
}

/* The region is full for this thread's arena: others may have a block, or units to give back. If not, idle memory goes
 * back to the system, which may have refused us as much for a unit without any. */
static __attribute__((noinline)) void *take_from_any(struct thread *self, struct heap *heap, const struct wish *wish)
{
    void *block = NULL;
    for (unsigned i = 0; i < 2 * ARENAS && !block; i++) {
        struct arena *arena = &heap->arenas[(self->arena + i) % ARENAS];
        if (i == ARENAS)
            units_tidy(self, &heap->units, 0);
        arena_lock(self, heap, arena);
        block = take_from(self, heap, arena, wish, i >= ARENAS);
        if (!block)
            arena_trim(self, heap, arena);
        latch_drop_light(self, &arena->latch);
    }
    return block;
}

void *span_take(struct heap *heap, const struct wish *wish)
{
    struct thread *self = thread_self();
    struct arena *arena = arena_lock_any(self, heap);
    void *block = take_from(self, heap, arena, wish, true);
    latch_drop_light(self, &arena->latch);
    return block ? block : take_from_any(self, heap, wish);
}

void spans_settle(struct heap *heap)
{
    struct thread *self = thread_self();
    for (unsigned i = 0; i < ARENAS; i++) {
        arena_lock(self, heap, &heap->arenas[i]);
        latch_drop_light(self, &heap->arenas[i].latch);
    }
}

void spans_trim(struct heap *heap)
{
    struct thread *self = thread_self();
    for (unsigned i = 0; i < ARENAS; i++) {
        arena_lock(self, heap, &heap->arenas[i]);
        arena_trim(self, heap, &heap->arenas[i]);
        latch_drop_light(self, &heap->arenas[i].latch);
    }
}

/* Which block of a span of that class starts there; UINT32_MAX: none. */
static unsigned block_index(const struct heap *heap, size_t unit, unsigned rank, const void *block)
{
    size_t offset = (size_t)((const char *)block - unit_start(&heap->units, unit));
    unsigned index = class_index(rank, offset);
    return (size_t)index * classes[rank].size == offset ? index : UINT32_MAX;
}

int span_give(struct heap *heap, size_t unit, uint64_t kind, void *block, void **place)
{
    struct thread *self = thread_self();
    struct arena *arena = &heap->arenas[kind >> 16 & 0xff];
    unsigned rank = (unsigned)(kind >> 8 & 0xff);
    struct span *span = &heap->spans[unit];
    int gave = 0;
    unsigned index = block_index(heap, unit, rank, block);
    if (index >= class_blocks(rank))
        return -EINVAL;
    arena_lock(self, heap, arena);
    uint64_t bits = bits_load(span, index / 64), bit = UINT64_C(1) << index % 64;
    if (atomic_load_explicit(&heap->units.kinds[unit], memory_order_relaxed) != kind || !(bits & bit)) {
        latch_drop_light(self, &arena->latch);
        return -EINVAL;
    }
    if (place) {
        intend(&arena->intent, INTENT_GIVE, block, place);
        place_set(place, NULL);
    }
    bits_store(span, index / 64, bits & ~bit);
    if (place)
        intend_no_more(&arena->intent);
    if (index / 64 < span->cursor)
        span->cursor = index / 64;
    if (span->free++ == 0)
        span_link(heap, arena, rank, unit);
    /* An empty span goes back, unless it is the only one with room: a class in use would come and go. */
    if (span->free == class_blocks(rank) && (span->next || span->prev)) {
        span_unlink(heap, arena, rank, span);
        arena_give_unit(self, heap, arena, unit);
        gave = 1;
    }
    latch_drop_light(self, &arena->latch);
    return gave;
}

size_t span_block(const struct heap *heap, size_t unit, uint64_t kind, const void *block, unsigned *index)
{
    unsigned rank = (unsigned)(kind >> 8 & 0xff);
    *index = block_index(heap, unit, rank, block);
    return *index < class_blocks(rank) && bits_has(&heap->spans[unit], *index) ? classes[rank].size : 0;
}

/* ---- looking at it ---- */

bool span_has(const struct span *span, unsigned block)
{
    return bits_has(span, block);
}

unsigned span_used(const struct span *span, uint64_t kind, size_t *size)
{
    unsigned rank = (unsigned)(kind >> 8 & 0xff);
    *size = classes[rank].size;
    return bits_count(span, rank);
}

/* One arena's lists and counts against its spans' bits; 0 or -EUCLEAN with a sentence. Under its latch. */
static int arena_check(const struct heap *heap, const struct arena *arena)
{
    size_t with_room = 0, listed = 0;
    unsigned number = (unsigned)(arena - heap->arenas);
    for (size_t unit = 0; unit < heap->units.top; unit++) {
        uint64_t kind = atomic_load(&heap->units.kinds[unit]);
        unsigned rank = (unsigned)(kind >> 8 & 0xff);
        if ((kind & 0xff) != KIND_SPAN || (kind >> 16 & 0xff) != number)
            continue;
        if (rank >= SPAN_CLASSES || kind != kind_of_span(rank, number))
            return error_set(EUCLEAN, "heap: unit %zu has the impossible kind %#llx", unit, (unsigned long long)kind);
        const struct span *span = &heap->spans[unit];
        if (!unit_backed(&heap->units, unit))
            return error_set(EUCLEAN, "heap: unit %zu has blocks and no memory", unit);
        if (span->free != class_blocks(rank) - bits_count(span, rank))
            return error_set(EUCLEAN, "heap: unit %zu counts %u free blocks of %u and has %u in use", unit, span->free,
                             class_blocks(rank), bits_count(span, rank));
        for (unsigned bit = class_blocks(rank); bit < SPAN_WORDS * 64; bit++)
            if (bits_has(span, bit))
                return error_set(EUCLEAN, "heap: unit %zu hands out block %u of %u", unit, bit, class_blocks(rank));
        for (unsigned word = 0; word < span->cursor; word++)
            if (bits_load(span, word) != UINT64_MAX)
                return error_set(EUCLEAN, "heap: unit %zu looks for free blocks beyond a free one", unit);
        with_room += span->free != 0;
    }
    for (unsigned rank = 0; rank < SPAN_CLASSES; rank++) {
        uint32_t prev = 0;
        for (uint32_t link = arena->partial[rank]; link; prev = link, link = heap->spans[link - 1].next) {
            if (link > heap->units.top || ++listed > with_room || heap->spans[link - 1].prev != prev ||
                !heap->spans[link - 1].free || atomic_load(&heap->units.kinds[link - 1]) != kind_of_span(rank, number))
                return error_set(EUCLEAN, "heap: arena %u lists unit %u wrongly for blocks of %u bytes", number,
                                 link - 1, classes[rank].size);
        }
    }
    if (listed != with_room)
        return error_set(EUCLEAN, "heap: arena %u lists %zu of %zu units with room", number, listed, with_room);
    if (arena->intent.work != INTENT_NONE)
        return error_set(EUCLEAN, "heap: a change of arena %u is left unfinished", number);
    return 0;
}

int spans_check(struct heap *heap)
{
    struct thread *self = thread_self();
    int result = 0;
    for (unsigned i = 0; i < ARENAS && result == 0; i++) {
        arena_lock(self, heap, &heap->arenas[i]);
        result = arena_check(heap, &heap->arenas[i]);
        latch_drop_light(self, &heap->arenas[i].latch);
    }
    return result;
}
