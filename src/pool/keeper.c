/* pool/keeper.c: the keeper: a single-threaded process that is its workers' parent.
 *
 * It holds the pool's duty words for its life, on which callers sleep: if it dies the kernel wakes them, the workers
 * die with it (PR_SET_PDEATHSIG, which can be trusted under a parent with one thread; a worker that a task untied sees
 * it by itself), and the caller starts another keeper, which first settles what the old one's workers were at.
 */
#include "os/child.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/futex.h"
#include "os/proc.h"
#include "os/program.h"
#include "pool/pool.h"
#include "pool/task.h"
#include "process/begin.h"
#include "process/end.h"
#include "process/process.h"
#include "region/heap.h"
#include "region/region.h"
#include "wait/latch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KEEPER_RETRY 100000000   /* ns until a worker that could not be started is tried again */
#define KEEPER_TRIES 10          /* in a row, with no worker alive, until callers are told */
#define KEEPER_UNSERVED 30       /* for each of the pool's workers: so many that died before an item */
#define KEEPER_GRACE 1000000000  /* ns for the workers to leave by themselves when the pool is closed */
#define KEEPER_ROUSE 500000000   /* ns between two rousings of idle workers */
#define KEEPER_WATCH 5000000     /* ns between looks at what is limited */
#define KEEPER_SETTLE 2000000000 /* ns for a dead keeper's workers to be gone: the kernel has killed them already */

#define KEEPER_SETTLING 500000 /* ns between looks at workers that are in what a dead caller asked for */

#define WHEREVER 0x100 /* in a worker's verdict: whatever turn it is at */

struct keeper {
    struct brood_pool *pool;
    uint32_t count;            /* of the pool's places, as of the last look */
    brood_process **processes; /* of the workers; NULL: none just now */
    struct pollfd *polled;     /* the creator's pidfd, then the workers', then other callers' */
    struct followed *followed; /* other callers, in the order of their records */
    uint32_t followed_count;
    bool settling;               /* one of them is gone, and workers are in what it asked for */
    int64_t deaths[DEATHS_MOST]; /* when workers died, of what was not the keeper's doing: a ring */
    unsigned death_count;
    int failures;  /* starts that failed in a row */
    int unserved;  /* workers in a row that died before they had begun an item */
    int64_t retry; /* when to try again */
    int64_t rouse; /* when to wake idle workers, if there are other callers than the creator */
};

/* A process that has a caller's record. */
struct followed {
    slot_id slot; /* 0: none just now */
    int pidfd;    /* -1: there is none */
};

static void wake_up(int signal)
{
    (void)signal; /* only ends ppoll(2): what for stands in the pool */
}

static void begin(struct brood_pool *pool)
{
    struct sigaction action = { .sa_handler = wake_up };
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    const struct setup shut = { .only_fds = true }; /* or a pipe of the creator's would never end */
    setup_apply(&shut, (int[]){ region_descriptor(), program_fd(), postbox_descriptor(), begin_line() }, 4, false);
    child_offer_to_oom_killer();
    child_adopt_orphans(); /* what a task leaves behind comes here, not to the creator */
    struct thread *self = thread_self();
    for (int i = 0; i < POOL_SEATS; i++) {
        latch_take(self, &pool->seats[i].duty, CLOCK_NEVER);
        latch_hold(self, &pool->seats[i].duty);
    }
    pool_tell_callers(pool);
    for (int i = 0; i < POOL_SEATS; i++) /* those who saw nobody on duty, and could not say that they sleep */
        futex_wake(&pool->seats[i].duty.word, FUTEX_EVERYONE);
    trace_keeper(pool);
}

/* Whether the worker holds its slot's life word, and so lives. */
static bool is_alive(const struct worker *worker, int32_t pid)
{
    return (atomic_load(&slot_of(atomic_load(&worker->slot))->life.word) & FUTEX_TID_MASK) == (uint32_t)pid;
}

/* A worker that a task untied from its keeper has not died with it. No stranger that got its pid is meant: it still
 * lived once the pidfd was there. */
