/* process_relatives.c: brood_process_self, _parent and _children, by every start method and to any depth: whose handles
 * they are, what may be done with them, and what they say when a relative is gone.
 */
#include "harness.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LONG_MS 15000
#define DEPTH 10

/* On the page that all processes and families of the case share. */
struct stage {
    atomic_int ready;
    atomic_int leave;
    atomic_int done;
    atomic_int pid;
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

static brood_process *start(brood_target *target, const void *arg, size_t size, brood_process_options options)
{
    options.start = method();
    brood_process *process = brood_process_start(target, arg, size, &options);
    NEED(process != NULL);
    return process;
}

static void ends_well(brood_process *process)
{
    brood_end end = { .how = BROOD_RUNNING };
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_STR(end.why, "");
    CHECK_RESULT(brood_process_close(process), 0);
}

static int is_readable(int fd, int ms)
{
    struct pollfd polled = { .fd = fd, .events = POLLIN };
    int count = poll(&polled, 1, ms);
    return count == 1 ? (polled.revents & POLLIN) != 0 : count;
}

static int stay(void *arg)
{
    (void)arg;
    atomic_fetch_add(&stage()->ready, 1);
    return wait_word(&stage()->leave, 1, LONG_MS) ? 0 : 1;
}

static atomic_int signalled;

static void on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signalled, 1);
}

static void *ask_self(void *arg)
{
    (void)arg;
    return brood_process_self();
}

static void check_self(const char *name)
{
    brood_process *self = CHECK_POINTER(brood_process_self());
    brood_end end;
    pthread_t threads[4];
    CHECK_EQ(brood_process_pid(self), getpid());
    CHECK_STR(brood_process_name(self), name);
    int fd = brood_process_fd(self);
    CHECK(fd >= 0 || fd == -ENOSYS);
    CHECK_EQ(fd >= 0 ? is_readable(fd, 0) : 0, 0);
    CHECK_RESULT(brood_process_join(self, &end, 0), -EDEADLK);
    CHECK_RESULT(brood_process_join(self, NULL, BROOD_FOREVER), -EDEADLK);
    CHECK_RESULT(brood_process_stop(self, &end, 0, 0, 0), -EDEADLK);
    CHECK_RESULT(brood_process_close(self), -EINVAL);
    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&threads[i], NULL, ask_self, NULL) == 0);
    for (int i = 0; i < 4; i++) {
        void *seen;
        pthread_join(threads[i], &seen);
        CHECK(seen == self);
    }
    CHECK(brood_process_self() == self);
    CHECK_EQ(brood_process_children(NULL, 0), 0); /* it is not its own */
}

/* It is there to be signalled, and stays what it was. */
static void check_self_signalled(void)
{
    brood_process *self = brood_process_self();
    struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGUSR1, &action, NULL);
    CHECK_RESULT(brood_process_signal(self, 0), 0);
    CHECK_RESULT(brood_process_signal(self, 65), -EINVAL);
    CHECK_RESULT(brood_process_signal(self, SIGUSR1), 0);
    CHECK_EQ(atomic_load(&signalled), 1);
    CHECK_RESULT(brood_process_signal(self, SIGUSR1), 0);
    CHECK_EQ(atomic_load(&signalled), 2);
    CHECK_RESULT(brood_process_join(self, NULL, 0), -EDEADLK);
    ends_well(start(stay, NULL, 0, (brood_process_options){ 0 })); /* its place in the family is still its own */
}

static int is_itself(void *arg)
{
    check_self(arg);
    return 0;
}

static int is_signalled(void *arg)
{
    (void)arg;
    check_self_signalled();
    return 0;
}

static int by_hand_is_itself(void *arg)
{
    CHECK(brood_process_self() != arg || brood_process_pid(arg) == getpid());
    CHECK_EQ(brood_process_pid(brood_process_self()), getpid());
    CHECK_RESULT(brood_process_join(brood_process_self(), NULL, 0), -EDEADLK);
    return 0;
}

static void self(void)
{
    check_self("main");
    CHECK_EQ(wait_child(fork_child(by_hand_is_itself, brood_process_self())), 0);
    static const char longest[] = "a name of thirty-one characters"; /* is not cut */
    ends_well(start(is_itself, longest, 32, (brood_process_options){ .name = longest }));
    ends_well(
        start(is_itself, longest, 32, (brood_process_options){ .name = "a name of thirty-one characters, then more" }));
    ends_well(start(is_itself, "process", 8, (brood_process_options){ 0 }));
}

