/* sync/condition.c: brood/condition.h: a crowd (wait/crowd.h) whose tally says how many wait, and how many of them are
 * notified.
 *
 * A notify of all who wait turns the crowd's number on and counts anew from 0: those who came before see another number
 * than theirs, and nothing can take that from them. A notify of fewer adds tokens, which any of those who wait may
 * take: whoever comes while there are tokens, and so has no right to one, turns the number on first, for all who
 * waited. So all who are counted are equal, and any of them can be woken for any token.
 *
 * A token is taken with the lock in hand, as the last step: before it the notify is everyone's, after it the call is as
 * good as returned. In between, its taker waits for the lock, whose word the kernel must see pending, and so cannot be
 * the one whose death wakes another for the token. Therefore it carries the baton meanwhile, a robust word in its list.
 * All others sleep on the baton too: a dead carrier's is marked by the kernel, which wakes one of them.
 *
 * Invariant: while there is a token, (a) somebody alive carries the baton, who looks for tokens again after he has
 * dropped it; or (b) one who waits is awake and has yet to look, with a pending word whose death wakes another; or (c)
 * a wake of one is on its way, owed by someone to whom the same applies; or (d) nobody who waits is alive.
 */
#include "error/error.h"
#include "sync/lock.h"
#include "sync/noun.h"
#include "sync/waiter.h"
#include "wait/crowd.h"

#include <brood/condition.h>
#include <brood/waiter.h>
#include <errno.h>

/* What lies in a brood_condition. baton: 0, or its carrier's thread id with FUTEX_WAITERS, since all others sleep on
 * it; taken by CAS, dropped by its carrier, marked by the kernel at his death. crowd.tally: how many are notified, 16
 * bits, and how many wait, 16 bits; changed by whoever comes, leaves or notifies, by CAS of the whole state. The dead
 * are counted among those who wait until the number is turned on: there are never fewer than it says. */
struct condition {
    struct robust_word baton;
    char *name;
    struct crowd crowd;
};

_Static_assert(sizeof(struct condition) == sizeof(brood_condition) && sizeof(brood_condition) == NOUN_SIZE, "64 bytes");

#define WAITERS_MOST UINT16_MAX
#define ONE_WAITER ((uint64_t)1 << 32)
#define ONE_TOKEN ((uint64_t)1 << 48)

enum { FINI_LOOKS = 10 };
#define FINI_NAP 1000000 /* ns */

const struct noun_kind condition_kind = { "condition", "a", 0x646e6f63u /* "cond" */, false, 0 };

static uint32_t waiters_in(uint64_t state)
{
    return (uint32_t)(state >> 32) & WAITERS_MOST;
}

static uint32_t tokens_in(uint64_t state)
{
    return (uint32_t)(state >> 48);
}

/* The next number, for which nobody is notified. */
static uint64_t turned(uint64_t state, uint32_t waiters)
{
    return (uint64_t)waiters << 32 | (uint32_t)(crowd_number(state) + 1);
}

int brood_condition_init(brood_condition *memory, const brood_name_options *options)
{
    size_t reserved = options ? sizeof options->reserved / sizeof(void *) : 0;
    if (options && error_reserved("brood_condition_init", options->reserved, reserved) < 0)
        return -EINVAL;
    return noun_begin(&condition_kind, memory, options ? options->name : NULL, "brood_condition_init");
}

static bool is_carried(struct condition *condition)
{
    return atomic_load(&condition->baton.word) & FUTEX_TID_MASK;
}

/* Whether somebody waits, or is about to: one who is counted, sleeps nowhere, does not leave, and has not said that he
 * waits, is dead. */
static bool is_waited_for(struct thread *self, struct condition *condition)
{
    bool asleep = false;
    _Atomic uint32_t nothing = 0;
    thread_expects(self, &condition->crowd.gate);
    for (int look = 0; look < FINI_LOOKS && !asleep; look++) {
        bool carried = is_carried(condition);
        if (!carried && waiters_in(atomic_load(&condition->crowd.state)) == 0)
            break;
        brood_waiter one;
        asleep = carried || brood_waiter_list(condition, &one, 1) > 0 || futex_wake(&condition->crowd.gate, 1) > 0;
        if (!asleep)
            futex_sleep(&nothing, 0, clock_now() + FINI_NAP);
    }
    thread_expects(self, NULL);
    return asleep;
}

