/* queue_share.c: many processes at a queue: each message is got once, in the order of each putter; who waits is woken,
 * and only for what it can get; bounds hold; the queue's end reaches all.
 */
#include "harness.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PUTTERS = 3, GETTERS = 3, EACH = 3000, WAIT_MS = 10000 };

struct share {
    brood_queue *queue, *back;
    size_t most;
    atomic_int ready, next, done, go;
    atomic_long sum, count, woken;
    atomic_int seen[PUTTERS][EACH];
};

struct message {
    int putter, number;
    unsigned char bytes[6000];
};

static struct share *new_share(const brood_queue_options *options)
{
    struct share *share = CHECK_POINTER(brood_alloc(sizeof *share));
    NEED(share != NULL);
    share->queue = CHECK_POINTER(brood_queue_create(options));
    NEED(share->queue != NULL);
    return share;
}

static void free_share(struct share *share)
{
    CHECK_RESULT(brood_queue_destroy(share->queue), 0);
    brood_free(share);
}

/* Of a size that the message itself tells: half of them large. */
static size_t size_of(const struct share *share, int number)
{
    size_t head = offsetof(struct message, bytes);
    return head + (share->most ? (size_t)(number * 37) % share->most : 0);
}

static int put_share(void *arg)
{
    struct share *share = arg;
    struct message message = { .putter = atomic_fetch_add(&share->next, 1) };
    for (int i = 0; i < EACH; i++) {
        message.number = i;
        memset(message.bytes, i, sizeof message.bytes);
        CHECK_RESULT(brood_queue_put(share->queue, &message, size_of(share, i), WAIT_MS), 0);
    }
    return 0;
}

static void take(struct share *share, const struct message *message, size_t size, int last[PUTTERS])
{
    if (!CHECK(message->putter >= 0 && message->putter < PUTTERS && message->number > last[message->putter]))
        return;
    last[message->putter] = message->number;
    CHECK_EQ(size, size_of(share, message->number));
    for (size_t i = 0; i < size - offsetof(struct message, bytes); i++)
        if (message->bytes[i] != (unsigned char)message->number) {
            CHECK(message->bytes[i] == (unsigned char)message->number);
            break;
        }
    CHECK_EQ(atomic_fetch_add(&share->seen[message->putter][message->number], 1), 0);
    atomic_fetch_add(&share->count, 1);
}

/* By all the ways of getting, in turn. */
static int get_share(void *arg)
{
    struct share *share = arg;
    struct message message;
    int last[PUTTERS], result = 0;
    memset(last, -1, sizeof last);
    for (int turn = 0; result >= 0; turn++) {
        brood_block block;
        size_t size = 0;
        if (turn % 3 == 0) {
            result = brood_queue_get(share->queue, &message, sizeof message, &size, WAIT_MS);
            if (result >= 0)
                take(share, &message, size, last);
        } else if (turn % 3 == 1) {
            result = brood_queue_get_block(share->queue, &block, WAIT_MS);
            if (result >= 0)
                take(share, block.data, block.size, last);
            if (result >= 0)
                brood_free(block.data);
        } else {
            result = brood_queue_borrow(share->queue, &block, WAIT_MS);
            if (result >= 0)
                take(share, block.data, block.size, last);
            if (result >= 0)
                CHECK_RESULT(brood_queue_done(share->queue, block.data), 0);
        }
        CHECK(result <= 0);
    }
    CHECK_EQ(result, -EPIPE);
    return 0;
}

