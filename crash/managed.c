/* managed.c: what a manager's clients wait for, under the knife.
 *
 * The victim is a client. Killed before its call has told the server that it took what it was given, it has not had
 * that: a lock passes on without word of it, an item is in its queue again. Killed after that, it has had it. So along
 * the path of a call what the first survivor sees changes once, at one store, and nobody waits for the dead.
 */
#include "point.h"

#include <brood.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { RESULTS = 16, SLEEPERS = 2, NAP_MS = 3, LONG_NAP_MS = 25, LIMIT = 1 << 20 };

/* In the region. */
struct ground {
    brood_manager *manager;
    brood_managed_lock *lock, *other; /* the other: to warm up with */
    brood_managed_condition *condition;
    brood_managed_semaphore *semaphore;
    brood_managed_event *event;
    brood_managed_barrier *barrier; /* of two */
    brood_managed_queue *queue;
    int nap_ms;
    long first, second;
    _Atomic int inside;
    _Atomic int passed;
    int result[RESULTS]; /* what each who passed was told, in their order; written by the holder */
};

struct scene;

struct act {
    void (*before)(struct ground *ground); /* the victim's preparations */
    void (*act)(struct ground *ground);
    void (*wake)(
        struct scene *scene); /* what the victim waits for comes true; NULL: it waits for no more than a reply */
    void (*check)(struct scene *scene); /* what the survivors see */
    bool held;                          /* the lock, by the point's process, until wake or the kill */
    bool filled;                        /* there is an item in the queue... */
    bool joinable;                      /* ... which is lent to who gets it */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t sleeper[SLEEPERS];
    int sleepers;
    bool holding, woken;
};

static void fault(struct scene *scene, int failed, const char *who, const char *what)
{
    point_fault(scene->point, failed == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "%s cannot %s: %s", who, what,
                brood_error());
}

/* ---- what the victim does ---- */

static void before_warm(struct ground *ground)
{
    for (int i = 0; i < 3; i++)
        if (brood_managed_lock_acquire(ground->other, 0) >= 0)
            brood_managed_lock_release(ground->other);
}

static void before_hold(struct ground *ground)
{
    before_warm(ground);
    brood_managed_lock_acquire(ground->lock, BROOD_FOREVER);
}

static void before_condition(struct ground *ground)
{
    before_warm(ground);
    brood_managed_condition_acquire(ground->condition, BROOD_FOREVER);
}

static void before_lent(struct ground *ground)
{
    brood_any item;
    before_warm(ground);
    brood_managed_queue_get(ground->queue, &item, BROOD_FOREVER);
}

static void act_acquire(struct ground *ground)
{
    brood_managed_lock_acquire(ground->lock, BROOD_FOREVER);
}

static void act_nap(struct ground *ground)
{
    brood_managed_lock_acquire(ground->lock, ground->nap_ms);
}

static void act_release(struct ground *ground)
{
    brood_managed_lock_release(ground->lock);
}

static void act_section(struct ground *ground)
{
    if (brood_managed_lock_acquire(ground->lock, BROOD_FOREVER) < 0)
        return;
    ground->first++;
    __asm__ volatile("" ::: "memory"); /* the two must be two stores */
    ground->second++;
    brood_managed_lock_release(ground->lock);
}

static void act_condition_wait(struct ground *ground)
{
    brood_managed_condition_wait(ground->condition, BROOD_FOREVER);
}

static void act_semaphore_acquire(struct ground *ground)
{
    brood_managed_semaphore_acquire(ground->semaphore, BROOD_FOREVER);
}

static void act_event_wait(struct ground *ground)
{
    brood_managed_event_wait(ground->event, BROOD_FOREVER);
}

static void act_barrier_wait(struct ground *ground)
{
    brood_managed_barrier_wait(ground->barrier, BROOD_FOREVER);
}

static void act_get(struct ground *ground)
{
    brood_any item;
    brood_managed_queue_get(ground->queue, &item, BROOD_FOREVER);
}

static void act_put(struct ground *ground)
{
    brood_managed_queue_put(ground->queue, 7, BROOD_FOREVER);
}

static void act_done(struct ground *ground)
{
    brood_managed_queue_done(ground->queue);
}

static void run_victim(void *context)
{
    struct scene *scene = context;
    scene->act->before(scene->ground);
    step_begin();
    scene->act->act(scene->ground);
    step_end();
}

/* ---- what comes true for it ---- */

