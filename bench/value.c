/* bench/value.c: what a shared value costs: an atomic addition beside the machine's own, an increment under its lock
 * beside a robust mutex and an increment, and a slice of an array beside a plain copy.
 *
 * Each way counts in its own place, and the counts are verified: a value that loses would be fast, and no value.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "robust.h"
#include "trouble.h"

#include <brood.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define TIMES 4000000L           /* of one process */
#define CONTENDED_TIMES 2000000L /* of each of the two */
#define SLICES 400000L

enum { PARTIES = 2, CACHE_LINE = 64, SLICE = 1024 };

/* What is counted in, on cache lines of its own, and when the parties were at it. Written by both parties: a count by
 * its own rules, `ready` and a party's own `began` and `ended` by that party. Read by the starter after it has joined
 * both; `value` and `block` are its alone. */
struct contest {
    _Alignas(CACHE_LINE) pthread_mutex_t mutex;
    _Alignas(CACHE_LINE) volatile int count;
    _Alignas(CACHE_LINE) atomic_int atomic;
    _Alignas(CACHE_LINE) atomic_int ready;
    uint64_t began[PARTIES];
    uint64_t ended[PARTIES];
    brood_value *value;
    void *block; /* what brood_alloc returned */
};

static struct contest *contest_create(void)
{
    char *block = brood_alloc(sizeof(struct contest) + CACHE_LINE);
    brood_value *value = brood_value_create('i', NULL);
    if (!block || !value) {
        trouble("%s", brood_error());
        return NULL;
    }
    struct contest *contest = (struct contest *)(block + (CACHE_LINE - (uintptr_t)block % CACHE_LINE) % CACHE_LINE);
    contest->block = block;
    contest->value = value;
    return robust_init(&contest->mutex) == 0 ? contest : NULL;
}

static void contest_destroy(struct contest *contest)
{
    pthread_mutex_destroy(&contest->mutex);
    if (brood_value_destroy(contest->value) < 0)
        trouble("%s", brood_error());
    brood_free(contest->block);
}

/* What was counted, in whichever of the places. */
static long contest_count(struct contest *contest)
{
    int count = -1;
    if (brood_value_load(contest->value, &count) < 0)
        return -1;
    return count + contest->count + atomic_load(&contest->atomic);
}

static int add_by_brood(struct contest *contest, long times)
{
    for (long i = 0; i < times; i++)
        if (brood_value_add(contest->value, 1, NULL) < 0)
            return -1;
    return 0;
}

static int add_by_machine(struct contest *contest, long times)
{
    for (long i = 0; i < times; i++)
        atomic_fetch_add(&contest->atomic, 1);
    return 0;
}

static int count_by_brood(struct contest *contest, long times)
{
    volatile int *count = brood_value_at(contest->value);
    for (long i = 0; i < times; i++) {
        if (brood_value_acquire(contest->value, BROOD_FOREVER) < 0)
            return -1;
        ++*count;
        if (brood_value_release(contest->value) < 0)
            return -1;
    }
    return 0;
}

static int count_by_mutex(struct contest *contest, long times)
{
    for (long i = 0; i < times; i++) {
        if (pthread_mutex_lock(&contest->mutex))
            return -1;
        contest->count++;
        if (pthread_mutex_unlock(&contest->mutex))
            return -1;
    }
    return 0;
}

typedef int count_times(struct contest *contest, long times);

static double uncontended(count_times *count)
{
    struct contest *contest = contest_create();
    if (!contest)
        return -1;
    uint64_t began = clock_ns();
    int result = count(contest, TIMES);
    double each = (double)(clock_ns() - began) / TIMES;
    long counted = contest_count(contest);
    contest_destroy(contest);
    if (result < 0 || counted != TIMES)
        return trouble("a value lost %ld of %ld: %s", TIMES - counted, TIMES, brood_error());
    return each;
}

/* Both wait for each other before they begin, awake, so that neither works alone while the other is being made. */
static int contend(struct contest *contest, count_times *count)
{
    int party = atomic_fetch_add(&contest->ready, 1);
    while (atomic_load(&contest->ready) < PARTIES)
        sched_yield();
    contest->began[party] = clock_ns();
    int result = count(contest, CONTENDED_TIMES);
    contest->ended[party] = clock_ns();
    return result < 0;
}

static int contend_add_by_brood(void *arg)
{
    return contend(arg, add_by_brood);
}

static int contend_add_by_machine(void *arg)
{
    return contend(arg, add_by_machine);
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
    long counted = contest_count(contest);
    contest_destroy(contest);
    if (failed)
        return trouble("a party to a contended value failed");
    if (counted != PARTIES * CONTENDED_TIMES)
        return trouble("a contended value lost: %ld counted of %ld", counted, PARTIES * CONTENDED_TIMES);
    return (double)(ended - began) / (PARTIES * CONTENDED_TIMES);
}

double value_add_brood(void)
{
    return uncontended(add_by_brood);
}

double value_add_limit(void)
{
    return uncontended(add_by_machine);
}

double value_add_contended_brood(void)
{
    return contended(false, contend_add_by_brood);
}

double value_add_contended_limit(void)
{
    return contended(true, contend_add_by_machine);
}

double value_lock_brood(void)
{
    return uncontended(count_by_brood);
}

double value_lock_limit(void)
{
    return uncontended(count_by_mutex);
}

double value_lock_contended_brood(void)
{
    return contended(false, contend_by_brood);
}

double value_lock_contended_limit(void)
{
    return contended(true, contend_by_mutex);
}

/* ---- slices ---- */

double array_slice_brood(void)
{
    static int numbers[SLICE];
    brood_array *array = brood_array_create('i', SLICE, NULL);
    int failed = array ? 0 : -1;
    uint64_t began = clock_ns();
    for (long i = 0; i < SLICES && failed == 0; i++) {
        numbers[i % SLICE]++;
        failed = brood_array_set_slice(array, 0, SLICE, numbers);
    }
    double each = (double)(clock_ns() - began) / SLICES;
    if (failed == 0 && memcmp(brood_array_at(array, 0), numbers, sizeof numbers) != 0)
        failed = -1;
    brood_array_destroy(array);
    return failed < 0 ? trouble("a slice failed: %s", brood_error()) : each;
}

double array_slice_limit(void)
{
    static int numbers[SLICE];
    int *block = brood_alloc(sizeof numbers);
    if (!block)
        return trouble("%s", brood_error());
    uint64_t began = clock_ns();
    for (long i = 0; i < SLICES; i++) {
        numbers[i % SLICE]++;
        memcpy(block, numbers, sizeof numbers);
        __asm__ volatile("" ::: "memory"); /* every copy is made */
    }
    double each = (double)(clock_ns() - began) / SLICES;
    brood_free(block);
    return each;
}
