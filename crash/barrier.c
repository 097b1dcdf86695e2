/* barrier.c: brood_barrier under the knife.
 *
 * Whatever the victim is killed at, the other parties of its round are told the same: all of them that the round is
 * complete, or all of them that it is broken. Which of these says when the operation became true: along the path it
 * changes from "not there" to "died waiting" to "had come".
 */
#include "point.h"

#include <brood.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OTHERS = 3, NAP_MS = 4, LONG_NAP_MS = 40, LIMIT = 1 << 20, UNTOLD = 1 << 20 };

enum { ABSENT, BROKEN, COMPLETE }; /* the results of a point */

/* In the region. */
struct ground {
    brood_barrier barrier, other;
    int nap_ms;
    _Atomic int told[OTHERS]; /* what each other party was told; UNTOLD: nothing yet */
    _Atomic int chosen;
};

struct act {
    void (*before)(struct ground *ground); /* the victim's preparations */
    void (*act)(struct ground *ground);
    int parties; /* 3, the victim, the founder and the others, if it is not said */
    int others;  /* that wait before the operation begins */
    int company; /* that come when the victim sleeps */
    int broken;  /* what a broken round is told as, besides EOWNERDEAD */
    bool dies;   /* the last of the others is killed when the victim sleeps */
    bool stays;  /* the victim's round does not end: its path is over where it sleeps */
    bool names;  /* a block or two may be lost */
};

struct scene {
    struct point *point;
    const struct act *act;
    struct ground *ground;
    pid_t other[OTHERS];
    int others;
};

struct party {
    struct scene *scene;
    int number;
};

static void come(void *context)
{
    const struct party *party = context;
    struct ground *ground = party->scene->ground;
    int told = brood_barrier_wait(&ground->barrier, 2 * SURVIVOR_MS);
    point_served(party->scene->point);
    long long killed = party->scene->point->killed_us;
    if (told == -ETIMEDOUT || (killed && point_us() - killed > SURVIVOR_MS * 1500LL))
        point_fault(party->scene->point, POINT_STUCK, "a party was not told of the end: %s", brood_error());
    ground->told[party->number] = told;
    if (told == BROOD_CHOSEN)
        ground->chosen++;
}

static void add_other(struct scene *scene)
{
    scene->ground->told[scene->others] = UNTOLD;
    pid_t pid = point_survivor(come, &(struct party){ scene, scene->others });
    scene->other[scene->others++] = pid;
    if (pid < 0 || !point_settle(pid))
        point_fault(scene->point, POINT_TORN, "a party neither sleeps nor ends");
}

/* The victim waits, and its round ends, one way or another. */
static bool let_go(void *context)
{
    struct scene *scene = context;
    for (int i = 0; i < scene->act->company; i++)
        add_other(scene);
    if (scene->act->dies) {
        step_tracee last = { .pid = scene->other[--scene->others] };
        step_kill(&last);
    }
    return !scene->act->stays;
}

static void act_wait(struct ground *ground)
{
    brood_barrier_wait(&ground->barrier, BROOD_FOREVER);
}

static void act_nap(struct ground *ground)
{
    brood_barrier_wait(&ground->barrier, ground->nap_ms);
}

static void act_try(struct ground *ground)
{
    brood_barrier_wait(&ground->barrier, 0);
}

static void act_abort(struct ground *ground)
{
    brood_barrier_abort(&ground->barrier);
}

static void act_reset(struct ground *ground)
{
    brood_barrier_reset(&ground->barrier);
}

static void act_init(struct ground *ground)
{
    brood_barrier_init(&ground->other, 5, &(brood_name_options){ .name = "steps" });
}

static void act_fini(struct ground *ground)
{
    brood_barrier_fini(&ground->other);
}

static void before_warm(struct ground *ground)
{
    if (brood_barrier_init(&ground->other, 1, NULL) == 0)
        for (int i = 0; i < 3; i++)
            brood_barrier_wait(&ground->other, BROOD_FOREVER);
    brood_barrier_fini(&ground->other);
}

