/* pool_callers.c: several processes that call one pool: each has its own calls and results, and whoever of them dies
 * leaves the pool, and the others, as they were.
 */
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MANY 200
#define SOON_MS 10000 /* what happens at once, on a busy machine */

static const brood_process_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

/* In the region. */
struct scene {
    brood_pool *pool;
    atomic_int go, stop, ready, rounds, begun, result, outcome;
    atomic_int leave; /* the tasks that stay may end */
};

static int square(const void *in, void *out)
{
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

static int odd_fails(const void *in, void *out)
{
    int value = *(const int *)in;
    *(int *)out = value;
    return value % 2 ? brood_fail(3, "%d is odd", value) : 0;
}

static int reply(const void *in, void *out)
{
    (void)out;
    int *block = brood_task_reply(sizeof *block);
    return block ? square(in, block) : 1;
}

static int stay(const void *in, void *out)
{
    struct scene *scene = *(struct scene *const *)in;
    atomic_fetch_add(&scene->begun, 1);
    while (!atomic_load(&scene->leave))
        pass_us(500);
    if (out)
        *(int *)out = 7;
    return 0;
}

static int count_up(void *context, void *item)
{
    int *next = context;
    if (*next == MANY)
        return 1;
    *(int *)item = (*next)++;
    return 0;
}

static struct scene *new_scene(int workers)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    scene->pool = CHECK_POINTER(brood_pool_create(workers, NULL));
    NEED(scene->pool != NULL);
    return scene;
}

