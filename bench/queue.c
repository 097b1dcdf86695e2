/* bench/queue.c: what a message costs: streams of small and large ones, copied and in place, and one there and back
 * between two that run and two that sleep; beside a bare ring, a word that two processes exchange, and a futex.
 *
 * The ring is what the caches can do: one putter, one getter, slots of a fixed size, an index each, no bound to sleep
 * at, and nothing that survives a death.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "trouble.h"

#include <brood.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CACHE_LINE = 64, SMALL = 64, LARGE = 65536, BATCH = 32, SLOTS = 4096, LARGE_SLOTS = 16, DEPTH = 10000 };

#define SMALL_COUNT 2000000L
#define LARGE_COUNT 20000L
#define LOAN_COUNT 300000L
#define TURNS 100000L
#define WAKES 300

/* In the region. ping, pong: words for the limits; head, tail, bytes: the ring's. */
struct track {
    _Alignas(CACHE_LINE) brood_queue *queue;
    brood_queue *back;
    long count;
    size_t size, slots;
    _Alignas(CACHE_LINE) _Atomic uint32_t ping;
    _Alignas(CACHE_LINE) _Atomic uint32_t pong;
    _Alignas(CACHE_LINE) _Atomic uint64_t head;
    _Alignas(CACHE_LINE) _Atomic uint64_t tail;
    _Alignas(CACHE_LINE) char bytes[];
};

static struct track *track_create(long count, size_t size, size_t slots)
{
    struct track *track = brood_alloc_aligned(sizeof *track + size * slots, CACHE_LINE);
    if (!track) {
        trouble("%s", brood_error());
        return NULL;
    }
    track->count = count;
    track->size = size;
    track->slots = slots;
    return track;
}

static struct track *track_with_queue(long count, size_t size, size_t depth)
{
    struct track *track = track_create(count, size, 0);
    if (!track)
        return NULL;
    track->queue = brood_queue_create(&(brood_queue_options){ .max_messages = depth });
    track->back = brood_queue_create(NULL);
    if (track->queue && track->back)
        return track;
    trouble("%s", brood_error());
    brood_queue_destroy(track->queue);
    brood_free(track);
    return NULL;
}

static double track_destroy(struct track *track, double figure)
{
    if (brood_queue_destroy(track->queue) < 0 || brood_queue_destroy(track->back) < 0)
        return trouble("%s", brood_error());
    brood_free(track);
    return figure;
}

/* ---- streams: messages a second ---- */

static int put_all(void *arg)
{
    struct track *track = arg;
    static char bytes[LARGE];
    for (long i = 0; i < track->count; i++)
        if (brood_queue_put(track->queue, bytes, track->size, BROOD_FOREVER) < 0)
            return 1;
    return 0;
}

static int get_all(void *arg)
{
    struct track *track = arg;
    static char bytes[LARGE];
    for (long i = 0; i < track->count; i++)
        if (brood_queue_get(track->queue, bytes, track->size, NULL, BROOD_FOREVER) < 0)
            return 1;
    return 0;
}

static int put_batches(void *arg)
{
    struct track *track = arg;
    static char bytes[BATCH][SMALL];
    brood_block messages[BATCH];
    for (int i = 0; i < BATCH; i++)
        messages[i] = (brood_block){ bytes[i], SMALL };
    for (long i = 0; i < track->count; i += BATCH)
        if (brood_queue_put_many(track->queue, messages, BATCH, BROOD_FOREVER) != BATCH)
            return 1;
    return 0;
}

static int get_batches(void *arg)
{
    struct track *track = arg;
    static char bytes[BATCH * SMALL];
    brood_block messages[BATCH];
    for (long i = 0, got; i < track->count; i += got)
        if ((got = brood_queue_get_many(track->queue, bytes, sizeof bytes, messages, BATCH, BROOD_FOREVER)) < 0)
            return 1;
    return 0;
}

static int put_in_place(void *arg)
{
    struct track *track = arg;
    for (long i = 0; i < track->count; i++) {
        char *bytes = brood_queue_reserve(track->queue, track->size, BROOD_FOREVER);
        if (!bytes)
            return 1;
        bytes[0] = (char)i;
        if (brood_queue_commit(track->queue, bytes, track->size) < 0)
            return 1;
    }
    return 0;
}

