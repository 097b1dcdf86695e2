/* pool_scene.h: a pool, and other processes that call it. */
#ifndef TESTS_POOL_SCENE_H
#define TESTS_POOL_SCENE_H

#include "harness.h"

#include <signal.h>
#include <stdatomic.h>

#define MANY 200
#define SOON_MS 10000 /* what happens at once, on a busy machine */

/* In the region. */
struct scene {
    brood_pool *pool;
    atomic_int go, stop, ready, rounds, begun, result, outcome;
    atomic_int leave; /* the tasks that stay may end */
};

static inline int square(const void *in, void *out)
{
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

static inline int odd_fails(const void *in, void *out)
{
    int value = *(const int *)in;
    *(int *)out = value;
    return value % 2 ? brood_fail(3, "%d is odd", value) : 0;
}

static inline int reply(const void *in, void *out)
{
    (void)out;
    int *block = brood_task_reply(sizeof *block);
    return block ? square(in, block) : 1;
}

static inline int stay(const void *in, void *out)
{
    struct scene *scene = *(struct scene *const *)in;
    atomic_fetch_add(&scene->begun, 1);
    while (!atomic_load(&scene->leave))
        pass_us(500);
    if (out)
        *(int *)out = 7;
    return 0;
}

static inline int count_up(void *context, void *item)
{
    int *next = context;
    if (*next == MANY)
        return 1;
    *(int *)item = (*next)++;
    return 0;
}

static inline struct scene *new_scene(int workers)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    scene->pool = CHECK_POINTER(brood_pool_create(workers, NULL));
    NEED(scene->pool != NULL);
    return scene;
}

static inline void end_scene(struct scene *scene)
{
    CHECK_RESULT(brood_pool_destroy(scene->pool), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_RESULT(brood_heap_check(), 0);
    brood_free(scene);
}

/* By fork, or by spawn. */
static inline brood_process *start(brood_target *target, struct scene *scene, int method)
{
    const brood_process_options options = { .start = method ? BROOD_SPAWN : BROOD_FORK };
    brood_process *process = CHECK_POINTER(brood_process_start(target, scene, 0, &options));
    NEED(process != NULL);
    return process;
}

static inline void join(brood_process *process)
{
    brood_end end;
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_STR(end.why, "");
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

static inline void slay(brood_process *process)
{
    CHECK_RESULT(brood_process_signal(process, SIGKILL), 0);
    CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
}

/* ---- what they ask for ---- */

static inline void check_map(brood_pool *pool, const brood_task_options *options)
{
    int values[MANY], results[MANY] = { 0 };
    for (int i = 0; i < MANY; i++)
        values[i] = i + 1;
    CHECK_RESULT(brood_pool_map(pool, square, values, sizeof(int), results, sizeof(int), MANY, options), 0);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(results[i], (i + 1) * (i + 1));
}

static inline void check_blocks(brood_pool *pool)
{
    int values[] = { 2, 3, 4 };
    brood_block blocks[3] = { { NULL, 0 } };
    CHECK_RESULT(brood_pool_map(pool, reply, values, sizeof(int), blocks, BROOD_BLOCKS, 3, NULL), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(blocks[i].data ? *(int *)blocks[i].data : 0, values[i] * values[i]);
        brood_free(blocks[i].data);
    }
}

static inline void check_results(brood_pool *pool)
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

static inline int map_until_stopped(void *arg)
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

/* ---- what is left ---- */

static inline bool is_idle(void *arg)
{
    brood_pool_stats stats;
    CHECK_RESULT(brood_pool_stat(arg, &stats), 0);
    return stats.running == 0 && stats.queued == 0;
}

static inline size_t blocks_now(void)
{
    brood_heap_stats stats;
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    return stats.blocks;
}

enum { STAYS = 4 }; /* blocks that stay with the pool: a caller's record, and the names of tasks */

static inline bool has_blocks(void *most)
{
    return blocks_now() <= *(size_t *)most;
}

#endif
