/* report.c */
#include "report.h"

#include "command.h"
#include "words.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOCKS_MOST 12 /* lines */

static double seconds_between(const struct sight *sight, const struct sight *before)
{
    return before && sight->at > before->at ? (double)(sight->at - before->at) / 1e9 : 0;
}

/* ---- pools ---- */

static uint64_t progress_of(const struct seen_work *work)
{
    return work->is_map ? work->done : work->calls - work->queued;
}

double report_rate(const struct sight *sight, const struct sight *before, const struct seen_work *work)
{
    double seconds = seconds_between(sight, before);
    for (size_t i = 0; seconds > 0 && i < before->pool_count; i++)
        for (unsigned k = 0; k < before->pools[i].works; k++) {
            const struct seen_work *then = &before->pools[i].work[k];
            if (then->object == work->object && then->is_map == work->is_map && then->items == work->items &&
                progress_of(then) <= progress_of(work))
                return (double)(progress_of(work) - progress_of(then)) / seconds;
        }
    return -1;
}

static void print_work(FILE *out, const struct sight *sight, const struct sight *before, const struct seen_work *work)
{
    char left[WORDS_SIZE];
    double rate = report_rate(sight, before, work);
    if (work->is_map) {
        uint64_t tenths = work->items ? work->done * 1000 / work->items : 0;
        fprintf(out, "    map: %" PRIu64 " of %" PRIu64 " items (%" PRIu64 ".%" PRIu64 " %%)", work->done, work->items,
                tenths / 10, tenths % 10);
    } else {
        fprintf(out, "    calls: %" PRIu64 " so far, %" PRIu64 " queued", work->calls, work->queued);
    }
    if (rate >= 0)
        fprintf(out, ", %.0f/s", rate);
    if (work->is_map && rate >= 1)
        fprintf(out, ", %s left", words_time(left, (int64_t)((double)(work->items - work->done) / rate * 1000)));
    if (work->failures)
        fprintf(out, ", %u%s failure%s (last: %s)", work->failures, work->more ? "+" : "",
                work->failures == 1 ? "" : "s", work->last);
    putc('\n', out);
}

static void print_workers(FILE *out, const struct sight *sight, const struct seen_pool *pool)
{
    char time[WORDS_SIZE];
    for (unsigned i = 0; pool->workers && i < pool->count; i++) {
        const struct seen_worker *worker = &pool->workers[i];
        if (!worker->pid && i >= pool->wanted)
            continue; /* a place that the pool has grown out of */
        fprintf(out, "    %7d  %s", worker->pid, worker->doing);
        if (worker->began > 0 && sight->at > worker->began)
            fprintf(out, ", for %s", words_time(time, (sight->at - worker->began) / 1000000));
        putc('\n', out);
    }
}

static void print_pools(FILE *out, const struct sight *sight, const struct sight *before)
{
    if (sight->pool_count)
        fputs("POOLS\n", out);
    for (size_t i = 0; i < sight->pool_count; i++) {
        const struct seen_pool *pool = &sight->pools[i];
        fprintf(out, "  '%s' of process %d: %u workers, %u alive, %u busy%s%s\n", pool->name, pool->creator,
                pool->wanted, pool->alive, pool->busy,
                pool->broken    ? "; BROKEN: "
                : pool->closing ? "; ending"
                                : "",
                pool->broken ? pool->why : "");
        for (unsigned k = 0; k < pool->works; k++)
            print_work(out, sight, before, &pool->work[k]);
        print_workers(out, sight, pool);
    }
}

/* ---- queues ---- */

static const struct seen_queue *queue_then(const struct sight *before, const struct seen_queue *queue)
{
    for (size_t i = 0; before && i < before->queue_count; i++)
        if (before->queues[i].object == queue->object && before->queues[i].got <= queue->got &&
            before->queues[i].put <= queue->put)
            return &before->queues[i];
    return NULL;
}

static void print_queue(FILE *out, const struct seen_queue *queue, const struct seen_queue *then, double seconds)
{
    char most[24] = "-", bytes[WORDS_SIZE], put[24] = "-", got[24] = "-";
    if (queue->max_messages)
        snprintf(most, sizeof most, "%" PRIu64, queue->max_messages);
    if (then && seconds > 0) {
        snprintf(put, sizeof put, "%.0f", (double)(queue->put - then->put) / seconds);
        snprintf(got, sizeof got, "%.0f", (double)(queue->got - then->got) / seconds);
    }
    fprintf(out, "  %-32s %9" PRIu64 " %9s %9s %10s %10s %5u%s", queue->what, queue->messages, most,
            words_bytes(bytes, queue->bytes), put, got, queue->waiters,
            queue->waiters == 0  ? ""
            : queue->has_putters ? " to put"
            : queue->has_getters ? " to get"
                                 : "");
    if (queue->lent)
        fprintf(out, ", %u borrowed", queue->lent);
    if (queue->returned)
        fprintf(out, ", %u came back", queue->returned);
    fprintf(out, "%s\n", queue->closed ? ", closed" : "");
}

