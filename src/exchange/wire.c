/* exchange/wire.c: messages over a stream.
 *
 * Nothing is read ahead: what has not been received is still in the socket, so that the descriptor tells loops the
 * truth and a plain socket can be handed to another process between messages. A header is looked at (MSG_PEEK) and read
 * together with what follows it. A message's last byte is read last of all, when nothing more can fail: until then the
 * descriptor is, or becomes, readable. Only TLS holds plain bytes back that the socket does not show; there the
 * descriptor is a lookout with a flag.
 */
#include "exchange/wire.h"

#include "error/error.h"
#include "exchange/frame.h"
#include "exchange/gate.h"
#include "os/clock.h"
#include "os/lookout.h"
#include "os/thread.h"
#include "region/heap.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_AGAIN 5000000 /* ns until one who polls a TLS connection looks what others have taken out of the socket */

enum fault { SOUND, LATE, SHORT, CUT, LENGTH, LARGE, MEMORY, SEAL };

static const struct {
    int code;
    const char *what;
} faults[] = {
    [LATE] = { ECONNABORTED, "the time was over with a part of a message sent" },
    [SHORT] = { ECONNABORTED, "the system failed with a part of a message sent" },
    [CUT] = { ECONNABORTED, "the other end ended in the middle of a message" },
    [LENGTH] = { EPROTO, "the other end sent a length that is none" },
    [LARGE] = { EPROTO, "the other end sent a message larger than max_message" },
    [MEMORY] = { ECONNABORTED, "there was no memory for a part of a message" },
    [SEAL] = { EPROTO, "TLS failed" },
};

struct brood_connection {
    int32_t process; /* whose it is */
    char name[WIRE_NAME], peer[SOCKET_TEXT];
    size_t max_message;
    struct stream stream;
    _Atomic int fault; /* enum fault: set once */
    _Atomic int calls; /* threads in one: the last thing of it that each touches, so 0 says that it can be freed */
    struct gate sends;

    struct gate receives;               /* of what follows: the message that is coming in */
    unsigned char header[FRAME_HEADER]; /* so much of it has been read */
    size_t have;
    bool announced;       /* the header is known, and `size`; */
    size_t size, unread;  /* so many bytes of the header are in the socket still */
    unsigned char *stash; /* what has come in of it, while no call is at it; NULL: nothing */
    size_t stashed;

    pthread_mutex_t watch; /* of the next two */
    struct lookout lookout;
    _Atomic bool watched; /* there is one */
};

/* ---- life ---- */

brood_connection *wire_create(int fd, const struct socket_address *peer, const struct wire_plan *plan)
{
    brood_connection *end = calloc(1, sizeof *end);
    if (!end)
        return NULL;
    end->process = thread_self()->process;
    end->max_message = plan->max_message ? plan->max_message : WIRE_MESSAGE;
    socket_describe(peer, end->peer);
    if (plan->name)
        snprintf(end->name, sizeof end->name, "connection '%.60s'", plan->name);
    else
        snprintf(end->name, sizeof end->name, "the connection with %.58s", end->peer);
    if (stream_open(&end->stream, fd, plan->seal, plan->context, plan->host) < 0) {
        free(end);
        return NULL;
    }
    gate_init(&end->sends);
    gate_init(&end->receives);
    pthread_mutex_init(&end->watch, NULL);
    return end;
}

struct stream *wire_stream(brood_connection *end)
{
    return &end->stream;
}

static void destroy(brood_connection *end, bool politely)
{
    if (atomic_load(&end->watched))
        lookout_close(&end->lookout);
    stream_close(&end->stream, politely);
    gate_fini(&end->sends);
    gate_fini(&end->receives);
    pthread_mutex_destroy(&end->watch);
    free(end->stash);
    free(end);
}

void wire_discard(brood_connection *end)
{
    destroy(end, false);
}

/* ---- what all calls share ---- */

static int broken(const brood_connection *end)
{
    int fault = atomic_load(&end->fault);
    return fault ? error_set(faults[fault].code, "%s is broken: %s", end->name, faults[fault].what) : 0;
}

