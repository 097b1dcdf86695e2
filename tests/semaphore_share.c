/* semaphore_share.c: one semaphore for many processes, however they were started, and what a fork does to a unit that
 * is held: nothing.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { METHODS = 3 };

static const brood_process_options methods[METHODS] = {
    { .start = BROOD_FORK },
    { .start = BROOD_SPAWN },
    { .start = BROOD_FORKSERVER },
};

struct place {
    brood_semaphore semaphore, answers;
    atomic_int inside;
    atomic_int stage;
    long count; /* guarded by a semaphore of one unit */
    int most;
};

static struct place *new_place(int units, bool owned)
{
    struct place *place = CHECK_POINTER(brood_alloc(sizeof *place));
    NEED(place != NULL);
    CHECK_RESULT(brood_semaphore_init(&place->semaphore, units, &(brood_semaphore_options){ .owned = owned }), 0);
    place->most = units;
    return place;
}

static void join_well(brood_process *process)
{
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

static int enter_often(void *arg)
{
    struct place *place = arg;
    for (int i = 0; i < 10000; i++) {
        if (!CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, BROOD_FOREVER), 0))
            return 1;
        if (atomic_fetch_add(&place->inside, 1) >= place->most)
            CHECK(!"more inside than there are units");
        long count = place->count;
        atomic_signal_fence(memory_order_seq_cst);
        if (place->most == 1)
            place->count = count + 1;
        atomic_fetch_sub(&place->inside, 1);
        NEED(brood_semaphore_release(&place->semaphore) == 0);
    }
    return 0;
}

static void admit(bool owned)
{
    enum { USERS = 6 };
    for (int units = 1; units <= 3; units++) {
        struct place *place = new_place(units, owned);
        brood_process *users[USERS];
        for (int i = 0; i < USERS; i++)
            users[i] = brood_process_start(enter_often, place, 0, &methods[i % METHODS]);
        for (int i = 0; i < USERS; i++)
            join_well(users[i]);
        CHECK_EQ(place->count, units == 1 ? USERS * 10000 : 0);
        CHECK_RESULT(brood_semaphore_units(&place->semaphore), units);
        CHECK_RESULT(brood_semaphore_fini(&place->semaphore), 0);
        brood_free(place);
    }
}

static void admits_processes(void)
{
    admit(false);
}

static void admits_processes_owned(void)
{
    admit(true);
}

static int answer(void *arg)
{
    struct place *place = arg;
    for (int i = 0; i < 2000; i++) {
        if (!CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, BROOD_FOREVER), 0))
            return 1;
        place->count++;
        NEED(brood_semaphore_release(&place->answers) == 0);
    }
    return 0;
}

/* Given by one process, taken by another, to and fro. */
static void signals_to_and_fro(void)
{
    for (int method = 0; method < METHODS; method++) {
        struct place *place = new_place(0, false);
        brood_process *process = brood_process_start(answer, place, 0, &methods[method]);
        for (int i = 0; i < 2000; i++) {
            NEED(brood_semaphore_release(&place->semaphore) == 0);
            if (!CHECK_RESULT(brood_semaphore_acquire(&place->answers, BROOD_FOREVER), 0))
                break;
            NEED(place->count == i + 1);
        }
        join_well(process);
        brood_free(place);
    }
}

static int take_one(void *arg)
{
    struct place *place = arg;
    atomic_fetch_add(&place->stage, 1);
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, BROOD_FOREVER), 0);
    return 0;
}

/* As many units as there are sleepers, given in one go, wake them all. */
static void many_waiters(void)
{
    enum { WAITERS = 9 };
    struct place *place = new_place(0, false);
    brood_process *processes[WAITERS];
    for (int round = 0; round < 3; round++) {
        atomic_store(&place->stage, 0);
        for (int i = 0; i < WAITERS; i++)
            processes[i] = brood_process_start(take_one, place, 0, &methods[i % METHODS]);
        CHECK(wait_word(&place->stage, WAITERS, 10000));
        for (int i = 0; i < WAITERS; i++)
            CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        for (int i = 0; i < WAITERS; i++)
            join_well(processes[i]);
        CHECK_RESULT(brood_semaphore_units(&place->semaphore), 0);
    }
    CHECK_RESULT(brood_semaphore_fini(&place->semaphore), 0);
    brood_free(place);
}

static int not_the_childs(void *arg)
{
    struct place *place = arg;
    CHECK_RESULT(brood_semaphore_release(&place->semaphore), -EPERM);
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 10), -ETIMEDOUT);
    CHECK_RESULT(brood_semaphore_fini(&place->semaphore), -EBUSY);
    return 0;
}

static int die_at_once(void *arg)
{
    (void)arg;
    raise(SIGKILL);
    return 0;
}

/* A child that is forked while its parent holds a unit does not hold it, and its death gives nothing back. */
static void forked_while_held(void)
{
    struct place *place = new_place(1, true);
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 0), 0);
    CHECK_EQ(wait_child(fork_child(not_the_childs, place)), 0);
    CHECK_EQ(wait_child(fork_child(die_at_once, NULL)), SIGKILL);
    for (int method = 0; method < METHODS; method++)
        join_well(brood_process_start(not_the_childs, place, 0, &methods[method]));
    CHECK_RESULT(brood_semaphore_units(&place->semaphore), 0);
    CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
    CHECK_RESULT(brood_semaphore_fini(&place->semaphore), 0);
    brood_free(place);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "admits_processes", .run = admits_processes, .deadline_s = 60 },
        { .name = "admits_processes_owned", .run = admits_processes_owned, .deadline_s = 60 },
        { .name = "signals_to_and_fro", .run = signals_to_and_fro, .deadline_s = 60 },
        { .name = "many_waiters", .run = many_waiters },
        { .name = "forked_while_held", .run = forked_while_held },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
