/* bench/pool.c: what a tiny task costs in a pool.
 *
 * The task does next to nothing, so all of it is the pool's: handing out, bringing home, and copying in and out of the
 * region, since the arrays lie in private memory. A first map, not timed, starts the workers and touches the memory;
 * OpenMP's threads and pages are warm in the same way.
 */
#include "clock.h"
#include "figure.h"
#include "trouble.h"

#include <brood.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TASKS 1000000L
#define TRACED 200000L
#define WORKERS 2

static int square(const void *in, void *out)
{
    long number = *(const long *)in;
    *(long *)out = number * number;
    return 0;
}

/* How many of the results are not the square of their index. */
static long wrong_squares(const long *squares)
{
    long wrong = 0;
    for (long i = 0; i < TASKS; i++)
        wrong += squares[i] != i * i;
    return wrong;
}

static double map_squares(brood_pool *pool, const long *numbers, long *squares, size_t chunk, int maps)
{
    const brood_task_options options = { .chunk = chunk };
    uint64_t began = 0;
    for (int map = -1; map < maps; map++) { /* the first, untimed, is the warm-up */
        if (map == 0) {
            memset(squares, 0xff, TASKS * sizeof *squares);
            began = clock_ns();
        }
        int result = brood_pool_map(pool, square, numbers, sizeof *numbers, squares, sizeof *squares, TASKS, &options);
        if (result != 0)
            return trouble("brood_pool_map returned %d: %s", result, brood_error());
    }
    double each = (double)(clock_ns() - began) / (double)maps / TASKS;
    long wrong = wrong_squares(squares);
    return wrong ? trouble("brood_pool_map: %ld wrong results", wrong) : each;
}

static double pool_map(size_t chunk, int maps)
{
    double each = -1;
    long *numbers = malloc(TASKS * sizeof *numbers);
    long *squares = malloc(TASKS * sizeof *squares);
    brood_pool *pool = brood_pool_create(WORKERS, NULL);
    if (!numbers || !squares || !pool)
        trouble("no pool: %s", brood_error());
    else {
        for (long i = 0; i < TASKS; i++)
            numbers[i] = i;
        each = map_squares(pool, numbers, squares, chunk, maps);
    }
    if (brood_pool_destroy(pool) < 0)
        trouble("%s", brood_error());
    free(squares);
    free(numbers);
    return each;
}

double pool_map_auto_brood(void)
{
    return pool_map(0, 5);
}

double pool_map_chunk1_brood(void)
{
    return pool_map(1, 2);
}

/* To a file in /tmp, which is removed. */
double pool_map_traced_brood(void)
{
    char path[] = "/tmp/brood-bench-XXXXXX";
    int fd = mkstemp(path);
    long *numbers = calloc(TRACED, sizeof *numbers), *squares = calloc(TRACED, sizeof *squares);
    brood_pool *pool = fd < 0 ? NULL : brood_pool_create(WORKERS, &(brood_pool_options){ .trace = path });
    uint64_t began = 0;
    int result = numbers && squares && pool ? 0 : -1;
    for (int map = 0; map < 2 && result == 0; map++) { /* the first is the warm-up */
        began = clock_ns();
        result = brood_pool_map(pool, square, numbers, sizeof *numbers, squares, sizeof *squares, TRACED, NULL);
    }
    double each = (double)(clock_ns() - began) / TRACED;
    if (result != 0)
        each = trouble("a traced pool: %s", brood_error());
    if (brood_pool_destroy(pool) < 0)
        trouble("%s", brood_error());
    if (fd >= 0) {
        unlink(path);
        close(fd);
    }
    free(squares);
    free(numbers);
    return each;
}
