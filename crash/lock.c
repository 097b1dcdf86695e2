/* lock.c: brood_lock under the knife.
 *
 * The lock guards two counters that only a holder may find unequal, and only if it was told BROOD_INHERITED. What the
 * first survivor is told also says when the operation became true: along the path it changes once (an acquire: from
 * "free" to "inherited"; a release: back), so a kill that gets the wrong answer stands out.
 */
#include "point.h"

#include <brood.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the lock's first word, see wait/latch.h: that there are turns, and sleepers. */
#define TURNS (UINT64_C(63) << 58 | UINT64_C(1) << 31)

enum { SLEEPERS = 3, RESULTS = 16, NAP_MS = 3, LONG_NAP_MS = 25, LIMIT = 1 << 20 };

/* In the region. */
struct ground {
    brood_lock lock;
    brood_lock other; /* to warm up with */
    int nap_ms;
    long first, second;
    _Atomic int inside;
    _Atomic int passed;
    int result[RESULTS]; /* what each who passed was told, in their order; written by the holder */
};

struct act {
    void (*before)(struct ground *ground); /* the victim's preparations */
    void (*act)(struct ground *ground);
    int sleepers;   /* that wait for the lock before the operation begins */
    bool inherited; /* a holder has died before it begins */
    bool held;      /* by the point's process, until the victim sleeps... */
    bool held_on;   /* ... or is killed */
    bool recursive; /* a dead holder, too, had taken it more than once */
    bool asked;     /* somebody has asked for his turn, and may be dead */
    bool names;     /* it makes or frees a name: a block may be lost, and the lock may be none any more */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t sleeper[SLEEPERS];
    int sleepers;
    bool holding;
};

