/* pool_limits.c: what ends a task from outside: its time, its memory, its being cancelled, Ctrl-C; and what ends a
 * worker, or the whole pool: too many tasks, too much memory, too many deaths.
 */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const brood_pool_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

enum work { QUICK, HANG, HANG_DEAF, HEED, EAT, EAT_AND_KEEP, DIE, SLEEP };

struct item {
    enum work work;
    int us;
    atomic_int begun, ended, attempt;
};

/* One byte of each page, seen: a compiler may leave out what nobody reads. */
static void fill(volatile char *memory, size_t size)
{
    for (size_t i = 0; i < size; i += 4096)
        memory[i] = 1;
}

/* Takes 64 MiB, and waits to be found out. */
static void eat(void)
{
    char *food = malloc(64 << 20);
    NEED(food != NULL);
    fill(food, 64 << 20);
    pass_us(food[3 * 4096] * 3000000LL);
    free(food);
}

static int run_item(const void *in, void *out)
{
    static char *kept;
    struct item *item = *(struct item *const *)in;
    atomic_fetch_add(&item->begun, 1);
    atomic_store(&item->attempt, brood_task_attempt());
    switch (item->work) {
    case HANG_DEAF: {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        for (;;)
            pause();
    }
    case HANG:
        for (volatile long i = 0;; i++)
            continue;
    case HEED:
        while (!brood_task_expired())
            pass_us(500);
        break;
    case EAT:
        eat();
        break;
    case EAT_AND_KEEP:
        kept = kept ? kept : malloc(16 << 20);
        fill(kept, 16 << 20);
        break;
    case DIE:
        raise(SIGKILL);
        break;
    case SLEEP:
        pass_us(item->us);
        break;
    case QUICK:
        break;
    }
    atomic_fetch_add(&item->ended, 1);
    if (out)
        *(int *)out = getpid();
    return 0;
}

static brood_pool *new_pool(int workers, int method)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(workers, &methods[method]));
    NEED(pool != NULL);
    return pool;
}

static struct item *new_item(enum work work)
{
    struct item *item = CHECK_POINTER(brood_alloc(sizeof *item));
    NEED(item != NULL);
    item->work = work;
    return item;
}

static bool all_there(void *arg)
{
    brood_pool *pool = arg;
    for (int i = 0; i < brood_pool_workers(pool); i++)
        if (brood_pool_worker(pool, i) <= 0)
            return false;
    return true;
}

static void end_pool(brood_pool *pool)
{
    int pid = 0;
    struct item *quick = new_item(QUICK);
    CHECK_RESULT(brood_pool_apply(pool, run_item, &quick, sizeof quick, &pid, sizeof pid, NULL), 0);
    CHECK(pid > 0);
    CHECK(wait_until(all_there, pool, 5000));
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* ---- time ---- */

static void hard_time(void)
{
    static const enum work works[] = { HANG, HANG_DEAF };
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        for (int i = 0; i < 2; i++) {
            struct item *item = new_item(works[i]);
            brood_end end;
            int out = 77;
            long long began = now_ms();
            CHECK_RESULT(brood_pool_apply(pool, run_item, &item, sizeof item, &out, sizeof out,
                                          &(brood_task_options){ .hard_ms = 60, .retries = 3, .ends = &end }),
                         1);
            CHECK(now_ms() - began >= 60);
            CHECK(harness_sanitized() || now_ms() - began < 5000);
            CHECK_HAS(brood_error(), "60 ms");
            CHECK_EQ(end.how, BROOD_TIMED_OUT);
            CHECK_EQ(end.signal, 0);
            CHECK(end.wall_us >= 60000 && end.pid > 0);
            CHECK_EQ(end.attempt, 1);
            CHECK_EQ(atomic_load(&item->begun), 1);
            CHECK_EQ(out, 77);
        }
        end_pool(pool);
    }
}

