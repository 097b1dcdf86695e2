/* process/fini.c: brood_fini and the hooks.
 *
 * A forked child has its starter's exit handlers, and must not run them. exit(3) runs handlers in the opposite order of
 * their registration, so one that the child registers first thing comes after all of its own and before all of its
 * starter's: and that one does not return.
 */
#include "process/fini.h"

#include "error/error.h"
#include "error/log.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/libc.h"
#include "os/thread.h"
#include "os/wiped.h"
#include "process/handle.h"
#include "process/server.h"
#include "process/table.h"
#include "region/heap.h"
#include "region/region.h"

#include <brood/family.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define DAEMON_MS 1000 /* from SIGTERM to SIGKILL, for all of them together */

struct hook {
    struct hook *next;
    brood_target *function;
    void *arg;
};

/* Whether the calling thread runs a hook. */
static bool in_hook(void)
{
    return atomic_load(&wiped->hook_thread) == (int32_t)thread_self()->id;
}

static char leave_done[1]; /* an argument that is not NULL */

int brood_process_at_exit(brood_target *hook, void *arg)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!hook)
        return error_set(EINVAL, "brood_process_at_exit: hook is NULL");
    struct hook *new = wiped_allocate(sizeof *new);
    if (!new)
        return error_set(ENOMEM, "brood_process_at_exit: no memory");
    pthread_mutex_lock(&wiped->hooks_guard);
    *new = (struct hook){ .next = wiped->hooks, .function = hook, .arg = arg };
    wiped->hooks = new;
    pthread_mutex_unlock(&wiped->hooks_guard);
    return 0;
}

static struct hook *next_hook(void)
{
    pthread_mutex_lock(&wiped->hooks_guard);
    struct hook *hook = wiped->hooks;
    if (hook)
        wiped->hooks = hook->next;
    pthread_mutex_unlock(&wiped->hooks_guard);
    return hook;
}

static void run_hooks(void)
{
    atomic_store(&wiped->hook_thread, (int32_t)thread_self()->id);
    for (struct hook *hook; (hook = next_hook()) != NULL; free(hook))
        hook->function(hook->arg);
    atomic_store(&wiped->hook_thread, 0);
}

static void join_ordinary(void)
{
    for (brood_process *process; (process = handle_next_running(false)) != NULL; handle_let_go(process)) {
        log_say(BROOD_INFO, "waiting for process '%s' (%d) before the end", process->name, process->pid);
        process_await(process, NULL, CLOCK_NEVER);
    }
}

/* True: sent, or it has ended. */
static bool tell(brood_process *daemon, int signal)
{
    int sent = process_signal(daemon, signal);
    atomic_store(&daemon->told, sent == -EPERM ? HANDLE_REFUSED : signal);
    if (sent == -EPERM)
        log_say(BROOD_WARNING, "daemon '%s' (%d) is left running: it has another user, and may not be signalled",
                daemon->name, daemon->pid);
    return sent != -EPERM;
}

static void end_daemons(void)
{
    handles_hold();
    for (brood_process *process = wiped->children; process; process = process->next)
        if (process->kind == HANDLE_CHILD && atomic_load(&process->made) && process->daemon && !process->survives)
            tell(process, SIGTERM);
    handles_let_go();
    int64_t deadline = clock_deadline(DAEMON_MS);
    for (brood_process *process; (process = handle_next_running(true)) != NULL; handle_let_go(process)) {
        if (atomic_load(&process->told) == 0 && !tell(process, SIGTERM)) /* another thread was just starting it */
            continue;
        if (process_await(process, NULL, deadline))
            continue;
        log_say(BROOD_WARNING, "daemon '%s' (%d) still ran %d ms after SIGTERM: killed", process->name, process->pid,
                DAEMON_MS);
        if (tell(process, SIGKILL))
            process_await(process, NULL, CLOCK_NEVER);
    }
}

/* Once: what a program that has called brood_fini frees afterwards need not be told of again. */
static void report(void)
{
    static _Atomic bool reported;
    if (region_is_there() && heap_reports() && table_is_last() && !atomic_exchange(&reported, true))
        heap_report();
}

static void end_in_order(void)
{
    run_hooks();
    handles_reap_closed();
    join_ordinary();
    end_daemons();
    server_end();
    handles_reap_closed();
    if (atomic_load(&wiped->orphans))
        table_sweep();
    report();
}

int brood_fini(void)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (in_hook())
        return error_set(EDEADLK, "brood_fini: called by a hook, which it waits for");
    end_in_order();
    return 0;
}

static void at_exit(void)
{
    if (!in_hook()) /* a hook called exit: what comes after it in the list is left undone, as exit(3) leaves it */
        end_in_order();
}

int fini_at_exit(void)
{
    return atexit(at_exit) == 0 ? 0 : -ENOMEM;
}

/* Comes twice: first it does the work, of which more handlers may come, or an exit that goes on with those that are
 * left; when all of that is done it ends the process. */
static void leave(int status, void *done)
{
    if (done)
        child_leave(status);
    bool again = libc_on_exit(leave, leave_done) == 0;
    at_exit();
    if (!again) /* no memory: better without the handlers that came last than with the starter's */
        child_leave(status);
}

int fini_cut(void)
{
    return libc_on_exit(leave, NULL);
}
