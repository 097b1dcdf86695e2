/* pool/worker.c: a worker: claims chunks, runs their items, sleeps when there is nothing to claim. */
#include "os/child.h"
#include "os/clock.h"
#include "pool/pool.h"
#include "process/end.h"

#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

static struct worker *worker_here; /* in a worker: its record */

size_t brood_task_index(void)
{
    struct worker *worker = worker_here;
    uint64_t item = worker ? atomic_load_explicit(&worker->item, memory_order_relaxed) : 0;
    return item ? (size_t)item - 1 : 0;
}

/* The function of that name in this process, or NULL with *failed = -errno; the last one found is remembered. */
static brood_task *task_of(const struct module_function *name, int *failed)
{
    static struct module_function last_name;
    static brood_task *last;
    if (!last || memcmp(&last_name, name, sizeof last_name) != 0) {
        uintptr_t address;
        char why[64];
        *failed = module_find(name, &address, why, sizeof why);
        if (*failed < 0)
            return NULL;
        memcpy(&last, &address, sizeof last);
        last_name = *name;
    }
    return last;
}

/* An item's task did not return 0, or said something all the same. */
static void report(struct job *job, struct worker *worker, uint64_t item, int code)
{
    brood_end end = { .how = BROOD_FAILED, .code = code, .pid = (int)worker->pid, .attempt = 1, .index = item };
    if (code != 0) {
        memcpy(end.why, worker->note.why, sizeof end.why);
        if (!end.why[0])
            snprintf(end.why, sizeof end.why, "returned %d", code);
        job_report(job, worker, &end);
        job_seal(job, item, BROOD_FAILED);
    }
    worker->note.why[0] = 0;
}

static void run_items(struct job *job, struct worker *worker, brood_task *task, uint64_t begin, uint64_t end)
{
    const char *in = job->in + begin * job->in_size;
    char *out = job->out_size ? job->out + begin * job->out_size : NULL;
    int32_t pid = atomic_load(&worker->pid);
    for (uint64_t item = begin; item < end; item++) {
        /* Release: the results of the items before come first; pairs with nothing but this process' death. */
        atomic_store_explicit(&worker->item, item + 1, memory_order_release);
        if (job->pids)
            atomic_store_explicit(&job->pids[item], pid, memory_order_relaxed);
        int code = task(in, out);
        if (code != 0 || worker->note.why[0])
            report(job, worker, item, code);
        in += job->in_size;
        out += job->out_size;
    }
    atomic_store_explicit(&worker->item, end + 1, memory_order_release); /* what follows is no item's fault */
}

/* True: there was something to do. */
static bool work_on(struct brood_pool *pool, struct worker *worker, struct job *job)
{
    int failed = 0;
    uint64_t begin, end;
    bool worked = false;
    if (!job_is_open(job))
        return false;
    brood_task *task = task_of(&job->task, &failed);
    if (!task) {
        job_refuse(job, failed);
        return false;
    }
    while (!atomic_load_explicit(&pool->closing, memory_order_relaxed) && job_claim(job, worker, &begin, &end)) {
        run_items(job, worker, task, begin, end);
        if (__fpending(stdout))
            fflush(stdout); /* what a task prints is out before the map returns */
        job_chunk_done(job, worker);
        atomic_store_explicit(&worker->served, true, memory_order_relaxed);
        worked = true;
    }
    job_check_finished(job);
    return worked;
}

/* The job at a place; NULL: none. `look` is set first, then the place is looked at again: what is still there then was
 * not withdrawn before we named it, so its caller will see the name and not free it. Only then it is `job`: the keeper
 * follows that one if we die. */
static struct job *enter(struct worker *worker, struct place *place)
{
    struct job *job = atomic_load(&place->job);
    if (!job)
        return NULL;
    atomic_store(&worker->look, job);
    if (atomic_load(&place->job) == job) {
        atomic_store(&worker->job, job);
        return job;
    }
    atomic_store(&worker->look, NULL);
    return NULL;
}

static void leave(struct worker *worker)
{
    atomic_store(&worker->job, NULL);
    atomic_store(&worker->look, NULL);
}

/* Looks at every job once. True: there was something to do. */
static bool work(struct brood_pool *pool, struct worker *worker)
{
    bool worked = false;
    for (int i = 0; i < POOL_JOBS; i++) {
        struct job *job = enter(worker, &pool->places[i]);
        if (!job)
            continue;
        worked |= work_on(pool, worker, job);
        leave(worker);
    }
    return worked;
}

/* What idle workers wait for: the same for all of them, as a bell wants it. */
static bool work_is_there(void *context)
{
    struct worker *worker = context;
    bool open = atomic_load(&worker->pool->closing);
    for (int i = 0; i < POOL_JOBS && !open; i++) {
        struct job *job = enter(worker, &worker->pool->places[i]);
        if (!job)
            continue;
        open = job_is_open(job);
        leave(worker);
    }
    return open;
}

int worker_main(void *arg)
{
    struct worker *worker = arg;
    struct brood_pool *pool = worker->pool;
    sigset_t none;
    sigemptyset(&none);
    signal(SIGTERM, SIG_DFL); /* the keeper's handler */
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    child_offer_to_oom_killer();
    atomic_store(&worker->served, false);
    worker->slot = table_self("worker");
    atomic_store(&worker->pid, getpid());
    worker_here = worker;
    end_note_to(&worker->note);
    while (!atomic_load(&pool->closing))
        if (!work(pool, worker))
            bell_wait(thread_self(), &pool->work, work_is_there, worker, CLOCK_NEVER);
    return 0;
}
