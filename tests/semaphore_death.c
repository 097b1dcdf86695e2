/* semaphore_death.c: a plain semaphore's unit dies with its taker and with nobody else; an owned one's passes on, with
 * word of it; whoever dies waiting, at the front of the line or behind it, leaves no trace.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TOLD_MS 2000 /* a hang, not a delay: the header says 50 ms at worst */

struct place {
    brood_semaphore semaphore;
    atomic_int stage;
    atomic_int waiting;
    atomic_int got;
    atomic_long steps;
    atomic_long inherited;
};

static struct place *new_place(int units, bool owned)
{
    struct place *place = CHECK_POINTER(brood_alloc(sizeof *place));
    NEED(place != NULL);
    CHECK_RESULT(brood_semaphore_init(&place->semaphore, units, &(brood_semaphore_options){ .owned = owned }), 0);
    return place;
}

static void free_place(struct place *place)
{
    CHECK_RESULT(brood_semaphore_fini(&place->semaphore), 0);
    brood_free(place);
}

static int take_and_stay(void *arg)
{
    struct place *place = arg;
    atomic_fetch_add(&place->waiting, 1);
    int result = brood_semaphore_acquire(&place->semaphore, BROOD_FOREVER);
    CHECK(result >= 0);
    atomic_store(&place->got, result);
    atomic_fetch_add(&place->stage, 1);
    for (;;)
        pause();
    return 0;
}

static int take_and_release(void *arg)
{
    struct place *place = arg;
    atomic_fetch_add(&place->waiting, 1);
    int result = brood_semaphore_acquire(&place->semaphore, BROOD_FOREVER);
    CHECK(result >= 0);
    CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
    return result;
}

static pid_t start_holder(struct place *place)
{
    int stage = atomic_load(&place->stage);
    pid_t pid = fork_child(take_and_stay, place);
    NEED(wait_word(&place->stage, stage + 1, 5000));
    return pid;
}

static bool sleeps(void *pid)
{
    return process_state(*(pid_t *)pid) == 'S';
}

static pid_t start_waiter(struct place *place, int (*body)(void *arg))
{
    int waiting = atomic_load(&place->waiting);
    pid_t pid = fork_child(body, place);
    NEED(wait_word(&place->waiting, waiting + 1, 5000));
    NEED(wait_until(sleeps, &pid, 5000));
    return pid;
}

static void check_got(pid_t waiter, int low, int high)
{
    if (!CHECK(wait_gone(waiter, TOLD_MS)))
        kill(waiter, SIGKILL);
    int status = wait_child(waiter);
    CHECK(status == low << 8 || status == high << 8);
}

/* A plain unit is gone with its taker: that is what .owned is for. */
static void plain_unit_is_gone(void)
{
    struct place *place = new_place(2, false);
    CHECK_EQ(kill_child(start_holder(place)), SIGKILL);
    CHECK_RESULT(brood_semaphore_units(&place->semaphore), 1);
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 0), 0);
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
    CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0); /* anybody may replace it */
    CHECK_RESULT(brood_semaphore_units(&place->semaphore), 2);
    free_place(place);
}

static void inherit_later(bool told)
{
    for (int i = 0; i < 20; i++) {
        struct place *place = new_place(1, true);
        CHECK_EQ(kill_child(start_holder(place)), SIGKILL);
        if (told)
            CHECK_RESULT(brood_semaphore_units(&place->semaphore), 1);
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), -EPERM);
        CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, told && i % 2 ? 0 : TOLD_MS), BROOD_INHERITED);
        CHECK(brood_error()[0] != '\0');
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 0), 0);
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        free_place(place);
    }
}

static void inherited_later(void)
{
    inherit_later(true);
}

static void told_until_mended(void)
{
    struct place *place = new_place(1, true);
    pid_t holder = start_holder(place);
    CHECK_EQ(atomic_load(&place->got), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(kill_child(holder), SIGKILL);
        holder = start_holder(place);
        CHECK_EQ(atomic_load(&place->got), BROOD_INHERITED);
    }
    CHECK_EQ(kill_child(holder), SIGKILL);
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, TOLD_MS), BROOD_INHERITED);
    CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 0), 0);
    CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
    free_place(place);
}

