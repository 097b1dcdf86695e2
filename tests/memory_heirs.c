/* memory_heirs.c: who hears of a death may move what the dead one was about to free: whatever call it was that told,
 * the block is not handed out again.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PAGE = 4096, BYTES = 100, BLOCKS = 400, FILL = 7 };

/* In the region. `place` has a page of its own, which a victim makes read only: it dies as it sets the pointer. */
struct ground {
    brood_lock lock;
    brood_rwlock rwlock;
    void *other;
    char before[2 * PAGE];
    void *place;
    char after[2 * PAGE];
};

static struct ground *ground;

static void new_ground(void)
{
    ground = CHECK_POINTER(brood_alloc(sizeof *ground));
    NEED(ground != NULL);
    memset(CHECK_POINTER(brood_alloc_into(&ground->place, BYTES)), FILL, BYTES);
}

static void die_freeing(void)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    void *page = (void *)((uintptr_t)&ground->place & ~(uintptr_t)(PAGE - 1));
    NEED(mprotect(page, PAGE, PROT_READ) == 0);
    brood_free_from(&ground->place);
}

static int die_reading(void *arg)
{
    (void)arg;
    NEED(brood_rwlock_acquire_read(&ground->rwlock, BROOD_FOREVER) == 0);
    die_freeing();
    return 0;
}

static int die_holding(void *arg)
{
    (void)arg;
    NEED(brood_lock_acquire(&ground->lock, BROOD_FOREVER) == 0);
    die_freeing();
    return 0;
}

/* The heir moves the pointer, as is its right, and then blocks are allocated: none of them is the one that lives. */
static void check_moved(void)
{
    ground->other = ground->place;
    ground->place = NULL;
    NEED(ground->other != NULL);
    for (int i = 0; i < BLOCKS; i++)
        CHECK(brood_alloc(BYTES) != ground->other);
    for (int i = 0; i < BYTES; i++)
        CHECK_EQ(((char *)ground->other)[i], FILL);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void told_by_lock(void)
{
    new_ground();
    CHECK_EQ(wait_child(fork_child(die_holding, NULL)), SIGSEGV);
    CHECK_RESULT(brood_lock_acquire(&ground->lock, 0), BROOD_INHERITED);
    check_moved();
}

static void told_by_the_end_of_a_lock(void)
{
    new_ground();
    CHECK_EQ(wait_child(fork_child(die_holding, NULL)), SIGSEGV);
    CHECK_RESULT(brood_lock_fini(&ground->lock), 0);
    check_moved();
}

static void told_by_a_readers_seat(void)
{
    new_ground();
    CHECK_EQ(wait_child(fork_child(die_reading, NULL)), SIGSEGV);
    for (int i = 0; i < 2; i++) { /* a reader in the dead one's seat, then a writer */
        CHECK_RESULT(brood_rwlock_acquire_read(&ground->rwlock, 0), 0);
        CHECK_RESULT(brood_rwlock_release(&ground->rwlock), 0);
    }
    CHECK_RESULT(brood_rwlock_acquire_write(&ground->rwlock, 0), 0);
    check_moved();
    CHECK_RESULT(brood_rwlock_release(&ground->rwlock), 0);
}

static int read_on(void *arg)
{
    atomic_int *ready = arg;
    NEED(brood_rwlock_acquire_read(&ground->rwlock, BROOD_FOREVER) == 0);
    *ready = 1;
    while (pause())
        continue;
    return 0;
}

/* A writer that passes the dead one's seat, and gives up at another's. */
static void told_by_a_writer_in_vain(void)
{
    new_ground();
    atomic_int *ready = CHECK_POINTER(brood_alloc(sizeof *ready));
    CHECK_EQ(wait_child(fork_child(die_reading, NULL)), SIGSEGV);
    pid_t reader = fork_child(read_on, ready);
    NEED(wait_word(ready, 1, 5000));
    CHECK_RESULT(brood_rwlock_acquire_write(&ground->rwlock, 10), -ETIMEDOUT);
    CHECK_EQ(kill_child(reader), SIGKILL);
    CHECK_RESULT(brood_rwlock_acquire_write(&ground->rwlock, 5000), 0);
    check_moved();
    CHECK_RESULT(brood_rwlock_release(&ground->rwlock), 0);
}

static void told_by_the_end_of_an_rwlock(void)
{
    new_ground();
    CHECK_EQ(wait_child(fork_child(die_reading, NULL)), SIGSEGV);
    CHECK_RESULT(brood_rwlock_fini(&ground->rwlock), 0);
    check_moved();
}

static void told_by_an_owned_unit(void)
{
    new_ground();
    brood_semaphore *semaphore = CHECK_POINTER(brood_alloc(sizeof *semaphore));
    NEED(brood_semaphore_init(semaphore, 1, &(brood_semaphore_options){ .owned = true }) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        NEED(brood_semaphore_acquire(semaphore, 0) == 0);
        die_freeing();
        _exit(0);
    }
    CHECK_EQ(wait_child(pid), SIGSEGV);
    CHECK_RESULT(brood_semaphore_acquire(semaphore, 0), BROOD_INHERITED);
    check_moved();
    CHECK_RESULT(brood_semaphore_release(semaphore), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "told_by_lock", .run = told_by_lock },
        { .name = "told_by_the_end_of_a_lock", .run = told_by_the_end_of_a_lock },
        { .name = "told_by_a_readers_seat", .run = told_by_a_readers_seat },
        { .name = "told_by_a_writer_in_vain", .run = told_by_a_writer_in_vain },
        { .name = "told_by_the_end_of_an_rwlock", .run = told_by_the_end_of_an_rwlock },
        { .name = "told_by_an_owned_unit", .run = told_by_an_owned_unit },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
