/* exchange/queue_get.c: getting: what came back first, then the records of the line, in their order.
 *
 * What lies in the line is copied out under the getters' latch. What is a block, or is to become one, goes to a loan
 * first, which is the getter's: if it dies from there on, the message comes back.
 */
#include "error/error.h"
#include "exchange/parcel.h"
#include "exchange/queue_line.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "sync/waiter.h"

#include <errno.h>
#include <string.h>

/* ---- the line ---- */

/* The next record behind a getter's place, which goes on to it over a jump; its head, or 0: there is none. */
static uint64_t next_record(struct place *place)
{
    for (;;) {
        /* Acquire: with the release of the first head in a putter's commit. */
        uint64_t head = atomic_load_explicit(&((struct record *)(void *)place->at)->head, memory_order_acquire);
        if ((head & RECORD_KIND) != RECORD_JUMP)
            return head;
        place->in = atomic_load_explicit(&place->in->next, memory_order_relaxed);
        place->at = place->in->bytes;
    }
}

static void step_over(struct place *place, uint64_t head)
{
    place->at += record_length(head);
    place->count++;
    place->bytes += record_size(head);
}

/* The head of a record that may lie where something else does by now: a look without the latch, at a mark that has gone
 * on since. What is made of it is made only if the mark is the same after it. ThreadSanitizer would call it a race. */
__attribute__((no_sanitize("thread"))) static uint64_t glance(const char *at)
{
    return atomic_load_explicit(&((const struct record *)(const void *)at)->head, memory_order_acquire);
}

__attribute__((no_sanitize("thread"))) static const char *glance_next(const struct segment *segment)
{
    return atomic_load_explicit(&segment->next, memory_order_acquire)->bytes;
}

bool gets_ready(const struct queue *queue)
{
    for (;;) {
        uint32_t turn = atomic_load_explicit(&queue->gets.turn, memory_order_acquire);
        struct place place = side_look(&queue->gets);
        uint64_t head = glance(place.at);
        if (atomic_load(&queue->gets.turn) != turn)
            continue;
        if ((head & RECORD_KIND) != RECORD_JUMP)
            return head != 0;
        const char *next = glance_next(place.in); /* of a jump, there is no second */
        if (atomic_load(&queue->gets.turn) != turn)
            continue; /* the segment may be something else by now, and that no address */
        head = glance(next);
        if (atomic_load(&queue->gets.turn) == turn)
            return head != 0;
    }
}

bool queue_is_idle(const struct queue *queue)
{
    for (;;) {
        uint32_t turn = atomic_load(&queue->gets.turn);
        bool idle = !gets_ready(queue) && !loans_are_out(queue);
        if (atomic_load(&queue->gets.turn) == turn)
            return idle;
    }
}

/* Turns the mark on: what lies before it has been got. If the queue is idle then, and someone waits for that, a bell is
 * owed, which must be the pending word meanwhile; the latch is in the list so long. Who begins to wait for it after
 * this look takes the latch before it sleeps. */
static void commit(struct thread *self, struct queue *queue, const struct place *place)
{
    struct side *gets = &queue->gets;
    if (!(atomic_load_explicit(&queue->idle.word, memory_order_relaxed) & FUTEX_WAITERS)) {
        side_turn(gets, place);
        return;
    }
    latch_hold(self, &gets->latch);
    bell_lift(self, &queue->idle);
    side_turn(gets, place);
    atomic_thread_fence(memory_order_seq_cst); /* the mark, then what idle looks at */
    if (queue_is_idle(queue))
        bell_ring(self, &queue->idle);
    latch_unhold(self, &gets->latch);
}

