/* process_reaped.c: somebody else takes the status of brood's children: SIGCHLD is ignored, its handler waits for
 * whatever ended, or a thread does. What is known of an end is told all the same, and nothing hangs.
 */
#include "harness.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASES_MOST 20

/* A case's name ends with its start method. */
static brood_process_options by_method(void)
{
    int method = brood_start_find(strrchr(harness_command(NULL)[1], '_') + 1);
    NEED(method > 0);
    return (brood_process_options){ .start = (brood_start)method };
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

static int pid_of_parent(void *arg)
{
    (void)arg;
    return brood_process_pid(brood_process_parent());
}

enum way { RETURN, LEAVE, DIE };

struct order {
    enum way way;
    int value;
};

static int end_thus(void *arg)
{
    const struct order *order = arg;
    if (order->way == LEAVE)
        _exit(order->value);
    if (order->way == DIE)
        kill(getpid(), order->value);
    return order->value;
}

static brood_process *start_order(enum way way, int value)
{
    brood_process_options options = by_method();
    struct order order = { way, value };
    brood_process *process = brood_process_start(end_thus, &order, sizeof order, &options);
    NEED(process != NULL);
    return process;
}

/* From Linux 6.15 on an end is known even if someone else took the status. */
static bool statuses_are_kept(void)
{
    struct utsname system;
    int major = 0, minor = 0;
    NEED(uname(&system) == 0 && sscanf(system.release, "%d.%d", &major, &minor) == 2);
    return major > 6 || (major == 6 && minor >= 15);
}

/* `certainly`: the status was taken, not only perhaps. */
static void check_end(const brood_end *end, enum way way, int value, bool certainly)
{
    static const brood_how hows[] = { [RETURN] = BROOD_FAILED, [LEAVE] = BROOD_EXITED, [DIE] = BROOD_CRASHED };
    brood_how how = way == RETURN && value == 0 ? BROOD_RETURNED : hows[way];
    bool lost = way != RETURN && !statuses_are_kept() && (certainly || end->how == BROOD_LOST);
    CHECK_EQ(end->how, lost ? BROOD_LOST : how);
    CHECK_EQ(end->code, lost || way == DIE ? 0 : value);
    CHECK_EQ(end->signal, lost || way != DIE ? 0 : value);
    CHECK_EQ(end->why[0] == '\0', how == BROOD_RETURNED);
}

static const struct order orders[] = { { RETURN, 0 }, { RETURN, -700 }, { LEAVE, 0 }, { LEAVE, 3 }, { DIE, SIGKILL } };
#define ORDERS ((int)(sizeof orders / sizeof *orders))

static int start_another(void *arg)
{
    (void)arg;
    brood_end end = end_of(start_order(RETURN, 77));
    return end.code;
}

static int sleep_on(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static void sigchld_ignored(void)
{
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 4 * ORDERS; i++) {
        const struct order *order = &orders[i % ORDERS];
        brood_end end = end_of(start_order(order->way, order->value));
        check_end(&end, order->way, order->value, true);
    }
    brood_process_options options = by_method();
    CHECK_EQ(end_of(brood_process_start(start_another, NULL, 0, &options)).code, 77);
    brood_process *process = brood_process_start(sleep_on, NULL, 0, &options);
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_stop(process, &end, 0, BROOD_FOREVER, BROOD_FOREVER), 0);
    check_end(&end, DIE, SIGTERM, true);
    CHECK_RESULT(brood_process_signal(process, SIGKILL), -ESRCH);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(count_children(), 0);
}

static void reap_all(int number)
{
    (void)number;
    int saved = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = saved;
}

static void handle_sigchld(void)
{
    struct sigaction action = { .sa_handler = reap_all, .sa_flags = SA_RESTART | SA_NOCLDSTOP };
    NEED(sigaction(SIGCHLD, &action, NULL) == 0);
}

/* Several at a time: started, then joined in turn. */
static void start_and_join_many(void)
{
    enum { AT_ONCE = 10 };
    brood_process *processes[AT_ONCE];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < AT_ONCE; i++)
            processes[i] = start_order(orders[i % ORDERS].way, orders[i % ORDERS].value);
        for (int i = 0; i < AT_ONCE; i++) {
            brood_end end = end_of(processes[i]);
            check_end(&end, orders[i % ORDERS].way, orders[i % ORDERS].value, false);
        }
    }
}

static void sigchld_handled(void)
{
    struct sigaction now;
    handle_sigchld();
    start_and_join_many();
    NEED(sigaction(SIGCHLD, NULL, &now) == 0);
    CHECK(now.sa_handler == reap_all); /* brood does not touch it */
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(count_children(), 0);
}

/* A killed fork server whose status the handler took is replaced all the same. */
static void server_reaped(void)
{
    brood_process_options options = { .start = BROOD_FORKSERVER };
    handle_sigchld();
    for (int i = 0; i < 3; i++) {
        int server = brood_start_server();
        NEED(server > 0);
        kill(server, SIGKILL);
        CHECK(wait_gone(server, 5000));
        CHECK_EQ(end_of(brood_process_start(pid_of_parent, NULL, 0, &options)).code, getpid());
        CHECK(brood_start_server() != server);
    }
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(count_children(), 0);
}

static atomic_int stop_waiting;

static void *wait_for_all(void *arg)
{
    (void)arg;
    while (waitpid(-1, NULL, 0) > 0 || atomic_load(&stop_waiting) == 0)
        sched_yield();
    return NULL;
}

/* A thread of the program that waits for whatever child ends, while others join. */
static void waited_by_thread(void)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, wait_for_all, NULL) == 0);
    start_and_join_many();
    CHECK_RESULT(brood_fini(), 0);
    atomic_store(&stop_waiting, 1);
    pthread_join(thread, NULL);
    CHECK_EQ(count_children(), 0);
}

/* Those of `each` once for each start method, then `once`. */
static const struct test_case *list_cases(const struct test_case *each, const struct test_case *once)
{
    static struct test_case all[CASES_MOST];
    static char names[CASES_MOST][64];
    int count = 0;
    for (; each->name != NULL; each++) {
        for (int i = 1; brood_start_name((brood_start)i) != NULL; i++, count++) {
            NEED(count < CASES_MOST);
            snprintf(names[count], sizeof names[count], "%s_%s", each->name, brood_start_name((brood_start)i));
            all[count] = *each;
            all[count].name = names[count];
        }
    }
    for (; once->name != NULL; once++) {
        NEED(count < CASES_MOST - 1);
        all[count++] = *once;
    }
    return all;
}

int main(int argc, char **argv)
{
    static const struct test_case each[] = {
        { .name = "sigchld_ignored", .run = sigchld_ignored },
        { .name = "sigchld_handled", .run = sigchld_handled },
        { .name = "waited_by_thread", .run = waited_by_thread },
        { .name = NULL },
    };
    static const struct test_case once[] = {
        { .name = "server_reaped", .run = server_reaped },
        { .name = NULL },
    };
    return harness_main(argc, argv, list_cases(each, once));
}
