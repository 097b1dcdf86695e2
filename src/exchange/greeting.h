/* exchange/greeting.h: what comes before the first message: TLS, then the proof of the key, over one stream. Either
 * side, step by step, never waiting.
 */
#ifndef EXCHANGE_GREETING_H
#define EXCHANGE_GREETING_H

#include "exchange/handshake.h"
#include "exchange/stream.h"

#include <stdbool.h>

struct greeting {
    struct stream *stream;
    bool sealed, keyed; /* both done: it is over */
    struct handshake shake;
};

/* What both sides are told: `key` NULL: none. */
struct greeting_plan {
    const struct seal *seal; /* NULL: neither key nor TLS */
    void *context;           /* of TLS, or NULL */
    void *key;
    size_t key_size;
    bool weak;
};

/* 0 or -EIO: the system has no random bytes. */
int greeting_begin(struct greeting *greeting, struct stream *stream, const struct greeting_plan *plan, bool listens);

/* Goes as far as it can. 0: it is over. -EAGAIN: go on when there are *events of poll(2). Else it has failed, and `why`
 * goes on after the other end's name: -EPROTO, -EACCES, -ENOTSUP, -EPIPE, or another -errno. */
int greeting_step(struct greeting *greeting, short *events, char why[SEAL_WHY]);

#endif
