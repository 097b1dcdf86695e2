/* condition_death.c: no notify is lost by a death: a waiter's, asleep or woken, with or without the lock; a notifier's;
 * that of the lock's holder; and two of these at once.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TOLD_MS 2000 /* a hang, not a delay */

enum { CROWD = 6, CONSUMERS = 4 };

struct shared {
    brood_lock lock;
    brood_condition changed;
    atomic_int waiting, returned, asked, stage;
    int told[CROWD + 2]; /* what each who returned was told */
    long put, got;       /* put - got are there */
};

static struct shared *new_shared(void)
{
    struct shared *shared = CHECK_POINTER(brood_alloc(sizeof *shared));
    NEED(shared != NULL);
    return shared;
}

static void free_shared(struct shared *shared)
{
    CHECK_RESULT(brood_condition_fini(&shared->changed), 0);
    CHECK_RESULT(brood_lock_fini(&shared->lock), 0);
    brood_free(shared);
}

static int wait_once(void *arg)
{
    struct shared *shared = arg;
    CHECK(brood_lock_acquire(&shared->lock, BROOD_FOREVER) >= 0);
    atomic_fetch_add(&shared->waiting, 1);
    int result = brood_condition_wait(&shared->changed, &shared->lock, BROOD_FOREVER);
    CHECK(result >= 0);
    CHECK_EQ(brood_lock_holder(&shared->lock), getpid());
    CHECK_RESULT(brood_lock_release(&shared->lock), 0);
    atomic_fetch_add(&shared->returned, 1);
    return result;
}

static bool sleeps(void *pid)
{
    return process_state(*(pid_t *)pid) == 'S';
}

static pid_t start_waiter(struct shared *shared)
{
    int waiting = atomic_load(&shared->waiting);
    pid_t pid = fork_child(wait_once, shared);
    NEED(wait_word(&shared->waiting, waiting + 1, 5000));
    CHECK(brood_lock_acquire(&shared->lock, TOLD_MS) >= 0); /* given up: it waits */
    CHECK_RESULT(brood_lock_release(&shared->lock), 0);
    NEED(wait_until(sleeps, &pid, 5000));
    return pid;
}

/* It must return, whoever else died. */
static void check_returns(pid_t pid, int expected)
{
    if (!CHECK(wait_gone(pid, TOLD_MS)))
        kill(pid, SIGKILL);
    CHECK_EQ(wait_child(pid), expected << 8);
}

static void asleep(void)
{
    for (int i = 0; i < harness_times(40); i++) {
        struct shared *shared = new_shared();
        pid_t pids[3];
        for (int k = 0; k < 3; k++)
            pids[k] = start_waiter(shared);
        CHECK_EQ(kill_child(pids[i % 3]), SIGKILL);
        CHECK_EQ(kill_child(pids[(i + 1) % 3]), SIGKILL);
        CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
        check_returns(pids[(i + 2) % 3], 0);
        free_shared(shared); /* the dead are in nobody's way */
    }
}

/* Whoever is woken waits for the lock, which we hold. Of those who may be that one all but one are killed. */
static void woken(bool lists)
{
    uint32_t state = 23;
    for (int i = 0; i < harness_times(lists ? 150 : 8); i++) {
        struct shared *shared = new_shared();
        int count = 2 + i % 3, notified = 1 + i % 2;
        pid_t pids[4];
        if (notified >= count)
            notified = 1;
        for (int k = 0; k < count; k++)
            pids[k] = start_waiter(shared);
        CHECK_RESULT(brood_lock_acquire(&shared->lock, TOLD_MS), 0);
        CHECK_RESULT(brood_condition_notify(&shared->changed, notified), 0);
        if (i % 4)
            pass_us(random_next(&state) % 400);
        int killed = count - notified, first = (int)(random_next(&state) % (unsigned)count);
        for (int k = 0; k < killed; k++)
            CHECK_EQ(kill(pids[(first + k) % count], SIGKILL), 0);
        for (int k = 0; k < killed; k++)
            CHECK_EQ(wait_child(pids[(first + k) % count]), SIGKILL);
        CHECK_RESULT(brood_lock_release(&shared->lock), 0);
        for (int k = killed; k < count; k++)
            check_returns(pids[(first + k) % count], 0);
        free_shared(shared);
    }
}

static void woken_and_killed(void)
{
    woken(true);
}

/* The lock is free: the woken one is killed anywhere between its wake and its end, or has ended. If it had the lock, or
 * had returned, then the notify was its own, and the next one is the other's. */
