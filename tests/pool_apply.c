/* pool_apply.c: single tasks: brood_pool_apply and brood_pool_apply_async, what their results say, and what a death
 * makes of them.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const brood_pool_options methods[] = { { .start = BROOD_FORK },
                                              { .start = BROOD_SPAWN },
                                              { .start = BROOD_FORKSERVER } };

struct gate {
    atomic_int entered, open, runs;
};

static int square(const void *in, void *out)
{
    int value = *(const int *)in;
    if (value > 46340)
        return brood_fail(ERANGE, "the square of %d does not fit", value);
    *(int *)out = value * value;
    return 0;
}

/* Waits at the gate that the item points to. */
static int wait_there(const void *in, void *out)
{
    struct gate *gate = *(struct gate *const *)in;
    atomic_fetch_add(&gate->entered, 1);
    CHECK(wait_word(&gate->open, 1, 15000));
    *(int *)out = getpid();
    return 0;
}

static brood_pool *new_pool(int workers, int method)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(workers, &methods[method]));
    NEED(pool != NULL);
    return pool;
}

static void end_pool(brood_pool *pool)
{
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void squares(void)
{
    for (int method = 0; method < 3; method++) {
        brood_pool *pool = new_pool(2, method);
        for (int i = 1; i <= 5; i++) {
            int result = 0;
            brood_end end;
            memset(&end, 0x77, sizeof end);
            CHECK_RESULT(brood_pool_apply(pool, square, &i, sizeof i, &result, sizeof result,
                                          &(brood_task_options){ .ends = &end }),
                         0);
            CHECK_EQ(result, i * i);
            CHECK_EQ(end.how, BROOD_RETURNED);
            CHECK_EQ(end.attempt, 1);
            CHECK_EQ((long long)end.index, 0);
            CHECK(end.pid > 0 && end.pid != getpid() && end.wall_us >= 0 && end.why[0] == '\0');
        }
        CHECK_RESULT(brood_pool_destroy(pool), 0);
    }
}

/* The idea's second program. */
static void squares_later(void)
{
    for (int method = 0; method < 3; method++) {
        brood_pool *pool = new_pool(5, method);
        brood_result *results[5];
        int out[5] = { 0 };
        for (int i = 0; i < 5; i++) {
            int value = i + 1;
            results[i] =
                CHECK_POINTER(brood_pool_apply_async(pool, square, &value, sizeof value, &out[i], sizeof *out, NULL));
        }
        for (int i = 0; i < 5; i++) {
            CHECK_RESULT(brood_result_wait(results[i], 10000), 0);
            CHECK_RESULT(brood_result_wait(results[i], 0), 0);
            CHECK_EQ(out[i], (i + 1) * (i + 1));
            CHECK_RESULT(brood_result_destroy(results[i]), 0);
        }
        CHECK_RESULT(brood_pool_destroy(pool), 0);
    }
}

static void failure(void)
{
    brood_pool *pool = new_pool(1, 0);
    int value = 50000, out = 7;
    brood_end end;
    CHECK_RESULT(brood_pool_apply(pool, square, &value, sizeof value, &out, sizeof out, NULL), 1);
    CHECK_HAS(brood_error(), "the square of 50000 does not fit");
    CHECK_EQ(out, 7);
    brood_result *result =
        CHECK_POINTER(brood_pool_apply_async(pool, square, &value, sizeof value, &out, sizeof out, NULL));
    CHECK_RESULT(brood_result_wait(result, BROOD_FOREVER), 1);
    brood_pool_map(NULL, NULL, NULL, 0, NULL, 0, 0, NULL); /* another sentence */
    CHECK_RESULT(brood_result_wait(result, BROOD_FOREVER), 1);
    CHECK_HAS(brood_error(), "the square of 50000 does not fit");
    CHECK_RESULT(brood_result_end(result, &end), 0);
    CHECK_EQ(end.how, BROOD_FAILED);
    CHECK_EQ(end.code, ERANGE);
    CHECK_HAS(end.why, "does not fit");
    CHECK_EQ(out, 7);
    CHECK_RESULT(brood_result_destroy(result), 0);
    end_pool(pool);
}

static void not_ready(void)
{
    brood_pool *pool = new_pool(1, 0);
    struct gate *gate = CHECK_POINTER(brood_alloc(sizeof *gate));
    int out = 0;
    brood_end end;
    brood_result *result =
        CHECK_POINTER(brood_pool_apply_async(pool, wait_there, &gate, sizeof gate, &out, sizeof out, NULL));
    CHECK(wait_word(&gate->entered, 1, 5000));
    CHECK_RESULT(brood_result_wait(result, 0), -ETIMEDOUT);
    long long began = now_ms();
    CHECK_RESULT(brood_result_wait(result, 50), -ETIMEDOUT);
    CHECK(now_ms() - began >= 50);
    CHECK_RESULT(brood_result_end(result, &end), 0);
    CHECK_EQ(end.how, BROOD_RUNNING);
    CHECK_RESULT(brood_result_destroy(result), -EBUSY);
    atomic_store(&gate->open, 1);
    CHECK_RESULT(brood_result_wait(result, 5000), 0);
    CHECK_RESULT(brood_result_end(result, &end), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_EQ(end.pid, out);
    CHECK(end.wall_us > 40000);
    CHECK_RESULT(brood_result_destroy(result), 0);
    brood_free(gate);
    end_pool(pool);
}

/* More than the first ring of cells holds, some of it behind tasks that take long. */
static void many(void)
{
    enum { COUNT = 20000, GATES = 2 };
    brood_pool *pool = new_pool(GATES + 1, 0);
    struct gate *gate = CHECK_POINTER(brood_alloc(sizeof *gate));
    brood_result **results = calloc(COUNT + GATES, sizeof *results);
    int *out = calloc(COUNT + GATES, sizeof *out);
    NEED(results != NULL && out != NULL);
    for (int i = 0; i < GATES; i++)
        results[COUNT + i] = CHECK_POINTER(
            brood_pool_apply_async(pool, wait_there, &gate, sizeof gate, &out[COUNT + i], sizeof *out, NULL));
    CHECK(wait_word(&gate->entered, GATES, 5000));
    for (int i = 0; i < COUNT; i++) {
        int value = i % 40000;
        results[i] =
            CHECK_POINTER(brood_pool_apply_async(pool, square, &value, sizeof value, &out[i], sizeof *out, NULL));
        NEED(results[i] != NULL);
        if (i % 1000 == 999)
            CHECK_RESULT(brood_result_wait(results[i], 10000), 0);
    }
    atomic_store(&gate->open, 1);
    for (int i = 0; i < COUNT + GATES; i++) {
        NEED(CHECK_RESULT(brood_result_wait(results[i], 10000), 0));
        if (i < COUNT)
            NEED(CHECK_EQ(out[i], (i % 40000) * (i % 40000)));
        CHECK_RESULT(brood_result_destroy(results[i]), 0);
    }
    free(results);
    free(out);
    brood_free(gate);
    end_pool(pool);
}

static int look(const void *in, void *out)
{
    (void)in;
    *(int *)out = (int)brood_task_size() * 100 + brood_task_attempt() * 10 + (int)brood_task_index();
    return 0;
}

static void inside(void)
{
    brood_pool *pool = new_pool(1, 0);
    char bytes[7] = "";
    int out = 0;
    CHECK_EQ(brood_task_attempt(), 0);
    CHECK_EQ((long long)brood_task_size(), 0);
    CHECK_NULL(brood_task_reply(8), EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, look, bytes, sizeof bytes, &out, sizeof out, NULL), 0);
    CHECK_EQ(out, 710);
    CHECK_RESULT(brood_pool_apply(pool, look, NULL, 0, &out, sizeof out, NULL), 0);
    CHECK_EQ(out, 10);
    end_pool(pool);
}

/* In the region: items and results where they lie. */
static int point(const void *in, void *out)
{
    *(const void **)out = in;
    return 0;
}

static void in_place(void)
{
    brood_pool *pool = new_pool(1, 1);
    long *in = CHECK_POINTER(brood_alloc(sizeof *in));
    void **out = CHECK_POINTER(brood_alloc(sizeof *out)), *own = NULL;
    CHECK_RESULT(brood_pool_apply(pool, point, in, sizeof *in, out, sizeof *out, NULL), 0);
    CHECK(*out == in);
    CHECK_RESULT(brood_pool_apply(pool, point, in, 0, &own, sizeof own, NULL), 0);
    CHECK(own == in);
    brood_free(in);
    brood_free(out);
    end_pool(pool);
}

/* ---- deaths ---- */

struct fate {
    atomic_int runs, pid;
    int deaths; /* at how many attempts its worker dies */
    int signal; /* of which signal; 0: by exit(3) */
};

static int die(const void *in, void *out)
{
    struct fate *fate = *(struct fate *const *)in;
    int run = atomic_fetch_add(&fate->runs, 1);
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    CHECK_EQ(brood_task_attempt(), run + 1);
    CHECK_EQ(*(int *)out, 0);
    *(int *)out = 1;
    atomic_store(&fate->pid, getpid());
    if (run < fate->deaths) {
        if (fate->signal)
            raise(fate->signal);
        exit(9);
    }
    *(int *)out = run + 100;
    return 0;
}

static void deaths(void)
{
    static const int signals[] = { SIGKILL, SIGSEGV, SIGABRT, SIGTERM, 0 };
    brood_pool *pool = new_pool(2, 0);
    struct fate *fate = CHECK_POINTER(brood_alloc(sizeof *fate));
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        for (int retries = 0; retries < 3; retries++) {
            int out = 5;
            brood_end end;
            *fate = (struct fate){ .deaths = 2, .signal = signals[i] };
            int result = brood_pool_apply(pool, die, &fate, sizeof fate, &out, sizeof out,
                                          &(brood_task_options){ .retries = retries, .ends = &end });
            CHECK_EQ(result, retries < 2);
            CHECK_EQ(atomic_load(&fate->runs), retries + 1);
            CHECK_EQ(end.attempt, retries + 1);
            CHECK_EQ(end.pid, atomic_load(&fate->pid));
            CHECK_EQ(out, retries < 2 ? 5 : 102);
            CHECK_EQ(end.how, retries == 2 ? BROOD_RETURNED : signals[i] ? BROOD_CRASHED : BROOD_EXITED);
            if (retries < 2 && signals[i])
                CHECK_EQ(end.signal, signals[i]);
            if (retries < 2 && !signals[i])
                CHECK_EQ(end.code, 9);
            if (retries < 2)
                CHECK_HAS(brood_error(), end.why);
        }
    }
    brood_free(fate);
    end_pool(pool);
}

