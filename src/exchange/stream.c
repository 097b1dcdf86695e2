/* exchange/stream.c */
#include "exchange/stream.h"

#include "os/socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define JOINED 16384 /* a TLS record: small messages go with their header in one */

static ssize_t line_read(void *line, void *bytes, size_t size)
{
    const struct stream *stream = line;
    return socket_read(stream->fd, bytes, size);
}

static ssize_t line_write(void *line, const void *bytes, size_t size)
{
    const struct stream *stream = line;
    return socket_write(stream->fd, NULL, 0, bytes, size);
}

int stream_open(struct stream *stream, int fd, const struct seal *seal, void *context, const char *host)
{
    *stream = (struct stream){ .fd = fd, .seal = context ? seal : NULL };
    if (!context)
        return 0;
    struct seal_line line = { .read = line_read, .write = line_write, .line = stream };
    stream->session = seal->session_create(context, &line, host);
    if (!stream->session)
        return -ENOMEM;
    pthread_mutex_init(&stream->guard, NULL);
    return 0;
}

void stream_close(struct stream *stream, bool politely)
{
    if (stream->seal) {
        if (politely)
            stream->seal->close(stream->session);
        stream->seal->session_destroy(stream->session);
        pthread_mutex_destroy(&stream->guard);
    }
    close(stream->fd);
}

static short events_of(int waits)
{
    return waits == SEAL_WRITES ? POLLOUT : POLLIN;
}

int stream_agree(struct stream *stream, short *events, char why[SEAL_WHY])
{
    if (!stream->seal)
        return 0;
    pthread_mutex_lock(&stream->guard);
    int result = stream->seal->agree(stream->session, why);
    pthread_mutex_unlock(&stream->guard);
    if (result <= 0)
        return result;
    *events = events_of(result);
    return -EAGAIN;
}

static ssize_t sealed_read(struct stream *stream, void *bytes, size_t size, bool keep, short *events)
{
    int waits = SEAL_READS;
    pthread_mutex_lock(&stream->guard);
    ssize_t got = stream->seal->read(stream->session, bytes, size, keep, &waits);
    pthread_mutex_unlock(&stream->guard);
    *events = events_of(waits);
    return got;
}

ssize_t stream_peek(struct stream *stream, void *bytes, size_t size, short *events)
{
    *events = POLLIN;
    return stream->seal ? sealed_read(stream, bytes, size, true, events) : socket_peek(stream->fd, bytes, size);
}

ssize_t stream_read(struct stream *stream, void *bytes, size_t size, short *events)
{
    *events = POLLIN;
    return stream->seal ? sealed_read(stream, bytes, size, false, events) : socket_read(stream->fd, bytes, size);
}

ssize_t stream_read_both(struct stream *stream, void *first, size_t first_size, void *second, size_t second_size,
                         short *events)
{
    *events = POLLIN;
    if (second_size == 0 || first_size == 0)
        return first_size ? stream_read(stream, first, first_size, events)
                          : stream_read(stream, second, second_size, events);
    if (!stream->seal)
        return socket_read_both(stream->fd, first, first_size, second, second_size);
    ssize_t got = sealed_read(stream, first, first_size, false, events);
    if (got != (ssize_t)first_size)
        return got;
    ssize_t more = sealed_read(stream, second, second_size, false, events);
    return more > 0 ? got + more : got; /* the end or a failure shows again with the next read */
}

static ssize_t sealed_write(struct stream *stream, const void *bytes, size_t size, short *events)
{
    int waits = SEAL_WRITES;
    pthread_mutex_lock(&stream->guard);
    ssize_t sent = stream->seal->write(stream->session, bytes, size, &waits);
    pthread_mutex_unlock(&stream->guard);
    *events = events_of(waits);
    return sent;
}

ssize_t stream_write(struct stream *stream, const void *first, size_t first_size, const void *second,
                     size_t second_size, short *events)
{
    *events = POLLOUT;
    if (!stream->seal)
        return socket_write(stream->fd, first, first_size, second, second_size);
    /* A write that has to wait is repeated by the caller with the same places, so the same bytes are joined again. */
    if (first_size && second_size && first_size < JOINED) {
        char joined[JOINED];
        size_t part = second_size < sizeof joined - first_size ? second_size : sizeof joined - first_size;
        memcpy(joined, first, first_size);
        memcpy(joined + first_size, second, part);
        return sealed_write(stream, joined, first_size + part, events);
    }
    return first_size ? sealed_write(stream, first, first_size, events)
                      : sealed_write(stream, second, second_size, events);
}

size_t stream_hidden(struct stream *stream)
{
    if (!stream->seal)
        return 0;
    pthread_mutex_lock(&stream->guard);
    size_t pending = stream->seal->pending(stream->session);
    pthread_mutex_unlock(&stream->guard);
    return pending;
}

size_t stream_available(struct stream *stream)
{
    return stream->seal ? stream_hidden(stream) : socket_available(stream->fd);
}