static void self_signalled(void)
{
    atomic_store(&stage()->leave, 1);
    ends_well(start(is_signalled, NULL, 0, (brood_process_options){ 0 }));
    check_self_signalled();
}

static int knows_parent(void *arg)
{
    brood_process *parent = CHECK_POINTER(brood_process_parent());
    brood_end end;
    CHECK_EQ(brood_process_pid(parent), *(const int *)arg);
    CHECK_EQ(brood_process_pid(parent), getppid());
    CHECK_STR(brood_process_name(parent), "main");
    CHECK(brood_process_parent() == parent && parent != brood_process_self());
    int fd = brood_process_fd(parent);
    CHECK(fd >= 0 || fd == -ENOSYS);
    CHECK_EQ(fd >= 0 ? is_readable(fd, 0) : 0, 0);
    memset(&end, 0x77, sizeof end);
    CHECK_RESULT(brood_process_join(parent, &end, 0), -ETIMEDOUT);
    CHECK_EQ(end.how, BROOD_RUNNING);
    CHECK_EQ(end.pid, getppid());
    CHECK_RESULT(brood_process_join(parent, &end, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_process_join(parent, &end, -2), -EINVAL);
    CHECK_RESULT(brood_process_signal(parent, 0), -ECHILD);
    CHECK_RESULT(brood_process_signal(parent, SIGKILL), -ECHILD);
    CHECK_RESULT(brood_process_stop(parent, &end, 0, 0, 0), -ECHILD);
    CHECK_RESULT(brood_process_close(parent), -EINVAL);
    return 0;
}

static int has_no_parent(void *arg)
{
    (void)arg;
    CHECK_NULL(brood_process_parent(), ESRCH);
    return 0;
}

/* A child forked by hand in one that brood started: brood did not start it. */
static int forks_by_hand(void *arg)
{
    (void)arg;
    CHECK_POINTER(brood_process_parent());
    CHECK_EQ(wait_child(fork_child(has_no_parent, NULL)), 0);
    return 0;
}

static void parent(void)
{
    int pid = getpid();
    has_no_parent(NULL);
    ends_well(start(knows_parent, &pid, sizeof pid, (brood_process_options){ 0 }));
    CHECK_EQ(wait_child(fork_child(has_no_parent, NULL)), 0);
    ends_well(start(forks_by_hand, NULL, 0, (brood_process_options){ 0 }));
}

/* Outlives its starter, of which it asked before (arg) or asks now. */
static int mourn(void *arg)
{
    bool before = *(const bool *)arg;
    brood_process *parent = before ? CHECK_POINTER(brood_process_parent()) : NULL;
    int pid = getppid(), fd = before ? brood_process_fd(parent) : -1;
    brood_end end;
    CHECK_EQ(fd >= 0 ? is_readable(fd, 0) : 0, 0);
    atomic_store(&stage()->ready, 1);
    if (before && fd >= 0)
        CHECK_EQ(is_readable(fd, LONG_MS), 1);
    CHECK(wait_word(&stage()->leave, 1, LONG_MS)); /* it is gone now */
    parent = CHECK_POINTER(brood_process_parent());
    for (int i = 0; i < 3; i++) {
        memset(&end, 0x77, sizeof end);
        CHECK_RESULT(brood_process_join(parent, &end, i == 0 ? BROOD_FOREVER : 0), 0);
        CHECK_EQ(end.how, BROOD_LOST);
        CHECK_EQ(end.pid, pid);
        CHECK(end.why[0] != '\0');
    }
    CHECK_EQ(brood_process_pid(parent), pid);
    CHECK_RESULT(brood_process_join(parent, NULL, 0), 0);
    fd = brood_process_fd(parent);
    CHECK(fd == -ENOSYS || is_readable(fd, 0) == 1);
    CHECK_RESULT(brood_process_signal(parent, 0), -ECHILD);
    CHECK_RESULT(brood_process_close(parent), -EINVAL);
    atomic_store(&stage()->done, 1);
    return 0;
}

/* The parent is a family's founder that is killed; `before` says when its child asks for it. */
static void parent_dies(bool before)
{
    if (harness_part() != NULL) {
        start(mourn, &before, sizeof before, (brood_process_options){ .survives = true });
        for (;;)
            pause();
    }
    pid_t founder = harness_start("founder");
    CHECK(wait_word(&stage()->ready, 1, LONG_MS));
    CHECK_EQ(kill_child(founder), SIGKILL);
    atomic_store(&stage()->leave, 1);
    CHECK(wait_word(&stage()->done, 1, LONG_MS));
}

static void parent_lost(void)
{
    parent_dies(true);
}

static void parent_lost_before(void)
{
    parent_dies(false);
}

/* Joined, in vain and then not, by several threads while it dies. */
static void *join_parent(void *arg)
{
    brood_end end;
    atomic_fetch_add(&stage()->ready, 1);
    CHECK_RESULT(brood_process_join(arg, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_LOST);
    return NULL;
}

static int mourn_in_threads(void *arg)
{
    (void)arg;
    brood_process *parent = CHECK_POINTER(brood_process_parent());
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        NEED(pthread_create(&threads[i], NULL, join_parent, parent) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&stage()->done, 1);
    return 0;
}

static void parent_lost_to_threads(void)
{
    if (harness_part() != NULL) {
        start(mourn_in_threads, NULL, 0, (brood_process_options){ .survives = true });
        for (;;)
            pause();
    }
    pid_t founder = harness_start("founder");
    CHECK(wait_word(&stage()->ready, 3, LONG_MS));
    CHECK_EQ(kill_child(founder), SIGKILL);
    CHECK(wait_word(&stage()->done, 1, LONG_MS));
}

enum { ASKERS = 4, ORPHANS = 25 };

static atomic_int askers;

static void *ask_at_once(void *arg)
{
    (void)arg;
    atomic_fetch_add(&askers, 1);
    while (atomic_load(&askers) < ASKERS)
        continue;
    return CHECK_POINTER(brood_process_parent());
}

/* An orphan that asks only now, by several threads at once: all get one handle, with one descriptor. */
static int ask_in_threads(void *arg)
{
    (void)arg;
    atomic_fetch_add(&stage()->ready, 1);
    CHECK(wait_word(&stage()->leave, 1, LONG_MS));
    pthread_t threads[ASKERS];
    void *answers[ASKERS];
    int descriptors = count_descriptors();
    for (int i = 0; i < ASKERS; i++)
        NEED(pthread_create(&threads[i], NULL, ask_at_once, NULL) == 0);
    for (int i = 0; i < ASKERS; i++)
        NEED(pthread_join(threads[i], &answers[i]) == 0);
    for (int i = 1; i < ASKERS; i++)
        CHECK(answers[i] == answers[0]);
    CHECK(brood_process_fd(answers[0]) >= 0);
    CHECK_EQ(count_descriptors(), descriptors + 1);
    atomic_fetch_add(&stage()->done, 1);
    return 0;
}

static void parent_lost_before_threads(void)
{
    if (harness_part() != NULL) {
        for (int i = 0; i < ORPHANS; i++)
            start(ask_in_threads, NULL, 0, (brood_process_options){ .survives = true });
        for (;;)
            pause();
    }
    pid_t founder = harness_start("founder");
    CHECK(wait_word(&stage()->ready, ORPHANS, LONG_MS));
    CHECK_EQ(kill_child(founder), SIGKILL);
    atomic_store(&stage()->leave, 1);
    CHECK(wait_word(&stage()->done, ORPHANS, LONG_MS));
}

static int has_no_children(void *arg)
{
    (void)arg;
    brood_process *child;
    CHECK_EQ(brood_process_children(&child, 1), 0);
    return 0;
}

static void check_children(brood_process *const *wanted, int count)
{
    brood_process *children[8] = { NULL };
    CHECK_EQ(brood_process_children(NULL, 0), count);
    CHECK_EQ(brood_process_children(children, 8), count);
    for (int i = 0; i < 8; i++)
        CHECK(children[i] == (i < count ? wanted[i] : NULL));
}

static void children(void)
{
    enum { COUNT = 6 };
    brood_process *wanted[COUNT] = { NULL }, *few[2] = { NULL, NULL };
    check_children(wanted, 0);
    CHECK_RESULT(brood_process_children(NULL, 1), -EINVAL);
    for (int i = 0; i < COUNT; i++) {
        wanted[i] = start(stay, NULL, 0, (brood_process_options){ .daemon = i == 3, .survives = i == 4 });
        check_children(wanted, i + 1);
    }
    CHECK(wait_word(&stage()->ready, COUNT, LONG_MS));
    CHECK_EQ(brood_process_children(few, 1), COUNT);
    CHECK(few[0] == wanted[0] && few[1] == NULL);
    CHECK_EQ(brood_process_children(few, 0), COUNT);
    CHECK_EQ(wait_child(fork_child(has_no_children, NULL)), 0);
    ends_well(start(has_no_children, NULL, 0, (brood_process_options){ 0 }));
    check_children(wanted, COUNT);
    CHECK_RESULT(brood_process_signal(wanted[2], SIGKILL), 0); /* one that has ended, though nobody has joined it */
    await_child(brood_process_pid(wanted[2]));
    brood_process *rest[] = { wanted[0], wanted[1], wanted[3], wanted[4], wanted[5] };
    check_children(rest, 5);
    CHECK_RESULT(brood_process_close(wanted[2]), 0);
    int first = brood_process_pid(wanted[0]);
    CHECK_RESULT(brood_process_close(wanted[0]), 0); /* one that is closed, though it runs */
    check_children(rest + 1, 4);
    CHECK_RESULT(brood_process_stop(wanted[5], NULL, 0, 0, BROOD_FOREVER), 0);
    check_children(rest + 1, 3);
    atomic_store(&stage()->leave, 1);
    await_child(first); /* so that it is taken from the system by what comes */
    CHECK_RESULT(brood_process_close(wanted[5]), 0);
    ends_well(wanted[1]);
    ends_well(wanted[3]);
    ends_well(wanted[4]);
    check_children(wanted, 0);
}

struct generation {
    int depth;
    int pid; /* of the starter */
    bool mixed;
    char name[32]; /* of the starter */
};

/* Each knows who it is and who started it, and starts the next. */
static int descend(void *arg)
{
    struct generation mine = *(const struct generation *)arg;
    brood_process *parent = CHECK_POINTER(brood_process_parent());
    CHECK_EQ(getppid(), mine.pid);
    CHECK_EQ(brood_process_pid(parent), mine.pid);
    CHECK_STR(brood_process_name(parent), mine.name);
    CHECK_EQ(brood_start_default(), BROOD_FORK); /* not how it was started itself */
    has_no_children(NULL);
    if (mine.depth == DEPTH)
        return DEPTH;
    struct generation next = { mine.depth + 1, getpid(), mine.mixed, "" };
    snprintf(next.name, sizeof next.name, "%s", brood_process_name(brood_process_self()));
    char name[32];
    snprintf(name, sizeof name, "generation %d", next.depth);
    brood_process_options options = { .name = name, .start = method() };
    if (mine.mixed)
        options.start = (brood_start)(1 + ((int)method() + next.depth) % 3);
    brood_process *process = brood_process_start(descend, &next, sizeof next, &options);
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_FAILED);
    CHECK_EQ(end.code, DEPTH);
    CHECK_RESULT(brood_process_close(process), 0);
    return end.code;
}

static void descend_from(bool mixed)
{
    struct generation first = { 1, getpid(), mixed, "main" };
    brood_end end;
    brood_process *process = start(descend, &first, sizeof first, (brood_process_options){ 0 });
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.code, DEPTH);
    CHECK_RESULT(brood_process_close(process), 0);
}

static void generations(void)
{
    descend_from(false);
}

static void generations_mixed(void)
{
    descend_from(true);
}

/* Each of these by each method: NAME_METHOD. */
static const struct test_case by_method[] = {
    { .name = "self", .run = self },
    { .name = "self_signalled", .run = self_signalled },
    { .name = "parent", .run = parent },
    { .name = "parent_lost", .run = parent_lost },
    { .name = "parent_lost_before", .run = parent_lost_before },
    { .name = "parent_lost_before_threads", .run = parent_lost_before_threads },
    { .name = "parent_lost_to_threads", .run = parent_lost_to_threads },
    { .name = "children", .run = children },
    { .name = "generations", .run = generations },
    { .name = "generations_mixed", .run = generations_mixed },
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
