/* bench/burden.c: what a pool weighs: an idle worker's memory, and what many tasks leave behind; and an empty queue.
 *
 * Memory is the proportional set size that the kernel tells (smaps_rollup): pages that a child shares with others count
 * by their share. Two workers are looked at beside two bare forks of the same process, all of them asleep.
 */
#include "clock.h"
#include "figure.h"
#include "trouble.h"

#include <brood.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2
#define MANY 100000000L
#define STREAM 1000000L
#define QUEUES 1000

/* KiB; -1 after trouble(). */
static double proportional(pid_t pid)
{
    char path[64], line[256];
    double size = -1;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file) && sscanf(line, "Pss: %lf", &size) != 1)
        continue;
    if (file)
        fclose(file);
    return size < 0 ? trouble("%s tells no Pss", path) : size;
}

static int nothing(const void *in, void *out)
{
    (void)in;
    (void)out;
    return 0;
}

double worker_idle_brood(void)
{
    brood_pool *pool = brood_pool_create(WORKERS, NULL);
    if (!pool || brood_pool_map(pool, nothing, NULL, 0, NULL, 0, 1000, NULL) != 0)
        return trouble("no pool: %s", brood_error());
    double sum = 0;
    for (int i = 0; i < WORKERS && sum >= 0; i++) {
        double size = proportional(brood_pool_worker(pool, i));
        sum = size < 0 ? -1 : sum + size;
    }
    brood_pool_destroy(pool);
    return sum < 0 ? -1 : sum / WORKERS;
}

double worker_idle_limit(void)
{
    pid_t pids[WORKERS];
    double sum = 0;
    for (int i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        if (pids[i] < 0)
            return trouble("fork failed");
        if (pids[i] == 0)
            for (;;)
                pause();
    }
    for (int i = 0; i < WORKERS && sum >= 0; i++) {
        double size = proportional(pids[i]);
        sum = size < 0 ? -1 : sum + size;
    }
    for (int i = 0; i < WORKERS; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    return sum < 0 ? -1 : sum / WORKERS;
}

static int square(const void *in, void *out)
{
    unsigned number = *(const uint8_t *)in;
    *(uint8_t *)out = (uint8_t)(number * number);
    return 0;
}

double pool_map_100m_brood(void)
{
    double each = -1;
    uint8_t *numbers = malloc(MANY), *squares = malloc(MANY);
    brood_pool *pool = brood_pool_create(WORKERS, NULL);
    if (!numbers || !squares || !pool) {
        trouble("no pool: %s", brood_error());
    } else {
        for (long i = 0; i < MANY; i++)
            numbers[i] = (uint8_t)(i * 7);
        uint64_t began = clock_ns();
        int result = brood_pool_map(pool, square, numbers, 1, squares, 1, MANY, NULL);
        each = (double)(clock_ns() - began) / MANY;
        for (long i = 0; i < MANY && result == 0; i++)
            if (squares[i] != (uint8_t)(numbers[i] * numbers[i]))
                result = trouble("wrong result %ld", i);
        if (result != 0)
            each = trouble("brood_pool_map returned %d: %s", result, brood_error());
    }
    brood_pool_destroy(pool);
    free(squares);
    free(numbers);
    return each;
}

/* Counts down. */
static int yield(void *context, void *in)
{
    long *left = context;
    *(long *)in = *left;
    return (*left)-- == 0;
}

static int give_back(const void *in, void *out)
{
    *(long *)out = *(const long *)in;
    return 0;
}

/* KiB that the region has from the system; -1: a result was wrong. */
static double backed_after(brood_pool *pool, long count)
{
    long left = count, out = 0, wrong = 0;
    brood_heap_stats stats;
    brood_heap_trim();
    brood_result *result = brood_pool_imap(pool, give_back, yield, &left, sizeof(long), sizeof(long), NULL);
    if (!result)
        return trouble("no imap: %s", brood_error());
    for (long i = 0; i < count; i++)
        wrong += brood_result_next(result, &out, NULL, BROOD_FOREVER) != 0 || out != count - i;
    brood_result_destroy(result);
    if (wrong || brood_heap_stat(&stats) < 0)
        return trouble("%ld wrong results", wrong);
    return (double)stats.backed / 1024;
}

/* KiB of the region that each of many empty queues takes, which were used before. */
double queue_empty_brood(void)
{
    static brood_queue *queues[QUEUES];
    brood_heap_stats before, after;
    char message[64] = "";
    int failed = brood_heap_stat(&before);
    for (int i = 0; i < QUEUES && failed == 0; i++) {
        queues[i] = brood_queue_create(NULL);
        failed = queues[i] ? brood_queue_put(queues[i], message, sizeof message, 0) : -1;
        if (failed == 0)
            failed = brood_queue_get(queues[i], message, sizeof message, NULL, 0);
    }
    if (failed == 0)
        failed = brood_heap_stat(&after);
    for (int i = 0; i < QUEUES; i++)
        brood_queue_destroy(queues[i]);
    return failed < 0 ? trouble("%s", brood_error()) : (double)(after.used - before.used) / QUEUES / 1024;
}

double imap_backed_brood(void)
{
    brood_pool *pool = brood_pool_create(WORKERS, NULL);
    double backed = pool ? backed_after(pool, STREAM) : trouble("no pool: %s", brood_error());
    brood_pool_destroy(pool);
    return backed;
}

double imap_backed_limit(void)
{
    brood_pool *pool = brood_pool_create(WORKERS, NULL);
    double backed = pool ? backed_after(pool, STREAM / 1000) : trouble("no pool: %s", brood_error());
    brood_pool_destroy(pool);
    return backed;
}
