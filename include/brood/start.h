/* brood/start.h: start methods: the ways a process comes to be.
 *
 * A process or a pool is told its method by `.start` in its options; BROOD_DEFAULT there means the default
 * of this process: what brood_init was told, else the environment's BROOD_START_METHOD (empty counts as unset), else
 * fork. A child has its starter's default.
 *
 *                     fork                       spawn                       fork server
 *   what it is        a copy of its starter      the program, begun afresh   a copy of a clean server process of the
 *                                                                            program, which is begun afresh once
 *   memory            its starter's, copied      its own                     what `preload` made, copied
 *   costs             with the starter's memory  the program's start         little, whatever the starter's memory
 *   threads           only the caller's; locks   none                        none
 *                     of others may be held for
 *                     ever in it
 *   descriptors       all, or `fds`              0, 1, 2 and `fds`           0, 1, 2 and `fds`
 *   user, groups,     the starter's              the starter's               the starter's
 *   capabilities
 *   signals           blocked, ignored and       blocked and ignored are     those that the server began with, and
 *                     handlers are the starter's the starter's               what `preload` made of them
 *   directory,        the starter's              the starter's               those that the server began with
 *   environment,
 *   umask, limits,
 *   niceness
 *
 * In all three the region is there, at the same address; the options of brood_process_start change the rest.
 *
 * Except for the two that say so, calls need brood_init (EINVAL before).
 */
#ifndef BROOD_START_H
#define BROOD_START_H

#include <brood/result.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum brood_start {
    BROOD_DEFAULT,
    BROOD_FORK,
    BROOD_SPAWN,
    BROOD_FORKSERVER,
} brood_start;

/* "fork", "spawn", "forkserver"; NULL for what is no start method, BROOD_DEFAULT included. The methods are numbered
 * from 1 without a gap, so counting up to the first NULL lists them all. Needs no brood_init. */
BROOD_API const char *brood_start_name(brood_start start);

/* The brood_start of that name (> 0), or EINVAL. Needs no brood_init. */
BROOD_API int brood_start_find(const char *name);

/* What BROOD_DEFAULT means in this process: a brood_start, > 0. */
BROOD_API int brood_start_default(void);

/* Sets that, for processes and pools made from now on. A program does it once, early: EBUSY if brood_init's
 * options or an earlier call have done it already, unless `force`. EINVAL: no start method. */
BROOD_API int brood_start_set_default(brood_start start, bool force);

/* Starts the fork server now, unless it runs; else the first process that needs it does, and pays for it. Returns its
 * process id. Each process that starts others by fork server has a server of its own, which ends with it. If a server
 * is killed, its children go on, and the next use starts another; so it does when the starter's user, groups or
 * permitted capabilities are no longer what they were when the server began.
 * EOWNERDEAD: it ends as it begins (`preload` fails, or main never comes to brood_init), or is killed again and again;
 * the sentence says how it ended.  ENOSYS: the C library is one that brood cannot make a child of the starter in.  And
 * what brood_process_start says of a spawned process. */
BROOD_API int brood_start_server(void);

#ifdef __cplusplus
}
#endif

#endif
