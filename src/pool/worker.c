/* pool/worker.c: a worker: claims chunks and calls, runs them, and when there is nothing to claim looks out for a
 * moment, then sleeps.
 */
#include "error/error.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/proc.h"
#include "pool/function.h"
#include "pool/pool.h"
#include "pool/task.h"
#include "process/end.h"
#include "region/heap.h"
#include "region/region.h"
#include "wait/spin.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#define UNTIED_LOOK 1000000000 /* ns between looks whether the keeper lives, of an idle worker that may not be told */
#define CALLS_AT_ONCE 64       /* before other work gets a look */
#define LOOKS_AT_ONCE 32       /* of a lookout, before it asks for the time */
#define YIELDS 2
#define NS_PER_MS INT64_C(1000000)
#define LOOKOUT_LEAST 4000 /* ns: what going to sleep costs */
#define CHUNK_LEAST 50000  /* ns that a worker stays at a chunk though other work has come */
#define LOOK_LEAST 50000   /* ns between looks at its own memory: each costs some 10 us */

/* Those that were picked last. */
struct picks {
    struct pick list[RACK_PICKS];
    int count, next; /* how many, and which it comes by next */
    bool go_on;      /* what is left of them is next in the next round, too, if nothing has come meanwhile */
    uint32_t returned;
};

static pid_t keeper_here; /* the one that started this worker */

/* The function of that name in this process, or NULL with *failed = -errno. */
static brood_task *task_of(const struct module_function *name, int *failed)
{
    uintptr_t address;
    brood_task *task = NULL;
    *failed = function_find(name, &address);
    if (*failed == 0)
        memcpy(&task, &address, sizeof task);
    return task;
}

/* ---- turns ---- */

/* Of a task that has begun now. */
static void open_turn(struct worker *worker, int64_t now, int soft_ms, int hard_ms, int64_t max_memory)
{
    struct turn *turn = &worker->turn;
    task_here.soft = soft_ms ? now + soft_ms * NS_PER_MS : 0;
    atomic_store_explicit(&turn->began, now, memory_order_relaxed);
    atomic_store_explicit(&turn->hard, hard_ms ? now + hard_ms * NS_PER_MS : 0, memory_order_relaxed);
    atomic_store_explicit(&turn->most, max_memory ? proc_private_bytes(0) + max_memory : 0, memory_order_relaxed);
    turn_open(turn);
}

static void close_turn(struct worker *worker)
{
    if (turn_close(&worker->turn))
        return;
    for (;;) /* condemned: it is killed in a moment, or with its keeper */
        pause();
}

/* So many items more may this worker run, before it is replaced. */
static uint64_t left_here = UINT64_MAX;

static bool spent_here; /* it has, or has more memory than it may keep */

/* The pool has become smaller, and has no place for it any more. Sequentially consistent: it is looked at behind the
 * bell that who made it so has rung. */
static bool is_too_many(const struct worker *worker)
{
    return worker->index >= atomic_load(&worker->pool->wanted);
}

static int64_t looked_here; /* when it last looked how much that is */

/* After so many items. */
static void spend(const struct brood_pool *pool, uint64_t items)
{
    left_here -= items;
    spent_here |= left_here == 0 || is_too_many(worker_here);
    if (!pool->max_memory || (looked_here && clock_now() - looked_here < LOOK_LEAST))
        return;
    spent_here |= proc_private_bytes(0) > pool->max_memory;
    looked_here = clock_now();
}

/* ---- maps ---- */

/* An item's task did not return 0, or said something all the same. */
static void report(struct job *job, struct worker *worker, uint64_t item, int code)
{
    brood_end end = { .how = BROOD_FAILED, .code = code, .pid = (int)worker->pid, .attempt = 1, .index = item };
    if (code != 0) {
        memcpy(end.why, worker->note.why, sizeof end.why);
        if (!end.why[0])
            snprintf(end.why, sizeof end.why, "returned %d", code);
        if (job->replies)
            job_forget_reply(job, item);
        job_report(job, worker, &end);
        job_seal(job, item, &end);
        tally_add(&worker->tally.ended[BROOD_FAILED], 1);
        tally_add(&worker->tally.failed_here, 1);
    }
    worker->note.why[0] = 0;
}

