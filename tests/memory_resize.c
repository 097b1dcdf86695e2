/* memory_resize.c: blocks of a given alignment, blocks that change their size, and how large a block is.
 */
#include "harness.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static brood_heap_stats stats_now(void)
{
    brood_heap_stats stats = { 0 };
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    return stats;
}

static const size_t some_sizes[] = { 0,        1,        15,        16,        17,         100,        128,
                                     129,      1000,     4096,      5000,      31 * KIB,   32 * KIB,   33 * KIB,
                                     64 * KIB, 65 * KIB, 100 * KIB, 128 * KIB, 1000 * KIB, 2 * MIB + 1 };
#define SOME (sizeof some_sizes / sizeof *some_sizes)

static void aligned(void)
{
    brood_heap_stats before = stats_now();
    for (size_t alignment = 1; alignment <= 2 * MIB; alignment *= 2) {
        for (size_t i = 0; i < SOME; i++) {
            unsigned char *blocks[5];
            for (int j = 0; j < 5; j++) {
                blocks[j] = CHECK_POINTER(brood_alloc_aligned(some_sizes[i], alignment));
                if (blocks[j] == NULL)
                    return;
                CHECK_EQ((long long)((uintptr_t)blocks[j] % alignment), 0);
                CHECK_EQ((long long)((uintptr_t)blocks[j] % 16), 0);
                CHECK(brood_block_size(blocks[j]) >= some_sizes[i]);
                CHECK(is_all(blocks[j], 0, some_sizes[i]));
                memset(blocks[j], j + 1, some_sizes[i]);
            }
            for (int j = 0; j < 5; j++) {
                CHECK(is_all(blocks[j], j + 1, some_sizes[i]));
                CHECK_ERRNO(brood_free(blocks[j]), 0);
            }
        }
        CHECK_RESULT(brood_heap_check(), 0);
    }
    CHECK_EQ((long long)stats_now().used, (long long)before.used);
}

static void aligned_wrongly(void)
{
    static const size_t bad[] = { 0, 3, 24, 48, 65537, SIZE_MAX, SIZE_MAX - 1 };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_NULL(brood_alloc_aligned(10, bad[i]), EINVAL);
    CHECK_NULL(brood_alloc_aligned(SIZE_MAX, 64), ENOMEM);
    CHECK_NULL(brood_alloc_aligned(SIZE_MAX - 64, 64 * KIB), ENOMEM);
    if (sizeof(size_t) == 8) /* else there may be a place for that */
        CHECK_NULL(brood_alloc_aligned(16, HUGE_SIZE(63)), ENOMEM);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* Large alignments leave gaps, which others fill. */
static void aligned_between_others(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 32 * MIB }) == 0);
    brood_heap_stats before = stats_now();
    void *blocks[200];
    int count = 0;
    while (count < 200) {
        size_t alignment = count % 3 == 0 ? 512 * KIB : count % 3 == 1 ? 64 * KIB : 128 * KIB;
        void *block = brood_alloc_aligned(70 * KIB, alignment);
        if (block == NULL)
            break;
        CHECK_EQ((long long)((uintptr_t)block % alignment), 0);
        blocks[count++] = block;
        if (count < 200 && (blocks[count] = brood_alloc(40 * KIB)) != NULL)
            count++;
    }
    CHECK(count > 40);
    CHECK_RESULT(brood_heap_check(), 0);
    for (int i = 0; i < count; i++)
        brood_free(blocks[i]);
    CHECK_EQ((long long)stats_now().held, (long long)before.held);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void block_sizes(void)
{
    for (size_t i = 0; i < SOME; i++) {
        unsigned char *block = CHECK_POINTER(brood_alloc(some_sizes[i]));
        size_t size = brood_block_size(block);
        CHECK(size >= some_sizes[i] && size <= some_sizes[i] + some_sizes[i] / 4 + 64 * KIB);
        CHECK(some_sizes[i] > 32 * KIB || size <= some_sizes[i] + some_sizes[i] / 4 + 16);
        CHECK(is_all(block, 0, size)); /* whole, so that brood_realloc can grow into it */
        brood_heap_stats before = stats_now();
        memset(block, 1, size); /* all of it is ours */
        brood_free(block);
        CHECK_EQ((long long)(before.used - stats_now().used), (long long)size);
        errno = 0;
        CHECK_EQ((long long)brood_block_size(block), 0);
        CHECK_EQ(errno, EINVAL);
    }
    int here = 0;
    void *wrong[] = { NULL, &here, (void *)16, (void *)UINTPTR_MAX };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        errno = 0;
        CHECK_EQ((long long)brood_block_size(wrong[i]), 0);
        CHECK_EQ(errno, EINVAL);
    }
    CHECK_RESULT(brood_heap_check(), 0);
}

