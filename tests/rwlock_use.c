/* rwlock_use.c: an rwlock as one process sees it: its states, whose it is, what it refuses, and that it lets readers
 * share and writers exclude.
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

struct guarded {
    brood_rwlock rwlock;
    long first, second; /* equal for everyone but a writer */
    atomic_int stage;
    atomic_int leave;
    atomic_int inside; /* readers */
};

static struct guarded *new_guarded(void)
{
    struct guarded *guarded = CHECK_POINTER(brood_alloc(sizeof *guarded));
    NEED(guarded != NULL);
    return guarded;
}

static void free_guarded(struct guarded *guarded)
{
    CHECK_RESULT(brood_rwlock_fini(&guarded->rwlock), 0);
    brood_free(guarded);
}

static const int timeouts[] = { 0, 1, 50, INT_MAX, BROOD_FOREVER };
#define TIMEOUTS (sizeof timeouts / sizeof *timeouts)

static void zeroed_is_free(void)
{
    struct guarded *guarded = new_guarded();
    brood_rwlock *rwlock = &guarded->rwlock;
    CHECK_EQ(brood_rwlock_holder(rwlock), 0);
    CHECK_EQ(brood_rwlock_readers(rwlock), 0);
    for (size_t i = 0; i < TIMEOUTS; i++) {
        CHECK_RESULT(brood_rwlock_acquire_write(rwlock, timeouts[i]), 0);
        CHECK_EQ(brood_rwlock_holder(rwlock), getpid());
        CHECK_EQ(brood_rwlock_readers(rwlock), 0);
        CHECK_RESULT(brood_rwlock_release(rwlock), 0);
        CHECK_EQ(brood_rwlock_holder(rwlock), 0);
        CHECK_RESULT(brood_rwlock_acquire_read(rwlock, timeouts[i]), 0);
        CHECK_EQ(brood_rwlock_holder(rwlock), 0);
        CHECK_EQ(brood_rwlock_readers(rwlock), 1);
        CHECK_RESULT(brood_rwlock_release(rwlock), 0);
        CHECK_EQ(brood_rwlock_readers(rwlock), 0);
    }
    for (int i = 0; i < 100000; i++) {
        NEED((i % 3 ? brood_rwlock_acquire_read : brood_rwlock_acquire_write)(rwlock, BROOD_FOREVER) == 0);
        NEED(brood_rwlock_release(rwlock) == 0);
    }
    free_guarded(guarded);
}

static void held_once(void)
{
    struct guarded *guarded = new_guarded();
    brood_rwlock *rwlock = &guarded->rwlock;
    for (int writes = 0; writes < 2; writes++) {
        CHECK_RESULT((writes ? brood_rwlock_acquire_write : brood_rwlock_acquire_read)(rwlock, 0), 0);
        for (size_t i = 0; i < TIMEOUTS; i++) {
            CHECK_RESULT(brood_rwlock_acquire_read(rwlock, timeouts[i]), -EDEADLK);
            CHECK_RESULT(brood_rwlock_acquire_write(rwlock, timeouts[i]), -EDEADLK);
        }
        CHECK_EQ(brood_rwlock_holder(rwlock), writes ? getpid() : 0);
        CHECK_EQ(brood_rwlock_readers(rwlock), !writes);
        CHECK_RESULT(brood_rwlock_release(rwlock), 0);
        CHECK_RESULT(brood_rwlock_release(rwlock), -EPERM);
    }
    free_guarded(guarded);
}

