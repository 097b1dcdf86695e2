/* os/child.h: making child processes, tying them to their parent's life, and taking their status.
 */
#ifndef OS_CHILD_H
#define OS_CHILD_H

#include "os/setup.h"
#include "os/shm.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How a child learns that its parent has died. The first is cheap; but it is the *thread* that made the child whose end
 * counts, it is sent with the rights that the parent has then, and the kernel drops it when the child's credentials
 * change. The second is sent with the rights that the child had when it was tied. */
enum child_tie {
    CHILD_FREE,          /* it does not */
    CHILD_TO_THREAD = 1, /* PR_SET_PDEATHSIG; for a first thread */
    CHILD_TO_PIPE = 2,   /* a pipe whose other end only the parent has: when the kernel closes that, it signals the
                          * reader */
    CHILD_TO_BOTH = CHILD_TO_THREAD | CHILD_TO_PIPE,
};

struct child_bond {
    enum child_tie tie;
    pid_t parent;             /* the maker's process */
    int pipe[2];              /* of CHILD_TO_PIPE: the child keeps [0], the parent [1]; close-on-exec */
    struct shm_identity file; /* of both ends; its maker sets it */
};

/* The tie for a child that the calling thread makes: to a pipe as well where users may change on either side. */
enum child_tie child_tie(void);

/* Makes the pipe that the tie may need: one whose other end is `writer` is opened once more, to read; where that fails,
 * or with -1, there is a new one. Where that cannot be had, and the thread is there, that has to do. 0, or
 * -errno. */
int child_bind(struct child_bond *bond, enum child_tie tie, int writer);

/* Gives descriptors that were just made numbers from 3 on, close-on-exec: a program may have closed its standard
 * streams, and a child's are put into their places. 0, or -errno, and all are closed. */
int child_clear_of_streams(int *fds, int count);

/* Gives a descriptor that stays open for the process' life a number from 200 on, if there is one: below lie those that
 * programs count on. Close-on-exec. The number, never a standard stream's; -errno, and it is closed. */
int child_out_of_the_way(int fd);

/* In the child: from here on it dies, by SIGKILL, with its parent; at once, if that is dead already. */
void child_follow(const struct child_bond *bond);

/* Whether the death signal of CHILD_TO_THREAD is still on the calling process. */
bool child_has_death_signal(void);

/* fork(2), after child_flush: if there are other threads, the child begins with empty buffers of standard output and
 * error all the same. The pid, 0 in the child, or -errno. */
pid_t child_fork(void);

/* fork(2) in a process with one thread, with the *parent* of the calling process as the child's parent: to wait(2), and
 * to itself. *pid is written by the kernel before the child runs, and is the only proof of it if the caller is killed.
 * No handlers of pthread_atfork(3) run. The pid, 0 in the child, or -errno: -ENOSYS: the C library keeps its thread id
 * where it cannot be found. */
pid_t child_fork_sibling(_Atomic int32_t *pid);

/* The calling thread's name, as ps(1) shows it: the first 15 bytes. */
void child_rename(const char *name);

/* Flushes standard output and error (all streams, if there is no other thread), which may take as long as whoever reads
 * them likes: a stream that another thread is at is left to that. */
void child_flush(void);

/* In a child of child_fork: flushes what it wrote, and ends without running its parent's exit handlers. */
_Noreturn void child_leave(int code);

struct child_program {
    int program; /* descriptor of the file to execute */
    char *const *arguments;
    char *const *environment;
    char *pid_text;              /* 11 bytes within `environment`: the child writes its pid here, in decimal */
    _Atomic int32_t *pid_shared; /* and here, before it executes the program */
    const struct setup *setup;
    int *keep; /* descriptors, or -1, that stay open in it besides 0, 1, 2 and those of the setup; no others do */
    int keep_count;
    const struct child_bond *bond;
};

/* Starts a program as a child, without copying the caller's memory. The pid, or -errno, of the exec too: then *outcome
 * (os/setup.h) is that of the setup, and not 0 if it was that which failed. -ECHILD: it was killed before the exec. */
pid_t child_exec(const struct child_program *plan, int *outcome);

/* A pidfd, close-on-exec; or -1 where there are none, or no descriptor is free: then waits nap. */
int child_pidfd(pid_t pid);

/* A descriptor that stands for the pidfd of a process that has ended: always readable. Or -1. */
int child_ended_descriptor(void);

/* What tells such a descriptor from any other: the program may have closed the number, and been given it for a file of
 * its own, or brood for another child. */
struct child_identity {
    struct shm_identity file;
    int named; /* where all pidfds are one file (before Linux 6.9): the pid that /proc names; 0: no need to ask */
};

void child_identify(int pidfd, struct child_identity *identity);
bool child_is(int pidfd, const struct child_identity *identity);

/* How it ended, as waitid(2) tells. */
struct child_status {
    bool known;       /* false: someone else took it, and the kernel does not tell twice */
    int code, signal; /* one of them; the other is 0 */
    bool core_dumped;
    int64_t cpu_us, peak_bytes; /* as in brood_end; 0 if not known */
};

/* Takes its status if it has ended; one that another wait took is asked of the pidfd (Linux 6.15).
 * 1: it had ended, and is no zombie any more.  0: it runs. */
int child_reap(pid_t pid, int pidfd, struct child_status *status);

/* Whether any child of this process has ended and its status has not been taken. */
bool child_any_ended(void);

/* Waits until it has ended, or `deadline` (os/clock.h): 0, or -ETIMEDOUT. Does not take its status. */
int child_await(pid_t pid, int pidfd, int64_t deadline);

/* Waits until the process behind a pidfd, a child or not, has ended: 0 (also where the number is no pidfd), or
 * -ETIMEDOUT. With -1 it only waits. */
int child_watch(int pidfd, int64_t deadline);

/* Sends a signal, by the pidfd where there is one. 0 or -errno. */
int child_signal(pid_t pid, int pidfd, int signal);

/* Has the kernel's OOM killer take this process rather than its parent. Silently nothing where that is not allowed. */
void child_offer_to_oom_killer(void);

/* From now on orphans of this process' descendants become its children. */
void child_adopt_orphans(void);

#endif
