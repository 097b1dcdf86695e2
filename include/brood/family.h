/* brood/family.h: the family: all processes that share one region of memory.
 *
 * The first brood_init() makes the region: memory that every process of the family maps at the same address, so that a
 * pointer into it means the same thing in all of them. It has no name in any file system, so nothing is left behind,
 * whichever process dies. It is left out of core dumps (mlockall(2) does fill it: do not use that with a large limit).
 * A family lives in one PID namespace, and its processes trust each other: brood isolates crashes, it is no sandbox.
 *
 * brood starts no thread, handles no signal, and waits for no child but its own. It keeps two descriptors: of the
 * program's file (opened before main, number 100 or above where that can be had) and of the region (200 or above);
 * and where it has children that are tied by a pipe (brood/process.h), one more. A program that closes all descriptors
 * may close them too; it can then spawn no process (EBADF), and children that are tied so are killed.
 */
#ifndef BROOD_FAMILY_H
#define BROOD_FAMILY_H

#include <brood/memory.h>
#include <brood/result.h>
#include <brood/start.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_init_options {
    const char *name;  /* of this process, in messages, cut at 31 bytes; NULL: "main" */
    brood_start start; /* what BROOD_DEFAULT means from now on: brood/start.h */
    /* Bytes of the region, rounded up to 64 KiB, at least 1 MiB. 0: the environment's BROOD_LIMIT (bytes, or with K, M
     * or G behind), else the least of 64 GiB (256 MiB on 32-bit machines, where 512 MiB are the most), the machine's
     * memory, the memory cgroup's limit, RLIMIT_FSIZE and half of RLIMIT_AS (32 MiB under valgrind, whose leak check
     * reads all of it). The region is sparse: a large limit costs nothing until it is used. */
    size_t limit;
    /* Arguments, argv[0] first, ended by NULL, that a spawned child, or the fork server, is started with; NULL: this
     * process' own. */
    char *const *command;
    /* Runs once in each fork server before it serves: what it loads and makes, every child of the server has from the
     * start. It may not start threads that stay. Not 0: the server ends, and that is its code (brood_fail gives the
     * reason). NULL: nothing. */
    int (*preload)(void);
    brood_heap_mode heap; /* what the heap remembers of each block: brood/memory.h; the founder's only */
    void *reserved[8];
} brood_init_options;

/* Joins or founds the family. Call it first in main: in a process that brood spawned it does not return but runs the
 * target and exits, and whatever stands before it runs again in each such process. The child finds its command line
 * and environment as its parent had them.
 * 0: founded.  BROOD_ALREADY: this process is in a family already; the options were not looked at.
 * EINVAL: bad options, a limit below 1 MiB, a bad BROOD_LIMIT, BROOD_HEAP, BROOD_START_METHOD, BROOD_LOG or
 * BROOD_SLOW_WAIT in the environment (the sentence says which).  ENOMEM: the limits of this process or machine leave no
 * room for the region.  ENOSYS: the kernel is older than Linux 4.14, or refuses memfd_create(2) or madvise(2).  EMFILE,
 * ENFILE: no descriptor is free.  EAGAIN: a child of this family that could not be given the region's address.  EPERM:
 * started by brood as a child, but its family is gone, or not its own.
 * After a failure every call of brood, brood_init included, fails with EINVAL and the sentence of this one. */
BROOD_API int brood_init(const brood_init_options *options);

/* What a process does at its end, now: runs the hooks of brood_process_at_exit, last one first; waits for those it
 * started that are neither daemons nor `survives`, however long they take; ends the daemons (SIGTERM, after 1,000 ms
 * SIGKILL, which alone ends one that has SIGTERM blocked or ignored; one that may not be signalled, since its user or
 * this process' was changed, goes on until this process is gone); ends its fork server. It happens by itself at
 * exit(3), at main's return, and when a process' function has returned or calls exit; a process that ends in another
 * way (_exit, a signal) takes its children with it as brood/process.h says. 0; a second call does what has come since.
 * EDEADLK: called by a hook. */
BROOD_API int brood_fini(void);

/* "0.1.0": of the library that runs, which may be newer than this header. */
BROOD_API const char *brood_version(void);

/* How many processors this process may use at once, at least 1: the least of the machine's, its affinity mask's and
 * its CPU quota's (rounded up). Needs no brood_init. */
BROOD_API int brood_cpu_count(void);

#ifdef __cplusplus
}
#endif

#endif
