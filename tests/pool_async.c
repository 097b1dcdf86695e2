/* pool_async.c: maps whose results come later, callbacks, and how a pool is closed, joined and terminated.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const brood_pool_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

struct gate {
    atomic_int entered, open;
};

static int nothing(const void *in, void *out)
{
    (void)in;
    (void)out;
    return 0;
}

static int square(const void *in, void *out)
{
    int value = *(const int *)in;
    if (value < 0)
        return brood_fail(-value, "negative");
    *(int *)out = value * value;
    return 0;
}

/* Waits at the gate, which is its item. */
static int stay(const void *in, void *out)
{
    struct gate *gate = (struct gate *)(uintptr_t)in;
    (void)out;
    atomic_fetch_add(&gate->entered, 1);
    CHECK(wait_word(&gate->open, 1, 15000));
    return 0;
}

static brood_pool *new_pool(int workers, int method)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(workers, &methods[method]));
    NEED(pool != NULL);
    return pool;
}

static struct gate *new_gate(void)
{
    struct gate *gate = CHECK_POINTER(brood_alloc(sizeof *gate));
    NEED(gate != NULL);
    return gate;
}

static void end_pool(brood_pool *pool)
{
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void maps(void)
{
    enum { MAPS = 40, ITEMS = 100 };
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        brood_result *results[MAPS];
        static int in[MAPS][ITEMS], out[MAPS][ITEMS];
        static brood_end ends[MAPS][ITEMS];
        for (int i = 0; i < MAPS; i++) {
            for (int j = 0; j < ITEMS; j++)
                in[i][j] = j == i ? -7 : i + j;
            memset(out[i], 0x55, sizeof out[i]);
            results[i] = CHECK_POINTER(brood_pool_map_async(pool, square, in[i], sizeof(int), out[i], sizeof(int),
                                                            ITEMS, &(brood_task_options){ .ends = ends[i] }));
            NEED(results[i] != NULL);
            in[i][0] = 99; /* it was read */
        }
        for (int i = MAPS - 1; i >= 0; i--) {
            brood_end end;
            CHECK_RESULT(brood_result_wait(results[i], 10000), 1);
            CHECK_HAS(brood_error(), "negative");
            CHECK_RESULT(brood_result_end(results[i], &end), -EINVAL);
            CHECK_RESULT(brood_result_destroy(results[i]), 0);
            for (int j = 0; j < ITEMS; j++) {
                NEED(CHECK_EQ(out[i][j], j == i ? 0x55555555 : (i + j) * (i + j)));
                NEED(CHECK_EQ(ends[i][j].how, j == i ? BROOD_FAILED : BROOD_RETURNED));
                CHECK_EQ((long long)ends[i][j].index, j);
            }
            CHECK_EQ(ends[i][i].code, 7);
        }
        brood_result *none = CHECK_POINTER(brood_pool_map_async(pool, square, NULL, 4, NULL, 4, 0, NULL));
        CHECK_RESULT(brood_result_wait(none, 0), 0);
        CHECK_RESULT(brood_result_destroy(none), 0);
        end_pool(pool);
    }
}

