/* process/process.c: brood/process.h.
 *
 * A handle is private memory of the starter, told from a forked child's copy by the starter's pid. What outlives the
 * child's slot is kept in it: the end, and the name.
 */
#include "process/process.h"

#include "error/error.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/shm.h"
#include "os/wiped.h"
#include "process/end.h"
#include "process/family.h"
#include "process/start.h"
#include "region/heap.h"
#include "region/region.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct brood_process {
    pid_t starter, pid;
    slot_id id;
    int pidfd;
    int lifeline; /* the parent's end of a pipe tie, or -1 */
    struct shm_identity lifeline_file;
    pthread_mutex_t guard; /* of the next three */
    bool ended;
    int joiners;                   /* threads in brood_process_join */
    brood_end end;                 /* if ended */
    struct brood_process *tied[2]; /* neighbours in the list of those with a lifeline */
    struct brood_process *left;    /* the next of those that were closed while they ran */
    char name[SLOT_NAME];
};

/* All handles with a lifeline. A forked child inherits the parent's ends and must close them, or its siblings would
 * outlive their parent; so the list is held still while one is forked. The guard is on the page that a fork wipes: a
 * child forked by hand while another thread had it finds it free. */
static struct brood_process *tied_first;

static void tied_lock(void)
{
    int32_t free_now = 0;
    for (; !atomic_compare_exchange_weak(&wiped->tied_busy, &free_now, 1); free_now = 0)
        sched_yield();
}

static void tied_unlock(void)
{
    atomic_store(&wiped->tied_busy, 0);
}

static void tied_add(brood_process *process)
{
    process->tied[1] = tied_first;
    if (tied_first)
        tied_first->tied[0] = process;
    tied_first = process;
}

/* The number may have been closed by the program and given to a file of its own. */
static void close_lifeline(struct brood_process *process)
{
    if (shm_is(process->lifeline, &process->lifeline_file))
        close(process->lifeline);
    process->lifeline = -1;
}

static void tied_remove(brood_process *process)
{
    tied_lock();
    if (process->tied[0])
        process->tied[0]->tied[1] = process->tied[1];
    else
        tied_first = process->tied[1];
    if (process->tied[1])
        process->tied[1]->tied[0] = process->tied[0];
    tied_unlock();
    close_lifeline(process);
}

void process_forget_all(void)
{
    if (!tied_first)
        return; /* the usual case: without a store, which would cost a fresh child the copy of a page */
    for (brood_process *process = tied_first; process; process = process->tied[1])
        close_lifeline(process);
    tied_first = NULL;
}

/* Takes its status if it has ended; under its guard, or when nobody else knows it. */
static bool reap(brood_process *process)
{
    struct child_status status;
    if (process->ended || child_reap(process->pid, process->pidfd, &status) == 0)
        return process->ended;
    struct slot *slot = slot_of(process->id);
    heap_settle();
    process->end = (brood_end){ .pid = process->pid, .attempt = 1 };
    end_tell(&process->end, &status, &slot->note, atomic_load(&slot->began));
    process->ended = true;
    table_release(process->id);
    if (process->lifeline >= 0)
        tied_remove(process);
    return true;
}

static void discard(brood_process *process)
{
    child_close_pidfd(process->pidfd);
    pthread_mutex_destroy(&process->guard);
    free(process);
}

void process_reap_left(void)
{
    int32_t free_now = 0;
    /* Where the system gives no sign (a status that nobody wants), a look now and then. */
    bool look = atomic_load(&wiped->left) && (child_any_ended() || atomic_fetch_add(&wiped->left_looks, 1) % 16 == 0);
    if (!look || !atomic_compare_exchange_strong(&wiped->left_busy, &free_now, 1))
        return;
    brood_process *process = atomic_exchange(&wiped->left, NULL), *next;
    for (; process; process = next) {
        next = process->left;
        if (reap(process)) {
            discard(process);
            continue;
        }
        void *first = atomic_load(&wiped->left);
        do
            process->left = first;
        while (!atomic_compare_exchange_weak(&wiped->left, &first, process));
    }
    atomic_store(&wiped->left_busy, 0);
}

