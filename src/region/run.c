/* region/run.c
 *
 * A run is its maker's alone, as KIND_MAKING, while it is backed and cleared, which takes long: without the latch.
 */
#include "region/run.h"

#include "region/owner.h"

#include <errno.h>

/* Takes units that are no block yet; 0 or -ENOMEM. */
static int run_begin(struct thread *self, struct units *units, size_t count, size_t step, size_t *unit)
{
    units_lock(self, units);
    int failed = units_take(units, count, step, kind_of_making(count, self->id), unit);
    units_unlock(self, units);
    return failed;
}

static void run_drop(struct thread *self, struct units *units, size_t unit)
{
    units_lock(self, units);
    units_give(units, unit);
    units_unlock(self, units);
    if (units_are_many(units))
        units_tidy(self, units, units->keep);
}

/* If there is none, what others could do without may do. */
static int run_back(struct thread *self, struct units *units, size_t unit, size_t count, bool zero)
{
    if (units_back(self, units, unit, count, zero) == 0)
        return 0;
    units_tidy(self, units, 0);
    return units_back(self, units, unit, count, zero);
}

/* It is one from here on; with a place, as one step with the pointer to it. */
static void *run_finish(struct thread *self, struct units *units, size_t unit, size_t count, void **place)
{
    void *block = unit_start(units, unit);
    units_lock(self, units);
    intend(&units->intent, INTENT_TAKE, block, place);
    units_make(units, unit, kind_of_large(count));
    if (place)
        place_set(place, block);
    intend_no_more(&units->intent);
    units_unlock(self, units);
    return block;
}

void *run_take(struct heap *heap, const struct wish *wish)
{
    struct units *units = &heap->units;
    struct thread *self = thread_self();
    size_t count = units_for(wish->size ? wish->size : 1), step = wish->step > UNIT ? wish->step >> UNIT_SHIFT : 1,
           unit;
    if (count > units->count)
        return NULL;
    if (run_begin(self, units, count, step, &unit) < 0) {
        spans_trim(heap);
        if (run_begin(self, units, count, step, &unit) < 0)
            return NULL;
    }
    size_t filled = wish->length >> UNIT_SHIFT; /* units that need not be zeroes: they are written whole */
    if (run_back(self, units, unit, filled, false) < 0 ||
        run_back(self, units, unit + filled, count - filled, !wish->raw) < 0 ||
        owner_note(heap, unit, 0, wish->tag) < 0) {
        run_drop(self, units, unit);
        return NULL;
    }
    if (wish->length)
        memcpy(unit_start(units, unit), wish->from, wish->length);
    return run_finish(self, units, unit, count, wish->place);
}

/* Under the latch: the units of the block there; 0: there is none. */
static size_t run_at(const struct units *units, size_t unit, const void *block)
{
    uint64_t kind = atomic_load(&units->kinds[unit]);
    return (kind & 0xff) == KIND_LARGE && block == unit_start(units, unit) ? kind_units(kind) : 0;
}

int run_give(struct heap *heap, size_t unit, void *block, void **place)
{
    struct units *units = &heap->units;
    struct thread *self = thread_self();
    units_lock(self, units);
    bool whole = run_at(units, unit, block) > 0;
    if (whole && place) {
        intend(&units->intent, INTENT_GIVE, block, place);
        place_set(place, NULL);
    }
    if (whole)
        units_give(units, unit);
    intend_no_more(&units->intent);
    units_unlock(self, units);
    if (whole && units_are_many(units))
        units_tidy(self, units, units->keep);
    return whole ? 0 : -EINVAL;
}

/* To `count` units, which hold `size` bytes. */
static int run_cut(struct thread *self, struct units *units, size_t unit, void *block, size_t size, size_t count)
{
    units_lock(self, units);
    size_t whole = run_at(units, unit, block);
    /* Before the cut: killed after it we would leave what brood_realloc must find zeroed. Under the latch: somebody who
     * frees the block meanwhile may have another there. It is less than a unit. */
    if (whole >= count)
        memset((char *)block + size, 0, (count << UNIT_SHIFT) - size);
    atomic_signal_fence(memory_order_seq_cst);
    if (whole > count)
        units_cut(units, unit, count);
    units_unlock(self, units);
    if (units_are_many(units))
        units_tidy(self, units, units->keep);
    return whole >= count ? 0 : -EINVAL;
}

static int run_extend(struct thread *self, struct units *units, size_t unit, void *block, size_t more)
{
    units_lock(self, units);
    size_t whole = run_at(units, unit, block), behind = unit + whole;
    int failed = whole ? units_take_at(units, behind, more, kind_of_making(more, self->id)) : -EINVAL;
    units_unlock(self, units);
    if (failed)
        return failed;
    if (run_back(self, units, behind, more, true) < 0) {
        run_drop(self, units, behind);
        return -ENOMEM;
    }
    units_lock(self, units);
    if (run_at(units, unit, block) == whole)
        units_join(units, unit, more);
    else
        failed = -EINVAL; /* somebody freed it meanwhile */
    units_unlock(self, units);
    if (failed)
        run_drop(self, units, behind);
    return failed;
}

int run_resize(struct heap *heap, size_t unit, void *block, size_t size)
{
    struct units *units = &heap->units;
    struct thread *self = thread_self();
    units_lock(self, units);
    size_t whole = run_at(units, unit, block);
    units_unlock(self, units);
    if (whole == 0 || size > units->count << UNIT_SHIFT)
        return whole ? -ENOMEM : -EINVAL;
    size_t count = units_for(size ? size : 1);
    return count <= whole ? run_cut(self, units, unit, block, size, count)
                          : run_extend(self, units, unit, block, count - whole);
}