static void run_times(void)
{
    brood_pool *pool = new_pool(2, 0);
    struct gate *gate = new_gate();
    brood_end ends[2];
    brood_result *result =
        CHECK_POINTER(brood_pool_map_async(pool, stay, gate, 0, NULL, 0, 2, &(brood_task_options){ .ends = ends }));
    CHECK(wait_word(&gate->entered, 2, 5000));
    CHECK_RESULT(brood_result_wait(result, 30), -ETIMEDOUT);
    CHECK_RESULT(brood_result_destroy(result), -EBUSY);
    atomic_store(&gate->open, 1);
    CHECK_RESULT(brood_result_wait(result, 5000), 0);
    for (int i = 0; i < 2; i++)
        CHECK(ends[i].wall_us >= 25000 && ends[i].pid > 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
    brood_free(gate);
    end_pool(pool);
}

/* ---- callbacks ---- */

struct told {
    int calls, failed;
    pthread_t thread;
    brood_result *result;
    bool destroys;
};

static void tell(void *context, brood_result *result, int failed)
{
    struct told *told = context;
    told->calls++;
    told->failed = failed;
    told->thread = pthread_self();
    told->result = result;
    CHECK_EQ(brood_result_wait(result, 0), failed);
    if (told->destroys)
        CHECK_RESULT(brood_result_destroy(result), 0);
}

static void callbacks(void)
{
    brood_pool *pool = new_pool(2, 0);
    struct told told[3] = { { .destroys = true }, { .destroys = true }, { .calls = 0 } };
    static const int in[] = { 3, -4 };
    int out[2] = { 0 }, map_out[2] = { 0 };
    brood_result *results[3];
    for (int i = 0; i < 2; i++)
        results[i] = CHECK_POINTER(brood_pool_apply_async(pool, square, &in[i], sizeof(int), &out[i], sizeof(int),
                                                          &(brood_task_options){ .done = tell, .context = &told[i] }));
    results[2] = CHECK_POINTER(brood_pool_map_async(pool, square, in, sizeof(int), map_out, sizeof(int), 2,
                                                    &(brood_task_options){ .done = tell, .context = &told[2] }));
    CHECK_RESULT(brood_pool_join(pool, 10000), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(told[i].calls, 1);
        CHECK_EQ(told[i].failed, i > 0);
        CHECK(told[i].result == results[i]);
        CHECK(pthread_equal(told[i].thread, pthread_self()));
    }
    CHECK_EQ(out[0], 9);
    CHECK_EQ(map_out[0], 9);
    CHECK_RESULT(brood_result_destroy(results[2]), 0);
    end_pool(pool);
}

struct asker {
    brood_pool *pool;
    struct told told;
    atomic_int asked, may_call;
};

static void *ask_elsewhere(void *arg)
{
    struct asker *asker = arg;
    int in = 5, out = 0;
    brood_result *result =
        CHECK_POINTER(brood_pool_apply_async(asker->pool, square, &in, sizeof in, &out, sizeof out,
                                             &(brood_task_options){ .done = tell, .context = &asker->told }));
    atomic_store(&asker->asked, 1);
    CHECK(wait_word(&asker->may_call, 1, 10000));
    CHECK_EQ(asker->told.calls, 0);
    CHECK_RESULT(brood_pool_apply(asker->pool, square, &in, sizeof in, &out, sizeof out, NULL), 0);
    CHECK_RESULT(brood_result_wait(result, 10000), 0);
    CHECK_RESULT(brood_pool_apply(asker->pool, square, &in, sizeof in, &out, sizeof out, NULL), 0);
    CHECK_EQ(asker->told.calls, 1);
    CHECK(pthread_equal(asker->told.thread, pthread_self()));
    CHECK_RESULT(brood_result_destroy(result), 0);
    return NULL;
}

/* In the thread that asked, and in no other. */
static void callback_threads(void)
{
    struct asker asker = { .pool = new_pool(1, 0) };
    pthread_t thread;
    int in = 2, out;
    NEED(pthread_create(&thread, NULL, ask_elsewhere, &asker) == 0);
    CHECK(wait_word(&asker.asked, 1, 10000));
    for (int i = 0; i < 20; i++)
        CHECK_RESULT(brood_pool_apply(asker.pool, square, &in, sizeof in, &out, sizeof out, NULL), 0);
    atomic_store(&asker.may_call, 1);
    pthread_join(thread, NULL);
    end_pool(asker.pool);
}

/* ---- the end ---- */

static void count_told(void *context, brood_result *result, int failed)
{
    (void)result;
    *(int *)context += failed == 0;
}

/* They stay when they have been told. */
static void callbacks_of_many(void)
{
    int many = harness_times(100000), told = 0;
    brood_result **results = CHECK_POINTER(calloc((size_t)many, sizeof(brood_result *)));
    brood_pool *pool = new_pool(1, 0);
    struct gate *gate = new_gate();
    brood_result *first = CHECK_POINTER(brood_pool_apply_async(pool, stay, gate, 0, NULL, 0, NULL));
    for (int i = 0; i < many; i++) {
        results[i] = brood_pool_apply_async(pool, nothing, NULL, 0, NULL, 0,
                                            &(brood_task_options){ .done = count_told, .context = &told });
        NEED(results[i] != NULL);
    }
    atomic_store(&gate->open, 1);
    CHECK_RESULT(brood_pool_join(pool, BROOD_FOREVER), 0);
    CHECK_EQ(told, many);
    for (int i = 0; i < many; i++)
        CHECK_RESULT(brood_result_destroy(results[i]), 0);
    CHECK_RESULT(brood_result_destroy(first), 0);
    end_pool(pool);
    brood_free(gate);
    free(results);
}

/* Each of some items, all under way at once. */
static void many_maps(void)
{
    enum { ITEMS = 4 };
    int many = harness_times(50000), numbers[ITEMS] = { 1, 2, 3, 4 }, (*squares)[ITEMS];
    brood_result **results = CHECK_POINTER(calloc((size_t)many, sizeof(brood_result *)));
    squares = CHECK_POINTER(calloc((size_t)many, sizeof *squares));
    brood_pool *pool = new_pool(2, 0);
    struct gate *gate = new_gate();
    brood_result *held[2];
    for (int i = 0; i < 2; i++)
        held[i] = CHECK_POINTER(brood_pool_apply_async(pool, stay, gate, 0, NULL, 0, NULL));
    for (int i = 0; i < many; i++) {
        results[i] = brood_pool_map_async(pool, square, numbers, sizeof(int), squares[i], sizeof(int), ITEMS, NULL);
        NEED(results[i] != NULL);
    }
    atomic_store(&gate->open, 1);
    for (int i = 0; i < many; i++) {
        CHECK_RESULT(brood_result_wait(results[i], BROOD_FOREVER), 0);
        CHECK_EQ(squares[i][ITEMS - 1], ITEMS * ITEMS);
        CHECK_RESULT(brood_result_destroy(results[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(brood_result_wait(held[i], BROOD_FOREVER), 0);
        CHECK_RESULT(brood_result_destroy(held[i]), 0);
    }
    end_pool(pool);
    brood_free(gate);
    free(squares);
    free(results);
}

static void close_and_join(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        struct gate *gate = new_gate();
        int in = 4, out = 0;
        brood_result *held = CHECK_POINTER(brood_pool_map_async(pool, stay, gate, 0, NULL, 0, 2, NULL));
        brood_result *queued =
            CHECK_POINTER(brood_pool_apply_async(pool, square, &in, sizeof in, &out, sizeof out, NULL));
        CHECK(wait_word(&gate->entered, 2, 5000));
        CHECK_RESULT(brood_pool_close(pool), 0);
        CHECK_RESULT(brood_pool_close(pool), 0);
        CHECK_RESULT(brood_pool_apply(pool, square, &in, sizeof in, &out, sizeof out, NULL), -EPIPE);
        CHECK_RESULT(brood_pool_map(pool, square, &in, sizeof in, &out, sizeof out, 1, NULL), -EPIPE);
        CHECK_NULL(brood_pool_apply_async(pool, square, &in, sizeof in, &out, sizeof out, NULL), EPIPE);
        CHECK_NULL(brood_pool_map_async(pool, square, &in, sizeof in, &out, sizeof out, 1, NULL), EPIPE);
        CHECK_RESULT(brood_pool_join(pool, 50), -ETIMEDOUT);
        atomic_store(&gate->open, 1);
        CHECK_RESULT(brood_pool_join(pool, 10000), 0);
        CHECK_RESULT(brood_pool_join(pool, 0), 0);
        CHECK_RESULT(brood_result_wait(queued, 0), 0);
        CHECK_EQ(out, 16);
        CHECK_RESULT(brood_result_wait(held, 0), 0);
        CHECK_RESULT(brood_result_destroy(held), 0);
        CHECK_RESULT(brood_result_destroy(queued), 0);
        brood_free(gate);
        end_pool(pool);
    }
}

/* A keeper that dies in a closed pool is replaced all the same: what was asked for is done. */
static void join_without_keeper(void)
{
    brood_pool *pool = new_pool(2, 0);
    struct gate *gate = new_gate();
    int in[50], out[50] = { 0 };
    for (int i = 0; i < 50; i++)
        in[i] = i;
    brood_result *held = CHECK_POINTER(brood_pool_map_async(pool, stay, gate, 0, NULL, 0, 2, NULL));
    brood_result *queued =
        CHECK_POINTER(brood_pool_map_async(pool, square, in, sizeof(int), out, sizeof(int), 50, NULL));
    CHECK(wait_word(&gate->entered, 2, 5000));
    int keeper = brood_pool_keeper(pool);
    NEED(keeper > 0);
    kill(keeper, SIGKILL);
    CHECK_RESULT(brood_pool_join(pool, 10000), 0);
    CHECK_RESULT(brood_result_wait(held, 0), 2);
    CHECK_HAS(brood_error(), "died together");
    CHECK_RESULT(brood_result_wait(queued, 0), 0);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(out[i], i * i);
    CHECK_RESULT(brood_result_destroy(held), 0);
    CHECK_RESULT(brood_result_destroy(queued), 0);
    brood_free(gate);
    end_pool(pool);
}

static void terminate(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        struct gate *gate = new_gate();
        int in = 4, out = 77;
        brood_end ends[4], end;
        struct told told = { .calls = 0 };
        brood_result *held = CHECK_POINTER(
            brood_pool_map_async(pool, stay, gate, 0, NULL, 0, 4, &(brood_task_options){ .ends = ends, .chunk = 1 }));
        brood_result *queued = CHECK_POINTER(brood_pool_apply_async(
            pool, square, &in, sizeof in, &out, sizeof out, &(brood_task_options){ .done = tell, .context = &told }));
        CHECK(wait_word(&gate->entered, 2, 5000));
        long long began = now_ms();
        CHECK_RESULT(brood_pool_terminate(pool), 0);
        CHECK(now_ms() - began < 2000);
        CHECK_EQ(count_children(), 0);
        CHECK_EQ(told.calls, 1);
        CHECK_EQ(told.failed, 1);
        CHECK_RESULT(brood_result_wait(held, BROOD_FOREVER), 4);
        CHECK_HAS(brood_error(), "cancelled");
        for (int i = 0; i < 4; i++)
            CHECK_EQ(ends[i].how, BROOD_CANCELLED);
        CHECK_RESULT(brood_result_wait(queued, BROOD_FOREVER), 1);
        CHECK_HAS(brood_error(), "cancelled");
        CHECK_RESULT(brood_result_end(queued, &end), 0);
        CHECK_EQ(end.how, BROOD_CANCELLED);
        CHECK_EQ(out, 77);
        CHECK_RESULT(brood_pool_apply(pool, square, &in, sizeof in, &out, sizeof out, NULL), -EPIPE);
        CHECK_RESULT(brood_pool_terminate(pool), 0);
        CHECK_RESULT(brood_pool_join(pool, 1000), 0);
        CHECK_RESULT(brood_result_destroy(held), 0);
        CHECK_RESULT(brood_result_destroy(queued), 0);
        brood_free(gate);
        end_pool(pool);
    }
}

static int fail(const void *in, void *out)
{
    (void)in;
    (void)out;
    return 1;
}

static size_t blocks_now(void)
{
    brood_heap_stats stats;
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    return stats.blocks;
}

/* A worker may be killed as it is about to hand in a record of a failure. */
static void terminate_among_failures(void)
{
    enum { FAILURES = 100000 };
    size_t blocks = blocks_now();
    brood_end *ends = malloc(FAILURES * sizeof *ends);
    NEED(ends != NULL);
    for (int i = 0; i < harness_times(24); i++) {
        brood_pool *pool = new_pool(2, 0);
        brood_result *result = CHECK_POINTER(
            brood_pool_map_async(pool, fail, NULL, 0, NULL, 0, FAILURES, &(brood_task_options){ .ends = ends }));
        pass_us(10000 + i % 7 * 3000);
        CHECK_RESULT(brood_pool_terminate(pool), 0);
        CHECK(brood_result_wait(result, BROOD_FOREVER) >= 0);
        CHECK_RESULT(brood_result_destroy(result), 0);
        CHECK_RESULT(brood_pool_destroy(pool), 0);
        CHECK_EQ((long long)blocks_now(), (long long)blocks);
    }
    free(ends);
    CHECK_RESULT(brood_heap_check(), 0);
}

struct side {
    brood_pool *pool;
    struct gate *gate;
    int result;
};

static void *map_aside(void *arg)
{
    struct side *side = arg;
    side->result = brood_pool_map(side->pool, stay, side->gate, 0, NULL, 0, 2, NULL);
    return NULL;
}

/* One thread waits in a map, and cannot be taken for idle; another terminates the pool. */
static void terminate_under_a_map(void)
{
    struct side side = { .pool = new_pool(2, 0), .gate = new_gate() };
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, map_aside, &side) == 0);
    CHECK(wait_word(&side.gate->entered, 2, 5000));
    CHECK_RESULT(brood_pool_destroy(side.pool), -EBUSY);
    CHECK_RESULT(brood_pool_join(side.pool, 1000), -EBUSY);
    CHECK_RESULT(brood_pool_terminate(side.pool), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(side.result, 2);
    brood_free(side.gate);
    end_pool(side.pool);
}

/* Results outlive their pool. */
static void destroy_first(void)
{
    brood_pool *pool = new_pool(1, 0);
    struct gate *gate = new_gate();
    int in = 6, out[3] = { 0, 77, 77 };
    brood_end end;
    brood_result *results[3];
    results[0] = CHECK_POINTER(brood_pool_apply_async(pool, square, &in, sizeof in, &out[0], sizeof *out, NULL));
    while (brood_result_wait(results[0], 1000) == -ETIMEDOUT)
        continue;
    results[1] = CHECK_POINTER(brood_pool_map_async(pool, stay, gate, 0, NULL, 0, 1, NULL));
    CHECK(wait_word(&gate->entered, 1, 5000));
    results[2] = CHECK_POINTER(brood_pool_apply_async(pool, square, &in, sizeof in, &out[2], sizeof *out, NULL));
    end_pool(pool);
    CHECK_RESULT(brood_result_wait(results[0], 0), 0);
    CHECK_EQ(out[0], 36);
    CHECK_RESULT(brood_result_wait(results[1], BROOD_FOREVER), 1);
    CHECK_RESULT(brood_result_wait(results[2], BROOD_FOREVER), 1);
    CHECK_RESULT(brood_result_end(results[2], &end), 0);
    CHECK_EQ(end.how, BROOD_CANCELLED);
    CHECK_EQ(out[2], 77);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_result_destroy(results[i]), 0);
    brood_free(gate);
}

