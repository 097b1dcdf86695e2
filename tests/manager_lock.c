/* manager_lock.c: locks in a manager: each call, each error, a fair line, and whoever dies in it.
 */
#include "harness.h"
#include "manager_waiting.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { PARTIES = 5, EACH = 300, KILLS = 60 };

struct scene {
    brood_manager *manager;
    brood_managed_lock *lock, *others;
    atomic_int stage, result, order[PARTIES];
    int first, second; /* equal, unless a holder died between the two */
    int inherited;
};

static struct scene *new_scene(bool recursive)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    NEED(scene != NULL);
    scene->manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(scene->manager != NULL);
    scene->lock =
        CHECK_POINTER(recursive ? brood_manager_rlock(scene->manager, NULL) : brood_manager_lock(scene->manager, NULL));
    NEED(scene->lock != NULL);
    return scene;
}

static void end(struct scene *scene)
{
    CHECK_RESULT(brood_managed_lock_close(scene->lock), 0);
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(scene->manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.waiting, 0);
    CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
    brood_free(scene);
    CHECK_RESULT(brood_heap_check(), 0);
}

static int take_and_give(void *arg)
{
    struct scene *scene = arg;
    int result = brood_managed_lock_acquire(scene->lock, BROOD_FOREVER);
    atomic_store(&scene->result, result);
    if (result >= 0) {
        atomic_store(&scene->order[atomic_fetch_add(&scene->stage, 1) % PARTIES], getpid());
        CHECK_RESULT(brood_managed_lock_release(scene->lock), 0);
    }
    return 0;
}

static int take_and_stay(void *arg)
{
    struct scene *scene = arg;
    atomic_store(&scene->result, brood_managed_lock_acquire(scene->lock, BROOD_FOREVER));
    atomic_fetch_add(&scene->stage, 1);
    for (;;)
        pause();
    return 0;
}

