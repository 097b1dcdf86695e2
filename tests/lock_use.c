/* lock_use.c: a lock as one process sees it: its states, its names, whose it is, what it refuses, and that it excludes.
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

struct guarded {
    brood_lock lock;
    long count;
    atomic_int stage;
    atomic_int done;
};

static struct guarded *new_guarded(void)
{
    struct guarded *guarded = CHECK_POINTER(brood_alloc(sizeof *guarded));
    NEED(guarded != NULL);
    return guarded;
}

static void zeroed_is_free(void)
{
    struct guarded *guarded = new_guarded();
    brood_lock *lock = &guarded->lock;
    CHECK_EQ(brood_lock_holder(lock), 0);
    static const int timeouts[] = { 0, 1, 50, INT_MAX, BROOD_FOREVER };
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        CHECK_RESULT(brood_lock_acquire(lock, timeouts[i]), 0);
        CHECK_EQ(brood_lock_holder(lock), getpid());
        CHECK_RESULT(brood_lock_release(lock), 0);
        CHECK_EQ(brood_lock_holder(lock), 0);
    }
    for (int i = 0; i < 100000; i++) {
        NEED(brood_lock_acquire(lock, BROOD_FOREVER) == 0);
        NEED(brood_lock_release(lock) == 0);
    }
    CHECK_RESULT(brood_lock_fini(lock), 0);
    brood_free(guarded);
}

static void not_recursive(void)
{
    struct guarded *guarded = new_guarded();
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), -EDEADLK);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 10), -EDEADLK);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, BROOD_FOREVER), -EDEADLK);
    CHECK_EQ(brood_lock_holder(&guarded->lock), getpid());
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
    brood_free(guarded);
}

static void not_held(void)
{
    struct guarded *guarded = new_guarded();
    CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
    CHECK_RESULT(brood_lock_abandon(&guarded->lock), -EPERM);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
    CHECK_RESULT(brood_lock_abandon(&guarded->lock), -EPERM);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    brood_free(guarded);
}

static void *meddle(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
    CHECK_RESULT(brood_lock_abandon(&guarded->lock), -EPERM);
    CHECK_RESULT(brood_lock_fini(&guarded->lock), -EBUSY);
    CHECK_RESULT(brood_lock_init(&guarded->lock, NULL), -EBUSY);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, -2), -EINVAL);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, INT_MIN), -EINVAL);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), -ETIMEDOUT);
    long long start = now_ms();
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 60), -ETIMEDOUT);
    CHECK(now_ms() - start >= 59);
    CHECK(now_ms() - start < 5000);
    CHECK_EQ(brood_lock_holder(&guarded->lock), getpid());
    return NULL;
}

/* It is a thread that holds, not the process. */
static void held_by_thread(void)
{
    struct guarded *guarded = new_guarded();
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, meddle, guarded) == 0);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), -EDEADLK);
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    brood_free(guarded);
}

static void abandoned(void)
{
    struct guarded *guarded = new_guarded();
    brood_lock *lock = &guarded->lock;
    CHECK_RESULT(brood_lock_acquire(lock, 0), 0);
    CHECK_RESULT(brood_lock_abandon(lock), 0);
    CHECK_EQ(brood_lock_holder(lock), 0);
    for (int i = 0; i < 5; i++) { /* told until one says "mended" */
        CHECK_RESULT(brood_lock_acquire(lock, i % 2 ? 0 : BROOD_FOREVER), BROOD_INHERITED);
        CHECK(brood_error()[0] != '\0');
        CHECK_EQ(brood_lock_holder(lock), getpid());
        CHECK_RESULT(brood_lock_acquire(lock, 0), -EDEADLK);
        CHECK_RESULT(brood_lock_abandon(lock), 0);
        CHECK_RESULT(brood_lock_abandon(lock), -EPERM);
        CHECK_RESULT(brood_lock_release(lock), -EPERM);
    }
    CHECK_RESULT(brood_lock_acquire(lock, 0), BROOD_INHERITED);
    CHECK_RESULT(brood_lock_release(lock), 0);
    CHECK_RESULT(brood_lock_acquire(lock, 0), 0);
    CHECK_RESULT(brood_lock_release(lock), 0);
    brood_free(guarded);
}

static void *inherit_abandoned(void *arg)
{
    struct guarded *guarded = arg;
    atomic_store(&guarded->stage, 1);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, BROOD_FOREVER), BROOD_INHERITED);
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    atomic_fetch_add(&guarded->done, 1);
    return NULL;
}

static void abandoned_to_waiter(void)
{
    for (int i = 0; i < 20; i++) {
        struct guarded *guarded = new_guarded();
        CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, inherit_abandoned, guarded) == 0);
        CHECK(wait_word(&guarded->stage, 1, 5000));
        pass_us(i * 300);
        CHECK_RESULT(brood_lock_abandon(&guarded->lock), 0);
        pthread_join(thread, NULL);
        CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
        CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
        brood_free(guarded);
    }
}