static void woken_and_killed_anywhere(void)
{
    uint32_t state = 7;
    for (int i = 0; i < harness_times(300); i++) {
        struct shared *shared = new_shared();
        pid_t first = start_waiter(shared), second = start_waiter(shared);
        CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
        for (uint32_t turns = random_next(&state) % 60000; turns > 0; turns--)
            atomic_signal_fence(memory_order_seq_cst);
        kill(first, SIGKILL);
        wait_child(first);
        CHECK(brood_lock_acquire(&shared->lock, TOLD_MS) >= 0);
        CHECK_RESULT(brood_lock_release(&shared->lock), 0);
        if (!wait_gone(second, 20))
            CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
        CHECK(wait_gone(second, TOLD_MS));
        wait_child(second);
        brood_lock_acquire(&shared->lock, TOLD_MS);
        brood_lock_release(&shared->lock);
        free_shared(shared);
    }
}

static int notify_when_told(void *arg)
{
    struct shared *shared = arg;
    CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0); /* nobody: it knows its way */
    atomic_fetch_add(&shared->stage, 1);
    while (atomic_load(&shared->stage) < 2)
        ;
    brood_condition_notify(&shared->changed, atomic_load(&shared->asked));
    for (;;)
        pause();
    return 0;
}

/* Killed in a notify, or just before or after: it has happened or not, and those who wait can still be notified. */
static void notifier_dies(void)
{
    uint32_t state = 41;
    for (int i = 0; i < harness_times(200); i++) {
        struct shared *shared = new_shared();
        atomic_store(&shared->asked, i % 2 ? BROOD_ALL : 1);
        pid_t notifier = fork_child(notify_when_told, shared);
        NEED(wait_word(&shared->stage, 1, 5000));
        pid_t first = start_waiter(shared), second = i % 3 ? start_waiter(shared) : 0;
        atomic_store(&shared->stage, 2);
        for (uint32_t turns = random_next(&state) % 3000; turns > 0; turns--)
            atomic_signal_fence(memory_order_seq_cst);
        CHECK_EQ(kill_child(notifier), SIGKILL);
        if (i % 4 == 1) {
            kill(first, SIGKILL);
            wait_child(first);
        }
        CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
        CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
        if (i % 4 != 1) {
            CHECK(wait_gone(first, TOLD_MS));
            wait_child(first);
        }
        if (second > 0) {
            CHECK(wait_gone(second, TOLD_MS));
            wait_child(second);
        }
        CHECK(brood_lock_acquire(&shared->lock, TOLD_MS) >= 0);
        CHECK_RESULT(brood_lock_release(&shared->lock), 0);
        free_shared(shared);
    }
}

static int notify_and_die(void *arg)
{
    struct shared *shared = arg;
    CHECK_RESULT(brood_lock_acquire(&shared->lock, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_condition_notify(&shared->changed, BROOD_ALL), 0);
    raise(SIGKILL);
    return 0;
}

static bool ask(void *arg)
{
    struct shared *shared = arg;
    atomic_fetch_add(&shared->asked, 1);
    return false;
}

static int wait_for_ever(void *arg)
{
    struct shared *shared = arg;
    CHECK_RESULT(brood_lock_acquire(&shared->lock, BROOD_FOREVER), 0);
    atomic_fetch_add(&shared->waiting, 1);
    int result = brood_condition_wait_until(&shared->changed, &shared->lock, ask, shared, BROOD_FOREVER);
    CHECK_EQ(brood_lock_holder(&shared->lock), getpid());
    CHECK_RESULT(brood_lock_release(&shared->lock), 0);
    return result;
}

/* The lock's holder dies after its notify: the one that gets the lock is told, and does not ask first. */
static void holder_dies(void)
{
    for (int i = 0; i < harness_times(40); i++) {
        struct shared *shared = new_shared();
        pid_t pid = i % 2 ? fork_child(wait_for_ever, shared) : fork_child(wait_once, shared);
        NEED(wait_word(&shared->waiting, 1, 5000));
        NEED(wait_until(sleeps, &pid, 5000));
        CHECK_EQ(wait_child(fork_child(notify_and_die, shared)), SIGKILL);
        check_returns(pid, BROOD_INHERITED);
        CHECK_EQ(atomic_load(&shared->asked), i % 2);
        free_shared(shared);
    }
}

static int wait_and_die(void *arg)
{
    struct shared *shared = arg;
    CHECK_RESULT(brood_lock_acquire(&shared->lock, BROOD_FOREVER), 0);
    atomic_fetch_add(&shared->waiting, 1);
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, BROOD_FOREVER), 0);
    raise(SIGKILL);
    return 0;
}