static int use_elsewhere(void *arg)
{
    CHECK_RESULT(brood_pool_close(arg), -EPERM);
    CHECK_RESULT(brood_pool_join(arg, 0), -EPERM);
    CHECK_RESULT(brood_pool_terminate(arg), -EPERM);
    return 0;
}

static void wrong(void)
{
    brood_pool *pool = new_pool(1, 0);
    int value = 1;
    CHECK_RESULT(brood_pool_close(NULL), -EINVAL);
    CHECK_RESULT(brood_pool_join(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_pool_terminate(NULL), -EINVAL);
    CHECK_RESULT(brood_pool_join(pool, -2), -EINVAL);
    CHECK_NULL(brood_pool_map_async(NULL, square, &value, 4, &value, 4, 1, NULL), EINVAL);
    CHECK_NULL(brood_pool_map_async(pool, NULL, &value, 4, &value, 4, 1, NULL), EINVAL);
    CHECK_NULL(brood_pool_map_async(pool, square, NULL, 4, &value, 4, 1, NULL), EINVAL);
    CHECK_NULL(brood_pool_map_async(pool, square, &value, 4, &value, 4, HUGE_SIZE(41) / 4, NULL), ENOMEM);
    CHECK_NULL(brood_pool_map_async(pool, square, &value, 4, &value, 4, 1, &(brood_task_options){ .retries = -1 }),
               EINVAL);
    CHECK_EQ(wait_child(fork_child(use_elsewhere, pool)), 0);
    CHECK_RESULT(brood_pool_map(pool, square, &value, 4, &value, 4, 1, NULL), 0);
    end_pool(pool);
}

/* ---- begin and finish ---- */

struct hooks {
    atomic_int begun, finished, mode, deaths;
};

static struct hooks *hooks; /* in a worker: as begin was told */

static int begin(void *arg)
{
    hooks = arg;
    if (atomic_load(&hooks->mode) == 1)
        return brood_fail(5, "no %s here", "database");
    if (atomic_load(&hooks->mode) == 2)
        exit(6);
    if (atomic_fetch_add(&hooks->deaths, -1) > 0)
        raise(SIGKILL);
    atomic_fetch_add(&hooks->begun, 1);
    return 0;
}

static int finish(void *arg)
{
    atomic_fetch_add(&((struct hooks *)arg)->finished, 1);
    return 0;
}

static int was_begun(const void *in, void *out)
{
    (void)in;
    *(bool *)out = hooks != NULL;
    return 0;
}

static void begins(void)
{
    for (int method = 0; method < 2; method++) {
        struct hooks *in = CHECK_POINTER(brood_alloc(sizeof *in));
        bool begun[20] = { false };
        brood_pool *pool = CHECK_POINTER(brood_pool_create(
            2, &(brood_pool_options){ .start = methods[method].start, .begin = begin, .finish = finish, .arg = in }));
        CHECK_RESULT(brood_pool_map(pool, was_begun, NULL, 0, begun, sizeof *begun, 20, NULL), 0);
        for (int i = 0; i < 20; i++)
            CHECK(begun[i]);
        CHECK(wait_word(&in->begun, 2, 5000));
        end_pool(pool);
        CHECK_EQ(atomic_load(&in->begun), 2);
        CHECK_EQ(atomic_load(&in->finished), 2);
        brood_free(in);
    }
}

/* It does not begin for ever: the pool says why. A death is no refusal: another worker begins. */
static void begin_fails(void)
{
    for (int mode = 1; mode <= 2; mode++) {
        struct hooks *in = CHECK_POINTER(brood_alloc(sizeof *in));
        atomic_store(&in->mode, mode);
        brood_pool *pool = CHECK_POINTER(brood_pool_create(2, &(brood_pool_options){ .begin = begin, .arg = in }));
        bool begun = false;
        brood_end end;
        CHECK_RESULT(
            brood_pool_map(pool, was_begun, NULL, 0, &begun, sizeof begun, 1, &(brood_task_options){ .ends = &end }),
            -ENOTRECOVERABLE);
        CHECK_HAS(brood_error(), mode == 1 ? "no database here" : "exit");
        CHECK_EQ(end.how, BROOD_RUNNING);
        CHECK_RESULT(brood_pool_apply(pool, was_begun, NULL, 0, &begun, sizeof begun, NULL), -ENOTRECOVERABLE);
        CHECK_NULL(brood_pool_apply_async(pool, was_begun, NULL, 0, &begun, sizeof begun, NULL), ENOTRECOVERABLE);
        for (int i = 0; i < 2; i++)
            CHECK_EQ(brood_pool_worker(pool, i), 0);
        end_pool(pool);
        brood_free(in);
    }
}

static void begin_dies(void)
{
    struct hooks *in = CHECK_POINTER(brood_alloc(sizeof *in));
    atomic_store(&in->deaths, 3);
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, &(brood_pool_options){ .begin = begin, .arg = in }));
    bool begun = false;
    CHECK_RESULT(brood_pool_apply(pool, was_begun, NULL, 0, &begun, sizeof begun, NULL), 0);
    CHECK(begun);
    end_pool(pool);
    brood_free(in);
}

