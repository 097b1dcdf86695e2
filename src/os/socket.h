/* os/socket.h: stream sockets, Unix and TCP: their addresses as text, and calls that never block by themselves.
 *
 * Every descriptor made here is close-on-exec and neither 0, 1 nor 2. Connections are blocking, as whoever they are
 * handed to expects; the calls here say MSG_DONTWAIT. Listening ones are not. No call raises SIGPIPE, and a signal
 * does not cut one short.
 */
#ifndef OS_SOCKET_H
#define OS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define SOCKET_TEXT 160 /* bytes of an address as text: a Unix path is the longest */
#define SOCKET_HOST 256
#define SOCKET_PLACES 16 /* addresses that are tried of one host */

struct socket_address {
    struct sockaddr_storage storage;
    socklen_t size;
};

struct socket_places {
    struct socket_address places[SOCKET_PLACES];
    int count;
    char host[SOCKET_HOST]; /* of a TCP address: its host, without brackets; else "" */
};

/* Reads "unix:/path", "unix:@name", "tcp:host:port", "tcp:[::1]:port". 0; -EINVAL: no address; -ENOENT: no such host;
 * -EAGAIN: the resolver cannot tell now. *why says what is wrong, in words that stay. */
int socket_places(const char *text, struct socket_places *places, const char **why);

/* Writes it as such a text. */
void socket_describe(const struct socket_address *address, char text[static SOCKET_TEXT]);

/* Listens. The descriptor, or -errno. A Unix path at which nobody listens any more is taken over. */
int socket_listen(const struct socket_address *address, int backlog);

/* The address a socket has. */
int socket_name(int fd, struct socket_address *address);

/* Removes the file of a listening Unix socket, if it is still the one that `made` names. */
struct socket_file {
    uint64_t device, inode; /* 0: there is none */
};
void socket_file_of(const struct socket_address *address, struct socket_file *made);
void socket_remove_file(const struct socket_address *address, const struct socket_file *made);

/* The next connection, made ready, and whose it is. The descriptor, or -errno: -EAGAIN: there is none. */
int socket_accept(int listening, struct socket_address *peer);

/* Connects until `deadline`. The descriptor, or -errno. */
int socket_connect(const struct socket_address *address, int64_t deadline);

/* What a descriptor must be for this: 0; -EBADF, -ENOTSOCK; -EPROTOTYPE: no stream; -ENOTCONN. *peer: the other end. */
int socket_check(int fd, struct socket_address *peer);

/* Sets what every connection has: close-on-exec, no delay, keepalive. */
void socket_prepare(int fd);

/* How many bytes were read, or only looked at (at most `size`, not 0); 0: the other end has closed; -EAGAIN: nothing is
 * there; -EBADMSG, of a look at two bytes or more: the next one is socket_send_fd's; or -errno. */
ssize_t socket_read(int fd, void *bytes, size_t size);
ssize_t socket_peek(int fd, void *bytes, size_t size);

/* Reads into two places, the first one first. */
ssize_t socket_read_both(int fd, void *first, size_t first_size, void *second, size_t second_size);

/* Writes from two places. How many bytes were taken, or -errno: -EAGAIN: none. -EPIPE: the other end is gone. */
ssize_t socket_write(int fd, const void *first, size_t first_size, const void *second, size_t second_size);

/* How many bytes are there to be read. */
size_t socket_available(int fd);

/* One byte, with a descriptor. 0 or -errno; receive: the descriptor; -EBADMSG: the next byte has none, and stays. */
int socket_send_fd(int fd, int sent);
int socket_receive_fd(int fd);

/* Both directions end, for all who hold the socket. */
void socket_hang_up(int fd);

/* Waits for one of the events of poll(2). 0, -ETIMEDOUT, -ENOMEM. */
int socket_wait(int fd, short events, int64_t deadline);

#endif
