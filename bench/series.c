/* bench/series.c: see series.h. Kept in order as it grows: it is short, and then every question is one look.
 */
#include "series.h"

void series_add(struct series *series, double sample)
{
    if (series->count == SERIES_MOST)
        return;
    size_t place = series->count++;
    for (; place > 0 && series->samples[place - 1] > sample; place--)
        series->samples[place] = series->samples[place - 1];
    series->samples[place] = sample;
}

double series_median(const struct series *series)
{
    size_t count = series->count;
    if (count == 0)
        return -1;
    return (series->samples[(count - 1) / 2] + series->samples[count / 2]) / 2;
}

double series_least(const struct series *series)
{
    return series->count ? series->samples[0] : -1;
}

double series_most(const struct series *series)
{
    return series->count ? series->samples[series->count - 1] : -1;
}
