/* manager.c: calls to a manager's server under the knife.
 *
 * The victim is a client. Whatever it is killed in, what it asked for is done wholly or not at all, the server serves
 * the others, sees that it is gone, and gives its channel, with the blocks that hung from it, to a newcomer: so in the
 * end there is one channel more than before the victim, and nothing else. A handle that was being made may be lost.
 */
#include "point.h"

#include <brood.h>
#include <string.h>
#include <unistd.h>

enum { TEXT = 5000, LIMIT = 1 << 20 };

/* In the region. */
struct ground {
    brood_manager *manager;
    brood_dict *dict;
};

struct act {
    void (*act)(struct ground *ground);
    bool cold; /* it is the victim's first call */
    bool text; /* the result is whether the text is there; else the count */
    bool both; /* the text is there only if the count has changed */
    int lost;  /* blocks that it may lose */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
};

static char text[TEXT + 1];

static void act_add(struct ground *ground)
{
    brood_dict_add(ground->dict, "count", 1);
}

static void act_set_large(struct ground *ground)
{
    brood_dict_set(ground->dict, "text", text);
}

static void act_get_large(struct ground *ground)
{
    brood_any value;
    if (brood_dict_get(ground->dict, "large", &value) == 0)
        brood_any_clear(&value);
}

static void act_open(struct ground *ground)
{
    brood_manager_dict(ground->manager, NULL);
}

static brood_batch *put_calls(struct ground *ground)
{
    brood_batch *batch = brood_batch_create(ground->manager);
    const brood_any one[] = { brood_any_string("count"), brood_any_int(1) };
    const brood_any set[] = { brood_any_string("text"), brood_any_string(text) };
    brood_batch_call(batch, ground->dict, "add", one, 2);
    brood_batch_call(batch, ground->dict, "set", set, 2);
    brood_batch_call(batch, ground->dict, "get", one, 1);
    return batch;
}

/* Its calls are done up to some one: the text is there only with a count. */
static void act_batch(struct ground *ground)
{
    brood_batch *batch = put_calls(ground);
    brood_batch_run(batch);
    brood_batch_destroy(batch);
}

static void run_victim(void *context)
{
    struct scene *scene = context;
    struct ground *ground = scene->ground;
    memset(text, 'v', TEXT);
    for (int i = 0; i < 3 && !scene->act->cold; i++)
        brood_dict_add(ground->dict, "count", 0);
    brood_batch_destroy(put_calls(ground)); /* what a process does once for the names of calls is done */
    step_begin();
    scene->act->act(ground);
    step_end();
}

static void join_in(void *context)
{
    struct scene *scene = context;
    if (brood_dict_add(scene->ground->dict, "others", 1) < 0)
        point_fault(scene->point, POINT_TORN, "a newcomer cannot add: %s", brood_error());
}

/* The server answers by itself. */
static bool answers(void *context)
{
    (void)context;
    return true;
}

static long long number(struct scene *scene, const char *key)
{
    brood_any value;
    if (brood_dict_get(scene->ground->dict, key, &value) < 0) {
        point_fault(scene->point, POINT_TORN, "%s cannot be got: %s", key, brood_error());
        return -1;
    }
    return value.integer;
}

static bool text_is_there(struct scene *scene)
{
    brood_any value;
    if (brood_dict_get(scene->ground->dict, "text", &value) < 0)
        return false;
    if (value.kind != BROOD_STRING || value.size != TEXT || strspn(value.string, "v") != TEXT)
        point_fault(scene->point, POINT_TORN, "the text is half there: %zu bytes", value.size);
    brood_any_clear(&value);
    return true;
}

