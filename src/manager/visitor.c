/* manager/visitor.c */
#include "manager/visitor.h"

#include "error/log.h"
#include "exchange/frame.h"
#include "exchange/wire.h"
#include "manager/message.h"
#include "manager/session.h"
#include "os/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 4096        /* bytes read at first */
#define ROOM_KEPT 262144 /* more is not kept for the next message */
#define AHEAD 65536      /* bytes read of what follows a request that is under way */
#define HELLO_ROOM 128   /* bytes of the answer to hello */
#define AT_ONCE 32       /* messages that need no server, before other visitors get their turn */

enum { HELLO_VERSION, HELLO_SESSION };

/* in: bytes that have come; out: an answer that is being sent, with its frame. number: of the request under way. */
struct visitor_line {
    struct visitor visitor;
    struct brood_manager *manager;
    struct lookout *lookout;
    brood_connection *end;
    struct stream *stream;
    struct session *session;
    struct channel *channel;
    size_t max_message;
    uint8_t *in, *out;
    size_t in_size, in_room, out_size, out_sent;
    struct item number;
    bool gives;   /* what is being sent is the channel's reply */
    bool unsure;  /* that was sent, and nothing has been heard of it since */
    bool lost;    /* the last answer has not arrived: the server is not told that it has */
    bool closing; /* with the answer that is being sent */
    bool over;    /* the other end has said all */
    bool ending;  /* it has, but not all of it has been read */
    short events; /* of poll(2), that it is watched for */
};

struct visitor *visitor_begin(struct brood_manager *manager, struct lookout *lookout, brood_connection *end,
                              size_t max_message, int64_t hello_by)
{
    struct visitor_line *line = calloc(1, sizeof *line);
    if (!line || lookout_add(lookout, wire_stream(end)->fd, &line->visitor, true, false) < 0) {
        free(line);
        wire_discard(end);
        return NULL;
    }
    line->visitor.line = line;
    line->visitor.hello_by = hello_by;
    line->manager = manager;
    line->lookout = lookout;
    line->end = end;
    line->stream = wire_stream(end);
    line->max_message = max_message ? max_message : WIRE_MESSAGE;
    line->events = POLLIN;
    visitor_look(&line->visitor); /* TLS may have read more than the socket shows */
    return &line->visitor;
}

/* ---- the line ---- */

static void end_line(struct visitor_line *line, const char *why)
{
    if (!line->visitor.ended)
        log_say(BROOD_INFO, "manager '%s': %s: %s", line->manager->name, brood_connection_peer(line->end), why);
    line->visitor.ended = true;
}

static void watch(struct visitor_line *line, short events)
{
    if (events == line->events)
        return;
    line->events = events;
    int fd = line->stream->fd;
    int failed = events == POLLRDHUP
                     ? lookout_await_end(line->lookout, fd, &line->visitor)
                     : lookout_change(line->lookout, fd, &line->visitor, events & POLLIN, events & POLLOUT);
    if (failed < 0)
        end_line(line, "it cannot be watched");
}

/* Of a line that is read no further. */
static bool has_ended(const struct visitor_line *line)
{
    struct pollfd seen = { .fd = line->stream->fd, .events = POLLRDHUP };
    return poll(&seen, 1, 0) > 0;
}

/* Sends what there is. True: all of it. */
static bool send_out(struct visitor_line *line)
{
    while (line->out_sent < line->out_size) {
        short events = 0;
        ssize_t sent =
            stream_write(line->stream, line->out + line->out_sent, line->out_size - line->out_sent, NULL, 0, &events);
        if (sent == -EAGAIN) {
            watch(line, events);
            return false;
        }
        if (sent < 0) {
            end_line(line, "it does not take its answer");
            return false;
        }
        line->out_sent += (size_t)sent;
    }
    free(line->out);
    line->out = NULL;
    line->out_size = line->out_sent = 0;
    line->unsure = line->unsure || line->gives;
    line->gives = false;
    return true;
}