static void not_held(void)
{
    struct guarded *guarded = new_guarded();
    brood_rwlock *rwlock = &guarded->rwlock;
    CHECK_RESULT(brood_rwlock_release(rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_abandon(rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_abandon(rwlock), -EPERM); /* a reader has nothing to abandon */
    CHECK_EQ(brood_rwlock_readers(rwlock), 1);
    CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    CHECK_RESULT(brood_rwlock_release(rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_acquire_write(rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    CHECK_RESULT(brood_rwlock_release(rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_abandon(rwlock), -EPERM);
    /* holding others is not holding this one */
    struct guarded *other = new_guarded();
    CHECK_RESULT(brood_rwlock_acquire_read(&other->rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_release(rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_acquire_write(rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_release(&other->rwlock), 0);
    CHECK_RESULT(brood_rwlock_release(&other->rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    free_guarded(other);
    free_guarded(guarded);
}

/* What another thread finds while one reads, or writes. */
struct look {
    struct guarded *guarded;
    bool writes;
};

static void *meddle(void *arg)
{
    struct look *look = arg;
    brood_rwlock *rwlock = &look->guarded->rwlock;
    CHECK_RESULT(brood_rwlock_release(rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_abandon(rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_fini(rwlock), -EBUSY);
    CHECK_RESULT(brood_rwlock_init(rwlock, NULL), -EBUSY);
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, -2), -EINVAL);
    CHECK_RESULT(brood_rwlock_acquire_write(rwlock, -2), -EINVAL);
    CHECK_RESULT(brood_rwlock_acquire_write(rwlock, INT_MIN), -EINVAL);
    CHECK_RESULT(brood_rwlock_acquire_write(rwlock, 0), -ETIMEDOUT);
    long long start = now_ms();
    CHECK_RESULT(brood_rwlock_acquire_write(rwlock, 60), -ETIMEDOUT);
    CHECK(now_ms() - start >= 59);
    if (!look->writes) {
        CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), 0);
        CHECK_EQ(brood_rwlock_readers(rwlock), 2);
        CHECK_RESULT(brood_rwlock_release(rwlock), 0);
        CHECK_RESULT(brood_rwlock_release(rwlock), -EPERM);
        return NULL;
    }
    CHECK_EQ(brood_rwlock_holder(rwlock), getpid());
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "writes");
    start = now_ms();
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 60), -ETIMEDOUT);
    CHECK(now_ms() - start >= 59);
    return NULL;
}

/* It is a thread that holds, not the process. */
static void held_by_thread(void)
{
    struct guarded *guarded = new_guarded();
    for (int writes = 0; writes < 2; writes++) {
        struct look look = { guarded, writes };
        CHECK_RESULT((writes ? brood_rwlock_acquire_write : brood_rwlock_acquire_read)(&guarded->rwlock, 0), 0);
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, meddle, &look) == 0);
        pthread_join(thread, NULL);
        CHECK_RESULT(brood_rwlock_fini(&guarded->rwlock), -EBUSY);
        CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
    }
    free_guarded(guarded);
}

static void abandoned(void)
{
    struct guarded *guarded = new_guarded();
    brood_rwlock *rwlock = &guarded->rwlock;
    CHECK_RESULT(brood_rwlock_acquire_write(rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_abandon(rwlock), 0);
    for (int i = 0; i < 8; i++) { /* told until one says "mended": to read or to write, all become writers */
        CHECK_EQ(brood_rwlock_holder(rwlock), 0);
        int timeout = i & 2 ? 0 : BROOD_FOREVER;
        CHECK_RESULT((i & 1 ? brood_rwlock_acquire_write : brood_rwlock_acquire_read)(rwlock, timeout),
                     BROOD_INHERITED);
        CHECK(brood_error()[0] != '\0');
        CHECK_EQ(brood_rwlock_holder(rwlock), getpid());
        CHECK_EQ(brood_rwlock_readers(rwlock), 0);
        CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), -EDEADLK);
        CHECK_RESULT(brood_rwlock_abandon(rwlock), 0);
        CHECK_RESULT(brood_rwlock_abandon(rwlock), -EPERM);
        CHECK_RESULT(brood_rwlock_release(rwlock), -EPERM);
    }
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), BROOD_INHERITED);
    CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), 0);
    CHECK_EQ(brood_rwlock_readers(rwlock), 1);
    CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    CHECK_RESULT(brood_rwlock_acquire_write(rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_abandon(rwlock), 0);
    CHECK_RESULT(brood_rwlock_fini(rwlock), 0); /* the news is lost */
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    free_guarded(guarded);
}

