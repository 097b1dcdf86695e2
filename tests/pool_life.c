/* pool_life.c: pools come and go: who they consist of, what these inherit, who may use them, and that nothing of them
 * is left, whichever way their creator ends.
 */
#include "harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define WORKERS 3
#define GONE_MS 2000

static const brood_pool_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

/* On the page that all processes of the case share. */
struct scene {
    atomic_int entered;
    atomic_int leave;
    atomic_int ready;
    atomic_int pids[WORKERS + 1]; /* the keeper's last */
};

static struct scene *scene(void)
{
    return harness_page();
}

static int square(const void *in, void *out)
{
    *(int *)out = *(const int *)in * *(const int *)in;
    return 0;
}

static int stay(const void *in, void *out)
{
    (void)in;
    (void)out;
    atomic_fetch_add(&scene()->entered, 1);
    CHECK(wait_word(&scene()->leave, 1, 15000));
    return 0;
}

static bool all_started(void *arg)
{
    brood_pool *pool = arg;
    if (brood_pool_keeper(pool) <= 0)
        return false;
    for (int i = 0; i < brood_pool_workers(pool); i++) {
        if (brood_pool_worker(pool, i) <= 0)
            return false;
    }
    return true;
}

static void note_pids(brood_pool *pool)
{
    CHECK(wait_until(all_started, pool, 5000));
    for (int i = 0; i < WORKERS; i++)
        atomic_store(&scene()->pids[i], brood_pool_worker(pool, i));
    atomic_store(&scene()->pids[WORKERS], brood_pool_keeper(pool));
}

static void check_all_gone(int ms)
{
    for (int i = 0; i <= WORKERS; i++)
        CHECK(wait_gone(atomic_load(&scene()->pids[i]), ms));
}

static void check_works(brood_pool *pool)
{
    int numbers[20], results[20];
    for (int i = 0; i < 20; i++)
        numbers[i] = i;
    CHECK_RESULT(brood_pool_map(pool, square, numbers, sizeof(int), results, sizeof(int), 20, NULL), 0);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(results[i], i * i);
}

static brood_pool *new_pool(int workers, int method)
{
    brood_pool *pool = brood_pool_create(workers, &methods[method]);
    NEED(pool != NULL);
    return pool;
}

static void members(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(WORKERS, method);
        CHECK_EQ(brood_pool_workers(pool), WORKERS);
        note_pids(pool);
        for (int i = 0; i <= WORKERS; i++) {
            int pid = atomic_load(&scene()->pids[i]);
            CHECK(process_state(pid) != 0 && process_state(pid) != 'Z');
            CHECK(pid != getpid());
            for (int j = 0; j < i; j++)
                CHECK(pid != atomic_load(&scene()->pids[j]));
        }
        CHECK_RESULT(brood_pool_worker(pool, -1), -EINVAL);
        CHECK_RESULT(brood_pool_worker(pool, WORKERS), -EINVAL);
        CHECK_RESULT(brood_pool_destroy(pool), 0);
        check_all_gone(0); /* gone when destroy returns */
        CHECK_EQ(count_children(), 0);
    }
    CHECK_RESULT(brood_pool_workers(NULL), -EINVAL);
    CHECK_RESULT(brood_pool_keeper(NULL), -EINVAL);
    CHECK_RESULT(brood_pool_worker(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_pool_destroy(NULL), 0);
}

static void wrong_arguments(void)
{
    int here = 0;
    CHECK_NULL(brood_pool_create(-1, NULL), EINVAL);
    CHECK_NULL(brood_pool_create(1025, NULL), EINVAL);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .start = (brood_start)99 }), EINVAL);
    brood_pool_options options = { .name = "x" };
    for (size_t i = 0; i < sizeof options.reserved / sizeof *options.reserved; i++) {
        options = (brood_pool_options){ .name = "x" };
        options.reserved[i] = &here;
        CHECK_NULL(brood_pool_create(1, &options), EINVAL);
    }
    CHECK_EQ(count_children(), 0);
}

