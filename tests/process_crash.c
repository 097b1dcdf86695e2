/* process_crash.c: the ways a child comes to its end without returning, each told exactly, by each start method: by
 * exits and signals in whatever thread, by a stack that overflows, by another program in its place; and what is no end:
 * a stop, and the end of its first thread alone.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define CASES_MOST 40

struct scene {
    atomic_int entered;
    atomic_int leave;
};

static struct scene *scene(void)
{
    return harness_page();
}

/* A case's name ends with its start method. */
static brood_process_options by_method(void)
{
    int method = brood_start_find(strrchr(harness_command(NULL)[1], '_') + 1);
    NEED(method > 0);
    return (brood_process_options){ .start = (brood_start)method, .max_core = -1 };
}

static brood_end end_of(brood_process *process)
{
    brood_end end = { .how = BROOD_RUNNING };
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.pid, brood_process_pid(process));
    CHECK_RESULT(brood_process_close(process), 0);
    return end;
}

/* ---- ways ---- */

static void exit_at_once(int value)
{
    _exit(value);
}

static void exit_in_order(int value)
{
    exit(value);
}

static void exit_quickly(int value)
{
    quick_exit(value);
}

static void exit_after_fail(int value)
{
    exit(brood_fail(value, "not returned"));
}

static void execute_shell(int value)
{
    char code[16];
    snprintf(code, sizeof code, "%d", value);
    execl("/bin/sh", "sh", "-c", "exit $0", code, (char *)NULL);
}

static void execute_and_die(int value)
{
    char number[16];
    snprintf(number, sizeof number, "%d", value);
    execl("/bin/sh", "sh", "-c", "kill -$0 $$", number, (char *)NULL);
}

static void abort_it(int value)
{
    (void)value;
    abort();
}

/* A write where nothing may be written. */
static void touch_forbidden(int value)
{
    (void)value;
    volatile char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
}

/* Memory of a file that ends before it. */
static void touch_beyond_file(int value)
{
    (void)value;
    int fd = memfd_create("empty", MFD_CLOEXEC);
    volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *page = 1;
}

static int sink_deeper(volatile char *above, int depth)
{
    volatile char here[4096];
    here[0] = above != NULL ? above[0] : 0;
    return depth == 0 ? 0 : sink_deeper(here, depth - 1) + here[0];
}

static void overflow_stack(int value)
{
    (void)value;
    struct rlimit small = { 1 << 20, 1 << 20 };
    setrlimit(RLIMIT_STACK, &small);
    sink_deeper(NULL, 1 << 28);
}

static void write_to_nobody(int value)
{
    int ends[2];
    signal(value, SIG_DFL);
    if (pipe(ends) == 0 && close(ends[0]) == 0)
        (void)!write(ends[1], "x", 1);
}

static void raise_it(int value)
{
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    signal(value, SIG_DFL);
    raise(value);
}

static void abort_in_handler(void)
{
    abort();
}

/* Once everything is done but the exit handlers. */
static void die_at_exit(int value)
{
    atexit(abort_in_handler);
    exit(value);
}

static const struct way {
    const char *name;
    void (*go)(int value);
    int value;
    brood_how how;
    int seen; /* the code or the signal */
} ways[] = {
    { "_exit(0)", exit_at_once, 0, BROOD_EXITED, 0 },
    { "_exit(255)", exit_at_once, 255, BROOD_EXITED, 255 },
    { "exit(3)", exit_in_order, 3, BROOD_EXITED, 3 },
    { "exit(256 + 7)", exit_in_order, 256 + 7, BROOD_EXITED, 7 },
    { "quick_exit(4)", exit_quickly, 4, BROOD_EXITED, 4 },
    { "exit(brood_fail(5))", exit_after_fail, 5, BROOD_EXITED, 5 },
    { "exec, 0", execute_shell, 0, BROOD_EXITED, 0 },
    { "exec, 9", execute_shell, 9, BROOD_EXITED, 9 },
    { "exec, SIGSEGV", execute_and_die, SIGSEGV, BROOD_CRASHED, SIGSEGV },
    { "abort", abort_it, 0, BROOD_CRASHED, SIGABRT },
    { "forbidden page", touch_forbidden, 0, BROOD_CRASHED, SIGSEGV },
    { "beyond a file", touch_beyond_file, 0, BROOD_CRASHED, SIGBUS },
    { "broken pipe", write_to_nobody, SIGPIPE, BROOD_CRASHED, SIGPIPE },
    { "SIGKILL", raise_it, SIGKILL, BROOD_CRASHED, SIGKILL },
    { "SIGFPE", raise_it, SIGFPE, BROOD_CRASHED, SIGFPE },
    { "SIGILL", raise_it, SIGILL, BROOD_CRASHED, SIGILL },
    { "SIGALRM", raise_it, SIGALRM, BROOD_CRASHED, SIGALRM },
    { "SIGXCPU", raise_it, SIGXCPU, BROOD_CRASHED, SIGXCPU },
    { "a handler's abort", die_at_exit, 0, BROOD_CRASHED, SIGABRT },
    { "stack overflow", overflow_stack, 0, BROOD_CRASHED, SIGSEGV }, /* the last: of the first thread only */
};
#define WAYS ((int)(sizeof ways / sizeof *ways))

static int go(void *arg)
{
    const struct way *way = &ways[*(int *)arg];
    way->go(way->value);
    return 1;
}

static void *go_in_thread(void *arg)
{
    go(arg);
    return NULL;
}

static int go_by_thread(void *arg)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, go_in_thread, arg) == 0);
    for (;;)
        pause();
    return 1;
}

