/* memory_block.c: blocks as one process sees them: zeroed, aligned, apart from each other, counted, and refused when
 * there is no room; and the heap's patience with what is no block.
 */
#include "harness.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static brood_heap_stats stats_now(void)
{
    brood_heap_stats stats;
    memset(&stats, 0x77, sizeof stats);
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    CHECK(stats.used <= stats.backed && stats.backed <= stats.limit);
    return stats;
}

/* Sizes around which size classes, pages and chunks may have their borders: each power of two, its quarters and its
 * eighths, one less and one more. */
static size_t border_sizes(size_t *sizes, size_t room)
{
    size_t count = 0;
    for (size_t size = 0; size <= 300; size++)
        sizes[count++] = size;
    for (size_t power = 256; power <= 2 * MIB; power *= 2) {
        for (size_t part = 8; part < 16; part++) {
            size_t size = power / 8 * part;
            for (int i = -1; i <= 1; i++) {
                NEED(count < room);
                sizes[count++] = size + (size_t)i;
            }
        }
    }
    return count;
}

static void sizes(void)
{
    enum { ROOM = 1000 };
    static size_t size[ROOM];
    static unsigned char *block[ROOM];
    size_t count = border_sizes(size, ROOM);
    brood_heap_stats before = stats_now();
    for (int round = 0; round < 2; round++) { /* the second time the blocks come from what the first gave back */
        size_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            block[i] = brood_alloc(size[i]);
            NEED(block[i] != NULL);
            CHECK_EQ((uintptr_t)block[i] % 16, 0);
            CHECK_EQ(brood_contains(block[i]), 1);
            CHECK_EQ(brood_contains(block[i] + (size[i] > 0 ? size[i] - 1 : 0)), 1);
            if (!CHECK(is_all(block[i], 0, size[i])))
                CHECK_EQ((long long)size[i], -1);
            memset(block[i], (int)(i % 255) + 1, size[i]);
            sum += size[i];
        }
        CHECK_RESULT(brood_heap_check(), 0);
        brood_heap_stats during = stats_now();
        CHECK_EQ((long long)during.blocks, (long long)(before.blocks + count));
        CHECK(during.used >= before.used + sum);
        for (size_t i = 0; i < count; i++) {
            if (!CHECK(is_all(block[i], (int)(i % 255) + 1, size[i])))
                CHECK_EQ((long long)size[i], -1);
            brood_free(block[i]);
        }
        CHECK_RESULT(brood_heap_check(), 0);
        brood_heap_stats after = stats_now();
        CHECK_EQ((long long)after.blocks, (long long)before.blocks);
        CHECK_EQ((long long)after.used, (long long)before.used);
    }
}

