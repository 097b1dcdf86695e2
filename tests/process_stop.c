/* process_stop.c: ending a process, by every start method: brood_process_stop and its steps, and signals. (Hearing of
 * an end, closing, and signal handlers: process_watch.c.)
 */
#include "harness.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONG_MS 15000

/* On the page that all processes of the case share. */
struct stage {
    atomic_int ready;
    atomic_int leave;
    atomic_int signals;
    atomic_int handled;
};

static struct stage *stage(void)
{
    return harness_page();
}

/* The start method that this case is for: the end of its name. */
static brood_start method(void)
{
    return (brood_start)brood_start_find(strrchr(harness_command(NULL)[1], '_') + 1);
}

static brood_process *start(brood_target *target, const void *arg, size_t size)
{
    brood_process *process =
        brood_process_start(target, arg, size, &(brood_process_options){ .name = "mule", .start = method() });
    NEED(process != NULL);
    return process;
}

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&stage()->signals, 1);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Ways to take a SIGTERM. */
enum manner { DIES, LEAVES, IGNORES };

static int stay(void *arg)
{
    enum manner manner = *(const enum manner *)arg;
    struct sigaction action = { .sa_handler = manner == IGNORES ? SIG_IGN : on_signal };
    if (manner != DIES)
        sigaction(SIGTERM, &action, NULL);
    atomic_fetch_add(&stage()->ready, 1);
    while (atomic_load(&stage()->leave) == 0) {
        if (atomic_load(&stage()->signals) > 0)
            return 7;
        pass_us(200);
    }
    return 0;
}

static brood_process *start_stay(enum manner manner)
{
    memset(stage(), 0, sizeof *stage());
    brood_process *process = start(stay, &manner, sizeof manner);
    NEED(wait_word(&stage()->ready, 1, LONG_MS));
    return process;
}

static void check_end(const brood_end *end, brood_process *process, brood_how how, int number)
{
    CHECK_EQ(end->how, how);
    CHECK_EQ(end->signal, how == BROOD_CRASHED ? number : 0);
    CHECK_EQ(end->code, how == BROOD_FAILED ? number : 0);
    CHECK_EQ(end->pid, brood_process_pid(process));
}

