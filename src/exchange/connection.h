/* exchange/connection.h: the kinds of brood_connection: what the public calls are handed on to.
 *
 * A handle of a socket lies in its process' private memory. The ends of pipes lie in the region: so an address says
 * which kind it is.
 */
#ifndef EXCHANGE_CONNECTION_H
#define EXCHANGE_CONNECTION_H

#include <brood/connection.h>
#include <stdint.h>

/* The public calls of brood/connection.h, with checked timeouts: as deadlines (os/clock.h). */
struct connection_kind {
    int (*send)(brood_connection *end, const void *message, size_t size, int64_t deadline);
    int (*recv)(brood_connection *end, void *buffer, size_t size, size_t *got, int64_t deadline);
    int (*recv_block)(brood_connection *end, brood_block *message, int64_t deadline);
    int (*send_fd)(brood_connection *end, int fd, int64_t deadline);
    int (*recv_fd)(brood_connection *end, int64_t deadline);
    int (*poll)(brood_connection *end, int64_t deadline);
    int (*fd)(brood_connection *end);
    const char *(*peer)(const brood_connection *end);
    int (*close)(brood_connection *end);
};

extern const struct connection_kind wire_kind, pipe_kind; /* exchange/wire.c, exchange/pipe.c */

#endif
