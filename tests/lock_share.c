/* lock_share.c: one lock for many processes, and what a fork does to one that is held: nothing.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static const brood_process_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

struct guarded {
    brood_lock lock;
    long count;
    atomic_int stage;
    atomic_int leave;
};

static struct guarded *new_guarded(void)
{
    struct guarded *guarded = CHECK_POINTER(brood_alloc(sizeof *guarded));
    NEED(guarded != NULL);
    return guarded;
}

static void join_well(brood_process *process)
{
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

static void *increment(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 30000; i++) {
        if (!CHECK_RESULT(brood_lock_acquire(&guarded->lock, BROOD_FOREVER), 0))
            return NULL;
        long count = guarded->count;
        atomic_signal_fence(memory_order_seq_cst);
        guarded->count = count + 1;
        NEED(brood_lock_release(&guarded->lock) == 0);
    }
    return NULL;
}

static int increment_twice(void *arg)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, increment, arg) == 0);
    increment(arg);
    pthread_join(thread, NULL);
    return 0;
}

static int increment_once(void *arg)
{
    increment(arg);
    return 0;
}

static void exclude(brood_target *target, long expected)
{
    struct guarded *guarded = new_guarded();
    brood_process *processes[4];
    for (int i = 0; i < 4; i++)
        processes[i] = brood_process_start(target, guarded, 0, &methods[i % 2]);
    for (int i = 0; i < 4; i++)
        join_well(processes[i]);
    CHECK_EQ(guarded->count, expected);
    CHECK_EQ(brood_lock_holder(&guarded->lock), 0);
    CHECK_RESULT(brood_lock_fini(&guarded->lock), 0);
    brood_free(guarded);
}

static void excludes_processes(void)
{
    exclude(increment_once, 120000);
}

static void excludes_threads_of_processes(void)
{
    exclude(increment_twice, 240000);
}

static int hold(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, BROOD_FOREVER), 0);
    atomic_store(&guarded->stage, 1);
    CHECK(wait_word(&guarded->leave, 1, 15000));
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    return 0;
}

static void holder_is_told(void)
{
    for (int i = 0; i < 2; i++) {
        struct guarded *guarded = new_guarded();
        brood_process *process = brood_process_start(hold, guarded, 0, &methods[i]);
        NEED(process != NULL);
        CHECK(wait_word(&guarded->stage, 1, 5000));
        CHECK_EQ(brood_lock_holder(&guarded->lock), brood_process_pid(process));
        CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
        CHECK_RESULT(brood_lock_abandon(&guarded->lock), -EPERM);
        CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), -ETIMEDOUT);
        CHECK_RESULT(brood_lock_acquire(&guarded->lock, 30), -ETIMEDOUT);
        CHECK_RESULT(brood_lock_fini(&guarded->lock), -EBUSY);
        atomic_store(&guarded->leave, 1);
        CHECK_RESULT(brood_lock_acquire(&guarded->lock, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
        join_well(process);
        CHECK_RESULT(brood_lock_fini(&guarded->lock), 0);
        brood_free(guarded);
    }
}

static int pass_on(void *arg)
{
    struct guarded *guarded = arg;
    int lies = 0;
    for (int i = 0; i < 100000; i++) {
        NEED(brood_lock_acquire(&guarded->lock, BROOD_FOREVER) == 0);
        NEED(brood_lock_release(&guarded->lock) == 0);
        lies += brood_lock_holder(&guarded->lock) == getpid();
    }
    CHECK_EQ(lies, 0);
    return 0;
}

/* Who takes it writes down who it is a moment later. */
static void holder_is_not_the_last(void)
{
    struct guarded *guarded = new_guarded();
    brood_process *processes[3];
    for (int i = 0; i < 3; i++)
        processes[i] = brood_process_start(pass_on, guarded, 0, &methods[i % 2]);
    for (int i = 0; i < 3; i++)
        join_well(processes[i]);
    brood_free(guarded);
}

static int wait_for_lock(void *arg)
{
    struct guarded *guarded = arg;
    atomic_fetch_add(&guarded->stage, 1);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, BROOD_FOREVER), 0);
    guarded->count++;
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    return 0;
}

