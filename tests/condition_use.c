/* condition_use.c: a condition as one process sees it: whom a notify wakes and whom it must not, the lock afterwards,
 * and what it refuses.
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ROUNDS = 3000, BUFFER = 4, ITEMS = 20000, CROWD = 6 };

struct shared {
    brood_lock lock;
    brood_condition changed, other;
    int turn;
    int items, put, got; /* of a buffer */
    int sum;
    atomic_int waiting;
    atomic_int returned;
    atomic_int asked;
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

static void lock(struct shared *shared)
{
    NEED(brood_lock_acquire(&shared->lock, BROOD_FOREVER) == 0);
}

static void unlock(struct shared *shared)
{
    NEED(brood_lock_release(&shared->lock) == 0);
}

/* Waits once, for good. Says that it waits with the lock in its hands: whoever gets the lock after that finds it
 * waiting.
 */
static void *wait_once(void *arg)
{
    struct shared *shared = arg;
    lock(shared);
    atomic_fetch_add(&shared->waiting, 1);
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, BROOD_FOREVER), 0);
    CHECK_EQ(brood_lock_holder(&shared->lock), getpid());
    unlock(shared);
    atomic_fetch_add(&shared->returned, 1);
    return NULL;
}

static void start_waiters(struct shared *shared, pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++)
        NEED(pthread_create(&threads[i], NULL, wait_once, shared) == 0);
    NEED(wait_word(&shared->waiting, count, 5000));
    lock(shared);
    unlock(shared);
}

static void join(pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void zeroed_is_ready(void)
{
    struct shared *shared = new_shared();
    CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
    CHECK_RESULT(brood_condition_notify(&shared->changed, BROOD_ALL), 0);
    CHECK_RESULT(brood_condition_fini(&shared->changed), 0);
    lock(shared);
    static const int timeouts[] = { 0, 1, 40 };
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        long long start = now_ms();
        CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, timeouts[i]), -ETIMEDOUT);
        CHECK(now_ms() - start >= timeouts[i] - 1);
        CHECK_EQ(brood_lock_holder(&shared->lock), getpid());
        CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0); /* nobody: it is not kept */
    }
    unlock(shared);
    CHECK_RESULT(brood_lock_release(&shared->lock), -EPERM);
    free_shared(shared);
}

static void *hold_and_meddle(void *arg)
{
    struct shared *shared = arg;
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, 0), -EPERM);
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, BROOD_FOREVER), -EPERM);
    return NULL;
}

static void refuses_without_lock(void)
{
    struct shared *shared = new_shared();
    pthread_t thread;
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, 0), -EPERM);
    CHECK_HAS(brood_error(), "brood_condition_wait");
    CHECK_RESULT(brood_condition_wait_until(&shared->changed, &shared->lock, NULL, NULL, 0), -EPERM);
    lock(shared);
    NEED(pthread_create(&thread, NULL, hold_and_meddle, shared) == 0);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_condition_wait(&shared->changed, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_condition_wait(&shared->changed, (brood_lock *)&shared->items, 0), -EINVAL);
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, -2), -EINVAL);
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, INT_MIN), -EINVAL);
    CHECK_RESULT(brood_condition_wait_until(&shared->changed, &shared->lock, NULL, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_condition_notify(&shared->changed, -1), -EINVAL);
    CHECK_RESULT(brood_condition_notify(&shared->changed, 0), 0);
    unlock(shared);
    /* none of that has made a condition of it */
    CHECK_RESULT(brood_condition_init(&shared->changed, &(brood_name_options){ .name = "x" }), 0);
    free_shared(shared);
}

static bool never_asked(void *arg)
{
    (void)arg;
    CHECK(!"asked");
    return false;
}

