/* waiter_list.c: who waits for what: seen by others while it lasts, told to the log when it lasts long, and a circle of
 * locks named as one.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000, SLOW_MS = 30, CROWD = 100, LINES = 32 };

/* In the region. */
struct ground {
    brood_lock locks[3];
    atomic_int ready; /* how many hold their first lock */
    atomic_int errors, warnings;
    atomic_int lines;
    char line[LINES][512];
};

static struct ground *ground;

static void new_ground(void)
{
    static const char *const names[] = { "forks", "knives", "spoons" };
    ground = CHECK_POINTER(brood_alloc(sizeof *ground));
    NEED(ground != NULL);
    for (int i = 0; i < 3; i++)
        NEED(brood_lock_init(&ground->locks[i], &(brood_lock_options){ .name = names[i] }) == 0);
}

static void note_line(void *context, brood_level level, const char *line)
{
    (void)context;
    int at = atomic_fetch_add(&ground->lines, 1);
    if (at < LINES)
        snprintf(ground->line[at], sizeof ground->line[at], "%s", line);
    atomic_fetch_add(level == BROOD_ERROR ? &ground->errors : &ground->warnings, 1);
}

/* The line that has the part, or "". */
static const char *line_with(const char *part)
{
    int lines = atomic_load(&ground->lines);
    for (int i = 0; i < lines && i < LINES; i++)
        if (strstr(ground->line[i], part))
            return ground->line[i];
    return "";
}

static int take_first(void *arg)
{
    brood_lock *lock = arg;
    if (!CHECK(brood_lock_acquire(lock, BROOD_FOREVER) >= 0))
        return 1;
    return brood_lock_release(lock) < 0;
}

static bool someone_waits(void *object)
{
    return brood_waiter_list(object, NULL, 0) > 0;
}

static bool nobody_waits(void *object)
{
    return brood_waiter_list(object, NULL, 0) == 0;
}

static void seen_while_it_lasts(void)
{
    static const brood_start methods[] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };
    new_ground();
    brood_lock *lock = &ground->locks[0];
    for (int i = 0; i < 3; i++) {
        NEED(brood_lock_acquire(lock, 0) == 0);
        brood_process *process = CHECK_POINTER(
            brood_process_start(take_first, lock, 0, &(brood_process_options){ .name = "guest", .start = methods[i] }));
        NEED(process != NULL);
        NEED(wait_until(someone_waits, lock, PATIENCE_MS));
        pass_us(20000);
        brood_waiter waiter;
        CHECK_EQ(brood_waiter_list(lock, &waiter, 1), 1);
        CHECK_EQ(waiter.pid, brood_process_pid(process));
        CHECK_EQ(waiter.tid, waiter.pid);
        CHECK_STR(waiter.process, "guest");
        CHECK(waiter.object == lock);
        CHECK_STR(waiter.what, "lock 'forks'");
        CHECK_EQ(waiter.holder, getpid());
        CHECK_EQ(waiter.holder_tid, gettid());
        CHECK(waiter.waited_us >= 5000 && waiter.waited_us < PATIENCE_MS * 1000LL);
        CHECK(brood_lock_held_us(lock) >= 5000 && brood_lock_held_us(lock) < PATIENCE_MS * 1000LL);
        CHECK_EQ(brood_lock_held_us(&ground->locks[1]), 0);
        CHECK_EQ(brood_waiter_list(NULL, &waiter, 1), 1);
        CHECK_EQ(brood_waiter_list(&ground->locks[1], &waiter, 1), 0);
        CHECK_RESULT(brood_lock_release(lock), 0);
        CHECK_RESULT(brood_process_join(process, NULL, PATIENCE_MS), 0);
        CHECK_EQ(brood_waiter_list(NULL, NULL, 0), 0);
        CHECK_EQ(brood_lock_held_us(lock), 0);
        CHECK_RESULT(brood_process_close(process), 0);
    }
    CHECK_EQ(brood_lock_held_us(NULL), -EINVAL);
}

