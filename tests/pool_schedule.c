/* pool_schedule.c: in which order a pool does what it is asked for, and how it shares it out.
 */
#include "harness.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

enum { MANY = 10000, SHARED = 5 };

/* In the region. */
struct stage {
    _Atomic int held;  /* so many tasks stand at the gate */
    _Atomic int open;  /* the gate */
    _Atomic int turns; /* tasks that have had their turn */
    _Atomic int order[64];
    _Atomic int ran[MANY];
    _Atomic int runs;
};

struct turn {
    struct stage *stage;
    int number;
};

static struct stage *new_stage(void)
{
    return CHECK_POINTER(brood_alloc(sizeof(struct stage)));
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
    return wait_word(&stage->open, 1, 10000) ? 0 : 1;
}

static int take_turn(const void *in, void *out)
{
    const struct turn *turn = in;
    (void)out;
    atomic_store(&turn->stage->order[atomic_fetch_add(&turn->stage->turns, 1)], turn->number);
    return 0;
}

/* A pool whose one worker is in a task until `open` is set. */
static brood_pool *held_pool(struct stage *stage, brood_result **holder)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, NULL));
    NEED(pool != NULL);
    *holder = CHECK_POINTER(brood_pool_apply_async(pool, hold, &stage, sizeof(struct stage *), NULL, 0, NULL));
    NEED(wait_word(&stage->held, 1, 10000));
    return pool;
}

static void end_result(brood_result *result)
{
    CHECK_RESULT(brood_result_wait(result, 10000), 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
}

/* ---- order ---- */

/* `asked`: the priorities in the order of asking, by calls or by maps of two items; `told`: whose turn comes when. */
static void check_order(bool maps, const int *asked, const int *told, int count)
{
    struct stage *stage = new_stage();
    brood_result *holder, *results[16];
    brood_pool *pool = held_pool(stage, &holder);
    for (int i = 0; i < count; i++) {
        struct turn turns[2] = { { stage, i }, { stage, i } };
        brood_task_options options = { .priority = asked[i] };
        results[i] =
            CHECK_POINTER(maps ? brood_pool_map_async(pool, take_turn, turns, sizeof *turns, NULL, 0, 2, &options)
                               : brood_pool_apply_async(pool, take_turn, turns, sizeof *turns, NULL, 0, &options));
    }
    atomic_store(&stage->open, 1);
    for (int i = 0; i < count; i++)
        end_result(results[i]);
    end_result(holder);
    int each = maps ? 2 : 1;
    CHECK_EQ(atomic_load(&stage->turns), count * each);
    for (int i = 0; i < count * each; i++)
        CHECK_EQ(atomic_load(&stage->order[i]), told[i / each]);
    end_pool(pool);
    brood_free(stage);
}

static void order_of_calls(void)
{
    check_order(false, (int[]){ 0, 0, 0, 0, 0 }, (int[]){ 0, 1, 2, 3, 4 }, 5);
    check_order(false, (int[]){ 0, -1, 3, 0, 15, -15, 3, -1 }, (int[]){ 4, 2, 6, 0, 3, 1, 7, 5 }, 8);
}

static void order_of_maps(void)
{
    check_order(true, (int[]){ 0, 0, 0, 0, 0 }, (int[]){ 0, 1, 2, 3, 4 }, 5);
    check_order(true, (int[]){ -2, 0, 7, 0, 7 }, (int[]){ 2, 4, 1, 3, 0 }, 5);
}

/* A map that was asked for later does not get the place, and the turn, of one that has ended. */
static void maps_in_turn(void)
{
    enum { MAPS = 40 };
    struct stage *stage = new_stage();
    brood_result *holder, *results[MAPS];
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, NULL));
    struct turn first[2] = { { stage, 0 }, { stage, 0 } };
    brood_result *kept = CHECK_POINTER(brood_pool_map_async(pool, take_turn, first, sizeof *first, NULL, 0, 2, NULL));
    CHECK_RESULT(brood_pool_map(pool, take_turn, first, sizeof *first, NULL, 0, 2, NULL), 0);
    end_result(kept);
    holder = CHECK_POINTER(brood_pool_apply_async(pool, hold, &stage, sizeof(struct stage *), NULL, 0, NULL));
    NEED(wait_word(&stage->held, 1, 10000));
    atomic_store(&stage->turns, 0);
    for (int i = 0; i < MAPS; i++) {
        struct turn turn = { stage, i };
        results[i] = CHECK_POINTER(brood_pool_map_async(pool, take_turn, &turn, sizeof turn, NULL, 0, 1, NULL));
    }
    atomic_store(&stage->open, 1);
    for (int i = 0; i < MAPS; i++)
        end_result(results[i]);
    for (int i = 0; i < MAPS; i++)
        CHECK_EQ(atomic_load(&stage->order[i]), i);
    end_result(holder);
    end_pool(pool);
    brood_free(stage);
}

static int endless(void *context, void *in)
{
    memcpy(in, context, sizeof(struct turn));
    return 0;
}