static void kill_orphan(const struct worker *worker, int32_t pid)
{
    if (!is_alive(worker, pid))
        return;
    int pidfd = child_pidfd(pid);
    if (is_alive(worker, pid))
        child_signal(pid, pidfd, SIGKILL);
    if (pidfd >= 0)
        close(pidfd);
}

/* It was killed for a reason of the pool's: that is its end. */
static void be_judged(const struct worker *worker, brood_end *end)
{
    int32_t verdict = atomic_load(&worker->verdict);
    const struct turn *turn = &worker->turn;
    if (!verdict || (!(verdict & WHEREVER) && atomic_load(&turn->word) % TURN_STATES != TURN_CONDEMNED))
        return;
    verdict &= ~WHEREVER;
    *end = (brood_end){ .how = (brood_how)verdict, .pid = end->pid };
    if (verdict == BROOD_TIMED_OUT)
        snprintf(end->why, sizeof end->why, "took longer than its %lld ms",
                 (long long)(atomic_load(&turn->hard) - atomic_load(&turn->began)) / 1000000);
    end_explain(end);
}

/* A worker of a keeper that died. Nobody can tell any more how it ended, unless the keeper had condemned it. */
static void settle_orphan(struct worker *worker)
{
    int32_t pid = atomic_load(&worker->pid);
    if (pid)
        kill_orphan(worker, pid);
    pool_await_orphan(worker, clock_now() + KEEPER_SETTLE);
    brood_end lost = { .how = BROOD_LOST, .pid = pid };
    snprintf(lost.why, sizeof lost.why, "its worker and the pool's keeper died together");
    be_judged(worker, &lost);
    work_settle(worker, &lost);
    if (pid)
        trace_died(worker, &lost);
    atomic_store(&worker->pid, 0);
}

