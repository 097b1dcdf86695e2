/* array.c: brood_array under the knife.
 *
 * One killed in setting a slice leaves a first part of it, each element whole; the heir is told, unless it is all of it
 * or none. What is one element, number or struct, is set wholly or not at all, and is nobody's news.
 */
#include "point.h"

#include <brood.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RESULTS = 16, LIMIT = 1 << 20, PAGE = 4096, NUMBERS = 27, RECORDS = 4, MANY = 3 * PAGE / sizeof(int) };

struct record {
    long part[9];
};

/* In the region. */
struct ground {
    brood_array *numbers, *records, *many;
    brood_array *other; /* to warm up with */
    brood_array *made;  /* by the victim, if it comes so far */
    _Atomic int passed;
    int result[RESULTS]; /* what each who passed saw, in their order */
};

struct scene;

struct act {
    void (*act)(struct ground *ground);
    int (*look)(struct scene *scene, int told); /* with the lock of `array`, which said `told` */
    size_t array;                               /* where in the ground it stands */
    bool held;                                  /* by the point's process, until the victim sleeps */
    void (*dead)(void *scene);                  /* another has died so before it begins */
    bool blocks;                                /* it makes or ends an array */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t sleeper;
    bool holding;
};

static brood_array *array_of(const struct scene *scene)
{
    return *(brood_array **)(void *)((char *)scene->ground + scene->act->array);
}

/* ---- who survives ---- */

static void pass(struct scene *scene, const char *who)
{
    struct ground *ground = scene->ground;
    int told = brood_array_acquire(array_of(scene), SURVIVOR_MS);
    if (told < 0) {
        point_fault(scene->point, told == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "%s cannot acquire: %s", who,
                    brood_error());
        return;
    }
    point_served(scene->point);
    int passed = atomic_fetch_add(&ground->passed, 1);
    int result = scene->act->look(scene, told);
    if (passed < RESULTS)
        ground->result[passed] = result;
    if (brood_array_release(array_of(scene)) < 0)
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
    scene->sleeper = point_survivor(pass_asleep, scene);
    if (scene->sleeper < 0 || !point_settle(scene->sleeper))
        point_fault(scene->point, POINT_TORN, "a sleeper neither sleeps nor ends");
}

/* How many of the elements, from the first on, are set: all others must not be, and who is first to see that it is not
 * all or none must have been told. */
static size_t count_set(struct scene *scene, const char *elements, size_t size, size_t count, int told)
{
    char set[sizeof(struct record)], unset[sizeof(struct record)] = { 0 };
    size_t first = 0;
    memset(set, 1, sizeof set);
    while (first < count && memcmp(elements + first * size, set, size) == 0)
        first++;
    for (size_t i = first; i < count; i++)
        if (memcmp(elements + i * size, unset, size) != 0) {
            point_fault(scene->point, POINT_TORN, "element %zu is set, or half so, and not %zu", i, first);
            break;
        }
    if (first > 0 && first < count && !told && scene->ground->passed == 1)
        point_fault(scene->point, POINT_TORN, "not told that %zu of %zu are set", first, count);
    return first;
}

static int look_numbers(struct scene *scene, int told)
{
    const char *elements = brood_array_at(scene->ground->numbers, 0);
    return count_set(scene, elements, sizeof(int), NUMBERS, told) == NUMBERS;
}

static int look_records(struct scene *scene, int told)
{
    const char *elements = brood_array_at(scene->ground->records, 0);
    return count_set(scene, elements, sizeof(struct record), RECORDS, told) == RECORDS;
}

/* One element: without news. */
static int look_record(struct scene *scene, int told)
{
    if (told)
        point_fault(scene->point, POINT_TORN, "told, and there is nothing to mend");
    return (int)count_set(scene, brood_array_at(scene->ground->records, 0), sizeof(struct record), RECORDS, 1);
}

static int look_number(struct scene *scene, int told)
{
    if (told)
        point_fault(scene->point, POINT_TORN, "told, and there is nothing to mend");
    return (int)count_set(scene, brood_array_at(scene->ground->numbers, 0), sizeof(int), NUMBERS, 1);
}

static int look_many(struct scene *scene, int told)
{
    count_set(scene, brood_array_at(scene->ground->many, 0), sizeof(int), MANY, told);
    return told;
}

