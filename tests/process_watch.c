/* process_watch.c: hearing of a process' end, and letting go of it, by every start method: its descriptor, closing it,
 * and calls in a signal handler that interrupted a call.
 */
#include "harness.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
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

static int return_seven(void *arg)
{
    (void)arg;
    return 7;
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

static int is_readable(int fd, int ms)
{
    struct pollfd polled = { .fd = fd, .events = POLLIN };
    int count = poll(&polled, 1, ms);
    return count == 1 ? (polled.revents & POLLIN) != 0 : count;
}

static void descriptor(void)
{
    brood_process *process = start_stay(DIES);
    int fd = brood_process_fd(process);
    if (fd == -ENOSYS)
        harness_skip("no pidfds");
    CHECK(fd >= 0);
    CHECK_EQ(brood_process_fd(process), fd);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(is_readable(fd, 0), 0);
    int set = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = process };
    NEED(set >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0);
    CHECK_EQ(epoll_wait(set, &event, 1, 0), 0);
    atomic_store(&stage()->leave, 1);
    CHECK_EQ(epoll_wait(set, &event, 1, LONG_MS), 1);
    CHECK(event.data.ptr == process);
    CHECK_EQ(is_readable(fd, 0), 1);
    fd_set chosen;
    FD_ZERO(&chosen);
    FD_SET(fd, &chosen);
    CHECK_EQ(select(fd + 1, &chosen, NULL, NULL, &(struct timeval){ 0 }), 1);
    CHECK_RESULT(brood_process_join(process, NULL, 0), 0); /* readable is ended */
    CHECK_EQ(brood_process_fd(process), fd);
    CHECK_EQ(is_readable(fd, 0), 1); /* and stays so */
    close(set);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK(fcntl(fd, F_GETFD) < 0);
    CHECK_RESULT(brood_process_fd(NULL), -EINVAL);
}

/* What an event loop does to a descriptor makes no wait for the process shorter. */
static void descriptor_nonblocking(void)
{
    brood_process *process = start_stay(DIES);
    int fd = brood_process_fd(process);
    if (fd == -ENOSYS)
        harness_skip("no pidfds");
    NEED(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
    CHECK_RESULT(brood_process_join(process, NULL, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_process_join(process, NULL, 20), -ETIMEDOUT);
    struct stopping stopping = { .process = process, .wait_ms = BROOD_FOREVER, .how = BROOD_RETURNED };
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, stop_in_thread, &stopping) == 0);
    CHECK(wait_word(&stopping.tid, 1, LONG_MS));
    CHECK(wait_until(sleeps, &stopping.tid, LONG_MS));
    pass_us(5000); /* time to give up */
    CHECK_EQ(process_state(atomic_load(&stopping.tid)), 'S');
    atomic_store(&stage()->leave, 1);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_process_close(process), 0);
}

