/* process_death.c: when a process dies, so do those that it started, and theirs; unless they were to survive it.
 *
 * The starter that is killed is the founder of a family of its own (harness_start), or a child in this one. The
 * harness itself sees to it that in the end nobody is left.
 */
#include "harness.h"

#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GENERATIONS 4
#define SIBLINGS 150
#define GONE_MS 2000

static const brood_process_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

/* On the page that all families of the case share. */
struct scene {
    atomic_int pids[GENERATIONS];
    atomic_int beats;
    atomic_int leave;
    atomic_int count;
    atomic_int started;
    atomic_int siblings[SIBLINGS];
};

static struct scene *scene(void)
{
    return harness_page();
}

static int beat(void *arg)
{
    (void)arg;
    struct scene *shared = scene();
    atomic_store(&shared->pids[0], getpid());
    while (atomic_load(&shared->leave) == 0) {
        atomic_fetch_add(&shared->beats, 1);
        pass_us(500);
    }
    return 0;
}

/* Each generation starts the next, by the one method and the other in turn. */
static int beget(void *arg)
{
    int generation = *(const int *)arg;
    struct scene *shared = scene();
    atomic_store(&shared->pids[generation], getpid());
    int next = generation + 1;
    if (next < GENERATIONS)
        NEED(brood_process_start(beget, &next, sizeof next, &methods[next % 2]) != NULL);
    for (;;)
        pause();
    return 0;
}

static void check_all_go(int first)
{
    for (int i = first; i < GENERATIONS; i++)
        CHECK(wait_gone(atomic_load(&scene()->pids[i]), GONE_MS));
}

static void wait_for_generations(void)
{
    for (int i = 0; i < GENERATIONS; i++)
        NEED(wait_word(&scene()->pids[i], 1, 5000));
}

static brood_process *start_generations(int method)
{
    brood_process *process = brood_process_start(beget, &(int){ 0 }, sizeof(int), &methods[method]);
    NEED(process != NULL);
    wait_for_generations();
    return process;
}

static void founder_killed(void)
{
    if (harness_part() != NULL) {
        NEED(brood_process_start(beget, &(int){ 0 }, sizeof(int), &methods[harness_part()[0] == 's']) != NULL);
        for (;;)
            pause();
    }
    for (int i = 0; i < 6; i++) {
        memset(scene(), 0, sizeof *scene());
        pid_t founder = harness_start(i % 2 == 0 ? "fork" : "spawn");
        wait_for_generations();
        if (i >= 4)
            kill(founder, SIGSTOP); /* a stopped one can be killed too */
        CHECK_EQ(kill_child(founder), SIGKILL);
        check_all_go(0);
    }
}

static int be_sibling(void *arg)
{
    atomic_store(&scene()->siblings[*(const int *)arg], getpid());
    for (;;)
        pause();
    return 0;
}

static brood_process *start_sibling(int i)
{
    brood_process *process = brood_process_start(be_sibling, &i, sizeof i, &methods[0]);
    NEED(process != NULL);
    return process;
}

/* More than one pipe ties; of the first ones each third child is another by the time of the death. */
static void founder_of_many_killed(void)
{
    if (harness_part() != NULL) {
        brood_process *processes[SIBLINGS];
        for (int i = 0; i < SIBLINGS; i++)
            processes[i] = start_sibling(i);
        for (int i = 0; i < SIBLINGS; i += 3) {
            NEED(brood_process_signal(processes[i], SIGKILL) == 0);
            NEED(brood_process_join(processes[i], NULL, BROOD_FOREVER) == 0);
            NEED(brood_process_close(processes[i]) == 0);
            atomic_store(&scene()->siblings[i], 0);
            start_sibling(i);
        }
        atomic_store(&scene()->started, 1);
        for (;;)
            pause();
    }
    memset(scene(), 0, sizeof *scene());
    pid_t founder = harness_start("many");
    NEED(wait_word(&scene()->started, 1, 10000));
    for (int i = 0; i < SIBLINGS; i++)
        NEED(wait_word(&scene()->siblings[i], 1, 5000));
    CHECK_EQ(kill_child(founder), SIGKILL);
    for (int i = 0; i < SIBLINGS; i++)
        CHECK(wait_gone(atomic_load(&scene()->siblings[i]), GONE_MS));
}

