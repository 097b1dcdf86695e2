/* process_options.c: what brood_process_options change in a child, by every start method: directory, environment,
 * processors, niceness, session; and that what cannot be done fails the start and leaves nothing. (Descriptors and
 * limits: process_descriptors.c, process_caps.c.)
 */
#include "harness.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

extern char **environ;

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

/* What is made once, a fork server, is there before things are counted. */
static void make_ready(void)
{
    ends_well(start(nothing, NULL, 0, (brood_process_options){ 0 }));
}

static int directory_is(void *arg)
{
    char here[4200] = "";
    CHECK(getcwd(here, sizeof here) != NULL);
    CHECK_STR(here, arg);
    return 0;
}

static void directory(void)
{
    char folder[4096];
    NEED(make_folder(folder, sizeof folder) == 0);
    size_t size = strlen(folder) + 1;
    NEED(chdir(program_folder()) == 0); /* before there is a fork server, which keeps the directory it began with */
    ends_well(start(directory_is, folder, size, (brood_process_options){ .directory = folder }));
    char copied[4096];
    snprintf(copied, sizeof copied, "%s", strrchr(folder, '/') + 1);
    brood_process *process = start(directory_is, folder, size, (brood_process_options){ .directory = copied });
    memset(copied, 0, sizeof copied);
    ends_well(process);
    ends_well(start(directory_is, "/", 2, (brood_process_options){ .directory = "/" }));
    CHECK_EQ(directory_is((void *)(uintptr_t)program_folder()), 0);

    char path[4200];
    snprintf(path, sizeof path, "%s/file", folder);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(file >= 0 && close(file) == 0);
    refused((brood_process_options){ .directory = path }, ENOTDIR, "directory");
    unlink(path);
    refused((brood_process_options){ .directory = path }, ENOENT, "directory '/");
    refused((brood_process_options){ .directory = "" }, ENOENT, "directory");
    CHECK(rmdir(folder) == 0);
}

/* The test's own board is found by this variable. */
static void board_variable(char *text, size_t size)
{
    const char *board = getenv("HARNESS_BOARD");
    NEED(board != NULL && (size_t)snprintf(text, size, "HARNESS_BOARD=%s", board) < size);
}

static int environment_is(void *arg)
{
    char board[200];
    (void)arg;
    board_variable(board, sizeof board);
    const char *const expected[] = { "ONE=1", "SPACES=two words", "EMPTY=", board, NULL };
    for (int i = 0; i < 5; i++) {
        if (!CHECK_STR(environ[i], expected[i]))
            return 1;
    }
    CHECK_STR(getenv("SPACES"), "two words");
    CHECK(setenv("SPACES", "three", 1) == 0 && setenv("MORE", "4", 1) == 0 && unsetenv("ONE") == 0);
    CHECK_STR(getenv("SPACES"), "three");
    CHECK_STR(getenv("MORE"), "4");
    execl("/bin/sh", "sh", "-c", "test \"$EMPTY$SPACES$MORE$ONE\" = three4", (char *)NULL);
    return 2;
}

/* ---- the environment of who outlives its starter ---- */

#define OTHERS 200 /* blocks that take the place of what a ticket leaves free */

struct heirs {
    atomic_int begun, go, done;
};

static int outlive(void *arg)
{
    struct heirs *heirs = arg;
    atomic_store(&heirs->begun, 1);
    CHECK(wait_word(&heirs->go, 1, 10000));
    CHECK_STR(getenv("MARK"), "mine");
    atomic_store(&heirs->done, 1);
    return 0;
}

static int leave_heir(void *arg)
{
    struct heirs *heirs = arg;
    const brood_process_options options = { .start = BROOD_FORK, .survives = true };
    NEED(brood_process_start(outlive, arg, 0, &options) != NULL);
    CHECK(wait_word(&heirs->begun, 1, 10000));
    return 0;
}

