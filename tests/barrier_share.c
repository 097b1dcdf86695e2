/* barrier_share.c: one barrier for processes of every start method, and rounds whose parties are others each time.
 */
#include "harness.h"

#include <stdatomic.h>

static const brood_process_options methods[] = { { .start = BROOD_FORK },
                                                 { .start = BROOD_SPAWN },
                                                 { .start = BROOD_FORKSERVER } };

enum { METHODS = sizeof methods / sizeof *methods, PARTIES = 4, ROUNDS = 300 };

struct shared {
    brood_barrier barrier;
    atomic_int come[ROUNDS], chosen[ROUNDS];
    atomic_int passed, passed_chosen;
    int plain[ROUNDS][PARTIES]; /* what each has written before a round; read by all after it */
    atomic_int parties;
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

static void join_well(brood_process *process)
{
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

static int pass_rounds(void *arg)
{
    struct shared *shared = arg;
    int number = atomic_fetch_add(&shared->parties, 1);
    for (int i = 0; i < ROUNDS; i++) {
        shared->plain[i][number] = i + number;
        atomic_fetch_add(&shared->come[i], 1);
        int result = brood_barrier_wait(&shared->barrier, i % 2 ? 15000 : BROOD_FOREVER);
        NEED(result == 0 || result == BROOD_CHOSEN);
        CHECK_EQ(atomic_load(&shared->come[i]), PARTIES);
        for (int k = 0; k < PARTIES; k++)
            CHECK_EQ(shared->plain[i][k], i + k);
        if (i + 2 < ROUNDS)
            CHECK_EQ(atomic_load(&shared->come[i + 2]), 0);
        atomic_fetch_add(&shared->chosen[i], result);
    }
    return 0;
}

static void rounds(void)
{
    struct shared *shared = new_shared(PARTIES);
    brood_process *processes[PARTIES];
    for (int i = 0; i < PARTIES; i++)
        processes[i] = brood_process_start(pass_rounds, shared, 0, &methods[i % METHODS]);
    for (int i = 0; i < PARTIES; i++)
        join_well(processes[i]);
    for (int i = 0; i < ROUNDS; i++)
        CHECK_EQ(atomic_load(&shared->chosen[i]), 1);
    free_shared(shared);
}

static int pass_until_broken(void *arg)
{
    struct shared *shared = arg;
    int result;
    while ((result = brood_barrier_wait(&shared->barrier, BROOD_FOREVER)) >= 0)
        atomic_fetch_add(result == BROOD_CHOSEN ? &shared->passed_chosen : &shared->passed, 1);
    CHECK_RESULT(result, -EPIPE);
    return 0;
}

/* Seven processes at a barrier of three. */
static void others_each_round(void)
{
    enum { CROWD = 7 };
    struct shared *shared = new_shared(3);
    brood_process *processes[CROWD];
    for (int i = 0; i < CROWD; i++)
        processes[i] = brood_process_start(pass_until_broken, shared, 0, &methods[i % METHODS]);
    CHECK(wait_word(&shared->passed_chosen, 500, 15000));
    CHECK_RESULT(brood_barrier_abort(&shared->barrier), 0);
    for (int i = 0; i < CROWD; i++)
        join_well(processes[i]);
    CHECK_EQ(atomic_load(&shared->passed), 2 * atomic_load(&shared->passed_chosen));
    free_shared(shared);
}

static int wait_twice(void *arg)
{
    struct shared *shared = arg;
    CHECK_RESULT(brood_barrier_wait(&shared->barrier, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_barrier_wait(&shared->barrier, BROOD_FOREVER), -EPIPE);
    return 0;
}

static bool is_waited_at(void *arg)
{
    struct shared *shared = arg;
    return brood_barrier_waiting(&shared->barrier) == 1;
}

static void reset_from_outside(void)
{
    for (int i = 0; i < METHODS; i++) {
        struct shared *shared = new_shared(2);
        brood_process *process = brood_process_start(wait_twice, shared, 0, &methods[i]);
        NEED(process != NULL && wait_until(is_waited_at, shared, 15000));
        CHECK_RESULT(brood_barrier_wait(&shared->barrier, BROOD_FOREVER), BROOD_CHOSEN);
        NEED(wait_until(is_waited_at, shared, 15000));
        CHECK_RESULT(brood_barrier_reset(&shared->barrier), 0);
        join_well(process);
        free_shared(shared);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "rounds", .run = rounds, .deadline_s = 60 },
        { .name = "others_each_round", .run = others_each_round, .deadline_s = 60 },
        { .name = "reset_from_outside", .run = reset_from_outside },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