void gets_mend(struct thread *self, struct queue *queue)
{
    struct side *gets = &queue->gets;
    struct place place = side_place(gets);
    struct loan *loan = gets->intent;
    if (loan && gets->intent_count == place.count) {
        uint64_t head = next_record(&place);
        const struct record *record = (const struct record *)(const void *)place.at;
        if ((head & RECORD_KIND) == RECORD_BLOCK && record->block == loan->block)
            __atomic_store_n(&loan->block, NULL, __ATOMIC_SEQ_CST);
        loan_end(self, loan);
    }
    __atomic_store_n(&gets->intent, NULL, __ATOMIC_SEQ_CST);
    /* One who died in commit may have owed a bell. */
    bell_lift(self, &queue->idle);
    if (queue_is_idle(queue))
        bell_ring(self, &queue->idle);
    thread_expects(self, NULL);
}

/* ---- one get ---- */

enum get_way { GET_COPY, GET_BLOCK, GET_BORROW, GET_DESCRIPTOR };

/* What is wanted, and what was got. loan: a loan at hand, for a message that needs one. */
struct get {
    struct queue *queue;
    enum get_way way;
    bool exact;   /* the message must have `size` bytes */
    char *buffer; /* GET_COPY */
    size_t size;  /* of the buffer */
    brood_block *messages;
    size_t max;    /* of messages, GET_COPY */
    size_t count;  /* how many were got */
    size_t length; /* of the first, got or not */
    struct loan *loan;
    unsigned redelivered;
    int fd;           /* GET_DESCRIPTOR */
    const char *call; /* the name of the caller's */
};

#define NEEDS_LOAN 1

static bool fits(const struct get *get, size_t size)
{
    return get->way != GET_COPY || (get->exact ? size == get->size : size <= get->size);
}

static void note(struct get *get, void *data, size_t size)
{
    if (get->count == 0)
        get->length = size;
    if (get->messages)
        get->messages[get->count] = (brood_block){ data, size };
    get->count++;
}

/* Copies what lies in the line, one message or several. */
static int get_inline(struct thread *self, struct get *get, struct place *place, uint64_t head)
{
    size_t used = 0;
    do {
        size_t size = record_size(head);
        const struct record *record = (const struct record *)(const void *)place->at;
        if (get->count > 0 && size > get->size - used)
            break;
        if (size)
            memcpy(get->buffer + used, record->bytes, size);
        note(get, get->buffer + used, size);
        used += (size + 15) & ~(size_t)15;
        step_over(place, head);
    } while (get->count < get->max && used <= get->size && (head = next_record(place)) != 0 &&
             (head & RECORD_KIND) == RECORD_INLINE);
    commit(self, get->queue, place);
    return 0;
}

/* From the line to the loan at hand. The latch is pending. */
static int get_to_loan(struct thread *self, struct get *get, struct place *place, uint64_t head)
{
    struct queue *queue = get->queue;
    struct side *gets = &queue->gets;
    struct loan *loan = get->loan;
    const struct record *record = (const struct record *)(const void *)place->at;
    gets->intent_count = place->count;
    __atomic_store_n(&gets->intent, loan, __ATOMIC_SEQ_CST);
    if ((head & RECORD_KIND) == RECORD_BLOCK) {
        __atomic_store_n(&loan->block, record->block, __ATOMIC_SEQ_CST);
    } else {
        latch_hold(self, &gets->latch);
        void *block = heap_take_raw_into(&loan->block, record_size(head));
        latch_unhold(self, &gets->latch);
        if (!block) {
            __atomic_store_n(&gets->intent, NULL, __ATOMIC_SEQ_CST);
            return -ENOMEM;
        }
        if (record_size(head))
            memcpy(block, record->bytes, record_size(head));
    }
    loan->size = record_size(head);
    loan->number = place->count;
    loan->deliveries = 1;
    atomic_store_explicit(&loan->state, LOAN_LENT, memory_order_release);
    step_over(place, head);
    commit(self, queue, place);
    __atomic_store_n(&gets->intent, NULL, __ATOMIC_SEQ_CST);
    return 0;
}

