/* process/end.c: brood/end.h: names, and what a process or task says of its own end. */
#include "process/end.h"

#include "os/clock.h"
#include "os/libc.h"
#include "os/wiped.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct end_note *end_note_to(struct end_note *note)
{
    return atomic_exchange(&wiped->task, note);
}

void end_say(struct end_note *note, int code)
{
    note->code = code;
    note->at = clock_now();
    atomic_store_explicit(&note->how, code ? BROOD_FAILED : BROOD_RETURNED, memory_order_release);
}

int brood_fail(int code, const char *why, ...)
{
    struct end_note *note = atomic_load(&wiped->task);
    if (note && why) {
        va_list arguments;
        va_start(arguments, why);
        vsnprintf(note->why, sizeof note->why, why, arguments);
        va_end(arguments);
    }
    return code;
}

const char *brood_how_name(brood_how how)
{
    switch (how) {
    case BROOD_RUNNING:
        return "running";
    case BROOD_RETURNED:
        return "returned";
    case BROOD_FAILED:
        return "failed";
    case BROOD_EXITED:
        return "exited";
    case BROOD_CRASHED:
        return "crashed";
    case BROOD_LOST:
        return "lost";
    case BROOD_CANCELLED:
        return "cancelled";
    case BROOD_TIMED_OUT:
        return "timed out";
    case BROOD_OVER_MEMORY:
        return "over memory";
    }
    return NULL;
}

/* The names of the numbers that this machine has, from libc; those of real-time signals are made once. */
const char *brood_signal_name(int signal)
{
    static char names[NSIG][16];
    static _Atomic bool made;
    if (signal <= 0 || signal >= NSIG)
        return NULL;
    if (!atomic_load(&made)) { /* several threads may write the same bytes */
        for (int i = 1; i < NSIG; i++) {
            const char *abbreviation = libc_signal_abbreviation(i);
            char name[16] = "";
            if (abbreviation)
                snprintf(name, sizeof name, "SIG%s", abbreviation);
            else if (i >= SIGRTMIN && i <= SIGRTMAX)
                snprintf(name, sizeof name, i == SIGRTMIN ? "SIGRTMIN" : "SIGRTMIN+%d", i - SIGRTMIN);
            memcpy(names[i], name, sizeof name);
        }
        atomic_store(&made, true);
    }
    return names[signal][0] ? names[signal] : NULL;
}

void end_explain(brood_end *end)
{
    const char *signal = brood_signal_name(end->signal);
    if (end->why[0])
        return;
    if (end->how == BROOD_CRASHED)
        snprintf(end->why, sizeof end->why, "killed by %s (%d)", signal ? signal : "signal", end->signal);
    else if (end->how == BROOD_FAILED)
        snprintf(end->why, sizeof end->why, "returned %d", end->code);
    else if (end->how == BROOD_EXITED)
        snprintf(end->why, sizeof end->why, "called exit with %d", end->code);
    else if (end->how == BROOD_LOST)
        snprintf(end->why, sizeof end->why, "lost: nobody can tell how it ended");
    else if (end->how == BROOD_CANCELLED)
        snprintf(end->why, sizeof end->why, "cancelled");
    else if (end->how == BROOD_TIMED_OUT)
        snprintf(end->why, sizeof end->why, "took longer than it may");
    else if (end->how == BROOD_OVER_MEMORY)
        snprintf(end->why, sizeof end->why, "took more memory than it may");
}

void end_tell(brood_end *end, const struct child_status *status, const struct end_note *note, bool began,
              int64_t started)
{
    int how = atomic_load_explicit(&note->how, memory_order_acquire);
    end->wall_us = ((how == BROOD_RUNNING ? clock_now() : note->at) - started) / 1000;
    end->cpu_us = status->cpu_us;
    end->peak_bytes = status->peak_bytes;
    if (status->signal) {
        end->how = BROOD_CRASHED;
        end->signal = status->signal;
        end->core_dumped = status->core_dumped;
    } else if (how != BROOD_RUNNING) {
        end->how = (brood_how)how;
        end->code = note->code;
        if (end->code)
            memcpy(end->why, note->why, sizeof end->why);
    } else if (!status->known) {
        end->how = BROOD_LOST;
        snprintf(end->why, sizeof end->why, "ended without returning; another wait took its status");
    } else if (!began) {
        end->how = BROOD_FAILED;
        end->code = -ENOEXEC;
        snprintf(end->why, sizeof end->why, "the child ended (exit status %d) without calling brood_init",
                 status->code);
    } else {
        end->how = BROOD_EXITED;
        end->code = status->code;
    }
    end_explain(end);
}
