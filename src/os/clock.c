/* os/clock.c: CLOCK_MONOTONIC, by the vdso where there is one. */
#include "os/clock.h"

#include <time.h>

int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_lately(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? CLOCK_NEVER : clock_now() + (int64_t)timeout_ms * 1000000;
}
