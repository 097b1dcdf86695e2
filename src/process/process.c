/* process/process.c: brood/process.h. */
#include "process/process.h"

#include "error/error.h"
#include "error/log.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/wiped.h"
#include "process/begin.h"
#include "process/server.h"
#include "process/spawn.h"
#include "process/start.h"
#include "process/ticket.h"
#include "region/region.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LEAST_MEMORY ((int64_t)1 << 20)
#define SERVERS_MOST 10 /* killed in a row, before one of them made the process */

/* ---- starting ---- */

static int check_limit(const char *name, int64_t value, int64_t least)
{
    return value != 0 && value < least ? error_set(EINVAL, "brood_process_start: %s is %lld: the least is %lld", name,
                                                   (long long)value, (long long)least)
                                       : 0;
}

static int check_list(const char *name, const void *list, size_t count, size_t most)
{
    if (!list && count > 0)
        return error_set(EINVAL, "brood_process_start: %s is NULL, and its count %zu", name, count);
    if (count > most)
        return error_set(EINVAL, "brood_process_start: %zu %s: there may be %zu", count, name, most);
    return 0;
}

/* Standard streams have options of their own. */
static int check_numbers(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0 && fds[i] < 3)
            return error_set(EINVAL, "brood_process_start: fds: %d is below 3: use input, output, errors", fds[i]);
    return 0;
}

static int check_options(const brood_process_options *options)
{
    if (error_reserved("brood_process_start", options->reserved, sizeof options->reserved / sizeof(void *)) < 0)
        return -EINVAL;
    if (options->start != BROOD_DEFAULT && !brood_start_name(options->start))
        return error_set(EINVAL, "brood_process_start: %d is no start method", (int)options->start);
    int failed;
    if ((failed = check_list("fds", options->fds, options->fd_count, SETUP_FDS_MAX)) < 0 ||
        (failed = check_numbers(options->fds, options->fd_count)) < 0 ||
        (failed = check_list("cpus", options->cpus, options->cpu_count, SETUP_CPUS_MAX)) < 0 ||
        (failed = check_limit("max_memory", options->max_memory, LEAST_MEMORY)) < 0 ||
        (failed = check_limit("max_cpu_seconds", options->max_cpu_seconds, 1)) < 0 ||
        (failed = check_limit("max_files", options->max_files, 3)) < 0 ||
        (failed = check_limit("max_core", options->max_core, -1)) < 0)
        return failed;
    if (options->cpus && options->cpu_count == 0)
        return error_set(EINVAL, "brood_process_start: cpus is empty: the process could run nowhere");
    const int streams[] = { options->input, options->output, options->errors };
    struct setup named = { .fds = options->fds, .fd_count = (uint32_t)options->fd_count };
    memcpy(named.streams, streams, sizeof streams);
    int fd;
    if (setup_check_fds(&named, &fd) < 0)
        return error_set(EBADF, "brood_process_start: descriptor %d is not open", fd);
    return 0;
}

/* All that must be right before anything is made. 0 or -errno with a sentence. */
static int check(brood_target *target, const void *arg, size_t size, const brood_process_options *options)
{
    if (!target)
        return error_set(EINVAL, "brood_process_start: target is NULL");
    if (size > 0 && !arg)
        return error_set(EINVAL, "brood_process_start: arg is NULL, and its size %zu", size);
    if (size == 0 && arg && !region_contains(arg))
        return error_set(EINVAL, "brood_process_start: arg %p is not in the region: give its size to have it copied",
                         arg);
    return options ? check_options(options) : 0;
}

/* The option that the step is, with what was asked for. */
static void describe_step(char *text, size_t size, enum setup_step step, const brood_process_options *options)
{
    const char *name = setup_step_name(step);
    size_t bad = 0;
    while (step == SETUP_CPUS && bad < options->cpu_count && options->cpus[bad] >= 0 &&
           options->cpus[bad] < SETUP_CPUS_MAX)
        bad++;
    if (step == SETUP_DIRECTORY)
        snprintf(text, size, "%s '%.200s'", name, options->directory);
    else if (step == SETUP_CPUS && bad < options->cpu_count)
        snprintf(text, size, "%s: %d is no processor's number", name, options->cpus[bad]);
    else if (step == SETUP_CPUS)
        snprintf(text, size, "%s: %d%s", name, options->cpus[0],
                 options->cpu_count > 1 ? " and the others are not there for it" : " is not there for it");
    else if (step == SETUP_NICENESS)
        snprintf(text, size, "%s %d", name, options->niceness);
    else if (step == SETUP_MAX_FILES || step == SETUP_MAX_CORE)
        snprintf(text, size, "%s %lld", name,
                 (long long)(step == SETUP_MAX_FILES ? options->max_files : options->max_core));
    else
        snprintf(text, size, "%s", name);
}

