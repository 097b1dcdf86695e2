/* sync/barrier.c: brood/barrier.h: a crowd (wait/crowd.h) whose number is the round, and a seat for each of its
 * parties.
 *
 * A party first takes a seat: a robust word, which the kernel marks if it dies. It notes in the seat which round it is
 * about to join, and joins by one CAS of the crowd's state. The same CAS by the last to come ends the round: the number
 * is turned on, and the state says that the last round to end well was this one. Timeout, abort, reset and a death end
 * a round by one CAS too, which says that it is broken. So how many have joined, in which round, and how it ended, is
 * one word, and a kill between two steps is a kill between two rounds or in one.
 *
 * A seat that is marked and has the present round in it is a party that died waiting: whoever sees it breaks the round.
 * All who wait sleep on all seats, which are taken with FUTEX_WAITERS set, so the kernel's mark wakes one of them. If
 * that one dies too the kernel wakes another by the gate, its pending word, and the seat is still marked. A seat is not
 * taken over from a dead party before its round has ended.
 *
 * There are as many seats as parties, and a party keeps its own until it leaves: so no round is completed while someone
 * of an earlier one has not left, and "the last that ended well" tells everyone how his own has ended.
 */
#include "error/error.h"
#include "os/clock.h"
#include "sync/seat.h"
#include "sync/waiter.h"
#include "wait/crowd.h"

#include <brood/barrier.h>
#include <errno.h>

/* What lies in a brood_barrier, in the places of struct noun. casualty: a round + 1 and the pid of a party that died in
 * it; by CAS of whoever finds it so, before the round is broken for it, only ever of a later round. wanting: how many
 * look for a seat; by themselves, so a dead one may still be counted: it costs those who leave a wake. parties, seats:
 * init's, parties last; constant from then on. crowd.tally: how many have joined the present round, 13 bits; whether
 * the barrier is broken, 2; and the low 17 of the round that last ended well, or another's. */
struct barrier {
    _Atomic uint64_t casualty;
    _Atomic uint32_t parties;
    uint32_t mark;
    _Atomic uint32_t wanting;
    uint32_t room;
    _Alignas(8) struct seats *seats;
    _Alignas(8) uint64_t more_room;
    _Alignas(8) char *name;
    struct crowd crowd;
};

_Static_assert(sizeof(struct barrier) == sizeof(brood_barrier) && sizeof(brood_barrier) == NOUN_SIZE, "64 bytes");
_Static_assert(offsetof(struct barrier, mark) == offsetof(struct noun, word.mark), "as in struct noun");
_Static_assert(offsetof(struct barrier, name) == offsetof(struct noun, name), "as in struct noun");

#define PARTIES_MOST 4096
#define ONE_JOINED ((uint64_t)1 << 32)
#define JOINED_MASK ((uint64_t)0x1fff << 32)
#define WELL_SHIFT 47
#define WELL_MASK 0x1ffffu

enum broken { WHOLE, BY_DEATH, BY_WILL };

const struct noun_kind barrier_kind = { "barrier", "a", 0x72726162u /* "barr" */, false, 0 };

/* The round + 1 that the seat's party is about to join, has joined, or has seen the end of; 0 when it has gone. Written
 * by the party alone. */
static uint64_t seat_round(const struct seat *seat)
{
    return __atomic_load_n(&seat->own[0], __ATOMIC_SEQ_CST);
}

static void seat_note(struct seat *seat, uint64_t round)
{
    __atomic_store_n(&seat->own[0], round, __ATOMIC_SEQ_CST);
}

static uint64_t round_note(uint64_t state)
{
    return (uint64_t)crowd_number(state) + 1;
}

static uint32_t joined_in(uint64_t state)
{
    return (uint32_t)((state & JOINED_MASK) >> 32);
}

static enum broken broken_in(uint64_t state)
{
    return (enum broken)(state >> 45 & 3);
}

static uint32_t well_in(uint64_t state)
{
    return (uint32_t)(state >> WELL_SHIFT);
}

static uint64_t next_round(uint64_t state, enum broken broken, uint32_t well)
{
    return (uint64_t)(well & WELL_MASK) << WELL_SHIFT | (uint64_t)broken << 45 | (uint32_t)(crowd_number(state) + 1);
}

/* The round has ended well. */
static uint64_t completed(uint64_t state)
{
    return next_round(state, WHOLE, crowd_number(state));
}

/* It has not: should the last that did have the same low bits, it is any other now. */
static uint64_t ended(uint64_t state, enum broken broken)
{
    uint32_t round = crowd_number(state) & WELL_MASK, well = well_in(state);
    return next_round(state, broken, well == round ? round + WELL_MASK / 2 : well);
}

