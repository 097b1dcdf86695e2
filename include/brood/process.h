/* brood/process.h: a process of the family, started to run one function.
 *
 * A brood_process is a handle, brood's memory, of the process that started it: only that process may use it, from any
 * of its threads. In a copy of that process, forked by brood or by hand, all calls with it but brood_process_pid and
 * _name say ECHILD; in any other process the pointer means nothing. Every process, started how ever, may start others,
 * to any depth.
 *
 * Crash rule: when the starter dies, in any way, its children are killed with SIGKILL, unless started with `survives`;
 * theirs then too, whatever users they became meanwhile (setuid(2)). (For a child that the program's first thread
 * started, or that came from a fork server which that thread started, that thread's end by pthread_exit counts as the
 * starter's.) When the starter ends by exit or by returning from main, daemons are ended and all other children
 * waited for, however long they run: brood_fini. When the child dies, whatever waits for it is told. A process that is
 * stopped, or deep in the kernel, dies when the kernel carries it out.
 *
 * brood does not touch SIGCHLD and waits for its own children only. A program that waits for them itself (wait(2), or
 * SIGCHLD ignored) takes their status away. brood then still knows what the child's function returned, and from Linux
 * 6.15 on all the rest too; before that a child that did not return is BROOD_LOST. Daemons and the fork server are
 * among the children that the program's own wait(2) sees: a loop until ECHILD does not end while they run.
 *
 * A process' function may execute another program (exec(2)). The handle stays, and the end is BROOD_EXITED or
 * BROOD_CRASHED; but the process is of the family no longer: the same program, too, founds one of its own there.
 *
 * Before brood_init every call here fails with EINVAL (brood_process_close(NULL) excepted).
 */
#ifndef BROOD_PROCESS_H
#define BROOD_PROCESS_H

#include <brood/end.h>
#include <brood/family.h>
#include <brood/result.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_process brood_process;

/* What a process runs. Its result is the process' end: 0 is BROOD_RETURNED, anything else BROOD_FAILED; the exit
 * status that the system sees is its low 8 bits. */
typedef int brood_target(void *arg);

/* What is 0 or NULL is as the starter's (by fork server: as the server's), or not done. All is done before the function
 * runs; what cannot be done fails the start, and no process is left. */
typedef struct brood_process_options {
    const char *name;  /* in messages, cut at 31 bytes, and what ps(1) shows (the first 15); NULL: "process" */
    brood_start start; /* brood/start.h */
    bool daemon;       /* not waited for at its starter's orderly end, but ended */
    bool survives;     /* lives on when its starter dies; it is then nobody's to join */

    const char *directory;     /* to begin in */
    char *const *environment;  /* "NAME=value" each, ended by NULL */
    int input, output, errors; /* what 0, 1 and 2 are in it: a descriptor of the starter's, or -1: /dev/null */
    /* Descriptors of the starter's that it has, at most 240, under the same numbers (from 3 on: the standard ones have
     * the options above), open across exec(2). Then no others (0, 1 and 2 excepted, and its tie), by whatever method;
     * with fd_count 0 none. NULL: by fork all, by the others none. */
    const int *fds;
    size_t fd_count;

    const int *cpus; /* numbers of the processors it may run on; at most 1,024 */
    size_t cpu_count;
    int niceness; /* added to the starter's; less than 0 needs the right to (EPERM, EACCES) */
    /* Limits. Where a lower one than max_memory or max_cpu_seconds is in force it stays; max_files and max_core above
     * the hard limit are EPERM. */
    int64_t max_memory;      /* bytes of private writable memory (RLIMIT_DATA): malloc fails above; at least 1 MiB */
    int64_t max_cpu_seconds; /* of processor time: SIGXCPU then, SIGKILL a second later (RLIMIT_CPU) */
    int64_t max_files;       /* descriptors have numbers below it (RLIMIT_NOFILE); at least 3 */
    int64_t max_core;        /* bytes of a core dump (RLIMIT_CORE); -1: none is written */

    bool new_session; /* setsid(2): away from the terminal; its own process group too */
    bool new_group;   /* a process group of its own */
    void *reserved[8];
} brood_process_options;

/* Starts a process that runs target(arg). `size` bytes at `arg` are copied and the child is given the copy, aligned to
 * 16 bytes, until it ends; with size 0 `arg` itself is handed over and must be NULL or point into the region.
 *
 * fork: standard output and error are flushed first (every stream, if the program has no other thread), which waits for
 * their reader; what another thread has there unprinted stays the starter's to print. The child ends without running
 * exit handlers (atexit(3)) of its starter, even if it calls exit: its own run, and the same streams are flushed, once.
 * In a child of a program with other threads it is safe only to do what is safe in a signal handler, and to call brood:
 * the others' locks may be held in it for ever. A child without the memory for an exit handler of its own ends at once,
 * before its options are in force, as BROOD_FAILED with code -ENOMEM.
 * spawn: the child is this very program, even if its file was replaced or removed meanwhile; it ends by exit. If it
 * ends before it comes to brood_init it is BROOD_FAILED, with code -ENOEXEC.
 * fork server: as fork, from the server (brood/start.h). pthread_atfork(3) handlers do not run in it.
 * By the last two `target` is found by its module and its place there: a function of the program or of a library,
 * `static` ones included. A library that was loaded later (dlopen) is loaded in the child by its path; if it cannot be
 * loaded there, or is not the same build, the process ends at once as BROOD_FAILED, with code -ENOENT or -ESTALE, and
 * `why` says which.
 *
 * Returns the handle; yours to brood_process_close. "Started" means started: it exists, its options are in force, and
 * its program is executed. It takes one descriptor (close-on-exec) where the kernel has pidfds.
 * A child is tied to its starter by a pipe where a thread other than the program's first starts it, or the starter is
 * root or set-user-ID: that takes one descriptor in the starter (close-on-exec) for all such children together (for
 * each one where there is no /proc), and one in each child, which stays open across exec(2). A starter that closes
 * descriptors which it does not know (closefrom(3)) kills these children; a child that does is tied no longer, or, if
 * the program's first thread started it, only until its user changes. What is forked by hand holds no such pipe.
 * NULL, EINVAL: target is NULL; arg is not in the region with size 0, or NULL with another; bad options; a function in
 * no module (a nested function, generated code), but by fork.  EBADF: a descriptor in the options is none; or the
 * program closed brood's descriptor of the region, or of itself.  EAGAIN: the system's or the user's limit of
 * processes, or the family's table (4,096), is full.  EMFILE, ENFILE: no descriptor is free to start the fork server
 * with, to tie the child of a thread other than the program's first, or to put `input` to `fds` in place. (Without one
 * of its own the process is started all the same: brood_process_fd says EMFILE then.)  ENOMEM: no memory for the child,
 * the copy or the options.  EPERM, EACCES, ENOENT, ENOTDIR, ...: what the system said of an option, of spawn's
 * exec(2), or of the library's path; the sentence says which.  EPERM also: spawn, or a fork server, in a program that
 * runs with another user's privileges (setuid), or would if it were executed anew: its child could not trust it.
 * ECHILD: it was killed before its options were in force.  EOWNERDEAD, ENOSYS: as brood_start_server.  EDEADLK: called
 * in a signal handler that interrupted a call of brood at work, not one that waits; so do the calls below say. */
