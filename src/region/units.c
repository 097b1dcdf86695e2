/* region/units.c */
#include "region/units.h"

#include "error/error.h"
#include "os/limits.h"
#include "os/shm.h"
#include "os/wiped.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define GRANT ((size_t)2 << 20)   /* bytes of growth that one look at the machine's memory allows */
#define BACK_STEP ((size_t)32)    /* units that are backed by one system call: 2 MiB, half a millisecond */
#define DISCARD_STEP ((size_t)16) /* units given back under the latch at once: 1 MiB, a quarter of a millisecond */
#define LOOK_STEP ((size_t)1024)  /* units of one block to be backed between looks at the machine's memory */
#define TABLE_STEP ((size_t)4096) /* units whose words in the tables are made at once: 33 KiB */
#define DISCARD_PAUSE_NS (50000)  /* for who waits for the latch meanwhile: one wake, and a little more */

/* ---- bits, a word at a time ---- */

/* Those of [unit, end) that lie in unit's word. */
static uint64_t bits_between(size_t unit, size_t end)
{
    uint64_t bits = UINT64_MAX << unit % 64;
    return end < (unit | 63) + 1 ? bits & ~(UINT64_MAX << end % 64) : bits;
}

static size_t word_after(size_t unit)
{
    return (unit | 63) + 1;
}

static uint64_t bits_load(const _Atomic uint64_t *bits, size_t unit)
{
    return atomic_load_explicit(&bits[unit / 64], memory_order_relaxed);
}

static bool bits_has(const _Atomic uint64_t *bits, size_t unit)
{
    return bits_load(bits, unit) >> unit % 64 & 1;
}

/* Neighbours may belong to others. */
static void bits_set(_Atomic uint64_t *bits, size_t unit, size_t count)
{
    for (size_t end = unit + count; unit < end; unit = word_after(unit))
        atomic_fetch_or(&bits[unit / 64], bits_between(unit, end));
}

static void bits_clear(_Atomic uint64_t *bits, size_t unit, size_t count)
{
    for (size_t end = unit + count; unit < end; unit = word_after(unit))
        atomic_fetch_and(&bits[unit / 64], ~bits_between(unit, end));
}

static size_t bits_count(const _Atomic uint64_t *bits, size_t unit, size_t count)
{
    size_t sum = 0;
    for (size_t end = unit + count; unit < end; unit = word_after(unit))
        sum += (size_t)__builtin_popcountll(bits_load(bits, unit) & bits_between(unit, end));
    return sum;
}

bool unit_backed(const struct units *units, size_t unit)
{
    return bits_has(units->backed, unit);
}

bool unit_dirty(const struct units *units, size_t unit)
{
    return bits_has(units->dirty, unit);
}

/* ---- what is derived ---- */

static bool unit_taken(const struct units *units, size_t unit)
{
    return units->taken[unit / 64] >> unit % 64 & 1;
}

/* The run is not free any more, or again. */
static void units_mark(struct units *units, size_t unit, size_t count, bool taken)
{
    size_t dirty = bits_count(units->dirty, unit, count);
    units->held += taken ? count : -count;
    units->idle += taken ? -dirty : dirty;
    if (units->peak < units->held)
        units->peak = units->held;
    if (!taken && unit < units->hint)
        units->hint = unit;
    for (size_t end = unit + count; unit < end; unit = word_after(unit)) {
        uint64_t bits = bits_between(unit, end), *word = &units->taken[unit / 64];
        *word = taken ? *word | bits : *word & ~bits;
    }
}

/* After a death: the intent, then all that is derived. */
static void units_mend(struct units *units)
{
    if (intent_orphans(&units->intent))
        atomic_store(&units->kinds[unit_of(units, units->intent.block)], KIND_FREE);
    intend_no_more(&units->intent);
    memset(units->taken, 0, (units->top + 63) / 64 * sizeof *units->taken);
    units->making = units->hint = 0;
    units->held = 0;
    units->idle = bits_count(units->dirty, 0, units->top);
    for (size_t unit = 0; unit < units->top;) {
        uint64_t kind = atomic_load(&units->kinds[unit]);
        if (kind != KIND_FREE)
            units_mark(units, unit, kind_units(kind), true);
        units->making += (kind & 0xff) == KIND_MAKING;
        unit += kind_units(kind);
    }
}