/* For good: the other end, and who waits in another thread here, find it closed. */
static int break_off(brood_connection *end, enum fault fault)
{
    int none = SOUND;
    atomic_compare_exchange_strong(&end->fault, &none, (int)fault);
    socket_hang_up(end->stream.fd);
    return broken(end);
}

static int timed_out(const brood_connection *end, const char *what)
{
    return error_set(ETIMEDOUT, "%s: %s in time", end->name, what);
}

static int closed(const brood_connection *end)
{
    int failed = broken(end);
    return failed < 0 ? failed : error_set(EPIPE, "%s: the other end is closed, or its process dead", end->name);
}

/* tcp(7): a machine that does not answer any more shows as one of the last three, once. */
static bool has_ended(ssize_t failed)
{
    return failed == 0 || failed == -EPIPE || failed == -ECONNRESET || failed == -ETIMEDOUT ||
           failed == -EHOSTUNREACH || failed == -ENETUNREACH;
}

/* Of a stream's failure between two messages. */
static int failed_with(brood_connection *end, int failed)
{
    if (has_ended(failed))
        return closed(end);
    if (failed == -EPROTO || failed == -EACCES)
        return break_off(end, SEAL);
    int known = broken(end);
    return known < 0 ? known : error_set(-failed, "%s: %s", end->name, strerror(-failed));
}

static int foreign(const brood_connection *end)
{
    if (end->process == thread_self()->process)
        return 0;
    return error_set(EPERM, "%s is process %d's", end->name, end->process);
}

static int begin_call(brood_connection *end)
{
    int failed = foreign(end);
    if (failed == 0)
        atomic_fetch_add(&end->calls, 1);
    return failed;
}

static int end_call(brood_connection *end, int result)
{
    atomic_fetch_sub(&end->calls, 1);
    return result;
}

/* Goes through a gate, by `deadline`, for a call on it: 0 or -errno, with a sentence. */
static int enter(brood_connection *end, struct gate *gate, int64_t deadline)
{
    int failed = begin_call(end);
    if (failed < 0)
        return failed;
    if (gate_enter(gate, deadline) < 0)
        return end_call(end, timed_out(end, "another thread was not done with it"));
    failed = broken(end);
    if (failed == 0)
        return 0;
    gate_leave(gate);
    return end_call(end, failed);
}

/* The flag of a watched TLS connection says whether there are bytes that the socket does not show. */
static void tell_watch(brood_connection *end)
{
    if (!atomic_load(&end->watched))
        return;
    pthread_mutex_lock(&end->watch);
    lookout_raise(&end->lookout, stream_hidden(&end->stream) > 0);
    pthread_mutex_unlock(&end->watch);
}

static int leave(brood_connection *end, struct gate *gate, int result)
{
    if (gate == &end->receives)
        tell_watch(end);
    gate_leave(gate);
    return end_call(end, result);
}

/* ---- sending ---- */

static int send_whole(brood_connection *end, const void *message, size_t size, int64_t deadline)
{
    static const char late[] = "there was no room to send";
    unsigned char header[FRAME_HEADER];
    size_t header_size = frame_write(header, size), sent = 0, total = header_size + size;
    /* What TLS has begun must be ended: so there must be room before it begins. */
    bool begun = false;
    if (end->stream.seal) {
        if (socket_wait(end->stream.fd, POLLOUT, deadline) == -ETIMEDOUT)
            return timed_out(end, late);
        begun = true;
    }
    while (sent < total) {
        short events;
        size_t of_header = sent < header_size ? header_size - sent : 0;
        size_t of_message = sent > header_size ? sent - header_size : 0;
        ssize_t taken = stream_write(&end->stream, header + header_size - of_header, of_header,
                                     (const char *)message + of_message, size - of_message, &events);
        if (taken >= 0) {
            sent += (size_t)taken;
            begun = true;
        } else if (taken != -EAGAIN) { /* as ENOBUFS: the next message must not go out behind a part of this one */
            return sent && !has_ended(taken) && taken != -EPROTO ? break_off(end, SHORT) : failed_with(end, (int)taken);
        } else if (socket_wait(end->stream.fd, events, deadline) < 0) {
            return begun ? break_off(end, LATE) : timed_out(end, late);
        } else if (atomic_load(&end->fault)) {
            return broken(end);
        }
    }
    return 0;
}