/* It costs the one item that hangs, not its chunk. */
static void hard_time_in_a_map(void)
{
    enum { COUNT = 40, LIMIT_MS = 1500 }; /* the others sleep for 2, and may be starved for long besides */
    brood_pool *pool = new_pool(2, 0);
    struct item *items[COUNT];
    brood_end ends[COUNT];
    int out[COUNT] = { 0 };
    for (int i = 0; i < COUNT; i++)
        items[i] = new_item(i % 20 == 7 ? HANG : SLEEP);
    for (int i = 0; i < COUNT; i++)
        items[i]->us = 2000;
    CHECK_RESULT(brood_pool_map(pool, run_item, items, sizeof *items, out, sizeof *out, COUNT,
                                &(brood_task_options){ .hard_ms = LIMIT_MS, .chunk = 10, .ends = ends }),
                 2);
    for (int i = 0; i < COUNT; i++) {
        bool hangs = i % 20 == 7;
        CHECK_EQ(ends[i].how, hangs ? BROOD_TIMED_OUT : BROOD_RETURNED);
        CHECK_EQ(atomic_load(&items[i]->begun), 1);
        CHECK(ends[i].wall_us >= (hangs ? LIMIT_MS * 1000 : 2000));
        CHECK(hangs == (out[i] == 0));
    }
    end_pool(pool);
}

enum { PRINTED = 100000 }; /* bytes: more than a pipe takes */

static int print(const void *in, void *out)
{
    static char room[3 * PRINTED]; /* for both tasks, and more */
    static bool given;
    if (!given)
        setvbuf(stdout, room, _IOFBF, sizeof room);
    given = true;
    for (int i = 0; i < PRINTED; i++)
        putchar('x');
    (void)in;
    (void)out;
    return 0;
}

/* What a map's tasks have printed is flushed when their turns are over; nobody reads it. `limited`: by that, or by
 * being cancelled. */
static void end_a_flush(const brood_task_options *options, bool limited)
{
    int fds[2];
    NEED(pipe(fds) == 0);
    fflush(stdout);
    int before = dup(STDOUT_FILENO);
    NEED(dup2(fds[1], STDOUT_FILENO) >= 0);
    brood_pool *pool = new_pool(1, 0);
    CHECK(wait_until(all_there, pool, 5000));
    NEED(dup2(before, STDOUT_FILENO) >= 0);
    brood_result *result = CHECK_POINTER(brood_pool_map_async(pool, print, NULL, 0, NULL, 0, 2, options));
    CHECK_EQ(poll(&(struct pollfd){ .fd = fds[0], .events = POLLIN }, 1, 10000), 1);
    if (!limited)
        CHECK_RESULT(brood_result_cancel(result, 0), 0);
    int failed = brood_result_wait(result, 10000);
    CHECK(limited ? failed == 0 : failed >= 0); /* no item is at fault */
    close(fds[0]);
    close(fds[1]);
    close(before);
    CHECK_RESULT(brood_result_destroy(result), 0);
    end_pool(pool);
}

static void time_of_a_flush(void)
{
    end_a_flush(&(brood_task_options){ .hard_ms = 1500, .chunk = 2 }, true);
    end_a_flush(&(brood_task_options){ .hard_ms = 60000, .chunk = 2 }, false);
}

/* No task is killed in another's place: all take about as long as they may, and whoever returned had its time. */
static void close_calls(void)
{
    int count = harness_times(300);
    brood_pool *pool = new_pool(3, 0);
    brood_result *results[8] = { 0 };
    struct item *items[8];
    int over = 0;
    for (int i = 0; i < 8; i++)
        items[i] = new_item(SLEEP);
    uint32_t seed = 3;
    for (int i = 0; i < count + 8; i++) {
        int at = i % 8;
        if (results[at]) {
            brood_end end;
            CHECK(brood_result_wait(results[at], 10000) >= 0);
            CHECK_RESULT(brood_result_end(results[at], &end), 0);
            CHECK_EQ(atomic_load(&items[at]->begun), 1);
            if (CHECK(end.how == BROOD_RETURNED || end.how == BROOD_TIMED_OUT) && end.how == BROOD_TIMED_OUT)
                CHECK(end.wall_us >= 8000);
            over += end.how == BROOD_TIMED_OUT;
            CHECK_RESULT(brood_result_destroy(results[at]), 0);
            results[at] = NULL;
        }
        if (i < count) {
            atomic_store(&items[at]->begun, 0);
            items[at]->us = 6000 + (int)(random_next(&seed) % 8000);
            results[at] = CHECK_POINTER(brood_pool_apply_async(pool, run_item, &items[at], sizeof *items, NULL, 0,
                                                               &(brood_task_options){ .hard_ms = 8 }));
        }
    }
    fprintf(stderr, "    %d of %d timed out\n", over, count);
    end_pool(pool);
}

