/* brood/waiter.h: who waits for what, and who holds it: for messages, tools, and people who look for a deadlock.
 *
 * A thread that finds a lock, or another object of this library, not to be had at once says so in a place of its own in
 * the region, where every process of the family can read it, and takes it back when its wait ends. What is read here is
 * a look in passing: it may be out of date when you see it. It costs those who need not wait nothing.
 *
 * Crash rule: a thread that dies waiting is not seen any more once it is gone; looking changes nothing.
 *
 * Before brood_init every call here but brood_waiter_watch fails with EINVAL.
 */
#ifndef BROOD_WAITER_H
#define BROOD_WAITER_H

#include <brood/result.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_waiter {
    int pid, tid;       /* the waiting thread */
    char process[32];   /* its process' name */
    const void *object; /* what it waits for... */
    char what[80];      /* ... in words: "lock 'jobs'" */
    int holder;         /* process id of the thread that holds that alone; 0: there is none */
    int holder_tid;     /* and its thread id */
    int64_t waited_us;  /* for how long so far, to some milliseconds */
    void *reserved[4];
} brood_waiter;

/* Who waits for `object` (a lock, semaphore, ...; NULL: for anything, in the whole family): fills at most `max`
 * entries, in no order, and returns how many there are. EINVAL: waiters is NULL though max is not 0. */
BROOD_API int brood_waiter_list(const void *object, brood_waiter *waiters, size_t max);

/* From now on a wait of a thread of this process that lasts longer than `ms` milliseconds is told to the log
 * (brood/log.h), once a wait, as a warning: who waits for what, held by whom. If the holder waits too, and so on, and
 * that leads back to the waiter, the line is an error, and says so: every process and object of the circle by name.
 * 0: no longer. A process that has not called this takes BROOD_SLOW_WAIT, milliseconds, from the environment when it
 * calls brood_init (a bad value is that call's EINVAL). A slow wait wakes once to tell; others cost what they did.
 * Waits at a barrier are seen, but not told.
 * With the log off, as it is at first, nothing is told: BROOD_LOG=warning turns it on (error: circles only). A holder
 * have locks, those of values and arrays too, and rwlocks: there it is who writes, or who waits for the readers to
 * leave and keeps others out. Circles through a semaphore or a reader are not seen.
 * EINVAL: ms is negative. */
BROOD_API int brood_waiter_watch(int ms);

#ifdef __cplusplus
}
#endif

#endif