/* The pool's places have become more. False: no memory for that; what there is goes on. */
static bool take_places(struct keeper *keeper)
{
    uint32_t count = atomic_load(&keeper->pool->count);
    if (keeper->polled && count == keeper->count)
        return true;
    brood_process **processes = realloc(keeper->processes, count * sizeof *processes);
    keeper->processes = processes ? processes : keeper->processes;
    struct pollfd *polled = realloc(keeper->polled, (count + 1 + keeper->followed_count) * sizeof *polled);
    keeper->polled = polled ? polled : keeper->polled;
    if (!processes || !polled)
        return false;
    for (uint32_t i = keeper->count; i < count; i++)
        processes[i] = NULL;
    for (uint32_t i = keeper->count; i <= count; i++)
        if (i > 0 || keeper->count == 0)
            polled[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
    keeper->count = count;
    return true;
}

static int start_worker(struct keeper *keeper, uint32_t index)
{
    struct worker *worker = pool_worker(keeper->pool, index);
    char name[SLOT_NAME];
    snprintf(name, sizeof name, "%.20s %u", keeper->pool->name, index);
    memset(&worker->note, 0, sizeof worker->note);
    atomic_store(&worker->item, 0);
    atomic_store(&worker->served, false);
    atomic_store(&worker->prepares, false);
    atomic_store(&worker->ready, false);
    atomic_store(&worker->verdict, 0);
    atomic_store(&worker->turn.word, atomic_load(&worker->turn.word) / TURN_STATES * TURN_STATES);
    tally_open(&worker->tally);
    brood_process_options options = { .name = name, .start = BROOD_FORK };
    int cpu = keeper->pool->pinned ? cpu_allowed(index) : -1;
    if (cpu >= 0) {
        options.cpus = &cpu;
        options.cpu_count = 1;
    }
    keeper->processes[index] = process_start(worker_main, worker, 0, &options, HANDLE_INTERNAL, &worker->slot);
    if (!keeper->processes[index] && cpu >= 0) { /* it may be just that which cannot be had */
        options.cpus = NULL;
        options.cpu_count = 0;
        keeper->processes[index] = process_start(worker_main, worker, 0, &options, HANDLE_INTERNAL, &worker->slot);
    }
    if (!keeper->processes[index])
        return -errno;
    atomic_store(&worker->pid, brood_process_pid(keeper->processes[index]));
    trace_worker(worker);
    return 0;
}

static void start_missing(struct keeper *keeper)
{
    struct brood_pool *pool = keeper->pool;
    uint32_t alive = 0, wanted = atomic_load(&pool->wanted);
    int failed = 0;
    bool has_all = take_places(keeper);
    if (atomic_load(&pool->broken) || (keeper->retry && clock_now() < keeper->retry))
        return;
    keeper->retry = 0;
    for (uint32_t i = 0; i < keeper->count; i++) {
        if (i < wanted && !keeper->processes[i] && !failed)
            failed = start_worker(keeper, i);
        alive += keeper->processes[i] != NULL;
    }
    keeper->failures = failed ? keeper->failures + 1 : 0;
    if (failed || !has_all || keeper->unserved >= KEEPER_TRIES)
        keeper->retry = clock_now() + KEEPER_RETRY;
    if (!failed && keeper->unserved >= KEEPER_UNSERVED * (int)wanted)
        failed = -ECHILD;
    bool stuck = failed && (failed == -ECHILD || (alive == 0 && keeper->failures >= KEEPER_TRIES));
    atomic_store(&pool->stuck, stuck ? -failed : 0);
    if (stuck) {
        atomic_fetch_add(&pool->verdicts, 1);
        pool_tell_callers(pool);
    }
}

/* Whether a dead worker had come as far as an item. */
static bool had_begun(const struct worker *worker)
{
    return atomic_load(&worker->served) || (atomic_load(&worker->work) && atomic_load(&worker->item) != 0);
}

/* The worker's process has ended, as `end` says: what it was at is settled, and its place is free. */
static void take_end(struct keeper *keeper, uint32_t index, brood_end *end)
{
    struct brood_pool *pool = keeper->pool;
    struct worker *worker = pool_worker(pool, index);
    uint32_t lookout = index + 1;
    if (end->how == BROOD_CRASHED && end->signal == SIGKILL)
        be_judged(worker, end);
    work_settle(worker, end);
    trace_died(worker, end);
    atomic_compare_exchange_strong(&pool->lookout, &lookout, 0);
    atomic_store(&worker->pid, 0);
    process_discard(keeper->processes[index]);
    keeper->processes[index] = NULL;
}

/* No more tasks can be run here, for good: ends the workers, then tells the callers. */
static void break_pool(struct keeper *keeper, const char *why)
{
    struct brood_pool *pool = keeper->pool;
    for (uint32_t i = 0; i < keeper->count; i++) {
        brood_end end;
        if (!keeper->processes[i])
            continue;
        atomic_store(&pool_worker(pool, i)->verdict, WHEREVER | BROOD_CANCELLED);
        process_signal(keeper->processes[i], SIGKILL);
        process_await(keeper->processes[i], &end, CLOCK_NEVER);
        take_end(keeper, i, &end);
    }
    snprintf(pool->why, sizeof pool->why, "%s", why);
    atomic_store(&pool->broken, 1);
}

/* The pool's `begin` did not return 0: the next worker's would not either. One that failed before that lacked something
 * for a moment. */
static bool is_unfit(const struct worker *worker, const brood_end *end)
{
    return worker->pool->begin && atomic_load(&worker->prepares) && !atomic_load(&worker->ready) &&
           (end->how == BROOD_FAILED || end->how == BROOD_EXITED);
}

/* Whether so many workers have died in so short a time that the pool gives up; this was one of them. */
static bool die_too_often(struct keeper *keeper)
{
    const struct brood_pool *pool = keeper->pool;
    unsigned most = (unsigned)pool->max_deaths;
    if (!most)
        return false;
    int64_t now = clock_now();
    keeper->deaths[keeper->death_count++ % most] = now;
    if (keeper->death_count < most)
        return false;
    int64_t first = keeper->deaths[keeper->death_count % most];
    return !pool->max_deaths_ms || now - first <= pool->max_deaths_ms * INT64_C(1000000);
}

/* Why the pool is broken, now that the worker has ended so; "": it is not. */
static void judge_pool(struct keeper *keeper, bool unfit, const brood_end *end, char *why, size_t size)
{
    const struct brood_pool *pool = keeper->pool;
    why[0] = '\0';
    if (unfit)
        snprintf(why, size, "its begin failed in a worker: %s", end->why);
    else if (how_is_retried(end->how) && die_too_often(keeper))
        snprintf(why, size, "%d workers died too soon after each other; the last: %s", pool->max_deaths, end->why);
}

/* Takes the ends of workers that have ended; what they were at can be claimed again. */
static void reap_workers(struct keeper *keeper)
{
    struct brood_pool *pool = keeper->pool;
    bool settled = false;
    for (uint32_t i = 0; i < keeper->count; i++) {
        brood_end end;
        if (!keeper->processes[i])
            continue;
        if (!process_await(keeper->processes[i], &end, 0)) {
            if (process_is_marked(keeper->processes[i])) /* by a task that has made another program of it, say */
                process_signal(keeper->processes[i], SIGKILL);
            continue;
        }
        bool left = end.how == BROOD_RETURNED; /* spent, or one too many */
        keeper->unserved = left || had_begun(pool_worker(pool, i)) ? 0 : keeper->unserved + 1;
        bool unfit = is_unfit(pool_worker(pool, i), &end);
        take_end(keeper, i, &end);
        settled = true;
        char why[sizeof pool->why];
        judge_pool(keeper, unfit, &end, why, sizeof why);
        if (why[0])
            break_pool(keeper, why);
    }
    if (settled) {
        atomic_fetch_add(&pool->returned, 1);
        pool_offer(pool);
        pool_tell_callers(pool); /* a wake that a dead worker owed is sent now */
    }
}

static void condemn(struct keeper *keeper, uint32_t index, uint64_t word, int32_t verdict)
{
    struct worker *worker = pool_worker(keeper->pool, index);
    atomic_store(&worker->verdict, verdict);
    if (turn_condemn(&worker->turn, word))
        process_signal(keeper->processes[index], SIGKILL);
    else
        atomic_store(&worker->verdict, 0);
}

/* Why the worker's turn is to be ended: a brood_how; 0: it is not. */
static int32_t judge_turn(const struct brood_pool *pool, const struct worker *worker, uint64_t word, int64_t now)
{
    const struct turn *turn = &worker->turn;
    int64_t hard = atomic_load(&turn->hard), most = atomic_load(&turn->most);
    if (atomic_load(&turn->cancel) == word && now >= atomic_load(&turn->cancel_at))
        return BROOD_CANCELLED;
    if (hard && now >= hard)
        return BROOD_TIMED_OUT;
    if (pool->max_memory && (!most || pool->max_memory < most))
        most = pool->max_memory;
    return most && proc_private_bytes(atomic_load(&worker->pid)) > most ? BROOD_OVER_MEMORY : 0;
}

/* Ends the turns that are over their limits, or not wanted any more. */
static void watch_turns(struct keeper *keeper)
{
    struct brood_pool *pool = keeper->pool;
    for (uint32_t i = 0; i < keeper->count; i++) {
        struct worker *worker = pool_worker(pool, i);
        uint64_t word = atomic_load(&worker->turn.word);
        int32_t verdict = keeper->processes[i] && turn_is_open(word) ? judge_turn(pool, worker, word, clock_now()) : 0;
        if (verdict)
            condemn(keeper, i, word, verdict);
    }
}

/* ---- other callers ---- */

/* The caller is gone: what it left is ended, and given back once no worker is in it. False: that is to come. */
static bool settle_caller(struct keeper *keeper, struct caller *caller)
{
    struct brood_pool *pool = keeper->pool;
    bool served = false;
    heap_settle();
    if (!atomic_load(&caller->away))
        caller_turn_away(pool, caller);
    for (uint32_t i = 0; i < keeper->count; i++) {
        const struct worker *worker = pool_worker(pool, i);
        uint64_t word = atomic_load(&worker->turn.word);
        if (keeper->processes[i] && turn_is_open(word) && caller_is_served(caller, worker))
            condemn(keeper, i, word, BROOD_CANCELLED);
        served |= caller_is_touched(caller, worker);
    }
    if (served)
        return false;
    caller_clear(pool, caller);
    pool_tell_callers(pool); /* one who joins waits for it, too */
    return true;
}

static void follow(struct followed *followed, const struct caller *caller, slot_id slot)
{
    if (followed->slot == slot)
        return;
    if (followed->pidfd >= 0)
        close(followed->pidfd);
    *followed = (struct followed){ .slot = slot, .pidfd = slot ? child_pidfd(atomic_load(&caller->pid)) : -1 };
}

/* There are more records. False: no memory to follow all; those who cannot be followed are looked at now and then. */
static bool follow_more(struct keeper *keeper)
{
    uint32_t count = keeper->followed_count + 1;
    struct followed *followed = realloc(keeper->followed, count * sizeof *followed);
    keeper->followed = followed ? followed : keeper->followed;
    struct pollfd *polled = realloc(keeper->polled, (keeper->count + 1 + count) * sizeof *polled);
    keeper->polled = polled ? polled : keeper->polled;
    if (!followed || !polled)
        return false;
    followed[keeper->followed_count] = (struct followed){ .pidfd = -1 };
    keeper->followed_count = count;
    return true;
}

/* Callers come, and go. */
static void look_after_callers(struct keeper *keeper)
{
    struct brood_pool *pool = keeper->pool;
    uint32_t i = 0;
    keeper->settling = false;
    if (atomic_load(&atomic_load(&pool->callers)->next) && clock_now() >= keeper->rouse) {
        bell_rouse(&pool->work); /* one of them may stand still as it rings */
        keeper->rouse = clock_now() + KEEPER_ROUSE;
    }
    for (struct caller *caller = atomic_load(&pool->callers); caller; caller = atomic_load(&caller->next), i++) {
        slot_id slot = atomic_load(&caller->slot);
        bool followed = i < keeper->followed_count || follow_more(keeper);
        if (slot == pool->creator_slot)
            continue;
        if (followed)
            follow(&keeper->followed[i], caller, slot);
        if (slot == 0)
            continue;
        int pidfd = followed ? keeper->followed[i].pidfd : -1;
        bool gone = pidfd >= 0 ? child_watch(pidfd, 0) == 0 || !slot_is(slot_of(slot), slot) : caller_is_gone(caller);
        if (gone && settle_caller(keeper, caller) && followed)
            follow(&keeper->followed[i], caller, 0);
        else
            keeper->settling |= gone;
    }
}

static bool is_worker(const struct keeper *keeper, pid_t pid)
{
    for (uint32_t i = 0; i < keeper->count; i++)
        if (keeper->processes[i] && brood_process_pid(keeper->processes[i]) == pid)
            return true;
    return false;
}

/* Children that tasks left behind end here: no zombie stays. */
static void reap_strangers(const struct keeper *keeper)
{
    siginfo_t info = { .si_pid = 0 };
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        if (is_worker(keeper, info.si_pid) || waitpid(info.si_pid, NULL, WNOHANG) <= 0)
            return; /* a worker's turn comes first, in reap_workers */
        info.si_pid = 0;
    }
}

