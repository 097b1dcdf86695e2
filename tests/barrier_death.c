/* barrier_death.c: a party that dies while it waits breaks the barrier, for all, at once and by name; one that dies
 * before it comes, or when its round is over, does not.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TOLD_MS 2000 /* a hang, not a delay */

enum { PARTIES = 4 };

struct shared {
    brood_barrier barrier;
    atomic_int come, dead; /* dead: the pid that the sentence must name; 0: none need be named */
    atomic_int rounds;
};

static struct shared *new_shared(int parties)
{
    struct shared *shared = CHECK_POINTER(brood_alloc(sizeof *shared));
    NEED(shared != NULL);
    CHECK_RESULT(brood_barrier_init(&shared->barrier, parties, NULL), 0);
    return shared;
}

static void free_shared(struct shared *shared)
{
    CHECK_RESULT(brood_barrier_fini(&shared->barrier), 0);
    brood_free(shared);
}

static void check_names(struct shared *shared)
{
    char name[32];
    snprintf(name, sizeof name, "process %d ", atomic_load(&shared->dead));
    CHECK_HAS(brood_error(), name);
}

static int wait_once(void *arg)
{
    struct shared *shared = arg;
    int result = brood_barrier_wait(&shared->barrier, BROOD_FOREVER);
    if (result == -EOWNERDEAD && atomic_load(&shared->dead) != 0)
        check_names(shared);
    return result < 0 ? -result : result;
}

struct expectation {
    struct shared *shared;
    int waiting;
    pid_t pid;
};

static bool is_waited_at(void *arg)
{
    const struct expectation *expectation = arg;
    return brood_barrier_waiting(&expectation->shared->barrier) == expectation->waiting &&
           process_state(expectation->pid) == 'S';
}

/* One more party, asleep. */
static pid_t start_party(struct shared *shared)
{
    struct expectation expectation = { shared, brood_barrier_waiting(&shared->barrier) + 1, 0 };
    expectation.pid = fork_child(wait_once, shared);
    NEED(wait_until(is_waited_at, &expectation, 5000));
    return expectation.pid;
}

static void check_returns(pid_t pid, int expected)
{
    if (!CHECK(wait_gone(pid, TOLD_MS)))
        kill(pid, SIGKILL);
    CHECK_EQ(wait_child(pid), expected << 8);
}

/* It works again, with other parties. */
static void check_mended(struct shared *shared, int parties)
{
    pid_t pids[PARTIES];
    CHECK_RESULT(brood_barrier_reset(&shared->barrier), 0);
    for (int i = 0; i < parties - 1; i++)
        pids[i] = start_party(shared);
    CHECK_RESULT(brood_barrier_wait(&shared->barrier, TOLD_MS), BROOD_CHOSEN);
    for (int i = 0; i < parties - 1; i++)
        check_returns(pids[i], 0);
}

static void party_dies_of(int parties)
{
    struct shared *shared = new_shared(parties);
    for (int i = 0; i < harness_times(12); i++) {
        pid_t pids[PARTIES - 1];
        for (int k = 0; k < PARTIES - 1; k++)
            pids[k] = start_party(shared);
        atomic_store(&shared->dead, pids[i % (PARTIES - 1)]);
        CHECK_EQ(kill_child(pids[i % (PARTIES - 1)]), SIGKILL);
        for (int k = 0; k < PARTIES - 1; k++)
            if (k != i % (PARTIES - 1))
                check_returns(pids[k], EOWNERDEAD);
        for (int k = 0; k < 3; k++) { /* and those who come later */
            CHECK_RESULT(brood_barrier_wait(&shared->barrier, k ? 0 : BROOD_FOREVER), -EOWNERDEAD);
            check_names(shared);
        }
        CHECK_EQ(brood_barrier_waiting(&shared->barrier), 0);
        CHECK_RESULT(brood_barrier_abort(&shared->barrier), 0); /* it is broken already */
        CHECK_RESULT(brood_barrier_wait(&shared->barrier, 0), -EOWNERDEAD);
        if (parties == PARTIES)
            check_mended(shared, parties);
        else
            CHECK_RESULT(brood_barrier_reset(&shared->barrier), 0);
    }
    free_shared(shared);
}

static void party_dies(void)
{
    party_dies_of(PARTIES);
}

/* More than can be slept on: they nap. */
static void one_of_many_dies(void)
{
    party_dies_of(200);
}

/* Nobody else was there to be told: the next one is. */
static void only_party_dies(void)
{
    struct shared *shared = new_shared(2);
    for (int i = 0; i < harness_times(60); i++) {
        pid_t pid = start_party(shared);
        atomic_store(&shared->dead, pid);
        CHECK_EQ(kill_child(pid), SIGKILL);
        CHECK_RESULT(brood_barrier_wait(&shared->barrier, i % 2 ? 0 : BROOD_FOREVER), -EOWNERDEAD);
        check_names(shared);
        if (i % 10 == 0)
            check_mended(shared, 2);
        else
            CHECK_RESULT(brood_barrier_reset(&shared->barrier), 0);
    }
    free_shared(shared);
}

