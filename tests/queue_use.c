/* queue_use.c: one process: what goes in comes out, whole and in order, within its bounds; and every error of the
 * header that needs no other process.
 */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static brood_queue *new_queue(size_t max_messages, size_t max_bytes)
{
    brood_queue_options options = { .name = "jobs", .max_messages = max_messages, .max_bytes = max_bytes };
    brood_queue *queue = CHECK_POINTER(brood_queue_create(&options));
    NEED(queue != NULL);
    return queue;
}

static void fill(unsigned char *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

static bool is_filled(const unsigned char *bytes, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != (unsigned char)(seed * 31 + i * 7 + (i >> 8)))
            return false;
    return true;
}

static void in_order(void)
{
    brood_queue *queue = new_queue(0, 0);
    for (int i = 0; i < 10000; i++)
        CHECK_RESULT(brood_queue_put(queue, &i, sizeof i, 0), 0);
    CHECK_EQ(brood_queue_count(queue), 10000);
    CHECK_EQ(brood_queue_bytes(queue), 10000 * sizeof(int));
    for (int i = 0, got; i < 10000; i++) {
        CHECK_RESULT(brood_queue_get(queue, &got, sizeof got, NULL, 0), 0);
        CHECK_EQ(got, i);
    }
    CHECK_EQ(brood_queue_count(queue), 0);
    CHECK_EQ(brood_queue_bytes(queue), 0);
    CHECK_RESULT(brood_queue_get(queue, &(int){ 0 }, sizeof(int), NULL, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "jobs");
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

static const size_t sizes[] = { 0,    1,    7,    8,    9,    63,   64,    65,    255,    999,
                                1000, 1001, 1008, 4088, 4096, 4097, 65536, 65537, 1 << 20 };
enum { SIZES = sizeof sizes / sizeof *sizes, LARGEST = 1 << 20 };

static void of_any_size(void)
{
    brood_queue *queue = new_queue(0, 0);
    unsigned char *bytes = malloc(LARGEST), *back = malloc(LARGEST);
    NEED(bytes && back);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < SIZES; i++) {
            fill(bytes, sizes[i], (unsigned)(i + round));
            CHECK_RESULT(brood_queue_put(queue, sizes[i] ? bytes : NULL, sizes[i], 0), 0);
        }
        for (int i = 0; i < SIZES; i++) {
            size_t got = 99;
            memset(back, 0xaa, sizes[i]);
            CHECK_RESULT(brood_queue_get(queue, back, LARGEST, &got, 0), 0);
            CHECK_EQ(got, sizes[i]);
            CHECK(is_filled(back, sizes[i], (unsigned)(i + round)));
        }
    }
    free(bytes);
    free(back);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void as_blocks(void)
{
    brood_queue *queue = new_queue(0, 0);
    unsigned char *bytes = malloc(LARGEST);
    NEED(bytes != NULL);
    for (int i = 0; i < SIZES; i++) {
        brood_block block = { NULL, 0 };
        fill(bytes, sizes[i], (unsigned)i);
        CHECK_RESULT(brood_queue_put(queue, bytes, sizes[i], 0), 0);
        CHECK_RESULT(brood_queue_get_block(queue, &block, 0), 0);
        CHECK_EQ(block.size, sizes[i]);
        CHECK(is_filled(block.data, block.size, (unsigned)i));
        CHECK(brood_contains(block.data));
        CHECK(brood_block_size(block.data) >= block.size);
        CHECK_ERRNO(brood_free(block.data), 0);
    }
    CHECK_RESULT(brood_queue_get_block(queue, &(brood_block){ NULL, 0 }, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_queue_get_block(queue, NULL, 0), -EINVAL);
    free(bytes);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

/* A buffer that is too small, or not exact: the message stays, and its size is told. */
static void too_small(void)
{
    static const size_t lengths[] = { 5, 5000 };
    brood_queue *queue = new_queue(0, 0);
    char bytes[5000] = "abcd", back[6000];
    for (int i = 0; i < 2; i++) {
        size_t got = 0;
        CHECK_RESULT(brood_queue_put(queue, bytes, lengths[i], 0), 0);
        CHECK_RESULT(brood_queue_get(queue, back, 4, &got, 0), -EMSGSIZE);
        CHECK_EQ(got, lengths[i]);
        CHECK_RESULT(brood_queue_get(queue, NULL, 0, &got, 0), -EMSGSIZE);
        CHECK_RESULT(brood_queue_get(queue, back, lengths[i] - 1, NULL, 0), -EMSGSIZE);
        CHECK_RESULT(brood_queue_get(queue, back, lengths[i] + 1, NULL, 0), -EMSGSIZE);
        brood_block blocks[2] = { { NULL, 0 } };
        CHECK_RESULT(brood_queue_get_many(queue, back, 4, blocks, 2, 0), -EMSGSIZE);
        CHECK_EQ(blocks[0].size, lengths[i]);
        CHECK_EQ(brood_queue_count(queue), 1);
        CHECK_RESULT(brood_queue_get(queue, back, lengths[i], NULL, 0), 0);
        CHECK_STR(back, "abcd");
        CHECK_EQ(brood_queue_count(queue), 0);
    }
    CHECK_RESULT(brood_queue_put(queue, NULL, 0, 0), 0);
    CHECK_RESULT(brood_queue_get(queue, NULL, 0, NULL, 0), 0);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

static void bounded_by_number(void)
{
    brood_queue *queue = new_queue(3, 0);
    CHECK_EQ(brood_queue_capacity(queue), 3);
    CHECK_RESULT(brood_queue_is_empty(queue), 1);
    for (int i = 0; i < 3; i++) {
        CHECK_RESULT(brood_queue_is_full(queue), 0);
        CHECK_RESULT(brood_queue_put(queue, "x", 1, 0), 0);
    }
    CHECK_RESULT(brood_queue_is_full(queue), 1);
    CHECK_RESULT(brood_queue_is_empty(queue), 0);
    CHECK_RESULT(brood_queue_put(queue, "x", 1, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "jobs");
    CHECK_HAS(brood_error(), "3");
    long long began = now_ms();
    CHECK_RESULT(brood_queue_put(queue, "x", 1, 30), -ETIMEDOUT);
    CHECK(now_ms() - began >= 30);
    char large[5000] = "";
    CHECK_RESULT(brood_queue_put(queue, large, sizeof large, 5), -ETIMEDOUT);
    CHECK_NULL(brood_queue_reserve(queue, 10, 5), ETIMEDOUT);
    CHECK_RESULT(brood_queue_get(queue, large, 1, NULL, 0), 0);
    CHECK_RESULT(brood_queue_put(queue, large, sizeof large, 0), 0);
    CHECK_RESULT(brood_queue_put(queue, "x", 1, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    queue = new_queue(0, 0);
    CHECK(brood_queue_capacity(queue) == SIZE_MAX);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    queue = new_queue(SIZE_MAX, SIZE_MAX);
    CHECK_RESULT(brood_queue_put(queue, "x", 1, 0), 0);
    CHECK_RESULT(brood_queue_put(queue, "y", 1, 0), 0);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    queue = new_queue(0, 8); /* also those that lie in the line */
    CHECK_RESULT(brood_queue_put(queue, "too long", 9, 0), -EMSGSIZE);
    CHECK_RESULT(brood_queue_put_many(queue, (brood_block[]){ { NULL, 0 }, { "too long", 9 } }, 2, 0), 1);
    CHECK_RESULT(brood_queue_put(queue, "too long", 8, 0), 0);
    CHECK_EQ(brood_queue_bytes(queue), 8);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

static void bounded_by_bytes(void)
{
    brood_queue *queue = new_queue(0, 2000);
    char bytes[3000] = "";
    CHECK_RESULT(brood_queue_put(queue, bytes, 2001, 0), -EMSGSIZE);
    CHECK_NULL(brood_queue_reserve(queue, 2001, 0), EMSGSIZE);
    CHECK_RESULT(brood_queue_put_many(queue, &(brood_block){ bytes, 2001 }, 1, 0), -EMSGSIZE);
    CHECK_RESULT(brood_queue_put(queue, bytes, 1500, 0), 0);
    CHECK_RESULT(brood_queue_put(queue, bytes, 501, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_queue_put(queue, bytes, 500, 0), 0);
    CHECK_RESULT(brood_queue_is_full(queue), 1);
    CHECK_RESULT(brood_queue_put(queue, bytes, 1, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_queue_put(queue, NULL, 0, 0), 0);
    CHECK_RESULT(brood_queue_get(queue, bytes, 1500, NULL, 0), 0);
    CHECK_EQ(brood_queue_bytes(queue), 500);
    CHECK_RESULT(brood_queue_put(queue, bytes, 1500, 0), 0);
    CHECK_EQ(brood_queue_count(queue), 3);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

static void many_at_once(void)
{
    enum { COUNT = 300 };
    brood_queue *queue = new_queue(0, 0);
    static int numbers[COUNT];
    brood_block messages[COUNT], back[COUNT];
    static _Alignas(16) char buffer[COUNT * 16];
    for (int i = 0; i < COUNT; i++) {
        numbers[i] = i;
        messages[i] = (brood_block){ &numbers[i], sizeof numbers[i] };
    }
    CHECK_RESULT(brood_queue_put_many(queue, messages, 0, 0), 0);
    CHECK_RESULT(brood_queue_put_many(queue, messages, COUNT, 0), COUNT);
    CHECK_EQ(brood_queue_count(queue), COUNT);
    int next = 0;
    while (next < COUNT) {
        int got = brood_queue_get_many(queue, buffer, sizeof buffer, back, 7, 0);
        if (!CHECK(got == 7 || got == COUNT - next))
            break;
        for (int i = 0; i < got; i++, next++) {
            CHECK_EQ(back[i].size, sizeof(int));
            CHECK_EQ((uintptr_t)back[i].data % 16, 0);
            CHECK_EQ(*(int *)back[i].data, next);
        }
    }
    CHECK_RESULT(brood_queue_get_many(queue, buffer, sizeof buffer, back, 7, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

/* Only as many as fit: the rest stays, in order, small ones and large ones. */
static void many_that_do_not_fit(void)
{
    static char large[6000] = "large", buffer[8192];
    brood_queue *queue = new_queue(4, 0);
    brood_block back[8];
    brood_block messages[] = { { "a", 2 }, { "bb", 3 }, { large, sizeof large }, { "c", 2 }, { "d", 2 } };
    CHECK_RESULT(brood_queue_put_many(queue, messages, 5, 0), 4);
    CHECK_RESULT(brood_queue_put_many(queue, messages, 5, 10), -ETIMEDOUT);
    CHECK_RESULT(brood_queue_get_many(queue, buffer, 17, back, 8, 0), 1);
    CHECK_RESULT(brood_queue_get_many(queue, buffer, sizeof buffer, back, 8, 0), 1);
    CHECK_STR(back[0].data, "bb");
    CHECK_RESULT(brood_queue_get_many(queue, buffer, sizeof buffer, back, 8, 0), 1);
    CHECK_EQ(back[0].size, sizeof large);
    CHECK_STR(back[0].data, "large");
    CHECK_RESULT(brood_queue_get_many(queue, buffer, sizeof buffer, back, 8, 0), 1);
    CHECK_STR(back[0].data, "c");
    brood_block nulls[] = { { "a", 2 }, { NULL, 3 } };
    CHECK_RESULT(brood_queue_put_many(queue, nulls, 2, 0), 1);
    CHECK_RESULT(brood_queue_put_many(queue, nulls + 1, 1, 0), -EINVAL);
    CHECK_RESULT(brood_queue_put_many(queue, NULL, 1, 0), -EINVAL);
    CHECK_RESULT(brood_queue_get_many(queue, buffer, sizeof buffer, NULL, 1, 0), -EINVAL);
    CHECK_RESULT(brood_queue_get_many(queue, buffer, sizeof buffer, back, 0, 0), -EINVAL);
    CHECK_RESULT(brood_queue_get_many(queue, NULL, 1, back, 1, 0), -EINVAL);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

static void in_place(void)
{
    brood_queue *queue = new_queue(0, 0);
    for (int i = 0; i < SIZES; i++) {
        brood_block message;
        unsigned char *bytes = CHECK_POINTER(brood_queue_reserve(queue, sizes[i] + 10, 0));
        NEED(bytes != NULL);
        CHECK_EQ(brood_queue_count(queue), 0);
        fill(bytes, sizes[i], (unsigned)i);
        CHECK_RESULT(brood_queue_commit(queue, bytes, sizes[i] + 11), -EINVAL);
        CHECK_RESULT(brood_queue_commit(queue, bytes, sizes[i]), 0);
        CHECK_RESULT(brood_queue_commit(queue, bytes, sizes[i]), -EPERM);
        CHECK_RESULT(brood_queue_borrow(queue, &message, 0), 0);
        CHECK_EQ(message.size, sizes[i]);
        CHECK(is_filled(message.data, message.size, (unsigned)i));
        CHECK_EQ(brood_queue_count(queue), 0);
        CHECK_RESULT(brood_queue_join(queue, 0), -ETIMEDOUT);
        CHECK_RESULT(brood_queue_destroy(queue), -EBUSY);
        CHECK_RESULT(brood_queue_done(queue, (char *)message.data + 1), -EPERM);
        CHECK_RESULT(brood_queue_done(queue, message.data), 0);
        CHECK_RESULT(brood_queue_done(queue, message.data), -EPERM);
        CHECK_RESULT(brood_queue_join(queue, 0), 0);
    }
    void *reserved = CHECK_POINTER(brood_queue_reserve(queue, 10, 0));
    CHECK_RESULT(brood_queue_done(queue, reserved), -EPERM);
    CHECK_RESULT(brood_queue_destroy(queue), -EBUSY);
    CHECK_RESULT(brood_queue_withdraw(queue, NULL), -EPERM);
    CHECK_RESULT(brood_queue_withdraw(queue, reserved), 0);
    CHECK_RESULT(brood_queue_withdraw(queue, reserved), -EPERM);
    CHECK_EQ(brood_queue_count(queue), 0);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

/* Several at once, given back in any order. */
static void several_loans(void)
{
    enum { COUNT = 200 };
    brood_queue *queue = new_queue(0, 0), *other = new_queue(0, 0);
    static brood_block messages[COUNT];
    brood_heap_stats before, after;
    CHECK_RESULT(brood_heap_stat(&before), 0);
    for (int i = 0; i < COUNT; i++) {
        int *reserved = CHECK_POINTER(brood_queue_reserve(queue, sizeof *reserved, 0));
        NEED(reserved != NULL);
        *reserved = i;
        CHECK_RESULT(brood_queue_commit(other, reserved, sizeof *reserved), -EPERM);
        CHECK_RESULT(brood_queue_commit(queue, reserved, sizeof *reserved), 0);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_RESULT(brood_queue_borrow(queue, &messages[i], 0), 0);
        CHECK_EQ(*(int *)messages[i].data, i);
    }
    for (int i = 0; i < COUNT; i += 2)
        CHECK_RESULT(brood_queue_done(queue, messages[i].data), 0);
    CHECK_RESULT(brood_queue_join(queue, 5), -ETIMEDOUT);
    for (int i = COUNT - 1; i > 0; i -= 2)
        CHECK_RESULT(brood_queue_done(queue, messages[i].data), 0);
    CHECK_RESULT(brood_queue_join(queue, 0), 0);
    CHECK_RESULT(brood_queue_destroy(other), 0);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK(after.blocks < before.blocks);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void closed(void)
{
    brood_queue *queue = new_queue(0, 0);
    void *reserved = CHECK_POINTER(brood_queue_reserve(queue, 10, 0));
    CHECK_RESULT(brood_queue_put(queue, "last", 5, 0), 0);
    CHECK_RESULT(brood_queue_close(queue), 0);
    CHECK_RESULT(brood_queue_close(queue), 0);
    CHECK_RESULT(brood_queue_put(queue, "x", 1, BROOD_FOREVER), -EPIPE);
    CHECK_HAS(brood_error(), "jobs");
    CHECK_RESULT(brood_queue_put_many(queue, &(brood_block){ "x", 1 }, 1, BROOD_FOREVER), -EPIPE);
    CHECK_NULL(brood_queue_reserve(queue, 10, BROOD_FOREVER), EPIPE);
    CHECK_RESULT(brood_queue_commit(queue, reserved, 10), -EPIPE);
    CHECK_RESULT(brood_queue_withdraw(queue, reserved), 0);
    char text[5];
    CHECK_RESULT(brood_queue_get(queue, text, 5, NULL, BROOD_FOREVER), 0);
    CHECK_STR(text, "last");
    CHECK_RESULT(brood_queue_get(queue, text, 5, NULL, BROOD_FOREVER), -EPIPE);
    CHECK_RESULT(brood_queue_get(queue, text, 5, NULL, 0), -EPIPE);
    CHECK_RESULT(brood_queue_borrow(queue, &(brood_block){ NULL, 0 }, 0), -EPIPE);
    CHECK_RESULT(brood_queue_get_block(queue, &(brood_block){ NULL, 0 }, 10), -EPIPE);
    CHECK_RESULT(brood_queue_get_many(queue, text, 5, &(brood_block){ NULL, 0 }, 1, 10), -EPIPE);
    CHECK_RESULT(brood_queue_join(queue, 0), 0);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

static void misused(void)
{
    brood_queue *queue = new_queue(0, 0), *none = brood_alloc(4096);
    brood_block block = { NULL, 0 };
    char byte = 0;
    CHECK_RESULT(brood_queue_destroy(NULL), 0);
    brood_queue *const wrong[] = { NULL, none, (brood_queue *)&byte, (brood_queue *)((char *)queue + 64) };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_RESULT(brood_queue_put(wrong[i], &byte, 1, 0), -EINVAL);
        CHECK_RESULT(brood_queue_put_many(wrong[i], &block, 1, 0), -EINVAL);
        CHECK_NULL(brood_queue_reserve(wrong[i], 1, 0), EINVAL);
        CHECK_RESULT(brood_queue_commit(wrong[i], &byte, 1), -EINVAL);
        CHECK_RESULT(brood_queue_withdraw(wrong[i], &byte), -EINVAL);
        CHECK_RESULT(brood_queue_get(wrong[i], &byte, 1, NULL, 0), -EINVAL);
        CHECK_RESULT(brood_queue_get_block(wrong[i], &block, 0), -EINVAL);
        CHECK_RESULT(brood_queue_get_many(wrong[i], &byte, 1, &block, 1, 0), -EINVAL);
        CHECK_RESULT(brood_queue_borrow(wrong[i], &block, 0), -EINVAL);
        CHECK_RESULT(brood_queue_done(wrong[i], &byte), -EINVAL);
        CHECK_RESULT(brood_queue_close(wrong[i]), -EINVAL);
        CHECK_RESULT(brood_queue_join(wrong[i], 0), -EINVAL);
        CHECK_RESULT(brood_queue_is_empty(wrong[i]), -EINVAL);
        CHECK_RESULT(brood_queue_is_full(wrong[i]), -EINVAL);
        CHECK_RESULT(brood_process_owes(brood_process_self(), wrong[i], BROOD_PUTS), -EINVAL);
        if (wrong[i])
            CHECK_RESULT(brood_queue_destroy(wrong[i]), -EINVAL);
        errno = 0;
        CHECK(brood_queue_count(wrong[i]) == 0 && errno == EINVAL);
        errno = 0;
        CHECK(brood_queue_bytes(wrong[i]) == 0 && errno == EINVAL);
        errno = 0;
        CHECK(brood_queue_capacity(wrong[i]) == 0 && errno == EINVAL);
    }
    CHECK_RESULT(brood_queue_put(queue, NULL, 1, 0), -EINVAL);
    CHECK_RESULT(brood_queue_put(queue, &byte, 1, -2), -EINVAL);
    CHECK_RESULT(brood_queue_put_many(queue, &block, 1, -2), -EINVAL);
    CHECK_NULL(brood_queue_reserve(queue, 1, -2), EINVAL);
    CHECK_RESULT(brood_queue_get(queue, &byte, 1, NULL, -2), -EINVAL);
    CHECK_RESULT(brood_queue_get(queue, NULL, 1, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_queue_get_block(queue, &block, -2), -EINVAL);
    CHECK_RESULT(brood_queue_borrow(queue, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_queue_borrow(queue, &block, -2), -EINVAL);
    CHECK_RESULT(brood_queue_get_many(queue, &byte, 1, &block, 1, -2), -EINVAL);
    CHECK_RESULT(brood_queue_join(queue, -2), -EINVAL);
    CHECK_RESULT(brood_queue_done(queue, NULL), -EPERM);
    CHECK_RESULT(brood_process_owes(brood_process_self(), queue, 0), -EINVAL);
    CHECK_RESULT(brood_process_owes(brood_process_self(), queue, 4), -EINVAL);
    CHECK_RESULT(brood_process_owes(NULL, queue, BROOD_PUTS), -EINVAL);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    CHECK_RESULT(brood_queue_put(queue, &byte, 1, 0), -EINVAL);
    CHECK_RESULT(brood_queue_destroy(queue), -EINVAL);
    brood_free(none);
}

static void bad_options(void)
{
    brood_queue *queue = new_queue(0, 0);
    CHECK_NULL(brood_queue_create(&(brood_queue_options){ .max_deliveries = -1 }), EINVAL);
    CHECK_NULL(brood_queue_create(&(brood_queue_options){ .dead_letters = queue }), EINVAL);
    CHECK_NULL(brood_queue_create(&(brood_queue_options){ .dead_letters = (brood_queue *)&queue, .max_deliveries = 1 }),
               EINVAL);
    brood_queue_options newer = { 0 };
    newer.reserved[4] = &newer;
    CHECK_NULL(brood_queue_create(&newer), EINVAL);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

static void before_init(void)
{
    CHECK_NULL(brood_queue_create(NULL), EINVAL);
    static char memory[4096];
    CHECK_RESULT(brood_queue_put((brood_queue *)memory, "", 0, 0), -EINVAL);
    CHECK_RESULT(brood_queue_get((brood_queue *)memory, NULL, 0, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_queue_destroy((brood_queue *)memory), -EINVAL);
    CHECK_RESULT(brood_queue_destroy(NULL), 0);
}

/* What cannot be had is ENOMEM, and what is there stays whole. */
static void out_of_memory(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 2 << 20 }) >= 0);
    brood_queue *queue = new_queue(0, 0);
    static char bytes[900];
    int put = 0, failed;
    while ((failed = brood_queue_put(queue, bytes, sizeof bytes, 0)) == 0)
        put++;
    CHECK_EQ(failed, -ENOMEM);
    CHECK_HAS(brood_error(), "jobs");
    CHECK(put > 100);
    CHECK_NULL(brood_queue_reserve(queue, 1 << 20, 0), ENOMEM);
    CHECK_NULL(brood_queue_reserve(queue, SIZE_MAX - 100, 0), ENOMEM);
    CHECK_RESULT(brood_queue_put(queue, bytes, SIZE_MAX / 2, 0), -ENOMEM);
    for (size_t size = 16384; size >= 512; size /= 2)
        while (brood_alloc(size))
            continue;
    CHECK_NULL(brood_queue_create(NULL), ENOMEM);
    CHECK_EQ(brood_queue_count(queue), put);
    for (int i = 0; i < put; i++)
        CHECK_RESULT(brood_queue_get(queue, bytes, sizeof bytes, NULL, 0), 0);
    CHECK_RESULT(brood_queue_get(queue, bytes, sizeof bytes, NULL, 5), -ETIMEDOUT);
    CHECK_RESULT(brood_queue_put(queue, bytes, sizeof bytes, 0), 0);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static size_t used_bytes(void)
{
    brood_heap_stats stats;
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    return stats.used;
}

/* An empty queue is small, also after it was large. */
static void memory_when_empty(void)
{
    size_t before = used_bytes();
    brood_queue *queue = new_queue(0, 0);
    CHECK(used_bytes() - before <= 16384);
    char bytes[500] = "";
    for (int i = 0; i < 20000; i++)
        CHECK_RESULT(brood_queue_put(queue, bytes, sizeof bytes, 0), 0);
    for (int i = 0; i < 20000; i++)
        CHECK_RESULT(brood_queue_get(queue, bytes, sizeof bytes, NULL, 0), 0);
    CHECK_RESULT(brood_queue_get(queue, bytes, sizeof bytes, NULL, 1), -ETIMEDOUT);
    CHECK(used_bytes() - before <= 65536);
    for (int i = 0; i < 100000; i++) { /* it does not grow while it is kept short */
        CHECK_RESULT(brood_queue_put(queue, bytes, sizeof bytes, 0), 0);
        CHECK_RESULT(brood_queue_get(queue, bytes, sizeof bytes, NULL, 0), 0);
    }
    CHECK(used_bytes() - before <= 65536);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    CHECK_EQ(used_bytes(), before);
}

enum { THREADS = 4, EACH = 2000 };

struct crew {
    brood_queue *queue;
    _Atomic int next;
};

static void *put_many_threads(void *arg)
{
    struct crew *crew = arg;
    int producer = atomic_fetch_add(&crew->next, 1);
    for (int i = 0; i < EACH; i++) {
        int message[2] = { producer, i };
        CHECK_RESULT(brood_queue_put(crew->queue, message, sizeof message, 10000), 0);
    }
    return NULL;
}

static void *get_many_threads(void *arg)
{
    struct crew *crew = arg;
    int last[THREADS], message[2];
    memset(last, -1, sizeof last);
    for (int i = 0; i < EACH; i++) {
        CHECK_RESULT(brood_queue_get(crew->queue, message, sizeof message, NULL, 10000), 0);
        CHECK(message[0] >= 0 && message[0] < THREADS && message[1] > last[message[0]]);
        last[message[0]] = message[1];
    }
    return NULL;
}

static void threads(void)
{
    struct crew crew = { .queue = new_queue(10, 0) };
    pthread_t putters[THREADS], getters[THREADS];
    for (int i = 0; i < THREADS; i++) {
        NEED(pthread_create(&putters[i], NULL, put_many_threads, &crew) == 0);
        NEED(pthread_create(&getters[i], NULL, get_many_threads, &crew) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(putters[i], NULL);
        pthread_join(getters[i], NULL);
    }
    CHECK_EQ(brood_queue_count(crew.queue), 0);
    CHECK_RESULT(brood_queue_destroy(crew.queue), 0);
}

/* Only the thread that borrowed or reserved is done with it; what a thread leaves when it ends comes back. */
static void *borrow_and_end(void *arg)
{
    brood_block message;
    CHECK_RESULT(brood_queue_borrow(arg, &message, 0), 0);
    return message.data;
}

static void of_a_thread(void)
{
    brood_queue *queue = new_queue(0, 0);
    pthread_t thread;
    void *borrowed;
    int number = 7;
    CHECK_RESULT(brood_queue_put(queue, &number, sizeof number, 0), 0);
    NEED(pthread_create(&thread, NULL, borrow_and_end, queue) == 0);
    pthread_join(thread, &borrowed);
    CHECK_RESULT(brood_queue_done(queue, borrowed), -EPERM);
    number = 0;
    CHECK_RESULT(brood_queue_get(queue, &number, sizeof number, NULL, 1000), 1);
    CHECK_EQ(number, 7);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

static void too_many_loans(void)
{
    brood_queue *queue = new_queue(0, 0);
    static void *reserved[2000];
    int count = 0;
    while (count < 2000 && (reserved[count] = brood_queue_reserve(queue, 1, 0)) != NULL)
        count++;
    CHECK_EQ(errno, ENOLCK);
    CHECK(brood_error()[0] != '\0');
    static char bytes[6000];
    CHECK_RESULT(brood_queue_put(queue, "x", 1, 0), 0);
    CHECK_RESULT(brood_queue_borrow(queue, &(brood_block){ NULL, 0 }, 0), -ENOLCK);
    CHECK_RESULT(brood_queue_put(queue, bytes, sizeof bytes, 0), -ENOLCK);
    for (int i = 0; i < count; i++)
        CHECK_RESULT(brood_queue_withdraw(queue, reserved[i]), 0);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "in_order", in_order, 0, false },
        { "of_any_size", of_any_size, 0, false },
        { "as_blocks", as_blocks, 0, false },
        { "too_small", too_small, 0, false },
        { "bounded_by_number", bounded_by_number, 0, false },
        { "bounded_by_bytes", bounded_by_bytes, 0, false },
        { "many_at_once", many_at_once, 0, false },
        { "many_that_do_not_fit", many_that_do_not_fit, 0, false },
        { "in_place", in_place, 0, false },
        { "several_loans", several_loans, 0, false },
        { "closed", closed, 0, false },
        { "misused", misused, 0, false },
        { "bad_options", bad_options, 0, false },
        { "before_init", before_init, 0, true },
        { "out_of_memory", out_of_memory, 0, true },
        { "memory_when_empty", memory_when_empty, 0, false },
        { "threads", threads, 60, false },
        { "of_a_thread", of_a_thread, 0, false },
        { "too_many_loans", too_many_loans, 0, false },
        { 0 },
    };
    return harness_main(argc, argv, cases);
}
