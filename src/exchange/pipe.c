/* exchange/pipe.c: brood/pipe.h: two queues, one for each direction, whose debts are kept here: whoever has an end owes
 * one of them its messages, and the other one their getting. So a queue's own rules end what waits at the other end.
 */
#include "exchange/pipe.h"
#include "error/error.h"
#include "exchange/connection.h"
#include "exchange/queue.h"
#include "os/clock.h"

#include <brood/wait.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_BYTES ((size_t)1 << 20)

struct pipe;

/* word: its mark makes the memory an end; it is a latch too, of the pipe's first end: held by who closes. user: the
 * slot of a process that has it, the last that was seen to; a hint. The rest is constant. out, in: NULL: it does not
 * send, or receive. */
struct end {
    struct noun noun;
    struct queue *out, *in;
    struct pipe *pipe;
    _Atomic uint64_t user;
};

/* maker: constant. kept: a bit for each end that the maker has not closed; by who holds the latch. over: the queues are
 * gone, and what had an end; under the latch. closers: threads that are in a call to close, and 1 for the pipe until it
 * is over and the maker done with it: who takes away the last frees this. So nobody who has just dropped the latch
 * finds it freed; one that is killed in close keeps it from that. */
struct pipe {
    struct end ends[2];
    slot_id maker;
    uint32_t kept;
    bool over;
    _Atomic uint32_t closers;
    char name[];
};

static const struct noun_kind end_kind = { "pipe", "a", 0x65706970u /* "pipe" */, false, 0 };

#define MARK_OVER 0x72657665u /* of an end whose pipe is over: the maker's to close still */

/* ---- making ---- */

static struct queue *new_queue(const brood_pipe_options *asked)
{
    const brood_queue_options options = { .name = asked->name,
                                          .max_bytes = asked->max_bytes ? asked->max_bytes : DEFAULT_BYTES };
    struct queue *queue = (struct queue *)(void *)brood_queue_create(&options);
    if (queue)
        queue->is_of_pipe = true;
    return queue;
}

static int no_memory(const char *call)
{
    return error_set(ENOMEM, "%s: no memory in the region", call);
}

static void join_ends(struct pipe *pipe, struct queue *there, struct queue *back, const char *name)
{
    pipe->maker = table_self("process");
    pipe->kept = pipe->maker ? 3 : 0;
    atomic_store(&pipe->closers, 1);
    for (int i = 0; i < 2; i++) {
        struct end *end = &pipe->ends[i];
        end->pipe = pipe;
        end->noun.name = name ? memcpy(pipe->name, name, strlen(name) + 1) : NULL;
        end->out = i ? there : back;
        end->in = i ? back : there;
        atomic_store(&end->noun.word.mark, end_kind.mark);
    }
}

int brood_pipe_create(brood_connection *ends[2], const brood_pipe_options *options)
{
    static const char call[] = "brood_pipe_create";
    static const brood_pipe_options defaults;
    const brood_pipe_options *asked = options ? options : &defaults;
    if (region_enter() < 0)
        return -EINVAL;
    if (!ends)
        return error_null(call, "the place for the ends");
    if (error_reserved(call, asked->reserved, sizeof asked->reserved / sizeof(void *)) < 0)
        return -EINVAL;
    struct pipe *pipe = heap_take(sizeof *pipe + (asked->name ? strlen(asked->name) + 1 : 0), true);
    struct queue *there = pipe ? new_queue(asked) : NULL;
    struct queue *back = there && !asked->one_way ? new_queue(asked) : NULL;
    if (!there || (!back && !asked->one_way)) {
        brood_queue_destroy((brood_queue *)(void *)there);
        if (pipe)
            heap_give(pipe, NULL);
        return no_memory(call);
    }
    join_ends(pipe, there, back, asked->name);
    for (int i = 0; i < 2; i++)
        ends[i] = (brood_connection *)(void *)&pipe->ends[i];
    return 0;
}

/* ---- who has an end ---- */

static struct end *marked(const brood_connection *memory, uint32_t mark)
{
    const struct end *end = (const struct end *)(const void *)memory;
    bool is = region_holds(memory, sizeof *end) && (uintptr_t)memory % sizeof(void *) == 0 &&
              atomic_load(&end->noun.word.mark) == mark;
    return is ? (struct end *)(uintptr_t)memory : NULL;
}

