/* storm_queue.c: queues, while those who put and those who get are killed at random, with an exact account.
 *
 * Each message has a number. Its putter books it before and after the put, its getter when it has it. At the end, what
 * was put for certain was got once, but for as many as getters were killed, with which it may be lost; where it is
 * borrowed none may be lost, and none comes again once its getter was done. What was not even tried nobody got.
 */
#include "storm.h"

#include <brood.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LIMIT = 64 << 20,
    NUMBERS = 4 << 20, /* messages of one storm at most */
    WAIT_MS = 5000,
    SIZE_MOST = 4000,
};

/* What is booked of a message: by its putter, then by its getters. */
enum { TRIED = 1, PUT = 2, GOT = 4, DONE = 8 };

/* In the region. `taken`: queue 0 is got from, queue 1 borrowed from. */
struct post {
    brood_queue *queue[2];
    _Atomic uint32_t next;
    _Atomic long turns;
    _Atomic unsigned char book[NUMBERS];
};

struct clerk {
    struct storm *storm;
    struct post *post;
    int member;
};

struct letter {
    uint32_t number;
    uint32_t size;
    unsigned char bytes[SIZE_MOST];
};

static void fault(const struct clerk *clerk, point_kind kind, const char *what)
{
    point_fault(clerk->storm->report, kind, "%s: %s", what, brood_error());
}

static int queue_of(uint32_t number)
{
    return (int)(number >> 2 & 1);
}

/* One in eight is a block of its own. */
static uint32_t size_of(uint32_t number)
{
    uint32_t mixed = number * 2654435761u;
    return (uint32_t)offsetof(struct letter, bytes) + (mixed >> 29 ? mixed % 200 : mixed % SIZE_MOST);
}

static void put_letters(void *context)
{
    const struct clerk *clerk = context;
    struct post *post = clerk->post;
    struct letter letter;
    for (;;) {
        letter.number = atomic_fetch_add(&post->next, 1);
        if (letter.number >= NUMBERS)
            pause();
        letter.size = size_of(letter.number);
        memset(letter.bytes, (int)letter.number, letter.size - offsetof(struct letter, bytes));
        atomic_store(&post->book[letter.number], TRIED);
        int result;
        if (letter.number % 5) {
            result = brood_queue_put(post->queue[queue_of(letter.number)], &letter, letter.size, WAIT_MS);
        } else {
            void *place = brood_queue_reserve(post->queue[queue_of(letter.number)], letter.size, WAIT_MS);
            if (place)
                memcpy(place, &letter, letter.size);
            result = place ? brood_queue_commit(post->queue[queue_of(letter.number)], place, letter.size) : -errno;
        }
        if (result < 0)
            fault(clerk, result == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "a put");
        else
            atomic_fetch_or(&post->book[letter.number], PUT);
    }
}

/* Books it; false: it is no letter. */
static bool take_letter(const struct clerk *clerk, const struct letter *letter, size_t size, int from)
{
    struct post *post = clerk->post;
    bool whole = size >= offsetof(struct letter, bytes) && letter->number < NUMBERS && letter->size == size &&
                 size == size_of(letter->number) && queue_of(letter->number) == from;
    for (size_t i = 0; whole && i < size - offsetof(struct letter, bytes); i++)
        whole = letter->bytes[i] == (unsigned char)letter->number;
    if (!whole) {
        point_fault(clerk->storm->report, POINT_TORN, "a torn letter of %zu bytes", size);
        return false;
    }
    unsigned char before = atomic_fetch_or(&post->book[letter->number], GOT);
    if (!(before & TRIED))
        point_fault(clerk->storm->report, POINT_TORN, "letter %u was never put", letter->number);
    if (before & (from ? DONE : GOT))
        point_fault(clerk->storm->report, POINT_DOUBLED, "letter %u came again", letter->number);
    atomic_fetch_add(&post->turns, 1);
    return true;
}

