/* semaphore.c: brood_semaphore under the knife, plain and owned.
 *
 * Of a plain one the units are on account: what there is at the end, less what the survivors were given and plus what
 * they kept, is what the victim's operation came to, and along its path that changes as often as the operation has
 * commits. Survivors that want a unit which the victim took along are given another. Of an owned one no unit may be
 * lost, and the result is how often a survivor was told BROOD_INHERITED.
 */
#include "point.h"

#include <brood.h>
#include <stdio.h>
#include <unistd.h>

enum { SLEEPERS = 3, WATCHERS = 2, UNITS_MOST = 2, NAP_MS = 3, LONG_NAP_MS = 25, LIMIT = 1 << 20 };

/* In the region. */
struct ground {
    brood_semaphore semaphore;
    brood_semaphore other, other_owned; /* to warm up with */
    brood_event never;
    int still; /* a descriptor that cannot be read */
    int nap_ms;
    _Atomic int inside;
    _Atomic int passed;
    _Atomic int told; /* BROOD_INHERITED, so often */
};

struct act {
    void (*before)(struct ground *ground); /* the victim's preparations */
    void (*act)(struct ground *ground);
    int units;       /* at first; owned ones too */
    int watchers;    /* that wait to see a unit, before the operation begins, and take none */
    int sleepers;    /* that wait for a unit before the operation begins... */
    bool keeps;      /* ... and do not give it back */
    bool owned;      /* else plain */
    bool held;       /* by the point's process, all of them, until the victim sleeps... */
    bool held_on;    /* ... or is killed */
    bool inherited;  /* a holder has died before it begins */
    bool front_died; /* one who waited has */
    bool names;      /* it makes or ends the semaphore: a block may be lost */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t sleeper[SLEEPERS], watcher[WATCHERS];
    int sleepers, watchers;
    bool holding;
    int given; /* to the survivors, beyond what there was */
};

static int most_inside(const struct scene *scene)
{
    return scene->act->units > 0 ? scene->act->units : 1;
}

/* Takes a unit, and gives it back unless it is to be kept. */
static void pass(struct scene *scene, const char *who, bool keeps)
{
    struct ground *ground = scene->ground;
    long long began = point_us();
    int told = brood_semaphore_acquire(&ground->semaphore, SURVIVOR_MS);
    if (told < 0) {
        point_fault(scene->point, told == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "%s cannot acquire: %s", who,
                    brood_error());
        return;
    }
    point_served_since(scene->point, began);
    if (scene->act->owned && atomic_fetch_add(&ground->inside, 1) >= most_inside(scene))
        point_fault(scene->point, POINT_DOUBLED, "%s is one too many in the semaphore", who);
    atomic_fetch_add(&ground->passed, 1);
    atomic_fetch_add(&ground->told, told);
    if (scene->act->owned)
        atomic_fetch_sub(&ground->inside, 1);
    if (!keeps && brood_semaphore_release(&ground->semaphore) < 0)
        point_fault(scene->point, POINT_TORN, "%s cannot release: %s", who, brood_error());
}

static void pass_asleep(void *context)
{
    struct scene *scene = context;
    pass(scene, "a sleeper", scene->act->keeps);
}

static void pass_after(void *context)
{
    pass(context, "a newcomer", false);
}

static void add_sleeper(struct scene *scene)
{
    pid_t pid = point_survivor(pass_asleep, scene);
    scene->sleeper[scene->sleepers++] = pid;
    if (pid < 0 || !point_settle(pid))
        point_fault(scene->point, POINT_TORN, "a sleeper neither sleeps nor ends");
}

static void watch_for_unit(struct ground *ground, bool by_ring, int timeout_ms)
{
    brood_waitable items[] = { { .kind = BROOD_WAIT_SEMAPHORE, .object = &ground->semaphore },
                               { .kind = BROOD_WAIT_EVENT, .object = &ground->never },
                               { .kind = BROOD_WAIT_FD, .fd = ground->still } };
    brood_wait(items, by_ring ? 3 : 2, timeout_ms);
}

/* The first one sleeps on the word by a system call, the second by an io_uring. */
static void see_unit(void *context)
{
    struct scene *scene = context;
    long long end = point_us() + 2 * SURVIVOR_MS * 1000LL;
    while (brood_semaphore_units(&scene->ground->semaphore) == 0 && point_us() < end)
        watch_for_unit(scene->ground, scene->watchers > 1, 2 * SURVIVOR_MS);
    if (point_us() >= end)
        point_fault(scene->point, POINT_STUCK, "one who watches sees no unit");
}