/* What of the options could not be put into force: -errno, with a sentence. */
static int refuse(const brood_process *process, int outcome, const brood_process_options *options)
{
    char step[256];
    describe_step(step, sizeof step, SETUP_STEP(outcome), options);
    return error_set(SETUP_ERRNO(outcome), "process '%s' cannot be started: %s: %s", process->name, step,
                     strerror(SETUP_ERRNO(outcome)));
}

/* Waits for what the child says of its setup. 0, or -errno with a sentence: then the process is gone. */
static int await_setup(brood_process *process, const brood_process_options *options)
{
    struct slot *slot = slot_of(process->id);
    uint32_t said;
    brood_end end;
    while ((said = atomic_load(&slot->set_up)) == 0) {
        /* No one else wakes us if the child is killed just now. */
        futex_sleep(&slot->set_up, 0, clock_now() + THREAD_NAP);
        if (atomic_load(&slot->set_up) != 0 || !process_await(process, &end, 0))
            continue;
        said = process->set_up; /* it may have answered between the two looks, and ended then; the slot is gone */
        if (said != 0)
            break;
        return error_set(ECHILD, "process '%s' (%d) ended before it was set up: %s", process->name, process->pid,
                         end.why[0] ? end.why : "its main returned");
    }
    int outcome = (int)(said - 1);
    if (outcome == 0)
        return 0;
    process_await(process, &end, CLOCK_NEVER);
    return refuse(process, outcome, options);
}

/* The process itself, for a slot with its ticket; while the list is held, and the server if it is to make it. Its pid,
 * or -errno with a sentence. */
static pid_t make(brood_process *process, const struct child_bond *bond, const brood_process_options *options)
{
    const struct ticket *ticket = slot_of(process->id)->ticket;
    int outcome = 0;
    if (ticket->method == BROOD_FORK)
        return begin_fork(process->id, bond);
    if (ticket->method == BROOD_FORKSERVER)
        return server_fork(process->id, bond);
    pid_t pid = spawn_start(process->id, bond, &outcome);
    return outcome ? refuse(process, outcome, options) : pid;
}

/* 0 or -errno with a sentence. */
static int launch(brood_process *process, brood_start method, const brood_process_options *options)
{
    struct child_bond bond;
    enum child_tie tie = process->survives ? CHILD_FREE : method == BROOD_FORKSERVER ? server_tie() : child_tie();
    struct lifeline *lifeline;
    pid_t pid = lifeline_bind(&bond, tie, &lifeline);
    if (pid < 0)
        return error_set(-pid, "no pipe to tie a child to its parent: %s", strerror(-pid));
    if (bond.tie != tie)
        log_say(BROOD_WARNING,
                "no descriptor for a second tie of process '%s': if it changes its user, it outlives this one",
                process->name);
    process->tie = bond.tie;
    slot_of(process->id)->ticket->tie = bond.tie;
    slot_of(process->id)->ticket->line = bond.pipe[0];
    slot_of(process->id)->ticket->line_file = bond.file;
    slot_of(process->id)->ticket->holds_term = process->kind == HANDLE_SERVICE;
    pid = make(process, &bond, options);
    if (bond.pipe[0] >= 0)
        close(bond.pipe[0]);
    if (pid < 0) {
        lifelines_sweep();
        return pid;
    }
    if (lifeline)
        handle_tie(process, lifeline);
    process->pid = pid;
    handle_watch(process, child_pidfd(pid));
    table_open_gate(slot_of(process->id));
    return 0;
}

/* Only the process itself is to have it from this thread, and not a fork server that is started for it, which would
 * hand it on to all others: what that makes is told by its ticket. */
