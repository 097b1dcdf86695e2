/* region/units.c */
#include "region/units.h"

#include "error/error.h"
#include "os/limits.h"
#include "os/shm.h"

#include <errno.h>
#include <string.h>

#define GRANT ((size_t)2 << 20) /* bytes of growth that one look at the machine's memory allows */

static bool unit_taken(const struct units *units, size_t unit)
{
    return units->taken[unit / 64] >> unit % 64 & 1;
}

static void units_mark(struct units *units, size_t unit, size_t count, bool taken)
{
    for (; count; unit++, count--) {
        uint64_t bit = UINT64_C(1) << unit % 64;
        units->taken[unit / 64] = taken ? units->taken[unit / 64] | bit : units->taken[unit / 64] & ~bit;
    }
}

/* After a death: the intent, then all that is derived. */
static void units_mend(struct units *units)
{
    if (intent_orphans(&units->intent))
        atomic_store(&units->kinds[unit_of(units, units->intent.block)], KIND_FREE);
    intend_no_more(&units->intent);
    memset(units->taken, 0, (units->top + 63) / 64 * sizeof *units->taken);
    for (size_t unit = 0; unit < units->top;) {
        uint64_t kind = atomic_load(&units->kinds[unit]);
        if (kind != KIND_FREE)
            units_mark(units, unit, kind_units(kind), true);
        unit += kind_units(kind);
    }
    units->hint = 0;
}

void units_lock(struct thread *self, struct units *units)
{
    if (latch_take(self, &units->latch, CLOCK_NEVER) == LATCH_INHERITED)
        units_mend(units);
}

/* The first run of `count` free units, or units->count. */
static size_t units_find(struct units *units, size_t count)
{
    while (units->hint < units->count && unit_taken(units, units->hint))
        units->hint++;
    size_t run = 0;
    for (size_t unit = units->hint; unit < units->count; unit++) {
        if (unit % 64 == 0 && units->taken[unit / 64] == UINT64_MAX) {
            run = 0;
            unit += 63;
            continue;
        }
        run = unit_taken(units, unit) ? 0 : run + 1;
        if (run == count)
            return unit + 1 - count;
        if (unit >= units->top && units->count - (unit + 1 - run) >= count)
            return unit + 1 - run; /* all from here on is free */
    }
    return units->count;
}

void units_give(struct units *units, size_t unit)
{
    size_t count = kind_units(atomic_load(&units->kinds[unit]));
    atomic_store(&units->kinds[unit], KIND_FREE);
    units_mark(units, unit, count, false);
    if (unit < units->hint)
        units->hint = unit;
}

/* Frees the blocks whose makers died making them. */
static void units_sweep(struct units *units)
{
    for (size_t unit = 0; unit < units->top;) {
        uint64_t kind = atomic_load(&units->kinds[unit]);
        size_t count = kind_units(kind);
        if ((kind & 0xff) == KIND_MAKING && thread_is_gone(kind_maker(kind)))
            units_give(units, unit);
        unit += count;
    }
}

/* The last store, to kinds, is what makes it so. */
int units_take(struct units *units, size_t count, uint64_t kind, size_t *taken)
{
    size_t unit = units_find(units, count);
    if (unit >= units->count) {
        units_sweep(units);
        unit = units_find(units, count);
    }
    if (unit >= units->count)
        return -ENOMEM;
    if (units->top < unit + count)
        units->top = unit + count;
    units_mark(units, unit, count, true);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store(&units->kinds[unit], kind);
    *taken = unit;
    return 0;
}

bool unit_backed(const struct units *units, size_t unit)
{
    return atomic_load_explicit(&units->backed[unit / 64], memory_order_relaxed) >> unit % 64 & 1;
}

/* Has the system back units that the caller owns; 0 or -ENOMEM. With `zero`, those that were used before are cleared:
 * fresh ones are zero. */
int units_back(struct units *units, size_t unit, size_t count, bool zero)
{
    for (size_t end = unit + count; unit < end;) {
        bool backed = unit_backed(units, unit);
        size_t run = 1;
        while (unit + run < end && unit_backed(units, unit + run) == backed)
            run++;
        if (!backed) {
            if (shm_populate(unit_start(units, unit), run << UNIT_SHIFT) < 0)
                return -ENOMEM;
            for (size_t i = unit; i < unit + run; i++)
                atomic_fetch_or(&units->backed[i / 64], UINT64_C(1) << i % 64);
        } else if (zero) {
            memset(unit_start(units, unit), 0, run << UNIT_SHIFT);
        }
        unit += run;
    }
    return 0;
}

static size_t units_unbacked(const struct units *units, size_t unit, size_t count)
{
    size_t bytes = 0;
    for (size_t i = unit; i < unit + count; i++)
        bytes += unit_backed(units, i) ? 0 : UNIT;
    return bytes;
}

/* Asked of the machine once for many. */
int units_grant(struct units *units, size_t unit, size_t count)
{
    size_t bytes = units_unbacked(units, unit, count);
    if (units->granted < bytes) {
        size_t more = bytes > GRANT ? bytes : GRANT;
        if (limits_allow(more) < 0) {
            more = bytes;
            if (limits_allow(more) < 0)
                return -ENOMEM;
        }
        units->granted = more;
    }
    units->granted -= bytes;
    return 0;
}

int units_check(const struct units *units)
{
    for (size_t unit = 0; unit < units->top;) {
        uint64_t kind = atomic_load(&units->kinds[unit]);
        size_t count = kind_units(kind);
        if ((kind & 0xff) > KIND_MAKING || count == 0 || count > units->top - unit)
            return error_set(EUCLEAN, "heap: unit %zu has the impossible kind %#llx", unit, (unsigned long long)kind);
        for (size_t i = unit; i < unit + count; i++)
            if (unit_taken(units, i) != (kind != KIND_FREE) || (i > unit && atomic_load(&units->kinds[i]) != KIND_FREE))
                return error_set(EUCLEAN, "heap: unit %zu is not what unit %zu says", i, unit);
        if (kind == KIND_FREE && unit < units->hint)
            return error_set(EUCLEAN, "heap: unit %zu is free and overlooked", unit);
        unit += count;
    }
    return 0;
}
