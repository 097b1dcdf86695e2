/* process_full.c: what may be used up when a process is to be started: places in the family's table, processes of a
 * user, descriptors. By each start method that is told, nothing is left of it, and it works when there is room.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CASES_MOST 40
#define PROCESSES_MOST 1000
#define DESCRIPTORS_MOST 64

static brood_process_options by(int method)
{
    return (brood_process_options){ .start = (brood_start)method };
}

/* A case's name ends with its start method. */
static brood_process_options by_method(void)
{
    int method = brood_start_find(strrchr(harness_command(NULL)[1], '_') + 1);
    NEED(method > 0);
    return by(method);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int sleep_on(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static void join_well(brood_process *process)
{
    brood_end end = { .how = BROOD_RUNNING };
    if (!CHECK(process != NULL))
        return;
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

/* ---- the family's table ---- */

static brood_process *sleepers[PROCESSES_MOST];

/* How many there is room for. */
static int fill_table(void)
{
    brood_process_options options = by_method();
    int count = 0;
    errno = 0;
    while (count < PROCESSES_MOST && (sleepers[count] = brood_process_start(sleep_on, NULL, 0, &options)) != NULL)
        count++;
    CHECK_EQ(errno, EAGAIN);
    return count;
}

static void table_full(void)
{
    if (harness_sanitized() && by_method().start == BROOD_SPAWN)
        harness_skip("a sanitizer's processes are too large to have a hundred of them");
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    int count = fill_table();
    CHECK(count > 10 && count < PROCESSES_MOST);
    for (int i = 1; brood_start_name((brood_start)i) != NULL; i++) {
        brood_process_options options = by(i);
        CHECK_NULL(brood_process_start(nothing, NULL, 0, &options), EAGAIN);
        CHECK_HAS(brood_error(), "table");
    }
    CHECK_NULL(brood_pool_create(1, NULL), EAGAIN);
    for (int i = 0; i < 4; i++) {
        CHECK_RESULT(brood_process_stop(sleepers[i], NULL, 0, 0, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(sleepers[i]), 0);
    }
    for (int i = 1; brood_start_name((brood_start)i) != NULL; i++) {
        brood_process_options options = by(i);
        join_well(brood_process_start(nothing, NULL, 0, &options));
    }
    /* nobody joins the rest: their places come back all the same */
    for (int i = 4; i < count; i++) {
        CHECK_RESULT(brood_process_signal(sleepers[i], SIGKILL), 0);
        CHECK_RESULT(brood_process_close(sleepers[i]), 0);
    }
    CHECK_RESULT(brood_fini(), 0); /* the fork server's too */
    CHECK_EQ(fill_table(), count);
    for (int i = 0; i < count; i++) {
        CHECK_RESULT(brood_process_stop(sleepers[i], NULL, 0, 0, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(sleepers[i]), 0);
    }
    CHECK_RESULT(brood_heap_check(), 0);
}

/* ---- the user's processes ---- */

static int no_processes(void *arg)
{
    (void)arg;
    brood_process_options options = by_method();
    struct rlimit limit, none;
    NEED(getrlimit(RLIMIT_NPROC, &limit) == 0);
    NEED(geteuid() != 0 || setuid(65534) == 0);
    none = (struct rlimit){ .rlim_cur = 1, .rlim_max = limit.rlim_max };
    NEED(setrlimit(RLIMIT_NPROC, &none) == 0);
    int descriptors = count_descriptors();
    for (int i = 0; i < 5; i++)
        CHECK_NULL(brood_process_start(nothing, NULL, 0, &options), EAGAIN);
    CHECK_RESULT(brood_start_server(), -EAGAIN);
    CHECK_EQ(count_descriptors(), descriptors);
    CHECK_EQ(count_children(), 0);
    NEED(setrlimit(RLIMIT_NPROC, &limit) == 0);
    join_well(brood_process_start(nothing, NULL, 0, &options));
    if (options.start != BROOD_FORKSERVER)
        return 0;
    int server = brood_start_server(); /* its own limit counts now */
    NEED(server > 0 && prlimit(server, RLIMIT_NPROC, &none, NULL) == 0);
    for (int i = 0; i < 5; i++)
        CHECK_NULL(brood_process_start(nothing, NULL, 0, &options), EAGAIN);
    NEED(prlimit(server, RLIMIT_NPROC, &limit, NULL) == 0);
    join_well(brood_process_start(nothing, NULL, 0, &options));
    CHECK_EQ(brood_start_server(), server);
    return 0;
}

static void process_limit(void)
{
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_heap_stat(&before), 0);
    CHECK_EQ(wait_child(fork_child(no_processes, NULL)), 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    if (by_method().start != BROOD_FORKSERVER) /* the killed server's ticket goes with its place */
        CHECK_EQ((long long)after.blocks, (long long)before.blocks);
}

/* ---- descriptors ---- */

struct hoard {
    int fds[DESCRIPTORS_MOST];
    int count;
};

static void hoard_descriptors(struct hoard *hoard)
{
    struct rlimit limit;
    NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = DESCRIPTORS_MOST;
    NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int fd;
    for (hoard->count = 0; hoard->count < DESCRIPTORS_MOST && (fd = dup(STDIN_FILENO)) >= 0; hoard->count++)
        hoard->fds[hoard->count] = fd;
    NEED(hoard->count < DESCRIPTORS_MOST && errno == EMFILE);
}

static void spend_hoard(struct hoard *hoard)
{
    while (hoard->count > 0)
        close(hoard->fds[--hoard->count]);
}

/* It has no descriptor, and can do without. */
static void start_without_descriptor(void)
{
    brood_process_options options = by_method();
    brood_process *process = brood_process_start(sleep_on, NULL, 0, &options), *listed = NULL;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_fd(process), -EMFILE);
    CHECK_RESULT(brood_process_children(&listed, 1), 1);
    CHECK(listed == process);
    CHECK_RESULT(brood_process_join(process, NULL, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_process_signal(process, SIGTERM), 0);
    brood_end end;
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.signal, SIGTERM);
    CHECK_RESULT(brood_process_signal(process, SIGTERM), -ESRCH);
    CHECK_RESULT(brood_process_close(process), 0);
    join_well(brood_process_start(nothing, NULL, 0, &options));
}

/* A child of another thread is tied by a pipe; one of the first thread's fork server is not. */
static void *start_in_thread(void *arg)
{
    brood_process_options options = by_method();
    (void)arg;
    if (options.start == BROOD_FORKSERVER)
        start_without_descriptor();
    else
        CHECK_NULL(brood_process_start(nothing, NULL, 0, &options), EMFILE);
    return NULL;
}

static void no_descriptors(void)
{
    brood_process_options options = by_method();
    struct hoard hoard;
    pthread_t thread;
    int before = count_descriptors();
    hoard_descriptors(&hoard);
    CHECK_RESULT(brood_start_server(), -EMFILE);
    CHECK_HAS(brood_error(), "no descriptor is free for the fork server");
    if (options.start == BROOD_FORKSERVER) {
        CHECK_NULL(brood_process_start(nothing, NULL, 0, &options), EMFILE);
        spend_hoard(&hoard);
        CHECK_EQ(count_descriptors(), before);
        NEED(brood_start_server() > 0);
        before = count_descriptors();
        hoard_descriptors(&hoard);
    }
    start_without_descriptor();
    NEED(pthread_create(&thread, NULL, start_in_thread, NULL) == 0);
    pthread_join(thread, NULL);
    spend_hoard(&hoard);
    CHECK_EQ(count_descriptors(), before);
    brood_process *process = brood_process_start(nothing, NULL, 0, &options);
    CHECK(brood_process_fd(process) >= 0);
    join_well(process);
    CHECK_EQ(count_descriptors(), before);
}

/* Each case once for each start method. */
static const struct test_case *for_each_method(const struct test_case *cases)
{
    static struct test_case all[CASES_MOST];
    static char names[CASES_MOST][64];
    int count = 0;
    for (; cases->name != NULL; cases++) {
        for (int i = 1; brood_start_name((brood_start)i) != NULL; i++, count++) {
            NEED(count < CASES_MOST - 1);
            snprintf(names[count], sizeof names[count], "%s_%s", cases->name, brood_start_name((brood_start)i));
            all[count] = *cases;
            all[count].name = names[count];
        }
    }
    return all;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "table_full", .run = table_full, .deadline_s = 60, .no_init = true },
        { .name = "process_limit", .run = process_limit },
        { .name = "no_descriptors", .run = no_descriptors },
        { .name = NULL },
    };
    return harness_main(argc, argv, for_each_method(cases));
}
