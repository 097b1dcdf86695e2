/* pool_nested.c: tasks that ask their own pool for something.
 */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const brood_start methods[] = { BROOD_FORK, BROOD_SPAWN };

struct depth {
    brood_pool *pool;
    int left;
};

static void end_pool(brood_pool *pool)
{
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
}

/* 1 more than the sum of two that are one less deep: 2^n - 1. */
static int descend(const void *in, void *out)
{
    const struct depth *depth = in;
    struct depth less[2] = { { depth->pool, depth->left - 1 }, { depth->pool, depth->left - 1 } };
    int sums[2] = { 0 };
    size_t index = brood_task_index(), size = brood_task_size();
    if (depth->left > 1 && brood_pool_map(depth->pool, descend, less, sizeof *less, sums, sizeof *sums, 2, NULL) != 0)
        return brood_fail(1, "%.100s", brood_error());
    if (brood_task_index() != index || brood_task_size() != size || size != sizeof *depth)
        return brood_fail(2, "item %zu is item %zu", index, brood_task_index());
    *(int *)out = 1 + sums[0] + sums[1];
    return 0;
}

static int descend_by_calls(const void *in, void *out)
{
    const struct depth *depth = in;
    struct depth less = { depth->pool, depth->left - 1 };
    *(int *)out = 0;
    if (depth->left > 1 &&
        brood_pool_apply(depth->pool, descend_by_calls, &less, sizeof less, out, sizeof(int), NULL) != 0)
        return brood_fail(1, "%.100s", brood_error());
    ++*(int *)out;
    return 0;
}

/* Deeper than there are workers, and in all of these at once. */
static void deep(void)
{
    enum { COUNT = 20 };
    for (size_t method = 0; method < sizeof methods / sizeof *methods; method++) {
        for (int workers = 1; workers <= 3; workers += 2) {
            brood_pool *pool =
                CHECK_POINTER(brood_pool_create(workers, &(brood_pool_options){ .start = methods[method] }));
            struct depth items[COUNT];
            int out[COUNT] = { 0 }, one = 0;
            for (int i = 0; i < COUNT; i++)
                items[i] = (struct depth){ pool, 8 };
            CHECK_RESULT(brood_pool_map(pool, descend, items, sizeof *items, out, sizeof *out, COUNT, NULL), 0);
            for (int i = 0; i < COUNT; i++)
                CHECK_EQ(out[i], 255);
            items[0].left = 100;
            CHECK_RESULT(brood_pool_apply(pool, descend_by_calls, items, sizeof *items, &one, sizeof one, NULL), 0);
            CHECK_EQ(one, 100);
            end_pool(pool);
        }
    }
}

static int odd_fails(const void *in, void *out)
{
    int number = *(const int *)in;
    *(int *)out = 10 * number;
    if (number == 1)
        return brood_fail(7, "number %d is odd", number);
    return number % 2 ? 8 : 0;
}

static int reply(const void *in, void *out)
{
    size_t size = in ? strlen(in) : 0;
    char *copy = brood_task_reply(size + 1);
    if (out || !copy || brood_task_size() != size + 1)
        return 1;
    memcpy(copy, in ? in : "", size + 1);
    return size == 3 ? 2 : 0;
}

/* All that a caller elsewhere is told, it is told here. */
static int ask(const void *in, void *out)
{
    brood_pool *pool = *(brood_pool *const *)in;
    int numbers[4] = { 0, 1, 2, 3 }, tens[4] = { -1, -1, -1, -1 };
    brood_end ends[4], end;
    (void)out;
    brood_fail(0, "what the outer one says");
    CHECK_RESULT(brood_pool_map(pool, odd_fails, numbers, sizeof *numbers, tens, sizeof *tens, 4,
                                &(brood_task_options){ .ends = ends }),
                 2);
    CHECK_HAS(brood_error(), "number 1 is odd");
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(tens[i], i % 2 ? -1 : 10 * i);
        CHECK_EQ(ends[i].how, i % 2 ? BROOD_FAILED : BROOD_RETURNED);
        CHECK_EQ((long long)ends[i].index, i);
        CHECK_EQ(ends[i].pid, getpid());
        CHECK_EQ(ends[i].attempt, 1);
    }
    CHECK_EQ(ends[1].code, 7);
    CHECK_STR(ends[3].why, "returned 8");
    CHECK_RESULT(brood_pool_apply(pool, odd_fails, &numbers[3], sizeof(int), &tens[0], sizeof(int),
                                  &(brood_task_options){ .ends = &end }),
                 1);
    CHECK_EQ(end.code, 8);
    char *strings[3] = { (char[]){ "one" }, (char[]){ "three" }, (char[]){ "" } };
    brood_block blocks[3] = { { 0 } };
    CHECK_RESULT(brood_pool_map(pool, reply, strings, BROOD_STRINGS, blocks, BROOD_BLOCKS, 3, NULL), 1);
    CHECK(!blocks[0].data);
    CHECK_STR(blocks[1].data, "three");
    CHECK_EQ((long long)blocks[2].size, 1);
    brood_free(blocks[1].data);
    brood_free(blocks[2].data);
    CHECK_RESULT(brood_pool_map(pool, NULL, numbers, sizeof *numbers, NULL, 0, 4, NULL), -EINVAL);
    CHECK_NULL(brood_pool_apply_async(pool, odd_fails, numbers, sizeof(int), tens, sizeof(int), NULL), EPERM);
    return 5;
}