static void check_ways(brood_target *target, int count)
{
    brood_process_options options = by_method();
    for (int i = 0; i < count; i++) {
        options.name = ways[i].name;
        brood_end end = end_of(brood_process_start(target, &i, sizeof i, &options));
        bool crashed = ways[i].how == BROOD_CRASHED;
        char said[160], expected[160]; /* with the name, so that a failure tells which */
        snprintf(said, sizeof said, "%s: %s, code %d, signal %d", ways[i].name, brood_how_name(end.how), end.code,
                 end.signal);
        snprintf(expected, sizeof expected, "%s: %s, code %d, signal %d", ways[i].name, brood_how_name(ways[i].how),
                 crashed ? 0 : ways[i].seen, crashed ? ways[i].seen : 0);
        CHECK_STR(said, expected);
        CHECK(end.why[0] != '\0' && strchr(end.why, '\n') == NULL);
        if (crashed)
            CHECK_HAS(end.why, brood_signal_name(ways[i].seen));
    }
    CHECK_EQ(count_children(), by_method().start == BROOD_FORKSERVER);
}

static void ends_told(void)
{
    check_ways(go, WAYS);
}

static void ends_by_thread(void)
{
    check_ways(go_by_thread, WAYS - 1);
}

/* ---- what is no end ---- */

static int stay(void *arg)
{
    (void)arg;
    atomic_store(&scene()->entered, getpid());
    return wait_word(&scene()->leave, 1, 15000) ? 0 : 1;
}

static bool is_stopped(void *arg)
{
    return process_state(*(pid_t *)arg) == 'T';
}

static void stop_is_no_end(void)
{
    brood_process_options options = by_method();
    brood_process *process = brood_process_start(stay, NULL, 0, &options);
    NEED(process != NULL);
    CHECK(wait_word(&scene()->entered, 1, 10000));
    pid_t pid = brood_process_pid(process);
    for (int i = 0; i < 2; i++) {
        brood_end end;
        CHECK_RESULT(brood_process_signal(process, SIGSTOP), 0);
        CHECK(wait_until(is_stopped, &pid, 5000));
        CHECK_RESULT(brood_process_join(process, &end, 20), -ETIMEDOUT);
        CHECK_EQ(end.how, BROOD_RUNNING);
        if (i == 0) {
            CHECK_RESULT(brood_process_signal(process, SIGCONT), 0);
            CHECK_RESULT(brood_process_join(process, NULL, 20), -ETIMEDOUT);
        }
    }
    CHECK_RESULT(brood_process_signal(process, SIGKILL), 0); /* a stopped one can be killed */
    CHECK_EQ(end_of(process).signal, SIGKILL);
}

struct last_words {
    pthread_t first;
    bool leaves; /* by _exit(5); else it only returns, as the last thread */
};

static void *outlive(void *arg)
{
    struct last_words *words = arg;
    NEED(pthread_join(words->first, NULL) == 0);
    atomic_store(&scene()->entered, getpid());
    wait_word(&scene()->leave, 1, 15000);
    if (words->leaves)
        _exit(5);
    return NULL;
}

static int end_first_thread(void *arg)
{
    static struct last_words words;
    pthread_t thread;
    words = (struct last_words){ pthread_self(), *(bool *)arg };
    NEED(pthread_create(&thread, NULL, outlive, &words) == 0);
    pthread_exit(NULL);
}

static brood_process *start_first_thread_ends(bool leaves)
{
    brood_process_options options = by_method();
    memset(scene(), 0, sizeof *scene());
    brood_process *process = brood_process_start(end_first_thread, &leaves, sizeof leaves, &options);
    NEED(process != NULL);
    CHECK(wait_word(&scene()->entered, 1, 10000));
    brood_end end;
    CHECK_RESULT(brood_process_join(process, &end, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_process_join(process, &end, 20), -ETIMEDOUT);
    CHECK_EQ(end.how, BROOD_RUNNING);
    CHECK_RESULT(brood_process_signal(process, 0), 0);
    CHECK_RESULT(brood_process_children(NULL, 0), 1);
    return process;
}

/* The process goes on while one of its threads does, and its end is that of the last. */
static void first_thread_ends(void)
{
    brood_process *process = start_first_thread_ends(true);
    atomic_store(&scene()->leave, 1);
    brood_end end = end_of(process);
    CHECK_EQ(end.how, BROOD_EXITED);
    CHECK_EQ(end.code, 5);
    process = start_first_thread_ends(false);
    atomic_store(&scene()->leave, 1);
    end = end_of(process);
    CHECK_EQ(end.how, BROOD_EXITED);
    CHECK_EQ(end.code, 0);
    process = start_first_thread_ends(true);
    CHECK_RESULT(brood_process_signal(process, SIGTERM), 0);
    end = end_of(process);
    CHECK_EQ(end.how, BROOD_CRASHED);
    CHECK_EQ(end.signal, SIGTERM);
}

/* Each case once for each start method. */
static const struct test_case *for_each_method(const struct test_case *cases)
{
    static struct test_case all[CASES_MOST];
    static char names[CASES_MOST][64];
    int count = 0;
    for (; cases->name != NULL; cases++) {
        for (int i = 1; brood_start_name((brood_start)i) != NULL; i++, count++) {
            NEED(count < CASES_MOST - 1);
            snprintf(names[count], sizeof names[count], "%s_%s", cases->name, brood_start_name((brood_start)i));
            all[count] = *cases;
            all[count].name = names[count];
        }
    }
    return all;
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "ends_told", .run = ends_told },
        { .name = "ends_by_thread", .run = ends_by_thread },
        { .name = "stop_is_no_end", .run = stop_is_no_end },
        { .name = "first_thread_ends", .run = first_thread_ends },
        { .name = NULL },
    };
    return harness_main(argc, argv, for_each_method(cases));
}
