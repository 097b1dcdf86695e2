/* internal_level.c: units and those who sleep for one, whoever dies between a unit's coming and its taking.
 *
 * A giver that stops half-way is played by hand: it does what level_give does up to there. A unit that was taken by one
 * who is killed is gone, by design; nothing else may be.
 */
#include "harness.h"
#include "os/clock.h"
#include "os/futex.h"
#include "wait/latch.h"
#include "wait/level.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ROUNDS = 50,
    TAKERS = 3,
    GIVE_UP_MS = 2000, /* a taker that sleeps so long has not been woken */
};

enum { WAITING, TAKEN, LEFT_ASLEEP };

struct scene {
    struct level level;
    _Atomic int states[TAKERS]; /* WAITING and so on */
    _Atomic int leave;
    atomic_long taken;
};

static struct scene *new_scene(void)
{
    struct scene *scene = brood_alloc(sizeof *scene);
    NEED(scene != NULL);
    return scene;
}

static int take(struct scene *scene, int timeout_ms)
{
    return level_take(thread_self(), &scene->level, 0, timeout_ms ? clock_deadline(timeout_ms) : LATCH_TRY);
}

static void give(struct scene *scene)
{
    CHECK_EQ(level_give(thread_self(), &scene->level, LEVEL_MOST), 0);
}

static uint32_t units(const struct scene *scene)
{
    return level_units(atomic_load(&scene->level.cell));
}

static pid_t start_taker(struct scene *scene, int number)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    atomic_store(&scene->states[number], take(scene, GIVE_UP_MS) == 0 ? TAKEN : LEFT_ASLEEP);
    _exit(0);
}

static bool is_asleep(void *context)
{
    return process_state(*(pid_t *)context) == 'S'; /* there is nothing else that it could sleep in */
}

static void start_takers(struct scene *scene, pid_t *pids, int count)
{
    memset(scene, 0, sizeof *scene);
    for (int i = 0; i < count; i++) {
        pids[i] = start_taker(scene, i);
        NEED(pids[i] > 0);
    }
    for (int i = 0; i < count; i++)
        CHECK(wait_until(is_asleep, &pids[i], 5000));
}

static void check_taken(struct scene *scene, const pid_t *pids, int first, int count)
{
    for (int i = first; i < count; i++) {
        CHECK_EQ(waitpid(pids[i], NULL, 0), pids[i]);
        CHECK_EQ(atomic_load(&scene->states[i]), TAKEN);
    }
}

