/* process_end.c: how a process ends is what brood_process_join says: each way, by each start method; also when the
 * program took its status from the system; and that brood takes no status of a child that is not its own.
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static const brood_process_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

enum way {
    RETURN,       /* value */
    FAIL,         /* by brood_fail, with value */
    FAIL_LONG,    /* by brood_fail, with more than fits */
    FAIL_NOT,     /* calls brood_fail, and returns 0 all the same */
    EXIT,         /* exit(value) */
    EXIT_NOW,     /* _exit(value) */
    EXIT_THREAD,  /* exit(value) in another thread */
    EXEC,         /* a shell in its place, which exits with value */
    SIGNAL,       /* raise(value) */
    SIGNAL_THREAD /* the same in another thread */
};

struct order {
    enum way way;
    int value;
};

static void *end_in_thread(void *arg)
{
    const struct order *order = arg;
    if (order->way == EXIT_THREAD)
        exit(order->value);
    raise(order->value);
    return NULL;
}

static int end_thus(void *arg)
{
    const struct order *order = arg;
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    if (order->way == SIGNAL || order->way == SIGNAL_THREAD) {
        sigset_t set;
        sigfillset(&set);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        signal(order->value, SIG_DFL);
    }
    char code[16];
    pthread_t thread;
    switch (order->way) {
    case RETURN:
        return order->value;
    case FAIL:
        return brood_fail(order->value, "line %d of %s: no number", 12, "input");
    case FAIL_LONG:
        return brood_fail(order->value, "%0300d", 1);
    case FAIL_NOT:
        brood_fail(3, "not so bad");
        return 0;
    case EXIT:
        exit(order->value);
    case EXIT_NOW:
        _exit(order->value);
    case EXIT_THREAD:
    case SIGNAL_THREAD:
        NEED(pthread_create(&thread, NULL, end_in_thread, arg) == 0);
        for (;;)
            pause();
    case EXEC:
        snprintf(code, sizeof code, "%d", order->value);
        execl("/bin/sh", "sh", "-c", "exit $0", code, (char *)NULL);
        return 1;
    case SIGNAL:
        raise(order->value);
        return 1;
    }
    return 1;
}

static brood_end end_of(enum way way, int value, int method)
{
    struct order order = { way, value };
    brood_process *process = brood_process_start(end_thus, &order, sizeof order, &methods[method]);
    NEED(process != NULL);
    brood_end end;
    memset(&end, 0x77, sizeof end);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.pid, brood_process_pid(process));
    CHECK_EQ(end.attempt, 1);
    CHECK_EQ((long long)end.index, 0);
    CHECK(!end.core_dumped);
    CHECK(strchr(end.why, '\n') == NULL);
    CHECK((end.why[0] == '\0') == (end.how == BROOD_RETURNED));
    CHECK_RESULT(brood_process_close(process), 0);
    return end;
}

static void returned(void)
{
    for (int method = 0; method < 2; method++) {
        brood_end end = end_of(RETURN, 0, method);
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK_EQ(end.code, 0);
        CHECK_EQ(end.signal, 0);
        CHECK_STR(end.why, "");
        end = end_of(FAIL_NOT, 0, method);
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK_STR(end.why, "");
    }
}

static void failed(void)
{
    static const int codes[] = { 1, 3, 127, 128, 255, 256, 257, 1024, -1, -256, INT_MAX, INT_MIN };
    for (int method = 0; method < 2; method++) {
        for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
            brood_end end = end_of(RETURN, codes[i], method);
            CHECK_EQ(end.how, BROOD_FAILED);
            CHECK_EQ(end.code, codes[i]);
            CHECK_EQ(end.signal, 0);
            end = end_of(FAIL, codes[i], method);
            CHECK_EQ(end.how, BROOD_FAILED);
            CHECK_EQ(end.code, codes[i]);
            CHECK_STR(end.why, "line 12 of input: no number");
        }
        brood_end end = end_of(FAIL_LONG, 9, method);
        CHECK_EQ(end.code, 9);
        CHECK_EQ((long long)strlen(end.why), 127);
        CHECK_EQ((long long)strspn(end.why, "0"), 127);
    }
}

static void exited(void)
{
    static const enum way ways[] = { EXIT, EXIT_NOW, EXIT_THREAD, EXEC };
    static const int codes[] = { 0, 1, 3, 255 };
    for (int method = 0; method < 2; method++) {
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            for (size_t j = 0; j < sizeof codes / sizeof *codes; j++) {
                brood_end end = end_of(ways[i], codes[j], method);
                CHECK_EQ(end.how, BROOD_EXITED);
                CHECK_EQ(end.code, codes[j]);
                CHECK_EQ(end.signal, 0);
            }
        }
        brood_end end = end_of(EXIT, 256 + 7, method);
        CHECK_EQ(end.how, BROOD_EXITED);
        CHECK_EQ(end.code, 7);
    }
}