/* From each size to each other: what was there stays, what is new is zeroed, also after a detour over a smaller one. */
static void from_each_to_each(void)
{
    brood_heap_stats before = stats_now();
    for (size_t i = 0; i < SOME; i++) {
        for (size_t j = 0; j < SOME; j++) {
            size_t from = some_sizes[i], to = some_sizes[j], least = from < to ? from : to;
            unsigned char *block = CHECK_POINTER(brood_alloc(from));
            memset(block, 0x5a, from);
            block = CHECK_POINTER(brood_realloc(block, to));
            if (block == NULL)
                return;
            CHECK_EQ((long long)((uintptr_t)block % 16), 0);
            CHECK(brood_block_size(block) >= to);
            CHECK(is_all(block, 0x5a, least));
            CHECK(to == least || is_all(block + least, 0, to - least));
            memset(block, 0xa5, to);
            size_t back = to + (to < from ? 0 : 3);
            block = CHECK_POINTER(brood_realloc(block, to / 3));
            block = CHECK_POINTER(brood_realloc(block, back));
            if (block == NULL)
                return;
            CHECK(is_all(block, 0xa5, to / 3));
            CHECK(is_all(block + to / 3, 0, back - to / 3));
            CHECK_EQ((long long)stats_now().blocks, (long long)before.blocks + 1);
            CHECK_ERRNO(brood_free(block), 0);
        }
        CHECK_RESULT(brood_heap_check(), 0);
    }
    CHECK_EQ((long long)stats_now().used, (long long)before.used);
    CHECK_RESULT(brood_heap_trim(), 0); /* of the spans that small blocks were in */
    CHECK_EQ((long long)stats_now().held, (long long)before.held);
}

static void in_place(void)
{
    unsigned char *block = CHECK_POINTER(brood_alloc(100));
    CHECK(brood_realloc(block, 112) == block);
    CHECK(brood_realloc(block, 97) == block);
    CHECK(brood_realloc(block, 57) == block); /* more than half of it is still wanted */
    unsigned char *large = CHECK_POINTER(brood_alloc(100 * KIB));
    CHECK(brood_realloc(large, 128 * KIB) == large);
    CHECK(brood_realloc(large, 3 * MIB) == large); /* nothing lies behind it */
    CHECK_EQ((long long)brood_block_size(large), (long long)(3 * MIB));
    memset(large, 7, 3 * MIB);
    unsigned char *behind = CHECK_POINTER(brood_alloc(100 * KIB));
    CHECK(behind == large + 3 * MIB);
    CHECK(brood_realloc(large, 40 * KIB) == large);
    CHECK(is_all(large, 7, 40 * KIB));
    unsigned char *between = CHECK_POINTER(brood_alloc(MIB)); /* what was cut off can be had */
    CHECK(between > large && between < behind);
    CHECK(is_all(between, 0, MIB));
    CHECK_RESULT(brood_heap_check(), 0);
    unsigned char *moved = CHECK_POINTER(brood_realloc(large, 3 * MIB)); /* now something does */
    CHECK(moved != large);
    CHECK(is_all(moved, 7, 40 * KIB) && is_all(moved + 40 * KIB, 0, 3 * MIB - 40 * KIB));
    brood_free(moved);
    brood_free(between);
    brood_free(behind);
    brood_free(block);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void null_and_nothing(void)
{
    brood_heap_stats before = stats_now();
    unsigned char *block = CHECK_POINTER(brood_realloc(NULL, 50));
    CHECK(is_all(block, 0, 50));
    block = CHECK_POINTER(brood_realloc(block, 0)); /* a block still, not a free */
    CHECK_EQ((long long)stats_now().blocks, (long long)before.blocks + 1);
    CHECK_ERRNO(brood_free(block), 0);
    brood_free(CHECK_POINTER(brood_realloc(NULL, 0)));
    CHECK_EQ((long long)stats_now().blocks, (long long)before.blocks);
}

static void wrong_blocks(void)
{
    int here = 0;
    void *heap = malloc(100);
    unsigned char *small = CHECK_POINTER(brood_alloc(100)), *large = CHECK_POINTER(brood_alloc(200 * KIB));
    unsigned char *freed = CHECK_POINTER(brood_alloc(100)), *freed_large = CHECK_POINTER(brood_alloc(100 * KIB));
    brood_free(freed);
    brood_free(freed_large);
    memset(small, 1, 100);
    memset(large, 2, 200 * KIB);
    void *wrong[] = { &here,      heap,  small + 16,  small + 1,  large + 16,         large + 64 * KIB,
                      (void *)16, freed, freed_large, freed + 16, (void *)UINTPTR_MAX };
    brood_heap_stats before = stats_now();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        for (size_t j = 0; j < SOME; j++)
            CHECK_NULL(brood_realloc(wrong[i], some_sizes[j]), EINVAL);
    CHECK_EQ((long long)stats_now().used, (long long)before.used);
    CHECK(is_all(small, 1, 100) && is_all(large, 2, 200 * KIB));
    CHECK_RESULT(brood_heap_check(), 0);
    brood_free(small);
    brood_free(large);
    free(heap);
}

/* With no room the old block is as it was, and one can always make it smaller. */
static void no_room(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 16 * MIB }) == 0);
    unsigned char *small = CHECK_POINTER(brood_alloc(100)), *large = CHECK_POINTER(brood_alloc(MIB));
    memset(small, 1, 100);
    memset(large, 2, MIB);
    CHECK_NULL(brood_realloc(small, 16 * MIB), ENOMEM);
    CHECK_NULL(brood_realloc(large, 16 * MIB), ENOMEM);
    CHECK_NULL(brood_realloc(large, SIZE_MAX), ENOMEM);
    CHECK_NULL(brood_realloc(small, SIZE_MAX - 15), ENOMEM);
    while (brood_alloc(32 * KIB) != NULL)
        continue;
    while (brood_alloc(16) != NULL)
        continue;
    CHECK_NULL(brood_realloc(small, 200), ENOMEM);
    CHECK_NULL(brood_realloc(small, 100 * KIB), ENOMEM);
    CHECK_NULL(brood_realloc(large, 2 * MIB), ENOMEM);
    CHECK(is_all(small, 1, 100) && is_all(large, 2, MIB));
    CHECK(brood_realloc(small, 0) != NULL); /* wherever it is now */
    CHECK(brood_realloc(large, 100) != NULL);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* A block that grows step by step, as a text does. */