/* Puts an answer there to be sent. */
static void answer(struct visitor_line *line, const struct item *number, int result, const void *content, size_t size)
{
    struct out out = { .bytes = NULL };
    message_answer(&out, number, result, content, size); /* how much it is */
    size_t room = out.size;
    uint8_t *bytes = malloc(FRAME_HEADER + room);
    if (!bytes) {
        end_line(line, "there is no memory for its answer");
        return;
    }
    size_t header = frame_write(bytes, room);
    out = (struct out){ .bytes = bytes + header, .room = room };
    message_answer(&out, number, result, content, size);
    line->out = bytes;
    line->out_size = header + room;
    line->out_sent = 0;
}

static void refuse(struct visitor_line *line, const struct item *number, int failed, const char *sentence)
{
    log_say(BROOD_INFO, "manager '%s': refused %s: %s", line->manager->name, brood_connection_peer(line->end),
            sentence);
    answer(line, number, failed, sentence, strlen(sentence));
}

/* And no more: what follows cannot be understood, or is not wanted. */
static void dismiss(struct visitor_line *line, const struct item *number, int failed, const char *sentence)
{
    refuse(line, number, failed, sentence);
    line->closing = true;
}

/* The bytes of the first message that has come, without its header. 1; 0: it has not come wholly, and *most says how
 * many bytes there should be room for; or -errno: it never will. */
static int first_message(const struct visitor_line *line, const uint8_t **bytes, size_t *size, size_t *whole)
{
    uint64_t length = 0;
    size_t want;
    int header = frame_read(line->in, line->in_size, &length, &want);
    if (header < 0)
        return header;
    if (header > 0 && length > line->max_message)
        return -EMSGSIZE;
    *whole = header > 0 ? (size_t)header + (size_t)length : FRAME_HEADER;
    if (header == 0 || line->in_size < *whole)
        return 0;
    *bytes = line->in + header;
    *size = (size_t)length;
    return 1;
}

static void drop_first(struct visitor_line *line, size_t whole)
{
    line->in_size -= whole;
    if (line->in && line->in_size > 0) {
        memmove(line->in, line->in + whole, line->in_size);
    } else if (line->in_room > ROOM_KEPT) {
        free(line->in);
        line->in = NULL;
        line->in_room = 0;
    }
}

/* Room grows with what has come, and never by what was announced alone. */
static bool make_room(struct visitor_line *line)
{
    if (line->in_size < line->in_room)
        return true;
    size_t room = line->in_room ? 2 * line->in_room : ROOM;
    uint8_t *in = realloc(line->in, room);
    if (!in)
        return false;
    line->in = in;
    line->in_room = room;
    return true;
}

/* Reads once. True: something has come. */
static bool read_in(struct visitor_line *line)
{
    short events = 0;
    if (line->over)
        return false;
    if (!make_room(line)) {
        end_line(line, "there is no memory for its message");
        return false;
    }
    ssize_t got = stream_read(line->stream, line->in + line->in_size, line->in_room - line->in_size, &events);
    if (got == -EAGAIN) {
        watch(line, events);
        return false;
    }
    if (got <= 0) {
        line->over = true;
        return false;
    }
    line->in_size += (size_t)got;
    return true;
}

/* ---- requests ---- */

static void hello(struct visitor_line *line, const struct message *message)
{
    struct item version = { .kind = BROOD_NIL }, secret = { .kind = BROOD_NIL };
    struct cursor arguments = message->arguments;
    char why[MESSAGE_WHY];
    if (message->count > HELLO_VERSION)
        item_next(&arguments, &version);
    if (message->count > HELLO_SESSION)
        item_next(&arguments, &secret);
    if (version.kind != BROOD_INT || message->count > 2 || (secret.kind != BROOD_NIL && secret.kind != BROOD_BYTES)) {
        dismiss(line, &message->number, -EINVAL, "hello takes a version and a session, or nil");
        return;
    }
    if (version.integer != MESSAGE_VERSION) {
        snprintf(why, sizeof why, "this server speaks version %d, not %lld", MESSAGE_VERSION,
                 (long long)version.integer);
        dismiss(line, &message->number, -EPROTO, why);
        return;
    }
    line->session = secret.kind == BROOD_NIL ? session_begin() : session_join(secret.bytes, secret.size);
    if (!line->session) {
        dismiss(line, &message->number, secret.kind == BROOD_NIL ? -ENOMEM : -EINVAL,
                secret.kind == BROOD_NIL ? "the server has no memory for a session" : "there is no such session");
        return;
    }
    line->channel = channel_take(line->manager, &line->manager->board, line->session->number, "hello");
    if (!line->channel) {
        dismiss(line, &message->number, -ENOMEM, "the server has no channel for one more");
        return;
    }
    size_t most = line->manager->limits.message, max_message = line->max_message < most ? line->max_message : most;
    const brood_any pairs[] = {
        brood_any_string("version"),     brood_any_int(MESSAGE_VERSION),
        brood_any_string("manager"),     brood_any_string(line->manager->name),
        brood_any_string("session"),     brood_any_bytes(line->session->secret, SESSION_SECRET),
        brood_any_string("max_message"), brood_any_uint(max_message),
    };
    const brood_any map = brood_any_map(pairs, sizeof pairs / sizeof *pairs / 2);
    uint8_t bytes[HELLO_ROOM];
    size_t size = 0;
    int failed = brood_any_encode(&map, bytes, sizeof bytes, &size);
    line->visitor.hello_by = CLOCK_NEVER;
    answer(line, &message->number, failed, bytes, failed < 0 ? 0 : size);
}

