/* point.c: what the point's processes of all operations share.
 *
 * Everything that a point's process starts dies with it, by PDEATHSIG or by the tracer's end.
 */
#include "point.h"

#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static cpu_set_t everywhere;

long long point_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

unsigned point_processors(void)
{
    sched_getaffinity(0, sizeof everywhere, &everywhere);
    return (unsigned)CPU_COUNT(&everywhere);
}

void point_pin(unsigned number)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    number %= point_processors();
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &everywhere) && number-- == 0)
            CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
}

void point_unpin(void)
{
    sched_setaffinity(0, sizeof everywhere, &everywhere);
}

void point_fault(struct point *point, point_kind kind, const char *why, ...)
{
    unsigned before = 0;
    for (int i = 0; i < POINT_KINDS; i++)
        before += atomic_load(&point->faults[i]);
    atomic_fetch_add(&point->faults[kind], 1);
    if (before > 0)
        return;
    va_list list;
    va_start(list, why);
    vsnprintf(point->why, sizeof point->why, why, list);
    va_end(list);
}

pid_t point_child(void (*body)(void *context), void *context)
{
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    step_follow();
    body(context);
    _exit(0);
}

struct elsewhere {
    void (*body)(void *context);
    void *context;
};

static void run_elsewhere(void *context)
{
    const struct elsewhere *elsewhere = context;
    point_unpin();
    elsewhere->body(elsewhere->context);
}

pid_t point_survivor(void (*body)(void *context), void *context)
{
    return point_child(run_elsewhere, &(struct elsewhere){ body, context });
}

static void rest(long us)
{
    nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

/* Twice in a row: a first sight may be of a page fault. */
bool point_settle(pid_t pid)
{
    long long deadline = point_us() + SETTLE_MS * 1000LL;
    int seen = 0;
    while (point_us() < deadline) {
        char state = step_state(pid);
        if (state == 0 || state == 'Z')
            return true;
        seen = state == 'S' ? seen + 1 : 0;
        if (seen == 2)
            return true;
        rest(100);
    }
    return false;
}

bool point_join(struct point *point, pid_t pid, const char *name, int timeout_ms)
{
    long long deadline = point_us() + timeout_ms * 1000LL;
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (point_us() > deadline) {
            point_fault(point, POINT_STUCK, "%s did not end (it is in state %c)", name, step_state(pid));
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return false;
        }
        rest(50);
    }
    if (WIFSIGNALED(status))
        point_fault(point, POINT_TORN, "%s was killed by signal %d", name, WTERMSIG(status));
    else if (WEXITSTATUS(status))
        point_fault(point, POINT_TORN, "%s exited with %d", name, WEXITSTATUS(status));
    return status == 0;
}

struct victim {
    struct point *point;
    void (*body)(void *context);
    void *context;
};

static void run_victim(void *context)
{
    const struct victim *victim = context;
    while (!atomic_load(&victim->point->go))
        syscall(SYS_futex, &victim->point->go, FUTEX_WAIT, 0, NULL, NULL, 0);
    victim->body(victim->context);
}

bool point_victim(struct point *point, step_tracee *victim, void (*body)(void *context), void *context)
{
    atomic_store(&point->go, 0);
    pid_t pid = point_child(run_victim, &(struct victim){ point, body, context });
    if (pid < 0 || !step_seize(victim, pid)) {
        point_fault(point, POINT_TORN, "the victim could not be started or traced");
        return false;
    }
    atomic_store(&point->go, 1);
    syscall(SYS_futex, &point->go, FUTEX_WAKE, 1, NULL, NULL, 0);
    point->stop = step_to_begin(victim, SETTLE_MS);
    if (point->stop == STEP_STOPPED)
        return true;
    point_fault(point, POINT_TORN, "the victim did not come to its operation (stop %d)", (int)point->stop);
    step_kill(victim);
    return false;
}

bool point_lead(struct point *point, step_tracee *victim, step_wake *wake, void *context)
{
    if (point->record) {
        point->stop = step_record(victim, point->path, wake, context);
        bool died = point->stop == STEP_GONE && point->operation->mortal;
        if (point->stop != STEP_ENDED && point->stop != STEP_BLOCKED && !died && !point->path->cut)
            point_fault(point, POINT_TORN, "its path could not be recorded (stop %d after %zu instructions, state %c)",
                        (int)point->stop, point->path->count, step_state(victim->pid));
        step_kill(victim);
        return false;
    }
    point->stop = step_reach(victim, point->path, point->index, point->inside, point->stepping, wake, context);
    point->reached = point->stop == (point->inside ? STEP_BLOCKED : STEP_STOPPED);
    if (!point->reached)
        step_kill(victim);
    return point->reached;
}

void point_go_on(struct point *point, step_tracee *victim)
{
    long long deadline = point_us() + SURVIVOR_MS * 1000LL;
    step_stop stop;
    if (point->path->ended && point->index == point->path->count)
        return; /* it is there */
    do          /* a step that slept still has its stop to come */
        stop = step_run(victim, false, SURVIVOR_MS);
    while ((stop == STEP_BLOCKED || stop == STEP_STOPPED) && point_us() < deadline);
    if (stop != (point->operation->mortal ? STEP_GONE : STEP_ENDED))
        point_fault(point, stop == STEP_BLOCKED || stop == STEP_LATE ? POINT_STUCK : POINT_TORN,
                    "the victim, which had stood still, does not end (stop %d)", (int)stop);
}

void point_kill(struct point *point, step_tracee *victim)
{
    atomic_store(&point->killed_us, point_us());
    step_kill(victim);
}

void point_served(struct point *point)
{
    long long killed = atomic_load(&point->killed_us);
    long us = killed ? (long)(point_us() - killed) : 0;
    long worst = atomic_load(&point->worst_us);
    while (us > worst && !atomic_compare_exchange_weak(&point->worst_us, &worst, us))
        continue;
}

void point_served_since(struct point *point, long long began)
{
    if (point_us() - began >= SURVIVOR_MS * 1000LL)
        point_fault(point, POINT_STUCK, "a survivor found what it waited for only when its time was over");
    point_served(point);
}