void units_lock(struct thread *self, struct units *units)
{
    if (latch_take_light(self, &units->latch, CLOCK_NEVER) == LATCH_INHERITED)
        units_mend(units);
}

/* ---- taking and giving ---- */

/* Has the system back the tables' words for the units below `end`: touched before that they would be a SIGBUS where
 * memory is refused. 0 or -ENOMEM. Killed in it we leave `tabled` as it was, and the step is made again. */
static int tables_back(struct units *units, size_t end)
{
    while (units->tabled < end) {
        size_t from = units->tabled, left = units->count - from, step = left < TABLE_STEP ? left : TABLE_STEP;
        size_t word = from / 64, bytes = (step + 63) / 64 * sizeof *units->taken;
        if (shm_populate(&units->taken[word], bytes) < 0 || shm_populate((void *)&units->backed[word], bytes) < 0 ||
            shm_populate((void *)&units->dirty[word], bytes) < 0 ||
            shm_populate((void *)&units->kinds[from], step * sizeof *units->kinds) < 0)
            return -ENOMEM;
        atomic_signal_fence(memory_order_seq_cst);
        units->tabled = from + step;
    }
    return 0;
}

/* The first run of `count` free units that begins on a multiple of `step`, or units->count. */
static size_t units_find(struct units *units, size_t count, size_t step)
{
    while (units->hint < units->top && unit_taken(units, units->hint))
        units->hint++;
    size_t run = 0, place = (uintptr_t)units->first >> UNIT_SHIFT, unit = units->hint;
    for (; unit < units->top; unit++) {
        if (unit % 64 == 0 && units->taken[unit / 64] == UINT64_MAX) {
            run = 0;
            unit += 63;
            continue;
        }
        if (unit_taken(units, unit))
            run = 0;
        else if (run > 0 || (place + unit) % step == 0)
            run++;
        if (run == count)
            return unit + 1 - count;
    }
    /* All from here on is free. */
    size_t begin = run > 0 ? unit - run : unit + (-(place + unit) & (step - 1));
    return begin <= units->count && units->count - begin >= count ? begin : units->count;
}

void units_sweep(struct units *units)
{
    for (size_t unit = 0; units->making && unit < units->top;) {
        uint64_t kind = atomic_load(&units->kinds[unit]);
        size_t count = kind_units(kind);
        if ((kind & 0xff) == KIND_MAKING && thread_is_gone(kind_maker(kind)))
            units_give(units, unit);
        unit += count;
    }
}

/* The last store, to kinds, is what makes it so. */
static void take(struct units *units, size_t unit, size_t count, uint64_t kind)
{
    if (units->top < unit + count)
        units->top = unit + count;
    units_mark(units, unit, count, true);
    units->making += (kind & 0xff) == KIND_MAKING;
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store(&units->kinds[unit], kind);
}

int units_take(struct units *units, size_t count, size_t step, uint64_t kind, size_t *taken)
{
    size_t unit = units_find(units, count, step);
    if (unit >= units->count && units->making) {
        units_sweep(units);
        unit = units_find(units, count, step);
    }
    if (unit >= units->count || tables_back(units, unit + count) < 0)
        return -ENOMEM;
    take(units, unit, count, kind);
    *taken = unit;
    return 0;
}

int units_take_at(struct units *units, size_t unit, size_t count, uint64_t kind)
{
    if (count > units->count || unit > units->count - count || tables_back(units, unit + count) < 0)
        return -ENOMEM;
    for (size_t at = unit, end = unit + count; at < end; at = word_after(at))
        if (units->taken[at / 64] & bits_between(at, end))
            return -ENOMEM;
    take(units, unit, count, kind);
    return 0;
}

void units_make(struct units *units, size_t unit, uint64_t kind)
{
    units->making--;
    atomic_store(&units->kinds[unit], kind);
}

