/* lock_death.c: whoever dies with the lock in its hands passes it on, with word of it, to exactly one of those who come
 * or wait; whoever dies waiting, or just after it let go, leaves no trace.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TOLD_MS 2000 /* a hang, not a delay: the header says 50 ms at worst */

struct pair {
    brood_lock lock;
    long first, second; /* equal, unless a holder died between the two */
    atomic_int stage;
    atomic_int waiting;
    atomic_int got;
    atomic_llong when;
    long inherited;
};

static struct pair *new_pair(void)
{
    struct pair *pair = CHECK_POINTER(brood_alloc(sizeof *pair));
    NEED(pair != NULL);
    return pair;
}

static void free_pair(struct pair *pair)
{
    CHECK_RESULT(brood_lock_fini(&pair->lock), 0);
    brood_free(pair);
}

static int take_and_stay(void *arg)
{
    struct pair *pair = arg;
    atomic_fetch_add(&pair->waiting, 1);
    int result = brood_lock_acquire(&pair->lock, BROOD_FOREVER);
    CHECK(result >= 0);
    atomic_store(&pair->got, result);
    atomic_fetch_add(&pair->stage, 1);
    for (;;)
        pause();
    return 0;
}

static int take_and_release(void *arg)
{
    struct pair *pair = arg;
    atomic_fetch_add(&pair->waiting, 1);
    int result = brood_lock_acquire(&pair->lock, BROOD_FOREVER);
    CHECK(result >= 0);
    atomic_store(&pair->when, now_us());
    CHECK_RESULT(brood_lock_release(&pair->lock), 0);
    return result;
}

static pid_t start_holder(struct pair *pair)
{
    int stage = atomic_load(&pair->stage);
    pid_t pid = fork_child(take_and_stay, pair);
    NEED(wait_word(&pair->stage, stage + 1, 5000));
    return pid;
}

static bool sleeps(void *pid)
{
    return process_state(*(pid_t *)pid) == 'S';
}

/* A process that waits for the lock, asleep. */
static pid_t start_waiter(struct pair *pair, int (*body)(void *arg))
{
    int waiting = atomic_load(&pair->waiting);
    pid_t pid = fork_child(body, pair);
    NEED(wait_word(&pair->waiting, waiting + 1, 5000));
    NEED(wait_until(sleeps, &pid, 5000));
    return pid;
}

static void inherit_later(bool at_once)
{
    for (int i = 0; i < 20; i++) {
        struct pair *pair = new_pair();
        pid_t holder = start_holder(pair);
        CHECK_EQ(brood_lock_holder(&pair->lock), holder);
        CHECK_EQ(kill_child(holder), SIGKILL);
        CHECK_RESULT(brood_lock_acquire(&pair->lock, at_once && i % 2 ? 0 : TOLD_MS), BROOD_INHERITED);
        CHECK(brood_error()[0] != '\0');
        CHECK_RESULT(brood_lock_release(&pair->lock), 0);
        CHECK_RESULT(brood_lock_acquire(&pair->lock, 0), 0);
        CHECK_RESULT(brood_lock_release(&pair->lock), 0);
        free_pair(pair);
    }
}

static void inherited_later(void)
{
    inherit_later(true);
}

/* The killer's way: pid, and how long it waits first. */
struct kill_order {
    pid_t pid;
    int us;
};

static int kill_later(void *arg)
{
    const struct kill_order *order = arg;
    pass_us(order->us);
    kill(order->pid, SIGKILL);
    return 0;
}

/* The waiter is somewhere between spinning and deep asleep when its holder dies. */
static void inherited_waiting(void)
{
    uint32_t state = 31;
    for (int i = 0; i < 60; i++) {
        struct pair *pair = new_pair();
        struct kill_order order = { start_holder(pair), (int)(random_next(&state) % 3000) };
        pid_t killer = fork_child(kill_later, &order);
        CHECK_RESULT(brood_lock_acquire(&pair->lock, TOLD_MS), BROOD_INHERITED);
        CHECK_RESULT(brood_lock_release(&pair->lock), 0);
        CHECK_EQ(wait_child(killer), 0);
        CHECK_EQ(wait_child(order.pid), SIGKILL);
        free_pair(pair);
    }
}

