/* exchange/queue_put.c: putting: waiting for room, and then records at the end of the line. */
#include "error/error.h"
#include "exchange/parcel.h"
#include "exchange/queue_line.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "sync/waiter.h"

#include <errno.h>
#include <string.h>

/* ---- room ---- */

/* Whether there is room for a message of that size behind that place. To the holder of the latch `seen` is his own. */
static bool has_room(struct queue *queue, const struct place *place, size_t size, uint64_t seen_count,
                     uint64_t seen_bytes)
{
    uint64_t count = place->count - seen_count, bytes = place->bytes - seen_bytes;
    bool few = !queue->max_messages || (int64_t)count < 0 || count < queue->max_messages;
    bool little = !queue->max_bytes || ((int64_t)bytes <= 0 && (queue->is_of_pipe || size <= queue->max_bytes)) ||
                  (bytes <= queue->max_bytes && size <= queue->max_bytes - bytes);
    return few && little;
}

static bool is_bounded(const struct queue *queue)
{
    return queue->max_messages || queue->max_bytes;
}

static bool make_sure_of_room(struct queue *queue, const struct place *place, size_t size)
{
    struct side *puts = &queue->puts;
    if (!is_bounded(queue) || has_room(queue, place, size, puts->seen_count, puts->seen_bytes))
        return true;
    struct place got = side_look(&queue->gets);
    puts->seen_count = got.count;
    puts->seen_bytes = got.bytes;
    return has_room(queue, place, size, got.count, got.bytes);
}

/* The getters' mark first: it is never ahead. */
bool puts_ready(struct queue *queue, size_t size)
{
    if (!is_bounded(queue))
        return true;
    struct place got = side_look(&queue->gets), put = side_look(&queue->puts);
    return has_room(queue, &put, size, got.count, got.bytes);
}

int brood_queue_is_full(brood_queue *memory)
{
    struct queue *queue = queue_in(memory);
    if (!queue)
        return queue_refuse(memory, "brood_queue_is_full");
    side_settle(thread_self(), queue, &queue->puts);
    return !puts_ready(queue, 1);
}

/* ---- putting ---- */

/* As it can be put now: `count` messages in the line, or one loan, or a descriptor. size: of the first. done: of the
 * messages. fd: with `call`, the name of the caller's; else NULL. */
struct put {
    struct queue *queue;
    const brood_block *messages;
    size_t count, done;
    struct loan *loan;
    int fd;
    const char *call;
    size_t size;
    bool only_room;
};

/* As many as there is room for and lie in the line. 0, or why not the first. */
static int put_messages(struct thread *self, struct put *put)
{
    struct queue *queue = put->queue;
    struct writer writer = { .place = side_place(&queue->puts) };
    int failed = 0;
    size_t done = put->done;
    for (; done < put->count && put->messages[done].size <= INLINE_MOST; done++) {
        const brood_block *message = &put->messages[done];
        if (!make_sure_of_room(queue, &writer.place, message->size)) {
            failed = -EAGAIN;
            break;
        }
        if (!line_write_inline(self, queue, &writer, message->data, message->size)) {
            failed = -ENOMEM;
            break;
        }
    }
    line_commit(queue, &writer);
    if (done == put->done)
        return failed;
    put->done = done;
    return 0;
}

static int put_block(struct thread *self, struct queue *queue, struct loan *loan, bool bounded)
{
    struct side *puts = &queue->puts;
    struct writer writer = { .place = side_place(puts) };
    if (bounded && !make_sure_of_room(queue, &writer.place, loan->size))
        return -EAGAIN;
    if (!line_write_block(self, queue, &writer, loan))
        return -ENOMEM;
    puts->intent_count = writer.place.count - 1;
    __atomic_store_n(&puts->intent, loan, __ATOMIC_SEQ_CST);
    line_commit(queue, &writer);
    latch_hold(self, &puts->latch);
    __atomic_store_n(&loan->block, NULL, __ATOMIC_SEQ_CST);
    loan_end(self, loan);
    __atomic_store_n(&puts->intent, NULL, __ATOMIC_SEQ_CST);
    latch_unhold(self, &puts->latch);
    return 0;
}