/* One item of a map whose items vary in size, or are timed. */
static int run_noting(struct job *job, brood_task *task, uint64_t item, const void *in, void *out)
{
    if (job->in_varies) {
        const brood_block *block = in;
        in = block->data;
        task_here.size = block->size;
    }
    if (job->replies) {
        task_here.reply = out;
        out = NULL;
    }
    struct worker *worker = worker_here;
    int32_t pid = atomic_load_explicit(&worker->pid, memory_order_relaxed);
    if (!job_is_timed(job))
        return task_run(task, in, out);
    if (!job->limited)
        atomic_store_explicit(&worker->turn.began, clock_now(), memory_order_relaxed);
    int64_t began = atomic_load_explicit(&worker->turn.began, memory_order_relaxed);
    if (job->pids)
        atomic_store_explicit(&job->pids[item], pid, memory_order_relaxed);
    if (worker->trace)
        trace_task_begins(worker, job->task, item, began);
    int code = task_run(task, in, out);
    int64_t wall = clock_now() - began, wall_us = wall / 1000;
    if (job->walls)
        atomic_store_explicit(&job->walls[item], wall_us < INT32_MAX ? (int32_t)wall_us : INT32_MAX,
                              memory_order_relaxed);
    if (worker->trace)
        trace_task_ends(worker, began + wall, code);
    tally_slow(&worker->tally, job->task, item, wall, code ? BROOD_FAILED : BROOD_RETURNED, pid);
    return code;
}

/* An item's own turn. False: the job is not wanted any more. That is looked at when the turn is open: whoever says so
 * then looks for the turn. */
static bool open_item(const struct job *job, struct worker *worker)
{
    open_turn(worker, clock_now(), job->soft_ms, job->hard_ms, job->max_memory);
    return !atomic_load(&job->refused);
}

/* What a task prints is out before its map returns. That may last, at a pipe that is full: where items have turns of
 * their own this is one too, with the limits of an item, so that it can be ended, though no item is at fault. What is
 * not wanted any more stays for the next flush: whoever says so looks for a turn that is open. */
static void flush_output(const struct job *job, struct worker *worker)
{
    if (!__fpending(stdout))
        return;
    if (job->limited)
        open_turn(worker, clock_now(), 0, job->hard_ms, 0);
    if (!job->limited || !atomic_load(&job->refused))
        fflush(stdout);
    if (job->limited)
        close_turn(worker);
}

static uint32_t seen_here; /* the pool's offers when this worker last looked what to do */

/* Something was put since then. */
static bool has_come(const struct brood_pool *pool)
{
    return atomic_load_explicit(&pool->offers, memory_order_relaxed) != seen_here;
}

/* The same, and it may go before what is of that level. */
static bool is_passed(const struct brood_pool *pool, unsigned level)
{
    uint32_t higher = (1U << level) - 1;
    return (atomic_load_explicit(&pool->levels, memory_order_relaxed) & higher) && has_come(pool);
}

/* Whether a worker that has been at a chunk since `began` leaves the rest of it for what has come. */
static bool gives_way(const struct job *job, int64_t began)
{
    return job->loose && has_come(job->work.pool) && clock_now() - began > CHUNK_LEAST;
}

/* The items from `begin` on, to `most`, or until no more are wanted, or other work goes before: where it stopped.
 * `end`: the chunk's. */
static uint64_t run_items(struct job *job, struct worker *worker, brood_task *task, uint64_t begin, uint64_t most,
                          uint64_t end)
{
    const char *in = job->in + begin * job->in_size;
    char *out = job->out_size ? job->out + begin * job->out_size : NULL;
    bool noting = job_is_timed(job) || job->in_varies || job->replies;
    uint64_t item = begin;
    int64_t began = most - begin > 1 && job->loose ? clock_now() : 0;
    task_here.job = job;
    task_here.size = job->in_size;
    for (; item < most && !atomic_load_explicit(&job->refused, memory_order_relaxed); item++) {
        if (item > begin && gives_way(job, began))
            break;
        /* Release: the results of the items before come first; pairs with nothing but this process' death. */
        atomic_store_explicit(&worker->item, item + 1, memory_order_release);
        if (job->limited && !open_item(job, worker)) {
            close_turn(worker);
            atomic_store_explicit(&worker->item, item, memory_order_release); /* it is in none again */
            break;
        }
        int code = noting ? run_noting(job, task, item, in, out) : task_run(task, in, out);
        if (code != 0 || worker->note.why[0])
            report(job, worker, item, code);
        if (job->limited)
            close_turn(worker);
        in += job->in_size;
        out += job->out_size;
    }
    memset(&task_here, 0, sizeof task_here);
    if (item == end) /* what follows is no item's fault */
        atomic_store_explicit(&worker->item, end + 1, memory_order_release);
    else
        job_stop_at(job, worker, item);
    return item;
}

