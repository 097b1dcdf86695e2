/* sync/semaphore.c: brood/semaphore.h: a number (wait/level.h), or seats, of which each holder has one (sync/seat.h).
 *
 * Of an owned semaphore the noun's word is a turnstile: a latch, held by the one among those who wait, the front, that
 * sleeps on the seats, on all of them at once. Whoever gives a seat back wakes it, and so does the kernel when a holder
 * dies. If the front is killed, even after it was woken, the turnstile passes on, and who gets it looks at all seats
 * before it sleeps: so no wake is lost with the one it went to. Nobody else ever sleeps on a seat.
 *
 * Of a plain one the noun's word is a latch, for those who only watch whether there is a unit (brood/wait.h). They
 * sleep on word.turn, and say with the latch that they do (LEVEL_WATCHED). Who gives a unit then takes the latch, turns
 * on word.turn, wakes them all, and only then gives: whoever is told so and finds no unit takes the latch before it
 * sleeps again, and so sees what came of it. No death can come between a unit and its news, and no wake goes to one who
 * does not take.
 */
#include "sync/semaphore.h"
#include "error/error.h"
#include "os/futex.h"
#include "region/heap.h"
#include "sync/noun.h"
#include "sync/seat.h"
#include "sync/waiter.h"
#include "wait/level.h"

#include <brood/semaphore.h>
#include <errno.h>

#define OWNED UINT32_MAX
#define TELLING INT64_C(20000000) /* ns to wait for another in the middle of telling */

/* What lies in a brood_semaphore. word: of a plain one the watchers' latch, with word.cpu where its last taker ran, and
 * word.turn, by holders; of an owned one the turnstile. most: OWNED, or a plain one's bound, or 0. cpu: where the last
 * giver ran, or an owned one's last taker; a hint, by anyone. seats: an owned one's; NULL: its init was killed. level:
 * a plain one's. Set by init, before it is shared, and then constant: most, seats. */
struct semaphore {
    struct robust_word word;
    char *name;
    _Alignas(8) uint32_t most;
    _Atomic uint32_t cpu;
    union {
        struct seats *seats;
        struct level level;
    };
};

_Static_assert(sizeof(struct semaphore) == sizeof(brood_semaphore) && sizeof(brood_semaphore) == NOUN_SIZE, "64 bytes");
_Static_assert(offsetof(struct semaphore, most) == offsetof(struct noun, own), "a noun");

const struct noun_kind semaphore_kind = { "semaphore", "a", 0x616d6573u /* "sema" */, false, 0 };

static struct semaphore *semaphore_in(brood_semaphore *memory)
{
    return noun_in(&semaphore_kind, memory);
}

static bool is_owned(const struct semaphore *semaphore)
{
    return semaphore->most == OWNED;
}

/* ---- owned: seats ---- */

static uint32_t count_of(const struct seats *seats)
{
    return seats ? atomic_load_explicit(&seats->count, memory_order_relaxed) : 0;
}

static bool is_free(const struct seat *seat)
{
    return !(atomic_load_explicit(&seat->word.word, memory_order_relaxed) & FUTEX_TID_MASK);
}

static uint32_t count_free(const struct seats *seats)
{
    uint32_t count = count_of(seats), free = 0;
    for (uint32_t i = 0; i < count; i++)
        free += is_free(&seats->seat[i]);
    return free;
}

/* Each thread begins at a seat of its own: it is in its cache, and where it looks for the one that it holds. */
static uint32_t first_of(const struct thread *self, uint32_t count)
{
    return count ? self->id % count : 0;
}

static uint32_t next_of(uint32_t at, uint32_t count)
{
    return at + 1 < count ? at + 1 : 0;
}

/* Takes a free seat, and holds it: LATCH_CLEAN, LATCH_INHERITED; -ETIMEDOUT: there was none. */
static int take_seat(struct thread *self, struct seats *seats)
{
    uint32_t count = count_of(seats), at = first_of(self, count);
    for (uint32_t i = 0; i < count; i++, at = next_of(at, count)) {
        struct robust_word *word = &seats->seat[at].word;
        int taken = is_free(&seats->seat[at]) ? latch_take(self, word, LATCH_TRY) : -ETIMEDOUT;
        if (taken < 0)
            continue;
        noun_hold(self, word);
        return taken;
    }
    return -ETIMEDOUT;
}

