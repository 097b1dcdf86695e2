/* process/handle.c */
#include "process/handle.h"

#include "error/error.h"
#include "error/log.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/wiped.h"
#include "process/end.h"
#include "region/heap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ORPHANS_DIE_NS 100000000 /* as a rule they are gone by then; the rest comes with the next, or at the end */

static _Thread_local int entered; /* how many times this thread is between handles_enter and handles_leave */

void handles_enter(void)
{
    entered++;
    atomic_signal_fence(memory_order_seq_cst); /* a signal handler may come between this and the lock */
}

void handles_leave(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    entered--;
}

brood_process *handle_create(enum handle_kind kind, const char *name)
{
    handles_enter(); /* malloc(3) takes it ill to be interrupted by itself */
    brood_process *process = wiped_allocate(sizeof *process);
    handles_leave();
    if (!process)
        return NULL;
    process->kind = kind;
    process->starter = getpid();
    process->pidfd = -1;
    process->began = clock_now();
    pthread_mutex_init(&process->guard, NULL);
    snprintf(process->name, sizeof process->name, "%s", name);
    return process;
}

/* Whoever holds the list next closes it, if it ties no other. */
static void untie(brood_process *process)
{
    if (process->lifeline)
        atomic_fetch_sub(&process->lifeline->children, 1);
    process->lifeline = NULL;
}

void handle_watch(brood_process *process, int pidfd)
{
    process->pidfd_failed = pidfd < 0 ? errno : 0;
    process->pidfd = pidfd;
    if (pidfd >= 0)
        child_identify(pidfd, &process->pidfd_is);
}

int process_descriptor(brood_process *process)
{
    int pidfd = process->pidfd;
    if (pidfd < 0 || child_is(pidfd, &process->pidfd_is))
        return pidfd;
    process->pidfd_failed = EBADF;
    process->pidfd = -1;
    return -1;
}

void handle_destroy(brood_process *process)
{
    int pidfd = process_descriptor(process);
    untie(process);
    if (pidfd >= 0)
        close(pidfd);
    pthread_mutex_destroy(&process->guard);
    handles_enter();
    free(process);
    handles_leave();
}

/* ---- the list ---- */

void handles_hold(void)
{
    handles_enter();
    pthread_mutex_lock(&wiped->children_guard);
}

void handles_let_go(void)
{
    pthread_mutex_unlock(&wiped->children_guard);
    handles_leave();
}

bool handles_are_held(void)
{
    return entered > 0 || thread_is_expecting(thread_self());
}

void handles_begin(void)
{
    entered = 0;
}

void handle_list(brood_process *process)
{
    brood_process *last = wiped->children_last;
    process->previous = last;
    process->next = NULL;
    if (last)
        last->next = process;
    else
        wiped->children = process;
    wiped->children_last = process;
}

void handle_unlist(brood_process *process)
{
    if (process->previous)
        process->previous->next = process->next;
    else
        wiped->children = process->next;
    if (process->next)
        process->next->previous = process->previous;
    else
        wiped->children_last = process->previous;
    lifelines_sweep();
}

void handle_tie(brood_process *process, struct lifeline *lifeline)
{
    process->lifeline = lifeline;
    atomic_fetch_add(&lifeline->children, 1);
}

/* ---- ends ---- */

static void guard(brood_process *process)
{
    handles_enter();
    pthread_mutex_lock(&process->guard);
}

static void unguard(brood_process *process)
{
    pthread_mutex_unlock(&process->guard);
    handles_leave();
}

/* One that has started others has not ended in order: those die too, if they do, in a while. */
static void expect_orphans(void)
{
    int64_t never = 0;
    atomic_store(&wiped->orphans, true);
    atomic_compare_exchange_strong(&wiped->sweep_at, &never, clock_now() + ORPHANS_DIE_NS);
}

static void sweep_if_due(void)
{
    int64_t due = atomic_load_explicit(&wiped->sweep_at, memory_order_relaxed);
    if (due != 0 && due <= clock_now() && atomic_compare_exchange_strong(&wiped->sweep_at, &due, 0))
        table_sweep();
}

/* Takes its status if it has ended; under its guard. */
static bool reap(brood_process *process)
{
    struct child_status status;
    if (process->ended || child_reap(process->pid, process_descriptor(process), &status) == 0)
        return process->ended;
    struct slot *slot = slot_of(process->id);
    heap_settle();
    process->end = (brood_end){ .pid = process->pid, .attempt = 1 };
    end_tell(&process->end, &status, &slot->note, atomic_load(&slot->began), process->began);
    process->set_up = atomic_load(&slot->set_up);
    process->ended = true;
    if (atomic_load(&slot->has_started) && process->end.how != BROOD_RETURNED && process->end.how != BROOD_FAILED)
        expect_orphans();
    table_release(process->id);
    untie(process);
    if (process->end.how == BROOD_LOST)
        log_say(BROOD_ERROR, "process '%s' (%d): %s", process->name, process->pid, process->end.why);
    else
        log_say(BROOD_INFO, "process '%s' (%d) ended: %s", process->name, process->pid,
                process->end.why[0] ? process->end.why : "returned 0");
    return true;
}

