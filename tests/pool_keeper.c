/* pool_keeper.c: a pool whose keeper is killed: its workers end with it, another one takes over, and nothing is left of
 * the first.
 */
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MANY 40

static const brood_pool_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

static brood_pool *new_pool(int workers, int method)
{
    brood_pool *pool = brood_pool_create(workers, &methods[method]);
    NEED(pool != NULL);
    return pool;
}

static int twice(const void *in, void *out)
{
    *(int *)out = 2 * *(const int *)in;
    return 0;
}

/* A map that begins while a keeper dies has items of workers that are to die with it: they may cost it retries. */
static void check_works(brood_pool *pool, int retries)
{
    int values[MANY], results[MANY] = { 0 };
    for (int i = 0; i < MANY; i++)
        values[i] = i + 1;
    CHECK_RESULT(brood_pool_map(pool, twice, values, sizeof(int), results, sizeof(int), MANY,
                                &(brood_task_options){ .retries = retries }),
                 0);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(results[i], 2 * (i + 1));
}

static bool all_back(void *arg)
{
    brood_pool *pool = arg;
    for (int i = 0; i < brood_pool_workers(pool); i++) {
        int pid = brood_pool_worker(pool, i);
        int state = pid > 0 ? process_state(pid) : 0;   /* asked once: a zombie may be gone at the next look */
        if (state == 0 || state == 'Z' || state == 'X') /* X: just being reaped */
            return false;
    }
    return brood_pool_keeper(pool) > 0;
}

/* A keeper that was killed comes back with a map: the first may still be served by workers that have not died yet. */
static bool comes_back(void *arg)
{
    check_works(arg, 0);
    return all_back(arg);
}

static void check_whole(brood_pool *pool)
{
    check_works(pool, 0);
    CHECK(wait_until(comes_back, pool, 5000));
}

static void end_pool(brood_pool *pool)
{
    check_whole(pool);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static int slay_keeper(brood_pool *pool)
{
    int pid = brood_pool_keeper(pool);
    NEED(pid > 0); /* 0 would be this whole process group */
    kill(pid, SIGKILL);
    return pid;
}

static void idle(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        for (int round = 0; round < 5; round++) {
            check_whole(pool);
            int workers[] = { brood_pool_worker(pool, 0), brood_pool_worker(pool, 1) };
            int keeper = slay_keeper(pool);
            if (round % 2)
                check_works(pool, 5);
            for (int i = 0; i < 2; i++)
                CHECK(wait_gone(workers[i], 5000)); /* workers die with their keeper */
            check_whole(pool);
            CHECK(brood_pool_keeper(pool) != keeper);
        }
        end_pool(pool);
        pool = new_pool(2, method);
        CHECK(wait_until(all_back, pool, 5000));
        slay_keeper(pool);
        CHECK_RESULT(brood_pool_destroy(pool), 0); /* without its keeper, too */
        CHECK_EQ(count_children(), 0);
    }
}

struct stay {
    int us;
    atomic_int runs;
};

/* A task that takes from its worker all that ties it to the keeper. */
static int untie(const void *in, void *out)
{
    struct stay *stay = (struct stay *)(uintptr_t)in;
    prctl(PR_SET_PDEATHSIG, 0);
    syscall(SYS_close_range, 3U, ~0U, 0U);
    atomic_fetch_add(&stay->runs, 1);
    pass_us(stay->us);
    *(int *)out = getpid();
    return 0;
}

static void untied(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        struct stay *stays = CHECK_POINTER(brood_alloc_array(MANY, sizeof *stays));
        int pids[MANY], workers[2];
        for (int i = 0; i < MANY; i++)
            stays[i].us = 2000;
        check_whole(pool);
        CHECK_RESULT(brood_pool_map(pool, untie, stays, sizeof *stays, pids, sizeof *pids, MANY, NULL), 0);
        for (int i = 0; i < 2; i++)
            workers[i] = brood_pool_worker(pool, i);
        slay_keeper(pool);
        if (method == 0)
            check_works(pool, 5); /* a new keeper kills them; else they see it themselves */
        for (int i = 0; i < 2; i++)
            CHECK(wait_gone(workers[i], 5000));
        check_whole(pool);
        end_pool(pool);
        brood_free(stays);
    }
}

struct staying {
    brood_pool *pool;
    struct stay *stay;
    int failed; /* items */
};

static void *map_untied(void *arg)
{
    struct staying *staying = arg;
    int pid = 0;
    staying->failed =
        brood_pool_map(staying->pool, untie, staying->stay, sizeof *staying->stay, &pid, sizeof pid, 1, NULL);
    return NULL;
}

