/* process/begin.h: forking children, and what every child does first and last.
 */
#ifndef PROCESS_BEGIN_H
#define PROCESS_BEGIN_H

#include "os/child.h"
#include "process/table.h"

#include <signal.h>

/* Makes the process for a slot that has its ticket, as a fork of the caller, which holds the list of handles. The pid,
 * or -errno with a sentence; in the child it does not return. */
pid_t begin_fork(slot_id id, const struct child_bond *bond);

/* What a copy of the fork server is to be different in. */
struct begin_place {
    const int *arrived; /* its descriptors: process/ticket.h */
    int private_fd;     /* the server's own, which it must not have */
    sigset_t mask;      /* of signals */
};

/* The same for the slot of another process, the calling one's parent, by the fork server. Without a sentence. */
pid_t begin_sibling(slot_id id, const struct child_bond *bond, const struct begin_place *place);

/* The descriptor that ties this process to its starter; -1: none, or the program closed it. */
int begin_line(void);

/* In a process that was begun afresh and has found its slot: runs its function, and exits. */
_Noreturn void begin_afresh(slot_id id);

#endif
