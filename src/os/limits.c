/* os/limits.c: how much memory this process may share.
 *
 * Shared pages that a cgroup or the machine has no room for are not refused by the kernel: its OOM killer comes. So
 * brood asks beforehand. Swap does not count: memory that is written all the time does not live there. File caches
 * count as free, since the kernel drops them first; only the inactive ones, which it drops at once.
 */
#include "os/limits.h"

#include "os/cgroup.h"
#include "os/proc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#define REGION_MOST (sizeof(size_t) == 8 ? UINT64_C(64) << 30 : UINT64_C(256) << 20)
#define REGION_UNDER_VALGRIND (UINT64_C(32) << 20)
#define REGION_UNIT (UINT64_C(64) << 10)
#define RESERVE_MOST (UINT64_C(16) << 20)
#define RESERVE_PART 64 /* the reserve is at most this part of the whole */
#define STAT_BYTES 4096 /* enough of memory.stat for the keys below: it has some 1,500 */

struct memory_files {
    const char *limit, *used, *stat;
    const char *inactive; /* the line of `stat`: of this group and all below it */
};

static const struct memory_files files_of[] = {
    [1] = { "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "\ntotal_inactive_file " },
    [2] = { "memory.max", "memory.current", "memory.stat", "\ninactive_file " },
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What has to stay free of a whole. */
static uint64_t reserve(uint64_t whole)
{
    return smaller(RESERVE_MOST, whole / RESERVE_PART);
}

static uint64_t rlimit_bytes(int resource)
{
    struct rlimit limit;
    return getrlimit(resource, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

/* The least limit of the memory cgroups. */
static uint64_t cgroup_limit(void)
{
    struct cgroup group;
    uint64_t least = UINT64_MAX;
    for (bool found = cgroup_find(&group, CGROUP_MEMORY); found; found = cgroup_ascend(&group)) {
        uint64_t limit;
        if (cgroup_number(&group, files_of[group.version].limit, &limit))
            least = smaller(least, limit);
    }
    return least;
}

/* Bytes of the group's file cache that nobody used of late. */
static uint64_t inactive_bytes(const struct cgroup *group, const struct memory_files *files)
{
    char text[STAT_BYTES];
    if (!cgroup_read(group, files->stat, text, sizeof text))
        return 0;
    const char *line = strstr(text, files->inactive);
    return line ? strtoull(line + strlen(files->inactive), NULL, 10) : 0;
}

static bool cgroup_allows(const struct cgroup *group, uint64_t bytes)
{
    const struct memory_files *files = &files_of[group->version];
    uint64_t limit, used;
    if (!cgroup_number(group, files->limit, &limit) || !cgroup_number(group, files->used, &used))
        return true;
    uint64_t kept = reserve(limit);
    if (bytes > limit - kept)
        return false;
    uint64_t room = limit - kept - bytes; /* that may be in use already */
    if (used <= room)
        return true;
    /* Only now: the kernel sums up the statistics of all processors for this file. */
    return used - room <= inactive_bytes(group, files);
}

/* Bytes that the machine can give without swapping. */
static uint64_t machine_available(const struct sysinfo *machine)
{
    uint64_t available = (uint64_t)machine->freeram * machine->mem_unit;
    struct proc_lines file;
    if (!proc_open(&file, "/proc/meminfo"))
        return available;
    static const char key[] = "MemAvailable:";
    const char *line;
    while ((line = proc_line(&file)) && strncmp(line, key, sizeof key - 1) != 0)
        continue;
    if (line)
        available = strtoull(line + sizeof key - 1, NULL, 10) * 1024;
    proc_close(&file);
    return available;
}

static bool machine_allows(uint64_t bytes)
{
    struct sysinfo machine;
    if (sysinfo(&machine) < 0)
        return true;
    uint64_t available = machine_available(&machine);
    uint64_t kept = reserve((uint64_t)machine.totalram * machine.mem_unit);
    return available >= kept && bytes <= available - kept;
}

size_t limits_region_default(void)
{
    struct sysinfo machine;
    uint64_t least = REGION_MOST;
    if (sysinfo(&machine) == 0)
        least = smaller(least, (uint64_t)machine.totalram * machine.mem_unit);
    least = smaller(least, cgroup_limit());
    least = smaller(least, limits_on_file());
    uint64_t space = limits_on_space();
    if (space != UINT64_MAX)
        least = smaller(least, space / 2);
    const char *preloaded = getenv("LD_PRELOAD"); /* NOLINT(concurrency-mt-unsafe): the header says so */
    if (preloaded && strstr(preloaded, "vgpreload"))
        least = smaller(least, REGION_UNDER_VALGRIND);
    return (size_t)(least / REGION_UNIT * REGION_UNIT);
}

uint64_t limits_on_file(void)
{
    return rlimit_bytes(RLIMIT_FSIZE);
}

uint64_t limits_on_space(void)
{
    return rlimit_bytes(RLIMIT_AS);
}

int limits_allow(size_t bytes)
{
    if (!machine_allows(bytes))
        return -ENOMEM;
    struct cgroup group;
    for (bool found = cgroup_find(&group, CGROUP_MEMORY); found; found = cgroup_ascend(&group))
        if (!cgroup_allows(&group, bytes))
            return -ENOMEM;
    return 0;
}