static void middle_killed(void)
{
    brood_process *first = start_generations(0);
    kill(atomic_load(&scene()->pids[1]), SIGKILL);
    check_all_go(1);
    CHECK(process_state(atomic_load(&scene()->pids[0])) != 0);
    CHECK(process_state(atomic_load(&scene()->pids[0])) != 'Z');
    CHECK_RESULT(brood_process_join(first, NULL, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_process_signal(first, SIGKILL), 0);
    CHECK_RESULT(brood_process_join(first, NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(first), 0);
}

/* Not only a kill: _exit and a crash of the starter end its children as well. (exit waits for them: process_fini.) */
static void founder_ends(void)
{
    if (harness_part() != NULL) {
        start_generations(0);
        if (strcmp(harness_part(), "_exit") == 0)
            _exit(0);
        signal(SIGABRT, SIG_DFL);
        abort();
    }
    static const char *const parts[] = { "_exit", "abort" };
    for (int i = 0; i < 2; i++) {
        memset(scene(), 0, sizeof *scene());
        int status = wait_child(harness_start(parts[i]));
        CHECK_EQ(WIFSIGNALED(status), i == 1);
        check_all_go(0);
    }
}

/* A target that leaves while its own children run. */
static int start_and_leave(void *arg)
{
    (void)arg;
    start_generations(1);
    _exit(0);
}

static void target_leaves(void)
{
    for (int method = 0; method < 2; method++) {
        memset(scene(), 0, sizeof *scene());
        brood_process *process = brood_process_start(start_and_leave, NULL, 0, &methods[method]);
        NEED(process != NULL);
        brood_end end;
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, BROOD_EXITED);
        CHECK_RESULT(brood_process_close(process), 0);
        check_all_go(0);
    }
}

static void *start_beating(void *arg)
{
    NEED(brood_process_start(beat, NULL, 0, arg) != NULL);
    return NULL;
}

/* The thread that started a child ends; the child lives on, as its starter is the process, and dies with it. */
static void thread_ends(void)
{
    struct scene *shared = scene();
    if (harness_part() != NULL) {
        brood_process_options options = methods[harness_part()[0] == 's'];
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, start_beating, &options) == 0);
        pthread_join(thread, NULL);
        atomic_store(&shared->started, 1);
        for (;;)
            pause();
    }
    for (int i = 0; i < 4; i++) {
        memset(shared, 0, sizeof *shared);
        pid_t founder = harness_start(i % 2 == 0 ? "fork" : "spawn");
        CHECK(wait_word(&shared->started, 1, 5000));
        CHECK(wait_word(&shared->pids[0], 1, 5000));
        CHECK(wait_word(&shared->beats, atomic_load(&shared->beats) + 200, 5000));
        CHECK_EQ(kill_child(founder), SIGKILL);
        CHECK(wait_gone(atomic_load(&shared->pids[0]), GONE_MS));
    }
}

/* The main thread may end before the process, too: its children are then killed, those of other threads are not. */
static void *stay_behind(void *arg)
{
    struct scene *shared = scene();
    NEED(pthread_join(*(pthread_t *)arg, NULL) == 0);
    NEED(brood_process_start(beat, NULL, 0, &methods[0]) != NULL);
    atomic_store(&shared->started, 1);
    for (;;)
        pause();
    return NULL;
}

static void main_thread_ends(void)
{
    struct scene *shared = scene();
    if (harness_part() != NULL) {
        static pthread_t self;
        self = pthread_self();
        pthread_t thread;
        NEED(brood_process_start(beget, &(int){ 2 }, sizeof(int), &methods[0]) != NULL);
        while (!atomic_load(&shared->pids[2]) || !atomic_load(&shared->pids[3]))
            sched_yield(); /* both are there before their starter's first thread ends, which ends them */
        NEED(pthread_create(&thread, NULL, stay_behind, &self) == 0);
        pthread_exit(NULL);
    }
    pid_t founder = harness_start("founder");
    CHECK(wait_word(&shared->started, 1, 5000));
    CHECK(wait_word(&shared->beats, 200, 5000));
    kill(founder, SIGKILL);
    CHECK_EQ(wait_child(founder), SIGKILL);
    CHECK(wait_gone(atomic_load(&shared->pids[0]), GONE_MS));
    CHECK(wait_gone(atomic_load(&shared->pids[2]), GONE_MS));
    CHECK(wait_gone(atomic_load(&shared->pids[3]), GONE_MS));
}

