/* pool_resize.c: pools that become larger and smaller as they run, and whose workers keep to their processors.
 */
#include "harness.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST = 1024 };

static const brood_start methods[] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };

/* In the region. */
struct stage {
    _Atomic int held, open; /* tasks at the gate; the gate */
    _Atomic int runs, finished;
    _Atomic int ran[2000];
};

static struct stage *new_stage(void)
{
    return CHECK_POINTER(brood_alloc(sizeof(struct stage)));
}

static brood_pool *new_pool(int workers)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(workers, NULL));
    NEED(pool != NULL);
    return pool;
}

static void end_pool(brood_pool *pool)
{
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
}

static int hold(const void *in, void *out)
{
    struct stage *stage = *(struct stage *const *)in;
    (void)out;
    atomic_fetch_add(&stage->held, 1);
    return wait_word(&stage->open, 1, 15000) ? 0 : 1;
}

static int run(const void *in, void *out)
{
    struct stage *stage = *(struct stage *const *)in;
    *(int *)out = getpid();
    pass_us(500);
    atomic_fetch_add(&stage->ran[brood_task_index()], 1);
    atomic_fetch_add(&stage->runs, 1);
    return 0;
}

/* Every one of its workers, and no more, is there. */
static void check_workers(brood_pool *pool, int count)
{
    CHECK_EQ(brood_pool_workers(pool), count);
    for (int i = 0; i < count; i++) {
        int pid = brood_pool_worker(pool, i);
        CHECK(pid > 0 && kill(pid, 0) == 0);
    }
    CHECK_RESULT(brood_pool_worker(pool, count), -EINVAL);
}

static void up_and_down(void)
{
    static const int counts[] = { 5, 1, 2, 40, 3, 3, 41, 1 };
    for (size_t method = 0; method < sizeof methods / sizeof *methods; method++) {
        brood_pool *pool = CHECK_POINTER(brood_pool_create(2, &(brood_pool_options){ .start = methods[method] }));
        struct stage *stage = new_stage();
        int pid = 0;
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            CHECK_RESULT(brood_pool_resize(pool, counts[i], 15000), 0);
            check_workers(pool, counts[i]);
            CHECK_RESULT(brood_pool_apply(pool, run, &stage, sizeof stage, &pid, sizeof pid, NULL), 0);
            CHECK(pid > 0);
        }
        CHECK_RESULT(brood_pool_resize(pool, 0, 15000), 0);
        check_workers(pool, brood_cpu_count());
        CHECK_RESULT(brood_pool_destroy(pool), 0);
        brood_free(stage);
    }
}