static void begin_wrong(void)
{
    int own = 0;
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .begin = begin, .arg = &own }), EINVAL);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .begin = begin, .arg_size = 4 }), EINVAL);
    brood_target *nowhere;
    void *memory = malloc(16);
    memcpy(&nowhere, &memory, sizeof nowhere);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .begin = nowhere }), EINVAL);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .finish = nowhere }), EINVAL);
    free(memory);
    CHECK_RESULT(brood_heap_check(), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "maps", .run = maps },
        { .name = "run_times", .run = run_times },
        { .name = "callbacks", .run = callbacks },
        { .name = "callback_threads", .run = callback_threads },
        { .name = "callbacks_of_many", .run = callbacks_of_many },
        { .name = "many_maps", .run = many_maps },
        { .name = "close_and_join", .run = close_and_join },
        { .name = "join_without_keeper", .run = join_without_keeper },
        { .name = "terminate", .run = terminate },
        { .name = "terminate_among_failures", .run = terminate_among_failures, .deadline_s = 60 },
        { .name = "terminate_under_a_map", .run = terminate_under_a_map },
        { .name = "destroy_first", .run = destroy_first },
        { .name = "wrong", .run = wrong },
        { .name = "begins", .run = begins },
        { .name = "begin_fails", .run = begin_fails },
        { .name = "begin_dies", .run = begin_dies },
        { .name = "begin_wrong", .run = begin_wrong },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
