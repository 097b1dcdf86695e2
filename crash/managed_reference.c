/* managed_reference.c: references in a manager's objects under the knife.
 *
 * The victim is a client that stores a reference, takes one out, makes a handle of it. Killed anywhere, it has stored
 * it or not, taken it or not; and when the server has seen that it is gone, an object is there if, and only if, a
 * handle of the living or a reference that is stored keeps it.
 */
#include "point.h"

#include <brood.h>
#include <limits.h>
#include <unistd.h>

enum { LIMIT = 1 << 20 };

/* In the region. list: the founder's, and stored nowhere at first. */
struct ground {
    brood_manager *manager;
    brood_dict *dict; /* has a list without a handle as "kept" */
    brood_list *list;
};

struct act {
    void (*before)(struct ground *ground);
    void (*act)(struct ground *ground);
    const char *key; /* the result: whether it is in the dictionary... */
    bool taken;      /* ... or is not */
    int lost;        /* blocks that it may lose: a handle that it made */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
};

static brood_any found; /* the victim's */

static void before_warm(struct ground *ground)
{
    for (int i = 0; i < 3; i++)
        brood_dict_length(ground->dict);
}

static void before_read(struct ground *ground)
{
    before_warm(ground);
    brood_dict_get(ground->dict, "kept", &found);
}

static void act_store(struct ground *ground)
{
    brood_dict_set(ground->dict, "stored", ground->list);
}

static void act_read(struct ground *ground)
{
    brood_dict_get(ground->dict, "kept", &found);
}

static void act_take(struct ground *ground)
{
    brood_dict_pop(ground->dict, "kept", &found);
}

static void act_open(struct ground *ground)
{
    brood_reference_list(ground->manager, &found);
}

static void act_take_and_open(struct ground *ground)
{
    if (brood_dict_pop(ground->dict, "kept", &found) == 0)
        brood_list_close(brood_reference_list(ground->manager, &found));
}

static void act_drop(struct ground *ground)
{
    brood_dict_delete(ground->dict, "kept");
}

static void run_victim(void *context)
{
    struct scene *scene = context;
    scene->act->before(scene->ground);
    step_begin();
    scene->act->act(scene->ground);
    step_end();
}

/* The server answers by itself. */
static bool answers(void *context)
{
    (void)context;
    return true;
}

/* Until the server has seen that the victim is gone: the founder's two handles are left. */
static void await_burial(struct scene *scene)
{
    brood_manager_stats stats = { .clients = 0 };
    long long began = point_us();
    while (brood_manager_stat(scene->ground->manager, &stats) == 0 && (stats.clients != 1 || stats.handles != 2) &&
           point_us() - began < SURVIVOR_MS * 1000LL)
        usleep(200);
    if (stats.clients != 1 || stats.handles != 2)
        point_fault(scene->point, POINT_STUCK, "%zu clients, %zu handles are left", stats.clients, stats.handles);
}

static void expect_objects(struct scene *scene, size_t expected, const char *when)
{
    brood_manager_stats stats;
    if (brood_manager_stat(scene->ground->manager, &stats) < 0)
        point_fault(scene->point, POINT_TORN, "the server does not say what it has: %s", brood_error());
    else if (stats.objects != expected)
        point_fault(scene->point, POINT_LOST, "%zu objects, not %zu, %s", stats.objects, expected, when);
}

static void check_kept(struct scene *scene)
{
    brood_any reference, item;
    if (brood_dict_get(scene->ground->dict, "kept", &reference) < 0) {
        point_fault(scene->point, POINT_TORN, "what is in the dictionary cannot be got: %s", brood_error());
        return;
    }
    brood_list *list = brood_reference_list(scene->ground->manager, &reference);
    if (!list || brood_list_get(list, 0, &item) < 0 || item.integer != 1 || brood_list_close(list) < 0)
        point_fault(scene->point, POINT_TORN, "the list that is referred to is not what it was: %s", brood_error());
}

