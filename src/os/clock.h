/* os/clock.h: monotonic time in nanoseconds, and deadlines. */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>

/* A deadline that never comes. */
#define CLOCK_NEVER INT64_MAX

int64_t clock_now(void);

/* The same, some milliseconds late, at a fraction of the cost. */
int64_t clock_lately(void);

/* The deadline of a timeout_ms: now, or CLOCK_NEVER for -1. The caller has refused other negatives. */
int64_t clock_deadline(int timeout_ms);

#endif