static void before_named(struct ground *ground)
{
    brood_free(brood_alloc(16));
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

/* How many of the others have been told; then they have all been told the same. */
static int told(struct scene *scene)
{
    int count = 0;
    for (int i = 0; i < scene->others; i++)
        count += scene->ground->told[i] != UNTOLD;
    return count;
}

/* Until all others have been told, or sleep as they did. */
static bool settle(struct scene *scene)
{
    for (int i = 0; i < scene->others; i++)
        if (!point_settle(scene->other[i]))
            point_fault(scene->point, POINT_TORN, "a party neither sleeps nor ends");
    return told(scene) == scene->others;
}

/* A party that had joined is dead: the others are told of it by nobody but the kernel. */
static void check_told(struct scene *scene)
{
    long long end = point_us() + SURVIVOR_MS * 1000LL;
    while (brood_barrier_waiting(&scene->ground->barrier) > scene->others && point_us() < end)
        usleep(200);
    if (brood_barrier_waiting(&scene->ground->barrier) > scene->others)
        point_fault(scene->point, POINT_STUCK, "a party is dead, and the others sleep on");
}

/* The founder comes in the victim's place, if the others still wait for one. */
static int end_round(struct scene *scene)
{
    struct ground *ground = scene->ground;
    int mine = UNTOLD, missing = scene->act->parties - scene->others - 1;
    if (scene->others > 0)
        check_told(scene);
    if (!settle(scene) || scene->others == 0) {
        if (missing > 0 || scene->act->broken) /* nobody else would come: to end it is left to us */
            brood_barrier_abort(&ground->barrier);
        mine = brood_barrier_wait(&ground->barrier, SURVIVOR_MS);
    }
    for (int i = 0; i < scene->others; i++)
        point_join(scene->point, scene->other[i], "a party", 2 * SURVIVOR_MS + 500);
    int result = mine != UNTOLD && mine >= 0 ? ABSENT : COMPLETE, chosen = ground->chosen + (mine == BROOD_CHOSEN);
    bool broken = mine != UNTOLD ? mine < 0 : ground->told[0] < 0;
    if (broken)
        result = BROKEN;
    for (int i = 0; i < scene->others; i++) {
        int was = ground->told[i];
        if ((was < 0) != broken)
            point_fault(scene->point, POINT_TORN, "one party was told %d, in a round that is %s", was,
                        broken ? "broken" : "complete");
        if (was < 0 && was != -EOWNERDEAD && was != -EPIPE)
            point_fault(scene->point, POINT_TORN, "a party was told %d", was);
    }
    if (!broken && (chosen > 1 || (chosen == 0 && result == ABSENT)))
        point_fault(scene->point, POINT_DOUBLED, "%d of them were chosen", chosen);
    if (mine == -ETIMEDOUT)
        point_fault(scene->point, POINT_STUCK, "the founder waits in vain: %s", brood_error());
    return result;
}

/* With new parties, in a new round. */
static void go_on(struct scene *scene)
{
    if (brood_barrier_reset(&scene->ground->barrier) < 0)
        point_fault(scene->point, POINT_TORN, "the barrier cannot be mended: %s", brood_error());
    scene->others = 0;
    for (int i = 0; i < scene->act->parties - 1; i++)
        add_other(scene);
    int mine = brood_barrier_wait(&scene->ground->barrier, SURVIVOR_MS);
    if (mine != BROOD_CHOSEN)
        point_fault(scene->point, POINT_LOST, "the round after it ends with %d: %s", mine, brood_error());
    for (int i = 0; i < scene->others; i++)
        point_join(scene->point, scene->other[i], "a later party", 2 * SURVIVOR_MS + 500);
}

static void check_end(struct scene *scene, size_t blocks)
{
    brood_heap_stats stats;
    if (brood_barrier_fini(&scene->ground->barrier) < 0 || brood_barrier_fini(&scene->ground->other) < 0)
        point_fault(scene->point, POINT_TORN, "the barrier cannot be ended: %s", brood_error());
    if (brood_heap_check() < 0 || brood_heap_stat(&stats) < 0)
        point_fault(scene->point, POINT_TORN, "the heap: %s", brood_error());
    else if (stats.blocks > blocks + 2 * scene->act->names || stats.blocks < blocks)
        point_fault(scene->point, POINT_LOST, "%zu blocks before, %zu after", blocks, stats.blocks);
}

/* While the victim stands still: what it waits for comes. */
static void stand_in(void *context)
{
    struct scene *scene = context;
    struct ground *ground = scene->ground;
    int missing = scene->act->parties - scene->others - 1;
    if (scene->act->broken)
        return;
    for (int i = 1; i < missing; i++)
        add_other(scene);
    if (missing > 0)
        brood_barrier_wait(&ground->barrier, SURVIVOR_MS);
}

static void run(struct point *point)
{
    struct act act = *(const struct act *)point->operation->detail;
    act.parties = act.parties ? act.parties : 3;
    struct scene scene = { .point = point, .act = &act };
    step_tracee victim;
    brood_heap_stats stats;
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 ||
        !(scene.ground = brood_alloc(sizeof(struct ground))) || brood_heap_stat(&stats) < 0 ||
        brood_barrier_init(&scene.ground->barrier, act.parties, NULL) < 0) {
        point_fault(point, POINT_TORN, "no family: %s", brood_error());
        return;
    }
    scene.ground->nap_ms = point->record || point->inside ? LONG_NAP_MS : NAP_MS;
    for (int i = 0; i < act.others; i++)
        add_other(&scene);
    if (!point_victim(point, &victim, run_victim, &scene))
        return;
    if (point_lead(point, &victim, let_go, &scene)) {
        if (point->mode == POINT_PAUSED) {
            settle(&scene);
            pid_t other = point_survivor(stand_in, &scene);
            point_go_on(point, &victim);
            point_join(point, other, "one who stands in", 2 * SURVIVOR_MS + 500);
        }
        point_kill(point, &victim);
        point->result = end_round(&scene);
        go_on(&scene);
        check_end(&scene, stats.blocks);
        return;
    }
    for (int i = 0; i < scene.others; i++) {
        step_tracee other = { .pid = scene.other[i] };
        step_kill(&other);
    }
}