/* A storm of single tasks while workers are killed, and now and then the keeper: each ends one way, and those that
 * returned are right. */
static int slow_square(const void *in, void *out)
{
    pass_us(*(const int *)in % 200);
    return square(in, out);
}

static void storm(bool keeper_too)
{
    enum { FLIGHT = 64 };
    int total = harness_times(4000), lost = 0, returned = 0, kills = 0;
    uint32_t seed = 77;
    brood_pool *pool = new_pool(3, 0);
    brood_result *results[FLIGHT] = { 0 };
    int out[FLIGHT];
    for (int i = 0; i < total + FLIGHT; i++) {
        int at = i % FLIGHT;
        if (results[at]) {
            brood_end end;
            int failed = brood_result_wait(results[at], 10000);
            NEED(CHECK(failed >= 0));
            CHECK_RESULT(brood_result_end(results[at], &end), 0);
            CHECK_EQ(failed, end.how != BROOD_RETURNED);
            if (failed)
                CHECK((end.how == BROOD_CRASHED && end.signal == SIGKILL) || end.how == BROOD_LOST);
            else
                CHECK_EQ(out[at], (i - FLIGHT) * (i - FLIGHT));
            lost += failed;
            returned += !failed;
            CHECK_RESULT(brood_result_destroy(results[at]), 0);
            results[at] = NULL;
        }
        if (i < total) {
            results[at] =
                CHECK_POINTER(brood_pool_apply_async(pool, slow_square, &i, sizeof i, &out[at], sizeof *out, NULL));
            NEED(results[at] != NULL);
        }
        if (random_next(&seed) % 50 == 0) {
            int pid = keeper_too && random_next(&seed) % 4 == 0
                          ? brood_pool_keeper(pool)
                          : brood_pool_worker(pool, (int)(random_next(&seed) % 3));
            if (pid > 0 && kill(pid, SIGKILL) == 0)
                kills++;
        }
    }
    CHECK_EQ(lost + returned, total);
    CHECK(lost <= kills * 3);
    fprintf(stderr, "    %d kills, %d tasks returned, %d lost\n", kills, returned, lost);
    end_pool(pool);
}

