/* semaphore_use.c: semaphores, plain and owned, as one process sees them: units, bounds, names, whose they are, what is
 * refused.
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
    brood_semaphore semaphore;
    brood_semaphore other;
    long count;
    atomic_int inside;
    atomic_int stage;
    atomic_int waiter; /* a thread's id */
    atomic_int done;
};

static struct guarded *new_guarded(void)
{
    struct guarded *guarded = CHECK_POINTER(brood_alloc(sizeof *guarded));
    NEED(guarded != NULL);
    return guarded;
}

static struct guarded *new_owned(int units)
{
    struct guarded *guarded = new_guarded();
    CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, units, &(brood_semaphore_options){ .owned = true }), 0);
    return guarded;
}

static void free_guarded(struct guarded *guarded)
{
    CHECK_RESULT(brood_semaphore_fini(&guarded->semaphore), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ((long long)guarded->semaphore.opaque[i], 0);
    brood_free(guarded);
}

static void zeroed_has_none(void)
{
    struct guarded *guarded = new_guarded();
    brood_semaphore *semaphore = &guarded->semaphore;
    CHECK_RESULT(brood_semaphore_units(semaphore), 0);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, 5), -ETIMEDOUT);
    for (int i = 0; i < 100; i++) {
        CHECK_RESULT(brood_semaphore_units(semaphore), i);
        CHECK_RESULT(brood_semaphore_release(semaphore), 0);
    }
    static const int timeouts[] = { 0, 1, 50, INT_MAX, BROOD_FOREVER };
    for (int i = 100; i > 0; i--) {
        CHECK_RESULT(brood_semaphore_units(semaphore), i);
        CHECK_RESULT(brood_semaphore_acquire(semaphore, timeouts[i % 5]), 0);
    }
    CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), -ETIMEDOUT);
    free_guarded(guarded);
}

static void bounded(void)
{
    struct guarded *guarded = new_guarded();
    brood_semaphore *semaphore = &guarded->semaphore;
    CHECK_RESULT(brood_semaphore_init(semaphore, 2, &(brood_semaphore_options){ .name = "seats", .max = 3 }), 0);
    CHECK_RESULT(brood_semaphore_units(semaphore), 2);
    CHECK_RESULT(brood_semaphore_release(semaphore), 0);
    CHECK_RESULT(brood_semaphore_release(semaphore), -EOVERFLOW);
    CHECK_HAS(brood_error(), "seats");
    CHECK_HAS(brood_error(), "3");
    CHECK_RESULT(brood_semaphore_units(semaphore), 3);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), 0);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "seats");
    free_guarded(guarded);
    guarded = new_guarded();
    CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, INT_MAX, NULL), 0);
    CHECK_RESULT(brood_semaphore_units(&guarded->semaphore), INT_MAX);
    CHECK_RESULT(brood_semaphore_release(&guarded->semaphore), -EOVERFLOW);
    CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, 0), 0);
    CHECK_RESULT(brood_semaphore_release(&guarded->semaphore), 0);
    free_guarded(guarded);
}

static void numbers_refused(void)
{
    struct guarded *guarded = new_guarded();
    brood_semaphore *semaphore = &guarded->semaphore;
    CHECK_RESULT(brood_semaphore_init(semaphore, -1, NULL), -EINVAL);
    CHECK_RESULT(brood_semaphore_init(semaphore, INT_MIN, NULL), -EINVAL);
    CHECK_RESULT(brood_semaphore_init(semaphore, 0, &(brood_semaphore_options){ .max = -1 }), -EINVAL);
    CHECK_RESULT(brood_semaphore_init(semaphore, 4, &(brood_semaphore_options){ .max = 3 }), -EINVAL);
    CHECK_RESULT(brood_semaphore_init(semaphore, 0, &(brood_semaphore_options){ .owned = true }), -EINVAL);
    CHECK_RESULT(brood_semaphore_init(semaphore, 4, &(brood_semaphore_options){ .owned = true, .max = 3 }), -EINVAL);
    for (int i = 0; i < 4; i++) {
        brood_semaphore_options options = { .name = "x" };
        options.reserved[i] = semaphore;
        CHECK_RESULT(brood_semaphore_init(semaphore, 1, &options), -EINVAL);
    }
    CHECK_RESULT(brood_semaphore_acquire(semaphore, -2), -EINVAL);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, INT_MIN), -EINVAL);
    free_guarded(guarded);
    guarded = new_guarded(); /* nothing of that made it one */
    CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, 3, &(brood_semaphore_options){ .max = 3 }), 0);
    free_guarded(guarded);
}