int brood_condition_fini(brood_condition *memory)
{
    char text[NOUN_TEXT];
    if (!memory)
        return 0;
    if (region_enter() < 0)
        return -EINVAL;
    if (noun_is_unused(memory))
        return 0;
    struct condition *condition = noun_in(&condition_kind, memory);
    if (!condition)
        return noun_refuse(&condition_kind, memory, "brood_condition_fini");
    if (is_waited_for(thread_self(), condition))
        return error_set(EBUSY, "brood_condition_fini: %s is waited for",
                         noun_describe(&condition_kind, condition, text));
    noun_end(condition);
    return 0;
}

/* Counts this thread among those who wait: for which number. With the lock in hand: whoever changes something after it
 * was given back finds it counted. */
static uint32_t come(struct thread *self, struct condition *condition)
{
    struct crowd *crowd = &condition->crowd;
    uint64_t state = atomic_load(&crowd->state), come;
    thread_expects(self, &crowd->gate);
    do {
        bool closed = tokens_in(state) || waiters_in(state) == WAITERS_MOST;
        come = closed ? turned(state, 1) : state + ONE_WAITER;
    } while (!atomic_compare_exchange_weak(&crowd->state, &state, come));
    if (crowd_number(come) != crowd_number(state))
        crowd_ring(crowd, crowd_number(come));
    return crowd_number(come);
}

/* Counts it out, with the lock in hand; a token goes with it, if there is one. Whether it was notified. */
static bool leave(struct condition *condition, uint32_t mine)
{
    struct crowd *crowd = &condition->crowd;
    uint64_t state = atomic_load(&crowd->state), left;
    do {
        if (crowd_number(state) != mine)
            return true; /* with all who came before; it is not counted any more */
        if (waiters_in(state) == 0)
            return false; /* the condition was ended meanwhile */
        left = state - ONE_WAITER - (tokens_in(state) ? ONE_TOKEN : 0);
    } while (!atomic_compare_exchange_weak(&crowd->state, &state, left));
    return tokens_in(state) > 0;
}

/* The baton, if it is still as it was seen. Killed before the CAS: the kernel wakes one who sleeps on it. */
static bool take_baton(struct thread *self, struct condition *condition, uint32_t seen)
{
    thread_expects(self, &condition->baton.word);
    if (!atomic_compare_exchange_strong(&condition->baton.word, &seen, self->id | FUTEX_WAITERS)) {
        thread_expects(self, &condition->crowd.gate);
        return false;
    }
    noun_hold(self, &condition->baton);
    return true;
}

/* Nobody need know, unless there are tokens. They were the carrier's to look after until now, also those that came
 * after it had taken its own: whoever was woken for one and saw the baton carried went to sleep again. */
static void drop_baton(struct thread *self, struct condition *condition)
{
    noun_unhold(self, &condition->baton);
    atomic_store(&condition->baton.word, 0);
    if (tokens_in(atomic_load(&condition->crowd.state)))
        crowd_nudge(&condition->crowd);
    thread_expects(self, NULL);
}

/* Until there is a reason to take the lock again. True: it is a token, and this thread carries the baton. */
static bool await(struct thread *self, struct condition *condition, uint32_t mine, int64_t deadline)
{
    struct crowd *crowd = &condition->crowd;
    bool in_time = true;
    thread_expects(self, &crowd->gate);
    for (;;) {
        uint64_t state = atomic_load(&crowd->state);
        uint32_t baton = atomic_load(&condition->baton.word);
        bool over = crowd_number(state) != mine;
        bool open = tokens_in(state) && !(baton & FUTEX_TID_MASK);
        if (open && !over) {
            if (take_baton(self, condition, baton))
                return true;
            continue;
        }
        if (over || !in_time) {
            if (open)
                crowd_nudge(crowd); /* we may have been woken for a token that is not ours */
            thread_expects(self, NULL);
            return false;
        }
        struct futex_watch watch = { &condition->baton.word, baton };
        if (crowd_sleep(crowd, state, &watch, 1, deadline) == -ETIMEDOUT)
            in_time = false;
        if (baton & FUTEX_TID_MASK && !atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed))
            latch_mark_if_gone(&condition->baton, baton);
    }
}

/* One who waits since that number was up. */
struct stay {
    struct condition *condition;
    uint32_t mine;
    bool carries;
};

