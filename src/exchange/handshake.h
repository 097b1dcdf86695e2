/* exchange/handshake.h: the proof of a key, both ways, as Python's multiprocessing.connection does it. No I/O: bytes
 * come in and go out.
 *
 *   listener                                client
 *   #CHALLENGE#{sha256}random    ------>
 *                                <------    {sha256}HMAC of all behind #CHALLENGE#
 *   #WELCOME# or #FAILURE#       ------>    and then the same the other way round
 *
 * Python up to 3.11 knows but MD5: its challenge is 20 random bytes, its answer 16 bytes of HMAC, without names. It
 * takes our challenge, name and all, as the bytes to sign. Which digest signs is the answerer's choice, but the name
 * that the challenge carries is signed along, so nobody in between can change it.
 *
 * The same bytes are signed both ways, so who has no key, and takes a listener's place, could have one client sign what
 * another asks it. Hence a client's challenge of ours says that it is one, and no client of ours signs such: 24 of its
 * bytes are random. (A client of Python's does sign it.)
 */
#ifndef EXCHANGE_HANDSHAKE_H
#define EXCHANGE_HANDSHAKE_H

#include "exchange/frame.h"
#include "exchange/seal.h"

#include <stdbool.h>
#include <stddef.h>

#define HANDSHAKE_MOST 256  /* bytes of a message: Python's bound too */
#define HANDSHAKE_RANDOM 40 /* bytes */

struct handshake {
    const struct seal *seal;
    const void *key; /* the owner's; must stay */
    size_t key_size;
    bool weak, listens;
    enum { HANDSHAKE_CHALLENGE, HANDSHAKE_ANSWER, HANDSHAKE_VERDICT, HANDSHAKE_DONE, HANDSHAKE_REFUSED } awaits;
    unsigned char random[HANDSHAKE_RANDOM];
    unsigned char in[FRAME_HEADER + HANDSHAKE_MOST];
    size_t have;
    unsigned char out[2 * FRAME_SHORT + 128]; /* to be sent: [sent, ready) */
    size_t sent, ready;
    const char *why; /* it was refused */
};

/* `random`: fresh from the system. */
void handshake_begin(struct handshake *shake, const struct seal *seal, const void *key, size_t key_size, bool weak,
                     bool listens, const unsigned char random[static HANDSHAKE_RANDOM]);

/* How many bytes to read next, to where; all that is to be sent must have been sent before. 0: no more. It never asks
 * for a byte that is not the handshake's. */
size_t handshake_wants(struct handshake *shake, unsigned char **where);

/* So many of them have been read. 0; or, with `why`, -EPROTO: nothing of this protocol; -EACCES: the key was not
 * proved, or ours was refused; -ENOTSUP: the other end has but weak digests. What is to be sent should be sent even so:
 * it tells the other end. */
int handshake_took(struct handshake *shake, size_t count);

static inline bool handshake_done(const struct handshake *shake)
{
    return shake->awaits == HANDSHAKE_DONE && shake->sent == shake->ready;
}

#endif
