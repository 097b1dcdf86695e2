/* trace.c: a timeline of a family that was started without one, by looking at it again and again. */
#include "command.h"
#include "os/clock.h"
#include "spans.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_NS INT64_C(1000000)   /* between looks at workers */
#define WAITS_NS INT64_C(10000000) /* ... at waits, and what is in queues */
#define ALL_NS INT64_C(1000000000) /* ... at what there is */

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

struct depth {
    const void *object;
    uint64_t number;
};

struct trace {
    struct window window;
    struct family family;
    struct sight sight; /* what there was at the last look at all */
    struct spans spans;
    struct depth *depths; /* as they were told last */
    size_t depth_count;
    unsigned long looks;
};

/* ---- what there is ---- */

static void name_processes(struct trace *trace, const struct sight *before)
{
    for (size_t i = 0; i < trace->sight.process_count; i++) {
        const struct seen_process *process = &trace->sight.processes[i];
        if (!sight_process(before, process->pid))
            spans_name(&trace->spans, process->pid, process->name);
    }
}

/* False: no memory, or the family has ended. */
static bool look_at_all(struct trace *trace)
{
    struct sight before = trace->sight;
    family_keep(&trace->family);
    bool good = sight_take(&trace->sight, &trace->window, &trace->family, SIGHT_OBJECTS);
    if (good)
        name_processes(trace, &before);
    sight_free(&before);
    return good && !trace->sight.has_ended;
}

/* ---- how much is where ---- */

static void tell_depth(struct trace *trace, const void *object, const char *name, const char *what, uint64_t number,
                       int64_t now)
{
    size_t i = 0;
    while (i < trace->depth_count && trace->depths[i].object != object)
        i++;
    if (i == trace->depth_count) {
        struct depth *all = sight_grow(trace->depths, trace->depth_count, sizeof *all);
        if (!all) {
            trace->spans.failed = true;
            return;
        }
        trace->depths = all;
        all[trace->depth_count++] = (struct depth){ object, ~number };
    }
    const struct seen_process *first = first_of(&trace->sight); /* NULL: the family has just ended */
    if (first && trace->depths[i].number != number)
        spans_counter(&trace->spans, first->pid, name, what, number, now);
    trace->depths[i].number = number;
}

static void look_at_queues(struct trace *trace, int64_t now)
{
    struct sight sight = { .at = now };
    for (size_t i = 0; i < trace->sight.queue_count; i++)
        if (!see_queue(&sight, &trace->window, trace->sight.queues[i].object))
            trace->spans.failed = true;
    for (size_t i = 0; i < sight.queue_count; i++)
        tell_depth(trace, sight.queues[i].object, sight.queues[i].what, "messages", sight.queues[i].messages, now);
    sight_free(&sight);
}

static void look_at_works(struct trace *trace, int64_t now)
{
    char name[SIGHT_NAME + 16];
    struct sight sight = { .at = now };
    for (size_t i = 0; i < trace->sight.pool_count; i++)
        if (!see_pool(&sight, &trace->window, trace->sight.pools[i].object))
            trace->spans.failed = true;
    for (size_t i = 0; i < sight.pool_count; i++) {
        const struct seen_pool *pool = &sight.pools[i];
        uint64_t tasks = 0;
        for (unsigned k = 0; k < pool->works; k++)
            tasks += pool->work[k].is_map ? pool->work[k].items - pool->work[k].done : pool->work[k].queued;
        snprintf(name, sizeof name, "pool '%s'", pool->name);
        tell_depth(trace, pool->object, name, "tasks not done", tasks, now);
    }
    sight_free(&sight);
}

static void look_at_waits(struct trace *trace, int64_t now)
{
    struct sight sight = { .at = now };
    if (!see_waits(&sight, &trace->window))
        trace->spans.failed = true;
    spans_waits(&trace->spans, &sight, now);
    sight_free(&sight);
}

static void look_at_workers(struct trace *trace, int64_t now)
{
    for (size_t i = 0; i < trace->sight.pool_count; i++)
        for (unsigned k = 0; k < trace->sight.pools[i].count; k++)
            spans_worker(&trace->spans, &trace->sight.pools[i], k, now);
    trace->looks++;
}

/* ---- the command ---- */

static void sleep_until(int64_t at)
{
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
                    &(struct timespec){ .tv_sec = (time_t)(at / 1000000000), .tv_nsec = (long)(at % 1000000000) },
                    NULL);
}

/* Until `end`, or it is interrupted, or the family has ended: then false. */
static bool look_on(struct trace *trace, int64_t end)
{
    int64_t waits = 0, all = 0, now;
    bool lives = true;
    for (int64_t next = clock_now(); (now = clock_now()) < end && !interrupted && lives; next += LOOK_NS) {
        if (now >= all) {
            lives = look_at_all(trace);
            all = now + ALL_NS;
        }
        look_at_workers(trace, now);
        if (now >= waits) {
            look_at_waits(trace, now);
            look_at_queues(trace, now);
            look_at_works(trace, now);
            waits = now + WAITS_NS;
        }
        if (next < now - LOOK_NS)
            next = now; /* it was kept from looking, and does not make up for it */
        sleep_until(next + LOOK_NS);
    }
    return lives;
}

static int follow(struct trace *trace, const struct request *request, FILE *out)
{
    struct sigaction action = { .sa_handler = interrupt };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int64_t began = clock_now();
    spans_begin(&trace->spans, out, &trace->window);
    bool lives = look_on(trace, began + request->pause_ms * 1000000), failed = trace->spans.failed;
    size_t pools = trace->sight.pool_count, queues = trace->sight.queue_count;
    spans_end(&trace->spans, clock_now());
    sight_free(&trace->sight);
    free(trace->depths);
    if (request->output)
        printf("%s: spans: %lu, pools: %zu, queues: %zu; looks: %lu in %.1f s\n", request->output, trace->spans.count,
               pools, queues, trace->looks, (double)(clock_now() - began) / 1e9);
    if (!lives)
        fputs("brood: the family ended while it was looked at: what was seen until then is there\n", stderr);
    return failed ? command_fail("no memory: some spans are missing") : STATUS_FINE;
}

static int write_to(struct trace *trace, const struct request *request)
{
    char why[WINDOW_WHY];
    FILE *out = request->output ? fopen(request->output, "we") : stdout;
    if (!out) {
        snprintf(why, sizeof why, "%.150s cannot be written to: %s", request->output, strerror(errno));
        return command_fail(why);
    }
    int status = follow(trace, request, out);
    if (!request->output)
        return status; /* main looks at standard output */
    bool was_good = fflush(out) == 0 && !ferror(out);
    int failed = errno;
    if (fclose(out) == 0 && was_good)
        return status;
    snprintf(why, sizeof why, "%.150s could not be written: %s", request->output, strerror(was_good ? errno : failed));
    return command_fail(why);
}

int command_trace(const struct request *request)
{
    struct families families;
    struct trace trace = { 0 };
    char why[WINDOW_WHY];
    int status = STATUS_FAILED;
    if (!request->pid)
        return command_fail("trace: the id of a process must be given (brood ps lists them)");
    families_find(&families, request->pid);
    if (families.count == 0) {
        family_missing(request->pid, why, sizeof why);
        command_fail(why);
    } else if (!window_open(&trace.window, &families.all[0], why)) {
        command_fail(why);
    } else {
        trace.family = families.all[0];
        status = write_to(&trace, request);
        window_close(&trace.window);
    }
    families_free(&families);
    return status;
}