static int find_it_held(void *arg)
{
    struct scene *scene = arg;
    CHECK_RESULT(brood_managed_lock_acquire(scene->lock, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "held it to the end");
    CHECK_RESULT(brood_managed_lock_acquire(scene->lock, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_managed_lock_release(scene->lock), -EPERM);
    CHECK_EQ(brood_managed_lock_holder(scene->lock), getppid());
    return 0;
}

static void one_at_a_time(void)
{
    struct scene *scene = new_scene(false);
    CHECK_RESULT(brood_managed_lock_holder(scene->lock), 0);
    CHECK_RESULT(brood_managed_lock_release(scene->lock), -EPERM);
    CHECK_RESULT(brood_managed_lock_acquire(scene->lock, 0), 0);
    CHECK_RESULT(brood_managed_lock_acquire(scene->lock, 0), -EDEADLK);
    CHECK_RESULT(brood_managed_lock_acquire(scene->lock, BROOD_FOREVER), -EDEADLK);
    CHECK_EQ(wait_child(fork_child(find_it_held, scene)), 0);
    CHECK_RESULT(brood_managed_lock_release(scene->lock), 0);
    CHECK_RESULT(brood_managed_lock_release(scene->lock), -EPERM);
    CHECK_EQ(wait_child(fork_child(take_and_give, scene)), 0);
    CHECK_EQ(atomic_load(&scene->result), 0);
    end(scene);
}

static void recursive(void)
{
    struct scene *scene = new_scene(true);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_managed_lock_acquire(scene->lock, i == 1 ? 0 : BROOD_FOREVER), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(wait_child(fork_child(find_it_held, scene)), 0);
        CHECK_RESULT(brood_managed_lock_release(scene->lock), 0);
    }
    CHECK_RESULT(brood_managed_lock_release(scene->lock), -EPERM);
    CHECK_EQ(wait_child(fork_child(take_and_give, scene)), 0);
    CHECK_EQ(atomic_load(&scene->result), 0);
    end(scene);
}

static void first_come_first_served(void)
{
    struct scene *scene = new_scene(false);
    pid_t pids[PARTIES];
    CHECK_RESULT(brood_managed_lock_acquire(scene->lock, 0), 0);
    for (int i = 0; i < PARTIES; i++) {
        pids[i] = fork_child(take_and_give, scene);
        await_waiting(scene->manager, (size_t)i + 1);
    }
    CHECK_RESULT(brood_managed_lock_release(scene->lock), 0);
    for (int i = 0; i < PARTIES; i++)
        CHECK_EQ(wait_child(pids[i]), 0);
    for (int i = 0; i < PARTIES; i++)
        CHECK_EQ(atomic_load(&scene->order[i]), pids[i]);
    end(scene);
}

static int count_up(void *arg)
{
    struct scene *scene = arg;
    for (int i = 0; i < EACH; i++) {
        CHECK_RESULT(brood_managed_lock_acquire(scene->lock, BROOD_FOREVER), 0);
        scene->first++;
        CHECK_RESULT(brood_managed_lock_release(scene->lock), 0);
    }
    return 0;
}

static void many_count(void)
{
    struct scene *scene = new_scene(false);
    brood_process *processes[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        const brood_process_options options = { .start = (brood_start)(BROOD_FORK + i % 3) };
        processes[i] = CHECK_POINTER(brood_process_start(count_up, scene, 0, &options));
    }
    for (int i = 0; i < PARTIES; i++)
        CHECK_RESULT(brood_process_join(processes[i], NULL, BROOD_FOREVER), 0);
    CHECK_EQ(scene->first, PARTIES * EACH);
    end(scene);
}

/* Who waits for it is told, and so is the next, if that one dies too; a release mends. */
static void killed_holder(void)
{
    for (int round = 0; round < 2; round++) {
        struct scene *scene = new_scene(round == 1);
        pid_t pids[2];
        pids[0] = fork_child(take_and_stay, scene);
        NEED(wait_word(&scene->stage, 1, TOLD_MS));
        CHECK_EQ(atomic_load(&scene->result), 0);
        CHECK_EQ(brood_managed_lock_holder(scene->lock), pids[0]);
        pids[1] = fork_child(take_and_stay, scene);
        await_waiting(scene->manager, 1);
        CHECK_EQ(kill_child(pids[0]), SIGKILL);
        NEED(wait_word(&scene->stage, 2, TOLD_MS));
        CHECK_EQ(atomic_load(&scene->result), BROOD_INHERITED);
        CHECK_EQ(kill_child(pids[1]), SIGKILL);
        CHECK_EQ(brood_managed_lock_acquire(scene->lock, TOLD_MS), BROOD_INHERITED);
        CHECK_HAS(brood_error(), "holder that died");
        CHECK_RESULT(brood_managed_lock_release(scene->lock), 0);
        CHECK_RESULT(brood_managed_lock_acquire(scene->lock, 0), 0);
        CHECK_RESULT(brood_managed_lock_release(scene->lock), 0);
        end(scene);
    }
}

static void *take_and_end(void *arg)
{
    struct scene *scene = arg;
    CHECK_RESULT(brood_managed_lock_acquire(scene->lock, 0), 0);
    return NULL;
}

/* It is the thread's, whose process lives on. */
static void ended_thread(void)
{
    struct scene *scene = new_scene(false);
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, take_and_end, scene) == 0);
    pthread_join(thread, NULL);
    CHECK_EQ(brood_managed_lock_acquire(scene->lock, TOLD_MS), BROOD_INHERITED);
    CHECK_RESULT(brood_managed_lock_release(scene->lock), 0);
    end(scene);
}

static void killed_waiter(void)
{
    struct scene *scene = new_scene(false);
    pid_t pids[3];
    CHECK_RESULT(brood_managed_lock_acquire(scene->lock, 0), 0);
    for (int i = 0; i < 3; i++) {
        pids[i] = fork_child(take_and_give, scene);
        await_waiting(scene->manager, (size_t)i + 1);
    }
    CHECK_EQ(kill_child(pids[1]), SIGKILL);
    await_waiting(scene->manager, 2);
    CHECK_EQ(kill_child(pids[0]), SIGKILL);
    CHECK_RESULT(brood_managed_lock_release(scene->lock), 0); /* whether the server has seen that yet or not */
    CHECK_EQ(wait_child(pids[2]), 0);
    CHECK_EQ(atomic_load(&scene->result), 0);
    end(scene);
}