void units_give(struct units *units, size_t unit)
{
    uint64_t kind = atomic_load(&units->kinds[unit]);
    atomic_store(&units->kinds[unit], KIND_FREE);
    units->making -= (kind & 0xff) == KIND_MAKING;
    units_mark(units, unit, kind_units(kind), false);
}

void units_cut(struct units *units, size_t unit, size_t count)
{
    size_t whole = kind_units(atomic_load(&units->kinds[unit]));
    atomic_store(&units->kinds[unit], kind_of_large(count)); /* inside, kinds are those of free units already */
    units_mark(units, unit + count, whole - count, false);
}

/* Killed between the stores we leave the stretch free. */
void units_join(struct units *units, size_t unit, size_t count)
{
    size_t whole = kind_units(atomic_load(&units->kinds[unit]));
    atomic_store(&units->kinds[unit + whole], KIND_FREE);
    atomic_store(&units->kinds[unit], kind_of_large(whole + count));
    units->making--;
}

/* ---- pages ---- */

/* Asks whether the machine has memory for so many units more: for small numbers once for many. 0 or -ENOMEM. Units that
 * were given back for nothing teach us to keep more. */
static int units_grant(struct thread *self, struct units *units, size_t count)
{
    size_t bytes = count << UNIT_SHIFT, more = bytes > GRANT ? bytes : GRANT;
    units_lock(self, units);
    size_t again = count < units->discarded ? count : units->discarded;
    units->discarded -= again;
    if (again) {
        size_t keep = units->keep + (again + 1) / 2;
        units->keep = keep < UNITS_KEPT_MOST ? keep : UNITS_KEPT_MOST;
    }
    bool enough = units->granted >= bytes;
    units->granted -= enough ? bytes : 0;
    units_unlock(self, units);
    if (enough)
        return 0;
    if (limits_allow(more) < 0) { /* reads files: not under the latch */
        more = bytes;
        if (limits_allow(more) < 0)
            return -ENOMEM;
    }
    units_lock(self, units);
    units->granted = more - bytes;
    units_unlock(self, units);
    return 0;
}

/* A run that is not backed, and ours. It is dirty first: refused or killed half way, we leave pages that are found and
 * given back. */
static int run_back(struct units *units, size_t unit, size_t count, bool zero)
{
    bool stale = zero && bits_count(units->dirty, unit, count) > 0;
    bits_set(units->dirty, unit, count);
    if (shm_populate(unit_start(units, unit), count << UNIT_SHIFT) < 0)
        return -ENOMEM;
    if (stale)
        memset(unit_start(units, unit), 0, count << UNIT_SHIFT);
    bits_set(units->backed, unit, count);
    return 0;
}

int units_back(struct thread *self, struct units *units, size_t unit, size_t count, bool zero)
{
    size_t asked = unit; /* the machine has been asked for what lies before */
    for (size_t end = unit + count; unit < end;) {
        bool backed = unit_backed(units, unit);
        size_t run = 1;
        while (run < BACK_STEP && unit + run < end && unit_backed(units, unit + run) == backed)
            run++;
        if (!backed && asked < unit + run) {
            size_t stretch = end - unit < LOOK_STEP ? end - unit : LOOK_STEP;
            asked = unit + stretch;
            if (units_grant(self, units, stretch - bits_count(units->backed, unit, stretch)) < 0)
                return -ENOMEM;
        }
        if (!backed && run_back(units, unit, run, zero) < 0)
            return -ENOMEM;
        if (backed && zero)
            memset(unit_start(units, unit), 0, run << UNIT_SHIFT);
        unit += run;
    }
    return 0;
}

/* The last run of idle units below *end, of `most` at most: how many, and *end is its first. */
static size_t idle_below(const struct units *units, size_t *end, size_t most)
{
    size_t count = 0;
    while (*end > 0 && count < most) {
        size_t unit = *end - 1;
        bool idle = !unit_taken(units, unit) && unit_dirty(units, unit);
        if (!idle && count > 0)
            break;
        uint64_t words = ~units->taken[unit / 64] & bits_load(units->dirty, unit);
        if (!idle && unit % 64 == 63 && words == 0)
            unit -= 63;
        count += idle;
        *end = unit;
    }
    return count;
}

