/* bench/peers/openmp.c: OpenMP's threads on the figures of the speed lab; a peer as bench/peer.h wants it.
 *
 * The loop is run once before the clock starts: then its threads stand, and the pages of both arrays are there.
 */
#include "../clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TASKS 1000000L
#define LOOPS 5

static void square_all(const long *numbers, long *squares)
{
#pragma omp parallel for schedule(dynamic, 1) num_threads(2)
    for (long i = 0; i < TASKS; i++)
        squares[i] = numbers[i] * numbers[i];
}

static int measure(void (*run)(const long *numbers, long *squares), double unit_ns)
{
    long *numbers = malloc(TASKS * sizeof *numbers);
    long *squares = malloc(TASKS * sizeof *squares);
    int failed = !numbers || !squares;
    if (!failed) {
        for (long i = 0; i < TASKS; i++)
            numbers[i] = i;
        run(numbers, squares);
        uint64_t began = clock_ns();
        for (int loop = 0; loop < LOOPS; loop++)
            run(numbers, squares);
        double each = (double)(clock_ns() - began) / LOOPS / TASKS / unit_ns;
        for (long i = 0; i < TASKS; i++)
            failed |= squares[i] != i * i;
        printf("%.3f\n", each);
    }
    free(squares);
    free(numbers);
    return failed;
}

static void make_tasks(const long *numbers, long *squares)
{
#pragma omp parallel num_threads(2)
#pragma omp single
    for (long i = 0; i < TASKS; i++) {
#pragma omp task firstprivate(i)
        squares[i] = numbers[i] * numbers[i];
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        puts("pool_map_auto\npool_map_chunk1\npool_apply_async");
        return 0;
    }
    if (argc == 2 && (strcmp(argv[1], "pool_map_auto") == 0 || strcmp(argv[1], "pool_map_chunk1") == 0))
        return measure(square_all, 1);
    if (argc == 2 && strcmp(argv[1], "pool_apply_async") == 0)
        return measure(make_tasks, NS_PER_US);
    fputs("usage: openmp --list | FIGURE\n", stderr);
    return 2;
}
