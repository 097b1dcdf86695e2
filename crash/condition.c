/* condition.c: brood_condition under the knife.
 *
 * The lock guards two counts: items that were put, and those that were taken. Everyone who waits, the victim too, waits
 * for an item and takes one. A notify is lost if an item is there and one who waits for it sleeps on, while nobody died
 * with the lock in his hands: an heir is told, and notifies again.
 */
#include "point.h"

#include <brood.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLEEPERS = 4, HOLD_MS = 4, LONG_HOLD_MS = 60, QUIET_LOOKS = 100, LIMIT = 1 << 20 };

/* In the region. */
struct ground {
    brood_lock lock, other_lock;
    brood_condition changed, other;
    int nap_ms;
    volatile long items, taken; /* the lock's */
    _Atomic int served;         /* sleepers that have taken one, or are about to */
    _Atomic int held;           /* the holder has notified */
};

struct act {
    void (*before)(struct ground *ground); /* the victim's preparations */
    void (*act)(struct ground *ground);
    int sleepers;  /* that wait before the operation begins */
    int company;   /* that come when the victim sleeps */
    int notify;    /* so many are notified then; 0: nobody */
    bool held;     /* with the lock in hand, which is kept for some time */
    bool orphans;  /* the first sleeper is woken, and killed while it waits for the lock */
    bool notifies; /* the victim notifies: killed before that, nobody has */
    bool names;    /* a block may be lost */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t sleeper[SLEEPERS + 1];
    int sleepers;
};

static bool is_there(void *arg)
{
    const struct ground *ground = arg;
    return ground->items > ground->taken;
}

static void take_asleep(void *context)
{
    struct scene *scene = context;
    struct ground *ground = scene->ground;
    int told = brood_lock_acquire(&ground->lock, SURVIVOR_MS);
    long long end = point_us() + 2 * SURVIVOR_MS * 1000LL;
    while (told >= 0 && point_us() < end) {
        told = brood_condition_wait_until(&ground->changed, &ground->lock, is_there, ground, 2 * SURVIVOR_MS);
        if (told == 0 || told == -ETIMEDOUT)
            break;
    }
    if (told != 0) {
        point_fault(scene->point, POINT_STUCK, "a sleeper gives up: %s", brood_error());
        return;
    }
    point_served(scene->point);
    ground->served++;
    ground->taken++;
    if (brood_lock_release(&ground->lock) < 0)
        point_fault(scene->point, POINT_TORN, "a sleeper does not hold the lock: %s", brood_error());
}

static void add_sleeper(struct scene *scene)
{
    pid_t pid = point_survivor(take_asleep, scene);
    scene->sleeper[scene->sleepers++] = pid;
    if (pid < 0 || !point_settle(pid))
        point_fault(scene->point, POINT_TORN, "a sleeper neither sleeps nor ends");
}

/* Puts so many items; whoever dies with the lock in hand leaves it to us to notify of the rest. */
static void put(struct scene *scene, int count, int notify)
{
    struct ground *ground = scene->ground;
    int told = brood_lock_acquire(&ground->lock, SURVIVOR_MS);
    if (told < 0) {
        point_fault(scene->point, POINT_STUCK, "the founder cannot acquire: %s", brood_error());
        return;
    }
    ground->items += count;
    if (told == BROOD_INHERITED)
        notify = BROOD_ALL;
    brood_lock_release(&ground->lock);
    if (notify && brood_condition_notify(&ground->changed, notify) < 0)
        point_fault(scene->point, POINT_TORN, "the founder cannot notify: %s", brood_error());
}

static void hold(void *context)
{
    const struct scene *scene = context;
    struct ground *ground = scene->ground;
    brood_lock_acquire(&ground->lock, BROOD_FOREVER);
    ground->items++;
    brood_condition_notify(&ground->changed, scene->act->notify);
    ground->held = 1;
    usleep((useconds_t)ground->nap_ms * 1000);
    brood_lock_release(&ground->lock);
}

/* The first sleeper carries the baton, and dies before it gets the lock. */
static void orphan(struct scene *scene)
{
    struct ground *ground = scene->ground;
    brood_lock_acquire(&ground->lock, BROOD_FOREVER);
    ground->items++;
    brood_condition_notify(&ground->changed, 1);
    usleep(1000); /* it may be another that was woken: then only one who sleeps dies */
    point_settle(scene->sleeper[0]);
    step_tracee first = { .pid = scene->sleeper[0] };
    step_kill(&first);
    scene->sleeper[0] = scene->sleeper[--scene->sleepers];
    brood_lock_release(&ground->lock);
}

/* The victim waits: others come to wait, and then there is something to take. */
static bool let_go(void *context)
{
    struct scene *scene = context;
    const struct act *act = scene->act;
    for (int i = 0; i < act->company; i++)
        add_sleeper(scene);
    if (act->orphans) {
        orphan(scene);
    } else if (act->held) {
        pid_t holder = point_child(hold, scene);
        for (int i = 0; holder > 0 && !scene->ground->held && i < SETTLE_MS; i++)
            usleep(1000);
    } else if (act->notify) {
        put(scene, act->notify == BROOD_ALL ? act->sleepers + act->company + 1 : 1, act->notify);
    }
    return true;
}

