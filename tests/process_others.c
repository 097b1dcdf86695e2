/* process_others.c: living with what the program does besides: forks by hand, programs executed in a child, threads at
 * a start, a first thread that ends before others.
 */
#include "harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASES_MOST 40

/* On the page that all families of the case share. */
struct scene {
    atomic_int entered; /* pid of the last process that stays */
    atomic_int leave;
    atomic_int hooks;
    atomic_int done;
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
    return (brood_process_options){ .start = (brood_start)method };
}

static int stay(void *arg)
{
    (void)arg;
    atomic_store(&scene()->entered, getpid());
    return wait_word(&scene()->leave, 1, 15000) ? 0 : 1;
}

/* One that has come to its function. */
static brood_process *start_stay(bool daemon)
{
    brood_process_options options = by_method();
    options.daemon = daemon;
    atomic_store(&scene()->entered, 0);
    brood_process *process = brood_process_start(stay, NULL, 0, &options);
    NEED(process != NULL);
    CHECK(wait_word(&scene()->entered, 1, 10000));
    CHECK_EQ(atomic_load(&scene()->entered), brood_process_pid(process));
    return process;
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

/* ---- forked by hand ---- */

static int pid_of_parent(void *arg)
{
    (void)arg;
    return brood_process_pid(brood_process_parent());
}

static int use_as_stranger(void *arg)
{
    brood_process *theirs = arg;
    brood_process_options options = by_method();
    CHECK_NULL(brood_process_parent(), ESRCH);
    CHECK_RESULT(brood_process_children(NULL, 0), 0);
    CHECK_RESULT(brood_process_join(theirs, NULL, BROOD_FOREVER), -ECHILD);
    CHECK_RESULT(brood_process_stop(theirs, NULL, 0, 0, 0), -ECHILD);
    CHECK_RESULT(brood_process_signal(theirs, SIGKILL), -ECHILD);
    CHECK_RESULT(brood_process_fd(theirs), -ECHILD);
    CHECK_RESULT(brood_process_close(theirs), -ECHILD);
    CHECK_EQ(brood_process_pid(brood_process_self()), getpid());
    CHECK_EQ(end_of(brood_process_start(pid_of_parent, NULL, 0, &options)).code, getpid());
    brood_process *own = start_stay(false), *listed = NULL;
    CHECK_RESULT(brood_process_children(&listed, 1), 1);
    CHECK(listed == own);
    CHECK_RESULT(brood_process_signal(own, SIGKILL), 0);
    CHECK_EQ(end_of(own).signal, SIGKILL);
    return 0;
}

/* The child is told apart: it uses brood as a process of its own, and owns nothing of its parent's. */
static void forked_by_hand(void)
{
    brood_process *mine = start_stay(false), *listed = NULL;
    CHECK_EQ(wait_child(fork_child(use_as_stranger, mine)), 0);
    CHECK_RESULT(brood_process_children(&listed, 1), 1);
    CHECK(listed == mine);
    CHECK_RESULT(brood_process_join(mine, NULL, 0), -ETIMEDOUT);
    atomic_store(&scene()->leave, 1);
    CHECK_EQ(end_of(mine).how, BROOD_RETURNED);
}

static int server_of_stranger(void *arg)
{
    CHECK_EQ(end_of(brood_process_start(pid_of_parent, NULL, 0, arg)).code, getpid());
    int pid = brood_start_server();
    atomic_store(&scene()->entered, pid);
    return 0;
}

/* A fork server is its starter's alone: a child forked by hand gets another, which ends with it. */
static void server_is_not_shared(void)
{
    brood_process_options options = { .start = BROOD_FORKSERVER };
    int mine = brood_start_server();
    NEED(mine > 0);
    CHECK_EQ(wait_child(fork_child(server_of_stranger, &options)), 0);
    int theirs = atomic_load(&scene()->entered);
    CHECK(theirs > 0 && theirs != mine);
    CHECK(wait_gone(theirs, 5000));
    CHECK_EQ(brood_start_server(), mine);
    CHECK_EQ(end_of(brood_process_start(pid_of_parent, NULL, 0, &options)).code, getpid());
}

static int count_hook(void *arg)
{
    (void)arg;
    atomic_fetch_add(&scene()->hooks, 1);
    return 0;
}

static int leave_by_exit(void *arg)
{
    (void)arg;
    exit(5);
}

/* Its exit is not its parent's: no hook of that runs, and none of its children is waited for or ended. */
static void forked_exits(void)
{
    CHECK_RESULT(brood_process_at_exit(count_hook, NULL), 0);
    brood_process *ordinary = start_stay(false), *daemon = start_stay(true);
    CHECK_EQ(wait_child(fork_child(leave_by_exit, NULL)), 5 << 8);
    CHECK_EQ(atomic_load(&scene()->hooks), 0);
    CHECK_RESULT(brood_process_join(ordinary, NULL, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_process_join(daemon, NULL, 0), -ETIMEDOUT);
    atomic_store(&scene()->leave, 1);
    CHECK_EQ(end_of(ordinary).how, BROOD_RETURNED);
    CHECK_EQ(end_of(daemon).how, BROOD_RETURNED);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(atomic_load(&scene()->hooks), 1);
}

static int return_twice(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    if (pid == 0)
        return 4;
    CHECK_EQ(wait_child(pid), 4 << 8);
    exit(3);
}

/* What a target forks by hand may return from it as well, and ends; the target's own end is still its own to tell. */
static void forked_returns(void)
{
    brood_process_options options = by_method();
    brood_end end = end_of(brood_process_start(return_twice, NULL, 0, &options));
    CHECK_EQ(end.how, BROOD_EXITED);
    CHECK_EQ(end.code, 3);
}

/* ---- a program executed in a child ---- */

static int become_sleep(void *arg)
{
    (void)arg;
    atomic_store(&scene()->entered, getpid());
    execlp("sleep", "sleep", "1000", (char *)NULL);
    return 1;
}

static bool is_sleep(void *arg)
{
    char path[48], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", *(int *)arg);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool known = fgets(name, sizeof name, file) != NULL;
    fclose(file);
    return known && strcmp(name, "sleep\n") == 0;
}

/* `arg`: not NULL: with descriptors whose numbers are likely to be those of a tie in another process. */
static void *start_sleep(void *arg)
{
    int fds[20];
    brood_process_options options = by_method();
    if (arg != NULL) {
        for (int i = 0; i < 20; i++)
            NEED((fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 3);
        options.fds = fds;
        options.fd_count = 20;
    }
    NEED(brood_process_start(become_sleep, NULL, 0, &options) != NULL);
    return NULL;
}

/* The tie to the starter outlives the program that tied it, whichever thread made it. */
static void executed_dies_with_starter(void)
{
    if (harness_part() != NULL) {
        pthread_t thread;
        void *with_fds = strcmp(harness_part(), "thread_fds") == 0 ? &thread : NULL;
        if (strncmp(harness_part(), "thread", 6) == 0)
            NEED(pthread_create(&thread, NULL, start_sleep, with_fds) == 0 && pthread_join(thread, NULL) == 0);
        else
            start_sleep(NULL);
        for (;;)
            pause();
    }
    static const char *const parts[] = { "main", "thread", "thread_fds" };
    for (int i = 0; i < 3; i++) {
        memset(scene(), 0, sizeof *scene());
        pid_t founder = harness_start(parts[i]);
        CHECK(wait_word(&scene()->entered, 1, 10000));
        int pid = atomic_load(&scene()->entered);
        CHECK(wait_until(is_sleep, &pid, 5000));
        CHECK_EQ(kill_child(founder), SIGKILL);
        CHECK(wait_gone(pid, 5000));
    }
}

struct count {
    int expected; /* descriptors that an exec would hand on */
    bool last;
};

static int count_handed_on(void)
{
    int count = 0;
    for (int fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        count += flags >= 0 && (flags & FD_CLOEXEC) == 0;
    }
    return count;
}

static int check_count(void *arg);

static void *start_counting(void *arg)
{
    brood_process_options options = by_method();
    CHECK_EQ(end_of(brood_process_start(check_count, arg, sizeof(struct count), &options)).code, 0);
    return NULL;
}

static void count_in_thread(struct count *count)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, start_counting, count) == 0 && pthread_join(thread, NULL) == 0);
}