/* Sleeps until the creator or a worker dies, SIGTERM comes, or it is time to try again. */
static void sleep_until_news(struct keeper *keeper)
{
    struct brood_pool *pool = keeper->pool;
    sigset_t none;
    sigemptyset(&none);
    int64_t left = keeper->retry ? keeper->retry - clock_now() : 1000000000;
    if (pool_is_watched(pool) && left > KEEPER_WATCH)
        left = KEEPER_WATCH;
    if (keeper->settling && left > KEEPER_SETTLING)
        left = KEEPER_SETTLING;
    if (trace_goes_on(pool) && left > TRACE_TICK)
        left = TRACE_TICK;
    for (uint32_t i = 0; i < keeper->count; i++) {
        keeper->polled[i + 1].fd = keeper->processes[i] ? process_descriptor(keeper->processes[i]) : -1;
        if (keeper->processes[i] && keeper->polled[i + 1].fd < 0 && left > THREAD_NAP)
            left = THREAD_NAP; /* without a pidfd: look often */
    }
    for (uint32_t i = 0; i < keeper->followed_count; i++) {
        const struct followed *followed = &keeper->followed[i];
        keeper->polled[keeper->count + 1 + i] = (struct pollfd){ .fd = followed->pidfd, .events = POLLIN };
        if (followed->slot && followed->pidfd < 0 && left > THREAD_NAP)
            left = THREAD_NAP;
    }
    if (keeper->polled[0].fd < 0 && left > 10 * THREAD_NAP)
        left = 10 * THREAD_NAP;
    if (left < 0)
        left = 0;
    struct timespec wait = { .tv_sec = (time_t)(left / 1000000000), .tv_nsec = (long)(left % 1000000000) };
    nfds_t polled = keeper->settling ? keeper->count + 1 : keeper->count + 1 + keeper->followed_count;
    if (ppoll(keeper->polled, polled, &wait, &none) < 0 && errno == EINVAL) { /* more than RLIMIT_NOFILE */
        wait = (struct timespec){ .tv_nsec = left < THREAD_NAP ? left : THREAD_NAP };
        ppoll(keeper->polled, 1, &wait, &none);
    }
}