static void exec_while_holding(void)
{
    if (harness_part() != NULL) {
        for (;;)
            pause();
    }
    struct pair *pair = new_pair();
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_RESULT(brood_lock_acquire(&pair->lock, 0), 0);
        atomic_store(&pair->stage, 1);
        harness_exec(NULL, "other");
        _exit(97);
    }
    CHECK(wait_word(&pair->stage, 1, 5000));
    CHECK_RESULT(brood_lock_acquire(&pair->lock, TOLD_MS), BROOD_INHERITED);
    CHECK_RESULT(brood_lock_release(&pair->lock), 0);
    CHECK_EQ(kill_child(pid), SIGKILL);
    free_pair(pair);
}

static void told_until_mended(void)
{
    struct pair *pair = new_pair();
    pid_t holder = start_holder(pair);
    CHECK_EQ(atomic_load(&pair->got), 0);
    for (int i = 0; i < 12; i++) {
        CHECK_EQ(kill_child(holder), SIGKILL);
        holder = start_holder(pair);
        CHECK_EQ(atomic_load(&pair->got), BROOD_INHERITED);
        CHECK_EQ(brood_lock_holder(&pair->lock), holder);
    }
    CHECK_EQ(kill_child(holder), SIGKILL);
    CHECK_RESULT(brood_lock_acquire(&pair->lock, TOLD_MS), BROOD_INHERITED);
    CHECK_RESULT(brood_lock_release(&pair->lock), 0);
    CHECK_RESULT(brood_lock_acquire(&pair->lock, 0), 0);
    CHECK_RESULT(brood_lock_release(&pair->lock), 0);
    free_pair(pair);
}

static void fini_after_death(void)
{
    struct pair *pair = new_pair();
    CHECK_EQ(kill_child(start_holder(pair)), SIGKILL);
    CHECK_RESULT(brood_lock_release(&pair->lock), -EPERM);
    CHECK_RESULT(brood_lock_acquire(&pair->lock, TOLD_MS), BROOD_INHERITED);
    CHECK_RESULT(brood_lock_release(&pair->lock), 0);
    free_pair(pair);
}

/* Waiters that are killed: the holder holds on, and those who come later get a free lock. */
static void waiters_die(void)
{
    enum { WAITERS = 10 };
    for (int round = 0; round < 5; round++) {
        struct pair *pair = new_pair();
        CHECK_RESULT(brood_lock_acquire(&pair->lock, 0), 0);
        pid_t waiters[WAITERS];
        for (int i = 0; i < WAITERS; i++)
            waiters[i] = start_waiter(pair, take_and_release);
        for (int i = 0; i < WAITERS - 1; i++)
            CHECK_EQ(kill_child(waiters[i * 7 % (WAITERS - 1)]), SIGKILL);
        CHECK_EQ(brood_lock_holder(&pair->lock), getpid());
        CHECK_RESULT(brood_lock_release(&pair->lock), 0);
        CHECK_EQ(wait_child(waiters[WAITERS - 1]), 0);
        CHECK_RESULT(brood_lock_acquire(&pair->lock, TOLD_MS), 0);
        CHECK_RESULT(brood_lock_release(&pair->lock), 0);
        free_pair(pair);
    }
}

/* The waiter that is left must get the lock, whichever of the others died first; `told`: as an heir, for certain. */
static void check_third(struct pair *pair, pid_t third, bool told)
{
    if (!CHECK(wait_gone(third, TOLD_MS)))
        kill(third, SIGKILL);
    int status = wait_child(third);
    if (told) {
        CHECK_EQ(status, BROOD_INHERITED << 8);
    } else {
        CHECK(status == 0 || status == BROOD_INHERITED << 8);
    }
    int result = brood_lock_acquire(&pair->lock, TOLD_MS);
    CHECK(result >= 0);
    CHECK_RESULT(brood_lock_release(&pair->lock), 0);
}

/* Holder and one waiter, killed with one signal to their group: the wake that the first death sent may have gone to the
 * second. A third waits, outside of the group. */
static void holder_and_waiter_die(void)
{
    for (int i = 0; i < 150; i++) {
        struct pair *pair = new_pair();
        pid_t holder = start_holder(pair);
        setpgid(holder, holder);
        pid_t second = start_waiter(pair, take_and_stay);
        setpgid(second, holder);
        pid_t third = start_waiter(pair, take_and_release);
        if (i % 3 == 0) {
            kill(-holder, SIGKILL);
        } else {
            kill(holder, SIGKILL);
            pass_us(i % 3 == 1 ? 0 : i * 2);
            kill(second, SIGKILL);
        }
        CHECK_EQ(wait_child(holder), SIGKILL);
        CHECK_EQ(wait_child(second), SIGKILL);
        check_third(pair, third, true); /* the second, if it got the lock, died holding it too */
        free_pair(pair);
    }
}

