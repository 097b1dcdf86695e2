/* pool_imap.c: results one by one from a source, which is read only so far ahead, in order and as they come; and items
 * and results of varying size, in every call.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const brood_pool_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

static brood_pool *new_pool(int workers, int method)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(workers, &methods[method]));
    NEED(pool != NULL);
    return pool;
}

static void end_pool(brood_pool *pool)
{
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static int square(const void *in, void *out)
{
    int value = *(const int *)in;
    if (value % 1000 == 999)
        return brood_fail(9, "unlucky %d", value);
    *(int *)out = value * value;
    return 0;
}

/* Counts upward. */
struct counter {
    int next, end, failure;
};

static int count_up(void *context, void *in)
{
    struct counter *counter = context;
    if (counter->next == counter->end)
        return counter->failure ? counter->failure : 1;
    *(int *)in = counter->next++;
    return 0;
}

static void in_order(void)
{
    for (int method = 0; method < 2; method++) {
        for (size_t ahead = 0; ahead < 20; ahead += 7) {
            struct counter counter = { .end = 2000 };
            brood_pool *pool = new_pool(3, method);
            brood_result *result = CHECK_POINTER(brood_pool_imap(pool, square, count_up, &counter, sizeof(int),
                                                                 sizeof(int), &(brood_task_options){ .ahead = ahead }));
            for (int i = 0; i < 2000; i++) {
                int out = -1;
                brood_end end;
                bool unlucky = i % 1000 == 999;
                NEED(CHECK_RESULT(brood_result_next(result, &out, &end, 10000), unlucky));
                CHECK_EQ(out, unlucky ? -1 : i * i);
                CHECK_EQ(end.how, unlucky ? BROOD_FAILED : BROOD_RETURNED);
                CHECK_EQ((long long)end.index, i);
                CHECK(end.pid > 0 && end.attempt == 1);
                CHECK(counter.next <= i + (int)(ahead ? ahead : 12) + 1);
            }
            CHECK_RESULT(brood_result_next(result, NULL, NULL, 0), -EPIPE);
            CHECK_RESULT(brood_result_next(result, NULL, NULL, BROOD_FOREVER), -EPIPE);
            CHECK_RESULT(brood_result_destroy(result), 0);
            end_pool(pool);
        }
    }
}

static int slow_if_first(const void *in, void *out)
{
    if (brood_task_index() == 0)
        pass_us(200000);
    return square(in, out);
}

static void as_they_come(void)
{
    struct counter counter = { .end = 500 };
    brood_pool *pool = new_pool(2, 0);
    bool seen[500] = { false };
    int at_first = -1;
    brood_result *result = CHECK_POINTER(brood_pool_imap(pool, slow_if_first, count_up, &counter, sizeof(int),
                                                         sizeof(int), &(brood_task_options){ .unordered = true }));
    for (int i = 0; i < 500; i++) {
        int out = -1;
        brood_end end;
        NEED(CHECK_RESULT(brood_result_next(result, &out, &end, 10000), 0));
        CHECK_EQ(out, (int)(end.index * end.index));
        CHECK(!seen[end.index]);
        seen[end.index] = true;
        at_first = end.index == 0 ? i : at_first;
    }
    CHECK(at_first > 2);
    CHECK_RESULT(brood_result_next(result, NULL, NULL, 0), -EPIPE);
    CHECK_RESULT(brood_result_destroy(result), 0);
    end_pool(pool);
}

/* No more memory for more items. */
static void endless(void)
{
    struct counter counter = { .end = -1 };
    brood_pool *pool = new_pool(2, 0);
    brood_heap_stats early = { .blocks = 0 }, late;
    brood_result *result =
        CHECK_POINTER(brood_pool_imap(pool, square, count_up, &counter, sizeof(int), sizeof(int), NULL));
    int total = harness_times(60000);
    for (int i = 0; i < total; i++) {
        int out = 0;
        NEED(CHECK(brood_result_next(result, &out, NULL, 10000) >= 0));
        if (i == total / 10)
            brood_heap_stat(&early);
    }
    brood_heap_stat(&late);
    CHECK(late.blocks <= early.blocks + 16);
    CHECK_RESULT(brood_result_destroy(result), 0); /* while it runs */
    end_pool(pool);
}