static void check_no_condition(struct shared *shared, void *memory)
{
    brood_condition *condition = memory;
    CHECK_RESULT(brood_condition_init(condition, NULL), -EINVAL);
    CHECK_RESULT(brood_condition_wait(condition, &shared->lock, 0), -EINVAL);
    CHECK_RESULT(brood_condition_wait(condition, &shared->lock, BROOD_FOREVER), -EINVAL);
    CHECK_RESULT(brood_condition_wait_until(condition, &shared->lock, never_asked, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_condition_notify(condition, 1), -EINVAL);
    if (condition != NULL)
        CHECK_RESULT(brood_condition_fini(condition), -EINVAL);
    CHECK_EQ(brood_lock_holder(&shared->lock), getpid());
}

static void no_conditions(void)
{
    struct shared *shared = new_shared();
    brood_condition here;
    memset(&here, 0, sizeof here);
    unsigned char *memory = CHECK_POINTER(brood_alloc(256));
    lock(shared);
    check_no_condition(shared, NULL);
    check_no_condition(shared, &here);
    CHECK_RESULT(brood_condition_fini(NULL), 0);
    for (int offset = 1; offset < 8; offset++)
        check_no_condition(shared, memory + offset);
    check_no_condition(shared, &shared->lock); /* a lock is none */
    memset(memory, 0xff, 256);
    check_no_condition(shared, memory);
    memset(memory, 0, 256);
    memcpy(memory, "no condition at all", sizeof "no condition at all");
    check_no_condition(shared, memory);
    CHECK_STR((char *)memory, "no condition at all");
    CHECK_RESULT(brood_lock_acquire((brood_lock *)(void *)&shared->changed, 0), 0); /* and one of them is no lock */
    CHECK_RESULT(brood_lock_release((brood_lock *)(void *)&shared->changed), 0);
    CHECK_RESULT(brood_condition_notify(&shared->changed, 1), -EINVAL);
    CHECK_RESULT(brood_lock_fini((brood_lock *)(void *)&shared->changed), 0);
    unlock(shared);
    brood_free(memory);
    free_shared(shared);
}

static void named(void)
{
    struct shared *shared = new_shared();
    brood_condition *condition = &shared->changed;
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_heap_stat(&before), 0);
    char name[] = "arrivals";
    CHECK_RESULT(brood_condition_init(condition, &(brood_name_options){ .name = name }), 0);
    name[0] = 'x';
    CHECK_RESULT(brood_condition_init(condition, NULL), -EBUSY);
    lock(shared);
    CHECK_RESULT(brood_condition_wait(condition, &shared->lock, 1), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "arrivals");
    CHECK_RESULT(brood_condition_wait(&shared->other, &shared->lock, 1), -ETIMEDOUT);
    CHECK_RESULT(brood_condition_init(&shared->other, NULL), -EBUSY); /* used, so one already */
    unlock(shared);
    CHECK_RESULT(brood_condition_fini(condition), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ((long long)condition->opaque[i], 0);
    for (int i = 0; i < 4; i++) {
        brood_name_options options = { .name = "x" };
        options.reserved[i] = shared;
        CHECK_RESULT(brood_condition_init(condition, &options), -EINVAL);
    }
    CHECK_RESULT(brood_condition_init(condition, NULL), 0);
    CHECK_RESULT(brood_condition_fini(condition), 0);
    CHECK_RESULT(brood_condition_fini(condition), 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    free_shared(shared);
}

static void no_room_for_name(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    struct shared *shared = new_shared();
    static const size_t size[] = { 1 << 16, 4096, 256, 64, 16 };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        while (brood_alloc(size[i]) != NULL)
            ;
    }
    brood_name_options options = { .name = "a name that needs memory" };
    CHECK_RESULT(brood_condition_init(&shared->changed, &options), -ENOMEM);
    lock(shared);
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, 0), -ETIMEDOUT);
    unlock(shared);
}