/* At a long task: the new keeper does not wait for its end. */
static void untied_busy(void)
{
    brood_pool *pool = new_pool(1, 0);
    struct stay *stay = CHECK_POINTER(brood_alloc(sizeof *stay));
    stay->us = 60000000;
    pthread_t thread;
    struct staying staying = { pool, stay, 0 };
    NEED(pthread_create(&thread, NULL, map_untied, &staying) == 0);
    CHECK(wait_word(&stay->runs, 1, 5000));
    int worker = brood_pool_worker(pool, 0);
    slay_keeper(pool);
    CHECK(wait_gone(worker, 5000));
    pthread_join(thread, NULL);
    CHECK_EQ(staying.failed, 1);
    end_pool(pool);
    brood_free(stay);
}

/* While it still starts its workers, which then die before they have said where they are in the family's table: what it
 * had prepared there for them is freed all the same. */
static void at_its_beginning(void)
{
    enum { WORKERS = 24, ROUNDS = 12 };
    brood_heap_stats before, after;
    CHECK_RESULT(brood_heap_stat(&before), 0);
    for (int round = 0; round < ROUNDS; round++) {
        brood_pool *pool = new_pool(WORKERS, 0);
        pass_us(round % 6 * 500);
        slay_keeper(pool);
        if (round % 2)
            check_works(pool, 100);
        CHECK_RESULT(brood_pool_destroy(pool), 0);
        CHECK_EQ(count_children(), 0);
    }
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_RESULT(brood_heap_check(), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
}

static int is_unable(void)
{
    return atomic_load((atomic_int *)harness_page());
}

static int leave_when_told(const void *in, void *out)
{
    while (!atomic_load(*(atomic_int *const *)in))
        pass_us(500);
    *(int *)out = 7;
    return 0;
}

/* No successor can be started for a while, since there is no fork server: that is a shortage like any other. */
static void without_server(void)
{
    atomic_int *unable = harness_page();
    NEED(brood_init(&(brood_init_options){ .preload = is_unable }) == 0);
    atomic_int *leave = CHECK_POINTER(brood_alloc(sizeof *leave));
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, &(brood_pool_options){ .start = BROOD_FORKSERVER }));
    int value = 0;
    brood_result *result = CHECK_POINTER(brood_pool_apply_async(pool, leave_when_told, &leave, sizeof leave, &value,
                                                                sizeof value, &(brood_task_options){ .retries = 5 }));
    int server = brood_start_server();
    NEED(server > 0);
    atomic_store(unable, 1);
    kill(server, SIGKILL);
    CHECK(wait_gone(slay_keeper(pool), 5000));
    CHECK_RESULT(brood_result_cancel(result, 0), -EAGAIN);
    CHECK_RESULT(brood_result_wait(result, BROOD_FOREVER), -EAGAIN);
    CHECK_HAS(brood_error(), "fork server");
    CHECK_RESULT(brood_pool_apply(pool, leave_when_told, &leave, sizeof leave, &value, sizeof value, NULL), -EAGAIN);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .start = BROOD_FORKSERVER }), EOWNERDEAD);
    atomic_store(unable, 0);
    atomic_store(leave, 1);
    CHECK_RESULT(brood_result_wait(result, BROOD_FOREVER), 0);
    CHECK_EQ(value, 7);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    brood_free(leave);
}

static int has_term_blocked(void *arg)
{
    sigset_t mask;
    (void)arg;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, SIGTERM);
}

static void check_unblocked(void)
{
    brood_end end = { .code = -1 };
    brood_process *process =
        brood_process_start(has_term_blocked, NULL, 0, &(brood_process_options){ .start = BROOD_FORKSERVER });
    NEED(CHECK_POINTER(process) != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK_EQ(end.code, 0);
}

/* A keeper is poked by SIGTERM, and begins with that held back: this one alone, whoever needs the fork server first. */
static void poked_as_it_begins(void)
{
    enum { ROUNDS = 20 };
    for (int round = 0; round < ROUNDS; round++) {
        brood_pool *pool = CHECK_POINTER(brood_pool_create(1, &(brood_pool_options){ .start = BROOD_FORKSERVER }));
        int keeper = brood_pool_keeper(pool);
        NEED(keeper > 0);
        kill(keeper, SIGTERM);
        check_works(pool, 0);
        CHECK_EQ(brood_pool_keeper(pool), keeper);
        check_unblocked();
        CHECK_RESULT(brood_pool_destroy(pool), 0);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "idle", .run = idle },
        { .name = "untied", .run = untied },
        { .name = "untied_busy", .run = untied_busy },
        { .name = "at_its_beginning", .run = at_its_beginning, .deadline_s = 60 },
        { .name = "without_server", .run = without_server, .no_init = true },
        { .name = "poked_as_it_begins", .run = poked_as_it_begins },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
