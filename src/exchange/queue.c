/* exchange/queue.c: a queue's begin and end, and looking at it. How it works: exchange/queue.h. */
#include "exchange/queue.h"

#include "error/error.h"
#include "exchange/parcel.h"
#include "os/clock.h"
#include "os/futex.h"
#include "sync/waiter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define JOIN_NAP 50000000 /* ns */

#define QUEUE_LEAST 256 /* bytes of a block that the heap aligns to a cache line */

_Static_assert(sizeof(struct queue) >= QUEUE_LEAST, "aligned");
_Static_assert(sizeof(struct loan) == 128 && sizeof(struct mark) <= 32, "cache lines");

int queue_refuse(const void *memory, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!memory)
        return error_null(call, "the queue");
    return error_set(EINVAL, "%s: there is no queue at %p, or not any more", call, memory);
}

const char *queue_describe(const struct queue *queue, char text[static NOUN_TEXT])
{
    static const struct noun_kind pipe_kind = { .name = "pipe" };
    if (queue->is_of_pipe && !queue->noun.name)
        snprintf(text, NOUN_TEXT, "the pipe");
    else
        noun_describe(queue->is_of_pipe ? &pipe_kind : &queue_kind, queue, text);
    return text;
}

/* ---- its begin ---- */

static int check_options(const brood_queue_options *options)
{
    if (error_reserved("brood_queue_create", options->reserved, sizeof options->reserved / sizeof(void *)) < 0)
        return -EINVAL;
    if (options->max_deliveries < 0)
        return error_set(EINVAL, "brood_queue_create: .max_deliveries is %d", options->max_deliveries);
    if (options->dead_letters && options->max_deliveries == 0)
        return error_set(EINVAL, "brood_queue_create: .dead_letters without .max_deliveries");
    if (options->dead_letters && !queue_in(options->dead_letters))
        return error_set(EINVAL, "brood_queue_create: .dead_letters is no queue");
    return 0;
}

brood_queue *brood_queue_create(const brood_queue_options *options)
{
    static const brood_queue_options defaults;
    const brood_queue_options *asked = options ? options : &defaults;
    if (region_enter() < 0 || check_options(asked) < 0)
        return NULL;
    size_t name = asked->name ? strlen(asked->name) + 1 : 0;
    struct queue *queue = heap_take(sizeof *queue + name, true);
    struct segment *segment = queue ? heap_take(SEGMENT_LEAST, true) : NULL;
    if (!segment) {
        if (queue)
            heap_give(queue, NULL);
        error_set(ENOMEM, "brood_queue_create: no memory in the region for a queue");
        return NULL;
    }
    segment->size = SEGMENT_LEAST;
    segment->next = segment;
    if (name)
        queue->noun.name = memcpy(queue->name, asked->name, name);
    queue->max_messages = asked->max_messages;
    queue->max_bytes = asked->max_bytes;
    queue->max_deliveries = (uint32_t)asked->max_deliveries;
    queue->dead_letters = (struct queue *)(void *)asked->dead_letters;
    struct place place = { .at = segment->bytes, .in = segment };
    side_turn(&queue->puts, &place);
    side_turn(&queue->gets, &place);
    queue->puts.room = SEGMENT_LEAST;
    atomic_store(&queue->noun.word.mark, queue_kind.mark);
    if (heap_tracks()) {
        char text[NOUN_TEXT];
        heap_label(queue, queue_describe(queue, text));
        heap_label(segment, queue_describe(queue, text));
    }
    return (brood_queue *)(void *)queue;
}

/* ---- its end ---- */

bool queue_is_in_use(struct thread *self, struct queue *queue)
{
    struct side *sides[] = { &queue->gets, &queue->puts };
    struct queue *dead = queue_in(queue->dead_letters);
    if (dead) { /* one that died there may have left a loan of ours to be judged */
        if (side_take(self, dead, &dead->puts, LATCH_TRY) < 0)
            return true;
        side_drop(self, &dead->puts);
    }
    bool busy = loans_are_held(&queue->gets) || loans_are_held(&queue->puts) || futex_sleepers(&queue->idle.word) > 0;
    for (int i = 0; i < 2 && !busy; i++) {
        uint32_t front = atomic_load(&sides[i]->turnstile.word);
        busy = front & FUTEX_TID_MASK || futex_sleepers(&sides[i]->latch.word) > 0 ||
               futex_sleepers(&sides[i]->turnstile.word) > 0 || futex_sleepers(&sides[i]->watch) > 0 ||
               side_take(self, queue, sides[i], LATCH_TRY) < 0; /* which mends it */
        if (!busy)
            side_drop(self, sides[i]);
    }
    return busy;
}

/* The blocks of messages in the line, and its segments. */
static void free_line(struct queue *queue)
{
    struct place place = side_place(&queue->gets);
    for (uint64_t head; (head = atomic_load(&((struct record *)(void *)place.at)->head)) != 0;) {
        if ((head & RECORD_KIND) == RECORD_JUMP) {
            place.in = atomic_load(&place.in->next);
            place.at = place.in->bytes;
            continue;
        }
        if ((head & RECORD_KIND) == RECORD_BLOCK)
            heap_give(((struct record *)(void *)place.at)->block, NULL);
        place.at += record_length(head);
    }
    for (struct segment *segment = atomic_load(&place.in->next), *next; segment != place.in; segment = next) {
        next = atomic_load(&segment->next);
        heap_give(segment, NULL);
    }
    heap_give(place.in, NULL);
}