struct obituary *handle_obituary(brood_process *process)
{
    guard(process);
    struct obituary *obituary = obituary_ask(process->id);
    int failed = errno;
    unguard(process);
    errno = failed;
    return obituary;
}

static bool reap_guarded(brood_process *process)
{
    guard(process);
    bool ended = reap(process);
    unguard(process);
    return ended;
}

void handles_reap_closed(void)
{
    sweep_if_due();
    /* Where the system gives no sign (a status that nobody wants), a look now and then. */
    if (atomic_load(&wiped->closed) == 0 || !(child_any_ended() || atomic_fetch_add(&wiped->closed_looks, 1) % 16 == 0))
        return;
    handles_hold();
    for (brood_process *process = wiped->children, *next; process; process = next) {
        next = process->next;
        if (!atomic_load(&process->closed) || !reap_guarded(process))
            continue;
        guard(process);
        bool busy = process->joiners > 0; /* the process is ending, and waits for it */
        unguard(process);
        if (busy)
            continue;
        handle_unlist(process);
        handle_destroy(process);
        atomic_fetch_sub(&wiped->closed, 1);
    }
    handles_let_go();
}

int handle_close(brood_process *process)
{
    handles_hold();
    guard(process);
    bool busy = process->joiners > 0, ended = !busy && reap(process);
    unguard(process);
    if (ended) {
        handle_unlist(process);
    } else if (!busy) {
        atomic_store(&process->closed, true);
        atomic_fetch_add(&wiped->closed, 1);
    }
    handles_let_go();
    if (busy)
        return error_set(EBUSY, "process '%s' (%d) is being joined by another thread", process->name, process->pid);
    if (ended)
        handle_destroy(process);
    return 0;
}

int handle_children(brood_process **children, size_t max)
{
    int count = 0;
    handles_hold();
    for (brood_process *process = wiped->children; process; process = process->next) {
        if (process->kind != HANDLE_CHILD || !atomic_load(&process->made) || atomic_load(&process->closed) ||
            reap_guarded(process))
            continue;
        if ((size_t)count < max)
            children[count] = process;
        count++;
    }
    handles_let_go();
    return count;
}

brood_process *handle_next_running(bool daemon)
{
    handles_hold();
    brood_process *found = wiped->children;
    for (; found; found = found->next) {
        if (found->kind != HANDLE_CHILD || !atomic_load(&found->made) || found->survives || found->daemon != daemon ||
            (daemon && atomic_load(&found->told) == HANDLE_REFUSED))
            continue;
        guard(found);
        bool ended = reap(found);
        found->joiners += !ended;
        unguard(found);
        if (!ended)
            break;
    }
    handles_let_go();
    return found;
}

void handle_let_go(brood_process *process)
{
    guard(process);
    process->joiners--;
    unguard(process);
}

static bool await_parent(brood_process *parent, brood_end *end, int64_t deadline)
{
    bool ended;
    while (!(ended = getppid() != parent->pid) && clock_now() < deadline) {
        int64_t nap = clock_now() + THREAD_NAP;
        int pidfd = process_descriptor(parent);
        if (pidfd >= 0 && child_watch(pidfd, deadline) < 0)
            break;
        child_watch(-1, nap < deadline ? nap : deadline); /* no pidfd, or the program closed it: a nap */
    }
    if (end)
        *end = (brood_end){ .how = ended ? BROOD_LOST : BROOD_RUNNING, .pid = parent->pid, .attempt = 1 };
    if (end && ended)
        snprintf(end->why, sizeof end->why, "ended; how, only its own starter is told");
    return ended;
}

bool process_await(brood_process *process, brood_end *end, int64_t deadline)
{
    if (process->kind == HANDLE_PARENT)
        return await_parent(process, end, deadline);
    guard(process);
    process->joiners++;
    bool ended = reap(process);
    while (!ended && deadline > clock_now()) { /* once, unless the pidfd's number becomes another's meanwhile */
        unguard(process);
        child_await(process->pid, process_descriptor(process), deadline);
        guard(process);
        ended = reap(process);
    }
    process->joiners--;
    if (end)
        *end = ended ? process->end : (brood_end){ .how = BROOD_RUNNING, .pid = process->pid, .attempt = 1 };
    unguard(process);
    return ended;
}

bool process_is_marked(const brood_process *process)
{
    const struct slot *slot = slot_of(process->id);
    return (atomic_load(&slot->life.word) & FUTEX_OWNER_DIED) && slot_is(slot, process->id);
}

int process_signal(brood_process *process, int signal)
{
    if (process->kind == HANDLE_SELF)
        return child_signal(process->pid, process_descriptor(process), signal);
    guard(process);
    int sent = reap(process) ? -ESRCH : child_signal(process->pid, process_descriptor(process), signal);
    unguard(process);
    return sent;
}