static void spin_until_free(struct thread *self, const struct semaphore *semaphore)
{
    if (!spin_pays(atomic_load_explicit(&semaphore->cpu, memory_order_relaxed)))
        return;
    int64_t end = clock_now() + self->spin;
    for (;;) {
        for (int i = 0; i < 32; i++)
            cpu_pause();
        bool free = count_free(semaphore->seats) > 0;
        if (free || clock_now() >= end) {
            spin_learn(self, free);
            return;
        }
    }
}

/* The front's: one sleep, until a seat may be free. */
static int sleep_on_seats(struct seats *seats, int64_t deadline)
{
    struct futex_watch watch[FUTEX_WATCH_MOST];
    uint32_t count = count_of(seats), watched = count < FUTEX_WATCH_MOST ? count : FUTEX_WATCH_MOST;
    for (uint32_t i = 0; i < watched; i++) {
        struct robust_word *word = &seats->seat[i].word;
        uint64_t cell = robust_cell(word);
        watch[i].word = &word->word;
        if (!(cell & FUTEX_TID_MASK) || !latch_announce(word, cell, &watch[i].expected))
            return 0;
    }
    bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
    int64_t nap = told && watched == count ? deadline : clock_now() + THREAD_NAP;
    int slept = futex_sleep_any(watch, watched, nap < deadline ? nap : deadline);
    for (uint32_t i = 0; i < count && !told; i++)
        latch_mark_if_gone(&seats->seat[i].word, atomic_load(&seats->seat[i].word.word));
    return slept == -ETIMEDOUT && clock_now() < deadline ? 0 : slept;
}

/* In line for a seat. The turnstile is in the thread's list meanwhile, since the seats need the pending entry. */
static int wait_for_seat(struct thread *self, void *context, int64_t deadline)
{
    struct semaphore *semaphore = context;
    spin_publish(&semaphore->word.cpu); /* as if the front ran here: it sleeps, and nobody need spin for it */
    if (latch_take(self, &semaphore->word, deadline) < 0)
        return take_seat(self, semaphore->seats);
    noun_hold(self, &semaphore->word);
    int taken, slept = 0;
    while ((taken = take_seat(self, semaphore->seats)) < 0 && slept == 0) {
        slept = sleep_on_seats(semaphore->seats, deadline);
        if (slept == 0 && clock_now() >= deadline) /* it may have found a seat free, again and again */
            slept = -ETIMEDOUT;
    }
    noun_unhold(self, &semaphore->word);
    latch_drop(self, &semaphore->word);
    return taken;
}

static int acquire_seat(struct semaphore *semaphore, int timeout_ms, int64_t deadline)
{
    char text[NOUN_TEXT];
    struct thread *self = thread_self();
    if (noun_may_hold(self) < 0)
        return -ENOLCK;
    if (count_of(semaphore->seats) == 0)
        return error_set(EINVAL, "%s has no units: its brood_semaphore_init was killed",
                         noun_describe(&semaphore_kind, semaphore, text));
    int taken = take_seat(self, semaphore->seats);
    if (taken < 0 && deadline != LATCH_TRY) {
        spin_until_free(self, semaphore);
        taken = take_seat(self, semaphore->seats);
        if (taken < 0)
            taken = waiter_wait(self, semaphore, deadline, wait_for_seat, semaphore);
    }
    if (taken < 0)
        return error_set(ETIMEDOUT, "all %u units of %s are held still, after %d ms", count_of(semaphore->seats),
                         noun_describe(&semaphore_kind, semaphore, text), timeout_ms);
    spin_publish(&semaphore->cpu);
    if (taken == LATCH_INHERITED) {
        heap_settle();
        error_tell("a unit of %s comes from a holder that died: what it was used for may be half done",
                   noun_describe(&semaphore_kind, semaphore, text));
    }
    return taken;
}

static int release_seat(struct semaphore *semaphore)
{
    char text[NOUN_TEXT];
    struct thread *self = thread_self();
    struct seats *seats = semaphore->seats;
    uint32_t count = count_of(seats), at = count ? first_of(self, count) : 0;
    for (uint32_t i = 0; i < count; i++, at = next_of(at, count)) {
        struct robust_word *word = &seats->seat[at].word;
        if (!noun_held(self, word))
            continue;
        noun_unhold(self, word);
        latch_drop(self, word);
        return 0;
    }
    return error_set(EPERM, "brood_semaphore_release: this thread holds no unit of %s",
                     noun_describe(&semaphore_kind, semaphore, text));
}

