/* step.h: a process led through its instructions, one by one, by ptrace(2).
 *
 * The path of an operation is recorded once by single steps. Afterwards any place on it is reached by one hardware
 * breakpoint and the count of its hits, so that a kill at each of n instructions costs n short runs and not n * n / 2
 * steps. Whoever leads blocks SIGCHLD (step_lead): that is how a stop is waited for with a deadline.
 */
#ifndef CRASH_STEP_H
#define CRASH_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum step_stop {
    STEP_STOPPED, /* at an instruction, before it */
    STEP_ENDED,   /* at step_end, or where it becomes another program, if its path is to end there */
    STEP_BLOCKED, /* asleep in the kernel: it runs on as soon as it is woken, and the next wait sees where it stops */
    STEP_GONE,    /* it has ended, and was reaped */
    STEP_LATE,    /* neither stopped nor slept until the deadline */
    STEP_ASTRAY,  /* elsewhere than the recorded path says */
} step_stop;

typedef struct step_tracee {
    pid_t pid;
    bool running; /* resumed, and not seen to stop since */
    bool single;  /* resumed for one instruction */
    bool gone;
    bool to_image;   /* its path ends where it becomes another program */
    uintptr_t begin; /* the stack pointer where the path begins */
} step_tracee;

typedef struct step_place {
    uintptr_t at;    /* the instruction */
    uintptr_t stack; /* the stack pointer there, from where the path began */
} step_place;

typedef struct step_path {
    size_t count;   /* instructions; place[count] is where the victim stands when all are done */
    size_t room;    /* of place */
    size_t blocked; /* the first instruction that slept; SIZE_MAX: none did */
    bool cut;       /* it was longer than room */
    bool ended;     /* as STEP_ENDED says, not by falling asleep for good, nor by its own end */
    step_place place[];
} step_path;

/* Called when the victim sleeps on its path: makes what it waits for come true and returns true, or returns false:
 * there the path ends. */
typedef bool step_wake(void *context);

/* The victim calls these around its operation. Untraced, they are deadly. */
void step_begin(void);
void step_end(void);

/* Blocks SIGCHLD in the tracer; step_follow unblocks it in its children. */
void step_lead(void);
void step_follow(void);

/* Whether hardware breakpoints work here; else everything is stepped. Tried once, by a child. */
bool step_breakpoints(void);

/* Takes hold of a process and stops it wherever it is. It dies with the tracer. */
bool step_seize(step_tracee *tracee, pid_t pid);

/* Lets a process that was seized run until it starts another, and lets go of it; the other is led from its first
 * instruction on, to its image at most. */
step_stop step_to_birth(step_tracee *starter, step_tracee *child, int timeout_ms);

/* Lets that one run until it has become another program, and in that to `at`, and leads it from there. */
step_stop step_to_image(step_tracee *child, uintptr_t at, int timeout_ms);

/* Lets it run (one instruction, if single) to its next stop, or only waits for that if it runs already. */
step_stop step_run(step_tracee *tracee, bool single, int timeout_ms);

/* Runs it to step_begin. */
step_stop step_to_begin(step_tracee *tracee, int timeout_ms);

/* Steps it from where it stands to its path's end, or to where it sleeps for good (STEP_BLOCKED), or to the last
 * instruction of its life (STEP_GONE), and writes down the way. */
step_stop step_record(step_tracee *tracee, step_path *path, step_wake *wake, void *context);

/* Leads it from where the path began to its index-th instruction, and with `inside` into it, where it sleeps.
 * STEP_STOPPED (inside: STEP_BLOCKED): there. */
step_stop step_reach(step_tracee *tracee, const step_path *path, size_t index, bool inside, bool stepping,
                     step_wake *wake, void *context);

/* Lets go of it, alive. */
void step_release(step_tracee *tracee);

/* Kills and reaps it. */
void step_kill(step_tracee *tracee);

/* The kernel's one letter for what a process does ('R', 'S', 'Z', ...); 0: there is none. */
char step_state(pid_t pid);

#endif
