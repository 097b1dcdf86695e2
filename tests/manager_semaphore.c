/* manager_semaphore.c: semaphores in a manager, plain and bounded: each call, each error, and whoever dies with a unit.
 */
#include "harness.h"
#include "manager_waiting.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { PARTIES = 4, UNITS = 2, EACH = 200, KILLS = 60 };

struct scene {
    brood_manager *manager;
    brood_managed_semaphore *semaphore;
    atomic_int stage, inside, most, results[PARTIES];
};

static struct scene *new_scene(bool bounded, int units)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    NEED(scene != NULL);
    scene->manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(scene->manager != NULL);
    scene->semaphore = CHECK_POINTER(bounded ? brood_manager_bounded_semaphore(scene->manager, NULL, units)
                                             : brood_manager_semaphore(scene->manager, NULL, units));
    NEED(scene->semaphore != NULL);
    return scene;
}

static void end(struct scene *scene)
{
    CHECK_RESULT(brood_managed_semaphore_close(scene->semaphore), 0);
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(scene->manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.waiting, 0);
    CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
    brood_free(scene);
    CHECK_RESULT(brood_heap_check(), 0);
}

static int take_and_stay(void *arg)
{
    struct scene *scene = arg;
    int result = brood_managed_semaphore_acquire(scene->semaphore, BROOD_FOREVER);
    atomic_store(&scene->results[atomic_fetch_add(&scene->stage, 1) % PARTIES], result);
    for (;;)
        pause();
    return 0;
}

static int take(void *arg)
{
    struct scene *scene = arg;
    int result = brood_managed_semaphore_acquire(scene->semaphore, BROOD_FOREVER);
    atomic_store(&scene->results[atomic_fetch_add(&scene->stage, 1) % PARTIES], result);
    return 0;
}

static void plain(void)
{
    struct scene *scene = new_scene(false, 1);
    CHECK_RESULT(brood_managed_semaphore_units(scene->semaphore), 1);
    CHECK_RESULT(brood_managed_semaphore_acquire(scene->semaphore, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_semaphore_units(scene->semaphore), 0);
    CHECK_RESULT(brood_managed_semaphore_acquire(scene->semaphore, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "no unit");
    CHECK_RESULT(brood_managed_semaphore_acquire(scene->semaphore, 20), -ETIMEDOUT);
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = fork_child(take, scene);
        await_waiting(scene->manager, (size_t)i + 1);
    }
    CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), 0); /* by whoever */
    CHECK_EQ(wait_child(pids[0]), 0);
    CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), 0);
    CHECK_EQ(wait_child(pids[1]), 0);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), 0);
    CHECK_RESULT(brood_managed_semaphore_units(scene->semaphore), 3);
    end(scene);
    scene = new_scene(false, INT_MAX);
    CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), -EOVERFLOW);
    CHECK_RESULT(brood_managed_semaphore_acquire(scene->semaphore, 0), 0);
    CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), 0);
    end(scene);
}

/* A plain one's unit is gone with its taker; one who waits leaves nothing. */
static void plain_and_killed(void)
{
    struct scene *scene = new_scene(false, 1);
    pid_t taker = fork_child(take_and_stay, scene);
    NEED(wait_word(&scene->stage, 1, TOLD_MS));
    pid_t waiter = fork_child(take_and_stay, scene);
    await_waiting(scene->manager, 1);
    CHECK_EQ(kill_child(taker), SIGKILL);
    CHECK_EQ(kill_child(waiter), SIGKILL);
    await_waiting(scene->manager, 0);
    CHECK_RESULT(brood_managed_semaphore_acquire(scene->semaphore, 50), -ETIMEDOUT);
    CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), 0);
    CHECK_RESULT(brood_managed_semaphore_acquire(scene->semaphore, 0), 0);
    end(scene);
}

static int release_others(void *arg)
{
    struct scene *scene = arg;
    CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), -EPERM);
    CHECK_HAS(brood_error(), "holds none");
    return 0;
}

static void bounded(void)
{
    struct scene *scene = new_scene(true, UNITS);
    CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), -EPERM);
    for (int i = 0; i < UNITS; i++)
        CHECK_RESULT(brood_managed_semaphore_acquire(scene->semaphore, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_semaphore_acquire(scene->semaphore, 0), -ETIMEDOUT);
    CHECK_EQ(wait_child(fork_child(release_others, scene)), 0);
    for (int i = 0; i < UNITS; i++)
        CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), 0);
    CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), -EPERM);
    CHECK_RESULT(brood_managed_semaphore_units(scene->semaphore), UNITS);
    end(scene);
}

/* Units of the dead pass on with word of it, once each, until one releases them. */
static void bounded_and_killed(void)
{
    struct scene *scene = new_scene(true, UNITS);
    pid_t takers[UNITS];
    for (int i = 0; i < UNITS; i++) {
        takers[i] = fork_child(take_and_stay, scene);
        NEED(wait_word(&scene->stage, i + 1, TOLD_MS));
    }
    pid_t waiter = fork_child(take_and_stay, scene);
    await_waiting(scene->manager, 1);
    CHECK_EQ(kill_child(takers[0]), SIGKILL);
    NEED(wait_word(&scene->stage, UNITS + 1, TOLD_MS));
    CHECK_EQ(atomic_load(&scene->results[UNITS]), BROOD_INHERITED);
    CHECK_EQ(kill_child(waiter), SIGKILL);
    CHECK_EQ(brood_managed_semaphore_acquire(scene->semaphore, TOLD_MS), BROOD_INHERITED);
    CHECK_HAS(brood_error(), "holder that died");
    CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), 0);
    CHECK_RESULT(brood_managed_semaphore_acquire(scene->semaphore, 0), 0);
    CHECK_EQ(kill_child(takers[1]), SIGKILL);
    CHECK_EQ(brood_managed_semaphore_acquire(scene->semaphore, TOLD_MS), BROOD_INHERITED);
    for (int i = 0; i < UNITS; i++)
        CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), 0);
    CHECK_RESULT(brood_managed_semaphore_units(scene->semaphore), UNITS);
    end(scene);
}

