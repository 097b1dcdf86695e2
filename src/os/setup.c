/* os/setup.c: carrying out a plan in a child.
 *
 * Descriptors: whatever takes a new number is first copied out of the way of all numbers that are given away, and so is
 * what of brood's stands on one of those; then each copy goes to its place. So any permutation works, and a failure
 * before the last step changes nothing that matters.
 */
#include "os/setup.h"

#include "os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOVES_MOST (SETUP_FDS_MAX + 3)

struct moves {
    int from[MOVES_MOST], to[MOVES_MOST];
    int count;
};

static int outcome(enum setup_step step, int failed)
{
    return failed ? SETUP_OUTCOME(step, failed) : 0;
}

/* ---- descriptors ---- */

static bool is_target(const struct moves *moves, int fd)
{
    for (int i = 0; i < moves->count; i++)
        if (moves->to[i] == fd)
            return true;
    return false;
}

/* A copy, close-on-exec, under a number from 3 on that is nobody's target; -1 with errno. */
static int copy_aside(const struct moves *moves, int fd)
{
    int least = 3, copy;
    while ((copy = fcntl(fd, F_DUPFD_CLOEXEC, least)) >= 0 && is_target(moves, copy)) {
        close(copy);
        least = copy + 1;
    }
    return copy;
}

/* 0 or an errno. Sources that were given under numbers of their own (`from`) are closed in the end. */
static int move(struct moves *moves, int *keep, int keep_count, bool close_sources)
{
    int copies[MOVES_MOST];
    for (int i = 0; i < keep_count; i++) {
        if (keep[i] < 0 || !is_target(moves, keep[i]))
            continue;
        int moved = copy_aside(moves, keep[i]);
        if (moved < 0)
            return errno;
        keep[i] = moved;
    }
    for (int i = 0; i < moves->count; i++)
        if ((copies[i] = copy_aside(moves, moves->from[i])) < 0)
            return errno;
    for (int i = 0; i < moves->count; i++)
        if (dup2(copies[i], moves->to[i]) < 0)
            return errno;
    for (int i = 0; i < moves->count; i++) {
        close(copies[i]);
        if (close_sources && moves->from[i] > 2 && !is_target(moves, moves->from[i]))
            close(moves->from[i]);
    }
    return 0;
}

/* Standard streams, and descriptors that come under other numbers. 0 or an errno. */
static int place(const struct setup *setup, int *keep, int keep_count)
{
    struct moves moves;
    int null = -1;
    moves.count = 0;
    for (int i = 0; i < 3; i++) {
        if (setup->streams[i] == 0)
            continue;
        if (setup->streams[i] < 0 && null < 0 && (null = open("/dev/null", O_RDWR | O_CLOEXEC)) < 0)
            return errno;
        moves.from[moves.count] = setup->streams[i] < 0 ? null : setup->streams[i];
        moves.to[moves.count++] = i;
    }
    for (uint32_t i = 0; setup->from && i < setup->fd_count; i++) {
        moves.from[moves.count] = setup->from[i];
        moves.to[moves.count++] = setup->fds[i];
    }
    int failed = move(&moves, keep, keep_count, setup->from != NULL);
    if (null >= 0 && !is_target(&moves, null))
        close(null);
    return failed;
}

/* From `first` to `last`: closes them, or marks them close-on-exec. */
static void shut(unsigned first, unsigned last, bool mark)
{
    if (first > last || syscall(SYS_close_range, first, last, mark ? CLOSE_RANGE_CLOEXEC : 0) == 0)
        return;
    long most = sysconf(_SC_OPEN_MAX); /* before Linux 5.9, and 5.11 for marking */
    for (unsigned fd = first; fd <= last && fd < (unsigned)(most < 0 ? 1024 : most); fd++) {
        if (!mark)
            close((int)fd);
        else
            fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    }
}

/* All from 3 on but the plan's and `keep`. */
static void shut_others(const struct setup *setup, const int *keep, int keep_count, bool mark)
{
    for (unsigned from = 3;;) {
        unsigned next = ~0U;
        for (int i = 0; i < keep_count; i++)
            if (keep[i] >= (int)from && (unsigned)keep[i] < next)
                next = (unsigned)keep[i];
        for (uint32_t i = 0; i < setup->fd_count; i++)
            if (setup->fds[i] >= (int)from && (unsigned)setup->fds[i] < next)
                next = (unsigned)setup->fds[i];
        shut(from, next - 1, mark); /* of ~0U: the last but one, which is as good as all */
        if (next == ~0U)
            return;
        from = next + 1;
    }
}