static void run_share(const brood_queue_options *options, size_t most, brood_start method)
{
    struct share *share = new_share(options);
    brood_process *putters[PUTTERS], *getters[GETTERS];
    brood_process_options with = { .start = method };
    share->most = most;
    for (int i = 0; i < GETTERS; i++)
        getters[i] = CHECK_POINTER(brood_process_start(get_share, share, 0, &with));
    for (int i = 0; i < PUTTERS; i++)
        putters[i] = CHECK_POINTER(brood_process_start(put_share, share, 0, &with));
    for (int i = 0; i < PUTTERS; i++) {
        brood_end end;
        CHECK_RESULT(brood_process_join(putters[i], &end, 60000), 0);
        CHECK_EQ(end.how, BROOD_RETURNED);
    }
    CHECK_RESULT(brood_queue_join(share->queue, WAIT_MS), 0);
    CHECK_RESULT(brood_queue_close(share->queue), 0);
    for (int i = 0; i < GETTERS; i++)
        CHECK_RESULT(brood_process_join(getters[i], NULL, 60000), 0);
    CHECK_EQ(atomic_load(&share->count), PUTTERS * EACH);
    free_share(share);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void small_ones(void)
{
    run_share(NULL, 0, BROOD_FORK);
}

static void of_all_sizes(void)
{
    run_share(NULL, 6000, BROOD_FORK);
}

static void in_a_short_queue(void)
{
    run_share(&(brood_queue_options){ .max_messages = 1 }, 6000, BROOD_FORK);
}

static void in_few_bytes(void)
{
    run_share(&(brood_queue_options){ .max_bytes = 12000 }, 6000, BROOD_FORK);
}

static void spawned(void)
{
    run_share(&(brood_queue_options){ .max_messages = 50 }, 6000, BROOD_SPAWN);
}

static void by_fork_server(void)
{
    run_share(&(brood_queue_options){ .max_messages = 50 }, 6000, BROOD_FORKSERVER);
}

/* ---- waiting ---- */

static bool sleeps(void *pid)
{
    return process_state(*(pid_t *)pid) == 'S';
}

static long switches(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw;
}

static int get_one(void *arg)
{
    struct share *share = arg;
    int number = 0;
    atomic_fetch_add(&share->ready, 1);
    long before = switches();
    CHECK_RESULT(brood_queue_get(share->queue, &number, sizeof number, NULL, BROOD_FOREVER), 0);
    atomic_fetch_add(&share->woken, switches() - before);
    atomic_fetch_add(&share->sum, number);
    atomic_fetch_add(&share->done, 1);
    return 0;
}

static pid_t start_asleep(struct share *share, int (*body)(void *arg))
{
    int ready = atomic_load(&share->ready);
    pid_t pid = fork_child(body, share);
    NEED(wait_word(&share->ready, ready + 1, 5000));
    NEED(wait_until(sleeps, &pid, 5000));
    return pid;
}

/* Each message wakes the one that gets it, and the next to watch in its place: not all of them. */
static void no_herd(void)
{
    enum { SLEEPERS = 20 };
    struct share *share = new_share(NULL);
    pid_t pids[SLEEPERS];
    for (int i = 0; i < SLEEPERS; i++)
        pids[i] = start_asleep(share, get_one);
    for (int i = 0; i < SLEEPERS; i++) {
        CHECK_RESULT(brood_queue_put(share->queue, &(int){ 1 << i }, sizeof(int), 0), 0);
        CHECK(wait_word(&share->done, i + 1, 5000));
    }
    for (int i = 0; i < SLEEPERS; i++)
        CHECK_EQ(wait_child(pids[i]), 0);
    CHECK_EQ(atomic_load(&share->sum), (1 << SLEEPERS) - 1);
    CHECK(atomic_load(&share->woken) <= 5 * SLEEPERS); /* a herd would be some 200 */
    free_share(share);
}

static int put_one(void *arg)
{
    struct share *share = arg;
    int number = 1;
    atomic_fetch_add(&share->ready, 1);
    CHECK_RESULT(brood_queue_put(share->queue, &number, sizeof number, BROOD_FOREVER), 0);
    atomic_fetch_add(&share->done, 1);
    return 0;
}

static void waits_for_room(void)
{
    struct share *share = new_share(&(brood_queue_options){ .max_messages = 2 });
    pid_t pids[4];
    int number;
    CHECK_RESULT(brood_queue_put_many(
                     share->queue, (brood_block[]){ { &(int){ 2 }, sizeof(int) }, { &(int){ 3 }, sizeof(int) } }, 2, 0),
                 2);
    for (int i = 0; i < 4; i++)
        pids[i] = start_asleep(share, put_one);
    CHECK_EQ(atomic_load(&share->done), 0);
    CHECK_RESULT(brood_queue_destroy(share->queue), -EBUSY);
    for (int i = 0; i < 6; i++) {
        CHECK_RESULT(brood_queue_get(share->queue, &number, sizeof number, NULL, 5000), 0);
        CHECK_EQ(number, i < 2 ? i + 2 : 1);
        CHECK(brood_queue_count(share->queue) <= 2);
    }
    for (int i = 0; i < 4; i++)
        CHECK_EQ(wait_child(pids[i]), 0);
    free_share(share);
}

/* put_many into a queue that is shorter than that. */
static int put_a_hundred(void *arg)
{
    struct share *share = arg;
    static int numbers[100];
    brood_block messages[100];
    for (int i = 0; i < 100; i++) {
        numbers[i] = i;
        messages[i] = (brood_block){ &numbers[i], sizeof(int) };
    }
    CHECK_RESULT(brood_queue_put_many(share->queue, messages, 100, WAIT_MS), 100);
    return 0;
}

static void many_through_few(void)
{
    struct share *share = new_share(&(brood_queue_options){ .max_messages = 7 });
    pid_t pid = fork_child(put_a_hundred, share);
    for (int i = 0, number; i < 100; i++) {
        CHECK_RESULT(brood_queue_get(share->queue, &number, sizeof number, NULL, WAIT_MS), 0);
        CHECK_EQ(number, i);
    }
    CHECK_EQ(wait_child(pid), 0);
    free_share(share);
}

static int get_to_the_end(void *arg)
{
    struct share *share = arg;
    int number;
    atomic_fetch_add(&share->ready, 1);
    CHECK_RESULT(brood_queue_get(share->queue, &number, sizeof number, NULL, BROOD_FOREVER), -EPIPE);
    return 0;
}

static int put_to_the_end(void *arg)
{
    struct share *share = arg;
    atomic_fetch_add(&share->ready, 1);
    CHECK_RESULT(brood_queue_put(share->queue, "x", 1, BROOD_FOREVER), -EPIPE);
    return 0;
}

static void close_wakes_all(void)
{
    pid_t pids[5];
    struct share *share = new_share(NULL);
    for (int i = 0; i < 5; i++)
        pids[i] = start_asleep(share, get_to_the_end);
    CHECK_RESULT(brood_queue_close(share->queue), 0);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(wait_child(pids[i]), 0);
    free_share(share);
    share = new_share(&(brood_queue_options){ .max_messages = 1 });
    CHECK_RESULT(brood_queue_put(share->queue, "x", 1, 0), 0);
    for (int i = 0; i < 5; i++)
        pids[i] = start_asleep(share, put_to_the_end);
    CHECK_RESULT(brood_queue_close(share->queue), 0);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(wait_child(pids[i]), 0);
    CHECK_EQ(brood_queue_count(share->queue), 1);
    free_share(share);
}

static int join_queue(void *arg)
{
    struct share *share = arg;
    atomic_fetch_add(&share->ready, 1);
    CHECK_RESULT(brood_queue_join(share->queue, BROOD_FOREVER), 0);
    atomic_fetch_add(&share->done, 1);
    return 0;
}

/* Until the last is got, and what was borrowed is done with. */
static void joined(void)
{
    for (int round = 0; round < 20; round++) {
        struct share *share = new_share(NULL);
        pid_t pids[3];
        brood_block message;
        char byte;
        CHECK_RESULT(brood_queue_put(share->queue, "x", 1, 0), 0);
        CHECK_RESULT(brood_queue_put(share->queue, "y", 1, 0), 0);
        for (int i = 0; i < 3; i++)
            pids[i] = start_asleep(share, join_queue);
        CHECK_RESULT(brood_queue_join(share->queue, 1), -ETIMEDOUT);
        CHECK_RESULT(brood_queue_destroy(share->queue), -EBUSY);
        if (round % 2) {
            CHECK_RESULT(brood_queue_borrow(share->queue, &message, 0), 0);
            CHECK_RESULT(brood_queue_get(share->queue, &byte, 1, NULL, 0), 0);
            CHECK_RESULT(brood_queue_join(share->queue, 1), -ETIMEDOUT);
            CHECK_EQ(atomic_load(&share->done), 0);
            CHECK_RESULT(brood_queue_done(share->queue, message.data), 0);
        } else {
            CHECK_RESULT(brood_queue_get(share->queue, &byte, 1, NULL, 0), 0);
            CHECK_EQ(atomic_load(&share->done), 0);
            CHECK_RESULT(brood_queue_get(share->queue, &byte, 1, NULL, 0), 0);
        }
        for (int i = 0; i < 3; i++)
            CHECK_EQ(wait_child(pids[i]), 0);
        free_share(share);
    }
}

static int return_all(void *arg)
{
    struct share *share = arg;
    int number;
    while (brood_queue_get(share->queue, &number, sizeof number, NULL, BROOD_FOREVER) == 0)
        CHECK_RESULT(brood_queue_put(share->back, &number, sizeof number, BROOD_FOREVER), 0);
    return 0;
}

/* There and back, at random intervals, so that both sides sleep now and then. */
static void to_and_fro(void)
{
    struct share *share = new_share(NULL);
    uint32_t seed = 7;
    share->back = CHECK_POINTER(brood_queue_create(NULL));
    pid_t pid = fork_child(return_all, share);
    for (int i = 0, number; i < harness_times(3000); i++) {
        CHECK_RESULT(brood_queue_put(share->queue, &i, sizeof i, 0), 0);
        CHECK_RESULT(brood_queue_get(share->back, &number, sizeof number, NULL, WAIT_MS), 0);
        CHECK_EQ(number, i);
        if (random_next(&seed) % 4 == 0)
            pass_us(random_next(&seed) % 300);
    }
    CHECK_RESULT(brood_queue_close(share->queue), 0);
    CHECK_EQ(wait_child(pid), 0);
    CHECK_RESULT(brood_queue_destroy(share->back), 0);
    free_share(share);
}

/* Who waits for a queue is seen. */
static void seen_waiting(void)
{
    struct share *share = new_share(&(brood_queue_options){ .name = "letters" });
    brood_waiter waiter;
    pid_t pid = start_asleep(share, get_one);
    CHECK_RESULT(brood_waiter_list(share->queue, &waiter, 1), 1);
    CHECK_EQ(waiter.pid, pid);
    CHECK_STR(waiter.what, "queue 'letters'");
    CHECK_RESULT(brood_queue_put(share->queue, &(int){ 1 }, sizeof(int), 0), 0);
    CHECK_EQ(wait_child(pid), 0);
    free_share(share);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "small_ones", small_ones, 60, false },
        { "of_all_sizes", of_all_sizes, 60, false },
        { "in_a_short_queue", in_a_short_queue, 60, false },
        { "in_few_bytes", in_few_bytes, 60, false },
        { "spawned", spawned, 60, false },
        { "by_fork_server", by_fork_server, 60, false },
        { "no_herd", no_herd, 0, false },
        { "waits_for_room", waits_for_room, 0, false },
        { "many_through_few", many_through_few, 0, false },
        { "close_wakes_all", close_wakes_all, 0, false },
        { "joined", joined, 0, false },
        { "to_and_fro", to_and_fro, 60, false },
        { "seen_waiting", seen_waiting, 0, false },
        { 0 },
    };
    return harness_main(argc, argv, cases);
}