static void empty_blocks(void)
{
    enum { BLOCKS = 100 };
    char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = CHECK_POINTER(brood_alloc(0));
        for (int j = 0; j < i; j++)
            CHECK(blocks[i] != blocks[j]);
    }
    for (int i = 0; i < BLOCKS; i++)
        CHECK_ERRNO(brood_free(blocks[i]), 0);
    CHECK_ERRNO(brood_free(NULL), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void arrays(void)
{
    char *array = CHECK_POINTER(brood_alloc_array(1000, 24));
    CHECK(is_all(array, 0, 24000));
    memset(array, 1, 24000);
    brood_free(array);
    brood_free(CHECK_POINTER(brood_alloc_array(0, 8)));
    brood_free(CHECK_POINTER(brood_alloc_array(8, 0)));
    CHECK_NULL(brood_alloc_array(SIZE_MAX, 2), ENOMEM);
    CHECK_NULL(brood_alloc_array(SIZE_MAX / 2 + 1, 2), ENOMEM);
    CHECK_NULL(brood_alloc_array(HUGE_SIZE(32), HUGE_SIZE(32)), ENOMEM);
    CHECK_NULL(brood_alloc_array(1, SIZE_MAX), ENOMEM);
    for (size_t i = 0; i < 40; i++) /* what rounding up could wrap */
        CHECK_NULL(brood_alloc(SIZE_MAX - i * i * i), ENOMEM);
    for (int i = sizeof(size_t) == 8 ? 40 : 29; i < (int)sizeof(size_t) * 8; i++)
        CHECK_NULL(brood_alloc((size_t)1 << i), ENOMEM);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void strings(void)
{
    char *copy = CHECK_POINTER(brood_strdup("a text"));
    CHECK_STR(copy, "a text");
    CHECK_EQ(brood_contains(copy), 1);
    brood_free(copy);
    copy = CHECK_POINTER(brood_strdup(""));
    CHECK_STR(copy, "");
    brood_free(copy);
    char *text = malloc(MIB);
    NEED(text != NULL);
    memset(text, 'x', MIB - 1);
    text[MIB - 1] = '\0';
    copy = CHECK_POINTER(brood_strdup(text));
    CHECK_STR(copy, text);
    brood_free(copy);
    free(text);
    CHECK_NULL(brood_strdup(NULL), EINVAL);
}

static void contains(void)
{
    int here = 0;
    static int there;
    void *block = CHECK_POINTER(brood_alloc(10));
    void *heap = malloc(10);
    CHECK_EQ(brood_contains(block), 1);
    CHECK_EQ(brood_contains(&here), 0);
    CHECK_EQ(brood_contains(&there), 0);
    CHECK_EQ(brood_contains(heap), 0);
    CHECK_EQ(brood_contains(NULL), 0);
    CHECK_EQ(brood_contains((void *)UINTPTR_MAX), 0);
    brood_free(block);
    free(heap);
}

/* `pointer` is none that may be freed: the call says so, and nothing has changed. */
static void check_refused(void *pointer)
{
    brood_heap_stats before = stats_now();
    CHECK_ERRNO(brood_free(pointer), EINVAL);
    brood_heap_stats after = stats_now();
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    CHECK_EQ((long long)after.used, (long long)before.used);
}

static void wrong_frees(void)
{
    static int there;
    int here = 0;
    void *heap = malloc(64);
    check_refused(&here);
    check_refused(&there);
    check_refused(heap);
    check_refused((void *)16);
    check_refused((void *)UINTPTR_MAX);
    free(heap);
    static const size_t size[] = { 0, 1, 16, 48, 100, 1000, 5000, 32 * KIB, 33 * KIB, 70 * KIB, MIB, 5 * MIB };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        unsigned char *block = CHECK_POINTER(brood_alloc(size[i]));
        memset(block, 0xa5, size[i]);
        for (size_t offset = 1; offset < size[i]; offset += 1 + offset / 8 * 3)
            check_refused(block + offset);
        for (size_t offset = 16; offset < size[i]; offset = offset * 2)
            check_refused(block + offset);
        CHECK(is_all(block, 0xa5, size[i]));
        CHECK_ERRNO(brood_free(block), 0);
        check_refused(block);
        check_refused(block + 16);
        CHECK_RESULT(brood_heap_check(), 0);
        /* neighbours of freed ones, and a second free of one whose neighbours live */
        unsigned char *three[3];
        for (int j = 0; j < 3; j++)
            three[j] = CHECK_POINTER(brood_alloc(size[i]));
        CHECK_ERRNO(brood_free(three[1]), 0);
        check_refused(three[1]);
        CHECK_ERRNO(brood_free(three[0]), 0);
        CHECK_ERRNO(brood_free(three[2]), 0);
        for (int j = 0; j < 3; j++)
            check_refused(three[j]);
        CHECK_RESULT(brood_heap_check(), 0);
    }
}

/* brood's own tables are no blocks: every 64 KiB of the region, from its first byte on, must be refused. */
static void wrong_frees_of_tables(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 16 * MIB }) == 0);
    unsigned char *block = CHECK_POINTER(brood_alloc(100));
    unsigned char *first = (unsigned char *)((uintptr_t)block & ~(uintptr_t)65535);
    while (brood_contains(first - 65536))
        first -= 65536;
    for (unsigned char *place = first; brood_contains(place); place += 4096) {
        if (place != block)
            check_refused(place);
    }
    CHECK_RESULT(brood_heap_check(), 0);
    brood_free(block);
}