static int get_in_place(void *arg)
{
    struct track *track = arg;
    for (long i = 0; i < track->count; i++) {
        brood_block message;
        if (brood_queue_borrow(track->queue, &message, BROOD_FOREVER) < 0 || *(char *)message.data != (char)i ||
            brood_queue_done(track->queue, message.data) < 0)
            return 1;
    }
    return 0;
}

/* `pairs` processes of each kind, the last getter the lab itself. Each of them has `count` messages. */
static double stream(struct track *track, brood_target *put, brood_target *get, int pairs, bool bare)
{
    struct hand putters[2] = { { 0 } }, getters[2] = { { 0 } };
    if (!track)
        return -1;
    long count = track->count;
    uint64_t began = clock_ns();
    int failed = 0;
    for (int i = 0; i < pairs && !failed; i++) {
        failed = hand_start(&putters[i], bare, put, track) < 0;
        if (i > 0 && !failed)
            failed = hand_start(&getters[i], bare, get, track) < 0;
    }
    failed = failed || get(track) != 0;
    for (int i = 0; i < pairs; i++) {
        failed |= hand_join(&putters[i]) != 0;
        failed |= i > 0 && hand_join(&getters[i]) != 0;
    }
    double rate = (double)count * pairs * (double)NS_PER_S / (double)(clock_ns() - began);
    return track_destroy(track, failed ? trouble("a stream failed: %s", brood_error()) : rate);
}

double queue_1p1c_64_brood(void)
{
    return stream(track_with_queue(SMALL_COUNT, SMALL, DEPTH), put_all, get_all, 1, false);
}

double queue_2p2c_64_brood(void)
{
    return stream(track_with_queue(SMALL_COUNT / 2, SMALL, DEPTH), put_all, get_all, 2, false);
}

double queue_many_64_brood(void)
{
    return stream(track_with_queue(SMALL_COUNT, SMALL, DEPTH), put_batches, get_batches, 1, false);
}

double queue_1p1c_64k_brood(void)
{
    return stream(track_with_queue(LARGE_COUNT, LARGE, LARGE_SLOTS), put_all, get_all, 1, false);
}

double queue_loan_64_brood(void)
{
    return stream(track_with_queue(LOAN_COUNT, SMALL, DEPTH), put_in_place, get_in_place, 1, false);
}

double queue_loan_64k_brood(void)
{
    return stream(track_with_queue(LARGE_COUNT, LARGE, LARGE_SLOTS), put_in_place, get_in_place, 1, false);
}

/* A pause now and then, and if it lasts, a turn for others: there may be no second processor. */
static void wait_a_moment(unsigned *tries)
{
    if (++*tries % 1000 == 0)
        syscall(SYS_sched_yield);
}

static int put_into_ring(void *arg)
{
    struct track *track = arg;
    static char bytes[LARGE];
    size_t size = track->size, slots = track->slots;
    uint64_t seen = 0;
    unsigned tries = 0;
    for (uint64_t i = 0; i < (uint64_t)track->count; i++) {
        for (; i - seen >= slots; wait_a_moment(&tries))
            seen = atomic_load_explicit(&track->tail, memory_order_acquire);
        char *slot = track->bytes + (i & (slots - 1)) * size;
        if (size == SMALL)
            memcpy(slot, bytes, SMALL);
        else
            memcpy(slot, bytes, size);
        memcpy(slot, &i, sizeof i);
        atomic_store_explicit(&track->head, i + 1, memory_order_release);
    }
    return 0;
}

static int get_from_ring(void *arg)
{
    struct track *track = arg;
    static char bytes[LARGE];
    size_t size = track->size, slots = track->slots;
    uint64_t seen = 0;
    unsigned tries = 0;
    for (uint64_t i = 0, number; i < (uint64_t)track->count; i++) {
        for (; i >= seen; wait_a_moment(&tries))
            seen = atomic_load_explicit(&track->head, memory_order_acquire);
        const char *slot = track->bytes + (i & (slots - 1)) * size;
        if (size == SMALL)
            memcpy(bytes, slot, SMALL);
        else
            memcpy(bytes, slot, size);
        memcpy(&number, bytes, sizeof number);
        if (number != i)
            return 1;
        atomic_store_explicit(&track->tail, i + 1, memory_order_release);
    }
    return 0;
}

double queue_1p1c_64_limit(void)
{
    return stream(track_create(SMALL_COUNT * 10, SMALL, SLOTS), put_into_ring, get_from_ring, 1, true);
}

double queue_1p1c_64k_limit(void)
{
    return stream(track_create(LARGE_COUNT, LARGE, LARGE_SLOTS), put_into_ring, get_from_ring, 1, true);
}