static int check_count(void *arg)
{
    struct count *count = arg;
    CHECK_EQ(count_handed_on(), count->expected);
    if (!count->last)
        count_in_thread(&(struct count){ count->expected, true });
    return 0;
}

/* A process holds what ties it to its starter, and nobody else's tie: not its starter's, not the fork server's. */
static void one_tie(void)
{
    int inherited = by_method().start == BROOD_FORK ? count_handed_on() : 0;
    count_in_thread(&(struct count){ .expected = inherited + 1 });
}

/* ---- threads ---- */

struct shared {
    brood_lock lock;
    atomic_int stop;
    int count;
};

static void work_once(struct shared *shared)
{
    void *block = CHECK_POINTER(brood_alloc(100));
    NEED(brood_lock_acquire(&shared->lock, 15000) == 0);
    shared->count++;
    CHECK_RESULT(brood_lock_release(&shared->lock), 0);
    brood_free(block);
    free(malloc(1000));
}

static void *work_on(void *arg)
{
    struct shared *shared = arg;
    while (atomic_load(&shared->stop) == 0)
        work_once(shared);
    return NULL;
}

static int work_in_child(void *arg)
{
    brood_process_options options = by_method();
    work_once(arg);
    return end_of(brood_process_start(pid_of_parent, NULL, 0, &options)).code == getpid() ? 77 : 1;
}