static int set_descriptors(const struct setup *setup, int *keep, int keep_count, bool before_exec)
{
    int failed = place(setup, keep, keep_count);
    if (failed)
        return outcome(setup->fd_count && setup->from ? SETUP_FDS : SETUP_STREAM, failed);
    if (setup->only_fds)
        shut_others(setup, keep, keep_count, before_exec);
    for (uint32_t i = 0; i < setup->fd_count; i++) /* open across an exec(2) */
        if (fcntl(setup->fds[i], F_SETFD, 0) < 0)
            return outcome(SETUP_FDS, errno);
    return 0;
}

/* ---- the rest ---- */

static int set_cpus(const struct setup *setup)
{
    unsigned long set[SETUP_CPUS_MAX / (8 * sizeof(unsigned long))] = { 0 };
    const unsigned bits = 8 * sizeof *set;
    for (uint32_t i = 0; i < setup->cpu_count; i++) {
        if (setup->cpus[i] < 0 || setup->cpus[i] >= SETUP_CPUS_MAX)
            return EINVAL;
        set[(unsigned)setup->cpus[i] / bits] |= 1UL << (unsigned)setup->cpus[i] % bits;
    }
    return syscall(SYS_sched_setaffinity, 0, sizeof set, set) < 0 ? errno : 0;
}

static int set_niceness(const struct setup *setup)
{
    errno = 0;
    int before = getpriority(PRIO_PROCESS, 0);
    if (before == -1 && errno)
        return errno;
    return setpriority(PRIO_PROCESS, 0, before + setup->niceness) < 0 ? errno : 0;
}

/* A cap: one that is in force already and lower stays. `beyond`: how much higher the hard limit is. */
static int cap(int resource, int64_t value, rlim_t beyond)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0)
        return errno;
    rlim_t hard = (rlim_t)value + beyond, soft = (rlim_t)value;
    if (hard < limit.rlim_max)
        limit.rlim_max = hard;
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    return setrlimit(resource, &limit) < 0 ? errno : 0;
}

/* What the process is to have, no more and no less. */
static int allow(int resource, int64_t value)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0)
        return errno;
    if ((rlim_t)value > limit.rlim_max) /* also where we have the right: a limit is not raised in passing */
        return EPERM;
    limit.rlim_cur = limit.rlim_max = (rlim_t)value;
    return setrlimit(resource, &limit) < 0 ? errno : 0;
}

int setup_limit(const struct setup *setup)
{
    int failed;
    if (setup->max_files && (failed = allow(RLIMIT_NOFILE, setup->max_files)))
        return outcome(SETUP_MAX_FILES, failed);
    if (setup->max_memory && (failed = cap(RLIMIT_DATA, setup->max_memory, 0)))
        return outcome(SETUP_MAX_MEMORY, failed);
    return 0;
}

/* Those that a program can be executed under. */
static int set_limits(const struct setup *setup)
{
    int failed;
    if (setup->max_cpu_seconds && (failed = cap(RLIMIT_CPU, setup->max_cpu_seconds, 1)))
        return outcome(SETUP_MAX_CPU_SECONDS, failed);
    if (setup->max_core && (failed = allow(RLIMIT_CORE, setup->max_core < 0 ? 0 : setup->max_core)))
        return outcome(SETUP_MAX_CORE, failed);
    return 0;
}

int setup_apply(const struct setup *setup, int *keep, int keep_count, bool before_exec)
{
    int failed;
    if (setup->new_session && setsid() < 0)
        return outcome(SETUP_SESSION, errno);
    if (setup->new_group && !setup->new_session && setpgid(0, 0) < 0)
        return outcome(SETUP_GROUP, errno);
    if (setup->cpu_count && (failed = set_cpus(setup)))
        return outcome(SETUP_CPUS, failed);
    if (setup->niceness && (failed = set_niceness(setup)))
        return outcome(SETUP_NICENESS, failed);
    if ((failed = set_descriptors(setup, keep, keep_count, before_exec)) || (failed = set_limits(setup)))
        return failed;
    if (setup->directory && chdir(setup->directory) < 0)
        return outcome(SETUP_DIRECTORY, errno);
    return before_exec ? 0 : setup_limit(setup);
}

int setup_check_fds(const struct setup *setup, int *fd)
{
    for (int i = 0; i < 3; i++) {
        *fd = setup->streams[i];
        if (*fd < -1 || (*fd > 0 && fcntl(*fd, F_GETFD) < 0))
            return -EBADF;
    }
    for (uint32_t i = 0; i < setup->fd_count; i++) {
        *fd = setup->fds[i];
        if (*fd < 3 || fcntl(*fd, F_GETFD) < 0)
            return -EBADF;
    }
    return 0;
}

const char *setup_step_name(enum setup_step step)
{
    static const char *const names[] = { "its setup",       "new_session",       "new_group", "cpus",
                                         "niceness",        "a standard stream", "fds",       "max_memory",
                                         "max_cpu_seconds", "max_files",         "max_core",  "directory",
                                         "environment" };
    return (unsigned)step < sizeof names / sizeof *names ? names[step] : names[0];
}
