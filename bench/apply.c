/* bench/apply.c: what a single task costs, there and back, and what a pool costs from its creation to its end.
 *
 * The stream of single tasks keeps some in flight and waits for the oldest, as a program does that has more tasks than
 * it wants results lying about. Limits: a word handed to a running process and back; four forks that end at once.
 */
#include "clock.h"
#include "figure.h"
#include "trouble.h"

#include <brood.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define APPLIES 20000
#define STREAM 200000
#define FLIGHT 512 /* single tasks that have been asked for and not been waited for */
#define POOLS 40
#define WORKERS 2
#define OPEN_WORKERS 4
#define EXCHANGES 200000

static int square(const void *in, void *out)
{
    long number = *(const long *)in;
    *(long *)out = number * number;
    return 0;
}

static long apply_all(brood_pool *pool, long count)
{
    long wrong = 0;
    for (long i = 0; i < count; i++) {
        long result = -1;
        wrong += brood_pool_apply(pool, square, &i, sizeof i, &result, sizeof result, NULL) != 0 || result != i * i;
    }
    return wrong;
}

static long stream(brood_pool *pool, long count)
{
    static brood_result *results[FLIGHT];
    static long squares[FLIGHT];
    long wrong = 0;
    for (long i = 0; i < count + FLIGHT; i++) {
        long at = i % FLIGHT, old = i - FLIGHT;
        if (old >= 0) {
            wrong += brood_result_wait(results[at], BROOD_FOREVER) != 0 || squares[at] != old * old;
            brood_result_destroy(results[at]);
        }
        if (i < count)
            results[at] = brood_pool_apply_async(pool, square, &i, sizeof i, &squares[at], sizeof *squares, NULL);
    }
    return wrong;
}

/* ns a task, after some that are not timed. */
static double each(long (*run)(brood_pool *pool, long count), long count)
{
    brood_pool *pool = brood_pool_create(WORKERS, NULL);
    if (!pool)
        return trouble("no pool: %s", brood_error());
    long wrong = run(pool, count / 10);
    uint64_t began = clock_ns();
    wrong += run(pool, count);
    double took = (double)(clock_ns() - began) / (double)count;
    brood_pool_destroy(pool);
    return wrong ? trouble("%ld wrong results", wrong) : took;
}

double pool_apply_brood(void)
{
    double took = each(apply_all, APPLIES);
    return took < 0 ? took : took / NS_PER_US;
}

double pool_apply_async_brood(void)
{
    double took = each(stream, STREAM);
    return took < 0 ? took : took / NS_PER_US;
}

/* A word that two running processes hand to each other. */
double pool_apply_limit(void)
{
    _Atomic long *word = mmap(NULL, sizeof *word, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (word == MAP_FAILED)
        return trouble("no shared memory");
    pid_t pid = fork();
    if (pid < 0)
        return trouble("no process");
    uint64_t began = clock_ns();
    for (long i = 0; i < EXCHANGES; i++) {
        long mine = 2 * i + (pid == 0);
        while (atomic_load_explicit(word, memory_order_acquire) != mine)
            continue;
        atomic_store_explicit(word, mine + 1, memory_order_release);
    }
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    double took = (double)(clock_ns() - began) / EXCHANGES / NS_PER_US;
    munmap((void *)word, sizeof *word);
    return took;
}

double pool_open_4_brood(void)
{
    long in = 3, out = 0;
    uint64_t began = clock_ns();
    for (int i = 0; i < POOLS; i++) {
        brood_pool *pool = brood_pool_create(OPEN_WORKERS, NULL);
        if (!pool || brood_pool_apply(pool, square, &in, sizeof in, &out, sizeof out, NULL) != 0 || out != 9 ||
            brood_pool_destroy(pool) < 0)
            return trouble("a pool: %s", brood_error());
    }
    return (double)(clock_ns() - began) / POOLS / NS_PER_MS;
}

double pool_open_4_limit(void)
{
    uint64_t began = clock_ns();
    for (int i = 0; i < POOLS; i++) {
        pid_t pids[OPEN_WORKERS];
        for (int j = 0; j < OPEN_WORKERS; j++) {
            pids[j] = fork();
            if (pids[j] == 0)
                _exit(0);
            if (pids[j] < 0)
                return trouble("no process");
        }
        for (int j = 0; j < OPEN_WORKERS; j++)
            waitpid(pids[j], NULL, 0);
    }
    return (double)(clock_ns() - began) / POOLS / NS_PER_MS;
}
