/* manager_barrier.c: barriers in a manager: each call, each error, and whoever dies at one.
 */
#include "harness.h"
#include "manager_waiting.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { PARTIES = 4, ROUNDS = 100 };

struct scene {
    brood_manager *manager;
    brood_managed_barrier *barrier;
    atomic_int came, chosen, left, dead, results[PARTIES];
};

static struct scene *new_scene(int parties)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    NEED(scene != NULL);
    scene->manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(scene->manager != NULL);
    scene->barrier = CHECK_POINTER(brood_manager_barrier(scene->manager, NULL, parties));
    NEED(scene->barrier != NULL);
    return scene;
}

static void end(struct scene *scene)
{
    CHECK_RESULT(brood_managed_barrier_close(scene->barrier), 0);
    CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
    brood_free(scene);
    CHECK_RESULT(brood_heap_check(), 0);
}

static int go_round(void *arg)
{
    struct scene *scene = arg;
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&scene->came, 1);
        int result = brood_managed_barrier_wait(scene->barrier, BROOD_FOREVER);
        CHECK(result == 0 || result == BROOD_CHOSEN);
        CHECK(atomic_load(&scene->came) >= (i + 1) * PARTIES);
        if (result == BROOD_CHOSEN)
            atomic_fetch_add(&scene->chosen, 1);
    }
    return 0;
}

static void rounds(void)
{
    struct scene *scene = new_scene(PARTIES);
    brood_process *processes[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        const brood_process_options options = { .start = (brood_start)(BROOD_FORK + i % 3) };
        processes[i] = CHECK_POINTER(brood_process_start(go_round, scene, 0, &options));
    }
    for (int i = 0; i < PARTIES; i++)
        CHECK_RESULT(brood_process_join(processes[i], NULL, BROOD_FOREVER), 0);
    CHECK_EQ(atomic_load(&scene->chosen), ROUNDS);
    CHECK_RESULT(brood_managed_barrier_waiting(scene->barrier), 0);
    end(scene);
    scene = new_scene(1);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_managed_barrier_wait(scene->barrier, i - 1), BROOD_CHOSEN);
    end(scene);
}

static int wait_once(void *arg)
{
    struct scene *scene = arg;
    int result = brood_managed_barrier_wait(scene->barrier, BROOD_FOREVER);
    char dead[32];
    snprintf(dead, sizeof dead, "process %d,", atomic_load(&scene->dead));
    if (atomic_load(&scene->dead))
        CHECK_HAS(brood_error(), dead);
    atomic_store(&scene->results[atomic_fetch_add(&scene->left, 1) % PARTIES], result);
    return 0;
}

static void start_waiters(struct scene *scene, pid_t *pids, int count)
{
    atomic_store(&scene->left, 0);
    for (int i = 0; i < count; i++)
        pids[i] = fork_child(wait_once, scene);
    await_waiting(scene->manager, (size_t)count);
    CHECK_RESULT(brood_managed_barrier_waiting(scene->barrier), count);
}

static void check_all(struct scene *scene, const pid_t *pids, int count, int result)
{
    for (int i = 0; i < count; i++)
        CHECK_EQ(wait_child(pids[i]), 0);
    CHECK_EQ(atomic_load(&scene->left), count);
    for (int i = 0; i < count; i++)
        CHECK_EQ(atomic_load(&scene->results[i]), result);
}

