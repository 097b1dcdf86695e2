/* pool/task.c: what a task may ask of the worker that runs it. brood/task.h is the manual. */
#include "pool/task.h"

#include "error/error.h"
#include "os/clock.h"
#include "pool/pool.h"
#include "region/heap.h"
#include "region/region.h"

#include <errno.h>

struct worker *worker_here;

pid_t task_worker;

struct task_here task_here;

bool task_is_here(void)
{
    const struct worker *worker = worker_here;
    return worker && thread_self()->id == (uint32_t)atomic_load_explicit(&worker->pid, memory_order_relaxed);
}

size_t brood_task_index(void)
{
    struct worker *worker = worker_here;
    if (!task_is_here())
        return 0;
    if (task_here.nested)
        return *task_here.nested;
    if (task_here.call)
        return task_here.call->index;
    uint64_t item = task_here.job ? atomic_load_explicit(&worker->item, memory_order_relaxed) : 0;
    return item ? (size_t)item - 1 : 0;
}

size_t brood_task_size(void)
{
    return task_is_here() ? task_here.size : 0;
}

int brood_task_attempt(void)
{
    if (!task_is_here())
        return 0;
    if (task_here.nested)
        return 1;
    if (task_here.call)
        return (int)(atomic_load(&task_here.call->death) >> 32) + 1;
    return task_here.job ? job_attempt(task_here.job, brood_task_index()) : 0;
}

int brood_task_expired(void)
{
    if (!task_is_here())
        return 0;
    if (task_here.call && atomic_load_explicit(&task_here.call->cancelled, memory_order_relaxed))
        return 1;
    if (task_here.job && atomic_load_explicit(&task_here.job->refused, memory_order_relaxed))
        return 1;
    return task_here.soft && clock_now() >= task_here.soft;
}

void *brood_task_reply(size_t size)
{
    if (region_enter() < 0)
        return NULL;
    brood_block *reply = task_is_here() ? task_here.reply : NULL;
    if (!reply || size == 0) {
        error_set(EINVAL, "brood_task_reply: %s", reply ? "a reply of 0 bytes" : "no task that replies runs here");
        return NULL;
    }
    if (reply->data)
        heap_give(reply->data, &reply->data);
    reply->size = 0;
    if (heap_take_into(&reply->data, size))
        reply->size = size;
    else
        error_set(ENOMEM, "brood_task_reply: no memory in the region for %zu bytes", size);
    if (reply->data)
        heap_label(reply->data, "reply of a task");
    return reply->data;
}