/* A process' own children have its environment, and keep it when it is gone and all that was its is given to others. */
static void environment_inherited(void)
{
    struct heirs *heirs = brood_alloc(sizeof *heirs);
    NEED(heirs != NULL);
    char board[200];
    board_variable(board, sizeof board);
    char *given[] = { "MARK=mine", board, NULL };
    ends_well(start(leave_heir, heirs, 0, (brood_process_options){ .environment = given }));
    for (int i = 0; i < OTHERS; i++) {
        size_t size = 64 + (size_t)(i % 16) * 64;
        char *block = brood_alloc(size);
        NEED(block != NULL);
        memset(block, '#', size);
    }
    atomic_store(&heirs->go, 1);
    CHECK(wait_word(&heirs->done, 1, 10000));
}

/* What another family's child was told by its environment says nothing to ours, though it is in what ours is given. */
static void environment_of_a_child(void)
{
    char board[200];
    if (getenv("HARNESS_SPAWNED") != NULL)
        _exit(95); /* it took itself for a first process */
    board_variable(board, sizeof board);
    char *given[] = { "BROOD_CHILD=7:1:8:0:1", "HARNESS_SPAWNED=1", board, "BROOD_CHILD=", NULL };
    ends_well(start(nothing, NULL, 0, (brood_process_options){ .environment = given }));
}

/* The copy that a forked child needs is not to be had. */
static void environment_no_memory(void)
{
    if (harness_sanitized())
        harness_skip("a sanitizer maps memory itself");
#ifndef __GLIBC__
    harness_skip("malloc has nothing in store: the handle is refused first");
#endif
    make_ready();
    if (method() != BROOD_FORK)
        return; /* a fresh program has its environment from the system; a server is not its starter */
    if (refuse_call(CALL_MMAP, ENOMEM) != 0)
        harness_skip("no seccomp filters here");
    refused((brood_process_options){ .environment = (char *[]){ "A=b", NULL } }, ENOMEM, "environment");
    make_ready();
}

/* Without the variable of the board: the code tells. */
static int count_environment(void *arg)
{
    (void)arg;
    int count = 0;
    while (environ[count])
        count++;
    return count;
}

static void environment(void)
{
    char board[200], one[] = "ONE=1";
    board_variable(board, sizeof board);
    NEED(setenv("OF_THE_STARTER", "x", 1) == 0);
    char *given[] = { one, "SPACES=two words", "EMPTY=", board, NULL };
    brood_process *process = start(environment_is, NULL, 0, (brood_process_options){ .environment = given });
    one[0] = 'X'; /* what options point to is copied */
    given[1] = NULL;
    brood_end end = end_of(process);
    CHECK_EQ(end.how, BROOD_EXITED); /* by the shell in its place */
    CHECK_EQ(end.code, 0);
    CHECK_EQ(end_of(start(count_environment, NULL, 0, (brood_process_options){ .environment = &given[4] })).code, 0);
    CHECK_STR(getenv("OF_THE_STARTER"), "x");
}

static int cpus_are(void *arg)
{
    const int *wanted = arg; /* how many, then which */
    cpu_set_t set;
    NEED(sched_getaffinity(0, sizeof set, &set) == 0);
    CHECK_EQ(CPU_COUNT(&set), wanted[0]);
    for (int i = 1; i <= wanted[0]; i++)
        CHECK(CPU_ISSET((size_t)wanted[i], &set));
    return 0;
}

