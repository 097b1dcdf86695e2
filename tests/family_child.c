/* family_child.c: what a new process of the family finds: the region at its address, its parent's command line and
 * environment, nothing of brood's own; and what one that was forked by hand may do.
 */
#include "harness.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

extern char **environ;

struct node {
    struct node *next;
    int value;
};

struct nodes {
    struct node *first;
    struct nodes *self;
};

static int sum_nodes(void *arg)
{
    struct nodes *nodes = *(struct nodes **)arg;
    int sum = 0;
    CHECK(nodes->self == nodes);
    for (struct node *node = nodes->first; node != NULL; node = node->next)
        sum += node->value;
    struct node *node = CHECK_POINTER(brood_alloc(sizeof *node));
    *node = (struct node){ nodes->first, sum };
    nodes->first = node;
    return sum;
}

static void same_pointers(void)
{
    struct nodes *nodes = brood_alloc(sizeof *nodes);
    NEED(nodes != NULL);
    nodes->self = nodes;
    for (int i = 1; i <= 4; i++) {
        struct node *node = brood_alloc(sizeof *node);
        NEED(node != NULL);
        *node = (struct node){ nodes->first, i };
        nodes->first = node;
    }
    brood_process_options options[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN }, { .start = BROOD_SPAWN } };
    int sum = 10;
    for (int i = 0; i < 3; i++) {
        brood_process *process = brood_process_start(sum_nodes, &nodes, sizeof nodes, &options[i]);
        brood_end end;
        NEED(process != NULL);
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.code, sum);
        CHECK_EQ(nodes->first->value, sum);
        sum *= 2;
        CHECK_RESULT(brood_process_close(process), 0);
    }
    for (struct node *node = nodes->first; node != NULL;) {
        struct node *next = node->next;
        brood_free(node);
        node = next;
    }
    brood_free(nodes);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* What the system shows of this process' start: its arguments and environment, each string with its NUL. */
static size_t gather(char *text, size_t size)
{
    FILE *file = fopen("/proc/self/cmdline", "re");
    NEED(file != NULL);
    size_t length = fread(text, 1, size, file);
    fclose(file);
    for (char **entry = environ; *entry != NULL; entry++) {
        size_t more = strlen(*entry) + 1;
        NEED(length + more < size);
        memcpy(text + length, *entry, more);
        length += more;
    }
    return length;
}

struct gathered {
    size_t length;
    char text[65536];
};

static int compare_surroundings(void *arg)
{
    const struct gathered *expected = arg;
    static struct gathered found;
    found.length = gather(found.text, sizeof found.text);
    CHECK_EQ((long long)found.length, (long long)expected->length);
    for (size_t i = 0; i < found.length && i < expected->length; i++) {
        if (found.text[i] != expected->text[i]) {
            size_t start = i;
            while (start > 0 && found.text[start - 1] != '\0')
                start--;
            CHECK_STR(&found.text[start], &expected->text[start]);
            return 1;
        }
    }
    return 0;
}

static void same_surroundings(void)
{
    struct gathered *here = brood_alloc(sizeof *here);
    NEED(here != NULL);
    setenv("LATE_VARIABLE", "set after brood_init", 1);
    here->length = gather(here->text, sizeof here->text);
    for (int i = 0; i < 2; i++) {
        brood_process_options options = { .start = i == 0 ? BROOD_FORK : BROOD_SPAWN };
        brood_process *process = brood_process_start(compare_surroundings, here, 0, &options);
        brood_end end;
        NEED(process != NULL);
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK_RESULT(brood_process_close(process), 0);
    }
    brood_free(here);
}

static int check_part_here(void *arg)
{
    CHECK_STR(harness_part(), arg);
    return 5;
}

static int never_target(void *arg)
{
    (void)arg;
    return 0;
}

/* The main of the child that other_command spawns. */
static void other_main(void)
{
    if (strcmp(harness_part(), "forgetful") == 0) {
        /* a program that forgot brood_init cannot start processes without end */
        CHECK_NULL(brood_process_start(never_target, NULL, 0, NULL), EINVAL);
        CHECK_NULL(brood_alloc(1), EINVAL);
    }
    if (strcmp(harness_part(), "leaving") == 0)
        exit(7);
    brood_init(NULL);
    CHECK(!"brood_init returned in a spawned child");
}

