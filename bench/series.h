/* bench/series.h: the samples of one measurement.
 */
#ifndef BENCH_SERIES_H
#define BENCH_SERIES_H

#include <stddef.h>

enum { SERIES_MOST = 64 };

struct series {
    double samples[SERIES_MOST]; /* in ascending order */
    size_t count;
};

/* The series holds SERIES_MOST at most; what comes after is not kept. */
void series_add(struct series *series, double sample);

/* Of an empty series: -1. */
double series_median(const struct series *series);
double series_least(const struct series *series);
double series_most(const struct series *series);

#endif