static void check_no_rwlock(void *memory)
{
    brood_rwlock *rwlock = memory;
    CHECK_RESULT(brood_rwlock_init(rwlock, NULL), -EINVAL);
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), -EINVAL);
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, BROOD_FOREVER), -EINVAL);
    CHECK_RESULT(brood_rwlock_acquire_write(rwlock, 0), -EINVAL);
    CHECK_RESULT(brood_rwlock_release(rwlock), -EINVAL);
    CHECK_RESULT(brood_rwlock_abandon(rwlock), -EINVAL);
    CHECK_RESULT(brood_rwlock_holder(rwlock), -EINVAL);
    CHECK_RESULT(brood_rwlock_readers(rwlock), -EINVAL);
    if (rwlock != NULL)
        CHECK_RESULT(brood_rwlock_fini(rwlock), -EINVAL);
}

static void no_rwlocks(void)
{
    static brood_rwlock there;
    brood_rwlock here;
    memset(&here, 0, sizeof here);
    check_no_rwlock(NULL);
    check_no_rwlock(&here);
    check_no_rwlock(&there);
    CHECK_RESULT(brood_rwlock_fini(NULL), 0);
    unsigned char *memory = CHECK_POINTER(brood_alloc(256));
    for (int offset = 1; offset < 8; offset++)
        check_no_rwlock(memory + offset);
    for (int offset = 8; offset < 64; offset += 8) { /* 8 bytes of alignment are enough */
        brood_rwlock *rwlock = (brood_rwlock *)(void *)(memory + offset);
        CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), 0);
        CHECK_RESULT(brood_rwlock_release(rwlock), 0);
        CHECK_RESULT(brood_rwlock_acquire_write(rwlock, 0), 0);
        CHECK_RESULT(brood_rwlock_release(rwlock), 0);
        CHECK_RESULT(brood_rwlock_fini(rwlock), 0);
    }
    for (size_t i = 0; i < 256; i++)
        CHECK_EQ(memory[i], 0);
    memset(memory, 0xff, 256);
    check_no_rwlock(memory);
    uint32_t state = 77;
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < 64; i++)
            memory[i] = (unsigned char)(random_next(&state) >> 11 | 1);
        check_no_rwlock(memory);
    }
    /* another noun is none */
    memset(memory, 0, 256);
    brood_lock *lock = (brood_lock *)(void *)memory;
    CHECK_RESULT(brood_lock_acquire(lock, 0), 0);
    check_no_rwlock(memory);
    CHECK_RESULT(brood_lock_release(lock), 0);
    check_no_rwlock(memory);
    brood_free(memory);
}

static void before_init(void)
{
    static brood_rwlock there;
    check_no_rwlock(&there);
    CHECK_RESULT(brood_rwlock_fini(&there), -EINVAL);
    CHECK_HAS(brood_error(), "brood_init");
}

static void named(void)
{
    brood_heap_stats before, after;
    struct guarded *guarded = new_guarded();
    brood_rwlock *rwlock = &guarded->rwlock;
    CHECK_RESULT(brood_heap_stat(&before), 0);
    CHECK_RESULT(brood_rwlock_init(rwlock, &(brood_name_options){ .name = "atlas" }), 0);
    CHECK_RESULT(brood_rwlock_init(rwlock, NULL), -EBUSY);
    CHECK_RESULT(brood_rwlock_release(rwlock), -EPERM);
    CHECK_HAS(brood_error(), "rwlock 'atlas'");
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), -EDEADLK);
    CHECK_HAS(brood_error(), "rwlock 'atlas'");
    CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    CHECK_RESULT(brood_rwlock_fini(rwlock), 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks); /* name and seats are freed */
    CHECK_RESULT(brood_rwlock_init(rwlock, NULL), 0);
    CHECK_RESULT(brood_rwlock_init(rwlock, NULL), -EBUSY);
    CHECK_RESULT(brood_rwlock_fini(rwlock), 0);
    for (int i = 0; i < 4; i++) {
        brood_name_options options = { .name = "x" };
        options.reserved[i] = rwlock;
        CHECK_RESULT(brood_rwlock_init(rwlock, &options), -EINVAL);
    }
    CHECK_RESULT(brood_rwlock_acquire_write(rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    CHECK_RESULT(brood_rwlock_init(rwlock, NULL), -EBUSY); /* it has been used */
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks); /* writers need no seats */
    free_guarded(guarded);
}