static void run_command(const char *part, int code)
{
    if (harness_part() != NULL) {
        other_main();
        return;
    }
    NEED(brood_init(&(brood_init_options){ .command = harness_command(part) }) == 0);
    brood_process_options options = { .start = BROOD_SPAWN };
    brood_process *process = brood_process_start(check_part_here, part, strlen(part) + 1, &options);
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_FAILED);
    if (code < 0)
        CHECK(end.code < 0 && end.why[0] != '\0');
    else
        CHECK_EQ(end.code, code);
    CHECK_RESULT(brood_process_close(process), 0);
}

static void other_command(void)
{
    run_command("other", 5);
}

static void forgetful_child(void)
{
    run_command("forgetful", 5);
}

/* A main that ends before it comes to brood_init: the target could not be run at all. */
static void leaving_child(void)
{
    run_command("leaving", -1);
}

/* The start method that holds tells itself by a variable: only a forked child finds what its parent stored. */
static int stored;

static int tell_stored(void *arg)
{
    (void)arg;
    return stored;
}

static void check_method(brood_start start, brood_start expected)
{
    stored = 3;
    brood_process *process = brood_process_start(tell_stored, NULL, 0, &(brood_process_options){ .start = start });
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.code, expected == BROOD_FORK ? 3 : 0);
    CHECK_RESULT(brood_process_close(process), 0);
}

static void method_of_environment(void)
{
    setenv("BROOD_START_METHOD", "spawn", 1);
    NEED(brood_init(NULL) == 0);
    check_method(BROOD_DEFAULT, BROOD_SPAWN);
    check_method(BROOD_FORK, BROOD_FORK);
}

static void method_of_options(void)
{
    setenv("BROOD_START_METHOD", "spawn", 1);
    NEED(brood_init(&(brood_init_options){ .start = BROOD_FORK }) == 0);
    check_method(BROOD_DEFAULT, BROOD_FORK);
    check_method(BROOD_SPAWN, BROOD_SPAWN);
}

static void method_is_fork(void)
{
    unsetenv("BROOD_START_METHOD");
    NEED(brood_init(NULL) == 0);
    check_method(BROOD_DEFAULT, BROOD_FORK);
}

static void method_of_spawn(void)
{
    unsetenv("BROOD_START_METHOD");
    NEED(brood_init(&(brood_init_options){ .start = BROOD_SPAWN }) == 0);
    check_method(BROOD_DEFAULT, BROOD_SPAWN);
}

static int inherits_method(void *arg)
{
    check_method(BROOD_DEFAULT, *(const brood_start *)arg);
    return 0;
}

/* "From now on" holds for the children's own children too: fork copies it, and spawn runs the same main. */
static void method_in_children(void)
{
    NEED(brood_init(&(brood_init_options){ .start = BROOD_SPAWN }) == 0);
    brood_start expected = BROOD_SPAWN;
    brood_process *process = brood_process_start(inherits_method, &expected, sizeof expected,
                                                 &(brood_process_options){ .start = BROOD_FORK });
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

struct shared {
    brood_lock lock;
    brood_process *process;
    char *block;
    atomic_int ready;
    int count;
};

static int count_up(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < 1000; i++) {
        if (!CHECK_RESULT(brood_lock_acquire(&shared->lock, BROOD_FOREVER), 0))
            return 1;
        shared->count++;
        CHECK_RESULT(brood_lock_release(&shared->lock), 0);
    }
    return 0;
}

