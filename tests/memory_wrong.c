/* memory_wrong.c: what was a block once, or never, and is given to the heap as one: refused with a sentence, and
 * nothing changes. memory_block.c has the simple cases; here the memory has become something else meanwhile.
 */
#include "harness.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static brood_heap_stats stats_now(void)
{
    brood_heap_stats stats = { 0 };
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    return stats;
}

/* By every call that takes a block. */
static void check_refused(void *pointer)
{
    brood_heap_stats before = stats_now();
    CHECK_ERRNO(brood_free(pointer), EINVAL);
    CHECK_HAS(brood_error(), "brood_free: no block");
    CHECK_NULL(brood_realloc(pointer, 10), EINVAL);
    CHECK_HAS(brood_error(), "brood_realloc: no block");
    CHECK_NULL(brood_realloc(pointer, MIB), EINVAL);
    errno = 0;
    CHECK_EQ((long long)brood_block_size(pointer), 0);
    CHECK_EQ(errno, EINVAL);
    CHECK_HAS(brood_error(), "brood_block_size: no block");
    CHECK_RESULT(brood_heap_label(pointer, "x"), -EINVAL);
    CHECK_HAS(brood_error(), "brood_heap_label: no block");
    brood_heap_stats after = stats_now();
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    CHECK_EQ((long long)after.used, (long long)before.used);
}

/* The memory of a small block is given back, and is then of blocks of another size, or part of a large one. */
static void reused_for_another_size(void)
{
    static const size_t sizes[] = { 16, 48, 1000, 5000, 32 * KIB, 40 * KIB, 200 * KIB };
    NEED(brood_init(&(brood_init_options){ .limit = 4 * MIB }) == 0);
    for (size_t i = 0; i < 7; i++) {
        for (size_t j = 0; j < 7; j++) {
            enum { BLOCKS = 30 };
            char *old[BLOCKS], *new[BLOCKS];
            if (i == j)
                continue;
            int count = sizes[i] > 32 * KIB ? 3 : BLOCKS;
            for (int k = 0; k < count; k++)
                old[k] = CHECK_POINTER(brood_alloc(sizes[i]));
            for (int k = 0; k < count; k++)
                brood_free(old[k]);
            CHECK_RESULT(brood_heap_trim(), 0);
            int others = sizes[j] > 32 * KIB ? 3 : BLOCKS;
            for (int k = 0; k < others; k++)
                new[k] = CHECK_POINTER(brood_alloc(sizes[j]));
            for (int k = 0; k < count; k++) {
                bool is_one = false; /* by chance one of the new ones may begin there */
                for (int l = 0; l < others; l++)
                    is_one |= new[l] == old[k];
                if (!is_one)
                    check_refused(old[k]);
            }
            for (int k = 0; k < others; k++)
                CHECK_ERRNO(brood_free(new[k]), 0);
            CHECK_RESULT(brood_heap_check(), 0);
        }
    }
}

static void inside_of_aligned(void)
{
    for (size_t alignment = 16; alignment <= 256 * KIB; alignment *= 4) {
        char *block = CHECK_POINTER(brood_alloc_aligned(3 * alignment, alignment));
        check_refused(block + alignment);
        check_refused(block + 2 * alignment);
        check_refused(block - 16);
        check_refused(block + 8);
        CHECK_ERRNO(brood_free(block), 0);
        check_refused(block);
    }
}

/* After a block moved or was cut its old place, or its old tail, is none. */
static void after_realloc(void)
{
    char *old = CHECK_POINTER(brood_alloc(100)), *new = CHECK_POINTER(brood_realloc(old, 2000));
    check_refused(old);
    brood_free(new);
    check_refused(new);
    char *large = CHECK_POINTER(brood_alloc(300 * KIB));
    CHECK(brood_realloc(large, 100 * KIB) == large);
    check_refused(large + 128 * KIB);
    check_refused(large + 64 * KIB);
    CHECK(brood_realloc(large, 300 * KIB) == large);
    check_refused(large + 128 * KIB);
    CHECK_ERRNO(brood_free(large), 0);
    check_refused(large);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* Objects of brood's own that are not the program's, in the tables before the heap, and beyond its end. */
static void places_of_no_blocks(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 2 * MIB, .heap = BROOD_HEAP_TRACK }) == 0);
    char *block = CHECK_POINTER(brood_alloc(100)), *first = block, *last = block;
    while (brood_contains(first - 4096))
        first -= 4096;
    while (brood_contains(last + 4096))
        last += 4096;
    for (char *place = first; place < last; place += 4096 - 16)
        if (place != block)
            check_refused(place);
    check_refused(last + 4096);
    check_refused(first - 16);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* The same block freed by many threads at once: by one of them with success. */
struct race {
    void *block;
    pthread_barrier_t *barrier;
    int freed;
};

static void *free_once(void *arg)
{
    struct race *race = arg;
    pthread_barrier_wait(race->barrier);
    errno = 0;
    brood_free(race->block);
    race->freed = errno == 0;
    return NULL;
}

static void freed_by_many(void)
{
    enum { THREADS = 4 };
    static const size_t sizes[] = { 16, 5000, 200 * KIB };
    for (int round = 0; round < harness_times(120); round++) {
        pthread_t threads[THREADS];
        struct race races[THREADS];
        pthread_barrier_t barrier;
        pthread_barrier_init(&barrier, NULL, THREADS);
        void *block = CHECK_POINTER(brood_alloc(sizes[round % 3]));
        for (int i = 0; i < THREADS; i++) {
            races[i] = (struct race){ block, &barrier, 0 };
            NEED(pthread_create(&threads[i], NULL, free_once, &races[i]) == 0);
        }
        int freed = 0;
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            freed += races[i].freed;
        }
        pthread_barrier_destroy(&barrier);
        CHECK_EQ(freed, 1);
    }
    CHECK_RESULT(brood_heap_check(), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "reused_for_another_size", .run = reused_for_another_size, .no_init = true },
        { .name = "inside_of_aligned", .run = inside_of_aligned },
        { .name = "after_realloc", .run = after_realloc },
        { .name = "places_of_no_blocks", .run = places_of_no_blocks, .no_init = true },
        { .name = "freed_by_many", .run = freed_by_many },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