/* All of them work: so many tasks are at the gate at once. */
static void more_work_at_once(void)
{
    enum { COUNT = 6 };
    brood_pool *pool = new_pool(1);
    struct stage *stage = new_stage(), *items[COUNT];
    for (int i = 0; i < COUNT; i++)
        items[i] = stage;
    brood_result *result = CHECK_POINTER(brood_pool_map_async(pool, hold, items, sizeof *items, NULL, 0, COUNT, NULL));
    CHECK(wait_word(&stage->held, 1, 10000));
    CHECK_EQ(atomic_load(&stage->held), 1);
    CHECK_RESULT(brood_pool_resize(pool, COUNT, 10000), 0);
    CHECK(wait_word(&stage->held, COUNT, 10000));
    atomic_store(&stage->open, 1);
    CHECK_RESULT(brood_result_wait(result, 10000), 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
    end_pool(pool);
}

/* Who is in a task leaves after it; until then the call has not done what it was asked for. */
static void not_in_a_task(void)
{
    enum { COUNT = 3 };
    brood_pool *pool = new_pool(COUNT);
    struct stage *stage = new_stage(), *items[COUNT];
    for (int i = 0; i < COUNT; i++)
        items[i] = stage;
    brood_result *result = CHECK_POINTER(brood_pool_map_async(pool, hold, items, sizeof *items, NULL, 0, COUNT, NULL));
    CHECK(wait_word(&stage->held, COUNT, 10000));
    CHECK_RESULT(brood_pool_resize(pool, 1, 0), -ETIMEDOUT);
    CHECK_EQ(brood_pool_workers(pool), 1);
    CHECK_RESULT(brood_pool_resize(pool, 1, 30), -ETIMEDOUT);
    atomic_store(&stage->open, 1);
    CHECK_RESULT(brood_result_wait(result, 10000), 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_RESULT(brood_pool_resize(pool, 1, 10000), 0);
    check_workers(pool, 1);
    end_pool(pool);
}

/* A map is not harmed by what becomes of the pool meanwhile, its chunks chosen or given. */
static void in_a_map(void)
{
    enum { COUNT = 2000 };
    for (size_t chunk = 0; chunk <= 7; chunk += 7) {
        brood_pool *pool = new_pool(3);
        struct stage *stage = new_stage();
        struct stage **items = CHECK_POINTER(brood_alloc_array(COUNT, sizeof *items));
        int *pids = CHECK_POINTER(brood_alloc_array(COUNT, sizeof *pids));
        uint32_t seed = 5;
        for (int i = 0; i < COUNT; i++)
            items[i] = stage;
        brood_result *result = CHECK_POINTER(brood_pool_map_async(pool, run, items, sizeof *items, pids, sizeof *pids,
                                                                  COUNT, &(brood_task_options){ .chunk = chunk }));
        while (brood_result_wait(result, 0) == -ETIMEDOUT)
            CHECK_RESULT(brood_pool_resize(pool, 1 + (int)(random_next(&seed) % 12), 10000), 0);
        CHECK_RESULT(brood_result_wait(result, 0), 0);
        for (int i = 0; i < COUNT; i++)
            NEED(CHECK_EQ(atomic_load(&stage->ran[i]), 1));
        CHECK_RESULT(brood_result_destroy(result), 0);
        end_pool(pool);
    }
}

static int finish(void *arg)
{
    struct stage *stage = *(struct stage **)arg;
    atomic_fetch_add(&stage->finished, 1);
    return 0;
}

static void finish_runs(void)
{
    struct stage *stage = new_stage();
    brood_pool_options options = { .finish = finish, .arg = &stage, .arg_size = sizeof(struct stage *) };
    brood_pool *pool = CHECK_POINTER(brood_pool_create(5, &options));
    CHECK_RESULT(brood_pool_resize(pool, 6, 10000), 0);
    CHECK_EQ(atomic_load(&stage->finished), 0);
    CHECK_RESULT(brood_pool_resize(pool, 2, 10000), 0);
    CHECK_EQ(atomic_load(&stage->finished), 4);
    end_pool(pool);
    CHECK_EQ(atomic_load(&stage->finished), 6);
}

/* Workers and keeper die meanwhile. */
static void with_deaths(void)
{
    brood_pool *pool = new_pool(4);
    struct stage *stage = new_stage();
    uint32_t seed = 3;
    int times = harness_times(40), pid;
    for (int i = 0; i < times; i++) {
        int count = 1 + (int)(random_next(&seed) % 9);
        int victim = i % 4 == 0 ? brood_pool_keeper(pool) : brood_pool_worker(pool, 0);
        if (victim > 0)
            kill(victim, SIGKILL);
        CHECK_RESULT(brood_pool_resize(pool, count, 15000), 0);
        CHECK_EQ(brood_pool_workers(pool), count);
        CHECK_RESULT(brood_pool_apply(pool, run, &stage, sizeof stage, &pid, sizeof pid,
                                      &(brood_task_options){ .retries = 100 }),
                     0);
    }
    end_pool(pool);
}

static int resize_there(void *arg)
{
    brood_pool *pool = *(brood_pool **)arg;
    return brood_pool_resize(pool, 1, 0) == -EPERM ? 0 : 1;
}

static void wrong_arguments(void)
{
    CHECK_RESULT(brood_pool_resize(NULL, 1, 0), -EINVAL);
    brood_pool *pool = new_pool(2);
    CHECK_RESULT(brood_pool_resize(pool, -1, 0), -EINVAL);
    CHECK_RESULT(brood_pool_resize(pool, MOST + 1, 0), -EINVAL);
    CHECK_RESULT(brood_pool_resize(pool, 3, -2), -EINVAL);
    CHECK_EQ(brood_pool_workers(pool), 2);
    brood_process *other = CHECK_POINTER(brood_process_start(resize_there, &pool, sizeof(brood_pool *), NULL));
    brood_end end;
    CHECK_RESULT(brood_process_join(other, &end, 10000), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    brood_process_close(other);
    CHECK_RESULT(brood_pool_close(pool), 0);
    CHECK_RESULT(brood_pool_resize(pool, 3, 1000), -EPIPE);
    end_pool(pool);
}

static int fail_at_once(void *arg)
{
    (void)arg;
    return brood_fail(7, "no such day");
}

static void broken_pool(void)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, &(brood_pool_options){ .begin = fail_at_once }));
    CHECK_RESULT(brood_pool_resize(pool, 50, 10000), -ENOTRECOVERABLE);
    CHECK_HAS(brood_error(), "no such day");
    end_pool(pool);
}