static void cpus(void)
{
    cpu_set_t set;
    int wanted[3] = { 0 }, many[1025] = { 0 };
    NEED(sched_getaffinity(0, sizeof set, &set) == 0);
    for (int i = 0; i < CPU_SETSIZE && wanted[0] < 2; i++) {
        if (CPU_ISSET((size_t)i, &set))
            wanted[++wanted[0]] = i;
    }
    for (; wanted[0] > 0; wanted[0]--) {
        brood_process_options options = { .cpus = &wanted[1], .cpu_count = (size_t)wanted[0] };
        ends_well(start(cpus_are, wanted, sizeof wanted, options));
    }
    for (int i = 0; i < 1025; i++)
        many[i] = wanted[1];
    ends_well(start(nothing, NULL, 0, (brood_process_options){ .cpus = many, .cpu_count = 1024 }));
    refused((brood_process_options){ .cpus = many, .cpu_count = 1025 }, EINVAL, "cpus");
    refused((brood_process_options){ .cpus = many, .cpu_count = 0 }, EINVAL, "cpus");
    refused((brood_process_options){ .cpus = NULL, .cpu_count = 1 }, EINVAL, "cpus");
    static const int bad[] = { -1, 1023, 1024, 1 << 20 }; /* no machine of the tests has the second */
    for (int i = 0; i < 4; i++)
        refused((brood_process_options){ .cpus = &bad[i], .cpu_count = 1 }, EINVAL, "cpus");
    char number[16];
    snprintf(number, sizeof number, "%d", bad[2]);
    const int last_is_bad[] = { wanted[1], bad[2] };
    refused((brood_process_options){ .cpus = last_is_bad, .cpu_count = 2 }, EINVAL, number);
    refused((brood_process_options){ .cpus = &bad[1], .cpu_count = 1 }, EINVAL, "1023");
}

static int niceness_is(void *arg)
{
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), *(const int *)arg);
    return 0;
}

static void niceness(void)
{
    int here = getpriority(PRIO_PROCESS, 0), wanted = here + 5 < 19 ? here + 5 : 19;
    ends_well(start(niceness_is, &wanted, sizeof wanted, (brood_process_options){ .niceness = 5 }));
    ends_well(start(niceness_is, &here, sizeof here, (brood_process_options){ 0 }));
    CHECK_EQ(getpriority(PRIO_PROCESS, 0), here);
}

static int refused_niceness(void *arg)
{
    (void)arg;
    NEED(setrlimit(RLIMIT_NICE, &(struct rlimit){ 0, 0 }) == 0);
    NEED(geteuid() != 0 || setuid(65534) == 0);
    make_ready();
    int before = count_children();
    errno = 0;
    CHECK(start(nothing, NULL, 0, (brood_process_options){ .niceness = -3 }) == NULL);
    CHECK(errno == EPERM || errno == EACCES);
    CHECK_HAS(brood_error(), "niceness");
    CHECK_EQ(count_children(), before);
    CHECK_RESULT(brood_fini(), 0);
    return 0;
}

/* By a child forked by hand, which gives the right to it away. */
static void niceness_refused(void)
{
    CHECK_EQ(wait_child(fork_child(refused_niceness, NULL)), 0);
}

static int leads_session(void *arg)
{
    (void)arg;
    CHECK_EQ(getsid(0), getpid());
    CHECK_EQ(getpgid(0), getpid());
    return 0;
}

static int leads_group(void *arg)
{
    CHECK_EQ(getsid(0), *(const pid_t *)arg);
    CHECK_EQ(getpgid(0), getpid());
    return 0;
}

static int leads_nothing(void *arg)
{
    CHECK_EQ(getsid(0), *(const pid_t *)arg);
    CHECK(getpgid(0) != getpid());
    return 0;
}

static void session_and_group(void)
{
    pid_t session = getsid(0);
    ends_well(start(leads_session, NULL, 0, (brood_process_options){ .new_session = true }));
    ends_well(start(leads_session, NULL, 0, (brood_process_options){ .new_session = true, .new_group = true }));
    ends_well(start(leads_group, &session, sizeof session, (brood_process_options){ .new_group = true }));
    ends_well(start(leads_nothing, &session, sizeof session, (brood_process_options){ 0 }));
}

static void limit_is(int resource, long long value)
{
    struct rlimit limit = { 0, 0 };
    CHECK(getrlimit(resource, &limit) == 0);
    CHECK_EQ((long long)limit.rlim_cur, value);
}

struct everything {
    pid_t session;
    int niceness, cpu, file;
};

