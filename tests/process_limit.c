/* process_limit.c: what forbids to start a process or to signal it: the limits of user and family, another user.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

static const brood_process_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

struct stage {
    atomic_int entered;
    atomic_int leave;
    atomic_int left;
    atomic_int pid;
    brood_process *process;
};

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int stay(void *arg)
{
    struct stage *stage = *(struct stage **)arg;
    atomic_store(&stage->pid, getpid());
    atomic_fetch_add(&stage->entered, 1);
    bool told = wait_word(&stage->leave, 1, 15000);
    atomic_fetch_add(&stage->left, 1);
    return told ? 0 : 1;
}

static struct stage *new_stage(void)
{
    struct stage *stage = CHECK_POINTER(brood_alloc(sizeof *stage));
    NEED(stage != NULL);
    return stage;
}

static brood_process *start_stay(struct stage *stage, const brood_process_options *options)
{
    brood_process *process = brood_process_start(stay, &stage, sizeof stage, options);
    NEED(process != NULL);
    return process;
}

static void join_well(brood_process *process)
{
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_STR(end.why, "");
    CHECK_RESULT(brood_process_close(process), 0);
}

static int no_processes(void *arg)
{
    (void)arg;
    struct rlimit limit, none;
    NEED(getrlimit(RLIMIT_NPROC, &limit) == 0);
    NEED(geteuid() != 0 || setuid(65534) == 0);
    none = (struct rlimit){ .rlim_cur = 1, .rlim_max = limit.rlim_max };
    NEED(setrlimit(RLIMIT_NPROC, &none) == 0);
    int descriptors = count_descriptors();
    for (int i = 0; i < 2; i++)
        CHECK_NULL(brood_process_start(nothing, NULL, 0, &methods[i]), EAGAIN);
    CHECK_EQ(count_descriptors(), descriptors);
    NEED(setrlimit(RLIMIT_NPROC, &limit) == 0);
    join_well(brood_process_start(nothing, NULL, 0, &methods[0]));
    return 0;
}

static void process_limit(void)
{
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_heap_stat(&before), 0);
    CHECK_EQ(wait_child(fork_child(no_processes, NULL)), 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
}

static int sleep_on(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

/* The family's table is full with 4,096 processes, and is free again when those that were in it have died. */
static void full_table(void)
{
    enum { MOST = 4096 };
    static brood_process *processes[MOST];
    struct rlimit limit;
    NEED(getrlimit(RLIMIT_NPROC, &limit) == 0);
    if (limit.rlim_cur < MOST + 1000)
        harness_skip("not enough processes allowed");
    if (harness_sanitized())
        harness_skip("a sanitizer's processes are too large to have 4,096 of them");
    int started = 0;
    while (started < MOST && (processes[started] = brood_process_start(sleep_on, NULL, 0, &methods[0])) != NULL)
        started++;
    CHECK_EQ(started, MOST - 1);
    CHECK_NULL(brood_process_start(nothing, NULL, 0, &methods[0]), EAGAIN);
    CHECK_NULL(brood_process_start(nothing, NULL, 0, &methods[1]), EAGAIN);
    CHECK_NULL(brood_pool_create(1, NULL), EAGAIN);
    brood_free(CHECK_POINTER(brood_alloc(1000))); /* all else works on */
    for (int i = 0; i < started; i++)
        CHECK_RESULT(brood_process_signal(processes[i], SIGKILL), 0);
    for (int i = 0; i < started; i++) {
        CHECK_RESULT(brood_process_join(processes[i], NULL, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(processes[i]), 0);
    }
    CHECK_EQ(count_children(), 0);
    join_well(brood_process_start(nothing, NULL, 0, &methods[1]));
}

static int change_user(void *arg)
{
    struct stage *stage = arg;
    brood_process *process = start_stay(stage, &methods[0]);
    CHECK(wait_word(&stage->entered, 1, 5000));
    NEED(setuid(65534) == 0);
    CHECK_RESULT(brood_process_signal(process, SIGTERM), -EPERM);
    atomic_store(&stage->leave, 1);
    join_well(process);
    return 0;
}

static void signal_forbidden(void)
{
    if (geteuid() != 0)
        harness_skip("only root can change its user");
    struct stage *stage = new_stage();
    CHECK_EQ(wait_child(fork_child(change_user, stage)), 0);
    brood_free(stage);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "process_limit", .run = process_limit },
        { .name = "full_table", .run = full_table, .deadline_s = 60 },
        { .name = "signal_forbidden", .run = signal_forbidden },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
