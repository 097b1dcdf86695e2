/* step.c: a process led through its instructions.
 *
 * Invariant: between two calls a tracee is either stopped, with its registers to be read, or `running`; nothing resumes
 * it twice. A stop by any other signal than SIGTRAP is no step: the signal is handed on, in the same mode.
 */
#include "step.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    STEP_MS = 20000, /* one instruction, a system call that works included, on a busy machine */
    QUIET_MS = 2,    /* no stop for so long: look whether it sleeps */
    WOKEN_MS = 5000, /* from its wake to its next stop: far less than a survivor waits meanwhile */
    SHORT_WAY = 6,   /* so few steps are cheaper than a breakpoint */
};

/* What differs between processors: registers, the trap instruction, breakpoints. */
#if defined(__x86_64__)

static uintptr_t register_at(const struct user_regs_struct *registers)
{
    return registers->rip;
}

static uintptr_t register_stack(const struct user_regs_struct *registers)
{
    return registers->rsp;
}

#elif defined(__i386__)

static uintptr_t register_at(const struct user_regs_struct *registers)
{
    return (uintptr_t)registers->eip;
}

static uintptr_t register_stack(const struct user_regs_struct *registers)
{
    return (uintptr_t)registers->esp;
}

#else
#error "the crash lab does not know this processor's registers yet"
#endif

#define TRAP "int3"
enum { TRAP_BYTES = 1 };

/* An address of 0 takes the breakpoint away. */
static bool breakpoint(pid_t pid, uintptr_t address)
{
    unsigned long enable = address ? 1 : 0; /* DR7: breakpoint 0, local, on execution */
    return !ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[0]), address) &&
           !ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]), enable);
}

/* The numbers differ so that no optimiser folds two equal functions into one. */
__attribute__((noinline)) void step_begin(void)
{
    __asm__ volatile(TRAP "\n\t# begin" ::: "memory");
}

__attribute__((noinline)) void step_end(void)
{
    __asm__ volatile(TRAP "\n\t# end" ::: "memory");
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void step_lead(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

void step_follow(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

char step_state(pid_t pid)
{
    char path[32], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, line, sizeof line - 1);
    close(fd);
    if (got <= 0)
        return 0;
    line[got] = 0;
    const char *name_end = strrchr(line, ')');
    return name_end && name_end[1] == ' ' ? name_end[2] : 0;
}

/* Waits for SIGCHLD, which every stop of a tracee sends, or for the time to be over. */
static void await_stop(int ms)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigtimedwait(&set, NULL, &(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L });
}

static bool place_of(const step_tracee *tracee, step_place *place)
{
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, tracee->pid, 0, &registers))
        return false;
    *place = (step_place){ register_at(&registers), tracee->begin - register_stack(&registers) };
    return true;
}

static void resume(step_tracee *tracee, int signal)
{
    if (ptrace(tracee->single ? PTRACE_SINGLESTEP : PTRACE_CONT, tracee->pid, 0, (long)signal) == 0)
        tracee->running = true;
}

static bool is_image(const step_tracee *tracee, int status)
{
    return tracee->to_image && status >> 16 == PTRACE_EVENT_EXEC;
}

/* Whether this stop is one to report; others are resumed. */
static bool is_step(step_tracee *tracee, int status)
{
    int signal = WSTOPSIG(status), event = status >> 16;
    tracee->running = false;
    if ((event == 0 && signal == SIGTRAP) || is_image(tracee, status))
        return true;
    resume(tracee, event == 0 ? signal : 0);
    return false;
}

step_stop step_run(step_tracee *tracee, bool single, int timeout_ms)
{
    if (tracee->gone)
        return STEP_GONE;
    if (!tracee->running) {
        tracee->single = single;
        resume(tracee, 0);
    }
    long long begin = now_ms();
    bool rested = false;
    for (;;) {
        int status;
        pid_t got = waitpid(tracee->pid, &status, WNOHANG | __WALL);
        if (got < 0 || (got > 0 && !WIFSTOPPED(status))) {
            tracee->gone = true;
            return STEP_GONE;
        }
        if (got > 0 && is_step(tracee, status)) {
            step_place place;
            if (is_image(tracee, status))
                return STEP_ENDED;
            if (!place_of(tracee, &place))
                continue; /* killed just now: the next wait says so */
            return place.at == (uintptr_t)step_end || place.at == (uintptr_t)step_end + TRAP_BYTES ? STEP_ENDED
                                                                                                   : STEP_STOPPED;
        }
        if (got > 0)
            continue;
        if (rested && step_state(tracee->pid) == 'S')
            return STEP_BLOCKED;
        if (now_ms() - begin > timeout_ms)
            return STEP_LATE;
        await_stop(QUIET_MS);
        rested = true;
    }
}