/* What ended it is what a join says afterwards, and a stop of what has ended. */
static void check_stopped(brood_process *process, const brood_end *end, brood_how how, int number)
{
    brood_end again;
    check_end(end, process, how, number);
    CHECK_RESULT(brood_process_join(process, &again, 0), 0);
    check_end(&again, process, how, number);
    memset(&again, 0x77, sizeof again);
    CHECK_RESULT(brood_process_stop(process, &again, 0, 0, 0), 0);
    check_end(&again, process, how, number);
    CHECK_RESULT(brood_process_stop(process, NULL, BROOD_FOREVER, BROOD_FOREVER, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_signal(process, SIGTERM), -ESRCH);
    CHECK_RESULT(brood_process_close(process), 0);
}

static void stop_waits(void)
{
    brood_end end;
    brood_process *process = start(nothing, NULL, 0);
    CHECK_RESULT(brood_process_stop(process, &end, LONG_MS, 0, 0), 0);
    check_stopped(process, &end, BROOD_RETURNED, 0);
    process = start(nothing, NULL, 0);
    CHECK_RESULT(brood_process_stop(process, &end, BROOD_FOREVER, 0, 0), 0);
    check_stopped(process, &end, BROOD_RETURNED, 0);
}

static void stop_terminates(void)
{
    brood_end end;
    brood_process *process = start_stay(DIES);
    CHECK_RESULT(brood_process_stop(process, &end, 0, LONG_MS, LONG_MS), 0);
    check_stopped(process, &end, BROOD_CRASHED, SIGTERM);
    process = start_stay(LEAVES);
    CHECK_RESULT(brood_process_stop(process, &end, 1, BROOD_FOREVER, LONG_MS), 0);
    check_stopped(process, &end, BROOD_FAILED, 7);
    CHECK_EQ(atomic_load(&stage()->signals), 1);
}

static bool is_stopped(void *process)
{
    return process_state(brood_process_pid(process)) == 'T';
}

static void stop_kills(void)
{
    brood_end end;
    brood_process *process = start_stay(IGNORES);
    CHECK_RESULT(brood_process_stop(process, &end, 0, 0, LONG_MS), 0);
    check_stopped(process, &end, BROOD_CRASHED, SIGKILL);
    process = start_stay(IGNORES);
    CHECK_RESULT(brood_process_stop(process, &end, 10, 20, BROOD_FOREVER), 0);
    check_stopped(process, &end, BROOD_CRASHED, SIGKILL);
    process = start_stay(DIES);
    NEED(kill(brood_process_pid(process), SIGSTOP) == 0);
    CHECK(wait_until(is_stopped, process, LONG_MS)); /* SIGTERM then waits for it to go on */
    CHECK_RESULT(brood_process_stop(process, &end, 0, 20, LONG_MS), 0);
    check_stopped(process, &end, BROOD_CRASHED, SIGKILL);
}

/* With no time for the last step its end may come too late for the call, but it comes. */
static void stop_in_no_time(void)
{
    brood_end end;
    brood_process *process = start_stay(IGNORES);
    int result = brood_process_stop(process, &end, 0, 0, 0);
    CHECK(result == 0 || result == -ETIMEDOUT);
    CHECK_EQ(end.how, result == 0 ? BROOD_CRASHED : BROOD_RUNNING);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    check_stopped(process, &end, BROOD_CRASHED, SIGKILL);
}

struct stopping {
    brood_process *process;
    atomic_int tid;
    int wait_ms, term_ms, kill_ms;
    brood_how how;
    int number;
};

static void *stop_in_thread(void *arg)
{
    struct stopping *stopping = arg;
    brood_end end;
    atomic_store(&stopping->tid, gettid());
    CHECK_RESULT(brood_process_stop(stopping->process, &end, stopping->wait_ms, stopping->term_ms, stopping->kill_ms),
                 0);
    check_end(&end, stopping->process, stopping->how, stopping->number);
    return NULL;
}

static bool sleeps(void *tid)
{
    return process_state(atomic_load((atomic_int *)tid)) == 'S';
}

/* A step for ever is the last: what the process does by itself ends it. */
static void stop_for_ever(void)
{
    for (int step = 0; step < 2; step++) {
        struct stopping stopping = { .process = start_stay(IGNORES), .wait_ms = -(step == 0), .term_ms = -1 };
        stopping.how = BROOD_RETURNED;
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, stop_in_thread, &stopping) == 0);
        CHECK(wait_word(&stopping.tid, 1, LONG_MS));
        CHECK(wait_until(sleeps, &stopping.tid, LONG_MS));
        pass_us(20000); /* longer than the other steps */
        CHECK_RESULT(brood_process_join(stopping.process, NULL, 0), -ETIMEDOUT);
        atomic_store(&stage()->leave, 1);
        pthread_join(thread, NULL);
        CHECK_RESULT(brood_process_close(stopping.process), 0);
    }
}

static void stop_by_threads(void)
{
    for (int i = 0; i < 5; i++) {
        brood_process *process = start_stay(IGNORES);
        struct stopping stopping[4];
        pthread_t threads[4];
        for (int j = 0; j < 4; j++) {
            stopping[j] = (struct stopping){ process, 0, j, j, BROOD_FOREVER, BROOD_CRASHED, SIGKILL };
            NEED(pthread_create(&threads[j], NULL, stop_in_thread, &stopping[j]) == 0);
        }
        for (int j = 0; j < 4; j++)
            pthread_join(threads[j], NULL);
        CHECK_RESULT(brood_process_close(process), 0);
    }
}

static int use_stranger(void *arg)
{
    brood_process *process = *(brood_process **)arg;
    CHECK_RESULT(brood_process_stop(process, NULL, 0, 0, 0), -ECHILD);
    CHECK_RESULT(brood_process_fd(process), -ECHILD);
    CHECK_RESULT(brood_process_join(process, NULL, 0), -ECHILD);
    CHECK_RESULT(brood_process_signal(process, SIGKILL), -ECHILD);
    CHECK_RESULT(brood_process_close(process), -ECHILD);
    return 0;
}

