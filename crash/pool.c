/* pool.c: the processes of a pool under the knife: a worker, the keeper, the caller.
 *
 * The point's process founds the family and traces; the caller is its child. When a worker is the victim it is stopped
 * in its sleep before there is work, and led on when the caller waits for it: so its way is the same each time. Awake
 * there is one worker; asleep a second, which is in a task of its own until the victim is dead.
 *
 * The account: every item is told one end; at most the one that the victim was at may have failed, and then by
 * SIGKILL; every other ran once and is right. With `retries` (every other point) all are right.
 */
#include "point.h"
#include "trace.h"

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
    CHUNK = 2,
    MOST_WORKERS = 2,
    MOST_PLACES = 3,
    RESIZE_MS = 20000,
    TRACE_SETTLE_MS = 300, /* until what has happened is in a trace's file: two looks of the keeper */
    MORE_WORKERS = 9,      /* than there is a block of records for */
    MAP_MS = 10000,        /* from the kill to the end of the caller's map */
    REPLACE_MS = 10000,    /* from there until the pool has all its workers again */
    CALLER_MS = 30000,     /* in all */
};

struct item {
    int index, value;
};

/* In the region. */
struct stage {
    _Atomic unsigned go, released; /* futex words: the caller may map; those who stall may go on */
    _Atomic unsigned cancel;       /* ... it may cancel */
    _Atomic int stall;             /* tasks in other processes than the victim wait for `released` */
    _Atomic int stalled;           /* how many do */
    _Atomic int ready;             /* the caller has a pool, and the next two are known */
    _Atomic int keeper, worker[MOST_PLACES];
    brood_pool *pool; /* the caller's; before there are tasks */
    _Atomic int victim;
    _Atomic int right; /* the caller's map did what it should */
    _Atomic int runs[ITEMS];
    _Atomic int all_runs;
};

enum resize { RESIZE_NOT, RESIZE_MORE, RESIZE_LESS };