/* One of several holders dies, and it is that unit that the news comes with. */
static void one_of_three_dies(void)
{
    for (int which = 0; which < 3; which++) {
        struct place *place = new_place(3, true);
        pid_t holders[3];
        for (int i = 0; i < 3; i++)
            holders[i] = start_holder(place);
        CHECK_RESULT(brood_semaphore_units(&place->semaphore), 0);
        pid_t waiter = start_waiter(place, take_and_release);
        CHECK_EQ(kill_child(holders[which]), SIGKILL);
        check_got(waiter, BROOD_INHERITED, BROOD_INHERITED);
        CHECK_RESULT(brood_semaphore_fini(&place->semaphore), -EBUSY);
        for (int i = 0; i < 3; i++)
            if (i != which)
                CHECK_EQ(kill_child(holders[i]), SIGKILL);
        int told = 0;
        for (int i = 0; i < 3; i++)
            told += brood_semaphore_acquire(&place->semaphore, TOLD_MS) == BROOD_INHERITED;
        CHECK_EQ(told, 2);
        CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 0), -ETIMEDOUT);
        for (int i = 0; i < 3; i++)
            CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        free_place(place);
    }
}

/* With more units than one sleep can watch. */
static void one_of_many_dies(void)
{
    enum { UNITS = 200 };
    struct place *place = new_place(UNITS, true);
    for (int i = 0; i < UNITS - 1; i++)
        CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 0), 0);
    for (int round = 0; round < 5; round++) {
        pid_t holder = start_holder(place);
        pid_t waiter = fork_child(take_and_release, place);
        NEED(wait_word(&place->waiting, 2 * round + 2, 5000));
        pass_us(round * 3000);
        CHECK_EQ(kill_child(holder), SIGKILL);
        check_got(waiter, BROOD_INHERITED, BROOD_INHERITED);
    }
    for (int i = 0; i < UNITS - 1; i++)
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
    free_place(place);
}

/* Holder and front of the line, killed with one signal to their group or one after the other. Whoever is behind them
 * gets the unit, and is told: the front, if it got it, died holding it too. */
static void holder_and_front_die(void)
{
    for (int i = 0; i < harness_times(100); i++) {
        struct place *place = new_place(1, true);
        pid_t holder = start_holder(place);
        setpgid(holder, holder);
        pid_t front = start_waiter(place, take_and_stay);
        setpgid(front, holder);
        pid_t third = start_waiter(place, take_and_release);
        if (i % 3 == 0) {
            kill(-holder, SIGKILL);
        } else {
            kill(holder, SIGKILL);
            pass_us(i % 3 == 1 ? 0 : i * 2);
            kill(front, SIGKILL);
        }
        CHECK_EQ(wait_child(holder), SIGKILL);
        CHECK_EQ(wait_child(front), SIGKILL);
        check_got(third, BROOD_INHERITED, BROOD_INHERITED);
        free_place(place);
    }
}

/* Those in line die; the holder holds on, and who is left gets the unit when it is given back. */
static void line_dies(bool owned)
{
    enum { WAITERS = 6 };
    for (int round = 0; round < 5; round++) {
        struct place *place = new_place(1, owned);
        CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 0), 0);
        pid_t waiters[WAITERS];
        for (int i = 0; i < WAITERS; i++)
            waiters[i] = start_waiter(place, take_and_release);
        int left = round % WAITERS; /* round 0: the front itself is left */
        for (int i = 0; i < WAITERS; i++)
            if (i != left)
                CHECK_EQ(kill_child(waiters[i]), SIGKILL);
        CHECK_RESULT(brood_semaphore_units(&place->semaphore), 0);
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        check_got(waiters[left], 0, 0);
        CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, TOLD_MS), 0);
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        free_place(place);
    }
}