/* ---- what the victim does ---- */

/* What elements that are set hold, private to each process. */
static int set_numbers[MANY];
static struct record set_records[RECORDS];

static void act_numbers(struct ground *ground)
{
    brood_array_set_slice(ground->numbers, 0, NUMBERS, set_numbers);
}

static void act_records(struct ground *ground)
{
    brood_array_set_slice(ground->records, 0, RECORDS, set_records);
}

static void act_record(struct ground *ground)
{
    brood_array_set(ground->records, 0, set_records[0]);
}

static void act_number(struct ground *ground)
{
    brood_array_set(ground->numbers, 0, 0x01010101);
}

static void act_add(struct ground *ground)
{
    brood_array_add(ground->numbers, 0, 0x01010101, NULL);
}

static void act_get_slice(struct ground *ground)
{
    int numbers[NUMBERS];
    brood_array_get_slice(ground->numbers, 0, NUMBERS, numbers);
}

static void act_get_many(struct ground *ground)
{
    int numbers[8];
    brood_array_get_slice(ground->many, 0, 8, numbers);
}

static void act_create(struct ground *ground)
{
    ground->made = brood_array_create('i', 3, &(brood_array_options){ .name = "made", .initial = set_numbers });
}

static void act_destroy(struct ground *ground)
{
    brood_array_destroy(ground->made);
}

static void run_victim(void *context)
{
    struct scene *scene = context;
    struct ground *ground = scene->ground;
    for (int i = 0; i < 3; i++) { /* warm: the process has entered the family, the heap and the code are there */
        brood_array_set_slice(ground->other, 0, RECORDS, set_records);
        brood_array_get_slice(ground->other, 0, RECORDS, set_records);
    }
    if (scene->act->blocks)
        brood_array_destroy(brood_array_create('i', 3, NULL));
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

/* A part of the slice is set: its last page cannot be written to. */
static void die_setting(void *context)
{
    const struct scene *scene = context;
    char *end = (char *)brood_array_at(scene->ground->many, 0) + 2 * PAGE;
    signal(SIGSEGV, end_here);
    mprotect(end - (uintptr_t)end % PAGE, PAGE, PROT_READ);
    brood_array_set_slice(scene->ground->many, 0, MANY, set_numbers);
}

/* ---- a point ---- */

static void release_held(struct scene *scene)
{
    if (scene->holding && brood_array_release(array_of(scene)) < 0)
        point_fault(scene->point, POINT_TORN, "the holder cannot release: %s", brood_error());
    scene->holding = false;
}

static bool let_go(void *context)
{
    struct scene *scene = context;
    if (!scene->holding)
        return false;
    if (scene->point->mode != POINT_AWAKE && !scene->point->record)
        add_sleeper(scene);
    release_held(scene);
    return true;
}

static bool prepare(struct scene *scene)
{
    struct ground *ground = NULL;
    memset(set_numbers, 1, sizeof set_numbers);
    memset(set_records, 1, sizeof set_records);
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) == 0 && (ground = brood_alloc(sizeof *ground))) {
        ground->numbers = brood_array_create('i', NUMBERS, &(brood_array_options){ .name = "numbers" });
        ground->records = brood_array_create(BROOD_STRUCT(struct record), RECORDS, NULL);
        ground->many = brood_array_create('i', MANY, NULL);
        ground->other = brood_array_create(BROOD_STRUCT(struct record), RECORDS, NULL);
        ground->made = scene->act->act == act_destroy ? brood_array_create('i', 3, NULL) : NULL;
    }
    if (!ground || !ground->numbers || !ground->records || !ground->many || !ground->other) {
        point_fault(scene->point, POINT_TORN, "no family: %s", brood_error());
        return false;
    }
    scene->ground = ground;
    if (scene->act->dead) {
        pid_t pid = point_child(scene->act->dead, scene);
        if (pid < 0 || !point_join(scene->point, pid, "the first holder", SETTLE_MS))
            return false;
    }
    scene->holding = scene->act->held && brood_array_acquire(array_of(scene), 0) == 0;
    return true;
}

/* The array that the victim was making is there, whole, or not; the one it was ending is one or not: a block may be
 * lost. */