/* A task may have untied this worker from its keeper, by a change of user and by closing what ties it besides: then it
 * ends by itself. The keeper holds the seat's duty word for its life, and no other keeper has its thread's id. */
static void follow_keeper(const struct worker *worker)
{
    uint32_t duty = atomic_load_explicit(&worker->pool->seats[0].duty.word, memory_order_relaxed);
    if ((duty & FUTEX_TID_MASK) != (uint32_t)keeper_here && getppid() != keeper_here)
        kill(getpid(), SIGKILL);
}

/* Sequentially consistent: as is_too_many. */
static bool is_closing(const struct brood_pool *pool)
{
    return atomic_load(&pool->closing);
}

/* Until there is no chunk to claim, or other work has come. True: there was something to do. */
static bool work_on_map(struct brood_pool *pool, struct worker *worker, struct job *job)
{
    int failed = 0;
    uint64_t begin, end;
    bool worked = false;
    if (!job_is_open(job))
        return false;
    brood_task *task = task_of(job->task, &failed);
    if (!task) {
        job_refuse(job, failed);
        return false;
    }
    if (!job->limited) {
        atomic_store_explicit(&worker->turn.began, 0, memory_order_relaxed);
        atomic_store_explicit(&worker->turn.hard, 0, memory_order_relaxed);
        atomic_store_explicit(&worker->turn.most, 0, memory_order_relaxed);
        turn_open(&worker->turn);
    }
    while (!is_closing(pool) && job_claim(job, worker, &begin, &end)) {
        uint64_t most = end - begin < left_here ? end : begin + left_here;
        if (!worked)
            tally_begin(&worker->tally, clock_now());
        uint64_t item = run_items(job, worker, task, begin, most, end);
        flush_output(job, worker);
        tally_chunk(&worker->tally, item);
        if (item < end) {
            job_leave_chunk(job, worker, item);
            atomic_fetch_add(&pool->returned, 1);
            pool_offer(pool); /* to those who found nothing to claim; what is left here may take its time to leave */
        } else {
            job_chunk_done(job, worker);
        }
        atomic_store_explicit(&worker->served, true, memory_order_relaxed);
        worked = true;
        follow_keeper(worker);
        spend(pool, item - begin);
        if (has_come(pool) || spent_here)
            break;
    }
    if (worked)
        tally_stop(&worker->tally, clock_now());
    if (!job->limited)
        close_turn(worker);
    job_check_finished(job);
    return worked;
}

/* ---- calls ---- */

static void run_call(struct worker *worker, struct call *call)
{
    int failed = 0;
    brood_end *end = &call->end;
    brood_task *task = task_of(call->task, &failed);
    call->began = clock_now();
    tally_begin(&worker->tally, call->began);
    open_turn(worker, call->began, call->soft_ms, call->hard_ms, call->max_memory);
    bool wanted = !atomic_load(&call->cancelled);
    /* Release: what was found out about the call comes first; pairs with nothing but this process' death. */
    atomic_store_explicit(&worker->item, 1, memory_order_release);
    task_here.call = call;
    task_here.size = call->in_size;
    task_here.reply = call->replies ? &call->reply : NULL;
    if (worker->trace && task && wanted)
        trace_task_begins(worker, call->task, call->index, call->began);
    int code = task && wanted ? task_run(task, call->in, call->out) : failed;
    memset(&task_here, 0, sizeof task_here);
    if (__fpending(stdout))
        fflush(stdout);
    end->how = !wanted ? BROOD_CANCELLED : code ? BROOD_FAILED : BROOD_RETURNED;
    end->code = code;
    end->pid = (int)worker->pid;
    end->attempt = (int)(atomic_load_explicit(&call->death, memory_order_relaxed) >> 32) + 1;
    end->index = call->index;
    int64_t now = clock_now();
    end->wall_us = (now - call->began) / 1000;
    call->unfit = !task;
    if (worker->trace && task && wanted)
        trace_task_ends(worker, now, code);
    tally_stop(&worker->tally, now);
    tally_add(&worker->tally.ended[end->how], 1);
    tally_slow(&worker->tally, call->task, call->index, now - call->began, end->how, end->pid);
    if (end->how != BROOD_RETURNED) {
        memcpy(end->why, worker->note.why, sizeof end->why);
        end_explain(end);
        if (call->reply.data)
            heap_give(call->reply.data, &call->reply.data);
    }
    worker->note.why[0] = 0;
    /* Release: pairs with the acquire of the keeper, should we die before the cell says so too. */
    atomic_store_explicit(&call->how, (int32_t)end->how, memory_order_release);
    close_turn(worker);
}