static struct barrier *barrier_in(void *memory)
{
    struct noun *noun = memory;
    struct barrier *barrier = memory;
    bool is = noun_fits(memory) && atomic_load(&noun->word.mark) == barrier_kind.mark && atomic_load(&barrier->parties);
    return is ? barrier : NULL;
}

static int refuse(const void *memory, const char *call)
{
    const struct noun *noun = memory;
    if (region_enter() < 0)
        return -EINVAL;
    if (noun_is_unused(memory) || (noun_fits(memory) && atomic_load(&noun->word.mark) == barrier_kind.mark))
        return error_set(EINVAL, "%s: the barrier at %p needs brood_barrier_init", call, memory);
    return noun_refuse(&barrier_kind, memory, call);
}

int brood_barrier_init(brood_barrier *memory, int parties, const brood_name_options *options)
{
    size_t reserved = options ? sizeof options->reserved / sizeof(void *) : 0;
    if (options && error_reserved("brood_barrier_init", options->reserved, reserved) < 0)
        return -EINVAL;
    if (region_enter() < 0)
        return -EINVAL;
    if (parties < 1 || parties > PARTIES_MOST)
        return error_set(EINVAL, "brood_barrier_init: %d parties, not 1 to %d", parties, PARTIES_MOST);
    int failed = noun_begin(&barrier_kind, memory, options ? options->name : NULL, "brood_barrier_init");
    if (failed < 0)
        return failed;
    struct barrier *barrier = (struct barrier *)(void *)memory;
    if (!seats_make(&barrier->seats, (uint32_t)parties)) {
        noun_end(barrier);
        return error_set(ENOMEM, "brood_barrier_init: no memory in the region for %d parties", parties);
    }
    /* None has ended well: not the first round either. */
    atomic_store(&barrier->crowd.state, (uint64_t)WELL_MASK << WELL_SHIFT);
    atomic_store(&barrier->parties, (uint32_t)parties);
    return 0;
}

static bool is_sat_at(const struct barrier *barrier)
{
    for (uint32_t i = 0; i < atomic_load(&barrier->parties); i++)
        if (atomic_load(&barrier->seats->seat[i].word.word) & FUTEX_TID_MASK)
            return true;
    return false;
}

int brood_barrier_fini(brood_barrier *memory)
{
    char text[NOUN_TEXT];
    if (!memory)
        return 0;
    if (region_enter() < 0)
        return -EINVAL;
    struct barrier *barrier = (struct barrier *)(void *)memory;
    struct noun *noun = (struct noun *)(void *)memory;
    if (noun_is_unused(memory))
        return 0;
    if (!noun_fits(memory) || atomic_load(&noun->word.mark) != barrier_kind.mark)
        return noun_refuse(&barrier_kind, memory, "brood_barrier_fini");
    if (is_sat_at(barrier))
        return error_set(EBUSY, "brood_barrier_fini: %s is waited at", noun_describe(&barrier_kind, barrier, text));
    atomic_store(&barrier->parties, 0);
    if (barrier->seats)
        heap_give(barrier->seats, (void **)&barrier->seats);
    noun_end(barrier);
    return 0;
}

/* Ends the round that `state` is in, if it is in it still. The gate is pending. */
static bool end_round(struct barrier *barrier, uint64_t state, enum broken broken)
{
    if (!atomic_compare_exchange_strong(&barrier->crowd.state, &state, ended(state, broken)))
        return false;
    crowd_ring(&barrier->crowd, crowd_number(state) + 1);
    return true;
}

/* Remembers who died in the round, and breaks it for that. */
static void end_by_death(struct barrier *barrier, uint64_t state, const struct seat *dead)
{
    uint32_t round = crowd_number(state) + 1;
    uint64_t casualty = (uint64_t)round << 32 | (uint32_t)atomic_load(&dead->word.owner);
    uint64_t before = atomic_load(&barrier->casualty);
    while ((before == 0 || (int32_t)(round - (uint32_t)(before >> 32)) > 0) &&
           !atomic_compare_exchange_weak(&barrier->casualty, &before, casualty))
        continue;
    end_round(barrier, state, BY_DEATH);
}

/* A seat of one who died waiting in the round that `state` is in, or NULL. And what all seats hold, for a sleep. */
static struct seat *look_round(struct barrier *barrier, uint64_t state, struct futex_watch *watch)
{
    bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
    struct seat *dead = NULL;
    for (uint32_t i = 0; i < atomic_load_explicit(&barrier->parties, memory_order_relaxed); i++) {
        struct seat *seat = &barrier->seats->seat[i];
        uint32_t word = atomic_load(&seat->word.word);
        if (!told && word & FUTEX_TID_MASK) {
            latch_mark_if_gone(&seat->word, word);
            word = atomic_load(&seat->word.word);
        }
        if (word & FUTEX_OWNER_DIED && !(word & FUTEX_TID_MASK) && seat_round(seat) == round_note(state))
            dead = seat;
        if (i < CROWD_EXTRA_MOST)
            watch[i] = (struct futex_watch){ &seat->word.word, word };
    }
    return dead;
}

