/* brood/connection.h: one end of a line between two processes, on which whole messages go both ways.
 *
 * This is the line to anywhere: over a Unix or TCP socket, to a process of another family, another program or another
 * machine. It is made by brood_connection_open here, or brood_listener_accept there (brood/listener.h).
 *
 * What it speaks on the wire is what Python's multiprocessing.connection speaks: Client and Listener of any Python 3
 * are at home at the other end, with send_bytes and recv_bytes. A message is 4 bytes of length, big endian, and its
 * bytes; from 2 GiB on, -1 and 8 bytes of length.
 *
 * Addresses are text: "unix:/path" (at most 107 bytes of path), "unix:@name" (Linux' abstract names: no file, nothing
 * to clean up), "tcp:host:port", "tcp:[::1]:port". A host name is looked up by the system's resolver, whose time is its
 * own: to be sure of a timeout, give numbers.
 *
 * Keys: both ends prove to each other that they have the same key, which itself is not sent. That keeps strangers out
 * and encrypts nothing, and who can put himself between both ends can pass the proofs on: across a network that is not
 * yours, use TLS (and a key or client certificates). Keys and TLS are OpenSSL's work: libbrood_openssl, which libbrood
 * loads when first asked for either. ENOTSUP: it is not installed, and the sentence says so.
 *
 * Crash rule: a process that dies, or a machine that the network loses, is to the other end one that has closed: it
 * receives what was sent wholly, then EPIPE; or ECONNABORTED, if a message was cut in the middle. No message is ever
 * received in part. A lost machine is noticed by TCP's keepalive within a minute; if bytes were on their way to it,
 * only when the system gives up sending them again (tcp(7), tcp_retries2: a quarter of an hour).
 *
 * A connection is its process' own: calls from a forked child are EPERM. Its threads may share it: two that send at
 * once send one whole message after the other, and likewise two that receive. Its descriptor is close-on-exec; a forked
 * child inherits it like any other (brood_process_options.fds), and then the other end sees the end of the line only
 * when the child's copy is closed too. Calls never raise SIGPIPE.
 *
 * Broken: what breaks in the middle of a message cannot be mended. From then on every call but close gives the same
 * code (ECONNABORTED or EPROTO) and sentence, and the other end finds it closed.
 *
 * EINVAL (misuse, NULL, bad timeout, bad options) and EPERM (another process') are not repeated below.
 */
#ifndef BROOD_CONNECTION_H
#define BROOD_CONNECTION_H

#include <brood/block.h>
#include <brood/result.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_connection brood_connection;

typedef struct brood_connection_options {
    const char *name; /* in messages; NULL: the address */
    /* What both ends must have: 1 to 65,536 bytes. NULL: the other end asks for none. */
    const void *key;
    size_t key_size;
    bool weak_digests; /* with a key: accept HMAC-MD5 too, all that Python up to 3.11 has. Else SHA-2 or SHA-3 */
    /* TLS (1.2 or later); it is also on if a file or host below is given. The listener's certificate must be signed by
     * an authority and made out to the address' host, or `host`. Files are PEM. */
    bool tls;
    const char *authority;                 /* whom to trust; NULL: the system's authorities */
    const char *certificate, *private_key; /* ours, for a listener that asks for one; NULL: none */
    const char
        *host; /* the name to expect in the certificate; NULL: that of the address. A Unix one has none: EINVAL */
    size_t max_message; /* bytes of a message to be received; 0: 64 MiB. A larger one breaks the connection */
    int connect_ms;     /* for connecting, TLS and keys together; 0: 10,000; BROOD_FOREVER */
    void *reserved[8];
} brood_connection_options;

/* Connects, and proves the key. Yours to brood_connection_close.
 * NULL, and errno: EINVAL: no address (the sentence says what of it), no good options, a key or TLS file that is none.
 * ENOENT: no such host or path.  ECONNREFUSED: nobody listens there.  ETIMEDOUT: not done within connect_ms.
 * EACCES: the key was refused, or the other end did not prove to have it, or its certificate did not.  EPROTO: what
 * answers speaks something else (also: it has a key or TLS and this side has not, or the other way round, where that
 * does not show as EPIPE or ETIMEDOUT; but with neither here and a key there this succeeds, and the challenge is the
 * first message).  EPIPE: it hung up.  ENOTSUP: it knows no digest but MD5, and weak_digests is not set; or there is no
 * libbrood_openssl.  EMFILE, ENFILE, ENOMEM. Others of connect(2), as EHOSTUNREACH.
 * That a listener does not trust our certificate may show with the first call on the connection only (TLS 1.3): EPROTO
 * or EPIPE. */