static void default_count(void)
{
    brood_pool *pool = brood_pool_create(0, NULL);
    NEED(pool != NULL);
    CHECK_EQ(brood_pool_workers(pool), brood_cpu_count());
    check_works(pool);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

static void many_workers(void)
{
    brood_pool *pool = new_pool(100, 0);
    CHECK(wait_until(all_started, pool, 10000));
    check_works(pool);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
}

static void named(void)
{
    brood_pool *pool = brood_pool_create(1, &(brood_pool_options){ .name = "sorters" });
    NEED(pool != NULL);
    CHECK_RESULT(brood_pool_worker(pool, 7), -EINVAL);
    CHECK_HAS(brood_error(), "sorters");
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

static void nothing_left(void)
{
    for (int method = 0; method < 2; method++)
        CHECK_RESULT(brood_pool_destroy(new_pool(2, method)), 0);
    int descriptors = count_descriptors();
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_heap_stat(&before), 0);
    for (int i = 0; i < 40; i++) {
        brood_pool *pool = new_pool(1 + i % 4, i % 5 == 0);
        if (i % 2 == 0)
            check_works(pool);
        CHECK_RESULT(brood_pool_destroy(pool), 0); /* at once, or after use */
        CHECK_EQ(count_children(), 0);
    }
    CHECK_EQ(count_descriptors(), descriptors);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void several_pools(void)
{
    brood_pool *pools[5];
    for (int i = 0; i < 5; i++)
        pools[i] = new_pool(2, i % 2);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5; i++)
            check_works(pools[i]);
    }
    for (int i = 0; i < 5; i++)
        CHECK_RESULT(brood_pool_destroy(pools[i * 2 % 5]), 0);
    CHECK_EQ(count_children(), 0);
}

static void *map_often(void *arg)
{
    for (int i = 0; i < 100; i++)
        check_works(arg);
    return NULL;
}

/* Threads share a pool; their calls are served side by side. */
static void maps_of_threads(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(WORKERS, method);
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            NEED(pthread_create(&threads[i], NULL, map_often, pool) == 0);
        for (int i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
        CHECK_RESULT(brood_pool_destroy(pool), 0);
    }
}

static void *map_staying(void *arg)
{
    CHECK_RESULT(brood_pool_map(arg, stay, NULL, 0, NULL, 0, 1, NULL), 0);
    return NULL;
}

/* A long map of one thread holds up neither another's nor those who come later. */
static void side_by_side(void)
{
    brood_pool *pool = new_pool(2, 0);
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, map_staying, pool) == 0);
    CHECK(wait_word(&scene()->entered, 1, 5000));
    for (int i = 0; i < 10; i++)
        check_works(pool);
    CHECK_RESULT(brood_pool_destroy(pool), -EBUSY);
    check_works(pool);
    atomic_store(&scene()->leave, 1);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

static int use_foreign_pool(void *arg)
{
    brood_pool *pool = *(brood_pool **)arg;
    int numbers[2] = { 1, 2 };
    CHECK_RESULT(brood_pool_map(pool, square, numbers, sizeof(int), numbers, sizeof(int), 2, NULL), 0);
    CHECK_EQ(numbers[1], 4);
    CHECK_RESULT(brood_pool_destroy(pool), -EPERM);
    return 0;
}

static int use_own_pool(const void *in, void *out)
{
    brood_pool *pool = *(brood_pool *const *)in;
    int numbers[2] = { 1, 2 };
    (void)out;
    CHECK_RESULT(brood_pool_map(pool, square, numbers, sizeof(int), numbers, sizeof(int), 2, NULL), 0);
    CHECK_EQ(numbers[1], 4);
    CHECK_RESULT(brood_pool_destroy(pool), -EPERM);
    return 0;
}

static void pool_of_another(void)
{
    brood_pool *pool = new_pool(2, 0);
    brood_pool **place = CHECK_POINTER(brood_alloc(sizeof *place));
    *place = pool;
    CHECK_EQ(wait_child(fork_child(use_foreign_pool, place)), 0);
    brood_process *process = brood_process_start(use_foreign_pool, &pool, sizeof pool, NULL);
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK_RESULT(brood_pool_map(pool, use_own_pool, place, 0, NULL, 0, 3, NULL), 0);
    check_works(pool);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    brood_free(place);
}

static int stored;

static int tell_stored(const void *in, void *out)
{
    (void)in;
    *(int *)out = stored;
    return 0;
}

static void *idle_thread(void *arg)
{
    CHECK(wait_word(arg, 1, 15000));
    return NULL;
}

