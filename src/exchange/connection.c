/* exchange/connection.c: the calls on a connection, whatever it goes over. */
#include "exchange/connection.h"

#include "error/error.h"
#include "os/clock.h"
#include "region/region.h"

#include <errno.h>

/* What the end is; NULL, with a sentence: nothing. */
static const struct connection_kind *kind_of(const brood_connection *end, const char *call)
{
    if (!end) {
        error_null(call, "the connection");
        return NULL;
    }
    return region_contains(end) ? &pipe_kind : &wire_kind;
}

/* Both together: what every call with a timeout begins with. */
static const struct connection_kind *kind_until(const brood_connection *end, const char *call, int timeout_ms,
                                                int64_t *deadline)
{
    const struct connection_kind *kind = kind_of(end, call);
    if (kind && timeout_ms < BROOD_FOREVER) {
        error_set(EINVAL, "%s: a timeout of %d ms", call, timeout_ms);
        return NULL;
    }
    *deadline = timeout_ms == 0 ? 0 : clock_deadline(timeout_ms);
    return kind;
}

int brood_connection_send(brood_connection *end, const void *message, size_t size, int timeout_ms)
{
    int64_t deadline;
    const struct connection_kind *kind = kind_until(end, __func__, timeout_ms, &deadline);
    if (kind && !message && size)
        return error_set(EINVAL, "%s: a message of %zu bytes at NULL", __func__, size);
    return kind ? kind->send(end, message, size, deadline) : -EINVAL;
}

int brood_connection_recv(brood_connection *end, void *buffer, size_t size, size_t *got, int timeout_ms)
{
    int64_t deadline;
    const struct connection_kind *kind = kind_until(end, __func__, timeout_ms, &deadline);
    if (kind && !buffer && size)
        return error_set(EINVAL, "%s: a buffer of %zu bytes at NULL", __func__, size);
    return kind ? kind->recv(end, buffer, size, got, deadline) : -EINVAL;
}

int brood_connection_recv_block(brood_connection *end, brood_block *message, int timeout_ms)
{
    int64_t deadline;
    const struct connection_kind *kind = kind_until(end, __func__, timeout_ms, &deadline);
    if (kind && !message)
        return error_set(EINVAL, "%s: there is no place for the block", __func__);
    return kind ? kind->recv_block(end, message, deadline) : -EINVAL;
}

int brood_connection_send_fd(brood_connection *end, int fd, int timeout_ms)
{
    int64_t deadline;
    const struct connection_kind *kind = kind_until(end, __func__, timeout_ms, &deadline);
    return kind ? kind->send_fd(end, fd, deadline) : -EINVAL;
}

int brood_connection_recv_fd(brood_connection *end, int timeout_ms)
{
    int64_t deadline;
    const struct connection_kind *kind = kind_until(end, __func__, timeout_ms, &deadline);
    return kind ? kind->recv_fd(end, deadline) : -EINVAL;
}

int brood_connection_poll(brood_connection *end, int timeout_ms)
{
    int64_t deadline;
    const struct connection_kind *kind = kind_until(end, __func__, timeout_ms, &deadline);
    return kind ? kind->poll(end, deadline) : -EINVAL;
}

int brood_connection_fd(brood_connection *end)
{
    const struct connection_kind *kind = kind_of(end, __func__);
    return kind ? kind->fd(end) : -EINVAL;
}

const char *brood_connection_peer(const brood_connection *end)
{
    const struct connection_kind *kind = kind_of(end, __func__);
    return kind ? kind->peer(end) : NULL;
}

int brood_connection_close(brood_connection *end)
{
    if (!end)
        return 0;
    const struct connection_kind *kind = kind_of(end, __func__);
    return kind ? kind->close(end) : -EINVAL;
}