static void print_queues(FILE *out, const struct sight *sight, const struct sight *before)
{
    if (sight->queue_count)
        fprintf(out, "%-34s %9s %9s %9s %10s %10s %5s\n", "QUEUES", "MESSAGES", "OF", "BYTES", "PUT/S", "GOT/S",
                "WAIT");
    for (size_t i = 0; i < sight->queue_count; i++)
        print_queue(out, &sight->queues[i], queue_then(before, &sight->queues[i]), seconds_between(sight, before));
}

/* ---- locks ---- */

static int by_waiters(const void *a, const void *b)
{
    const struct seen_lock *const *left = a, *const *right = b;
    if ((*left)->waiters != (*right)->waiters)
        return (*left)->waiters < (*right)->waiters ? 1 : -1;
    return ((*left)->object > (*right)->object) - ((*left)->object < (*right)->object);
}

static void print_lock(FILE *out, const struct sight *sight, const struct seen_lock *lock)
{
    char held[WORDS_SIZE] = "-", holder[64];
    if (lock->held_ms >= 0)
        words_time(held, lock->held_ms);
    if (lock->holder)
        snprintf(holder, sizeof holder, "'%s' (%d)", sight_name(sight, lock->holder), lock->holder);
    else
        snprintf(holder, sizeof holder, "left by %d, dead", lock->last);
    fprintf(out, "  %-32s %-30s %10s %8u\n", lock->what, holder, held, lock->waiters);
}

static void print_locks(FILE *out, const struct sight *sight)
{
    const struct seen_lock **sorted = sight->lock_count ? malloc(sight->lock_count * sizeof *sorted) : NULL;
    if (!sorted)
        return;
    for (size_t i = 0; i < sight->lock_count; i++)
        sorted[i] = &sight->locks[i];
    qsort(sorted, sight->lock_count, sizeof *sorted, by_waiters);
    fprintf(out, "%-34s %-30s %10s %8s\n", "LOCKS", "HOLDER", "FOR", "WAITERS");
    for (size_t i = 0; i < sight->lock_count && i < LOCKS_MOST; i++)
        print_lock(out, sight, sorted[i]);
    if (sight->lock_count > LOCKS_MOST)
        fprintf(out, "  and %zu more that are held\n", sight->lock_count - LOCKS_MOST);
    free(sorted);
}

/* ---- processes, and the heap ---- */

static void print_processes(FILE *out, const struct sight *sight, const struct sight *before)
{
    char resident[WORDS_SIZE], own[WORDS_SIZE], cpu[16], wait[320];
    double seconds = seconds_between(sight, before);
    fprintf(out, "%7s  %-20s  %-13s  %6s  %8s  %8s  %s\n", "PID", "PROCESS", "STATE", "CPU %", "RESIDENT", "OWN",
            "WAITS FOR");
    for (size_t i = 0; i < sight->process_count; i++) {
        const struct seen_process *process = &sight->processes[i];
        const struct seen_process *then = before ? sight_process(before, process->pid) : NULL;
        snprintf(cpu, sizeof cpu, "-");
        if (then && seconds > 0 && process->cpu_ms >= then->cpu_ms)
            snprintf(cpu, sizeof cpu, "%.0f", (double)(process->cpu_ms - then->cpu_ms) / seconds / 10);
        wait[0] = 0;
        for (size_t k = 0; k < sight->wait_count && !wait[0]; k++)
            if (sight->waits[k].pid == process->pid)
                say_wait(sight, &sight->waits[k], wait, sizeof wait);
        fprintf(out, "%7d  %-20.31s  %-13s  %6s  %8s  %8s  %s\n", process->pid, process->name,
                words_state(process->state), cpu, words_bytes(resident, (uint64_t)process->resident),
                words_bytes(own, (uint64_t)process->own), wait);
    }
}

static void print_heap(FILE *out, const struct seen_heap *heap)
{
    char used[WORDS_SIZE], held[WORDS_SIZE], peak[WORDS_SIZE], limit[WORDS_SIZE], backed[WORDS_SIZE];
    fprintf(out, "HEAP  %s%s in %" PRIu64 " blocks, of %s taken (%s at most so far) of %s; %s of memory\n",
            heap->partly ? "over " : "", words_bytes(used, heap->used), heap->blocks, words_bytes(held, heap->held),
            words_bytes(peak, heap->peak), words_bytes(limit, heap->limit), words_bytes(backed, heap->backed));
    if (heap->overlooked)
        fputs("      (not all of them were looked through: there may be more queues and pools)\n", out);
}

void report_print(FILE *out, const struct sight *sight, const struct sight *before)
{
    const struct seen_process *first = first_of(sight);
    if (sight->has_ended || !first) {
        fputs("family: it has ended\n", out);
        return;
    }
    fprintf(out, "FAMILY of '%s' (%d): %zu process%s\n", first->name, first->pid, sight->process_count,
            sight->process_count == 1 ? "" : "es");
    print_heap(out, &sight->heap);
    print_pools(out, sight, before);
    print_queues(out, sight, before);
    print_locks(out, sight);
    print_processes(out, sight, before);
}
