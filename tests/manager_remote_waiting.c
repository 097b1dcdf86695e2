/* manager_remote_waiting.c: what is waited for in a manager, by those outside its family too.
 *
 * The other family is this program started again: harness_part says what it is to do.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct notes {
    char address[200];
    atomic_int reached;
};

static struct notes *notes(void)
{
    return harness_page();
}

static brood_manager *start(void)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(manager != NULL);
    snprintf(notes()->address, sizeof notes()->address, "unix:@brood-test-%d", (int)getpid());
    CHECK_RESULT(brood_manager_listen(manager, notes()->address, NULL), 0);
    return manager;
}

static brood_manager *join(void)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_connect(notes()->address, NULL));
    NEED(manager != NULL);
    return manager;
}

static bool nothing_left(void *context)
{
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(context, &stats), 0);
    return stats.handles == 0 && stats.objects == 0 && stats.waiting == 0;
}

static void finish(brood_manager *manager)
{
    CHECK(wait_until(nothing_left, manager, 5000));
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static bool one_calls(void *context)
{
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(context, &stats), 0);
    return stats.clients == 1;
}

static bool one_waits(void *context)
{
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(context, &stats), 0);
    return stats.waiting == 1;
}

static void stay(void)
{
    atomic_fetch_add(&notes()->reached, 1);
    for (;;)
        pause();
}

/* ---- locks ---- */

static void lock_passes(void)
{
    brood_manager *manager = start(), *remote = join();
    brood_managed_lock *here = CHECK_POINTER(brood_manager_lock(manager, "l"));
    brood_managed_lock *there = CHECK_POINTER(brood_manager_lock(remote, "l"));
    CHECK_RESULT(brood_managed_lock_acquire(there, 0), 0);
    CHECK_RESULT(brood_managed_lock_acquire(here, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_managed_lock_acquire(there, 0), -EDEADLK);
    CHECK(brood_managed_lock_holder(here) > 0);
    CHECK_RESULT(brood_managed_lock_release(here), -EPERM);
    CHECK_RESULT(brood_managed_lock_release(there), 0);
    CHECK_RESULT(brood_managed_lock_acquire(here, BROOD_FOREVER), 0);
    long long before = now_ms();
    CHECK_RESULT(brood_managed_lock_acquire(there, 50), -ETIMEDOUT);
    CHECK(now_ms() - before >= 50);
    CHECK_RESULT(brood_managed_lock_release(here), 0);
    CHECK_RESULT(brood_managed_lock_acquire(there, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_lock_release(there), 0);
    brood_managed_lock *again = CHECK_POINTER(brood_manager_rlock(remote, NULL));
    CHECK_RESULT(brood_managed_lock_acquire(again, 0), 0);
    CHECK_RESULT(brood_managed_lock_acquire(again, 0), 0);
    CHECK_RESULT(brood_managed_lock_release(again), 0);
    CHECK_RESULT(brood_managed_lock_release(again), 0);
    CHECK_RESULT(brood_managed_lock_release(again), -EPERM);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    CHECK_RESULT(brood_managed_lock_close(here), 0);
    CHECK_RESULT(brood_manager_forget(manager, "l"), 0);
    finish(manager);
}

static void hold_or_wait(void)
{
    brood_managed_lock *lock = brood_manager_lock(join(), "l");
    NEED(lock != NULL);
    if (strcmp(harness_part(), "hold") == 0) {
        NEED(brood_managed_lock_acquire(lock, BROOD_FOREVER) == 0);
        stay();
    }
    brood_managed_lock_acquire(lock, BROOD_FOREVER);
    _exit(1);
}

/* Who holds it dies with it; who waits leaves the line. */
static void killed_with_lock(void)
{
    if (harness_part())
        hold_or_wait();
    brood_manager *manager = start();
    brood_managed_lock *lock = CHECK_POINTER(brood_manager_lock(manager, "l"));
    pid_t holder = harness_start("hold");
    CHECK(wait_word(&notes()->reached, 1, 15000));
    pid_t waiter = harness_start("wait");
    CHECK(wait_until(one_waits, manager, 15000));
    kill_child(waiter);
    CHECK_RESULT(brood_managed_lock_acquire(lock, 0), -ETIMEDOUT);
    kill_child(holder);
    CHECK_RESULT(brood_managed_lock_acquire(lock, 5000), BROOD_INHERITED);
    CHECK_RESULT(brood_managed_lock_release(lock), 0);
    CHECK_RESULT(brood_managed_lock_acquire(lock, 0), 0);
    CHECK_RESULT(brood_managed_lock_release(lock), 0);
    CHECK_RESULT(brood_managed_lock_close(lock), 0);
    CHECK_RESULT(brood_manager_forget(manager, "l"), 0);
    finish(manager);
}

/* Each thread holds for itself; one that ends with the lock has it passed on. */
static void *end_with_lock(void *lock)
{
    CHECK_RESULT(brood_managed_lock_acquire(lock, 0), 0);
    return NULL;
}

static void thread_ends_with_lock(void)
{
    brood_manager *manager = start(), *remote = join();
    brood_managed_lock *lock = CHECK_POINTER(brood_manager_lock(remote, NULL));
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, end_with_lock, lock) == 0);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_managed_lock_acquire(lock, 5000), BROOD_INHERITED);
    CHECK_RESULT(brood_managed_lock_release(lock), 0);
    CHECK_RESULT(brood_managed_lock_close(lock), 0);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    finish(manager);
}

