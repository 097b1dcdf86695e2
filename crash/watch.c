/* watch.c: those who only watch (brood/wait.h), while one who makes something true is killed, or one of them is.
 *
 * Three watch from before: one by words alone, one with a descriptor among them, one in a loop of its own; and another
 * comes when the victim stands still. Nobody takes anything. If it is true after the kill they must all hear of it from
 * the victim, and nobody helps; how long that took is in the column "worst ms". If it is not, the point's process makes
 * it true. The result is how much of it is true.
 */
#include "point.h"

#include <brood.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAY_VARY = 3 }; /* those who watch move the victim about: its path is an instruction longer or shorter */
enum { WATCHERS = 4, LARGE = 6000, LIMIT = 4 << 20 };

enum way { BY_WORDS, BY_RING, BY_LOOP, WAYS };

/* In the region. */
struct ground {
    brood_queue *queue, *other; /* other: to warm up with */
    brood_semaphore semaphore, other_semaphore;
    brood_event event, never;
    void *loan;
    int still; /* a descriptor that cannot be read */
};

struct act {
    void (*before)(struct ground *ground); /* the victim's preparations */
    void (*act)(struct ground *ground);
    int (*look)(struct ground *ground); /* how much of it is true */
    int (*make)(struct ground *ground); /* it true */
    brood_wait_kind kind;
    int want;
    bool full;    /* the queue has one message, and room for no more */
    bool untrue;  /* it is true when `look` says 0 */
    bool watches; /* the victim is one who watches */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t watcher[WATCHERS];
    int watchers;
    pid_t helper;
};

/* ---- those who watch ---- */

static const void *object_of(const struct act *act, const struct ground *ground)
{
    if (act->kind == BROOD_WAIT_QUEUE)
        return ground->queue;
    return act->kind == BROOD_WAIT_SEMAPHORE ? (const void *)&ground->semaphore : &ground->event;
}

static int watch_in_loop(const brood_waitable *item, int timeout_ms)
{
    brood_waitable ready;
    struct epoll_event event = { .events = EPOLLIN };
    brood_watch *watch = brood_watch_create();
    int loop = epoll_create1(EPOLL_CLOEXEC), seen = -EINVAL;
    if (loop >= 0 && watch && brood_watch_add(watch, item) == 0 &&
        epoll_ctl(loop, EPOLL_CTL_ADD, brood_watch_fd(watch), &event) == 0)
        for (long long end = point_us() + timeout_ms * 1000LL;
             (seen = brood_watch_wait(watch, &ready, 1, 0)) == -ETIMEDOUT && point_us() < end;)
            epoll_wait(loop, &event, 1, timeout_ms);
    brood_watch_destroy(watch);
    close(loop);
    return seen;
}

static int watch(const struct act *act, const struct ground *ground, enum way way, int timeout_ms)
{
    brood_waitable items[] = { { .kind = act->kind, .object = object_of(act, ground), .want = act->want },
                               { .kind = BROOD_WAIT_EVENT, .object = &ground->never },
                               { .kind = BROOD_WAIT_FD, .fd = ground->still } };
    return way == BY_LOOP ? watch_in_loop(items, timeout_ms) : brood_wait(items, way == BY_RING ? 3 : 2, timeout_ms);
}

static void be_watching(void *context)
{
    const struct scene *scene = context;
    long long began = point_us();
    int seen = watch(scene->act, scene->ground, (enum way)(scene->watchers % WAYS), SURVIVOR_MS);
    if (seen == 1)
        point_served_since(scene->point, began);
    else
        point_fault(scene->point, seen == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "watcher %d was told %d: %s",
                    scene->watchers, seen, brood_error());
}

static void add_watcher(struct scene *scene)
{
    pid_t pid = point_survivor(be_watching, scene);
    scene->watcher[scene->watchers++] = pid;
    if (pid < 0 || !point_settle(pid))
        point_fault(scene->point, POINT_TORN, "a watcher neither sleeps nor ends");
}

/* ---- what they watch for ---- */

static int look_count(struct ground *ground)
{
    return brood_queue_count(ground->queue);
}

static int look_closed(struct ground *ground)
{
    return brood_queue_get(ground->queue, NULL, 0, NULL, 0) == -EPIPE;
}

static int look_units(struct ground *ground)
{
    return brood_semaphore_units(&ground->semaphore);
}

static int look_set(struct ground *ground)
{
    return brood_event_wait(&ground->event, 0) == 0;
}

static int put(struct ground *ground)
{
    return brood_queue_put(ground->queue, "x", 1, SURVIVOR_MS);
}

static int get(struct ground *ground)
{
    char bytes[LARGE];
    return brood_queue_get(ground->queue, bytes, sizeof bytes, &(size_t){ 0 }, SURVIVOR_MS);
}