static void check_no_lock(void *memory)
{
    brood_lock *lock = memory;
    CHECK_RESULT(brood_lock_init(lock, NULL), -EINVAL);
    CHECK_RESULT(brood_lock_acquire(lock, 0), -EINVAL);
    CHECK_RESULT(brood_lock_acquire(lock, BROOD_FOREVER), -EINVAL);
    CHECK_RESULT(brood_lock_release(lock), -EINVAL);
    CHECK_RESULT(brood_lock_abandon(lock), -EINVAL);
    CHECK_RESULT(brood_lock_holder(lock), -EINVAL);
    if (lock != NULL)
        CHECK_RESULT(brood_lock_fini(lock), -EINVAL);
}

static void no_locks(void)
{
    static brood_lock there;
    brood_lock here;
    memset(&here, 0, sizeof here);
    check_no_lock(NULL);
    check_no_lock(&here);
    check_no_lock(&there);
    CHECK_RESULT(brood_lock_fini(NULL), 0);
    unsigned char *memory = CHECK_POINTER(brood_alloc(256));
    for (int offset = 1; offset < 8; offset++)
        check_no_lock(memory + offset);
    for (int offset = 8; offset < 64; offset += 8) { /* 8 bytes of alignment are enough */
        brood_lock *lock = (brood_lock *)(void *)(memory + offset);
        CHECK_RESULT(brood_lock_acquire(lock, 0), 0);
        CHECK_RESULT(brood_lock_release(lock), 0);
        CHECK_RESULT(brood_lock_fini(lock), 0);
    }
    for (size_t i = 0; i < 256; i++)
        CHECK_EQ(memory[i], 0);
    memset(memory, 0xff, 256);
    check_no_lock(memory);
    memset(memory, 0x01, 256);
    check_no_lock(memory);
    uint32_t state = 77;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < 64; i++)
            memory[i] = (unsigned char)(random_next(&state) >> 11 | 1);
        check_no_lock(memory);
    }
    /* a text where the lock should be */
    static const char text[] = "this is no lock at all";
    memset(memory, 0, 256);
    memcpy(memory, text, sizeof text);
    check_no_lock(memory);
    CHECK_STR((char *)memory, text);
    brood_free(memory);
}

static void named(void)
{
    struct guarded *guarded = new_guarded();
    brood_lock *lock = &guarded->lock;
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_heap_stat(&before), 0);
    char name[] = "jobs";
    CHECK_RESULT(brood_lock_init(lock, &(brood_lock_options){ .name = name }), 0);
    name[0] = 'x';
    CHECK_RESULT(brood_lock_init(lock, NULL), -EBUSY);
    CHECK_RESULT(brood_lock_init(lock, &(brood_lock_options){ .name = "other" }), -EBUSY);
    CHECK_RESULT(brood_lock_release(lock), -EPERM);
    CHECK_HAS(brood_error(), "jobs");
    CHECK_RESULT(brood_lock_acquire(lock, 0), 0);
    CHECK_RESULT(brood_lock_acquire(lock, 0), -EDEADLK);
    CHECK_HAS(brood_error(), "jobs");
    CHECK_RESULT(brood_lock_fini(lock), -EBUSY);
    CHECK_RESULT(brood_lock_abandon(lock), 0);
    CHECK_RESULT(brood_lock_acquire(lock, 0), BROOD_INHERITED);
    CHECK_HAS(brood_error(), "jobs");
    CHECK_RESULT(brood_lock_release(lock), 0);
    CHECK_RESULT(brood_lock_fini(lock), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ((long long)lock->opaque[i], 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    /* again: fini leaves what init needs */
    CHECK_RESULT(brood_lock_init(lock, &(brood_lock_options){ .name = "later" }), 0);
    CHECK_RESULT(brood_lock_release(lock), -EPERM);
    CHECK_HAS(brood_error(), "later");
    CHECK_RESULT(brood_lock_fini(lock), 0);
    CHECK_RESULT(brood_lock_fini(lock), 0); /* zeroed memory is a free lock */
    CHECK_RESULT(brood_lock_init(lock, NULL), 0);
    CHECK_RESULT(brood_lock_fini(lock), 0);
    CHECK_RESULT(brood_lock_acquire(lock, 0), 0);
    CHECK_RESULT(brood_lock_release(lock), 0);
    CHECK_RESULT(brood_lock_init(lock, NULL), -EBUSY); /* used, so a lock already */
    CHECK_RESULT(brood_lock_fini(lock), 0);
    for (int i = 0; i < 4; i++) {
        brood_lock_options options = { .name = "x" };
        options.reserved[i] = lock;
        CHECK_RESULT(brood_lock_init(lock, &options), -EINVAL);
    }
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    brood_free(guarded);
}

static void no_room_for_name(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    struct guarded *guarded = new_guarded();
    static const size_t size[] = { 1 << 16, 4096, 256, 64, 16 };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        while (brood_alloc(size[i]) != NULL)
            ;
    }
    CHECK_RESULT(brood_lock_init(&guarded->lock, &(brood_lock_options){ .name = "a name that needs memory" }), -ENOMEM);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0); /* it is the free lock that it was */
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
}

