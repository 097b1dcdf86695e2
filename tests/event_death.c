/* event_death.c: events that processes share, however those were started, and what remains when setter or waiter is
 * killed: a set has happened, and all who waited are awake, or it has not.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TOLD_MS 2000 /* a hang, not a delay */

enum { METHODS = 3, WAITERS = 4 };

static const brood_process_options methods[METHODS] = {
    { .start = BROOD_FORK },
    { .start = BROOD_SPAWN },
    { .start = BROOD_FORKSERVER },
};

struct scene {
    brood_event event;
    atomic_int waiting;
    atomic_int stage;
    atomic_int leave;
    atomic_long heard;
};

static struct scene *new_scene(void)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    NEED(scene != NULL);
    return scene;
}

static void free_scene(struct scene *scene)
{
    CHECK_RESULT(brood_event_fini(&scene->event), 0);
    brood_free(scene);
}

static int wait_once(void *arg)
{
    struct scene *scene = arg;
    atomic_fetch_add(&scene->waiting, 1);
    CHECK_RESULT(brood_event_wait(&scene->event, BROOD_FOREVER), 0);
    return 0;
}

static bool sleeps(void *pid)
{
    return process_state(*(pid_t *)pid) == 'S';
}

static pid_t start_waiter(struct scene *scene)
{
    int waiting = atomic_load(&scene->waiting);
    pid_t pid = fork_child(wait_once, scene);
    NEED(wait_word(&scene->waiting, waiting + 1, 5000));
    NEED(wait_until(sleeps, &pid, 5000));
    return pid;
}

static void check_released(pid_t waiter)
{
    if (!CHECK(wait_gone(waiter, TOLD_MS)))
        kill(waiter, SIGKILL);
    CHECK_EQ(wait_child(waiter), 0);
}

static void releases_processes(void)
{
    for (int method = 0; method < METHODS; method++) {
        struct scene *scene = new_scene();
        brood_process *processes[WAITERS];
        for (int i = 0; i < WAITERS; i++) {
            processes[i] = brood_process_start(wait_once, scene, 0, &methods[method]);
            NEED(processes[i] != NULL);
            pid_t pid = brood_process_pid(processes[i]);
            CHECK(wait_word(&scene->waiting, i + 1, 10000));
            CHECK(wait_until(sleeps, &pid, 5000));
        }
        CHECK_RESULT(brood_event_fini(&scene->event), -EBUSY);
        CHECK_RESULT(brood_event_set(&scene->event), 0);
        CHECK_RESULT(brood_event_clear(&scene->event), 0);
        for (int i = 0; i < WAITERS; i++) {
            brood_end end;
            CHECK_RESULT(brood_process_join(processes[i], &end, BROOD_FOREVER), 0);
            CHECK_EQ(end.how, BROOD_RETURNED);
            CHECK_RESULT(brood_process_close(processes[i]), 0);
        }
        CHECK_RESULT(brood_event_wait(&scene->event, 0), -ETIMEDOUT);
        free_scene(scene);
    }
}

/* Killed while they sleep: the others sleep on, and are released like any. */
static void waiters_die(void)
{
    for (int round = 0; round < WAITERS; round++) {
        struct scene *scene = new_scene();
        pid_t waiters[WAITERS];
        for (int i = 0; i < WAITERS; i++)
            waiters[i] = start_waiter(scene);
        for (int i = 0; i < WAITERS; i++)
            if (i != round)
                CHECK_EQ(kill_child(waiters[i]), SIGKILL);
        CHECK_RESULT(brood_event_wait(&scene->event, 0), -ETIMEDOUT);
        CHECK_RESULT(brood_event_fini(&scene->event), -EBUSY);
        CHECK_RESULT(brood_event_set(&scene->event), 0);
        check_released(waiters[round]);
        free_scene(scene);
    }
}

/* Killed as they wake. */
static void woken_die(void)
{
    for (int round = 0; round < harness_times(100); round++) {
        struct scene *scene = new_scene();
        pid_t waiters[WAITERS];
        for (int i = 0; i < WAITERS; i++)
            waiters[i] = start_waiter(scene);
        CHECK_RESULT(brood_event_set(&scene->event), 0);
        for (int i = 0; i < WAITERS - 1; i++)
            kill(waiters[i], SIGKILL);
        for (int i = 0; i < WAITERS - 1; i++)
            wait_child(waiters[i]);
        check_released(waiters[WAITERS - 1]);
        free_scene(scene);
    }
}

static int set_when_told(void *arg)
{
    struct scene *scene = arg;
    atomic_store(&scene->stage, 1);
    while (atomic_load(&scene->leave) == 0)
        ;
    CHECK_RESULT(brood_event_set(&scene->event), 0);
    for (;;)
        pause();
    return 0;
}