int brood_queue_destroy(brood_queue *memory)
{
    char text[NOUN_TEXT];
    if (!memory)
        return 0;
    struct queue *queue = queue_in(memory);
    if (!queue)
        return queue_refuse(memory, "brood_queue_destroy");
    heap_settle();
    if (queue_is_in_use(thread_self(), queue))
        return error_set(EBUSY,
                         "brood_queue_destroy: %s is waited for, in use, or something of it borrowed or reserved",
                         queue_describe(queue, text));
    atomic_store(&queue->noun.word.mark, 0);
    parcels_close(thread_self(), queue);
    loans_free(&queue->gets);
    loans_free(&queue->puts);
    free_line(queue);
    debts_free(&queue->gets);
    debts_free(&queue->puts);
    heap_give(queue, NULL);
    return 0;
}

/* Under both latches. Killed while it has them, both are marked, and whoever sleeps on one is woken by that. */
int brood_queue_close(brood_queue *memory)
{
    struct queue *queue = queue_in(memory);
    if (!queue)
        return queue_refuse(memory, "brood_queue_close");
    if (queue_is_closed(queue))
        return 0;
    struct thread *self = thread_self();
    struct side *puts = &queue->puts, *gets = &queue->gets;
    side_take(self, queue, gets, CLOCK_NEVER);
    latch_hold(self, &gets->latch);
    side_take(self, queue, puts, CLOCK_NEVER);
    atomic_store(&queue->closed, 1);
    side_stir(puts);
    side_stir(gets);
    side_drop(self, puts);
    latch_unhold(self, &gets->latch);
    side_drop(self, gets);
    return 0;
}

/* ---- until it is idle ---- */

/* Who makes it idle looks at the bell before he does, with the getters' latch, and only if someone waits names the
 * bell to the kernel. So whoever has said that he waits takes that latch once before he sleeps: who had not seen it is
 * done then. */
static int join(struct thread *self, void *context, int64_t deadline)
{
    struct queue *queue = context;
    struct bell *idle = &queue->idle;
    int result = 0;
    for (bool in_time = true; !queue_is_idle(queue); in_time = clock_now() < deadline) {
        if (!in_time) {
            result = -ETIMEDOUT;
            break;
        }
        uint32_t word = atomic_fetch_or(&idle->word, FUTEX_WAITERS) | FUTEX_WAITERS;
        if (side_take(self, queue, &queue->gets, deadline) < 0)
            continue;
        side_drop(self, &queue->gets);
        bell_lift(self, idle);
        if (queue_is_idle(queue)) {
            bell_ring(self, idle); /* our bit may have deceived one who was about to sleep */
            break;
        }
        /* It naps: if the one who made it idle is killed before it rings, and we were not asleep yet, nobody will. */
        bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
        int64_t nap = clock_now() + (told ? JOIN_NAP : THREAD_NAP);
        /* If it is idle by now the kernel may have woken us for a dead ringer, and us alone. */
        if (futex_sleep(&idle->word, word, nap < deadline ? nap : deadline) == 0 && queue_is_idle(queue))
            futex_wake(&idle->word, FUTEX_EVERYONE);
        thread_expects(self, NULL);
    }
    return result;
}

int brood_queue_join(brood_queue *memory, int timeout_ms)
{
    char text[NOUN_TEXT];
    int64_t deadline;
    struct queue *queue = queue_in(memory);
    if (!queue)
        return queue_refuse(memory, "brood_queue_join");
    if (noun_deadline("brood_queue_join", timeout_ms, &deadline) < 0)
        return -EINVAL;
    if (queue_is_idle(queue))
        return 0;
    if (deadline != LATCH_TRY && waiter_wait(thread_self(), queue, deadline, join, queue) == 0)
        return 0;
    return error_set(ETIMEDOUT, "brood_queue_join: %s still has %zu messages%s, after %d ms",
                     queue_describe(queue, text), brood_queue_count(memory),
                     loans_are_out(queue) ? ", and borrowed ones," : "", timeout_ms);
}

/* ---- looking ---- */

/* Between the two sides, and of what came back. */
static size_t look(brood_queue *memory, const char *call, size_t *bytes)
{
    struct queue *queue = queue_in(memory);
    if (!queue) {
        queue_refuse(memory, call);
        return 0;
    }
    struct thread *self = thread_self();
    side_settle(self, queue, &queue->puts); /* of the getters' the mark is what is true, always */
    struct place got = side_look(&queue->gets), put = side_look(&queue->puts);
    size_t returned = loans_returned(queue, bytes);
    *bytes += (int64_t)(put.bytes - got.bytes) > 0 ? put.bytes - got.bytes : 0;
    return returned + ((int64_t)(put.count - got.count) > 0 ? put.count - got.count : 0);
}

size_t brood_queue_count(brood_queue *memory)
{
    size_t bytes = 0;
    return look(memory, "brood_queue_count", &bytes);
}

size_t brood_queue_bytes(brood_queue *memory)
{
    size_t bytes = 0;
    look(memory, "brood_queue_bytes", &bytes);
    return bytes;
}

size_t brood_queue_capacity(brood_queue *memory)
{
    const struct queue *queue = queue_in(memory);
    if (!queue) {
        queue_refuse(memory, "brood_queue_capacity");
        return 0;
    }
    return queue->max_messages ? queue->max_messages : SIZE_MAX;
}

int brood_queue_is_empty(brood_queue *memory)
{
    size_t bytes;
    struct queue *queue = queue_in(memory);
    if (!queue)
        return queue_refuse(memory, "brood_queue_is_empty");
    return !gets_ready(queue) && loans_returned(queue, &bytes) == 0;
}