static void waiters_die(void)
{
    line_dies(false);
}

static void waiters_die_owned(void)
{
    line_dies(true);
}

/* A unit is given while two sleep, and the first is killed as it wakes: the unit is the other's, unless it had it. */
static void woken_dies(bool owned)
{
    for (int i = 0; i < harness_times(100); i++) {
        struct place *place = new_place(1, owned);
        CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 0), 0);
        pid_t first = start_waiter(place, take_and_stay);
        pid_t second = start_waiter(place, take_and_release);
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        pass_us(i % 4 * 20);
        CHECK_EQ(kill_child(first), SIGKILL);
        if (!owned && brood_semaphore_units(&place->semaphore) == 0 && !wait_gone(second, 10)) {
            /* either the first had it, and took it along, or the second is at it */
            CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        }
        check_got(second, 0, owned ? BROOD_INHERITED : 0);
        if (!owned && brood_semaphore_units(&place->semaphore) == 0) /* the first came late, and had it last */
            CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        CHECK(brood_semaphore_acquire(&place->semaphore, TOLD_MS) >= 0);
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        free_place(place);
    }
}

static void woken_dies_plain(void)
{
    woken_dies(false);
}

static void woken_dies_owned(void)
{
    woken_dies(true);
}

static int release_when_told(void *arg)
{
    struct place *place = arg;
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, BROOD_FOREVER), 0);
    atomic_fetch_add(&place->stage, 1);
    while (atomic_load(&place->got) == 0)
        ;
    CHECK(brood_semaphore_release(&place->semaphore) == 0);
    for (;;)
        pause();
    return 0;
}

/* The holder lets go and is killed while it does, or right after; so is the one at the front, in every other round. */
static void releaser_dies(void)
{
    uint32_t state = 17;
    for (int i = 0; i < harness_times(150); i++) {
        struct place *place = new_place(1, true);
        pid_t holder = fork_child(release_when_told, place);
        NEED(wait_word(&place->stage, 1, 5000));
        pid_t front = i % 2 ? start_waiter(place, take_and_release) : 0;
        pid_t third = start_waiter(place, take_and_release);
        atomic_store(&place->got, 1);
        for (uint32_t turns = random_next(&state) % 50000; turns > 0; turns--)
            atomic_signal_fence(memory_order_seq_cst);
        kill(holder, SIGKILL);
        if (front > 0)
            kill(front, SIGKILL);
        CHECK_EQ(wait_child(holder), SIGKILL);
        if (front > 0)
            wait_child(front);
        check_got(third, 0, BROOD_INHERITED);
        CHECK(brood_semaphore_acquire(&place->semaphore, TOLD_MS) >= 0);
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        free_place(place);
    }
}

static int take_and_give_for_ever(void *arg)
{
    struct place *place = *(struct place **)arg;
    for (;;) {
        int result = brood_semaphore_acquire(&place->semaphore, TOLD_MS);
        NEED(result >= 0);
        atomic_fetch_add(&place->inherited, result);
        atomic_fetch_add(&place->steps, 1);
        NEED(brood_semaphore_release(&place->semaphore) == 0);
    }
    return 0;
}