/* Killed somewhere in its set: either it is set, and all are awake, or it is not, and all sleep. */
static void setter_dies(void)
{
    uint32_t state = 17;
    int were_set = 0, rounds = harness_times(150);
    for (int round = 0; round < rounds; round++) {
        struct scene *scene = new_scene();
        pid_t waiters[2] = { start_waiter(scene), start_waiter(scene) };
        pid_t setter = fork_child(set_when_told, scene);
        NEED(wait_word(&scene->stage, 1, 5000));
        atomic_store(&scene->leave, 1);
        for (uint32_t turns = random_next(&state) % 100000; turns > 0; turns--)
            atomic_signal_fence(memory_order_seq_cst);
        CHECK_EQ(kill_child(setter), SIGKILL);
        int is_set = brood_event_wait(&scene->event, 0) == 0;
        were_set += is_set;
        if (!is_set) {
            for (int i = 0; i < 2; i++)
                CHECK(process_state(waiters[i]) != 'Z');
            CHECK_RESULT(brood_event_set(&scene->event), 0);
        }
        for (int i = 0; i < 2; i++)
            check_released(waiters[i]);
        free_scene(scene);
    }
    printf("    %d of %d were set\n", were_set, rounds);
}

static int hear_for_ever(void *arg)
{
    struct scene *scene = *(struct scene **)arg;
    while (atomic_load(&scene->leave) == 0) {
        NEED(brood_event_wait(&scene->event, TOLD_MS) == 0 || atomic_load(&scene->leave));
        atomic_fetch_add(&scene->heard, 1);
    }
    return 0;
}

static int flip_for_ever(void *arg)
{
    struct scene *scene = *(struct scene **)arg;
    for (uint32_t state = (uint32_t)getpid(); atomic_load(&scene->leave) == 0;) {
        NEED(brood_event_set(&scene->event) == 0);
        NEED(brood_event_clear(&scene->event) == 0);
        for (uint32_t turns = random_next(&state) % 20000; turns > 0; turns--)
            atomic_signal_fence(memory_order_seq_cst);
    }
    return 0;
}

/* Setters and waiters, killed anywhere and replaced, by turns forked and spawned: nobody sleeps through the sets of
 * those that are left. */
static void kill_storm(void)
{
    enum { PROCESSES = 5, SETTERS = 2, KILLS = 200 };
    struct scene *scene = new_scene();
    brood_process *processes[PROCESSES];
    uint32_t state = 2024;
    for (int i = -PROCESSES; i < harness_times(KILLS); i++) {
        int which = i < 0 ? i + PROCESSES : (int)(random_next(&state) % PROCESSES);
        if (i >= 0) {
            pass_us(random_next(&state) % 4000);
            CHECK_RESULT(brood_process_signal(processes[which], SIGKILL), 0);
            CHECK_RESULT(brood_process_join(processes[which], NULL, BROOD_FOREVER), 0);
            CHECK_RESULT(brood_process_close(processes[which]), 0);
        }
        brood_process_options options = { .start = i % 8 == 7 ? BROOD_SPAWN : BROOD_FORK };
        processes[which] =
            brood_process_start(which < SETTERS ? flip_for_ever : hear_for_ever, &scene, sizeof scene, &options);
        NEED(processes[which] != NULL);
    }
    long heard = atomic_load(&scene->heard);
    for (int i = 0; i < 2000 && atomic_load(&scene->heard) < heard + 100; i++)
        pass_us(5000);
    CHECK(atomic_load(&scene->heard) >= heard + 100);
    atomic_store(&scene->leave, 1);
    for (int i = 0; i < PROCESSES; i++) {
        if (i == SETTERS)
            CHECK_RESULT(brood_event_set(&scene->event), 0); /* for those who began to wait after the last set */
        brood_end end;
        CHECK_RESULT(brood_process_join(processes[i], &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK_RESULT(brood_process_close(processes[i]), 0);
    }
    free_scene(scene);
}

/* It needs nothing of robust lists. */
static void without_robust_lists(void)
{
    if (refuse_call(SYS_get_robust_list, ENOSYS) != 0 || refuse_call(SYS_set_robust_list, ENOSYS) != 0)
        harness_skip("no seccomp filters here");
    NEED(brood_init(NULL) == 0);
    waiters_die();
    setter_dies();
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "releases_processes", .run = releases_processes },
        { .name = "waiters_die", .run = waiters_die },
        { .name = "woken_die", .run = woken_die, .deadline_s = 60 },
        { .name = "setter_dies", .run = setter_dies, .deadline_s = 60 },
        { .name = "kill_storm", .run = kill_storm, .deadline_s = 60 },
        { .name = "without_robust_lists", .run = without_robust_lists, .no_init = true, .deadline_s = 60 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