/* Until the server has seen that the victim is gone. */
static void await_burial(struct scene *scene)
{
    brood_manager_stats stats = { .clients = 0 };
    long long began = point_us();
    while (brood_manager_stat(scene->ground->manager, &stats) == 0 && (stats.clients != 1 || stats.handles != 1) &&
           point_us() - began < SURVIVOR_MS * 1000LL)
        usleep(200);
    if (stats.clients != 1 || stats.handles != 1 || stats.objects != 1)
        point_fault(scene->point, POINT_STUCK, "%zu clients, %zu handles, %zu objects are left", stats.clients,
                    stats.handles, stats.objects);
}

static void survive(struct scene *scene, size_t blocks)
{
    long long began = point_us();
    number(scene, "others");
    point_served_since(scene->point, began);
    await_burial(scene); /* what it asked for may be done after what others did, but not after that */
    scene->point->result = (int)(scene->act->text ? text_is_there(scene) : number(scene, "count"));
    if (scene->act->both && scene->point->result == 1 && number(scene, "count") != 1)
        point_fault(scene->point, POINT_TORN, "a later call of a batch is done, and an earlier one is not");
    pid_t newcomer = point_survivor(join_in, scene);
    if (newcomer > 0)
        point_join(scene->point, newcomer, "a newcomer", SURVIVOR_MS + 500);
    if (number(scene, "others") != 1)
        point_fault(scene->point, POINT_LOST, "what the newcomer added is not there");
    brood_heap_stats stats;
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    else if (stats.blocks < blocks + 1 || stats.blocks > blocks + 1 + (size_t)scene->act->lost)
        point_fault(scene->point, POINT_LOST, "%zu blocks before, %zu after", blocks, stats.blocks);
}

static bool prepare(struct scene *scene)
{
    struct ground *ground = NULL;
    char large[TEXT + 1];
    memset(large, 'l', TEXT);
    large[TEXT] = 0;
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) == 0 && (ground = brood_alloc(sizeof *ground)) &&
        (ground->manager = brood_manager_start(NULL)) && (ground->dict = brood_manager_dict(ground->manager, NULL)) &&
        brood_dict_set(ground->dict, "count", 0) == 0 && brood_dict_set(ground->dict, "others", 0) == 0 &&
        brood_dict_set(ground->dict, "large", large) == 0) {
        act_get_large(ground); /* so that this client's own channel has its blocks already */
        scene->ground = ground;
        return true;
    }
    point_fault(scene->point, POINT_TORN, "no manager: %s", brood_error());
    return false;
}

static void run(struct point *point)
{
    struct scene scene = { .point = point, .act = point->operation->detail };
    step_tracee victim;
    brood_heap_stats stats;
    if (!prepare(&scene) || brood_heap_stat(&stats) < 0 || !point_victim(point, &victim, run_victim, &scene))
        return;
    if (point_lead(point, &victim, answers, &scene)) {
        if (point->mode == POINT_PAUSED) {
            number(&scene, "count"); /* others are served meanwhile */
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

const struct operation manager_operations[] = {
    { "manager_add", "add to an entry of a manager's dictionary", run, ACT(.act = act_add), .modes = AWAKE_AND_PAUSED,
      .quick = 60, .last = 1, .switches = 1 },
    { "manager_first", "the same, as a thread's first call", run, ACT(.act = act_add, .cold = true),
      .modes = AWAKE_AND_PAUSED, .quick = 60, .last = 1, .switches = 1 },
    { "manager_set_large", "set an entry that does not fit into a channel", run,
      ACT(.act = act_set_large, .text = true), .modes = AWAKE_AND_PAUSED, .quick = 60, .last = 1, .switches = 1 },
    { "manager_get_large", "get such an entry", run, ACT(.act = act_get_large), .modes = AWAKE_AND_PAUSED,
      .quick = 60 },
    { "manager_batch", "a batch of calls that does not fit into a channel", run,
      ACT(.act = act_batch, .text = true, .both = true), .modes = AWAKE_AND_PAUSED, .quick = 60, .last = 1,
      .switches = 1 },
    { "manager_open", "a new dictionary", run, ACT(.act = act_open, .lost = 1), .modes = AWAKE_ONLY, .quick = 60 },
    { 0 },
};