static void check_no_semaphore(void *memory)
{
    brood_semaphore *semaphore = memory;
    CHECK_RESULT(brood_semaphore_init(semaphore, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), -EINVAL);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, BROOD_FOREVER), -EINVAL);
    CHECK_RESULT(brood_semaphore_release(semaphore), -EINVAL);
    CHECK_RESULT(brood_semaphore_units(semaphore), -EINVAL);
    if (semaphore != NULL)
        CHECK_RESULT(brood_semaphore_fini(semaphore), -EINVAL);
}

static void no_semaphores(void)
{
    static brood_semaphore there;
    brood_semaphore here;
    memset(&here, 0, sizeof here);
    check_no_semaphore(NULL);
    check_no_semaphore(&here);
    check_no_semaphore(&there);
    CHECK_RESULT(brood_semaphore_fini(NULL), 0);
    unsigned char *memory = CHECK_POINTER(brood_alloc(256));
    for (int offset = 1; offset < 8; offset++)
        check_no_semaphore(memory + offset);
    for (int offset = 8; offset < 64; offset += 8) { /* 8 bytes of alignment are enough */
        brood_semaphore *semaphore = (brood_semaphore *)(void *)(memory + offset);
        for (int owned = 0; owned < 2; owned++) {
            CHECK_RESULT(brood_semaphore_init(semaphore, 1, &(brood_semaphore_options){ .owned = owned }), 0);
            CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), 0);
            CHECK_RESULT(brood_semaphore_release(semaphore), 0);
            CHECK_RESULT(brood_semaphore_fini(semaphore), 0);
        }
    }
    for (size_t i = 0; i < 256; i++)
        CHECK_EQ(memory[i], 0);
    memset(memory, 0xff, 256);
    check_no_semaphore(memory);
    memset(memory, 0x01, 256);
    check_no_semaphore(memory);
    brood_free(memory);
    brood_lock *lock = CHECK_POINTER(brood_alloc(sizeof *lock)); /* another noun is none either */
    CHECK_RESULT(brood_lock_acquire(lock, 0), 0);
    check_no_semaphore(lock);
    CHECK_RESULT(brood_lock_release(lock), 0);
    brood_free(lock);
}

static void before_init(void)
{
    brood_semaphore semaphore;
    memset(&semaphore, 0, sizeof semaphore);
    check_no_semaphore(&semaphore);
    CHECK_HAS(brood_error(), "brood_init");
}

static void name_it(bool owned)
{
    struct guarded *guarded = new_guarded();
    brood_semaphore *semaphore = &guarded->semaphore;
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_heap_stat(&before), 0);
    char name[] = "rooms";
    brood_semaphore_options options = { .name = name, .owned = owned };
    CHECK_RESULT(brood_semaphore_init(semaphore, 1, &options), 0);
    name[0] = 'x';
    CHECK_RESULT(brood_semaphore_init(semaphore, 1, NULL), -EBUSY);
    CHECK_RESULT(brood_semaphore_init(semaphore, 1, &options), -EBUSY);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), 0);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, 1), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "rooms");
    CHECK_RESULT(brood_semaphore_release(semaphore), 0);
    CHECK_RESULT(brood_semaphore_fini(semaphore), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ((long long)semaphore->opaque[i], 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    /* again: fini leaves what init needs */
    CHECK_RESULT(brood_semaphore_init(semaphore, 2, &options), 0);
    CHECK_RESULT(brood_semaphore_units(semaphore), 2);
    CHECK_RESULT(brood_semaphore_fini(semaphore), 0);
    CHECK_RESULT(brood_semaphore_fini(semaphore), 0);
    CHECK_RESULT(brood_semaphore_release(semaphore), 0);
    CHECK_RESULT(brood_semaphore_init(semaphore, 1, NULL), -EBUSY); /* used, so one already */
    free_guarded(guarded);
}

static void named(void)
{
    name_it(false);
    name_it(true);
}

static void no_room(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    struct guarded *guarded = new_guarded();
    CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, INT_MAX, &(brood_semaphore_options){ .owned = true }),
                 -ENOMEM);
    static const size_t size[] = { 1 << 16, 4096, 256, 64, 16 };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        while (brood_alloc(size[i]) != NULL)
            ;
    }
    brood_semaphore_options options = { .name = "a name that needs memory" };
    CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, 1, &options), -ENOMEM);
    CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, 1, &(brood_semaphore_options){ .owned = true }), -ENOMEM);
    CHECK_RESULT(brood_semaphore_units(&guarded->semaphore), 0); /* it is the zeroed memory that it was */
    CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, 1, NULL), 0);
    CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, 0), 0);
}