static int stay_on(void *arg)
{
    (void)arg;
    atomic_store(&scene()->count, getpid());
    wait_word(&scene()->leave, 1, 15000);
    return 0;
}

/* What the program forked by hand meanwhile keeps nobody alive. */
static void forked_by_hand_lives(void)
{
    struct scene *shared = scene();
    if (harness_part() != NULL) {
        brood_process_options options = methods[harness_part()[0] == 's'];
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, start_beating, &options) == 0);
        pthread_join(thread, NULL);
        fork_child(stay_on, NULL);
        for (;;)
            pause();
    }
    for (int i = 0; i < 2; i++) {
        memset(shared, 0, sizeof *shared);
        pid_t founder = harness_start(i == 0 ? "fork" : "spawn");
        CHECK(wait_word(&shared->pids[0], 1, 5000));
        CHECK(wait_word(&shared->count, 1, 5000));
        CHECK_EQ(kill_child(founder), SIGKILL);
        CHECK(wait_gone(atomic_load(&shared->pids[0]), GONE_MS));
        CHECK(process_state(atomic_load(&shared->count)) != 0);
        atomic_store(&shared->leave, 1);
        CHECK(wait_gone(atomic_load(&shared->count), GONE_MS));
    }
}

/* Neither the starter's user nor the child's matters, nor what either becomes. */
static int become_and_beat(void *arg)
{
    NEED(setgid(65534) == 0 && setuid(65534) == 0);
    return beat(arg);
}

static void drop_capability(unsigned which)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    NEED(syscall(SYS_capget, &header, data) == 0);
    data[which / 32].effective &= ~(1U << which % 32);
    data[which / 32].permitted &= ~(1U << which % 32);
    NEED(syscall(SYS_capset, &header, data) == 0);
}

static void found_and_change(const char *who)
{
    brood_process_options options = { .start = (brood_start)(who[0] - '0') };
    brood_target *target = who[1] == 'c' ? become_and_beat : beat;
    if (who[1] == 'k')
        drop_capability(CAP_SYS_TTY_CONFIG); /* an exec by root regains it: the child is another then than its maker */
    NEED(brood_process_start(target, NULL, 0, &options) != NULL);
    NEED(wait_word(&scene()->beats, 1, 5000));
    if (who[1] == 's')
        NEED(setgid(65534) == 0 && setuid(65534) == 0);
    atomic_store(&scene()->started, 1);
    for (;;)
        pause();
}

static void users_change(void)
{
    if (harness_part() != NULL)
        found_and_change(harness_part());
    if (geteuid() != 0)
        harness_skip("only root can change its user");
    for (int method = 1; brood_start_name((brood_start)method) != NULL; method++)
        for (int i = 0; i < 3; i++) {
            const char part[] = { (char)('0' + method), "sck"[i], 0 };
            memset(scene(), 0, sizeof *scene());
            pid_t founder = harness_start(part);
            CHECK(wait_word(&scene()->started, 1, 5000));
            CHECK_EQ(kill_child(founder), SIGKILL);
            if (!CHECK(wait_gone(atomic_load(&scene()->pids[0]), GONE_MS)))
                kill(atomic_load(&scene()->pids[0]), SIGKILL);
        }
}

static void survivor(void)
{
    struct scene *shared = scene();
    if (harness_part() != NULL) {
        brood_process_options options = methods[harness_part()[0] == 's'];
        options.survives = true;
        NEED(brood_process_start(beat, NULL, 0, &options) != NULL);
        for (;;)
            pause();
    }
    for (int i = 0; i < 4; i++) {
        memset(shared, 0, sizeof *shared);
        pid_t founder = harness_start(i % 2 == 0 ? "fork" : "spawn");
        CHECK(wait_word(&shared->beats, 1, 5000));
        CHECK_EQ(kill_child(founder), SIGKILL);
        CHECK(wait_word(&shared->beats, atomic_load(&shared->beats) + 200, 5000));
        atomic_store(&shared->leave, 1);
        CHECK(wait_gone(atomic_load(&shared->pids[0]), 5000));
    }
}

/* A survivor's children are its own: they go with it, not with the founder. */
static int survive_and_start(void *arg)
{
    (void)arg;
    NEED(brood_process_start(beget, &(int){ 2 }, sizeof(int), &methods[1]) != NULL);
    return beat(NULL);
}