static void no_memory(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    struct guarded *guarded = new_guarded(), *room = CHECK_POINTER(brood_alloc(1 << 16));
    brood_rwlock *rwlock = &guarded->rwlock;
    static const size_t size[] = { 1 << 16, 4096, 1024, 256, 64, 16 };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        while (brood_alloc(size[i]) != NULL)
            ;
    }
    CHECK_RESULT(brood_rwlock_init(rwlock, &(brood_name_options){ .name = "a name that needs memory" }), -ENOMEM);
    CHECK_RESULT(brood_rwlock_acquire_write(rwlock, 0), 0); /* it is the free one that it was */
    CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    for (size_t i = 0; i < TIMEOUTS; i++) {
        CHECK_RESULT(brood_rwlock_acquire_read(rwlock, timeouts[i]), -ENOMEM);
        CHECK_RESULT(brood_rwlock_release(rwlock), -EPERM);
        CHECK_EQ(brood_rwlock_readers(rwlock), 0);
        CHECK_RESULT(brood_rwlock_acquire_write(rwlock, 0), 0);
        CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    }
    brood_free(room);
    CHECK_RESULT(brood_rwlock_acquire_read(rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_release(rwlock), 0);
    CHECK_RESULT(brood_rwlock_fini(rwlock), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void at_most_1024(void)
{
    enum { LOCKS = 1024 };
    brood_rwlock *rwlocks = CHECK_POINTER(brood_alloc_array(LOCKS + 1, sizeof *rwlocks));
    for (int i = 0; i < LOCKS; i++)
        CHECK_RESULT((i % 2 ? brood_rwlock_acquire_read : brood_rwlock_acquire_write)(&rwlocks[i], 0), 0);
    CHECK_RESULT(brood_rwlock_acquire_read(&rwlocks[LOCKS], 0), -ENOLCK);
    CHECK_RESULT(brood_rwlock_acquire_write(&rwlocks[LOCKS], BROOD_FOREVER), -ENOLCK);
    CHECK_RESULT(brood_rwlock_acquire_read(&rwlocks[3], 0), -EDEADLK);
    CHECK_RESULT(brood_rwlock_acquire_write(&rwlocks[4], 0), -EDEADLK);
    CHECK_RESULT(brood_rwlock_release(&rwlocks[500]), 0);
    CHECK_RESULT(brood_rwlock_acquire_read(&rwlocks[LOCKS], 0), 0);
    CHECK_RESULT(brood_rwlock_acquire_read(&rwlocks[500], 0), -ENOLCK);
    CHECK_RESULT(brood_rwlock_release(&rwlocks[LOCKS]), 0);
    CHECK_RESULT(brood_rwlock_acquire_read(&rwlocks[500], 0), 0);
    for (int i = 0; i < LOCKS; i++) { /* not in the order they were taken */
        CHECK_RESULT(brood_rwlock_release(&rwlocks[i * 37 % LOCKS]), 0);
        CHECK_RESULT(brood_rwlock_fini(&rwlocks[i * 37 % LOCKS]), 0);
    }
    CHECK_RESULT(brood_rwlock_fini(&rwlocks[LOCKS]), 0);
    brood_free(rwlocks);
}

static void *read_and_stay(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, 0), 0); /* readers never keep each other out */
    atomic_fetch_add(&guarded->stage, 1);
    CHECK(wait_word(&guarded->leave, 1, 15000));
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
    return NULL;
}