/* One release lets them all through, one after the other. */
static void many_waiters(void)
{
    enum { WAITERS = 12 };
    struct guarded *guarded = new_guarded();
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    brood_process *processes[WAITERS];
    for (int i = 0; i < WAITERS; i++)
        processes[i] = brood_process_start(wait_for_lock, guarded, 0, &methods[i % 4 == 3]);
    CHECK(wait_word(&guarded->stage, WAITERS, 10000));
    CHECK_EQ(guarded->count, 0);
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    for (int i = 0; i < WAITERS; i++)
        join_well(processes[i]);
    CHECK_EQ(guarded->count, WAITERS);
    brood_free(guarded);
}

static int not_the_childs(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
    CHECK_RESULT(brood_lock_abandon(&guarded->lock), -EPERM);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 20), -ETIMEDOUT);
    CHECK_EQ(brood_lock_holder(&guarded->lock), getppid());
    return 0;
}

static int die_at_once(void *arg)
{
    (void)arg;
    raise(SIGKILL);
    return 0;
}

static void *look_in_thread(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), -ETIMEDOUT);
    return NULL;
}

/* A child that is forked while its parent holds the lock does not hold it, and its death gives nothing back. */
static void forked_while_held(void)
{
    struct guarded *guarded = new_guarded();
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    CHECK_EQ(wait_child(fork_child(not_the_childs, guarded)), 0);
    CHECK_EQ(wait_child(fork_child(die_at_once, NULL)), SIGKILL);
    join_well(brood_process_start(not_the_childs, guarded, 0, &methods[0]));
    join_well(brood_process_start(not_the_childs, guarded, 0, &methods[1]));
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, look_in_thread, guarded) == 0);
    pthread_join(thread, NULL);
    CHECK_EQ(brood_lock_holder(&guarded->lock), getpid());
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), -EDEADLK);
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    brood_free(guarded);
}

static int hold_two(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_lock_acquire(&guarded[1].lock, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_lock_release(&guarded[1].lock), 0);
    CHECK_RESULT(brood_lock_acquire(&guarded[1].lock, 0), 0);
    atomic_store(&guarded[1].stage, 1);
    return 0; /* with the second in its hands */
}

/* What a forked child holds is its own, and is inherited when it ends, while its parent's stays the parent's. */
static void forked_holds_its_own(void)
{
    struct guarded *guarded = CHECK_POINTER(brood_alloc_array(2, sizeof *guarded));
    CHECK_RESULT(brood_lock_acquire(&guarded[0].lock, 0), 0);
    CHECK_EQ(wait_child(fork_child(hold_two, guarded)), 0);
    CHECK_RESULT(brood_lock_acquire(&guarded[1].lock, BROOD_FOREVER), BROOD_INHERITED);
    CHECK_RESULT(brood_lock_release(&guarded[1].lock), 0);
    CHECK_RESULT(brood_lock_release(&guarded[0].lock), 0);
    brood_free(guarded);
}

static void *fork_and_look(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 30; i++)
        CHECK_EQ(wait_child(fork_child(wait_for_lock, guarded)), 0);
    return NULL;
}

/* Forks by hand in a process whose threads use the lock all the time. */
static void forked_under_use(void)
{
    struct guarded *guarded = new_guarded();
    pthread_t threads[3];
    NEED(pthread_create(&threads[0], NULL, fork_and_look, guarded) == 0);
    for (int i = 1; i < 3; i++)
        NEED(pthread_create(&threads[i], NULL, increment, guarded) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(guarded->count, 60030);
    brood_free(guarded);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "excludes_processes", .run = excludes_processes, .deadline_s = 60 },
        { .name = "excludes_threads_of_processes", .run = excludes_threads_of_processes, .deadline_s = 60 },
        { .name = "holder_is_told", .run = holder_is_told },
        { .name = "holder_is_not_the_last", .run = holder_is_not_the_last, .deadline_s = 60 },
        { .name = "many_waiters", .run = many_waiters },
        { .name = "forked_while_held", .run = forked_while_held },
        { .name = "forked_holds_its_own", .run = forked_holds_its_own },
        { .name = "forked_under_use", .run = forked_under_use },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