static void source_fails(void)
{
    struct counter counter = { .end = 10, .failure = -EIO };
    brood_pool *pool = new_pool(1, 0);
    brood_result *result =
        CHECK_POINTER(brood_pool_imap(pool, square, count_up, &counter, sizeof(int), sizeof(int), NULL));
    for (int i = 0; i < 10; i++)
        CHECK_RESULT(brood_result_next(result, NULL, NULL, 10000), 0);
    CHECK_RESULT(brood_result_next(result, NULL, NULL, 10000), -EIO);
    CHECK_RESULT(brood_result_destroy(result), 0);
    end_pool(pool);
}

static int sit(const void *in, void *out)
{
    atomic_int *open = *(atomic_int *const *)in;
    (void)out;
    return !CHECK(wait_word(open, 1, 15000));
}

static int same_gate(void *context, void *in)
{
    memcpy(in, context, sizeof(void *));
    return 0;
}

static void waits_and_closes(void)
{
    brood_pool *pool = new_pool(1, 0);
    atomic_int *open = CHECK_POINTER(brood_alloc(sizeof *open));
    brood_result *result = CHECK_POINTER(
        brood_pool_imap(pool, sit, same_gate, &open, sizeof open, 0, &(brood_task_options){ .ahead = 3 }));
    CHECK_RESULT(brood_result_next(result, NULL, NULL, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_result_next(result, NULL, NULL, 30), -ETIMEDOUT);
    CHECK_RESULT(brood_result_wait(result, 0), -EINVAL);
    CHECK_RESULT(brood_pool_close(pool), 0);
    atomic_store(open, 1);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_result_next(result, NULL, NULL, 10000), 0);
    CHECK_RESULT(brood_result_next(result, NULL, NULL, 10000), -EPIPE);
    CHECK_RESULT(brood_pool_join(pool, 10000), 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
    brood_free(open);
    end_pool(pool);
}

static void terminated(void)
{
    brood_pool *pool = new_pool(1, 0);
    atomic_int *open = CHECK_POINTER(brood_alloc(sizeof *open));
    brood_result *results[2];
    for (int i = 0; i < 2; i++)
        results[i] = CHECK_POINTER(brood_pool_imap(pool, sit, same_gate, &open, sizeof open, 0,
                                                   &(brood_task_options){ .ahead = 3, .unordered = i }));
    CHECK_RESULT(brood_pool_terminate(pool), 0);
    for (int i = 0; i < 3; i++) {
        brood_end end;
        CHECK_RESULT(brood_result_next(results[0], NULL, &end, BROOD_FOREVER), 1);
        CHECK_EQ(end.how, BROOD_CANCELLED);
    }
    CHECK_RESULT(brood_result_next(results[0], NULL, NULL, BROOD_FOREVER), -EPIPE);
    CHECK_RESULT(brood_result_next(results[1], NULL, NULL, BROOD_FOREVER), 1);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_RESULT(brood_result_next(results[1], NULL, NULL, BROOD_FOREVER), -EPIPE);
    for (int i = 0; i < 2; i++)
        CHECK_RESULT(brood_result_destroy(results[i]), 0);
    brood_free(open);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* Workers and keepers die; every item is told once, in order. */
static void deaths(void)
{
    struct counter counter = { .end = harness_times(2000) };
    brood_pool *pool = new_pool(3, 0);
    uint32_t seed = 5;
    int lost = 0, kills = 0;
    brood_result *result =
        CHECK_POINTER(brood_pool_imap(pool, square, count_up, &counter, sizeof(int), sizeof(int), NULL));
    for (int i = 0; i < counter.end; i++) {
        int out = -1;
        brood_end end;
        NEED(CHECK(brood_result_next(result, &out, &end, 10000) >= 0));
        NEED(CHECK_EQ((long long)end.index, i));
        if (end.how == BROOD_RETURNED)
            CHECK_EQ(out, i * i);
        else if (i % 1000 != 999)
            lost++;
        if (random_next(&seed) % 40 == 0) {
            int pid = seed % 3 ? brood_pool_worker(pool, (int)(seed % 3)) : brood_pool_keeper(pool);
            kills += pid > 0 && kill(pid, SIGKILL) == 0;
        }
    }
    CHECK(lost <= kills * 3);
    CHECK_RESULT(brood_result_destroy(result), 0);
    end_pool(pool);
}

static void wrong(void)
{
    struct counter counter = { .end = 10 };
    brood_pool *pool = new_pool(1, 0);
    brood_end end;
    int out;
    const brood_task_options bad[] = {
        { .ends = &end }, { .chunk = 2 }, { .ahead = (1U << 20) + 1 }, { .retries = -1 }
    };
    CHECK_NULL(brood_pool_imap(NULL, square, count_up, &counter, 4, 4, NULL), EINVAL);
    CHECK_NULL(brood_pool_imap(pool, NULL, count_up, &counter, 4, 4, NULL), EINVAL);
    CHECK_NULL(brood_pool_imap(pool, square, NULL, &counter, 4, 4, NULL), EINVAL);
    CHECK_NULL(brood_pool_imap(pool, square, count_up, &counter, 4, BROOD_STRINGS, NULL), EINVAL);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_NULL(brood_pool_imap(pool, square, count_up, &counter, 4, 4, &bad[i]), EINVAL);
    CHECK_EQ(counter.next, 0);
    CHECK_RESULT(brood_result_next(NULL, &out, NULL, 0), -EINVAL);
    brood_result *result = CHECK_POINTER(brood_pool_imap(pool, square, count_up, &counter, 4, 4, NULL));
    CHECK_RESULT(brood_result_next(result, &out, NULL, -2), -EINVAL);
    CHECK_RESULT(brood_result_end(result, &end), -EINVAL);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_RESULT(brood_pool_close(pool), 0);
    CHECK_NULL(brood_pool_imap(pool, square, count_up, &counter, 4, 4, NULL), EPIPE);
    end_pool(pool);
}

/* ---- varying size ---- */

/* Replies with its item, twice. "" has no reply; "bad" fails, with one; "die" dies with one, the first time. */
static int twice(const void *in, void *out)
{
    size_t length = strlen(in);
    CHECK(out == NULL);
    CHECK_EQ((long long)brood_task_size(), (long long)length + 1);
    if (length == 0)
        return 0;
    brood_task_reply(length); /* another one follows */
    char *reply = CHECK_POINTER(brood_task_reply(2 * length + 1));
    CHECK_EQ(reply[0], 0);
    snprintf(reply, 2 * length + 1, "%s%s", (const char *)in, (const char *)in);
    if (strcmp(in, "bad") == 0)
        return brood_fail(1, "bad it is");
    if (strcmp(in, "die") == 0 && brood_task_attempt() == 1)
        raise(SIGKILL);
    return 0;
}

static const char *const words[] = { "one", "", "bad", "three hundred", "die", "x" };

enum { WORDS = sizeof words / sizeof *words };

static void check_word(int i, const brood_block *out, int how)
{
    bool bad = i == 2;
    CHECK_EQ(how, bad ? BROOD_FAILED : BROOD_RETURNED);
    if (bad) {
        CHECK(out->size == 77);
        return;
    }
    if (!words[i][0]) {
        CHECK(out->data == NULL && out->size == 0);
        return;
    }
    char expected[64];
    snprintf(expected, sizeof expected, "%s%s", words[i], words[i]);
    CHECK_EQ((long long)out->size, (long long)strlen(expected) + 1);
    CHECK_STR(out->data, expected);
    brood_free(out->data);
}

static void strings_and_replies(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        brood_block out[WORDS];
        brood_end ends[WORDS];
        brood_heap_stats before, after;
        brood_heap_stat(&before);
        for (int i = 0; i < WORDS; i++)
            out[i] = (brood_block){ NULL, 77 };
        brood_task_options options = { .ends = ends, .retries = 1, .chunk = 2 };
        CHECK_RESULT(brood_pool_map(pool, twice, words, BROOD_STRINGS, out, BROOD_BLOCKS, WORDS, &options), 1);
        CHECK_HAS(brood_error(), "bad it is");
        for (int i = 0; i < WORDS; i++) {
            check_word(i, &out[i], ends[i].how);
            CHECK_EQ(ends[i].attempt, i == 4 ? 2 : 1);
        }
        for (int i = 0; i < WORDS; i++) {
            brood_block one = { NULL, 77 };
            brood_end end;
            options = (brood_task_options){ .ends = &end, .retries = 1 };
            CHECK_RESULT(brood_pool_apply(pool, twice, &words[i], BROOD_STRINGS, &one, BROOD_BLOCKS, &options), i == 2);
            check_word(i, &one, end.how);
        }
        brood_heap_stat(&after);
        CHECK(after.blocks <= before.blocks + 8); /* names, the ring, and the restarted worker's ticket; no reply */
        end_pool(pool);
    }
}

struct list {
    int next;
};

static int next_word(void *context, void *in)
{
    struct list *list = context;
    if (list->next == WORDS)
        return 1;
    *(const char **)in = words[list->next++];
    return 0;
}

static void imap_strings(void)
{
    brood_pool *pool = new_pool(2, 0);
    struct list list = { 0 };
    brood_result *result = CHECK_POINTER(brood_pool_imap(pool, twice, next_word, &list, BROOD_STRINGS, BROOD_BLOCKS,
                                                         &(brood_task_options){ .retries = 1 }));
    for (int i = 0; i < WORDS; i++) {
        brood_block out = { NULL, 77 };
        brood_end end;
        CHECK_RESULT(brood_result_next(result, &out, &end, 10000), i == 2);
        check_word(i, &out, end.how);
    }
    CHECK_RESULT(brood_result_next(result, NULL, NULL, 0), -EPIPE);
    CHECK_RESULT(brood_result_destroy(result), 0);
    end_pool(pool);
}

/* Sums the bytes of its block. */
static int sum(const void *in, void *out)
{
    const unsigned char *bytes = in;
    CHECK((in == NULL) == (brood_task_size() == 0));
    for (size_t i = 0; i < brood_task_size(); i++)
        *(long *)out += bytes[i];
    return 0;
}

static void blocks(void)
{
    enum { COUNT = 300 };
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        brood_block in[COUNT];
        long out[COUNT];
        unsigned char *shared = CHECK_POINTER(brood_alloc(COUNT)), own[COUNT];
        memset(shared, 2, COUNT);
        memset(own, 3, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            in[i] = (brood_block){ i % 2 ? shared : own, i };
        CHECK_RESULT(brood_pool_map(pool, sum, in, BROOD_BLOCKS, out, sizeof *out, COUNT, NULL), 0);
        for (size_t i = 0; i < COUNT; i++)
            CHECK_EQ(out[i], (long)i * (i % 2 ? 2 : 3));
        for (size_t i = 0; i < 5; i++) {
            CHECK_RESULT(brood_pool_apply(pool, sum, &in[i], BROOD_BLOCKS, out, sizeof *out, NULL), 0);
            CHECK_EQ(out[0], (long)i * (i % 2 ? 2 : 3));
        }
        in[3].data = NULL;
        CHECK_RESULT(brood_pool_map(pool, sum, in, BROOD_BLOCKS, out, sizeof *out, COUNT, NULL), -EINVAL);
        CHECK_RESULT(brood_pool_apply(pool, sum, &in[3], BROOD_BLOCKS, out, sizeof *out, NULL), -EINVAL);
        CHECK_RESULT(brood_pool_map(pool, sum, &in[3].data, BROOD_STRINGS, out, sizeof *out, 1, NULL), -EINVAL);
        CHECK_RESULT(brood_pool_map(pool, sum, in, BROOD_BLOCKS, out, BROOD_STRINGS, COUNT, NULL), -EINVAL);
        brood_free(shared);
        end_pool(pool);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "in_order", .run = in_order },
        { .name = "as_they_come", .run = as_they_come },
        { .name = "endless", .run = endless, .deadline_s = 60 },
        { .name = "source_fails", .run = source_fails },
        { .name = "waits_and_closes", .run = waits_and_closes },
        { .name = "terminated", .run = terminated },
        { .name = "deaths", .run = deaths, .deadline_s = 60 },
        { .name = "wrong", .run = wrong },
        { .name = "strings_and_replies", .run = strings_and_replies },
        { .name = "imap_strings", .run = imap_strings },
        { .name = "blocks", .run = blocks },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
