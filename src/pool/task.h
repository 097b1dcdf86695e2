/* pool/task.h: what runs in this process, if that is a pool's worker. */
#ifndef POOL_TASK_H
#define POOL_TASK_H

#include "os/wiped.h"
#include "pool/map.h"

#include <stdatomic.h>
#include <sys/types.h>
#include <unistd.h>

struct call;

extern struct worker *worker_here; /* in a worker: its record */
extern pid_t task_worker;          /* the worker's process, also in a copy of it that a task has made */

/* An item of the job, or the call; none. By the worker's thread. */
struct task_here {
    struct job *job;
    struct call *call;
    const size_t *nested; /* an item's index of a call that the task itself has made; NULL: none */
    size_t size;          /* of the item */
    int64_t soft;         /* when it should end: os/clock.h; 0: never */
    brood_block *reply;   /* where brood_task_reply puts its block; NULL: it is not asked for */
};

extern struct task_here task_here;

/* Not in other threads of the worker, nor in a child that a task has forked. */
bool task_is_here(void);

/* Code of the user's may fork and come back twice: the copy is no worker, and ends before it touches what is one's. A
 * fork has wiped what the process knows of itself. */
static inline void task_end_copy(void)
{
    if (atomic_load_explicit(&wiped->process, memory_order_relaxed) != task_worker)
        _exit(0);
}

static inline int task_run(brood_task *task, const void *in, void *out)
{
    int code = task(in, out);
    task_end_copy();
    return code;
}

/* Whether a task of that pool runs here, which asks its own pool for something. */
bool task_is_of(const struct brood_pool *pool);

/* Runs such a call's items here. What the call returns. */
int task_run_nested(struct map *map, const char *call, brood_task *task);

/* Where a block that an item of such a call replies stands until the item has returned: itself a block of the region,
 * in a chain from the worker's record. By the worker; by the keeper for a dead one. */
struct nest {
    brood_block reply;
    struct nest *outer;
};

/* The worker is gone: so are these, and what they hold. May be repeated. */
void task_settle_nests(struct worker *worker);

#endif