static void before_init(void)
{
    brood_condition condition;
    brood_lock lock;
    memset(&condition, 0, sizeof condition);
    memset(&lock, 0, sizeof lock);
    CHECK_RESULT(brood_condition_init(&condition, NULL), -EINVAL);
    CHECK_RESULT(brood_condition_wait(&condition, &lock, 0), -EINVAL);
    CHECK_RESULT(brood_condition_wait_until(&condition, &lock, never_asked, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_condition_notify(&condition, 1), -EINVAL);
    CHECK_RESULT(brood_condition_fini(&condition), -EINVAL);
}

/* Each notify of `step` lets at least so many go, and all together no one is forgotten. */
static void notify_by(int step)
{
    struct shared *shared = new_shared();
    pthread_t threads[CROWD];
    start_waiters(shared, threads, CROWD);
    for (int woken = step; woken < CROWD + step; woken += step) {
        if (woken % 2)
            lock(shared);
        CHECK_RESULT(brood_condition_notify(&shared->changed, step), 0);
        if (woken % 2)
            unlock(shared);
        CHECK(wait_word(&shared->returned, woken < CROWD ? woken : CROWD, 5000));
    }
    join(threads, CROWD);
    free_shared(shared);
}

static void notify_one_by_one(void)
{
    for (int i = 0; i < harness_times(20); i++)
        notify_by(1);
}

static void notify_some(void)
{
    for (int step = 2; step < CROWD; step++)
        notify_by(step);
}

static void notify_all(void)
{
    static const int counts[] = { BROOD_ALL, CROWD, 1000, INT_MAX };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        notify_by(counts[i] == INT_MAX ? CROWD : counts[i] > CROWD ? CROWD : counts[i]);
    struct shared *shared = new_shared();
    pthread_t threads[CROWD];
    start_waiters(shared, threads, CROWD);
    CHECK_RESULT(brood_condition_notify(&shared->changed, BROOD_ALL), 0);
    join(threads, CROWD);
    CHECK_EQ(atomic_load(&shared->returned), CROWD);
    free_shared(shared);
}

/* So many notifies at once, all under the lock: each counts, though nobody could take one yet. */
static void notifies_add_up(void)
{
    for (int i = 0; i < harness_times(20); i++) {
        struct shared *shared = new_shared();
        pthread_t threads[CROWD];
        start_waiters(shared, threads, CROWD);
        lock(shared);
        for (int k = 0; k < 3; k++)
            CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
        CHECK_RESULT(brood_condition_notify(&shared->changed, 2), 0);
        unlock(shared);
        CHECK(wait_word(&shared->returned, 5, 5000));
        CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
        join(threads, CROWD);
        free_shared(shared);
    }
}

/* Who begins to wait after a notify must not take it from one who waited before. */
static void late_ones_take_nothing(void)
{
    for (int i = 0; i < harness_times(60); i++) {
        struct shared *shared = new_shared();
        int early = 1 + i % 3;
        pthread_t threads[3];
        start_waiters(shared, threads, early);
        lock(shared);
        CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
        brood_condition_wait(&shared->changed, &shared->lock, 20); /* may it end without cause, or not */
        unlock(shared);
        CHECK(wait_word(&shared->returned, 1, 5000));
        CHECK_RESULT(brood_condition_notify(&shared->changed, BROOD_ALL), 0);
        join(threads, early);
        free_shared(shared);
    }
}

static bool is_mine(void *arg)
{
    struct shared *shared = arg;
    atomic_fetch_add(&shared->asked, 1);
    return shared->turn % 2 == 1;
}

static bool is_yours(void *arg)
{
    const struct shared *shared = arg;
    return shared->turn % 2 == 0;
}

static void *answer(void *arg)
{
    struct shared *shared = arg;
    lock(shared);
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_RESULT(brood_condition_wait_until(&shared->changed, &shared->lock, is_mine, shared, BROOD_FOREVER), 0);
        shared->turn++;
        CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
    }
    unlock(shared);
    return NULL;
}

/* Two on one condition: each notifies the other and waits at once, with its own notify still under way. */
static void ping_pong(void)
{
    struct shared *shared = new_shared();
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, answer, shared) == 0);
    lock(shared);
    for (int i = 0; i < ROUNDS; i++) {
        shared->turn++;
        CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
        CHECK_RESULT(brood_condition_wait_until(&shared->changed, &shared->lock, is_yours, shared, BROOD_FOREVER), 0);
    }
    unlock(shared);
    pthread_join(thread, NULL);
    CHECK_EQ(shared->turn, 2 * ROUNDS);
    free_shared(shared);
}

static void *put_items(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < ITEMS / 4; i++) {
        lock(shared);
        while (shared->items == BUFFER)
            CHECK_RESULT(brood_condition_wait(&shared->other, &shared->lock, BROOD_FOREVER), 0);
        shared->items++;
        shared->put++;
        if (i % 2)
            CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
        unlock(shared);
        if (i % 2 == 0)
            CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
    }
    return NULL;
}

static void *get_items(void *arg)
{
    struct shared *shared = arg;
    int result = 0;
    for (int i = 0; i < ITEMS / 4; i++) {
        lock(shared);
        while (shared->items == 0) {
            result = brood_condition_wait(&shared->changed, &shared->lock, i % 3 ? BROOD_FOREVER : 1);
            CHECK(result == 0 || result == -ETIMEDOUT);
        }
        shared->items--;
        shared->got++;
        unlock(shared);
        CHECK_RESULT(brood_condition_notify(&shared->other, 1), 0);
    }
    return NULL;
}

/* A bounded buffer: one notify lost, and all of them wait for ever. */
static void buffer(void)
{
    struct shared *shared = new_shared();
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        NEED(pthread_create(&threads[i], NULL, i % 2 ? put_items : get_items, shared) == 0);
    join(threads, 8);
    CHECK_EQ(shared->put, ITEMS);
    CHECK_EQ(shared->got, ITEMS);
    CHECK_EQ(shared->items, 0);
    free_shared(shared);
}

static void until(void)
{
    struct shared *shared = new_shared();
    lock(shared);
    shared->turn = 1;
    CHECK_RESULT(brood_condition_wait_until(&shared->changed, &shared->lock, is_mine, shared, 0), 0);
    CHECK_EQ(atomic_load(&shared->asked), 1);
    shared->turn = 0;
    CHECK_RESULT(brood_condition_wait_until(&shared->changed, &shared->lock, is_mine, shared, 0), -ETIMEDOUT);
    CHECK_EQ(atomic_load(&shared->asked), 3); /* before, and at the end */
    long long start = now_ms();
    CHECK_RESULT(brood_condition_wait_until(&shared->changed, &shared->lock, is_mine, shared, 50), -ETIMEDOUT);
    CHECK(now_ms() - start >= 49);
    CHECK_EQ(brood_lock_holder(&shared->lock), getpid());
    CHECK_RESULT(brood_condition_wait_until(&shared->changed, &shared->lock, is_mine, shared, -7), -EINVAL);
    unlock(shared);
    free_shared(shared);
}