static void release_held(struct scene *scene)
{
    if (scene->holding && brood_managed_lock_release(scene->ground->lock) < 0)
        fault(scene, 0, "the holder", "release");
    scene->holding = false;
}

static void wake_notify(struct scene *scene)
{
    int failed = brood_managed_condition_acquire(scene->ground->condition, SURVIVOR_MS);
    if (failed < 0 || (failed = brood_managed_condition_notify(scene->ground->condition, BROOD_ALL)) < 0 ||
        (failed = brood_managed_condition_release(scene->ground->condition)) < 0)
        fault(scene, failed, "the founder", "notify");
}

static void wake_set(struct scene *scene)
{
    if (brood_managed_event_set(scene->ground->event) < 0)
        fault(scene, 0, "the founder", "set");
}

static void wake_come(struct scene *scene)
{
    int told = brood_managed_barrier_wait(scene->ground->barrier, SURVIVOR_MS);
    if (told < 0) /* either may be the last to come, to the server */
        fault(scene, told, "the founder", "complete the round");
}

static void wake_put(struct scene *scene)
{
    if (brood_managed_queue_put(scene->ground->queue, 7, SURVIVOR_MS) < 0)
        fault(scene, 0, "the founder", "put");
}

static bool let_go(void *context)
{
    struct scene *scene = context;
    if (scene->act->wake && !scene->woken) {
        scene->woken = true;
        scene->act->wake(scene);
    }
    return true; /* the server answers by itself */
}

/* ---- who survives ---- */

/* Through the lock once, as everyone who survives must be able to. */
static void pass(struct scene *scene, const char *who)
{
    struct ground *ground = scene->ground;
    long long began = point_us();
    int told = brood_managed_lock_acquire(ground->lock, SURVIVOR_MS);
    if (told < 0) {
        fault(scene, told, who, "acquire");
        return;
    }
    point_served_since(scene->point, began);
    if (atomic_fetch_add(&ground->inside, 1) != 0)
        point_fault(scene->point, POINT_DOUBLED, "%s is not alone in the lock", who);
    if (ground->first != ground->second && told == 0)
        point_fault(scene->point, POINT_TORN, "%s was not told that %ld is not %ld", who, ground->first,
                    ground->second);
    ground->second = ground->first;
    int passed = atomic_fetch_add(&ground->passed, 1);
    if (passed < RESULTS)
        ground->result[passed] = told;
    atomic_fetch_sub(&ground->inside, 1);
    if (brood_managed_lock_release(ground->lock) < 0)
        fault(scene, 0, who, "release");
}

static void pass_asleep(void *context)
{
    pass(context, "a sleeper");
}

static void pass_after(void *context)
{
    pass(context, "a newcomer");
}

static void add_sleeper(struct scene *scene)
{
    pid_t pid = point_survivor(pass_asleep, scene);
    scene->sleeper[scene->sleepers++] = pid;
    if (pid < 0 || !point_settle(pid))
        point_fault(scene->point, POINT_TORN, "a sleeper neither sleeps nor ends");
}

/* Until the server has seen that the victim, and who came since, is gone. */
static void await_burial(struct scene *scene)
{
    brood_manager_stats stats = { .clients = 0 };
    long long began = point_us();
    while (brood_manager_stat(scene->ground->manager, &stats) == 0 && stats.clients != 1 &&
           point_us() - began < SURVIVOR_MS * 1000LL)
        usleep(200);
    if (stats.clients != 1 || stats.waiting != 0)
        point_fault(scene->point, POINT_STUCK, "%zu clients are left, %zu wait", stats.clients, stats.waiting);
}

static void check_lock(struct scene *scene)
{
    for (int i = 0; i < scene->sleepers; i++)
        point_join(scene->point, scene->sleeper[i], "a sleeper", SURVIVOR_MS + 500);
    pass(scene, "the founder");
    pid_t newcomer = point_survivor(pass_after, scene);
    if (newcomer > 0)
        point_join(scene->point, newcomer, "a newcomer", SURVIVOR_MS + 500);
    scene->point->result = scene->ground->result[0];
    if (scene->ground->passed != scene->sleepers + 2)
        point_fault(scene->point, POINT_LOST, "%d passed of %d", scene->ground->passed, scene->sleepers + 2);
}