/* Under the latch. False: the system refuses. */
static bool run_discard(struct units *units, size_t unit, size_t count)
{
    bits_clear(units->backed, unit, count);
    if (shm_discard(unit_start(units, unit), count << UNIT_SHIFT) < 0)
        return false;
    bits_clear(units->dirty, unit, count);
    units->idle -= count;
    units->discarded += count;
    return true;
}

void units_tidy(struct thread *self, struct units *units, size_t keep)
{
    if (atomic_load_explicit(&wiped->heap_keeps, memory_order_relaxed))
        return;
    units_lock(self, units);
    for (size_t end = units->top; units->idle > keep;) {
        size_t most = units->idle - keep, run = idle_below(units, &end, most < DISCARD_STEP ? most : DISCARD_STEP);
        if (run == 0)
            break;
        if (!run_discard(units, end, run)) { /* as where it has locked its memory: others may do better */
            atomic_store_explicit(&wiped->heap_keeps, true, memory_order_relaxed);
            break;
        }
        units_unlock(self, units);
        if (latch_is_wanted(&units->latch)) { /* let those in who were woken just now */
            int before = errno;
            nanosleep(&(struct timespec){ .tv_nsec = DISCARD_PAUSE_NS }, NULL);
            errno = before;
        }
        units_lock(self, units);
    }
    units_unlock(self, units);
}

/* ---- looking at it ---- */

int units_check(const struct units *units)
{
    size_t held = 0, making = 0;
    if (units->top > units->tabled || units->tabled > units->count)
        return error_set(EUCLEAN, "heap: of %zu units %zu are in the tables, and %zu in use", units->count,
                         units->tabled, atomic_load(&units->top));
    for (size_t unit = 0; unit < units->top;) {
        uint64_t kind = atomic_load(&units->kinds[unit]);
        size_t count = kind_units(kind);
        if ((kind & 0xff) > KIND_MAKING || count == 0 || count > units->top - unit)
            return error_set(EUCLEAN, "heap: unit %zu has the impossible kind %#llx", unit, (unsigned long long)kind);
        for (size_t i = unit; i < unit + count; i++) {
            if (unit_taken(units, i) != (kind != KIND_FREE) || (i > unit && atomic_load(&units->kinds[i]) != KIND_FREE))
                return error_set(EUCLEAN, "heap: unit %zu is not what unit %zu says", i, unit);
            if (unit_backed(units, i) && !unit_dirty(units, i))
                return error_set(EUCLEAN, "heap: unit %zu has memory that nobody would clear", i);
        }
        if ((kind & 0xff) == KIND_LARGE && bits_count(units->backed, unit, count) < count)
            return error_set(EUCLEAN, "heap: the block at unit %zu is not backed whole", unit);
        if (kind == KIND_FREE && unit < units->hint)
            return error_set(EUCLEAN, "heap: unit %zu is free and overlooked", unit);
        held += kind == KIND_FREE ? 0 : count;
        making += (kind & 0xff) == KIND_MAKING;
        unit += count;
    }
    size_t idle = 0;
    for (size_t unit = 0; unit < units->top; unit++)
        idle += !unit_taken(units, unit) && unit_dirty(units, unit);
    if (held != units->held || idle != units->idle || making != units->making)
        return error_set(EUCLEAN, "heap: it counts %zu units in use, %zu idle, %zu being made; they are %zu, %zu, %zu",
                         atomic_load(&units->held), atomic_load(&units->idle), units->making, held, idle, making);
    if (units->peak < held || units->peak > units->count)
        return error_set(EUCLEAN, "heap: %zu units in use, and %zu at most so far", held, units->peak);
    return units->intent.work == INTENT_NONE ? 0 : error_set(EUCLEAN, "heap: a change of the units is left unfinished");
}
