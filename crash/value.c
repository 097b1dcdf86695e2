/* value.c: brood_value under the knife.
 *
 * A struct that is stored must be found whole, the old one or the new one, and its store is nobody's news; what its
 * user changes by the pointer is, if it is half done. Numbers have changed or not. What the first survivor sees says
 * when the operation became true: along the path it changes once.
 */
#include "point.h"

#include <brood.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLEEPERS = 3, RESULTS = 16, LIMIT = 1 << 20, PAGE = 4096 };

struct small {
    long part[65];
};

struct large {
    long part[3 * PAGE / sizeof(long)]; /* one whole page at least is its alone */
};

/* In the region. */
struct ground {
    brood_value *small, *large, *count, *sum;
    brood_value *other; /* to warm up with */
    brood_value *made;  /* by the victim, if it comes so far */
    _Atomic int inside;
    _Atomic int passed;
    int result[RESULTS]; /* what each who passed saw, in their order */
};

struct scene;

struct act {
    void (*act)(struct ground *ground);
    int (*look)(struct scene *scene, int told); /* with the lock of `value`, which said `told` */
    size_t value;                               /* where in the ground it stands */
    int sleepers;                               /* that wait for the lock before the operation begins */
    bool holds;                                 /* the victim, from before it begins */
    bool held;                                  /* by the point's process, until the victim sleeps */
    void (*dead)(void *scene);                  /* another has died so before it begins */
    bool blocks;                                /* it makes or ends a value */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t sleeper[SLEEPERS];
    int sleepers;
    bool holding;
};

static brood_value *value_of(const struct scene *scene)
{
    return *(brood_value **)(void *)((char *)scene->ground + scene->act->value);
}

/* ---- who survives ---- */