static void *take_thrice(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_lock_acquire(&shared->lock, BROOD_FOREVER), 0);
    atomic_store(&shared->waiting, 1);
    CHECK_RESULT(brood_condition_wait(&shared->changed, &shared->lock, BROOD_FOREVER), 0);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_lock_release(&shared->lock), 0);
    CHECK_RESULT(brood_lock_release(&shared->lock), -EPERM);
    return NULL;
}

static void recursive(void)
{
    struct shared *shared = new_shared();
    pthread_t thread;
    CHECK_RESULT(brood_lock_init(&shared->lock, &(brood_lock_options){ .recursive = true }), 0);
    NEED(pthread_create(&thread, NULL, take_thrice, shared) == 0);
    CHECK(wait_word(&shared->waiting, 1, 5000));
    CHECK_RESULT(brood_lock_acquire(&shared->lock, 5000), 0); /* given back whole */
    CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
    CHECK_RESULT(brood_lock_release(&shared->lock), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(brood_lock_holder(&shared->lock), 0);
    free_shared(shared);
}

static void *take_and_abandon(void *arg)
{
    struct shared *shared = arg;
    lock(shared);
    atomic_store(&shared->waiting, 1);
    pass_us(60000);
    CHECK_RESULT(brood_lock_abandon(&shared->lock), 0);
    return NULL;
}

/* Word of the lock's last holder counts for more than the timeout, and is not followed by a question. */
static void inherited(void)
{
    for (int i = 0; i < 4; i++) {
        struct shared *shared = new_shared();
        pthread_t thread;
        lock(shared);
        NEED(pthread_create(&thread, NULL, take_and_abandon, shared) == 0);
        int timeout = i % 2 ? 20 : 1;
        int result = -ETIMEDOUT;
        while (atomic_load(&shared->waiting) == 0 && result == -ETIMEDOUT) /* it takes the lock while we wait */
            result = i < 2 ? brood_condition_wait(&shared->changed, &shared->lock, timeout)
                           : brood_condition_wait_until(&shared->changed, &shared->lock, is_mine, shared, timeout);
        CHECK_RESULT(result, BROOD_INHERITED);
        CHECK(brood_error()[0] != '\0');
        CHECK_EQ(brood_lock_holder(&shared->lock), getpid());
        unlock(shared);
        pthread_join(thread, NULL);
        free_shared(shared);
    }
}

static void fini_busy(void)
{
    struct shared *shared = new_shared();
    pthread_t threads[2];
    start_waiters(shared, threads, 2);
    CHECK_RESULT(brood_condition_fini(&shared->changed), -EBUSY);
    CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
    CHECK(wait_word(&shared->returned, 1, 5000));
    CHECK_RESULT(brood_condition_fini(&shared->changed), -EBUSY);
    CHECK_RESULT(brood_condition_init(&shared->changed, NULL), -EBUSY);
    CHECK_RESULT(brood_condition_notify(&shared->changed, 1), 0);
    join(threads, 2);
    free_shared(shared);
}

/* Where several words cannot be slept on, sleepers nap. */
static void without_waitv(void)
{
    if (refuse_call(SYS_futex_waitv, ENOSYS) != 0)
        harness_skip("no seccomp filters here");
    notify_by(1);
    notify_by(2);
    notifies_add_up();
    until();
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "zeroed_is_ready", .run = zeroed_is_ready },
        { .name = "refuses_without_lock", .run = refuses_without_lock },
        { .name = "no_conditions", .run = no_conditions },
        { .name = "named", .run = named },
        { .name = "no_room_for_name", .run = no_room_for_name, .no_init = true },
        { .name = "before_init", .run = before_init, .no_init = true },
        { .name = "notify_one_by_one", .run = notify_one_by_one },
        { .name = "notify_some", .run = notify_some },
        { .name = "notify_all", .run = notify_all },
        { .name = "notifies_add_up", .run = notifies_add_up },
        { .name = "late_ones_take_nothing", .run = late_ones_take_nothing },
        { .name = "ping_pong", .run = ping_pong, .deadline_s = 60 },
        { .name = "buffer", .run = buffer, .deadline_s = 60 },
        { .name = "until", .run = until },
        { .name = "recursive", .run = recursive },
        { .name = "inherited", .run = inherited },
        { .name = "fini_busy", .run = fini_busy },
        { .name = "without_waitv", .run = without_waitv },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
