/* storm_tasks.c: millions of tasks of one pool, while its workers are killed every few milliseconds and its keeper
 * every few seconds.
 *
 * Maps and single calls at the same time, with retries and without. What is on account: each task ends exactly once;
 * one that returned has its result; without retries it ran once at most; and all the runs that were lost are not more
 * than the killed had: one for a worker, one of each worker for a keeper.
 */
#include "storm.h"

#include <brood.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TASKS = 1000 * 1000, /* of a round */
    MAP_MOST = 4000,     /* items of one map */
    CALLS = 400,         /* at once, beside it */
    PIDS = 16,
    MOST_RETRIES = 1000,
    WAIT_MS = 20000,
    SLACK = 24 << 20,           /* bytes of the region, besides the account */
    SHORT_US = 3 * 1000 * 1000, /* a storm of less time has its keeper killed more often */
};

/* In the region. */
struct ledger {
    _Atomic unsigned char runs[TASKS]; /* how often it was begun; by the task */
    unsigned char ends[TASKS];         /* how often its end was told; by the caller */
    _Atomic int worker[PIDS], keeper;  /* who lately ran a task; they may be gone */
    _Atomic unsigned next, kills, keeper_kills;
};

static struct ledger *ledger;

/* What the caller adds up. */
struct account {
    struct storm *storm;
    int tasks;        /* numbers that were given out in this round */
    long long before; /* tasks of the rounds before */
    long failed;      /* tasks that did not return */
    long lost;        /* runs that a death ended */
    long told, calls; /* calls that had a callback, and callbacks that came */
};

static int work(const void *in, void *out)
{
    int number = *(const int *)in;
    atomic_fetch_add(&ledger->runs[number], 1);
    if (number % 16 == 0) {
        atomic_store(&ledger->worker[atomic_fetch_add(&ledger->next, 1) % PIDS], getpid());
        atomic_store(&ledger->keeper, getppid());
    }
    if (number % 1000 == 0) /* some that are not tiny */
        for (long long end = point_us() + 500; point_us() < end;)
            continue;
    *(int *)out = number * 3 + 1;
    return 0;
}

static void kill_in_pool(void *context)
{
    const struct storm *storm = context;
    int caller = getppid();
    storm_seed((unsigned long long)point_us());
    unsigned seldom = storm->end - point_us() < SHORT_US ? 100 : 1000;
    while (point_us() < storm->end) {
        storm_gap();
        storm_gap();
        int keeper = atomic_load(&ledger->keeper);
        if (storm_below(seldom) == 0)
            ledger->keeper_kills += storm_kill_child_of(caller, keeper);
        else
            ledger->kills += storm_kill_child_of(keeper, atomic_load(&ledger->worker[storm_below(PIDS)]));
    }
}

static void book(struct account *account, int number, const brood_end *end, int out, bool retried)
{
    struct point *report = account->storm->report;
    int runs = atomic_load(&ledger->runs[number]);
    if (ledger->ends[number]++)
        point_fault(report, POINT_DOUBLED, "task %d ended twice", number);
    if (runs > end->attempt || (end->how == BROOD_RETURNED && runs < 1))
        point_fault(report, POINT_DOUBLED, "task %d was begun %d times in %d attempts", number, runs, end->attempt);
    account->lost += end->attempt - (end->how == BROOD_RETURNED);
    if (end->how == BROOD_RETURNED && out != number * 3 + 1)
        point_fault(report, POINT_TORN, "task %d returned %d", number, out);
    if (end->how == BROOD_RETURNED)
        return;
    account->failed++;
    if (!(end->how == BROOD_CRASHED && end->signal == SIGKILL) && end->how != BROOD_LOST)
        point_fault(report, POINT_TORN, "task %d: %d \"%s\"", number, (int)end->how, end->why);
    if (retried || out != -1 || end->attempt != 1)
        point_fault(report, POINT_DOUBLED, "task %d failed, in attempt %d, and left %d", number, end->attempt, out);
}

static void count_call(void *context, brood_result *result, int failed)
{
    struct account *account = context;
    (void)result;
    account->told++;
    if (failed < 0)
        point_fault(account->storm->report, POINT_TORN, "a callback was told %d", failed);
}

struct batch {
    int in[MAP_MOST], out[MAP_MOST];
    brood_end ends[MAP_MOST];
    int count;
    bool retried;
    brood_result *map, *calls[CALLS];
    int call_in[CALLS], call_out[CALLS], call_count;
    brood_end call_ends[CALLS];
};

static void ask(struct account *account, brood_pool *pool, struct batch *batch)
{
    brood_task_options options = { .retries = batch->retried ? MOST_RETRIES : 0 };
    for (int i = 0; i < batch->count; i++) {
        batch->in[i] = account->tasks++;
        batch->out[i] = -1;
    }
    options.ends = batch->ends;
    options.chunk = storm_below(3) ? 0 : 1 + storm_below(100);
    batch->map = brood_pool_map_async(pool, work, batch->in, sizeof(int), batch->out, sizeof(int), (size_t)batch->count,
                                      &options);
    if (!batch->map)
        point_fault(account->storm->report, POINT_TORN, "map_async: %s", brood_error());
    options.chunk = 0;
    options.context = account;
    for (int i = 0; i < batch->call_count; i++) {
        batch->call_in[i] = account->tasks++;
        batch->call_out[i] = -1;
        options.ends = &batch->call_ends[i];
        options.done = i % 2 ? count_call : NULL;
        account->calls += i % 2;
        batch->calls[i] = brood_pool_apply_async(pool, work, &batch->call_in[i], sizeof(int), &batch->call_out[i],
                                                 sizeof(int), &options);
        if (!batch->calls[i])
            point_fault(account->storm->report, POINT_TORN, "apply_async: %s", brood_error());
    }
}