static void act_wait(struct ground *ground)
{
    if (brood_condition_wait_until(&ground->changed, &ground->lock, is_there, ground, BROOD_FOREVER) == 0)
        ground->taken++;
    brood_lock_release(&ground->lock);
}

static void act_nap(struct ground *ground)
{
    brood_condition_wait(&ground->changed, &ground->lock, ground->nap_ms);
    brood_lock_release(&ground->lock);
}

static void act_notify(struct ground *ground)
{
    brood_condition_notify(&ground->changed, 1);
}

static void act_notify_all(struct ground *ground)
{
    brood_condition_notify(&ground->changed, BROOD_ALL);
}

static void act_init(struct ground *ground)
{
    brood_condition_init(&ground->other, &(brood_name_options){ .name = "arrivals" });
}

static void act_fini(struct ground *ground)
{
    brood_condition_fini(&ground->other);
}

static void before_warm(struct ground *ground)
{
    for (int i = 0; i < 3; i++) {
        brood_lock_acquire(&ground->other_lock, 0);
        brood_condition_wait(&ground->other, &ground->other_lock, 0);
        brood_lock_release(&ground->other_lock);
        brood_condition_notify(&ground->other, 1);
    }
}

static void before_hold(struct ground *ground)
{
    before_warm(ground);
    brood_lock_acquire(&ground->lock, BROOD_FOREVER);
}

/* Notified already, with the lock in hand: the wait that follows must not take it. */
static void before_late(struct ground *ground)
{
    before_hold(ground);
    ground->items++;
    brood_condition_notify(&ground->changed, 1);
    ground->items--; /* it is gone again */
}

static void before_put(struct ground *ground)
{
    before_hold(ground);
    ground->items++;
    brood_lock_release(&ground->lock);
}

static void before_put_2(struct ground *ground)
{
    before_hold(ground);
    ground->items += 2;
    brood_lock_release(&ground->lock);
}

static void before_cold(struct ground *ground)
{
    (void)ground;
    brood_free(brood_alloc(16));
}

static void before_named(struct ground *ground)
{
    before_cold(ground);
    act_init(ground);
}

static void run_victim(void *context)
{
    struct scene *scene = context;
    scene->act->before(scene->ground);
    step_begin();
    scene->act->act(scene->ground);
    step_end();
}

static int left_over(const struct scene *scene)
{
    return scene->sleepers - scene->ground->served;
}

static bool is_over(const struct scene *scene)
{
    return scene->ground->items <= scene->ground->taken || left_over(scene) == 0;
}

/* Whether all that was put has been taken, or nobody waits for it any more. */
static bool is_done(const struct scene *scene)
{
    long long end = point_us() + SURVIVOR_MS * 1000LL;
    while (!is_over(scene) && point_us() < end)
        usleep(200);
    return is_over(scene);
}

static bool any_runs(const struct scene *scene)
{
    bool runs = false;
    for (int i = 0; i < scene->sleepers; i++) {
        char state = step_state(scene->sleeper[i]);
        runs = runs || (state != 'S' && state != 'Z' && state != 0);
    }
    return runs;
}

/* The same of a notify that may not have happened: it has not if all sleep, look after look. One that waits for a
 * processor does not sleep, and we may have to wait for one ourselves: so it is looks that count, not time. */
static bool is_told(const struct scene *scene)
{
    for (int quiet = 0; !is_over(scene) && quiet < QUIET_LOOKS; quiet++) {
        if (any_runs(scene))
            quiet = 0;
        usleep(200);
    }
    return is_over(scene);
}

static void check_sleepers(struct scene *scene)
{
    struct point *point = scene->point;
    put(scene, 0, 0); /* comes and goes, and notifies if the victim died with the lock in hand */
    point->result = scene->act->notifies ? is_told(scene) : is_done(scene);
    if (!point->result && !scene->act->notifies)
        point_fault(point, POINT_LOST, "%ld items were put, %ld taken, and somebody sleeps", scene->ground->items,
                    scene->ground->taken);
    put(scene, 0, scene->ground->items - scene->ground->taken > 1 ? BROOD_ALL : 1); /* what the victim did not say */
    bool done = is_done(scene);
    while (done && left_over(scene) > 0) {
        put(scene, 1, 1);
        done = is_done(scene);
    }
    if (!done)
        point_fault(point, POINT_LOST, "a notify after it all is lost");
    for (int i = 0; i < scene->sleepers; i++)
        point_join(point, scene->sleeper[i], "a sleeper", SURVIVOR_MS + 500);
}

static void check_end(struct scene *scene, size_t blocks)
{
    brood_heap_stats stats;
    if (brood_condition_fini(&scene->ground->changed) < 0 || brood_condition_fini(&scene->ground->other) < 0)
        point_fault(scene->point, POINT_TORN, "the condition cannot be ended: %s", brood_error());
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    else if (stats.blocks > blocks + scene->act->names || stats.blocks < blocks)
        point_fault(scene->point, POINT_LOST, "%zu blocks before, %zu after", blocks, stats.blocks);
}