BROOD_API brood_process *brood_process_start(brood_target *target, const void *arg, size_t size,
                                             const brood_process_options *options);

/* Waits until the process has ended, up to `timeout_ms`, and fills `end`, unless that is NULL. May be called again,
 * and by several threads: the end stays known until brood_process_close. Timeout 0 asks whether it is alive.
 * 0: ended, however.  ETIMEDOUT: still running; `end` says BROOD_RUNNING.  ECHILD: another process started it.
 * EDEADLK: it is the calling process. */
BROOD_API int brood_process_join(brood_process *process, brood_end *end, int timeout_ms);

/* Ends it, and joins it as brood_process_join does: waits for it up to wait_ms; then asks it by SIGTERM and waits up to
 * term_ms; then kills it by SIGKILL and waits up to kill_ms. BROOD_FOREVER: never goes on to the next step. One that
 * has SIGTERM blocked or ignored, maybe because its starter had (brood/start.h), is ended by SIGKILL only.
 * 0: it ended (`end` says how), at whatever step.  ETIMEDOUT: not even in the last step: kill_ms was too short, or it
 * is deep in the kernel; it ends as soon as it can.
 * EINVAL: a timeout.  EPERM: it changed its user.  ECHILD, EDEADLK: as brood_process_join. */
BROOD_API int brood_process_stop(brood_process *process, brood_end *end, int wait_ms, int term_ms, int kill_ms);

/* Sends it a signal: SIGINT interrupts, SIGTERM terminates, SIGKILL kills, 0 only asks. 0: sent.  ESRCH: it has ended.
 * EINVAL: no such signal.  EPERM: it changed its user.  ECHILD: another process started it. Never reaches a stranger
 * that got its pid, if it has a descriptor (brood_process_fd). */
BROOD_API int brood_process_signal(brood_process *process, int signal);

/* A descriptor that poll(2), epoll and select find readable once the process has ended. The handle's: it is closed with
 * it. It may be made O_NONBLOCK. ENOSYS: the kernel has no pidfds (before 5.3).  EMFILE: none was free when it started.
 * EBADF: the program closed it (whatever has its number then is left alone, and waits look for the end now and then).
 * ECHILD as above. */
BROOD_API int brood_process_fd(brood_process *process);

/* Its process id; stays known after its end. EINVAL: NULL. */
BROOD_API int brood_process_pid(const brood_process *process);

/* Its name, until brood_process_close; "" of NULL. A child that was forked by hand is called "process". */
BROOD_API const char *brood_process_name(const brood_process *process);

/* The handle of the calling process, always the same: for its pid, name and descriptor, and to signal it. It cannot be
 * joined or stopped (EDEADLK), nor closed. NULL, ENOMEM. */
BROOD_API brood_process *brood_process_self(void);

/* The handle of the process that started this one: for its pid, name and descriptor, and to join it: that waits for its
 * end, and says BROOD_LOST, since only its own starter is told more. It cannot be signalled or stopped (ECHILD), nor
 * closed. NULL, ESRCH: brood did not start this process (the family's first, a child forked by hand). ENOMEM. */
BROOD_API brood_process *brood_process_parent(void);

/* Writes the handles of this process' children that run and are not closed into `children`, at most `max`, in the order
 * of their starts, and returns how many there are. They stay the handles that brood_process_start returned.
 * EINVAL: children is NULL and max is not 0. */
BROOD_API int brood_process_children(brood_process **children, size_t max);

/* Has hook(arg) run when this process ends in order, or in brood_fini: last one first, before its children are waited
 * for. What it returns is not looked at. `arg` is handed over as it is. Hooks are this process' own: a child has none
 * of its starter's. EINVAL: hook is NULL.  ENOMEM. */
BROOD_API int brood_process_at_exit(brood_target *hook, void *arg);

/* Gives the handle back. A process that still runs goes on, and ends with its starter as before; its end is then
 * nobody's to ask (brood takes it from the system at a later call, so no zombie stays). NULL is fine.
 * EBUSY: a thread waits for it.  ECHILD: another process started it.  EINVAL: brood_process_self's or _parent's. */
BROOD_API int brood_process_close(brood_process *process);

#ifdef __cplusplus
}
#endif

#endif
