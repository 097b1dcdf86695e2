/* manager_start.c: servers: how they begin and end, and what their clients see of that. */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static brood_manager *start(brood_start method)
{
    const brood_manager_options options = { .name = "shop", .start = method };
    brood_manager *manager = CHECK_POINTER(brood_manager_start(&options));
    NEED(manager != NULL);
    return manager;
}

static int ask(brood_manager *manager)
{
    brood_manager_stats stats;
    return brood_manager_stat(manager, &stats);
}

static int ask_often(void *arg)
{
    brood_manager *manager = arg;
    for (int i = 0; i < 100; i++)
        CHECK_RESULT(ask(manager), 0);
    return 0;
}

/* Started in any way, called from processes that were. */
static void every_start_method(void)
{
    for (brood_start method = BROOD_FORK; brood_start_name(method); method++) {
        brood_manager *manager = start(method);
        CHECK(brood_manager_pid(manager) > 0);
        CHECK(brood_manager_pid(manager) != getpid());
        ask_often(manager);
        for (brood_start client = BROOD_FORK; brood_start_name(client); client++) {
            const brood_process_options options = { .start = client };
            brood_process *process = CHECK_POINTER(brood_process_start(ask_often, manager, 0, &options));
            NEED(process != NULL);
            CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
        }
        brood_manager_stats stats;
        CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
        CHECK_EQ(stats.calls, 401);
        CHECK(stats.clients >= 1 && stats.clients <= 4);
        CHECK_RESULT(brood_manager_destroy(manager), 0);
        CHECK_RESULT(brood_heap_check(), 0);
    }
}

static void shut_down(void)
{
    brood_manager *manager = start(BROOD_FORK);
    pid_t pid = brood_manager_pid(manager);
    CHECK_RESULT(ask(manager), 0);
    CHECK_RESULT(brood_manager_shutdown(manager), 0);
    CHECK(kill(pid, 0) < 0);
    CHECK_EQ(brood_manager_pid(manager), 0);
    CHECK_RESULT(ask(manager), -EPIPE);
    CHECK_HAS(brood_error(), "shop");
    CHECK_RESULT(brood_manager_shutdown(manager), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_manager_destroy(NULL), 0);
}