/* A copy first, then the message, then the original goes: so nothing is lost but with the getter. */
static int get_descriptor(struct thread *self, struct get *get, struct place *place, uint64_t head, int64_t deadline)
{
    struct queue *queue = get->queue;
    struct side *gets = &queue->gets;
    const struct record *record = (const struct record *)(const void *)place->at;
    uint64_t number = place->count;
    latch_hold(self, &gets->latch);
    get->fd = parcel_take(self, queue, number, record->parcel, deadline, get->call);
    latch_unhold(self, &gets->latch);
    if (get->fd < 0 && get->fd != -EIO)
        return get->fd;
    note(get, NULL, record_size(head));
    step_over(place, head);
    commit(self, queue, place);
    latch_hold(self, &gets->latch);
    parcel_done(self, queue, number);
    latch_unhold(self, &gets->latch);
    return get->fd < 0 ? get->fd : 0;
}

/* What lies first in the line. 0; NEEDS_LOAN; -EAGAIN: nothing does; -EMSGSIZE; -ENOMEM; -ETIMEDOUT; -EPROTO: something
 * of the other kind; of a descriptor, as parcel_take. */
static int get_from_line(struct thread *self, struct get *get, int64_t deadline)
{
    struct queue *queue = get->queue;
    struct side *gets = &queue->gets;
    if (side_take(self, queue, gets, deadline) < 0)
        return -ETIMEDOUT;
    struct place place = side_place(gets);
    uint64_t head = next_record(&place);
    int result = -EAGAIN;
    if (head) {
        get->length = record_size(head);
        if (((head & RECORD_KIND) == RECORD_DESCRIPTOR) != (get->way == GET_DESCRIPTOR))
            result = -EPROTO;
        else if (get->way == GET_DESCRIPTOR)
            result = get_descriptor(self, get, &place, head, deadline);
        else if (!fits(get, get->length))
            result = -EMSGSIZE;
        else if (get->way == GET_COPY && (head & RECORD_KIND) == RECORD_INLINE)
            result = get_inline(self, get, &place, head);
        else
            result = get->loan ? get_to_loan(self, get, &place, head) : NEEDS_LOAN;
    }
    side_drop(self, gets);
    return result;
}

/* The message that a loan holds goes where it is wanted. */
static void get_from_loan(struct thread *self, struct get *get, struct loan *loan)
{
    get->length = loan->size;
    if (get->way == GET_COPY) {
        if (loan->size)
            memcpy(get->buffer, loan->block, loan->size);
        note(get, get->buffer, loan->size);
        loan_end(self, loan);
        loan_give(self, loan);
        return;
    }
    note(get, loan->block, loan->size);
    if (get->way == GET_BORROW)
        return;
    loan_end(self, loan); /* killed from here on, the message is gone with the getter */
    __atomic_store_n(&loan->block, NULL, __ATOMIC_SEQ_CST);
    loan_give(self, loan);
}

/* One that came back. As get_from_line. */
static int get_returned(struct thread *self, struct get *get, int64_t deadline)
{
    struct loan *loan = loan_returned(self, get->queue, deadline);
    if (!loan)
        return -EAGAIN;
    if (get->way == GET_DESCRIPTOR || !fits(get, loan->size)) {
        get->length = loan->size;
        loan_abandon(self, loan);
        return get->way == GET_DESCRIPTOR ? -EPROTO : -EMSGSIZE;
    }
    get->redelivered = loan->deliveries;
    loan->deliveries++;
    get_from_loan(self, get, loan);
    return 0;
}

static int get_by_loan(struct thread *self, struct get *get, int64_t deadline)
{
    if (noun_may_hold(self) < 0)
        return -ENOLCK;
    int result;
    get->loan = loan_take(self, get->queue, &get->queue->gets, deadline, &result);
    if (!get->loan)
        return result;
    result = get_from_line(self, get, deadline);
    struct loan *loan = get->loan;
    get->loan = NULL;
    if (result == 0 && atomic_load_explicit(&loan->state, memory_order_relaxed) == LOAN_LENT)
        get_from_loan(self, get, loan);
    else
        loan_give(self, loan); /* there was none, or one that needs no loan */
    return result;
}

