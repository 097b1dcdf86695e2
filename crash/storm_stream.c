/* storm_stream.c: a hundred million small messages through one queue, while putters and getters are killed.
 *
 * The account of storm_queue.c at the queue's own speed: messages go one by one, in batches, and by loan. What a put
 * said is in comes out once, but for what went down with a getter: the messages of one call for each that was killed.
 */
#include "storm.h"

#include <brood.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    NUMBERS = 100 * 1000 * 1000,
    BATCH = 32,      /* messages of one call at most */
    IN_QUEUE = 4096, /* at most */
    WAIT_MS = 5000,
    SLACK = 64 << 20, /* bytes of the region, besides the account */
};

/* What is booked of a message: by its putter, then by its getter. */
enum { TRIED = 1, PUT = 2, GOT = 4 };

/* In the region. */
struct stream {
    brood_queue *queue;
    _Atomic uint32_t next;
    _Atomic long got;
    _Atomic unsigned char book[NUMBERS];
};

struct drop {
    uint32_t number, inverse;
    uint64_t more[6]; /* there is some of it */
};

struct boatman {
    struct storm *storm;
    struct stream *stream;
    int member;
};

static void fault(const struct boatman *boatman, point_kind kind, const char *what)
{
    point_fault(boatman->storm->report, kind, "%s: %s", what, brood_error());
}

static size_t size_of(uint32_t number)
{
    return offsetof(struct drop, more) + number % 7 * sizeof(uint64_t);
}

static void fill(struct drop *drop, uint32_t number)
{
    drop->number = number;
    drop->inverse = ~number;
    for (uint32_t i = 0; i < number % 7 && i < 6; i++)
        drop->more[i] = (uint64_t)number * (i + 3);
}

static bool is_whole(const struct drop *drop, size_t size)
{
    struct drop as_put;
    if (size < offsetof(struct drop, more) || drop->number >= NUMBERS || size != size_of(drop->number))
        return false;
    fill(&as_put, drop->number);
    return memcmp(drop, &as_put, size) == 0;
}

/* How many it has put, or why none. */
static int put_some(struct stream *stream, uint32_t first, int count, struct drop *drops)
{
    brood_block blocks[BATCH];
    for (int i = 0; i < count; i++) {
        fill(&drops[i], first + (uint32_t)i);
        blocks[i] = (brood_block){ &drops[i], size_of(first + (uint32_t)i) };
    }
    if (count > 2)
        return brood_queue_put_many(stream->queue, blocks, (size_t)count, WAIT_MS);
    size_t size = size_of(first);
    if (count > 1) {
        int result = brood_queue_put(stream->queue, drops, size, WAIT_MS);
        return result < 0 ? result : 1;
    }
    void *place = brood_queue_reserve(stream->queue, size, WAIT_MS);
    if (!place)
        return -errno;
    memcpy(place, drops, size);
    int result = brood_queue_commit(stream->queue, place, size);
    return result < 0 ? result : 1;
}

static void put_all(const struct boatman *boatman)
{
    static struct drop drops[BATCH];
    struct stream *stream = boatman->stream;
    for (;;) {
        uint32_t first = atomic_fetch_add(&stream->next, BATCH);
        if (first >= NUMBERS)
            pause();
        for (int i = 0; i < BATCH; i++)
            atomic_store_explicit(&stream->book[first + (uint32_t)i], TRIED, memory_order_relaxed);
        for (int done = 0; done < BATCH;) {
            int count = storm_below(4) ? BATCH - done : BATCH - done < 2 ? 1 : 1 + (int)storm_below(2);
            int put = put_some(stream, first + (uint32_t)done, count, drops);
            if (put <= 0) {
                fault(boatman, put == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "a put");
                break;
            }
            for (int i = 0; i < put; i++)
                atomic_fetch_or_explicit(&stream->book[first + (uint32_t)(done + i)], PUT, memory_order_relaxed);
            done += put;
        }
    }
}