static int wire_send(brood_connection *end, const void *message, size_t size, int64_t deadline)
{
    int failed = enter(end, &end->sends, deadline);
    if (failed < 0)
        return failed;
    return leave(end, &end->sends, send_whole(end, message ? message : "", size, deadline));
}

static int not_for_descriptors(const brood_connection *end)
{
    if (!end->stream.seal && strncmp(end->peer, "unix:", 5) == 0)
        return 0;
    return error_set(EOPNOTSUPP, "%s: descriptors go over Unix sockets without TLS only", end->name);
}

static int wire_send_fd(brood_connection *end, int fd, int64_t deadline)
{
    int failed = enter(end, &end->sends, deadline);
    if (failed < 0)
        return failed;
    failed = not_for_descriptors(end);
    while (failed == 0) {
        int sent = socket_send_fd(end->stream.fd, fd);
        if (sent == 0)
            break;
        if (sent != -EAGAIN)
            failed = failed_with(end, sent);
        else if (socket_wait(end->stream.fd, POLLOUT, deadline) < 0)
            failed = timed_out(end, "there was no room to send");
    }
    return leave(end, &end->sends, failed);
}

/* ---- receiving ---- */

/* Until a message is announced: 0, or -errno with a sentence. */
static int announce(brood_connection *end, int64_t deadline)
{
    while (!end->announced) {
        short events;
        unsigned char header[2 * FRAME_HEADER];
        uint64_t size = 0;
        size_t want;
        memcpy(header, end->header, end->have);
        ssize_t seen = stream_peek(&end->stream, header + end->have, FRAME_HEADER - end->have, &events);
        if (seen == -EAGAIN) {
            if (socket_wait(end->stream.fd, events, deadline) < 0)
                return timed_out(end, "no message came");
            continue;
        }
        if (seen == -EBADMSG && end->have == 0)
            return error_set(EPROTO, "%s: a descriptor is next, no message", end->name);
        if (seen <= 0)
            return end->have ? break_off(end, seen == -EBADMSG ? LENGTH : CUT) : failed_with(end, (int)seen);
        int length = frame_read(header, end->have + (size_t)seen, &size, &want);
        if (length < 0)
            return break_off(end, LENGTH);
        if (length > 0) {
            if (size > end->max_message)
                return break_off(end, LARGE);
            end->size = (size_t)size;
            end->unread = (size_t)length - end->have;
            end->announced = true;
        } else {
            ssize_t got = stream_read(&end->stream, end->header + end->have, (size_t)seen, &events);
            if (got > 0)
                end->have += (size_t)got;
        }
    }
    return 0;
}

/* The message has been handed out: the next may come. */
static int delivered(brood_connection *end)
{
    free(end->stash);
    end->stash = NULL;
    end->stashed = end->have = end->unread = 0;
    end->announced = false;
    return 0;
}

/* Reads what there is, the rest of the header and then up to `most` bytes of the message. > 0: so many bytes of the
 * message, or of the header only (0 of the message: *none); -EAGAIN; or it is broken, with a sentence. */
static ssize_t read_on(brood_connection *end, unsigned char *place, size_t most, short *events)
{
    unsigned char rest[FRAME_HEADER];
    ssize_t got = stream_read_both(&end->stream, rest, end->unread, place, most, events);
    if (got == -EAGAIN)
        return -EAGAIN;
    if (got <= 0)
        return break_off(end, got == -EPROTO ? SEAL : CUT);
    size_t of_header = (size_t)got < end->unread ? (size_t)got : end->unread;
    end->unread -= of_header;
    return got - (ssize_t)of_header;
}

/* Room for the message, in which what has come is kept. false: no memory. */
static bool make_stash(brood_connection *end)
{
    if (!end->stash)
        end->stash = malloc(end->size ? end->size : 1);
    return end->stash;
}