static void the_killed_is_not_seen(void)
{
    new_ground();
    brood_lock *lock = &ground->locks[0];
    NEED(brood_lock_acquire(lock, 0) == 0);
    for (int i = 0; i < CROWD; i++) { /* more than there are places at first: those of the gone are used again */
        brood_process *process = CHECK_POINTER(brood_process_start(take_first, lock, 0, NULL));
        NEED(process != NULL);
        NEED(wait_until(someone_waits, lock, PATIENCE_MS));
        CHECK_RESULT(brood_process_signal(process, SIGKILL), 0);
        CHECK_RESULT(brood_process_join(process, NULL, PATIENCE_MS), 0);
        CHECK_EQ(brood_waiter_list(lock, NULL, 0), 0);
        CHECK_RESULT(brood_process_close(process), 0);
    }
    CHECK_RESULT(brood_lock_release(lock), 0);
}

static int stay(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

/* A process with that id, which is free. 0: others were quicker, or this user may not ask for it. */
static pid_t another_of(pid_t pid)
{
    for (int i = 0; i < 100; i++) {
        FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "w");
        bool asked = last && fprintf(last, "%d", (int)pid - 1) > 0;
        if (last && fclose(last) != 0)
            asked = false;
        if (!asked)
            return 0;
        pid_t got = fork_child(stay, NULL);
        if (got == pid)
            return got;
        kill_child(got);
    }
    return 0;
}

/* Its id is another process' by now, who waits for nothing. */
static void the_next_of_its_id_is_not_seen(void)
{
    new_ground();
    CHECK_RESULT(brood_lock_acquire(&ground->locks[0], 0), 0);
    pid_t pid = fork_child(take_first, &ground->locks[0]);
    CHECK(wait_until(someone_waits, &ground->locks[0], PATIENCE_MS));
    CHECK_EQ(kill_child(pid), SIGKILL);
    pid_t next = another_of(pid);
    if (next == 0)
        harness_skip("no process can be given a certain id");
    CHECK_RESULT(brood_waiter_list(NULL, NULL, 0), 0);
    CHECK_EQ(kill_child(next), SIGKILL);
    CHECK_RESULT(brood_lock_release(&ground->locks[0]), 0);
}

static void *thread_takes_first(void *arg)
{
    take_first(arg);
    return NULL;
}

static bool all_wait(void *object)
{
    return brood_waiter_list(object, NULL, 0) == CROWD;
}

static void a_crowd(void)
{
    pthread_t threads[CROWD];
    brood_waiter waiters[CROWD + 1];
    new_ground();
    brood_lock *lock = &ground->locks[1];
    NEED(brood_lock_acquire(lock, 0) == 0);
    for (int i = 0; i < CROWD; i++)
        NEED(pthread_create(&threads[i], NULL, thread_takes_first, lock) == 0);
    CHECK(wait_until(all_wait, lock, PATIENCE_MS));
    memset(waiters, 0, sizeof waiters);
    CHECK_EQ(brood_waiter_list(lock, waiters, CROWD + 1), CROWD);
    CHECK_EQ(waiters[CROWD].pid, 0);
    for (int i = 0; i < CROWD; i++) {
        CHECK_EQ(waiters[i].pid, getpid());
        for (int j = 0; j < i; j++)
            CHECK(waiters[i].tid != waiters[j].tid);
    }
    memset(waiters, 0, sizeof waiters);
    CHECK_EQ(brood_waiter_list(lock, waiters, 3), CROWD);
    CHECK(waiters[2].pid == getpid() && waiters[3].pid == 0);
    CHECK_RESULT(brood_lock_release(lock), 0);
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(brood_waiter_list(lock, NULL, 0), 0);
}

static void *take_value(void *arg)
{
    brood_value *value = arg;
    if (CHECK(brood_value_acquire(value, BROOD_FOREVER) >= 0))
        CHECK_RESULT(brood_value_release(value), 0);
    return NULL;
}

static void *take_to_write(void *arg)
{
    brood_rwlock *rwlock = arg;
    if (CHECK(brood_rwlock_acquire_write(rwlock, BROOD_FOREVER) >= 0))
        CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    return NULL;
}

