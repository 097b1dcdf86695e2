/* brood/pool.h: a pool's trace: what is in its file, which is JSON, whoever has died. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT 3000 /* more than a ring holds */

static char folder[512], file[sizeof folder + 32];

static void begin_folder(void)
{
    NEED(make_folder(folder, sizeof folder) == 0);
    snprintf(file, sizeof file, "%s/trace", folder);
}

/* All of the file; yours to free. */
static char *read_file(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    NEED(fd >= 0 && fstat(fd, &status) == 0);
    char *text = calloc(1, (size_t)status.st_size + 1);
    NEED(text && read(fd, text, (size_t)status.st_size) == status.st_size);
    close(fd);
    return text;
}

/* How often a word stands in it. */
static int count(const char *path, const char *word)
{
    char *text = read_file(path);
    int found = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
        found++;
    free(text);
    return found;
}

/* Python, where there is one, finds it good JSON, of objects with what a viewer needs. */
static void check_json(const char *path)
{
    static const char script[] = "import json,sys\n"
                                 "seen = set()\n"
                                 "for e in json.load(open(sys.argv[1])):\n"
                                 "    assert e['name'] and e['pid'] > 0 and e['tid'] > 0 and e['ph'] in 'XMibe'\n"
                                 "    assert e['ph'] == 'M' or e['ts'] > 0\n"
                                 "    assert e['ph'] != 'X' or e['dur'] >= 0 and e['args']['how']\n"
                                 "    key = json.dumps(e)\n"
                                 "    assert key not in seen or e['ph'] == 'M'\n"
                                 "    seen.add(key)\n";
    char command[1024];
    snprintf(command, sizeof command, "python3 -c \"%s\" '%s'", script, path);
    if (system("python3 -c 'import json' 2>/dev/null") == 0)
        CHECK_EQ(system(command), 0);
}

/* With the trace in it, which is looked at. */
static void remove_folder(void)
{
    char command[sizeof folder + 16];
    if (access(file, F_OK) == 0)
        check_json(file);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    CHECK_EQ(system(command), 0);
}

/* Each index of a traced map exactly once. */
static void check_indices(const char *path, int items)
{
    char *text = read_file(path);
    for (int i = 0; i < items; i++) {
        char word[64];
        snprintf(word, sizeof word, "\"index\":%d,", i);
        char *at = strstr(text, word);
        CHECK(at != NULL);
        CHECK(!at || !strstr(at + 1, word));
    }
    free(text);
}

static brood_pool *traced(int workers, const char *path)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(workers, &(brood_pool_options){ .trace = path }));
    NEED(pool != NULL);
    return pool;
}

int trace_square(const void *in, void *out);

int trace_square(const void *in, void *out)
{
    int number = *(const int *)in;
    *(int *)out = number * number;
    return 0;
}

static void fill(int *numbers, int items)
{
    for (int i = 0; i < items; i++)
        numbers[i] = i;
}

static void map_is_traced(void)
{
    int in[COUNT], out[COUNT];
    begin_folder();
    brood_pool *pool = traced(2, file);
    fill(in, COUNT);
    CHECK_RESULT(brood_pool_map(pool, trace_square, in, sizeof *in, out, sizeof *out, COUNT, NULL), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count(file, "\"cat\":\"task\""), COUNT);
    CHECK_EQ(count(file, "\"name\":\"trace_square\""), COUNT);
    CHECK_EQ(count(file, "\"name\":\"map of trace_square\""), 2);
    CHECK_EQ(count(file, ",\"how\":\"returned\""), COUNT);
    CHECK_EQ(count(file, "\"worker started\""), 2);
    CHECK_EQ(count(file, "\"keeper started\""), 1);
    check_indices(file, COUNT);
    remove_folder();
}

static int ends_in_many_ways(const void *in, void *out)
{
    int number = *(const int *)in;
    struct rlimit none = { 0, 0 };
    *(int *)out = number;
    setrlimit(RLIMIT_CORE, &none);
    if (number == 10)
        raise(SIGSEGV);
    if (number == 20)
        exit(3);
    if (number == 30)
        pass_us(60000000);
    return number == 40 ? 7 : 0;
}