/* It is sent before the message is committed, and so nothing can fail in between. */
static int put_descriptor(struct thread *self, const struct put *put, int64_t deadline)
{
    struct queue *queue = put->queue;
    struct writer writer = { .place = side_place(&queue->puts) };
    uint64_t head = record_head(put->size, RECORD_DESCRIPTOR);
    if (!make_sure_of_room(queue, &writer.place, put->size))
        return -EAGAIN;
    struct record *record = line_make_room(self, queue, &writer, record_length(head));
    if (!record)
        return -ENOMEM;
    latch_hold(self, &queue->puts.latch);
    int failed = parcel_send(self, queue, writer.place.count, put->fd, &record->parcel, deadline, put->call);
    latch_unhold(self, &queue->puts.latch);
    if (failed < 0)
        return failed;
    line_write(&writer, head);
    line_commit(queue, &writer);
    return 0;
}

int put_loan(struct thread *self, struct queue *queue, struct loan *loan, bool bounded, int64_t deadline)
{
    if (side_take(self, queue, &queue->puts, deadline) < 0)
        return -ETIMEDOUT;
    int failed = queue_is_closed(queue) ? -EPIPE : put_block(self, queue, loan, bounded);
    side_drop(self, &queue->puts);
    return failed;
}

static inline int put_try(struct thread *self, struct put *put, int64_t deadline)
{
    struct queue *queue = put->queue;
    if (put->only_room)
        return puts_ready(queue, put->size) ? 0 : -EAGAIN;
    if (put->loan)
        return put_loan(self, queue, put->loan, true, deadline);
    if (side_take(self, queue, &queue->puts, deadline) < 0)
        return -ETIMEDOUT;
    int failed = queue_is_closed(queue) ? -EPIPE
                 : put->call            ? put_descriptor(self, put, deadline)
                                        : put_messages(self, put);
    side_drop(self, &queue->puts);
    return failed;
}

static void spin_until_room(struct thread *self, const struct put *put)
{
    struct queue *queue = put->queue;
    if (!spin_pays(atomic_load_explicit(&queue->gets.latch.cpu, memory_order_relaxed)))
        return;
    int64_t end = clock_now() + self->spin;
    for (;;) {
        for (int i = 0; i < 32; i++)
            cpu_pause();
        bool room = puts_ready(queue, put->size);
        if (room || clock_now() >= end) {
            spin_learn(self, room);
            return;
        }
    }
}

/* In line for room. */
static int put_wait(struct thread *self, void *context, int64_t deadline)
{
    struct put *put = context;
    struct queue *queue = put->queue;
    spin_until_room(self, put);
    int result = put_try(self, put, deadline);
    if (result != -EAGAIN)
        return result;
    if (side_front(self, &queue->puts, deadline) < 0) {
        result = put_try(self, put, LATCH_TRY);
        return result == -EAGAIN ? -ETIMEDOUT : result;
    }
    for (bool in_time = true;;) {
        const struct debt *debt = NULL;
        struct slot *life = NULL;
        bool naps = false;
        uint32_t seen = atomic_load(&queue->gets.turn);
        if ((result = put_try(self, put, deadline)) != -EAGAIN)
            break;
        if (queue_is_closed(queue)) {
            result = -EPIPE;
            break;
        }
        if ((result = debts_state(&queue->gets, &debt, &life, &naps)) < 0)
            break;
        if (!in_time) {
            result = -ETIMEDOUT;
            break;
        }
        in_time = side_doze(self, queue, &queue->puts, seen, life, naps, deadline);
    }
    side_retire(self, &queue->puts);
    return result;
}

/* 0; -EPIPE or -EOWNERDEAD, with a sentence: nobody will get it. */
static int check_open(struct queue *queue, const char *call)
{
    char text[NOUN_TEXT];
    const struct debt *debt = NULL;
    struct slot *life = NULL;
    bool naps = false;
    if (queue_is_closed(queue))
        return error_set(EPIPE, "%s: %s is closed", call, queue_describe(queue, text));
    if (!atomic_load_explicit(&queue->gets.debts, memory_order_relaxed))
        return 0;
    int state = debts_state(&queue->gets, &debt, &life, &naps);
    return state < 0 ? debts_tell(queue, state, debt, "gets") : 0;
}