/* Many at once: poll tells each for itself. */
static void descriptors_polled(void)
{
    enum { COUNT = 6 };
    brood_process *processes[COUNT];
    struct pollfd polled[COUNT];
    memset(stage(), 0, sizeof *stage());
    for (int i = 0; i < COUNT; i++) {
        processes[i] = start(stay, &(enum manner){ DIES }, sizeof(enum manner));
        polled[i] = (struct pollfd){ .fd = brood_process_fd(processes[i]), .events = POLLIN };
        if (polled[i].fd == -ENOSYS && i == 0)
            polled[i].fd = -1;
    }
    CHECK(wait_word(&stage()->ready, COUNT, LONG_MS));
    for (int i = COUNT - 1; i >= 0 && polled[0].fd >= 0; i--) {
        CHECK_EQ(poll(polled, COUNT, 0), 0);
        CHECK_RESULT(brood_process_signal(processes[i], SIGKILL), 0);
        CHECK_EQ(poll(polled, COUNT, LONG_MS), 1);
        CHECK(polled[i].revents & POLLIN);
        polled[i].fd = -1;
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK_RESULT(brood_process_stop(processes[i], NULL, 0, 0, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(processes[i]), 0);
    }
}

/* On a kernel that knows no pidfds all else works. */
static void no_descriptor(void)
{
    if (refuse_call(SYS_pidfd_open, ENOSYS) != 0)
        harness_skip("no filters");
    brood_end end;
    brood_process *process = start_stay(LEAVES);
    CHECK_RESULT(brood_process_fd(process), -ENOSYS);
    CHECK_RESULT(brood_process_fd(brood_process_self()), -ENOSYS);
    CHECK_RESULT(brood_process_join(process, &end, 10), -ETIMEDOUT);
    CHECK_RESULT(brood_process_signal(process, 0), 0);
    CHECK_RESULT(brood_process_stop(process, &end, 1, LONG_MS, LONG_MS), 0);
    check_stopped(process, &end, BROOD_FAILED, 7);
    process = start_stay(IGNORES);
    CHECK_RESULT(brood_process_stop(process, &end, 1, 1, BROOD_FOREVER), 0);
    check_stopped(process, &end, BROOD_CRASHED, SIGKILL);
}

/* Closed while it runs, and ended since: the next calls take its status, whichever calls they are. */
/* The program closes the descriptor of one process, and another one's gets its number. */
static brood_process *give_number(brood_process *process, brood_process *other)
{
    int number = brood_process_fd(process);
    NEED(number >= 3 && dup2(brood_process_fd(other), number) == number);
    return other;
}

static bool is_there(brood_process *process)
{
    char state = process_state(brood_process_pid(process));
    return state != 0 && state != 'Z';
}

static void check_number_reused(void)
{
    brood_process *running = start_stay(DIES), *ended = give_number(running, start(return_seven, NULL, 0));
    int number = brood_process_fd(ended);
    brood_end end;
    CHECK_EQ(is_readable(number, LONG_MS), 1);
    CHECK_RESULT(brood_process_join(running, &end, 50), -ETIMEDOUT);
    CHECK_EQ(end.how, BROOD_RUNNING);
    CHECK_RESULT(brood_process_children(NULL, 0), 1);
    CHECK_RESULT(brood_process_fd(running), -EBADF);
    CHECK_RESULT(brood_process_signal(running, 0), 0);
    CHECK_RESULT(brood_process_join(ended, &end, BROOD_FOREVER), 0);
    check_end(&end, ended, BROOD_FAILED, 7);
    atomic_store(&stage()->leave, 1);
    CHECK_RESULT(brood_process_join(running, &end, BROOD_FOREVER), 0);
    check_end(&end, running, BROOD_RETURNED, 0);
    CHECK_RESULT(brood_process_close(running), 0);
    CHECK_RESULT(brood_process_close(ended), 0);

    brood_process *first = start_stay(DIES), *second = give_number(first, start(stay, &(enum manner){ DIES }, 4));
    number = brood_process_fd(second);
    CHECK(wait_word(&stage()->ready, 2, LONG_MS));
    CHECK_RESULT(brood_process_stop(first, &end, 0, BROOD_FOREVER, 0), 0);
    check_end(&end, first, BROOD_CRASHED, SIGTERM);
    CHECK(is_there(second));
    CHECK_RESULT(brood_process_close(first), 0);
    CHECK_EQ(brood_process_fd(second), number);
    atomic_store(&stage()->leave, 1);
    CHECK_RESULT(brood_process_join(second, &end, BROOD_FOREVER), 0);
    check_end(&end, second, BROOD_RETURNED, 0);
    CHECK_RESULT(brood_process_close(second), 0);
}

/* A handle is one process', and so is what its descriptor's number comes to mean. */
static void number_reused(void)
{
    check_number_reused();
}

/* Also where it takes /proc to tell one process' descriptor from another's. */
static void number_reused_in_old_kernel(void)
{
    if (refuse_call(SYS_fstatfs, ENOSYS) != 0)
        harness_skip("no seccomp filters here");
    check_number_reused();
}

static void closed_is_reaped(void)
{
    brood_process *process = start_stay(IGNORES);
    int pid = brood_process_pid(process), children = count_children();
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK_EQ(brood_process_children(NULL, 0), 0);
    CHECK_EQ(count_children(), children);
    atomic_store(&stage()->leave, 1);
    await_child(pid);
    CHECK_EQ(process_state(pid), 'Z');
    process = start(nothing, NULL, 0);
    CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
    CHECK_EQ(process_state(pid), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    process = start(nothing, NULL, 0); /* closed when it has ended, but was not joined */
    pid = brood_process_pid(process);
    await_child(pid);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK_EQ(process_state(pid), 0);
    CHECK_RESULT(brood_process_close(NULL), 0);
}

/* Many that are closed at once leave neither zombies nor descriptors. */
static void many_closed(void)
{
    enum { COUNT = 60 };
    brood_process *process = start(nothing, NULL, 0); /* what is made once is made */
    CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    int children = count_children(), descriptors = count_descriptors();
    int pids[COUNT];
    for (int i = 0; i < COUNT; i++) {
        process = start(nothing, NULL, 0);
        pids[i] = brood_process_pid(process);
        CHECK_RESULT(brood_process_close(process), 0);
    }
    for (int i = 0; i < COUNT; i++)
        CHECK(wait_gone(pids[i], LONG_MS));
    process = start(nothing, NULL, 0);
    CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK_EQ(count_children(), children);
    CHECK_EQ(count_descriptors(), descriptors);
}

static void close_while_stopped(void)
{
    struct stopping stopping = { .process = start_stay(IGNORES), .wait_ms = -1, .how = BROOD_RETURNED };
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, stop_in_thread, &stopping) == 0);
    CHECK(wait_word(&stopping.tid, 1, LONG_MS));
    CHECK(wait_until(sleeps, &stopping.tid, LONG_MS));
    CHECK_RESULT(brood_process_close(stopping.process), -EBUSY);
    atomic_store(&stage()->leave, 1);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_process_close(stopping.process), 0);
}