static void what_it_is_told(void)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, NULL));
    brood_end end;
    CHECK_RESULT(
        brood_pool_apply(pool, ask, &pool, sizeof(brood_pool *), NULL, 0, &(brood_task_options){ .ends = &end }), 1);
    CHECK_EQ(end.code, 5);
    CHECK_STR(end.why, "what the outer one says");
    end_pool(pool);
}

static int die(const void *in, void *out)
{
    (void)in;
    (void)out;
    raise(SIGKILL);
    return 0;
}

static int ask_to_die(const void *in, void *out)
{
    const struct depth *depth = in;
    *(int *)out = depth->left;
    return depth->left == 2 ? brood_pool_apply(depth->pool, die, NULL, 0, NULL, 0, NULL) : 0;
}

/* It costs the task that asked for it, and no other. */
static void death_inside(void)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, NULL));
    struct depth items[5];
    brood_end ends[5];
    int out[5] = { 0 };
    for (int i = 0; i < 5; i++)
        items[i] = (struct depth){ pool, i };
    CHECK_RESULT(brood_pool_map(pool, ask_to_die, items, sizeof *items, out, sizeof *out, 5,
                                &(brood_task_options){ .ends = ends, .chunk = 5 }),
                 1);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(ends[i].how, i == 2 ? BROOD_CRASHED : BROOD_RETURNED);
    end_pool(pool);
}

static int reply_or_die(const void *in, void *out)
{
    (void)in;
    (void)out;
    CHECK(brood_task_reply(100) != NULL);
    if (brood_task_index() == 1)
        raise(SIGKILL);
    return 0;
}

static int ask_for_replies(const void *in, void *out)
{
    const struct depth *depth = in;
    brood_block replies[2];
    (void)out;
    if (depth->left > 0) {
        struct depth less = { depth->pool, depth->left - 1 };
        return brood_pool_apply(depth->pool, ask_for_replies, &less, sizeof less, &replies[0], BROOD_BLOCKS, NULL);
    }
    brood_pool_map(depth->pool, reply_or_die, NULL, 0, &replies[1], BROOD_BLOCKS, 1, NULL);
    brood_free(replies[1].data);
    if (brood_pool_map(depth->pool, reply_or_die, NULL, 0, replies, BROOD_BLOCKS, 2, NULL) != 0)
        return 1;
    return 0;
}

/* What a task replies is gone with its worker, at any depth; what had been handed out is the task's that asked. */
static void death_with_a_reply(void)
{
    enum { ROUNDS = 20 };
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, NULL));
    brood_heap_stats before = { 0 }, after = { 0 };
    struct depth depth = { pool, 2 };
    CHECK_EQ(brood_pool_apply(pool, ask_for_replies, &depth, sizeof depth, NULL, 0, NULL), 1);
    CHECK_RESULT(brood_heap_stat(&before), 0);
    for (int i = 0; i < ROUNDS; i++)
        CHECK_EQ(brood_pool_apply(pool, ask_for_replies, &depth, sizeof depth, NULL, 0, NULL), 1);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    /* The reply of item 0, each time; and some that come and go as a worker is replaced. */
    long long more = (long long)after.blocks - (long long)before.blocks;
    CHECK(more >= ROUNDS - 4 && more <= ROUNDS + 4);
    end_pool(pool);
}

