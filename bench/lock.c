/* bench/lock.c: what a lock costs, free and fought for, beside the robust mutex of libc.
 *
 * Both locks lie in a struct in the region: the same memory for both. What they guard is counted and the count
 * verified: a lock that lets two in would be fast, and no lock.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "robust.h"
#include "trouble.h"

#include <brood.h>
#include <sched.h>
#include <stdatomic.h>

#define PAIRS 4000000L           /* acquire + release, of one process */
#define CONTENDED_PAIRS 2000000L /* of each of the two */

enum { PARTIES = 2, CACHE_LINE = 64 };

/* Each lock, and what it guards, on cache lines of its own. Written by both parties: a lock by whoever takes it,
 * `count` by its holder, `ready` and a party's own `began` and `ended` by that party. Read by the starter after it has
 * joined both; `block` is its alone. */
struct contest {
    _Alignas(CACHE_LINE) brood_lock lock;
    _Alignas(CACHE_LINE) pthread_mutex_t mutex;
    _Alignas(CACHE_LINE) volatile long count;
    _Alignas(CACHE_LINE) atomic_int ready;
    uint64_t began[PARTIES];
    uint64_t ended[PARTIES];
    void *block; /* what brood_alloc returned */
};

static struct contest *contest_create(void)
{
    char *block = brood_alloc(sizeof(struct contest) + CACHE_LINE);
    if (!block) {
        trouble("%s", brood_error());
        return NULL;
    }
    struct contest *contest = (struct contest *)(block + (CACHE_LINE - (uintptr_t)block % CACHE_LINE) % CACHE_LINE);
    contest->block = block;
    if (robust_init(&contest->mutex) == 0)
        return contest;
    brood_free(block);
    return NULL;
}

static void contest_destroy(struct contest *contest)
{
    pthread_mutex_destroy(&contest->mutex);
    if (brood_lock_fini(&contest->lock) < 0)
        trouble("%s", brood_error());
    else
        brood_free(contest->block);
}

static int count_by_brood(struct contest *contest, long pairs)
{
    for (long i = 0; i < pairs; i++) {
        if (brood_lock_acquire(&contest->lock, BROOD_FOREVER) < 0)
            return -1;
        contest->count++;
        if (brood_lock_release(&contest->lock) < 0)
            return -1;
    }
    return 0;
}

static int count_by_mutex(struct contest *contest, long pairs)
{
    for (long i = 0; i < pairs; i++) {
        if (pthread_mutex_lock(&contest->mutex))
            return -1;
        contest->count++;
        if (pthread_mutex_unlock(&contest->mutex))
            return -1;
    }
    return 0;
}

typedef int count_pairs(struct contest *contest, long pairs);

static double uncontended(count_pairs *count)
{
    struct contest *contest = contest_create();
    if (!contest)
        return -1;
    uint64_t began = clock_ns();
    int result = count(contest, PAIRS);
    double each = (double)(clock_ns() - began) / PAIRS;
    long counted = contest->count;
    contest_destroy(contest);
    if (result < 0 || counted != PAIRS)
        return trouble("an uncontended lock failed: %s", brood_error());
    return each;
}

/* Both wait for each other before they begin, awake, so that neither works alone while the other is being made. */
static int contend(struct contest *contest, count_pairs *count)
{
    int party = atomic_fetch_add(&contest->ready, 1);
    while (atomic_load(&contest->ready) < PARTIES)
        sched_yield();
    contest->began[party] = clock_ns();
    int result = count(contest, CONTENDED_PAIRS);
    contest->ended[party] = clock_ns();
    return result < 0;
}

static int contend_by_brood(void *arg)
{
    return contend(arg, count_by_brood);
}

static int contend_by_mutex(void *arg)
{
    return contend(arg, count_by_mutex);
}

static double contended(bool bare, brood_target *target)
{
    struct contest *contest = contest_create();
    if (!contest)
        return -1;
    struct hand hands[PARTIES] = { { 0 } };
    int failed = 0;
    for (int i = 0; i < PARTIES && !failed; i++)
        failed = hand_start(&hands[i], bare, target, contest) < 0;
    if (failed)
        atomic_store(&contest->ready, PARTIES); /* lets one that waits for the other go */
    for (int i = 0; i < PARTIES; i++)
        failed |= hand_join(&hands[i]) != 0;
    uint64_t began = contest->began[0] < contest->began[1] ? contest->began[0] : contest->began[1];
    uint64_t ended = contest->ended[0] > contest->ended[1] ? contest->ended[0] : contest->ended[1];
    long counted = contest->count;
    contest_destroy(contest);
    if (failed)
        return trouble("a party to a contended lock failed");
    if (counted != PARTIES * CONTENDED_PAIRS)
        return trouble("a contended lock let two in: %ld counted of %ld", counted, PARTIES * CONTENDED_PAIRS);
    return (double)(ended - began) / (PARTIES * CONTENDED_PAIRS);
}

double lock_uncontended_brood(void)
{
    return uncontended(count_by_brood);
}

double lock_uncontended_limit(void)
{
    return uncontended(count_by_mutex);
}

double lock_contended_brood(void)
{
    return contended(false, contend_by_brood);
}

double lock_contended_limit(void)
{
    return contended(true, contend_by_mutex);
}
