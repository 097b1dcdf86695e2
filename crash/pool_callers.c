/* pool_callers.c: one of several callers of a pool under the knife, and the keeper that clears up after one.
 *
 * The point's process founds the family and traces; the pool's creator is its child, and so is another caller, the
 * victim. Its tasks stall until it sleeps, so that its way is the same each time. Asleep, the creator waits in a map of
 * its own meanwhile, which ends after the kill only.
 *
 * The account: the creator's maps are right, its pool keeps its workers, and what the dead caller had of the region is
 * there again while the pool lives, and all of the pool's when it has been destroyed.
 */
#include "point.h"

#include <brood.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    LIMIT = 8 << 20,
    ITEMS = 5,
    WORKERS = 2,
    PEACE_MS = 10000,   /* from the kill to the end of the creator's map */
    CREATOR_MS = 40000, /* in all */
    PAUSE_MS = 300,     /* that the creator has for its map while the other stands still */
};

/* In the region. */
struct stage {
    _Atomic unsigned go, released, freed; /* futex words: the creator may map; tasks of the victim, and the creator's
                                           * own, may end */
    _Atomic int ready, held, begun, left; /* the creator has a pool; its task runs; tasks of the victim do; it sleeps */
    _Atomic int right, mapped;            /* the victim's call did what it should; the creator has mapped once more */
    brood_pool *pool;
    int keeper;
    size_t blocks; /* that there are, when no other has called yet */
};

static struct stage *stage; /* the same in all processes of the family */

static void await(_Atomic unsigned *word)
{
    while (!atomic_load(word))
        syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
}

