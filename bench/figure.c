/* bench/figure.c: the table of figures, in the order in which they are measured and shown.
 */
#include "figure.h"

static const char openmp_limit[] = "OpenMP, parallel for schedule(dynamic, 1), 2 threads";
static const char robust_limit[] = "a robust, process-shared pthread mutex";

const struct figure figures[] = {
    {
        .name = "process_fork",
        .unit = "us",
        .what = "start, join and close a process that returns at once, by fork",
        .brood = process_fork_brood,
        .limit = process_fork_limit,
        .limit_is = "fork, _exit, waitpid",
        .goal_ratio = 1.3,
    },
    {
        .name = "process_spawn",
        .unit = "us",
        .what = "the same by spawn",
        .brood = process_spawn_brood,
        .limit = process_spawn_limit,
        .limit_is = "posix_spawn and waitpid of the same program, whose main returns at once",
        .goal_ratio = 1.5,
    },
    {
        .name = "lock_uncontended",
        .unit = "ns",
        .what = "acquire and release a lock that nobody else wants",
        .brood = lock_uncontended_brood,
        .limit = lock_uncontended_limit,
        .limit_is = robust_limit,
        .goal_ratio = 1.3,
    },
    {
        .name = "lock_contended_2",
        .unit = "ns",
        .what = "acquire, increment, release, by 2 processes at once (time over increments of both)",
        .brood = lock_contended_brood,
        .limit = lock_contended_limit,
        .limit_is = robust_limit,
        .goal_ratio = 1.3,
    },
    {
        .name = "alloc_free",
        .unit = "ns",
        .what = "allocate and free a block of shared memory: 64 of 48 to 552 bytes, then all freed",
        .brood = alloc_free_brood,
        .goal = 40,
    },
    {
        .name = "pool_map_auto",
        .unit = "ns",
        .what = "a task that squares a number, 1,000,000 in one map, 2 workers, arrays in private memory",
        .brood = pool_map_auto_brood,
        .limit_peer = "openmp",
        .limit_is = openmp_limit,
        .goal_ratio = 2,
    },
    {
        .name = "pool_map_chunk1",
        .unit = "ns",
        .what = "the same, each task handed out by itself",
        .brood = pool_map_chunk1_brood,
        .limit_peer = "openmp",
        .limit_is = openmp_limit,
        .goal = 100,
    },
    {
        .name = "death_notice",
        .unit = "us",
        .what = "from the SIGKILL of a lock's holder to the return of the one that sleeps on it, median",
        .brood = death_notice_brood,
        .limit = death_notice_limit,
        .limit_is = robust_limit,
        .goal = 500,
    },
    {
        .name = "death_notice_worst",
        .unit = "us",
        .what = "the same, the worst of all",
        .brood = death_notice_worst_brood,
        .limit = death_notice_worst_limit,
        .limit_is = robust_limit,
        .goal = 10000,
        .worst = true,
    },
};

const size_t figure_count = sizeof figures / sizeof *figures;