/* level_give up to its wake, for those who sleep: `count` units at once. */
static void give_half(struct level *level, uint32_t count)
{
    thread_expects(thread_self(), &level->word);
    uint64_t cell = atomic_load(&level->cell);
    while (!atomic_compare_exchange_weak(&level->cell, &cell,
                                         ((cell >> 32) + count) << 32 | (cell & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
        continue;
}

static void counts(void)
{
    struct scene *scene = new_scene();
    CHECK_EQ(take(scene, 0), -ETIMEDOUT);
    for (uint32_t i = 0; i < 5; i++) {
        CHECK_EQ(units(scene), i);
        CHECK_EQ(level_give(thread_self(), &scene->level, 5), 0);
    }
    CHECK_EQ(level_give(thread_self(), &scene->level, 5), -EOVERFLOW);
    CHECK_EQ(units(scene), 5);
    for (uint32_t i = 5; i > 0; i--)
        CHECK_EQ(take(scene, i % 2 ? 0 : 20), 0);
    CHECK_EQ(take(scene, 0), -ETIMEDOUT);
    CHECK_EQ((long long)atomic_load(&scene->level.cell), 0);
    level_fill(&scene->level, LEVEL_MOST);
    CHECK_EQ(level_give(thread_self(), &scene->level, LEVEL_MOST), -EOVERFLOW);
    CHECK_EQ(take(scene, 0), 0);
    CHECK_EQ(units(scene), LEVEL_MOST - 1);
    CHECK_EQ(level_give(thread_self(), &scene->level, LEVEL_MOST), 0);
}

static void a_wait_ends_in_time(void)
{
    struct scene *scene = new_scene();
    int64_t start = clock_now();
    CHECK_EQ(take(scene, 50), -ETIMEDOUT);
    CHECK(clock_now() - start >= 50000000);
    give(scene); /* the bit that is left behind is cleared on proof, by a wake that finds nobody */
    CHECK_EQ(atomic_load(&scene->level.word) & FUTEX_WAITERS, 0);
    CHECK_EQ(take(scene, 50), 0);
}

static void a_unit_each(void)
{
    struct scene *scene = new_scene();
    for (int round = 0; round < harness_times(4 * ROUNDS); round++) {
        pid_t pids[TAKERS];
        start_takers(scene, pids, TAKERS);
        for (int i = 0; i < TAKERS; i++)
            give(scene);
        check_taken(scene, pids, 0, TAKERS);
        CHECK_EQ(units(scene), 0);
    }
}

static void giver_killed_before_the_wake(void)
{
    struct scene *scene = new_scene();
    for (int round = 0; round < harness_times(ROUNDS); round++) {
        pid_t pids[TAKERS];
        start_takers(scene, pids, TAKERS);
        pid_t giver = fork();
        if (giver == 0) {
            give_half(&scene->level, TAKERS); /* the kernel wakes one: each who leaves some behind wakes the next */
            kill(getpid(), SIGKILL);
        }
        CHECK_EQ(wait_child(giver), SIGKILL);
        check_taken(scene, pids, 0, TAKERS);
    }
}

/* Whoever is left has the unit, unless the one that was killed had taken it. */
static void check_left(struct scene *scene, pid_t killed, pid_t left)
{
    kill(killed, SIGKILL);
    CHECK_EQ(waitpid(killed, NULL, 0), killed);
    if (units(scene) == 0 && atomic_load(&scene->states[1]) == WAITING)
        kill(left, SIGKILL); /* or it was faster just now: then its end is as good */
    CHECK_EQ(waitpid(left, NULL, 0), left);
    CHECK(atomic_load(&scene->states[1]) != LEFT_ASLEEP || units(scene) == 0);
}

static void woken_killed_before_it_takes(void)
{
    struct scene *scene = new_scene();
    for (int round = 0; round < harness_times(2 * ROUNDS); round++) {
        pid_t pids[2];
        start_takers(scene, pids, 2);
        give(scene);
        check_left(scene, pids[0], pids[1]);
    }
}

static void giver_and_woken_killed(void)
{
    struct scene *scene = new_scene();
    for (int round = 0; round < harness_times(2 * ROUNDS); round++) {
        pid_t pids[2];
        start_takers(scene, pids, 2);
        pid_t giver = fork();
        if (giver == 0) {
            give_half(&scene->level, 1);
            if (round % 2)
                kill(pids[0], SIGKILL);
            kill(getpid(), SIGKILL);
        }
        CHECK_EQ(wait_child(giver), SIGKILL);
        check_left(scene, pids[0], pids[1]);
    }
}

static int take_for_ever(void *arg)
{
    struct scene *scene = arg;
    while (atomic_load(&scene->leave) == 0) {
        NEED(take(scene, GIVE_UP_MS) == 0);
        atomic_fetch_add(&scene->taken, 1);
    }
    return 0;
}

static int take_impatiently(void *arg)
{
    struct scene *scene = arg;
    while (atomic_load(&scene->leave) == 0)
        if (take(scene, 1) == 0)
            atomic_fetch_add(&scene->taken, 1);
    return 0;
}

static int give_for_ever(void *arg)
{
    struct scene *scene = arg;
    for (uint32_t state = (uint32_t)getpid(); atomic_load(&scene->leave) == 0;) {
        int given = level_give(thread_self(), &scene->level, 2);
        NEED(given == 0 || given == -EOVERFLOW);
        for (uint32_t pause = random_next(&state) % 20000; pause > 0; pause--)
            atomic_signal_fence(memory_order_seq_cst);
    }
    return 0;
}

/* Givers and takers, killed anywhere and replaced: nobody sleeps through the units of those that are left. */
static void storm(void)
{
    enum { PROCESSES = 6, GIVERS = 2 };
    static int (*const bodies[PROCESSES])(void *arg) = { give_for_ever, give_for_ever,    take_for_ever,
                                                         take_for_ever, take_impatiently, take_impatiently };
    struct scene *scene = new_scene();
    pid_t pids[PROCESSES];
    uint32_t state = 77;
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = fork_child(bodies[i], scene);
    for (int i = 0; i < harness_times(400); i++) {
        int which = (int)(random_next(&state) % PROCESSES);
        pass_us(random_next(&state) % 3000);
        CHECK_EQ(kill_child(pids[which]), SIGKILL);
        pids[which] = fork_child(bodies[which], scene);
    }
    long taken = atomic_load(&scene->taken);
    for (int i = 0; i < 1000 && atomic_load(&scene->taken) < taken + 100; i++)
        pass_us(5000);
    CHECK(atomic_load(&scene->taken) >= taken + 100);
    atomic_store(&scene->leave, 1);
    for (int i = 0; i < GIVERS; i++)
        CHECK_EQ(wait_child(pids[i]), 0);
    for (int i = GIVERS; i < PROCESSES; i++)
        give(scene); /* each taker may want one more */
    for (int i = GIVERS; i < PROCESSES; i++)
        CHECK_EQ(wait_child(pids[i]), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "counts", .run = counts },
        { .name = "a_wait_ends_in_time", .run = a_wait_ends_in_time },
        { .name = "a_unit_each", .run = a_unit_each, .deadline_s = 60 },
        { .name = "giver_killed_before_the_wake", .run = giver_killed_before_the_wake, .deadline_s = 60 },
        { .name = "woken_killed_before_it_takes", .run = woken_killed_before_it_takes, .deadline_s = 60 },
        { .name = "giver_and_woken_killed", .run = giver_and_woken_killed, .deadline_s = 60 },
        { .name = "storm", .run = storm, .deadline_s = 60 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