static void crashed(void)
{
    static const int signals[] = { SIGSEGV, SIGABRT, SIGBUS,  SIGFPE,  SIGILL,  SIGKILL, SIGTERM,
                                   SIGINT,  SIGHUP,  SIGUSR1, SIGPIPE, SIGALRM, SIGXCPU };
    for (int method = 0; method < 2; method++) {
        for (size_t i = 0; i <= sizeof signals / sizeof *signals; i++) {
            int signal = i < sizeof signals / sizeof *signals ? signals[i] : SIGRTMIN + 3;
            brood_end end = end_of(i % 2 == 0 ? SIGNAL : SIGNAL_THREAD, signal, method);
            char number[16];
            snprintf(number, sizeof number, "(%d)", signal);
            CHECK_EQ(end.how, BROOD_CRASHED);
            CHECK_EQ(end.signal, signal);
            CHECK_HAS(end.why, brood_signal_name(signal));
            CHECK_HAS(end.why, number);
        }
    }
    CHECK_STR(end_of(SIGNAL, SIGSEGV, 0).why, "killed by SIGSEGV (11)");
}

static int status_of(enum way way, int value, int method)
{
    struct order order = { way, value };
    brood_process *process = brood_process_start(end_thus, &order, sizeof order, &methods[method]);
    NEED(process != NULL);
    int status = wait_child(brood_process_pid(process));
    CHECK_RESULT(brood_process_close(process), 0);
    return status;
}

/* The exit status that the system sees is the result's low 8 bits. */
static void status_of_system(void)
{
    for (int method = 0; method < 2; method++) {
        CHECK_EQ(status_of(RETURN, 0, method), 0);
        CHECK_EQ(status_of(RETURN, 5, method), 5 << 8);
        CHECK_EQ(status_of(RETURN, 256, method), 0);
        CHECK_EQ(status_of(RETURN, -1, method), 255 << 8);
        CHECK_EQ(status_of(SIGNAL, SIGTERM, method), SIGTERM);
    }
}

/* A child that did not return, and whose status someone else took: from Linux 6.15 on its end is known all the same. */
static void check_stolen(const brood_end *end, brood_how how, int code, int signal)
{
    struct utsname system;
    int major = 0, minor = 0;
    NEED(uname(&system) == 0 && sscanf(system.release, "%d.%d", &major, &minor) == 2);
    bool known = major > 6 || (major == 6 && minor >= 15);
    CHECK_EQ(end->how, known ? how : BROOD_LOST);
    CHECK_EQ(end->code, known ? code : 0);
    CHECK_EQ(end->signal, known ? signal : 0);
    CHECK(end->why[0] != '\0');
}

static brood_end end_though_stolen(enum way way, int value, int method)
{
    struct order order = { way, value };
    brood_process *process = brood_process_start(end_thus, &order, sizeof order, &methods[method]);
    NEED(process != NULL);
    pid_t pid = brood_process_pid(process);
    CHECK_EQ(waitpid(-1, NULL, 0), pid);
    brood_end end;
    CHECK_RESULT(brood_process_signal(process, SIGKILL), -ESRCH);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.pid, pid);
    CHECK_RESULT(brood_process_close(process), 0);
    return end;
}

static void stolen_status(void)
{
    for (int method = 0; method < 2; method++) {
        CHECK_EQ(end_though_stolen(RETURN, 0, method).how, BROOD_RETURNED);
        brood_end end = end_though_stolen(FAIL, 1000, method);
        CHECK_EQ(end.how, BROOD_FAILED);
        CHECK_EQ(end.code, 1000);
        CHECK_STR(end.why, "line 12 of input: no number");
        end = end_though_stolen(EXIT, 3, method);
        check_stolen(&end, BROOD_EXITED, 3, 0);
        end = end_though_stolen(EXIT_NOW, 5, method);
        check_stolen(&end, BROOD_EXITED, 5, 0);
        end = end_though_stolen(SIGNAL, SIGKILL, method);
        check_stolen(&end, BROOD_CRASHED, 0, SIGKILL);
    }
}

static void ignored_status(void)
{
    signal(SIGCHLD, SIG_IGN); /* the system throws each status away */
    for (int method = 0; method < 2; method++) {
        CHECK_EQ(end_of(RETURN, 0, method).how, BROOD_RETURNED);
        brood_end end = end_of(FAIL, -700, method);
        CHECK_EQ(end.how, BROOD_FAILED);
        CHECK_EQ(end.code, -700);
        for (int i = 0; i < 20; i++) {
            end = end_of(EXIT, 3, method);
            check_stolen(&end, BROOD_EXITED, 3, 0);
            end = end_of(SIGNAL, SIGKILL, method);
            check_stolen(&end, BROOD_CRASHED, 0, SIGKILL);
        }
    }
    CHECK_EQ(count_children(), 0);
}

