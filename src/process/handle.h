/* process/handle.h: the handles of the processes that this process started, and the list of them.
 *
 * A handle is private memory of the starter, told from a forked child's copy by the starter's pid. What outlives the
 * child's slot is kept in it: the end, and the name. It is in the list from when its process exists until it is closed
 * and its process has ended: a handle that was closed early stays there to be reaped.
 */
#ifndef PROCESS_HANDLE_H
#define PROCESS_HANDLE_H

#include "process/lifeline.h"
#include "process/table.h"

#include <brood/process.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

enum handle_kind {
    HANDLE_CHILD,    /* the user's */
    HANDLE_INTERNAL, /* a child that brood started for itself: not among brood_process_children */
    HANDLE_SERVICE,  /* the same, which begins with SIGTERM blocked, until it has a handler of its own for that */
    HANDLE_SELF,
    HANDLE_PARENT,
};

enum { HANDLE_REFUSED = -1 }; /* it may not be signalled: the end passes it over */

struct brood_process {
    enum handle_kind kind;
    pid_t starter, pid;
    slot_id id;
    _Atomic int pidfd;        /* used only while it is what it was: process_descriptor */
    _Atomic int pidfd_failed; /* why there is none: an errno */
    struct child_identity pidfd_is;
    enum child_tie tie;
    struct lifeline *lifeline; /* if tied by a pipe */
    int64_t began;             /* os/clock.h */
    bool daemon;               /* ended, not joined, at this process' end */
    bool survives;             /* neither */
    _Atomic bool made;         /* its start is done: before, nobody but the starting thread may reap it */
    _Atomic bool closed;       /* by the user, while it ran */
    _Atomic int told;          /* fini.c: the signal that it was last sent at its starter's end, or HANDLE_REFUSED */
    pthread_mutex_t guard;     /* of the next four */
    bool ended;
    int joiners;   /* threads that wait for it */
    brood_end end; /* if ended; and then what its slot said last: */
    uint32_t set_up;
    struct brood_process *previous, *next; /* in the list */
    char name[SLOT_NAME];
};

/* A new handle, in no list. NULL: no memory. */
brood_process *handle_create(enum handle_kind kind, const char *name);
void handle_destroy(brood_process *process);

/* Gives it the descriptor that tells of its end; -1, with errno: there is none. Before others know of the handle. */
void handle_watch(brood_process *process, int pidfd);

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

/* Ties the process to this one by a lifeline. While the list is held. */
void handle_tie(brood_process *process, struct lifeline *lifeline);

/* Takes the status of those that were closed while they ran and have ended since: no zombie stays. It holds the list:
 * never while that is held. */
void handles_reap_closed(void);

/* As brood_process_close, of a child. */
int handle_close(brood_process *process);

/* As brood_process_children. */
int handle_children(brood_process **children, size_t max);

/* The first child that runs, is no `survives`, and is a daemon (not HANDLE_REFUSED) or none as asked, with one more
 * joiner, so that nobody closes it. NULL: there is none. And back. */
brood_process *handle_next_running(bool daemon);
void handle_let_go(brood_process *process);

/* As brood_process_join, without a sentence: true: it has ended, and *end (if not NULL) says how. Also for who holds
 * the list. */
bool process_await(brood_process *process, brood_end *end, int64_t deadline);

/* As obituary_ask, of that process: no other thread takes its status meanwhile. */
struct obituary *handle_obituary(brood_process *process);

/* As brood_process_signal, without a sentence. */
int process_signal(brood_process *process, int signal);

/* Whether the kernel has marked the end of its first thread. The process may run on: as another program, after exec, or
 * by its other threads. */
bool process_is_marked(const brood_process *process);

/* Its pidfd, to poll with others; -1 where there is none, or the program closed it. The handle's. */
int process_descriptor(brood_process *process);

#endif
