/* os/futex.c: shared futexes with absolute monotonic deadlines. */
#include "os/futex.h"

#include "os/clock.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/time_types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449 /* on every machine; musl 1.2.3 does not name it */
#endif

#define NAP 5000000 /* ns, where several words cannot be slept on */

/* What futex(2) takes, whatever time_t is: an uptime fits a long. */
struct moment {
    long seconds, nanoseconds;
};

static struct moment moment_of(int64_t deadline)
{
    return (struct moment){ (long)(deadline / 1000000000), (long)(deadline % 1000000000) };
}

int futex_sleep(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
    struct moment at = moment_of(deadline);
    int before = errno;
    long slept = syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, deadline == CLOCK_NEVER ? NULL : &at, NULL,
                         FUTEX_BITSET_MATCH_ANY);
    int result = slept < 0 && errno == ETIMEDOUT ? -ETIMEDOUT : 0;
    errno = before;
    return result;
}

static int nap_on_first(const struct futex_watch *watch, unsigned count, int64_t deadline)
{
    for (unsigned i = 0; i < count; i++)
        if (atomic_load(watch[i].word) != watch[i].expected)
            return 0;
    int64_t nap = clock_now() + NAP;
    int result = futex_sleep(watch[0].word, watch[0].expected, nap < deadline ? nap : deadline);
    return deadline <= nap ? result : 0;
}

int futex_sleep_any(const struct futex_watch *watch, unsigned count, int64_t deadline)
{
    static _Atomic bool refused;
    struct futex_waitv words[FUTEX_WATCH_MOST];
    struct __kernel_timespec at = { .tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000 };
    if (count > FUTEX_WATCH_MOST || atomic_load_explicit(&refused, memory_order_relaxed))
        return nap_on_first(watch, count, deadline);
    for (unsigned i = 0; i < count; i++)
        words[i] =
            (struct futex_waitv){ .uaddr = (uintptr_t)watch[i].word, .val = watch[i].expected, .flags = FUTEX_32 };
    int before = errno, result = 0;
    if (syscall(SYS_futex_waitv, words, count, 0, deadline == CLOCK_NEVER ? NULL : &at, CLOCK_MONOTONIC) < 0) {
        result = errno == ETIMEDOUT ? -ETIMEDOUT : 0;
        if (errno == ENOSYS || errno == EPERM)
            atomic_store_explicit(&refused, true, memory_order_relaxed);
    }
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

/* Moved from the word's queue to the word's queue: the kernel counts them, and does nothing else. */
int futex_sleepers(_Atomic uint32_t *word)
{
    int before = errno;
    long moved = syscall(SYS_futex, word, FUTEX_REQUEUE, 0, (long)FUTEX_EVERYONE, word, 0);
    errno = before;
    return moved < 0 ? 0 : (int)moved;
}

/* FUTEX_WAKE_OP changes the second word and wakes on both, under the locks of both their queues; here they are one. */
void futex_raise(_Atomic uint32_t *word, uint32_t bits)
{
    int before = errno;
    uint32_t how = FUTEX_OP(FUTEX_OP_OR, bits, FUTEX_OP_CMP_EQ, 0);
    /* What the caller did before is published here, for those who do not see what the kernel stores. */
    atomic_fetch_or(word, 0);
    if (syscall(SYS_futex, word, FUTEX_WAKE_OP, FUTEX_EVERYONE, (long)FUTEX_EVERYONE, word, how) < 0) {
        atomic_fetch_or(word, bits);
        futex_wake(word, FUTEX_EVERYONE);
    }
    errno = before;
}