static void stop_misused(void)
{
    brood_process *process = start_stay(IGNORES);
    brood_end end;
    static const int bad[] = { -2, INT_MIN };
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(brood_process_stop(process, &end, bad[i], 0, 0), -EINVAL);
        CHECK_RESULT(brood_process_stop(process, &end, 0, bad[i], 0), -EINVAL);
        CHECK_RESULT(brood_process_stop(process, &end, 0, 0, bad[i]), -EINVAL);
    }
    CHECK_RESULT(brood_process_stop(NULL, &end, 0, 0, 0), -EINVAL);
    CHECK_EQ(wait_child(fork_child(use_stranger, &process)), 0);
    brood_process *other = brood_process_start(use_stranger, &process, sizeof process, NULL); /* the same by fork */
    NEED(other != NULL);
    CHECK_RESULT(brood_process_join(other, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(other), 0);
    CHECK_RESULT(brood_process_join(process, NULL, 0), -ETIMEDOUT); /* none of all that harmed it */
    atomic_store(&stage()->leave, 1);
    CHECK_RESULT(brood_process_stop(process, &end, BROOD_FOREVER, 0, 0), 0);
    check_stopped(process, &end, BROOD_RETURNED, 0);
}

static int change_user(void *arg)
{
    (void)arg;
    brood_process *process = start_stay(LEAVES);
    brood_end end;
    NEED(setuid(65534) == 0);
    CHECK_RESULT(brood_process_stop(process, &end, 0, LONG_MS, LONG_MS), -EPERM);
    CHECK_RESULT(brood_process_signal(process, 0), -EPERM);
    CHECK_EQ(atomic_load(&stage()->signals), 0);
    atomic_store(&stage()->leave, 1);
    CHECK_RESULT(brood_process_stop(process, &end, BROOD_FOREVER, 0, 0), 0);
    check_stopped(process, &end, BROOD_RETURNED, 0);
    CHECK_RESULT(brood_fini(), 0);
    return 0;
}

static void stop_forbidden(void)
{
    if (geteuid() != 0)
        harness_skip("only root can change its user");
    CHECK_EQ(wait_child(fork_child(change_user, NULL)), 0);
}

static void signals(void)
{
    static const int deadly[] = { SIGINT, SIGTERM, SIGKILL, SIGHUP, SIGQUIT };
    for (int i = 0; i < 5; i++) {
        brood_process *process = start_stay(DIES);
        brood_end end;
        CHECK_RESULT(brood_process_signal(process, 0), 0);
        CHECK_RESULT(brood_process_signal(process, -1), -EINVAL);
        CHECK_RESULT(brood_process_signal(process, 65), -EINVAL);
        CHECK_RESULT(brood_process_signal(process, deadly[i]), 0);
        CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
        check_stopped(process, &end, BROOD_CRASHED, deadly[i]);
    }
    brood_process *process = start_stay(LEAVES);
    brood_end end;
    CHECK_RESULT(brood_process_signal(process, SIGTERM), 0);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    check_stopped(process, &end, BROOD_FAILED, 7);
    process = start(nothing, NULL, 0);
    await_child(brood_process_pid(process));
    CHECK_RESULT(brood_process_signal(process, 0), -ESRCH); /* ended, though nobody has joined it */
    CHECK_RESULT(brood_process_close(process), 0);
}

/* Each of these by each method: NAME_METHOD. */
static const struct test_case by_method[] = {
    { .name = "stop_waits", .run = stop_waits },
    { .name = "stop_terminates", .run = stop_terminates },
    { .name = "stop_kills", .run = stop_kills },
    { .name = "stop_in_no_time", .run = stop_in_no_time },
    { .name = "stop_for_ever", .run = stop_for_ever },
    { .name = "stop_by_threads", .run = stop_by_threads },
    { .name = "stop_misused", .run = stop_misused },
    { .name = "stop_forbidden", .run = stop_forbidden },
    { .name = "signals", .run = signals },
};

int main(int argc, char **argv)
{
    enum { CASES = sizeof by_method / sizeof *by_method, METHODS = 3 };
    static char names[CASES * METHODS][64];
    static struct test_case cases[CASES * METHODS + 1];
    for (int i = 0; i < CASES * METHODS; i++) {
        cases[i] = by_method[i / METHODS];
        snprintf(names[i], sizeof names[i], "%s_%s", cases[i].name, brood_start_name((brood_start)(1 + i % METHODS)));
        cases[i].name = names[i];
    }
    return harness_main(argc, argv, cases);
}