/* Users that are killed at random times and replaced, by turns forked and spawned: no unit is lost. */
static void kill_storm(void)
{
    enum { USERS = 4, KILLS = 150, UNITS = 2 };
    struct place *place = new_place(UNITS, true);
    brood_process *users[USERS];
    uint32_t state = 2024;
    for (int i = -USERS; i < harness_times(KILLS); i++) {
        int which = i < 0 ? i + USERS : (int)(random_next(&state) % USERS);
        if (i >= 0) {
            pass_us(random_next(&state) % 4000);
            CHECK_RESULT(brood_process_signal(users[which], SIGKILL), 0);
            CHECK_RESULT(brood_process_join(users[which], NULL, BROOD_FOREVER), 0);
            CHECK_RESULT(brood_process_close(users[which]), 0);
        }
        brood_process_options options = { .start = i % 8 == 7 ? BROOD_SPAWN : BROOD_FORK };
        users[which] = brood_process_start(take_and_give_for_ever, &place, sizeof place, &options);
        NEED(users[which] != NULL);
    }
    long steps = atomic_load(&place->steps);
    for (int i = 0; i < 2000 && atomic_load(&place->steps) < steps + 1000; i++)
        pass_us(5000);
    CHECK(atomic_load(&place->steps) >= steps + 1000);
    for (int i = 0; i < USERS; i++) {
        CHECK_RESULT(brood_process_signal(users[i], SIGKILL), 0);
        CHECK_RESULT(brood_process_join(users[i], NULL, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(users[i]), 0);
    }
    for (int i = 0; i < UNITS; i++)
        CHECK(brood_semaphore_acquire(&place->semaphore, TOLD_MS) >= 0);
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 0), -ETIMEDOUT);
    for (int i = 0; i < UNITS; i++)
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
    free_place(place);
}

/* A stopped holder is not dead. */
static void holder_stopped(void)
{
    struct place *place = new_place(1, true);
    pid_t holder = start_holder(place);
    kill(holder, SIGSTOP);
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 100), -ETIMEDOUT);
    kill(holder, SIGKILL);
    CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, TOLD_MS), BROOD_INHERITED);
    CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
    CHECK_EQ(wait_child(holder), SIGKILL);
    free_place(place);
}

static void without_something(long first, long second)
{
    if (refuse_call(first, ENOSYS) != 0 || refuse_call(second, ENOSYS) != 0)
        harness_skip("no seccomp filters here");
    NEED(brood_init(NULL) == 0);
    inherit_later(false);
    told_until_mended();
    for (int i = 0; i < 10; i++) {
        struct place *place = new_place(2, true);
        pid_t holder = start_holder(place), front;
        CHECK_RESULT(brood_semaphore_acquire(&place->semaphore, 0), 0);
        front = start_waiter(place, take_and_stay);
        pid_t third = start_waiter(place, take_and_release);
        CHECK_EQ(kill_child(front), SIGKILL);
        CHECK_EQ(kill_child(holder), SIGKILL);
        check_got(third, BROOD_INHERITED, BROOD_INHERITED);
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        free_place(place);
        place = new_place(0, false);
        third = start_waiter(place, take_and_release);
        CHECK_RESULT(brood_semaphore_release(&place->semaphore), 0);
        check_got(third, 0, 0);
        free_place(place);
    }
}

/* Where the kernel keeps no robust list, the news still comes, later. */
static void without_robust_lists(void)
{
    without_something(SYS_get_robust_list, SYS_set_robust_list);
}

/* And where nobody can sleep on several words. */
static void without_waitv(void)
{
    without_something(SYS_futex_waitv, SYS_futex_waitv);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "plain_unit_is_gone", .run = plain_unit_is_gone },
        { .name = "inherited_later", .run = inherited_later },
        { .name = "told_until_mended", .run = told_until_mended },
        { .name = "one_of_three_dies", .run = one_of_three_dies },
        { .name = "one_of_many_dies", .run = one_of_many_dies },
        { .name = "holder_and_front_die", .run = holder_and_front_die, .deadline_s = 60 },
        { .name = "waiters_die", .run = waiters_die },
        { .name = "waiters_die_owned", .run = waiters_die_owned },
        { .name = "woken_dies_plain", .run = woken_dies_plain, .deadline_s = 60 },
        { .name = "woken_dies_owned", .run = woken_dies_owned, .deadline_s = 60 },
        { .name = "releaser_dies", .run = releaser_dies, .deadline_s = 60 },
        { .name = "kill_storm", .run = kill_storm, .deadline_s = 60 },
        { .name = "holder_stopped", .run = holder_stopped },
        { .name = "without_robust_lists", .run = without_robust_lists, .no_init = true },
        { .name = "without_waitv", .run = without_waitv, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