static int explain(struct queue *queue, const struct put *put, int failed, const char *call, int timeout_ms)
{
    char text[NOUN_TEXT];
    queue_describe(queue, text);
    struct place got = side_look(&queue->gets), there = side_look(&queue->puts);
    int64_t count = (int64_t)(there.count - got.count), bytes = (int64_t)(there.bytes - got.bytes);
    if (failed == -ENOMEM)
        return error_set(ENOMEM, "%s: no memory in the region for a message of %zu bytes in %s", call, put->size, text);
    if (put->call && failed != -ETIMEDOUT && failed != -EPIPE && failed != -EOWNERDEAD)
        return failed; /* it has its sentence */
    if (put->call && failed == -ETIMEDOUT && puts_ready(queue, put->size))
        return error_set(ETIMEDOUT,
                         "%s: too many descriptors are on their way in %s still, or others kept them, after %d ms",
                         call, text, timeout_ms);
    if (failed == -ETIMEDOUT && puts_ready(queue, put->size))
        return error_set(ETIMEDOUT, "%s: others were in the middle of a put into %s for all of %d ms", call, text,
                         timeout_ms);
    if (failed == -ETIMEDOUT && queue->max_bytes)
        return error_set(ETIMEDOUT, "%s is full still, after %d ms: %lld messages, of %lld bytes of at most %llu", text,
                         timeout_ms, (long long)count, (long long)bytes, (unsigned long long)queue->max_bytes);
    if (failed == -ETIMEDOUT)
        return error_set(ETIMEDOUT, "%s is full still, after %d ms: %lld of %llu messages", text, timeout_ms,
                         (long long)count, (unsigned long long)queue->max_messages);
    int open = check_open(queue, call); /* -EPIPE, or of debts */
    return open < 0 ? open : error_set(-failed, "%s: %s was closed", call, text);
}

/* Until it is put, or cannot be. 0, or with a sentence. */
static int put_all(struct thread *self, struct put *put, const char *call, int timeout_ms, int64_t deadline)
{
    int failed = put_try(self, put, deadline);
    if (failed == 0)
        return 0;
    if (failed == -EAGAIN)
        failed = deadline == LATCH_TRY ? -ETIMEDOUT : waiter_wait(self, put->queue, deadline, put_wait, put);
    return failed < 0 ? explain(put->queue, put, failed, call, timeout_ms) : 0;
}

static int refuse_size(const struct queue *queue, size_t size, const char *call)
{
    if (queue->is_of_pipe)
        return 0;
    char text[NOUN_TEXT];
    if (queue->max_bytes && size > queue->max_bytes)
        return error_set(EMSGSIZE, "%s: %zu bytes are more than %s may have at all, %llu", call, size,
                         queue_describe(queue, text), (unsigned long long)queue->max_bytes);
    return 0;
}

/* A loan with a block of that size, once there seems to be room for it. NULL, with a sentence. */
static struct loan *reserve(struct thread *self, struct queue *queue, size_t size, const char *call, int timeout_ms,
                            int64_t deadline)
{
    struct put put = { .queue = queue, .size = size, .only_room = true };
    if (noun_may_hold(self) < 0 || put_all(self, &put, call, timeout_ms, deadline) < 0)
        return NULL;
    int failed = -ENOMEM;
    struct loan *loan = size < region->size ? loan_take(self, queue, &queue->puts, deadline, &failed) : NULL;
    if (loan && heap_take_raw_into(&loan->block, size)) {
        loan->size = size;
        atomic_store(&loan->state, LOAN_KEPT);
        return loan;
    }
    if (loan)
        loan_give(self, loan);
    explain(queue, &put, loan ? -ENOMEM : failed, call, timeout_ms);
    return NULL;
}

static int put_large(struct thread *self, struct queue *queue, const void *message, size_t size, const char *call,
                     int timeout_ms, int64_t deadline)
{
    struct loan *loan = reserve(self, queue, size, call, timeout_ms, deadline);
    if (!loan)
        return -errno;
    memcpy(loan->block, message, size);
    struct put put = { .queue = queue, .loan = loan, .size = size };
    int failed = put_all(self, &put, call, timeout_ms, deadline);
    if (failed < 0)
        atomic_store(&loan->state, LOAN_FREE);
    loan_give(self, loan);
    return failed;
}