/* Of each noun: by the address that its user knows; who waits is not its own holder. */
static void every_noun(void)
{
    brood_waiter waiter;
    pthread_t thread;
    brood_value *value = CHECK_POINTER(brood_value_create('i', &(brood_value_options){ .name = "price" }));
    NEED(value && brood_value_acquire(value, 0) == 0);
    NEED(pthread_create(&thread, NULL, take_value, value) == 0);
    CHECK(wait_until(someone_waits, value, PATIENCE_MS));
    CHECK_EQ(brood_waiter_list(value, &waiter, 1), 1);
    CHECK_STR(waiter.what, "value 'price'");
    CHECK(waiter.object == value);
    CHECK_EQ(waiter.holder_tid, gettid());
    CHECK_RESULT(brood_value_release(value), 0);
    pthread_join(thread, NULL);
    brood_rwlock *rwlock = CHECK_POINTER(brood_alloc(sizeof *rwlock));
    NEED(brood_rwlock_acquire_read(rwlock, 0) == 0);
    NEED(pthread_create(&thread, NULL, take_to_write, rwlock) == 0);
    CHECK(wait_until(someone_waits, rwlock, PATIENCE_MS));
    CHECK_EQ(brood_waiter_list(rwlock, &waiter, 1), 1);
    CHECK_EQ(waiter.holder, 0);
    CHECK_EQ(waiter.holder_tid, 0);
    CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_value_destroy(value), 0);
}

static void refusals(void)
{
    brood_waiter waiter;
    CHECK_RESULT(brood_waiter_list(NULL, &waiter, 1), -EINVAL);
    CHECK_RESULT(brood_waiter_watch(0), 0);
    NEED(brood_init(NULL) == 0);
    CHECK_RESULT(brood_waiter_list(NULL, NULL, 1), -EINVAL);
    CHECK_RESULT(brood_waiter_watch(-1), -EINVAL);
    CHECK_EQ(brood_waiter_list(NULL, &waiter, 1), 0);
    CHECK_EQ(brood_waiter_list(&waiter, &waiter, 1), 0);
}

