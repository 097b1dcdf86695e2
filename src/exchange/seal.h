/* exchange/seal.h: what keys and TLS need of a cryptographic library, as one table of functions.
 *
 * The table is libbrood_openssl's (src/tls/), which is loaded when it is first asked for: so libbrood links nothing
 * but libc, and a program that needs neither keys nor TLS has no OpenSSL in it. The module knows nothing of brood but
 * this header, and reads and writes by what it is given.
 */
#ifndef EXCHANGE_SEAL_H
#define EXCHANGE_SEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SEAL_VERSION 1   /* of the table */
#define SEAL_MAC_MOST 64 /* bytes of a digest */
#define SEAL_WHY 200     /* bytes of a few words why something failed */

struct seal_plan {
    bool listens;
    const char *certificate, *private_key, *authority; /* PEM files, or NULL */
};

/* How a session reads and writes: as socket_read and socket_write. */
struct seal_line {
    ssize_t (*read)(void *line, void *bytes, size_t size);
    ssize_t (*write)(void *line, const void *bytes, size_t size);
    void *line;
};

enum { SEAL_READS = 1, SEAL_WRITES = 2 }; /* positive results: it waits for bytes, or for room for some */

struct seal {
    uint32_t version;

    /* The bytes of mac; -ENOTSUP: it has no such digest. Names are Python's: "sha256", "sha3_384". */
    int (*hmac)(const char *digest, const void *key, size_t key_size, const void *message, size_t size,
                unsigned char mac[SEAL_MAC_MOST]);
    /* In a time that tells nothing of where they differ. */
    bool (*same)(const void *a, const void *b, size_t size);

    /* What all connections of a listener have in common. NULL, with `why`: a file is none. */
    void *(*context_create)(const struct seal_plan *plan, char why[SEAL_WHY]);
    void (*context_destroy)(void *context);

    /* One connection. `host`: whose certificate the other end must have; NULL: of whomever the authority signed. */
    void *(*session_create)(void *context, const struct seal_line *line, const char *host);
    void (*session_destroy)(void *session);
    /* 0: agreed. SEAL_READS, SEAL_WRITES: go on when that can be done. -EACCES: a certificate that is not trusted;
     * -EPIPE: the other end has gone; -EPROTO: it speaks no TLS; with `why`. */
    int (*agree)(void *session, char why[SEAL_WHY]);
    /* How many bytes; 0: the other end has closed; -EAGAIN, with *waits SEAL_READS or SEAL_WRITES; -EPROTO: broken; or
     * as the line says. A write that has said -EAGAIN must be repeated with the same bytes. */
    ssize_t (*read)(void *session, void *bytes, size_t size, bool keep, int *waits);
    ssize_t (*write)(void *session, const void *bytes, size_t size, int *waits);
    size_t (*pending)(void *session); /* bytes that read gives without reading from the line */
    void (*close)(void *session);     /* says so to the other end, if there is room to */
};

/* The table, or NULL with a sentence, errno ENOTSUP. */
const struct seal *seal(const char *call);

#endif