/* To the server. What a visitor closes is a handle of its session. */
static void ask(struct visitor_line *line, const struct message *message)
{
    bool closes = message->operation->type == 0 && message->operation->method == MANAGER_CLOSE;
    size_t size = (size_t)(message->arguments.end - message->arguments.at);
    struct item session = item_int(-line->session->number);
    struct out more = { .bytes = NULL };
    if (closes)
        item_write(&more, &session);
    const struct request request = { .object = message->object,
                                     .method = message->operation->method,
                                     .count = (uint16_t)(message->count + closes),
                                     .type = message->operation->type };
    uint8_t *room = parcel_room(&line->channel->request, sizeof request + size + more.size);
    if (!room) {
        refuse(line, &message->number, -ENOMEM, "the server has no memory for that request");
        return;
    }
    memcpy(room, &request, sizeof request);
    memcpy(room + sizeof request, message->arguments.at, size);
    if (closes) {
        more = (struct out){ .bytes = room + sizeof request + size, .room = more.size };
        item_write(&more, &session);
    }
    line->number = message->number;
    line->visitor.asks = true;
    if (!line->lost) /* who asks for something has its last answer */
        channel_took(line->channel);
    line->lost = line->unsure = false;
    channel_send(thread_self(), &line->manager->board, line->channel);
}

static bool is_of_last(const struct visitor_line *line, const struct message *message)
{
    return message->number.kind == line->number.kind && message->number.natural == line->number.natural;
}

/* Of the last request, which has been answered: whether the answer has arrived. (What was to be cancelled has not
 * waited.) */
static void heed(struct visitor_line *line, const struct message *message)
{
    if (!line->channel || !is_of_last(line, message))
        return;
    if (message->operation->method == LINE_TOOK)
        channel_took(line->channel);
    line->unsure = false;
    line->lost = message->operation->method == LINE_LOST;
    if (line->lost)
        channel_lost(thread_self(), &line->manager->board, line->channel);
}

static void carry_out(struct visitor_line *line, const uint8_t *bytes, size_t size)
{
    struct message message;
    char why[MESSAGE_WHY];
    int failed = message_read(bytes, size, &message, why);
    if (failed < 0) {
        refuse(line, &message.number, failed, why);
        return;
    }
    bool of_line = message.operation->type == 0 && message.operation->method >= LINE_HELLO;
    if (of_line && message.operation->method != LINE_HELLO)
        heed(line, &message);
    else if (of_line && line->session)
        refuse(line, &message.number, -EINVAL, "hello has been said");
    else if (of_line)
        hello(line, &message);
    else if (!line->session)
        dismiss(line, &message.number, -EPROTO, "say hello first");
    else
        ask(line, &message);
}

/* While a request is under way: the first that follows may be that it is not to be waited for any more. False: it is
 * something else, or has not come wholly. */