static int launch_service(brood_process *process, brood_start method, const brood_process_options *options)
{
    sigset_t term, before;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &term, &before);
    int failed = launch(process, method, options);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

/* From a ticket to a process. 0 or -errno with a sentence. */
static int start(brood_process *process, brood_start method, const brood_process_options *options)
{
    int failed;
    for (int tries = 0;; tries++) {
        if (method == BROOD_FORKSERVER && (failed = server_hold()) < 0)
            return failed;
        /* It may block, and other threads' calls need the list meanwhile; and the server's guard, while that starts. */
        if (method == BROOD_FORK || (method == BROOD_SPAWN && process->kind == HANDLE_CHILD))
            child_flush();
        handles_hold();
        failed = process->kind == HANDLE_SERVICE ? launch_service(process, method, options)
                                                 : launch(process, method, options);
        if (failed == 0)
            handle_list(process);
        handles_let_go();
        if (method == BROOD_FORKSERVER)
            server_let_go();
        if (failed != -EOWNERDEAD || tries + 1 >= SERVERS_MOST)
            break;
    }
    return failed;
}

static void no_slot(void)
{
    if (errno == EAGAIN)
        error_set(EAGAIN, "the family's table of %u processes is full", region->table->count);
    else
        error_set(errno, "no memory for a place in the family's table");
}

static void warn_of_threads(void)
{
    static _Atomic bool warned;
    if (!thread_is_only() && !atomic_exchange(&warned, true))
        log_say(BROOD_WARNING, "fork of a program with other threads: what they hold locked stays locked in the child; "
                               "spawn and forkserver have no such trouble");
}

static brood_process *start_process(brood_target *target, const void *arg, size_t size,
                                    const brood_process_options *options, enum handle_kind kind, _Atomic slot_id *place)
{
    handles_reap_closed();
    brood_start method = options && options->start ? options->start : start_default();
    const char *name = options && options->name ? options->name : "process";
    slot_id self = table_self("process");
    if (self == 0) {
        no_slot();
        return NULL;
    }
    brood_process *process = handle_create(kind, name);
    if (!process) {
        error_set(ENOMEM, "no memory for a process handle");
        return NULL;
    }
    process->daemon = options && options->daemon;
    process->survives = options && options->survives;
    if (method == BROOD_FORK)
        warn_of_threads();
    process->id = table_claim(name, self);
    if (process->id == 0) {
        no_slot();
        int failed = errno;
        handle_destroy(process);
        errno = failed;
        return NULL;
    }
    if (place)
        atomic_store(place, process->id);
    struct slot *slot = slot_of(process->id);
    int failed = ticket_write(slot, target, arg, size, method, options);
    bool answered = failed == 0 && slot->ticket->answered; /* the ticket goes with the slot when the child is reaped */
    if (failed == 0)
        failed = start(process, method, options);
    if (failed < 0) {
        table_release(process->id);
        handle_destroy(process);
        errno = -failed;
        return NULL;
    }
    if (answered && (failed = await_setup(process, options)) < 0) {
        process_discard(process);
        errno = -failed;
        return NULL;
    }
    atomic_store(&process->made, true);
    log_say(BROOD_DEBUG, "process '%s' (%d): slot %u of %u, descriptor %d%s", process->name, process->pid,
            (unsigned)(uint32_t)process->id, region->table->count, process->pidfd,
            process->lifeline ? ", tied by a pipe" : "");
    log_say(BROOD_INFO, "process '%s' (%d) started by %s", process->name, process->pid, brood_start_name(method));
    return process;
}

brood_process *process_start(brood_target *target, const void *arg, size_t size, const brood_process_options *options,
                             enum handle_kind kind, _Atomic slot_id *place)
{
    handles_enter();
    brood_process *process = start_process(target, arg, size, options, kind, place);
    handles_leave();
    return process;
}

brood_process *brood_process_start(brood_target *target, const void *arg, size_t size,
                                   const brood_process_options *options)
{
    if (region_enter() < 0)
        return NULL;
    if (handles_are_held()) {
        error_set(EDEADLK, "brood_process_start: called in a signal handler that interrupted a call of brood");
        return NULL;
    }
    if (check(target, arg, size, options) < 0)
        return NULL;
    return process_start(target, arg, size, options, HANDLE_CHILD, NULL);
}