static void owned_units(void)
{
    for (int units = 1; units <= 300; units += units < 5 ? 1 : 59) {
        struct guarded *guarded = new_owned(units);
        brood_semaphore *semaphore = &guarded->semaphore;
        CHECK_RESULT(brood_semaphore_release(semaphore), -EPERM); /* there can be no more than there were */
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < units; i++) {
                CHECK_RESULT(brood_semaphore_units(semaphore), units - i);
                CHECK_RESULT(brood_semaphore_acquire(semaphore, i % 2 ? 0 : BROOD_FOREVER), 0);
            }
            CHECK_RESULT(brood_semaphore_units(semaphore), 0);
            CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), -ETIMEDOUT);
            CHECK_RESULT(brood_semaphore_acquire(semaphore, 3), -ETIMEDOUT);
            CHECK_RESULT(brood_semaphore_fini(semaphore), -EBUSY);
            for (int i = 0; i < units; i++)
                CHECK_RESULT(brood_semaphore_release(semaphore), 0);
            CHECK_RESULT(brood_semaphore_release(semaphore), -EPERM);
            CHECK_RESULT(brood_semaphore_units(semaphore), units);
        }
        free_guarded(guarded);
    }
}

static void *meddle(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_semaphore_release(&guarded->semaphore), -EPERM);
    CHECK_RESULT(brood_semaphore_fini(&guarded->semaphore), -EBUSY);
    CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, 0), -ETIMEDOUT);
    long long start = now_ms();
    CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, 60), -ETIMEDOUT);
    CHECK(now_ms() - start >= 59);
    CHECK(now_ms() - start < 5000);
    return NULL;
}

static void *give_one(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_semaphore_release(&guarded->semaphore), 0);
    return NULL;
}

/* An owned unit is a thread's; a plain one nobody's. */
static void held_by_thread(void)
{
    struct guarded *guarded = new_owned(1);
    CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, 0), 0);
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, meddle, guarded) == 0);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_semaphore_release(&guarded->semaphore), 0);
    free_guarded(guarded);
    guarded = new_guarded();
    NEED(pthread_create(&thread, NULL, give_one, guarded) == 0);
    CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, BROOD_FOREVER), 0);
    pthread_join(thread, NULL);
    free_guarded(guarded);
}

static void at_most_1024(void)
{
    enum { MOST = 1024 };
    struct guarded *guarded = new_owned(MOST + 1);
    brood_semaphore *semaphore = &guarded->semaphore;
    for (int i = 0; i < MOST; i++)
        CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), 0);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), -ENOLCK);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, BROOD_FOREVER), -ENOLCK);
    CHECK_RESULT(brood_semaphore_units(semaphore), 1);
    CHECK_RESULT(brood_semaphore_release(&guarded->other), 0); /* a plain one's units are no locks */
    CHECK_RESULT(brood_semaphore_acquire(&guarded->other, 0), 0);
    CHECK_RESULT(brood_semaphore_release(semaphore), 0);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), 0);
    for (int i = 0; i < MOST; i++)
        CHECK_RESULT(brood_semaphore_release(semaphore), 0);
    free_guarded(guarded);
}