static void end_scene(struct scene *scene)
{
    CHECK_RESULT(brood_pool_destroy(scene->pool), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_RESULT(brood_heap_check(), 0);
    brood_free(scene);
}

static brood_process *start(brood_target *target, struct scene *scene, int method)
{
    brood_process *process = CHECK_POINTER(brood_process_start(target, scene, 0, &methods[method]));
    NEED(process != NULL);
    return process;
}

static void join(brood_process *process)
{
    brood_end end;
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_STR(end.why, "");
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

static void slay(brood_process *process)
{
    CHECK_RESULT(brood_process_signal(process, SIGKILL), 0);
    CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
}

/* ---- what others may ask for ---- */

static void check_map(brood_pool *pool, const brood_task_options *options)
{
    int values[MANY], results[MANY] = { 0 };
    for (int i = 0; i < MANY; i++)
        values[i] = i + 1;
    CHECK_RESULT(brood_pool_map(pool, square, values, sizeof(int), results, sizeof(int), MANY, options), 0);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(results[i], (i + 1) * (i + 1));
}

static void check_blocks(brood_pool *pool)
{
    int values[] = { 2, 3, 4 };
    brood_block blocks[3] = { { NULL, 0 } };
    CHECK_RESULT(brood_pool_map(pool, reply, values, sizeof(int), blocks, BROOD_BLOCKS, 3, NULL), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(blocks[i].data ? *(int *)blocks[i].data : 0, values[i] * values[i]);
        brood_free(blocks[i].data);
    }
}

static void check_results(brood_pool *pool)
{
    brood_result *results[MANY], *map;
    int values[MANY], squares[MANY] = { 0 }, failed = 0;
    brood_end ends[MANY], end;
    for (int i = 0; i < MANY; i++) {
        values[i] = i;
        results[i] = CHECK_POINTER(
            brood_pool_apply_async(pool, square, &values[i], sizeof(int), &squares[i], sizeof(int), NULL));
    }
    for (int i = 0; i < MANY; i++) {
        CHECK_RESULT(brood_result_wait(results[i], BROOD_FOREVER), 0);
        CHECK_RESULT(brood_result_end(results[i], &end), 0);
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK_EQ(squares[i], i * i);
        CHECK_RESULT(brood_result_destroy(results[i]), 0);
    }
    map = CHECK_POINTER(brood_pool_map_async(pool, odd_fails, values, sizeof(int), squares, sizeof(int), MANY,
                                             &(brood_task_options){ .ends = ends }));
    CHECK_RESULT(brood_result_wait(map, BROOD_FOREVER), MANY / 2);
    CHECK_HAS(brood_error(), "1 is odd");
    for (int i = 0; i < MANY; i++)
        failed += ends[i].how == BROOD_FAILED;
    CHECK_EQ(failed, MANY / 2);
    CHECK_RESULT(brood_result_destroy(map), 0);
}

static void check_imap(brood_pool *pool)
{
    int next = 0, squared, count = 0;
    brood_result *result =
        CHECK_POINTER(brood_pool_imap(pool, square, count_up, &next, sizeof(int), sizeof(int), NULL));
    while (brood_result_next(result, &squared, NULL, BROOD_FOREVER) == 0) {
        CHECK_EQ(squared, count * count);
        count++;
    }
    CHECK_EQ(count, MANY);
    CHECK_RESULT(brood_result_destroy(result), 0);
}

static void count_done(void *context, brood_result *result, int failed)
{
    (void)result;
    *(int *)context += failed == 0;
}

static void check_callbacks(brood_pool *pool)
{
    int value = 5, squared = 0, done = 0;
    brood_result *result =
        CHECK_POINTER(brood_pool_apply_async(pool, square, &value, sizeof(int), &squared, sizeof(int),
                                             &(brood_task_options){ .done = count_done, .context = &done }));
    brood_waitable item = { .kind = BROOD_WAIT_RESULT, .object = result };
    CHECK_RESULT(brood_wait(&item, 1, BROOD_FOREVER), 1);
    brood_pool_callbacks(pool);
    CHECK_EQ(done, 1);
    CHECK_EQ(squared, 25);
    CHECK_RESULT(brood_result_destroy(result), 0);
}

static int call_all(void *arg)
{
    struct scene *scene = arg;
    brood_pool *pool = scene->pool;
    brood_pool_stats stats;
    int value = 12, squared = 0;
    brood_end end;
    check_map(pool, NULL);
    check_map(pool, &(brood_task_options){ .chunk = 1, .priority = 3, .hard_ms = 60000, .retries = 1 });
    check_blocks(pool);
    CHECK_RESULT(brood_pool_apply(pool, square, &value, sizeof value, &squared, sizeof squared, NULL), 0);
    CHECK_EQ(squared, 144);
    value = 5;
    CHECK_RESULT(brood_pool_apply(pool, odd_fails, &value, sizeof value, &squared, sizeof squared,
                                  &(brood_task_options){ .ends = &end }),
                 1);
    CHECK_STR(end.why, "5 is odd");
    check_results(pool);
    check_imap(pool);
    check_callbacks(pool);
    CHECK_RESULT(brood_pool_stat(pool, &stats), 0);
    CHECK_EQ((long long)stats.workers, brood_pool_workers(pool));
    CHECK(brood_pool_keeper(pool) > 0);
    atomic_fetch_add(&scene->rounds, 1);
    return 0;
}

static void any_call(void)
{
    brood_heap_stats before, after;
    CHECK_RESULT(brood_heap_stat(&before), 0);
    struct scene *scene = new_scene(2);
    check_map(scene->pool, NULL);
    for (int method = 0; method < 2; method++)
        join(start(call_all, scene, method));
    CHECK_EQ(wait_child(fork_child(call_all, scene)), 0);
    CHECK_EQ(atomic_load(&scene->rounds), 3);
    call_all(scene);
    end_scene(scene);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
}

static int map_until_stopped(void *arg)
{
    struct scene *scene = arg;
    for (int i = 0; !atomic_load(&scene->stop); i++) {
        if (i % 3 == 0)
            check_results(scene->pool);
        else
            check_map(scene->pool, NULL);
        atomic_fetch_add(&scene->rounds, 1);
    }
    return 0;
}

static void at_once(void)
{
    struct scene *scene = new_scene(2);
    brood_process *processes[3];
    for (int i = 0; i < 3; i++)
        processes[i] = start(map_until_stopped, scene, i % 2);
    int rounds = harness_times(40);
    for (int i = 0; i < rounds || atomic_load(&scene->rounds) < rounds; i++)
        check_map(scene->pool, NULL);
    atomic_store(&scene->stop, 1);
    for (int i = 0; i < 3; i++)
        join(processes[i]);
    end_scene(scene);
}

static void *call_in_thread(void *arg)
{
    for (int i = 0; i < 5; i++)
        call_all(arg);
    return NULL;
}

/* All of them begin at once: one of them makes the process a caller. */
static int call_in_threads(void *arg)
{
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        NEED(pthread_create(&threads[i], NULL, call_in_thread, arg) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void threads(void)
{
    struct scene *scene = new_scene(2);
    brood_process *processes[] = { start(call_in_threads, scene, 0), start(call_in_threads, scene, 1) };
    call_in_thread(scene);
    for (int i = 0; i < 2; i++)
        join(processes[i]);
    CHECK_EQ(atomic_load(&scene->rounds), (2 * 6 + 1) * 5);
    end_scene(scene);
}

static int try_creators_calls(void *arg)
{
    struct scene *scene = arg;
    CHECK_RESULT(brood_pool_close(scene->pool), -EPERM);
    CHECK_HAS(brood_error(), "belongs to process");
    CHECK_RESULT(brood_pool_terminate(scene->pool), -EPERM);
    CHECK_RESULT(brood_pool_join(scene->pool, 0), -EPERM);
    CHECK_RESULT(brood_pool_destroy(scene->pool), -EPERM);
    CHECK_RESULT(brood_pool_resize(scene->pool, 1, 0), -EPERM);
    return 0;
}

static int try_result(void *arg)
{
    brood_waitable item = { .kind = BROOD_WAIT_RESULT, .object = arg };
    brood_end end;
    CHECK_RESULT(brood_result_wait(arg, 0), -EPERM);
    CHECK_HAS(brood_error(), "belongs to process");
    CHECK_RESULT(brood_result_next(arg, NULL, NULL, 0), -EPERM);
    CHECK_RESULT(brood_result_end(arg, &end), -EPERM);
    CHECK_RESULT(brood_result_cancel(arg, 0), -EPERM);
    CHECK_RESULT(brood_result_destroy(arg), -EPERM);
    CHECK_RESULT(brood_wait(&item, 1, 0), -EPERM);
    return 0;
}

static int fork_with_result(void *arg)
{
    struct scene *scene = arg;
    int value = 3, squared = 0;
    brood_result *result = CHECK_POINTER(
        brood_pool_apply_async(scene->pool, square, &value, sizeof value, &squared, sizeof squared, NULL));
    CHECK_EQ(wait_child(fork_child(try_result, result)), 0);
    CHECK_EQ(wait_child(fork_child(call_all, scene)), 0); /* another caller, which has nothing of its parent's */
    CHECK_RESULT(brood_result_wait(result, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
    return 0;
}

static void not_theirs(void)
{
    struct scene *scene = new_scene(1);
    for (int method = 0; method < 2; method++) {
        join(start(try_creators_calls, scene, method));
        join(start(fork_with_result, scene, method));
    }
    check_map(scene->pool, NULL);
    end_scene(scene);
}

/* ---- the pool's end ---- */

static int hold_result(void *arg)
{
    struct scene *scene = arg;
    int out = 0, value = 3;
    brood_result *result =
        CHECK_POINTER(brood_pool_apply_async(scene->pool, stay, &scene, sizeof scene, &out, sizeof out, NULL));
    CHECK(wait_word(&scene->begun, 1, SOON_MS));
    atomic_store(&scene->ready, 1);
    CHECK(wait_word(&scene->go, 1, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EPIPE);
    atomic_store(&scene->outcome, brood_result_wait(result, BROOD_FOREVER));
    atomic_store(&scene->result, out);
    CHECK_RESULT(brood_result_destroy(result), 0);
    return 0;
}

static void closed(void)
{
    for (int way = 0; way < 2; way++) {
        struct scene *scene = new_scene(2);
        brood_process *process = start(hold_result, scene, 0);
        CHECK(wait_word(&scene->ready, 1, SOON_MS));
        CHECK_RESULT(brood_pool_destroy(scene->pool), -EBUSY);
        CHECK_HAS(brood_error(), "process");
        check_map(scene->pool, NULL);
        if (way == 0) {
            CHECK_RESULT(brood_pool_join(scene->pool, 0), -ETIMEDOUT); /* it waits for what others asked for */
            atomic_store(&scene->leave, 1);
            CHECK_RESULT(brood_pool_join(scene->pool, SOON_MS), 0);
        } else {
            CHECK_RESULT(brood_pool_terminate(scene->pool), 0);
        }
        atomic_store(&scene->go, 1);
        join(process);
        CHECK_EQ(atomic_load(&scene->outcome), way);
        CHECK_EQ(atomic_load(&scene->result), way ? 0 : 7);
        end_scene(scene);
    }
}

/* The address of one that is gone, in a process that knew that one. */
static int use_each(void *arg)
{
    struct scene *scene = arg;
    for (int round = 1; round <= 5; round++) {
        CHECK(wait_word(&scene->go, round, SOON_MS));
        call_all(scene);
        atomic_store(&scene->ready, round);
    }
    return 0;
}

static void one_after_another(void)
{
    struct scene *scene = new_scene(1);
    brood_process *process = start(use_each, scene, 0);
    for (int round = 1; round <= 5; round++) {
        atomic_store(&scene->go, round);
        CHECK(wait_word(&scene->ready, round, SOON_MS));
        CHECK_RESULT(brood_pool_destroy(scene->pool), 0);
        scene->pool = CHECK_POINTER(brood_pool_create(1, NULL));
    }
    join(process);
    end_scene(scene);
}

/* ---- deaths ---- */

static int endless(void *arg)
{
    struct scene *scene = arg;
    brood_result *results[MANY];
    int outs[MANY], next = 0, squared;
    for (int i = 0; i < MANY; i++)
        results[i] = brood_pool_apply_async(scene->pool, stay, &scene, sizeof scene, &outs[i], sizeof outs[i], NULL);
    brood_result *imap = brood_pool_imap(scene->pool, square, count_up, &next, sizeof(int), sizeof(int), NULL);
    brood_pool_map_async(scene->pool, stay, &scene, sizeof scene, outs, sizeof(int), 1,
                         &(brood_task_options){ .hard_ms = 1000000 });
    atomic_store(&scene->ready, 1);
    brood_result_next(imap, &squared, NULL, BROOD_FOREVER);
    return results[0] ? 0 : 1;
}

static bool is_idle(void *arg)
{
    brood_pool_stats stats;
    CHECK_RESULT(brood_pool_stat(arg, &stats), 0);
    return stats.running == 0 && stats.queued == 0;
}

static size_t blocks_now(void)
{
    brood_heap_stats stats;
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    return stats.blocks;
}

enum { STAYS = 4 }; /* blocks that stay with the pool: a caller's record, and the names of tasks */

static size_t wanted_blocks;

static bool has_blocks(void *arg)
{
    (void)arg;
    return blocks_now() <= wanted_blocks;
}

/* All that it had asked for ends with it: also what runs, and would for ever. */
static void killed_at_long_tasks(void)
{
    size_t before = blocks_now();
    struct scene *scene = new_scene(2);
    slay(start(endless, scene, 0)); /* whenever that is */
    check_map(scene->pool, NULL);
    wanted_blocks = blocks_now() + STAYS;
    for (int method = 0; method < 2; method++) {
        atomic_store(&scene->ready, 0);
        atomic_store(&scene->begun, 0);
        brood_process *process = start(endless, scene, method);
        CHECK(wait_word(&scene->ready, 1, SOON_MS));
        CHECK(wait_word(&scene->begun, 2, SOON_MS));
        slay(process);
        CHECK(wait_until(is_idle, scene->pool, SOON_MS));
        CHECK(wait_until(has_blocks, NULL, SOON_MS));
        check_map(scene->pool, NULL);
    }
    end_scene(scene);
    CHECK_EQ((long long)blocks_now(), (long long)before);
}

static int work_on(void *arg)
{
    struct scene *scene = arg;
    int value = 1, next = 0, squared;
    for (unsigned i = 0;; i++) {
        brood_result *one = brood_pool_apply_async(scene->pool, square, &value, sizeof value, &squared, sizeof squared,
                                                   &(brood_task_options){ .hard_ms = i % 2 ? 10000 : 0 });
        brood_result *imap = brood_pool_imap(scene->pool, square, count_up, &next, sizeof(int), sizeof(int), NULL);
        check_map(scene->pool, &(brood_task_options){ .priority = (int)(i % 3), .retries = 1000 });
        check_blocks(scene->pool);
        brood_result_next(imap, &squared, NULL, BROOD_FOREVER);
        brood_result_cancel(imap, 0);
        brood_result_destroy(imap);
        brood_result_wait(one, BROOD_FOREVER);
        brood_result_destroy(one);
        atomic_fetch_add(&scene->rounds, 1);
    }
    return 0;
}

/* Anywhere: nothing of them is left, nobody else has noticed. */
static void killed_anywhere(void)
{
    enum { ROUNDS = 60 };
    size_t before = blocks_now();
    struct scene *scene = new_scene(2);
    brood_process *witness = start(map_until_stopped, scene, 0);
    uint32_t seed = 20261127;
    int rounds = harness_times(ROUNDS);
    for (int round = 0; round < rounds; round++) {
        brood_process *victims[2];
        for (int i = 0; i < 2; i++)
            victims[i] = start(work_on, scene, (round + i) % 8 == 0);
        pass_us(500 + random_next(&seed) % 20000);
        slay(victims[0]);
        check_map(scene->pool, &(brood_task_options){ .retries = 1000 });
        slay(victims[1]);
    }
    atomic_store(&scene->stop, 1);
    join(witness);
    CHECK(wait_until(is_idle, scene->pool, SOON_MS));
    end_scene(scene);
    wanted_blocks = before + (size_t)rounds * 2 * 3; /* blocks that a map had just handed to its caller are lost */
    CHECK(has_blocks(NULL));
}

static int call_and_stay(void *arg)
{
    struct scene *scene = arg;
    check_map(scene->pool, NULL);
    atomic_fetch_add(&scene->ready, 1);
    CHECK(wait_word(&scene->go, 1, 6 * SOON_MS));
    return 0;
}

/* There are as many records as there were callers at once, and they serve those who come later. */
static void come_and_go(void)
{
    enum { AT_ONCE = 8 };
    struct scene *scene = new_scene(2);
    brood_process *processes[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++)
        processes[i] = start(call_and_stay, scene, 0);
    CHECK(wait_word(&scene->ready, AT_ONCE, 5 * SOON_MS));
    wanted_blocks = blocks_now();
    atomic_store(&scene->go, 1);
    for (int i = 0; i < AT_ONCE; i++)
        join(processes[i]);
    for (int i = 0; i < harness_times(20); i++)
        join(start(call_all, scene, 0));
    wanted_blocks += STAYS - AT_ONCE; /* of each of those its shelf of places is gone */
    CHECK(wait_until(has_blocks, NULL, SOON_MS));
    end_scene(scene);
}

/* ---- the creator's death ---- */

static int create(void *arg)
{
    struct scene *scene = arg;
    scene->pool = CHECK_POINTER(brood_pool_create(2, NULL));
    check_map(scene->pool, NULL);
    atomic_store(&scene->ready, 1);
    for (;;)
        pause();
    return 0;
}

static int outlive(void *arg)
{
    struct scene *scene = arg;
    int value = 3, out;
    brood_result *later =
        CHECK_POINTER(brood_pool_apply_async(scene->pool, stay, &scene, sizeof scene, &out, sizeof out, NULL));
    atomic_store(&scene->go, 1);
    CHECK_RESULT(brood_pool_map(scene->pool, stay, &scene, sizeof scene, &out, sizeof out, 1, NULL), -EOWNERDEAD);
    CHECK_HAS(brood_error(), "created it");
    brood_waitable item = { .kind = BROOD_WAIT_RESULT, .object = later };
    CHECK_RESULT(brood_wait(&item, 1, BROOD_FOREVER), 1);
    CHECK_RESULT(brood_result_wait(later, BROOD_FOREVER), -EOWNERDEAD);
    CHECK_RESULT(brood_result_destroy(later), 0);
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EOWNERDEAD);
    CHECK_NULL(brood_pool_apply_async(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL),
               EOWNERDEAD);
    CHECK(wait_gone(atomic_load(&scene->result), SOON_MS));
    atomic_store(&scene->outcome, 1);
    return 0;
}

static int first_called_late(void *arg)
{
    struct scene *scene = arg;
    int value = 3;
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EOWNERDEAD);
    return 0;
}

/* To cancel is the first that it asks of the pool since the creator's death. */
static int cancel_late(void *arg)
{
    struct scene *scene = arg;
    brood_result *later = CHECK_POINTER(brood_pool_apply_async(scene->pool, stay, &scene, sizeof scene, NULL, 0, NULL));
    atomic_store(&scene->go, 1);
    CHECK(wait_word(&scene->go, 2, SOON_MS));
    CHECK_RESULT(brood_result_cancel(later, 0), 0);
    CHECK_RESULT(brood_result_wait(later, BROOD_FOREVER), -EOWNERDEAD);
    CHECK_RESULT(brood_result_destroy(later), 0);
    return 0;
}

static void cancelled_in_orphan(void)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    brood_process *creator = start(create, scene, 0);
    CHECK(wait_word(&scene->ready, 1, SOON_MS));
    brood_process *caller = start(cancel_late, scene, 0);
    CHECK(wait_word(&scene->begun, 1, SOON_MS));
    int keeper = brood_pool_keeper(scene->pool);
    kill(keeper, SIGKILL); /* it would tell */
    slay(creator);
    CHECK(wait_gone(keeper, SOON_MS));
    atomic_store(&scene->go, 2);
    join(caller);
    brood_free(scene);
}

static void creator_killed(void)
{
    for (int method = 0; method < 2; method++) {
        struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
        brood_process *creator = start(create, scene, method);
        CHECK(wait_word(&scene->ready, 1, SOON_MS));
        brood_process *caller = start(outlive, scene, 1 - method);
        CHECK(wait_word(&scene->begun, 2, SOON_MS));
        int keeper = brood_pool_keeper(scene->pool);
        atomic_store(&scene->result, keeper);
        if (method) /* both at once: nobody is left to tell */
            kill(keeper, SIGKILL);
        long long killed = now_ms();
        slay(creator);
        CHECK(wait_word(&scene->outcome, 1, SOON_MS));
        CHECK(now_ms() - killed < SOON_MS);
        join(caller);
        join(start(first_called_late, scene, method));
        CHECK_RESULT(brood_heap_check(), 0);
        brood_free(scene);
    }
}

/* ---- the keeper's death ---- */

static int miss_keeper(void *arg)
{
    struct scene *scene = arg;
    int value = 3;
    check_map(scene->pool, NULL);
    atomic_store(&scene->ready, 1);
    CHECK(wait_word(&scene->go, 1, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EAGAIN);
    CHECK_HAS(brood_error(), "keeper");
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EAGAIN);
    atomic_store(&scene->ready, 2);
    CHECK(wait_word(&scene->go, 2, SOON_MS));
    check_map(scene->pool, NULL);
    return 0;
}

static void keeper_killed(void)
{
    struct scene *scene = new_scene(2);
    brood_process *process = start(miss_keeper, scene, 0);
    CHECK(wait_word(&scene->ready, 1, SOON_MS));
    int keeper = brood_pool_keeper(scene->pool);
    NEED(keeper > 0);
    kill(keeper, SIGKILL);
    CHECK(wait_gone(keeper, SOON_MS));
    atomic_store(&scene->go, 1);
    CHECK(wait_word(&scene->ready, 2, SOON_MS)); /* the creator does not call meanwhile */
    check_map(scene->pool, NULL);
    atomic_store(&scene->go, 2);
    join(process);
    end_scene(scene);
}

static int wait_first(void *arg)
{
    struct scene *scene = arg;
    brood_waitable item = { .kind = BROOD_WAIT_POOL, .object = scene->pool };
    brood_watch *watch = CHECK_POINTER(brood_watch_create());
    CHECK_RESULT(brood_wait(&item, 1, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_watch_add(watch, &item), 0);
    CHECK_RESULT(brood_watch_destroy(watch), 0);
    return 0;
}

/* A process' first call may be to wait for the pool. */
static void waited_for_first(void)
{
    struct scene *scene = new_scene(1);
    for (int method = 0; method < 2; method++)
        join(start(wait_first, scene, method));
    end_scene(scene);
}

static int map_with_retries(void *arg)
{
    struct scene *scene = arg;
    while (!atomic_load(&scene->stop)) {
        check_map(scene->pool, &(brood_task_options){ .retries = 1000 });
        atomic_fetch_add(&scene->rounds, 1);
    }
    return 0;
}

/* While the creator calls, too, nobody notices; and what dead callers had is given back by the next keeper. */
static void keepers_killed(void)
{
    size_t before = blocks_now();
    struct scene *scene = new_scene(2);
    brood_process *process = start(map_with_retries, scene, 0);
    for (int round = 0; round < harness_times(12); round++) {
        brood_process *victim = start(endless, scene, 0); /* as long as it lives its tasks hold the workers */
        pass_us(round * 700);
        int keeper = brood_pool_keeper(scene->pool);
        if (round % 2)
            slay(victim);
        if (keeper > 0)
            kill(keeper, SIGKILL);
        if (round % 2 == 0)
            slay(victim);
        check_map(scene->pool, &(brood_task_options){ .retries = 1000 });
    }
    atomic_store(&scene->stop, 1);
    check_map(scene->pool, &(brood_task_options){ .retries = 1000 });
    join(process);
    CHECK(wait_until(is_idle, scene->pool, SOON_MS));
    end_scene(scene);
    CHECK_EQ((long long)blocks_now(), (long long)before);
}

/* ---- no room for another caller ---- */

static int call_at_last(void *arg)
{
    struct scene *scene = arg;
    int value = 3;
    CHECK(wait_word(&scene->go, 1, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EAGAIN);
    CHECK_HAS(brood_error(), "table");
    atomic_store(&scene->ready, 1);
    CHECK(wait_word(&scene->go, 2, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -ENOMEM);
    atomic_store(&scene->ready, 2);
    CHECK(wait_word(&scene->go, 3, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), 0);
    CHECK_EQ(value, 9);
    return 0;
}

static int sleep_on(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

/* A hundred places in the family's table; a child that was forked by hand takes one by its first call. */
static void no_room(void)
{
    enum { MOST = 1000 };
    static brood_process *sleepers[MOST];
    static void *blocks[1 << 16];
    int count = 0, taken = 0;
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    struct scene *scene = new_scene(1);
    check_map(scene->pool, NULL);
    pid_t child = fork_child(call_at_last, scene);
    while (count < MOST && (sleepers[count] = brood_process_start(sleep_on, NULL, 0, &methods[0])))
        count++;
    CHECK_EQ(errno, EAGAIN);
    atomic_store(&scene->go, 1);
    CHECK(wait_word(&scene->ready, 1, SOON_MS));
    for (int i = 0; i < count; i++)
        slay(sleepers[i]);
    for (size_t size = 1 << 16; size >= 16; size /= 2)
        while (taken < 1 << 16 && (blocks[taken] = brood_alloc(size)))
            taken++;
    atomic_store(&scene->go, 2);
    CHECK(wait_word(&scene->ready, 2, SOON_MS));
    while (taken > 0)
        brood_free(blocks[--taken]);
    atomic_store(&scene->go, 3);
    CHECK_EQ(wait_child(child), 0);
    end_scene(scene);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "any_call", .run = any_call },
        { .name = "waited_for_first", .run = waited_for_first },
        { .name = "at_once", .run = at_once, .deadline_s = 60 },
        { .name = "threads", .run = threads, .deadline_s = 60 },
        { .name = "not_theirs", .run = not_theirs },
        { .name = "closed", .run = closed },
        { .name = "one_after_another", .run = one_after_another, .deadline_s = 60 },
        { .name = "killed_at_long_tasks", .run = killed_at_long_tasks },
        { .name = "killed_anywhere", .run = killed_anywhere, .deadline_s = 60 },
        { .name = "come_and_go", .run = come_and_go, .deadline_s = 60 },
        { .name = "creator_killed", .run = creator_killed },
        { .name = "cancelled_in_orphan", .run = cancelled_in_orphan },
        { .name = "keeper_killed", .run = keeper_killed },
        { .name = "keepers_killed", .run = keepers_killed, .deadline_s = 60 },
        { .name = "no_room", .run = no_room, .deadline_s = 60, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