static void at_most_1024(void)
{
    enum { LOCKS = 1024 };
    brood_lock *locks = CHECK_POINTER(brood_alloc_array(LOCKS + 2, sizeof *locks));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < LOCKS; i++)
            CHECK_RESULT(brood_lock_acquire(&locks[i], 0), 0);
        CHECK_RESULT(brood_lock_acquire(&locks[LOCKS], 0), -ENOLCK);
        CHECK_RESULT(brood_lock_acquire(&locks[LOCKS], BROOD_FOREVER), -ENOLCK);
        CHECK_EQ(brood_lock_holder(&locks[LOCKS]), 0);
        CHECK_RESULT(brood_lock_release(&locks[500]), 0);
        CHECK_RESULT(brood_lock_acquire(&locks[LOCKS], 0), 0);
        CHECK_RESULT(brood_lock_acquire(&locks[LOCKS + 1], 0), -ENOLCK);
        CHECK_RESULT(brood_lock_release(&locks[LOCKS]), 0);
        CHECK_RESULT(brood_lock_acquire(&locks[500], 0), 0);
        for (int i = 0; i < LOCKS; i++) /* not in the order they were taken */
            CHECK_RESULT(brood_lock_release(&locks[i * 37 % LOCKS]), 0);
    }
    brood_free(locks);
}

static void *increment(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 50000; i++) {
        if (!CHECK_RESULT(brood_lock_acquire(&guarded->lock, BROOD_FOREVER), 0))
            return NULL;
        guarded->count++;
        NEED(brood_lock_release(&guarded->lock) == 0);
    }
    return NULL;
}

static void excludes_threads(void)
{
    struct guarded *guarded = new_guarded();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&threads[i], NULL, increment, guarded) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(guarded->count, 200000);
    CHECK_EQ(brood_lock_holder(&guarded->lock), 0);
    CHECK_RESULT(brood_lock_fini(&guarded->lock), 0);
    brood_free(guarded);
}

static void *increment_with_timeouts(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 20000;) {
        int result = brood_lock_acquire(&guarded->lock, i % 3 == 0 ? 0 : 1);
        if (result == -ETIMEDOUT)
            continue;
        if (!CHECK_RESULT(result, 0))
            return NULL;
        guarded->count++;
        i++;
        NEED(brood_lock_release(&guarded->lock) == 0);
    }
    return NULL;
}

/* Waiters that give up must not take others' wakes with them. */
static void excludes_the_impatient(void)
{
    struct guarded *guarded = new_guarded();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&threads[i], NULL, i < 2 ? increment : increment_with_timeouts, guarded) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(guarded->count, 140000);
    brood_free(guarded);
}

static void *take_and_end(void *arg)
{
    struct guarded *guarded = arg;
    CHECK(brood_lock_acquire(&guarded->lock, BROOD_FOREVER) >= 0);
    atomic_store(&guarded->stage, 1);
    pass_us(guarded->count);
    return NULL;
}

/* A thread that ends with the lock in its hands has died holding it. */
static void thread_ends_holding(void)
{
    for (int i = 0; i < 20; i++) {
        struct guarded *guarded = new_guarded();
        guarded->count = i * 300;
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, take_and_end, guarded) == 0);
        CHECK(wait_word(&guarded->stage, 1, 5000));
        CHECK_RESULT(brood_lock_acquire(&guarded->lock, BROOD_FOREVER), BROOD_INHERITED);
        pthread_join(thread, NULL);
        CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
        CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
        CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
        brood_free(guarded);
    }
}

static void ignore(int signal)
{
    (void)signal;
}

static void *wait_and_time_out(void *arg)
{
    struct guarded *guarded = arg;
    long long start = now_ms();
    atomic_store(&guarded->stage, 1);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 150), -ETIMEDOUT);
    CHECK(now_ms() - start >= 149);
    atomic_store(&guarded->done, 1);
    return NULL;
}

static void waits_under_signals(void)
{
    struct sigaction action = { .sa_handler = ignore };
    sigaction(SIGUSR1, &action, NULL);
    struct guarded *guarded = new_guarded();
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, wait_and_time_out, guarded) == 0);
    CHECK(wait_word(&guarded->stage, 1, 5000));
    while (atomic_load(&guarded->done) == 0) {
        pass_us(5000);
        pthread_kill(thread, SIGUSR1);
    }
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    brood_free(guarded);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "zeroed_is_free", .run = zeroed_is_free },
        { .name = "not_recursive", .run = not_recursive },
        { .name = "not_held", .run = not_held },
        { .name = "held_by_thread", .run = held_by_thread },
        { .name = "abandoned", .run = abandoned },
        { .name = "abandoned_to_waiter", .run = abandoned_to_waiter },
        { .name = "no_locks", .run = no_locks },
        { .name = "named", .run = named },
        { .name = "no_room_for_name", .run = no_room_for_name, .no_init = true },
        { .name = "at_most_1024", .run = at_most_1024 },
        { .name = "excludes_threads", .run = excludes_threads },
        { .name = "excludes_the_impatient", .run = excludes_the_impatient },
        { .name = "thread_ends_holding", .run = thread_ends_holding },
        { .name = "waits_under_signals", .run = waits_under_signals },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
