/* process/start.h: from a ticket in the region to a process that runs its target.
 */
#ifndef PROCESS_START_H
#define PROCESS_START_H

#include "os/child.h"
#include "os/module.h"
#include "process/table.h"

#include <brood/process.h>

/* What a child is to do. One block of the region; a copied argument lies behind it. */
struct ticket {
    brood_target *target;            /* in a forked child: where it lies in its parent too */
    struct module_function function; /* for a spawned one */
    void *arg;
    _Alignas(16) char copy[];
};

/* Makes the process for a slot that has its ticket. The pid, or -errno with a sentence; in a forked child it does not
 * return. */
pid_t start_fork(slot_id id, struct child_bond *bond);
pid_t start_spawn(slot_id id, struct child_bond *bond);

/* In a process that may be a spawned child. 0: it is none.  1: it is, and has joined the family: start_serve is next.
 * -errno with a sentence: it is one that cannot run. */
int start_join(void);

/* In a spawned child: runs the target, and exits. */
_Noreturn void start_serve(void);

/* The arguments that spawned children are started with, from now on; NULL: this process' own. 0 or -ENOMEM. */
int start_command(char *const *command);

#endif