static void check_condition(struct scene *scene)
{
    long long began = point_us();
    int told = brood_managed_condition_acquire(scene->ground->condition, SURVIVOR_MS);
    if (told < 0) {
        fault(scene, told, "the founder", "acquire");
        return;
    }
    point_served_since(scene->point, began);
    scene->point->result = told;
    if (brood_managed_condition_wait(scene->ground->condition, 0) != -ETIMEDOUT)
        point_fault(scene->point, POINT_TORN, "a wait without a notify: %s", brood_error());
    if (brood_managed_condition_notify(scene->ground->condition, BROOD_ALL) < 0 ||
        brood_managed_condition_release(scene->ground->condition) < 0)
        fault(scene, 0, "the founder", "notify and release");
}

static void check_semaphore(struct scene *scene)
{
    long long began = point_us();
    int told = brood_managed_semaphore_acquire(scene->ground->semaphore, SURVIVOR_MS);
    if (told < 0) {
        fault(scene, told, "the founder", "acquire");
        return;
    }
    point_served_since(scene->point, began);
    scene->point->result = told;
    if (brood_managed_semaphore_release(scene->ground->semaphore) < 0)
        fault(scene, 0, "the founder", "give the unit back");
    await_burial(scene); /* what the dead has asked for may be done only now, and undone */
    if (brood_managed_semaphore_units(scene->ground->semaphore) != 1)
        point_fault(scene->point, POINT_LOST, "the unit did not come back");
}

/* Who died there is no matter. */
static void check_event(struct scene *scene)
{
    await_burial(scene);
    if (brood_managed_event_wait(scene->ground->event, 0) != (scene->woken ? 0 : -ETIMEDOUT))
        point_fault(scene->point, POINT_TORN, "the event is not as it was: %s", brood_error());
    if (brood_managed_event_set(scene->ground->event) < 0 || brood_managed_event_wait(scene->ground->event, 0) < 0)
        fault(scene, 0, "the founder", "set and wait");
}

/* It is broken, if the victim waited there, and can be mended. */
static void check_barrier(struct scene *scene)
{
    await_burial(scene);
    int told = brood_managed_barrier_wait(scene->ground->barrier, 0);
    scene->point->result = told == -EOWNERDEAD;
    if (told != -EOWNERDEAD && told != -ETIMEDOUT)
        fault(scene, 0, "the founder", "come alone");
    if (brood_managed_barrier_reset(scene->ground->barrier) < 0 ||
        brood_managed_barrier_wait(scene->ground->barrier, 0) != -ETIMEDOUT)
        fault(scene, 0, "the founder", "mend the barrier");
}

/* The item is there once, or not. */
static void check_queue(struct scene *scene)
{
    brood_any item;
    await_burial(scene);
    if (scene->act->wake && !scene->woken)
        scene->act->wake(scene);
    scene->point->result = brood_managed_queue_get(scene->ground->queue, &item, 0) >= 0;
    if (scene->point->result && item.integer != 7)
        point_fault(scene->point, POINT_TORN, "the item is another: %lld", (long long)item.integer);
    if (scene->act->joinable && scene->point->result && brood_managed_queue_done(scene->ground->queue) < 0)
        fault(scene, 0, "the founder", "be done with it");
    if (brood_managed_queue_get(scene->ground->queue, &item, 0) != -ETIMEDOUT)
        point_fault(scene->point, POINT_DOUBLED, "there is an item more than there was");
    if (scene->act->joinable && brood_managed_queue_join(scene->ground->queue, SURVIVOR_MS) < 0)
        fault(scene, -ETIMEDOUT, "the founder", "join");
}

/* ---- a point ---- */

static bool prepare(struct scene *scene)
{
    struct ground *ground = NULL;
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 || !(ground = brood_alloc(sizeof *ground)) ||
        !(ground->manager = brood_manager_start(NULL)) || !(ground->lock = brood_manager_lock(ground->manager, NULL)) ||
        !(ground->other = brood_manager_lock(ground->manager, NULL)) ||
        !(ground->condition = brood_manager_condition(ground->manager, NULL)) ||
        !(ground->semaphore = brood_manager_bounded_semaphore(ground->manager, NULL, 1)) ||
        !(ground->event = brood_manager_event(ground->manager, NULL)) ||
        !(ground->barrier = brood_manager_barrier(ground->manager, NULL, 2)) ||
        !(ground->queue = scene->act->joinable ? brood_manager_joinable_queue(ground->manager, NULL, 2)
                                               : brood_manager_queue(ground->manager, NULL, 2))) {
        point_fault(scene->point, POINT_TORN, "no manager: %s", brood_error());
        return false;
    }
    scene->ground = ground;
    /* Long enough for a victim to be stepped, or to be found asleep; otherwise every point would wait that long. */
    ground->nap_ms = scene->point->record || scene->point->inside ? LONG_NAP_MS : NAP_MS;
    if (scene->act->filled)
        wake_put(scene);
    scene->holding = scene->act->held && brood_managed_lock_acquire(ground->lock, 0) == 0;
    return true;
}

