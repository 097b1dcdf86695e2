/* process_caps.c: the limits that brood_process_options set in a child, by every start method; and what a process is
 * said to have used.
 */
#include "harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define BURNT_US 50000
#define TOUCHED (32 * MIB)

/* The start method that this case is for: the end of its name. */
static brood_start method(void)
{
    return (brood_start)brood_start_find(strrchr(harness_command(NULL)[1], '_') + 1);
}

static brood_process *start(brood_target *target, const void *arg, size_t size, brood_process_options options)
{
    options.start = method();
    return brood_process_start(target, arg, size, &options);
}

static brood_end end_of(brood_process *process)
{
    brood_end end = { .how = BROOD_RUNNING };
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    return end;
}

static void ends_well(brood_process *process)
{
    brood_end end = end_of(process);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_STR(end.why, "");
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* The start fails with `number`, `part` is in the sentence, and no process is left. */
static void refused(brood_process_options options, int number, const char *part)
{
    int before = count_children(), descriptors = count_descriptors();
    CHECK_NULL(start(nothing, NULL, 0, options), number);
    CHECK_HAS(brood_error(), part);
    CHECK_EQ(count_children(), before);
    CHECK_EQ(count_descriptors(), descriptors);
}

static int has_memory(void *arg)
{
    size_t limit = *(const size_t *)arg;
    struct rlimit data;
    NEED(getrlimit(RLIMIT_DATA, &data) == 0);
    CHECK_EQ((long long)data.rlim_cur, (long long)limit);
    volatile char *block = malloc(limit / 4);
    for (size_t i = 0; CHECK(block != NULL) && i < limit / 4; i += 1024)
        block[i] = 1;
    free((void *)(uintptr_t)block);
    void *volatile more = malloc(limit * 2); /* volatile: else a compiler does without it */
    CHECK(more == NULL);
    free(more);
    return 0;
}

static void max_memory(void)
{
    size_t limit = 64 * MIB;
    refused((brood_process_options){ .max_memory = MIB - 1 }, EINVAL, "max_memory");
    refused((brood_process_options){ .max_memory = -1 }, EINVAL, "max_memory");
    if (!harness_sanitized()) /* their shadow is above any limit */
        ends_well(start(has_memory, &limit, sizeof limit, (brood_process_options){ .max_memory = (int64_t)limit }));
}

static void burn(int64_t microseconds)
{
    struct timespec used;
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    while (used.tv_sec * 1000000 + used.tv_nsec / 1000 < microseconds);
}

static int burn_on(void *arg)
{
    if (*(const bool *)arg)
        signal(SIGXCPU, SIG_IGN);
    burn(INT64_MAX);
    return 0;
}

static void max_cpu_seconds(void)
{
    brood_process_options options = { .max_cpu_seconds = 1, .max_core = -1 };
    for (int stubborn = 0; stubborn < 2; stubborn++) {
        brood_end end = end_of(start(burn_on, &(bool){ stubborn }, sizeof(bool), options));
        CHECK_EQ(end.how, BROOD_CRASHED);
        CHECK_EQ(end.signal, stubborn ? SIGKILL : SIGXCPU);
        CHECK(!end.core_dumped);
    }
    refused((brood_process_options){ .max_cpu_seconds = -1 }, EINVAL, "max_cpu_seconds");
}

static int files_below(void *arg)
{
    int most = *(const int *)arg, fd, last = -1;
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        last = fd;
    CHECK_EQ(errno, EMFILE);
    CHECK(last < most);
    return 0;
}

static void max_files(void)
{
    int most = 32;
    ends_well(start(files_below, &most, sizeof most, (brood_process_options){ .max_files = most }));
    refused((brood_process_options){ .max_files = 2 }, EINVAL, "max_files");
    refused((brood_process_options){ .max_files = -1 }, EINVAL, "max_files");
    struct rlimit files = { 900, 1000 };
    NEED(setrlimit(RLIMIT_NOFILE, &files) == 0); /* the fork server's is still higher */
    refused((brood_process_options){ .max_files = INT64_MAX }, EPERM, "max_files");
    if (method() == BROOD_FORKSERVER)
        return;
    refused((brood_process_options){ .max_files = 1001 }, EPERM, "max_files 1001");
    most = 1000;
    ends_well(start(files_below, &most, sizeof most, (brood_process_options){ .max_files = most }));
}

/* The least there can be: none but the standard ones. A program can still be begun with it. */
static void fewest_files(void)
{
    ends_well(start(nothing, NULL, 0, (brood_process_options){ .max_files = 3 }));
}

static int core_is(void *arg)
{
    struct rlimit core;
    NEED(getrlimit(RLIMIT_CORE, &core) == 0);
    CHECK_EQ((long long)core.rlim_cur, *(const long long *)arg);
    return 0;
}

static void max_core(void)
{
    struct rlimit core;
    NEED(getrlimit(RLIMIT_CORE, &core) == 0);
    long long some = core.rlim_max < 4 * MIB ? (long long)core.rlim_max : (long long)(4 * MIB), none = 0;
    ends_well(start(core_is, &none, sizeof none, (brood_process_options){ .max_core = -1 }));
    if (!harness_sanitized() && some > 0) /* they forbid cores themselves as they begin */
        ends_well(start(core_is, &some, sizeof some, (brood_process_options){ .max_core = some }));
    refused((brood_process_options){ .max_core = -2 }, EINVAL, "max_core");
    if (method() == BROOD_FORKSERVER)
        return; /* it has the limits that it began with */
    core.rlim_cur = core.rlim_max = 0;
    NEED(setrlimit(RLIMIT_CORE, &core) == 0);
    refused((brood_process_options){ .max_core = 4096 }, EPERM, "max_core 4096");
}

static int use_much(void *arg)
{
    (void)arg;
    volatile char *block = malloc(TOUCHED);
    NEED(block != NULL);
    for (size_t i = 0; i < TOUCHED; i += 1024)
        block[i] = 1;
    burn(BURNT_US);
    free((void *)(uintptr_t)block);
    return 0;
}

static int wait_for_user(void *arg)
{
    (void)arg;
    ends_well(start(use_much, NULL, 0, (brood_process_options){ 0 }));
    return 0;
}

/* What it and those that it waited for used; of the wall's time no more than went by here. */
static void what_was_used(void)
{
    for (int i = 0; i < 2; i++) {
        long long before = now_us();
        brood_end end = end_of(start(i == 0 ? use_much : wait_for_user, NULL, 0, (brood_process_options){ 0 }));
        long long after = now_us();
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK(end.cpu_us >= BURNT_US * 4 / 5 && end.cpu_us < 20000000);
        CHECK(end.wall_us >= BURNT_US * 4 / 5 && end.wall_us <= after - before);
        CHECK(end.peak_bytes >= (int64_t)TOUCHED && end.peak_bytes < (int64_t)1 << 40);
    }
    brood_process *process = start(use_much, NULL, 0, (brood_process_options){ 0 });
    NEED(process != NULL);
    wait_child(brood_process_pid(process)); /* someone else takes its status */
    brood_end end = end_of(process);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK(end.wall_us >= BURNT_US * 4 / 5);
    CHECK_EQ(end.cpu_us, 0);
    CHECK_EQ(end.peak_bytes, 0);
}

/* Each of these by each method: NAME_METHOD. */
static const struct test_case by_method[] = {
    { .name = "max_memory", .run = max_memory },
    { .name = "max_cpu_seconds", .run = max_cpu_seconds, .deadline_s = 60 },
    { .name = "max_files", .run = max_files },
    { .name = "fewest_files", .run = fewest_files },
    { .name = "max_core", .run = max_core },
    { .name = "what_was_used", .run = what_was_used },
};

int main(int argc, char **argv)
{
    enum { CASES = sizeof by_method / sizeof *by_method, METHODS = 3 };
    static char names[CASES * METHODS][64];
    static struct test_case cases[CASES * METHODS + 1];
    for (int i = 0; i < CASES * METHODS; i++) {
        cases[i] = by_method[i / METHODS];
        snprintf(names[i], sizeof names[i], "%s_%s", cases[i].name, brood_start_name((brood_start)(1 + i % METHODS)));
        cases[i].name = names[i];
    }
    return harness_main(argc, argv, cases);
}