static struct end *end_in(const brood_connection *memory, const char *call)
{
    struct end *end = marked(memory, end_kind.mark);
    if (!end)
        error_set(EINVAL, "%s: %p is no connection", call, (const void *)memory);
    return end;
}

static int refuse(const struct end *end, int failed, const char *call)
{
    char text[NOUN_TEXT];
    if (failed == -EPIPE)
        return error_set(EINVAL, "%s: this process has closed that end of %s", call,
                         noun_describe(&end_kind, end, text));
    if (failed == -ETIMEDOUT)
        return error_set(ETIMEDOUT, "%s: others were in the middle of a call on %s all the time", call,
                         noun_describe(&end_kind, end, text));
    return no_memory(call);
}

/* This process has the end from now on. 0, or -errno with a sentence. */
static int have(struct thread *self, struct end *end, int64_t deadline, const char *call)
{
    uint64_t slot = atomic_load_explicit(&wiped->slot, memory_order_relaxed);
    if (slot && atomic_load_explicit(&end->user, memory_order_relaxed) == slot)
        return 0;
    int failed = end->out ? debts_join(self, end->out, &end->out->puts, deadline) : 0;
    if (failed == 0 && end->in)
        failed = debts_join(self, end->in, &end->in->gets, deadline);
    if (failed < 0)
        return refuse(end, failed, call);
    atomic_store_explicit(&end->user, table_self("process"), memory_order_relaxed);
    return 0;
}

/* ---- closing ---- */

static const struct side *side_of(const struct end *end)
{
    return end->out ? &end->out->puts : &end->in->gets;
}

static bool anyone_had(const struct end *end)
{
    return atomic_load(&side_of(end)->debts) != NULL;
}

/* Whether a living process has it: `self`, which may be about to have done with it, counts if `counts`. */
static bool is_had(const struct end *end, slot_id self, bool counts)
{
    const struct side *sides[] = { end->out ? &end->out->puts : NULL, end->in ? &end->in->gets : NULL };
    for (int i = 0; i < 2; i++)
        if (sides[i] && (debts_others(sides[i], self) || (counts && debts_owes(sides[i], self))))
            return true;
    return false;
}

/* The queues go, and whoever has a pointer to an end is refused from now on. The latch is held. */
static int end_pipe(struct thread *self, struct pipe *pipe)
{
    struct queue *queues[] = { pipe->ends[0].in, pipe->ends[1].in };
    for (int i = 0; i < 2; i++)
        if (queues[i] && queue_is_in_use(self, queues[i]))
            return -EBUSY;
    pipe->over = true;
    for (int i = 0; i < 2; i++) {
        atomic_store(&pipe->ends[i].noun.word.mark, MARK_OVER);
        brood_queue_destroy((brood_queue *)(void *)queues[i]);
    }
    return 0;
}

/* What closing is to the one that does it. */
enum closing { CLOSE_NOTHING, CLOSE_HANDED_ON, CLOSE_HAD };

/* Whether it has had the end, or may have it now since nobody ever did; or has only handed it on. -errno with a
 * sentence. The latch is held. */
static int closing_of(struct thread *self, struct end *end, slot_id slot, const char *call)
{
    bool kept = end->pipe->maker == slot && end->pipe->kept & 1u << (end - end->pipe->ends);
    if (debts_owes(side_of(end), slot))
        return CLOSE_HAD;
    if (anyone_had(end)) {
        bool had = debts_ever(side_of(end), slot);
        return kept ? CLOSE_HANDED_ON : had || end->pipe->maker == slot ? refuse(end, -EPIPE, call) : CLOSE_NOTHING;
    }
    int failed = have(self, end, CLOCK_NEVER, call);
    return failed < 0 ? failed : CLOSE_HAD;
}

/* Under the latch. 0, or -errno with a sentence. */
static int close_held(struct thread *self, struct end *end, slot_id slot, const char *call)
{
    char text[NOUN_TEXT];
    struct pipe *pipe = end->pipe;
    const struct end *other = &pipe->ends[end == &pipe->ends[0]];
    int closing = pipe->over ? CLOSE_HANDED_ON : closing_of(self, end, slot, call);
    if (closing <= CLOSE_NOTHING)
        return closing;
    uint32_t kept = pipe->maker == slot ? pipe->kept & ~(1u << (end - pipe->ends)) : pipe->kept;
    if (!pipe->over && anyone_had(other) && !is_had(end, slot, closing != CLOSE_HAD) && !is_had(other, slot, true)) {
        if (end_pipe(self, pipe) < 0)
            return error_set(EBUSY, "%s: a thread is in a call on %s", call, noun_describe(&end_kind, end, text));
    } else if (!pipe->over && closing == CLOSE_HAD) {
        atomic_store(&end->user, 0);
        if (end->out)
            debts_leave(self, end->out, &end->out->puts);
        if (end->in)
            debts_leave(self, end->in, &end->in->gets);
        atomic_store(&end->user, 0); /* another thread's call may have come between */
    }
    pipe->kept = kept;
    return 0;
}