/* What every put begins with. 0, or with a sentence. */
static int enter(struct queue *queue, const void *memory, const char *call, int timeout_ms, int64_t *deadline)
{
    if (!queue)
        return queue_refuse(memory, call);
    if (noun_deadline(call, timeout_ms, deadline) < 0)
        return -EINVAL;
    return atomic_load_explicit(&queue->closed, memory_order_relaxed) ||
                   atomic_load_explicit(&queue->gets.debts, memory_order_relaxed)
               ? check_open(queue, call)
               : 0;
}

/* The common case in as few steps as there can be: nobody else is putting or watches, the queue is open, there is room,
 * and the message lies behind the last one. False: it is another; nothing has been done. */
static bool put_at_once(struct queue *queue, const void *message, size_t size)
{
    struct thread *self = thread_self();
    struct side *puts = &queue->puts;
    uint32_t nobody = 0;
    thread_expects(self, &puts->latch.word);
    if (!atomic_compare_exchange_strong_explicit(&puts->latch.word, &nobody, self->id, memory_order_seq_cst,
                                                 memory_order_relaxed)) {
        thread_expects(self, NULL);
        return false;
    }
    struct place place = side_place(puts);
    uint64_t head = record_head(size, RECORD_INLINE);
    struct record *record = (struct record *)(void *)place.at;
    size_t length = record_length(head);
    bool fits = (size_t)(segment_end(place.in) - place.at) >= length && !queue_is_closed(queue) &&
                !side_is_watched(puts) &&
                (!is_bounded(queue) || has_room(queue, &place, size, puts->seen_count, puts->seen_bytes));
    if (fits) {
        if (size)
            memcpy(record->bytes, message, size);
        place.at += length;
        place.count++;
        place.bytes += size;
        atomic_store_explicit(&((struct record *)(void *)place.at)->head, 0, memory_order_relaxed);
        /* Release: with the acquire of those who look at heads. */
        atomic_store_explicit(&record->head, head, memory_order_release);
        side_turn(puts, &place);
    }
    side_drop(self, puts);
    return fits;
}

static int refuse_null(const struct queue *queue, const char *call)
{
    char text[NOUN_TEXT];
    return error_set(EINVAL, "%s: a message for %s is NULL, and not of 0 bytes", call, queue_describe(queue, text));
}

int queue_put(brood_queue *memory, const void *message, size_t size, const char *call, int timeout_ms)
{
    int64_t deadline = LATCH_TRY;
    struct queue *queue = queue_in(memory);
    if (queue && size <= INLINE_MOST && (message || !size) && timeout_ms >= BROOD_FOREVER &&
        !atomic_load_explicit(&queue->gets.debts, memory_order_relaxed) && put_at_once(queue, message, size))
        return 0;
    int failed = enter(queue, memory, call, timeout_ms, &deadline);
    if (failed < 0 || !queue)
        return failed;
    if (!message && size)
        return refuse_null(queue, call);
    if ((failed = refuse_size(queue, size, call)) < 0)
        return failed;
    struct thread *self = thread_self();
    if (size > INLINE_MOST)
        return put_large(self, queue, message, size, call, timeout_ms, deadline);
    brood_block block = { (void *)(uintptr_t)message, size };
    struct put put = { .queue = queue, .messages = &block, .count = 1, .size = size };
    return put_all(self, &put, call, timeout_ms, deadline);
}

int brood_queue_put(brood_queue *memory, const void *message, size_t size, int timeout_ms)
{
    return queue_put(memory, message, size, "brood_queue_put", timeout_ms);
}

int queue_put_descriptor(struct queue *queue, int fd, const char *call, int timeout_ms)
{
    int64_t deadline = LATCH_TRY;
    int failed = enter(queue, queue, call, timeout_ms, &deadline);
    if (failed < 0 || !queue)
        return failed;
    struct put put = { .queue = queue, .fd = fd, .call = call, .size = sizeof(uint64_t) };
    return put_all(thread_self(), &put, call, timeout_ms, deadline);
}