static void soft_time(void)
{
    brood_pool *pool = new_pool(1, 0);
    struct item *items[3] = { new_item(HEED), new_item(HEED), new_item(HEED) };
    brood_end ends[3];
    CHECK_EQ(brood_task_expired(), 0);
    CHECK_RESULT(brood_pool_map(pool, run_item, items, sizeof *items, NULL, 0, 3,
                                &(brood_task_options){ .soft_ms = 40, .ends = ends }),
                 0);
    for (int i = 0; i < 3; i++)
        CHECK(ends[i].wall_us >= 40000);
    CHECK_RESULT(brood_pool_apply(pool, run_item, &items[0], sizeof *items, NULL, 0,
                                  &(brood_task_options){ .soft_ms = 40, .hard_ms = 10000 }),
                 0);
    end_pool(pool);
}

/* ---- memory ---- */

static void task_memory(void)
{
    if (harness_sanitized())
        harness_skip("a sanitizer's memory is no measure");
    brood_pool *pool = new_pool(1, 0);
    struct item *item = new_item(EAT);
    brood_end end;
    brood_task_options options = { .max_memory = 16 << 20, .retries = 2, .ends = &end };
    CHECK_RESULT(brood_pool_apply(pool, run_item, &item, sizeof item, NULL, 0, &options), 1);
    CHECK_HAS(brood_error(), "memory");
    CHECK_EQ(end.how, BROOD_OVER_MEMORY);
    CHECK_EQ(atomic_load(&item->begun), 1);
    CHECK_RESULT(brood_pool_map(pool, run_item, &item, sizeof item, NULL, 0, 1, &options), 1);
    CHECK_EQ(end.how, BROOD_OVER_MEMORY);
    item->work = EAT_AND_KEEP;
    options.max_memory = 40 << 20;
    for (int i = 0; i < 4; i++) /* what it had before does not count */
        CHECK_RESULT(brood_pool_apply(pool, run_item, &item, sizeof item, NULL, 0, &options), 0);
    end_pool(pool);
}

static void worker_memory(void)
{
    if (harness_sanitized())
        harness_skip("a sanitizer's memory is no measure");
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, &(brood_pool_options){ .max_memory = 12 << 20 }));
    struct item *keep = new_item(EAT_AND_KEEP), *quick = new_item(QUICK), *much = new_item(EAT);
    int first = 0, second = 0, third = 0;
    CHECK_RESULT(brood_pool_apply(pool, run_item, &quick, sizeof quick, &first, sizeof first, NULL), 0);
    CHECK_RESULT(brood_pool_apply(pool, run_item, &quick, sizeof quick, &second, sizeof second, NULL), 0);
    CHECK_EQ(first, second);
    brood_end end;
    int failed = brood_pool_apply(pool, run_item, &keep, sizeof keep, NULL, 0, &(brood_task_options){ .ends = &end });
    CHECK(failed == 0 || end.how == BROOD_OVER_MEMORY); /* it was over, or was seen to be in it */
    CHECK_RESULT(brood_pool_apply(pool, run_item, &quick, sizeof quick, &third, sizeof third, NULL), 0);
    CHECK(third != first);
    CHECK_RESULT(brood_pool_apply(pool, run_item, &much, sizeof much, NULL, 0, &(brood_task_options){ .ends = &end }),
                 1);
    CHECK_EQ(end.how, BROOD_OVER_MEMORY);
    end_pool(pool);
}

/* ---- cancelling ---- */

