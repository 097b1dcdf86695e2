/* pool_map.c: what a map computes: every item once, in any chunks, from and to memory of either kind; what it reports
 * of items that fail; and what it refuses.
 */
#include "harness.h"
#include "plugin/square.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const brood_pool_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

static int square(const void *in, void *out)
{
    int value = *(const int *)in;
    *(int *)out = value * value;
    return 0;
}

static brood_pool *new_pool(int workers, int method)
{
    brood_pool *pool = brood_pool_create(workers, &methods[method]);
    NEED(pool != NULL);
    return pool;
}

static void end_pool(brood_pool *pool)
{
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
}

/* The program that the idea comes from. */
static void squares(void)
{
    for (int method = 0; method < 2; method++) {
        int numbers[] = { 1, 2, 3, 4, 5 }, results[5] = { 0 };
        brood_pool *pool = new_pool(5, method);
        CHECK_RESULT(brood_pool_map(pool, square, numbers, sizeof *numbers, results, sizeof *results, 5, NULL), 0);
        for (int i = 0; i < 5; i++)
            CHECK_EQ(results[i], (i + 1) * (i + 1));
        end_pool(pool);
    }
}

static void map_squares(brood_pool *pool, size_t count, size_t chunk)
{
    int *numbers = calloc(count + 1, sizeof *numbers);
    int *results = calloc(count + 1, sizeof *results);
    brood_end *ends = calloc(count + 1, sizeof *ends);
    NEED(numbers != NULL && results != NULL && ends != NULL);
    for (size_t i = 0; i < count; i++)
        numbers[i] = (int)(i % 40000);
    results[count] = 12345;
    ends[count].attempt = 77;
    brood_task_options options = { .chunk = chunk, .ends = ends };
    CHECK_RESULT(brood_pool_map(pool, square, numbers, sizeof *numbers, results, sizeof *results, count, &options), 0);
    for (size_t i = 0; i < count; i++) {
        NEED(CHECK_EQ(results[i], (long long)numbers[i] * numbers[i]));
        NEED(CHECK_EQ(ends[i].how, BROOD_RETURNED));
        NEED(ends[i].index == i && ends[i].attempt == 1 && ends[i].code == 0 && ends[i].signal == 0);
        NEED(ends[i].pid > 0 && ends[i].pid != getpid() && ends[i].why[0] == '\0');
    }
    CHECK_EQ(results[count], 12345);
    CHECK_EQ(ends[count].attempt, 77);
    free(numbers);
    free(results);
    free(ends);
}

static void counts_and_chunks(void)
{
    static const size_t counts[] = { 0, 1, 2, 3, 4, 7, 64, 100, 1000, 10007 };
    static const size_t chunks[] = { 0, 1, 3, 7, 1000, 1000000, SIZE_MAX };
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(3, method);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            for (size_t j = 0; j < sizeof chunks / sizeof *chunks; j++)
                map_squares(pool, counts[i], chunks[j]);
        }
        end_pool(pool);
    }
}

static void a_million(void)
{
    enum { COUNT = 1000000 };
    brood_pool *pool = new_pool(2, 0);
    int *numbers = calloc(COUNT, sizeof *numbers);
    int *results = calloc(COUNT, sizeof *results);
    NEED(numbers != NULL && results != NULL);
    for (int i = 0; i < COUNT; i++)
        numbers[i] = i % 46341;
    for (size_t chunk = 0; chunk < 2; chunk++) {
        memset(results, 0, COUNT * sizeof *results);
        brood_task_options options = { .chunk = chunk };
        CHECK_RESULT(brood_pool_map(pool, square, numbers, sizeof *numbers, results, sizeof *results, COUNT, &options),
                     0);
        for (int i = 0; i < COUNT; i++)
            NEED(CHECK_EQ(results[i], numbers[i] * numbers[i]));
    }
    free(numbers);
    free(results);
    end_pool(pool);
}

struct seen {
    uintptr_t in, out;
    size_t index;
};

/* Tells where its item and its result lie. */
static int see(const void *in, void *out)
{
    struct seen *seen = out;
    CHECK_EQ((long long)seen->in, 0);
    *seen = (struct seen){ (uintptr_t)in, (uintptr_t)out, brood_task_index() };
    return 0;
}

