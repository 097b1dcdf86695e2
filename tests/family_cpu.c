/* family_cpu.c: how many processors a process may use: the least of what the machine has, its affinity mask leaves and
 * the CPU quotas of its cgroups pay for. Quotas take a cgroup of its own, which only root can make.
 */
#include "harness.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int allowed_count(void)
{
    cpu_set_t set;
    NEED(sched_getaffinity(0, sizeof set, &set) == 0);
    return CPU_COUNT(&set);
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static void unlimited(void)
{
    int count = brood_cpu_count(); /* needs no brood_init */
    CHECK(count >= 1 && count <= allowed_count());
    CHECK(count <= sysconf(_SC_NPROCESSORS_ONLN));
    NEED(brood_init(NULL) == 0);
    CHECK_EQ(brood_cpu_count(), count);
}

/* One processor after the other is taken away, down to one, which may be any. */
static void affinity(void)
{
    cpu_set_t set;
    int most = brood_cpu_count();
    NEED(sched_getaffinity(0, sizeof set, &set) == 0);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&set) > 1; cpu++) {
        if (!CPU_ISSET(cpu, &set))
            continue;
        CPU_CLR(cpu, &set);
        NEED(sched_setaffinity(0, sizeof set, &set) == 0);
        CHECK_EQ(brood_cpu_count(), smaller(most, CPU_COUNT(&set)));
    }
    CHECK_EQ(brood_cpu_count(), 1);
}

static int count_here(void *arg)
{
    (void)arg;
    return brood_cpu_count();
}

/* A process that may run on one of them says one, by whatever method it was started. */
static void affinity_of_child(void)
{
    cpu_set_t set;
    int first = 0;
    NEED(sched_getaffinity(0, sizeof set, &set) == 0);
    while (!CPU_ISSET(first, &set))
        first++;
    for (int i = 1; brood_start_name((brood_start)i) != NULL; i++) {
        brood_process_options options = { .start = (brood_start)i, .cpus = &first, .cpu_count = 1 };
        brood_process *process = brood_process_start(count_here, NULL, 0, &options);
        brood_end end = { .code = 0 };
        NEED(process != NULL);
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.code, 1);
        CHECK_RESULT(brood_process_close(process), 0);
    }
}

/* ---- quotas ---- */

#define PERIOD_US 100000

/* A group for this case alone, and one in it: by the old hierarchy of the CPU controller, or by the new one. */
struct group {
    bool unified;
    char outer[4200];
    char inner[4300];
};

static bool write_text(const char *folder, const char *name, const char *text)
{
    char path[4400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t length = write(fd, text, strlen(text));
    close(fd);
    return length == (ssize_t)strlen(text);
}

static bool has_word(const char *folder, const char *name, const char *word)
{
    char path[4400], text[512] = "";
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool found = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    char *rest = NULL;
    bool has = false;
    for (char *at = strtok_r(text, " \n", &rest); found && at != NULL; at = strtok_r(NULL, " \n", &rest))
        has = has || strcmp(at, word) == 0;
    return has;
}

/* The folder of this process' own group: where the controller is mounted, and what /proc says of the process. */
static bool find_group(bool unified, char *folder, size_t size)
{
    FILE *file = fopen("/proc/self/cgroup", "re");
    char line[4096];
    bool found = false;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL)
            continue;
        *path++ = '\0';
        controllers++;
        found =
            unified ? *controllers == '\0' : strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0;
        if (found)
            snprintf(folder, size, "/sys/fs/cgroup%s%s", unified ? "" : "/cpu", strcmp(path, "/") == 0 ? "" : path);
    }
    if (file != NULL)
        fclose(file);
    return found && access(folder, F_OK) == 0;
}

static void clear_group(const struct group *group)
{
    rmdir(group->inner);
    rmdir(group->outer);
}

/* With the controller in both, or not at all. The group above is not changed for it. */
static bool make_group(struct group *group, bool unified)
{
    char folder[4096];
    *group = (struct group){ .unified = unified };
    if (!find_group(unified, folder, sizeof folder) || (unified && !has_word(folder, "cgroup.subtree_control", "cpu")))
        return false;
    snprintf(group->outer, sizeof group->outer, "%s/brood-test-%d", folder, (int)getpid());
    snprintf(group->inner, sizeof group->inner, "%s/inner", group->outer);
    if (mkdir(group->outer, 0755) != 0)
        return false;
    if ((!unified || write_text(group->outer, "cgroup.subtree_control", "+cpu")) && mkdir(group->inner, 0755) == 0)
        return true;
    clear_group(group);
    return false;
}

/* Processor time in each period; below 0: as much as there is. */
static bool set_quota(const struct group *group, const char *folder, long quota_us)
{
    char text[64];
    if (!group->unified) {
        snprintf(text, sizeof text, "%ld", quota_us);
        return write_text(folder, "cpu.cfs_quota_us", text);
    }
    if (quota_us < 0)
        snprintf(text, sizeof text, "max %d", PERIOD_US);
    else
        snprintf(text, sizeof text, "%ld %d", quota_us, PERIOD_US);
    return write_text(folder, "cpu.max", text);
}

static int count_in_group(void *arg)
{
    int *count = harness_page();
    NEED(write_text(arg, "cgroup.procs", "0"));
    *count = brood_cpu_count();
    return 0;
}

static int count_in(struct group *group)
{
    int *count = harness_page();
    *count = 0;
    CHECK_EQ(wait_child(fork_child(count_in_group, group->inner)), 0);
    return *count;
}

static void check_quotas(struct group *group)
{
    static const struct {
        long outer, inner; /* microseconds a period */
        int count;         /* of a machine with enough of them; 0: all */
    } quotas[] = {
        { -1, -1, 0 },
        { -1, PERIOD_US, 1 },
        { -1, PERIOD_US / 2, 1 },
        { -1, 2000, 1 },
        { -1, PERIOD_US + PERIOD_US / 2, 2 },
        { -1, 2 * PERIOD_US, 2 },
        { -1, 2 * PERIOD_US + 1000, 3 },
        { -1, 1000 * PERIOD_US, 1000 },
        { PERIOD_US / 2, -1, 1 }, /* what is set further up counts too */
        { 2 * PERIOD_US, PERIOD_US, 1 },
        { -1, -1, 0 },
    };
    int most = allowed_count();
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++) {
        /* a group may not be given more than the one around it has */
        NEED(set_quota(group, group->inner, -1) && set_quota(group, group->outer, quotas[i].outer));
        NEED(set_quota(group, group->inner, quotas[i].inner));
        CHECK_EQ(count_in(group), quotas[i].count > 0 ? smaller(quotas[i].count, most) : most);
    }
}

static void quota_by(bool unified)
{
    struct group group;
    if (brood_cpu_count() != allowed_count())
        harness_skip("this process has a quota already");
    if (!make_group(&group, unified))
        harness_skip("no cgroup with the CPU controller to be had");
    check_quotas(&group);
    clear_group(&group);
    CHECK(access(group.outer, F_OK) != 0);
}

static void quota_v1(void)
{
    quota_by(false);
}

static void quota_v2(void)
{
    quota_by(true);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "unlimited", .run = unlimited, .no_init = true },
        { .name = "affinity", .run = affinity, .no_init = true },
        { .name = "affinity_of_child", .run = affinity_of_child },
        { .name = "quota_v1", .run = quota_v1, .no_init = true },
        { .name = "quota_v2", .run = quota_v2, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