/* Far more readers than the first block has seats for. */
static void many_readers(void)
{
    enum { READERS = 100 };
    brood_heap_stats before, after;
    struct guarded *guarded = new_guarded();
    CHECK_RESULT(brood_heap_stat(&before), 0);
    pthread_t threads[READERS];
    for (int round = 0; round < 3; round++) {
        atomic_store(&guarded->stage, 0);
        atomic_store(&guarded->leave, 0);
        for (int i = 0; i < READERS; i++)
            NEED(pthread_create(&threads[i], NULL, read_and_stay, guarded) == 0);
        CHECK(wait_word(&guarded->stage, READERS, 15000));
        CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), READERS);
        CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, 20), -ETIMEDOUT);
        CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), READERS);
        atomic_store(&guarded->leave, 1);
        CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, BROOD_FOREVER), 0);
        CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), 0);
        CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
        for (int i = 0; i < READERS; i++)
            pthread_join(threads[i], NULL);
    }
    CHECK_RESULT(brood_rwlock_fini(&guarded->rwlock), 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    brood_free(guarded);
}

static void *write_once(void *arg)
{
    struct guarded *guarded = arg;
    atomic_fetch_add(&guarded->stage, 1);
    CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, BROOD_FOREVER), 0);
    guarded->first++;
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
    return NULL;
}

static bool reader_is_kept_out(void *arg)
{
    struct guarded *guarded = arg;
    int result = brood_rwlock_acquire_read(&guarded->rwlock, 0);
    if (result == 0)
        CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
    return result == -ETIMEDOUT;
}

/* A writer that waits keeps new readers out: it is not starved by them. */
static void writer_before_new_readers(void)
{
    struct guarded *guarded = new_guarded();
    pthread_t reader, writer;
    NEED(pthread_create(&reader, NULL, read_and_stay, guarded) == 0);
    CHECK(wait_word(&guarded->stage, 1, 5000));
    NEED(pthread_create(&writer, NULL, write_once, guarded) == 0);
    CHECK(wait_until(reader_is_kept_out, guarded, 5000));
    CHECK_EQ(brood_rwlock_holder(&guarded->rwlock), 0); /* it only waits */
    CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_rwlock_fini(&guarded->rwlock), -EBUSY);
    CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), 1);
    atomic_store(&guarded->leave, 1);
    pthread_join(reader, NULL);
    pthread_join(writer, NULL);
    CHECK_EQ(guarded->first, 1);
    free_guarded(guarded);
}

/* A writer that gives up lets the readers in that it kept out. */
static void writer_gives_up(void)
{
    struct guarded *guarded = new_guarded();
    pthread_t reader;
    NEED(pthread_create(&reader, NULL, read_and_stay, guarded) == 0);
    CHECK(wait_word(&guarded->stage, 1, 5000));
    CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, 30), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "1 readers");
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, 0), 0);
    CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), 2);
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
    atomic_store(&guarded->leave, 1);
    pthread_join(reader, NULL);
    free_guarded(guarded);
}

static void *read_often(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 30000; i++) {
        if (!CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, BROOD_FOREVER), 0))
            return NULL;
        atomic_fetch_add(&guarded->inside, 1);
        NEED(guarded->first == guarded->second);
        atomic_fetch_sub(&guarded->inside, 1);
        NEED(brood_rwlock_release(&guarded->rwlock) == 0);
    }
    return NULL;
}

static void write_here(struct guarded *guarded)
{
    NEED(atomic_load(&guarded->inside) == 0);
    guarded->first++;
    atomic_signal_fence(memory_order_seq_cst);
    guarded->second++;
    NEED(brood_rwlock_release(&guarded->rwlock) == 0);
}

static void *write_often(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 10000; i++) {
        if (!CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, BROOD_FOREVER), 0))
            return NULL;
        write_here(guarded);
    }
    return NULL;
}

/* They must not take others' wakes with them when they give up. */
static void *write_impatiently(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 3000;) {
        int result = brood_rwlock_acquire_write(&guarded->rwlock, i % 3 == 0 ? 0 : 1);
        if (result == -ETIMEDOUT)
            continue;
        if (!CHECK_RESULT(result, 0))
            return NULL;
        write_here(guarded);
        i++;
    }
    return NULL;
}