#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

const struct operation barrier_operations[] = {
    { "barrier_wait", "wait of the first of three parties, until the others have come", run,
      ACT(.before = before_warm, .act = act_wait, .company = 2), .modes = AWAKE_AND_PAUSED, .quick = 30,
      .any_result = true },
    { "barrier_join", "wait of the second of three parties, without end", run,
      ACT(.before = before_warm, .act = act_wait, .others = 1, .broken = EPIPE, .stays = true), .modes = AWAKE_ONLY,
      .quick = 30, .any_result = true },
    { "barrier_last", "wait of the last of three parties", run,
      ACT(.before = before_warm, .act = act_wait, .others = 2), .modes = AWAKE_AND_PAUSED, .quick = 30,
      .last = COMPLETE, .switches = 2 },
    { "barrier_break", "wait of a party that finds another dead", run,
      ACT(.before = before_warm, .act = act_wait, .parties = 4, .company = 2, .dies = true, .broken = EPIPE),
      .modes = AWAKE_ONLY, .quick = 30, .any_result = true },
    { "barrier_timeout", "wait that gives up, with another asleep", run,
      ACT(.before = before_warm, .act = act_nap, .others = 1, .broken = EPIPE), .modes = AWAKE_AND_PAUSED, .quick = 30,
      .any_result = true },
    { "barrier_try", "wait with timeout 0 of one who is not the last", run,
      ACT(.before = before_warm, .act = act_try, .others = 1, .broken = EPIPE), .modes = AWAKE_AND_PAUSED, .quick = 30,
      .any_result = true },
    { "barrier_abort", "abort, with two asleep", run,
      ACT(.before = before_warm, .act = act_abort, .others = 2, .broken = EPIPE), .modes = AWAKE_AND_PAUSED,
      .quick = 30, .first = BROKEN, .last = BROKEN },
    { "barrier_reset", "reset, with two asleep", run,
      ACT(.before = before_warm, .act = act_reset, .others = 2, .broken = EPIPE), .modes = AWAKE_AND_PAUSED,
      .quick = 30, .first = BROKEN, .last = BROKEN },
    { "barrier_init", "init with a name", run, ACT(.before = before_warm, .act = act_init, .others = 2, .names = true),
      .modes = AWAKE_ONLY, .quick = 30 },
    { "barrier_fini", "fini of a named barrier", run,
      ACT(.before = before_named, .act = act_fini, .others = 2, .names = true), .modes = AWAKE_ONLY, .quick = 30 },
    { 0 },
};
