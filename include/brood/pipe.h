/* brood/pipe.h: two connected ends in the region: whole messages between processes of one family.
 *
 *     brood_connection *ends[2];
 *     if (brood_pipe_create(ends, NULL) < 0 || !(child = brood_process_start(answer, ends[1], 0, NULL))) ...
 *     brood_pipe_give(ends[1], child);
 *     brood_connection_send(ends[0], "World", 5, BROOD_FOREVER);
 *
 * The ends are used by the calls of brood/connection.h. What is special about them:
 * - A pointer to an end is good in every process of the family. An end is had by each process that has made a call on
 *   it, or was given it (brood_pipe_give), until that process closes it or ends. Several may have one end: each message
 *   is received by one of them.
 * - When all that had an end have closed it or ended, the other end receives what was sent, and then EPIPE; it sends
 *   nothing any more, EPIPE too. brood_error() says whether one of them was killed. Before anyone has had an end nobody
 *   is missed there: so give a child its end as soon as it is started, or its early death is not noticed.
 * - Messages have 0 bytes to what the region holds; max_message and keys are nothing to them. A send that is killed has
 *   sent the message or not; a receiver that is killed takes a message of up to 4,096 bytes along, once it is its own,
 *   and a larger one comes back for another that has the end.
 * - There is no descriptor: brood_connection_fd is ENOTSUP. BROOD_WAIT_CONNECTION (brood/wait.h) takes pipes as well.
 * - ENOMEM and ENOLCK (of messages of more than 4,096 bytes) come as of a queue (brood/queue.h); of the first call of a
 *   process on an end, ENOMEM too; and of brood_connection_poll what brood_wait says.
 * - A descriptor (brood_connection_send_fd) is a message like any other: it has its place in the order, and whoever
 *   receives it, and nobody else, gets a copy, however and whenever that process was started. It counts as 8 bytes, and
 *   both calls need up to five free numbers for a moment. Killed, they have sent or received it, or not. A send also
 *   waits while more are on their way than sockets hold (some 550, by net.core.wmem_max). ETOOMANYREFS: they are too
 *   many for the user (RLIMIT_NOFILE in number), or 200 ends in the family have sent some. EMFILE, ENFILE: it has not
 *   been sent, or stays to be received. EBADF: it is none; or brood's own descriptor for this was closed in this
 *   process, or read from: what is next stays. EIO: the one that was next is lost by such a read; the next call finds
 *   what is behind it. ENOTSUP: the family's first process got no sockets. What one that was killed left behind stays
 *   open until the next descriptor comes out of that end, or, as a rule, the pipe is gone.
 *
 * Closing: who has an end closes it, once. Whoever made the pipe closes both ends, one that it has only handed on too:
 * as soon as another has it (brood_pipe_give), or when all have long closed it; that takes nothing from them. If nobody
 * has ever had the end, closing it closes it for good: the other end finds EPIPE. One that neither made the pipe nor
 * has had the end, and passed its address on, need not close it: that is 0, and changes nothing.
 *
 * Memory: the queues in it are gone when the last that has one of its ends closes it, all others having closed or
 * ended; some 200 bytes stay until its maker has closed both ends, so that it may do so at any time. All others must
 * use neither an end that they have closed, nor one that others have been done with before they came. The last one,
 * killed while it closes, loses what it has not freed; another one, those 200 bytes. Who wants the queues' memory back
 * even if all that have the ends are killed keeps an end of its own, and closes it last: nobody else will. Each process
 * that has ever had an end costs some 80 bytes for each direction as long as the pipe lasts, and a look by who waits:
 * a pipe is no place for ten thousand that come and go; give each its own.
 */
#ifndef BROOD_PIPE_H
#define BROOD_PIPE_H

#include <brood/connection.h>
#include <brood/process.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_pipe_options {
    const char *name; /* in messages; NULL: its address */
    bool one_way;     /* ends[0] receives and ends[1] sends; the other way round is EINVAL */
    size_t max_bytes; /* so many bytes may be on their way in each direction before a send waits; 0: 1 MiB. A larger
                       * message goes alone */
    void *reserved[6];
} brood_pipe_options;

/* Two ends of a new pipe, to be closed by brood_connection_close. 0.  EINVAL: ends is NULL; bad options.  ENOMEM.
 * A process killed in here loses its memory at most. */
BROOD_API int brood_pipe_create(brood_connection *ends[2], const brood_pipe_options *options);

/* From now on the process, one that the caller has started, has that end, until it closes it or ends; whether it uses
 * it or not. 0, also if it has closed it by now.  EINVAL: that is no end of a pipe; the process is NULL.
 * ECHILD: as brood_process_join.  ENOMEM. */
BROOD_API int brood_pipe_give(brood_connection *end, brood_process *process);

#ifdef __cplusplus
}
#endif

#endif