/* 0, or -ETIMEDOUT: there was no reason; then it may be called again. */
static int stay_on(struct thread *self, void *context, int64_t deadline)
{
    struct stay *stay = context;
    stay->carries = await(self, stay->condition, stay->mine, deadline);
    bool over = crowd_number(atomic_load(&stay->condition->crowd.state)) != stay->mine;
    return stay->carries || over ? 0 : -ETIMEDOUT;
}

/* 0, BROOD_INHERITED or -ETIMEDOUT, the last without a sentence. */
static int wait(struct thread *self, struct condition *condition, struct lock *lock, int64_t deadline)
{
    waiter_begin(self, condition); /* before it is counted: it may not get far for a while */
    struct stay stay = { condition, come(self, condition), false };
    uint32_t depth = lock_give_whole(self, lock);
    waiter_wait(self, condition, deadline, stay_on, &stay);
    int taken = lock_take_again(self, lock, depth);
    bool notified = leave(condition, stay.mine);
    if (stay.carries)
        drop_baton(self, condition);
    if (taken != 0)
        return taken;
    return notified || stay.carries ? 0 : -ETIMEDOUT;
}

static int late(const struct condition *condition, int timeout_ms)
{
    char text[NOUN_TEXT];
    return error_set(ETIMEDOUT, "%s was not notified within %d ms; the lock is held again",
                     noun_describe(&condition_kind, condition, text), timeout_ms);
}

int brood_condition_wait(brood_condition *memory, brood_lock *lock_memory, int timeout_ms)
{
    struct thread *self;
    int64_t deadline;
    struct lock *lock = lock_held(lock_memory, &self);
    if (!lock)
        return lock_refuse(lock_memory, "brood_condition_wait");
    if (noun_deadline("brood_condition_wait", timeout_ms, &deadline) < 0)
        return -EINVAL;
    struct condition *condition = noun_in(&condition_kind, memory);
    if (!condition)
        return noun_refuse(&condition_kind, memory, "brood_condition_wait");
    int result = wait(self, condition, lock, deadline);
    return result < 0 ? late(condition, timeout_ms) : result;
}

int brood_condition_wait_until(brood_condition *memory, brood_lock *lock_memory, bool (*holds)(void *arg), void *arg,
                               int timeout_ms)
{
    struct thread *self;
    int64_t deadline;
    struct lock *lock = lock_held(lock_memory, &self);
    if (!lock)
        return lock_refuse(lock_memory, "brood_condition_wait_until");
    if (!holds)
        return error_set(EINVAL, "brood_condition_wait_until: the function to ask is NULL");
    if (noun_deadline("brood_condition_wait_until", timeout_ms, &deadline) < 0)
        return -EINVAL;
    struct condition *condition = noun_in(&condition_kind, memory);
    if (!condition)
        return noun_refuse(&condition_kind, memory, "brood_condition_wait_until");
    int result = 0;
    while (!holds(arg)) {
        if (result < 0)
            return late(condition, timeout_ms);
        result = wait(self, condition, lock, deadline);
        if (result == BROOD_INHERITED)
            return result;
    }
    return 0;
}

int brood_condition_notify(brood_condition *memory, int count)
{
    if (count < 0)
        return error_set(EINVAL, "brood_condition_notify: a count of %d", count);
    if (noun_is_unused(memory))
        return 0;
    struct condition *condition = noun_in(&condition_kind, memory);
    if (!condition)
        return noun_refuse(&condition_kind, memory, "brood_condition_notify");
    struct crowd *crowd = &condition->crowd;
    uint64_t state = atomic_load(&crowd->state), notified;
    if (waiters_in(state) == 0 || count == 0)
        return 0;
    struct thread *self = thread_self();
    thread_expects(self, &crowd->gate);
    do {
        if (waiters_in(state) == 0)
            break;
        bool all = (uint32_t)count >= waiters_in(state) - tokens_in(state);
        notified = all ? turned(state, 0) : state + (uint64_t)count * ONE_TOKEN;
    } while (!atomic_compare_exchange_weak(&crowd->state, &state, notified));
    if (waiters_in(state) > 0 && crowd_number(notified) != crowd_number(state))
        crowd_ring(crowd, crowd_number(notified));
    else if (waiters_in(state) > 0 && tokens_in(state) == 0)
        crowd_nudge(crowd); /* where there were tokens before, somebody looks after all of them */
    thread_expects(self, NULL);
    return 0;
}
