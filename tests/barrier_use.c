/* barrier_use.c: a barrier as one process sees it: rounds that stay apart, one chosen in each, what breaks it and mends
 * it, and what it refuses.
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>

enum { PARTIES = 4, ROUNDS = 500, MANY = 130, CROWD = 5 };

struct shared {
    brood_barrier barrier;
    int parties, rounds;
    int timeout_ms, expected; /* of wait_once */
    atomic_int come[ROUNDS], left[ROUNDS], chosen[ROUNDS];
    atomic_int passed, passed_chosen;
};

static struct shared *new_shared(int parties)
{
    struct shared *shared = CHECK_POINTER(brood_alloc(sizeof *shared));
    NEED(shared != NULL);
    CHECK_RESULT(brood_barrier_init(&shared->barrier, parties, NULL), 0);
    shared->parties = parties;
    shared->rounds = ROUNDS;
    shared->timeout_ms = BROOD_FOREVER;
    return shared;
}

static void free_shared(struct shared *shared)
{
    CHECK_RESULT(brood_barrier_fini(&shared->barrier), 0);
    brood_free(shared);
}

static void start(struct shared *shared, pthread_t *threads, int count, void *(*body)(void *arg))
{
    for (int i = 0; i < count; i++)
        NEED(pthread_create(&threads[i], NULL, body, shared) == 0);
}