static int has_everything(void *arg)
{
    const struct everything *all = arg;
    char name[17] = "";
    prctl(PR_GET_NAME, name);
    CHECK_STR(name, "everything at o");
    CHECK_STR(brood_process_name(brood_process_self()), "everything at once");
    directory_is("/");
    CHECK_STR(getenv("ALL"), "of it");
    CHECK_EQ(fcntl(all->file, F_GETFD), 0);
    CHECK(fcntl(STDIN_FILENO, F_GETFD) == 0 && read(STDIN_FILENO, name, 1) == 0);
    cpus_are((int[]){ 1, all->cpu });
    niceness_is((void *)(uintptr_t)&all->niceness);
    limit_is(RLIMIT_NOFILE, 64);
    limit_is(RLIMIT_CORE, 0);
    limit_is(RLIMIT_CPU, 1000);
    return leads_session(NULL);
}

static void all_at_once(void)
{
    char board[200];
    cpu_set_t set;
    board_variable(board, sizeof board);
    NEED(sched_getaffinity(0, sizeof set, &set) == 0);
    int niceness = getpriority(PRIO_PROCESS, 0);
    struct everything all = { getsid(0), niceness < 19 ? niceness + 1 : 19, 0, -1 };
    while (!CPU_ISSET((size_t)all.cpu, &set))
        all.cpu++;
    all.file = open("/dev/null", O_RDWR | O_CLOEXEC);
    NEED(all.file >= 3);
    brood_process_options options = {
        .name = "everything at once",
        .directory = "/",
        .environment = (char *[]){ "ALL=of it", board, NULL },
        .input = -1,
        .fds = &all.file,
        .fd_count = 1,
        .cpus = &all.cpu,
        .cpu_count = 1,
        .niceness = 1,
        .max_cpu_seconds = 1000,
        .max_files = 64,
        .max_core = -1,
        .new_session = true,
        .new_group = true,
    };
    if (!harness_sanitized())
        options.max_memory = (int64_t)(256 * MIB);
    ends_well(start(has_everything, &all, sizeof all, options));
    close(all.file);
}

/* More often than the family's table has places. */
static void nothing_is_left(void)
{
    brood_heap_stats before = { 0 }, after = { 0 };
    make_ready();
    int children = count_children(), descriptors = count_descriptors();
    CHECK_RESULT(brood_heap_stat(&before), 0);
    int times = harness_times(5000);
    for (int i = 0; i < times && harness_failures() == 0; i++) {
        CHECK_NULL(start(nothing, NULL, 0, (brood_process_options){ .directory = "/nowhere" }), ENOENT);
        CHECK_EQ(brood_process_children(NULL, 0), 0);
    }
    CHECK_EQ(count_children(), children);
    CHECK_EQ(count_descriptors(), descriptors);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    make_ready();
}

/* From now on chdir(2) kills who calls it: a child dies before its options are in force. */
static void killed_in_setup(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_chdir, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = sizeof filter / sizeof *filter, .filter = filter };
    NEED(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) == 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        harness_skip("no filters");
    make_ready();
    refused((brood_process_options){ .directory = "/" }, ECHILD, "set up");
    make_ready();
}

/* Each of these by each method: NAME_METHOD. */
static const struct test_case by_method[] = {
    { .name = "directory", .run = directory },
    { .name = "environment", .run = environment },
    { .name = "environment_inherited", .run = environment_inherited },
    { .name = "environment_of_a_child", .run = environment_of_a_child },
    { .name = "environment_no_memory", .run = environment_no_memory },
    { .name = "cpus", .run = cpus },
    { .name = "niceness", .run = niceness },
    { .name = "niceness_refused", .run = niceness_refused },
    { .name = "session_and_group", .run = session_and_group },
    { .name = "all_at_once", .run = all_at_once },
    { .name = "nothing_is_left", .run = nothing_is_left, .deadline_s = 60 },
    { .name = "killed_in_setup", .run = killed_in_setup },
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
