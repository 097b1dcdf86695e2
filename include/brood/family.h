/* brood/family.h: the family: all processes that share one region of memory.
 *
 * The first brood_init() makes the region: memory that every process of the family maps at the same address, so that a
 * pointer into it means the same thing in all of them. It has no name in any file system, so nothing is left behind,
 * whichever process dies. It is left out of core dumps (mlockall(2) does fill it: do not use that with a large limit).
 * A family lives in one PID namespace, and its processes trust each other: brood isolates crashes, it is no sandbox.
 *
 * brood starts no thread, handles no signal, and waits for no child but its own. It keeps two descriptors: of the
 * program's file (opened before main, number 100 or above where that can be had) and of the region (200 or above). A
 * program that closes all descriptors may close them too; it can then spawn no process (EBADF).
 */
#ifndef BROOD_FAMILY_H
#define BROOD_FAMILY_H

#include <brood/result.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a process comes to be. */
typedef enum brood_start {
    BROOD_DEFAULT, /* what brood_init was told; else the environment's BROOD_START_METHOD; else fork */
    BROOD_FORK,    /* a copy of its parent: the cheapest; of a parent's threads only the caller's exists in it */
    BROOD_SPAWN,   /* the same program, started afresh: nothing inherited but the region and open descriptors that are
                    * not close-on-exec; what main does before brood_init happens again in it */
} brood_start;

typedef struct brood_init_options {
    const char *name;  /* of this process, in messages, cut at 31 bytes; NULL: "main" */
    brood_start start; /* what BROOD_DEFAULT means from now on */
    /* Bytes of the region, rounded up to 64 KiB, at least 1 MiB. 0: the environment's BROOD_LIMIT (bytes, or with K, M
     * or G behind), else the least of 64 GiB, the machine's memory, the memory cgroup's limit, RLIMIT_FSIZE and half of
     * RLIMIT_AS (32 MiB under valgrind, whose leak check reads all of it). The region is sparse: a large limit costs
     * nothing until it is used. */
    size_t limit;
    /* Arguments, argv[0] first, ended by NULL, that a spawned child is started with; NULL: this process' own. */
    char *const *command;
    void *reserved[8];
} brood_init_options;

/* Joins or founds the family. Call it first in main: in a process that brood spawned it does not return but runs the
 * target and exits, and whatever stands before it runs again in each such process. The child finds its command line
 * and environment as its parent had them.
 * 0: founded.  BROOD_ALREADY: this process is in a family already; the options were not looked at.
 * EINVAL: bad options, a limit below 1 MiB, a bad BROOD_LIMIT or BROOD_START_METHOD in the environment (the sentence
 * says which).  ENOMEM: the limits of this process or machine leave no room for the region.  ENOSYS: the kernel has no
 * memfd (before 3.17, or filtered).  EAGAIN: a child of this family that could not be given the region's address.
 * EPERM: started by brood as a child, but its family is gone, or not its own.
 * After a failure every call of brood, brood_init included, fails with EINVAL and the sentence of this one. */
BROOD_API int brood_init(const brood_init_options *options);

/* "0.1.0": of the library that runs, which may be newer than this header. */
BROOD_API const char *brood_version(void);

/* "fork", "spawn"; NULL for what is no start method, BROOD_DEFAULT included. Needs no brood_init. */
BROOD_API const char *brood_start_name(brood_start start);

/* The brood_start of that name (> 0), or EINVAL. Needs no brood_init. */
BROOD_API int brood_start_find(const char *name);

/* How many processors this process may use at once, at least 1: the least of the machine's, its affinity mask's and
 * its CPU quota's (rounded up). Needs no brood_init. */
BROOD_API int brood_cpu_count(void);

#ifdef __cplusplus
}
#endif

#endif