/* A process that holds a unit, or waits at the front; 0: none does. */
static int user_of(struct semaphore *semaphore)
{
    uint32_t count = count_of(semaphore->seats);
    for (uint32_t i = 0; i < count; i++)
        if (!is_free(&semaphore->seats->seat[i]))
            return thread_holder(&semaphore->seats->seat[i].word);
    return thread_holder(&semaphore->word);
}

/* ---- plain: a number ---- */

/* The one on whose CPU we are not, if there is such a one, of the last taker and the last giver: between two who signal
 * to each other the first is the waiter itself, between two who exclude each other the second is. */
static uint32_t debtor_of(const struct semaphore *semaphore)
{
    uint32_t taker = atomic_load_explicit(&semaphore->word.cpu, memory_order_relaxed);
    return spin_pays(taker) ? taker : atomic_load_explicit(&semaphore->cpu, memory_order_relaxed);
}

static int wait_for_unit(struct thread *self, void *context, int64_t deadline)
{
    struct semaphore *semaphore = context;
    return level_take_slowly(self, &semaphore->level, debtor_of(semaphore), deadline);
}

static int acquire_unit(struct semaphore *semaphore, int timeout_ms, int64_t deadline)
{
    char text[NOUN_TEXT];
    if (!level_try(&semaphore->level) &&
        (deadline == LATCH_TRY || waiter_wait(thread_self(), semaphore, deadline, wait_for_unit, semaphore) < 0))
        return error_set(ETIMEDOUT, "%s has no unit still, after %d ms",
                         noun_describe(&semaphore_kind, semaphore, text), timeout_ms);
    spin_publish(&semaphore->word.cpu);
    return 0;
}

static void tell_watchers(struct semaphore *semaphore)
{
    atomic_fetch_add(&semaphore->word.turn, 1);
    futex_wake(&semaphore->word.turn, FUTEX_EVERYONE);
}

/* Some watch. Who is stopped in here does not hold up others, who do without the latch: those who watch find it taken
 * then, and nap; one who gets it just now is told afterwards. */
static int give_seen(struct thread *self, struct semaphore *semaphore, uint32_t most)
{
    struct robust_word *latch = &semaphore->word;
    bool has_latch = latch_take(self, latch, clock_now() + TELLING) >= 0;
    tell_watchers(semaphore);
    if (has_latch)
        latch_hold(self, latch);
    int given = level_give_told(self, &semaphore->level, most);
    if (has_latch) {
        latch_unhold(self, latch);
        latch_drop(self, latch);
    } else {
        tell_watchers(semaphore);
    }
    return given;
}

static int release_unit(struct semaphore *semaphore)
{
    char text[NOUN_TEXT];
    struct thread *self = thread_self();
    uint32_t most = semaphore->most ? semaphore->most : LEVEL_MOST;
    spin_publish(&semaphore->cpu);
    int given = level_give(self, &semaphore->level, most);
    if (given == LEVEL_SEEN)
        given = give_seen(self, semaphore, most);
    if (given < 0)
        return error_set(EOVERFLOW, "%s has %u units already, the most it may",
                         noun_describe(&semaphore_kind, semaphore, text), most);
    return 0;
}

/* ---- both ---- */

static int check_numbers(int units, int max, bool owned)
{
    if (units < 0 || max < 0)
        return error_set(EINVAL, "brood_semaphore_init: %d units of at most %d", units, max);
    if (max > 0 && units > max)
        return error_set(EINVAL, "brood_semaphore_init: %d units are more than its .max, %d", units, max);
    if (owned && units == 0)
        return error_set(EINVAL, "brood_semaphore_init: an owned semaphore without a unit would never have one");
    return 0;
}