static void wrong_arguments(void)
{
    CHECK_RESULT(brood_heap_stat(NULL), -EINVAL);
}

/* Fills the region with blocks of one size, gives every second back, takes them again, gives all back. */
static void fill_up(size_t size, size_t limit)
{
    size_t room = limit / (size < 16 ? 16 : size) + 1;
    unsigned char **blocks = calloc(room, sizeof *blocks);
    NEED(blocks != NULL);
    brood_heap_stats before = stats_now();
    size_t count = 0;
    errno = 0;
    while (count < room && (blocks[count] = brood_alloc(size)) != NULL) {
        blocks[count][0] = 1;
        blocks[count][size - 1] = 1;
        count++;
    }
    CHECK(count < room);
    CHECK_EQ(errno, ENOMEM);
    CHECK_NULL(brood_alloc(size), ENOMEM);
    CHECK(brood_error()[0] != '\0');
    CHECK(count * size >= limit / 2);
    CHECK_RESULT(brood_heap_check(), 0);
    CHECK_EQ((long long)stats_now().blocks, (long long)(before.blocks + count));
    size_t freed = 0;
    for (size_t i = 0; i < count; i += 2, freed++)
        brood_free(blocks[i]);
    CHECK_RESULT(brood_heap_check(), 0);
    for (size_t i = 0; i < count; i += 2) {
        blocks[i] = brood_alloc(size);
        NEED(blocks[i] != NULL);
        CHECK(blocks[i][0] == 0 && blocks[i][size - 1] == 0);
    }
    for (size_t i = 0; i < count; i++)
        brood_free(blocks[i]);
    free(blocks);
    CHECK_RESULT(brood_heap_check(), 0);
    brood_heap_stats after = stats_now();
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    CHECK_EQ((long long)after.used, (long long)before.used);
}

/* The region is usable to at least its half with blocks of any one size, and as often as one likes: what was of one
 * size can be of another afterwards. */
static void limit_reached(void)
{
    size_t limit = 16 * MIB;
    NEED(brood_init(&(brood_init_options){ .limit = limit }) == 0);
    static const size_t size[] = { 16, 100, 1000, 10000, 32 * KIB, 40 * KIB, 64 * KIB, 100 * KIB, MIB, 4 * MIB, 16 };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
        fill_up(size[i], limit);
    CHECK_NULL(brood_alloc(limit), ENOMEM);
    CHECK_NULL(brood_strdup(NULL), EINVAL);
}

static void least_limit(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = MIB }) == 0);
    size_t count = 0;
    void *first = NULL;
    for (void *block = brood_alloc(64); block != NULL; block = brood_alloc(64)) {
        first = first != NULL ? first : block;
        count++;
    }
    CHECK_EQ(errno, ENOMEM);
    CHECK(count >= 100);
    CHECK_RESULT(brood_heap_check(), 0);
    brood_free(first);
    brood_free(CHECK_POINTER(brood_alloc(64)));
    CHECK_NULL(brood_alloc(512 * KIB), ENOMEM);
    CHECK_RESULT(brood_heap_check(), 0);
}

struct churn {
    unsigned seed;
    int steps;
    size_t most;
};

/* Takes and gives back at random, checking that each block still holds what was stored in it. */
static void *churn(void *arg)
{
    enum { BLOCKS = 256 };
    const struct churn *churn = arg;
    unsigned char *blocks[BLOCKS] = { NULL };
    size_t sizes_of[BLOCKS] = { 0 };
    uint32_t state = churn->seed;
    for (int step = 0; step < churn->steps; step++) {
        size_t i = random_next(&state) % BLOCKS;
        if (blocks[i] != NULL) {
            if (!CHECK(is_all(blocks[i], (int)(i + churn->seed) % 256, sizes_of[i])))
                return NULL;
            brood_free(blocks[i]);
            blocks[i] = NULL;
            continue;
        }
        /* small ones often, large ones seldom */
        size_t most = churn->most >> random_next(&state) % 16;
        size_t size = random_next(&state) % (most + 1);
        blocks[i] = CHECK_POINTER(brood_alloc(size));
        if (blocks[i] == NULL || !CHECK(is_all(blocks[i], 0, size)))
            return NULL;
        memset(blocks[i], (int)(i + churn->seed) % 256, size);
        sizes_of[i] = size;
    }
    for (size_t i = 0; i < BLOCKS; i++)
        brood_free(blocks[i]);
    return NULL;
}