BROOD_API brood_connection *brood_connection_open(const char *address, const brood_connection_options *options);

/* Makes a connection of a connected stream socket, which it owns from then on: of one that another process accepted
 * and handed down (brood_process_options.fds, brood_connection_send_fd), or of a socketpair(2). Key and TLS are not
 * looked at: hand sockets on only between messages, and not those that speak TLS.
 * NULL, and errno: EBADF: no descriptor.  ENOTSOCK, EPROTOTYPE: no stream socket.  ENOTCONN.  ENOMEM. */
BROOD_API brood_connection *brood_connection_adopt(int fd, const brood_connection_options *options);

/* Sends a message of `size` bytes, which may be 0, waiting up to `timeout_ms` for room in the system's buffers. 0 does
 * not say that the other end has received it.
 * ETIMEDOUT: not one byte was sent, all is as before.  ECONNABORTED: the time was over, or the system failed, with a
 * part of it sent; so a message larger than the system's buffers (some 200 KiB) should be given time.  EPIPE: the other
 * end is closed, or its process dead, or the line cut, whatever of it was sent. */
BROOD_API int brood_connection_send(brood_connection *end, const void *message, size_t size, int timeout_ms);

/* Receives the next message into `buffer` and sets *got to its size. got NULL: it must have exactly `size` bytes.
 * ETIMEDOUT: none has come wholly; what has come of it is kept.  EMSGSIZE: it is larger than `size` (or, with got NULL,
 * not of that size): it stays, and *got says how large it is.  EPIPE: the other end is closed, or its process dead, and
 * all that came whole has been received.  ECONNABORTED: that, in the middle of a message.  EPROTO: a length that is
 * none, or above max_message; or a descriptor is next (brood_connection_recv_fd): that breaks nothing. */
BROOD_API int brood_connection_recv(brood_connection *end, void *buffer, size_t size, size_t *got, int timeout_ms);

/* Receives the next message into a new block of the region: message->data is yours to brood_free. As above; ENOMEM:
 * there is no room for it: it stays. */
BROOD_API int brood_connection_recv_block(brood_connection *end, brood_block *message, int timeout_ms);

/* Sends a copy of a descriptor, as multiprocessing.reduction.send_handle does; yours stays open. Over Unix sockets, and
 * over pipes (brood/pipe.h).
 * EBADF: it is none.  EOPNOTSUPP: over TCP or TLS.  ETOOMANYREFS: too many are on their way.  ETIMEDOUT, EPIPE. */
BROOD_API int brood_connection_send_fd(brood_connection *end, int fd, int timeout_ms);

/* Receives a descriptor: the result, from 3 on, close-on-exec and yours to close. EPROTO: a message is next, which
 * stays.  EMFILE: no descriptor is free: what was sent is lost (of a pipe, it stays).
 * EOPNOTSUPP, ETIMEDOUT, EPIPE. */
BROOD_API int brood_connection_recv_fd(brood_connection *end, int timeout_ms);

/* Waits until there is something to receive: a message, or its beginning, a descriptor, or the end of the line.
 * ETIMEDOUT: there is not. */
BROOD_API int brood_connection_poll(brood_connection *end, int timeout_ms);

/* A descriptor for poll(2), epoll and the like, readable (level-triggered) while a call to receive with timeout 0 is
 * worth a try. The connection's: it is closed with it. Of a plain connection it is the socket, which may be sent to
 * another process between messages; neither read nor write it. EMFILE, ENFILE, ENOMEM: over TLS, the first time. */
BROOD_API int brood_connection_fd(brood_connection *end);

/* The other end's address, "tcp:127.0.0.1:40123"; "unix:" for a client without one. NULL, EINVAL: `end` is NULL. */
BROOD_API const char *brood_connection_peer(const brood_connection *end);

/* Closes this end and frees it. What was sent still arrives. NULL is fine. EBUSY: a thread is in a call on it. */
BROOD_API int brood_connection_close(brood_connection *end);

#ifdef __cplusplus
}
#endif

#endif