/* 0, or why not. */
static int get_letter(const struct clerk *clerk, int from, int timeout_ms)
{
    brood_queue *queue = clerk->post->queue[from];
    static struct letter letter;
    brood_block block;
    size_t size = 0;
    int result = from ? brood_queue_borrow(queue, &block, timeout_ms)
                      : brood_queue_get(queue, &letter, sizeof letter, &size, timeout_ms);
    if (result < 0)
        return result;
    if (!from) {
        take_letter(clerk, &letter, size, from);
        return 0;
    }
    const struct letter *lent = block.data;
    uint32_t number = lent->number;
    if (take_letter(clerk, lent, block.size, from)) {
        if (brood_queue_done(queue, lent) < 0)
            fault(clerk, POINT_TORN, "done");
        atomic_fetch_or(&clerk->post->book[number], DONE);
    }
    return 0;
}

static void get_letters(void *context)
{
    const struct clerk *clerk = context;
    int own = clerk->member / 2 % 2;
    storm_seed((unsigned long long)point_us() + (unsigned)clerk->member);
    for (;;) {
        bool visits = storm_below(3) == 0; /* there it does not wait: each queue must have one who does */
        int result = get_letter(clerk, visits ? !own : own, visits ? (int)storm_below(2) : WAIT_MS);
        if (result < 0 && !(visits && result == -ETIMEDOUT))
            fault(clerk, result == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "a get");
    }
}

static void work(void *context)
{
    const struct clerk *clerk = context;
    if (clerk->member % 2)
        get_letters(context);
    else
        put_letters(context);
}

/* Nobody is there any more. */
static void close_post(const struct clerk *clerk, unsigned kills, bool verbose)
{
    struct post *post = clerk->post;
    for (int from = 0; from < 2; from++) {
        int result;
        while ((result = get_letter(clerk, from, 0)) >= 0)
            continue;
        if (result != -ETIMEDOUT)
            fault(clerk, POINT_TORN, "the last letters");
        if (brood_queue_join(post->queue[from], WAIT_MS) < 0)
            fault(clerk, POINT_STUCK, "joining");
        if (brood_queue_destroy(post->queue[from]) < 0)
            fault(clerk, POINT_TORN, "destroying");
    }
    uint32_t numbers = atomic_load(&post->next), lost = 0;
    for (uint32_t i = 0; i < numbers && i < NUMBERS; i++) {
        unsigned char book = atomic_load(&post->book[i]);
        if (!(book & PUT) || book & GOT)
            continue;
        lost++;
        if (queue_of(i))
            point_fault(clerk->storm->report, POINT_LOST, "letter %u, which was only lent, is lost", i);
    }
    if (lost > kills)
        point_fault(clerk->storm->report, POINT_LOST, "%u letters are lost, and %u getters died", lost, kills);
    if (verbose)
        printf("  queues: %u letters, %ld got, %u lost with %u getters killed\n", numbers, atomic_load(&post->turns),
               lost, kills);
}

void storm_over_queues(struct storm *storm)
{
    struct crew crew = { .body = work };
    struct clerk clerks[MEMBERS];
    brood_heap_stats before, after;
    struct post *post = NULL;
    unsigned kills = 0;
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 || !(post = brood_alloc(sizeof *post))) {
        point_fault(storm->report, POINT_TORN, "no family: %s", brood_error());
        return;
    }
    brood_heap_stat(&before);
    for (int i = 0; i < 2; i++)
        if (!(post->queue[i] = brood_queue_create(&(brood_queue_options){ .max_messages = i ? 7 : 100 }))) {
            point_fault(storm->report, POINT_TORN, "no queue: %s", brood_error());
            return;
        }
    for (int i = 0; i < MEMBERS; i++) {
        clerks[i] = (struct clerk){ storm, post, i };
        crew.contexts[i] = &clerks[i];
        crew_start(&crew, i);
    }
    while (point_us() < storm->end && atomic_load(&post->next) < NUMBERS) {
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
    close_post(&clerks[0], kills, storm->verbose);
    if (brood_heap_check() < 0 || brood_heap_stat(&after) < 0)
        point_fault(storm->report, POINT_TORN, "%s", brood_error());
    else if (after.blocks != before.blocks)
        point_fault(storm->report, POINT_LOST, "%zu blocks before, %zu after", before.blocks, after.blocks);
    if (atomic_load(&post->turns) == 0)
        point_fault(storm->report, POINT_STUCK, "nothing was got");
}
