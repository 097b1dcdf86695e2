/* brood/listener.h: an address where others connect: processes of other families, other programs, other machines.
 *
 * brood/connection.h says what is spoken, how addresses are written, and what a key is worth. A listener of Python's
 * multiprocessing.connection, with the same key, can be taken for this one, and the other way round.
 *
 * Strangers: whoever connects must first, within handshake_ms, agree on TLS and prove the key, if there are any. Many
 * are heard at once, inside brood_listener_accept, and none holds another up: one that sends garbage, half a message,
 * nothing at all or the wrong key is closed, counted (brood_listener_stat) and told in the log (BROOD_LOG=warning), and
 * the next is accepted. No more than max_pending are heard at a time; others wait in the system's queue. Before it has
 * proved the key nobody can make the listener take in more than 256 bytes, beside what TLS itself needs.
 *
 * There is no hidden thread: strangers are heard while some thread is in accept. brood_listener_fd tells a loop when
 * accept with timeout 0 is worth a call.
 *
 * Crash rule: when the listener's process dies its address is free at once. The file of a "unix:/path" stays then, as
 * nobody is left to remove it; the next listener at that path takes its place (EADDRINUSE: somebody listens there).
 * "unix:@name" and "tcp:" leave nothing.
 *
 * A listener is its process' own: calls from a forked child are EPERM (its address is taken until the child has closed
 * its copy of the descriptor too). Any thread may call. EINVAL (misuse, NULL, bad timeout, bad options, before
 * brood_init) is not repeated below.
 */
#ifndef BROOD_LISTENER_H
#define BROOD_LISTENER_H

#include <brood/connection.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_listener brood_listener;

typedef struct brood_listener_options {
    const char *name; /* in messages; NULL: its address */
    const void *key;  /* who connects must have it: 1 to 65,536 bytes; NULL: anyone may connect */
    size_t key_size;
    bool weak_digests;                     /* with a key: let HMAC-MD5 do, all that Python up to 3.11 has */
    const char *certificate, *private_key; /* TLS (1.2 or later): both or none, PEM */
    const char *authority; /* with TLS: who connects must have a certificate signed by one of these (PEM); NULL: none
                            * is asked for */
    size_t max_message;    /* of each connection: brood/connection.h */
    int max_pending;       /* strangers heard at a time; 0: 64; at most 4,096 */
    int handshake_ms;      /* each may take, from its acceptance on; 0: 5,000 */
    int backlog;           /* connections that the system keeps for accept; 0: 128 */
    void *reserved[8];
} brood_listener_options;

/* What has become of those who connected, since it was created; `pending` and `waiting` are as of now. */
typedef struct brood_listener_stats {
    uint64_t accepted; /* handed out by brood_listener_accept */
    uint64_t refused;  /* a wrong key, MD5 where it is not allowed, a certificate that is not trusted */
    uint64_t garbled;  /* no message of the protocol, or one too long, or no TLS */
    uint64_t late;     /* not done within handshake_ms */
    uint64_t gone;     /* hung up before it was done */
    uint64_t pending;  /* being heard */
    uint64_t waiting;  /* done, for the next accept */
    uint64_t reserved[8];
} brood_listener_stats;

/* Listens. With port 0 the system chooses one: brood_listener_address says which. Yours to brood_listener_destroy.
 * NULL, and errno: EADDRINUSE: somebody listens there, or at the path is a file that is no socket.  EACCES: a port or
 * folder that is not for this user.  EADDRNOTAVAIL: not an address of this machine.  ENOENT: no such host or folder.
 * ENOTSUP: a key or TLS, and there is no libbrood_openssl.  EINVAL: also a certificate or key file that is none, or do
 * not belong together.  EMFILE, ENFILE, ENOMEM. */
BROOD_API brood_listener *brood_listener_create(const char *address, const brood_listener_options *options);

/* Waits for a connection that has proved itself, and hears all who are about to. The connection is the caller's, to
 * brood_connection_close, and may outlive the listener. Several threads may be in here at once.
 * NULL, and errno: ETIMEDOUT: there was none.  EPERM: another process' listener.  EMFILE, ENFILE, ENOMEM: no
 * descriptor, or memory, for one more; it waits. */
BROOD_API brood_connection *brood_listener_accept(brood_listener *listener, int timeout_ms);

/* Where it listens, "tcp:127.0.0.1:40123": for brood_connection_open. The listener's own text. NULL, EINVAL. */
BROOD_API const char *brood_listener_address(const brood_listener *listener);

/* A descriptor for poll(2), epoll and the like: readable (level-triggered) while accept with timeout 0 is worth a
 * call, be it only to hear strangers on or to close late ones. The listener's: it is closed with it. EPERM. */
BROOD_API int brood_listener_fd(brood_listener *listener);

/* Fills in the counts. EPERM. */
BROOD_API int brood_listener_stat(brood_listener *listener, brood_listener_stats *stats);

/* Ends it: closes those that are being heard or wait, and removes the file of a "unix:/path" if it is still its own.
 * NULL is fine. EBUSY: a thread is in accept.  EPERM. */
BROOD_API int brood_listener_destroy(brood_listener *listener);

#ifdef __cplusplus
}
#endif

#endif
