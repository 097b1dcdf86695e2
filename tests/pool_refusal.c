/* pool_refusal.c: maps that end early, or with no memory for what is to be told: what ran is told and kept, what is the
 * program's own stays untouched, and nothing hangs.
 */
#include "harness.h"
#include "plugin/square.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ITEMS = 4, RESULT_BYTES = 1000, OWN_BYTES = 4000, LIMIT = 4 << 20 };

struct result {
    char bytes[RESULT_BYTES];
};

/* In the region. */
struct stage {
    _Atomic int keeper;
    _Atomic int runs;
};

static struct stage *stage;

/* The second item's first run ends with the keeper's death, and with that its own. */
static int fill_result(const void *in, void *out)
{
    (void)in;
    if (brood_task_index() == 1 && atomic_fetch_add(&stage->runs, 1) == 0) {
        kill(atomic_load(&stage->keeper), SIGKILL);
        for (;;)
            pause();
    }
    memset(out, 'r', sizeof(struct result));
    return 0;
}

static brood_pool *new_pool(int workers, brood_start start)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(workers, &(brood_pool_options){ .start = start }));
    NEED(pool != NULL);
    return pool;
}

static bool is_complete(void *arg)
{
    return brood_pool_keeper(arg) > 0 && brood_pool_worker(arg, 0) > 0;
}

/* As a user for whom no further process is allowed: the keeper dies in a map with retries, and cannot be replaced. The
 * map's copies are given back only when nobody will clear them for another attempt. */
static int map_without_keeper(void *arg)
{
    (void)arg;
    NEED(geteuid() != 0 || setuid(65534) == 0);
    stage = CHECK_POINTER(brood_alloc(sizeof *stage));
    brood_pool *pool = new_pool(1, BROOD_FORK);
    NEED(wait_until(is_complete, pool, 5000));
    atomic_store(&stage->keeper, brood_pool_keeper(pool));
    struct rlimit limit;
    NEED(getrlimit(RLIMIT_NPROC, &limit) == 0);
    struct rlimit none = { .rlim_cur = 1, .rlim_max = limit.rlim_max };
    NEED(setrlimit(RLIMIT_NPROC, &none) == 0);
    static struct result results[ITEMS];
    brood_end ends[ITEMS];
    memset(results, '-', sizeof results);
    memset(ends, 0x77, sizeof ends);
    brood_task_options options = { .retries = 1, .chunk = 1, .ends = ends };
    CHECK_RESULT(brood_pool_map(pool, fill_result, NULL, 0, results, sizeof *results, ITEMS, &options), -EAGAIN);
    for (int i = 0; i < ITEMS; i++) {
        CHECK(ends[i].how == BROOD_RETURNED || ends[i].how == BROOD_RUNNING);
        CHECK_EQ(results[i].bytes[0], ends[i].how == BROOD_RETURNED ? 'r' : '-');
    }
    CHECK_EQ(ends[0].how, BROOD_RETURNED);
    CHECK_EQ(ends[1].how, BROOD_RUNNING);
    char *own[8];
    for (int i = 0; i < 8; i++) {
        own[i] = CHECK_POINTER(brood_alloc(OWN_BYTES));
        memset(own[i], 'M', OWN_BYTES);
    }
    NEED(setrlimit(RLIMIT_NPROC, &limit) == 0);
    CHECK_RESULT(brood_pool_map(pool, fill_result, NULL, 0, results, sizeof *results, ITEMS, NULL), 0);
    for (int i = 0; i < 8; i++) {
        for (int at = 0; at < OWN_BYTES; at++)
            if (!CHECK_EQ(own[i][at], 'M'))
                break;
        brood_free(own[i]);
    }
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    brood_free(stage);
    return 0;
}

static void keeper_not_replaced(void)
{
    CHECK_EQ(wait_child(fork_child(map_without_keeper, NULL)), 0);
}