/* The one that the first death woke is killed too. */
static void two_die(void)
{
    for (int i = 0; i < harness_times(100); i++) {
        struct shared *shared = new_shared(PARTIES);
        pid_t first = start_party(shared), second = start_party(shared), third = start_party(shared);
        setpgid(first, first);
        setpgid(second, first);
        if (i % 3 == 0) {
            kill(-first, SIGKILL);
        } else {
            kill(first, SIGKILL);
            pass_us(i % 3 == 1 ? 0 : i * 3);
            kill(second, SIGKILL);
        }
        /* Of two killed by one call either may be told of the other's death before its own comes. */
        int status = wait_child(first);
        CHECK(status == SIGKILL || (i % 3 == 0 && status == EOWNERDEAD << 8));
        wait_child(second);
        check_returns(third, EOWNERDEAD);
        check_mended(shared, PARTIES);
        free_shared(shared);
    }
}

static int come_for_ever(void *arg)
{
    struct shared *shared = arg;
    atomic_fetch_add(&shared->come, 1);
    for (;;) {
        int result = brood_barrier_wait(&shared->barrier, BROOD_FOREVER);
        if (result < 0)
            return -result;
        if (result == BROOD_CHOSEN)
            atomic_fetch_add(&shared->rounds, 1);
    }
}

/* Killed anywhere in a round: the others go on to the next, which it does not come to, or is missed at. So it is
 * replaced at once: then either all go on, or all are told. */
static void dies_anywhere(void)
{
    uint32_t state = 3;
    for (int i = 0; i < harness_times(150); i++) {
        struct shared *shared = new_shared(3);
        pid_t pids[3];
        for (int k = 0; k < 3; k++)
            pids[k] = fork_child(come_for_ever, shared);
        NEED(wait_word(&shared->rounds, 3, 5000));
        pass_us(random_next(&state) % 300);
        CHECK_EQ(kill_child(pids[0]), SIGKILL);
        pids[0] = fork_child(come_for_ever, shared);
        int before = atomic_load(&shared->rounds);
        long long end = now_ms() + TOLD_MS;
        bool gone = false;
        while (!gone && atomic_load(&shared->rounds) < before + 10 && now_ms() < end)
            gone = wait_gone(pids[1], 1);
        CHECK(gone || atomic_load(&shared->rounds) >= before + 10);
        if (gone) {
            for (int k = 0; k < 3; k++)
                check_returns(pids[k], EOWNERDEAD);
        } else {
            CHECK_RESULT(brood_barrier_abort(&shared->barrier), 0);
            for (int k = 0; k < 3; k++)
                check_returns(pids[k], EPIPE);
        }
        check_mended(shared, 3);
        free_shared(shared);
    }
}

static int nothing(void *arg)
{
    (void)arg;
    raise(SIGKILL);
    return 0;
}

/* One that has not come is not missed: only the timeout ends that. */
static void dies_before(void)
{
    struct shared *shared = new_shared(2);
    pid_t pid = start_party(shared);
    CHECK_EQ(wait_child(fork_child(nothing, NULL)), SIGKILL);
    pass_us(30000);
    CHECK_EQ(process_state(pid), 'S');
    CHECK_RESULT(brood_barrier_wait(&shared->barrier, TOLD_MS), BROOD_CHOSEN);
    check_returns(pid, 0);
    free_shared(shared);
}

static void without_robust_lists(void)
{
    if (refuse_call(SYS_get_robust_list, ENOSYS) != 0 || refuse_call(SYS_set_robust_list, ENOSYS) != 0)
        harness_skip("no seccomp filters here");
    NEED(brood_init(NULL) == 0);
    struct shared *shared = new_shared(3);
    for (int i = 0; i < 5; i++) {
        pid_t first = start_party(shared), second = start_party(shared);
        CHECK_EQ(kill_child(first), SIGKILL);
        check_returns(second, EOWNERDEAD);
        check_mended(shared, 3);
    }
    free_shared(shared);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "party_dies", .run = party_dies },
        { .name = "one_of_many_dies", .run = one_of_many_dies, .deadline_s = 60 },
        { .name = "only_party_dies", .run = only_party_dies },
        { .name = "two_die", .run = two_die, .deadline_s = 60 },
        { .name = "dies_anywhere", .run = dies_anywhere, .deadline_s = 60 },
        { .name = "dies_before", .run = dies_before },
        { .name = "without_robust_lists", .run = without_robust_lists, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