static int reply_and_stay(const void *in, void *out)
{
    (void)in;
    (void)out;
    CHECK(brood_task_reply(100) != NULL);
    atomic_store((atomic_int *)harness_page(), 1);
    pass_us(60000000);
    return 0;
}

static int ask_who_stays(const void *in, void *out)
{
    const struct depth *depth = in;
    brood_block reply;
    (void)out;
    return brood_pool_map(depth->pool, reply_and_stay, NULL, 0, &reply, BROOD_BLOCKS, 1, NULL);
}

/* The same where the pool is ended meanwhile. */
static void end_with_a_reply(void)
{
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_pool_destroy(brood_pool_create(1, NULL)), 0);
    CHECK_RESULT(brood_heap_stat(&before), 0);
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, NULL));
    struct depth depth = { pool, 0 };
    brood_result *result =
        CHECK_POINTER(brood_pool_apply_async(pool, ask_who_stays, &depth, sizeof depth, NULL, 0, NULL));
    CHECK(wait_word((atomic_int *)harness_page(), 1, 5000));
    CHECK_RESULT(brood_pool_terminate(pool), 0);
    end_pool(pool);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
}

enum { FORKED = 16 };

struct forked {
    brood_pool *pool;
    atomic_int runs[FORKED];
};

static int run_once(const void *in, void *out)
{
    struct forked *forked = *(struct forked *const *)in;
    size_t index = brood_task_index();
    bool first = atomic_fetch_add(&forked->runs[index], 1) == 0;
    (void)out;
    CHECK(brood_task_reply(16) != NULL);
    if (index > 0 || !first)
        return 0;
    pid_t copy = fork();
    int status = -1;
    if (copy > 0)
        CHECK_EQ(waitpid(copy, &status, 0), copy);
    CHECK(copy == 0 || status == 0);
    return 0;
}

static int ask_who_forks(const void *in, void *out)
{
    struct forked *forked = *(struct forked *const *)in, *items[FORKED];
    brood_block replies[FORKED] = { { NULL, 0 } };
    (void)out;
    for (int i = 0; i < FORKED; i++)
        items[i] = forked;
    int failed = brood_pool_map(forked->pool, run_once, items, sizeof *items, replies, BROOD_BLOCKS, FORKED, NULL);
    for (int i = 0; i < FORKED; i++) {
        CHECK(replies[i].data != NULL);
        brood_free(replies[i].data);
    }
    return failed;
}

/* A copy of the worker ends when it comes back from such an item, and has no part in the others. */
static void copy_inside(void)
{
    struct forked *forked = CHECK_POINTER(brood_alloc(sizeof *forked));
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_heap_stat(&before), 0);
    forked->pool = CHECK_POINTER(brood_pool_create(1, NULL));
    CHECK_RESULT(brood_pool_apply(forked->pool, ask_who_forks, &forked, sizeof forked, NULL, 0, NULL), 0);
    for (int i = 0; i < FORKED; i++)
        CHECK_EQ(atomic_load(&forked->runs[i]), 1);
    end_pool(forked->pool);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    CHECK_RESULT(brood_heap_check(), 0);
    brood_free(forked);
}

/* The copy that `begin` makes comes back first, and is no second worker. */
static int fork_first(void *arg)
{
    (void)arg;
    pid_t copy = fork();
    int status = -1;
    if (copy > 0)
        CHECK_EQ(waitpid(copy, &status, 0), copy);
    CHECK(copy == 0 || status == 0);
    return 0;
}

static void copy_in_a_hook(void)
{
    brood_pool *pool =
        CHECK_POINTER(brood_pool_create(1, &(brood_pool_options){ .begin = fork_first, .finish = fork_first }));
    struct depth depth = { pool, 3 };
    int sum = 0;
    CHECK_RESULT(brood_pool_apply(pool, descend, &depth, sizeof depth, &sum, sizeof sum, NULL), 0);
    CHECK_EQ(sum, 7);
    CHECK_RESULT(brood_pool_join(pool, BROOD_FOREVER), 0);
    end_pool(pool);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "deep", .run = deep, .deadline_s = 60 },
        { .name = "what_it_is_told", .run = what_it_is_told },
        { .name = "death_inside", .run = death_inside },
        { .name = "death_with_a_reply", .run = death_with_a_reply },
        { .name = "end_with_a_reply", .run = end_with_a_reply },
        { .name = "copy_inside", .run = copy_inside },
        { .name = "copy_in_a_hook", .run = copy_in_a_hook },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
