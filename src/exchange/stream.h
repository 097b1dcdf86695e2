/* exchange/stream.h: bytes over a socket, in the clear or by TLS; no call waits.
 *
 * Two threads may be in calls at once. A TLS session is no thing for two, so it has a lock, held for one call of it.
 */
#ifndef EXCHANGE_STREAM_H
#define EXCHANGE_STREAM_H

#include "exchange/seal.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stream {
    int fd;
    const struct seal *seal; /* NULL: in the clear */
    void *session;
    pthread_mutex_t guard; /* of the session */
};

/* Takes the socket over. `context`: of a TLS plan, or NULL. 0, or -ENOMEM: it is still the caller's. */
int stream_open(struct stream *stream, int fd, const struct seal *seal, void *context, const char *host);

/* Says goodbye, where TLS does and `politely`, and closes. */
void stream_close(struct stream *stream, bool politely);

/* TLS agrees on its keys: 0: done, or there is no TLS. -EAGAIN, with *events to wait for; or as seal's `agree`. */
int stream_agree(struct stream *stream, short *events, char why[SEAL_WHY]);

/* How many bytes; 0: the other end has closed; -EAGAIN: wait for *events of poll(2); -EBADMSG, of a look: a descriptor
 * is next; or -errno. stream_peek may show fewer bytes than there are: what was seen must be read to see more. */
ssize_t stream_peek(struct stream *stream, void *bytes, size_t size, short *events);
ssize_t stream_read(struct stream *stream, void *bytes, size_t size, short *events);

/* Reads `first_size` bytes, and then what there is of `second_size` (which may be 0): how many in all. */
ssize_t stream_read_both(struct stream *stream, void *first, size_t first_size, void *second, size_t second_size,
                         short *events);

/* Writes from two places, one after the other: how many bytes of all were taken; or -errno as above. */
ssize_t stream_write(struct stream *stream, const void *first, size_t first_size, const void *second,
                     size_t second_size, short *events);

/* How many bytes can be read at once for sure; those of them that the descriptor does not show. */
size_t stream_available(struct stream *stream);
size_t stream_hidden(struct stream *stream);

#endif
