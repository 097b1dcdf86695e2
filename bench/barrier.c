/* bench/barrier.c: what a round of a barrier costs, beside the process-shared one of libc.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "trouble.h"

#include <brood.h>
#include <pthread.h>
#include <stdatomic.h>

#define ALONE_ROUNDS 1000000L
#define ROUNDS 20000L

enum { PARTIES = 2, CACHE_LINE = 64 };

/* `passed` is counted by each party for itself; the others as in bench/lock.c. */
struct meeting {
    _Alignas(CACHE_LINE) brood_barrier barrier;
    _Alignas(CACHE_LINE) pthread_barrier_t libc;
    _Alignas(CACHE_LINE) atomic_int ready;
    uint64_t began[PARTIES];
    uint64_t ended[PARTIES];
    void *block;
};

static struct meeting *meeting_create(int parties)
{
    char *block = brood_alloc(sizeof(struct meeting) + CACHE_LINE);
    pthread_barrierattr_t shared;
    if (!block) {
        trouble("%s", brood_error());
        return NULL;
    }
    struct meeting *meeting = (struct meeting *)(block + (CACHE_LINE - (uintptr_t)block % CACHE_LINE) % CACHE_LINE);
    meeting->block = block;
    int failed = pthread_barrierattr_init(&shared) || pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) ||
                 pthread_barrier_init(&meeting->libc, &shared, (unsigned)parties) ||
                 brood_barrier_init(&meeting->barrier, parties, NULL) < 0;
    if (!failed)
        return meeting;
    trouble("a barrier could not be made: %s", brood_error());
    brood_free(block);
    return NULL;
}

static void meeting_destroy(struct meeting *meeting)
{
    if (brood_barrier_fini(&meeting->barrier) < 0)
        trouble("%s", brood_error());
    else
        brood_free(meeting->block);
}

static int pass(struct meeting *meeting, bool bare, long rounds)
{
    for (long i = 0; i < rounds; i++) {
        int result = bare ? pthread_barrier_wait(&meeting->libc) : brood_barrier_wait(&meeting->barrier, BROOD_FOREVER);
        if (result < 0 && result != PTHREAD_BARRIER_SERIAL_THREAD)
            return -1;
    }
    return 0;
}

static double alone(bool bare)
{
    struct meeting *meeting = meeting_create(1);
    if (!meeting)
        return -1;
    uint64_t began = clock_ns();
    int result = pass(meeting, bare, ALONE_ROUNDS);
    double each = (double)(clock_ns() - began) / ALONE_ROUNDS;
    meeting_destroy(meeting);
    return result < 0 ? trouble("a barrier failed: %s", brood_error()) : each;
}

static int meet(struct meeting *meeting, bool bare)
{
    int party = atomic_fetch_add(&meeting->ready, 1);
    if (pass(meeting, bare, 1) < 0) /* until both are there */
        return 1;
    meeting->began[party] = clock_ns();
    int result = pass(meeting, bare, ROUNDS);
    meeting->ended[party] = clock_ns();
    return result < 0;
}

static int meet_by_brood(void *arg)
{
    return meet(arg, false);
}

static int meet_by_libc(void *arg)
{
    return meet(arg, true);
}

static double together(bool bare, brood_target *target)
{
    struct meeting *meeting = meeting_create(PARTIES);
    if (!meeting)
        return -1;
    struct hand hands[PARTIES] = { { 0 } };
    int failed = 0;
    for (int i = 0; i < PARTIES && !failed; i++)
        failed = hand_start(&hands[i], bare, target, meeting) < 0;
    for (int i = 0; i < PARTIES; i++) {
        if (failed && hands[i].pid)
            hand_kill(&hands[i]);
        failed |= hand_join(&hands[i]) != 0;
    }
    uint64_t began = meeting->began[0] < meeting->began[1] ? meeting->began[0] : meeting->began[1];
    uint64_t ended = meeting->ended[0] > meeting->ended[1] ? meeting->ended[0] : meeting->ended[1];
    meeting_destroy(meeting);
    if (failed)
        return trouble("a party of a barrier failed");
    return (double)(ended - began) / ROUNDS / NS_PER_US;
}

double barrier_alone_brood(void)
{
    return alone(false);
}

double barrier_alone_limit(void)
{
    return alone(true);
}

double barrier_rounds_brood(void)
{
    return together(false, meet_by_brood);
}

double barrier_rounds_limit(void)
{
    return together(true, meet_by_libc);
}