static bool take_cancel(struct visitor_line *line)
{
    const uint8_t *bytes;
    size_t size, whole;
    struct message message;
    char why[MESSAGE_WHY];
    if (first_message(line, &bytes, &size, &whole) != 1 || message_read(bytes, size, &message, why) < 0 ||
        message.operation->type != 0 || message.operation->method != LINE_CANCEL)
        return false;
    bool of_this = is_of_last(line, &message); /* before the bytes that it lies in are dropped */
    drop_first(line, whole);
    if (of_this)
        channel_cancel(thread_self(), &line->manager->board, line->channel);
    return true;
}

/* Reads on meanwhile, so that the end of the line is seen; with enough read, only that is looked for. Who has gone does
 * not wait, and still gets the answer, if it is only that it has nothing more to say. */
static void await_answer(struct visitor_line *line)
{
    for (int steps = 0; take_cancel(line) || (line->in_size < AHEAD && read_in(line)); steps++)
        if (steps == AT_ONCE || channel_is_answered(line->channel)) {
            line->visitor.more = true;
            return;
        }
    line->ending = line->ending || (line->in_size >= AHEAD && has_ended(line));
    if (line->over || line->ending)
        channel_cancel(thread_self(), &line->manager->board, line->channel);
    if (line->over || line->in_size >= AHEAD)
        watch(line, line->over || line->ending ? 0 : POLLRDHUP);
}

/* The next message of those that have come. False: none has come wholly. */
static bool next_message(struct visitor_line *line)
{
    const struct item nil = { .kind = BROOD_NIL };
    const uint8_t *bytes;
    size_t size, whole;
    int found = first_message(line, &bytes, &size, &whole);
    if (found == 0)
        return false;
    if (found < 0) {
        dismiss(line, &nil, found, found == -EMSGSIZE ? "that message is larger than max_message" : "no length");
        return true;
    }
    carry_out(line, bytes, size);
    drop_first(line, whole);
    return true;
}

void visitor_look(struct visitor *visitor)
{
    struct visitor_line *line = visitor->line;
    visitor->more = false;
    for (int steps = 0; !visitor->ended && send_out(line); steps++) {
        if (line->closing) {
            end_line(line, "dismissed");
        } else if (visitor->asks) {
            await_answer(line);
            return;
        } else if (steps == AT_ONCE) {
            visitor->more = true;
            return;
        } else if (!next_message(line) && !read_in(line)) {
            if (line->over)
                end_line(line, "gone");
            return;
        }
    }
}

bool visitor_is_answered(const struct visitor *visitor)
{
    return visitor->asks && channel_is_answered(visitor->line->channel);
}

void visitor_answer(struct visitor *visitor)
{
    struct visitor_line *line = visitor->line;
    struct parcel *reply = &line->channel->reply;
    size_t size;
    const void *content = parcel_content(reply, &size);
    visitor->asks = false;
    line->gives = true;
    if (content)
        answer(line, &line->number, reply->result, content, size);
    else
        refuse(line, &line->number, -ENOMEM, "the answer is lost");
    parcel_tidy(&line->channel->request, true); /* nothing of a thousand strangers stays in the region */
    parcel_tidy(reply, true);
    visitor_look(visitor);
}

void visitor_late(struct visitor *visitor)
{
    static const char late[] = "hello was not said in time";
    const struct item nil = { .kind = BROOD_NIL };
    struct visitor_line *line = visitor->line;
    if (!visitor->ended && send_out(line)) {
        answer(line, &nil, -ETIMEDOUT, late, sizeof late - 1);
        send_out(line);
    }
    end_line(line, late);
}

void visitor_end(struct visitor *visitor, bool politely)
{
    static const char shut[] = "the manager was shut down";
    const struct item nil = { .kind = BROOD_NIL };
    struct visitor_line *line = visitor->line;
    if (politely && !visitor->ended && send_out(line)) {
        answer(line, &nil, -EPIPE, shut, sizeof shut - 1);
        send_out(line);
    }
    if (line->session) /* first: the server looks for what had a session when it finds a channel left */
        session_leave(line->session);
    if (line->channel && line->unsure)
        channel_doubt(line->channel);
    if (line->channel)
        channel_leave(thread_self(), &line->manager->board, line->channel);
    lookout_drop(line->lookout, line->stream->fd);
    if (politely)
        brood_connection_close(line->end);
    else
        wire_discard(line->end);
    free(line->in);
    free(line->out);
    free(line);
}