static void broken_by_time(void)
{
    struct scene *scene = new_scene(PARTIES);
    pid_t pids[PARTIES];
    CHECK_RESULT(brood_managed_barrier_wait(scene->barrier, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "not all parties");
    start_waiters(scene, pids, 2);
    CHECK_RESULT(brood_managed_barrier_wait(scene->barrier, 0), -ETIMEDOUT); /* which breaks nothing */
    CHECK_RESULT(brood_managed_barrier_waiting(scene->barrier), 2);
    CHECK_RESULT(brood_managed_barrier_wait(scene->barrier, 20), -ETIMEDOUT);
    check_all(scene, pids, 2, -EPIPE);
    CHECK_RESULT(brood_managed_barrier_wait(scene->barrier, BROOD_FOREVER), -EPIPE);
    CHECK_HAS(brood_error(), "broken");
    CHECK_RESULT(brood_managed_barrier_reset(scene->barrier), 0);
    start_waiters(scene, pids, PARTIES - 1);
    CHECK_RESULT(brood_managed_barrier_wait(scene->barrier, 0), BROOD_CHOSEN);
    check_all(scene, pids, PARTIES - 1, 0);
    end(scene);
}

static void aborted_and_reset(void)
{
    struct scene *scene = new_scene(PARTIES);
    pid_t pids[PARTIES];
    start_waiters(scene, pids, 2);
    CHECK_RESULT(brood_managed_barrier_abort(scene->barrier), 0);
    CHECK_RESULT(brood_managed_barrier_abort(scene->barrier), 0);
    check_all(scene, pids, 2, -EPIPE);
    CHECK_RESULT(brood_managed_barrier_wait(scene->barrier, 0), -EPIPE);
    CHECK_RESULT(brood_managed_barrier_reset(scene->barrier), 0);
    start_waiters(scene, pids, 2);
    CHECK_RESULT(brood_managed_barrier_reset(scene->barrier), 0);
    check_all(scene, pids, 2, -EPIPE);
    CHECK_RESULT(brood_managed_barrier_wait(scene->barrier, 0), -ETIMEDOUT);
    end(scene);
}

static void killed_party(void)
{
    struct scene *scene = new_scene(PARTIES);
    pid_t pids[PARTIES];
    start_waiters(scene, pids, PARTIES - 1);
    atomic_store(&scene->dead, pids[1]);
    CHECK_EQ(kill_child(pids[1]), SIGKILL);
    pids[1] = pids[2];
    check_all(scene, pids, 2, -EOWNERDEAD);
    CHECK_RESULT(brood_managed_barrier_wait(scene->barrier, BROOD_FOREVER), -EOWNERDEAD);
    CHECK_RESULT(brood_managed_barrier_abort(scene->barrier), 0); /* it stays as it is */
    CHECK_RESULT(brood_managed_barrier_wait(scene->barrier, 0), -EOWNERDEAD);
    CHECK_RESULT(brood_managed_barrier_reset(scene->barrier), 0);
    atomic_store(&scene->dead, 0);
    start_waiters(scene, pids, PARTIES - 1);
    CHECK_RESULT(brood_managed_barrier_wait(scene->barrier, BROOD_FOREVER), BROOD_CHOSEN);
    check_all(scene, pids, PARTIES - 1, 0);
    end(scene);
}

static void server_ends(void)
{
    for (int round = 0; round < 3; round++) {
        struct scene *scene = new_scene(PARTIES);
        pid_t pids[PARTIES];
        start_waiters(scene, pids, 2);
        if (round == 0)
            CHECK_RESULT(brood_manager_shutdown(scene->manager), 0);
        else if (round == 1)
            CHECK_EQ(kill(brood_manager_pid(scene->manager), SIGKILL), 0);
        CHECK_RESULT(brood_managed_barrier_close(scene->barrier), 0);
        check_all(scene, pids, 2, round == 0 ? -EPIPE : round == 1 ? -EOWNERDEAD : -EINVAL);
        CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
        brood_free(scene);
    }
}

static void wrong_calls(void)
{
    struct scene *scene = new_scene(2);
    brood_managed_barrier *same = CHECK_POINTER(brood_manager_barrier(scene->manager, "gate", 1));
    CHECK_NULL(brood_manager_barrier(NULL, NULL, 1), EINVAL);
    CHECK_NULL(brood_manager_barrier(scene->manager, NULL, 0), EINVAL);
    CHECK_HAS(brood_error(), "1 party at least");
    CHECK_NULL(brood_manager_barrier(scene->manager, NULL, 1000001), EINVAL);
    CHECK_NULL(brood_manager_lock(scene->manager, "gate"), EINVAL);
    CHECK_RESULT(brood_managed_barrier_wait(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_managed_barrier_wait(same, -2), -EINVAL);
    CHECK_RESULT(brood_managed_barrier_abort(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_barrier_reset(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_barrier_waiting(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_barrier_close(NULL), 0);
    CHECK_RESULT(brood_managed_barrier_close(same), 0);
    end(scene);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "rounds", .run = rounds, .deadline_s = 60 },
        { .name = "broken_by_time", .run = broken_by_time },
        { .name = "aborted_and_reset", .run = aborted_and_reset },
        { .name = "killed_party", .run = killed_party },
        { .name = "server_ends", .run = server_ends },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