struct scene {
    struct point *point;
    int workers;
    bool keeper; /* is the victim; else worker 0 is, or the last, if there are to be fewer */
    bool calls;  /* the items are run as single calls, not as a map */
    bool cancel; /* the first of these is cancelled while it runs: for that, and not for a death, the keeper wakes */
    bool nested; /* each item's task runs it by a map on its own pool, and that replies a block */
    bool traced;
    enum resize resize; /* instead of items: there is to be one worker more, or one less */
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

static int square(const void *in, void *out)
{
    const struct item *item = in;
    atomic_fetch_add(&stage->runs[item->index], 1);
    atomic_fetch_add(&stage->all_runs, 1);
    if (atomic_load(&stage->stall) && getpid() != atomic_load(&stage->victim)) {
        atomic_fetch_add(&stage->stalled, 1);
        await(&stage->released);
    }
    *(int *)out = item->value * item->value;
    return 0;
}

static int square_in_block(const void *in, void *out)
{
    (void)out;
    int *squared = brood_task_reply(sizeof *squared);
    return squared ? square(in, squared) : 1;
}

static int square_by_map(const void *in, void *out)
{
    brood_block block = { 0 };
    if (brood_pool_map(stage->pool, square_in_block, in, sizeof(struct item), &block, BROOD_BLOCKS, 1, NULL) != 0)
        return 1;
    *(int *)out = *(int *)block.data;
    brood_free(block.data);
    return 0;
}

/* ---- the caller ---- */

/* Each item as a call of its own, all of them under way at once; as brood_pool_map. */
static int run_calls(const struct scene *scene, brood_pool *pool, const struct item *items, int *squares,
                     const brood_task_options *options)
{
    brood_result *results[ITEMS];
    int failed = 0, result = 0;
    for (int i = 0; i < ITEMS; i++) {
        brood_task_options own = { .retries = options ? options->retries : 0 };
        own.ends = options && options->ends ? &options->ends[i] : NULL;
        results[i] = brood_pool_apply_async(pool, square, &items[i], sizeof *items, &squares[i], sizeof *squares, &own);
        if (!results[i])
            return -errno;
    }
    if (scene->cancel && atomic_load(&stage->go)) {
        await(&stage->cancel);
        if (brood_result_cancel(results[0], 0) < 0)
            return -EINVAL;
    }
    for (int i = 0; i < ITEMS; i++) {
        int one = brood_result_wait(results[i], BROOD_FOREVER);
        result = one < 0 ? one : result;
        failed += one > 0;
        if (brood_result_destroy(results[i]) < 0)
            return -EBUSY;
    }
    return result < 0 ? result : failed;
}

static int run_items(const struct scene *scene, brood_pool *pool, const struct item *items, int *squares,
                     const brood_task_options *options)
{
    if (scene->calls)
        return run_calls(scene, pool, items, squares, options);
    return brood_pool_map(pool, scene->nested ? square_by_map : square, items, sizeof *items, squares, sizeof *squares,
                          ITEMS, options);
}

static void fill(struct item *items, int *squares)
{
    for (int i = 0; i < ITEMS; i++) {
        items[i] = (struct item){ i, i + 3 };
        squares[i] = -1;
        atomic_store(&stage->runs[i], 0);
    }
}

/* What the caller is told about one item against what is true of it; true: it failed, as it may. */
static bool check_item(struct scene *scene, const brood_end *end, int index, int squared, bool retried)
{
    int runs = atomic_load(&stage->runs[index]);
    if (end->how == BROOD_RETURNED) {
        if (squared != (index + 3) * (index + 3))
            point_fault(scene->point, POINT_TORN, "item %d: %d is no square", index, squared);
        if (runs == 0 || (runs > 1 && !retried))
            point_fault(scene->point, POINT_DOUBLED, "item %d returned and ran %d times", index, runs);
        return false;
    }
    bool killed = end->how == BROOD_CRASHED && end->signal == SIGKILL;
    killed |= scene->cancel && index == 0 && end->how == BROOD_CANCELLED;
    if (scene->keeper ? !killed && end->how != BROOD_LOST : !killed || end->pid != atomic_load(&stage->victim))
        point_fault(scene->point, POINT_TORN, "item %d: \"%s\" (%s, signal %d, pid %d)", index, end->why,
                    brood_how_name(end->how) ? brood_how_name(end->how) : "no how", end->signal, end->pid);
    if (!end->why[0])
        point_fault(scene->point, POINT_TORN, "item %d %s, and nobody says why", index, brood_how_name(end->how));
    if (squared != -1)
        point_fault(scene->point, POINT_TORN, "item %d failed and has a result", index);
    if (runs > 1)
        point_fault(scene->point, POINT_DOUBLED, "item %d failed and ran %d times", index, runs);
    return true;
}

static void map_under_fire(struct scene *scene, brood_pool *pool)
{
    struct item items[ITEMS];
    int squares[ITEMS];
    brood_end ends[ITEMS];
    int retries = (scene->point->index + scene->point->mode) % 2 ? 3 : 0; /* both at each instruction, over the modes */
    fill(items, squares);
    int failed = run_items(scene, pool, items, squares,
                           &(brood_task_options){ .chunk = CHUNK, .retries = retries, .ends = ends });
    point_served(scene->point);
    if (failed < 0) {
        point_fault(scene->point, POINT_TORN, "map fails: %s", brood_error());
        return;
    }
    int seen = 0;
    for (int i = 0; i < ITEMS; i++)
        seen += check_item(scene, &ends[i], i, squares[i], retries > 0);
    /* A keeper takes all workers with it, the one included that it may just have started for the one that died. */
    int deaths = scene->point->mode == POINT_PAUSED ? scene->keeper : scene->keeper ? scene->workers + 1 : 1;
    int most = (retries ? 0 : deaths) + scene->cancel;
    const char *why = "";
    for (int i = 0; i < ITEMS; i++)
        if (ends[i].how != BROOD_RETURNED)
            why = ends[i].why;
    if (seen != failed || failed > most)
        point_fault(scene->point, POINT_LOST, "map returned %d, %d items failed, and at most %d may have; the last: %s",
                    failed, seen, most, why);
}

static bool all_there(brood_pool *pool, int workers)
{
    int pid = brood_pool_keeper(pool);
    if (pid <= 0 || step_state(pid) == 'Z')
        return false;
    for (int i = 0; i < workers; i++) {
        pid = brood_pool_worker(pool, i);
        char state = pid > 0 ? step_state(pid) : 0;
        if (state == 0 || state == 'Z')
            return false;
    }
    return true;
}

/* Every worker must be there again, by itself or, if the keeper died while nobody called, by the next call. */
static void map_in_peace(struct scene *scene, brood_pool *pool)
{
    struct item items[ITEMS];
    int squares[ITEMS];
    fill(items, squares);
    int failed = run_items(scene, pool, items, squares, &(brood_task_options){ .chunk = 1, .retries = 3 });
    if (failed != 0)
        point_fault(scene->point, POINT_TORN, "the next map returned %d: %s", failed, brood_error());
    for (int i = 0; i < ITEMS; i++)
        if (squares[i] != (i + 3) * (i + 3))
            point_fault(scene->point, POINT_TORN, "the next map: %d is no square", squares[i]);
    long long deadline = point_us() + REPLACE_MS * 1000LL;
    while (!all_there(pool, scene->workers)) {
        if (point_us() > deadline) {
            point_fault(scene->point, POINT_LOST, "the pool does not have its processes again");
            return;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
    }
}

static brood_pool *warm_pool(const struct scene *scene)
{
    struct item items[ITEMS];
    int squares[ITEMS];
    char path[64];
    trace_path(path, sizeof path);
    brood_pool *pool = brood_pool_create(scene->workers, &(brood_pool_options){ .trace = scene->traced ? path : NULL });
    fill(items, squares);
    stage->pool = pool;
    for (int i = 0; pool && i < 2; i++)
        if (run_items(scene, pool, items, squares, NULL) != 0)
            return NULL;
    return pool;
}

static void know(struct scene *scene, brood_pool *pool)
{
    atomic_store(&stage->keeper, brood_pool_keeper(pool));
    for (int i = 0; i < scene->workers; i++)
        atomic_store(&stage->worker[i], brood_pool_worker(pool, i));
    atomic_store(&stage->ready, 1);
}

/* Whoever dies in it, it is done in the end. */
static void resize_under_fire(struct scene *scene, brood_pool *pool)
{
    scene->workers += scene->resize == RESIZE_MORE ? 1 : -1;
    int failed = brood_pool_resize(pool, scene->workers, RESIZE_MS);
    point_served(scene->point);
    if (failed != 0)
        point_fault(scene->point, POINT_TORN, "resize fails: %s", brood_error());
    if (brood_pool_workers(pool) != scene->workers)
        point_fault(scene->point, POINT_TORN, "the pool has %d workers", brood_pool_workers(pool));
}

static void call(void *context)
{
    struct scene *scene = context;
    brood_heap_stats before, after;
    brood_heap_stat(&before);
    brood_pool *pool = warm_pool(scene);
    if (!pool) {
        point_fault(scene->point, POINT_TORN, "no pool: %s", brood_error());
        return;
    }
    if (scene->resize && brood_pool_resize(pool, scene->workers, RESIZE_MS) != 0) /* all are there */
        point_fault(scene->point, POINT_TORN, "the pool is not whole: %s", brood_error());
    if (scene->traced)
        nanosleep(&(struct timespec){ .tv_nsec = TRACE_SETTLE_MS * 1000000L }, NULL);
    know(scene, pool);
    await(&stage->go);
    if (scene->resize)
        resize_under_fire(scene, pool);
    else
        map_under_fire(scene, pool);
    await(&stage->released); /* a worker may be the victim long after the map: it must not be let go before its end */
    scene->cancel = false;
    map_in_peace(scene, pool);
    if (brood_pool_destroy(pool) < 0)
        point_fault(scene->point, POINT_TORN, "destroy fails: %s", brood_error());
    if (scene->traced) {
        char path[64];
        int runs = atomic_load(&stage->all_runs);
        trace_path(path, sizeof path);
        trace_check(scene->point, path, 4, runs, runs + MOST_PLACES); /* some may have died before they ran */
    }
    if (brood_heap_check() < 0 || brood_heap_stat(&after) < 0)
        point_fault(scene->point, POINT_TORN, "%s", brood_error());
    else if (after.blocks < before.blocks || after.blocks > before.blocks + (scene->nested ? 1 : 0))
        /* A block that a task was handed is lost with it. */
        point_fault(scene->point, POINT_LOST, "%zu blocks before the pool, %zu after it", before.blocks, after.blocks);
}

/* ---- worker and keeper as victims ---- */

static bool until(struct scene *scene, const _Atomic int *value, int least, const char *what)
{
    long long deadline = point_us() + SETTLE_MS * 1000LL;
    while (atomic_load(value) < least) {
        if (point_us() > deadline) {
            point_fault(scene->point, POINT_STUCK, "%s", what);
            return false;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
    }
    return true;
}

static bool found_stage(struct point *point)
{
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 || !(stage = brood_alloc(sizeof *stage))) {
        point_fault(point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    return true;
}

/* Halts the victim asleep, lets the caller map, and sees to it that everybody else waits for the victim. */
static bool halt(struct scene *scene, step_tracee *victim, pid_t caller)
{
    if (!until(scene, &stage->ready, 1, "the caller has no pool"))
        return false;
    int last = scene->resize ? scene->workers - 1 : 0;
    int pid = scene->keeper ? stage->keeper : stage->worker[last];
    for (int i = 0; i < scene->workers; i++)
        point_settle(stage->worker[i]);
    point_settle(stage->keeper);
    if (!step_seize(victim, pid)) {
        point_fault(scene->point, POINT_TORN, "process %d of the pool cannot be traced", pid);
        return false;
    }
    atomic_store(&stage->victim, scene->keeper ? 0 : pid);
    atomic_store(&stage->stall, scene->resize == RESIZE_NOT);
    signal_all(&stage->go);
    if (scene->resize)
        return point_settle(caller);
    int others = scene->keeper ? scene->workers : scene->workers - 1;
    if (!until(scene, &stage->stalled, others, "the workers do not begin") || !point_settle(caller)) {
        point_fault(scene->point, POINT_STUCK, "the pool does not come to rest");
        return false;
    }
    if (!scene->keeper)
        return true;
    if (scene->cancel) {
        signal_all(&stage->cancel);
        return point_settle(caller);
    }
    kill(stage->worker[0], SIGKILL);
    long long deadline = point_us() + SETTLE_MS * 1000LL;
    while (step_state(stage->worker[0]) != 'Z' && point_us() < deadline)
        nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
    return true;
}

static void run_inner(struct scene scene)
{
    struct point *point = scene.point;
    scene.workers = (point->mode == POINT_ASLEEP ? 2 : 1) + (scene.resize == RESIZE_LESS);
    step_tracee victim;
    if (!found_stage(point))
        return;
    pid_t caller = point_survivor(call, &scene);
    if (caller < 0 || !halt(&scene, &victim, caller))
        return;
    /* The system call that it slept in begins anew: after it the path begins. */
    point->stop = step_run(&victim, true, SETTLE_MS);
    if (point->stop != STEP_STOPPED || !point_lead(point, &victim, NULL, NULL)) {
        if (point->stop == STEP_BLOCKED && point->record && point->path->count == 0)
            point_fault(point, POINT_STUCK, "the victim sleeps on");
        return;
    }
    if (point->mode == POINT_PAUSED) {
        signal_all(&stage->released);
        point_settle(caller);
        step_release(&victim);
    } else {
        point_kill(point, &victim);
        signal_all(&stage->released);
    }
    point_join(point, caller, "the caller", CALLER_MS);
    if (atomic_load(&point->worst_us) > MAP_MS * 1000L)
        point_fault(point, POINT_STUCK, "the map took %ld ms after the kill", atomic_load(&point->worst_us) / 1000);
}

static void run_worker(struct point *point)
{
    run_inner((struct scene){ .point = point });
}

static void run_call_worker(struct point *point)
{
    run_inner((struct scene){ .point = point, .calls = true });
}

static void run_keeper(struct point *point)
{
    run_inner((struct scene){ .point = point, .keeper = true });
}

static void run_call_keeper(struct point *point)
{
    run_inner((struct scene){ .point = point, .keeper = true, .calls = true });
}

static void run_cancel_keeper(struct point *point)
{
    run_inner((struct scene){ .point = point, .keeper = true, .calls = true, .cancel = true });
}

static void run_trace_keeper(struct point *point)
{
    run_inner((struct scene){ .point = point, .keeper = true, .traced = true });
}

static void run_trace_worker(struct point *point)
{
    run_inner((struct scene){ .point = point, .traced = true });
}

static void run_nested_worker(struct point *point)
{
    run_inner((struct scene){ .point = point, .nested = true });
}

static void run_resize_keeper(struct point *point)
{
    run_inner((struct scene){ .point = point, .keeper = true, .resize = RESIZE_MORE });
}

static void run_resize_worker(struct point *point)
{
    run_inner((struct scene){ .point = point, .resize = RESIZE_LESS });
}

/* ---- the caller as victim: what it made must go, and the family must live on ---- */

static void call_create(struct scene *scene)
{
    step_begin();
    brood_pool_create(scene->workers, NULL);
    step_end();
}

static void call_map(struct scene *scene)
{
    struct item items[ITEMS];
    int squares[ITEMS];
    brood_pool *pool = warm_pool(scene);
    fill(items, squares);
    know(scene, pool);
    atomic_store(&stage->stall, 1); /* until it sleeps: else it is so slow, led by the hand, that it never would */
    step_begin();
    int failed = run_items(scene, pool, items, squares, NULL);
    atomic_store(&stage->right, failed == 0 && squares[ITEMS - 1] == (ITEMS + 2) * (ITEMS + 2));
    step_end();
}

/* To more than the records that it has. It does not wait, so its way is the same each time. */
static void call_resize(struct scene *scene)
{
    brood_pool *pool = warm_pool(scene);
    know(scene, pool);
    step_begin();
    brood_pool_resize(pool, MORE_WORKERS, 0);
    step_end();
}

static void call_destroy(struct scene *scene)
{
    brood_pool *pool = warm_pool(scene);
    step_begin();
    brood_pool_destroy(pool);
    step_end();
}

struct caller_act {
    void (*act)(struct scene *scene);
    bool calls;
};

static void run_victim(void *context)
{
    struct scene *scene = context;
    const struct caller_act *act = scene->point->operation->detail;
    scene->calls = act->calls;
    brood_free(brood_alloc(64));
    act->act(scene);
}

/* What the caller waits for comes from its pool, at once or when its workers may go on. */
static bool let_work(void *context)
{
    (void)context;
    signal_all(&stage->released);
    return true;
}

static void run_caller(struct point *point)
{
    struct scene scene = { .point = point, .workers = MOST_WORKERS };
    step_tracee victim;
    struct item items[ITEMS];
    int squares[ITEMS];
    if (!found_stage(point) || !point_victim(point, &victim, run_victim, &scene) ||
        !point_lead(point, &victim, let_work, NULL))
        return;
    if (point->mode == POINT_PAUSED) {
        signal_all(&stage->released);
        for (int i = 0; i < scene.workers && stage->ready; i++)
            point_settle(stage->worker[i]);
        point_go_on(point, &victim);
        if (stage->ready && !stage->right)
            point_fault(point, POINT_TORN, "the map, whose caller had stood still, went wrong");
    }
    point_kill(point, &victim);
    if (brood_heap_check() < 0)
        point_fault(point, POINT_TORN, "%s", brood_error());
    brood_pool *pool = brood_pool_create(1, NULL);
    fill(items, squares);
    atomic_store(&stage->stall, 0);
    if (!pool || brood_pool_map(pool, square, items, sizeof *items, squares, sizeof *squares, ITEMS, NULL) != 0)
        point_fault(point, POINT_TORN, "no other pool works: %s", brood_error());
    point_served(point);
    if (pool && brood_pool_destroy(pool) < 0)
        point_fault(point, POINT_TORN, "destroy fails: %s", brood_error());
}

#define ACT(function, by_calls) \
    &(const struct caller_act) \
    { \
        function, by_calls \
    }

const struct operation pool_operations[] = {
    { "pool_worker", "a worker that claims, runs and finishes items", run_worker, NULL, .modes = ALL_MODES,
      .quick = 50 },
    { "pool_keeper", "the keeper at a worker's death", run_keeper, NULL, .modes = ALL_MODES, .quick = 20 },
    { "pool_call_worker", "a worker that claims, runs and ends calls", run_call_worker, NULL, .modes = ALL_MODES,
      .quick = 50 },
    { "pool_call_keeper", "the keeper at a worker's death in a call", run_call_keeper, NULL, .modes = ALL_MODES,
      .quick = 20 },
    { "pool_cancel_keeper", "the keeper at a call that is cancelled while it runs", run_cancel_keeper, NULL,
      .modes = ALL_MODES, .quick = 20 },
    { "pool_nested_worker", "a worker whose tasks map on their own pool", run_nested_worker, NULL, .modes = ALL_MODES,
      .quick = 50 },
    { "pool_resize_keeper", "the keeper of a pool that becomes larger", run_resize_keeper, NULL, .modes = ALL_MODES,
      .quick = 30 },
    { "pool_resize_worker", "a worker that leaves, since the pool becomes smaller", run_resize_worker, NULL,
      .modes = ALL_MODES, .quick = 30, .mortal = true },
    { "pool_trace_keeper", "the keeper at a worker's death, writing a trace", run_trace_keeper, NULL,
      .modes = ALL_MODES, .quick = 30 },
    { "pool_trace_worker", "a worker whose tasks are traced", run_trace_worker, NULL, .modes = ALL_MODES, .quick = 20 },
    { "pool_create", "the caller in create", run_caller, ACT(call_create, false), .modes = AWAKE_ONLY, .quick = 20 },
    { "pool_map", "the caller in map", run_caller, ACT(call_map, false), .modes = AWAKE_AND_PAUSED, .quick = 60 },
    { "pool_call", "the caller in apply_async, wait and destroy", run_caller, ACT(call_map, true),
      .modes = AWAKE_AND_PAUSED, .quick = 60 },
    { "pool_resize", "the caller in resize", run_caller, ACT(call_resize, false), .modes = AWAKE_ONLY, .quick = 20 },
    { "pool_destroy", "the caller in destroy", run_caller, ACT(call_destroy, false), .modes = AWAKE_ONLY, .quick = 20 },
    { 0 },
};