/* ---- starting ---- */

/* The ticket, in the slot's own place for it, so that it goes with the slot. 0 or -errno with a sentence. */
static int write_ticket(struct slot *slot, brood_target *target, const void *arg, size_t size, brood_start start)
{
    size_t bytes;
    if (__builtin_add_overflow(size, sizeof(struct ticket), &bytes) || !heap_take_into((void **)&slot->ticket, bytes))
        return error_set(ENOMEM, "no memory in the region for an argument of %zu bytes", size);
    struct ticket *ticket = slot->ticket;
    uintptr_t address;
    memcpy(&address, &target, sizeof address);
    int named = start == BROOD_SPAWN ? module_name(address, &ticket->function) : 0;
    if (named < 0) {
        char function[MODULE_PATH_MAX + 64];
        module_describe(&ticket->function, function, sizeof function);
        return named == -ENOENT
                   ? error_set(ENOENT, "the %s was loaded after the program started: a spawned child lacks it",
                               function)
                   : error_set(-named, "the function at %p is in no module: a spawned child cannot find it",
                               (void *)address);
    }
    ticket->target = target;
    ticket->arg = size ? memcpy(ticket->copy, arg, size) : (void *)(uintptr_t)arg;
    return 0;
}

/* All that must be right before anything is made. 0 or -EINVAL with a sentence. */
static int check(brood_target *target, const void *arg, size_t size, const brood_process_options *options)
{
    if (!target)
        return error_set(EINVAL, "brood_process_start: target is NULL");
    if (size > 0 && !arg)
        return error_set(EINVAL, "brood_process_start: arg is NULL, and its size %zu", size);
    if (size == 0 && arg && !region_contains(arg))
        return error_set(EINVAL, "brood_process_start: arg %p is not in the region: give its size to have it copied",
                         arg);
    if (!options)
        return 0;
    for (size_t i = 0; i < sizeof options->reserved / sizeof *options->reserved; i++)
        if (options->reserved[i])
            return error_set(EINVAL, "brood_process_start: the options are of a newer brood (reserved[%zu])", i);
    if (options->start != BROOD_DEFAULT && !brood_start_name(options->start))
        return error_set(EINVAL, "brood_process_start: %d is no start method", (int)options->start);
    return 0;
}

static brood_process *new_handle(const char *name)
{
    brood_process *process = calloc(1, sizeof *process);
    if (!process)
        return NULL;
    process->starter = getpid();
    process->pidfd = process->lifeline = -1;
    pthread_mutex_init(&process->guard, NULL);
    snprintf(process->name, sizeof process->name, "%s", name);
    return process;
}

/* The process itself, for a slot with its ticket. 0 or -errno with a sentence. */
static int launch(brood_process *process, brood_start start, bool survives)
{
    struct child_bond bond;
    bool alone = thread_is_only(); /* then nobody else can be at the list, nor make a pipe that a child inherits */
    if (!alone)
        tied_lock();
    pid_t pid = child_bind(&bond, survives);
    if (pid < 0)
        error_set(-pid, "no pipe to tie a child to its parent: %s", strerror(-pid));
    else
        pid = start == BROOD_SPAWN ? start_spawn(process->id, &bond) : start_fork(process->id, &bond);
    if (bond.tie == CHILD_TO_PIPE && bond.pipe[0] >= 0)
        close(bond.pipe[0]);
    if (bond.tie == CHILD_TO_PIPE && pid > 0) {
        process->lifeline = bond.pipe[1];
        shm_identify(process->lifeline, &process->lifeline_file);
        tied_add(process);
    } else if (bond.tie == CHILD_TO_PIPE && bond.pipe[1] >= 0) {
        close(bond.pipe[1]);
    }
    if (!alone)
        tied_unlock();
    if (pid < 0)
        return pid;
    process->pid = pid;
    process->pidfd = child_pidfd(pid);
    table_open_gate(slot_of(process->id));
    return 0;
}

