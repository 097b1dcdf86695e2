/* brood/end.h: how a process or a task ended.
 */
#ifndef BROOD_END_H
#define BROOD_END_H

#include <brood/result.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum brood_how {
    BROOD_RUNNING,  /* it has not */
    BROOD_RETURNED, /* its function returned 0 */
    BROOD_FAILED,   /* its function returned another `code` (`why`, if it said so by brood_fail), or it could not be run
                     * at all: `code` is a negative errno (-ENOEXEC: a spawned program ended before brood_init) and
                     * `why` says what was missing */
    BROOD_EXITED,   /* it called exit or _exit, with `code`, before its function returned */
    BROOD_CRASHED,  /* `signal` killed it */
    BROOD_LOST,     /* it ended, and nobody can know how: a foreign wait(2) took a process' status; a task's worker and
                     * keeper died together */
    BROOD_CANCELLED,   /* of a task: it was not wanted any more, and has not run, or not to its end */
    BROOD_TIMED_OUT,   /* of a task: it was killed for running longer than hard_ms */
    BROOD_OVER_MEMORY, /* of a task: it was killed for the memory that it, or its worker, had taken */
} brood_how;

typedef struct brood_end {
    brood_how how;
    int code;         /* what it returned (the whole int) or exited with (0 to 255) */
    int signal;       /* what killed it, else 0 */
    int pid;          /* of the process, or of the worker that had the task */
    int attempt;      /* of a task: 1, 2, ...; of a process 1 */
    bool core_dumped; /* whether a core was written */
    size_t index;     /* of a task: its item; of a process 0 */
    /* What it used, it and those of its children that it waited for. Of a task, and of a process whose status someone
     * else took, 0 but for wall_us; of a task that is how long its last attempt ran, in its worker. */
    int64_t wall_us;    /* microseconds from its start to its function's end; to its known end if it did not return */
    int64_t cpu_us;     /* of processor time, user and system */
    int64_t peak_bytes; /* of memory resident at once; at least what a fork copied of its starter's private memory */
    char why[128];      /* a sentence: "killed by SIGSEGV (11)"; "" when it returned 0 */
    void *reserved[4];
} brood_end;

/* "returned", "crashed", ...; NULL for what is no brood_how. */
BROOD_API const char *brood_how_name(brood_how how);

/* "SIGSEGV", "SIGRTMIN+3"; NULL for what is no signal. */
BROOD_API const char *brood_signal_name(int signal);

/* Inside a process' target or a task: says why it fails (as printf; cut at 127 bytes), for brood_end.why, and returns
 * `code`, so that `return brood_fail(3, "line %d: no number", line);` is the way to end. Elsewhere it only returns. */
BROOD_API int brood_fail(int code, const char *why, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