static void grows(void)
{
    brood_heap_stats before = stats_now();
    unsigned char *block = NULL;
    size_t size = 0;
    uint32_t state = 5;
    for (int step = 0; step < harness_times(400); step++) {
        size_t more = random_next(&state) % 20000;
        block = CHECK_POINTER(brood_realloc(block, size + more));
        if (block == NULL)
            return;
        CHECK(is_all(block + size, 0, more));
        memset(block + size, (int)(step % 255) + 1, more);
        size += more;
        if (step % 50 == 49) {
            CHECK_RESULT(brood_heap_check(), 0);
            size /= 3;
            block = CHECK_POINTER(brood_realloc(block, size));
        }
    }
    brood_free(block);
    CHECK_EQ((long long)stats_now().used, (long long)before.used);
}

/* Large blocks that shrink when there is no memory for smaller ones stay where they are, and what they do not need any
 * more is free all the same. */
static void shrunk_when_full(void)
{
    static const size_t sizes[] = { 2000, 0, 32 * KIB, 1 };
    NEED(brood_init(&(brood_init_options){ .limit = 16 * MIB }) == 0);
    unsigned char *blocks[4];
    for (int i = 0; i < 4; i++)
        memset(blocks[i] = CHECK_POINTER(brood_alloc(2 * MIB)), i + 1, 2 * MIB);
    for (size_t size = 4 * MIB; size >= 16; size /= 2)
        while (brood_alloc(size) != NULL)
            continue;
    for (int i = 0; i < 4; i++) {
        CHECK(brood_realloc(blocks[i], sizes[i]) == blocks[i]);
        CHECK_EQ((long long)brood_block_size(blocks[i]), 64 * KIB);
        CHECK(is_all(blocks[i], i + 1, sizes[i]));
        CHECK(is_all(blocks[i] + sizes[i], 0, 64 * KIB - sizes[i]));
        CHECK_RESULT(brood_heap_check(), 0);
        unsigned char *freed = CHECK_POINTER(brood_alloc(2 * MIB - 64 * KIB));
        CHECK(is_all(freed, 0, 2 * MIB - 64 * KIB));
        CHECK_NULL(brood_alloc(16), ENOMEM);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "aligned", .run = aligned, .deadline_s = 40 },
        { .name = "aligned_wrongly", .run = aligned_wrongly },
        { .name = "aligned_between_others", .run = aligned_between_others, .no_init = true },
        { .name = "block_sizes", .run = block_sizes },
        { .name = "from_each_to_each", .run = from_each_to_each, .deadline_s = 40 },
        { .name = "in_place", .run = in_place },
        { .name = "null_and_nothing", .run = null_and_nothing },
        { .name = "wrong_blocks", .run = wrong_blocks },
        { .name = "no_room", .run = no_room, .no_init = true },
        { .name = "grows", .run = grows },
        { .name = "shrunk_when_full", .run = shrunk_when_full, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