/* Whether its maker will not close it any more: it has, or has ended. */
static bool maker_is_done(const struct pipe *pipe)
{
    return pipe->kept == 0 || !slot_is(slot_of(pipe->maker), pipe->maker);
}

/* The end, there for its maker, who has not closed it, though the pipe may be over; NULL with a sentence. In this
 * order, since that may happen meanwhile. */
static struct end *end_to_close(const brood_connection *memory, const char *call)
{
    struct end *end = marked(memory, end_kind.mark);
    if (end || !(end = marked(memory, MARK_OVER)))
        return end ? end : end_in(memory, call);
    bool kept = end->pipe->maker == table_self("process") && end->pipe->kept & 1u << (end - end->pipe->ends);
    return kept ? end : end_in(memory, call);
}

/* From here on nobody frees the pipe, and only this thread changes who has what of it. */
static void enter(struct thread *self, struct pipe *pipe)
{
    atomic_fetch_add(&pipe->closers, 1);
    latch_take(self, &pipe->ends[0].noun.word, CLOCK_NEVER);
    latch_hold(self, &pipe->ends[0].noun.word);
}

/* `ends`: this call has ended it for all, its maker included. */
static void leave(struct thread *self, struct pipe *pipe, bool ends)
{
    uint32_t mine = ends ? 2 : 1;
    latch_unhold(self, &pipe->ends[0].noun.word);
    latch_drop(self, &pipe->ends[0].noun.word);
    if (atomic_fetch_sub(&pipe->closers, mine) != mine)
        return;
    for (int i = 0; i < 2; i++)
        atomic_store(&pipe->ends[i].noun.word.mark, 0);
    heap_give(pipe, NULL);
}

static int close_end(brood_connection *memory)
{
    static const char call[] = "brood_connection_close";
    struct end *end = end_to_close(memory, call);
    if (!end)
        return -EINVAL;
    struct thread *self = thread_self();
    struct pipe *pipe = end->pipe;
    enter(self, pipe);
    bool was_over = pipe->over && maker_is_done(pipe);
    int failed = was_over ? error_set(EINVAL, "%s: %p is no connection", call, (const void *)memory)
                          : close_held(self, end, table_self("process"), call);
    leave(self, pipe, !was_over && pipe->over && maker_is_done(pipe));
    return failed;
}

int brood_pipe_give(brood_connection *memory, brood_process *process)
{
    static const char call[] = "brood_pipe_give";
    if (region_enter() < 0)
        return -EINVAL;
    struct end *end = end_to_close(memory, call);
    if (!end)
        return -EINVAL;
    if (!process)
        return error_null(call, "the process");
    struct thread *self = thread_self();
    struct pipe *pipe = end->pipe;
    int failed = 0;
    enter(self, pipe);
    if (!pipe->over && end->out)
        failed = debts_lay(self, end->out, &end->out->puts, process, call);
    if (!pipe->over && failed == 0 && end->in)
        failed = debts_lay(self, end->in, &end->in->gets, process, call);
    leave(self, pipe, false);
    return failed == -ENOMEM ? no_memory(call) : failed;
}

/* ---- messages ---- */