static void no_room(void)
{
    brood_init_options options = { .limit = 8 << 20 };
    CHECK_RESULT(brood_init(&options), 0);
    brood_pool *pool = new_pool(1);
    while (brood_alloc(4096))
        continue;
    while (brood_alloc(64))
        continue;
    CHECK_RESULT(brood_pool_resize(pool, MOST, 0), -ENOMEM);
    CHECK_EQ(brood_pool_workers(pool), 1);
    end_pool(pool);
}

/* ---- processors ---- */

static int tell_cpus(const void *in, void *out)
{
    struct stage *stage = *(struct stage *const *)in;
    cpu_set_t *mask = out;
    if (sched_getaffinity(0, sizeof *mask, mask))
        return 1;
    atomic_fetch_add(&stage->held, 1);
    return wait_word(&stage->open, 1, 15000) ? 0 : 1;
}

static void pinned(void)
{
    cpu_set_t all, masks[4], seen;
    NEED(sched_getaffinity(0, sizeof all, &all) == 0);
    for (int on = 0; on < 2; on++) {
        brood_pool *pool = CHECK_POINTER(brood_pool_create(4, &(brood_pool_options){ .pinned = on }));
        struct stage *stage = new_stage(), *items[4] = { stage, stage, stage, stage };
        brood_result *result =
            CHECK_POINTER(brood_pool_map_async(pool, tell_cpus, items, sizeof *items, masks, sizeof *masks, 4, NULL));
        CHECK(wait_word(&stage->held, 4, 10000));
        atomic_store(&stage->open, 1);
        CHECK_RESULT(brood_result_wait(result, 10000), 0);
        CHECK_RESULT(brood_result_destroy(result), 0);
        CPU_ZERO(&seen);
        for (int i = 0; i < 4; i++) {
            CHECK_EQ(CPU_COUNT(&masks[i]), on ? 1 : CPU_COUNT(&all));
            CPU_OR(&seen, &seen, &masks[i]);
        }
        CHECK_EQ(CPU_COUNT(&seen), !on || CPU_COUNT(&all) < 4 ? CPU_COUNT(&all) : 4);
        end_pool(pool);
    }
}

static int say_one(const void *in, void *out)
{
    (void)in;
    *(int *)out = 1;
    return 0;
}

/* Where nobody may choose its processor the workers run on any. */
static void pinned_nowhere(void)
{
    int ones[10] = { 0 };
    if (refuse_call(SYS_sched_setaffinity, EPERM) != 0)
        harness_skip("no filters here");
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, &(brood_pool_options){ .pinned = true }));
    CHECK_RESULT(brood_pool_map(pool, say_one, NULL, 0, ones, sizeof *ones, 10, NULL), 0);
    CHECK_EQ(ones[9], 1);
    end_pool(pool);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "up_and_down", .run = up_and_down, .deadline_s = 60 },
        { .name = "more_work_at_once", .run = more_work_at_once },
        { .name = "not_in_a_task", .run = not_in_a_task },
        { .name = "in_a_map", .run = in_a_map, .deadline_s = 60 },
        { .name = "finish_runs", .run = finish_runs },
        { .name = "with_deaths", .run = with_deaths, .deadline_s = 60 },
        { .name = "wrong_arguments", .run = wrong_arguments },
        { .name = "broken_pool", .run = broken_pool },
        { .name = "no_room", .run = no_room, .no_init = true },
        { .name = "pinned", .run = pinned },
        { .name = "pinned_nowhere", .run = pinned_nowhere },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