static void add_watcher(struct scene *scene)
{
    pid_t pid = scene->watchers++ < WATCHERS ? point_survivor(see_unit, scene) : -1;
    scene->watcher[scene->watchers - 1] = pid;
    if (pid < 0 || !point_settle(pid))
        point_fault(scene->point, POINT_TORN, "a watcher neither sleeps nor ends");
}

static void give(struct scene *scene)
{
    if (brood_semaphore_release(&scene->ground->semaphore) < 0)
        point_fault(scene->point, POINT_TORN, "a unit cannot be given: %s", brood_error());
    else
        scene->given++;
}

static bool take_all(struct scene *scene)
{
    for (int i = 0; i < scene->act->units; i++) {
        int told = brood_semaphore_acquire(&scene->ground->semaphore, SURVIVOR_MS);
        if (told < 0) {
            point_fault(scene->point, POINT_LOST, "unit %d of %d is not to be had: %s", i + 1, scene->act->units,
                        brood_error());
            return false;
        }
        atomic_fetch_add(&scene->ground->told, told);
    }
    return true;
}

static void release_all(struct scene *scene)
{
    for (int i = 0; i < scene->act->units; i++)
        if (brood_semaphore_release(&scene->ground->semaphore) < 0)
            point_fault(scene->point, POINT_TORN, "a holder cannot release: %s", brood_error());
}

static void release_held(struct scene *scene)
{
    if (scene->holding && scene->act->owned)
        release_all(scene);
    else if (scene->holding)
        give(scene);
    scene->holding = false;
}

/* The victim waits: now its wish comes true, and who else waits has come after it. */
static bool let_go(void *context)
{
    struct scene *scene = context;
    if (scene->act->held_on)
        return true; /* its own timeout ends it */
    if (!scene->holding)
        return false;
    if (scene->point->mode != POINT_AWAKE && !scene->point->record)
        add_sleeper(scene);
    release_held(scene);
    return true;
}

static void act_acquire(struct ground *ground)
{
    brood_semaphore_acquire(&ground->semaphore, BROOD_FOREVER);
}

static void act_try(struct ground *ground)
{
    brood_semaphore_acquire(&ground->semaphore, 0);
}

static void act_nap(struct ground *ground)
{
    brood_semaphore_acquire(&ground->semaphore, ground->nap_ms);
}

static void act_release(struct ground *ground)
{
    brood_semaphore_release(&ground->semaphore);
}

static void act_release_twice(struct ground *ground)
{
    brood_semaphore_release(&ground->semaphore);
    brood_semaphore_release(&ground->semaphore);
}

static void act_section(struct ground *ground)
{
    if (brood_semaphore_acquire(&ground->semaphore, BROOD_FOREVER) >= 0)
        brood_semaphore_release(&ground->semaphore);
}

static void act_watch(struct ground *ground)
{
    watch_for_unit(ground, false, BROOD_FOREVER);
}

static void act_watch_by_ring(struct ground *ground)
{
    watch_for_unit(ground, true, BROOD_FOREVER);
}

static void act_init(struct ground *ground)
{
    brood_semaphore_init(&ground->semaphore, 1, &(brood_semaphore_options){ .name = "rooms", .max = 1 });
}

static void act_init_owned(struct ground *ground)
{
    brood_semaphore_init(&ground->semaphore, 2, &(brood_semaphore_options){ .name = "rooms", .owned = true });
}

static void act_fini(struct ground *ground)
{
    brood_semaphore_fini(&ground->semaphore);
}

static void before_warm(struct ground *ground)
{
    for (int i = 0; i < 3; i++) {
        brood_semaphore_release(&ground->other);
        brood_semaphore_acquire(&ground->other, 0);
        if (brood_semaphore_acquire(&ground->other_owned, 0) >= 0)
            brood_semaphore_release(&ground->other_owned);
    }
}

static void before_cold(struct ground *ground)
{
    (void)ground;
}

static void before_hold(struct ground *ground)
{
    before_warm(ground);
    brood_semaphore_acquire(&ground->semaphore, BROOD_FOREVER);
}

static void before_name(struct ground *ground)
{
    before_warm(ground);
    brood_free(brood_alloc(16));
    brood_free(brood_alloc(256));
}

static void before_named(struct ground *ground)
{
    before_name(ground);
    act_init(ground);
}

static void before_named_owned(struct ground *ground)
{
    before_name(ground);
    act_init_owned(ground);
}

static void run_victim(void *context)
{
    struct scene *scene = context;
    scene->act->before(scene->ground);
    step_begin();
    scene->act->act(scene->ground);
    step_end();
}

