/* event.c: brood_event under the knife.
 *
 * A set with sleepers is one step: after a death in it all of them are released, or none is and it is not set. The
 * result is whether it is set; then the survivors are released by whoever sets it next.
 */
#include "point.h"

#include <brood.h>
#include <stdio.h>
#include <unistd.h>

enum { SLEEPERS = 4, NAP_MS = 3, LONG_NAP_MS = 25, LIMIT = 1 << 20 };

/* In the region. */
struct ground {
    brood_event event;
    brood_event other; /* to warm up with */
    int nap_ms;
};

struct act {
    void (*before)(struct ground *ground); /* the victim's preparations */
    void (*act)(struct ground *ground);
    int sleepers;      /* that wait for the event before the operation begins */
    bool is_set;       /* before it begins */
    bool waits;        /* until the point's process sets it, when the victim sleeps... */
    bool waits_vainly; /* ... or is killed */
    bool names;        /* it makes or frees a name: a block may be lost */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t sleeper[SLEEPERS];
    int sleepers;
    bool set; /* by the point's process */
};

static void await(struct scene *scene, const char *who)
{
    long long began = point_us();
    int waited = brood_event_wait(&scene->ground->event, SURVIVOR_MS);
    if (waited < 0)
        point_fault(scene->point, waited == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "%s was not released: %s", who,
                    brood_error());
    else
        point_served_since(scene->point, began);
}

static void await_asleep(void *context)
{
    await(context, "a sleeper");
}

static void await_after(void *context)
{
    await(context, "a newcomer");
}

static void add_sleeper(struct scene *scene)
{
    pid_t pid = point_survivor(await_asleep, scene);
    scene->sleeper[scene->sleepers++] = pid;
    if (pid < 0 || !point_settle(pid))
        point_fault(scene->point, POINT_TORN, "a sleeper neither sleeps nor ends");
}

static void set(struct scene *scene)
{
    scene->set = true;
    if (brood_event_set(&scene->ground->event) < 0)
        point_fault(scene->point, POINT_TORN, "it cannot be set: %s", brood_error());
}

/* The victim waits: now its wish comes true, and who else waits has come after it. */
static bool let_go(void *context)
{
    struct scene *scene = context;
    if (scene->act->waits_vainly)
        return true; /* its own timeout ends it */
    if (!scene->act->waits || scene->set)
        return false;
    if (scene->point->mode != POINT_AWAKE && !scene->point->record)
        add_sleeper(scene);
    set(scene);
    return true;
}

static void act_set(struct ground *ground)
{
    brood_event_set(&ground->event);
}

static void act_clear(struct ground *ground)
{
    brood_event_clear(&ground->event);
}

static void act_pulse(struct ground *ground)
{
    brood_event_set(&ground->event);
    brood_event_clear(&ground->event);
}

static void act_wait(struct ground *ground)
{
    brood_event_wait(&ground->event, BROOD_FOREVER);
}

static void act_nap(struct ground *ground)
{
    brood_event_wait(&ground->event, ground->nap_ms);
}

static void act_init(struct ground *ground)
{
    brood_event_init(&ground->event, &(brood_name_options){ .name = "ready" });
}

static void act_fini(struct ground *ground)
{
    brood_event_fini(&ground->event);
}

static void before_warm(struct ground *ground)
{
    for (int i = 0; i < 3; i++) {
        brood_event_set(&ground->other);
        brood_event_wait(&ground->other, 0);
        brood_event_clear(&ground->other);
    }
    brood_event_wait(&ground->other, 1);
}

static void before_name(struct ground *ground)
{
    before_warm(ground);
    brood_free(brood_alloc(16));
}