static void cancel_a_call(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(1, method);
        struct item *hang = new_item(HANG_DEAF), *quick = new_item(QUICK), *heed = new_item(HEED);
        brood_end end;
        int out = 77;
        brood_result *runs = CHECK_POINTER(brood_pool_apply_async(pool, run_item, &hang, sizeof hang, NULL, 0, NULL));
        CHECK(wait_word(&hang->begun, 1, 5000));
        brood_result *waits =
            CHECK_POINTER(brood_pool_apply_async(pool, run_item, &quick, sizeof quick, &out, sizeof out, NULL));
        CHECK_RESULT(brood_result_cancel(waits, 0), 0);
        CHECK_RESULT(brood_result_end(waits, &end), 0);
        CHECK_EQ(end.how, BROOD_CANCELLED);
        CHECK_RESULT(brood_result_wait(waits, 0), 1);
        CHECK_HAS(brood_error(), "cancelled");
        CHECK_EQ(atomic_load(&quick->begun), 0);
        CHECK_EQ(out, 77);
        CHECK_RESULT(brood_result_cancel(waits, 0), 0);
        CHECK_RESULT(brood_result_cancel(runs, 0), 0);
        CHECK_RESULT(brood_result_wait(runs, 5000), 1);
        CHECK_RESULT(brood_result_end(runs, &end), 0);
        CHECK_EQ(end.how, BROOD_CANCELLED);
        CHECK_RESULT(brood_result_destroy(runs), 0);
        CHECK_RESULT(brood_result_destroy(waits), 0);
        /* One that heeds it returns, and that is its end. */
        runs = CHECK_POINTER(brood_pool_apply_async(pool, run_item, &heed, sizeof heed, &out, sizeof out, NULL));
        CHECK(wait_word(&heed->begun, 1, 5000));
        CHECK_RESULT(brood_result_wait(runs, 20), -ETIMEDOUT);
        CHECK_RESULT(brood_result_cancel(runs, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_result_wait(runs, 5000), 0);
        CHECK_EQ(atomic_load(&heed->ended), 1);
        CHECK_RESULT(brood_result_destroy(runs), 0);
        end_pool(pool);
    }
}

static void cancel_a_map(void)
{
    enum { COUNT = 30 };
    for (int limited = 0; limited < 2; limited++) {
        brood_pool *pool = new_pool(2, 0);
        struct item *items[COUNT];
        brood_end ends[COUNT];
        for (int i = 0; i < COUNT; i++)
            items[i] = new_item(i == 5 ? HANG_DEAF : QUICK);
        brood_task_options options = { .chunk = COUNT, .ends = ends, .hard_ms = limited ? 100000 : 0 };
        brood_result *result =
            CHECK_POINTER(brood_pool_map_async(pool, run_item, items, sizeof *items, NULL, 0, COUNT, &options));
        CHECK(wait_word(&items[5]->begun, 1, 5000));
        long long began = now_ms();
        CHECK_RESULT(brood_result_cancel(result, 50), 0);
        CHECK_RESULT(brood_result_wait(result, 0), -ETIMEDOUT);
        CHECK_RESULT(brood_result_destroy(result), -EBUSY);
        CHECK_RESULT(brood_result_wait(result, 5000), COUNT - 5);
        CHECK(now_ms() - began >= 50);
        CHECK_HAS(brood_error(), "cancelled");
        for (int i = 0; i < COUNT; i++) {
            CHECK_EQ(ends[i].how, i < 5 ? BROOD_RETURNED : BROOD_CANCELLED);
            CHECK_EQ(atomic_load(&items[i]->begun), i <= 5);
        }
        CHECK_RESULT(brood_result_destroy(result), 0);
        end_pool(pool);
    }
}

static int same_item(void *context, void *in)
{
    memcpy(in, context, sizeof(void *));
    return 0;
}

static void cancel_an_imap(void)
{
    brood_pool *pool = new_pool(2, 0);
    struct item *item = new_item(HANG_DEAF);
    brood_result *result = CHECK_POINTER(
        brood_pool_imap(pool, run_item, same_item, &item, sizeof item, 0, &(brood_task_options){ .ahead = 5 }));
    CHECK(wait_word(&item->begun, 2, 5000));
    CHECK_RESULT(brood_result_cancel(result, 0), 0);
    for (int i = 0; i < 5; i++) {
        brood_end end;
        CHECK_RESULT(brood_result_next(result, NULL, &end, 5000), 1);
        CHECK_EQ(end.how, BROOD_CANCELLED);
        CHECK_EQ((long long)end.index, i);
    }
    CHECK_RESULT(brood_result_next(result, NULL, NULL, 5000), -EPIPE);
    CHECK_EQ(atomic_load(&item->begun), 2);
    CHECK_RESULT(brood_result_destroy(result), 0);
    end_pool(pool);
}