static void die_holding(void *context)
{
    struct scene *scene = context;
    brood_semaphore_acquire(&scene->ground->semaphore, BROOD_FOREVER);
    _exit(0); /* with the unit: as dead as killed, to its next holder */
}

static void wait_to_die(void *context)
{
    struct scene *scene = context;
    brood_semaphore_acquire(&scene->ground->semaphore, BROOD_FOREVER);
}

static bool kill_front(struct scene *scene)
{
    pid_t pid = point_child(wait_to_die, scene);
    step_tracee front = { .pid = pid };
    bool settled = pid > 0 && point_settle(pid);
    if (pid > 0)
        step_kill(&front);
    if (!settled)
        point_fault(scene->point, POINT_TORN, "nobody came to the front");
    return settled;
}

static bool prepare(struct scene *scene)
{
    const struct act *act = scene->act;
    brood_semaphore_options owned = { .owned = true };
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 ||
        !(scene->ground = brood_alloc(sizeof(struct ground))) ||
        brood_semaphore_init(&scene->ground->other_owned, 1, &owned) < 0) {
        point_fault(scene->point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    int ends[2], units = act->owned || !(act->held || act->held_on) ? act->units : 0;
    if (pipe(ends) < 0)
        return false;
    scene->ground->still = ends[0];
    if (!act->names && brood_semaphore_init(&scene->ground->semaphore, units, act->owned ? &owned : NULL) < 0) {
        point_fault(scene->point, POINT_TORN, "no semaphore: %s", brood_error());
        return false;
    }
    /* Long enough for a victim to be stepped, or to be found asleep; otherwise every point would wait that long. */
    scene->ground->nap_ms = scene->point->record || scene->point->inside ? LONG_NAP_MS : NAP_MS;
    if (act->inherited) {
        pid_t pid = point_child(die_holding, scene);
        if (pid < 0 || !point_join(scene->point, pid, "the first holder", SETTLE_MS))
            return false;
    }
    if (act->held || act->held_on)
        scene->holding = !act->owned || take_all(scene);
    atomic_store(&scene->ground->told, 0); /* whatever the point's process itself was told */
    return !act->front_died || kill_front(scene);
}

/* Whether some sleeper is left that could take a unit, if there were one: all sleep, or have ended. */
static bool starves(struct scene *scene)
{
    bool alive = false;
    for (int i = 0; i < scene->sleepers; i++) {
        point_settle(scene->sleeper[i]);
        char state = step_state(scene->sleeper[i]);
        alive = alive || (state != 0 && state != 'Z');
    }
    return alive && brood_semaphore_units(&scene->ground->semaphore) == 0;
}

/* Gives the sleepers of a plain one what they lack, since the victim may have taken it along. */
static void feed(struct scene *scene)
{
    for (int i = 0; i < SLEEPERS && starves(scene); i++)
        give(scene);
}

static void feed_one(struct scene *scene)
{
    if (!scene->act->owned && brood_semaphore_units(&scene->ground->semaphore) == 0)
        give(scene);
}

/* What it comes to: the victim's part of the account, or how often its death was told. */
static int account(struct scene *scene)
{
    if (scene->act->owned) {
        if (take_all(scene) && brood_semaphore_acquire(&scene->ground->semaphore, 0) != -ETIMEDOUT)
            point_fault(scene->point, POINT_DOUBLED, "there are more units than there were");
        release_all(scene);
        return atomic_load(&scene->ground->told);
    }
    int first = scene->act->held || scene->act->held_on ? 0 : scene->act->units;
    int kept = scene->act->keeps ? atomic_load(&scene->ground->passed) - 2 : 0; /* newcomer and founder keep none */
    int part = brood_semaphore_units(&scene->ground->semaphore) - first - scene->given + kept;
    const struct operation *operation = scene->point->operation;
    int least = operation->any_result || operation->switches > 1 ? -1 : 0, most = 0; /* it took one, or a section did */
    least = operation->last < least ? operation->last : least;
    most = operation->last > most ? operation->last : most;
    if (scene->point->mode == POINT_PAUSED && !operation->any_result)
        least = most = operation->last; /* it has ended well */
    if (part < least || part > most)
        point_fault(scene->point, part < least ? POINT_LOST : POINT_DOUBLED,
                    "the victim's part is %d units, not %d to %d", part, least, most);
    return part;
}

static void check_passing(struct scene *scene)
{
    if (!scene->act->owned)
        feed(scene);
    for (int i = 0; i < scene->sleepers; i++)
        point_join(scene->point, scene->sleeper[i], "a sleeper", SURVIVOR_MS + 500);
    feed_one(scene);
    pid_t newcomer = point_survivor(pass_after, scene);
    if (newcomer > 0)
        point_join(scene->point, newcomer, "a newcomer", SURVIVOR_MS + 500);
    feed_one(scene);
    pass(scene, "the founder", false);
    for (int i = 0; i < scene->watchers; i++)
        point_join(scene->point, scene->watcher[i], "a watcher", 2 * SURVIVOR_MS + 500);
    if (scene->ground->passed != scene->sleepers + 2)
        point_fault(scene->point, POINT_LOST, "%d passed of %d", scene->ground->passed, scene->sleepers + 2);
    scene->point->result = account(scene);
}

/* Whatever it is now, it must end as memory, with at most one block lost, and serve again. */
static void check_end(struct scene *scene, size_t blocks)
{
    brood_semaphore *semaphore = &scene->ground->semaphore;
    brood_heap_stats stats;
    if (brood_semaphore_fini(semaphore) < 0)
        point_fault(scene->point, POINT_TORN, "the semaphore cannot be ended: %s", brood_error());
    for (int i = 0; i < 8; i++)
        if (semaphore->opaque[i])
            point_fault(scene->point, POINT_TORN, "it left something behind in its memory");
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    else if (stats.blocks > blocks + 1 || stats.blocks < blocks)
        point_fault(scene->point, POINT_LOST, "%zu blocks before, %zu after", blocks, stats.blocks);
    act_init_owned(scene->ground);
    if (brood_semaphore_acquire(semaphore, 0) < 0 || brood_semaphore_release(semaphore) < 0 ||
        brood_semaphore_fini(semaphore) < 0)
        point_fault(scene->point, POINT_TORN, "it does not serve again: %s", brood_error());
}

static void run(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    brood_heap_stats stats;
    if (!prepare(&scene) || brood_heap_stat(&stats) < 0 || !point_victim(point, &victim, run_victim, &scene))
        return;
    for (int i = 0; i < scene.act->watchers; i++)
        add_watcher(&scene);
    for (int i = 0; i < scene.act->sleepers; i++)
        add_sleeper(&scene);
    if (point_lead(point, &victim, let_go, &scene)) {
        if (point->mode != POINT_AWAKE && scene.sleepers == scene.act->sleepers)
            add_sleeper(&scene);
        if (point->mode == POINT_PAUSED) {
            release_held(&scene);
            point_go_on(point, &victim);
        }
        point_kill(point, &victim);
        release_held(&scene);
        if (scene.act->names)
            check_end(&scene, stats.blocks);
        else
            check_passing(&scene);
        return;
    }
    for (int i = 0; i < scene.sleepers + scene.watchers; i++) {
        step_tracee left = { .pid = i < scene.sleepers ? scene.sleeper[i] : scene.watcher[i - scene.sleepers] };
        step_kill(&left);
    }
}

#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

const struct operation semaphore_operations[] = {
    { "semaphore_acquire", "acquire of a free unit", run, ACT(.before = before_warm, .act = act_acquire, .units = 1),
      .modes = ALL_MODES, .last = -1, .switches = 1 },
    { "semaphore_acquire_first", "a process' first acquire", run,
      ACT(.before = before_cold, .act = act_acquire, .units = 1), .modes = ALL_MODES, .last = -1, .switches = 1 },
    { "semaphore_release", "release that nobody waits for", run, ACT(.before = before_warm, .act = act_release),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "semaphore_release_1", "release with one asleep", run,
      ACT(.before = before_warm, .act = act_release, .sleepers = 1), .modes = ALL_MODES, .quick = 60, .last = 1,
      .switches = 1 },
    { "semaphore_release_2", "two releases, and two asleep for good", run,
      ACT(.before = before_warm, .act = act_release_twice, .sleepers = 2, .keeps = true), .modes = ALL_MODES, .last = 2,
      .switches = 2 },
    { "semaphore_release_seen", "release with one asleep, behind two who only watch", run,
      ACT(.before = before_warm, .act = act_release, .watchers = 2, .sleepers = 1), .modes = ALL_MODES, .quick = 60,
      .last = 1, .switches = 1 },
    { "semaphore_watch", "wait for a unit or an event, that is woken and takes neither", run,
      ACT(.before = before_warm, .act = act_watch, .units = 1, .held = true), .modes = ALL_MODES, .quick = 90 },
    { "semaphore_watch_ring", "the same, or a descriptor", run,
      ACT(.before = before_warm, .act = act_watch_by_ring, .units = 1, .held = true), .modes = ALL_MODES, .quick = 90 },
    { "semaphore_section", "acquire and release", run, ACT(.before = before_warm, .act = act_section, .units = 1),
      .modes = ALL_MODES, .switches = 2 },
    { "semaphore_wait", "acquire that sleeps and is woken", run,
      ACT(.before = before_warm, .act = act_acquire, .units = 1, .held = true), .modes = ALL_MODES, .quick = 60,
      .last = -1, .switches = 1 },
    /* Those in a line: who is before the victim may be slow to give back, and the victim then looks once more. */
    { "semaphore_line", "the same, behind another", run,
      ACT(.before = before_warm, .act = act_acquire, .units = 1, .held = true, .sleepers = 1), .modes = ALL_MODES,
      .any_result = true },
    { "semaphore_timeout", "acquire that sleeps and gives up", run,
      ACT(.before = before_warm, .act = act_nap, .units = 1, .held_on = true), .modes = ALL_MODES, .quick = 150,
      .any_result = true },
    { "semaphore_try", "acquire where there is none, timeout 0", run,
      ACT(.before = before_warm, .act = act_try, .units = 1, .held_on = true), .modes = ALL_MODES, .quick = 150,
      .any_result = true },
    { "semaphore_init", "init with a name", run, ACT(.before = before_name, .act = act_init, .names = true),
      .modes = AWAKE_ONLY },
    { "semaphore_fini", "fini of a named one", run, ACT(.before = before_named, .act = act_fini, .names = true),
      .modes = AWAKE_ONLY },
    { "semaphore_owned_acquire", "acquire of a free unit that is then held", run,
      ACT(.before = before_warm, .act = act_acquire, .units = 1, .owned = true), .modes = ALL_MODES, .last = 1,
      .switches = 1 },
    { "semaphore_owned_2", "the same, of two", run,
      ACT(.before = before_warm, .act = act_acquire, .units = 2, .owned = true), .modes = ALL_MODES, .last = 1,
      .switches = 1 },
    { "semaphore_owned_release", "release of a held unit", run,
      ACT(.before = before_hold, .act = act_release, .units = 1, .owned = true), .modes = ALL_MODES, .first = 1,
      .switches = 1 },
    { "semaphore_owned_rel_1", "the same, with the front of the line asleep", run,
      ACT(.before = before_hold, .act = act_release, .units = 1, .owned = true, .sleepers = 1), .modes = ALL_MODES,
      .quick = 60, .first = 1, .switches = 1 },
    { "semaphore_owned_rel_2", "the same, with one behind it", run,
      ACT(.before = before_hold, .act = act_release, .units = 1, .owned = true, .sleepers = 2), .modes = ALL_MODES,
      .first = 1, .switches = 1 },
    { "semaphore_owned_section", "acquire and release", run,
      ACT(.before = before_warm, .act = act_section, .units = 1, .owned = true), .modes = ALL_MODES, .switches = 2 },
    { "semaphore_owned_inherit", "acquire from a dead holder", run,
      ACT(.before = before_warm, .act = act_acquire, .units = 1, .owned = true, .inherited = true), .modes = ALL_MODES,
      .first = 1, .last = 1 },
    { "semaphore_owned_mend", "release of what was inherited", run,
      ACT(.before = before_hold, .act = act_release, .units = 1, .owned = true, .inherited = true), .modes = ALL_MODES,
      .first = 1, .switches = 1 },
    { "semaphore_owned_front", "acquire at the front of the line, of two units", run,
      ACT(.before = before_warm, .act = act_acquire, .units = 2, .owned = true, .held = true), .modes = ALL_MODES,
      .quick = 60, .last = 1, .switches = 1 },
    { "semaphore_owned_line", "acquire behind the front", run,
      ACT(.before = before_warm, .act = act_acquire, .units = 1, .owned = true, .held = true, .sleepers = 1),
      .modes = ALL_MODES, .any_result = true },
    { "semaphore_owned_heir", "acquire at the front, whose last one died there", run,
      ACT(.before = before_warm, .act = act_acquire, .units = 1, .owned = true, .held = true, .front_died = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "semaphore_owned_nap", "acquire at the front that gives up", run,
      ACT(.before = before_warm, .act = act_nap, .units = 1, .owned = true, .held_on = true), .modes = ALL_MODES,
      .quick = 150, .any_result = true },
    { "semaphore_owned_init", "init of an owned one", run,
      ACT(.before = before_name, .act = act_init_owned, .names = true), .modes = AWAKE_ONLY },
    { "semaphore_owned_fini", "fini of an owned one", run,
      ACT(.before = before_named_owned, .act = act_fini, .names = true), .modes = AWAKE_ONLY },
    { 0 },
};
