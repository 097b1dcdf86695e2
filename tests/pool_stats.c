/* brood/stats.h: what is counted, by which worker, and what took longest. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define COUNT 100

static int behave(const void *in, void *out)
{
    int number = *(const int *)in;
    struct rlimit none = { 0, 0 };
    *(int *)out = number;
    if (number == 40) {
        setrlimit(RLIMIT_CORE, &none);
        raise(SIGKILL);
    }
    if (number == 50)
        exit(3);
    if (number == 60)
        pass_us(60000000);
    if (number == 70)
        pass_us(50000);
    return number % 10 == 1;
}

static void fill(int *numbers)
{
    for (int i = 0; i < COUNT; i++)
        numbers[i] = i;
}

static void map_is_counted(void)
{
    int in[COUNT], out[COUNT];
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, NULL));
    brood_pool_stats stats;
    fill(in);
    CHECK_RESULT(brood_pool_stat(pool, &stats), 0);
    CHECK_EQ(stats.ended[BROOD_RETURNED], 0);
    CHECK_EQ(stats.queued, 0);
    brood_task_options options = { .hard_ms = 300, .retries = 1 };
    CHECK_EQ(brood_pool_map(pool, behave, in, sizeof *in, out, sizeof *out, COUNT, &options), 13);
    CHECK_RESULT(brood_pool_stat(pool, &stats), 0);
    CHECK_EQ(stats.ended[BROOD_RETURNED], COUNT - 13);
    CHECK_EQ(stats.ended[BROOD_FAILED], 10);
    CHECK_EQ(stats.ended[BROOD_CRASHED], 1);
    CHECK_EQ(stats.ended[BROOD_EXITED], 1);
    CHECK_EQ(stats.ended[BROOD_TIMED_OUT], 1);
    CHECK_EQ(stats.retried, 2);
    CHECK(stats.restarts >= 4 && stats.restarts <= 5);
    CHECK_EQ(stats.queued, 0);
    CHECK(stats.busy_us >= 350000);

    brood_slow_task slow[COUNT];
    int slowest = brood_pool_slowest(pool, slow, COUNT);
    CHECK(slowest > 2 && slowest <= 16);
    CHECK(slow[0].index == 60 && slow[0].how == BROOD_TIMED_OUT && slow[0].wall_us >= 300000);
    CHECK(slow[1].index == 70 && slow[1].how == BROOD_RETURNED && slow[1].wall_us >= 50000);
    CHECK(slow[0].pid > 0 && slow[1].pid > 0);
    CHECK_HAS(slow[0].name, "of the program");
    for (int i = 1; i < slowest; i++)
        CHECK(slow[i].wall_us <= slow[i - 1].wall_us);
    CHECK_EQ(brood_pool_slowest(pool, slow, 1), 1);
    CHECK_EQ(brood_pool_slowest(pool, slow, 0), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

#define FAILING 10

static int fail_printing(const void *in, void *out)
{
    atomic_int *page = harness_page(); /* how many were begun, and: go on */
    (void)in;
    (void)out;
    if (atomic_fetch_add(&page[0], 1) + 1 == FAILING / 2)
        CHECK(wait_word(&page[1], 1, 15000));
    printf("%s", "so");
    return 1;
}

/* A pipe that is full, as standard output of the workers that are started while it is. */
static void fill_pipe(int ends[2])
{
    char bytes[4096] = { 0 };
    NEED(pipe(ends) == 0);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        continue;
    fcntl(ends[1], F_SETFL, 0);
}

static bool is_replaced(void *pool)
{
    brood_pool_stats stats;
    return brood_pool_stat(pool, &stats) == 0 && stats.restarts == 1;
}

static bool waits_for_pipe(void *worker)
{
    char path[32], where[64] = "";
    snprintf(path, sizeof path, "/proc/%d/wchan", *(int *)worker);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t got = fread(where, 1, sizeof where - 1, file);
    fclose(file);
    return got > 0 && strstr(where, "pipe_write") != NULL;
}

/* A worker is killed when it has stopped in the middle of a chunk, in which all failed, and has not given it back. */
static void stopped_is_counted(void)
{
    atomic_int *page = harness_page();
    int ends[2], before = dup(STDOUT_FILENO);
    brood_pool_stats stats;
    fill_pipe(ends);
    fflush(stdout);
    dup2(ends[1], STDOUT_FILENO);
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, &(brood_pool_options){ .start = BROOD_FORK }));
    brood_task_options options = { .chunk = FAILING };
    brood_result *result =
        CHECK_POINTER(brood_pool_map_async(pool, fail_printing, NULL, 0, NULL, 0, FAILING, &options));
    bool begun = wait_word(&page[0], FAILING / 2, 5000);
    dup2(before, STDOUT_FILENO);
    CHECK(begun);
    CHECK_RESULT(brood_result_cancel(result, BROOD_FOREVER), 0);
    atomic_store(&page[1], 1);
    int worker = brood_pool_worker(pool, 0);
    if (!wait_until(waits_for_pipe, &worker, 5000))
        harness_skip("it is not told what a process waits for");
    kill(worker, SIGKILL);
    CHECK_EQ(brood_result_wait(result, 20000), FAILING);
    CHECK(wait_until(is_replaced, pool, 5000));
    CHECK_RESULT(brood_pool_stat(pool, &stats), 0);
    CHECK_EQ((long long)stats.ended[BROOD_RETURNED], 0);
    CHECK_EQ((long long)stats.ended[BROOD_FAILED], FAILING / 2);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