static int stored_in_worker(const brood_pool_options *options)
{
    stored = 3;
    int result = -1;
    brood_pool *pool = brood_pool_create(1, options);
    NEED(pool != NULL);
    CHECK_RESULT(brood_pool_map(pool, tell_stored, NULL, 0, &result, sizeof result, 1, NULL), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    return result;
}

/* A program with threads is not forked unless it says so: their locks would be torn in the worker. */
static void method_by_default(void)
{
    unsetenv("BROOD_START_METHOD");
    NEED(brood_init(NULL) == 0);
    CHECK_EQ(stored_in_worker(NULL), 3);
    CHECK_EQ(stored_in_worker(&methods[0]), 3);
    CHECK_EQ(stored_in_worker(&methods[1]), 0);
    static atomic_int leave;
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, idle_thread, &leave) == 0);
    CHECK_EQ(stored_in_worker(NULL), 0);
    CHECK_EQ(stored_in_worker(&methods[0]), 3);
    atomic_store(&leave, 1);
    pthread_join(thread, NULL);
}

struct surroundings {
    int adjusted;
    bool descriptor, input;
};

static int look_around(const void *in, void *out)
{
    (void)in;
    struct surroundings *seen = out;
    FILE *file = fopen("/proc/self/oom_score_adj", "re");
    if (CHECK(file != NULL)) {
        CHECK_EQ(fscanf(file, "%d", &seen->adjusted), 1);
        fclose(file);
    }
    seen->descriptor = fcntl(777, F_GETFD) >= 0;
    seen->input = fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0;
    return 0;
}

/* Keeper and workers have the standard streams and no other descriptor, and die before us when memory is short. */
static void what_workers_have(void)
{
    NEED(fcntl(STDERR_FILENO, F_DUPFD, 777) == 777);
    FILE *file = fopen("/proc/self/oom_score_adj", "re");
    int adjusted = 1000;
    NEED(file != NULL && fscanf(file, "%d", &adjusted) == 1);
    fclose(file);
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        struct surroundings seen = { 0 };
        CHECK_RESULT(brood_pool_map(pool, look_around, NULL, 0, &seen, sizeof seen, 1, NULL), 0);
        CHECK(!seen.descriptor);
        CHECK(seen.input);
        CHECK(adjusted == 1000 || seen.adjusted > adjusted);
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/fd/777", brood_pool_keeper(pool));
        CHECK(access(path, F_OK) != 0);
        CHECK_RESULT(brood_pool_destroy(pool), 0);
    }
    close(777);
}

static void signals_ignored(void)
{
    static const int signals[] = { SIGINT, SIGHUP, SIGQUIT };
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(WORKERS, method);
        check_works(pool);
        note_pids(pool);
        for (int i = 0; i <= WORKERS; i++) {
            for (int j = 0; j < 3; j++)
                CHECK_EQ(kill(atomic_load(&scene()->pids[i]), signals[j]), 0);
        }
        for (int i = 0; i < 10; i++)
            check_works(pool);
        for (int i = 0; i < WORKERS; i++)
            CHECK_EQ(brood_pool_worker(pool, i), atomic_load(&scene()->pids[i]));
        CHECK_EQ(brood_pool_keeper(pool), atomic_load(&scene()->pids[WORKERS]));
        CHECK_RESULT(brood_pool_destroy(pool), 0);
    }
}

/* The creator ends, in the way that its part names, while its pool is idle, busy, or just being made. */
static void creator_part(void)
{
    const char *part = harness_part();
    brood_pool *pool = new_pool(WORKERS, strstr(part, "spawn") != NULL);
    if (strstr(part, "early") == NULL)
        note_pids(pool);
    if (strstr(part, "busy") != NULL) {
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, map_staying, pool) == 0);
        CHECK(wait_word(&scene()->entered, 1, 5000));
    }
    atomic_store(&scene()->ready, 1);
    if (strstr(part, "exit") != NULL)
        exit(0);
    for (;;)
        pause();
}

static void creator_ends(void)
{
    if (harness_part() != NULL)
        creator_part();
    static const char *const parts[] = { "fork idle",  "spawn idle", "fork busy",  "spawn busy", "fork exit idle",
                                         "spawn exit", "fork early", "fork early", "spawn early" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        memset(scene(), 0, sizeof *scene());
        pid_t creator = harness_start(parts[i]);
        CHECK(wait_word(&scene()->ready, 1, 10000));
        if (strstr(parts[i], "exit") != NULL) {
            int status = wait_child(creator);
            if (!harness_sanitized()) /* which calls a pool that is not destroyed a leak */
                CHECK_EQ(status, 0);
        } else {
            CHECK_EQ(kill_child(creator), SIGKILL);
        }
        if (strstr(parts[i], "early") == NULL)
            check_all_gone(GONE_MS);
    }
}