bool step_seize(step_tracee *tracee, pid_t pid)
{
    *tracee = (step_tracee){ .pid = pid };
    if (ptrace(PTRACE_SEIZE, pid, 0, (long)PTRACE_O_EXITKILL) || ptrace(PTRACE_INTERRUPT, pid, 0, 0))
        return false;
    int status;
    if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
        return false;
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, pid, 0, &registers))
        return false;
    tracee->begin = register_stack(&registers);
    return true;
}

step_stop step_to_begin(step_tracee *tracee, int timeout_ms)
{
    long long deadline = now_ms() + timeout_ms;
    step_stop stop;
    do /* while it prepares it may well sleep */
        stop = step_run(tracee, false, timeout_ms);
    while (stop == STEP_BLOCKED && now_ms() < deadline);
    if (stop != STEP_STOPPED)
        return stop;
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, tracee->pid, 0, &registers))
        return STEP_GONE;
    tracee->begin = register_stack(&registers);
    return register_at(&registers) == (uintptr_t)step_begin + TRAP_BYTES ? STEP_STOPPED : STEP_ASTRAY;
}

step_stop step_to_birth(step_tracee *starter, step_tracee *child, int timeout_ms)
{
    const long births = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
    long long deadline = now_ms() + timeout_ms;
    unsigned long pid = 0;
    int status;
    if (ptrace(PTRACE_SETOPTIONS, starter->pid, 0, PTRACE_O_EXITKILL | births))
        return STEP_GONE;
    starter->single = false;
    resume(starter, 0);
    while (pid == 0) {
        pid_t got = waitpid(starter->pid, &status, WNOHANG | __WALL);
        if (got < 0 || (got > 0 && !WIFSTOPPED(status))) {
            starter->gone = true;
            return STEP_GONE;
        }
        int event = got > 0 ? status >> 16 : 0;
        if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE)
            ptrace(PTRACE_GETEVENTMSG, starter->pid, 0, &pid);
        else if (got > 0)
            resume(starter, event ? 0 : WSTOPSIG(status));
        else if (now_ms() > deadline)
            return STEP_LATE;
        else
            await_stop(QUIET_MS);
    }
    starter->running = false;
    step_release(starter);
    *child = (step_tracee){ .pid = (pid_t)pid, .to_image = true };
    struct user_regs_struct registers;
    if (waitpid(child->pid, &status, __WALL) != child->pid || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, child->pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC) ||
        ptrace(PTRACE_GETREGS, child->pid, 0, &registers))
        return STEP_GONE;
    child->begin = register_stack(&registers);
    return STEP_STOPPED;
}

/* As step_run, and where it stopped. */
static step_stop place_after(step_tracee *tracee, bool single, int timeout_ms, step_place *place)
{
    step_stop stop = step_run(tracee, single, timeout_ms);
    return stop == STEP_STOPPED && !place_of(tracee, place) ? STEP_GONE : stop;
}

step_stop step_to_image(step_tracee *child, uintptr_t at, int timeout_ms)
{
    step_stop stop = step_run(child, false, timeout_ms);
    if (stop != STEP_ENDED)
        return stop;
    child->to_image = false;
    if (ptrace(PTRACE_SETOPTIONS, child->pid, 0, PTRACE_O_EXITKILL))
        return STEP_GONE;
    bool by_breakpoint = step_breakpoints();
    if (by_breakpoint && !breakpoint(child->pid, at))
        return STEP_GONE;
    step_place place;
    do
        stop = place_after(child, !by_breakpoint, timeout_ms, &place);
    while (stop == STEP_BLOCKED || (stop == STEP_STOPPED && place.at != at));
    if (stop != STEP_STOPPED)
        return stop;
    child->begin -= place.stack; /* what there was before counted from another image's stack */
    return !by_breakpoint || breakpoint(child->pid, 0) ? STEP_STOPPED : STEP_GONE;
}

/* As step_run, but a sleep is ended by `wake`, once, and then by itself. */
static step_stop run_on(step_tracee *tracee, bool single, step_wake *wake, void *context, bool *woken)
{
    long long deadline = now_ms() + WOKEN_MS;
    for (;;) {
        step_stop stop = step_run(tracee, single, STEP_MS);
        if (stop != STEP_BLOCKED)
            return stop;
        if (!*woken) {
            *woken = true;
            if (!wake || !wake(context))
                return STEP_BLOCKED;
        } else if (now_ms() > deadline) {
            return STEP_BLOCKED;
        }
    }
}

