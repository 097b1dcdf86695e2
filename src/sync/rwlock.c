/* sync/rwlock.c: brood/rwlock.h: a latch for the writer, and a seat for each reader.
 *
 * A reader takes a seat, then looks whether a writer has come; a writer takes the latch, then looks at every seat. Each
 * writes before it looks, so one of the two at least sees the other: a reader that sees a writer gets up again and
 * waits for the latch, a writer that sees a reader waits for its seat. Latch and seats are robust words, so both waits
 * are told of a death by the kernel, and a dead reader's seat is free.
 *
 * A reader that finds a writer, or no free seat, takes the latch too, for as long as it takes to sit down: no writer is
 * inside then. It notes in the word that it is a reader (PASSING), so that nobody takes it for a writer meanwhile: the
 * others go on sitting down without the latch.
 *
 * `writing` says whether what is guarded may be half written: 1 from a writer's acquire, when all readers have left, to
 * the beginning of its release. So whoever inherits the latch sees whether there is something to mend. If so it goes on
 * as a writer, and the latch is never given back but as a dead one's until `writing` is 0; readers that do not take the
 * latch see that in its word.
 */
#include "error/error.h"
#include "region/heap.h"
#include "sync/noun.h"
#include "sync/seat.h"
#include "sync/waiter.h"

#include <brood/rwlock.h>
#include <errno.h>

#define PASSING LATCH_NOTE

/* Seats of the first block: one a processor, where it is not too many; each further block has twice those of the last.
 * Powers of 2. */
#define SEATS_FIRST 8
#define SEATS_FIRST_MOST 64

/* For one that only tries, while another reader makes seats: how long until it looks again. */
#define PASSAGE_NS 1000000
#define PASSAGES_NS 1000000000 /* in all */

/* What lies in a brood_rwlock. writer: its `owner` is the pid of the last writer. seats: set under the latch, once,
 * followed by anyone. writing: the holder's of the latch. */
struct rwlock {
    struct robust_word writer;
    char *name;
    _Alignas(8) struct seats *seats;
    _Atomic uint32_t writing;
    uint32_t room[sizeof(void *) == 8 ? 1 : 2];
};

_Static_assert(sizeof(struct rwlock) == sizeof(brood_rwlock) && sizeof(brood_rwlock) == NOUN_SIZE, "64 bytes");
_Static_assert(offsetof(struct rwlock, seats) == offsetof(struct noun, own), "a noun");

const struct noun_kind rwlock_kind = { "rwlock", "an", 0x6c777264u /* "drwl" */, true, 0 };

/* Blocks of seats, from the first to the last that is ready. Acquire: pairs with the release in place_set. */
static inline struct seats *ready(struct seats *const *place, uint32_t *count)
{
    struct seats *block = __atomic_load_n(place, __ATOMIC_ACQUIRE);
    *count = block ? atomic_load_explicit(&block->count, memory_order_acquire) : 0; /* with the store in seats_make */
    return *count ? block : NULL;
}

static inline struct seats **more_of(struct seats *block)
{
    return (struct seats **)(void *)&block->more;
}

/* Whether a reader may be inside: no writer is, nor is one waiting for readers to leave, nor has one died. */
static inline bool is_open(struct rwlock *rwlock)
{
    uint32_t word = atomic_load(&rwlock->writer.word) & ~(uint32_t)FUTEX_WAITERS;
    return word == 0 || (word & FUTEX_TID_MASK && word & PASSING);
}

static inline bool is_taken(struct robust_word *seat)
{
    return atomic_load_explicit(&seat->word, memory_order_relaxed) & FUTEX_TID_MASK;
}

/* Takes a free seat, which is the pending word then, or NULL. On a cache line that no reader on another processor uses,
 * if it can be had. *died: the seat is a dead reader's, whose mark goes: the caller settles the heap when it holds
 * it. */
static inline struct robust_word *seat_take(struct thread *self, struct rwlock *rwlock, bool *died)
{
    uint32_t cpu = (uint32_t)cpu_current(), count;
    struct seats *const *place = &rwlock->seats;
    for (struct seats *block; (block = ready(place, &count)); place = more_of(block)) {
        for (uint32_t i = 0; i < count; i++) {
            struct robust_word *seat = &block->seat[(cpu + i) & (count - 1)].word;
            uint32_t word = atomic_load_explicit(&seat->word, memory_order_relaxed);
            if (word & FUTEX_TID_MASK)
                continue;
            thread_expects(self, &seat->word);
            /* The seat, then the writer's word: pairs with the look in await_readers. */
            if (atomic_compare_exchange_strong(&seat->word, &word, self->id | (word & FUTEX_WAITERS))) {
                atomic_store_explicit(&seat->cpu, cpu + 1, memory_order_relaxed);
                *died = word & FUTEX_OWNER_DIED;
                return seat;
            }
        }
    }
    thread_expects(self, NULL);
    return NULL;
}

