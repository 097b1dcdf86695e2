/* exchange/wire.h: the connection that goes over a socket.
 */
#ifndef EXCHANGE_WIRE_H
#define EXCHANGE_WIRE_H

#include "exchange/connection.h"
#include "exchange/stream.h"
#include "os/socket.h"

#define WIRE_MESSAGE ((size_t)64 << 20) /* the default of max_message */
#define WIRE_NAME 80

struct wire_plan {
    const char *name; /* or NULL; copied */
    size_t max_message;
    const struct seal *seal; /* with a context: TLS */
    void *context;
    const char *host;
};

/* Makes one of a connected socket, which it owns from then on. NULL: no memory, and the socket is still the
 * caller's. */
brood_connection *wire_create(int fd, const struct socket_address *peer, const struct wire_plan *plan);

/* Its stream, for the greeting before the first message. */
struct stream *wire_stream(brood_connection *end);

/* Ends one that nobody else knows, without a goodbye. */
void wire_discard(brood_connection *end);

#endif
