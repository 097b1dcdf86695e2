/* bench/event.c: what an event costs, alone, and to and fro between two processes, beside the barest that the kernel
 * offers for it: a word, FUTEX_WAIT and FUTEX_WAKE.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "trouble.h"

#include <brood.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TURNS 100000L  /* to and fro */
#define PAIRS 4000000L /* set, wait and clear, of one process */
#define BARE_PAIRS 500000L

enum { CACHE_LINE = 64 };

/* Each on a cache line of its own; block: what brood_alloc returned. ping: set by the lab, waited for by the other
 * process; pong: the way back. */
struct court {
    _Alignas(CACHE_LINE) brood_event ping, pong;
    _Alignas(CACHE_LINE) _Atomic uint32_t bare_ping;
    _Alignas(CACHE_LINE) _Atomic uint32_t bare_pong;
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
    return court;
}

static double court_destroy(struct court *court, double figure)
{
    if (brood_event_fini(&court->ping) < 0 || brood_event_fini(&court->pong) < 0)
        return trouble("%s", brood_error());
    brood_free(court->block);
    return figure;
}

static int set_bare(_Atomic uint32_t *word)
{
    atomic_store(word, 1);
    return syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0) < 0;
}

static int await_bare(_Atomic uint32_t *word)
{
    while (atomic_load(word) == 0)
        syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
    atomic_store(word, 0);
    return 0;
}

static int await(brood_event *event)
{
    return brood_event_wait(event, BROOD_FOREVER) < 0 || brood_event_clear(event) < 0;
}

static int return_by_brood(void *arg)
{
    struct court *court = arg;
    for (long i = 0; i < TURNS; i++)
        if (await(&court->ping) || brood_event_set(&court->pong) < 0)
            return 1;
    return 0;
}

static int return_bare(void *arg)
{
    struct court *court = arg;
    for (long i = 0; i < TURNS; i++)
        if (await_bare(&court->bare_ping) || set_bare(&court->bare_pong))
            return 1;
    return 0;
}

static int serve_by_brood(struct court *court)
{
    for (long i = 0; i < TURNS; i++)
        if (brood_event_set(&court->ping) < 0 || await(&court->pong))
            return -1;
    return 0;
}

static int serve_bare(struct court *court)
{
    for (long i = 0; i < TURNS; i++)
        if (set_bare(&court->bare_ping) || await_bare(&court->bare_pong))
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
    return court_destroy(court, failed ? trouble("an event failed to and fro: %s", brood_error()) : each);
}

double event_signal_brood(void)
{
    return to_and_fro(false, return_by_brood, serve_by_brood);
}

double event_signal_limit(void)
{
    return to_and_fro(true, return_bare, serve_bare);
}

double event_uncontended_brood(void)
{
    struct court *court = court_create();
    if (!court)
        return -1;
    int failed = 0;
    uint64_t began = clock_ns();
    for (long i = 0; i < PAIRS && !failed; i++)
        failed = brood_event_set(&court->ping) < 0 || await(&court->ping);
    double each = (double)(clock_ns() - began) / PAIRS;
    return court_destroy(court, failed ? trouble("%s", brood_error()) : each);
}

/* The bare one has no word for "somebody sleeps": its set is a system call. */
double event_uncontended_limit(void)
{
    struct court *court = court_create();
    if (!court)
        return -1;
    int failed = 0;
    uint64_t began = clock_ns();
    for (long i = 0; i < BARE_PAIRS && !failed; i++)
        failed = set_bare(&court->bare_ping) || await_bare(&court->bare_ping);
    double each = (double)(clock_ns() - began) / BARE_PAIRS;
    return court_destroy(court, failed ? trouble("FUTEX_WAKE failed") : each);
}
