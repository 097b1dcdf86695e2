/* point.h: one kill point: a fresh family, a victim that is killed at one instruction, and what survives it.
 *
 * Each point runs in a process of its own, the point's process, so that whatever a fault leaves behind (a torn heap, a
 * stuck waiter) ends with it. It founds the family, is parent and tracer of the victim, and writes what it saw into
 * the struct point, which it shares with the lab.
 */
#ifndef CRASH_POINT_H
#define CRASH_POINT_H

#include "step.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef enum point_kind {
    POINT_STUCK,   /* somebody waited past his deadline */
    POINT_LOST,    /* a block, a task, a process was lost that must not be */
    POINT_TORN,    /* an invariant broken, a call that failed without cause */
    POINT_DOUBLED, /* two holders, two owners of one block, an item run twice */
    POINT_KINDS,
} point_kind;

typedef enum point_mode {
    POINT_AWAKE,  /* survivors come after the kill */
    POINT_ASLEEP, /* survivors wait for the object before the kill already */
    POINT_PAUSED, /* no kill there: the victim stands still while others do all they can, and must then end well */
    POINT_MODES,
} point_mode;

enum {
    AWAKE_ONLY = 1 << POINT_AWAKE,
    AWAKE_AND_PAUSED = AWAKE_ONLY | 1 << POINT_PAUSED,
    ALL_MODES = AWAKE_AND_PAUSED | 1 << POINT_ASLEEP,
};

enum {
    /* What is lost never comes; what is late shows in the column "worst ms". On a machine where scores of processes
     * want each processor a chain of wakes may take seconds, and that is no fault. */
    SURVIVOR_MS = 20000, /* a survivor that has waited so long is stuck */
    SETTLE_MS = 20000,   /* what is no survivor's wait but must happen: a start, an end */
    POINT_NOTES = 8,
};

struct operation;

/* Lab to point: the first group. Point to lab: the second. `note` stays from point to point of one operation. */
struct point {
    const struct operation *operation;
    step_path *path;
    size_t index; /* where to kill */
    bool inside;  /* ... not before that instruction but asleep in it */
    bool record;  /* write the path down instead */
    point_mode mode;
    bool stepping; /* no breakpoints: the path is not the same each time */

    bool again;   /* this run only prepared the recording: do it now */
    bool reached; /* the victim was at its point, and was killed there */
    step_stop stop;
    int result; /* the operation's own: what the first survivor saw */
    _Atomic unsigned faults[POINT_KINDS];
    _Atomic long worst_us;       /* the longest that a survivor waited after the kill */
    _Atomic long long killed_us; /* when; 0: not yet */
    char why[256];               /* the first fault */

    _Atomic unsigned go; /* the victim may begin */
    long note[POINT_NOTES];
};

/* One row of the table. */
struct operation {
    const char *name;
    const char *what;
    void (*run)(struct point *point); /* in the point's process */
    const void *detail;               /* its own */
    unsigned modes;                   /* in which it is tried: a bit for each point_mode */
    bool whole;                       /* a quick run tries many of its points too */
    bool long_only;                   /* not part of a quick run */
    size_t quick;                     /* points of a quick run, if not whole; 0: the lab's usual number */
    int first, last;                  /* result where nothing of the operation happened, and where all of it did... */
    int switches;                     /* ... and how often it may change between them */
    bool any_result;                  /* the results say nothing */
    bool mortal;                      /* its path ends with the victim's own end */
};

extern const struct operation lock_operations[], semaphore_operations[], event_operations[], condition_operations[],
    barrier_operations[], rwlock_operations[], value_operations[], array_operations[], heap_operations[],
    resize_operations[], pool_operations[], pool_callers_operations[], process_operations[], queue_operations[],
    pipe_operations[], watch_operations[], manager_operations[], managed_operations[], reference_operations[];

/* The lab's argument when brood has started it as a child. */
#define POINT_SPAWNED "--spawned"

/* A storm runs for some seconds and returns how many faults it found, each told on standard error. */
unsigned storm_run(int seconds, bool verbose);

long long point_us(void);

/* The processors that survivors may use: how many; and takes one of them, by its number, for tracer and victim. Call
 * once in each hand of the lab. */
unsigned point_processors(void);
void point_pin(unsigned number);
void point_unpin(void);

void point_fault(struct point *point, point_kind kind, const char *why, ...) __attribute__((format(printf, 3, 4)));

/* Starts a process that dies with its parent and runs body(context); on the victim's processor. */
pid_t point_child(void (*body)(void *context), void *context);

/* The same on any processor. */
pid_t point_survivor(void (*body)(void *context), void *context);

/* Until the process sleeps or has ended: whether it did within SETTLE_MS. */
bool point_settle(pid_t pid);

/* Waits for a child and reaps it; one that does not end is stuck, and killed. Whether it exited with 0. */
bool point_join(struct point *point, pid_t pid, const char *name, int timeout_ms);

/* Starts a victim, which prepares itself in body and calls step_begin and step_end there, and halts it at step_begin.
 * False: it did not come so far, and a fault is written. */
bool point_victim(struct point *point, step_tracee *victim, void (*body)(void *context), void *context);

/* Leads it from there: true: it is where it is to be killed. False: there is nothing to check, because the path was
 * recorded, or the place was not met; the victim is gone then. */
bool point_lead(struct point *point, step_tracee *victim, step_wake *wake, void *context);

/* Mode POINT_PAUSED: lets it go on from there to its end, or writes the fault that it cannot. */
void point_go_on(struct point *point, step_tracee *victim);

/* Kills it there, and starts the survivors' clock. */
void point_kill(struct point *point, step_tracee *victim);

/* A survivor got what it waited for. */
void point_served(struct point *point);

/* The same, of one that began to wait then (point_us), for SURVIVOR_MS at most: had it not been woken, it would have
 * looked once more at the end of its time, and got it: that is stuck too. */
void point_served_since(struct point *point, long long began);

#endif