/* While the victim stands still: what it waits for comes, as soon as the lock can be had. */
static void put_for_all(void *context)
{
    struct scene *scene = context;
    put(scene, scene->sleepers + 1, BROOD_ALL);
}

static void run(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    brood_heap_stats stats;
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 ||
        !(scene.ground = brood_alloc(sizeof(struct ground))) || brood_heap_stat(&stats) < 0) {
        point_fault(point, POINT_TORN, "no family: %s", brood_error());
        return;
    }
    scene.ground->nap_ms = point->record || point->inside ? LONG_HOLD_MS : HOLD_MS;
    for (int i = 0; i < scene.act->sleepers; i++)
        add_sleeper(&scene);
    if (!point_victim(point, &victim, run_victim, &scene))
        return;
    if (point_lead(point, &victim, let_go, &scene)) {
        if (point->mode == POINT_PAUSED) {
            pid_t putter = point_survivor(put_for_all, &scene);
            for (int i = 0; i < scene.sleepers; i++)
                point_settle(scene.sleeper[i]);
            point_go_on(point, &victim);
            point_join(point, putter, "one who puts", SURVIVOR_MS + 500);
        }
        point_kill(point, &victim);
        check_sleepers(&scene);
        scene.sleepers = 0; /* once more, after all that */
        scene.ground->items = scene.ground->taken;
        add_sleeper(&scene);
        put(&scene, 1, 1);
        point_join(point, scene.sleeper[0], "a newcomer", SURVIVOR_MS + 500);
        check_end(&scene, stats.blocks);
        return;
    }
    for (int i = 0; i < scene.sleepers; i++) {
        step_tracee sleeper = { .pid = scene.sleeper[i] };
        step_kill(&sleeper);
    }
}

#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

const struct operation condition_operations[] = {
    { "condition_wait", "wait that is notified, alone", run, ACT(.before = before_hold, .act = act_wait, .notify = 1),
      .modes = AWAKE_AND_PAUSED, .quick = 60, .any_result = true },
    { "condition_wait_all", "wait that is notified with two others", run,
      ACT(.before = before_hold, .act = act_wait, .company = 2, .notify = BROOD_ALL), .modes = AWAKE_AND_PAUSED,
      .quick = 150, .any_result = true },
    { "condition_wait_one", "wait that is notified, one of three", run,
      ACT(.before = before_hold, .act = act_wait, .company = 2, .notify = 1), .modes = AWAKE_AND_PAUSED, .quick = 60,
      .any_result = true },
    { "condition_carry", "wait that is notified, one of three, while the lock is held", run,
      ACT(.before = before_hold, .act = act_wait, .company = 2, .notify = 1, .held = true), .modes = AWAKE_AND_PAUSED,
      .quick = 60, .any_result = true },
    { "condition_orphan", "wait that is notified because another died so", run,
      ACT(.before = before_hold, .act = act_wait, .sleepers = 1, .company = 1, .orphans = true),
      .modes = AWAKE_AND_PAUSED, .quick = 60, .any_result = true },
    { "condition_late", "wait that begins just after two others were notified", run,
      ACT(.before = before_late, .act = act_wait, .sleepers = 2, .notify = BROOD_ALL), .modes = AWAKE_AND_PAUSED,
      .quick = 150, .any_result = true },
    { "condition_timeout", "wait that gives up, with another asleep", run,
      ACT(.before = before_hold, .act = act_nap, .company = 1), .modes = AWAKE_AND_PAUSED, .quick = 150,
      .any_result = true },
    { "condition_notify", "notify that nobody waits for", run,
      ACT(.before = before_warm, .act = act_notify, .notifies = true), .modes = AWAKE_AND_PAUSED, .quick = 60,
      .any_result = true },
    { "condition_notify_1", "notify with one asleep", run,
      ACT(.before = before_put, .act = act_notify, .sleepers = 1, .notifies = true), .modes = AWAKE_AND_PAUSED,
      .quick = 60, .last = 1, .switches = 1 },
    { "condition_notify_1of3", "notify of one of three asleep", run,
      ACT(.before = before_put, .act = act_notify, .sleepers = 3, .notifies = true), .modes = AWAKE_AND_PAUSED,
      .quick = 60, .last = 1, .switches = 1 },
    { "condition_notify_all", "notify of all, with two asleep", run,
      ACT(.before = before_put_2, .act = act_notify_all, .sleepers = 2, .notifies = true), .modes = AWAKE_AND_PAUSED,
      .quick = 60, .last = 1, .switches = 1 },
    { "condition_init", "init with a name", run, ACT(.before = before_cold, .act = act_init, .names = true),
      .modes = AWAKE_ONLY, .quick = 60, .any_result = true },
    { "condition_fini", "fini of a named condition", run, ACT(.before = before_named, .act = act_fini, .names = true),
      .modes = AWAKE_ONLY, .quick = 60, .any_result = true },
    { 0 },
};
