/* process/postbox.h: the family's post box: sockets that all of its processes can fetch, whenever they began.
 *
 * A pointer into the region is good in every process, a descriptor is not: one that is opened after a child has begun
 * never gets there by itself. So the founder makes one pair of sockets, whose receiving end every process has from its
 * start. What lies in it stays there: whoever wants something looks through it (SO_PEEK_OFF), and gets copies. Nobody
 * has the sending end: it is the first thing that lies in there.
 *
 * Kept are pairs of sockets, each with an id and its owner, an object in the region (exchange/parcel.h). One whose
 * owner is gone is taken out by and by, when others are put in. Should somebody be killed in the middle of that, one
 * may be there twice.
 */
#ifndef PROCESS_POSTBOX_H
#define PROCESS_POSTBOX_H

#include "os/shm.h"
#include "os/thread.h"

#include <stdbool.h>
#include <stdint.h>

/* In the family's table. file and failed: constant. serial: by the latch's holder. */
struct postbox {
    struct robust_word latch; /* of all that is done with the box, and with the sockets in it */
    struct shm_identity file;
    int32_t failed; /* -errno: the founder got no sockets */
    uint64_t serial;
};

/* One of the things in it. */
struct slip {
    uint64_t id; /* not 0 */
    const void *owner;
};

/* By the founder, before anyone else is there. */
void postbox_found(void);

/* By a spawned child: the descriptor that its starter handed down, negative for none. */
void postbox_join(int fd);

/* What children are to have: the descriptor, or -1: the program has closed it, or there is none. */
int postbox_descriptor(void);

/* It has another number now, negative if none. */
void postbox_moved(int fd);

/* ---- between open and shut, whose latch is the thread's pending word: what it held before is in its list ---- */

/* 0; -ETIMEDOUT, without a sentence: others were in the way to the deadline, and 20 ms at least.  -EBADF, with one:
 * this process has no box, since somebody closed its descriptor.  -ENOTSUP, with one: nobody has. */
int postbox_open(struct thread *self, int64_t deadline, const char *call);
void postbox_shut(struct thread *self);

/* Never the same in a family. */
uint64_t postbox_number(void);

/* Copies of a pair's ends, close-on-exec, to be closed. 0; -ENOENT: there is none of that id (somebody has taken it
 * out); -EMFILE, -ENFILE. */
int postbox_find(uint64_t id, int ends[2]);

/* Copies of a pair's ends go into it. `lives`: whether what a slip says is so still. 0; -ETOOMANYREFS: 200 are there;
 * -EMFILE, -ENFILE; -ENOENT: somebody has taken the sending end out. */
int postbox_put(const struct slip *slip, const int ends[2], bool (*lives)(const struct slip *slip));

#endif