static int end_queue(struct ground *ground)
{
    return brood_queue_close(ground->queue);
}

static int give(struct ground *ground)
{
    return brood_semaphore_release(&ground->semaphore);
}

static int set(struct ground *ground)
{
    return brood_event_set(&ground->event);
}

/* ---- the victim's acts ---- */

static void act_put(struct ground *ground)
{
    put(ground);
}

static void act_put_many(struct ground *ground)
{
    brood_block blocks[2] = { { "a", 1 }, { "b", 1 } };
    brood_queue_put_many(ground->queue, blocks, 2, BROOD_FOREVER);
}

static void act_reserve(struct ground *ground)
{
    ground->loan = brood_queue_reserve(ground->queue, LARGE, BROOD_FOREVER);
}

static void act_commit(struct ground *ground)
{
    brood_queue_commit(ground->queue, ground->loan, LARGE);
}

static void act_get(struct ground *ground)
{
    get(ground);
}

static void act_borrow(struct ground *ground)
{
    brood_block block;
    if (brood_queue_borrow(ground->queue, &block, BROOD_FOREVER) >= 0)
        ground->loan = block.data;
}

static void act_close(struct ground *ground)
{
    end_queue(ground);
}

static void act_give(struct ground *ground)
{
    give(ground);
}

static void act_set(struct ground *ground)
{
    set(ground);
}

static void watch_queue(struct ground *ground, enum way way)
{
    watch(&(struct act){ .kind = BROOD_WAIT_QUEUE }, ground, way, BROOD_FOREVER);
}

static void act_watch(struct ground *ground)
{
    watch_queue(ground, BY_WORDS);
}

static void act_watch_by_ring(struct ground *ground)
{
    watch_queue(ground, BY_RING);
}

static void act_watch_units(struct ground *ground)
{
    watch(&(struct act){ .kind = BROOD_WAIT_SEMAPHORE }, ground, BY_WORDS, BROOD_FOREVER);
}

static void before_warm(struct ground *ground)
{
    struct ground own = { .queue = ground->other, .still = ground->still };
    for (int i = 0; i < 3; i++) {
        put(&own);
        get(&own);
        act_reserve(&own);
        act_commit(&own);
        act_borrow(&own);
        brood_queue_done(own.queue, own.loan);
        act_put_many(&own);
        get(&own);
        get(&own);
        brood_semaphore_release(&ground->other_semaphore);
        brood_semaphore_acquire(&ground->other_semaphore, 0);
        for (enum way way = 0; way < WAYS; way++)
            watch(&(struct act){ .kind = BROOD_WAIT_QUEUE }, &own, way, 0);
    }
}

static void before_reserved(struct ground *ground)
{
    before_warm(ground);
    act_reserve(ground);
}

static void run_victim(void *context)
{
    const struct scene *scene = context;
    scene->act->before(scene->ground);
    step_begin();
    scene->act->act(scene->ground);
    step_end();
}

/* ---- a point ---- */

static bool is_true(const struct scene *scene, int amount)
{
    return scene->act->untrue ? amount == 0 : amount > 0;
}

static void make_true(struct scene *scene)
{
    if (scene->act->make(scene->ground) < 0)
        point_fault(scene->point, POINT_TORN, "it cannot be made true: %s", brood_error());
}

static void help(void *context)
{
    make_true(context);
}

/* The victim watches, and sleeps. */
static bool let_go(void *context)
{
    struct scene *scene = context;
    if (!scene->act->watches)
        return false;
    if (scene->helper <= 0)
        scene->helper = point_survivor(help, scene);
    return true;
}

