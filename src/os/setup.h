/* os/setup.h: what is to be different in a child before it runs its function: directory, descriptors, limits, and so
 * on.
 *
 * The plan is plain bytes and pointers that are valid in the child; it is carried out there, either after a fork or
 * between vfork and exec. So nothing here allocates, takes a lock or prints.
 */
#ifndef OS_SETUP_H
#define OS_SETUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETUP_FDS_MAX 240 /* one message can carry them (SCM_RIGHTS: 253), with some of brood's own */
#define SETUP_CPUS_MAX 1024

/* The zero value changes nothing. */
struct setup {
    const char *directory;
    char *const *environment; /* carried out by whoever executes, or, in a fork, by setting environ */
    int streams[3];           /* 0: as it is; -1: /dev/null; else the descriptor that takes the place of 0, 1, 2 */
    const int *fds;           /* the numbers that they have in the child, from 3 on; open there across an exec(2) */
    const int *from;          /* the descriptors that get these numbers; NULL: they have them already */
    uint32_t fd_count;
    bool only_fds; /* close all from 3 on but `fds` and those that the caller of setup_apply keeps */
    const int *cpus;
    uint32_t cpu_count;
    int niceness;
    int64_t max_memory, max_cpu_seconds, max_files, max_core; /* as in brood/process.h */
    bool new_session, new_group;
};

/* What failed, for a sentence. */
enum setup_step {
    SETUP_DONE,
    SETUP_SESSION,
    SETUP_GROUP,
    SETUP_CPUS,
    SETUP_NICENESS,
    SETUP_STREAM,
    SETUP_FDS,
    SETUP_MAX_MEMORY,
    SETUP_MAX_CPU_SECONDS,
    SETUP_MAX_FILES,
    SETUP_MAX_CORE,
    SETUP_DIRECTORY,
    SETUP_ENVIRONMENT,
};

/* The outcome in one int: 0 is done; else step << 16 | errno. */
#define SETUP_OUTCOME(step, failed) ((int)(step) << 16 | (failed))
#define SETUP_STEP(outcome) ((enum setup_step)((outcome) >> 16))
#define SETUP_ERRNO(outcome) ((outcome)&0xffff)

/* Carries it out in the calling process, all but the environment and (with `before_exec`) max_memory and max_files,
 * under which the program could not be executed: setup_limit does that later. `streams` and `from` mean the descriptors
 * as they are at the call, so that any of them may be the number that another one gets; with `from`, those are closed
 * in the end, where they are no one's number. `keep`: descriptors of brood's, negative for none, that stay open
 * whatever the plan says; one whose number the plan gives away is moved, close-on-exec, and the new number stands in
 * `keep` (otherwise the flag is left alone). With `before_exec` `only_fds` does not close but marks close-on-exec. The
 * outcome. */
int setup_apply(const struct setup *setup, int *keep, int keep_count, bool before_exec);

/* max_memory and max_files alone. The outcome. */
int setup_limit(const struct setup *setup);

/* Whether every descriptor that the plan names is open, and above the standard ones where it must be. 0, or -EBADF with
 * *fd the first that is not. */
int setup_check_fds(const struct setup *setup, int *fd);

/* "the directory", "max_files", ...: what the step is called in a sentence. */
const char *setup_step_name(enum setup_step step);

#endif