static void run(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    if (!prepare(&scene) || !point_victim(point, &victim, run_victim, &scene))
        return;
    if (point_lead(point, &victim, let_go, &scene)) {
        if (point->mode == POINT_ASLEEP)
            add_sleeper(&scene);
        if (point->mode == POINT_PAUSED) {
            brood_managed_lock_acquire(scene.ground->other, 0); /* others are served meanwhile */
            brood_managed_lock_release(scene.ground->other);
            if (!scene.woken)
                let_go(&scene);
            point_go_on(point, &victim);
        }
        point_kill(point, &victim);
        release_held(&scene);
        scene.act->check(&scene);
        await_burial(&scene);
        if (brood_heap_check() < 0)
            point_fault(point, POINT_TORN, "the heap: %s", brood_error());
    }
    brood_manager_destroy(scene.ground->manager);
}

#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

const struct operation managed_operations[] = {
    { "managed_acquire", "acquire of a manager's free lock", run,
      ACT(.before = before_warm, .act = act_acquire, .check = check_lock), .modes = ALL_MODES, .quick = 60, .last = 1,
      .switches = 1 },
    { "managed_release", "release of it", run, ACT(.before = before_hold, .act = act_release, .check = check_lock),
      .modes = ALL_MODES, .quick = 60, .first = 1, .switches = 1 },
    { "managed_section", "acquire, change what is guarded, release", run,
      ACT(.before = before_warm, .act = act_section, .check = check_lock), .modes = ALL_MODES, .quick = 60,
      .switches = INT_MAX }, /* a place of waiting for a reply may be met in the other of the two calls */
    { "managed_wait", "acquire that waits its turn", run,
      ACT(.before = before_warm, .act = act_acquire, .wake = release_held, .check = check_lock, .held = true),
      .modes = ALL_MODES, .quick = 60, .last = 1, .switches = 1 },
    { "managed_timeout", "acquire that waits and gives up", run,
      ACT(.before = before_warm, .act = act_nap, .check = check_lock, .held = true), .modes = ALL_MODES, .quick = 60 },
    { "managed_condition", "wait for a notify", run,
      ACT(.before = before_condition, .act = act_condition_wait, .wake = wake_notify, .check = check_condition),
      .modes = AWAKE_ONLY, .quick = 60, .first = 1, .last = 1, .switches = 2 },
    { "managed_semaphore", "acquire of a bounded semaphore's unit", run,
      ACT(.before = before_warm, .act = act_semaphore_acquire, .check = check_semaphore), .modes = AWAKE_ONLY,
      .quick = 60, .last = 1, .switches = 1 },
    { "managed_event", "wait for an event", run,
      ACT(.before = before_warm, .act = act_event_wait, .wake = wake_set, .check = check_event),
      .modes = AWAKE_AND_PAUSED, .quick = 60 },
    { "managed_barrier", "wait at a barrier", run,
      ACT(.before = before_warm, .act = act_barrier_wait, .wake = wake_come, .check = check_barrier),
      .modes = AWAKE_ONLY, .quick = 60, .switches = 2 },
    { "managed_get", "get of an item that is there", run,
      ACT(.before = before_warm, .act = act_get, .check = check_queue, .filled = true), .modes = AWAKE_ONLY,
      .quick = 60, .first = 1, .switches = 1 },
    { "managed_get_lent", "get of one that is to be done with", run,
      ACT(.before = before_warm, .act = act_get, .check = check_queue, .filled = true, .joinable = true),
      .modes = AWAKE_ONLY, .quick = 60, .first = 1, .last = 1 },
    { "managed_get_wait", "get of one that comes", run,
      ACT(.before = before_warm, .act = act_get, .wake = wake_put, .check = check_queue), .modes = AWAKE_ONLY,
      .quick = 60, .first = 1, .switches = 1 },
    { "managed_put", "put of an item", run, ACT(.before = before_warm, .act = act_put, .check = check_queue),
      .modes = AWAKE_ONLY, .quick = 60, .last = 1, .switches = 1 },
    { "managed_done", "done with an item", run,
      ACT(.before = before_lent, .act = act_done, .check = check_queue, .filled = true, .joinable = true),
      .modes = AWAKE_ONLY, .quick = 60, .first = 1, .switches = 1 },
    { 0 },
};
