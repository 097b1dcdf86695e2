/* os/limits.h: how much memory this process may share.
 *
 * The least counts of what the machine has, what the memory cgroups around this process leave, and what the limits of
 * setrlimit(2) say. What cannot be read limits nothing. Any thread may call; no descriptor is kept.
 */
#ifndef OS_LIMITS_H
#define OS_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* The size of a region that nobody gave a size: the least of 64 GiB, the machine's memory, the cgroups' limits,
 * RLIMIT_FSIZE (which a memfd is subject to), half of RLIMIT_AS, and, under valgrind, 32 MiB (its leak check reads
 * all of a mapping, and so fills it); rounded down to 64 KiB. May be 0. Reads the environment: no other thread may
 * write it meanwhile. */
size_t limits_region_default(void);

/* RLIMIT_FSIZE, the most bytes of a file, and RLIMIT_AS, of all mappings together; UINT64_MAX: no limit. */
uint64_t limits_on_file(void);
uint64_t limits_on_space(void);

/* Whether so many bytes more of shared memory may be had now, with a little left over for everybody else.
 * 0, or -ENOMEM. It is a forecast: others may take the memory meanwhile. */
int limits_allow(size_t bytes);

#endif