static void in_place(void)
{
    enum { COUNT = 500 };
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        long *in = CHECK_POINTER(brood_alloc_array(COUNT, sizeof *in));
        struct seen *out = CHECK_POINTER(brood_alloc_array(COUNT, sizeof *out));
        CHECK_EQ((long long)brood_task_index(), 0);
        CHECK_RESULT(brood_pool_map(pool, see, in, sizeof *in, out, sizeof *out, COUNT, NULL), 0);
        for (size_t i = 0; i < COUNT; i++) {
            CHECK(out[i].in == (uintptr_t)&in[i]);
            CHECK(out[i].out == (uintptr_t)&out[i]);
            CHECK(out[i].index == i);
        }
        CHECK_EQ((long long)brood_task_index(), 0);
        brood_free(in);
        brood_free(out);
        end_pool(pool);
    }
}

static int see_alignment(const void *in, void *out)
{
    CHECK_EQ((uintptr_t)in % 16, 0);
    CHECK_EQ((uintptr_t)out % 16, 0);
    CHECK(memcmp(out, (char[48]){ 0 }, 48) == 0); /* zeroed before */
    memcpy(out, in, 48);
    return 0;
}

static int copy_odd(const void *in, void *out)
{
    memcpy(out, in, 7);
    return 0;
}

/* What lies outside of the region is copied, aligned as it was. */
static void copied(void)
{
    enum { COUNT = 300 };
    static _Alignas(16) unsigned char in[COUNT][48], out[COUNT][48];
    brood_pool *pool = new_pool(2, 0);
    for (int i = 0; i < COUNT; i++)
        memset(in[i], i % 255 + 1, 48);
    memset(out, 0xee, sizeof out);
    CHECK_RESULT(brood_pool_map(pool, see_alignment, in, 48, out, 48, COUNT, NULL), 0);
    CHECK(memcmp(in, out, sizeof in) == 0);
    static unsigned char odd_in[COUNT * 7 + 1], odd_out[COUNT * 7 + 2];
    for (size_t i = 0; i < sizeof odd_in; i++)
        odd_in[i] = (unsigned char)(i * 31 >> 2);
    CHECK_RESULT(brood_pool_map(pool, copy_odd, odd_in + 1, 7, odd_out + 1, 7, COUNT, NULL), 0);
    CHECK(memcmp(odd_in + 1, odd_out + 1, COUNT * 7) == 0);
    CHECK_EQ(odd_out[0], 0);
    CHECK_EQ(odd_out[COUNT * 7 + 1], 0);
    end_pool(pool);
}

static int add_seven(const void *in, void *out)
{
    *(int *)out += *(const int *)in + 7;
    return 0;
}

/* A result in the region is not zeroed before: it may be added to. And the two kinds may be mixed. */
static void mixed(void)
{
    enum { COUNT = 200 };
    brood_pool *pool = new_pool(2, 0);
    int outside[COUNT], results[COUNT];
    int *inside = CHECK_POINTER(brood_alloc_array(COUNT, sizeof *inside));
    for (int i = 0; i < COUNT; i++)
        outside[i] = inside[i] = i;
    CHECK_RESULT(brood_pool_map(pool, add_seven, outside, sizeof(int), inside, sizeof(int), COUNT, NULL), 0);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(inside[i], 2 * i + 7);
    memset(results, 0xff, sizeof results);
    CHECK_RESULT(brood_pool_map(pool, add_seven, inside, sizeof(int), results, sizeof(int), COUNT, NULL), 0);
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(results[i], 2 * i + 14);
    brood_free(inside);
    end_pool(pool);
}

static int add_to_sum(const void *in, void *out)
{
    CHECK(out == NULL);
    atomic_int *sum = *(atomic_int *const *)in;
    atomic_fetch_add(sum, (int)brood_task_index());
    return 0;
}

static int add_to_one(const void *in, void *out)
{
    CHECK(out == NULL);
    atomic_fetch_add((atomic_int *)(uintptr_t)in, (int)brood_task_index());
    return 0;
}

static int index_of(const void *in, void *out)
{
    CHECK(in == NULL);
    *(size_t *)out = brood_task_index();
    return 0;
}

static int nothing_at_all(const void *in, void *out)
{
    CHECK(in == NULL && out == NULL);
    return 0;
}

static void sizes_of_zero(void)
{
    enum { COUNT = 100 };
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        atomic_int *sum = CHECK_POINTER(brood_alloc(sizeof *sum));
        atomic_int *sums[COUNT];
        for (int i = 0; i < COUNT; i++)
            sums[i] = sum;
        CHECK_RESULT(brood_pool_map(pool, add_to_sum, sums, sizeof *sums, NULL, 0, COUNT, NULL), 0);
        CHECK_EQ(atomic_load(sum), 4950);
        CHECK_RESULT(brood_pool_map(pool, add_to_one, sum, 0, NULL, 0, COUNT, NULL), 0);
        CHECK_EQ(atomic_load(sum), 9900);
        size_t indices[COUNT];
        CHECK_RESULT(brood_pool_map(pool, index_of, NULL, 0, indices, sizeof *indices, COUNT, NULL), 0);
        for (size_t i = 0; i < COUNT; i++)
            CHECK(indices[i] == i);
        CHECK_RESULT(brood_pool_map(pool, nothing_at_all, NULL, 0, NULL, 0, COUNT, NULL), 0);
        brood_free(sum);
        end_pool(pool);
    }
}

