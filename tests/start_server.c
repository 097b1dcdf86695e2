/* start_server.c: the fork server: its preload, its children, which are the starter's own, and its death. */
#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const brood_process_options by_server = { .start = BROOD_FORKSERVER };

static int loaded; /* by preload: once in each server */

static brood_end end_of(brood_process *process)
{
    brood_end end = { .code = -1 };
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    return end;
}

static int tell_loaded(void *arg)
{
    (void)arg;
    return loaded;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int stay(void *arg)
{
    atomic_int *leave = *(atomic_int **)arg;
    return wait_word(leave, 1, 15000) ? 21 : 1;
}

static int load(void)
{
    atomic_fetch_add((atomic_int *)harness_page(), 1);
    loaded += 5;
    return 0;
}

static void preloaded(void)
{
    NEED(brood_init(&(brood_init_options){ .preload = load }) == 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(end_of(brood_process_start(tell_loaded, NULL, 0, &by_server)).code, 5);
    CHECK_EQ(atomic_load((atomic_int *)harness_page()), 1);
    CHECK_EQ(loaded, 0);
    int server = brood_start_server();
    CHECK(server > 0);
    CHECK_RESULT(brood_start_server(), server);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(count_children(), 0);
}

static int fail(void)
{
    return brood_fail(7, "no table");
}

static void preload_fails(void)
{
    NEED(brood_init(&(brood_init_options){ .preload = fail }) == 0);
    CHECK_RESULT(brood_start_server(), -EOWNERDEAD);
    CHECK_HAS(brood_error(), "no table");
    CHECK_NULL(brood_process_start(nothing, NULL, 0, &by_server), EOWNERDEAD);
    CHECK_EQ(count_children(), 0);
}

static void *sleep_on(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static int leave_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, sleep_on, NULL);
}

static void preload_leaves_thread(void)
{
    NEED(brood_init(&(brood_init_options){ .preload = leave_thread }) == 0);
    CHECK_RESULT(brood_start_server(), -EOWNERDEAD);
    CHECK_HAS(brood_error(), "threads");
}

/* To wait(2) the child is the starter's, and not the server's. */
static void children_are_ours(void)
{
    brood_process *process = brood_process_start(nothing, NULL, 0, &by_server);
    NEED(process != NULL);
    int status = -1;
    CHECK_EQ(waitpid(brood_process_pid(process), &status, 0), brood_process_pid(process));
    CHECK_EQ(status, 0);
    CHECK_EQ(end_of(process).how, BROOD_RETURNED);
}

static void killed_while_idle(void)
{
    atomic_int *leave = CHECK_POINTER(brood_alloc(sizeof *leave));
    brood_process *old = brood_process_start(stay, &leave, sizeof leave, &by_server);
    int server = brood_start_server();
    NEED(old != NULL && server > 0 && kill(server, SIGKILL) == 0);
    CHECK_EQ(end_of(brood_process_start(nothing, NULL, 0, &by_server)).how, BROOD_RETURNED);
    CHECK(brood_start_server() != server);
    atomic_store(leave, 1);
    CHECK_EQ(end_of(old).code, 21);
    brood_free(leave);
}

static atomic_int done;

static void *kill_servers(void *arg)
{
    uint32_t state = 99;
    while (!atomic_load(&done)) {
        pass_us(random_next(&state) % 3000);
        int server = brood_start_server();
        if (CHECK(server > 0))
            kill(server, SIGKILL);
    }
    return arg;
}

static int echo(void *arg)
{
    return *(int *)arg;
}

static void *start_many(void *arg)
{
    for (int i = 0; i < harness_times(200) && harness_failures() == 0; i++) {
        int number = i % 200 + 1;
        const brood_process_options options = { .start = BROOD_FORKSERVER, .max_core = i % 2 ? 0 : -1 };
        CHECK_EQ(end_of(brood_process_start(echo, &number, sizeof number, &options)).code, number);
    }
    return arg;
}

/* At any time: each start works, each child is told its end, none is made twice. */
static void killed_in_use(void)
{
    int descriptors = count_descriptors();
    pthread_t killer, starters[3];
    NEED(pthread_create(&killer, NULL, kill_servers, NULL) == 0);
    for (int i = 0; i < 3; i++)
        NEED(pthread_create(&starters[i], NULL, start_many, NULL) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(starters[i], NULL);
    atomic_store(&done, 1);
    pthread_join(killer, NULL);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_EQ(count_descriptors(), descriptors);
}

static int die_by_key(void *arg)
{
    (void)arg;
    sigset_t mask, pending;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigpending(&pending);
    CHECK(!sigismember(&mask, SIGINT) && !sigismember(&pending, SIGINT));
    raise(SIGINT);
    return 1;
}

/* Keys of a terminal reach the server, and are not its business; they are its children's. */
static void keys(void)
{
    int server = brood_start_server();
    NEED(server > 0);
    kill(server, SIGINT);
    kill(server, SIGQUIT);
    kill(server, SIGHUP);
    CHECK_EQ(end_of(brood_process_start(die_by_key, NULL, 0, &by_server)).signal, SIGINT);
    CHECK_RESULT(brood_start_server(), server);
}

static void starter_killed(void)
{
    struct {
        atomic_int server, child, ready;
    } *page = harness_page();
    if (harness_part() != NULL) {
        atomic_int *leave = brood_alloc(sizeof *leave);
        atomic_store(&page->server, brood_start_server());
        atomic_store(&page->child, brood_process_pid(brood_process_start(stay, &leave, sizeof leave, &by_server)));
        atomic_store(&page->ready, 1);
        for (;;)
            pause();
    }
    pid_t starter = harness_start("starter");
    NEED(wait_word(&page->ready, 1, 10000));
    CHECK_EQ(kill_child(starter), SIGKILL);
    CHECK(wait_gone(atomic_load(&page->server), 10000));
    CHECK(wait_gone(atomic_load(&page->child), 10000));
}

static void *start_one(void *arg)
{
    atomic_int *leave = arg;
    return brood_process_start(stay, &leave, sizeof leave, &by_server);
}

/* The thread that started the server ends: server and children belong to the process. */
static void thread_ends(void)
{
    atomic_int *leave = CHECK_POINTER(brood_alloc(sizeof *leave));
    pthread_t thread;
    void *process = NULL;
    NEED(pthread_create(&thread, NULL, start_one, leave) == 0 && pthread_join(thread, &process) == 0);
    int server = brood_start_server();
    CHECK_RESULT(brood_process_join(process, NULL, 100), -ETIMEDOUT);
    CHECK_EQ(end_of(brood_process_start(nothing, NULL, 0, &by_server)).how, BROOD_RETURNED);
    CHECK_RESULT(brood_start_server(), server);
    atomic_store(leave, 1);
    CHECK_EQ(end_of(process).code, 21);
    brood_free(leave);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "preloaded", .run = preloaded, .no_init = true },
        { .name = "preload_fails", .run = preload_fails, .no_init = true },
        { .name = "preload_leaves_thread", .run = preload_leaves_thread, .no_init = true },
        { .name = "children_are_ours", .run = children_are_ours },
        { .name = "killed_while_idle", .run = killed_while_idle },
        { .name = "killed_in_use", .run = killed_in_use, .deadline_s = 60 },
        { .name = "keys", .run = keys },
        { .name = "starter_killed", .run = starter_killed },
        { .name = "thread_ends", .run = thread_ends },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