static void a_slow_wait_is_told_once(void)
{
    new_ground();
    NEED(brood_log_to(BROOD_WARNING, note_line, NULL) == 0);
    NEED(brood_waiter_watch(SLOW_MS) == 0);
    brood_lock *lock = &ground->locks[2];
    NEED(brood_lock_acquire(lock, 0) == 0);
    brood_process *process = CHECK_POINTER(
        brood_process_start(take_first, lock, 0, &(brood_process_options){ .name = "guest", .start = BROOD_FORK }));
    NEED(process != NULL);
    CHECK(wait_word(&ground->warnings, 1, PATIENCE_MS));
    pass_us(5 * SLOW_MS * 1000);
    CHECK_EQ(atomic_load(&ground->lines), 1);
    char held[64];
    snprintf(held, sizeof held, "held by process %d", (int)getpid());
    CHECK_HAS(ground->line[0], "'guest'");
    CHECK_HAS(ground->line[0], "waits for lock 'spoons'");
    CHECK_HAS(ground->line[0], held);
    CHECK_RESULT(brood_lock_release(lock), 0);
    CHECK_RESULT(brood_process_join(process, NULL, PATIENCE_MS), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK_EQ(atomic_load(&ground->errors), 0);
}

static void a_short_timeout_ends_in_time(void)
{
    new_ground();
    NEED(brood_log_to(BROOD_WARNING, note_line, NULL) == 0);
    NEED(brood_waiter_watch(SLOW_MS) == 0);
    pthread_t thread;
    NEED(brood_lock_acquire(&ground->locks[0], 0) == 0);
    NEED(pthread_create(&thread, NULL, thread_takes_first, &ground->locks[0]) == 0);
    NEED(wait_until(someone_waits, &ground->locks[0], PATIENCE_MS));
    CHECK(wait_word(&ground->warnings, 1, PATIENCE_MS));
    CHECK_RESULT(brood_lock_release(&ground->locks[0]), 0);
    pthread_join(thread, NULL);
    int status = -1;
    NEED(brood_lock_acquire(&ground->locks[1], 0) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHECK_RESULT(brood_lock_acquire(&ground->locks[1], SLOW_MS / 3), -ETIMEDOUT);
        long long begin = now_ms();
        CHECK_RESULT(brood_lock_acquire(&ground->locks[1], 3 * SLOW_MS), -ETIMEDOUT);
        CHECK(now_ms() - begin >= 3 * SLOW_MS);
        _exit(0);
    }
    status = wait_child(pid);
    CHECK_EQ(status, 0);
    CHECK_EQ(atomic_load(&ground->warnings), 2); /* the short wait was none */
    CHECK_RESULT(brood_lock_release(&ground->locks[1]), 0);
}

/* Takes lock `n`, then, when all have theirs, the next one of `circle`. */
struct diner {
    int n, circle;
};

static int dine(void *arg)
{
    const struct diner *diner = arg;
    if (brood_lock_acquire(&ground->locks[diner->n], BROOD_FOREVER) < 0)
        return 1;
    atomic_fetch_add(&ground->ready, 1);
    if (!wait_word(&ground->ready, diner->circle, PATIENCE_MS))
        return 2;
    return brood_lock_acquire(&ground->locks[(diner->n + 1) % diner->circle], BROOD_FOREVER) < 0;
}

static void a_circle(int circle)
{
    static const char *const names[] = { "plato", "kant", "hume" };
    static const char *const locks[] = { "lock 'forks'", "lock 'knives'", "lock 'spoons'" };
    brood_process *processes[3];
    new_ground();
    NEED(brood_log_to(BROOD_WARNING, note_line, NULL) == 0);
    NEED(brood_waiter_watch(SLOW_MS) == 0);
    for (int i = 0; i < circle; i++) {
        struct diner diner = { i, circle };
        processes[i] = CHECK_POINTER(brood_process_start(
            dine, &diner, sizeof diner, &(brood_process_options){ .name = names[i], .start = BROOD_FORK }));
        NEED(processes[i] != NULL);
    }
    CHECK(wait_word(&ground->errors, 1, PATIENCE_MS));
    const char *line = line_with("deadlock");
    for (int i = 0; i < circle; i++) {
        CHECK_HAS(line, names[i]);
        CHECK_HAS(line, locks[i]);
    }
    /* The circle is broken by the death of one; the others go on, as heirs. */
    CHECK_RESULT(brood_process_signal(processes[0], SIGKILL), 0);
    for (int i = 0; i < circle; i++) {
        CHECK_RESULT(brood_process_join(processes[i], NULL, PATIENCE_MS), 0);
        CHECK_RESULT(brood_process_close(processes[i]), 0);
    }
    CHECK(wait_until(nobody_waits, NULL, PATIENCE_MS));
}

static void a_circle_of_two(void)
{
    a_circle(2);
}

static void a_circle_of_three(void)
{
    a_circle(3);
}

static void by_environment(void)
{
    static const char *const bad[] = { "soon", "-1", "10s", "99999999999" };
    if (!harness_part()) {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            NEED(setenv("BROOD_SLOW_WAIT", bad[i], 1) == 0);
            CHECK_EQ(wait_child(harness_start("bad")), 0);
        }
        NEED(setenv("BROOD_SLOW_WAIT", "30", 1) == 0);
        CHECK_EQ(wait_child(harness_start("good")), 0);
        return;
    }
    if (strcmp(harness_part(), "bad") == 0) {
        CHECK_RESULT(brood_init(NULL), -EINVAL);
        CHECK_HAS(brood_error(), getenv("BROOD_SLOW_WAIT"));
        return;
    }
    NEED(brood_init(NULL) == 0);
    new_ground();
    NEED(brood_log_to(BROOD_WARNING, note_line, NULL) == 0);
    pthread_t thread;
    NEED(brood_lock_acquire(&ground->locks[0], 0) == 0);
    NEED(pthread_create(&thread, NULL, thread_takes_first, &ground->locks[0]) == 0);
    CHECK(wait_word(&ground->warnings, 1, PATIENCE_MS));
    CHECK_RESULT(brood_lock_release(&ground->locks[0]), 0);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "seen_while_it_lasts", .run = seen_while_it_lasts },
        { .name = "the_killed_is_not_seen", .run = the_killed_is_not_seen, .deadline_s = 60 },
        { .name = "the_next_of_its_id_is_not_seen", .run = the_next_of_its_id_is_not_seen },
        { .name = "a_crowd", .run = a_crowd },
        { .name = "every_noun", .run = every_noun },
        { .name = "refusals", .run = refusals, .no_init = true },
        { .name = "a_slow_wait_is_told_once", .run = a_slow_wait_is_told_once },
        { .name = "a_short_timeout_ends_in_time", .run = a_short_timeout_ends_in_time },
        { .name = "a_circle_of_two", .run = a_circle_of_two },
        { .name = "a_circle_of_three", .run = a_circle_of_three },
        { .name = "by_environment", .run = by_environment, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
