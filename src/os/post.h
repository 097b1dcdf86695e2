/* os/post.h: messages with descriptors between two processes, over a pair of connected sockets.
 *
 * Whole messages, in order (SOCK_SEQPACKET). When the other end's last descriptor is closed, by a death too, a waiting
 * call returns -EPIPE. No call raises SIGPIPE, and a signal does not cut one short.
 */
#ifndef OS_POST_H
#define OS_POST_H

#include <stddef.h>

#define POST_FDS_MAX 253 /* the kernel's limit of a message (SCM_MAX_FD) */

/* Both close-on-exec, and neither of them 0, 1 or 2. 0 or -errno. */
int post_pair(int ends[2]);

/* The connection ends, for whoever holds a copy of either end. */
void post_hang_up(int end);

/* Sends `size` bytes and copies of the descriptors. 0, or -errno: -EPIPE: the other end is gone; -EBADF: a descriptor
 * is none; -ETOOMANYREFS: too many descriptors are on their way. */
int post_send(int end, const void *bytes, size_t size, const int *fds, int fd_count);

/* Waits for the next message and reads it: at most `size` bytes, which must be all; descriptors, close-on-exec, go to
 * `fds` (room for *fd_count, which is set to how many came), under numbers from 3 on. How many bytes, or -errno:
 * -EPIPE: the other end is gone.  -EMFILE: there was no room in this process' table for the descriptors: those that
 * came are closed, the bytes are there, and *fd_count is 0.  -EMSGSIZE: the message was longer. */
int post_receive(int end, void *bytes, size_t size, int *fds, int *fd_count);

/* ---- without waiting: messages that stay where they are until they are dropped ---- */

/* Room for many messages that nobody receives for a while: as much as the system allows. */
void post_widen(int end);

/* As post_send, but -EAGAIN: there is no room. */
int post_offer(int end, const void *bytes, size_t size, const int *fds, int fd_count);

/* post_look begins anew, `offset` bytes behind the first message's first one: of whole messages. Of an end, for all
 * processes that have it. */
int post_rewind(int end, size_t offset);

/* As post_receive, but the message stays: the next call finds the one behind it, after post_rewind, and otherwise the
 * same. With fds NULL its descriptors are not opened. -EAGAIN: there is no more. */
int post_look(int end, void *bytes, size_t size, int *fds, int *fd_count);

/* The first message goes, and with it what descriptors it has. 0 or -errno. */
int post_drop(int end);

#endif
