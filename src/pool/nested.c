/* pool/nested.c: what a task asks of its own pool.
 *
 * Its worker runs the items itself, one after another: so it waits for nobody, and nested calls come to an end at any
 * depth, however few workers there are. They are part of the task: its turn, its limits, and its death.
 */
#include "error/error.h"
#include "os/clock.h"
#include "pool/pool.h"
#include "pool/task.h"
#include "process/end.h"
#include "region/heap.h"
#include "region/region.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS INT64_C(1000000)

bool task_is_of(const struct brood_pool *pool)
{
    return pool && worker_here && worker_here->pool == pool && task_is_here() && (task_here.job || task_here.call);
}

/* Where results are made, of which those of failed items are not to be seen. */
struct scratch {
    void *out;          /* NULL: they are made in place */
    brood_block *reply; /* of the innermost nest; NULL: they are no blocks */
};

/* A nest is in the chain, or is `spare`, or for a moment both: whoever finds both ends what was begun. */
static bool push_nest(struct worker *worker)
{
    struct nest *nest = heap_take_into((void **)&worker->spare, sizeof *nest);
    if (!nest)
        return false;
    heap_label(nest, "reply of a task");
    nest->outer = worker->nest;
    atomic_signal_fence(memory_order_seq_cst); /* the keeper reads these as a death in program order left them */
    worker->nest = nest;
    atomic_signal_fence(memory_order_seq_cst);
    worker->spare = NULL;
    return true;
}

static void give_spare(struct worker *worker)
{
    struct nest *nest = worker->spare;
    if (nest->reply.data)
        heap_give(nest->reply.data, &nest->reply.data);
    heap_give(nest, (void **)&worker->spare);
}

static void pop_nest(struct worker *worker)
{
    worker->spare = worker->nest;
    atomic_signal_fence(memory_order_seq_cst);
    worker->nest = worker->nest->outer;
    give_spare(worker);
}

void task_settle_nests(struct worker *worker)
{
    if (worker->spare == worker->nest)
        worker->spare = NULL;
    else if (worker->spare)
        give_spare(worker);
    while (worker->nest)
        pop_nest(worker);
}

static int make_scratch(const struct map *map, const char *call, struct scratch *scratch)
{
    *scratch = (struct scratch){ 0 };
    if (map->out_size == BROOD_BLOCKS)
        scratch->reply = push_nest(worker_here) ? &worker_here->nest->reply : NULL;
    else if (map->out_size && !region_holds(map->out, map->count * map->out_size))
        scratch->out = malloc(map->out_size);
    else
        return 0;
    return scratch->reply || scratch->out ? 0 : error_set(ENOMEM, "%s: no memory for a result", call);
}

static void free_scratch(const struct scratch *scratch)
{
    free(scratch->out);
    if (scratch->reply)
        pop_nest(worker_here);
}

/* What the item's task is handed to write to. */
static void *prepare(const struct map *map, const struct scratch *scratch, size_t item)
{
    if (scratch->reply || !map->out_size)
        return NULL;
    return scratch->out ? memset(scratch->out, 0, map->out_size) : (char *)map->out + item * map->out_size;
}

static void hand_over(const struct map *map, const struct scratch *scratch, size_t item, bool returned)
{
    if (scratch->out && returned)
        memcpy((char *)map->out + item * map->out_size, scratch->out, map->out_size);
    if (!scratch->reply)
        return;
    brood_block block = *scratch->reply;
    if (!returned && block.data)
        heap_give(block.data, &scratch->reply->data);
    *scratch->reply = (brood_block){ 0 };
    atomic_signal_fence(memory_order_seq_cst); /* the keeper gives back nothing that has been handed out */
    if (returned)
        ((brood_block *)map->out)[item] = block;
}

/* The item's end, and what its task said of it; the note is empty before and after. */
static void run_item(const struct map *map, brood_task *task, const struct scratch *scratch, size_t item,
                     brood_end *end)
{
    const struct task_here outer = task_here;
    brood_block block = { (void *)(uintptr_t)map->in, map->in_size };
    if (task_varies(map->in_size))
        block = task_item(map->in, map->in_size, item);
    else if (map->in_size)
        block.data = (char *)(uintptr_t)map->in + item * map->in_size;
    int64_t began = clock_now(), soft = map->options.soft_ms ? began + map->options.soft_ms * NS_PER_MS : 0;
    task_here.nested = &item;
    task_here.size = block.size;
    task_here.soft = soft && (!outer.soft || soft < outer.soft) ? soft : outer.soft;
    task_here.reply = scratch->reply;
    int code = task_run(task, block.size || !map->in_size ? block.data : NULL, prepare(map, scratch, item));
    task_here = outer;
    *end = (brood_end){ .how = code ? BROOD_FAILED : BROOD_RETURNED, .code = code, .attempt = 1, .index = item };
    end->pid = (int)worker_here->pid;
    end->wall_us = (clock_now() - began) / 1000;
    if (code)
        memcpy(end->why, worker_here->note.why, sizeof end->why);
    if (code && !end->why[0])
        snprintf(end->why, sizeof end->why, "returned %d", code);
    worker_here->note.why[0] = 0;
    if (worker_here->trace)
        trace_nested(worker_here, end, began);
    hand_over(map, scratch, item, code == 0);
}

int task_run_nested(struct map *map, const char *call, brood_task *task)
{
    const brood_task_options *options = &map->options;
    struct scratch scratch;
    brood_end end, first = { 0 };
    int failed = map_check(map, call, task);
    if (failed < 0 || (failed = make_scratch(map, call, &scratch)) < 0)
        return failed;
    struct end_note outer = worker_here->note;
    worker_here->note.why[0] = 0;
    progress_begin(&map->progress, options);
    for (size_t i = 0; i < map->count; i++) {
        run_item(map, task, &scratch, i, &end);
        if (options->ends)
            options->ends[i] = end;
        if (end.how != BROOD_RETURNED && failed < INT32_MAX && failed++ == 0)
            first = end;
        if (progress_is_due(&map->progress, false))
            progress_tell(&map->progress, i + 1, map->count, (size_t)failed, false);
    }
    worker_here->note = outer;
    free_scratch(&scratch);
    progress_tell(&map->progress, map->count, map->count, (size_t)failed, true);
    if (failed)
        error_tell("%d of %zu tasks failed; the first, item %zu: %s", failed, map->count, first.index, first.why);
    return failed;
}