/* Through the lock once, as everyone who survives must be able to. */
static void pass(struct scene *scene, const char *who)
{
    struct ground *ground = scene->ground;
    long long began = point_us();
    int told = brood_lock_acquire(&ground->lock, SURVIVOR_MS);
    if (told < 0) {
        point_fault(scene->point, told == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "%s cannot acquire: %s", who,
                    brood_error());
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
    if (brood_lock_release(&ground->lock) < 0)
        point_fault(scene->point, POINT_TORN, "%s cannot release: %s", who, brood_error());
    else if (scene->act->recursive && brood_lock_holder(&ground->lock) == getpid())
        point_fault(scene->point, POINT_TORN, "%s holds it still: it has a dead holder's depth", who);
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

/* The victim waits: now its wish comes true, and who else waits has come after it. */
static bool let_go(void *context)
{
    struct scene *scene = context;
    if (scene->act->held_on || (scene->act->asked && !scene->act->held))
        return true; /* its own timeout ends it */
    if (!scene->holding)
        return false;
    if (scene->point->mode != POINT_AWAKE && !scene->point->record)
        add_sleeper(scene);
    scene->holding = false;
    return brood_lock_release(&scene->ground->lock) == 0;
}

static void act_acquire(struct ground *ground)
{
    brood_lock_acquire(&ground->lock, BROOD_FOREVER);
}

static void act_try(struct ground *ground)
{
    brood_lock_acquire(&ground->lock, 0);
}

static void act_nap(struct ground *ground)
{
    brood_lock_acquire(&ground->lock, ground->nap_ms);
}

static void act_release(struct ground *ground)
{
    brood_lock_release(&ground->lock);
}

static void act_abandon(struct ground *ground)
{
    brood_lock_abandon(&ground->lock);
}

static void act_section(struct ground *ground)
{
    if (brood_lock_acquire(&ground->lock, BROOD_FOREVER) < 0)
        return;
    ground->first++;
    __asm__ volatile("" ::: "memory"); /* the two must be two stores */
    ground->second++;
    brood_lock_release(&ground->lock);
}

static void act_init(struct ground *ground)
{
    brood_lock_init(&ground->lock, &(brood_lock_options){ .name = "accounts" });
}

static void act_init_recursive(struct ground *ground)
{
    brood_lock_init(&ground->lock, &(brood_lock_options){ .name = "accounts", .recursive = true });
}

static void act_fini(struct ground *ground)
{
    brood_lock_fini(&ground->lock);
}

static void before_warm(struct ground *ground)
{
    for (int i = 0; i < 3; i++)
        if (brood_lock_acquire(&ground->other, 0) >= 0)
            brood_lock_release(&ground->other);
}

static void before_cold(struct ground *ground)
{
    (void)ground;
}

static void before_hold(struct ground *ground)
{
    before_warm(ground);
    brood_lock_acquire(&ground->lock, BROOD_FOREVER);
}

static void before_depth(struct ground *ground)
{
    before_hold(ground);
    brood_lock_acquire(&ground->lock, 0);
    brood_lock_acquire(&ground->lock, 0);
}

static void before_last(struct ground *ground)
{
    before_depth(ground);
    brood_lock_release(&ground->lock);
    brood_lock_release(&ground->lock);
}

static void before_used(struct ground *ground)
{
    before_hold(ground);
    brood_lock_release(&ground->lock);
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
    if (scene->act->asked)
        __atomic_fetch_or(&scene->ground->lock.opaque[0], TURNS, __ATOMIC_SEQ_CST);
    step_begin();
    scene->act->act(scene->ground);
    step_end();
}

static void die_holding(void *context)
{
    struct scene *scene = context;
    for (int i = 0; i < (scene->act->recursive ? 3 : 1); i++)
        brood_lock_acquire(&scene->ground->lock, BROOD_FOREVER);
    _exit(0); /* with the lock: as dead as killed, to its next holder */
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
    const brood_lock_options options = { .recursive = true };
    if (scene->act->recursive && brood_lock_init(&scene->ground->lock, &options) < 0)
        point_fault(scene->point, POINT_TORN, "no recursive lock: %s", brood_error());
    if (scene->act->inherited) {
        pid_t pid = point_child(die_holding, scene);
        if (pid < 0 || !point_join(scene->point, pid, "the first holder", SETTLE_MS))
            return false;
    }
    if (scene->act->held || scene->act->held_on) {
        scene->holding = brood_lock_acquire(&scene->ground->lock, 0) == 0;
        if (!scene->holding)
            point_fault(scene->point, POINT_TORN, "the lock is not free: %s", brood_error());
    }
    return true;
}

/* The lock may be one, or zeroed memory, but it must end as memory, with at most its name lost. */
static void check_end(struct scene *scene, size_t blocks)
{
    brood_heap_stats stats;
    if (brood_lock_fini(&scene->ground->lock) < 0)
        point_fault(scene->point, POINT_TORN, "the lock cannot be ended: %s", brood_error());
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    else if (stats.blocks > blocks + 1 || stats.blocks < blocks)
        point_fault(scene->point, POINT_LOST, "%zu blocks before, %zu after", blocks, stats.blocks);
}

static void release_held(struct scene *scene)
{
    if (scene->holding && brood_lock_release(&scene->ground->lock) < 0)
        point_fault(scene->point, POINT_TORN, "the holder cannot release: %s", brood_error());
    scene->holding = false;
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
            release_held(&scene);
            point_go_on(point, &victim);
        }
        point_kill(point, &victim);
        release_held(&scene);
        for (int i = 0; i < scene.sleepers; i++)
            point_join(point, scene.sleeper[i], "a sleeper", SURVIVOR_MS + 500);
        pid_t newcomer = point_survivor(pass_after, &scene);
        if (newcomer > 0)
            point_join(point, newcomer, "a newcomer", SURVIVOR_MS + 500);
        pass(&scene, "the founder");
        if (scene.act->names)
            check_end(&scene, stats.blocks);
        point->result = scene.ground->result[0];
        if (scene.ground->passed != scene.sleepers + 2)
            point_fault(point, POINT_LOST, "%d passed of %d", scene.ground->passed, scene.sleepers + 2);
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

const struct operation lock_operations[] = {
    { "lock_acquire", "acquire of a free lock", run, ACT(.before = before_warm, .act = act_acquire), .modes = ALL_MODES,
      .whole = true, .last = 1, .switches = 1 },
    { "lock_acquire_first", "a process' first acquire: it enters the family's table", run,
      ACT(.before = before_cold, .act = act_acquire), .modes = ALL_MODES, .whole = true, .last = 1, .switches = 1 },
    { "lock_release", "release that nobody waits for", run, ACT(.before = before_hold, .act = act_release),
      .modes = ALL_MODES, .whole = true, .first = 1, .switches = 1 },
    { "lock_release_1", "release with one asleep", run, ACT(.before = before_hold, .act = act_release, .sleepers = 1),
      .modes = ALL_MODES, .whole = true, .first = 1, .switches = 1 },
    { "lock_release_2", "release with two asleep", run, ACT(.before = before_hold, .act = act_release, .sleepers = 2),
      .modes = ALL_MODES, .whole = true, .first = 1, .switches = 1 },
    { "lock_section", "acquire, change what is guarded, release", run, ACT(.before = before_warm, .act = act_section),
      .modes = ALL_MODES, .whole = true, .switches = 2 },
    { "lock_inherit", "acquire from a dead holder", run,
      ACT(.before = before_warm, .act = act_acquire, .inherited = true), .modes = ALL_MODES, .whole = true, .first = 1,
      .last = 1 },
    { "lock_mend", "release of what was inherited", run,
      ACT(.before = before_hold, .act = act_release, .inherited = true), .modes = ALL_MODES, .whole = true, .first = 1,
      .switches = 1 },
    { "lock_wait", "acquire that sleeps and is woken", run,
      ACT(.before = before_warm, .act = act_acquire, .held = true), .modes = ALL_MODES, .whole = true, .last = 1,
      .switches = 1 },
    { "lock_turn", "acquire of a free lock that was asked for by a dead one", run,
      ACT(.before = before_used, .act = act_acquire, .asked = true), .modes = ALL_MODES, .quick = 150, .last = 1,
      .switches = 1 },
    { "lock_turn_wait", "acquire that sleeps, when a dead one has asked for its turn", run,
      ACT(.before = before_warm, .act = act_acquire, .held = true, .asked = true), .modes = ALL_MODES, .whole = true,
      .last = 1, .switches = 1 },
    { "lock_turn_release_2", "release with two asleep, one of whom has asked for its turn", run,
      ACT(.before = before_hold, .act = act_release, .sleepers = 2, .asked = true), .modes = ALL_MODES, .whole = true,
      .first = 1, .switches = 1 },
    { "lock_timeout", "acquire that sleeps and gives up", run,
      ACT(.before = before_warm, .act = act_nap, .held_on = true), .modes = ALL_MODES, .quick = 150 },
    { "lock_try", "acquire of a held lock, timeout 0", run, ACT(.before = before_warm, .act = act_try, .held_on = true),
      .modes = ALL_MODES, .quick = 150 },
    { "lock_abandon", "abandon that nobody waits for", run, ACT(.before = before_hold, .act = act_abandon),
      .modes = ALL_MODES, .whole = true, .first = 1, .last = 1 },
    { "lock_abandon_2", "abandon with two asleep", run, ACT(.before = before_hold, .act = act_abandon, .sleepers = 2),
      .modes = ALL_MODES, .whole = true, .first = 1, .last = 1 },
    { "lock_again", "acquire of a recursive lock by its holder", run,
      ACT(.before = before_hold, .act = act_acquire, .recursive = true), .modes = ALL_MODES, .whole = true, .first = 1,
      .last = 1 },
    { "lock_again_release", "release of one of three", run,
      ACT(.before = before_depth, .act = act_release, .recursive = true), .modes = ALL_MODES, .whole = true, .first = 1,
      .last = 1 },
    { "lock_again_last", "release of the last of three, with two asleep", run,
      ACT(.before = before_last, .act = act_release, .sleepers = 2, .recursive = true), .modes = ALL_MODES,
      .whole = true, .first = 1, .switches = 1 },
    { "lock_again_abandon", "abandon of all three, with two asleep", run,
      ACT(.before = before_depth, .act = act_abandon, .sleepers = 2, .recursive = true), .modes = ALL_MODES,
      .whole = true, .first = 1, .last = 1 },
    { "lock_again_inherit", "acquire from a holder who died in the depth", run,
      ACT(.before = before_warm, .act = act_acquire, .inherited = true, .recursive = true), .modes = ALL_MODES,
      .quick = 150, .first = 1, .last = 1 },
    { "lock_again_mend", "release of what was inherited from the depth", run,
      ACT(.before = before_hold, .act = act_release, .inherited = true, .recursive = true), .modes = ALL_MODES,
      .whole = true, .first = 1, .switches = 1 },
    { "lock_init_recursive", "init of a recursive one with a name", run,
      ACT(.before = before_name, .act = act_init_recursive, .names = true), .modes = AWAKE_ONLY, .whole = true },
    { "lock_init", "init with a name", run, ACT(.before = before_name, .act = act_init, .names = true),
      .modes = AWAKE_ONLY, .whole = true },
    { "lock_fini", "fini of a named lock", run, ACT(.before = before_named, .act = act_fini, .names = true),
      .modes = AWAKE_ONLY, .whole = true, .switches = 2 },
    { 0 },
};