static void book(const struct boatman *boatman, const struct drop *drop, size_t size)
{
    if (!is_whole(drop, size)) {
        point_fault(boatman->storm->report, POINT_TORN, "a torn message of %zu bytes", size);
        return;
    }
    unsigned char before = atomic_fetch_or_explicit(&boatman->stream->book[drop->number], GOT, memory_order_relaxed);
    if (!(before & TRIED))
        point_fault(boatman->storm->report, POINT_TORN, "message %u was never put", drop->number);
    if (before & GOT)
        point_fault(boatman->storm->report, POINT_DOUBLED, "message %u came again", drop->number);
}

/* How many, or why none. */
static int get_some(const struct boatman *boatman, int timeout_ms)
{
    static struct drop drops[BATCH];
    struct stream *stream = boatman->stream;
    brood_block blocks[BATCH];
    size_t size = 0;
    int count;
    if (storm_below(4)) {
        count = brood_queue_get_many(stream->queue, drops, sizeof drops, blocks, BATCH, timeout_ms);
    } else {
        int result = brood_queue_get(stream->queue, drops, sizeof drops[0], &size, timeout_ms);
        count = result < 0 ? result : 1;
        blocks[0] = (brood_block){ drops, size };
    }
    for (int i = 0; i < count; i++)
        book(boatman, blocks[i].data, blocks[i].size);
    atomic_fetch_add(&stream->got, count > 0 ? count : 0);
    return count;
}

static void work(void *context)
{
    const struct boatman *boatman = context;
    storm_seed((unsigned long long)point_us() + (unsigned)boatman->member);
    if (boatman->member % 2 == 0)
        put_all(boatman);
    for (;;) {
        int count = get_some(boatman, WAIT_MS);
        if (count <= 0)
            fault(boatman, count == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "a get");
    }
}

/* Nobody is there any more. */
static void settle_account(const struct boatman *boatman, unsigned kills, bool verbose)
{
    struct stream *stream = boatman->stream;
    int count;
    while ((count = get_some(boatman, 0)) > 0)
        continue;
    if (count != -ETIMEDOUT)
        fault(boatman, POINT_TORN, "the last messages");
    if (brood_queue_destroy(stream->queue) < 0)
        fault(boatman, POINT_TORN, "destroying");
    uint32_t numbers = atomic_load(&stream->next), put = 0, lost = 0;
    for (uint32_t i = 0; i < numbers && i < NUMBERS; i++) {
        put += (stream->book[i] & PUT) != 0;
        lost += (stream->book[i] & (PUT | GOT)) == PUT;
    }
    if (lost > kills * BATCH)
        point_fault(boatman->storm->report, POINT_LOST, "%u messages are lost, and %u getters died", lost, kills);
    if (put == 0)
        point_fault(boatman->storm->report, POINT_STUCK, "nothing was put");
    if (verbose)
        printf("  a stream: %u messages put, %ld got, %u lost with %u getters killed\n", put, atomic_load(&stream->got),
               lost, kills);
}

void storm_over_stream(struct storm *storm)
{
    struct crew crew = { .body = work };
    struct boatman boatmen[MEMBERS];
    struct stream *stream = NULL;
    unsigned kills = 0;
    if (brood_init(&(brood_init_options){ .limit = NUMBERS + SLACK }) < 0 || !(stream = brood_alloc(sizeof *stream)) ||
        !(stream->queue = brood_queue_create(&(brood_queue_options){ .max_messages = IN_QUEUE }))) {
        point_fault(storm->report, POINT_TORN, "no family: %s", brood_error());
        return;
    }
    for (int i = 0; i < MEMBERS; i++) {
        boatmen[i] = (struct boatman){ storm, stream, i };
        crew.contexts[i] = &boatmen[i];
        crew_start(&crew, i);
    }
    while (point_us() < storm->end && atomic_load(&stream->next) < NUMBERS) {
        storm_gap();
        int member = (int)storm_below(MEMBERS);
        crew_kill(&crew, member);
        kills += member % 2;
        crew_start(&crew, member);
    }
    for (int i = 0; i < MEMBERS; i++) {
        crew_kill(&crew, i);
        kills += i % 2;
    }
    settle_account(&boatmen[0], kills, storm->verbose);
    if (brood_heap_check() < 0)
        point_fault(storm->report, POINT_TORN, "%s", brood_error());
}