static void survive(struct scene *scene, size_t blocks)
{
    struct ground *ground = scene->ground;
    long long began = point_us();
    brood_dict_length(ground->dict);
    point_served_since(scene->point, began);
    await_burial(scene);
    int kept = brood_dict_contains(ground->dict, "kept"), stored = brood_dict_contains(ground->dict, "stored");
    if (scene->act->key)
        scene->point->result = (brood_dict_contains(ground->dict, scene->act->key) == 1) != scene->act->taken;
    expect_objects(scene, 2 + (kept == 1), "when the victim is gone");
    if (kept == 1)
        check_kept(scene);
    brood_list_close(ground->list);
    expect_objects(scene, 1 + (size_t)(kept == 1) + (size_t)(stored == 1), "when the list has no handle");
    brood_dict_clear(ground->dict);
    expect_objects(scene, 1, "when nothing refers to one");
    brood_heap_stats stats;
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    else if (stats.blocks < blocks || stats.blocks > blocks + (size_t)scene->act->lost)
        point_fault(scene->point, POINT_LOST, "%zu blocks before, %zu after", blocks, stats.blocks);
}

static bool prepare(struct scene *scene)
{
    struct ground *ground = NULL;
    brood_list *kept = NULL;
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) == 0 && (ground = brood_alloc(sizeof *ground)) &&
        (ground->manager = brood_manager_start(NULL)) && (ground->dict = brood_manager_dict(ground->manager, NULL)) &&
        (ground->list = brood_manager_list(ground->manager, NULL)) &&
        (kept = brood_manager_list(ground->manager, NULL)) && brood_list_append(kept, 1) == 0 &&
        brood_dict_set(ground->dict, "kept", kept) == 0 && brood_list_close(kept) == 0) {
        scene->ground = ground;
        return true;
    }
    point_fault(scene->point, POINT_TORN, "no manager: %s", brood_error());
    return false;
}

/* The victim's channel stays for the next client, and the founder's handle goes: as many blocks as before. */
static void run(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    brood_heap_stats stats;
    if (!prepare(&scene) || brood_heap_stat(&stats) < 0 || !point_victim(point, &victim, run_victim, &scene))
        return;
    if (point_lead(point, &victim, answers, &scene)) {
        if (point->mode == POINT_PAUSED) {
            brood_dict_length(scene.ground->dict); /* others are served meanwhile */
            point_go_on(point, &victim);
        }
        point_kill(point, &victim);
        survive(&scene, stats.blocks);
    }
    brood_manager_destroy(scene.ground->manager);
}

#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

const struct operation reference_operations[] = {
    { "reference_store", "store a reference in a manager's dictionary", run,
      ACT(.before = before_warm, .act = act_store, .key = "stored"), .modes = AWAKE_AND_PAUSED, .quick = 60, .last = 1,
      .switches = 1 },
    { "reference_read", "read one", run, ACT(.before = before_warm, .act = act_read), .modes = AWAKE_AND_PAUSED,
      .quick = 60 },
    { "reference_take", "take the last one to an object", run,
      ACT(.before = before_warm, .act = act_take, .key = "kept", .taken = true), .modes = AWAKE_AND_PAUSED, .quick = 60,
      .last = 1, .switches = 1 },
    { "reference_open", "make a handle by one that was read", run,
      ACT(.before = before_read, .act = act_open, .lost = 1), .modes = AWAKE_AND_PAUSED, .quick = 60 },
    { "reference_through", "take one, make a handle by it, and close that", run,
      ACT(.before = before_warm, .act = act_take_and_open, .key = "kept", .taken = true, .lost = 1),
      .modes = AWAKE_AND_PAUSED, .quick = 60, .last = 1, .switches = INT_MAX }, /* its calls meet the same places */
    { "reference_drop", "drop the last one to an object", run,
      ACT(.before = before_warm, .act = act_drop, .key = "kept", .taken = true), .modes = AWAKE_AND_PAUSED, .quick = 60,
      .last = 1, .switches = 1 },
    { 0 },
};