static bool work_on_calls(struct brood_pool *pool, struct worker *worker, struct ring *ring)
{
    uint64_t number;
    struct call *call;
    int ran = 0;
    while (ran < CALLS_AT_ONCE && !is_closing(pool) && !spent_here && !(ran && is_passed(pool, ring->work.level)) &&
           (call = ring_claim(ring, worker, &number))) {
        spin_publish(&worker->cpu);
        run_call(worker, call);
        ring_done(ring, number);
        spend(pool, 1);
        atomic_store_explicit(&worker->served, true, memory_order_relaxed);
        ran++;
        follow_keeper(worker);
    }
    return ran > 0;
}

/* ---- finding them ---- */

/* The work at a place; NULL: none. `look` is set first, then the place is looked at again: what is still there then was
 * not withdrawn before we named it, so its caller will see the name and not free it. Only then it is `work`: the keeper
 * follows that one if we die. */
static struct work *enter(struct worker *worker, struct place *place)
{
    struct work *work = atomic_load(&place->work);
    if (!work)
        return NULL;
    atomic_store(&worker->look, work);
    if (atomic_load(&place->work) == work) {
        atomic_store_explicit(&worker->caller, work->caller, memory_order_relaxed); /* `work` makes it known */
        atomic_store(&worker->work, work);
        return work;
    }
    atomic_store(&worker->look, NULL);
    return NULL;
}

/* Nobody else would tell who waits for this one to leave a map that is not wanted any more. The job may be gone once
 * its name is: that it, or another, was refused after the look at it stands in the pool. Sequentially consistent: who
 * refuses says so, then looks for the name. */
static void leave(struct worker *worker, const struct work *work)
{
    uint32_t refusals = atomic_load(&worker->pool->refusals);
    bool refused = work->kind == WORK_MAP && atomic_load(&((const struct job *)(const void *)work)->refused);
    atomic_store(&worker->work, NULL);
    atomic_store(&worker->look, NULL);
    if (refused || atomic_load(&worker->pool->refusals) != refusals)
        pool_tell_callers(worker->pool);
}

static bool is_open(struct work *work)
{
    return work->kind == WORK_MAP ? job_is_open((struct job *)(void *)work) : ring_is_open((struct ring *)(void *)work);
}

static bool work_on(struct worker *worker, struct work *work)
{
    if (work->kind == WORK_MAP)
        return work_on_map(worker->pool, worker, (struct job *)(void *)work);
    return work_on_calls(worker->pool, worker, (struct ring *)(void *)work);
}

/* Whether something of what is offered is open. */
static bool find_work(struct worker *worker)
{
    bool found = false;
    for (struct rack *rack = &worker->pool->rack; rack && !found; rack = atomic_load(&rack->next)) {
        for (int i = 0; i < RACK_PLACES && !found; i++) {
            struct work *work = enter(worker, &rack->places[i]);
            if (!work)
                continue;
            found = is_open(work);
            leave(worker, work);
        }
    }
    return found;
}

/* The picks of the round before, if they are what would be picked again; else none. */
static void begin_round(const struct brood_pool *pool, struct picks *picks)
{
    if (picks->go_on && !has_come(pool) && picks->returned == atomic_load(&pool->returned))
        return;
    picks->returned = atomic_load(&pool->returned);
    picks->count = picks->next = 0;
    seen_here = atomic_load(&pool->offers);
}

/* Works on what is offered, in its order. Once something of a map was done, or calls and what follows is of another
 * level, the round is over: what has come meanwhile may go before the rest. True: there was something to do. */
static bool go_round(struct worker *worker)
{
    static bool from_map;
    static struct picks picks;
    uint64_t after = 0;
    bool worked = false, calls_first = from_map;
    begin_round(worker->pool, &picks);
    from_map = picks.go_on = false;
    do {
        if (picks.next == picks.count) {
            picks.count = rack_pick(&worker->pool->rack, calls_first, after, picks.list);
            picks.next = 0;
        }
        while (picks.next < picks.count && !spent_here) {
            const struct pick *next = &picks.list[picks.next];
            unsigned level = rack_level(next->order);
            if (worked && (level != rack_level(after) || is_passed(worker->pool, level)))
                return true;
            after = next->order;
            picks.next++;
            struct work *work = enter(worker, next->place);
            if (!work)
                continue;
            bool called = worked;
            worked |= work_on(worker, work);
            from_map = worked && work->kind == WORK_MAP;
            leave(worker, work);
            if (from_map) {
                picks.go_on = calls_first && !called && picks.next < picks.count;
                return true;
            }
        }
    } while (picks.count == RACK_PICKS && !spent_here);
    return worked;
}

