/* process/begin.c */
#include "process/begin.h"

#include "error/error.h"
#include "os/program.h"
#include "os/wiped.h"
#include "process/end.h"
#include "process/fini.h"
#include "process/handle.h"
#include "process/postbox.h"
#include "process/server.h"
#include "process/start.h"
#include "process/ticket.h"
#include "region/region.h"

#include <errno.h>
#include <fcntl.h>
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

int begin_line(void)
{
    return wiped->line_file.inode && shm_is(wiped->line, &wiped->line_file) ? wiped->line : -1;
}

/* What this process holds of its tie, if it has one. */
static void hold_line(int fd, const struct ticket *ticket)
{
    if (fd < 0)
        return;
    wiped->line = fd;
    wiped->line_file = ticket->line_file;
}

/* Everything is as the target is to find it. A process that the target forked by hand may return from it too, and
 * that is not the end of this one. */
static _Noreturn void run(slot_id id, brood_target *target)
{
    struct slot *slot = slot_of(id);
    end_note_to(&slot->note);
    int code = target ? target(slot->ticket->arg) : EXIT_FAILURE;
    if (target && atomic_load(&wiped->slot) == id)
        end_say(&slot->note, code);
    exit(code & 0xff);
}

/* In a fresh copy of another process: becomes one of its own. */
static void be_born(slot_id id, const struct child_bond *bond, const int *arrived)
{
    struct slot *slot = slot_of(id);
    child_follow(bond);
    table_begin(id);
    if (fini_cut() < 0) {
        snprintf(slot->note.why, sizeof slot->note.why, "no memory in the child for an exit handler of its own");
        end_say(&slot->note, -ENOMEM);
        _exit(EXIT_FAILURE); /* by exit it would run those of its starter */
    }
    table_pass_gate(slot);
    child_rename(slot->name);
    if (!slot->ticket->has_setup) {
        hold_line(bond->pipe[0], slot->ticket);
        return;
    }
    int keep[] = { region_descriptor(), program_fd(), postbox_descriptor(), bond->pipe[0] };
    ticket_set_up(slot, arrived, keep, 4);
    region_descriptor_moved(keep[0]);
    program_moved(keep[1]);
    postbox_moved(keep[2]);
    hold_line(keep[3], slot->ticket);
    if (keep[3] >= 0)
        fcntl(keep[3], F_SETFD, 0); /* a copy under another number is close-on-exec: child_follow */
}

pid_t begin_fork(slot_id id, const struct child_bond *bond)
{
    const struct lifeline *lines = lifelines();
    struct server *server = wiped->server;
    int line = begin_line();
    pid_t pid = child_fork();
    if (pid < 0)
        return error_set(-pid, "fork failed: %s", strerror(-pid));
    if (pid > 0) {
        atomic_store(&slot_of(id)->pid, pid);
        return pid;
    }
    wiped_begin();
    handles_begin();
    lifelines_close(lines, bond->pipe[1]);
    server_forget(server);
    if (line >= 0)
        close(line); /* the starter's own tie is not the child's */
    be_born(id, bond, NULL);
    run(id, slot_of(id)->ticket->target);
}

pid_t begin_sibling(slot_id id, const struct child_bond *bond, const struct begin_place *place)
{
    const struct lifeline *lines = lifelines();
    struct slot *slot = slot_of(id);
    int line = begin_line();
    sigset_t term, before, mask = place->mask;
    sigemptyset(&term);
    if (slot->ticket->holds_term) {
        sigaddset(&term, SIGTERM);
        sigaddset(&mask, SIGTERM);
    }
    sigprocmask(SIG_BLOCK, &term, &before); /* here already: the signal may come as soon as there is a pid */
    pid_t pid = child_fork_sibling(&slot->pid);
    if (pid != 0) {
        sigprocmask(SIG_SETMASK, &before, NULL);
        return pid;
    }
    wiped_begin();
    lifelines_close(lines, bond->pipe[1]);
    close(place->private_fd);
    if (line >= 0)
        close(line);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    be_born(id, bond, place->arrived);
    start_inherit((brood_start)slot->ticket->inherited_default);
    run(id, find_target(slot));
}

_Noreturn void begin_afresh(slot_id id)
{
    struct slot *slot = slot_of(id);
    table_pass_gate(slot);
    child_rename(slot->name);
    hold_line(slot->ticket->line, slot->ticket);
    ticket_finish_setup(slot);
    start_inherit((brood_start)slot->ticket->inherited_default);
    run(id, find_target(slot));
}