static void *increment(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 20000; i++) {
        if (!CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, BROOD_FOREVER), 0))
            return NULL;
        guarded->count++;
        NEED(brood_semaphore_release(&guarded->semaphore) == 0);
    }
    return NULL;
}

static void *increment_with_timeouts(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 10000;) {
        int result = brood_semaphore_acquire(&guarded->semaphore, i % 3 == 0 ? 0 : 1);
        if (result == -ETIMEDOUT)
            continue;
        if (!CHECK_RESULT(result, 0))
            return NULL;
        guarded->count++;
        i++;
        NEED(brood_semaphore_release(&guarded->semaphore) == 0);
    }
    return NULL;
}

/* One unit excludes; those who give up take nobody's wake with them. */
static void exclude(bool owned)
{
    struct guarded *guarded = new_guarded();
    CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, 1, &(brood_semaphore_options){ .owned = owned }), 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&threads[i], NULL, i < 2 ? increment : increment_with_timeouts, guarded) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(guarded->count, 60000);
    CHECK_RESULT(brood_semaphore_units(&guarded->semaphore), 1);
    free_guarded(guarded);
}

static void excludes_threads(void)
{
    exclude(false);
}

static void excludes_threads_owned(void)
{
    exclude(true);
}

static void *enter(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 5000; i++) {
        if (!CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, BROOD_FOREVER), 0))
            return NULL;
        if (atomic_fetch_add(&guarded->inside, 1) >= 3)
            CHECK(!"more inside than there are units");
        for (int turns = i % 64; turns > 0; turns--)
            atomic_signal_fence(memory_order_seq_cst);
        atomic_fetch_sub(&guarded->inside, 1);
        NEED(brood_semaphore_release(&guarded->semaphore) == 0);
    }
    return NULL;
}

/* Three units let three in. */
static void admits_three(void)
{
    for (int owned = 0; owned < 2; owned++) {
        struct guarded *guarded = new_guarded();
        CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, 3, &(brood_semaphore_options){ .owned = owned }), 0);
        pthread_t threads[6];
        for (int i = 0; i < 6; i++)
            NEED(pthread_create(&threads[i], NULL, enter, guarded) == 0);
        for (int i = 0; i < 6; i++)
            pthread_join(threads[i], NULL);
        CHECK_RESULT(brood_semaphore_units(&guarded->semaphore), 3);
        free_guarded(guarded);
    }
}

static void *answer(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 3000; i++) {
        if (!CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, BROOD_FOREVER), 0))
            return NULL;
        guarded->count++;
        NEED(brood_semaphore_release(&guarded->other) == 0);
    }
    return NULL;
}

/* What was done before a unit was given is seen by who takes it. */
static void signals(void)
{
    struct guarded *guarded = new_guarded();
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, answer, guarded) == 0);
    for (int i = 0; i < 3000; i++) {
        guarded->count++;
        NEED(brood_semaphore_release(&guarded->semaphore) == 0);
        if (!CHECK_RESULT(brood_semaphore_acquire(&guarded->other, BROOD_FOREVER), 0))
            break;
        NEED(guarded->count == 2 * (i + 1));
    }
    pthread_join(thread, NULL);
    free_guarded(guarded);
}

static void *take_and_end(void *arg)
{
    struct guarded *guarded = arg;
    CHECK(brood_semaphore_acquire(&guarded->semaphore, BROOD_FOREVER) >= 0);
    atomic_store(&guarded->stage, 1);
    pass_us(guarded->count);
    return NULL;
}

/* A thread that ends with a unit in its hands has died holding it; of a plain one that is nobody's matter. */
static void thread_ends_holding(void)
{
    for (int i = 0; i < 20; i++) {
        struct guarded *guarded = new_owned(1);
        guarded->count = i * 300;
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, take_and_end, guarded) == 0);
        CHECK(wait_word(&guarded->stage, 1, 5000));
        CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, BROOD_FOREVER), BROOD_INHERITED);
        CHECK(brood_error()[0] != '\0');
        pthread_join(thread, NULL);
        CHECK_RESULT(brood_semaphore_release(&guarded->semaphore), 0);
        CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, 0), 0);
        CHECK_RESULT(brood_semaphore_release(&guarded->semaphore), 0);
        free_guarded(guarded);
        guarded = new_guarded();
        CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, 1, NULL), 0);
        NEED(pthread_create(&thread, NULL, take_and_end, guarded) == 0);
        pthread_join(thread, NULL);
        CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, 0), -ETIMEDOUT);
        free_guarded(guarded);
    }
}