static void churn_alone(void)
{
    brood_heap_stats before = stats_now();
    for (unsigned seed = 1; seed <= 10; seed++) {
        churn(&(struct churn){ seed, harness_times(10000), MIB });
        CHECK_RESULT(brood_heap_check(), 0);
        CHECK_EQ((long long)stats_now().used, (long long)before.used);
    }
}

static void churn_in_threads(void)
{
    enum { THREADS = 4 };
    brood_heap_stats before = stats_now();
    pthread_t threads[THREADS];
    struct churn churns[THREADS];
    for (int round = 0; round < 5; round++) {
        for (unsigned i = 0; i < THREADS; i++) {
            churns[i] = (struct churn){ 100 + i, harness_times(10000), 256 * KIB };
            NEED(pthread_create(&threads[i], NULL, churn, &churns[i]) == 0);
        }
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
        CHECK_RESULT(brood_heap_check(), 0);
        CHECK_EQ((long long)stats_now().blocks, (long long)before.blocks);
    }
}

static void *free_all(void *arg)
{
    void **blocks = arg;
    for (int i = 0; i < 1000; i++)
        brood_free(blocks[i]);
    return NULL;
}

/* Blocks of a thread that has ended, freed by another; and by many, none of which took them. */
static void freed_by_thread(void)
{
    brood_heap_stats before = stats_now();
    static void *blocks[4][1000];
    pthread_t threads[4];
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 4000; i++)
            blocks[i / 1000][i % 1000] = CHECK_POINTER(brood_alloc((size_t)(i % 300)));
        for (int i = 0; i < 4; i++)
            NEED(pthread_create(&threads[i], NULL, free_all, blocks[i]) == 0);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        CHECK_RESULT(brood_heap_check(), 0);
        CHECK_EQ((long long)stats_now().blocks, (long long)before.blocks);
    }
}

/* Many threads that come and go must not cost memory each, but at most each processor. */
static void threads_come_and_go(void)
{
    churn(&(struct churn){ 1, 1000, KIB });
    brood_heap_stats before = stats_now();
    size_t backed = 0;
    for (unsigned i = 1; i <= 300; i++) {
        pthread_t thread;
        struct churn one = { i, 300, KIB };
        NEED(pthread_create(&thread, NULL, churn, &one) == 0);
        pthread_join(thread, NULL);
        if (i == 30)
            backed = stats_now().backed;
    }
    brood_heap_stats after = stats_now();
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    CHECK(after.backed <= backed + (2 + (size_t)sysconf(_SC_NPROCESSORS_ONLN)) * MIB);
    CHECK_RESULT(brood_heap_check(), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "sizes", .run = sizes },
        { .name = "empty_blocks", .run = empty_blocks },
        { .name = "arrays", .run = arrays },
        { .name = "strings", .run = strings },
        { .name = "contains", .run = contains },
        { .name = "wrong_frees", .run = wrong_frees },
        { .name = "wrong_frees_of_tables", .run = wrong_frees_of_tables, .no_init = true },
        { .name = "wrong_arguments", .run = wrong_arguments },
        { .name = "limit_reached", .run = limit_reached, .no_init = true },
        { .name = "least_limit", .run = least_limit, .no_init = true },
        { .name = "churn_alone", .run = churn_alone },
        { .name = "churn_in_threads", .run = churn_in_threads },
        { .name = "freed_by_thread", .run = freed_by_thread },
        { .name = "threads_come_and_go", .run = threads_come_and_go },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