/* Whatever the other threads are at, a child can call brood: locks, memory, processes of its own. */
static void threads_at_start(void)
{
    struct shared *shared = CHECK_POINTER(brood_alloc(sizeof *shared));
    NEED(shared != NULL && brood_lock_init(&shared->lock, NULL) == 0);
    brood_process_options options = by_method();
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        NEED(pthread_create(&threads[i], NULL, work_on, shared) == 0);
    for (int i = 0; i < harness_times(20); i++)
        CHECK_EQ(end_of(brood_process_start(work_in_child, shared, 0, &options)).code, 77);
    atomic_store(&shared->stop, 1);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK_RESULT(brood_heap_check(), 0);
}

struct first_thread {
    pthread_t id;
    brood_process *process;
};

static void *outlive(void *arg)
{
    struct first_thread *first = arg;
    NEED(pthread_join(first->id, NULL) == 0);
    CHECK_EQ(end_of(first->process).signal, SIGKILL); /* its thread's end counted as its starter's */
    brood_process *process = start_stay(false);
    brood_process_options options = by_method();
    CHECK_EQ(end_of(brood_process_start(pid_of_parent, NULL, 0, &options)).code, getpid());
    CHECK_RESULT(brood_process_join(process, NULL, 0), -ETIMEDOUT);
    atomic_store(&scene()->leave, 1);
    CHECK_EQ(end_of(process).how, BROOD_RETURNED);
    atomic_store(&scene()->done, 1);
    exit(6);
}

/* Other threads start and join on, by a fork server of their own if need be. */
static void first_thread_ends(void)
{
    if (harness_part() == NULL) {
        CHECK_EQ(wait_child(harness_start("founder")), 6 << 8);
        CHECK_EQ(atomic_load(&scene()->done), 1);
        return;
    }
    static struct first_thread first;
    pthread_t thread;
    first = (struct first_thread){ pthread_self(), start_stay(false) };
    NEED(pthread_create(&thread, NULL, outlive, &first) == 0);
    pthread_exit(NULL);
}

/* What another thread started lives on when that thread, or the first one, ends. */
static void *start_and_end(void *arg)
{
    *(brood_process **)arg = start_stay(false);
    return NULL;
}

static void *outlive_both(void *arg)
{
    struct first_thread *first = arg;
    NEED(pthread_join(first->id, NULL) == 0);
    CHECK_RESULT(brood_process_join(first->process, NULL, 50), -ETIMEDOUT);
    atomic_store(&scene()->leave, 1);
    CHECK_EQ(end_of(first->process).how, BROOD_RETURNED);
    exit(6);
}

static void starting_thread_ends(void)
{
    if (harness_part() == NULL) {
        CHECK_EQ(wait_child(harness_start("founder")), 6 << 8);
        return;
    }
    static struct first_thread first;
    pthread_t thread;
    first.id = pthread_self();
    NEED(pthread_create(&thread, NULL, start_and_end, &first.process) == 0);
    NEED(pthread_join(thread, NULL) == 0);
    CHECK_RESULT(brood_process_join(first.process, NULL, 0), -ETIMEDOUT);
    NEED(pthread_create(&thread, NULL, outlive_both, &first) == 0);
    pthread_exit(NULL);
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
        { .name = "forked_by_hand", .run = forked_by_hand },
        { .name = "forked_exits", .run = forked_exits },
        { .name = "forked_returns", .run = forked_returns },
        { .name = "executed_dies_with_starter", .run = executed_dies_with_starter },
        { .name = "one_tie", .run = one_tie },
        { .name = "threads_at_start", .run = threads_at_start },
        { .name = "first_thread_ends", .run = first_thread_ends },
        { .name = "starting_thread_ends", .run = starting_thread_ends },
        { .name = NULL },
    };
    static const struct test_case once[] = {
        { .name = "server_is_not_shared", .run = server_is_not_shared },
        { .name = NULL },
    };
    return harness_main(argc, argv, list_cases(each, once));
}
