/* A libuv loop takes squares from a queue as they come, and stops when those who compute them have ended: prints how
 * many came, and their sum. */
#include <brood.h>
#include <errno.h>
#include <stdio.h>
#include <uv.h>

enum { WORKERS = 3, NUMBERS = 100 };

struct share {
    int first;
    brood_queue *squares;
};

static int compute(void *arg)
{
    const struct share *share = arg;
    for (int number = share->first; number <= NUMBERS; number += WORKERS) {
        long square = (long)number * number;
        if (brood_queue_put(share->squares, &square, sizeof square, BROOD_FOREVER) < 0)
            return brood_fail(1, "%s", brood_error());
    }
    return 0;
}

struct sums {
    brood_watch *watch;
    brood_queue *squares;
    int count, result;
    long sum;
};

/* The descriptor stays readable while there is anything to take, or an end to be told. */
static void on_squares(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct sums *sums = poll->data;
    brood_waitable ready;
    long square;
    if (status < 0 || brood_watch_wait(sums->watch, &ready, 1, 0) < 0) /* nothing after all */
        return;
    while ((sums->result = brood_queue_get(sums->squares, &square, sizeof square, NULL, 0)) >= 0) {
        sums->count++;
        sums->sum += square;
    }
    if (sums->result == -EPIPE || sums->result == -EOWNERDEAD) /* all who owed it puts have ended */
        uv_poll_stop(poll);                                    /* and the loop has nothing left to wait for */
}

static int fail(void)
{
    return fprintf(stderr, "%s\n", brood_error()), 1;
}

int main(void)
{
    if (brood_init(NULL) < 0)
        return fail();
    struct sums sums = { .watch = brood_watch_create() };
    sums.squares = brood_queue_create(&(brood_queue_options){ .name = "squares", .max_messages = 16 });
    for (int i = 0; i < WORKERS; i++) {
        struct share share = { i + 1, sums.squares };
        if (brood_process_owes(brood_process_start(compute, &share, sizeof share, NULL), sums.squares, BROOD_PUTS) < 0)
            return fail();
    }
    if (brood_watch_add(sums.watch, &(brood_waitable){ .kind = BROOD_WAIT_QUEUE, .object = sums.squares }) < 0)
        return fail();

    uv_loop_t *loop = uv_default_loop();
    uv_poll_t poll;
    uv_poll_init(loop, &poll, brood_watch_fd(sums.watch));
    poll.data = &sums;
    uv_poll_start(&poll, UV_READABLE, on_squares);
    uv_run(loop, UV_RUN_DEFAULT);

    printf("%d %ld\n", sums.count, sums.sum);
    if (sums.result != -EPIPE) /* one of them crashed, and these are not all */
        return fail();
    return brood_watch_destroy(sums.watch) < 0 || brood_queue_destroy(sums.squares) < 0;
}