static int square(const void *in, void *out)
{
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

static bool maps_again(void *pool)
{
    int in = 3, out = 0;
    return brood_pool_map(pool, square, &in, sizeof in, &out, sizeof out, 1, NULL) == 0 && out == 9;
}

/* Workers that die on the way to their first item, in a pool whose workers have served before. */
static void workers_never_begin(void)
{
    char path[4200], self[16];
    snprintf(path, sizeof path, "%s/plugin/brittle.so", program_folder());
    snprintf(self, sizeof self, "%d", (int)getpid());
    NEED(setenv("BRITTLE_FOR", self, 1) == 0);
    brood_pool *pool = new_pool(2, BROOD_FORK);
    int in[ITEMS] = { 1, 2, 3, 4 }, out[ITEMS] = { 0 };
    CHECK_RESULT(brood_pool_map(pool, square, in, sizeof *in, out, sizeof *out, ITEMS, NULL), 0);
    void *library = dlopen(path, RTLD_NOW);
    if (library == NULL)
        harness_skip("no plugin: %s", dlerror());
    const struct square_plugin *plugin = dlsym(library, "square_plugin");
    NEED(plugin != NULL);
    brood_end ends[ITEMS];
    memset(ends, 0x77, sizeof ends);
    brood_task_options options = { .ends = ends };
    CHECK_RESULT(brood_pool_map(pool, plugin->task, in, sizeof *in, out, sizeof *out, ITEMS, &options), -EAGAIN);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQ(ends[i].how, BROOD_RUNNING);
    CHECK(wait_until(maps_again, pool, 10000)); /* the last of them may be found dead only now */
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

/* A library that spawned workers cannot load: all items are told of. */
static void ends_without_library(void)
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
    brood_pool *pool = new_pool(1, BROOD_SPAWN);
    int in[ITEMS] = { 1, 2, 3, 4 }, out[ITEMS] = { 0 };
    brood_end ends[ITEMS];
    memset(ends, 0x77, sizeof ends);
    brood_task_options options = { .ends = ends };
    CHECK_RESULT(brood_pool_map(pool, plugin->task, in, sizeof *in, out, sizeof *out, ITEMS, &options), -ENOENT);
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQ(ends[i].how, BROOD_RUNNING);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

/* Eats the region, and then fails in one way or another: there is no memory to record that with. */
static int eat_and_fail(const void *in, void *out)
{
    struct rlimit none = { 0, 0 };
    (void)in;
    (void)out;
    setrlimit(RLIMIT_CORE, &none);
    for (size_t size = 1 << 20; size >= 16; size /= 2)
        while (brood_alloc(size))
            continue;
    if (brood_task_index() == 0)
        return 7;
    return raise(brood_task_index() == 1 ? SIGSEGV : SIGKILL);
}

static void region_full(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = LIMIT }) == 0);
    brood_pool *pool = new_pool(1, BROOD_FORK);
    brood_end ends[3];
    CHECK_RESULT(brood_pool_map(pool, eat_and_fail, NULL, 0, NULL, 0, 3, &(brood_task_options){ .ends = ends }), 3);
    CHECK_EQ(ends[0].how, BROOD_FAILED);
    CHECK_EQ(ends[0].code, 7);
    CHECK_STR(ends[0].why, "returned 7");
    static const int signals[] = { 0, SIGSEGV, SIGKILL };
    for (int i = 1; i < 3; i++) {
        CHECK_EQ(ends[i].how, BROOD_CRASHED);
        CHECK_EQ(ends[i].signal, signals[i]);
        CHECK_EQ(ends[i].code, 0);
        CHECK_HAS(ends[i].why, brood_signal_name(signals[i]));
    }
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(ends[i].attempt, 1);
        CHECK(ends[i].pid > 0);
    }
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

static int crash(const void *in, void *out)
{
    (void)in;
    (void)out;
    return kill(getpid(), SIGKILL);
}

/* What a worker used it used for all its tasks; how long the one ran is known. */
static void usage_is_of_processes(void)
{
    brood_pool *pool = new_pool(1, BROOD_FORK);
    brood_end end;
    CHECK_RESULT(brood_pool_map(pool, crash, NULL, 0, NULL, 0, 1, &(brood_task_options){ .ends = &end }), 1);
    CHECK_EQ(end.how, BROOD_CRASHED);
    CHECK(end.wall_us < 5000000);
    CHECK_EQ(end.cpu_us, 0);
    CHECK_EQ(end.peak_bytes, 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "keeper_not_replaced", .run = keeper_not_replaced },
        { .name = "workers_never_begin", .run = workers_never_begin, .deadline_s = 60 },
        { .name = "ends_without_library", .run = ends_without_library },
        { .name = "region_full", .run = region_full, .no_init = true, .deadline_s = 60 },
        { .name = "usage_is_of_processes", .run = usage_is_of_processes },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