static bool creator_is_gone(const struct keeper *keeper)
{
    return getppid() != keeper->pool->creator || keeper->polled[0].revents != 0;
}

/* Before its workers are ended: who waits for them would wait for another keeper. */
static void orphan(struct brood_pool *pool)
{
    uint32_t lives = POOL_LIVES;
    if (atomic_compare_exchange_strong(&pool->ended, &lives, POOL_ORPHANED))
        pool_tell_callers(pool);
}

/* Lets the workers leave if the creator asked for it (they flush what they wrote, and run the pool's `finish`), and
 * kills who stays. */
static void end_workers(struct keeper *keeper, bool asked)
{
    struct brood_pool *pool = keeper->pool;
    int64_t end = clock_now() + (asked ? KEEPER_GRACE : 0);
    pool_offer(pool);
    for (uint32_t i = 0; i < keeper->count; i++) {
        if (!keeper->processes[i])
            continue;
        if (!process_await(keeper->processes[i], NULL, end)) {
            process_signal(keeper->processes[i], SIGKILL);
            process_await(keeper->processes[i], NULL, CLOCK_NEVER);
        }
        atomic_store(&pool_worker(pool, i)->pid, 0);
        process_discard(keeper->processes[i]);
    }
    free(keeper->processes);
    free(keeper->followed);
    free(keeper->polled);
}

