/* os/cgroup.h: the control groups that this process is in, as far as they are mounted here.
 *
 * A process may be moved at any time: its groups are looked up at each call, where they are mounted only once. Any
 * thread may call; no descriptor is kept. What is not mounted, not readable or not understood is simply not there: a
 * limit that cannot be read is none.
 */
#ifndef OS_CGROUP_H
#define OS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_PATH_MAX 1024

enum cgroup_controller { CGROUP_CPU, CGROUP_MEMORY };

struct cgroup {
    int version;                     /* 1 or 2: their files differ */
    size_t top;                      /* bytes of `directory` that are the mount point */
    char directory[CGROUP_PATH_MAX]; /* without a slash at its end */
};

/* Finds the group in which `controller` counts this process. False: none is visible. */
bool cgroup_find(struct cgroup *group, enum cgroup_controller controller);

/* Goes on to the group around it. False: it was the outermost that is visible. */
bool cgroup_ascend(struct cgroup *group);

/* Reads the first `size` - 1 bytes of a file of the group, as a string. False: there is no such file. */
bool cgroup_read(const struct cgroup *group, const char *file, char *text, size_t size);

/* Reads a file that holds one number. False: there is none, or it sets no limit ("max", or a negative number). */
bool cgroup_number(const struct cgroup *group, const char *file, uint64_t *number);

#endif