/* What idle workers wait for: the same for all of them, as a bell wants it. */
static bool work_is_there(void *context)
{
    struct worker *worker = context;
    return is_closing(worker->pool) || spent_here || is_too_many(worker) || find_work(worker);
}

/* The caller was last seen on this processor: lets it run on, rather than be woken by it for each of its calls. */
static bool give_way(const struct brood_pool *pool, uint32_t seen)
{
    for (int i = 0; i < YIELDS && atomic_load(&pool->offers) == seen; i++)
        sched_yield();
    return atomic_load(&pool->offers) != seen;
}

/* Looks out, awake, for what comes after the offers that this worker has seen, if that pays and no other does. While
 * there is a lookout a caller does not ring; so whoever was it looks once more, and rings if there is more than it can
 * take. True: something has come. */
static bool look_out(struct worker *worker, uint32_t seen)
{
    struct brood_pool *pool = worker->pool;
    struct thread *self = thread_self();
    uint32_t nobody = 0, offers = seen;
    uint32_t caller = atomic_load_explicit(&pool->caller_cpu, memory_order_relaxed);
    if (caller == 0)
        return false;
    if (caller == (uint32_t)cpu_current() + 1)
        return give_way(pool, seen);
    if (!spin_pays(caller) || atomic_load_explicit(&pool->lookout, memory_order_relaxed) != 0)
        return false;
    spin_publish(&worker->cpu);
    if (!atomic_compare_exchange_strong(&pool->lookout, &nobody, worker->index + 1))
        return false;
    int64_t end = clock_now() + (self->spin > LOOKOUT_LEAST ? self->spin : LOOKOUT_LEAST);
    do {
        for (int i = 0; i < LOOKS_AT_ONCE && (offers = atomic_load(&pool->offers)) == seen; i++)
            cpu_pause();
    } while (offers == seen && !is_closing(pool) && clock_now() < end);
    atomic_store(&pool->lookout, 0);
    offers = atomic_load(&pool->offers);
    if (offers - seen > 1)
        pool_offer(pool);
    spin_learn(self, offers != seen);
    return offers != seen;
}

static void sleep_until_work(struct worker *worker)
{
    int64_t deadline = child_has_death_signal() ? CLOCK_NEVER : clock_now() + UNTIED_LOOK;
    if (deadline != CLOCK_NEVER && getppid() != keeper_here)
        kill(getpid(), SIGKILL);
    bell_wait(thread_self(), &worker->pool->work, work_is_there, worker, deadline);
}

/* Runs a function of the user's that prepares the worker, or clears up after it. Not 0: it failed. */
static int run_hook(const struct brood_pool *pool, const struct module_function *name, const char *what)
{
    uintptr_t address;
    brood_target *hook;
    if (!name)
        return 0;
    int failed = function_find(name, &address);
    if (failed < 0) {
        char text[MODULE_PATH_MAX + 64];
        module_describe(name, text, sizeof text);
        return brood_fail(failed, "the workers lack %s, the %s", what, text);
    }
    memcpy(&hook, &address, sizeof hook);
    failed = hook(pool->arg);
    task_end_copy();
    return failed;
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
    task_worker = getpid();
    atomic_store(&worker->pid, task_worker);
    worker_here = worker;
    memset(&task_here, 0, sizeof task_here); /* this pool may be a task's, forked with it */
    keeper_here = (pid_t)(uint32_t)atomic_load(&slot_of(atomic_load(&worker->slot))->claim);
    atomic_store(&worker->prepares, true);
    int failed = run_hook(pool, pool->begin, "begin");
    if (failed)
        return failed;
    atomic_store(&worker->ready, true);
    if (atomic_load(&pool->resizes))
        pool_tell_callers(pool);
    end_note_to(&worker->note);
    left_here = pool->max_tasks ? (uint64_t)pool->max_tasks : UINT64_MAX;
    while (!is_closing(pool) && !spent_here && !is_too_many(worker)) {
        if (!go_round(worker) && !look_out(worker, seen_here))
            sleep_until_work(worker);
    }
    if (atomic_load(&pool->closing) != CLOSING_AT_ONCE)
        run_hook(pool, pool->finish, "finish");
    return 0;
}