static void join(pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void *wait_once(void *arg)
{
    struct shared *shared = arg;
    int expected = shared->expected; /* of this thread: another one's may stand there when the wait is over */
    CHECK_RESULT(brood_barrier_wait(&shared->barrier, shared->timeout_ms), expected);
    return NULL;
}

struct expectation {
    struct shared *shared;
    int waiting;
};

static bool is_waited_at(void *arg)
{
    const struct expectation *expectation = arg;
    return brood_barrier_waiting(&expectation->shared->barrier) == expectation->waiting;
}

/* One more party that waits: the barrier counts it already. */
static void start_one(struct shared *shared, pthread_t *thread, int timeout_ms, int expected)
{
    struct expectation expectation = { shared, brood_barrier_waiting(&shared->barrier) + 1 };
    shared->timeout_ms = timeout_ms;
    shared->expected = expected;
    start(shared, thread, 1, wait_once);
    NEED(wait_until(is_waited_at, &expectation, 5000));
}

static void needs_init(void)
{
    brood_barrier *barrier = CHECK_POINTER(brood_alloc(sizeof *barrier));
    CHECK_RESULT(brood_barrier_wait(barrier, 0), -EINVAL);
    CHECK_HAS(brood_error(), "brood_barrier_init");
    CHECK_RESULT(brood_barrier_wait(barrier, BROOD_FOREVER), -EINVAL);
    CHECK_RESULT(brood_barrier_abort(barrier), -EINVAL);
    CHECK_HAS(brood_error(), "brood_barrier_init");
    CHECK_RESULT(brood_barrier_reset(barrier), -EINVAL);
    CHECK_RESULT(brood_barrier_waiting(barrier), -EINVAL);
    CHECK_RESULT(brood_barrier_fini(barrier), 0);
    CHECK_RESULT(brood_barrier_fini(NULL), 0);
    static const int parties[] = { 0, -1, INT_MIN, 4097, INT_MAX };
    for (size_t i = 0; i < sizeof parties / sizeof *parties; i++)
        CHECK_RESULT(brood_barrier_init(barrier, parties[i], NULL), -EINVAL);
    CHECK_RESULT(brood_barrier_init(barrier, 4096, NULL), 0);
    CHECK_RESULT(brood_barrier_init(barrier, 2, NULL), -EBUSY);
    CHECK_RESULT(brood_barrier_wait(barrier, -2), -EINVAL);
    CHECK_RESULT(brood_barrier_wait(barrier, INT_MIN), -EINVAL);
    CHECK_RESULT(brood_barrier_fini(barrier), 0);
    brood_free(barrier);
}

static void check_no_barrier(void *memory)
{
    brood_barrier *barrier = memory;
    CHECK_RESULT(brood_barrier_init(barrier, 2, NULL), -EINVAL);
    CHECK_RESULT(brood_barrier_wait(barrier, 0), -EINVAL);
    CHECK_RESULT(brood_barrier_abort(barrier), -EINVAL);
    CHECK_RESULT(brood_barrier_reset(barrier), -EINVAL);
    CHECK_RESULT(brood_barrier_waiting(barrier), -EINVAL);
    if (barrier != NULL)
        CHECK_RESULT(brood_barrier_fini(barrier), -EINVAL);
}

static void no_barriers(void)
{
    brood_barrier here;
    memset(&here, 0, sizeof here);
    unsigned char *memory = CHECK_POINTER(brood_alloc(256));
    check_no_barrier(NULL);
    check_no_barrier(&here);
    for (int offset = 1; offset < 8; offset++)
        check_no_barrier(memory + offset);
    CHECK_RESULT(brood_lock_acquire((brood_lock *)(void *)memory, 0), 0);
    check_no_barrier(memory); /* a lock is none */
    CHECK_RESULT(brood_lock_release((brood_lock *)(void *)memory), 0);
    memset(memory, 0xff, 256);
    check_no_barrier(memory);
    memset(memory, 0, 256);
    memcpy(memory, "no barrier at all", sizeof "no barrier at all");
    check_no_barrier(memory);
    CHECK_STR((char *)memory, "no barrier at all");
    brood_free(memory);
}

static void before_init(void)
{
    brood_barrier barrier;
    memset(&barrier, 0, sizeof barrier);
    CHECK_RESULT(brood_barrier_init(&barrier, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_barrier_wait(&barrier, 0), -EINVAL);
    CHECK_RESULT(brood_barrier_abort(&barrier), -EINVAL);
    CHECK_RESULT(brood_barrier_reset(&barrier), -EINVAL);
    CHECK_RESULT(brood_barrier_waiting(&barrier), -EINVAL);
    CHECK_RESULT(brood_barrier_fini(&barrier), -EINVAL);
}

static void named(void)
{
    brood_barrier *barrier = CHECK_POINTER(brood_alloc(sizeof *barrier));
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_heap_stat(&before), 0);
    char name[] = "steps";
    CHECK_RESULT(brood_barrier_init(barrier, 2, &(brood_name_options){ .name = name }), 0);
    name[0] = 'x';
    CHECK_RESULT(brood_barrier_wait(barrier, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "steps");
    CHECK_RESULT(brood_barrier_abort(barrier), 0);
    CHECK_RESULT(brood_barrier_wait(barrier, 0), -EPIPE);
    CHECK_HAS(brood_error(), "steps");
    CHECK_RESULT(brood_barrier_fini(barrier), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ((long long)barrier->opaque[i], 0);
    for (int i = 0; i < 4; i++) {
        brood_name_options options = { .name = "x" };
        options.reserved[i] = barrier;
        CHECK_RESULT(brood_barrier_init(barrier, 2, &options), -EINVAL);
    }
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    brood_free(barrier);
}

static void no_room(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    brood_barrier *barrier = CHECK_POINTER(brood_alloc(sizeof *barrier));
    void *spare = CHECK_POINTER(brood_alloc(64));
    static const size_t size[] = { 1 << 16, 4096, 256, 64, 16 };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        while (brood_alloc(size[i]) != NULL)
            ;
    }
    CHECK_RESULT(brood_barrier_init(barrier, 100, NULL), -ENOMEM);
    CHECK_RESULT(brood_barrier_init(barrier, 2, &(brood_name_options){ .name = "a name for it" }), -ENOMEM);
    brood_free(spare);
    CHECK_RESULT(brood_barrier_init(barrier, 100, &(brood_name_options){ .name = "a name for it" }), -ENOMEM);
    for (int i = 0; i < 8; i++)
        CHECK_EQ((long long)barrier->opaque[i], 0);
}

static void alone(void)
{
    struct shared *shared = new_shared(1);
    for (int i = 0; i < 100; i++)
        CHECK_RESULT(brood_barrier_wait(&shared->barrier, i % 2 ? 0 : BROOD_FOREVER), BROOD_CHOSEN);
    free_shared(shared);
}

/* Whoever has passed a round finds that all have come to it; and nobody has come to the one after the next. */
static void *pass_rounds(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < shared->rounds; i++) {
        atomic_fetch_add(&shared->come[i], 1);
        int result = brood_barrier_wait(&shared->barrier, i % 2 ? 15000 : BROOD_FOREVER);
        if (!CHECK(result == 0 || result == BROOD_CHOSEN))
            return NULL;
        CHECK_EQ(atomic_load(&shared->come[i]), shared->parties);
        if (i + 2 < shared->rounds)
            CHECK_EQ(atomic_load(&shared->come[i + 2]), 0);
        atomic_fetch_add(&shared->chosen[i], result);
        atomic_fetch_add(&shared->left[i], 1);
    }
    return NULL;
}

static void pass(int parties, int rounds)
{
    struct shared *shared = new_shared(parties);
    pthread_t threads[MANY];
    shared->rounds = rounds;
    start(shared, threads, parties, pass_rounds);
    join(threads, parties);
    for (int i = 0; i < rounds; i++) {
        CHECK_EQ(atomic_load(&shared->chosen[i]), 1);
        CHECK_EQ(atomic_load(&shared->left[i]), parties);
    }
    free_shared(shared);
}

static void rounds(void)
{
    pass(2, ROUNDS);
    pass(PARTIES, ROUNDS);
    pass(7, harness_times(200));
}

/* More than can be slept on at once. */
static void many_parties(void)
{
    pass(MANY, 5);
}

static void tries(void)
{
    struct shared *shared = new_shared(2);
    pthread_t thread;
    for (int i = 0; i < 20; i++) {
        CHECK_RESULT(brood_barrier_wait(&shared->barrier, 0), -ETIMEDOUT); /* and nothing is broken */
        start_one(shared, &thread, BROOD_FOREVER, 0);
        CHECK_RESULT(brood_barrier_wait(&shared->barrier, 0), BROOD_CHOSEN);
        pthread_join(thread, NULL);
    }
    free_shared(shared);
}

static void timeout_breaks(void)
{
    struct shared *shared = new_shared(3);
    pthread_t threads[2];
    for (int i = 0; i < 5; i++) {
        start_one(shared, threads, BROOD_FOREVER, -EPIPE);
        long long start = now_ms();
        CHECK_RESULT(brood_barrier_wait(&shared->barrier, 30), -ETIMEDOUT);
        CHECK(now_ms() - start >= 29);
        pthread_join(threads[0], NULL);
        CHECK_RESULT(brood_barrier_wait(&shared->barrier, 0), -EPIPE);
        CHECK_RESULT(brood_barrier_wait(&shared->barrier, BROOD_FOREVER), -EPIPE);
        CHECK_RESULT(brood_barrier_reset(&shared->barrier), 0);
        start_one(shared, &threads[0], 10000, 0);
        start_one(shared, &threads[1], 10000, 0);
        CHECK_RESULT(brood_barrier_wait(&shared->barrier, 0), BROOD_CHOSEN);
        join(threads, 2);
    }
    free_shared(shared);
}

static void aborted(void)
{
    struct shared *shared = new_shared(3);
    pthread_t threads[2];
    start_one(shared, &threads[0], BROOD_FOREVER, -EPIPE);
    start_one(shared, &threads[1], 10000, -EPIPE);
    CHECK_EQ(brood_barrier_waiting(&shared->barrier), 2);
    CHECK_RESULT(brood_barrier_abort(&shared->barrier), 0);
    CHECK_EQ(brood_barrier_waiting(&shared->barrier), 0);
    join(threads, 2);
    CHECK_RESULT(brood_barrier_abort(&shared->barrier), 0);
    CHECK_RESULT(brood_barrier_wait(&shared->barrier, BROOD_FOREVER), -EPIPE);
    CHECK_RESULT(brood_barrier_reset(&shared->barrier), 0);
    CHECK_RESULT(brood_barrier_wait(&shared->barrier, 1), -ETIMEDOUT);
    CHECK_RESULT(brood_barrier_wait(&shared->barrier, 1), -EPIPE);
    free_shared(shared);
}

static void reset(void)
{
    struct shared *shared = new_shared(2);
    pthread_t threads[2];
    CHECK_RESULT(brood_barrier_reset(&shared->barrier), 0); /* of one that nobody waits at */
    for (int i = 0; i < 20; i++) {
        start_one(shared, &threads[0], BROOD_FOREVER, -EPIPE);
        CHECK_RESULT(brood_barrier_reset(&shared->barrier), 0);
        CHECK_EQ(brood_barrier_waiting(&shared->barrier), 0);
        start_one(shared, &threads[1], BROOD_FOREVER, 0); /* in a new round */
        CHECK_RESULT(brood_barrier_wait(&shared->barrier, BROOD_FOREVER), BROOD_CHOSEN);
        join(threads, 2);
    }
    free_shared(shared);
}

static void *pass_until_broken(void *arg)
{
    struct shared *shared = arg;
    int result;
    while ((result = brood_barrier_wait(&shared->barrier, BROOD_FOREVER)) >= 0) {
        if (result == BROOD_CHOSEN)
            atomic_fetch_add(&shared->passed_chosen, 1);
        else
            atomic_fetch_add(&shared->passed, 1);
    }
    CHECK_RESULT(result, -EPIPE);
    return NULL;
}

/* More threads than parties: each round is between those that come, whoever they are. */
static void overbooked(void)
{
    struct shared *shared = new_shared(2);
    pthread_t threads[CROWD];
    start(shared, threads, CROWD, pass_until_broken);
    CHECK(wait_word(&shared->passed_chosen, harness_times(1000), 15000));
    CHECK_RESULT(brood_barrier_abort(&shared->barrier), 0);
    join(threads, CROWD);
    CHECK_EQ(atomic_load(&shared->passed_chosen), atomic_load(&shared->passed)); /* as many chosen as others */
    free_shared(shared);
}

static void fini_busy(void)
{
    struct shared *shared = new_shared(2);
    pthread_t thread;
    start_one(shared, &thread, BROOD_FOREVER, 0);
    CHECK_RESULT(brood_barrier_fini(&shared->barrier), -EBUSY);
    CHECK_RESULT(brood_barrier_wait(&shared->barrier, BROOD_FOREVER), BROOD_CHOSEN);
    pthread_join(thread, NULL);
    free_shared(shared);
}

static void at_most_1024(void)
{
    enum { LOCKS = 1024 };
    struct shared *shared = new_shared(1);
    brood_lock *locks = CHECK_POINTER(brood_alloc_array(LOCKS, sizeof *locks));
    for (int i = 0; i < LOCKS; i++)
        CHECK_RESULT(brood_lock_acquire(&locks[i], 0), 0);
    CHECK_RESULT(brood_barrier_wait(&shared->barrier, 0), -ENOLCK);
    CHECK_RESULT(brood_lock_release(&locks[0]), 0);
    CHECK_RESULT(brood_barrier_wait(&shared->barrier, 0), BROOD_CHOSEN);
    for (int i = 1; i < LOCKS; i++)
        CHECK_RESULT(brood_lock_release(&locks[i]), 0);
    brood_free(locks);
    free_shared(shared);
}

static void without_waitv(void)
{
    if (refuse_call(SYS_futex_waitv, ENOSYS) != 0)
        harness_skip("no seccomp filters here");
    pass(2, 20);
    pass(PARTIES, 20);
    timeout_breaks();
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "needs_init", .run = needs_init },
        { .name = "no_barriers", .run = no_barriers },
        { .name = "before_init", .run = before_init, .no_init = true },
        { .name = "named", .run = named },
        { .name = "no_room", .run = no_room, .no_init = true },
        { .name = "alone", .run = alone },
        { .name = "rounds", .run = rounds, .deadline_s = 60 },
        { .name = "many_parties", .run = many_parties, .deadline_s = 60 },
        { .name = "tries", .run = tries },
        { .name = "timeout_breaks", .run = timeout_breaks },
        { .name = "aborted", .run = aborted },
        { .name = "reset", .run = reset },
        { .name = "overbooked", .run = overbooked, .deadline_s = 60 },
        { .name = "fini_busy", .run = fini_busy },
        { .name = "at_most_1024", .run = at_most_1024 },
        { .name = "without_waitv", .run = without_waitv },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