int brood_semaphore_init(brood_semaphore *memory, int units, const brood_semaphore_options *options)
{
    static const brood_semaphore_options defaults;
    const brood_semaphore_options *asked = options ? options : &defaults;
    if (error_reserved("brood_semaphore_init", asked->reserved, sizeof asked->reserved / sizeof(void *)) < 0 ||
        check_numbers(units, asked->max, asked->owned) < 0)
        return -EINVAL;
    int failed = noun_begin(&semaphore_kind, memory, asked->name, "brood_semaphore_init");
    if (failed < 0)
        return failed;
    struct semaphore *semaphore = (struct semaphore *)(void *)memory;
    semaphore->most = asked->owned ? OWNED : (uint32_t)asked->max;
    if (!asked->owned) {
        level_fill(&semaphore->level, (uint32_t)units);
    } else if (!seats_make(&semaphore->seats, (uint32_t)units)) {
        noun_end(semaphore);
        return error_set(ENOMEM, "brood_semaphore_init: no memory in the region for %d units", units);
    }
    return 0;
}

int brood_semaphore_fini(brood_semaphore *memory)
{
    char text[NOUN_TEXT];
    if (!memory)
        return 0;
    if (region_enter() < 0)
        return -EINVAL;
    if (noun_is_unused(memory))
        return 0;
    struct semaphore *semaphore = semaphore_in(memory);
    if (!semaphore)
        return noun_refuse(&semaphore_kind, memory, "brood_semaphore_fini");
    bool owned = is_owned(semaphore);
    int user = owned ? user_of(semaphore) : 0;
    if (user)
        return error_set(EBUSY, "brood_semaphore_fini: %s is held, or waited for, by process %d",
                         noun_describe(&semaphore_kind, semaphore, text), user);
    if (!owned && futex_sleepers(&semaphore->level.word) + futex_sleepers(&semaphore->word.turn) > 0)
        return error_set(EBUSY, "brood_semaphore_fini: %s is waited for",
                         noun_describe(&semaphore_kind, semaphore, text));
    if (owned) {
        heap_settle(); /* holders of units may have died: nobody will be told of them */
        if (semaphore->seats)
            heap_give(semaphore->seats, (void **)&semaphore->seats);
    }
    noun_end(semaphore);
    return 0;
}

int brood_semaphore_acquire(brood_semaphore *memory, int timeout_ms)
{
    int64_t deadline;
    struct semaphore *semaphore = semaphore_in(memory);
    if (!semaphore)
        return noun_refuse(&semaphore_kind, memory, "brood_semaphore_acquire");
    if (noun_deadline("brood_semaphore_acquire", timeout_ms, &deadline) < 0)
        return -EINVAL;
    return is_owned(semaphore) ? acquire_seat(semaphore, timeout_ms, deadline)
                               : acquire_unit(semaphore, timeout_ms, deadline);
}

int brood_semaphore_release(brood_semaphore *memory)
{
    struct semaphore *semaphore = semaphore_in(memory);
    if (!semaphore)
        return noun_refuse(&semaphore_kind, memory, "brood_semaphore_release");
    return is_owned(semaphore) ? release_seat(semaphore) : release_unit(semaphore);
}

int brood_semaphore_units(brood_semaphore *memory)
{
    if (noun_is_unused(memory))
        return 0;
    struct semaphore *semaphore = semaphore_in(memory);
    if (!semaphore)
        return noun_refuse(&semaphore_kind, memory, "brood_semaphore_units");
    return (int)(is_owned(semaphore) ? count_free(semaphore->seats) : level_units(atomic_load(&semaphore->level.cell)));
}

int semaphore_announce(brood_semaphore *memory, const char *call, struct futex_watch *watch)
{
    struct semaphore *semaphore = semaphore_in(memory);
    if (!semaphore)
        return noun_refuse(&semaphore_kind, memory, call);
    *watch = (struct futex_watch){ NULL, 0 };
    if (is_owned(semaphore))
        return count_free(semaphore->seats) > 0;
    struct thread *self = thread_self();
    struct robust_word *latch = &semaphore->word;
    if (level_units(atomic_load(&semaphore->level.cell)) > 0)
        return 1;
    if (latch_take(self, latch, clock_now() + TELLING) < 0)
        return 0;
    /* Before it says that it watches: a giver who did without the latch, since this thread stood still, has told. */
    *watch = (struct futex_watch){ &latch->turn, atomic_load(&latch->turn) };
    bool open = level_announce(&semaphore->level);
    latch_drop(self, latch);
    return open;
}