/* All who wait are told at once of the server's end, however it comes, and nobody gets the lock by it. */
static void server_ends(void)
{
    for (int round = 0; round < 2; round++) {
        struct scene *scene = new_scene(false);
        CHECK_RESULT(brood_managed_lock_acquire(scene->lock, 0), 0);
        pid_t pid = fork_child(take_and_give, scene);
        await_waiting(scene->manager, 1);
        if (round == 0)
            CHECK_RESULT(brood_manager_shutdown(scene->manager), 0);
        else
            CHECK_EQ(kill(brood_manager_pid(scene->manager), SIGKILL), 0);
        CHECK_EQ(wait_child(pid), 0);
        CHECK_EQ(atomic_load(&scene->result), round == 0 ? -EPIPE : -EOWNERDEAD);
        CHECK_RESULT(brood_managed_lock_acquire(scene->lock, BROOD_FOREVER), round == 0 ? -EPIPE : -EOWNERDEAD);
        CHECK_RESULT(brood_managed_lock_close(scene->lock), 0);
        CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
        brood_free(scene);
    }
}

/* The lock goes with its last handle, while one holds it and another waits. */
static void gone_meanwhile(void)
{
    struct scene *scene = new_scene(false);
    CHECK_RESULT(brood_managed_lock_acquire(scene->lock, 0), 0);
    pid_t pid = fork_child(take_and_give, scene);
    await_waiting(scene->manager, 1);
    brood_managed_lock *same = scene->lock;
    CHECK_RESULT(brood_managed_lock_close(same), 0);
    CHECK_EQ(wait_child(pid), 0);
    CHECK_EQ(atomic_load(&scene->result), -EINVAL);
    scene->lock = CHECK_POINTER(brood_manager_lock(scene->manager, "another"));
    CHECK_RESULT(brood_managed_lock_acquire(scene->lock, 0), 0);
    CHECK_RESULT(brood_managed_lock_release(scene->lock), 0);
    CHECK_RESULT(brood_manager_forget(scene->manager, "another"), 0);
    end(scene);
}

static int open_and_stay(void *arg)
{
    struct scene *scene = arg;
    scene->others = CHECK_POINTER(brood_manager_lock(scene->manager, NULL));
    CHECK_RESULT(brood_managed_lock_acquire(scene->others, 0), 0);
    atomic_store(&scene->stage, 1);
    for (;;)
        pause();
    return 0;
}

/* A lock that only a process has that dies goes with it, and sends away who waits. */
static void owner_dies(void)
{
    struct scene *scene = new_scene(false);
    pid_t owner = fork_child(open_and_stay, scene);
    NEED(wait_word(&scene->stage, 1, TOLD_MS));
    brood_managed_lock *own = scene->lock;
    scene->lock = scene->others;
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        pids[i] = fork_child(take_and_stay, scene);
        await_waiting(scene->manager, (size_t)i + 1);
    }
    CHECK_EQ(kill_child(owner), SIGKILL); /* the first gets the lock from it, and then both are told, or one */
    NEED(wait_word(&scene->stage, 3, TOLD_MS));
    int result = brood_managed_lock_acquire(scene->others, TOLD_MS);
    CHECK_RESULT(result, -EINVAL);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(kill_child(pids[i]), SIGKILL);
    scene->lock = own;
    end(scene);
}

