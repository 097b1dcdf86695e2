/* bench/death.c: how soon a sleeping waiter learns that the holder of its lock was killed.
 *
 * Three processes: the holder, the waiter, and the lab, which kills the first once the second sleeps, and then sleeps
 * itself, so that a CPU is free for the dying and for the waking. The time is from the lab's stamp before the kill to
 * the waiter's after its return.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "robust.h"
#include "series.h"
#include "trouble.h"

#include <brood.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#define KILLS 40
#define PATIENCE_NS (10 * NS_PER_S) /* for a process to get where it should be; only a broken one needs it all */

/* `held` is set by the holder, `waiting` and `returned_at` by the waiter; the lab reads them, the last one after it
 * has joined the waiter. */
struct scene {
    brood_lock lock;
    pthread_mutex_t mutex;
    atomic_bool held;
    atomic_bool waiting;
    uint64_t returned_at;
};

typedef int take_lock(struct scene *scene); /* 0: taken; 1: inherited; else it failed */

static int take_brood(struct scene *scene)
{
    int result = brood_lock_acquire(&scene->lock, BROOD_FOREVER);
    return result == BROOD_INHERITED ? 1 : result;
}

static int take_mutex(struct scene *scene)
{
    int error = pthread_mutex_lock(&scene->mutex);
    return error == EOWNERDEAD ? 1 : -error;
}

static int hold(struct scene *scene, take_lock *take)
{
    if (take(scene) != 0)
        return 1;
    atomic_store(&scene->held, true);
    for (;;)
        pause();
}

static int await(struct scene *scene, take_lock *take)
{
    atomic_store(&scene->waiting, true);
    int result = take(scene);
    scene->returned_at = clock_ns();
    return result != 1;
}

static int hold_brood(void *arg)
{
    return hold(arg, take_brood);
}

static int hold_mutex(void *arg)
{
    return hold(arg, take_mutex);
}

static int await_brood(void *arg)
{
    struct scene *scene = arg;
    return await(scene, take_brood) || brood_lock_release(&scene->lock) < 0;
}

static int await_mutex(void *arg)
{
    struct scene *scene = arg;
    return await(scene, take_mutex) || pthread_mutex_consistent(&scene->mutex) || pthread_mutex_unlock(&scene->mutex);
}

/* Waits, awake, until `flag` is set and, where one is named, that hand sleeps. */
static int until(atomic_bool *flag, const struct hand *asleep)
{
    uint64_t deadline = clock_ns() + PATIENCE_NS;
    while (!atomic_load(flag) || (asleep && !hand_sleeps(asleep))) {
        if (clock_ns() > deadline) {
            trouble("a process did not come to its lock");
            return -1;
        }
        sched_yield();
    }
    return 0;
}

/* One death, in a scene just made: microseconds. */
static double notice(struct scene *scene, bool bare)
{
    struct hand holder = { 0 }, waiter = { 0 };
    int ready = hand_start(&holder, bare, bare ? hold_mutex : hold_brood, scene) == 0 && until(&scene->held, NULL) == 0;
    ready = ready && hand_start(&waiter, bare, bare ? await_mutex : await_brood, scene) == 0 &&
            until(&scene->waiting, &waiter) == 0;
    uint64_t killed_at = clock_ns();
    if (holder.pid && hand_kill(&holder) < 0)
        ready = 0;
    if (!ready && waiter.pid)
        hand_kill(&waiter);
    int inherited = hand_join(&waiter) == 0;
    hand_join(&holder);
    if (!ready)
        return -1;
    if (!inherited)
        return trouble("a waiter did not inherit the lock of a killed holder");
    return (double)(scene->returned_at - killed_at) / NS_PER_US;
}

static double notice_once(bool bare)
{
    struct scene *scene = brood_alloc(sizeof *scene);
    if (!scene)
        return trouble("%s", brood_error());
    double took = robust_init(&scene->mutex) == 0 ? notice(scene, bare) : -1;
    pthread_mutex_destroy(&scene->mutex);
    if (brood_lock_fini(&scene->lock) == 0)
        brood_free(scene);
    return took;
}

static double notices(bool bare, bool worst)
{
    struct series series = { 0 };
    for (int i = 0; i < KILLS; i++) {
        double took = notice_once(bare);
        if (took < 0)
            return -1;
        series_add(&series, took);
    }
    return worst ? series_most(&series) : series_median(&series);
}

double death_notice_brood(void)
{
    return notices(false, false);
}

double death_notice_limit(void)
{
    return notices(true, false);
}

double death_notice_worst_brood(void)
{
    return notices(false, true);
}

double death_notice_worst_limit(void)
{
    return notices(true, true);
}
