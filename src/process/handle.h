/* process/handle.h: the handles of the processes that this process started, and the list of them.
 *
 * A handle is private memory of the starter, told from a forked child's copy by the starter's pid. What outlives the
 * child's slot is kept in it: the end, and the name. It is in the list from when its process exists until it is closed
 * and its process has ended: a handle that was closed early stays there to be reaped.
 */
#ifndef PROCESS_HANDLE_H
#define PROCESS_HANDLE_H

#include "os/shm.h"
#include "process/table.h"

#include <brood/process.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

enum handle_kind {
    HANDLE_CHILD,    /* the user's */
    HANDLE_INTERNAL, /* a child that brood started for itself: not among brood_process_children */
    HANDLE_SELF,
    HANDLE_PARENT,
};

struct brood_process {
    enum handle_kind kind;
    pid_t starter, pid;
    slot_id id;
    int pidfd;
    int pidfd_failed; /* why there is none: an errno */
    int lifeline;     /* the parent's end of a pipe tie, or -1 */
    struct shm_identity lifeline_file;
    int64_t began;         /* os/clock.h */
    bool daemon;           /* ended, not joined, at this process' end */
    bool survives;         /* neither */
    _Atomic bool made;     /* its start is done: before, nobody but the starting thread may reap it */
    _Atomic bool closed;   /* by the user, while it ran */
    pthread_mutex_t guard; /* of the next three */
    bool ended;
    int joiners;                           /* threads that wait for it */
    brood_end end;                         /* if ended */
    struct brood_process *previous, *next; /* in the list */
    char name[SLOT_NAME];
};

/* A new handle, in no list. NULL: no memory. */
brood_process *handle_create(enum handle_kind kind, const char *name);
void handle_destroy(brood_process *process);

/* Around whatever holds locks of this process: a signal handler that interrupts the thread there, and needs them too,
 * would wait for ever. handles_are_held tells it. */
void handles_enter(void);
void handles_leave(void);
bool handles_are_held(void);

/* The list, and whatever a child forked meanwhile would inherit torn, is held still. */
void handles_hold(void);
void handles_let_go(void);

/* In a forked child: it holds nothing. */
void handles_begin(void);

/* Into the list, and out of it. While it is held. */
void handle_list(brood_process *process);
void handle_unlist(brood_process *process);

/* Gives the process a pipe's end that ties it to this one, and takes it back. */
void handle_tie(brood_process *process, int lifeline);

/* Before a fork, while the list is held: the list, if there is a tie in it. And after it, in the child: closes the
 * parent's ends of its siblings' ties, or they would outlive their parent. */
brood_process *handles_tied(void);
void handles_untie(brood_process *first);

/* Takes the status of those that were closed while they ran and have ended since: no zombie stays. */
void handles_reap_closed(void);

/* As brood_process_close, of a child. */
int handle_close(brood_process *process);

/* As brood_process_children. */
int handle_children(brood_process **children, size_t max);

/* The first child that runs, is no `survives`, and is a daemon or none as asked, with one more joiner, so that nobody
 * closes it. NULL: there is none. And back. */
brood_process *handle_next_running(bool daemon);
void handle_let_go(brood_process *process);

/* As brood_process_join, without a sentence: true: it has ended, and *end (if not NULL) says how. */
bool process_await(brood_process *process, brood_end *end, int64_t deadline);

/* As brood_process_signal, without a sentence. */
int process_signal(brood_process *process, int signal);

/* Its pidfd, to poll with others; -1 where there is none. The handle's. */
int process_descriptor(const brood_process *process);

#endif