/* One sleep, until the deadline: whether it has not come yet. `naps`: it may miss something. */
static bool sleep_on(struct barrier *barrier, uint64_t state, const struct futex_watch *watch, bool naps,
                     int64_t deadline)
{
    uint32_t parties = atomic_load_explicit(&barrier->parties, memory_order_relaxed);
    bool all = parties <= CROWD_EXTRA_MOST;
    int64_t nap = all && !naps ? deadline : clock_now() + THREAD_NAP;
    unsigned count = all ? parties : CROWD_EXTRA_MOST;
    crowd_sleep(&barrier->crowd, state, watch, count, nap < deadline ? nap : deadline);
    return deadline == CLOCK_NEVER || clock_now() < deadline;
}

/* A seat, to be kept, or NULL: none is free. The gate is pending again afterwards. */
static struct seat *take_seat(struct thread *self, struct barrier *barrier)
{
    uint32_t parties = atomic_load_explicit(&barrier->parties, memory_order_relaxed);
    struct seat *found = NULL;
    for (uint32_t i = 0; i < parties && !found; i++) {
        struct seat *seat = &barrier->seats->seat[(self->id + i) % parties];
        uint64_t cell = robust_cell(&seat->word);
        uint32_t word = (uint32_t)cell;
        if (word & FUTEX_TID_MASK)
            continue;
        /* In this order: who was dead when we saw the word has noted his last round by then. */
        uint64_t round = seat_round(seat);
        if (word & FUTEX_OWNER_DIED && round == round_note(atomic_load(&barrier->crowd.state)))
            continue;
        thread_expects(self, &seat->word.word);
        /* The version with it: else another may have sat and died there since we looked. */
        uint64_t mine = ((cell >> 32) + 1) << 32 | self->id | FUTEX_WAITERS;
        if (!robust_swap(&seat->word, &cell, mine))
            continue;
        noun_hold(self, &seat->word);
        found = seat;
    }
    thread_expects(self, &barrier->crowd.gate);
    return found;
}

/* Nobody sleeps for it but those who look for a seat. */
static void leave_seat(struct thread *self, struct barrier *barrier, struct seat *seat)
{
    seat_note(seat, 0);
    noun_unhold(self, &seat->word);
    atomic_store(&seat->word.word, 0);
    if (atomic_load(&barrier->wanting))
        futex_wake(&barrier->crowd.gate, FUTEX_EVERYONE);
    thread_expects(self, NULL);
}

/* Until there is a seat for this thread: those who leave, of an earlier round, are slow. False: time is over. */
static bool find_seat(struct thread *self, struct barrier *barrier, struct seat **seat, int64_t deadline)
{
    struct futex_watch watch[CROWD_EXTRA_MOST];
    bool in_time = deadline != LATCH_TRY;
    *seat = take_seat(self, barrier);
    if (*seat || !in_time)
        return *seat;
    atomic_fetch_add(&barrier->wanting, 1);
    for (;;) {
        uint64_t state = atomic_load(&barrier->crowd.state);
        bool dead = look_round(barrier, state, watch);
        *seat = take_seat(self, barrier);
        if (*seat || dead || broken_in(state) || !in_time)
            break;
        /* One who leaves and is killed before it wakes us may wake a party instead. */
        in_time = sleep_on(barrier, state, watch, true, deadline);
    }
    atomic_fetch_sub(&barrier->wanting, 1);
    return *seat || in_time;
}

/* The result of one whose round has ended in another way than well, or who comes to a broken barrier: and the pid of
 * the one who died for it, or 0. */
static int why_broken(struct barrier *barrier, uint32_t round, pid_t *dead)
{
    uint64_t casualty = atomic_load(&barrier->casualty);
    bool died = casualty && (uint32_t)(casualty >> 32) == round + 1;
    *dead = died ? (pid_t)(uint32_t)casualty : 0;
    return died ? -EOWNERDEAD : -EPIPE;
}

