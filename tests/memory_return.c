/* memory_return.c: memory goes back to the system, and comes again: zeroed, accounted for, and without being paid for
 * each time. What the system has given is asked of the region's own descriptor.
 */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define MUCH ((sizeof(size_t) == 8 ? 512 : 256) * MIB) /* half of a region that can be had */

static brood_heap_stats stats_now(void)
{
    brood_heap_stats stats = { 0 };
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    CHECK(stats.used <= stats.held && stats.held <= stats.peak && stats.held <= stats.backed);
    return stats;
}

/* Bytes of the region that the system backs, its tables included. */
static size_t resident(void)
{
    for (int fd = 0; fd < 1024; fd++) {
        char path[64], target[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        struct stat file;
        if (readlink(path, target, sizeof target - 1) > 0 && strncmp(target, "/memfd:brood", 12) == 0 &&
            fstat(fd, &file) == 0)
            return (size_t)file.st_blocks * 512;
    }
    harness_skip("no /proc to find the region's descriptor in");
}

static void large_goes_back(void)
{
    size_t before = resident();
    unsigned char *block = CHECK_POINTER(brood_alloc(40 * MIB));
    CHECK(resident() >= before + 40 * MIB);
    CHECK(stats_now().backed >= 40 * MIB);
    memset(block, 1, 40 * MIB);
    brood_free(block);
    CHECK(resident() <= before + 8 * MIB);
    CHECK(stats_now().backed <= 8 * MIB);
    CHECK(stats_now().peak >= 40 * MIB);
    CHECK_RESULT(brood_heap_check(), 0);
    block = CHECK_POINTER(brood_alloc(40 * MIB));
    CHECK(is_all(block, 0, 40 * MIB));
    brood_free(block);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void small_go_back_too(void)
{
    enum { BLOCKS = 200000 };
    size_t before = resident();
    void **blocks = calloc(BLOCKS, sizeof *blocks);
    NEED(blocks != NULL);
    for (int i = 0; i < BLOCKS; i++)
        blocks[i] = CHECK_POINTER(brood_alloc(200));
    CHECK(resident() >= before + (size_t)BLOCKS * 200);
    for (int i = 0; i < BLOCKS; i++)
        brood_free(blocks[i]);
    CHECK(resident() <= before + 10 * MIB);
    CHECK_RESULT(brood_heap_check(), 0);
    free(blocks);
}

static void cut_goes_back(void)
{
    unsigned char *block = CHECK_POINTER(brood_alloc(30 * MIB));
    memset(block, 1, 30 * MIB);
    size_t before = resident();
    CHECK(brood_realloc(block, 2 * MIB) == block);
    CHECK(resident() <= before - 20 * MIB);
    CHECK(is_all(block, 1, 2 * MIB));
    CHECK(brood_realloc(block, 30 * MIB) == block);
    CHECK(is_all(block, 1, 2 * MIB) && is_all(block + 2 * MIB, 0, 28 * MIB));
    brood_free(block);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void trim(void)
{
    for (int round = 0; round < 3; round++) {
        void *blocks[300];
        for (size_t i = 0; i < 300; i++)
            memset(blocks[i] = CHECK_POINTER(brood_alloc(i * 100)), 1, i * 100);
        unsigned char *kept = CHECK_POINTER(brood_alloc(MIB));
        memset(kept, 3, MIB);
        for (size_t i = 0; i < 300; i++)
            brood_free(blocks[i]);
        CHECK_RESULT(brood_heap_trim(), 0);
        brood_heap_stats stats = stats_now();
        CHECK_EQ((long long)stats.backed, (long long)stats.held);
        CHECK_EQ((long long)stats.held, (long long)MIB);
        CHECK_RESULT(brood_heap_check(), 0);
        CHECK(is_all(kept, 3, MIB));
        brood_free(kept);
        CHECK_RESULT(brood_heap_trim(), 0);
        CHECK_EQ((long long)stats_now().backed, 0);
        for (size_t size = 16; size <= 4 * MIB; size *= 2) {
            void *block = CHECK_POINTER(brood_alloc(size));
            CHECK(is_all(block, 0, size));
            memset(block, 9, size);
            brood_free(block);
        }
    }
}

/* A few MiB that come and go stay with the heap: not a page is taken from the system again. */
static void loop_keeps_its_memory(void)
{
    brood_free(CHECK_POINTER(brood_alloc(MIB)));
    size_t before = resident();
    for (int i = 0; i < 200; i++) {
        unsigned char *block = CHECK_POINTER(brood_alloc(MIB));
        CHECK_EQ((long long)resident(), (long long)before);
        block[i] = 1;
        brood_free(block);
        CHECK_EQ((long long)resident(), (long long)before);
    }
}

/* More than that does too when the heap has learned that it comes again. */
static void loop_is_learned(void)
{
    size_t given_back = 0;
    for (int i = 0; i < 20; i++) {
        brood_free(CHECK_POINTER(brood_alloc(24 * MIB)));
        given_back = 24 * MIB - stats_now().backed;
    }
    CHECK(given_back < 4 * MIB);
    CHECK_RESULT(brood_heap_trim(), 0);
    CHECK_EQ((long long)stats_now().backed, 0);
    brood_free(CHECK_POINTER(brood_alloc(24 * MIB))); /* forgotten */
    CHECK(stats_now().backed <= 8 * MIB);
}

/* Nor does a look at the heap cost memory: of a large region that is hardly used nearly all stays a hole, its tables
 * included, whatever is asked of it. */
static void looking_costs_nothing(void)
{
    const size_t limit = 16 * 1024 * MIB; /* 0 where a size_t has 32 bits */
    if (limit == 0 || brood_init(&(brood_init_options){ .limit = limit }) < 0)
        harness_skip("no room for a large region");
    char *block = CHECK_POINTER(brood_alloc(100));
    size_t before = resident();
    CHECK_RESULT(brood_heap_check(), 0);
    stats_now();
    for (size_t off = MIB; off < limit - 64 * MIB; off += 16 * MIB) {
        CHECK_EQ((long long)brood_block_size(block + off), 0);
        CHECK_ERRNO(brood_free(block + off), EINVAL);
    }
    CHECK_NULL(brood_alloc_aligned(100 * 1024, HUGE_SIZE(46)), ENOMEM);
    CHECK_NULL(brood_alloc_aligned(100 * 1024, HUGE_SIZE(62)), ENOMEM);
    CHECK_NULL(brood_alloc(limit), ENOMEM);
    CHECK_RESULT(brood_heap_check(), 0);
    CHECK_EQ((long long)resident(), (long long)before);
    brood_free(block);
}

static void peak(void)
{
    CHECK_RESULT(brood_heap_trim(), 0);
    brood_heap_stats before = stats_now();
    void *first = CHECK_POINTER(brood_alloc(3 * MIB)), *second = CHECK_POINTER(brood_alloc(5 * MIB));
    CHECK_EQ((long long)stats_now().held, (long long)(before.held + 8 * MIB));
    brood_free(first);
    brood_free(second);
    CHECK_EQ((long long)stats_now().held, (long long)before.held);
    CHECK(stats_now().peak >= before.held + 8 * MIB);
    size_t most = stats_now().peak;
    brood_free(CHECK_POINTER(brood_alloc(MIB)));
    CHECK_EQ((long long)stats_now().peak, (long long)most);
}

static atomic_int trims_end;

static void *trim_on(void *arg)
{
    (void)arg;
    while (!atomic_load(&trims_end))
        CHECK_RESULT(brood_heap_trim(), 0);
    return NULL;
}

/* Blocks under trims: nobody's memory goes, nobody is refused. */
static void trim_among_others(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 64 * MIB }) == 0);
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, trim_on, NULL) == 0);
    uint32_t state = 1;
    unsigned char *blocks[16] = { NULL };
    size_t sizes[16] = { 0 };
    for (int step = 0; step < harness_times(3000); step++) {
        size_t i = random_next(&state) % 16;
        if (blocks[i] != NULL && !CHECK(is_all(blocks[i], (int)i + 1, sizes[i])))
            break;
        brood_free(blocks[i]);
        sizes[i] = random_next(&state) % (step % 4 == 0 ? 2 * MIB : 2 * KIB);
        blocks[i] = CHECK_POINTER(brood_alloc(sizes[i]));
        if (blocks[i] == NULL || !CHECK(is_all(blocks[i], 0, sizes[i])))
            break;
        memset(blocks[i], (int)i + 1, sizes[i]);
    }
    atomic_store(&trims_end, 1);
    pthread_join(thread, NULL);
    for (int i = 0; i < 16; i++)
        brood_free(blocks[i]);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* Another process sees zeroes where this one gave memory back. */