static int release_when_told(void *arg)
{
    struct pair *pair = arg;
    CHECK_RESULT(brood_lock_acquire(&pair->lock, BROOD_FOREVER), 0);
    atomic_fetch_add(&pair->stage, 1);
    while (atomic_load(&pair->got) == 0)
        ;
    CHECK(brood_lock_release(&pair->lock) == 0);
    for (;;)
        pause();
    return 0;
}

/* The holder lets go and is killed while it does, or right after; so is the one that it woke, in every other round. */
static void releaser_dies(void)
{
    uint32_t state = 17;
    for (int i = 0; i < 200; i++) {
        struct pair *pair = new_pair();
        pid_t holder = fork_child(release_when_told, pair);
        NEED(wait_word(&pair->stage, 1, 5000));
        pid_t second = i % 2 ? start_waiter(pair, take_and_release) : 0;
        pid_t third = start_waiter(pair, take_and_release);
        atomic_store(&pair->got, 1);
        for (uint32_t turns = random_next(&state) % 3000; turns > 0; turns--)
            atomic_signal_fence(memory_order_seq_cst);
        kill(holder, SIGKILL);
        if (second > 0)
            kill(second, SIGKILL);
        CHECK_EQ(wait_child(holder), SIGKILL);
        if (second > 0)
            wait_child(second);
        check_third(pair, third, false);
        free_pair(pair);
    }
}

static int take_and_give_for_ever(void *arg)
{
    struct pair *pair = arg;
    atomic_fetch_add(&pair->stage, 1);
    for (;;) {
        NEED(brood_lock_acquire(&pair->lock, BROOD_FOREVER) >= 0);
        NEED(brood_lock_release(&pair->lock) == 0);
    }
    return 0;
}

/* Killed anywhere in acquire and release, with another asleep or on its way there. */
static void busy_holder_dies(void)
{
    uint32_t state = 5;
    for (int i = 0; i < 200; i++) {
        struct pair *pair = new_pair();
        pid_t holder = fork_child(take_and_give_for_ever, pair);
        pid_t other = i % 2 ? fork_child(take_and_give_for_ever, pair) : 0;
        NEED(wait_word(&pair->stage, 1 + (other > 0), 5000));
        pass_us(random_next(&state) % 2000);
        pid_t third = fork_child(take_and_release, pair);
        pass_us(random_next(&state) % 1000);
        kill(holder, SIGKILL);
        if (other > 0)
            kill(other, SIGKILL);
        CHECK_EQ(wait_child(holder), SIGKILL);
        if (other > 0)
            CHECK_EQ(wait_child(other), SIGKILL);
        check_third(pair, third, false);
        free_pair(pair);
    }
}

static int compare(const void *a, const void *b)
{
    long long x = *(const long long *)a, y = *(const long long *)b;
    return (x > y) - (x < y);
}

/* Prints how long it takes from the kill to the waiter's return; figures only. */
static void death_notice(void)
{
    enum { KILLS = 100 };
    static long long us[KILLS];
    for (int i = 0; i < KILLS; i++) {
        struct pair *pair = new_pair();
        pid_t holder = start_holder(pair);
        pid_t waiter = start_waiter(pair, take_and_release);
        long long start = now_us();
        kill(holder, SIGKILL);
        CHECK_EQ(wait_child(waiter), BROOD_INHERITED << 8);
        us[i] = atomic_load(&pair->when) - start;
        CHECK_EQ(wait_child(holder), SIGKILL);
        free_pair(pair);
    }
    qsort(us, KILLS, sizeof *us, compare);
    printf("    a waiter is told of its holder's death after %lld us (median), %lld us (worst of %d)\n", us[KILLS / 2],
           us[KILLS - 1], KILLS);
}

static int count_both(void *arg)
{
    struct pair *pair = *(struct pair **)arg;
    for (;;) {
        int result = brood_lock_acquire(&pair->lock, BROOD_FOREVER);
        NEED(result >= 0);
        if (result == BROOD_INHERITED) {
            NEED(pair->first == pair->second || pair->first == pair->second + 1);
            pair->second = pair->first;
            pair->inherited++;
        }
        NEED(pair->first == pair->second);
        *(volatile long *)&pair->first += 1;
        *(volatile long *)&pair->second += 1;
        NEED(brood_lock_release(&pair->lock) == 0);
        atomic_fetch_add_explicit(&pair->stage, 1, memory_order_relaxed);
    }
    return 0;
}