static void excludes_threads(void)
{
    struct guarded *guarded = new_guarded();
    static void *(*const bodies[])(void *) = { read_often,  write_often,       read_often,
                                               write_often, write_impatiently, read_often };
    enum { THREADS = sizeof bodies / sizeof *bodies };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        NEED(pthread_create(&threads[i], NULL, bodies[i], guarded) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(guarded->first, 23000);
    CHECK_EQ(guarded->second, 23000);
    CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), 0);
    CHECK_EQ(brood_rwlock_holder(&guarded->rwlock), 0);
    free_guarded(guarded);
}

static void *try_to_read(void *arg)
{
    struct guarded *guarded = arg;
    atomic_fetch_add(&guarded->stage, 1);
    while (atomic_load(&guarded->leave) == 0)
        ;
    for (int i = 0; i < 200; i++) {
        if (!CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, 0), 0))
            return NULL;
        NEED(brood_rwlock_release(&guarded->rwlock) == 0);
    }
    return NULL;
}

/* With no writer about, a reader that only tries is never refused, not even while the first seats are made. */
static void readers_try_at_once(void)
{
    enum { READERS = 6 };
    for (int round = 0; round < harness_times(100); round++) {
        struct guarded *guarded = new_guarded();
        pthread_t threads[READERS];
        for (int i = 0; i < READERS; i++)
            NEED(pthread_create(&threads[i], NULL, try_to_read, guarded) == 0);
        CHECK(wait_word(&guarded->stage, READERS, 5000));
        atomic_store(&guarded->leave, 1);
        for (int i = 0; i < READERS; i++)
            pthread_join(threads[i], NULL);
        free_guarded(guarded);
    }
}

static void *take_and_end(void *arg)
{
    struct look *look = arg;
    brood_rwlock *rwlock = &look->guarded->rwlock;
    CHECK((look->writes ? brood_rwlock_acquire_write : brood_rwlock_acquire_read)(rwlock, BROOD_FOREVER) == 0);
    atomic_store(&look->guarded->stage, 1);
    return NULL;
}

/* A thread that ends with it in its hands has died holding it. */
static void thread_ends_holding(void)
{
    for (int i = 0; i < 20; i++) {
        struct guarded *guarded = new_guarded();
        struct look look = { guarded, i % 2 };
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, take_and_end, &look) == 0);
        CHECK(wait_word(&guarded->stage, 1, 5000));
        int told = look.writes ? BROOD_INHERITED : 0;
        CHECK_RESULT((i & 2 || !look.writes ? brood_rwlock_acquire_write : brood_rwlock_acquire_read)(&guarded->rwlock,
                                                                                                      BROOD_FOREVER),
                     told);
        CHECK_EQ(brood_rwlock_holder(&guarded->rwlock), getpid());
        pthread_join(thread, NULL);
        CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
        CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, 0), 0);
        CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
        free_guarded(guarded);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "zeroed_is_free", .run = zeroed_is_free },
        { .name = "held_once", .run = held_once },
        { .name = "not_held", .run = not_held },
        { .name = "held_by_thread", .run = held_by_thread },
        { .name = "abandoned", .run = abandoned },
        { .name = "no_rwlocks", .run = no_rwlocks },
        { .name = "before_init", .run = before_init, .no_init = true },
        { .name = "named", .run = named },
        { .name = "no_memory", .run = no_memory, .no_init = true },
        { .name = "at_most_1024", .run = at_most_1024 },
        { .name = "many_readers", .run = many_readers },
        { .name = "writer_before_new_readers", .run = writer_before_new_readers },
        { .name = "writer_gives_up", .run = writer_gives_up },
        { .name = "excludes_threads", .run = excludes_threads },
        { .name = "readers_try_at_once", .run = readers_try_at_once },
        { .name = "thread_ends_holding", .run = thread_ends_holding },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