void process_discard(brood_process *process)
{
    handles_hold();
    handle_unlist(process);
    handles_let_go();
    handle_destroy(process);
}

/* ---- the started ---- */

/* 0, or why this process may not use the handle, with a sentence. */
static int check_handle(const brood_process *process, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!process)
        return error_null(call, "the process");
    if (process->starter != getpid())
        return error_set(ECHILD, "%s: process '%s' (%d) was started by process %d, not by this one", call,
                         process->name, process->pid, process->starter);
    if (handles_are_held())
        return error_set(EDEADLK, "%s: called in a signal handler that interrupted a call of brood", call);
    return 0;
}

struct obituary *process_obituary(brood_process *process, const char *call, slot_id *id)
{
    int failed = check_handle(process, call);
    if (failed < 0) {
        errno = -failed;
        return NULL;
    }
    if (process->kind == HANDLE_PARENT) { /* its slot may be given back at any time, by its own starter */
        error_set(ECHILD, "%s: process %d started this one, and not the other way round", call, process->pid);
        return NULL;
    }
    *id = process->id;
    struct obituary *obituary = handle_obituary(process);
    if (!obituary && errno == 0) { /* it has ended, and the slot is given back */
        brood_end end;
        int how = process_await(process, &end, 0) ? (int)end.how : BROOD_RUNNING;
        obituary = obituary_write(how == BROOD_RETURNED || how == BROOD_FAILED ? how : BROOD_RUNNING);
    }
    if (!obituary)
        error_set(ENOMEM, "%s: no memory in the region to be told of the end of process '%s' (%d)", call, process->name,
                  process->pid);
    return obituary;
}

static int check_awaited(const brood_process *process, const char *call)
{
    int failed = check_handle(process, call);
    if (failed == 0 && process->kind == HANDLE_SELF)
        return error_set(EDEADLK, "%s: a process that waited for its own end would wait for ever", call);
    return failed;
}

static int check_timeout(int timeout_ms, const char *call)
{
    return timeout_ms < BROOD_FOREVER ? error_set(EINVAL, "%s: a timeout of %d ms", call, timeout_ms) : 0;
}

int brood_process_join(brood_process *process, brood_end *end, int timeout_ms)
{
    int failed = check_awaited(process, "brood_process_join");
    if (failed < 0 || (failed = check_timeout(timeout_ms, "brood_process_join")) < 0)
        return failed;
    handles_reap_closed();
    if (process_await(process, end, clock_deadline(timeout_ms)))
        return 0;
    return error_set(ETIMEDOUT, "process '%s' (%d) still runs after %d ms", process->name, process->pid, timeout_ms);
}

/* 0, also if it has ended meanwhile; or -errno with a sentence. */
static int send_signal(brood_process *process, int signal)
{
    int sent = process_signal(process, signal);
    if (sent == 0 || sent == -ESRCH)
        return sent;
    return error_set(-sent, "no signal %d to process '%s' (%d): %s", signal, process->name, process->pid,
                     strerror(-sent));
}

int brood_process_stop(brood_process *process, brood_end *end, int wait_ms, int term_ms, int kill_ms)
{
    static const int signals[] = { 0, SIGTERM, SIGKILL };
    const int timeouts[] = { wait_ms, term_ms, kill_ms };
    int failed = check_awaited(process, "brood_process_stop");
    if (failed == 0 && process->kind == HANDLE_PARENT)
        failed =
            error_set(ECHILD, "brood_process_stop: process %d started this one, and is not its to stop", process->pid);
    for (int i = 0; i < 3 && failed == 0; i++)
        failed = check_timeout(timeouts[i], "brood_process_stop");
    if (failed == 0)
        handles_reap_closed();
    for (int i = 0; i < 3 && failed == 0; i++) {
        failed = signals[i] ? send_signal(process, signals[i]) : 0;
        if ((failed == 0 || failed == -ESRCH) && process_await(process, end, clock_deadline(timeouts[i])))
            return 0;
    }
    return failed < 0 ? failed
                      : error_set(ETIMEDOUT, "process '%s' (%d) still runs, %d ms after SIGKILL", process->name,
                                  process->pid, kill_ms);
}

