/* internal_table.c: a slot is one process', whoever finds it forgotten while that process begins. */
#include "harness.h"

#include "process/table.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEPS_MOST 5000

struct scene {
    _Atomic slot_id id;
    atomic_int begun;
};

static struct scene *scene(void)
{
    return harness_page();
}

/* Takes a slot for a process to come, and dies. */
static int take_and_die(void *arg)
{
    (void)arg;
    atomic_store(&scene()->id, table_claim("late", 0));
    return 0;
}

static int begin_late(void *arg)
{
    (void)arg;
    thread_self(); /* which takes long, and is of no interest here */
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        return 98;
    raise(SIGSTOP);
    table_begin(atomic_load(&scene()->id));
    atomic_store(&scene()->begun, 1);
    for (;;)
        pause();
    return 0;
}

/* One instruction of the child's. False: it has ended. */
static bool step(pid_t pid)
{
    int status = 0;
    NEED(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid);
    return WIFSTOPPED(status);
}

/* The child begins up to its `steps`th instruction, then the slot is asked for, then it goes on. True: it had come to
 * the end before. */
static bool race(int steps)
{
    atomic_store(&scene()->begun, 0);
    CHECK_EQ(wait_child(fork_child(take_and_die, NULL)), 0);
    NEED(atomic_load(&scene()->id) != 0);
    pid_t pid = fork_child(begin_late, NULL);
    int status;
    NEED(waitpid(pid, &status, 0) == pid);
    if (!WIFSTOPPED(status))
        harness_skip("no process may be traced here");
    for (int i = 0; i < steps && atomic_load(&scene()->begun) == 0; i++)
        NEED(step(pid));
    bool done = atomic_load(&scene()->begun) == 1;
    slot_id taken = table_claim("new", 0);
    if (taken != 0) {
        int left = STEPS_MOST;
        while (left-- > 0 && atomic_load(&scene()->begun) == 0 && step(pid))
            continue;
        CHECK_EQ(atomic_load(&scene()->begun), 0); /* it has ended: the slot is another's */
        CHECK_EQ(atomic_load(&slot_of(taken)->pid), 0);
    }
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) == pid && !WIFEXITED(status) && !WIFSIGNALED(status))
        continue;
    if (taken == 0)
        CHECK((taken = table_claim("new", 0)) != 0); /* it was the late one's, and is forgotten now */
    table_release(taken);
    return done;
}

static void late_beginner(void)
{
    if (harness_sanitized())
        harness_skip("a sanitizer takes too many steps");
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    slot_id last = 0, id;
    while ((id = table_claim("other", 0)) != 0)
        last = id;
    CHECK_EQ(errno, EAGAIN);
    table_release(last); /* the only one that is free */
    int steps = 0;
    while (steps < STEPS_MOST && !race(steps) && harness_failures() == 0)
        steps++;
    CHECK(steps > 10 && steps < STEPS_MOST);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "late_beginner", .run = late_beginner, .deadline_s = 60, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