/* Without a notify the lock is held again all the same. */
static void condition_times_out(void)
{
    brood_manager *manager = start(), *remote = join();
    brood_managed_condition *condition = CHECK_POINTER(brood_manager_condition(remote, NULL));
    static const int timeouts[] = { 30, 0 };
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(brood_managed_condition_acquire(condition, 0), 0);
        CHECK_RESULT(brood_managed_condition_wait(condition, timeouts[i]), -ETIMEDOUT);
        CHECK_RESULT(brood_managed_condition_release(condition), 0);
    }
    CHECK_RESULT(brood_managed_condition_close(condition), 0);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    finish(manager);
}

/* ---- the server's end ---- */

static void *wait_for_event(void *event)
{
    return (void *)(intptr_t)brood_managed_event_wait(event, BROOD_FOREVER);
}

static void end_while_waiting(bool killed)
{
    brood_manager *manager = start(), *remote = join();
    brood_managed_event *event = CHECK_POINTER(brood_manager_event(remote, NULL));
    pthread_t thread;
    void *result;
    NEED(pthread_create(&thread, NULL, wait_for_event, event) == 0);
    CHECK(wait_until(one_waits, manager, 15000));
    if (killed)
        CHECK_EQ(kill(brood_manager_pid(manager), SIGKILL), 0);
    else
        CHECK_RESULT(brood_manager_shutdown(manager), 0);
    pthread_join(thread, &result);
    CHECK_EQ((intptr_t)result, killed ? -EOWNERDEAD : -EPIPE);
    CHECK_RESULT(brood_managed_event_close(event), 0);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void shut_down_while_waiting(void)
{
    end_while_waiting(false);
}

static void killed_while_waiting(void)
{
    end_while_waiting(true);
}

/* ---- the others ---- */

struct meeting {
    brood_managed_condition *condition;
    brood_managed_event *event;
    brood_managed_barrier *barrier;
    brood_managed_semaphore *semaphore;
    brood_managed_queue *queue;
};

static struct meeting come(brood_manager *manager)
{
    return (struct meeting){
        .condition = CHECK_POINTER(brood_manager_condition(manager, "c")),
        .event = CHECK_POINTER(brood_manager_event(manager, "e")),
        .barrier = CHECK_POINTER(brood_manager_barrier(manager, "b", 2)),
        .semaphore = CHECK_POINTER(brood_manager_bounded_semaphore(manager, "s", 1)),
        .queue = CHECK_POINTER(brood_manager_joinable_queue(manager, "q", 1)),
    };
}

static void *take_part(void *arg)
{
    (void)arg;
    brood_manager *remote = join();
    struct meeting meeting = come(remote);
    brood_any item;
    CHECK_RESULT(brood_managed_event_wait(meeting.event, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_condition_acquire(meeting.condition, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_condition_wait(meeting.condition, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_condition_release(meeting.condition), 0);
    CHECK(brood_managed_barrier_wait(meeting.barrier, BROOD_FOREVER) >= 0);
    for (int i = 0; i < 3; i++) {
        CHECK_RESULT(brood_managed_queue_get(meeting.queue, &item, BROOD_FOREVER), 0);
        CHECK_EQ(item.integer, i);
        brood_any_clear(&item);
        CHECK_RESULT(brood_managed_queue_done(meeting.queue), 0);
    }
    CHECK_RESULT(brood_managed_semaphore_acquire(meeting.semaphore, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_semaphore_release(meeting.semaphore), 0);
    CHECK_RESULT(brood_managed_semaphore_release(meeting.semaphore), -EPERM);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    return NULL;
}

/* One of the family, one from outside: each waits for the other. */
static void all_kinds(void)
{
    brood_manager *manager = start();
    struct meeting meeting = come(manager);
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, take_part, NULL) == 0);
    CHECK_RESULT(brood_managed_semaphore_acquire(meeting.semaphore, BROOD_FOREVER), 0);
    CHECK(wait_until(one_waits, manager, 15000));
    CHECK_RESULT(brood_managed_event_set(meeting.event), 0);
    CHECK(wait_until(one_waits, manager, 15000));
    CHECK_RESULT(brood_managed_condition_acquire(meeting.condition, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_condition_notify(meeting.condition, 1), 0);
    CHECK_RESULT(brood_managed_condition_release(meeting.condition), 0);
    CHECK(brood_managed_barrier_wait(meeting.barrier, BROOD_FOREVER) >= 0);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_managed_queue_put(meeting.queue, i, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_queue_join(meeting.queue, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_managed_semaphore_release(meeting.semaphore), 0);
    pthread_join(thread, NULL);
    static const char *const names[] = { "c", "e", "b", "s", "q" };
    for (int i = 0; i < 5; i++)
        CHECK_RESULT(brood_manager_forget(manager, names[i]), 0);
    CHECK_RESULT(brood_managed_condition_close(meeting.condition), 0);
    CHECK_RESULT(brood_managed_event_close(meeting.event), 0);
    CHECK_RESULT(brood_managed_barrier_close(meeting.barrier), 0);
    CHECK_RESULT(brood_managed_semaphore_close(meeting.semaphore), 0);
    CHECK_RESULT(brood_managed_queue_close(meeting.queue), 0);
    finish(manager);
}

static void sets_values_arrays(void)
{
    brood_manager *manager = start(), *remote = join();
    brood_any result;
    brood_set *set = CHECK_POINTER(brood_manager_set(remote, NULL));
    CHECK_RESULT(brood_set_add(set, "x"), 0);
    CHECK_RESULT(brood_set_add(set, "x"), 1);
    CHECK_RESULT(brood_set_length(set), 1);
    brood_set *copy = CHECK_POINTER(brood_set_copy(set));
    CHECK_RESULT(brood_set_contains(copy, "x"), 1);
    brood_managed_value *value = CHECK_POINTER(brood_manager_value(remote, NULL, 5));
    CHECK_RESULT(brood_managed_value_add(value, 2, &result), 0);
    CHECK_EQ(result.integer, 7);
    const brood_any zeros[] = { brood_any_int(0), brood_any_int(0) };
    brood_managed_array *array = CHECK_POINTER(brood_manager_array(remote, NULL, brood_any_list(zeros, 2)));
    CHECK_RESULT(brood_managed_array_set(array, 1, "y"), 0);
    CHECK_RESULT(brood_managed_array_get(array, -1, &result), 0);
    CHECK_STR(result.string, "y");
    brood_any_clear(&result);
    CHECK_RESULT(brood_managed_array_set(array, 2, 0), -ERANGE);
    CHECK_RESULT(brood_set_close(set), 0);
    CHECK_RESULT(brood_set_close(copy), 0);
    CHECK_RESULT(brood_managed_value_close(value), 0);
    CHECK_RESULT(brood_managed_array_close(array), 0);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    finish(manager);
}

/* ---- queues ---- */

static void get_and_stay(void)
{
    brood_any item;
    brood_managed_queue *queue = brood_manager_joinable_queue(join(), "q", 0);
    NEED(queue && brood_managed_queue_get(queue, &item, BROOD_FOREVER) == 0);
    stay();
}

static void killed_with_item(void)
{
    if (harness_part())
        get_and_stay();
    brood_manager *manager = start();
    brood_managed_queue *queue = CHECK_POINTER(brood_manager_joinable_queue(manager, "q", 0));
    CHECK_RESULT(brood_managed_queue_put(queue, "job", 0), 0);
    pid_t pid = harness_start("get");
    CHECK(wait_word(&notes()->reached, 1, 15000));
    kill_child(pid);
    brood_any item;
    CHECK_RESULT(brood_managed_queue_get(queue, &item, 5000), 1);
    CHECK_STR(item.string, "job");
    brood_any_clear(&item);
    CHECK_RESULT(brood_managed_queue_done(queue), 0);
    CHECK_RESULT(brood_managed_queue_join(queue, 0), 0);
    CHECK_RESULT(brood_managed_queue_close(queue), 0);
    CHECK_RESULT(brood_manager_forget(manager, "q"), 0);
    finish(manager);
}

/* At any time, getters die: of each item's hundreds none is lost but with one that had it, and none comes twice: what
 * one may have had, but did not say so, comes marked. */
static void get_for_ever(void)
{
    brood_managed_queue *queue = brood_manager_queue(join(), "q", 0);
    NEED(queue != NULL);
    for (;;) {
        brood_any item;
        NEED(brood_managed_queue_get(queue, &item, BROOD_FOREVER) >= 0);
        atomic_fetch_add(&notes()->reached, 1);
    }
}

static void killed_in_gets(void)
{
    enum { ITEMS = 300 };
    if (harness_part())
        get_for_ever();
    brood_manager *manager = start();
    brood_managed_queue *queue = CHECK_POINTER(brood_manager_queue(manager, "q", 0));
    int put = 0, lost = 0, rounds = harness_times(6);
    uint32_t random = 11;
    for (int i = 0; i < rounds; i++) {
        for (int j = 0; j < ITEMS; j++, put++)
            CHECK_RESULT(brood_managed_queue_put(queue, put, 0), 0);
        int before = atomic_load(&notes()->reached);
        pid_t pid = harness_start("get");
        CHECK(wait_word(&notes()->reached, before + 1, 15000));
        pass_us(random_next(&random) % 5000);
        kill_child(pid);
    }
    CHECK(wait_until(one_calls, manager, 5000)); /* what a dead one had is back then */
    brood_any item;
    int left = 0, last = -1, unsure = 0, result;
    while ((result = brood_managed_queue_get(queue, &item, 300)) >= 0) {
        unsure += result;
        CHECK(item.integer > last);
        last = (int)item.integer;
        left++;
    }
    lost = put - left - atomic_load(&notes()->reached);
    CHECK(lost >= 0 && lost <= rounds);
    CHECK(unsure <= rounds);
    CHECK_RESULT(brood_managed_queue_close(queue), 0);
    CHECK_RESULT(brood_manager_forget(manager, "q"), 0);
    finish(manager);
}

static const struct test_case cases[] = {
    { .name = "lock_passes", .run = lock_passes },
    { .name = "killed_with_lock", .run = killed_with_lock },
    { .name = "thread_ends_with_lock", .run = thread_ends_with_lock },
    { .name = "condition_times_out", .run = condition_times_out },
    { .name = "shut_down_while_waiting", .run = shut_down_while_waiting },
    { .name = "killed_while_waiting", .run = killed_while_waiting },
    { .name = "all_kinds", .run = all_kinds },
    { .name = "sets_values_arrays", .run = sets_values_arrays },
    { .name = "killed_with_item", .run = killed_with_item },
    { .name = "killed_in_gets", .run = killed_in_gets, .deadline_s = 60 },
    { .name = NULL },
};

int main(int argc, char **argv)
{
    return harness_main(argc, argv, cases);
}