static void ends_are_traced(void)
{
    int in[50], out[50];
    begin_folder();
    brood_pool *pool = traced(3, file);
    fill(in, 50);
    CHECK_EQ(brood_pool_map(pool, ends_in_many_ways, in, sizeof *in, out, sizeof *out, 50,
                            &(brood_task_options){ .hard_ms = 300 }),
             4);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count(file, "\"cat\":\"task\""), 50);
    CHECK_EQ(count(file, ",\"how\":\"returned\""), 46);
    CHECK_EQ(count(file, "\"how\":\"failed\",\"code\":7"), 1);
    CHECK_EQ(count(file, "\"how\":\"crashed\",\"signal\":\"SIGSEGV\""), 2); /* the span, and the death */
    CHECK_EQ(count(file, "\"how\":\"exited\",\"code\":3"), 2);
    CHECK_EQ(count(file, "\"how\":\"timed out\""), 2);
    CHECK_EQ(count(file, "\"worker died\""), 3);
    check_indices(file, 50);
    remove_folder();
}

/* Of one result a span each, by calls and by nested maps. */
static int asks_its_pool(const void *in, void *out)
{
    brood_pool *pool = *(brood_pool *const *)in;
    int numbers[3] = { 1, 2, 3 }, squares[3];
    *(int *)out = brood_pool_map(pool, trace_square, numbers, sizeof *numbers, squares, sizeof *squares, 3, NULL);
    return 0;
}

static void calls_are_traced(void)
{
    int out = -1;
    begin_folder();
    brood_pool *pool = traced(1, file);
    for (int i = 0; i < 600; i++)
        CHECK_RESULT(brood_pool_apply(pool, trace_square, &i, sizeof i, &out, sizeof out, NULL), 0);
    CHECK_RESULT(brood_pool_apply(pool, asks_its_pool, &pool, sizeof(brood_pool *), &out, sizeof out, NULL), 0);
    CHECK_RESULT(brood_pool_resize(pool, 2, 10000), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count(file, "\"cat\":\"task\""), 601);
    CHECK_EQ(count(file, "\"cat\":\"nested\""), 3);
    CHECK_EQ(count(file, "\"name\":\"resized\""), 1);
    CHECK_EQ(count(file, "\"worker started\""), 2);
    remove_folder();
}

static bool has_spans(void *least)
{
    char *text = read_file(file);
    int found = 0;
    for (const char *at = text; (at = strstr(at, "\"cat\":\"task\"")); at++)
        found++;
    free(text);
    return found >= *(int *)least;
}

/* While the pool lives what is over is in the file, and the file is whole. */
static void file_follows(void)
{
    int in[10], out[10], least = 10;
    begin_folder();
    brood_pool *pool = traced(2, file);
    fill(in, 10);
    CHECK_RESULT(brood_pool_map(pool, trace_square, in, sizeof *in, out, sizeof *out, 10, NULL), 0);
    CHECK(wait_until(has_spans, &least, 10000));
    CHECK_EQ(count(file, "\"cat\":\"task\""), 10);
    check_json(file);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    remove_folder();
}

/* ---- the file ---- */

static int waits_for_its_end(void *arg)
{
    (void)arg;
    pass_us(60000000);
    return 0;
}

static void names(void)
{
    char path[sizeof file + 32];
    begin_folder();
    snprintf(path, sizeof path, "%s/no/such/folder", folder);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .trace = path }), ENOENT);
    CHECK_HAS(brood_error(), path);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .trace = "/dev/null" }), EINVAL);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .trace = folder }), EISDIR);
    brood_pool *pool = traced(1, file);
    CHECK_NULL(brood_pool_create(1, &(brood_pool_options){ .trace = file }), EBUSY);
    snprintf(path, sizeof path, "%s/of-%%p", folder);
    brood_pool *other = traced(1, path);
    snprintf(path, sizeof path, "%s/of-%d", folder, getpid());
    CHECK_EQ(access(path, F_OK), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    pid_t child = fork_child(waits_for_its_end, NULL); /* which has all descriptors */
    CHECK_RESULT(brood_pool_destroy(other), 0);
    CHECK_EQ(count(path, "\"cat\":\"task\""), 0);
    other = traced(1, path); /* they are free again */
    CHECK_RESULT(brood_pool_destroy(other), 0);
    kill_child(child);
    pool = traced(1, file);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
    remove_folder();
}

static void by_environment(void)
{
    int in[10], out[10];
    char second[sizeof file + 8];
    begin_folder();
    fill(in, 10);
    snprintf(second, sizeof second, "%s.2", file);
    setenv("BROOD_TRACE", file, 1);
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, NULL)), *other = CHECK_POINTER(brood_pool_create(1, NULL));
    CHECK_RESULT(brood_pool_map(pool, trace_square, in, sizeof *in, out, sizeof *out, 10, NULL), 0);
    CHECK_RESULT(brood_pool_map(other, trace_square, in, sizeof *in, out, sizeof *out, 5, NULL), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_RESULT(brood_pool_destroy(other), 0);
    CHECK_EQ(count(file, "\"cat\":\"task\""), 10);
    CHECK_EQ(count(second, "\"cat\":\"task\""), 5);
    remove_folder();
}

