/* process/spawn.h: children that are this very program, begun afresh.
 */
#ifndef PROCESS_SPAWN_H
#define PROCESS_SPAWN_H

#include "os/child.h"
#include "process/table.h"

/* The arguments that spawned children are started with, from now on; NULL: this process' own. 0 or -ENOMEM. */
int spawn_command(char *const *command);

/* Makes the process for a slot that has its ticket. The pid, or -errno: of the setup, which *outcome (os/setup.h) then
 * tells, or with a sentence. */
pid_t spawn_start(slot_id id, const struct child_bond *bond, int *outcome);

/* In a process that may be a spawned child. 0: it is none.  1: it is, has joined the family, and *own is its slot.
 * -errno with a sentence: it is one that cannot run. */
int spawn_join(slot_id *own);

#endif
