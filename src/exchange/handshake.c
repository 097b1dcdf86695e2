/* exchange/handshake.c */
#include "exchange/handshake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CHALLENGE "#CHALLENGE#"
#define WELCOME "#WELCOME#"
#define FAILURE "#FAILURE#"
#define OUR_DIGEST "{sha256}"

#define LENGTH(text) (sizeof(text) - 1)
#define CLIENTS "brood's client: " /* what a client's challenge has in place of its first random bytes */
#define OLD_CHALLENGE 20           /* bytes of Python's up to 3.11 */
#define OLD_ANSWER 16              /* HMAC-MD5 */
#define PREFIX_MOST 10             /* "{sha3_256}" */

static const struct digest {
    const char *name;
    size_t size;
    bool weak;
} digests[] = {
    { "sha256", 32, false },   { "sha384", 48, false },     { "sha3_256", 32, false },
    { "sha3_384", 48, false }, { "md5", OLD_ANSWER, true },
};

#define DIGESTS (sizeof digests / sizeof *digests)

static const struct digest *const md5 = &digests[DIGESTS - 1];

static void send_frame(struct handshake *shake, const char *text, size_t text_size, const void *bytes, size_t size)
{
    unsigned char header[FRAME_HEADER];
    size_t header_size = frame_write(header, text_size + size);
    unsigned char *to = shake->out + shake->ready;
    memcpy(to, header, header_size);
    memcpy(to + header_size, text, text_size);
    memcpy(to + header_size + text_size, bytes, size);
    shake->ready += header_size + text_size + size;
}

static void send_text(struct handshake *shake, const char *text)
{
    send_frame(shake, text, strlen(text), "", 0);
}

static void challenge(struct handshake *shake)
{
    if (!shake->listens)
        memcpy(shake->random, CLIENTS, LENGTH(CLIENTS));
    send_frame(shake, CHALLENGE OUR_DIGEST, LENGTH(CHALLENGE OUR_DIGEST), shake->random, sizeof shake->random);
    shake->awaits = HANDSHAKE_ANSWER;
}

void handshake_begin(struct handshake *shake, const struct seal *seal, const void *key, size_t key_size, bool weak,
                     bool listens, const unsigned char random[static HANDSHAKE_RANDOM])
{
    memset(shake, 0, sizeof *shake);
    shake->seal = seal;
    shake->key = key;
    shake->key_size = key_size;
    shake->weak = weak;
    shake->listens = listens;
    memcpy(shake->random, random, sizeof shake->random);
    if (listens)
        challenge(shake);
    else
        shake->awaits = HANDSHAKE_CHALLENGE;
}

size_t handshake_wants(struct handshake *shake, unsigned char **where)
{
    if (shake->awaits == HANDSHAKE_DONE || shake->awaits == HANDSHAKE_REFUSED)
        return 0;
    uint64_t size = 0;
    size_t want;
    int header = frame_read(shake->in, shake->have, &size, &want);
    *where = shake->in + shake->have;
    return header > 0 ? (size_t)header + (size_t)size - shake->have : want - shake->have;
}

static int refuse(struct handshake *shake, int failed, const char *why)
{
    shake->awaits = HANDSHAKE_REFUSED;
    shake->why = why;
    return failed;
}

/* The digest that "{name}" at the beginning of a message says, and how long that is; NULL: none that is known. */
static const struct digest *read_digest(const unsigned char *message, size_t size, size_t *length)
{
    for (size_t i = 0; i < DIGESTS; i++) {
        char prefix[PREFIX_MOST + 1];
        int prefix_size = snprintf(prefix, sizeof prefix, "{%s}", digests[i].name);
        if (size > (size_t)prefix_size && memcmp(message, prefix, (size_t)prefix_size) == 0) {
            *length = (size_t)prefix_size;
            return &digests[i];
        }
    }
    return NULL;
}

static const char too_weak[] = "it knows no digest but MD5, which is not allowed here (weak_digests)";