static int sum_bytes(const void *in, void *out)
{
    const unsigned char *bytes = in;
    long sum = 0;
    for (size_t i = 0; i < 1 << 20; i++)
        sum += bytes[i];
    memset(out, (int)sum & 255, 1 << 20);
    return 0;
}

static void large_items(void)
{
    enum { COUNT = 12 };
    brood_pool *pool = new_pool(2, 1);
    size_t size = 1 << 20;
    unsigned char *in = malloc(COUNT * size), *out = malloc(COUNT * size);
    NEED(in != NULL && out != NULL);
    for (size_t i = 0; i < COUNT; i++) {
        memset(in + i * size, 0, size);
        in[i * size + size - 1] = (unsigned char)(i + 1);
    }
    CHECK_RESULT(brood_pool_map(pool, sum_bytes, in, size, out, size, COUNT, NULL), 0);
    for (size_t i = 0; i < COUNT; i++)
        CHECK(out[i * size] == i + 1 && out[i * size + size - 1] == i + 1);
    free(in);
    free(out);
    end_pool(pool);
}

static int fail_some(const void *in, void *out)
{
    int item = *(const int *)in;
    *(int *)out = item + 1;
    if (item % 7 == 3)
        return brood_fail(1000 + item, "item %d is bad", item);
    if (item % 7 == 5)
        return -item;
    return 0;
}

static void failing_items(void)
{
    enum { COUNT = 200 };
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(3, method);
        for (size_t chunk = 0; chunk < 60; chunk += 20) {
            int numbers[COUNT], results[COUNT], bad = 0;
            static brood_end ends[COUNT];
            for (int i = 0; i < COUNT; i++) {
                numbers[i] = i;
                results[i] = -5;
                bad += i % 7 == 3 || i % 7 == 5;
            }
            memset(ends, 0x77, sizeof ends);
            brood_task_options options = { .chunk = chunk, .ends = ends, .retries = 3 };
            CHECK_RESULT(brood_pool_map(pool, fail_some, numbers, sizeof(int), results, sizeof(int), COUNT, &options),
                         bad);
            CHECK_HAS(brood_error(), "item 3 is bad");
            for (int i = 0; i < COUNT; i++) {
                bool said = i % 7 == 3, fails = said || i % 7 == 5;
                CHECK_EQ(results[i], fails ? -5 : i + 1);
                CHECK_EQ(ends[i].how, fails ? BROOD_FAILED : BROOD_RETURNED);
                CHECK_EQ(ends[i].code, said ? 1000 + i : fails ? -i : 0);
                CHECK_EQ((long long)ends[i].index, i);
                CHECK_EQ(ends[i].attempt, 1); /* only deaths are tried again */
                CHECK(ends[i].pid > 0);
                char why[32];
                snprintf(why, sizeof why, "item %d is bad", i);
                if (said)
                    CHECK_STR(ends[i].why, why);
                else
                    CHECK_EQ(ends[i].why[0] != '\0', fails);
            }
        }
        end_pool(pool);
    }
}

struct progress {
    pthread_t caller;
    size_t last, calls, count;
};

static void note_progress(void *context, const brood_progress *told)
{
    struct progress *progress = context;
    CHECK(pthread_equal(progress->caller, pthread_self()));
    CHECK(told->done >= progress->last && told->done <= told->count);
    CHECK(told->count == progress->count);
    CHECK(told->calls == progress->calls);
    progress->last = told->done;
    progress->calls++;
}

static int take_a_while(const void *in, void *out)
{
    (void)in;
    (void)out;
    pass_us(1000);
    return 0;
}

static void progress(void)
{
    brood_pool *pool = new_pool(2, 0);
    static const size_t counts[] = { 600, 1, 0 };
    for (size_t i = 0; i < 3; i++) {
        struct progress noted = { .caller = pthread_self(), .count = counts[i] };
        brood_task_options options = { .progress = note_progress, .context = &noted };
        long long start = now_ms();
        CHECK_RESULT(brood_pool_map(pool, take_a_while, NULL, 0, NULL, 0, counts[i], &options), 0);
        long long ms = now_ms() - start;
        CHECK(noted.last == counts[i]);
        CHECK(noted.calls >= 1);
        CHECK((long long)noted.calls <= ms / 100 + 2);
        CHECK(i > 0 || noted.calls >= 2);
    }
    end_pool(pool);
}