/* The seat that this thread holds, or NULL: it is the list of what it holds that says so, not a look at every seat. */
static struct robust_word *seat_held(const struct thread *self, struct rwlock *rwlock)
{
    uint32_t count;
    if (!self->held)
        return NULL;
    for (struct robust_word *word = thread_listed(self, NULL); word; word = thread_listed(self, word)) {
        struct seats *const *place = &rwlock->seats;
        for (struct seats *block; (block = ready(place, &count)); place = more_of(block))
            if ((uintptr_t)word - (uintptr_t)block->seat < count * sizeof(struct seat))
                return word;
    }
    return NULL;
}

static int count_readers(struct rwlock *rwlock)
{
    int readers = 0;
    uint32_t count;
    struct seats *const *place = &rwlock->seats;
    for (struct seats *block; (block = ready(place, &count)); place = more_of(block))
        for (uint32_t i = 0; i < count; i++)
            readers += is_taken(&block->seat[i].word);
    return readers;
}

/* Adds a block of seats; the latch is held. What one who was killed in here has left is used. */
static bool add_seats(struct rwlock *rwlock)
{
    uint32_t seats = SEATS_FIRST, count;
    struct seats **place = &rwlock->seats;
    while (seats < (uint32_t)atomic_load(&spin_cpus) && seats < SEATS_FIRST_MOST)
        seats *= 2;
    for (struct seats *block; (block = ready(place, &count)); place = more_of(block))
        seats = count * 2;
    return seats_make(place, seats) != NULL;
}

/* Gives the latch back, which is the pending word: as a dead one's as long as there is something to mend. */
static void let_go(struct thread *self, struct rwlock *rwlock)
{
    if (atomic_load_explicit(&rwlock->writing, memory_order_relaxed))
        latch_abandon(self, &rwlock->writer);
    else
        latch_drop(self, &rwlock->writer);
}

/* Why this thread may not acquire it: -errno with a sentence; or 0. */
static int refuse(const struct thread *self, struct rwlock *rwlock)
{
    char text[NOUN_TEXT];
    if (!noun_held(self, &rwlock->writer) && !seat_held(self, rwlock))
        return noun_may_hold(self);
    return error_set(EDEADLK, "%s is held by this thread already", noun_describe(&rwlock_kind, rwlock, text));
}

/* The pid of who writes, or 0. One that still waits for readers to leave does not, unless it is to mend. */
static int writer_of(struct rwlock *rwlock)
{
    uint32_t word = atomic_load(&rwlock->writer.word);
    bool writes = word & FUTEX_TID_MASK && !(word & PASSING) && atomic_load(&rwlock->writing);
    return writes ? thread_holder(&rwlock->writer) : 0;
}

static int timed_out(struct rwlock *rwlock, int timeout_ms)
{
    char text[NOUN_TEXT];
    int writer = writer_of(rwlock);
    noun_describe(&rwlock_kind, rwlock, text);
    if (writer > 0)
        return error_set(ETIMEDOUT, "%s is held by process %d still, which writes, after %d ms", text, writer,
                         timeout_ms);
    return error_set(ETIMEDOUT, "%s is held by %d readers still, or somebody is before us, after %d ms", text,
                     count_readers(rwlock), timeout_ms);
}

/* Waits until all who read have left; the latch is held, so that none comes. 0, or -ETIMEDOUT. */
static int await_readers(struct thread *self, struct rwlock *rwlock, int64_t deadline)
{
    uint32_t count;
    struct seats *const *place = &rwlock->seats;
    for (struct seats *block; (block = ready(place, &count)); place = more_of(block)) {
        for (uint32_t i = 0; i < count; i++) {
            struct robust_word *seat = &block->seat[i].word;
            /* The latch, then the seats: pairs with the exchange in seat_take. */
            if (!(atomic_load(&seat->word) & ~(uint32_t)FUTEX_WAITERS))
                continue;
            int left = latch_take(self, seat, deadline);
            if (left < 0)
                return left;
            if (left == LATCH_INHERITED)
                noun_settle(self, seat);
            latch_drop(self, seat);
        }
    }
    return 0;
}