static int ms_until(int64_t deadline)
{
    if (deadline == CLOCK_NEVER)
        return BROOD_FOREVER;
    int64_t left = deadline == LATCH_TRY ? 0 : deadline - clock_now();
    int64_t ms = left > 0 ? (left + 999999) / 1000000 : 0;
    return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

/* What a queue said, as a connection says it. */
static int explain(const struct end *end, int result, const char *call)
{
    char text[NOUN_TEXT];
    if (result >= 0)
        return 0; /* also one that has come back from a receiver that died */
    noun_describe(&end_kind, end, text);
    if (result == -EPIPE)
        return error_set(EPIPE, "%s: the other end of %s is closed", call, text);
    if (result == -EOWNERDEAD)
        return error_set(EPIPE, "%s: the other end of %s is gone, and not all that had it returned", call, text);
    return result;
}

/* The end, had by this process, if it sends; NULL with a sentence. */
static struct end *sender(brood_connection *memory, int64_t deadline, const char *call, int *failed)
{
    struct end *end = end_in(memory, call);
    *failed = end ? have(thread_self(), end, deadline, call) : -EINVAL;
    if (*failed == 0 && !end->out)
        *failed = error_set(EINVAL, "%s: this end receives only", call);
    return *failed < 0 ? NULL : end;
}

/* The end, had by this process, if it receives; NULL with a sentence. */
static struct end *receiver(brood_connection *memory, int64_t deadline, const char *call, int *failed)
{
    struct end *end = end_in(memory, call);
    *failed = end ? have(thread_self(), end, deadline, call) : -EINVAL;
    if (*failed == 0 && !end->in)
        *failed = error_set(EINVAL, "%s: this end sends only", call);
    return *failed < 0 ? NULL : end;
}

static int send_message(brood_connection *memory, const void *message, size_t size, int64_t deadline)
{
    static const char call[] = "brood_connection_send";
    int failed;
    struct end *end = sender(memory, deadline, call, &failed);
    if (!end)
        return failed;
    return explain(end, queue_put((brood_queue *)(void *)end->out, message, size, call, ms_until(deadline)), call);
}

static int receive(brood_connection *memory, void *buffer, size_t size, size_t *got, int64_t deadline)
{
    static const char call[] = "brood_connection_recv";
    int failed;
    struct end *end = receiver(memory, deadline, call, &failed);
    if (!end)
        return failed;
    return explain(end, queue_get((brood_queue *)(void *)end->in, buffer, size, got, call, ms_until(deadline)), call);
}

static int receive_block(brood_connection *memory, brood_block *message, int64_t deadline)
{
    static const char call[] = "brood_connection_recv_block";
    int failed;
    struct end *end = receiver(memory, deadline, call, &failed);
    if (!end)
        return failed;
    return explain(end, queue_get_block((brood_queue *)(void *)end->in, message, call, ms_until(deadline)), call);
}

static int send_descriptor(brood_connection *memory, int fd, int64_t deadline)
{
    static const char call[] = "brood_connection_send_fd";
    int failed;
    struct end *end = sender(memory, deadline, call, &failed);
    return end ? explain(end, queue_put_descriptor(end->out, fd, call, ms_until(deadline)), call) : failed;
}

static int receive_descriptor(brood_connection *memory, int64_t deadline)
{
    static const char call[] = "brood_connection_recv_fd";
    int failed;
    struct end *end = receiver(memory, deadline, call, &failed);
    if (!end)
        return failed;
    int fd = queue_get_descriptor(end->in, call, ms_until(deadline));
    return fd < 0 ? explain(end, fd, call) : fd;
}

static int poll_end(brood_connection *memory, int64_t deadline)
{
    int failed;
    struct end *end = receiver(memory, deadline, "brood_connection_poll", &failed);
    if (!end)
        return failed;
    brood_waitable item = { .kind = BROOD_WAIT_QUEUE, .object = end->in };
    int ready = brood_wait(&item, 1, ms_until(deadline));
    return ready > 0 ? 0 : ready;
}

static int descriptor(brood_connection *memory)
{
    static const char call[] = "brood_connection_fd";
    return end_in(memory, call) ? error_set(ENOTSUP, "%s: the end of a pipe has none: brood_watch_fd does it", call)
                                : -EINVAL;
}

static const char *peer(const brood_connection *memory)
{
    const struct end *end = end_in(memory, "brood_connection_peer");
    return end ? (end->noun.name ? end->noun.name : "pipe") : NULL;
}

int pipe_queue(const brood_connection *memory, const char *call, brood_queue **queue)
{
    int failed;
    struct end *end = receiver((brood_connection *)(uintptr_t)memory, LATCH_TRY, call, &failed);
    if (end)
        *queue = (brood_queue *)(void *)end->in;
    return failed;
}

const struct connection_kind pipe_kind = { .send = send_message,
                                           .recv = receive,
                                           .recv_block = receive_block,
                                           .send_fd = send_descriptor,
                                           .recv_fd = receive_descriptor,
                                           .poll = poll_end,
                                           .fd = descriptor,
                                           .peer = peer,
                                           .close = close_end };
