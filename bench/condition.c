/* bench/condition.c: what a condition costs, beside the process-shared one of libc with its robust mutex.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "robust.h"
#include "trouble.h"

#include <brood.h>
#include <stdatomic.h>

#define NOTIFIES 4000000L /* that nobody waits for */
#define ROUNDS 20000L     /* of two processes that take turns */

enum { PARTIES = 2, CACHE_LINE = 64 };

/* Each lock and condition on cache lines of its own. `turn` is its holder's; `ready`, `began` and `ended` as in
 * bench/lock.c; `block` is the starter's alone. */
struct contest {
    _Alignas(CACHE_LINE) brood_lock lock;
    _Alignas(CACHE_LINE) brood_condition changed;
    _Alignas(CACHE_LINE) pthread_mutex_t mutex;
    _Alignas(CACHE_LINE) pthread_cond_t cond;
    _Alignas(CACHE_LINE) volatile long turn;
    _Alignas(CACHE_LINE) atomic_int ready;
    uint64_t began[PARTIES];
    uint64_t ended[PARTIES];
    void *block;
};

static struct contest *contest_create(void)
{
    char *block = brood_alloc(sizeof(struct contest) + CACHE_LINE);
    pthread_condattr_t shared;
    if (!block) {
        trouble("%s", brood_error());
        return NULL;
    }
    struct contest *contest = (struct contest *)(block + (CACHE_LINE - (uintptr_t)block % CACHE_LINE) % CACHE_LINE);
    contest->block = block;
    int failed = pthread_condattr_init(&shared) || pthread_condattr_setpshared(&shared, PTHREAD_PROCESS_SHARED) ||
                 pthread_cond_init(&contest->cond, &shared);
    if (!failed && robust_init(&contest->mutex) == 0)
        return contest;
    brood_free(block);
    return NULL;
}

/* The libc condition is left as it is: its destroy would wait for one that died. */
static void contest_destroy(struct contest *contest)
{
    pthread_mutex_destroy(&contest->mutex);
    if (brood_condition_fini(&contest->changed) < 0 || brood_lock_fini(&contest->lock) < 0)
        trouble("%s", brood_error());
    else
        brood_free(contest->block);
}

static double notify(bool bare)
{
    struct contest *contest = contest_create();
    int failed = 0;
    if (!contest)
        return -1;
    /* In use, as it will be: one that has never been waited for is looked at as a whole each time. */
    failed |= brood_lock_acquire(&contest->lock, BROOD_FOREVER);
    failed |= brood_condition_wait(&contest->changed, &contest->lock, 0) != -ETIMEDOUT;
    failed |= brood_lock_release(&contest->lock);
    uint64_t began = clock_ns();
    for (long i = 0; i < NOTIFIES; i++)
        failed |= bare ? pthread_cond_signal(&contest->cond) : brood_condition_notify(&contest->changed, 1);
    double each = (double)(clock_ns() - began) / NOTIFIES;
    contest_destroy(contest);
    return failed ? trouble("a notify failed: %s", brood_error()) : each;
}

static int take_turns_by_brood(struct contest *contest, int party)
{
    if (brood_lock_acquire(&contest->lock, BROOD_FOREVER) < 0)
        return -1;
    for (long i = 0; i < ROUNDS; i++) {
        while (contest->turn % PARTIES != party)
            if (brood_condition_wait(&contest->changed, &contest->lock, BROOD_FOREVER) != 0)
                return -1;
        contest->turn++;
        if (brood_condition_notify(&contest->changed, 1) < 0)
            return -1;
    }
    return brood_lock_release(&contest->lock);
}

static int take_turns_by_libc(struct contest *contest, int party)
{
    if (pthread_mutex_lock(&contest->mutex))
        return -1;
    for (long i = 0; i < ROUNDS; i++) {
        while (contest->turn % PARTIES != party)
            if (pthread_cond_wait(&contest->cond, &contest->mutex))
                return -1;
        contest->turn++;
        pthread_cond_signal(&contest->cond);
    }
    return -pthread_mutex_unlock(&contest->mutex);
}

static int take_turns(struct contest *contest, int (*take)(struct contest *contest, int party))
{
    int party = atomic_fetch_add(&contest->ready, 1);
    contest->began[party] = clock_ns();
    int result = take(contest, party);
    contest->ended[party] = clock_ns();
    return result < 0;
}

static int party_by_brood(void *arg)
{
    return take_turns(arg, take_turns_by_brood);
}

static int party_by_libc(void *arg)
{
    return take_turns(arg, take_turns_by_libc);
}

static double turns(bool bare, brood_target *target)
{
    struct contest *contest = contest_create();
    if (!contest)
        return -1;
    struct hand hands[PARTIES] = { { 0 } };
    int failed = 0;
    for (int i = 0; i < PARTIES && !failed; i++)
        failed = hand_start(&hands[i], bare, target, contest) < 0;
    for (int i = 0; i < PARTIES; i++) {
        if (failed && hands[i].pid)
            hand_kill(&hands[i]); /* it would wait for one that never came */
        failed |= hand_join(&hands[i]) != 0;
    }
    /* From when both were there: the second to begin. */
    uint64_t began = contest->began[0] > contest->began[1] ? contest->began[0] : contest->began[1];
    uint64_t ended = contest->ended[0] > contest->ended[1] ? contest->ended[0] : contest->ended[1];
    long turn = contest->turn;
    contest_destroy(contest);
    if (failed || turn != PARTIES * ROUNDS)
        return trouble("two that take turns by a condition failed: %ld turns", turn);
    return (double)(ended - began) / (PARTIES * ROUNDS) / NS_PER_US;
}

double condition_notify_brood(void)
{
    return notify(false);
}

double condition_notify_limit(void)
{
    return notify(true);
}

double condition_turns_brood(void)
{
    return turns(false, party_by_brood);
}

double condition_turns_limit(void)
{
    return turns(true, party_by_libc);
}
