/* internal_bell.c: the bell, whose wakes must survive the death of who rings and of who is woken.
 *
 * Nothing public is a bell alone, so this looks inside. Each round is fresh: a bell, a thing that becomes true,
 * sleepers in processes of their own that note how their wait ended.
 */
#include "harness.h"
#include "os/clock.h"
#include "os/thread.h"
#include "wait/bell.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ROUNDS = 50,
    SLEEPERS = 3,
    GIVE_UP_MS = 2000, /* a sleeper that sleeps so long has not been woken */
};

enum { WAITING, WOKEN, LEFT_ASLEEP };

struct scene {
    struct bell bell;
    _Atomic int things;           /* to be taken, one by each sleeper */
    _Atomic int states[SLEEPERS]; /* WAITING and so on */
};

static bool is_there(void *context)
{
    struct scene *scene = context;
    return atomic_load(&scene->things) > 0;
}

static bool take_one(struct scene *scene)
{
    int things = atomic_load(&scene->things);
    while (things > 0)
        if (atomic_compare_exchange_weak(&scene->things, &things, things - 1))
            return true;
    return false;
}

/* Waits until it has taken a thing, or GIVE_UP_MS. */
static pid_t start_sleeper(struct scene *scene, int number)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int64_t deadline = clock_deadline(GIVE_UP_MS);
    int waited = 0;
    while (waited == 0 && !take_one(scene))
        waited = bell_wait(thread_self(), &scene->bell, is_there, scene, deadline);
    atomic_store(&scene->states[number], waited == 0 ? WOKEN : LEFT_ASLEEP);
    _exit(0);
}

static bool is_asleep(void *context)
{
    return process_state(*(pid_t *)context) == 'S'; /* there is nothing else that it could sleep in */
}

/* Sleepers, all in the kernel's queue. */
static void start_sleepers(struct scene *scene, pid_t *pids, int count)
{
    memset(scene, 0, sizeof *scene);
    for (int i = 0; i < count; i++) {
        pids[i] = start_sleeper(scene, i);
        NEED(pids[i] > 0);
    }
    for (int i = 0; i < count; i++)
        CHECK(wait_until(is_asleep, &pids[i], 5000));
}

static struct scene *new_scene(void)
{
    struct scene *scene = brood_alloc(sizeof *scene);
    NEED(scene != NULL);
    return scene;
}

/* The ringer makes it true and is killed before it rings: the kernel rings, and who wakes passes it on. */
static void ringer_killed_before_the_ring(void)
{
    struct scene *scene = new_scene();
    for (int round = 0; round < harness_times(ROUNDS); round++) {
        pid_t pids[SLEEPERS];
        start_sleepers(scene, pids, SLEEPERS);
        pid_t ringer = fork();
        if (ringer == 0) {
            bell_lift(thread_self(), &scene->bell);
            atomic_store(&scene->things, SLEEPERS);
            kill(getpid(), SIGKILL);
        }
        CHECK_EQ(wait_child(ringer), SIGKILL);
        for (int i = 0; i < SLEEPERS; i++) {
            CHECK_EQ(waitpid(pids[i], NULL, 0), pids[i]);
            CHECK_EQ(atomic_load(&scene->states[i]), WOKEN);
        }
    }
}

/* One thing, one ring, and the first of the woken is killed at once: the thing is another's. */
static void woken_killed_before_it_takes(void)
{
    struct scene *scene = new_scene();
    for (int round = 0; round < harness_times(ROUNDS); round++) {
        pid_t pids[2];
        start_sleepers(scene, pids, 2);
        bell_lift(thread_self(), &scene->bell);
        atomic_store(&scene->things, 1);
        bell_ring(thread_self(), &scene->bell);
        kill(pids[0], SIGKILL);
        CHECK_EQ(waitpid(pids[0], NULL, 0), pids[0]);
        if (atomic_load(&scene->states[0]) == WOKEN || atomic_load(&scene->things) == 0)
            kill(pids[1], SIGKILL); /* it, or the other, was faster */
        CHECK_EQ(waitpid(pids[1], NULL, 0), pids[1]);
        CHECK(atomic_load(&scene->states[1]) != LEFT_ASLEEP || atomic_load(&scene->things) == 0);
    }
}

/* Ringer and a sleeper die together: the other sleepers hear of it. */
static void ringer_and_woken_killed(void)
{
    struct scene *scene = new_scene();
    for (int round = 0; round < harness_times(ROUNDS); round++) {
        pid_t pids[SLEEPERS];
        start_sleepers(scene, pids, SLEEPERS);
        pid_t ringer = fork();
        if (ringer == 0) {
            bell_lift(thread_self(), &scene->bell);
            atomic_store(&scene->things, SLEEPERS);
            kill(pids[0], SIGKILL);
            kill(getpid(), SIGKILL);
        }
        CHECK_EQ(wait_child(ringer), SIGKILL);
        CHECK_EQ(waitpid(pids[0], NULL, 0), pids[0]);
        for (int i = 1; i < SLEEPERS; i++) {
            CHECK_EQ(waitpid(pids[i], NULL, 0), pids[i]);
            CHECK_EQ(atomic_load(&scene->states[i]), WOKEN);
        }
    }
}

/* Without anyone's death: every ring is heard by all, however they come to sleep meanwhile. */
static void no_ring_is_missed(void)
{
    struct scene *scene = new_scene();
    for (int round = 0; round < harness_times(20 * ROUNDS); round++) {
        memset(scene, 0, sizeof *scene);
        pid_t pids[2] = { start_sleeper(scene, 0), start_sleeper(scene, 1) };
        NEED(pids[0] > 0 && pids[1] > 0);
        for (int i = 0; i < 2; i++) {
            bell_lift(thread_self(), &scene->bell);
            atomic_fetch_add(&scene->things, 1);
            bell_ring(thread_self(), &scene->bell);
        }
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(waitpid(pids[i], NULL, 0), pids[i]);
            CHECK_EQ(atomic_load(&scene->states[i]), WOKEN);
        }
    }
}

static void a_wait_ends_in_time(void)
{
    struct scene *scene = new_scene();
    int64_t start = clock_now();
    CHECK_EQ(bell_wait(thread_self(), &scene->bell, is_there, scene, clock_deadline(50)), -ETIMEDOUT);
    CHECK(clock_now() - start >= 50000000);
    CHECK_EQ(bell_wait(thread_self(), &scene->bell, is_there, scene, 0), -ETIMEDOUT);
    atomic_store(&scene->things, 1);
    CHECK_EQ(bell_wait(thread_self(), &scene->bell, is_there, scene, 0), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "ringer_killed_before_the_ring", .run = ringer_killed_before_the_ring, .deadline_s = 60 },
        { .name = "woken_killed_before_it_takes", .run = woken_killed_before_it_takes, .deadline_s = 60 },
        { .name = "ringer_and_woken_killed", .run = ringer_and_woken_killed, .deadline_s = 60 },
        { .name = "no_ring_is_missed", .run = no_ring_is_missed, .deadline_s = 60 },
        { .name = "a_wait_ends_in_time", .run = a_wait_ends_in_time },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