/* Signs the other end's challenge. */
static int answer(struct handshake *shake, const unsigned char *message, size_t size)
{
    if (size < LENGTH(CHALLENGE) + OLD_CHALLENGE || memcmp(message, CHALLENGE, LENGTH(CHALLENGE)) != 0)
        return refuse(shake, -EPROTO, "it sent no challenge");
    message += LENGTH(CHALLENGE);
    size -= LENGTH(CHALLENGE);
    static const char clients[] = OUR_DIGEST CLIENTS;
    if (!shake->listens && size >= LENGTH(clients) && memcmp(message, clients, LENGTH(clients)) == 0)
        return refuse(shake, -EACCES, "it has no key: it wants another client's challenge signed");
    size_t length = 0;
    const struct digest *digest = size == OLD_CHALLENGE ? md5 : read_digest(message, size, &length);
    if (!digest)
        return refuse(shake, -EPROTO, "its challenge names no digest that is known");
    if (digest->weak && !shake->weak)
        return refuse(shake, -ENOTSUP, too_weak);
    unsigned char mac[SEAL_MAC_MOST];
    if (shake->seal->hmac(digest->name, shake->key, shake->key_size, message, size, mac) != (int)digest->size)
        return refuse(shake, -ENOTSUP, "OpenSSL does not have the digest it wants");
    send_frame(shake, (const char *)message, length, mac, digest->size);
    shake->awaits = HANDSHAKE_VERDICT;
    return 0;
}

/* Looks at the signature of our challenge. */
static int verify(struct handshake *shake, const unsigned char *message, size_t size)
{
    static const char wrong[] = "it did not prove to have the key";
    size_t length = 0;
    const struct digest *digest = size == OLD_ANSWER ? md5 : read_digest(message, size, &length);
    if (!digest || size - length != digest->size) {
        send_text(shake, FAILURE);
        return refuse(shake, digest ? -EACCES : -EPROTO, digest ? wrong : "its answer names no digest that is known");
    }
    if (digest->weak && !shake->weak) {
        send_text(shake, FAILURE);
        return refuse(shake, -ENOTSUP, too_weak);
    }
    unsigned char mac[SEAL_MAC_MOST], ours[LENGTH(OUR_DIGEST) + HANDSHAKE_RANDOM];
    memcpy(ours, OUR_DIGEST, LENGTH(OUR_DIGEST));
    memcpy(ours + LENGTH(OUR_DIGEST), shake->random, sizeof shake->random);
    if (shake->seal->hmac(digest->name, shake->key, shake->key_size, ours, sizeof ours, mac) != (int)digest->size ||
        !shake->seal->same(mac, message + length, digest->size)) {
        send_text(shake, FAILURE);
        return refuse(shake, -EACCES, wrong);
    }
    send_text(shake, WELCOME);
    shake->awaits = shake->listens ? HANDSHAKE_CHALLENGE : HANDSHAKE_DONE;
    return 0;
}

static int hear(struct handshake *shake, const unsigned char *message, size_t size)
{
    if (size == LENGTH(WELCOME) && memcmp(message, WELCOME, size) == 0) {
        if (shake->listens)
            shake->awaits = HANDSHAKE_DONE;
        else
            challenge(shake);
        return 0;
    }
    if (size == LENGTH(FAILURE) && memcmp(message, FAILURE, size) == 0)
        return refuse(shake, -EACCES, "it refused the key");
    return refuse(shake, -EPROTO, "it neither welcomed nor refused the key");
}

int handshake_took(struct handshake *shake, size_t count)
{
    uint64_t size = 0;
    size_t want;
    shake->have += count;
    int header = frame_read(shake->in, shake->have, &size, &want);
    if (header < 0)
        return refuse(shake, -EPROTO, "it sent a length that is none");
    if (header > 0 && size > HANDSHAKE_MOST)
        return refuse(shake, -EPROTO, "it sent a message too long for a stranger");
    if (header == 0 || shake->have < (size_t)header + (size_t)size)
        return 0;
    shake->have = 0;
    shake->sent = shake->ready = 0; /* all that was to be sent has been */
    const unsigned char *message = shake->in + header;
    switch (shake->awaits) {
    case HANDSHAKE_CHALLENGE:
        return answer(shake, message, (size_t)size);
    case HANDSHAKE_ANSWER:
        return verify(shake, message, (size_t)size);
    case HANDSHAKE_VERDICT:
        return hear(shake, message, (size_t)size);
    case HANDSHAKE_DONE:
    case HANDSHAKE_REFUSED:
        break;
    }
    return 0;
}