/* What has come in at `place`, up to `filled`, is kept for another call. 0, or it is broken. */
static int keep(brood_connection *end, const unsigned char *place, size_t filled)
{
    if (filled == end->stashed)
        return 0;
    if (!make_stash(end))
        return break_off(end, MEMORY);
    memcpy(end->stash + end->stashed, place + end->stashed, filled - end->stashed);
    end->stashed = filled;
    return 0;
}

static int receive(brood_connection *end, unsigned char *buffer, size_t size, size_t *got, int64_t deadline)
{
    int failed = announce(end, deadline);
    if (failed < 0)
        return failed;
    if (got ? end->size > size : end->size != size) {
        if (got)
            *got = end->size;
        return error_set(EMSGSIZE, "%s: the message has %zu bytes, the buffer %zu", end->name, end->size, size);
    }
    size_t filled = end->stashed;
    if (filled)
        memcpy(buffer, end->stash, filled);
    while (end->unread || filled < end->size) {
        short events;
        ssize_t more = read_on(end, buffer + filled, end->size - filled, &events);
        if (more >= 0) {
            filled += (size_t)more;
        } else if (more != -EAGAIN) {
            return (int)more;
        } else if (socket_wait(end->stream.fd, events, deadline) < 0) {
            failed = keep(end, buffer, filled);
            return failed < 0 ? failed : timed_out(end, "the message did not come wholly");
        }
    }
    if (got)
        *got = end->size;
    return delivered(end);
}

static int wire_recv(brood_connection *end, void *buffer, size_t size, size_t *got, int64_t deadline)
{
    unsigned char none;
    int failed = enter(end, &end->receives, deadline);
    if (failed < 0)
        return failed;
    return leave(end, &end->receives, receive(end, buffer ? buffer : &none, size, got, deadline));
}

/* Reads the rest of the message, of which all is there or but the last byte is to come, into a block. 1: done; 0: it
 * was not all there; or -errno. The block is nobody's until then, so it is not held while waiting. */
static int receive_rest(brood_connection *end, brood_block *message, short *events)
{
    unsigned char *block = heap_take(end->size, false);
    if (!block)
        return error_set(ENOMEM, "%s: no memory in the region for a message of %zu bytes", end->name, end->size);
    size_t filled = end->stashed;
    if (filled)
        memcpy(block, end->stash, filled);
    ssize_t more = read_on(end, block + filled, end->size - filled, events);
    if (more >= 0)
        filled += (size_t)more;
    if (more >= 0 && filled == end->size && end->unread == 0) {
        *message = (brood_block){ .data = block, .size = end->size };
        delivered(end);
        return 1;
    }
    int failed = more >= 0 ? keep(end, block, filled) : (int)more;
    heap_give(block, NULL);
    return failed;
}

static int receive_block(brood_connection *end, brood_block *message, int64_t deadline)
{
    int failed = announce(end, deadline);
    while (failed == 0) {
        short events = POLLIN;
        size_t rest = end->size - end->stashed;
        if (rest <= 1 || stream_available(&end->stream) >= end->unread + rest) {
            failed = receive_rest(end, message, &events);
            if (failed == 1)
                return 0;
        } else if (!make_stash(end)) {
            return error_set(ENOMEM, "%s: no memory for a message of %zu bytes", end->name, end->size);
        } else {
            ssize_t more = read_on(end, end->stash + end->stashed, rest - 1, &events);
            if (more >= 0)
                end->stashed += (size_t)more;
            failed = more < 0 ? (int)more : 0;
        }
        if (failed == -EAGAIN)
            failed = socket_wait(end->stream.fd, events, deadline) < 0
                         ? timed_out(end, "the message did not come wholly")
                         : 0;
    }
    return failed;
}

static int wire_recv_block(brood_connection *end, brood_block *message, int64_t deadline)
{
    int failed = enter(end, &end->receives, deadline);
    return failed < 0 ? failed : leave(end, &end->receives, receive_block(end, message, deadline));
}