static void check_blocks(struct scene *scene, size_t blocks)
{
    brood_heap_stats stats;
    brood_array *made = scene->ground->made;
    bool ending = scene->act->act == act_destroy;
    int last = 0, result = 0;
    if (made && !ending && (brood_array_get(made, 2, &last) < 0 || last != 0x01010101))
        point_fault(scene->point, POINT_TORN, "what was made is no array, or not filled: %s", brood_error());
    result = brood_array_destroy(made);
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    else if (ending ? stats.blocks != blocks - 1 && !(result < 0 && stats.blocks == blocks)
                    : stats.blocks != blocks && !(!made && stats.blocks == blocks + 1))
        point_fault(scene->point, POINT_LOST, "%zu blocks before, %zu after", blocks, stats.blocks);
    scene->point->result = ending ? result < 0 : made != NULL;
}

static void survive(struct scene *scene)
{
    int passed = 2 + (scene->sleeper > 0);
    if (scene->sleeper > 0)
        point_join(scene->point, scene->sleeper, "a sleeper", SURVIVOR_MS + 500);
    pid_t newcomer = point_survivor(pass_after, scene);
    if (newcomer > 0)
        point_join(scene->point, newcomer, "a newcomer", SURVIVOR_MS + 500);
    pass(scene, "the founder");
    scene->point->result = scene->ground->result[0];
    if (scene->ground->passed != passed)
        point_fault(scene->point, POINT_LOST, "%d passed of %d", scene->ground->passed, passed);
}

static void run(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    brood_heap_stats stats;
    if (!prepare(&scene) || brood_heap_stat(&stats) < 0 || !point_victim(point, &victim, run_victim, &scene))
        return;
    if (point_lead(point, &victim, let_go, &scene)) {
        if (point->mode != POINT_AWAKE && scene.sleeper == 0 && !scene.act->blocks)
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
    if (scene.sleeper > 0) {
        step_tracee sleeper = { .pid = scene.sleeper };
        step_kill(&sleeper);
    }
}

#define AT(name) .array = offsetof(struct ground, name)
#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

const struct operation array_operations[] = {
    { "array_set_slice", "set a slice of numbers", run, ACT(AT(numbers), .act = act_numbers, .look = look_numbers),
      .modes = ALL_MODES, .whole = true, .last = 1, .switches = 1 },
    { "array_set_slice_wait", "set a slice, asleep first", run,
      ACT(AT(numbers), .act = act_numbers, .look = look_numbers, .held = true), .modes = ALL_MODES, .last = 1,
      .switches = 1, .quick = 60 },
    { "array_set_structs", "set a slice of structs", run, ACT(AT(records), .act = act_records, .look = look_records),
      .modes = ALL_MODES, .last = 1, .switches = 1, .quick = 100 },
    { "array_set_struct", "set one struct", run, ACT(AT(records), .act = act_record, .look = look_record),
      .modes = ALL_MODES, .whole = true, .last = 1, .switches = 1 },
    { "array_set", "set one number", run, ACT(AT(numbers), .act = act_number, .look = look_number),
      .modes = AWAKE_AND_PAUSED, .whole = true, .last = 1, .switches = 1 },
    { "array_add", "add to one number", run, ACT(AT(numbers), .act = act_add, .look = look_number),
      .modes = AWAKE_AND_PAUSED, .whole = true, .last = 1, .switches = 1 },
    { "array_get_slice", "get a slice", run, ACT(AT(numbers), .act = act_get_slice, .look = look_number),
      .modes = ALL_MODES },
    { "array_inherit", "get a slice after a death in the middle of setting one", run,
      ACT(AT(many), .act = act_get_many, .look = look_many, .dead = die_setting), .modes = ALL_MODES, .first = 1,
      .last = 1 },
    { "array_create", "create with a name and elements", run,
      ACT(AT(numbers), .act = act_create, .look = look_number, .blocks = true), .modes = AWAKE_ONLY, .whole = true,
      .last = 1, .switches = 1 },
    { "array_destroy", "destroy", run, ACT(AT(numbers), .act = act_destroy, .look = look_number, .blocks = true),
      .modes = AWAKE_ONLY, .whole = true, .last = 1, .switches = 1 },
    { 0 },
};
