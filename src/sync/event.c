/* sync/event.c: brood/event.h: one word, which is turned and slept on.
 *
 * A waiter sleeps while the word says "not set, somebody sleeps, in this turn", and returns when it is set or the turn
 * is another one; only a clear begins a new turn. If nobody sleeps, a set is one CAS; else one system call that sets
 * the bit and wakes all (futex_raise), which no death splits. So nobody ever owes a wake, and nothing need be named to
 * the kernel (os/thread.h): a signal handler may set an event whatever it interrupts, and who is killed, setter or
 * woken, takes nothing along, since a wake goes to all.
 */
#include "sync/event.h"
#include "error/error.h"
#include "os/futex.h"
#include "sync/noun.h"
#include "sync/waiter.h"

#include <brood/event.h>
#include <errno.h>

#define EVENT_SET 1u
#define EVENT_SLEPT 2u /* someone may sleep: set by who is about to; cleared by the clear, as nobody sleeps then */
#define EVENT_TURN 4u  /* times the number of clears */

/* What lies in a brood_event. at: its word, as above, is changed by anyone, by CAS and futex_raise; its cpu is where
 * the last setter ran, a hint. The rest of it: sync/noun.h. */
struct event {
    struct robust_word at;
    char *name;
    _Alignas(8) uint64_t room[2];
};

_Static_assert(sizeof(struct event) == sizeof(brood_event) && sizeof(brood_event) == NOUN_SIZE, "64 bytes");

const struct noun_kind event_kind = { "event", "an", 0x6e657665u /* "even" */, false, 0 };

static struct event *event_in(brood_event *memory)
{
    return noun_in(&event_kind, memory);
}

static bool is_over(uint32_t word, uint32_t turn)
{
    return word & EVENT_SET || word / EVENT_TURN != turn;
}

int brood_event_init(brood_event *memory, const brood_name_options *options)
{
    if (options && error_reserved("brood_event_init", options->reserved, sizeof options->reserved / sizeof(void *)) < 0)
        return -EINVAL;
    return noun_begin(&event_kind, memory, options ? options->name : NULL, "brood_event_init");
}

int brood_event_fini(brood_event *memory)
{
    char text[NOUN_TEXT];
    if (!memory)
        return 0;
    if (region_enter() < 0)
        return -EINVAL;
    if (noun_is_unused(memory))
        return 0;
    struct event *event = event_in(memory);
    if (!event)
        return noun_refuse(&event_kind, memory, "brood_event_fini");
    if (futex_sleepers(&event->at.word) > 0)
        return error_set(EBUSY, "brood_event_fini: %s is waited for", noun_describe(&event_kind, event, text));
    noun_end(event);
    return 0;
}

int brood_event_set(brood_event *memory)
{
    struct event *event = event_in(memory);
    if (!event)
        return noun_refuse(&event_kind, memory, "brood_event_set");
    spin_publish(&event->at.cpu);
    uint32_t word = atomic_load(&event->at.word);
    while (!(word & EVENT_SET)) {
        if (word & EVENT_SLEPT) {
            futex_raise(&event->at.word, EVENT_SET);
            break;
        }
        if (atomic_compare_exchange_weak(&event->at.word, &word, word | EVENT_SET))
            break;
    }
    return 0;
}

int brood_event_clear(brood_event *memory)
{
    struct event *event = event_in(memory);
    if (!event)
        return noun_refuse(&event_kind, memory, "brood_event_clear");
    uint32_t word = atomic_load(&event->at.word);
    while (word & EVENT_SET &&
           !atomic_compare_exchange_weak(&event->at.word, &word, (word / EVENT_TURN + 1) * EVENT_TURN))
        continue;
    return 0;
}

static void spin_until_over(struct thread *self, const struct event *event, uint32_t turn)
{
    if (!spin_pays(atomic_load_explicit(&event->at.cpu, memory_order_relaxed)))
        return;
    int64_t end = clock_now() + self->spin;
    for (;;) {
        for (int i = 0; i < 32; i++)
            cpu_pause();
        bool over = is_over(atomic_load_explicit(&event->at.word, memory_order_relaxed), turn);
        if (over || clock_now() >= end) {
            spin_learn(self, over);
            return;
        }
    }
}

/* One that has begun in that turn. */
struct wait {
    struct event *event;
    uint32_t turn;
};

static int wait_for_turn(struct thread *self, void *context, int64_t deadline)
{
    const struct wait *wait = context;
    struct event *event = wait->event;
    uint32_t word;
    bool in_time = true;
    spin_until_over(self, event, wait->turn);
    while (!is_over(word = atomic_load(&event->at.word), wait->turn)) {
        if (!in_time)
            return -ETIMEDOUT;
        uint32_t slept = word | EVENT_SLEPT;
        if (word == slept || atomic_compare_exchange_strong(&event->at.word, &word, slept))
            in_time = futex_sleep(&event->at.word, slept, deadline) != -ETIMEDOUT;
    }
    return 0;
}

int brood_event_wait(brood_event *memory, int timeout_ms)
{
    char text[NOUN_TEXT];
    int64_t deadline;
    struct event *event = event_in(memory);
    if (!event)
        return noun_refuse(&event_kind, memory, "brood_event_wait");
    if (noun_deadline("brood_event_wait", timeout_ms, &deadline) < 0)
        return -EINVAL;
    uint32_t word = atomic_load(&event->at.word);
    struct wait wait = { event, word / EVENT_TURN };
    if (is_over(word, wait.turn))
        return 0;
    if (deadline != LATCH_TRY && waiter_wait(thread_self(), event, deadline, wait_for_turn, &wait) == 0)
        return 0;
    return error_set(ETIMEDOUT, "%s is not set still, after %d ms", noun_describe(&event_kind, event, text),
                     timeout_ms);
}

int event_announce(brood_event *memory, const char *call, struct futex_watch *watch)
{
    struct event *event = event_in(memory);
    if (!event)
        return noun_refuse(&event_kind, memory, call);
    uint32_t word = atomic_load(&event->at.word);
    while (!(word & EVENT_SET)) {
        uint32_t slept = word | EVENT_SLEPT;
        *watch = (struct futex_watch){ &event->at.word, slept };
        if (word == slept || atomic_compare_exchange_weak(&event->at.word, &word, slept))
            return 0;
    }
    return 1;
}
