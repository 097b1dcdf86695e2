/* brood/process.h: a process of the family, started to run one function.
 *
 * A brood_process is a handle, brood's memory, of the process that started it: only that process may join or close it
 * (ECHILD elsewhere, also in a child forked by hand), from any of its threads.
 *
 * Crash rule: when the starter dies, in any way, its children are killed with SIGKILL, unless started with `survives`;
 * theirs then too. (For a child that the program's first thread started, that thread's end by pthread_exit counts as
 * the starter's.) When the child dies, whatever waits for it is told. A process that is stopped, or deep in the
 * kernel, dies when the kernel carries it out.
 *
 * brood does not touch SIGCHLD and waits for its own children only. A program that waits for them itself (wait(2), or
 * SIGCHLD ignored) takes their status away. brood then still knows what the child's function returned, and from Linux
 * 6.15 on all the rest too; before that a child that did not return is BROOD_LOST.
 *
 * Before brood_init every call here fails with EINVAL.
 */
#ifndef BROOD_PROCESS_H
#define BROOD_PROCESS_H

#include <brood/end.h>
#include <brood/family.h>
#include <brood/result.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_process brood_process;

/* What a process runs. Its result is the process' end: 0 is BROOD_RETURNED, anything else BROOD_FAILED; the exit
 * status that the system sees is its low 8 bits. */
typedef int brood_target(void *arg);

typedef struct brood_process_options {
    const char *name;  /* in messages, cut at 31 bytes, and what ps(1) shows (the first 15); NULL: "process" */
    brood_start start; /* fork or spawn */
    bool survives;     /* lives on when its starter dies; it is then nobody's to join */
    void *reserved[8];
} brood_process_options;

/* Starts a process that runs target(arg). `size` bytes at `arg` are copied and the child is given the copy, aligned to
 * 16 bytes, until it ends; with size 0 `arg` itself is handed over and must be NULL or point into the region.
 *
 * fork: standard output and error are flushed first (every stream, if the program has no other thread); the child
 * flushes its own and ends by _exit, so that no atexit handler of the parent runs twice.
 * spawn: the child is this very program, even if its file was replaced or removed meanwhile; it ends by exit. `target`
 * must be a function of the program or of a library it was started with, `static` ones included.
 *
 * Returns the handle; yours to brood_process_close. It takes one descriptor (close-on-exec) where the kernel has
 * pidfds, and one more when a thread other than the program's first starts it.
 * NULL, EINVAL: target is NULL; arg is not in the region with size 0, or NULL with another; bad options; spawn of a
 * function in no module (a nested function, generated code).  ENOENT: spawn of a function in a library that was loaded
 * later (dlopen): the child would not have it.  EAGAIN: the system's or the user's limit of processes, or the family's
 * table (4,096), is full.  ENOMEM: no memory for the child or the copy.  EBADF: spawn, but the program closed brood's
 * descriptor of the region, or of itself.  Another errno: what exec(2) said of the program. */
BROOD_API brood_process *brood_process_start(brood_target *target, const void *arg, size_t size,
                                             const brood_process_options *options);

/* Waits until the process has ended, up to `timeout_ms`, and fills `end`, unless that is NULL. May be called again,
 * and by several threads: the end stays known until brood_process_close.
 * 0: ended, however.  ETIMEDOUT: still running; `end` says BROOD_RUNNING.  ECHILD: another process started it. */
BROOD_API int brood_process_join(brood_process *process, brood_end *end, int timeout_ms);

/* Sends it a signal (0 only asks). 0: sent.  ESRCH: it has ended.  EINVAL: no such signal.  EPERM: it changed its user.
 * ECHILD: another process started it. Never reaches a stranger that got its pid. */
BROOD_API int brood_process_signal(brood_process *process, int signal);

/* Its process id; stays known after its end. EINVAL: NULL. */
BROOD_API int brood_process_pid(const brood_process *process);

/* Its name, until brood_process_close; "" of NULL. */
BROOD_API const char *brood_process_name(const brood_process *process);

/* Gives the handle back. A process that still runs goes on, and is killed with its starter as before; its end is then
 * nobody's to ask (brood takes it from the system at a later call, so no zombie stays). NULL is fine.
 * EBUSY: a thread waits for it in brood_process_join.  ECHILD: another process started it. */
BROOD_API int brood_process_close(brood_process *process);

#ifdef __cplusplus
}
#endif

#endif