/* 0; -EAGAIN: there is nothing now; or why not. */
static inline int get_try(struct thread *self, struct get *get, int64_t deadline)
{
    struct queue *queue = get->queue;
    if (atomic_load_explicit(&queue->gets.top, memory_order_relaxed)) {
        int result = get_returned(self, get, deadline);
        if (result != -EAGAIN)
            return result;
    }
    int result = get_from_line(self, get, deadline);
    return result == NEEDS_LOAN ? get_by_loan(self, get, deadline) : result;
}

/* ---- waiting ---- */

static void spin_until_ready(struct thread *self, const struct queue *queue)
{
    if (!spin_pays(atomic_load_explicit(&queue->puts.latch.cpu, memory_order_relaxed)))
        return;
    int64_t end = clock_now() + self->spin;
    for (;;) {
        for (int i = 0; i < 32; i++) {
            cpu_pause();
            if (gets_ready(queue)) {
                spin_learn(self, true);
                return;
            }
        }
        if (clock_now() >= end) {
            spin_learn(self, false);
            return;
        }
    }
}

/* What a getter is told that finds nothing: 0: to wait. */
static int get_end(struct thread *self, struct get *get, int64_t deadline, const struct debt **debt, struct slot **life,
                   bool *naps)
{
    struct queue *queue = get->queue;
    int state = queue_is_closed(queue) ? -EPIPE : debts_state(&queue->puts, debt, life, naps);
    if (state == 0)
        return 0;
    int result = get_try(self, get, deadline); /* they may have put something before their end */
    return result == -EAGAIN ? state : result == 0 ? 1 : result;
}

/* In line for a message. */
static int get_wait(struct thread *self, void *context, int64_t deadline)
{
    struct get *get = context;
    struct queue *queue = get->queue;
    spin_until_ready(self, queue);
    int result = get_try(self, get, deadline);
    if (result != -EAGAIN)
        return result;
    line_trim(self, queue);
    if (side_front(self, &queue->gets, deadline) < 0) {
        result = get_try(self, get, LATCH_TRY);
        return result == -EAGAIN ? -ETIMEDOUT : result;
    }
    for (bool in_time = true;;) {
        const struct debt *debt = NULL;
        struct slot *life = NULL;
        bool naps = false;
        uint32_t seen = atomic_load(&queue->puts.turn);
        if ((result = get_try(self, get, deadline)) != -EAGAIN)
            break;
        if ((result = get_end(self, get, deadline, &debt, &life, &naps)) != 0) {
            result = result > 0 ? 0 : result;
            break;
        }
        if (!in_time) {
            result = -ETIMEDOUT;
            break;
        }
        in_time = side_doze(self, queue, &queue->gets, seen, life, naps, deadline);
    }
    side_retire(self, &queue->gets);
    return result;
}