/* Joins a round: 0, and which; BROOD_CHOSEN: it is complete; or why not. */
static int join(struct thread *self, struct barrier *barrier, struct seat **seat, int64_t deadline, uint64_t *joined,
                pid_t *dead)
{
    struct futex_watch watch[CROWD_EXTRA_MOST];
    uint32_t parties = atomic_load_explicit(&barrier->parties, memory_order_relaxed);
    for (;;) {
        uint64_t state = atomic_load(&barrier->crowd.state);
        const struct seat *lost = look_round(barrier, state, watch);
        bool last = joined_in(state) + 1 == parties;
        if (broken_in(state) == BY_WILL)
            return -EPIPE;
        if (broken_in(state) == BY_DEATH) {
            *dead = (pid_t)(uint32_t)atomic_load(&barrier->casualty);
            return -EOWNERDEAD;
        }
        if (lost) {
            end_by_death(barrier, state, lost);
            continue;
        }
        if (!last && deadline == LATCH_TRY)
            return -ETIMEDOUT;
        if (!*seat) {
            if (!find_seat(self, barrier, seat, deadline) &&
                (deadline == LATCH_TRY || end_round(barrier, state, BY_WILL)))
                return -ETIMEDOUT;
            continue;
        }
        seat_note(*seat, round_note(state));
        *joined = last ? completed(state) : state + ONE_JOINED;
        if (!atomic_compare_exchange_strong(&barrier->crowd.state, &state, *joined))
            continue;
        if (last)
            crowd_ring(&barrier->crowd, crowd_number(*joined));
        return last ? BROOD_CHOSEN : 0;
    }
}

/* A wait, in its seat when it has found one. */
static int attend(struct thread *self, struct barrier *barrier, struct seat **seat, int64_t deadline, pid_t *dead)
{
    struct futex_watch watch[CROWD_EXTRA_MOST];
    uint64_t state = 0;
    int result = join(self, barrier, seat, deadline, &state, dead);
    if (result != 0)
        return result;
    uint32_t round = crowd_number(state);
    bool in_time = true;
    while (crowd_number(state = atomic_load(&barrier->crowd.state)) == round) {
        const struct seat *lost = look_round(barrier, state, watch);
        if (lost)
            end_by_death(barrier, state, lost);
        else if (in_time)
            in_time = sleep_on(barrier, state, watch, false, deadline);
        else if (end_round(barrier, state, BY_WILL))
            return -ETIMEDOUT;
    }
    return well_in(state) == (round & WELL_MASK) ? 0 : why_broken(barrier, round, dead);
}

int brood_barrier_wait(brood_barrier *memory, int timeout_ms)
{
    char text[NOUN_TEXT];
    int64_t deadline;
    struct barrier *barrier = barrier_in(memory);
    if (!barrier)
        return refuse(memory, "brood_barrier_wait");
    if (noun_deadline("brood_barrier_wait", timeout_ms, &deadline) < 0)
        return -EINVAL;
    struct thread *self = thread_self();
    if (noun_may_hold(self) < 0)
        return -ENOLCK;
    struct seat *seat = NULL;
    pid_t dead = 0;
    waiter_begin(self, barrier);
    thread_expects(self, &barrier->crowd.gate);
    int result = attend(self, barrier, &seat, deadline, &dead);
    if (seat)
        leave_seat(self, barrier, seat);
    thread_expects(self, NULL);
    waiter_end(self);
    if (result == -EOWNERDEAD) {
        heap_settle();
        return error_set(EOWNERDEAD, "%s is broken: process %d has died while it waited there",
                         noun_describe(&barrier_kind, barrier, text), (int)dead);
    }
    if (result == -EPIPE)
        return error_set(EPIPE, "%s is broken: it was aborted or reset, or a party's time was over",
                         noun_describe(&barrier_kind, barrier, text));
    if (result == -ETIMEDOUT)
        return error_set(ETIMEDOUT, "%s: not all of its %d parties have come within %d ms",
                         noun_describe(&barrier_kind, barrier, text), (int)atomic_load(&barrier->parties), timeout_ms);
    return result;
}

/* Ends the present round for abort or reset. */
static int end_by_will(brood_barrier *memory, enum broken broken, const char *call)
{
    struct barrier *barrier = barrier_in(memory);
    if (!barrier)
        return refuse(memory, call);
    struct thread *self = thread_self();
    thread_expects(self, &barrier->crowd.gate);
    for (;;) {
        uint64_t state = atomic_load(&barrier->crowd.state);
        if (broken == BY_WILL && broken_in(state))
            break;
        if (end_round(barrier, state, broken))
            break;
    }
    thread_expects(self, NULL);
    return 0;
}

int brood_barrier_abort(brood_barrier *memory)
{
    return end_by_will(memory, BY_WILL, "brood_barrier_abort");
}

int brood_barrier_reset(brood_barrier *memory)
{
    return end_by_will(memory, WHOLE, "brood_barrier_reset");
}

int brood_barrier_waiting(brood_barrier *memory)
{
    struct barrier *barrier = barrier_in(memory);
    return barrier ? (int)joined_in(atomic_load(&barrier->crowd.state)) : refuse(memory, "brood_barrier_waiting");
}
