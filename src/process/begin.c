/* process/begin.c */
#include "process/begin.h"

#include "error/error.h"
#include "os/program.h"
#include "os/wiped.h"
#include "process/end.h"
#include "process/fini.h"
#include "process/handle.h"
#include "process/server.h"
#include "process/start.h"
#include "process/ticket.h"
#include "region/region.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where the function lies in this process. NULL: it is not here, and the slot's note says why. */
static brood_target *find_target(struct slot *slot)
{
    const struct module_function *function = slot->ticket->function;
    char text[MODULE_PATH_MAX + 64], why[96];
    uintptr_t address;
    int found = module_find(function, &address, why, sizeof why);
    if (found == 0) {
        brood_target *target;
        memcpy(&target, &address, sizeof target);
        return target;
    }
    module_describe(function, text, sizeof text);
    snprintf(slot->note.why, sizeof slot->note.why, "%.60s is not in the child: %s", text, why);
    end_say(&slot->note, found);
    return NULL;
}

/* Everything is as the target is to find it. */
static _Noreturn void run(struct slot *slot, brood_target *target)
{
    end_note_to(&slot->note);
    int code = target ? target(slot->ticket->arg) : EXIT_FAILURE;
    if (target)
        end_say(&slot->note, code);
    exit(code & 0xff);
}

/* In a fresh copy of another process: becomes one of its own. */
static void be_born(slot_id id, const struct child_bond *bond, const int *arrived)
{
    struct slot *slot = slot_of(id);
    child_follow(bond);
    table_begin(id);
    table_pass_gate(slot);
    child_rename(slot->name);
    if (!slot->ticket->has_setup)
        return;
    int keep[] = { region_descriptor(), program_fd(), bond->tie == CHILD_TO_PIPE ? bond->pipe[0] : -1 };
    ticket_set_up(slot, arrived, keep, 3);
    region_descriptor_moved(keep[0]);
    program_moved(keep[1]);
}

pid_t begin_fork(slot_id id, const struct child_bond *bond)
{
    brood_process *siblings = handles_tied();
    struct server *server = wiped->server;
    pid_t pid = child_fork();
    if (pid < 0)
        return error_set(-pid, "fork failed: %s", strerror(-pid));
    if (pid > 0) {
        atomic_store(&slot_of(id)->pid, pid);
        return pid;
    }
    wiped_begin();
    handles_begin();
    handles_untie(siblings);
    server_forget(server);
    fini_cut();
    be_born(id, bond, NULL);
    run(slot_of(id), slot_of(id)->ticket->target);
}

pid_t begin_sibling(slot_id id, const struct child_bond *bond, const struct begin_place *place)
{
    brood_process *siblings = handles_tied();
    struct slot *slot = slot_of(id);
    pid_t pid = child_fork_sibling(&slot->pid);
    if (pid != 0)
        return pid;
    wiped_begin();
    handles_untie(siblings);
    close(place->private_fd);
    sigprocmask(SIG_SETMASK, &place->mask, NULL);
    fini_cut();
    be_born(id, bond, place->arrived);
    start_inherit((brood_start)slot->ticket->inherited_default);
    run(slot, find_target(slot));
}

_Noreturn void begin_afresh(slot_id id)
{
    struct slot *slot = slot_of(id);
    table_pass_gate(slot);
    child_rename(slot->name);
    ticket_finish_setup(slot);
    start_inherit((brood_start)slot->ticket->inherited_default);
    run(slot, find_target(slot));
}