/* Killed at random times in create, map and destroy; the harness sees whether anyone is left. */
static void creator_killed_anywhere(void)
{
    if (harness_part() != NULL) {
        for (int i = 0;; i++) {
            brood_pool *pool = new_pool(2, i % 3 == 2);
            atomic_store(&scene()->ready, 1);
            check_works(pool);
            CHECK_RESULT(brood_pool_destroy(pool), 0);
        }
    }
    uint32_t state = 8;
    for (int i = 0; i < 40; i++) {
        memset(scene(), 0, sizeof *scene());
        pid_t creator = harness_start("creator");
        CHECK(wait_word(&scene()->ready, 1, 10000));
        pass_us(random_next(&state) % 12000);
        CHECK_EQ(kill_child(creator), SIGKILL);
    }
    CHECK_EQ(count_children(), 0);
}

static int no_processes(void *arg)
{
    (void)arg;
    struct rlimit limit;
    NEED(getrlimit(RLIMIT_NPROC, &limit) == 0);
    NEED(geteuid() != 0 || setuid(65534) == 0);
    struct rlimit none = { .rlim_cur = 1, .rlim_max = limit.rlim_max };
    NEED(setrlimit(RLIMIT_NPROC, &none) == 0);
    brood_heap_stats before = { 0 }, after = { 0 };
    CHECK_RESULT(brood_heap_stat(&before), 0);
    for (int method = 0; method < 2; method++)
        CHECK_NULL(brood_pool_create(2, &methods[method]), EAGAIN);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    NEED(setrlimit(RLIMIT_NPROC, &limit) == 0);
    brood_pool *pool = new_pool(1, 0);
    check_works(pool);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    return 0;
}

static void process_limit(void)
{
    CHECK_EQ(wait_child(fork_child(no_processes, NULL)), 0);
}

static void no_room(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    static const size_t size[] = { 1 << 16, 4096, 256, 64, 16 };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        while (brood_alloc(size[i]) != NULL)
            ;
    }
    CHECK_NULL(brood_pool_create(2, &methods[0]), ENOMEM);
    CHECK_EQ(count_children(), 0);
}

/* A worker that prints: its output is not lost, and its parent's is not printed twice. */
static int print_item(const void *in, void *out)
{
    (void)in;
    (void)out;
    printf("item;");
    return 0;
}

static int print_and_map(void *arg)
{
    int fd = *(const int *)arg;
    NEED(dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
    close(fd);
    setvbuf(stdout, NULL, _IOFBF, 4096);
    printf("before;");
    brood_pool *pool = new_pool(2, 0);
    CHECK_RESULT(brood_pool_map(pool, print_item, NULL, 0, NULL, 0, 5, NULL), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    printf("after;");
    fflush(stdout);
    return 0;
}

static void output_once(void)
{
    int ends[2];
    char text[256] = "";
    NEED(pipe2(ends, O_CLOEXEC) == 0);
    pid_t pid = fork_child(print_and_map, &ends[1]);
    close(ends[1]);
    CHECK_EQ(wait_child(pid), 0);
    CHECK(read(ends[0], text, sizeof text - 1) > 0);
    for (size_t length = strlen(text); length < sizeof text - 1;) {
        ssize_t more = read(ends[0], text + length, sizeof text - 1 - length);
        if (more <= 0)
            break;
        length += (size_t)more;
    }
    close(ends[0]);
    CHECK_STR(text, "before;item;item;item;item;item;after;");
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "members", .run = members },
        { .name = "wrong_arguments", .run = wrong_arguments },
        { .name = "default_count", .run = default_count },
        { .name = "many_workers", .run = many_workers },
        { .name = "named", .run = named },
        { .name = "nothing_left", .run = nothing_left },
        { .name = "several_pools", .run = several_pools },
        { .name = "maps_of_threads", .run = maps_of_threads },
        { .name = "side_by_side", .run = side_by_side },
        { .name = "pool_of_another", .run = pool_of_another },
        { .name = "method_by_default", .run = method_by_default, .no_init = true },
        { .name = "what_workers_have", .run = what_workers_have },
        { .name = "signals_ignored", .run = signals_ignored },
        { .name = "creator_ends", .run = creator_ends, .deadline_s = 60 },
        { .name = "creator_killed_anywhere", .run = creator_killed_anywhere, .deadline_s = 60 },
        { .name = "process_limit", .run = process_limit },
        { .name = "no_room", .run = no_room, .no_init = true },
        { .name = "output_once", .run = output_once },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