static void pass(struct scene *scene, const char *who)
{
    struct ground *ground = scene->ground;
    int told = brood_value_acquire(value_of(scene), SURVIVOR_MS);
    if (told < 0) {
        point_fault(scene->point, told == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "%s cannot acquire: %s", who,
                    brood_error());
        return;
    }
    point_served(scene->point);
    if (atomic_fetch_add(&ground->inside, 1) != 0)
        point_fault(scene->point, POINT_DOUBLED, "%s is not alone in the lock", who);
    int passed = atomic_fetch_add(&ground->passed, 1);
    int result = scene->act->look(scene, told);
    if (passed < RESULTS)
        ground->result[passed] = result;
    atomic_fetch_sub(&ground->inside, 1);
    if (brood_value_release(value_of(scene)) < 0)
        point_fault(scene->point, POINT_TORN, "%s cannot release: %s", who, brood_error());
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

/* All parts are the same, and nobody was told. */
static int look_whole(struct scene *scene, const long *part, size_t count, int told)
{
    for (size_t i = 1; i < count; i++)
        if (part[i] != part[0]) {
            point_fault(scene->point, POINT_TORN, "part 0 is %ld, part %zu is %ld", part[0], i, part[i]);
            break;
        }
    if (told)
        point_fault(scene->point, POINT_TORN, "told, and there is nothing to mend");
    return (int)part[0];
}

static int look_small(struct scene *scene, int told)
{
    const struct small *small = brood_value_at(scene->ground->small);
    return look_whole(scene, small->part, 65, told);
}

static int look_large(struct scene *scene, int told)
{
    const struct large *large = brood_value_at(scene->ground->large);
    return look_whole(scene, large->part, sizeof large->part / sizeof(long), told);
}

/* The same, by one who may be told, since the victim may have died holding. */
static int look_large_held(struct scene *scene, int told)
{
    look_large(scene, 0);
    return told;
}

static int look_count(struct scene *scene, int told)
{
    (void)told;
    return *(int *)brood_value_at(scene->ground->count);
}

static int look_sum(struct scene *scene, int told)
{
    (void)told;
    return (int)*(double *)brood_value_at(scene->ground->sum);
}

/* Two parts that only a holder may find unequal, and only if it was told. */
static int look_section(struct scene *scene, int told)
{
    struct small *small = brood_value_at(scene->ground->small);
    if (small->part[0] != small->part[1] && !told)
        point_fault(scene->point, POINT_TORN, "not told that %ld is not %ld", small->part[0], small->part[1]);
    small->part[1] = small->part[0];
    return told;
}

/* ---- what the victim does ---- */

static struct small ones(void)
{
    struct small small;
    for (size_t i = 0; i < 65; i++)
        small.part[i] = 1;
    return small;
}

static void act_store(struct ground *ground)
{
    brood_value_store(ground->small, ones());
}

static void act_load(struct ground *ground)
{
    struct small small;
    brood_value_load(ground->small, &small);
}

static void act_add(struct ground *ground)
{
    brood_value_add(ground->count, 1, NULL);
}

static void act_add_real(struct ground *ground)
{
    brood_value_add(ground->sum, 1, NULL);
}

static void act_exchange(struct ground *ground)
{
    brood_value_compare_exchange(ground->count, &(int){ 0 }, 1);
}

static void act_acquire(struct ground *ground)
{
    brood_value_acquire(ground->small, BROOD_FOREVER);
}

static void act_acquire_large(struct ground *ground)
{
    brood_value_acquire(ground->large, BROOD_FOREVER);
}

static void act_load_large(struct ground *ground)
{
    static struct large large;
    brood_value_load(ground->large, &large);
}

static void act_release(struct ground *ground)
{
    brood_value_release(ground->small);
}

static void act_abandon(struct ground *ground)
{
    brood_value_abandon(ground->small);
}

static void act_section(struct ground *ground)
{
    if (brood_value_acquire(ground->small, BROOD_FOREVER) < 0)
        return;
    long *part = ((struct small *)brood_value_at(ground->small))->part;
    part[0]++;
    __asm__ volatile("" ::: "memory"); /* the two must be two stores */
    part[1]++;
    brood_value_release(ground->small);
}

static void act_create(struct ground *ground)
{
    ground->made = brood_value_create('i', &(brood_value_options){ .name = "made" });
}

static void act_destroy(struct ground *ground)
{
    brood_value_destroy(ground->made);
}

static void run_victim(void *context)
{
    struct scene *scene = context;
    struct ground *ground = scene->ground;
    for (int i = 0; i < 3; i++) { /* warm: the process has entered the family, the heap and the code are there */
        brood_value_store(ground->other, ones());
        brood_value_add(ground->count, 0, NULL);
        brood_value_add(ground->sum, 0, NULL);
    }
    if (scene->act->blocks)
        brood_value_destroy(brood_value_create('i', NULL));
    if (scene->act->holds)
        brood_value_acquire(value_of(scene), BROOD_FOREVER);
    step_begin();
    scene->act->act(ground);
    step_end();
}

/* ---- who has died before ---- */

static void end_here(int signal)
{
    (void)signal;
    _exit(0); /* with the lock: as dead as killed, to its next holder */
}

static void die_holding(void *context)
{
    brood_value_acquire(value_of(context), BROOD_FOREVER);
    _exit(0);
}

/* Half the copy of a store is done: its last page cannot be written to. */
static void die_storing(void *context)
{
    static struct large large;
    const struct scene *scene = context;
    char *end = (char *)brood_value_at(value_of(scene)) + 2 * PAGE;
    for (size_t i = 0; i < sizeof large.part / sizeof(long); i++)
        large.part[i] = 1;
    signal(SIGSEGV, end_here);
    mprotect(end - (uintptr_t)end % PAGE, PAGE, PROT_READ);
    brood_value_store(value_of(scene), large);
}

/* ---- a point ---- */

static bool let_go(void *context)
{
    struct scene *scene = context;
    if (!scene->holding)
        return false;
    if (scene->point->mode != POINT_AWAKE && !scene->point->record)
        add_sleeper(scene);
    scene->holding = false;
    return brood_value_release(value_of(scene)) == 0;
}

static bool prepare(struct scene *scene)
{
    struct ground *ground = NULL;
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) == 0 && (ground = brood_alloc(sizeof *ground))) {
        ground->small = brood_value_create(BROOD_STRUCT(struct small), &(brood_value_options){ .name = "small" });
        ground->large = brood_value_create(BROOD_STRUCT(struct large), NULL);
        ground->count = brood_value_create('i', NULL);
        ground->sum = brood_value_create('d', NULL);
        ground->other = brood_value_create(BROOD_STRUCT(struct small), NULL);
        ground->made = scene->act->act == act_destroy ? brood_value_create('i', NULL) : NULL;
    }
    if (!ground || !ground->small || !ground->large || !ground->count || !ground->sum || !ground->other) {
        point_fault(scene->point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    scene->ground = ground;
    if (scene->act->dead) {
        pid_t pid = point_child(scene->act->dead, scene);
        if (pid < 0 || !point_join(scene->point, pid, "the first holder", SETTLE_MS))
            return false;
    }
    scene->holding = scene->act->held && brood_value_acquire(value_of(scene), 0) == 0;
    return true;
}

/* The value that the victim was making is there or not, the one it was ending is one or not: a block may be lost. */
static void check_blocks(struct scene *scene, size_t blocks)
{
    brood_heap_stats stats;
    brood_value *made = scene->ground->made;
    bool ending = scene->act->act == act_destroy;
    int result = brood_value_destroy(made);
    if (result < 0 && !ending)
        point_fault(scene->point, POINT_TORN, "what was made is no value: %s", brood_error());
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    else if (ending ? stats.blocks != blocks - 1 && !(result < 0 && stats.blocks == blocks)
                    : stats.blocks != blocks && !(!made && stats.blocks == blocks + 1))
        point_fault(scene->point, POINT_LOST, "%zu blocks before, %zu after", blocks, stats.blocks);
    scene->point->result = ending ? result < 0 : made != NULL;
}

static void survive(struct scene *scene)
{
    for (int i = 0; i < scene->sleepers; i++)
        point_join(scene->point, scene->sleeper[i], "a sleeper", SURVIVOR_MS + 500);
    pid_t newcomer = point_survivor(pass_after, scene);
    if (newcomer > 0)
        point_join(scene->point, newcomer, "a newcomer", SURVIVOR_MS + 500);
    pass(scene, "the founder");
    scene->point->result = scene->ground->result[0];
    if (scene->ground->passed != scene->sleepers + 2)
        point_fault(scene->point, POINT_LOST, "%d passed of %d", scene->ground->passed, scene->sleepers + 2);
}

static void release_held(struct scene *scene)
{
    if (scene->holding && brood_value_release(value_of(scene)) < 0)
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
        if (point->mode != POINT_AWAKE && scene.sleepers == scene.act->sleepers && !scene.act->blocks)
            add_sleeper(&scene);
        if (point->mode == POINT_PAUSED) {
            release_held(&scene);
            point_go_on(point, &victim);
        }
        point_kill(point, &victim);
        release_held(&scene);
        if (scene.act->blocks)
            check_blocks(&scene, stats.blocks);
        else
            survive(&scene);
        return;
    }
    for (int i = 0; i < scene.sleepers; i++) {
        step_tracee sleeper = { .pid = scene.sleeper[i] };
        step_kill(&sleeper);
    }
}

