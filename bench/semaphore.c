/* bench/semaphore.c: what a semaphore costs, free and to and fro between two processes, beside sem_t of libc, which
 * loses wakes with those it wakes; and an owned one, beside the robust mutex, the only thing of libc that a dead holder
 * gives back.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "robust.h"
#include "trouble.h"

#include <brood.h>
#include <semaphore.h>

#define PAIRS 4000000L /* acquire + release, of one process */
#define TURNS 100000L  /* to and fro */

enum { CACHE_LINE = 64 };

/* Each on a cache line of its own; block: what brood_alloc returned. ping: given by the lab, taken by the other
 * process; pong: the way back. */
struct court {
    _Alignas(CACHE_LINE) brood_semaphore ping, pong;
    _Alignas(CACHE_LINE) sem_t bare_ping;
    _Alignas(CACHE_LINE) sem_t bare_pong;
    _Alignas(CACHE_LINE) pthread_mutex_t mutex;
    void *block;
};

static struct court *court_create(void)
{
    char *block = brood_alloc(sizeof(struct court) + CACHE_LINE);
    if (!block) {
        trouble("%s", brood_error());
        return NULL;
    }
    struct court *court = (struct court *)(block + (CACHE_LINE - (uintptr_t)block % CACHE_LINE) % CACHE_LINE);
    court->block = block;
    if (robust_init(&court->mutex) == 0 && sem_init(&court->bare_ping, 1, 0) == 0 &&
        sem_init(&court->bare_pong, 1, 0) == 0)
        return court;
    brood_free(block);
    return NULL;
}

static double court_destroy(struct court *court, double figure)
{
    sem_destroy(&court->bare_ping);
    sem_destroy(&court->bare_pong);
    pthread_mutex_destroy(&court->mutex);
    if (brood_semaphore_fini(&court->ping) < 0 || brood_semaphore_fini(&court->pong) < 0)
        return trouble("%s", brood_error());
    brood_free(court->block);
    return figure;
}

static double take_and_give(bool owned)
{
    struct court *court = court_create();
    if (!court)
        return -1;
    int failed = brood_semaphore_init(&court->ping, 1, &(brood_semaphore_options){ .owned = owned });
    uint64_t began = clock_ns();
    for (long i = 0; i < PAIRS && !failed; i++)
        failed = brood_semaphore_acquire(&court->ping, BROOD_FOREVER) < 0 || brood_semaphore_release(&court->ping) < 0;
    double each = (double)(clock_ns() - began) / PAIRS;
    return court_destroy(court, failed ? trouble("%s", brood_error()) : each);
}

double semaphore_uncontended_brood(void)
{
    return take_and_give(false);
}

double semaphore_owned_brood(void)
{
    return take_and_give(true);
}

double semaphore_uncontended_limit(void)
{
    struct court *court = court_create();
    if (!court)
        return -1;
    int failed = sem_post(&court->bare_ping);
    uint64_t began = clock_ns();
    for (long i = 0; i < PAIRS && !failed; i++)
        failed = sem_wait(&court->bare_ping) || sem_post(&court->bare_ping);
    double each = (double)(clock_ns() - began) / PAIRS;
    return court_destroy(court, failed ? trouble("sem_wait or sem_post failed") : each);
}

double semaphore_owned_limit(void)
{
    struct court *court = court_create();
    if (!court)
        return -1;
    int failed = 0;
    uint64_t began = clock_ns();
    for (long i = 0; i < PAIRS && !failed; i++)
        failed = pthread_mutex_lock(&court->mutex) || pthread_mutex_unlock(&court->mutex);
    double each = (double)(clock_ns() - began) / PAIRS;
    return court_destroy(court, failed ? trouble("a robust mutex failed") : each);
}

static int return_by_brood(void *arg)
{
    struct court *court = arg;
    for (long i = 0; i < TURNS; i++)
        if (brood_semaphore_acquire(&court->ping, BROOD_FOREVER) < 0 || brood_semaphore_release(&court->pong) < 0)
            return 1;
    return 0;
}

static int return_by_sem(void *arg)
{
    struct court *court = arg;
    for (long i = 0; i < TURNS; i++)
        if (sem_wait(&court->bare_ping) || sem_post(&court->bare_pong))
            return 1;
    return 0;
}

static int serve_by_brood(struct court *court)
{
    for (long i = 0; i < TURNS; i++)
        if (brood_semaphore_release(&court->ping) < 0 || brood_semaphore_acquire(&court->pong, BROOD_FOREVER) < 0)
            return -1;
    return 0;
}

static int serve_by_sem(struct court *court)
{
    for (long i = 0; i < TURNS; i++)
        if (sem_post(&court->bare_ping) || sem_wait(&court->bare_pong))
            return -1;
    return 0;
}

static double to_and_fro(bool bare, brood_target *target, int (*serve)(struct court *court))
{
    struct court *court = court_create();
    struct hand hand;
    if (!court)
        return -1;
    if (hand_start(&hand, bare, target, court) < 0)
        return court_destroy(court, -1);
    uint64_t began = clock_ns();
    int failed = serve(court);
    double each = (double)(clock_ns() - began) / TURNS;
    failed |= hand_join(&hand) != 0;
    return court_destroy(court, failed ? trouble("a semaphore failed to and fro: %s", brood_error()) : each);
}

double semaphore_signal_brood(void)
{
    return to_and_fro(false, return_by_brood, serve_by_brood);
}

double semaphore_signal_limit(void)
{
    return to_and_fro(true, return_by_sem, serve_by_sem);
}