/* ---- there and back ---- */

static int send_back(void *arg)
{
    struct track *track = arg;
    char bytes[SMALL];
    for (long i = 0; i < track->count; i++)
        if (brood_queue_get(track->queue, bytes, SMALL, NULL, BROOD_FOREVER) < 0 ||
            brood_queue_put(track->back, bytes, SMALL, BROOD_FOREVER) < 0)
            return 1;
    return 0;
}

static int there_and_back(const struct track *track)
{
    char bytes[SMALL] = "";
    return brood_queue_put(track->queue, bytes, SMALL, BROOD_FOREVER) < 0 ||
           brood_queue_get(track->back, bytes, SMALL, NULL, BROOD_FOREVER) < 0;
}

double queue_pingpong_64_brood(void)
{
    struct track *track = track_with_queue(TURNS, SMALL, DEPTH);
    struct hand hand;
    if (!track || hand_start(&hand, false, send_back, track) < 0)
        return -1;
    uint64_t began = clock_ns();
    int failed = 0;
    for (long i = 0; i < TURNS && !failed; i++)
        failed = there_and_back(track);
    double each = (double)(clock_ns() - began) / NS_PER_US / TURNS;
    failed |= hand_join(&hand) != 0;
    return track_destroy(track, failed ? trouble("to and fro failed: %s", brood_error()) : each);
}

static void await_word(_Atomic uint32_t *word, uint32_t value)
{
    unsigned tries = 0;
    while (atomic_load_explicit(word, memory_order_acquire) != value)
        wait_a_moment(&tries);
}

static int answer_word(void *arg)
{
    struct track *track = arg;
    for (uint32_t i = 1; i <= (uint32_t)track->count; i++) {
        await_word(&track->ping, i);
        atomic_store_explicit(&track->pong, i, memory_order_release);
    }
    return 0;
}

double queue_pingpong_64_limit(void)
{
    struct track *track = track_create(TURNS, SMALL, 0);
    struct hand hand;
    if (!track || hand_start(&hand, true, answer_word, track) < 0)
        return -1;
    uint64_t began = clock_ns();
    for (uint32_t i = 1; i <= TURNS; i++) {
        atomic_store_explicit(&track->ping, i, memory_order_release);
        await_word(&track->pong, i);
    }
    double each = (double)(clock_ns() - began) / NS_PER_US / TURNS;
    return track_destroy(track, hand_join(&hand) != 0 ? trouble("a word failed") : each);
}

/* Before each turn the other side is asleep. */
static double wakes(struct track *track, bool bare, brood_target *answer, int (*turn)(struct track *track, long number))
{
    struct hand hand;
    uint64_t spent = 0;
    if (!track || hand_start(&hand, bare, answer, track) < 0)
        return -1;
    int failed = 0;
    for (long i = 1; i <= WAKES && !failed; i++) {
        while (!hand_sleeps(&hand))
            usleep(100);
        uint64_t began = clock_ns();
        failed = turn(track, i);
        spent += clock_ns() - began;
    }
    failed |= hand_join(&hand) != 0;
    return track_destroy(track,
                         failed ? trouble("waking failed: %s", brood_error()) : (double)spent / NS_PER_US / WAKES);
}

static int turn_by_queue(struct track *track, long number)
{
    (void)number;
    return there_and_back(track);
}

double queue_wake_64_brood(void)
{
    return wakes(track_with_queue(WAKES, SMALL, DEPTH), false, send_back, turn_by_queue);
}

static void futex_signal(_Atomic uint32_t *word, uint32_t value)
{
    atomic_store(word, value);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futex_await(_Atomic uint32_t *word, uint32_t value)
{
    uint32_t now;
    while ((now = atomic_load(word)) != value)
        syscall(SYS_futex, word, FUTEX_WAIT, now, NULL, NULL, 0);
}

static int answer_futex(void *arg)
{
    struct track *track = arg;
    for (uint32_t i = 1; i <= (uint32_t)track->count; i++) {
        futex_await(&track->ping, i);
        futex_signal(&track->pong, i);
    }
    return 0;
}

static int turn_by_futex(struct track *track, long number)
{
    futex_signal(&track->ping, (uint32_t)number);
    futex_await(&track->pong, (uint32_t)number);
    return 0;
}

double queue_wake_64_limit(void)
{
    return wakes(track_create(WAKES, SMALL, 0), true, answer_futex, turn_by_futex);
}