step_stop step_record(step_tracee *tracee, step_path *path, step_wake *wake, void *context)
{
    bool woken = false;
    path->count = 0;
    path->blocked = SIZE_MAX;
    path->cut = path->ended = false;
    if (!place_of(tracee, &path->place[0]))
        return STEP_GONE;
    for (;;) {
        step_stop stop = step_run(tracee, true, STEP_MS);
        if (stop == STEP_BLOCKED) {
            if (path->blocked == SIZE_MAX)
                path->blocked = path->count;
            stop = run_on(tracee, true, wake, context, &woken);
        }
        if (stop != STEP_STOPPED && stop != STEP_ENDED)
            return stop;
        path->count++;
        if (!place_of(tracee, &path->place[path->count]))
            return STEP_GONE;
        if (stop == STEP_ENDED) {
            path->ended = true;
            return STEP_ENDED;
        }
        if (path->count + 1 == path->room) {
            path->cut = true;
            return STEP_LATE;
        }
    }
}

/* A repeated string instruction stops at every repetition but meets its breakpoint once: hits count such runs. */
static bool run_begins(const step_path *path, size_t index)
{
    return index == 0 || path->place[index - 1].at != path->place[index].at;
}

step_stop step_reach(step_tracee *tracee, const step_path *path, size_t index, bool inside, bool stepping,
                     step_wake *wake, void *context)
{
    bool woken = false;
    step_stop stop = STEP_STOPPED;
    size_t begin = index; /* where the run of equal addresses that holds index begins */
    while (!run_begins(path, begin))
        begin--;
    uintptr_t target = path->place[index].at;
    bool by_breakpoint = index > SHORT_WAY && !stepping && step_breakpoints();
    if (by_breakpoint && index == path->count && path->ended) {
        stop = run_on(tracee, false, wake, context, &woken);
        return stop == STEP_ENDED ? STEP_STOPPED : STEP_ASTRAY;
    }
    if (by_breakpoint) {
        size_t hits = 0;
        for (size_t i = 0; i <= begin; i++)
            hits += path->place[i].at == target && run_begins(path, i);
        if (!breakpoint(tracee->pid, target))
            return STEP_GONE;
        while (hits-- > 0 && stop == STEP_STOPPED)
            stop = run_on(tracee, false, wake, context, &woken);
        if (stop == STEP_STOPPED)
            breakpoint(tracee->pid, 0);
    }
    for (size_t i = by_breakpoint ? begin : 0; i < index && stop == STEP_STOPPED; i++)
        stop = run_on(tracee, true, wake, context, &woken);
    if (stop == STEP_ENDED)
        stop = index == path->count ? STEP_STOPPED : STEP_ASTRAY;
    if (stop != STEP_STOPPED)
        return stop;
    step_place place;
    if (!place_of(tracee, &place))
        return STEP_GONE;
    if (!stepping && (place.at != target || place.stack != path->place[index].stack))
        return STEP_ASTRAY;
    return inside ? step_run(tracee, true, STEP_MS) : STEP_STOPPED;
}

static bool trap_pends(pid_t pid)
{
    struct __ptrace_peeksiginfo_args first = { .nr = 1 };
    siginfo_t signal;
    return ptrace(PTRACE_PEEKSIGINFO, pid, &first, &signal) == 1 && signal.si_signo == SIGTRAP;
}

/* A tracee whose sleep ends by itself at this moment stops for the interrupt, with the step's own SIGTRAP to come yet:
 * delivered after the detach, that would kill it. So the SIGTRAP is met first, and goes with its stop. */
void step_release(step_tracee *tracee)
{
    int status;
    if (tracee->gone)
        return;
    if (tracee->running && !ptrace(PTRACE_INTERRUPT, tracee->pid, 0, 0))
        waitpid(tracee->pid, &status, __WALL);
    if (trap_pends(tracee->pid) && !ptrace(PTRACE_CONT, tracee->pid, 0, 0))
        waitpid(tracee->pid, &status, __WALL);
    ptrace(PTRACE_DETACH, tracee->pid, 0, 0);
}

void step_kill(step_tracee *tracee)
{
    int status = 0;
    if (tracee->gone)
        return;
    kill(tracee->pid, SIGKILL);
    while (waitpid(tracee->pid, &status, __WALL) == tracee->pid && WIFSTOPPED(status))
        continue;
    tracee->gone = true;
}

__attribute__((noinline)) static void spot(void)
{
    __asm__ volatile("" ::: "memory");
}

bool step_breakpoints(void)
{
    static int known; /* 0: not tried, 1: they work, -1: they do not */
    if (known)
        return known > 0;
    known = -1;
    pid_t pid = fork();
    if (pid == 0) {
        step_follow();
        for (;;)
            spot();
    }
    step_tracee child;
    if (pid < 0)
        return false;
    if (step_seize(&child, pid) && breakpoint(pid, (uintptr_t)spot) && step_run(&child, false, 200) == STEP_STOPPED) {
        step_place place;
        if (place_of(&child, &place) && place.at == (uintptr_t)spot)
            known = 1;
    }
    step_kill(&child);
    return known > 0;
}
