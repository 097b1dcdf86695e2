/* exchange/open.c: brood_connection_open and brood_connection_adopt. */
#include "error/error.h"
#include "exchange/credentials.h"
#include "exchange/wire.h"
#include "os/clock.h"
#include "region/region.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS 10000

static const brood_connection_options defaults;

static int check_options(const char *call, const brood_connection_options *options)
{
    int failed = region_enter();
    if (failed < 0)
        return failed;
    if (options->connect_ms < BROOD_FOREVER)
        return error_set(EINVAL, "%s: connect_ms is %d", call, options->connect_ms);
    return error_reserved(call, options->reserved, sizeof options->reserved / sizeof(void *));
}

/* Whose certificate is expected: without a name anybody's would do that the authority has signed. 0 or -errno. */
static int check_host(const char *call, const char *address, const char *host)
{
    if (!host)
        return error_set(EINVAL, "%s: '%s' has no host, and TLS must know whose certificate to expect: set host", call,
                         address);
    size_t length = strlen(host);
    return length && length < SOCKET_HOST ? 0 : error_set(EINVAL, "%s: a host of %zu bytes", call, length);
}

/* Tries one address after the other. The descriptor, or the last one's -errno. */
static int connect_any(const struct socket_places *places, int64_t deadline, const struct socket_address **peer)
{
    int fd = -ENOENT;
    for (int i = 0; i < places->count && fd < 0; i++) {
        *peer = &places->places[i];
        fd = socket_connect(*peer, deadline);
        if (fd == -ETIMEDOUT && clock_now() >= deadline)
            break;
    }
    return fd;
}

/* Until it is over: 0, or -errno with `why`. */
static int greet(struct stream *stream, const struct greeting_plan *plan, int64_t deadline, char why[SEAL_WHY])
{
    struct greeting greeting;
    short events = 0;
    int failed = greeting_begin(&greeting, stream, plan, false);
    if (failed == 0)
        failed = greeting_step(&greeting, &events, why);
    while (failed == -EAGAIN) {
        failed = socket_wait(stream->fd, events, deadline);
        if (failed == 0)
            failed = greeting_step(&greeting, &events, why);
    }
    explicit_bzero(&greeting, sizeof greeting);
    return failed;
}

brood_connection *brood_connection_open(const char *address, const brood_connection_options *options)
{
    struct socket_places places;
    struct greeting_plan plan;
    const struct socket_address *peer = NULL;
    const char *text = NULL;
    const brood_connection_options *given = options ? options : &defaults;
    if (check_options(__func__, given) < 0)
        return NULL;
    if (!address) {
        error_null(__func__, "the address");
        return NULL;
    }
    int64_t deadline = clock_deadline(given->connect_ms ? given->connect_ms : CONNECT_MS);
    int failed = socket_places(address, &places, &text);
    if (failed < 0) {
        error_set(-failed, "%s: '%s': %s", __func__, address, text);
        return NULL;
    }
    const char *host = given->host ? given->host : places.host[0] ? places.host : NULL;
    bool tls = given->tls || given->host || given->authority || given->certificate;
    if (tls && check_host(__func__, address, host) < 0)
        return NULL;
    struct seal_plan files = { false, given->certificate, given->private_key, given->authority };
    if (credentials_read(&plan, __func__, given->key, given->key_size, given->weak_digests, tls, &files) < 0)
        return NULL;
    int fd = connect_any(&places, deadline, &peer);
    if (fd < 0) {
        credentials_forget(&plan);
        error_set(-fd, "%s: '%s': %s", __func__, address, strerror(-fd));
        return NULL;
    }
    struct wire_plan wire = { given->name, given->max_message, plan.seal, plan.context, host };
    brood_connection *end = wire_create(fd, peer, &wire);
    char why[SEAL_WHY] = "";
    failed = end ? greet(wire_stream(end), &plan, deadline, why) : -ENOMEM;
    credentials_forget(&plan);
    if (failed == 0)
        return end;
    if (end)
        wire_discard(end);
    else
        close(fd);
    error_set(-failed, "%s: '%s': %s", __func__, address, why[0] ? why : strerror(-failed));
    return NULL;
}

brood_connection *brood_connection_adopt(int fd, const brood_connection_options *options)
{
    struct socket_address peer;
    const brood_connection_options *given = options ? options : &defaults;
    if (check_options(__func__, given) < 0)
        return NULL;
    int failed = socket_check(fd, &peer);
    if (failed < 0) {
        error_set(-failed, "%s: descriptor %d: %s", __func__, fd, strerror(-failed));
        return NULL;
    }
    struct wire_plan wire = { .name = given->name, .max_message = given->max_message };
    socket_prepare(fd);
    brood_connection *end = wire_create(fd, &peer, &wire);
    if (!end)
        error_set(ENOMEM, "%s: no memory", __func__);
    return end;
}
