/* manager_event.c: events in a manager: each call, each error, and whoever dies at one.
 */
#include "harness.h"
#include "manager_waiting.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { PARTIES = 4 };

struct scene {
    brood_manager *manager;
    brood_managed_event *event;
    atomic_int released, result;
};

static struct scene *new_scene(void)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    NEED(scene != NULL);
    scene->manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(scene->manager != NULL);
    scene->event = CHECK_POINTER(brood_manager_event(scene->manager, NULL));
    NEED(scene->event != NULL);
    return scene;
}

static void end(struct scene *scene)
{
    CHECK_RESULT(brood_managed_event_close(scene->event), 0);
    CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
    brood_free(scene);
    CHECK_RESULT(brood_heap_check(), 0);
}

static int wait_for_it(void *arg)
{
    struct scene *scene = arg;
    int result = brood_managed_event_wait(scene->event, BROOD_FOREVER);
    atomic_store(&scene->result, result);
    atomic_fetch_add(&scene->released, 1);
    return 0;
}

static void set_and_cleared(void)
{
    struct scene *scene = new_scene();
    CHECK_RESULT(brood_managed_event_wait(scene->event, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "not been set");
    CHECK_RESULT(brood_managed_event_wait(scene->event, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_managed_event_set(scene->event), 0);
    CHECK_RESULT(brood_managed_event_set(scene->event), 0);
    CHECK_RESULT(brood_managed_event_wait(scene->event, 0), 0);
    CHECK_RESULT(brood_managed_event_wait(scene->event, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_event_clear(scene->event), 0);
    CHECK_RESULT(brood_managed_event_clear(scene->event), 0);
    CHECK_RESULT(brood_managed_event_wait(scene->event, 0), -ETIMEDOUT);
    end(scene);
}

/* Also those who come to look only when it is cleared again; one that was killed meanwhile is no matter. */
static void releases_all(void)
{
    struct scene *scene = new_scene();
    pid_t pids[PARTIES];
    for (int i = 0; i < PARTIES; i++)
        pids[i] = fork_child(wait_for_it, scene);
    await_waiting(scene->manager, PARTIES);
    CHECK_EQ(kill_child(pids[0]), SIGKILL);
    CHECK_RESULT(brood_managed_event_set(scene->event), 0);
    CHECK_RESULT(brood_managed_event_clear(scene->event), 0);
    for (int i = 1; i < PARTIES; i++)
        CHECK_EQ(wait_child(pids[i]), 0);
    CHECK_EQ(atomic_load(&scene->released), PARTIES - 1);
    CHECK_EQ(atomic_load(&scene->result), 0);
    await_waiting(scene->manager, 0);
    end(scene);
}

static void server_ends(void)
{
    for (int round = 0; round < 3; round++) {
        struct scene *scene = new_scene();
        pid_t pid = fork_child(wait_for_it, scene);
        await_waiting(scene->manager, 1);
        if (round == 0)
            CHECK_RESULT(brood_manager_shutdown(scene->manager), 0);
        else if (round == 1)
            CHECK_EQ(kill(brood_manager_pid(scene->manager), SIGKILL), 0);
        CHECK_RESULT(brood_managed_event_close(scene->event), 0);
        CHECK_EQ(wait_child(pid), 0);
        CHECK_EQ(atomic_load(&scene->result), round == 0 ? -EPIPE : round == 1 ? -EOWNERDEAD : -EINVAL);
        CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
        brood_free(scene);
    }
}

static void wrong_calls(void)
{
    struct scene *scene = new_scene();
    brood_managed_lock *lock = CHECK_POINTER(brood_manager_lock(scene->manager, "shop"));
    CHECK_NULL(brood_manager_event(NULL, NULL), EINVAL);
    CHECK_NULL(brood_manager_event(scene->manager, "shop"), EINVAL);
    CHECK_HAS(brood_error(), "'shop' is a lock, no event");
    CHECK_RESULT(brood_managed_event_set(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_event_clear(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_event_wait(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_managed_event_wait(scene->event, -2), -EINVAL);
    CHECK_RESULT(brood_managed_event_set((brood_managed_event *)(void *)lock), -EINVAL);
    CHECK_RESULT(brood_managed_event_close(NULL), 0);
    CHECK_RESULT(brood_managed_lock_close(lock), 0);
    end(scene);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "set_and_cleared", .run = set_and_cleared },
        { .name = "releases_all", .run = releases_all },
        { .name = "server_ends", .run = server_ends },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
