/* bench/rwlock.c: what an rwlock costs its readers and writers, alone and two at once, beside libc's, process-shared
 * (which is not crash-safe: what a dead one held stays held).
 *
 * Both lie in a struct in the region. What they guard is two counters, which a reader must find equal; the writes are
 * counted and the count verified.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "trouble.h"

#include <brood.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define TURNS 4000000L      /* acquire + release, of one process */
#define BOTH_TURNS 2000000L /* of each of the two */

enum { PARTIES = 2, CACHE_LINE = 64, MIXED = 10 /* one write among so many turns */ };

/* As in bench/lock.c: `first` and `second` are their writer's, `ready`, `began` and `ended` a party's own. */
struct library {
    _Alignas(CACHE_LINE) brood_rwlock brood;
    _Alignas(CACHE_LINE) pthread_rwlock_t libc;
    _Alignas(CACHE_LINE) volatile long first;
    volatile long second;
    _Alignas(CACHE_LINE) atomic_int ready;
    uint64_t began[PARTIES];
    uint64_t ended[PARTIES];
    long every;  /* of so many turns one writes; 1: all do; 0: none does */
    bool libcs;  /* whose lock is measured */
    void *block; /* what brood_alloc returned */
};

static struct library *library_create(bool libcs, long every)
{
    pthread_rwlockattr_t attributes;
    char *block = brood_alloc(sizeof(struct library) + CACHE_LINE);
    if (!block) {
        trouble("%s", brood_error());
        return NULL;
    }
    struct library *library = (struct library *)(block + (CACHE_LINE - (uintptr_t)block % CACHE_LINE) % CACHE_LINE);
    library->block = block;
    library->libcs = libcs;
    library->every = every;
    if (!pthread_rwlockattr_init(&attributes) && !pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) &&
        !pthread_rwlock_init(&library->libc, &attributes))
        return library;
    trouble("a process-shared rwlock cannot be had here");
    brood_free(block);
    return NULL;
}

static void library_destroy(struct library *library)
{
    pthread_rwlock_destroy(&library->libc);
    if (brood_rwlock_fini(&library->brood) < 0)
        trouble("%s", brood_error());
    else
        brood_free(library->block);
}

/* What is done while it is held: -1: it let somebody in who must stay out. */
static int inside(struct library *library, bool writes)
{
    if (library->first != library->second)
        return -1;
    if (writes) {
        library->first++;
        library->second++;
    }
    return 0;
}

static int turn_by_brood(struct library *library, bool writes)
{
    int taken = writes ? brood_rwlock_acquire_write(&library->brood, BROOD_FOREVER)
                       : brood_rwlock_acquire_read(&library->brood, BROOD_FOREVER);
    return taken < 0 || inside(library, writes) < 0 || brood_rwlock_release(&library->brood) < 0 ? -1 : 0;
}

static int turn_by_libc(struct library *library, bool writes)
{
    int refused = writes ? pthread_rwlock_wrlock(&library->libc) : pthread_rwlock_rdlock(&library->libc);
    return refused || inside(library, writes) < 0 || pthread_rwlock_unlock(&library->libc) ? -1 : 0;
}

static int turns(struct library *library, long count)
{
    long every = library->every, left = every;
    for (long i = 0; i < count; i++) {
        bool writes = every && --left == 0;
        if (writes)
            left = every;
        if ((library->libcs ? turn_by_libc(library, writes) : turn_by_brood(library, writes)) < 0)
            return -1;
    }
    return 0;
}

static bool all_written(const struct library *library, long count)
{
    return library->first == (library->every ? count / library->every : 0) && library->first == library->second;
}

static double alone(bool libcs, long every)
{
    struct library *library = library_create(libcs, every);
    if (!library)
        return -1;
    uint64_t began = clock_ns();
    int failed = turns(library, TURNS);
    double each = (double)(clock_ns() - began) / TURNS;
    bool well = failed == 0 && all_written(library, TURNS);
    library_destroy(library);
    return well ? each : trouble("an rwlock that one process uses failed: %s", brood_error());
}

/* Both wait for each other before they begin, awake, so that neither works alone while the other is being made. */
static int take_part(void *arg)
{
    struct library *library = arg;
    int party = atomic_fetch_add(&library->ready, 1);
    while (atomic_load(&library->ready) < PARTIES)
        sched_yield();
    library->began[party] = clock_ns();
    int failed = turns(library, BOTH_TURNS);
    library->ended[party] = clock_ns();
    return failed < 0;
}

static double both(bool libcs, long every)
{
    struct library *library = library_create(libcs, every);
    if (!library)
        return -1;
    struct hand hands[PARTIES] = { { 0 } };
    int failed = 0;
    for (int i = 0; i < PARTIES && !failed; i++)
        failed = hand_start(&hands[i], libcs, take_part, library) < 0;
    if (failed)
        atomic_store(&library->ready, PARTIES); /* lets one that waits for the other go */
    for (int i = 0; i < PARTIES; i++)
        failed |= hand_join(&hands[i]) != 0;
    uint64_t began = library->began[0] < library->began[1] ? library->began[0] : library->began[1];
    uint64_t ended = library->ended[0] > library->ended[1] ? library->ended[0] : library->ended[1];
    bool well = !failed && all_written(library, PARTIES * BOTH_TURNS);
    library_destroy(library);
    if (!well)
        return trouble("an rwlock that two processes use failed");
    return (double)(ended - began) / (PARTIES * BOTH_TURNS);
}

double rwlock_read_brood(void)
{
    return alone(false, 0);
}

double rwlock_read_limit(void)
{
    return alone(true, 0);
}

double rwlock_write_brood(void)
{
    return alone(false, 1);
}

double rwlock_write_limit(void)
{
    return alone(true, 1);
}

double rwlock_read_2_brood(void)
{
    return both(false, 0);
}

double rwlock_read_2_limit(void)
{
    return both(true, 0);
}

double rwlock_mixed_2_brood(void)
{
    return both(false, MIXED);
}

double rwlock_mixed_2_limit(void)
{
    return both(true, MIXED);
}