static _Atomic int lines;

static void hear(void *context, brood_level level, const char *line)
{
    (void)context;
    (void)level;
    atomic_fetch_add(&lines, strstr(line, "trace") != NULL);
}

static void bad_environment(void)
{
    int in[10], out[10];
    fill(in, 10);
    CHECK_RESULT(brood_log_to(BROOD_WARNING, hear, NULL), 0);
    setenv("BROOD_TRACE", "/no/such/folder/file", 1);
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, NULL));
    CHECK_EQ(lines, 1);
    CHECK_RESULT(brood_pool_map(pool, trace_square, in, sizeof *in, out, sizeof *out, 10, NULL), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(lines, 1);
}

/* A limit on files stands for a full disk. */
static int limits_its_files(const void *in, void *out)
{
    struct rlimit most = { 4096, 4096 };
    if (*(const int *)in == 0)
        setrlimit(RLIMIT_FSIZE, &most);
    return trace_square(in, out);
}

/* A worker that may write no more ends the trace; the file is whole, and the tasks go on. */
static void full_in_a_worker(void)
{
    int in[COUNT], out[COUNT];
    begin_folder();
    fill(in, COUNT);
    brood_pool *pool = traced(1, file);
    CHECK_RESULT(brood_pool_map(pool, limits_its_files, in, sizeof *in, out, sizeof *out, COUNT,
                                &(brood_task_options){ .chunk = COUNT }),
                 0);
    CHECK_EQ(out[COUNT - 1], (COUNT - 1) * (COUNT - 1));
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK(count(file, "\"cat\":\"task\"") < COUNT);
    remove_folder();
}