static void *wait_in_line(void *arg)
{
    struct guarded *guarded = arg;
    atomic_store(&guarded->waiter, gettid());
    CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, BROOD_FOREVER), 0);
    atomic_fetch_add(&guarded->done, 1);
    CHECK_RESULT(brood_semaphore_release(&guarded->semaphore), 0);
    return NULL;
}

static bool is_asleep(void *waiter)
{
    int id = atomic_load((atomic_int *)waiter);
    return id != 0 && process_state(id) == 'S';
}

/* Its end is refused while somebody sleeps for a unit, and the refusal disturbs nobody. */
static void waited_for(void)
{
    for (int owned = 0; owned < 2; owned++) {
        struct guarded *guarded = new_guarded();
        CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, 1, &(brood_semaphore_options){ .owned = owned }), 0);
        CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, 0), 0);
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) {
            atomic_store(&guarded->waiter, 0);
            NEED(pthread_create(&threads[i], NULL, wait_in_line, guarded) == 0);
            CHECK(wait_until(is_asleep, &guarded->waiter, 5000));
            for (int again = 0; again < 3; again++)
                CHECK_RESULT(brood_semaphore_fini(&guarded->semaphore), -EBUSY);
            CHECK(wait_until(is_asleep, &guarded->waiter, 5000));
        }
        CHECK_EQ(atomic_load(&guarded->done), 0);
        CHECK_RESULT(brood_semaphore_release(&guarded->semaphore), 0);
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        CHECK_EQ(atomic_load(&guarded->done), 3);
        free_guarded(guarded);
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
    CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, 150), -ETIMEDOUT);
    CHECK(now_ms() - start >= 149);
    atomic_store(&guarded->done, 1);
    return NULL;
}

static void waits_under_signals(void)
{
    struct sigaction action = { .sa_handler = ignore };
    sigaction(SIGUSR1, &action, NULL);
    for (int owned = 0; owned < 2; owned++) {
        struct guarded *guarded = new_guarded();
        CHECK_RESULT(brood_semaphore_init(&guarded->semaphore, 1, &(brood_semaphore_options){ .owned = owned }), 0);
        CHECK_RESULT(brood_semaphore_acquire(&guarded->semaphore, 0), 0);
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, wait_and_time_out, guarded) == 0);
        CHECK(wait_word(&guarded->stage, 1, 5000));
        while (atomic_load(&guarded->done) == 0) {
            pass_us(5000);
            pthread_kill(thread, SIGUSR1);
        }
        pthread_join(thread, NULL);
        CHECK_RESULT(brood_semaphore_release(&guarded->semaphore), 0);
        free_guarded(guarded);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "zeroed_has_none", .run = zeroed_has_none },
        { .name = "bounded", .run = bounded },
        { .name = "numbers_refused", .run = numbers_refused },
        { .name = "no_semaphores", .run = no_semaphores },
        { .name = "before_init", .run = before_init, .no_init = true },
        { .name = "named", .run = named },
        { .name = "no_room", .run = no_room, .no_init = true },
        { .name = "owned_units", .run = owned_units },
        { .name = "held_by_thread", .run = held_by_thread },
        { .name = "at_most_1024", .run = at_most_1024 },
        { .name = "excludes_threads", .run = excludes_threads },
        { .name = "excludes_threads_owned", .run = excludes_threads_owned },
        { .name = "admits_three", .run = admits_three },
        { .name = "signals", .run = signals },
        { .name = "thread_ends_holding", .run = thread_ends_holding },
        { .name = "waited_for", .run = waited_for },
        { .name = "waits_under_signals", .run = waits_under_signals },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