static int fill_and_free(void *arg)
{
    unsigned char **block = arg;
    CHECK(is_all(*block, 5, 8 * MIB));
    brood_free(*block);
    CHECK_RESULT(brood_heap_trim(), 0);
    *block = CHECK_POINTER(brood_alloc(8 * MIB));
    CHECK(is_all(*block, 0, 8 * MIB));
    memset(*block, 6, 8 * MIB);
    return 0;
}

static void given_back_by_another(void)
{
    unsigned char **block = CHECK_POINTER(brood_alloc(sizeof *block));
    static const brood_start starts[] = { BROOD_FORK, BROOD_SPAWN };
    for (int i = 0; i < 2; i++) {
        *block = CHECK_POINTER(brood_alloc(8 * MIB));
        memset(*block, 5, 8 * MIB);
        brood_end end;
        brood_process *process =
            brood_process_start(fill_and_free, block, 0, &(brood_process_options){ .start = starts[i] });
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK_RESULT(brood_process_close(process), 0);
        CHECK(is_all(*block, 6, 8 * MIB));
        brood_free(*block);
        CHECK_RESULT(brood_heap_check(), 0);
    }
    brood_free(block);
}

static int take_much(void *arg)
{
    for (;; brood_free_from(arg))
        brood_alloc_into(arg, MUCH);
    return 0;
}