/* Cancelled at random moments of short lives: each ends one way, and none takes another with it. */
static void cancel_in_passing(void)
{
    int count = harness_times(1000), cancelled = 0;
    brood_pool *pool = new_pool(2, 0);
    struct item *items[2] = { new_item(SLEEP), new_item(SLEEP) };
    uint32_t seed = 9;
    for (int i = 0; i < count; i++) {
        brood_result *results[2];
        for (int j = 0; j < 2; j++) {
            atomic_store(&items[j]->begun, 0);
            atomic_store(&items[j]->ended, 0);
            items[j]->us = (int)(random_next(&seed) % 300);
            results[j] = CHECK_POINTER(brood_pool_apply_async(pool, run_item, &items[j], sizeof *items, NULL, 0, NULL));
        }
        pass_us(random_next(&seed) % 300);
        CHECK_RESULT(brood_result_cancel(results[0], 0), 0);
        for (int j = 0; j < 2; j++) {
            brood_end end;
            int failed = brood_result_wait(results[j], 10000);
            CHECK_RESULT(brood_result_end(results[j], &end), 0);
            NEED(CHECK_EQ(end.how, failed ? BROOD_CANCELLED : BROOD_RETURNED));
            NEED(CHECK(failed == 0 || (failed == 1 && j == 0)));
            CHECK(failed || atomic_load(&items[j]->ended) == 1);
            cancelled += failed;
            CHECK_RESULT(brood_result_destroy(results[j]), 0);
        }
    }
    fprintf(stderr, "    %d of %d cancelled\n", cancelled, count);
    end_pool(pool);
}

/* ---- workers that have done enough ---- */

static void max_tasks(void)
{
    for (int method = 0; method < 2; method++) {
        enum { COUNT = 95 };
        brood_pool *pool = CHECK_POINTER(
            brood_pool_create(2, &(brood_pool_options){ .start = methods[method].start, .max_tasks = 10 }));
        struct item *items[COUNT];
        int out[COUNT], runs[COUNT] = { 0 };
        for (int i = 0; i < COUNT; i++)
            items[i] = new_item(QUICK);
        CHECK_RESULT(brood_pool_map(pool, run_item, items, sizeof *items, out, sizeof *out, COUNT,
                                    &(brood_task_options){ .chunk = 33 }),
                     0);
        int most = 0;
        for (int i = 0; i < COUNT; i++) {
            CHECK_EQ(atomic_load(&items[i]->begun), 1);
            for (int j = 0; j < COUNT; j++)
                runs[i] += out[j] == out[i];
            most = runs[i] > most ? runs[i] : most;
        }
        CHECK(most <= 10);
        for (int i = 0; i < 25; i++)
            CHECK_RESULT(brood_pool_apply(pool, run_item, &items[0], sizeof *items, &out[i], sizeof *out, NULL), 0);
        for (int i = 0; i < 25; i++)
            for (int j = most = 0; j < 25; j++) {
                most += out[i] == out[j];
                CHECK(most <= 10);
            }
        end_pool(pool);
    }
}