/* A waiter that has returned holds the lock like anyone. */
static void returned_and_killed(void)
{
    struct shared *shared = new_shared();
    pid_t pid = fork_child(wait_and_die, shared);
    NEED(wait_word(&shared->waiting, 1, 5000));
    NEED(wait_until(sleeps, &pid, 5000));
    CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
    CHECK_EQ(wait_child(pid), SIGKILL);
    CHECK_RESULT(brood_lock_acquire(&shared->lock, TOLD_MS), BROOD_INHERITED);
    CHECK_RESULT(brood_lock_release(&shared->lock), 0);
    free_shared(shared);
}

static bool is_there(void *arg)
{
    const struct shared *shared = arg;
    return shared->put > shared->got;
}

static int consume(void *arg)
{
    struct shared *shared = arg;
    for (;;) {
        NEED(brood_lock_acquire(&shared->lock, BROOD_FOREVER) >= 0);
        while (brood_condition_wait_until(&shared->changed, &shared->lock, is_there, shared, BROOD_FOREVER) != 0)
            ;
        shared->got++;
        NEED(brood_lock_release(&shared->lock) == 0);
    }
    return 0;
}

static bool is_empty(void *arg)
{
    struct shared *shared = arg;
    int result = brood_lock_acquire(&shared->lock, TOLD_MS);
    NEED(result >= 0);
    bool empty = shared->put == shared->got;
    if (result == BROOD_INHERITED) /* its holder had returned, and taken nothing: whose turn it is, is ours to say */
        CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
    NEED(brood_lock_release(&shared->lock) == 0);
    return empty;
}

/* Consumers are killed and replaced all the time; what is put is got by those who live. */
static void kill_storm(void)
{
    struct shared *shared = new_shared();
    pid_t pids[CONSUMERS];
    uint32_t state = 99;
    for (int i = 0; i < CONSUMERS; i++)
        pids[i] = fork_child(consume, shared);
    long long end = now_ms() + 4000;
    for (int i = 0; now_ms() < end; i++) {
        NEED(brood_lock_acquire(&shared->lock, TOLD_MS) >= 0);
        int count = 1 + (int)(random_next(&state) % 3);
        shared->put += count;
        if (i % 2)
            CHECK_RESULT(brood_condition_notify(&shared->changed, count), 0);
        NEED(brood_lock_release(&shared->lock) == 0);
        if (i % 2 == 0)
            CHECK_RESULT(brood_condition_notify(&shared->changed, count), 0);
        int victims = (int)(random_next(&state) % 3);
        if (i % 3)
            pass_us(random_next(&state) % 150);
        for (int k = 0; k < victims; k++) {
            int victim = (int)(random_next(&state) % CONSUMERS);
            kill_child(pids[victim]);
            pids[victim] = fork_child(consume, shared);
        }
        if (!CHECK(wait_until(is_empty, shared, TOLD_MS)))
            break;
    }
    for (int i = 0; i < CONSUMERS; i++)
        CHECK_EQ(kill_child(pids[i]), SIGKILL);
    brood_lock_acquire(&shared->lock, TOLD_MS);
    brood_lock_release(&shared->lock);
    free_shared(shared);
}

/* Where the kernel refuses the robust list, the notify still comes, later. */
static void without_robust_lists(void)
{
    if (refuse_call(SYS_get_robust_list, ENOSYS) != 0 || refuse_call(SYS_set_robust_list, ENOSYS) != 0)
        harness_skip("no seccomp filters here");
    NEED(brood_init(NULL) == 0);
    woken(false);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "asleep", .run = asleep },
        { .name = "woken_and_killed", .run = woken_and_killed, .deadline_s = 60 },
        { .name = "woken_and_killed_anywhere", .run = woken_and_killed_anywhere, .deadline_s = 60 },
        { .name = "notifier_dies", .run = notifier_dies, .deadline_s = 60 },
        { .name = "holder_dies", .run = holder_dies },
        { .name = "returned_and_killed", .run = returned_and_killed },
        { .name = "kill_storm", .run = kill_storm, .deadline_s = 60 },
        { .name = "without_robust_lists", .run = without_robust_lists, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