/* From the latch, just taken and the pending word, to a writer's place: alone. */
static int become_writer(struct thread *self, struct rwlock *rwlock, int taken, int64_t deadline)
{
    char text[NOUN_TEXT];
    spin_publish(&rwlock->writer.cpu);
    noun_hold(self, &rwlock->writer);
    if (taken == LATCH_INHERITED)
        heap_settle();
    if (await_readers(self, rwlock, deadline) < 0) {
        noun_unhold(self, &rwlock->writer);
        let_go(self, rwlock);
        return -ETIMEDOUT;
    }
    bool unmended = atomic_load_explicit(&rwlock->writing, memory_order_relaxed);
    atomic_store_explicit(&rwlock->writing, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (!unmended)
        return 0;
    error_tell("%s comes from a writer that died, or abandoned it: what it guards may be half written",
               noun_describe(&rwlock_kind, rwlock, text));
    return BROOD_INHERITED;
}

/* The latch, for a reader. One that only tries is not to be kept out by others that make seats, or sit down: it waits
 * for them, but not for one that is stopped there. 0, LATCH_INHERITED or -ETIMEDOUT. */
static int pass(struct thread *self, struct rwlock *rwlock, int64_t deadline)
{
    int taken = latch_take_noting(self, &rwlock->writer, PASSING, deadline);
    int64_t end = taken < 0 && deadline == LATCH_TRY ? clock_now() + PASSAGES_NS : 0;
    while (taken < 0 && deadline == LATCH_TRY && is_open(rwlock) && clock_now() < end)
        taken = latch_take_noting(self, &rwlock->writer, PASSING, clock_now() + PASSAGE_NS);
    return taken;
}

/* A reader that found a writer, or no seat. As the ways below: -ETIMEDOUT comes without a sentence. */
static int read_slowly(struct thread *self, void *context, int64_t deadline)
{
    char text[NOUN_TEXT];
    struct rwlock *rwlock = context;
    struct robust_word *seat;
    bool died = false;
    int taken = pass(self, rwlock, deadline);
    if (taken < 0)
        return taken;
    if (atomic_load_explicit(&rwlock->writing, memory_order_relaxed))
        return become_writer(self, rwlock, taken, deadline);
    latch_hold(self, &rwlock->writer);
    if (taken == LATCH_INHERITED)
        heap_settle();
    while (!(seat = seat_take(self, rwlock, &died)) && add_seats(rwlock))
        continue; /* others may sit down on what we add */
    if (seat)
        noun_hold(self, seat);
    if (died)
        heap_settle();
    latch_unhold(self, &rwlock->writer);
    latch_drop(self, &rwlock->writer);
    return seat ? 0 : error_set(ENOMEM, "no memory for readers of %s", noun_describe(&rwlock_kind, rwlock, text));
}

int brood_rwlock_init(brood_rwlock *memory, const brood_name_options *options)
{
    size_t reserved = options ? sizeof options->reserved / sizeof(void *) : 0;
    if (options && error_reserved("brood_rwlock_init", options->reserved, reserved) < 0)
        return -EINVAL;
    return noun_begin(&rwlock_kind, memory, options ? options->name : NULL, "brood_rwlock_init");
}

/* Nobody uses it any more. The last block first: killed in here, we leave one that works. */
static void free_seats(struct rwlock *rwlock)
{
    while (rwlock->seats) {
        struct seats **place = &rwlock->seats;
        while (*more_of(*place))
            place = more_of(*place);
        heap_give(*place, (void **)place);
    }
}

int brood_rwlock_fini(brood_rwlock *memory)
{
    char text[NOUN_TEXT];
    if (!memory)
        return 0;
    if (region_enter() < 0)
        return -EINVAL;
    if (noun_is_unused(memory))
        return 0;
    struct rwlock *rwlock = noun_in(&rwlock_kind, memory);
    if (!rwlock)
        return noun_refuse(&rwlock_kind, memory, "brood_rwlock_fini");
    struct thread *self = thread_self();
    bool writes = noun_held(self, &rwlock->writer);
    if (writes || latch_take_noting(self, &rwlock->writer, PASSING, LATCH_TRY) < 0)
        return error_set(EBUSY, "brood_rwlock_fini: %s is held by process %d",
                         noun_describe(&rwlock_kind, rwlock, text), (int)atomic_load(&rwlock->writer.owner));
    int readers = count_readers(rwlock);
    if (readers == 0)
        noun_settle(self, &rwlock->writer); /* writer or readers may have died in there */
    let_go(self, rwlock);
    if (readers > 0)
        return error_set(EBUSY, "brood_rwlock_fini: %s is held by %d readers",
                         noun_describe(&rwlock_kind, rwlock, text), readers);
    free_seats(rwlock);
    noun_end(rwlock);
    return 0;
}

static int write_slowly(struct thread *self, void *context, int64_t deadline)
{
    struct rwlock *rwlock = context;
    int taken = latch_take(self, &rwlock->writer, deadline);
    return taken < 0 ? taken : become_writer(self, rwlock, taken, deadline);
}

/* In one of these two ways, seen by others while it lasts. */
static int wait_for(struct thread *self, struct rwlock *rwlock, waiter_way *way, int64_t deadline, int timeout_ms)
{
    int result = way(self, rwlock, deadline == LATCH_TRY ? LATCH_TRY : LATCH_GLANCE);
    if (result == -ETIMEDOUT && deadline != LATCH_TRY)
        result = waiter_wait(self, rwlock, deadline, way, rwlock);
    return result == -ETIMEDOUT ? timed_out(rwlock, timeout_ms) : result;
}

int brood_rwlock_acquire_read(brood_rwlock *memory, int timeout_ms)
{
    int64_t deadline;
    struct rwlock *rwlock = noun_in(&rwlock_kind, memory);
    if (!rwlock)
        return noun_refuse(&rwlock_kind, memory, "brood_rwlock_acquire_read");
    if (noun_deadline("brood_rwlock_acquire_read", timeout_ms, &deadline) < 0)
        return -EINVAL;
    struct thread *self = thread_self();
    int refused = self->held ? refuse(self, rwlock) : 0;
    if (refused < 0)
        return refused;
    bool died = false;
    struct robust_word *seat = is_open(rwlock) ? seat_take(self, rwlock, &died) : NULL;
    if (!seat)
        return wait_for(self, rwlock, read_slowly, deadline, timeout_ms);
    noun_hold(self, seat);
    if (died)
        heap_settle();
    if (is_open(rwlock))
        return 0;
    noun_unhold(self, seat);
    latch_drop(self, seat);
    return wait_for(self, rwlock, read_slowly, deadline, timeout_ms);
}

int brood_rwlock_acquire_write(brood_rwlock *memory, int timeout_ms)
{
    int64_t deadline;
    struct rwlock *rwlock = noun_in(&rwlock_kind, memory);
    if (!rwlock)
        return noun_refuse(&rwlock_kind, memory, "brood_rwlock_acquire_write");
    if (noun_deadline("brood_rwlock_acquire_write", timeout_ms, &deadline) < 0)
        return -EINVAL;
    struct thread *self = thread_self();
    int refused = self->held ? refuse(self, rwlock) : 0;
    if (refused < 0)
        return refused;
    return wait_for(self, rwlock, write_slowly, deadline, timeout_ms);
}

/* Why this thread does not hold it (`how`): -errno, with a sentence. */
static int not_held(brood_rwlock *memory, const char *call, const char *how)
{
    char text[NOUN_TEXT];
    if (region_enter() < 0)
        return -EINVAL;
    if (!noun_is_unused(memory) && !noun_in(&rwlock_kind, memory))
        return noun_refuse(&rwlock_kind, memory, call);
    return error_set(EPERM, "%s: %s is not held by this thread%s", call, noun_describe(&rwlock_kind, memory, text),
                     how);
}

/* One that is in use, or NULL. */
static inline struct rwlock *used_in(brood_rwlock *memory)
{
    struct rwlock *rwlock = (struct rwlock *)(void *)memory;
    bool known =
        noun_fits(memory) && atomic_load_explicit(&rwlock->writer.mark, memory_order_relaxed) == rwlock_kind.mark;
    return known ? rwlock : NULL;
}

int brood_rwlock_release(brood_rwlock *memory)
{
    struct rwlock *rwlock = used_in(memory);
    if (!rwlock)
        return not_held(memory, "brood_rwlock_release", "");
    struct thread *self = thread_self();
    struct robust_word *seat = seat_held(self, rwlock);
    if (seat) {
        noun_unhold(self, seat);
        latch_drop(self, seat);
        return 0;
    }
    if (!noun_held(self, &rwlock->writer))
        return not_held(memory, "brood_rwlock_release", "");
    /* Release: a reader, which need not take the latch, may see it before the latch's. Killed between the two, we have
     * released it. */
    atomic_store_explicit(&rwlock->writing, 0, memory_order_release);
    noun_unhold(self, &rwlock->writer);
    let_go(self, rwlock);
    return 0;
}

int brood_rwlock_abandon(brood_rwlock *memory)
{
    struct rwlock *rwlock = used_in(memory);
    struct thread *self = rwlock ? thread_self() : NULL;
    if (!rwlock || !noun_held(self, &rwlock->writer))
        return not_held(memory, "brood_rwlock_abandon", " to write");
    noun_unhold(self, &rwlock->writer);
    let_go(self, rwlock);
    return 0;
}

int brood_rwlock_holder(brood_rwlock *memory)
{
    if (noun_is_unused(memory))
        return 0;
    struct rwlock *rwlock = noun_in(&rwlock_kind, memory);
    return rwlock ? writer_of(rwlock) : noun_refuse(&rwlock_kind, memory, "brood_rwlock_holder");
}

int brood_rwlock_readers(brood_rwlock *memory)
{
    if (noun_is_unused(memory))
        return 0;
    struct rwlock *rwlock = noun_in(&rwlock_kind, memory);
    return rwlock ? count_readers(rwlock) : noun_refuse(&rwlock_kind, memory, "brood_rwlock_readers");
}