static int quick(const void *in, void *out)
{
    (void)in;
    (void)out;
    return 0;
}

static void calls_are_counted(void)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, NULL));
    for (int i = 0; i < 50; i++)
        CHECK_RESULT(brood_pool_apply(pool, quick, NULL, 0, NULL, 0, NULL), 0);
    uint64_t tasks = 0;
    for (int i = 0; i < 2; i++) {
        brood_worker_stats worker;
        CHECK_RESULT(brood_pool_worker_stat(pool, i, &worker), 0);
        CHECK_EQ(worker.pid, brood_pool_worker(pool, i));
        CHECK_EQ(worker.restarts, 0);
        tasks += worker.tasks;
    }
    CHECK_EQ(tasks, 50);
    brood_slow_task slow;
    CHECK_EQ(brood_pool_slowest(pool, &slow, 1), 1);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

/* Items of a map that has neither ends nor limits. */
static void timed_by_option(void)
{
    for (int timed = 0; timed < 2; timed++) {
        brood_slow_task slow;
        brood_pool *pool = CHECK_POINTER(brood_pool_create(1, &(brood_pool_options){ .timed = timed }));
        CHECK_RESULT(brood_pool_map(pool, quick, NULL, 0, NULL, 0, COUNT, NULL), 0);
        CHECK_EQ(brood_pool_slowest(pool, &slow, 1), timed);
        CHECK_RESULT(brood_pool_destroy(pool), 0);
    }
}

static int wait_for_go(const void *in, void *out)
{
    _Atomic int *go = *(_Atomic int *const *)in;
    (void)out;
    wait_word(go, 1, 10000);
    return 0;
}

struct looked {
    brood_pool *pool;
    brood_pool_stats stats;
};

static bool all_run(void *context)
{
    struct looked *looked = context;
    return brood_pool_stat(looked->pool, &looked->stats) == 0 && looked->stats.running == 2;
}

static void queued_and_running(void)
{
    _Atomic int *go = CHECK_POINTER(brood_alloc(sizeof *go));
    _Atomic int *places[10];
    for (int i = 0; i < 10; i++)
        places[i] = go;
    struct looked looked = { .pool = CHECK_POINTER(brood_pool_create(2, NULL)) };
    brood_result *map = brood_pool_map_async(looked.pool, wait_for_go, places, sizeof *places, NULL, 0, 10, NULL);
    CHECK(wait_until(all_run, &looked, 10000));
    brood_result *calls[5];
    for (int i = 0; i < 5; i++)
        calls[i] = brood_pool_apply_async(looked.pool, wait_for_go, places, sizeof *places, NULL, 0, NULL);
    CHECK_RESULT(brood_pool_stat(looked.pool, &looked.stats), 0);
    CHECK_EQ(looked.stats.workers, 2);
    CHECK_EQ(looked.stats.running, 2);
    CHECK_EQ(looked.stats.queued, 8 + 5);
    atomic_store(go, 1);
    CHECK_RESULT(brood_result_wait(map, 10000), 0);
    for (int i = 0; i < 5; i++) {
        CHECK_RESULT(brood_result_wait(calls[i], 10000), 0);
        CHECK_RESULT(brood_result_destroy(calls[i]), 0);
    }
    CHECK_RESULT(brood_pool_stat(looked.pool, &looked.stats), 0);
    CHECK_EQ(looked.stats.queued, 0);
    CHECK_EQ(looked.stats.ended[BROOD_RETURNED], 15);
    CHECK_RESULT(brood_result_destroy(map), 0);
    CHECK_RESULT(brood_pool_destroy(looked.pool), 0);
    brood_free((void *)go);
}

static int ask_elsewhere(void *arg)
{
    brood_pool_stats stats;
    return brood_pool_stat(*(brood_pool **)arg, &stats);
}

static void wrong_arguments(void)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, NULL));
    brood_pool_stats stats;
    brood_worker_stats worker;
    brood_slow_task slow;
    CHECK_RESULT(brood_pool_stat(NULL, &stats), -EINVAL);
    CHECK_RESULT(brood_pool_stat(pool, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_worker_stat(NULL, 0, &worker), -EINVAL);
    CHECK_RESULT(brood_pool_worker_stat(pool, 0, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_worker_stat(pool, -1, &worker), -EINVAL);
    CHECK_RESULT(brood_pool_worker_stat(pool, 2, &worker), -EINVAL);
    CHECK_RESULT(brood_pool_slowest(NULL, &slow, 1), -EINVAL);
    CHECK_RESULT(brood_pool_slowest(pool, NULL, 1), -EINVAL);
    CHECK_RESULT(brood_pool_slowest(pool, &slow, -1), -EINVAL);
    CHECK_EQ(wait_child(fork_child(ask_elsewhere, &pool)), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "map_is_counted", .run = map_is_counted },
        { .name = "calls_are_counted", .run = calls_are_counted },
        { .name = "stopped_is_counted", .run = stopped_is_counted },
        { .name = "timed_by_option", .run = timed_by_option },
        { .name = "queued_and_running", .run = queued_and_running },
        { .name = "wrong_arguments", .run = wrong_arguments },
        { 0 },
    };
    return harness_main(argc, argv, cases);
}