static void replaced(void)
{
    int in[COUNT], out[COUNT];
    begin_folder();
    fill(in, COUNT);
    brood_pool *pool = traced(1, file);
    CHECK_EQ(unlink(file), 0);
    FILE *other = fopen(file, "we");
    NEED(other != NULL);
    fputs("[]\n", other);
    fclose(other);
    CHECK_RESULT(brood_pool_map(pool, trace_square, in, sizeof *in, out, sizeof *out, COUNT, NULL), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    char *text = read_file(file);
    CHECK(strcmp(text, "[]\n") == 0); /* which is not brood's */
    free(text);
    remove_folder();
}

static int closes_all(const void *in, void *out)
{
    struct rlimit few = { 3, 3 };
    if (*(const int *)in == 0) {
        for (int fd = 3; fd < 1024; fd++)
            close(fd);
        setrlimit(RLIMIT_NOFILE, &few);
    }
    return trace_square(in, out);
}

/* A worker without a descriptor left cannot write: the keeper does, and what was too much is counted. */
static void no_descriptors(void)
{
    int in[COUNT], out[COUNT];
    begin_folder();
    fill(in, COUNT);
    brood_pool *pool = traced(1, file);
    CHECK_RESULT(brood_pool_map(pool, closes_all, in, sizeof *in, out, sizeof *out, COUNT, NULL), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    int spans = count(file, "\"cat\":\"task\"");
    CHECK(spans > 0 && spans <= COUNT);
    CHECK(spans == COUNT || count(file, "\"events lost\"") > 0);
    remove_folder();
}

/* ---- deaths ---- */

static int dies_now_and_then(const void *in, void *out)
{
    if (*(const int *)in % 37 == 5)
        raise(SIGKILL);
    return trace_square(in, out);
}

static void workers_die(void)
{
    int in[COUNT], out[COUNT], deaths = 0;
    begin_folder();
    fill(in, COUNT);
    for (int i = 0; i < COUNT; i++)
        deaths += i % 37 == 5;
    brood_pool *pool = traced(3, file);
    CHECK_EQ(brood_pool_map(pool, dies_now_and_then, in, sizeof *in, out, sizeof *out, COUNT, NULL), deaths);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count(file, "\"cat\":\"task\""), COUNT);
    CHECK_EQ(count(file, "\"how\":\"crashed\",\"signal\":\"SIGKILL\""), 2 * deaths);
    check_indices(file, COUNT);
    remove_folder();
}

static int takes_a_while(const void *in, void *out)
{
    pass_us(300);
    return trace_square(in, out);
}

/* Keeper and workers die at any moment of a map; each of its items has one span for each of its runs. */
static void keepers_die(void)
{
    int in[COUNT], out[COUNT];
    begin_folder();
    fill(in, COUNT);
    brood_pool *pool = traced(3, file);
    brood_result *result = CHECK_POINTER(brood_pool_map_async(pool, takes_a_while, in, sizeof *in, out, sizeof *out,
                                                              COUNT, &(brood_task_options){ .retries = 100 }));
    for (int i = 0; i < 10 && brood_result_wait(result, 20) == -ETIMEDOUT; i++) {
        int pid = i % 2 ? brood_pool_keeper(pool) : brood_pool_worker(pool, i % 3);
        if (pid > 0)
            kill(pid, SIGKILL);
    }
    CHECK_RESULT(brood_result_wait(result, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    int runs = count(file, "\"cat\":\"task\""), lost = count(file, "\"name\":\"takes_a_while\"") - runs;
    CHECK_EQ(lost, 0);
    CHECK(count(file, ",\"how\":\"returned\"") >= COUNT);
    CHECK(runs >= COUNT && runs <= COUNT + 40);
    CHECK(count(file, "\"keeper started\"") > 1);
    remove_folder();
}

static bool is_whole(const char *path)
{
    char *text = read_file(path);
    size_t length = strlen(text);
    bool whole = length > 4 && strcmp(text + length - 3, "\n]\n") == 0;
    free(text);
    return whole;
}

/* Workers, at times the keeper, die at any moment of their writing: the tasks are so short that much is written. */
static void writers_die(void)
{
    enum { MANY = 8 * COUNT };
    static int in[MANY], out[MANY];
    uint32_t random = 7;
    begin_folder();
    fill(in, MANY);
    brood_pool *pool = traced(3, file);
    for (int kills = 0; kills < harness_times(40);) {
        brood_result *result = CHECK_POINTER(brood_pool_map_async(pool, trace_square, in, sizeof *in, out, sizeof *out,
                                                                  MANY, &(brood_task_options){ .retries = 100 }));
        for (; brood_result_wait(result, 0) == -ETIMEDOUT; kills++) {
            int pid = kills % 8 == 7 ? brood_pool_keeper(pool) : brood_pool_worker(pool, kills % 3);
            if (pid > 0)
                kill(pid, SIGKILL);
            pass_us(random_next(&random) % 8000);
        }
        CHECK_RESULT(brood_result_wait(result, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_result_destroy(result), 0);
    }
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK(is_whole(file));
    CHECK(count(file, ",\"how\":\"returned\"") >= MANY);
    CHECK_EQ(count(file, "\"ph\":\"b\""), count(file, "\"ph\":\"e\""));
    remove_folder();
}

static int creates_and_maps(void *arg)
{
    static int in[100 * COUNT], out[100 * COUNT];
    (void)arg;
    brood_pool *pool = brood_pool_create(2, &(brood_pool_options){ .trace = file });
    if (pool)
        brood_pool_map(pool, takes_a_while, in, sizeof *in, out, sizeof *out, 100 * COUNT, NULL);
    return 1;
}

/* The creator dies in the middle of it: keeper and workers write what there is, and go. */
static void creator_dies(void)
{
    int least = 300;
    begin_folder();
    pid_t pid = fork_child(creates_and_maps, NULL);
    struct stat status;
    for (int i = 0; i < 1000 && stat(file, &status) < 0; i++)
        pass_us(10000);
    CHECK(wait_until(has_spans, &least, 20000));
    kill_child(pid);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    off_t size = -1;
    for (int still = 0; still < 5; pass_us(100000)) { /* nobody writes any more */
        NEED(fstat(fd, &status) == 0);
        still = status.st_size == size ? still + 1 : 0;
        size = status.st_size;
    }
    close(fd);
    CHECK(count(file, "\"cat\":\"task\"") >= least);
    CHECK(count(file, ",\"how\":\"returned\"") >= least - 2);
    remove_folder();
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "map_is_traced", .run = map_is_traced },
        { .name = "ends_are_traced", .run = ends_are_traced },
        { .name = "calls_are_traced", .run = calls_are_traced },
        { .name = "file_follows", .run = file_follows },
        { .name = "names", .run = names },
        { .name = "by_environment", .run = by_environment },
        { .name = "bad_environment", .run = bad_environment },
        { .name = "full_in_a_worker", .run = full_in_a_worker },
        { .name = "replaced", .run = replaced },
        { .name = "no_descriptors", .run = no_descriptors },
        { .name = "workers_die", .run = workers_die },
        { .name = "keepers_die", .run = keepers_die, .deadline_s = 60 },
        { .name = "writers_die", .run = writers_die, .deadline_s = 60 },
        { .name = "creator_dies", .run = creator_dies, .deadline_s = 60 },
        { 0 },
    };
    return harness_main(argc, argv, cases);
}
