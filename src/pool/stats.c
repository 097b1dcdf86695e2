/* pool/stats.c: what the workers' tallies say, and what the rack holds. */
#include "error/error.h"
#include "os/clock.h"
#include "pool/owner.h"

#include <brood/stats.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int enter(const struct brood_pool *pool, const char *call, const void *place)
{
    int failed = pool_enter(pool, call);
    if (failed == 0 && !place)
        failed = error_set(EINVAL, "%s: nowhere to write", call);
    return failed;
}

static void read_worker(const struct worker *worker, brood_worker_stats *stats)
{
    const struct tally *tally = &worker->tally;
    int64_t since = atomic_load(&tally->since), busy = atomic_load(&tally->busy), born = atomic_load(&tally->born);
    int64_t now = clock_now(), lived = atomic_load(&tally->lived) + (born ? now - born : 0);
    uint64_t starts = atomic_load(&tally->starts);
    memset(stats, 0, sizeof *stats);
    stats->pid = atomic_load(&worker->pid);
    stats->busy = since != 0;
    for (int how = BROOD_RETURNED; how < TALLY_HOWS; how++)
        stats->tasks += atomic_load(&tally->ended[how]);
    stats->restarts = starts ? starts - 1 : 0;
    busy += since && now > since ? now - since : 0;
    stats->busy_us = busy / 1000;
    stats->waiting_us = lived > busy ? (lived - busy) / 1000 : 0;
}

int brood_pool_worker_stat(const brood_pool *pool, int index, brood_worker_stats *stats)
{
    static const char call[] = "brood_pool_worker_stat";
    int failed = enter(pool, call, stats);
    if (failed < 0)
        return failed;
    if (index < 0 || (uint32_t)index >= pool->count)
        return error_set(EINVAL, "%s: pool '%s' has no worker %d", call, pool->name, index);
    read_worker(pool_worker(pool, (uint32_t)index), stats);
    return 0;
}

int brood_pool_stat(const brood_pool *pool, brood_pool_stats *stats)
{
    int failed = enter(pool, "brood_pool_stat", stats);
    if (failed < 0)
        return failed;
    memset(stats, 0, sizeof *stats);
    for (uint32_t i = 0; i < pool->count; i++) {
        brood_worker_stats worker;
        const struct tally *tally = &pool_worker(pool, i)->tally;
        read_worker(pool_worker(pool, i), &worker);
        stats->workers += worker.pid != 0;
        stats->running += worker.busy;
        stats->restarts += worker.restarts;
        stats->busy_us += worker.busy_us;
        stats->waiting_us += worker.waiting_us;
        stats->retried += atomic_load(&tally->retried);
        for (int how = BROOD_RETURNED; how < TALLY_HOWS; how++)
            stats->ended[how] += atomic_load(&tally->ended[how]);
    }
    stats->queued = rack_count_queued(pool);
    return 0;
}

static int slower_first(const void *a, const void *b)
{
    int64_t one = ((const struct slow *)a)->wall, other = ((const struct slow *)b)->wall;
    return one > other ? -1 : one < other;
}

int brood_pool_slowest(const brood_pool *pool, brood_slow_task *tasks, int room)
{
    static const char call[] = "brood_pool_slowest";
    int failed = enter(pool, call, tasks);
    if (failed < 0)
        return failed;
    if (room < 0)
        return error_set(EINVAL, "%s: room for %d tasks", call, room);
    uint32_t workers = atomic_load(&pool->count); /* there may be more before this ends */
    struct slow *slowest = calloc(workers, TALLY_SLOWEST * sizeof *slowest);
    if (!slowest)
        return error_set(ENOMEM, "%s: no memory", call);
    int count = 0;
    for (uint32_t i = 0; i < workers; i++)
        count += tally_read_slowest(&pool_worker(pool, i)->tally, slowest + count);
    qsort(slowest, (size_t)count, sizeof *slowest, slower_first);
    count = count < room ? count : room;
    for (int i = 0; i < count; i++) {
        tasks[i] = (brood_slow_task){ .index = slowest[i].index,
                                      .wall_us = slowest[i].wall / 1000,
                                      .how = (brood_how)slowest[i].how,
                                      .pid = slowest[i].pid };
        module_describe(slowest[i].task, tasks[i].name, sizeof tasks[i].name);
    }
    free(slowest);
    return count;
}