static void no_slot(void)
{
    if (errno == EAGAIN)
        error_set(EAGAIN, "the family's table of %u processes is full", region->table->count);
    else
        error_set(errno, "no memory for a place in the family's table");
}

brood_process *brood_process_start(brood_target *target, const void *arg, size_t size,
                                   const brood_process_options *options)
{
    if (region_enter() < 0 || check(target, arg, size, options) < 0)
        return NULL;
    process_reap_left();
    brood_start start = options && options->start ? options->start : family_start_method();
    const char *name = options && options->name ? options->name : "process";
    if (table_self("process") == 0) {
        no_slot();
        return NULL;
    }
    brood_process *process = new_handle(name);
    if (!process) {
        error_set(ENOMEM, "no memory for a process handle");
        return NULL;
    }
    process->id = table_claim(name);
    if (process->id == 0) {
        no_slot();
    } else if (write_ticket(slot_of(process->id), target, arg, size, start) == 0 &&
               launch(process, start, options && options->survives) == 0) {
        return process;
    }
    int failed = errno;
    if (process->id)
        table_release(process->id);
    discard(process);
    errno = failed;
    return NULL;
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
    return 0;
}

bool process_await(brood_process *process, brood_end *end, int64_t deadline)
{
    process_reap_left();
    pthread_mutex_lock(&process->guard);
    process->joiners++;
    bool ended = reap(process);
    if (!ended && deadline > clock_now()) {
        pthread_mutex_unlock(&process->guard);
        child_await(process->pid, process->pidfd, deadline);
        pthread_mutex_lock(&process->guard);
        ended = reap(process);
    }
    process->joiners--;
    if (end)
        *end = ended ? process->end : (brood_end){ .how = BROOD_RUNNING, .pid = process->pid, .attempt = 1 };
    pthread_mutex_unlock(&process->guard);
    return ended;
}

int brood_process_join(brood_process *process, brood_end *end, int timeout_ms)
{
    int failed = check_handle(process, "brood_process_join");
    if (failed < 0)
        return failed;
    if (timeout_ms < BROOD_FOREVER)
        return error_set(EINVAL, "brood_process_join: a timeout of %d ms", timeout_ms);
    if (process_await(process, end, clock_deadline(timeout_ms)))
        return 0;
    return error_set(ETIMEDOUT, "process '%s' (%d) still runs after %d ms", process->name, process->pid, timeout_ms);
}

int process_signal(brood_process *process, int signal)
{
    pthread_mutex_lock(&process->guard);
    int sent = reap(process) ? -ESRCH : child_signal(process->pid, process->pidfd, signal);
    pthread_mutex_unlock(&process->guard);
    return sent;
}

int brood_process_signal(brood_process *process, int signal)
{
    int failed = check_handle(process, "brood_process_signal");
    if (failed < 0)
        return failed;
    if (signal < 0 || signal >= NSIG)
        return error_set(EINVAL, "brood_process_signal: %d is no signal", signal);
    int sent = process_signal(process, signal);
    if (sent == -ESRCH)
        return error_set(ESRCH, "process '%s' (%d) has ended", process->name, process->pid);
    return sent < 0 ? error_set(-sent, "no signal %d to process '%s' (%d): %s", signal, process->name, process->pid,
                                strerror(-sent))
                    : 0;
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

int process_descriptor(const brood_process *process)
{
    return process->pidfd;
}

int brood_process_close(brood_process *process)
{
    if (!process)
        return 0;
    int failed = check_handle(process, "brood_process_close");
    if (failed < 0)
        return failed;
    pthread_mutex_lock(&process->guard);
    bool busy = process->joiners > 0, ended = !busy && reap(process);
    pthread_mutex_unlock(&process->guard);
    if (busy)
        return error_set(EBUSY, "process '%s' (%d) is being joined by another thread", process->name, process->pid);
    if (ended) {
        discard(process);
        return 0;
    }
    void *first = atomic_load(&wiped->left);
    do
        process->left = first;
    while (!atomic_compare_exchange_weak(&wiped->left, &first, process));
    return 0;
}