/* How many the call says to have failed: they are to be as many as the ends say. */
static void settle(struct account *account, brood_result *result, const int *in, const int *out, const brood_end *ends,
                   int count, bool retried)
{
    struct point *report = account->storm->report;
    long failed = account->failed;
    if (!result)
        return;
    int told = brood_result_wait(result, WAIT_MS);
    if (told < 0) {
        point_fault(report, POINT_STUCK, "a result: %s", brood_error());
        return;
    }
    for (int i = 0; i < count; i++)
        book(account, in[i], &ends[i], out[i], retried);
    if (account->failed - failed != told)
        point_fault(report, POINT_LOST, "a result says that %d failed, and its ends that %ld did", told,
                    account->failed - failed);
    if (brood_result_destroy(result) < 0)
        point_fault(report, POINT_STUCK, "destroying a result: %s", brood_error());
}

static void run_batch(struct account *account, brood_pool *pool, struct batch *batch)
{
    int left = TASKS - account->tasks;
    batch->retried = storm_below(2);
    batch->call_count = left < 2 * CALLS ? left / 2 : (int)storm_below(CALLS);
    left -= batch->call_count;
    batch->count = 1 + (int)storm_below(MAP_MOST);
    batch->count = batch->count > left ? left : batch->count;
    ask(account, pool, batch);
    for (int i = 0; i < batch->call_count; i++)
        settle(account, batch->calls[i], &batch->call_in[i], &batch->call_out[i], &batch->call_ends[i], 1,
               batch->retried);
    settle(account, batch->map, batch->in, batch->out, batch->ends, batch->count, batch->retried);
}

/* All tasks of the round have ended. */
static void close_round(struct account *account)
{
    for (int i = 0; i < account->tasks; i++)
        if (ledger->ends[i] != 1)
            point_fault(account->storm->report, POINT_LOST, "task %d has %d ends", i, ledger->ends[i]);
    account->before += account->tasks;
    account->tasks = 0;
    memset((void *)ledger->runs, 0, sizeof ledger->runs);
    memset(ledger->ends, 0, sizeof ledger->ends);
}

/* The killer is gone. */
static void close_account(const struct account *account, const brood_heap_stats *before)
{
    struct point *report = account->storm->report;
    brood_heap_stats after;
    unsigned kills = ledger->kills, keeper_kills = ledger->keeper_kills;
    if (account->lost > kills + (long long)keeper_kills * MEMBERS)
        point_fault(report, POINT_LOST, "%ld runs were lost, with %u workers and %u keepers", account->lost, kills,
                    keeper_kills);
    if (account->told != account->calls)
        point_fault(report, POINT_LOST, "%ld callbacks of %ld came", account->told, account->calls);
    if (brood_heap_check() < 0 || brood_heap_stat(&after) < 0)
        point_fault(report, POINT_TORN, "%s", brood_error());
    else if (after.blocks != before->blocks)
        point_fault(report, POINT_LOST, "%zu blocks before the pool, %zu after it, %u workers and %u keepers killed",
                    before->blocks, after.blocks, kills, keeper_kills);
    if (account->before == 0 || kills == 0)
        point_fault(report, POINT_STUCK, "%lld tasks, %u kills: nothing was tried", account->before, kills);
    if (account->storm->verbose)
        printf("  tasks: %lld, %u workers and %u keepers killed, %ld runs lost, %ld tasks failed\n", account->before,
               kills, keeper_kills, account->lost, account->failed);
}

void storm_over_tasks(struct storm *storm)
{
    brood_heap_stats before;
    struct account account = { .storm = storm };
    struct batch *batch = malloc(sizeof *batch);
    if (!batch || brood_init(&(brood_init_options){ .limit = sizeof *ledger + SLACK }) < 0 ||
        !(ledger = brood_alloc(sizeof *ledger))) {
        point_fault(storm->report, POINT_TORN, "no family: %s", brood_error());
        free(batch);
        return;
    }
    brood_heap_stat(&before);
    brood_pool *pool = brood_pool_create(MEMBERS, NULL);
    pid_t killer = point_child(kill_in_pool, storm);
    while (pool && point_us() < storm->end) {
        run_batch(&account, pool, batch);
        if (account.tasks == TASKS || point_us() >= storm->end)
            close_round(&account);
    }
    if (killer > 0) {
        kill(killer, SIGKILL);
        waitpid(killer, NULL, 0);
    }
    if (!pool || brood_pool_join(pool, WAIT_MS) < 0 || brood_pool_destroy(pool) < 0)
        point_fault(storm->report, POINT_TORN, "pool: %s", brood_error());
    close_account(&account, &before);
    free(batch);
}