static bool is_growing(void *before)
{
    return resident() >= *(size_t *)before + 8 * MIB;
}

/* A process killed while the system gives it memory: every page of that is found again. */
static void killed_growing(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 2 * MUCH }) == 0);
    void **place = CHECK_POINTER(brood_alloc(sizeof *place));
    brood_free(CHECK_POINTER(brood_alloc(MUCH))); /* the tables have grown */
    CHECK_RESULT(brood_heap_trim(), 0);
    size_t before = resident();
    for (int i = 0; i < 8; i++) {
        pid_t child = fork_child(take_much, place);
        CHECK(wait_until(is_growing, &before, 10000));
        kill_child(child);
        brood_free_from(place);
        CHECK_RESULT(brood_heap_trim(), 0);
        CHECK_EQ((long long)resident(), (long long)before);
        CHECK_RESULT(brood_heap_check(), 0);
    }
}

static int lock_and_free(void *arg)
{
    (void)arg;
    char *block = CHECK_POINTER(brood_alloc(40 * MIB));
    if (mlock(block + 20 * MIB, 4 * KIB) != 0)
        return 1;
    brood_free(block);
    CHECK_RESULT(brood_heap_check(), 0);
    block = CHECK_POINTER(brood_alloc(40 * MIB));
    CHECK(is_all(block, 0, 40 * MIB));
    memset(block, 7, 40 * MIB);
    brood_free(block);
    return 0;
}

/* Where a process has locked its memory the system takes nothing back from it, but from others it does. */
static void locked_by_another(void)
{
    if (harness_sanitized())
        harness_skip("a sanitizer's mlock locks nothing");
    int status = wait_child(fork_child(lock_and_free, NULL));
    if (status != 0)
        harness_skip("mlock is refused");
    unsigned char *block = CHECK_POINTER(brood_alloc(40 * MIB));
    CHECK(is_all(block, 0, 40 * MIB));
    brood_free(block);
    CHECK(stats_now().backed <= 24 * MIB); /* some is kept, since it was wanted again */
    CHECK_RESULT(brood_heap_trim(), 0);
    CHECK_EQ((long long)stats_now().backed, 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void too_early(void)
{
    brood_heap_share share;
    CHECK_RESULT(brood_heap_trim(), -EINVAL);
    CHECK_RESULT(brood_heap_label(&share, "x"), -EINVAL);
    CHECK_RESULT(brood_heap_shares(BROOD_BY_OWNER, &share, 1), -EINVAL);
    CHECK_NULL(brood_alloc_aligned(16, 16), EINVAL);
    CHECK_NULL(brood_realloc(&share, 16), EINVAL);
    CHECK_NULL(brood_realloc(NULL, 16), EINVAL);
    CHECK_EQ((long long)brood_block_size(&share), 0);
    CHECK_EQ(errno, EINVAL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "large_goes_back", .run = large_goes_back },
        { .name = "small_go_back_too", .run = small_go_back_too },
        { .name = "cut_goes_back", .run = cut_goes_back },
        { .name = "trim", .run = trim },
        { .name = "loop_keeps_its_memory", .run = loop_keeps_its_memory },
        { .name = "loop_is_learned", .run = loop_is_learned },
        { .name = "looking_costs_nothing", .run = looking_costs_nothing, .no_init = true },
        { .name = "peak", .run = peak },
        { .name = "trim_among_others", .run = trim_among_others, .no_init = true, .deadline_s = 60 },
        { .name = "given_back_by_another", .run = given_back_by_another },
        { .name = "killed_growing", .run = killed_growing, .no_init = true, .deadline_s = 60 },
        { .name = "locked_by_another", .run = locked_by_another },
        { .name = "too_early", .run = too_early, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