static void killed(void)
{
    brood_manager *manager = start(BROOD_FORK);
    pid_t pid = brood_manager_pid(manager);
    CHECK_RESULT(ask(manager), 0);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    int failed;
    while ((failed = ask(manager)) == 0)
        ;
    CHECK_RESULT(failed, -EOWNERDEAD);
    CHECK_HAS(brood_error(), "killed");
    CHECK_RESULT(ask(manager), -EOWNERDEAD);
    CHECK_EQ(brood_manager_pid(manager), 0);
    CHECK(wait_gone(pid, 2000));
    CHECK_RESULT(brood_manager_shutdown(manager), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static void told_by_signal(void)
{
    brood_manager *manager = start(BROOD_FORK);
    pid_t pid = brood_manager_pid(manager);
    CHECK_EQ(kill(pid, SIGINT), 0);
    CHECK_EQ(kill(pid, SIGHUP), 0);
    CHECK_EQ(kill(pid, SIGQUIT), 0);
    CHECK_RESULT(ask(manager), 0);
    CHECK_EQ(kill(pid, SIGTERM), 0);
    int failed;
    while ((failed = ask(manager)) == 0)
        ;
    CHECK_RESULT(failed, -EPIPE);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static int end_it(void *arg)
{
    CHECK_RESULT(ask(arg), 0);
    CHECK_RESULT(brood_manager_shutdown(arg), -ECHILD);
    CHECK_RESULT(brood_manager_destroy(arg), -ECHILD);
    return 0;
}

/* A child that has its parent's memory is a client of its own, and does not own what its parent does. */
static void forked_by_hand(void)
{
    brood_manager *manager = start(BROOD_DEFAULT);
    CHECK_RESULT(ask(manager), 0);
    CHECK_EQ(wait_child(fork_child(end_it, manager)), 0);
    CHECK_RESULT(ask(manager), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static void *shut_down_in_thread(void *arg)
{
    CHECK_RESULT(brood_manager_shutdown(arg), 0);
    return NULL;
}

static int start_and_end(void *arg)
{
    (void)arg;
    alarm(3);
    brood_manager *manager = start(BROOD_FORK);
    CHECK_RESULT(ask(manager), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    return 0;
}

/* A child that is forked while its parent ends a server, which takes as long as that likes, has servers of its own. */
static void forked_at_an_end(void)
{
    brood_manager *manager = start(BROOD_FORK);
    pid_t server = brood_manager_pid(manager);
    pthread_t thread;
    kill(server, SIGSTOP);
    NEED(pthread_create(&thread, NULL, shut_down_in_thread, manager) == 0);
    pass_us(100000); /* for it to come to its wait: too short, and the case tells less */
    CHECK_EQ(wait_child(fork_child(start_and_end, NULL)), 0);
    kill(server, SIGCONT);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static int start_and_die(void *arg)
{
    atomic_int *pid = arg;
    brood_manager *manager = start(BROOD_FORK);
    CHECK_RESULT(ask(manager), 0);
    atomic_store(pid, brood_manager_pid(manager));
    raise(SIGKILL);
    return 0;
}

static void ends_with_its_starter(void)
{
    atomic_int *pid = CHECK_POINTER(brood_alloc(sizeof *pid));
    NEED(pid != NULL);
    CHECK_EQ(WTERMSIG(wait_child(fork_child(start_and_die, pid))), SIGKILL);
    CHECK(wait_gone(atomic_load(pid), 5000));
    brood_free(pid);
}

enum { MANAGERS = 6 };

/* More than a thread finds at once; each has its own server. */
static void side_by_side(void)
{
    brood_manager *managers[MANAGERS];
    for (int i = 0; i < MANAGERS; i++)
        managers[i] = start(BROOD_FORK);
    for (int round = 0; round < 50; round++)
        for (int i = 0; i < MANAGERS; i++)
            CHECK_RESULT(ask(managers[i]), 0);
    for (int i = 0; i < MANAGERS; i++) {
        brood_manager_stats stats;
        CHECK_RESULT(brood_manager_stat(managers[i], &stats), 0);
        CHECK_EQ(stats.calls, 51);
        CHECK_EQ(stats.clients, 1);
        CHECK_RESULT(brood_manager_shutdown(managers[i]), 0);
    }
    for (int i = 0; i < MANAGERS; i++)
        CHECK_RESULT(brood_manager_destroy(managers[i]), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void wrong_calls(void)
{
    brood_manager_options options = { .start = (brood_start)77 };
    brood_manager_stats stats;
    CHECK_NULL(brood_manager_start(&options), EINVAL);
    options = (brood_manager_options){ .reserved = { &options } };
    CHECK_NULL(brood_manager_start(&options), EINVAL);
    CHECK_RESULT(brood_manager_stat(NULL, &stats), -EINVAL);
    CHECK_RESULT(brood_manager_shutdown(NULL), -EINVAL);
    CHECK_RESULT(brood_manager_pid(NULL), -EINVAL);
    void *block = CHECK_POINTER(brood_alloc(10000));
    CHECK_RESULT(brood_manager_stat(block, &stats), -EINVAL);
    CHECK_RESULT(brood_manager_destroy(block), -EINVAL);
    brood_free(block);
    brood_manager *manager = start(BROOD_DEFAULT);
    CHECK_RESULT(brood_manager_stat(manager, NULL), -EINVAL);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static void before_init(void)
{
    CHECK_NULL(brood_manager_start(NULL), EINVAL);
}

/* No more than 1,024 locks, and a channel counts as one. */
static void too_many_locks(void)
{
    enum { LOCKS = 1024 };
    brood_manager *manager = start(BROOD_FORK);
    brood_lock *locks = CHECK_POINTER(brood_alloc(LOCKS * sizeof *locks));
    NEED(locks != NULL);
    for (int i = 0; i < LOCKS; i++)
        CHECK_RESULT(brood_lock_acquire(&locks[i], 0), 0);
    CHECK_RESULT(ask(manager), -ENOLCK);
    CHECK_RESULT(brood_lock_release(&locks[0]), 0);
    CHECK_RESULT(ask(manager), 0);
    for (int i = 1; i < LOCKS; i++)
        CHECK_RESULT(brood_lock_release(&locks[i]), 0);
    brood_free(locks);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static int has_term_blocked(void *arg)
{
    sigset_t mask;
    (void)arg;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, SIGTERM);
}

/* A server begins with SIGTERM held back, and it alone of what the fork server makes. */
static void first_of_the_fork_server(void)
{
    brood_manager *manager = start(BROOD_FORKSERVER);
    brood_end end = { .code = -1 };
    brood_process *process = CHECK_POINTER(
        brood_process_start(has_term_blocked, NULL, 0, &(brood_process_options){ .start = BROOD_FORKSERVER }));
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK_EQ(end.code, 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "every_start_method", .run = every_start_method },
        { .name = "shut_down", .run = shut_down },
        { .name = "killed", .run = killed },
        { .name = "told_by_signal", .run = told_by_signal },
        { .name = "forked_by_hand", .run = forked_by_hand },
        { .name = "forked_at_an_end", .run = forked_at_an_end },
        { .name = "ends_with_its_starter", .run = ends_with_its_starter },
        { .name = "side_by_side", .run = side_by_side },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = "before_init", .run = before_init, .no_init = true },
        { .name = "too_many_locks", .run = too_many_locks },
        { .name = "first_of_the_fork_server", .run = first_of_the_fork_server },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