static int find_by_name(void *arg)
{
    struct scene *scene = arg;
    brood_managed_lock *lock = CHECK_POINTER(brood_manager_lock(scene->manager, "ledger"));
    CHECK_RESULT(brood_managed_lock_acquire(lock, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_managed_lock_close(lock), 0);
    return 0;
}

static void by_name(void)
{
    struct scene *scene = new_scene(false);
    brood_managed_lock *lock = CHECK_POINTER(brood_manager_lock(scene->manager, "ledger"));
    CHECK_RESULT(brood_managed_lock_acquire(lock, 0), 0);
    CHECK_EQ(wait_child(fork_child(find_by_name, scene)), 0);
    CHECK_NULL(brood_manager_rlock(scene->manager, "ledger"), EINVAL);
    CHECK_HAS(brood_error(), "'ledger' is a lock, no recursive lock");
    CHECK_NULL(brood_manager_dict(scene->manager, "ledger"), EINVAL);
    CHECK_RESULT(brood_managed_lock_release(lock), 0);
    CHECK_RESULT(brood_managed_lock_close(lock), 0);
    CHECK_RESULT(brood_manager_forget(scene->manager, "ledger"), 0);
    end(scene);
}

static void wrong_calls(void)
{
    struct scene *scene = new_scene(false);
    brood_managed_event *event = CHECK_POINTER(brood_manager_event(scene->manager, NULL));
    CHECK_NULL(brood_manager_lock(NULL, NULL), EINVAL);
    CHECK_NULL(brood_manager_rlock(NULL, NULL), EINVAL);
    CHECK_RESULT(brood_managed_lock_acquire(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_managed_lock_acquire(scene->lock, -2), -EINVAL);
    CHECK_HAS(brood_error(), "timeout");
    CHECK_RESULT(brood_managed_lock_acquire((brood_managed_lock *)(void *)event, 0), -EINVAL);
    CHECK_RESULT(brood_managed_lock_release(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_lock_holder(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_lock_close(NULL), 0);
    CHECK_RESULT(brood_managed_event_close(event), 0);
    end(scene);
}

static int change_until_killed(void *arg)
{
    struct scene *scene = arg;
    for (;;) {
        int result = brood_managed_lock_acquire(scene->lock, BROOD_FOREVER);
        CHECK(result >= 0);
        if (result == BROOD_INHERITED) {
            scene->inherited++;
            *(volatile int *)&scene->second = scene->first;
        }
        CHECK_EQ(scene->first, scene->second);
        *(volatile int *)&scene->first += 1;
        *(volatile int *)&scene->second += 1;
        CHECK_RESULT(brood_managed_lock_release(scene->lock), 0);
    }
    return 0;
}

/* Killed wherever they are: whoever gets it without being told finds nothing half done, and nobody hangs. */
static void killed_at_random(void)
{
    struct scene *scene = new_scene(false);
    uint32_t seed = 4711;
    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        pids[i] = fork_child(change_until_killed, scene);
    for (int i = 0; i < harness_times(KILLS); i++) {
        pass_us(random_next(&seed) % 3000);
        CHECK_EQ(kill_child(pids[i % 3]), SIGKILL);
        pids[i % 3] = fork_child(change_until_killed, scene);
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(kill_child(pids[i]), SIGKILL);
    int result = brood_managed_lock_acquire(scene->lock, TOLD_MS);
    CHECK(result == BROOD_INHERITED || (result == 0 && scene->first == scene->second));
    CHECK_RESULT(brood_managed_lock_release(scene->lock), 0);
    end(scene);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "one_at_a_time", .run = one_at_a_time },
        { .name = "recursive", .run = recursive },
        { .name = "first_come_first_served", .run = first_come_first_served },
        { .name = "many_count", .run = many_count, .deadline_s = 60 },
        { .name = "killed_holder", .run = killed_holder },
        { .name = "ended_thread", .run = ended_thread },
        { .name = "killed_waiter", .run = killed_waiter },
        { .name = "server_ends", .run = server_ends },
        { .name = "gone_meanwhile", .run = gone_meanwhile },
        { .name = "owner_dies", .run = owner_dies },
        { .name = "by_name", .run = by_name },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = "killed_at_random", .run = killed_at_random, .deadline_s = 60 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