#define AT(name) .value = offsetof(struct ground, name)
#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

const struct operation value_operations[] = {
    { "value_store", "store of a struct", run, ACT(AT(small), .act = act_store, .look = look_small), .modes = ALL_MODES,
      .quick = 60, .last = 1, .switches = 1 },
    { "value_store_wait", "store of a struct that sleeps and is woken", run,
      ACT(AT(small), .act = act_store, .look = look_small, .held = true), .modes = ALL_MODES, .quick = 60, .last = 1,
      .switches = 1 },
    { "value_store_held", "store of a struct by the lock's holder", run,
      ACT(AT(small), .act = act_store, .look = look_section, .holds = true), .modes = ALL_MODES, .first = 1,
      .last = 1 },
    { "value_load", "load of a struct", run, ACT(AT(small), .act = act_load, .look = look_small), .modes = ALL_MODES },
    { "value_load_wait", "load of a struct that sleeps and is woken", run,
      ACT(AT(small), .act = act_load, .look = look_small, .held = true), .modes = ALL_MODES, .quick = 60 },
    { "value_add", "add to an integer", run, ACT(AT(count), .act = act_add, .look = look_count),
      .modes = AWAKE_AND_PAUSED, .quick = 60, .last = 1, .switches = 1 },
    { "value_add_real", "add to a double", run, ACT(AT(sum), .act = act_add_real, .look = look_sum),
      .modes = AWAKE_AND_PAUSED, .quick = 60, .last = 1, .switches = 1 },
    { "value_exchange", "compare-exchange", run, ACT(AT(count), .act = act_exchange, .look = look_count),
      .modes = AWAKE_AND_PAUSED, .quick = 60, .last = 1, .switches = 1 },
    { "value_section", "acquire, change by the pointer, release", run,
      ACT(AT(small), .act = act_section, .look = look_section), .modes = ALL_MODES, .quick = 60, .switches = 2 },
    { "value_acquire_wait", "acquire that sleeps and is woken", run,
      ACT(AT(small), .act = act_acquire, .look = look_section, .held = true), .modes = ALL_MODES, .quick = 60,
      .last = 1, .switches = 1 },
    { "value_release_2", "release with two asleep", run,
      ACT(AT(small), .act = act_release, .look = look_section, .holds = true, .sleepers = 2), .modes = ALL_MODES,
      .quick = 60, .first = 1, .switches = 1 },
    { "value_abandon", "abandon with one asleep", run,
      ACT(AT(small), .act = act_abandon, .look = look_section, .holds = true, .sleepers = 1), .modes = ALL_MODES,
      .quick = 60, .first = 1, .last = 1 },
    { "value_inherit", "acquire from a dead holder", run,
      ACT(AT(small), .act = act_acquire, .look = look_section, .dead = die_holding), .modes = ALL_MODES, .first = 1,
      .last = 1 },
    { "value_inherit_load", "load that passes a death's news on", run,
      ACT(AT(small), .act = act_load, .look = look_section, .dead = die_holding), .modes = ALL_MODES, .first = 1,
      .last = 1 },
    { "value_mend", "load after a death in the middle of a store", run,
      ACT(AT(large), .act = act_load_large, .look = look_large, .dead = die_storing), .modes = ALL_MODES, .first = 1,
      .last = 1, .quick = 100 },
    { "value_mend_acquire", "acquire after a death in the middle of a store", run,
      ACT(AT(large), .act = act_acquire_large, .look = look_large_held, .dead = die_storing), .modes = ALL_MODES,
      .last = 1, .switches = 1, .quick = 100 },
    { "value_create", "create with a name", run, ACT(AT(count), .act = act_create, .look = look_count, .blocks = true),
      .modes = AWAKE_ONLY, .quick = 60, .last = 1, .switches = 1 },
    { "value_destroy", "destroy", run, ACT(AT(count), .act = act_destroy, .look = look_count, .blocks = true),
      .modes = AWAKE_ONLY, .quick = 60, .last = 1, .switches = 1 },
    { 0 },
};
