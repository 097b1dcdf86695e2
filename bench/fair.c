/* bench/fair.c: see fair.h.
 *
 * What is fair? Waits of single turns say little: where there are more processes than processors, a process waits as a
 * rule for a few nanoseconds, and now and then until the scheduler lets it run again, lock or no lock, which is a
 * million times as long. So a process' share is judged by all that it waited in the whole run, against the mean of all
 * processes: the goal is that none waits 100 times the mean. And the longest single wait is shown beside the longest
 * time that a process which waits for nothing is kept from running: what goes beyond that is the lock's doing.
 */
#include "fair.h"

#include "clock.h"
#include "hand.h"
#include "robust.h"
#include "trouble.h"

#include <brood.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#define HOLD_NS 1000 /* a section: not so short that all is decided by the cache */

enum { PARTIES = 8, PROCESSORS = 2, CACHE_LINE = 64 };

typedef enum rival { BY_BROOD, BY_MUTEX, BY_NOTHING, RIVALS } rival;

/* party: each its own, read by the starter after it has joined all. `ready` and `stop`: by all, and by the starter. */
struct crowd {
    _Alignas(CACHE_LINE) brood_lock lock;
    _Alignas(CACHE_LINE) pthread_mutex_t mutex;
    _Alignas(CACHE_LINE) atomic_int ready;
    atomic_int stop;
    rival by;
    void *block; /* what brood_alloc returned */
    struct {
        _Alignas(CACHE_LINE) long turns;
        uint64_t waited, longest; /* ns */
    } party[PARTIES];
};

struct shares {
    double turns, waited, longest; /* of all, in ns */
    double most;                   /* of the one that waited most, over the mean */
};

static struct crowd *crowd_create(rival by)
{
    char *block = brood_alloc(sizeof(struct crowd) + CACHE_LINE);
    if (!block) {
        trouble("%s", brood_error());
        return NULL;
    }
    struct crowd *crowd = (struct crowd *)(block + (CACHE_LINE - (uintptr_t)block % CACHE_LINE) % CACHE_LINE);
    crowd->block = block;
    crowd->by = by;
    if (robust_init(&crowd->mutex) == 0)
        return crowd;
    brood_free(block);
    return NULL;
}

static int acquire(struct crowd *crowd)
{
    if (crowd->by == BY_BROOD)
        return brood_lock_acquire(&crowd->lock, BROOD_FOREVER) < 0;
    return crowd->by == BY_MUTEX ? pthread_mutex_lock(&crowd->mutex) : 0;
}

static int release(struct crowd *crowd)
{
    if (crowd->by == BY_BROOD)
        return brood_lock_release(&crowd->lock) < 0;
    return crowd->by == BY_MUTEX ? pthread_mutex_unlock(&crowd->mutex) : 0;
}

/* On the first processors that it may use. */
static void crowd_together(void)
{
    cpu_set_t all, few;
    CPU_ZERO(&few);
    if (sched_getaffinity(0, sizeof all, &all) < 0)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&few) < PROCESSORS; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &few);
    sched_setaffinity(0, sizeof few, &few);
}

/* A wait is from before the call to after it, whatever kept it; with nothing to wait for, from one look at the clock to
 * the next. */
static int take_turns(void *arg)
{
    struct crowd *crowd = arg;
    crowd_together();
    int party = atomic_fetch_add(&crowd->ready, 1);
    while (atomic_load(&crowd->ready) < PARTIES)
        sched_yield();
    uint64_t left = clock_ns();
    while (!atomic_load(&crowd->stop)) {
        if (acquire(crowd))
            return 1;
        uint64_t taken = clock_ns(), waited = taken - left;
        crowd->party[party].turns++;
        crowd->party[party].waited += waited;
        if (waited > crowd->party[party].longest)
            crowd->party[party].longest = waited;
        do
            left = clock_ns();
        while (crowd->by != BY_NOTHING && left - taken < HOLD_NS);
        if (release(crowd))
            return 1;
    }
    return 0;
}

static int crowd_run(struct crowd *crowd, uint64_t ns)
{
    struct hand hands[PARTIES] = { { 0 } };
    int failed = 0;
    for (int i = 0; i < PARTIES && !failed; i++)
        failed = hand_start(&hands[i], crowd->by != BY_BROOD, take_turns, crowd) < 0;
    if (failed)
        atomic_store(&crowd->ready, PARTIES); /* lets those that wait for the others go */
    else
        nanosleep(&(struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) }, NULL);
    atomic_store(&crowd->stop, 1);
    for (int i = 0; i < PARTIES; i++)
        failed |= hand_join(&hands[i]) != 0;
    return failed ? trouble("one of %d processes at a lock failed", PARTIES) : 0;
}

static struct shares shares_of(const struct crowd *crowd)
{
    struct shares shares = { 0 };
    for (int i = 0; i < PARTIES; i++) {
        double waited = (double)crowd->party[i].waited, longest = (double)crowd->party[i].longest;
        shares.turns += (double)crowd->party[i].turns;
        shares.waited += waited;
        shares.most = waited > shares.most ? waited : shares.most;
        shares.longest = longest > shares.longest ? longest : shares.longest;
    }
    shares.most = shares.waited > 0 ? shares.most / (shares.waited / PARTIES) : 0;
    return shares;
}

/* -1 after trouble(). */
static int measure_shares(rival by, uint64_t ns, struct shares *shares)
{
    struct crowd *crowd = crowd_create(by);
    if (!crowd)
        return -1;
    int failed = crowd_run(crowd, ns);
    *shares = shares_of(crowd);
    pthread_mutex_destroy(&crowd->mutex);
    brood_lock_fini(&crowd->lock);
    brood_free(crowd->block);
    return failed < 0 ? -1 : 0;
}

int fair_print(int seconds)
{
    static const char *const names[RIVALS] = { "brood_lock", "robust mutex", "nothing" };
    printf("%d processes on %d processors, %d s each; %d ns inside\n\n", PARTIES, PROCESSORS, seconds, HOLD_NS);
    printf("%-13s %12s %14s %22s %16s\n", "wait for", "turns", "mean wait us", "most waiting / mean",
           "longest wait ms");
    for (int i = 0; i < RIVALS; i++) {
        struct shares shares;
        if (measure_shares((rival)i, (uint64_t)seconds * NS_PER_S, &shares) < 0)
            return -1;
        printf("%-13s %12.0f %14.2f %22.2f %16.1f\n", names[i], shares.turns, shares.waited / shares.turns / NS_PER_US,
               shares.most, shares.longest / NS_PER_US / 1000);
    }
    puts("\nmost waiting / mean: all that the process that waited most has waited, over the mean of all processes");
    return 0;
}
