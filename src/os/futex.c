/* os/futex.c: shared futexes with absolute monotonic deadlines. */
#include "os/futex.h"

#include "os/clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int futex_sleep(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
    struct timespec at = { .tv_sec = (time_t)(deadline / 1000000000), .tv_nsec = (long)(deadline % 1000000000) };
    int before = errno;
    long slept = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, deadline == CLOCK_NEVER ? NULL : &at, NULL,
                         FUTEX_BITSET_MATCH_ANY);
    int result = slept < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
    errno = before;
    return result;
}

int futex_wake(_Atomic uint32_t *word, int count)
{
    int before = errno;
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    errno = before;
    return woken < 0 ? 0 : (int)woken;
}
