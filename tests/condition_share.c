/* condition_share.c: one condition for processes of every start method, and for threads of several of them.
 */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static const brood_process_options methods[] = { { .start = BROOD_FORK },
                                                 { .start = BROOD_SPAWN },
                                                 { .start = BROOD_FORKSERVER } };

enum { METHODS = sizeof methods / sizeof *methods, PARTIES = 6, ITEMS = 3000, ROUNDS = 300, BUFFER = 3 };

struct shared {
    brood_lock lock;
    brood_condition changed, other;
    int items, put, got;
    int turn;
    atomic_int come, waiting;
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
    CHECK_RESULT(brood_condition_fini(&shared->other), 0);
    CHECK_RESULT(brood_lock_fini(&shared->lock), 0);
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

static bool has_room(void *arg)
{
    const struct shared *shared = arg;
    return shared->items < BUFFER;
}

static bool has_items(void *arg)
{
    const struct shared *shared = arg;
    return shared->items > 0;
}

static void *put_items(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < ITEMS; i++) {
        NEED(brood_lock_acquire(&shared->lock, BROOD_FOREVER) == 0);
        NEED(brood_condition_wait_until(&shared->other, &shared->lock, has_room, shared, BROOD_FOREVER) == 0);
        shared->items++;
        shared->put++;
        NEED(brood_condition_notify(&shared->changed, 1) == 0);
        NEED(brood_lock_release(&shared->lock) == 0);
    }
    return NULL;
}

static void *get_items(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < ITEMS; i++) {
        NEED(brood_lock_acquire(&shared->lock, BROOD_FOREVER) == 0);
        NEED(brood_condition_wait_until(&shared->changed, &shared->lock, has_items, shared, BROOD_FOREVER) == 0);
        shared->items--;
        shared->got++;
        NEED(brood_lock_release(&shared->lock) == 0);
        NEED(brood_condition_notify(&shared->other, 1) == 0);
    }
    return NULL;
}

static int put_or_get(void *arg)
{
    struct shared *shared = arg;
    if (atomic_fetch_add(&shared->come, 1) % 2)
        put_items(shared);
    else
        get_items(shared);
    return 0;
}

static int put_and_get(void *arg)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, put_items, arg) == 0);
    get_items(arg);
    pthread_join(thread, NULL);
    return 0;
}

static void exchange(brood_target *target, int expected)
{
    struct shared *shared = new_shared();
    brood_process *processes[PARTIES];
    for (int i = 0; i < PARTIES; i++)
        processes[i] = brood_process_start(target, shared, 0, &methods[i % METHODS]);
    for (int i = 0; i < PARTIES; i++)
        join_well(processes[i]);
    CHECK_EQ(shared->put, expected);
    CHECK_EQ(shared->got, expected);
    free_shared(shared);
}

static void buffer(void)
{
    exchange(put_or_get, PARTIES / 2 * ITEMS);
}

static void buffer_of_threads(void)
{
    exchange(put_and_get, PARTIES * ITEMS);
}

static bool is_odd(void *arg)
{
    const struct shared *shared = arg;
    return shared->turn % 2 == 1;
}

static bool is_even(void *arg)
{
    const struct shared *shared = arg;
    return shared->turn % 2 == 0;
}

static int answer(void *arg)
{
    struct shared *shared = arg;
    NEED(brood_lock_acquire(&shared->lock, BROOD_FOREVER) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        NEED(brood_condition_wait_until(&shared->changed, &shared->lock, is_odd, shared, BROOD_FOREVER) == 0);
        shared->turn++;
        NEED(brood_condition_notify(&shared->changed, 1) == 0);
    }
    NEED(brood_lock_release(&shared->lock) == 0);
    return 0;
}

static void ping_pong(void)
{
    for (int method = 0; method < METHODS; method++) {
        struct shared *shared = new_shared();
        brood_process *process = brood_process_start(answer, shared, 0, &methods[method]);
        NEED(process != NULL && brood_lock_acquire(&shared->lock, BROOD_FOREVER) == 0);
        for (int i = 0; i < ROUNDS; i++) {
            shared->turn++;
            CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
            NEED(brood_condition_wait_until(&shared->changed, &shared->lock, is_even, shared, BROOD_FOREVER) == 0);
        }
        CHECK_RESULT(brood_lock_release(&shared->lock), 0);
        join_well(process);
        free_shared(shared);
    }
}

static int wait_once(void *arg)
{
    struct shared *shared = arg;
    NEED(brood_lock_acquire(&shared->lock, BROOD_FOREVER) == 0);
    atomic_fetch_add(&shared->waiting, 1);
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, BROOD_FOREVER), 0);
    CHECK_EQ(brood_lock_holder(&shared->lock), getpid());
    NEED(brood_lock_release(&shared->lock) == 0);
    return 0;
}

/* One notify lets them all through, one after the other. */
static void all_at_once(void)
{
    struct shared *shared = new_shared();
    brood_process *processes[PARTIES];
    for (int i = 0; i < PARTIES; i++)
        processes[i] = brood_process_start(wait_once, shared, 0, &methods[i % METHODS]);
    CHECK(wait_word(&shared->waiting, PARTIES, 15000));
    NEED(brood_lock_acquire(&shared->lock, BROOD_FOREVER) == 0);
    CHECK_RESULT(brood_condition_notify(&shared->changed, BROOD_ALL), 0);
    NEED(brood_lock_release(&shared->lock) == 0);
    for (int i = 0; i < PARTIES; i++)
        join_well(processes[i]);
    free_shared(shared);
}

static int wait_in_vain(void *arg)
{
    struct shared *shared = arg;
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, 0), -EPERM);
    return 0;
}

/* The lock that its parent holds is not a forked child's to give back. */
static void forked_while_held(void)
{
    struct shared *shared = new_shared();
    NEED(brood_lock_acquire(&shared->lock, BROOD_FOREVER) == 0);
    CHECK_EQ(wait_child(fork_child(wait_in_vain, shared)), 0);
    CHECK_EQ(brood_lock_holder(&shared->lock), getpid());
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, 1), -ETIMEDOUT);
    NEED(brood_lock_release(&shared->lock) == 0);
    free_shared(shared);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "buffer", .run = buffer, .deadline_s = 60 },
        { .name = "buffer_of_threads", .run = buffer_of_threads, .deadline_s = 60 },
        { .name = "ping_pong", .run = ping_pong, .deadline_s = 60 },
        { .name = "all_at_once", .run = all_at_once },
        { .name = "forked_while_held", .run = forked_while_held },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