/* The next of them, and those behind it that lie in the line too. */
static int put_some(struct thread *self, struct put *put, int timeout_ms, int64_t deadline)
{
    const brood_block *message = &put->messages[put->done];
    int failed = refuse_size(put->queue, message->size, "brood_queue_put_many");
    if (failed < 0)
        return failed;
    if (!message->data && message->size)
        return refuse_null(put->queue, "brood_queue_put_many");
    put->size = message->size;
    if (message->size <= INLINE_MOST)
        return put_all(self, put, "brood_queue_put_many", timeout_ms, deadline);
    failed = put_large(self, put->queue, message->data, message->size, "brood_queue_put_many", timeout_ms, deadline);
    put->done += failed == 0;
    return failed;
}

int brood_queue_put_many(brood_queue *memory, const brood_block *messages, size_t count, int timeout_ms)
{
    int64_t deadline = LATCH_TRY;
    struct queue *queue = queue_in(memory);
    int failed = enter(queue, memory, "brood_queue_put_many", timeout_ms, &deadline);
    if (failed < 0 || !queue)
        return failed;
    if ((!messages && count) || count > INT32_MAX)
        return error_set(EINVAL, "brood_queue_put_many: messages is NULL, or there are more than %d", INT32_MAX);
    for (size_t i = 0; i < count; i++)
        if (!messages[i].data && messages[i].size) {
            count = i;
            failed = i == 0 ? refuse_null(queue, "brood_queue_put_many") : 0;
            break;
        }
    struct thread *self = thread_self();
    struct put put = { .queue = queue, .messages = messages, .count = count };
    while (put.done < count && failed == 0)
        failed = put_some(self, &put, timeout_ms, deadline);
    return put.done > 0 || failed == 0 ? (int)put.done : failed;
}

/* ---- in place ---- */

void *brood_queue_reserve(brood_queue *memory, size_t size, int timeout_ms)
{
    int64_t deadline = LATCH_TRY;
    struct queue *queue = queue_in(memory);
    if (enter(queue, memory, "brood_queue_reserve", timeout_ms, &deadline) < 0 || !queue ||
        refuse_size(queue, size, "brood_queue_reserve") < 0)
        return NULL;
    struct loan *loan = reserve(thread_self(), queue, size, "brood_queue_reserve", timeout_ms, deadline);
    return loan ? loan->block : NULL;
}

static struct loan *find_reserved(struct thread *self, const struct queue *queue, const void *reserved,
                                  const char *call)
{
    char text[NOUN_TEXT];
    struct loan *loan = reserved ? loan_find(self, queue, &queue->puts, reserved) : NULL;
    if (!loan)
        error_set(EPERM, "%s: this thread has reserved nothing at %p in %s", call, reserved,
                  queue_describe(queue, text));
    return loan;
}

int brood_queue_commit(brood_queue *memory, void *reserved, size_t size)
{
    char text[NOUN_TEXT];
    struct queue *queue = queue_in(memory);
    if (!queue)
        return queue_refuse(memory, "brood_queue_commit");
    struct thread *self = thread_self();
    struct loan *loan = find_reserved(self, queue, reserved, "brood_queue_commit");
    if (!loan)
        return -EPERM;
    if (size > loan->size)
        return error_set(EINVAL, "brood_queue_commit: %zu bytes of %zu that were reserved in %s", size, loan->size,
                         queue_describe(queue, text));
    int failed = check_open(queue, "brood_queue_commit");
    if (failed < 0)
        return failed;
    size_t reserved_size = loan->size;
    loan->size = size;
    failed = put_loan(self, queue, loan, false, CLOCK_NEVER);
    if (failed < 0) {
        loan->size = reserved_size;
        return explain(queue, &(struct put){ .size = size }, failed, "brood_queue_commit", BROOD_FOREVER);
    }
    loan_give(self, loan);
    return 0;
}

int brood_queue_withdraw(brood_queue *memory, void *reserved)
{
    struct queue *queue = queue_in(memory);
    if (!queue)
        return queue_refuse(memory, "brood_queue_withdraw");
    struct thread *self = thread_self();
    struct loan *loan = find_reserved(self, queue, reserved, "brood_queue_withdraw");
    if (!loan)
        return -EPERM;
    atomic_store(&loan->state, LOAN_FREE);
    loan_give(self, loan);
    return 0;
}