static int explain(const struct get *get, int failed, const char *call, int timeout_ms)
{
    char text[NOUN_TEXT];
    const struct debt *debt = NULL;
    struct slot *life = NULL;
    bool naps = false;
    struct queue *queue = get->queue;
    queue_describe(queue, text);
    if (get->way == GET_DESCRIPTOR && failed != -EPROTO && failed != -ETIMEDOUT && failed != -EPIPE &&
        failed != -EOWNERDEAD)
        return failed; /* it has its sentence */
    switch (failed) {
    case -ENOLCK:
        return failed; /* it has its sentence */
    case -EPROTO:
        return error_set(EPROTO, "%s: %s is next in %s", call,
                         get->way == GET_DESCRIPTOR ? "a message" : "a descriptor", text);
    case -ENOMEM:
        return error_set(ENOMEM, "%s: no memory in the region for a message of %zu bytes of %s", call, get->length,
                         text);
    case -EMSGSIZE:
        return error_set(EMSGSIZE, "%s: the next message of %s has %zu bytes, not %s%zu", call, text, get->length,
                         get->exact ? "" : "at most ", get->size);
    case -ETIMEDOUT:
        if (gets_ready(queue))
            return error_set(ETIMEDOUT, "%s: others were in the middle of a get from %s for all of %d ms", call, text,
                             timeout_ms);
        return error_set(ETIMEDOUT, "%s: no message came to %s within %d ms", call, text, timeout_ms);
    default:
        if (queue_is_closed(queue))
            return error_set(EPIPE, "%s: %s is empty, and closed", call, text);
        int state = debts_state(&queue->puts, &debt, &life, &naps);
        return state < 0
                   ? debts_tell(queue, state, debt, "puts")
                   : error_set(-failed, "%s: %s was empty, and nobody was there that owed it messages", call, text);
    }
}

/* 0; n > 0: the message had been given to so many; or why not, with a sentence. */
static int get_all(struct get *get, const void *memory, const char *call, int timeout_ms)
{
    int64_t deadline;
    struct queue *queue = get->queue;
    if (!queue)
        return queue_refuse(memory, call);
    if (noun_deadline(call, timeout_ms, &deadline) < 0)
        return -EINVAL;
    struct thread *self = thread_self();
    int result = get_try(self, get, deadline);
    if (result == -EAGAIN) {
        const struct debt *debt = NULL;
        struct slot *life = NULL;
        bool naps = false;
        if (deadline != LATCH_TRY)
            result = waiter_wait(self, queue, deadline, get_wait, get);
        else
            result = get_end(self, get, deadline, &debt, &life, &naps);
        result = result > 0 ? 0 : result == 0 && get->count == 0 ? -ETIMEDOUT : result;
    }
    if (result < 0)
        return explain(get, result, call, timeout_ms);
    if (get->redelivered)
        error_tell("%s: the message had been given to %u that died before they were done with it", call,
                   get->redelivered);
    return (int)get->redelivered;
}

/* Whether it is worth taking the latch: a look, which may be wrong, at where the getters' mark was. Elsewhere a jump
 * is. */
static bool gets_may_be_ready(const struct queue *queue)
{
    const struct side *gets = &queue->gets;
    const struct mark *mark = &gets->marks[atomic_load_explicit(&gets->turn, memory_order_relaxed) & 1];
    return glance(atomic_load_explicit(&mark->at, memory_order_relaxed)) != 0;
}

/* The common case in as few steps as there can be: nobody else is getting, nothing may have come back, nobody watches
 * or waits for the queue to be idle, and the next message lies in the line and fits. False: it is another; nothing has
 * been done. */
static bool get_at_once(struct queue *queue, void *buffer, size_t size, size_t *got)
{
    struct thread *self = thread_self();
    struct side *gets = &queue->gets;
    uint32_t nobody = 0;
    thread_expects(self, &gets->latch.word);
    if (!atomic_compare_exchange_strong_explicit(&gets->latch.word, &nobody, self->id, memory_order_seq_cst,
                                                 memory_order_relaxed)) {
        thread_expects(self, NULL);
        return false;
    }
    struct place place = side_place(gets);
    const struct record *record = (const struct record *)(const void *)place.at;
    /* Acquire: with the release of a putter's head. */
    uint64_t head = atomic_load_explicit(&record->head, memory_order_acquire);
    size_t length = record_size(head);
    bool is_it = (head & RECORD_KIND) == RECORD_INLINE && (got ? length <= size : length == size) &&
                 !(atomic_load_explicit(&queue->idle.word, memory_order_relaxed) & FUTEX_WAITERS) &&
                 !side_is_watched(gets);
    if (is_it) {
        if (length)
            memcpy(buffer, record->bytes, length);
        step_over(&place, head);
        side_turn(gets, &place);
    }
    side_drop(self, gets);
    if (is_it && got)
        *got = length;
    return is_it;
}