static void workers_die(void)
{
    storm(false);
}

static void keepers_die(void)
{
    storm(true);
}

/* ---- beside others ---- */

struct side {
    brood_pool *pool;
    atomic_int *stop;
    atomic_int done;
};

static int rest(const void *in, void *out)
{
    (void)in;
    (void)out;
    pass_us(2000);
    return 0;
}

static void *map_on(void *arg)
{
    struct side *side = arg;
    while (!atomic_load(side->stop)) {
        CHECK_RESULT(brood_pool_map(side->pool, rest, NULL, 0, NULL, 0, 400, NULL), 0);
        atomic_fetch_add(&side->done, 1);
    }
    return NULL;
}

/* A single task does not wait for a map's end. */
static void beside_a_map(void)
{
    brood_pool *pool = new_pool(2, 0);
    atomic_int stop = 0;
    struct side side = { .pool = pool, .stop = &stop };
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, map_on, &side) == 0);
    int held_up = 0;
    for (int i = 0; i < 20; i++) {
        int out = 0;
        pass_us(20000);
        int maps = atomic_load(&side.done);
        CHECK_RESULT(brood_pool_apply(pool, square, &i, sizeof i, &out, sizeof out, NULL), 0);
        CHECK_EQ(out, i * i);
        held_up += atomic_load(&side.done) > maps;
    }
    CHECK(held_up < 10); /* a map may end meanwhile by chance: its own tasks take 400 ms */
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    end_pool(pool);
}