static int receive_fd(brood_connection *end, int64_t deadline)
{
    int failed = not_for_descriptors(end);
    if (failed < 0)
        return failed;
    for (;;) {
        if (end->announced || end->have)
            return error_set(EPROTO, "%s: a message is next, no descriptor", end->name);
        int fd = socket_receive_fd(end->stream.fd);
        if (fd >= 0)
            return fd;
        if (fd == -EBADMSG)
            return error_set(EPROTO, "%s: a message is next, no descriptor", end->name);
        if (fd != -EAGAIN)
            return failed_with(end, fd);
        if (socket_wait(end->stream.fd, POLLIN, deadline) < 0)
            return timed_out(end, "no descriptor came");
    }
}

static int wire_recv_fd(brood_connection *end, int64_t deadline)
{
    int failed = enter(end, &end->receives, deadline);
    return failed < 0 ? failed : leave(end, &end->receives, receive_fd(end, deadline));
}

/* ---- waiting ---- */

/* A look at a TLS session takes what it finds out of the socket, on which whoever receives sleeps: so it is his who is
 * at that, and others see only what he has left. */
static ssize_t look(brood_connection *end, short *events)
{
    unsigned char byte;
    if (!end->stream.seal)
        return stream_peek(&end->stream, &byte, 1, events);
    *events = 0;
    if (gate_enter(&end->receives, 0) < 0)
        return stream_hidden(&end->stream) > 0 ? 1 : -EAGAIN;
    ssize_t seen = stream_peek(&end->stream, &byte, 1, events);
    tell_watch(end);
    gate_leave(&end->receives);
    return seen;
}

static int await_news(brood_connection *end, int64_t deadline)
{
    int failed = broken(end);
    if (failed < 0)
        return failed;
    for (;;) {
        short events;
        bool last = deadline != CLOCK_NEVER && clock_now() >= deadline;
        if (look(end, &events) != -EAGAIN)
            return broken(end); /* what it is the call that receives it says */
        int64_t again = end->stream.seal ? clock_now() + LOOK_AGAIN : deadline;
        int waited = last ? -ETIMEDOUT : socket_wait(end->stream.fd, events, again < deadline ? again : deadline);
        if (last || (waited < 0 && waited != -ETIMEDOUT))
            return timed_out(end, "nothing came");
    }
}

static int wire_poll(brood_connection *end, int64_t deadline)
{
    int failed = begin_call(end);
    return failed < 0 ? failed : end_call(end, await_news(end, deadline));
}

static int descriptor(brood_connection *end)
{
    int failed = 0;
    if (!end->stream.seal)
        return end->stream.fd;
    pthread_mutex_lock(&end->watch);
    if (!atomic_load(&end->watched)) {
        failed = lookout_open(&end->lookout);
        if (failed == 0 && (failed = lookout_equip(&end->lookout, false)) == 0 &&
            (failed = lookout_add(&end->lookout, end->stream.fd, NULL, true, false)) == 0 &&
            (failed = lookout_raise(&end->lookout, stream_hidden(&end->stream) > 0)) == 0)
            atomic_store(&end->watched, true);
        else if (end->lookout.fd >= 0)
            lookout_close(&end->lookout);
    }
    pthread_mutex_unlock(&end->watch);
    if (failed < 0)
        return error_set(-failed, "%s: no descriptor to watch: %s", end->name, strerror(-failed));
    return end->lookout.fd;
}

static int wire_fd(brood_connection *end)
{
    int failed = begin_call(end);
    return failed < 0 ? failed : end_call(end, descriptor(end));
}

static const char *wire_peer(const brood_connection *end)
{
    return end->peer;
}

static int wire_close(brood_connection *end)
{
    int failed = foreign(end);
    if (failed < 0)
        return failed;
    if (atomic_load(&end->calls))
        return error_set(EBUSY, "%s: a thread is in a call on it", end->name);
    destroy(end, true);
    return 0;
}

const struct connection_kind wire_kind = {
    .send = wire_send,
    .recv = wire_recv,
    .recv_block = wire_recv_block,
    .send_fd = wire_send_fd,
    .recv_fd = wire_recv_fd,
    .poll = wire_poll,
    .fd = wire_fd,
    .peer = wire_peer,
    .close = wire_close,
};