/* The creator is gone, and so are the workers: nobody uses what it had any more. What others may still look at stays,
 * the pool itself above all, by which they know. */
static void forget_creator(struct brood_pool *pool)
{
    struct caller *creator = atomic_load(&pool->callers);
    while (creator && atomic_load(&creator->slot) != pool->creator_slot)
        creator = atomic_load(&creator->next);
    orphan(pool);
    heap_settle();
    pool_settle_reports(pool);
    for (uint32_t i = 0; i < atomic_load(&pool->count); i++)
        task_settle_nests(pool_worker(pool, i));
    if (creator) {
        caller_turn_away(pool, creator);
        caller_clear(pool, creator);
    }
    if (pool->arg_copy)
        heap_give(pool->arg_copy, &pool->arg_copy);
}

int keeper_main(void *arg)
{
    struct brood_pool *pool = arg;
    struct keeper keeper = { .pool = pool };
    begin(pool);
    if (!take_places(&keeper)) {
        free(keeper.processes);
        free(keeper.polled);
        return brood_fail(ENOMEM, "no memory for a keeper of %u workers", atomic_load(&pool->count));
    }
    keeper.polled[0].fd = child_pidfd(pool->creator);
    for (uint32_t i = 0; i < keeper.count; i++)
        settle_orphan(pool_worker(pool, i));
    atomic_store(&pool->lookout, 0);
    look_after_callers(&keeper); /* before workers begin what dead ones had asked for */
    pool_offer(pool);
    while (!atomic_load(&pool->closing) && !creator_is_gone(&keeper)) {
        start_missing(&keeper);
        sleep_until_news(&keeper);
        if (pool_is_watched(pool))
            watch_turns(&keeper);
        reap_workers(&keeper);
        look_after_callers(&keeper);
        reap_strangers(&keeper);
        trace_flush(pool);
    }
    bool gone = creator_is_gone(&keeper);
    if (gone)
        orphan(pool);
    end_workers(&keeper, atomic_load(&pool->closing) == CLOSING_ORDERLY && !gone);
    trace_finish(pool);
    if (gone || getppid() != pool->creator)
        forget_creator(pool);
    return 0;
}
