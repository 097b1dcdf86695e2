/* os/cpu.c: how many processors this process may use.
 *
 * The kernel limits them in three places, and a container may use any: the machine, the affinity mask (into which
 * cpusets and offline processors are already counted) and the CPU quota of each cgroup from this process' own upwards.
 * What cannot be read limits nothing.
 */
#include "os/cpu.h"

#include "os/cgroup.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define MASK_CPUS_MAX (1 << 20) /* a kernel that asks for a larger mask is taken not to tell */

struct quota {
    uint64_t time, period; /* microseconds of CPU in each period; period 0: none */
};

static int affinity_count(void)
{
    for (int cpus = CPU_SETSIZE; cpus <= MASK_CPUS_MAX; cpus *= 2) {
        cpu_set_t *mask = CPU_ALLOC(cpus);
        if (!mask)
            return 0;
        size_t size = CPU_ALLOC_SIZE(cpus);
        int failure = sched_getaffinity(0, size, mask) ? errno : 0;
        int count = failure ? 0 : CPU_COUNT_S(size, mask);
        CPU_FREE(mask);
        if (failure != EINVAL) /* EINVAL: the kernel's masks are larger */
            return count;
    }
    return 0;
}

/* The processors that the machine and the affinity mask leave. */
static int processor_count(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int affine = affinity_count();
    if (online < 1)
        return affine < 1 ? 1 : affine;
    return affine < 1 || online < affine ? (int)online : affine;
}

static struct quota quota_of(const struct cgroup *group)
{
    struct quota quota = { 0 };
    char text[64];
    if (group->version == 2) {
        if (cgroup_read(group, "cpu.max", text, sizeof text) && isdigit((unsigned char)text[0])) { /* else "max ..." */
            char *rest;
            quota.time = strtoull(text, &rest, 10);
            quota.period = strtoull(rest, NULL, 10);
        }
    } else {
        if (!cgroup_number(group, "cpu.cfs_quota_us", &quota.time) || /* "-1" */
            !cgroup_number(group, "cpu.cfs_period_us", &quota.period))
            quota.period = 0;
    }
    return quota;
}

/* How many processors the tightest quota pays for, rounded up, if that is less than `count` processors; else
 * `count`. *tight: some quota is less than `count` processors, if only by a part of one. */
static int quota_limit(int count, bool *tight)
{
    struct cgroup group;
    int limit = count;
    *tight = false;
    for (bool found = cgroup_find(&group, CGROUP_CPU); found; found = cgroup_ascend(&group)) {
        struct quota quota = quota_of(&group);
        if (quota.period == 0 || quota.time / quota.period >= (uint64_t)count)
            continue;
        *tight = true;
        int whole = (int)(quota.time / quota.period) + (quota.time % quota.period != 0);
        if (whole < limit)
            limit = whole;
    }
    return limit < 1 ? 1 : limit;
}

int cpu_usable(void)
{
    bool tight;
    return quota_limit(processor_count(), &tight);
}

int cpu_allowed(unsigned index)
{
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) || CPU_COUNT(&mask) == 0)
        return -1;
    unsigned left = index % (unsigned)CPU_COUNT(&mask);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &mask) && left-- == 0)
            return cpu;
    return -1;
}

bool cpu_has_quota(void)
{
    bool tight;
    quota_limit(processor_count(), &tight);
    return tight;
}