static void *apply_on(void *arg)
{
    struct side *side = arg;
    for (int i = 0; i < 300; i++) {
        int out = -1;
        CHECK_RESULT(brood_pool_apply(side->pool, square, &i, sizeof i, &out, sizeof out, NULL), 0);
        NEED(CHECK_EQ(out, i * i));
    }
    return NULL;
}

/* More threads at once than there are seats. */
static void many_threads(void)
{
    enum { THREADS = 70 };
    brood_pool *pool = new_pool(2, 0);
    struct side side = { .pool = pool };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        NEED(pthread_create(&threads[i], NULL, apply_on, &side) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    end_pool(pool);
}

/* ---- refusals ---- */

static int result_elsewhere(void *arg)
{
    CHECK_RESULT(brood_result_wait(arg, 0), -EPERM);
    CHECK_RESULT(brood_result_destroy(arg), -EPERM);
    return 0;
}

static void wrong(void)
{
    brood_pool *pool = new_pool(1, 0);
    int value = 3, out = 0;
    brood_end end;
    const brood_task_options newer = { .reserved = { &value } }, eager = { .retries = 1001 };
    CHECK_RESULT(brood_pool_apply(NULL, square, &value, sizeof value, &out, sizeof out, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, NULL, &value, sizeof value, &out, sizeof out, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, square, NULL, sizeof value, &out, sizeof out, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, square, &value, sizeof value, NULL, sizeof out, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, square, &value, sizeof value, &out, 0, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, square, &value, 0, &out, sizeof out, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, square, &value, sizeof value, &out, BROOD_STRINGS, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, square, &value, sizeof value, &out, sizeof out, &newer), -EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, square, &value, sizeof value, &out, sizeof out, &eager), -EINVAL);
    CHECK_RESULT(brood_pool_apply(pool, square, &value, HUGE_SIZE(50), &out, sizeof out, NULL), -ENOMEM);
    CHECK_NULL(brood_pool_apply_async(NULL, square, &value, sizeof value, &out, sizeof out, NULL), EINVAL);
    CHECK_NULL(brood_pool_apply_async(pool, NULL, &value, sizeof value, &out, sizeof out, NULL), EINVAL);
    CHECK_NULL(brood_pool_apply_async(pool, square, &value, HUGE_SIZE(50), &out, sizeof out, NULL), ENOMEM);
    CHECK_RESULT(brood_result_wait(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_result_end(NULL, &end), -EINVAL);
    CHECK_RESULT(brood_result_destroy(NULL), 0);
    brood_result *result =
        CHECK_POINTER(brood_pool_apply_async(pool, square, &value, sizeof value, &out, sizeof out, NULL));
    CHECK_RESULT(brood_result_wait(result, -2), -EINVAL);
    CHECK_RESULT(brood_result_end(result, NULL), -EINVAL);
    CHECK_RESULT(brood_result_next(result, &out, NULL, 0), -EINVAL);
    CHECK_EQ(wait_child(fork_child(result_elsewhere, result)), 0);
    CHECK_RESULT(brood_result_wait(result, 5000), 0);
    CHECK_EQ(out, 9);
    CHECK_RESULT(brood_result_destroy(result), 0);
    end_pool(pool);
}

static void not_begun(void)
{
    int value = 0;
    CHECK_RESULT(brood_pool_apply(NULL, square, &value, sizeof value, NULL, 0, NULL), -EINVAL);
    CHECK_NULL(brood_pool_apply_async(NULL, square, &value, sizeof value, NULL, 0, NULL), EINVAL);
    CHECK_NULL(brood_task_reply(1), EINVAL);
    CHECK_EQ((long long)brood_task_index(), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "squares", .run = squares },
        { .name = "squares_later", .run = squares_later },
        { .name = "failure", .run = failure },
        { .name = "not_ready", .run = not_ready },
        { .name = "many", .run = many },
        { .name = "inside", .run = inside },
        { .name = "in_place", .run = in_place },
        { .name = "deaths", .run = deaths },
        { .name = "workers_die", .run = workers_die, .deadline_s = 60 },
        { .name = "keepers_die", .run = keepers_die, .deadline_s = 60 },
        { .name = "beside_a_map", .run = beside_a_map },
        { .name = "many_threads", .run = many_threads, .deadline_s = 60 },
        { .name = "wrong", .run = wrong },
        { .name = "not_begun", .run = not_begun, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