static void order_of_imaps(void)
{
    struct stage *stage = new_stage();
    brood_result *holder;
    brood_pool *pool = held_pool(stage, &holder);
    struct turn low = { stage, 1 }, high = { stage, 2 };
    brood_result *later = CHECK_POINTER(brood_pool_imap(pool, take_turn, endless, &low, sizeof low, 0,
                                                        &(brood_task_options){ .ahead = 3, .priority = -1 }));
    brood_result *sooner = CHECK_POINTER(brood_pool_imap(pool, take_turn, endless, &high, sizeof high, 0,
                                                         &(brood_task_options){ .ahead = 3, .priority = 1 }));
    atomic_store(&stage->open, 1);
    CHECK(wait_word(&stage->turns, 6, 10000));
    for (int i = 0; i < 6; i++)
        CHECK_EQ(atomic_load(&stage->order[i]), i < 3 ? 2 : 1);
    CHECK_RESULT(brood_result_destroy(later), 0);
    CHECK_RESULT(brood_result_destroy(sooner), 0);
    end_result(holder);
    end_pool(pool);
    brood_free(stage);
}

/* What it cannot be. */
static void wrong_priorities(void)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, NULL));
    struct stage *stage = new_stage();
    struct turn turn = { stage, 0 };
    static const int wrong[] = { BROOD_PRIORITY_LEAST - 1, BROOD_PRIORITY_MOST + 1, 1000000 };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        brood_task_options options = { .priority = wrong[i] };
        CHECK_RESULT(brood_pool_map(pool, take_turn, &turn, sizeof turn, NULL, 0, 1, &options), -EINVAL);
        CHECK_RESULT(brood_pool_apply(pool, take_turn, &turn, sizeof turn, NULL, 0, &options), -EINVAL);
        CHECK_NULL(brood_pool_map_async(pool, take_turn, &turn, sizeof turn, NULL, 0, 1, &options), EINVAL);
        CHECK_NULL(brood_pool_apply_async(pool, take_turn, &turn, sizeof turn, NULL, 0, &options), EINVAL);
        CHECK_NULL(brood_pool_imap(pool, take_turn, endless, &turn, sizeof turn, 0, &options), EINVAL);
    }
    CHECK_EQ(atomic_load(&stage->turns), 0);
    end_pool(pool);
}

/* ---- shares ---- */

static int count_run(const void *in, void *out)
{
    struct stage *stage = *(struct stage *const *)in;
    (void)out;
    pass_us(1000);
    atomic_fetch_add(&stage->runs, 1);
    return 0;
}

static int note_runs(const void *in, void *out)
{
    struct stage *stage = *(struct stage *const *)in;
    *(int *)out = atomic_load(&stage->runs);
    return 0;
}

/* A task that comes to a busy pool waits for an item of a map or two, not for a chunk. */
static void call_beside_map(void)
{
    enum { ITEMS = 64 * 2048 };
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, NULL));
    struct stage *stage = new_stage();
    struct stage **items = CHECK_POINTER(brood_alloc_array(ITEMS, sizeof *items));
    for (int i = 0; i < ITEMS; i++)
        items[i] = stage;
    brood_result *map =
        CHECK_POINTER(brood_pool_map_async(pool, count_run, items, sizeof *items, NULL, 0, ITEMS, NULL));
    for (int i = 1; i <= 5; i++) {
        CHECK(wait_word(&stage->runs, 10 * i, 10000));
        int before = atomic_load(&stage->runs), at = 0;
        CHECK_RESULT(brood_pool_apply(pool, note_runs, &stage, sizeof stage, &at, sizeof at,
                                      &(brood_task_options){ .priority = i % 2 }),
                     0);
        CHECK(at - before <= 20); /* one would do; but this process may be held up between its look and its call */
    }
    CHECK_RESULT(brood_result_cancel(map, 0), 0);
    CHECK(brood_result_wait(map, 10000) > 0);
    CHECK_RESULT(brood_result_destroy(map), 0);
    end_pool(pool);
}

/* One item takes as long as all others: it keeps next to none of these from being run meanwhile. */
static int outlast(const void *in, void *out)
{
    struct stage *stage = *(struct stage *const *)in;
    (void)out;
    atomic_fetch_add(&stage->ran[brood_task_index()], 1);
    if (brood_task_index() == MANY / 3)
        return wait_word(&stage->runs, MANY - SHARED, 10000) ? 0 : 1;
    atomic_fetch_add(&stage->runs, 1);
    return 0;
}

static void long_item(void)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, NULL));
    struct stage *stage = new_stage();
    struct stage **items = CHECK_POINTER(brood_alloc_array(MANY, sizeof *items));
    for (int i = 0; i < MANY; i++)
        items[i] = stage;
    CHECK_RESULT(brood_pool_map(pool, outlast, items, sizeof *items, NULL, 0, MANY, NULL), 0);
    for (int i = 0; i < MANY; i++)
        NEED(CHECK_EQ(atomic_load(&stage->ran[i]), 1));
    end_pool(pool);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "order_of_calls", .run = order_of_calls },
        { .name = "order_of_maps", .run = order_of_maps },
        { .name = "maps_in_turn", .run = maps_in_turn },
        { .name = "order_of_imaps", .run = order_of_imaps },
        { .name = "wrong_priorities", .run = wrong_priorities },
        { .name = "call_beside_map", .run = call_beside_map, .deadline_s = 60 },
        { .name = "long_item", .run = long_item },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
