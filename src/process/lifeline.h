/* process/lifeline.h: what ties children to this process' life by a pipe (os/child.h).
 *
 * One pipe ties many: this process holds its writing end, a lifeline, and each child a reading end that was opened for
 * it, since whom a descriptor signals goes with its opening. So a child that is forked has one descriptor to close for
 * each 64 of its siblings. Where the pipe cannot be opened once more (no /proc, another user now) there is a new one.
 */
#ifndef PROCESS_LIFELINE_H
#define PROCESS_LIFELINE_H

#include "os/child.h"

#include <stdatomic.h>

/* Made, and closed, while the list of handles is held. */
struct lifeline {
    struct lifeline *next; /* in the list of wiped.h; changed under its guard too, which a fork by hand holds */
    int fd;
    struct shm_identity file; /* what it was; the program may have closed the number and opened a file of its own */
    _Atomic int32_t children; /* that it ties: raised while the list is held, lowered at any time */
};

/* From now on a child that the program forks by hand closes its copies. Once: 0 or -ENOMEM. */
int lifelines_at_fork(void);

/* Makes the bond for a new child, and finds the lifeline that it hangs on, or NULL if none. 0, or -errno. */
int lifeline_bind(struct child_bond *bond, enum child_tie tie, struct lifeline **found);

/* Closes those that tie no child. */
void lifelines_sweep(void);

/* Before a fork, while the list of handles is held. And after it, in the child: closes them, or they would outlive
 * their process; but for number `other`, which the child's own bond is to close, or -1. */
const struct lifeline *lifelines(void);
void lifelines_close(const struct lifeline *first, int other);

#endif