/* The same, while a join already waits. */
static void ignored_while_joined(void)
{
    for (int method = 0; method < 2; method++) {
        struct order order = { SIGNAL_THREAD, SIGSTOP }; /* waits until it is continued, then for ever */
        brood_process *process = brood_process_start(end_thus, &order, sizeof order, &methods[method]);
        NEED(process != NULL);
        int pid = brood_process_pid(process);
        signal(SIGCHLD, SIG_IGN);
        pid_t killer = fork();
        if (killer == 0) {
            pass_us(50000);
            kill(pid, SIGKILL);
            _exit(0);
        }
        brood_end end;
        CHECK_RESULT(brood_process_join(process, &end, 10000), 0);
        check_stolen(&end, BROOD_CRASHED, 0, SIGKILL);
        CHECK_RESULT(brood_process_close(process), 0);
        CHECK(wait_gone(killer, 5000));
    }
}

static void reap_all(int number)
{
    (void)number;
    int saved = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = saved;
}

/* A handler that takes whatever status comes, as many programs have one. */
static void reaping_handler(void)
{
    struct sigaction action = { .sa_handler = reap_all, .sa_flags = SA_RESTART | SA_NOCLDSTOP };
    sigaction(SIGCHLD, &action, NULL);
    enum { PROCESSES = 30 };
    brood_process *processes[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        struct order order = { RETURN, i };
        processes[i] = brood_process_start(end_thus, &order, sizeof order, &methods[i % 5 == 0]);
        NEED(processes[i] != NULL);
    }
    for (int i = 0; i < PROCESSES; i++) {
        brood_end end;
        CHECK_RESULT(brood_process_join(processes[i], &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, i == 0 ? BROOD_RETURNED : BROOD_FAILED);
        CHECK_EQ(end.code, i);
        CHECK_RESULT(brood_process_close(processes[i]), 0);
    }
    CHECK_EQ(count_children(), 0);
}

static int exit_nine(void *arg)
{
    (void)arg;
    return 9;
}

/* brood waits for its own children only, and does not touch SIGCHLD. */
static void foreign_children(void)
{
    struct sigaction before, after;
    sigaction(SIGCHLD, NULL, &before);
    pid_t mine[5];
    for (int i = 0; i < 5; i++)
        mine[i] = fork_child(exit_nine, NULL);
    for (int i = 0; i < 5; i++)
        await_child(mine[i]);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(end_of(RETURN, i, i % 2).code, i);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(process_state(mine[i]), 'Z');
        CHECK_EQ(wait_child(mine[i]), 9 << 8);
    }
    sigaction(SIGCHLD, NULL, &after);
    CHECK(before.sa_handler == after.sa_handler);
    CHECK(before.sa_flags == after.sa_flags);
}

/* Many that end at once, joined in another order; each is told for what it was. */
static void many_at_once(void)
{
    enum { PROCESSES = 100 };
    brood_process *processes[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        struct order order = { i % 3 == 0 ? SIGNAL : RETURN, i % 3 == 0 ? SIGKILL : i };
        processes[i] = brood_process_start(end_thus, &order, sizeof order, &methods[0]);
        NEED(processes[i] != NULL);
    }
    for (int i = PROCESSES - 1; i >= 0; i--) {
        brood_end end;
        CHECK_RESULT(brood_process_join(processes[i], &end, BROOD_FOREVER), 0);
        CHECK_EQ(end.how, i % 3 == 0 ? BROOD_CRASHED : BROOD_FAILED);
        CHECK_EQ(end.code, i % 3 == 0 ? 0 : i);
        CHECK_RESULT(brood_process_close(processes[i]), 0);
    }
}

/* A child that is not waited for while it lives: its end is told to a join that comes late. */
static void joined_late(void)
{
    for (int method = 0; method < 2; method++) {
        struct order order = { SIGNAL, SIGUSR2 };
        brood_process *process = brood_process_start(end_thus, &order, sizeof order, &methods[method]);
        NEED(process != NULL);
        await_child(brood_process_pid(process));
        brood_end end;
        CHECK_RESULT(brood_process_join(process, &end, 0), 0);
        CHECK_EQ(end.signal, SIGUSR2);
        CHECK_RESULT(brood_process_close(process), 0);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "returned", .run = returned },
        { .name = "failed", .run = failed },
        { .name = "exited", .run = exited },
        { .name = "crashed", .run = crashed },
        { .name = "status_of_system", .run = status_of_system },
        { .name = "stolen_status", .run = stolen_status },
        { .name = "ignored_status", .run = ignored_status },
        { .name = "ignored_while_joined", .run = ignored_while_joined },
        { .name = "reaping_handler", .run = reaping_handler },
        { .name = "foreign_children", .run = foreign_children },
        { .name = "many_at_once", .run = many_at_once },
        { .name = "joined_late", .run = joined_late },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