/* In a handler that interrupted a call of brood. The call here is that for a fork server, which waits for `preload`:
 * so what is interrupted is a poll, and nothing else of the program. */
static void call_in_handler(int number)
{
    int saved = errno;
    (void)number;
    CHECK_NULL(brood_process_start(nothing, NULL, 0, &(brood_process_options){ .start = method() }), EDEADLK);
    CHECK_NULL(brood_process_start(nothing, NULL, 0, NULL), EDEADLK);
    CHECK_RESULT(brood_start_server(), -EDEADLK);
    atomic_store(&stage()->handled, 1);
    errno = saved;
}

static int interrupt_starter(void)
{
    NEED(kill(getppid(), SIGUSR1) == 0);
    return wait_word(&stage()->handled, 1, LONG_MS) ? 0 : 1;
}

static void called_in_handler(void)
{
    NEED(brood_init(&(brood_init_options){ .preload = interrupt_starter }) == 0);
    struct sigaction action = { .sa_handler = call_in_handler };
    NEED(sigaction(SIGUSR1, &action, NULL) == 0);
    CHECK(brood_start_server() > 0);
    CHECK_EQ(atomic_load(&stage()->handled), 1);
    brood_process *process = start(nothing, NULL, 0);
    CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
}

static brood_process_options in_handler;
static brood_process *volatile of_handler;
static volatile int refusals, starts;

static void start_in_handler(int number)
{
    int saved = errno;
    (void)number;
    of_handler = brood_process_start(nothing, "copied", 7, &in_handler);
    if (of_handler != NULL)
        starts++;
    else if (CHECK_EQ(errno, EDEADLK))
        refusals++;
    errno = saved;
}

/* One signal at a random place of what is only calls of brood: the start in its handler works, or is refused, since a
 * call was interrupted; it never waits for what the interrupted call holds, and does no harm to it. */
static void interrupted_anywhere(void)
{
    struct sigaction action = { .sa_handler = start_in_handler };
    NEED(sigaction(SIGALRM, &action, NULL) == 0);
    uint32_t state = 4711;
    in_handler.start = method();
    bool slow = in_handler.start == BROOD_SPAWN;
    int times = harness_times(slow ? 300 : 1000);
    for (int i = 0; i < times && harness_failures() == 0; i++) {
        of_handler = NULL;
        int before = refusals + starts;
        struct itimerval timer = { .it_value.tv_usec = 1 + (long)(random_next(&state) % (slow ? 2000 : 500)) };
        setitimer(ITIMER_REAL, &timer, NULL);
        do {
            brood_process *process = start(nothing, "copied", 7);
            CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
            CHECK_RESULT(brood_process_close(process), 0);
        } while (refusals + starts == before);
        if (of_handler != NULL) {
            CHECK_RESULT(brood_process_join(of_handler, NULL, BROOD_FOREVER), 0);
            CHECK_RESULT(brood_process_close(of_handler), 0);
        }
    }
    CHECK(starts + refusals > 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* Each of these by each method: NAME_METHOD. */
static const struct test_case by_method[] = {
    { .name = "descriptor", .run = descriptor },
    { .name = "descriptor_nonblocking", .run = descriptor_nonblocking },
    { .name = "descriptors_polled", .run = descriptors_polled },
    { .name = "no_descriptor", .run = no_descriptor },
    { .name = "number_reused", .run = number_reused },
    { .name = "number_reused_in_old_kernel", .run = number_reused_in_old_kernel },
    { .name = "closed_is_reaped", .run = closed_is_reaped },
    { .name = "many_closed", .run = many_closed },
    { .name = "close_while_stopped", .run = close_while_stopped },
    { .name = "called_in_handler", .run = called_in_handler, .no_init = true },
    { .name = "interrupted_anywhere", .run = interrupted_anywhere },
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