static void survivors_children(void)
{
    struct scene *shared = scene();
    if (harness_part() != NULL) {
        brood_process_options options = { .start = BROOD_FORK, .survives = true };
        NEED(brood_process_start(survive_and_start, NULL, 0, &options) != NULL);
        for (;;)
            pause();
    }
    pid_t founder = harness_start("founder");
    CHECK(wait_word(&shared->beats, 1, 5000));
    CHECK(wait_word(&shared->pids[3], 1, 5000));
    CHECK_EQ(kill_child(founder), SIGKILL);
    CHECK(wait_word(&shared->beats, atomic_load(&shared->beats) + 100, 5000));
    CHECK(process_state(atomic_load(&shared->pids[3])) != 0);
    kill(atomic_load(&shared->pids[0]), SIGKILL);
    CHECK(wait_gone(atomic_load(&shared->pids[0]), GONE_MS));
    CHECK(wait_gone(atomic_load(&shared->pids[2]), GONE_MS));
    CHECK(wait_gone(atomic_load(&shared->pids[3]), GONE_MS));
}

/* While its starter lives, a survivor is joined as any other. */
static void survivor_joined(void)
{
    brood_process_options options = { .start = BROOD_FORK, .survives = true };
    brood_process *process = brood_process_start(beat, NULL, 0, &options);
    NEED(process != NULL);
    CHECK(wait_word(&scene()->beats, 1, 5000));
    atomic_store(&scene()->leave, 1);
    brood_end end;
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

static int count_and_wait(void *arg)
{
    (void)arg;
    atomic_fetch_add(&scene()->count, 1);
    for (;;)
        pause();
    return 0;
}

/* The founder is killed somewhere in brood_process_start, again and again: no child may escape. Whether one did the
 * harness sees at the end, and so does the count: all that ever ran are gone before the next founder starts. */
static void killed_while_starting(void)
{
    struct scene *shared = scene();
    if (harness_part() != NULL) {
        for (int i = 0;; i++) {
            brood_process *process = brood_process_start(count_and_wait, NULL, 0, &methods[i % 4 == 3]);
            NEED(process != NULL);
            CHECK_RESULT(brood_process_close(process), 0);
        }
    }
    uint32_t state = 12345;
    for (int i = 0; i < 60; i++) {
        atomic_store(&shared->count, 0);
        pid_t founder = harness_start("founder");
        CHECK(wait_word(&shared->count, 1, 5000));
        pass_us(random_next(&state) % 10000);
        CHECK_EQ(kill_child(founder), SIGKILL);
    }
    CHECK_EQ(count_children(), 0);
}

static void *join_for_ever(void *arg)
{
    brood_end end;
    CHECK_RESULT(brood_process_join(arg, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_CRASHED);
    CHECK_EQ(end.signal, SIGKILL);
    return NULL;
}

/* Whoever waits for a process that is killed is told: every thread of many. */
static void waiters_are_told(void)
{
    for (int i = 0; i < 20; i++) {
        memset(scene(), 0, sizeof *scene());
        brood_process *process = brood_process_start(beat, NULL, 0, &methods[i % 2]);
        NEED(process != NULL);
        pthread_t threads[4];
        for (int j = 0; j < 4; j++)
            NEED(pthread_create(&threads[j], NULL, join_for_ever, process) == 0);
        CHECK(wait_word(&scene()->beats, 5, 5000));
        kill(brood_process_pid(process), SIGKILL);
        for (int j = 0; j < 4; j++)
            pthread_join(threads[j], NULL);
        CHECK_RESULT(brood_process_close(process), 0);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "founder_killed", .run = founder_killed },
        { .name = "founder_of_many_killed", .run = founder_of_many_killed },
        { .name = "middle_killed", .run = middle_killed },
        { .name = "founder_ends", .run = founder_ends },
        { .name = "target_leaves", .run = target_leaves },
        { .name = "thread_ends", .run = thread_ends },
        { .name = "main_thread_ends", .run = main_thread_ends },
        { .name = "forked_by_hand_lives", .run = forked_by_hand_lives },
        { .name = "users_change", .run = users_change },
        { .name = "survivor", .run = survivor },
        { .name = "survivors_children", .run = survivors_children },
        { .name = "survivor_joined", .run = survivor_joined },
        { .name = "killed_while_starting", .run = killed_while_starting, .deadline_s = 60 },
        { .name = "waiters_are_told", .run = waiters_are_told },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
