/* process/ticket.h: what a child is to do and to be, as its starter left it in the region.
 */
#ifndef PROCESS_TICKET_H
#define PROCESS_TICKET_H

#include "os/child.h"
#include "os/module.h"
#include "os/setup.h"
#include "process/table.h"

#include <brood/process.h>

/* One block of the region; what the pointers point to lies behind it. Written by the starter before the child exists,
 * and by nobody afterwards. */
struct ticket {
    brood_target *target;             /* by fork: where it lies in the starter too */
    struct module_function *function; /* by the other methods: its name; else NULL */
    void *arg;
    struct setup setup;
    bool has_setup;  /* it asks for something */
    bool holds_term; /* it begins with SIGTERM blocked */
    bool answered;   /* the child tells the outcome in its slot, and the starter waits for that */
    int32_t method;  /* a brood_start, not BROOD_DEFAULT */
    int32_t inherited_default;
    enum child_tie tie;
    int line; /* the child's end of the pipe that ties it, as the starter has it, or -1; open across exec(2) */
    struct shm_identity line_file;
    int post; /* of a spawned child: the post box' descriptor, or -1; open across exec(2) */
};

/* Writes the ticket into the slot's own place for it, so that it goes with the slot. `options` are checked. 0, or
 * -errno with a sentence. */
int ticket_write(struct slot *slot, brood_target *target, const void *arg, size_t size, brood_start method,
                 const brood_process_options *options);

/* The starter's descriptors that its setup speaks of, in a fixed order: what has to travel to a child that does not
 * inherit them. How many, at most SETUP_FDS_MAX + 3. */
int ticket_descriptors(const struct ticket *ticket, int *fds);

/* Puts a forked child's setup into force, around `keep` (os/setup.h), and tells the starter; ends the process if that
 * failed. Nothing without a setup. `arrived`: the descriptors of ticket_descriptors, under the numbers that they have
 * here; NULL: their own. */
void ticket_set_up(struct slot *slot, const int *arrived, int *keep, int keep_count);

/* The part of a spawned child's setup that could not be done before it was executed, likewise. */
void ticket_finish_setup(struct slot *slot);

#endif