static void too_many_deaths(void)
{
    brood_pool *pool =
        CHECK_POINTER(brood_pool_create(2, &(brood_pool_options){ .max_deaths = 5, .max_deaths_ms = 60000 }));
    struct item *items[8], *quick = new_item(QUICK);
    brood_end ends[8];
    for (int i = 0; i < 8; i++)
        items[i] = new_item(DIE);
    CHECK_RESULT(brood_pool_map(pool, run_item, items, sizeof *items, NULL, 0, 4, NULL), 4);
    struct item *hang = new_item(HANG);
    for (int i = 0; i < 3; i++) /* the pool's own kills do not count */
        CHECK_RESULT(
            brood_pool_apply(pool, run_item, &hang, sizeof hang, NULL, 0, &(brood_task_options){ .hard_ms = 10 }), 1);
    int result =
        brood_pool_map(pool, run_item, items, sizeof *items, NULL, 0, 8, &(brood_task_options){ .ends = ends });
    CHECK_EQ(result, -ENOTRECOVERABLE);
    CHECK_HAS(brood_error(), "5 workers died");
    CHECK_HAS(brood_error(), "SIGKILL");
    for (int i = 0; i < 8; i++)
        CHECK(ends[i].how == BROOD_RUNNING || ends[i].how == BROOD_CRASHED || ends[i].how == BROOD_CANCELLED);
    CHECK_RESULT(brood_pool_apply(pool, run_item, &quick, sizeof quick, NULL, 0, NULL), -ENOTRECOVERABLE);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(brood_pool_worker(pool, i), 0);
    CHECK_RESULT(brood_pool_join(pool, 1000), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
}

static void deaths_far_apart(void)
{
    brood_pool *pool =
        CHECK_POINTER(brood_pool_create(1, &(brood_pool_options){ .max_deaths = 2, .max_deaths_ms = 5 }));
    struct item *die = new_item(DIE);
    for (int i = 0; i < 5; i++) {
        CHECK_RESULT(brood_pool_apply(pool, run_item, &die, sizeof die, NULL, 0, NULL), 1);
        pass_us(30000);
    }
    end_pool(pool);
}

/* ---- the terminal ---- */

struct stage {
    atomic_int ready, pids[4];
};

/* A program in its own group, as a shell would start it. */
static int interrupted(void *arg)
{
    struct stage *stage = arg;
    setpgid(0, 0);
    signal(SIGINT, SIG_DFL);
    brood_pool *pool = brood_pool_create(3, NULL);
    NEED(pool && wait_until(all_there, pool, 5000));
    for (int i = 0; i < 3; i++)
        atomic_store(&stage->pids[i], brood_pool_worker(pool, i));
    atomic_store(&stage->pids[3], brood_pool_keeper(pool));
    struct item *items[6];
    for (int i = 0; i < 6; i++)
        items[i] = new_item(i % 2 ? HANG_DEAF : HANG);
    atomic_store(&stage->ready, 1);
    brood_pool_map(pool, run_item, items, sizeof *items, NULL, 0, 6, NULL);
    return 0;
}

static void control_c(void)
{
    struct stage *stage = harness_page();
    pid_t pid = fork_child(interrupted, stage);
    NEED(wait_word(&stage->ready, 1, 10000));
    pass_us(20000);
    NEED(kill(-pid, SIGINT) == 0);
    int status = wait_child(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    for (int i = 0; i < 4; i++)
        CHECK(wait_gone(atomic_load(&stage->pids[i]), 2000));
}

static void wrong(void)
{
    brood_pool *pool = new_pool(1, 0);
    struct item *item = new_item(QUICK);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .max_tasks = -1 }), EINVAL);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .max_deaths = -1 }), EINVAL);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .max_deaths = 1001 }), EINVAL);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .max_deaths_ms = -1 }), EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, run_item, &item, sizeof item, NULL, 0, &(brood_task_options){ .hard_ms = -1 }),
                 -EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, run_item, &item, sizeof item, NULL, 0, &(brood_task_options){ .soft_ms = -1 }),
                 -EINVAL);
    CHECK_RESULT(brood_result_cancel(NULL, 0), -EINVAL);
    brood_result *result = CHECK_POINTER(brood_pool_apply_async(pool, run_item, &item, sizeof item, NULL, 0, NULL));
    CHECK_RESULT(brood_result_cancel(result, -2), -EINVAL);
    CHECK_RESULT(brood_result_wait(result, 5000), 0);
    CHECK_RESULT(brood_result_cancel(result, 0), 0);
    CHECK_RESULT(brood_result_wait(result, 5000), 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
    end_pool(pool);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "hard_time", .run = hard_time },
        { .name = "hard_time_in_a_map", .run = hard_time_in_a_map },
        { .name = "time_of_a_flush", .run = time_of_a_flush },
        { .name = "close_calls", .run = close_calls, .deadline_s = 60 },
        { .name = "soft_time", .run = soft_time },
        { .name = "task_memory", .run = task_memory },
        { .name = "worker_memory", .run = worker_memory },
        { .name = "cancel_a_call", .run = cancel_a_call },
        { .name = "cancel_a_map", .run = cancel_a_map },
        { .name = "cancel_an_imap", .run = cancel_an_imap },
        { .name = "cancel_in_passing", .run = cancel_in_passing, .deadline_s = 60 },
        { .name = "max_tasks", .run = max_tasks },
        { .name = "too_many_deaths", .run = too_many_deaths },
        { .name = "deaths_far_apart", .run = deaths_far_apart },
        { .name = "control_c", .run = control_c },
        { .name = "wrong", .run = wrong },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