int brood_process_signal(brood_process *process, int signal)
{
    int failed = check_handle(process, "brood_process_signal");
    if (failed < 0)
        return failed;
    if (signal < 0 || signal >= NSIG)
        return error_set(EINVAL, "brood_process_signal: %d is no signal", signal);
    if (process->kind == HANDLE_PARENT)
        return error_set(ECHILD, "brood_process_signal: process %d started this one, and is not its to signal",
                         process->pid);
    int sent = send_signal(process, signal);
    return sent == -ESRCH ? error_set(ESRCH, "process '%s' (%d) has ended", process->name, process->pid) : sent;
}

int brood_process_fd(brood_process *process)
{
    int failed = check_handle(process, "brood_process_fd");
    if (failed < 0)
        return failed;
    int pidfd = process_descriptor(process);
    if (pidfd < 0)
        return error_set(process->pidfd_failed, "process '%s' (%d) has no descriptor: %s", process->name, process->pid,
                         strerror(process->pidfd_failed));
    return pidfd;
}

int brood_process_pid(const brood_process *process)
{
    if (region_enter() < 0)
        return -EINVAL;
    return process ? process->pid : error_null("brood_process_pid", "the process");
}

const char *brood_process_name(const brood_process *process)
{
    return process ? process->name : "";
}

int brood_process_close(brood_process *process)
{
    if (!process)
        return 0;
    int failed = check_handle(process, "brood_process_close");
    if (failed < 0)
        return failed;
    if (process->kind != HANDLE_CHILD)
        return error_set(EINVAL, "brood_process_close: '%s' (%d) is this process itself, or its parent", process->name,
                         process->pid);
    return handle_close(process);
}

/* ---- relatives ---- */

/* The handle in *place, made by the first thread that asks. NULL, ENOMEM. */
static brood_process *relative(_Atomic(void *) *place, enum handle_kind kind, pid_t pid, slot_id id, const char *name)
{
    brood_process *process = handle_create(kind, name);
    void *nobody = NULL;
    if (!process) {
        error_set(ENOMEM, "no memory for a process handle");
        return NULL;
    }
    process->pid = pid;
    process->id = id;
    int pidfd = child_pidfd(pid);
    if (kind == HANDLE_PARENT && getppid() != pid) { /* it is gone, and the pid may be a stranger's */
        if (pidfd >= 0)
            close(pidfd);
        pidfd = child_ended_descriptor();
    }
    handle_watch(process, pidfd);
    if (atomic_compare_exchange_strong(place, &nobody, process))
        return process;
    if (process->pidfd >= 0)
        close(process->pidfd); /* no one saw it yet, so it is ours: also if it is no pidfd */
    process->pidfd = -1;
    handle_destroy(process);
    return nobody;
}

brood_process *brood_process_self(void)
{
    if (region_enter() < 0)
        return NULL;
    brood_process *self = atomic_load(&wiped->self);
    if (self)
        return self;
    slot_id id = table_self("process");
    char name[SLOT_NAME] = "process";
    if (id)
        table_name(id, name);
    return relative(&wiped->self, HANDLE_SELF, getpid(), id, name);
}

brood_process *brood_process_parent(void)
{
    if (region_enter() < 0)
        return NULL;
    brood_process *parent = atomic_load(&wiped->parent);
    slot_id id = atomic_load(&wiped->slot);
    const struct slot *slot = id ? slot_of(id) : NULL;
    pid_t pid = slot && slot->starter ? (pid_t)(uint32_t)atomic_load(&slot->claim) : 0;
    if (parent)
        return parent;
    if (pid == 0) {
        error_set(ESRCH, "brood did not start this process");
        return NULL;
    }
    char name[SLOT_NAME];
    table_name(slot->starter, name);
    return relative(&wiped->parent, HANDLE_PARENT, pid, slot->starter, name);
}

int brood_process_children(brood_process **children, size_t max)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!children && max > 0)
        return error_set(EINVAL, "brood_process_children: children is NULL, and max %zu", max);
    if (handles_are_held())
        return error_set(EDEADLK,
                         "brood_process_children: called in a signal handler that interrupted a call of brood");
    return handle_children(children, max);
}
