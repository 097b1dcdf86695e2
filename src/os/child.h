/* os/child.h: making child processes, tying them to their parent's life, and taking their status.
 */
#ifndef OS_CHILD_H
#define OS_CHILD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* How a child learns that its parent has died. */
enum child_tie {
    CHILD_FREE,      /* it does not */
    CHILD_TO_THREAD, /* PR_SET_PDEATHSIG: the kernel kills it when the *thread* that made it ends; for a first thread */
    CHILD_TO_PIPE, /* a pipe whose other end only the parent has: when the kernel closes that, it signals the reader */
};

struct child_bond {
    enum child_tie tie;
    pid_t parent; /* the maker's process */
    int pipe[2];  /* of CHILD_TO_PIPE: the child keeps [0], the parent [1]; close-on-exec */
};

/* Chooses the tie for a child of the calling thread and makes the pipe it may need. 0, or -errno. */
int child_bind(struct child_bond *bond, bool free);

/* In the child: from here on it dies, by SIGKILL, with its parent; at once, if that is dead already. */
void child_follow(const struct child_bond *bond);

/* fork(2), with standard output and error flushed first (all streams, if there is no other thread).
 * The pid, 0 in the child, or -errno. */
pid_t child_fork(void);

/* The calling thread's name, as ps(1) shows it: the first 15 bytes. */
void child_rename(const char *name);

/* In a child of child_fork: flushes what it wrote, and ends without running its parent's exit handlers. */
_Noreturn void child_leave(int code);

struct child_program {
    int program; /* descriptor of the file to execute */
    char *const *arguments;
    char **environment;
    char *pid_text;              /* 11 bytes within `environment`: the child writes its pid here, in decimal */
    _Atomic int32_t *pid_shared; /* and here, before it executes the program */
    const int *keep;             /* descriptors, or -1, that stay open in it */
    int keep_count;
    struct child_bond *bond;
};

/* Starts a program as a child, without copying the caller's memory. The pid, or -errno, of the exec too. */
pid_t child_exec(const struct child_program *plan);

/* A pidfd, close-on-exec; or -1 where there are none, or no descriptor is free: then waits nap. */
int child_pidfd(pid_t pid);

/* Closes one, if the number still is a pidfd; -1 is none. */
void child_close_pidfd(int pidfd);

/* How it ended, as waitid(2) tells. */
struct child_status {
    bool known;       /* false: someone else took it, and the kernel does not tell twice */
    int code, signal; /* one of them; the other is 0 */
    bool core_dumped;
};

/* Takes its status if it has ended; one that another wait took is asked of the pidfd (Linux 6.15).
 * 1: it had ended, and is no zombie any more.  0: it runs. */
int child_reap(pid_t pid, int pidfd, struct child_status *status);

/* Whether any child of this process has ended and its status has not been taken. */
bool child_any_ended(void);

/* Waits until it has ended, or `deadline` (os/clock.h): 0, or -ETIMEDOUT. Does not take its status. */
int child_await(pid_t pid, int pidfd, int64_t deadline);

/* Sends a signal, by the pidfd where there is one. 0 or -errno. */
int child_signal(pid_t pid, int pidfd, int signal);

/* Has the kernel's OOM killer take this process rather than its parent. Silently nothing where that is not allowed. */
void child_offer_to_oom_killer(void);

/* From now on orphans of this process' descendants become its children. */
void child_adopt_orphans(void);

/* Closes every descriptor from 3 on except those of `keep` (sorted or not; -1 is none). */
void child_close_all_but(const int *keep, int count);

#endif