/* Lockers that are killed at random times and replaced. Who inherits mends; who does not finds it whole. */
static void kill_storm(void)
{
    enum { LOCKERS = 4, KILLS = 200 };
    struct pair *pair = new_pair();
    brood_process *lockers[LOCKERS];
    uint32_t state = 2024;
    for (int i = -LOCKERS; i < KILLS; i++) {
        int which = i < 0 ? i + LOCKERS : (int)(random_next(&state) % LOCKERS);
        if (i >= 0) {
            pass_us(random_next(&state) % 4000);
            CHECK_RESULT(brood_process_signal(lockers[which], SIGKILL), 0);
            brood_end end;
            CHECK_RESULT(brood_process_join(lockers[which], &end, BROOD_FOREVER), 0);
            CHECK_EQ(end.signal, SIGKILL);
            CHECK_RESULT(brood_process_close(lockers[which]), 0);
        }
        brood_process_options options = { .start = i % 8 == 7 ? BROOD_SPAWN : BROOD_FORK };
        lockers[which] = brood_process_start(count_both, &pair, sizeof pair, &options);
        NEED(lockers[which] != NULL);
    }
    /* those that are left go on: nobody is stuck behind a dead one */
    int steps = atomic_load(&pair->stage);
    CHECK(wait_word(&pair->stage, steps + 1000, 10000));
    for (int i = 0; i < LOCKERS; i++) {
        CHECK_RESULT(brood_process_signal(lockers[i], SIGKILL), 0);
        CHECK_RESULT(brood_process_join(lockers[i], NULL, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(lockers[i]), 0);
    }
    int result = brood_lock_acquire(&pair->lock, TOLD_MS);
    CHECK(result >= 0);
    if (result == 0)
        CHECK_EQ(pair->first, pair->second);
    printf("    %ld times of %ld inherited\n", pair->inherited, pair->first);
    CHECK_RESULT(brood_lock_release(&pair->lock), 0);
    free_pair(pair);
}

/* A stopped holder is not dead: others wait, and go on when it goes on. */
static void holder_stopped(void)
{
    struct pair *pair = new_pair();
    pid_t holder = start_holder(pair);
    kill(holder, SIGSTOP);
    CHECK_RESULT(brood_lock_acquire(&pair->lock, 150), -ETIMEDOUT);
    kill(holder, SIGCONT);
    CHECK_RESULT(brood_lock_acquire(&pair->lock, 20), -ETIMEDOUT);
    kill(holder, SIGSTOP);
    kill(holder, SIGKILL);
    CHECK_RESULT(brood_lock_acquire(&pair->lock, TOLD_MS), BROOD_INHERITED);
    CHECK_RESULT(brood_lock_release(&pair->lock), 0);
    CHECK_EQ(wait_child(holder), SIGKILL);
    free_pair(pair);
}

/* Where the kernel keeps no robust list, the news still comes, later. */
static void without_robust_lists(void)
{
    if (refuse_call(SYS_get_robust_list, ENOSYS) != 0 || refuse_call(SYS_set_robust_list, ENOSYS) != 0)
        harness_skip("no seccomp filters here");
    NEED(brood_init(NULL) == 0);
    inherit_later(false);
    told_until_mended();
    for (int i = 0; i < 10; i++) {
        struct pair *pair = new_pair();
        pid_t holder = start_holder(pair);
        pid_t waiter = start_waiter(pair, take_and_release);
        CHECK_EQ(kill_child(holder), SIGKILL);
        check_third(pair, waiter, true);
        free_pair(pair);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "inherited_later", .run = inherited_later },
        { .name = "inherited_waiting", .run = inherited_waiting },
        { .name = "exec_while_holding", .run = exec_while_holding },
        { .name = "told_until_mended", .run = told_until_mended },
        { .name = "fini_after_death", .run = fini_after_death },
        { .name = "waiters_die", .run = waiters_die },
        { .name = "holder_and_waiter_die", .run = holder_and_waiter_die, .deadline_s = 60 },
        { .name = "releaser_dies", .run = releaser_dies, .deadline_s = 60 },
        { .name = "busy_holder_dies", .run = busy_holder_dies, .deadline_s = 60 },
        { .name = "death_notice", .run = death_notice },
        { .name = "kill_storm", .run = kill_storm, .deadline_s = 60 },
        { .name = "holder_stopped", .run = holder_stopped },
        { .name = "without_robust_lists", .run = without_robust_lists, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