static void before_named(struct ground *ground)
{
    before_name(ground);
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

static bool prepare(struct scene *scene)
{
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 ||
        !(scene->ground = brood_alloc(sizeof(struct ground)))) {
        point_fault(scene->point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    /* Long enough for a victim to be stepped, or to be found asleep; otherwise every point would wait that long. */
    scene->ground->nap_ms = scene->point->record || scene->point->inside ? LONG_NAP_MS : NAP_MS;
    if (scene->act->is_set && brood_event_set(&scene->ground->event) < 0)
        point_fault(scene->point, POINT_TORN, "it cannot be set: %s", brood_error());
    return true;
}

/* Those who slept before the operation began sleep still, or have ended: all of them. How many have ended. */
static int count_released(struct scene *scene, int count)
{
    int released = 0;
    for (int i = 0; i < count; i++) {
        point_settle(scene->sleeper[i]);
        char state = step_state(scene->sleeper[i]);
        released += state == 0 || state == 'Z';
    }
    return released;
}

static void check_release(struct scene *scene)
{
    int before = scene->act->sleepers;
    bool is_set = brood_event_wait(&scene->ground->event, 0) == 0;
    int released = count_released(scene, before);
    if (released != 0 && released != before)
        point_fault(scene->point, POINT_LOST, "%d of %d who slept were released", released, before);
    if (is_set && released != before)
        point_fault(scene->point, POINT_STUCK, "it is set, and %d sleep on", before - released);
    if (scene->point->mode == POINT_PAUSED && !scene->act->waits && !scene->act->waits_vainly && released != before)
        point_fault(scene->point, POINT_STUCK, "it was set, and %d sleep on", before - released);
    scene->point->result = is_set;
    set(scene);
    for (int i = 0; i < scene->sleepers; i++)
        point_join(scene->point, scene->sleeper[i], "a sleeper", SURVIVOR_MS + 500);
    pid_t newcomer = point_survivor(await_after, scene);
    if (newcomer > 0)
        point_join(scene->point, newcomer, "a newcomer", SURVIVOR_MS + 500);
    if (brood_event_clear(&scene->ground->event) < 0 || brood_event_wait(&scene->ground->event, 0) != -ETIMEDOUT)
        point_fault(scene->point, POINT_TORN, "it cannot be cleared: %s", brood_error());
}

/* Whatever it is now, it must end as memory, with at most its name lost. */
static void check_end(struct scene *scene, size_t blocks)
{
    brood_heap_stats stats;
    if (brood_event_fini(&scene->ground->event) < 0)
        point_fault(scene->point, POINT_TORN, "the event cannot be ended: %s", brood_error());
    for (int i = 0; i < 8; i++)
        if (scene->ground->event.opaque[i])
            point_fault(scene->point, POINT_TORN, "it left something behind in its memory");
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    else if (stats.blocks > blocks + 1 || stats.blocks < blocks)
        point_fault(scene->point, POINT_LOST, "%zu blocks before, %zu after", blocks, stats.blocks);
}

static void run(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    brood_heap_stats stats;
    if (!prepare(&scene) || brood_heap_stat(&stats) < 0 || !point_victim(point, &victim, run_victim, &scene))
        return;
    for (int i = 0; i < scene.act->sleepers; i++)
        add_sleeper(&scene);
    if (point_lead(point, &victim, let_go, &scene)) {
        if (point->mode != POINT_AWAKE && scene.sleepers == scene.act->sleepers)
            add_sleeper(&scene);
        if (point->mode == POINT_PAUSED) {
            if (scene.act->waits && !scene.set)
                set(&scene);
            point_go_on(point, &victim);
        }
        point_kill(point, &victim);
        if (scene.act->names)
            check_end(&scene, stats.blocks);
        check_release(&scene);
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

const struct operation event_operations[] = {
    { "event_set", "set that nobody waits for", run, ACT(.before = before_warm, .act = act_set), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "event_set_2", "set with two asleep", run, ACT(.before = before_warm, .act = act_set, .sleepers = 2),
      .modes = ALL_MODES, .whole = true, .last = 1, .switches = 1 },
    { "event_set_again", "set of one that is set", run, ACT(.before = before_warm, .act = act_set, .is_set = true),
      .modes = ALL_MODES, .first = 1, .last = 1 },
    { "event_clear", "clear of one that is set", run, ACT(.before = before_warm, .act = act_clear, .is_set = true),
      .modes = ALL_MODES, .first = 1, .switches = 1 },
    { "event_pulse", "set and clear with three asleep", run,
      ACT(.before = before_warm, .act = act_pulse, .sleepers = 3), .modes = ALL_MODES, .whole = true, .switches = 2 },
    { "event_wait", "wait that sleeps and is released", run,
      ACT(.before = before_warm, .act = act_wait, .sleepers = 1, .waits = true), .modes = ALL_MODES, .last = 1,
      .switches = 1 },
    { "event_timeout", "wait that sleeps and gives up", run,
      ACT(.before = before_warm, .act = act_nap, .sleepers = 1, .waits_vainly = true), .modes = ALL_MODES,
      .quick = 150 },
    { "event_init", "init with a name", run, ACT(.before = before_name, .act = act_init, .names = true),
      .modes = AWAKE_ONLY },
    { "event_fini", "fini of a named one", run, ACT(.before = before_named, .act = act_fini, .names = true),
      .modes = AWAKE_ONLY },
    { 0 },
};
