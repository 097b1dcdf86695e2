/* manager_condition.c: conditions in a manager: each call, each error, and whoever dies in one.
 */
#include "harness.h"
#include "manager_waiting.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { PARTIES = 4, ITEMS = 400 };

struct scene {
    brood_manager *manager;
    brood_managed_condition *condition;
    atomic_int stage, results[PARTIES], order[PARTIES];
    int items, got; /* guarded by the condition's lock */
};

static struct scene *new_scene(void)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    NEED(scene != NULL);
    scene->manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(scene->manager != NULL);
    scene->condition = CHECK_POINTER(brood_manager_condition(scene->manager, NULL));
    NEED(scene->condition != NULL);
    return scene;
}

static void end(struct scene *scene)
{
    CHECK_RESULT(brood_managed_condition_close(scene->condition), 0);
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(scene->manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.waiting, 0);
    CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
    brood_free(scene);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void take(struct scene *scene)
{
    CHECK_RESULT(brood_managed_condition_acquire(scene->condition, BROOD_FOREVER), 0);
}

static void give(struct scene *scene)
{
    CHECK_RESULT(brood_managed_condition_release(scene->condition), 0);
}

static int wait_once(void *arg)
{
    struct scene *scene = arg;
    take(scene);
    int result = brood_managed_condition_wait(scene->condition, BROOD_FOREVER);
    int at = atomic_fetch_add(&scene->stage, 1) % PARTIES;
    atomic_store(&scene->results[at], result);
    atomic_store(&scene->order[at], getpid());
    if (result >= 0)
        give(scene);
    return 0;
}

static int find_it_held(void *arg)
{
    struct scene *scene = arg;
    CHECK_RESULT(brood_managed_condition_acquire(scene->condition, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_managed_condition_acquire(scene->condition, 10), -ETIMEDOUT);
    CHECK_RESULT(brood_managed_condition_release(scene->condition), -EPERM);
    CHECK_RESULT(brood_managed_condition_wait(scene->condition, 0), -EPERM);
    CHECK_RESULT(brood_managed_condition_notify(scene->condition, 1), -EPERM);
    return 0;
}

/* After a wait that was in vain the lock is held as often as before. */
static void in_vain(void)
{
    struct scene *scene = new_scene();
    take(scene);
    take(scene);
    CHECK_EQ(wait_child(fork_child(find_it_held, scene)), 0);
    CHECK_RESULT(brood_managed_condition_wait(scene->condition, 20), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "not notified");
    CHECK_RESULT(brood_managed_condition_wait(scene->condition, 0), -ETIMEDOUT);
    CHECK_EQ(wait_child(fork_child(find_it_held, scene)), 0);
    give(scene);
    CHECK_EQ(wait_child(fork_child(find_it_held, scene)), 0);
    give(scene);
    CHECK_RESULT(brood_managed_condition_release(scene->condition), -EPERM);
    CHECK_RESULT(brood_managed_condition_notify(scene->condition, 1), -EPERM);
    end(scene);
}

static void start_waiters(struct scene *scene, pid_t *pids)
{
    for (int i = 0; i < PARTIES; i++) {
        pids[i] = fork_child(wait_once, scene);
        await_waiting(scene->manager, (size_t)i + 1);
    }
}

/* One by one, in the order in which they came; and all at once. */
static void notified(void)
{
    struct scene *scene = new_scene();
    pid_t pids[PARTIES];
    take(scene);
    CHECK_RESULT(brood_managed_condition_notify(scene->condition, 3), 0); /* nobody waits */
    give(scene);
    start_waiters(scene, pids);
    for (int i = 0; i < PARTIES; i++) {
        take(scene);
        CHECK_RESULT(brood_managed_condition_notify(scene->condition, 0), 0);
        CHECK_RESULT(brood_managed_condition_notify(scene->condition, i < 2 ? 1 : BROOD_ALL), 0);
        give(scene);
        CHECK_EQ(wait_child(pids[i]), 0);
        CHECK_EQ(atomic_load(&scene->results[i]), 0);
        CHECK_EQ(atomic_load(&scene->order[i]), pids[i]);
    }
    end(scene);
}

static int wait_briefly(void *arg)
{
    struct scene *scene = arg;
    take(scene);
    atomic_store(&scene->stage, 1);
    CHECK_RESULT(brood_managed_condition_wait(scene->condition, 30), -ETIMEDOUT);
    CHECK_EQ(scene->items, 0); /* it is alone in the lock */
    give(scene);
    return 0;
}

/* One whose time is over while another holds the lock gets it after that one. */
static void late(void)
{
    struct scene *scene = new_scene();
    pid_t pid = fork_child(wait_briefly, scene);
    NEED(wait_word(&scene->stage, 1, TOLD_MS));
    take(scene); /* it waits */
    scene->items = 1;
    pass_us(60000); /* its time is over by then, as a rule */
    scene->items = 0;
    give(scene);
    CHECK_EQ(wait_child(pid), 0);
    end(scene);
}

/* The first is notified, and dies before it gets the lock: another who waited is told instead. */
static void killed_when_notified(void)
{
    struct scene *scene = new_scene();
    pid_t pids[PARTIES];
    start_waiters(scene, pids);
    take(scene);
    CHECK_RESULT(brood_managed_condition_notify(scene->condition, 1), 0);
    CHECK_EQ(kill_child(pids[0]), SIGKILL);
    await_waiting(scene->manager, PARTIES - 1);
    give(scene);
    CHECK_EQ(wait_child(pids[1]), 0);
    CHECK_EQ(kill_child(pids[2]), SIGKILL);
    await_waiting(scene->manager, 1);
    take(scene);
    CHECK_RESULT(brood_managed_condition_notify(scene->condition, 1), 0);
    give(scene);
    CHECK_EQ(wait_child(pids[3]), 0);
    CHECK_EQ(atomic_load(&scene->stage), 2);
    end(scene);
}

static int notify_and_die(void *arg)
{
    struct scene *scene = arg;
    take(scene);
    CHECK_RESULT(brood_managed_condition_notify(scene->condition, 1), 0);
    atomic_store(&scene->stage, PARTIES);
    raise(SIGKILL);
    return 0;
}

static void killed_holder(void)
{
    struct scene *scene = new_scene();
    pid_t pid = fork_child(wait_once, scene);
    await_waiting(scene->manager, 1);
    wait_child(fork_child(notify_and_die, scene));
    CHECK_EQ(wait_child(pid), 0);
    CHECK_EQ(atomic_load(&scene->results[0]), BROOD_INHERITED);
    take(scene);
    give(scene);
    end(scene);
}

static int get_items(void *arg)
{
    struct scene *scene = arg;
    take(scene);
    while (scene->got < ITEMS) {
        while (scene->items == 0 && scene->got < ITEMS)
            CHECK_RESULT(brood_managed_condition_wait(scene->condition, BROOD_FOREVER), 0);
        if (scene->got < ITEMS) {
            scene->items--;
            scene->got++;
        }
    }
    CHECK_RESULT(brood_managed_condition_notify(scene->condition, BROOD_ALL), 0);
    give(scene);
    return 0;
}

static void passed_on(void)
{
    struct scene *scene = new_scene();
    pid_t pids[PARTIES];
    for (int i = 0; i < PARTIES; i++)
        pids[i] = fork_child(get_items, scene);
    for (int i = 0; i < ITEMS; i++) {
        take(scene);
        scene->items++;
        CHECK_RESULT(brood_managed_condition_notify(scene->condition, 1), 0);
        give(scene);
    }
    for (int i = 0; i < PARTIES; i++)
        CHECK_EQ(wait_child(pids[i]), 0);
    CHECK_EQ(scene->got, ITEMS);
    CHECK_EQ(scene->items, 0);
    end(scene);
}

static void server_ends(void)
{
    for (int round = 0; round < 3; round++) {
        struct scene *scene = new_scene();
        pid_t pid = fork_child(wait_once, scene);
        await_waiting(scene->manager, 1);
        if (round == 0)
            CHECK_RESULT(brood_manager_shutdown(scene->manager), 0);
        else if (round == 1)
            CHECK_EQ(kill(brood_manager_pid(scene->manager), SIGKILL), 0);
        CHECK_RESULT(brood_managed_condition_close(scene->condition), 0);
        CHECK_EQ(wait_child(pid), 0);
        CHECK_EQ(atomic_load(&scene->results[0]), round == 0 ? -EPIPE : round == 1 ? -EOWNERDEAD : -EINVAL);
        CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
        brood_free(scene);
    }
}

static void wrong_calls(void)
{
    struct scene *scene = new_scene();
    brood_managed_lock *lock = CHECK_POINTER(brood_manager_lock(scene->manager, "shop"));
    CHECK_NULL(brood_manager_condition(NULL, NULL), EINVAL);
    CHECK_NULL(brood_manager_condition(scene->manager, "shop"), EINVAL);
    CHECK_HAS(brood_error(), "'shop' is a lock, no condition");
    CHECK_RESULT(brood_managed_condition_acquire(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_managed_condition_acquire(scene->condition, -2), -EINVAL);
    CHECK_RESULT(brood_managed_condition_release(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_condition_wait(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_managed_condition_wait(scene->condition, -2), -EINVAL);
    CHECK_RESULT(brood_managed_condition_notify(NULL, 1), -EINVAL);
    CHECK_RESULT(brood_managed_condition_notify(scene->condition, -1), -EINVAL);
    CHECK_RESULT(brood_managed_condition_release((brood_managed_condition *)(void *)lock), -EINVAL);
    CHECK_RESULT(brood_managed_condition_close(NULL), 0);
    CHECK_RESULT(brood_managed_lock_close(lock), 0);
    CHECK_RESULT(brood_manager_forget(scene->manager, "shop"), 0);
    end(scene);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "in_vain", .run = in_vain },
        { .name = "notified", .run = notified },
        { .name = "late", .run = late },
        { .name = "killed_when_notified", .run = killed_when_notified },
        { .name = "killed_holder", .run = killed_holder },
        { .name = "passed_on", .run = passed_on, .deadline_s = 60 },
        { .name = "server_ends", .run = server_ends },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