static bool prepare(struct scene *scene)
{
    const struct act *act = scene->act;
    int ends[2];
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 || pipe(ends) < 0 ||
        !(scene->ground = brood_alloc(sizeof(struct ground)))) {
        point_fault(scene->point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    struct ground *ground = scene->ground;
    ground->still = ends[0];
    ground->other = brood_queue_create(NULL);
    ground->queue = brood_queue_create(&(brood_queue_options){ .max_messages = act->full ? 1 : 0 });
    if (ground->other && ground->queue && (!act->full || put(ground) == 0))
        return true;
    point_fault(scene->point, POINT_TORN, "no queue: %s", brood_error());
    return false;
}

static void check(struct scene *scene)
{
    int amount = scene->act->look(scene->ground);
    scene->point->result = amount;
    if (!is_true(scene, amount))
        make_true(scene);
    for (int i = 0; i < scene->watchers; i++)
        point_join(scene->point, scene->watcher[i], "a watcher", 2 * SURVIVOR_MS);
    if (scene->helper > 0)
        point_join(scene->point, scene->helper, "the helper", 2 * SURVIVOR_MS);
    /* It serves as before: nobody watches any more, and everyone can go on. */
    if (scene->act->kind == BROOD_WAIT_EVENT && brood_event_fini(&scene->ground->event) < 0)
        point_fault(scene->point, POINT_TORN, "the event: %s", brood_error());
    if (scene->act->kind == BROOD_WAIT_SEMAPHORE &&
        (brood_semaphore_acquire(&scene->ground->semaphore, 0) < 0 || give(scene->ground) < 0 ||
         brood_semaphore_fini(&scene->ground->semaphore) < 0))
        point_fault(scene->point, POINT_TORN, "the semaphore: %s", brood_error());
    if (brood_heap_check() < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
}

static void run(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    if (!prepare(&scene) || !point_victim(point, &victim, run_victim, &scene))
        return;
    for (int i = 0; i < WAYS; i++)
        add_watcher(&scene);
    if (point_lead(point, &victim, let_go, &scene)) {
        if (point->mode != POINT_AWAKE)
            add_watcher(&scene);
        if (point->mode == POINT_PAUSED) {
            if (scene.act->watches)
                let_go(&scene);
            point_go_on(point, &victim);
        }
        point_kill(point, &victim);
        check(&scene);
        return;
    }
    for (int i = 0; i < scene.watchers; i++) {
        step_tracee left = { .pid = scene.watcher[i] };
        step_kill(&left);
    }
    if (scene.helper > 0)
        waitpid(scene.helper, NULL, 0);
}

#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

#define OF_QUEUE .kind = BROOD_WAIT_QUEUE, .look = look_count, .make = put
#define OF_ROOM .kind = BROOD_WAIT_QUEUE, .want = BROOD_PUTS, .look = look_count, .make = get
#define OF_SEMAPHORE .kind = BROOD_WAIT_SEMAPHORE, .look = look_units, .make = give

const struct operation watch_operations[] = {
    { "watch_put", "put to a queue that is watched", run, ACT(.before = before_warm, .act = act_put, OF_QUEUE),
      .modes = ALL_MODES, .quick = 60, .last = 1, .switches = MAY_VARY },
    { "watch_put_many", "put of two", run, ACT(.before = before_warm, .act = act_put_many, OF_QUEUE),
      .modes = ALL_MODES, .quick = 60, .last = 2, .switches = MAY_VARY },
    { "watch_commit", "commit", run, ACT(.before = before_reserved, .act = act_commit, OF_QUEUE), .modes = ALL_MODES,
      .quick = 60, .last = 1, .switches = MAY_VARY },
    { "watch_get", "get from a full queue, whose room is watched", run,
      ACT(.before = before_warm, .act = act_get, OF_ROOM, .full = true, .untrue = true), .modes = ALL_MODES,
      .quick = 60, .first = 1, .switches = MAY_VARY },
    { "watch_borrow", "borrow from one", run,
      ACT(.before = before_warm, .act = act_borrow, OF_ROOM, .full = true, .untrue = true), .modes = ALL_MODES,
      .quick = 60, .any_result = true },
    { "watch_close", "close", run,
      ACT(.before = before_warm, .act = act_close, .kind = BROOD_WAIT_QUEUE, .look = look_closed, .make = end_queue),
      .modes = ALL_MODES, .quick = 60, .last = 1, .switches = MAY_VARY },
    { "watch_release", "release of a unit of a semaphore that is watched", run,
      ACT(.before = before_warm, .act = act_give, OF_SEMAPHORE), .modes = ALL_MODES, .quick = 60, .last = 1,
      .switches = MAY_VARY },
    { "watch_set", "set of an event that is watched", run,
      ACT(.before = before_warm, .act = act_set, .kind = BROOD_WAIT_EVENT, .look = look_set, .make = set),
      .modes = ALL_MODES, .quick = 60, .last = 1, .switches = MAY_VARY },
    { "watch_wait", "one who watches a queue, beside others, and is told", run,
      ACT(.before = before_warm, .act = act_watch, OF_QUEUE, .watches = true), .modes = ALL_MODES, .quick = 90,
      .any_result = true },
    { "watch_wait_ring", "the same, or a descriptor", run,
      ACT(.before = before_warm, .act = act_watch_by_ring, OF_QUEUE, .watches = true), .modes = ALL_MODES, .quick = 90,
      .any_result = true },
    { "watch_units", "the same of a semaphore", run,
      ACT(.before = before_warm, .act = act_watch_units, OF_SEMAPHORE, .watches = true), .modes = ALL_MODES,
      .quick = 90, .any_result = true },
    { 0 },
};