int queue_get(brood_queue *memory, void *buffer, size_t size, size_t *got, const char *call, int timeout_ms)
{
    struct queue *queue = queue_in(memory);
    if (queue && (buffer || !size) && timeout_ms >= BROOD_FOREVER &&
        !atomic_load_explicit(&queue->gets.top, memory_order_relaxed) && gets_may_be_ready(queue) &&
        get_at_once(queue, buffer, size, got))
        return 0;
    if (!buffer && size)
        return error_set(EINVAL, "%s: buffer is NULL, and its size %zu", call, size);
    struct get get = { .queue = queue, .way = GET_COPY, .exact = !got, .buffer = buffer, .size = size, .max = 1 };
    int result = get_all(&get, memory, call, timeout_ms);
    if (got && (result >= 0 || result == -EMSGSIZE))
        *got = get.length;
    return result;
}

int brood_queue_get(brood_queue *memory, void *buffer, size_t size, size_t *got, int timeout_ms)
{
    return queue_get(memory, buffer, size, got, "brood_queue_get", timeout_ms);
}

int queue_get_descriptor(struct queue *queue, const char *call, int timeout_ms)
{
    struct get get = { .queue = queue, .way = GET_DESCRIPTOR, .max = 1, .call = call };
    int result = get_all(&get, queue, call, timeout_ms);
    return result < 0 ? result : get.fd;
}

static int get_as_block(brood_queue *memory, brood_block *message, enum get_way way, const char *call, int timeout_ms)
{
    if (!message)
        return error_set(EINVAL, "%s: message is NULL", call);
    brood_block block = { NULL, 0 };
    struct get get = { .queue = queue_in(memory), .way = way, .messages = &block, .max = 1 };
    int result = get_all(&get, memory, call, timeout_ms);
    if (result >= 0)
        *message = block;
    return result;
}

int queue_get_block(brood_queue *memory, brood_block *message, const char *call, int timeout_ms)
{
    return get_as_block(memory, message, GET_BLOCK, call, timeout_ms);
}

int brood_queue_get_block(brood_queue *memory, brood_block *message, int timeout_ms)
{
    return queue_get_block(memory, message, "brood_queue_get_block", timeout_ms);
}

int brood_queue_borrow(brood_queue *memory, brood_block *message, int timeout_ms)
{
    return get_as_block(memory, message, GET_BORROW, "brood_queue_borrow", timeout_ms);
}

int brood_queue_get_many(brood_queue *memory, void *buffer, size_t size, brood_block *messages, size_t max,
                         int timeout_ms)
{
    if ((!buffer && size) || !messages || max == 0 || max > INT32_MAX)
        return error_set(EINVAL, "brood_queue_get_many: buffer or messages is NULL, or it is for %zu messages", max);
    struct get get = {
        .queue = queue_in(memory), .way = GET_COPY, .buffer = buffer, .size = size, .messages = messages, .max = max
    };
    int result = get_all(&get, memory, "brood_queue_get_many", timeout_ms);
    if (result == -EMSGSIZE)
        messages[0] = (brood_block){ NULL, get.length };
    return result < 0 ? result : (int)get.count;
}

int brood_queue_done(brood_queue *memory, const void *borrowed)
{
    char text[NOUN_TEXT];
    struct queue *queue = queue_in(memory);
    if (!queue)
        return queue_refuse(memory, "brood_queue_done");
    struct thread *self = thread_self();
    struct loan *loan = borrowed ? loan_find(self, queue, &queue->gets, borrowed) : NULL;
    if (!loan)
        return error_set(EPERM, "brood_queue_done: this thread has borrowed nothing at %p from %s", borrowed,
                         queue_describe(queue, text));
    loan_end(self, loan);
    loan_give(self, loan);
    return 0;
}