static int use_everything(void *arg)
{
    struct shared *shared = arg;
    CHECK_RESULT(brood_init(NULL), BROOD_ALREADY);
    CHECK_STR(shared->block, "parent's");
    brood_free(shared->block);
    CHECK_RESULT(brood_process_join(shared->process, NULL, 0), -ECHILD);
    CHECK_RESULT(brood_process_signal(shared->process, 0), -ECHILD);
    CHECK_RESULT(brood_process_close(shared->process), -ECHILD);
    for (int i = 0; i < 2; i++) {
        brood_process_options options = { .start = i == 0 ? BROOD_FORK : BROOD_SPAWN };
        brood_process *process = brood_process_start(count_up, shared, 0, &options);
        brood_end end;
        NEED(process != NULL);
        count_up(shared);
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK_RESULT(brood_process_close(process), 0);
    }
    shared->block = brood_strdup("child's");
    return 6;
}

static int wait_ready(void *arg)
{
    struct shared *shared = arg;
    return wait_word(&shared->ready, 1, 10000) ? 0 : 1;
}

static void forked_by_hand(void)
{
    struct shared *shared = brood_alloc(sizeof *shared);
    NEED(shared != NULL);
    NEED((shared->block = brood_strdup("parent's")) != NULL);
    NEED((shared->process = brood_process_start(wait_ready, shared, 0, NULL)) != NULL);
    CHECK_EQ(wait_child(fork_child(use_everything, shared)), 6 << 8);
    CHECK_EQ(shared->count, 4000);
    CHECK_STR(shared->block, "child's");
    brood_free(shared->block);
    atomic_store(&shared->ready, 1);
    brood_end end;
    CHECK_RESULT(brood_process_join(shared->process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(shared->process), 0);
    brood_free(shared);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* Blocks that hold their owner's mark: were parent and child given the same one, one of them would find the other's. */
static int own_blocks(void *arg)
{
    enum { BLOCKS = 2000 };
    static unsigned char *blocks[BLOCKS];
    int mark = *(const int *)arg;
    for (int i = 0; i < BLOCKS; i++) {
        NEED((blocks[i] = brood_alloc(64)) != NULL);
        CHECK_EQ(blocks[i][0], 0);
        memset(blocks[i], mark, 64);
    }
    for (int i = 0; i < BLOCKS; i++) {
        for (int j = 0; j < 64; j++)
            NEED(blocks[i][j] == mark);
        brood_free(blocks[i]);
    }
    return 0;
}

static void forked_owns_nothing(void)
{
    /* some blocks freed first, so that there is something that a child could take for its own */
    own_blocks(&(int){ 9 });
    pid_t children[4];
    for (int i = 0; i < 4; i++)
        children[i] = fork_child(own_blocks, &(int){ i + 1 });
    for (int i = 0; i < 20; i++)
        own_blocks(&(int){ 10 + i });
    for (int i = 0; i < 4; i++)
        CHECK_EQ(wait_child(children[i]), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static atomic_bool threads_end;

static void *busy_with_heap(void *arg)
{
    (void)arg;
    while (!atomic_load(&threads_end)) {
        void *block = brood_alloc(200);
        NEED(block != NULL);
        brood_free(block);
    }
    return NULL;
}

static int use_briefly(void *arg)
{
    struct shared *shared = arg;
    if (CHECK_RESULT(brood_lock_acquire(&shared->lock, BROOD_FOREVER), 0))
        CHECK_RESULT(brood_lock_release(&shared->lock), 0);
    for (int i = 0; i < 50; i++) {
        void *block = CHECK_POINTER(brood_alloc(200));
        brood_free(block);
    }
    return 0;
}

/* A fork while other threads are in the heap: the child has none of them, nor what they held. */
static void forked_under_threads(void)
{
    struct shared *shared = brood_alloc(sizeof *shared);
    NEED(shared != NULL);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        NEED(pthread_create(&threads[i], NULL, busy_with_heap, NULL) == 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(wait_child(fork_child(use_briefly, shared)), 0);
    atomic_store(&threads_end, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_RESULT(brood_heap_check(), 0);
}

struct outside {
    atomic_int orphaned;
    atomic_int done;
};

static int outlive_founder(void *arg)
{
    struct outside *outside = arg;
    CHECK(wait_word(&outside->orphaned, 1, 10000));
    void *block = CHECK_POINTER(brood_alloc(3 * MIB));
    brood_free(block);
    for (int i = 0; i < 2; i++) {
        brood_process_options options = { .start = i == 0 ? BROOD_FORK : BROOD_SPAWN };
        brood_process *process = brood_process_start(never_target, NULL, 0, &options);
        if (CHECK(process != NULL)) {
            CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
            CHECK_RESULT(brood_process_close(process), 0);
        }
    }
    CHECK_RESULT(brood_heap_check(), 0);
    atomic_store(&outside->done, 1);
    return 0;
}

static void family_outlives_founder(void)
{
    struct outside *outside = harness_page();
    if (harness_part() != NULL) {
        fork_child(outlive_founder, outside);
        raise(SIGKILL);
    }
    CHECK_EQ(wait_child(harness_start("founder")), SIGKILL);
    atomic_store(&outside->orphaned, 1);
    CHECK(wait_word(&outside->done, 1, 15000));
}

static int fill_and_crash(void *arg)
{
    (void)arg;
    signal(SIGABRT, SIG_DFL);
    size_t size = 64 * MIB;
    char *block = CHECK_POINTER(brood_alloc(size));
    if (block != NULL)
        memset(block, 0x5a, size);
    abort();
}

static long long core_bytes(const char *folder)
{
    DIR *listing = opendir(folder);
    NEED(listing != NULL);
    long long bytes = -1;
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        struct stat status;
        if (strncmp(entry->d_name, "core", 4) == 0 && fstatat(dirfd(listing), entry->d_name, &status, 0) == 0) {
            bytes = status.st_size;
            unlinkat(dirfd(listing), entry->d_name, 0);
        }
    }
    closedir(listing);
    return bytes;
}

static void core_dump(void)
{
    if (harness_sanitized())
        harness_skip("a sanitizer forbids core dumps");
    char pattern[256] = "";
    FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");
    if (file == NULL || fgets(pattern, sizeof pattern, file) == NULL)
        harness_skip("no core_pattern");
    fclose(file);
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    if (strncmp(pattern, "core", 4) != 0 || strchr(pattern, '/') != NULL || limit.rlim_max < 512 * MIB)
        harness_skip("cores are not written here");
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_CORE, &limit);
    char folder[4096];
    NEED(brood_init(&(brood_init_options){ .limit = 256 * MIB }) == 0);
    NEED(make_folder(folder, sizeof folder) == 0);
    NEED(chdir(folder) == 0);
    brood_process *process =
        brood_process_start(fill_and_crash, NULL, 0, &(brood_process_options){ .start = BROOD_FORK });
    brood_end end;
    if (CHECK(process != NULL)) {
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, BROOD_CRASHED);
        CHECK_EQ(end.signal, SIGABRT);
        CHECK_RESULT(brood_process_close(process), 0);
    }
    long long bytes = core_bytes(".");
    NEED(chdir("/") == 0 && rmdir(folder) == 0);
    if (bytes < 0)
        harness_skip("no core was written");
    CHECK(end.core_dumped);
    CHECK(bytes < (long long)(16 * MIB));
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "same_pointers", .run = same_pointers },
        { .name = "same_surroundings", .run = same_surroundings },
        { .name = "other_command", .run = other_command, .no_init = true },
        { .name = "forgetful_child", .run = forgetful_child, .no_init = true },
        { .name = "leaving_child", .run = leaving_child, .no_init = true },
        { .name = "method_of_environment", .run = method_of_environment, .no_init = true },
        { .name = "method_of_options", .run = method_of_options, .no_init = true },
        { .name = "method_is_fork", .run = method_is_fork, .no_init = true },
        { .name = "method_of_spawn", .run = method_of_spawn, .no_init = true },
        { .name = "method_in_children", .run = method_in_children, .no_init = true },
        { .name = "forked_by_hand", .run = forked_by_hand },
        { .name = "forked_owns_nothing", .run = forked_owns_nothing },
        { .name = "forked_under_threads", .run = forked_under_threads },
        { .name = "family_outlives_founder", .run = family_outlives_founder },
        { .name = "core_dump", .run = core_dump, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