static int use_often(void *arg)
{
    struct scene *scene = arg;
    for (int i = 0; i < EACH; i++) {
        CHECK_RESULT(brood_managed_semaphore_acquire(scene->semaphore, BROOD_FOREVER), 0);
        int inside = atomic_fetch_add(&scene->inside, 1) + 1;
        CHECK(inside <= UNITS);
        atomic_fetch_sub(&scene->inside, 1);
        CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), 0);
    }
    return 0;
}

static void so_many_at_once(void)
{
    struct scene *scene = new_scene(true, UNITS);
    pid_t pids[PARTIES];
    for (int i = 0; i < PARTIES; i++)
        pids[i] = fork_child(use_often, scene);
    for (int i = 0; i < PARTIES; i++)
        CHECK_EQ(wait_child(pids[i]), 0);
    CHECK_RESULT(brood_managed_semaphore_units(scene->semaphore), UNITS);
    end(scene);
}

static int use_until_killed(void *arg)
{
    struct scene *scene = arg;
    for (;;) {
        CHECK(brood_managed_semaphore_acquire(scene->semaphore, BROOD_FOREVER) >= 0);
        CHECK_RESULT(brood_managed_semaphore_release(scene->semaphore), 0);
    }
    return 0;
}

static bool all_are_there(void *context)
{
    struct scene *scene = context;
    return brood_managed_semaphore_units(scene->semaphore) == UNITS;
}

/* Killed wherever they are: no unit is lost, and none comes. */
static void killed_at_random(void)
{
    struct scene *scene = new_scene(true, UNITS);
    uint32_t seed = 815;
    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        pids[i] = fork_child(use_until_killed, scene);
    for (int i = 0; i < harness_times(KILLS); i++) {
        pass_us(random_next(&seed) % 3000);
        CHECK_EQ(kill_child(pids[i % 3]), SIGKILL);
        pids[i % 3] = fork_child(use_until_killed, scene);
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(kill_child(pids[i]), SIGKILL);
    CHECK(wait_until(all_are_there, scene, TOLD_MS));
    end(scene);
}

static void server_ends(void)
{
    for (int round = 0; round < 3; round++) {
        struct scene *scene = new_scene(round == 0, 1);
        CHECK_RESULT(brood_managed_semaphore_acquire(scene->semaphore, 0), 0);
        pid_t pid = fork_child(take, scene);
        await_waiting(scene->manager, 1);
        if (round == 0)
            CHECK_RESULT(brood_manager_shutdown(scene->manager), 0);
        else if (round == 1)
            CHECK_EQ(kill(brood_manager_pid(scene->manager), SIGKILL), 0);
        CHECK_RESULT(brood_managed_semaphore_close(scene->semaphore), 0);
        CHECK_EQ(wait_child(pid), 0);
        CHECK_EQ(atomic_load(&scene->results[0]), round == 0 ? -EPIPE : round == 1 ? -EOWNERDEAD : -EINVAL);
        CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
        brood_free(scene);
    }
}

static void wrong_calls(void)
{
    struct scene *scene = new_scene(true, 1);
    brood_managed_semaphore *plain_one = CHECK_POINTER(brood_manager_semaphore(scene->manager, "shop", 5));
    brood_managed_semaphore *same = CHECK_POINTER(brood_manager_semaphore(scene->manager, "shop", 77));
    CHECK_RESULT(brood_managed_semaphore_units(same), 5);
    CHECK_NULL(brood_manager_semaphore(NULL, NULL, 1), EINVAL);
    CHECK_NULL(brood_manager_semaphore(scene->manager, NULL, -1), EINVAL);
    CHECK_HAS(brood_error(), "a semaphore must have 0 units at least");
    CHECK_NULL(brood_manager_bounded_semaphore(scene->manager, NULL, 0), EINVAL);
    CHECK_NULL(brood_manager_bounded_semaphore(NULL, NULL, 1), EINVAL);
    CHECK_NULL(brood_manager_bounded_semaphore(scene->manager, "shop", 5), EINVAL);
    CHECK_HAS(brood_error(), "'shop' is a semaphore, no bounded semaphore");
    CHECK_RESULT(brood_managed_semaphore_acquire(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_managed_semaphore_acquire(same, -2), -EINVAL);
    CHECK_RESULT(brood_managed_semaphore_release(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_semaphore_units(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_semaphore_close(NULL), 0);
    CHECK_RESULT(brood_managed_semaphore_close(same), 0);
    CHECK_RESULT(brood_managed_semaphore_close(plain_one), 0);
    CHECK_RESULT(brood_manager_forget(scene->manager, "shop"), 0);
    end(scene);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "plain", .run = plain },
        { .name = "plain_and_killed", .run = plain_and_killed },
        { .name = "bounded", .run = bounded },
        { .name = "bounded_and_killed", .run = bounded_and_killed },
        { .name = "so_many_at_once", .run = so_many_at_once, .deadline_s = 60 },
        { .name = "killed_at_random", .run = killed_at_random, .deadline_s = 60 },
        { .name = "server_ends", .run = server_ends },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
