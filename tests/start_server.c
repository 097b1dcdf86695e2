/* start_server.c: the fork server: its preload, its children, which are the starter's own, and its death. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
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

/* What preload executes has no line to the starter: a tie is all that is handed on. */
static int count_handed_on(void)
{
    int count = 0;
    for (int fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        count += flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    CHECK_EQ(count, 1);
    return 0;
}

static void *start_server(void *arg)
{
    CHECK(brood_start_server() > 0);
    return arg;
}

static void preload_executes(void)
{
    pthread_t thread;
    NEED(brood_init(&(brood_init_options){ .preload = count_handed_on }) == 0);
    NEED(pthread_create(&thread, NULL, start_server, NULL) == 0);
    pthread_join(thread, NULL);
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

static bool sleeps(void *pid)
{
    return process_state(*(const pid_t *)pid) == 'S';
}

/* The server stands still, so a starter that sleeps waits for its answer. */
static int kill_when_asked(void *arg)
{
    pid_t starter = getppid();
    CHECK(wait_until(sleeps, &starter, 10000));
    return kill(*(const pid_t *)arg, SIGKILL);
}

/* The next server makes the process, whatever else there is to look after: a child that was closed while it runs. */
static void killed_when_asked(void)
{
    atomic_int *leave = CHECK_POINTER(brood_alloc(sizeof *leave));
    brood_process *closed = brood_process_start(stay, &leave, sizeof leave, NULL);
    NEED(closed != NULL && brood_process_close(closed) == 0);
    for (int i = 0; i < 3; i++) {
        pid_t server = brood_start_server();
        NEED(server > 0 && kill(server, SIGSTOP) == 0);
        pid_t killer = fork_child(kill_when_asked, &server);
        CHECK_EQ(end_of(brood_process_start(echo, &(int){ 5 }, sizeof(int), &by_server)).code, 5);
        CHECK_EQ(wait_child(killer), 0);
    }
    atomic_store(leave, 1);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(count_children(), 0);
    brood_free(leave);
}

static int is_like_starter(void *arg)
{
    const uid_t *user = arg;
    gid_t group;
    return getuid() == *user && geteuid() == *user && getgid() == *user && getgroups(1, &group) == 1 && group == *user;
}

/* Whether there was one to drop. */
static bool drop_capability(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    NEED(syscall(SYS_capget, &header, sets) == 0);
    bool had = sets[0].permitted & 1U << CAP_NET_RAW;
    sets[0].permitted &= ~(1U << CAP_NET_RAW);
    sets[0].effective &= ~(1U << CAP_NET_RAW);
    sets[0].inheritable &= ~(1U << CAP_NET_RAW);
    NEED(syscall(SYS_capset, &header, sets) == 0);
    return had;
}

/* What the starter has given up, its children do not have either: whatever the server had when it began. A server that
 * does not end and may not be killed is left, until its tie ends it with its starter. */
static void rights_given_up(void)
{
    atomic_int *left = harness_page();
    const uid_t nobody = 65534;
    if (harness_part() != NULL) {
        pid_t first = brood_start_server();
        NEED(first > 0 && setgroups(1, &nobody) == 0);
        pid_t second = brood_start_server();
        CHECK(second > 0 && second != first);
        CHECK_EQ(process_state(first), 0);
        bool dropped = drop_capability();
        pid_t third = brood_start_server();
        CHECK(third > 0 && (third != second) == dropped);
        CHECK_RESULT(brood_start_server(), third);
        if (strcmp(harness_part(), "stopped") == 0)
            NEED(kill(third, SIGSTOP) == 0);
        NEED(setgid(nobody) == 0 && setuid(nobody) == 0);
        brood_process *process = brood_process_start(is_like_starter, &nobody, sizeof nobody, &by_server);
        CHECK_EQ(end_of(process).code, 1);
        CHECK(brood_start_server() != third);
        CHECK_EQ(process_state(third), strcmp(harness_part(), "stopped") == 0 ? 'T' : 0);
        atomic_store(left, third);
        return;
    }
    if (geteuid() != 0)
        harness_skip("only root can become another");
    CHECK_EQ(wait_child(harness_start("running")), 0);
    CHECK_EQ(wait_child(harness_start("stopped")), 0);
    CHECK(wait_gone(atomic_load(left), 10000));
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
        { .name = "preload_executes", .run = preload_executes, .no_init = true },
        { .name = "preload_fails", .run = preload_fails, .no_init = true },
        { .name = "preload_leaves_thread", .run = preload_leaves_thread, .no_init = true },
        { .name = "children_are_ours", .run = children_are_ours },
        { .name = "killed_while_idle", .run = killed_while_idle },
        { .name = "killed_in_use", .run = killed_in_use, .deadline_s = 60 },
        { .name = "killed_when_asked", .run = killed_when_asked },
        { .name = "rights_given_up", .run = rights_given_up },
        { .name = "keys", .run = keys },
        { .name = "starter_killed", .run = starter_killed },
        { .name = "thread_ends", .run = thread_ends },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
