/* A family with much to do, to be looked at with `brood top`: a pool that maps, some of whose tasks crash; a sensor
 * that puts into a queue faster than a writer gets; and a lock that both want.
 *
 *     busy [SECONDS]              so long it goes on, 30 if not given
 */
#include <brood.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

enum { ITEMS = 100000 };

struct shared {
    brood_lock ledger;
    brood_queue *readings;
    int count;
};

static void pass_time(long us)
{
    thrd_sleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

/* The ledger's lock is held for a while. Nothing is half changed at any time: an heir has nothing to mend. */
static int enter(struct shared *shared, long us)
{
    if (brood_lock_acquire(&shared->ledger, BROOD_FOREVER) < 0)
        return -1;
    pass_time(us);
    shared->count++;
    return brood_lock_release(&shared->ledger);
}

static int sense(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; brood_queue_put(shared->readings, &i, sizeof i, BROOD_FOREVER) == 0; i++)
        if (i % 16 == 0 && enter(shared, 500) < 0)
            break;
    return brood_fail(1, "%s", brood_error());
}

static int write_down(void *arg)
{
    struct shared *shared = arg;
    int reading;
    while (brood_queue_get(shared->readings, &reading, sizeof reading, NULL, BROOD_FOREVER) >= 0)
        if (enter(shared, 2000) < 0)
            break;
    return brood_fail(1, "%s", brood_error());
}

/* Works for a millisecond, and now and then crashes. */
static int draw(const void *in, void *out)
{
    clock_t end = clock() + CLOCKS_PER_SEC / 1000;
    unsigned sum = *(const unsigned *)in;
    while (clock() < end)
        sum = sum * 1664525 + 1013904223;
    if (brood_task_index() % 100 == 99)
        raise(SIGKILL);
    *(unsigned *)out = sum;
    return 0;
}

static int fail(void)
{
    return fprintf(stderr, "busy: %s\n", brood_error()), 1;
}

int main(int argc, char **argv)
{
    static unsigned tiles[ITEMS], colours[ITEMS];
    int seconds = argc > 1 ? atoi(argv[1]) : 30;
    if (brood_init(NULL) < 0)
        return fail();
    struct shared *shared = brood_alloc(sizeof *shared);
    if (!shared || brood_lock_init(&shared->ledger, &(brood_lock_options){ .name = "ledger" }) < 0 ||
        !(shared->readings = brood_queue_create(&(brood_queue_options){ .name = "readings", .max_messages = 64 })))
        return fail();
    brood_pool *pool = brood_pool_create(2, &(brood_pool_options){ .name = "tiles" });
    brood_process_options sensor = { .name = "sensor", .daemon = true }, writer = { .name = "writer", .daemon = true };
    if (!pool || !brood_process_start(sense, shared, 0, &sensor) ||
        !brood_process_start(write_down, shared, 0, &writer))
        return fail();
    brood_result *result =
        brood_pool_map_async(pool, draw, tiles, sizeof *tiles, colours, sizeof *colours, ITEMS, NULL);
    if (!result)
        return fail();
    int waited = brood_result_wait(result, seconds * 1000);
    puts(waited == -ETIMEDOUT ? "that will do" : "all tiles are drawn");
    if (brood_pool_destroy(pool) < 0) /* ends what still runs */
        return fail();
    return brood_result_destroy(result) < 0;
}