static void signal_all(_Atomic unsigned *word)
{
    atomic_store(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static bool until(struct point *point, const _Atomic int *value, int least, const char *what)
{
    long long deadline = point_us() + SETTLE_MS * 1000LL;
    while (atomic_load(value) < least) {
        if (point_us() > deadline) {
            point_fault(point, POINT_STUCK, "%s", what);
            return false;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
    }
    return true;
}

static int square(const void *in, void *out)
{
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

static int stall(const void *in, void *out)
{
    atomic_fetch_add(&stage->begun, 1);
    await(&stage->released);
    return square(in, out);
}

static int hold(const void *in, void *out)
{
    atomic_store(&stage->held, 1);
    await(&stage->freed);
    return square(in, out);
}

static size_t count_blocks(struct point *point)
{
    brood_heap_stats stats = { 0 };
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(point, POINT_TORN, "%s", brood_error());
    return stats.blocks;
}

/* ---- the creator ---- */

static void map(struct point *point, brood_task *task, const char *what)
{
    int values[ITEMS], squares[ITEMS] = { 0 };
    for (int i = 0; i < ITEMS; i++)
        values[i] = i + 3;
    /* With retries: a keeper that is killed costs the items that its workers are at. */
    if (brood_pool_map(stage->pool, task, values, sizeof *values, squares, sizeof *squares, task == hold ? 1 : ITEMS,
                       &(brood_task_options){ .chunk = 1, .retries = 3 }) != 0)
        point_fault(point, POINT_TORN, "%s: %s", what, brood_error());
    for (int i = 0; i < (task == hold ? 1 : ITEMS); i++)
        if (squares[i] != values[i] * values[i])
            point_fault(point, POINT_TORN, "%s: %d is no square", what, squares[i]);
}

/* What the dead one had is given back by the keeper; its record, and the name of its task, stay with the pool. What a
 * map of the creator's had, if a worker was slow to leave it, is given back by the next. */
static void await_blocks(struct point *point)
{
    enum { STAYS = 3 };
    long long deadline = point_us() + SETTLE_MS * 1000LL;
    while (count_blocks(point) > stage->blocks + STAYS) {
        if (point_us() > deadline) {
            point_fault(point, POINT_LOST, "%zu blocks before the other caller, %zu after it", stage->blocks,
                        count_blocks(point));
            return;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        map(point, square, "a map meanwhile");
    }
}

/* All are there, with what they have of the region. */
static bool await_workers(struct point *point)
{
    long long deadline = point_us() + SETTLE_MS * 1000LL;
    for (int i = 0; i < WORKERS; i++)
        while (brood_pool_worker(stage->pool, i) <= 0) {
            if (point_us() > deadline) {
                point_fault(point, POINT_STUCK, "worker %d does not come", i);
                return false;
            }
            nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
        }
    return true;
}

static void create(void *context)
{
    struct point *point = context;
    size_t before = count_blocks(point);
    stage->pool = brood_pool_create(WORKERS, NULL);
    if (!stage->pool) {
        point_fault(point, POINT_TORN, "no pool: %s", brood_error());
        return;
    }
    for (int i = 0; i < 2; i++)
        map(point, square, "the first map");
    if (!await_workers(point))
        return;
    stage->keeper = brood_pool_keeper(stage->pool);
    stage->blocks = count_blocks(point);
    atomic_store(&stage->ready, 1);
    if (point->mode == POINT_ASLEEP)
        map(point, hold, "the map that waits");
    await(&stage->go);
    map(point, square, "the map after it");
    point_served(point);
    atomic_store(&stage->mapped, 1);
    if (point->mode != POINT_PAUSED)
        await_blocks(point);
    else if (!until(point, &stage->left, 1, "the other caller does not end"))
        return;
    map(point, square, "the next map");
    if (brood_pool_destroy(stage->pool) < 0)
        point_fault(point, POINT_TORN, "destroy fails: %s", brood_error());
    size_t after = count_blocks(point);
    if (after != before)
        point_fault(point, POINT_LOST, "%zu blocks before the pool, %zu after it", before, after);
}

/* ---- the other caller ---- */

static void other_maps(struct point *point)
{
    (void)point;
    int values[ITEMS] = { 1, 2, 3, 4, 5 }, squares[ITEMS] = { 0 };
    int failed = brood_pool_map(stage->pool, stall, values, sizeof *values, squares, sizeof *squares, ITEMS,
                                &(brood_task_options){ .hard_ms = 60000 });
    atomic_store(&stage->right, failed == 0 && squares[ITEMS - 1] == ITEMS * ITEMS);
}

static void other_calls(struct point *point)
{
    (void)point;
    int values[ITEMS] = { 1, 2, 3, 4, 5 }, squares[ITEMS] = { 0 };
    brood_result *results[ITEMS];
    bool right = true;
    for (int i = 0; i < ITEMS; i++)
        results[i] =
            brood_pool_apply_async(stage->pool, stall, &values[i], sizeof *values, &squares[i], sizeof *squares, NULL);
    for (int i = 0; i < ITEMS; i++) {
        right &= results[i] && brood_result_wait(results[i], BROOD_FOREVER) == 0 && squares[i] == values[i] * values[i];
        right &= brood_result_destroy(results[i]) == 0;
    }
    atomic_store(&stage->right, right);
}

struct act {
    void (*act)(struct point *point);
    bool warm; /* it has called before */
};

static void run_other(void *context)
{
    struct point *point = context;
    const struct act *act = point->operation->detail;
    int value = 3, squared = 0;
    brood_free(brood_alloc(64));
    if (act->warm && brood_pool_map(stage->pool, square, &value, sizeof value, &squared, sizeof squared, 1, NULL) != 0)
        point_fault(point, POINT_TORN, "another's map: %s", brood_error());
    if (act->warm && brood_pool_apply(stage->pool, square, &value, sizeof value, &squared, sizeof squared, NULL) != 0)
        point_fault(point, POINT_TORN, "another's call: %s", brood_error());
    step_begin();
    act->act(point);
    step_end();
    atomic_store(&stage->left, 1);
}

static bool found_stage(struct point *point, pid_t *creator)
{
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 || !(stage = brood_alloc(sizeof *stage))) {
        point_fault(point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    *creator = point_survivor(create, point);
    if (*creator < 0 || !until(point, &stage->ready, 1, "there is no pool"))
        return false;
    return point->mode != POINT_ASLEEP ||
           (until(point, &stage->held, 1, "the creator's task does not begin") && point_settle(*creator));
}

static void judge(struct point *point, pid_t creator)
{
    signal_all(&stage->freed);
    signal_all(&stage->go);
    point_join(point, creator, "the creator", CREATOR_MS);
    if (atomic_load(&point->worst_us) > PEACE_MS * 1000L)
        point_fault(point, POINT_STUCK, "the creator's map took %ld ms after the kill",
                    atomic_load(&point->worst_us) / 1000);
}

/* What it waits for comes when its tasks may end. */
static bool let_work(void *context)
{
    (void)context;
    signal_all(&stage->released);
    return true;
}

/* As far as it can: a latch that the other one has, who stands still, it does not get. */
static void let_creator_map(void)
{
    long long deadline = point_us() + PAUSE_MS * 1000LL;
    while (!atomic_load(&stage->mapped) && point_us() < deadline)
        nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

static void run_caller(struct point *point)
{
    step_tracee victim;
    pid_t creator;
    if (!found_stage(point, &creator) || !point_victim(point, &victim, run_other, point) ||
        !point_lead(point, &victim, let_work, NULL))
        return;
    if (point->mode == POINT_PAUSED) {
        signal_all(&stage->released);
        signal_all(&stage->go);
        let_creator_map();
        point_go_on(point, &victim);
        if (!atomic_load(&stage->right))
            point_fault(point, POINT_TORN, "the call of the one that had stood still went wrong");
    }
    point_kill(point, &victim);
    atomic_store(&stage->left, 1);
    judge(point, creator);
}

/* ---- the keeper, when another caller has died ---- */

static void leave_all(void *context)
{
    (void)context;
    int values[ITEMS] = { 1, 2, 3, 4, 5 }, squares[ITEMS] = { 0 };
    brood_pool_map_async(stage->pool, stall, values, sizeof *values, squares, sizeof *squares, ITEMS, NULL);
    for (int i = 0; i < ITEMS; i++)
        brood_pool_apply_async(stage->pool, stall, &values[i], sizeof *values, &squares[i], sizeof *squares, NULL);
    brood_pool_map_async(stage->pool, stall, values, sizeof *values, squares, sizeof *squares, ITEMS, NULL);
    atomic_store(&stage->left, 1);
    for (;;)
        pause();
}

static void run_keeper(struct point *point)
{
    step_tracee victim;
    pid_t creator, other;
    int busy = point->mode == POINT_ASLEEP ? WORKERS - 1 : WORKERS;
    if (!found_stage(point, &creator))
        return;
    other = point_survivor(leave_all, NULL);
    if (other < 0 || !until(point, &stage->left, 1, "the other caller does not call") ||
        !until(point, &stage->begun, busy, "its tasks do not begin") || !point_settle(stage->keeper))
        return;
    if (!step_seize(&victim, stage->keeper)) {
        point_fault(point, POINT_TORN, "the keeper cannot be traced");
        return;
    }
    kill(other, SIGKILL);
    long long deadline = point_us() + SETTLE_MS * 1000LL;
    while (step_state(other) != 'Z' && point_us() < deadline)
        nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
    /* The system call that it slept in begins anew: after it the path begins. */
    point->stop = step_run(&victim, true, SETTLE_MS);
    if (point->stop != STEP_STOPPED || !point_lead(point, &victim, NULL, NULL)) {
        if (point->stop == STEP_BLOCKED && point->record && point->path->count == 0)
            point_fault(point, POINT_STUCK, "the keeper sleeps on");
        return;
    }
    if (point->mode == POINT_PAUSED)
        step_release(&victim);
    else
        point_kill(point, &victim);
    signal_all(&stage->released);
    judge(point, creator);
}

#define ACT(function, is_warm) \
    &(const struct act) \
    { \
        function, is_warm \
    }

const struct operation pool_callers_operations[] = {
    { "pool_other_map", "another caller than the creator in map", run_caller, ACT(other_maps, true), .modes = ALL_MODES,
      .quick = 40 },
    { "pool_other_call", "another caller in apply_async, wait and destroy", run_caller, ACT(other_calls, true),
      .modes = ALL_MODES, .quick = 40 },
    { "pool_other_first", "another caller in its first map", run_caller, ACT(other_maps, false),
      .modes = AWAKE_AND_PAUSED, .quick = 40 },
    { "pool_other_keeper", "the keeper at the death of another caller", run_keeper, NULL, .modes = ALL_MODES,
      .quick = 20 },
    { 0 },
};