static int fail_at_first(const void *in, void *out)
{
    (void)in;
    (void)out;
    return brood_task_attempt();
}

/* What a failure costs does not grow with how many there are: or this would take minutes. */
static void many_failures(void)
{
    const size_t count = (size_t)harness_times(200000);
    brood_pool *pool = new_pool(2, 0);
    brood_end *ends = calloc(count, sizeof *ends);
    NEED(ends != NULL);
    CHECK_RESULT(brood_pool_map(pool, fail_at_first, NULL, 0, NULL, 0, count, &(brood_task_options){ .ends = ends }),
                 (long long)count);
    for (size_t i = 0; i < count; i++)
        NEED(ends[i].how == BROOD_FAILED && ends[i].code == 1 && ends[i].attempt == 1);
    free(ends);
    end_pool(pool);
}

static void wrong_arguments(void)
{
    brood_pool *pool = new_pool(1, 0);
    int in[4] = { 1, 2, 3, 4 }, out[4] = { 0 };
    CHECK_RESULT(brood_pool_map(NULL, square, in, 4, out, 4, 4, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_map(pool, NULL, in, 4, out, 4, 4, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_map(pool, square, NULL, 4, out, 4, 4, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_map(pool, square, in, 4, NULL, 4, 4, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_map(pool, square, in, 4, out, 0, 4, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_map(pool, square, in, 0, out, 4, 4, NULL), -EINVAL); /* not in the region */
    size_t most = (size_t)1 << (sizeof(size_t) == 8 ? 40 : 28);
    CHECK_RESULT(brood_pool_map(pool, nothing_at_all, NULL, 0, NULL, 0, most + 1, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_map(pool, nothing_at_all, NULL, 0, NULL, 0, most * 2, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_map(pool, nothing_at_all, NULL, 0, NULL, 0, SIZE_MAX, NULL), -EINVAL);
    CHECK_RESULT(brood_pool_map(pool, square, in, SIZE_MAX / 2, out, 4, 4, NULL), -ENOMEM);
    CHECK_RESULT(brood_pool_map(pool, square, in, 4, out, SIZE_MAX / 3, 4, NULL), -ENOMEM);
    CHECK_RESULT(brood_pool_map(pool, square, in, HUGE_SIZE(40), out, 4, 4, NULL), -ENOMEM);
    CHECK_RESULT(brood_pool_map(pool, square, in, 4, out, 4, 4, &(brood_task_options){ .retries = -1 }), -EINVAL);
    CHECK_RESULT(brood_pool_map(pool, square, in, 4, out, 4, 4, &(brood_task_options){ .retries = 1001 }), -EINVAL);
    for (int i = 0; i < 8; i++) {
        brood_task_options options = { .chunk = 1 };
        options.reserved[i] = in;
        CHECK_RESULT(brood_pool_map(pool, square, in, 4, out, 4, 4, &options), -EINVAL);
    }
    for (int i = 0; i < 4; i++)
        CHECK_EQ(out[i], 0);
    CHECK_RESULT(brood_pool_map(pool, square, in, 4, out, 4, 4, &(brood_task_options){ .retries = 1000 }), 0);
    CHECK_EQ(out[3], 16);
    end_pool(pool);
}

/* All its workers have been started, with what they have of the region. */
static bool is_manned(void *arg)
{
    for (int i = 0; i < brood_pool_workers(arg); i++)
        if (brood_pool_worker(arg, i) <= 0)
            return false;
    return true;
}

static void no_room(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 8 << 20 }) == 0);
    brood_pool *pool = new_pool(2, 0);
    enum { COUNT = 4 << 20 };
    int *numbers = calloc(COUNT, sizeof *numbers);
    NEED(numbers != NULL);
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_pool_map(pool, square, numbers, sizeof(int), numbers, sizeof(int), 1000, NULL), 0);
    CHECK(wait_until(is_manned, pool, 10000));
    CHECK_RESULT(brood_heap_stat(&before), 0);
    CHECK_RESULT(brood_pool_map(pool, square, numbers, sizeof(int), numbers, sizeof(int), COUNT, NULL), -ENOMEM);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK(after.blocks <= before.blocks); /* workers may still be giving back what was the first map's */
    CHECK_RESULT(brood_pool_map(pool, square, numbers, sizeof(int), numbers, sizeof(int), 1000, NULL), 0);
    free(numbers);
    end_pool(pool);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void late_library(void)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/plugin/square.so", program_folder());
    void *library = dlopen(path, RTLD_NOW);
    if (library == NULL)
        harness_skip("no plugin: %s", dlerror());
    const struct square_plugin *plugin = dlsym(library, "square_plugin");
    NEED(plugin != NULL);
    int in[3] = { 5, 6, 7 };
    for (int spawned = 0; spawned < 2; spawned++) { /* forked workers have what their creator had, others load it */
        int out[3] = { 0 };
        brood_pool *pool = new_pool(2, spawned);
        CHECK_RESULT(brood_pool_map(pool, plugin->task, in, sizeof *in, out, sizeof *out, 3, NULL), 0);
        CHECK_EQ(out[2], 49);
        end_pool(pool);
    }
}

/* A library whose file is gone: workers that were forked have it all the same, others cannot load it. */
static void lost_library(void)
{
    char path[4200], folder[4096], name[4200];
    snprintf(path, sizeof path, "%s/plugin/square.so", program_folder());
    NEED(make_folder(folder, sizeof folder) == 0);
    snprintf(name, sizeof name, "%s/lost.so", folder);
    bool linked = link(path, name) == 0;
    void *library = linked ? dlopen(name, RTLD_NOW) : NULL;
    unlink(name);
    rmdir(folder);
    if (library == NULL)
        harness_skip("no plugin: %s", linked ? dlerror() : "no link to it");
    const struct square_plugin *plugin = dlsym(library, "square_plugin");
    NEED(plugin != NULL);
    int in[3] = { 5, 6, 7 }, out[3] = { 0 };
    brood_pool *pool = new_pool(2, 1);
    CHECK_RESULT(brood_pool_map(pool, plugin->task, in, sizeof *in, out, sizeof *out, 3, NULL), -ENOENT);
    CHECK_HAS(brood_error(), "lost.so");
    CHECK_EQ(out[0], 0);
    CHECK_RESULT(brood_pool_map(pool, square, in, sizeof *in, out, sizeof *out, 3, NULL), 0);
    end_pool(pool);
    pool = new_pool(2, 0);
    CHECK_RESULT(brood_pool_map(pool, plugin->task, in, sizeof *in, out, sizeof *out, 3, NULL), 0);
    CHECK_EQ(out[2], 49);
    end_pool(pool);
}

/* A task is a process of the family like any other: it may have a pool of its own. */
static int map_in_task(const void *in, void *out)
{
    int numbers[50], results[50];
    for (int i = 0; i < 50; i++)
        numbers[i] = i + *(const int *)in;
    brood_pool *pool = brood_pool_create(2, NULL);
    if (!CHECK(pool != NULL))
        return 1;
    CHECK_RESULT(brood_pool_map(pool, square, numbers, sizeof(int), results, sizeof(int), 50, NULL), 0);
    int sum = 0;
    for (int i = 0; i < 50; i++)
        sum += results[i];
    *(int *)out = sum;
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_RESULT(brood_fini(), 0); /* the fork server's end, where there are other threads: a checker's */
    CHECK_EQ(count_children(), 0);
    return 0;
}

static void pool_in_task(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        int in[4] = { 0, 0, 0, 0 }, out[4] = { 0 };
        CHECK_RESULT(brood_pool_map(pool, map_in_task, in, sizeof *in, out, sizeof *out, 4, NULL), 0);
        for (int i = 0; i < 4; i++)
            CHECK_EQ(out[i], 40425);
        end_pool(pool);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "squares", .run = squares },
        { .name = "counts_and_chunks", .run = counts_and_chunks, .deadline_s = 60 },
        { .name = "a_million", .run = a_million, .deadline_s = 60 },
        { .name = "in_place", .run = in_place },
        { .name = "copied", .run = copied },
        { .name = "mixed", .run = mixed },
        { .name = "sizes_of_zero", .run = sizes_of_zero },
        { .name = "large_items", .run = large_items },
        { .name = "failing_items", .run = failing_items },
        { .name = "many_failures", .run = many_failures },
        { .name = "progress", .run = progress },
        { .name = "wrong_arguments", .run = wrong_arguments },
        { .name = "no_room", .run = no_room, .no_init = true },
        { .name = "late_library", .run = late_library },
        { .name = "lost_library", .run = lost_library },
        { .name = "pool_in_task", .run = pool_in_task },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
