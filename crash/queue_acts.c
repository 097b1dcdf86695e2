/* queue_acts.c: the operations on queues that are tried, and what the victim does in each.
 */
#include "queue.h"

#include <string.h>

/* ---- the victim's acts ---- */

static void act_put(struct ground *ground)
{
    queue_put_number(ground, ground->queue, VICTIM, BROOD_FOREVER);
}

static void act_put_nap(struct ground *ground)
{
    queue_put_number(ground, ground->queue, VICTIM, ground->nap_ms);
}

static void act_put_many(struct ground *ground)
{
    static struct message message[3];
    brood_block blocks[3];
    for (int i = 0; i < 3; i++) {
        message[i].number = VICTIM + i;
        memset(message[i].bytes, VICTIM + i, sizeof message[i].bytes);
        blocks[i] = (brood_block){ &message[i], ground->size };
    }
    brood_queue_put_many(ground->queue, blocks, 3, BROOD_FOREVER);
}

static void act_reserve(struct ground *ground)
{
    struct message *message = brood_queue_reserve(ground->queue, ground->size, BROOD_FOREVER);
    if (!message)
        return;
    message->number = VICTIM;
    memset(message->bytes, VICTIM, ground->size - sizeof message->number);
    ground->loan = message;
}

static void act_commit(struct ground *ground)
{
    brood_queue_commit(ground->queue, ground->loan, ground->size);
}

static void act_withdraw(struct ground *ground)
{
    brood_queue_withdraw(ground->queue, ground->loan);
}

static void act_get(struct ground *ground)
{
    static struct message message;
    size_t size;
    brood_queue_get(ground->queue, &message, sizeof message, &size, BROOD_FOREVER);
}

static void act_get_nap(struct ground *ground)
{
    static struct message message;
    size_t size;
    brood_queue_get(ground->queue, &message, sizeof message, &size, ground->nap_ms);
}

static void act_get_try(struct ground *ground)
{
    static struct message message;
    size_t size;
    brood_queue_get(ground->queue, &message, sizeof message, &size, 0);
}

static void act_get_small(struct ground *ground)
{
    brood_queue_get(ground->queue, NULL, 0, NULL, 0);
}

static void act_get_block(struct ground *ground)
{
    brood_block block;
    brood_queue_get_block(ground->queue, &block, BROOD_FOREVER);
}

static void act_get_many(struct ground *ground)
{
    static char buffer[4 * sizeof(struct message)];
    brood_block blocks[4];
    brood_queue_get_many(ground->queue, buffer, sizeof buffer, blocks, 4, BROOD_FOREVER);
}

static void act_borrow(struct ground *ground)
{
    brood_block block;
    if (brood_queue_borrow(ground->queue, &block, BROOD_FOREVER) >= 0)
        ground->loan = block.data;
}

static void act_done(struct ground *ground)
{
    brood_queue_done(ground->queue, ground->loan);
}

static void act_close(struct ground *ground)
{
    brood_queue_close(ground->queue);
}

static void act_join(struct ground *ground)
{
    brood_queue_join(ground->queue, BROOD_FOREVER);
}

static void act_create(struct ground *ground)
{
    ground->loan = brood_queue_create(&(brood_queue_options){ .name = "made" });
}

static void act_destroy(struct ground *ground)
{
    brood_queue_destroy(ground->loan);
}

static void before_cold(struct ground *ground)
{
    (void)ground;
}

/* All ways once, so that no symbol and no page of its own is new. */
static void before_warm(struct ground *ground)
{
    struct ground own = { .queue = ground->other, .size = ground->size };
    for (int i = 0; i < 3; i++) {
        act_put(&own);
        act_get(&own);
        act_reserve(&own);
        act_commit(&own);
        act_borrow(&own);
        act_done(&own);
        act_put(&own);
        act_get_many(&own);
        act_get_try(&own);
    }
}

static void before_reserved(struct ground *ground)
{
    before_warm(ground);
    act_reserve(ground);
}

static void before_borrowed(struct ground *ground)
{
    before_warm(ground);
    act_borrow(ground);
}

static void before_made(struct ground *ground)
{
    before_warm(ground);
    act_create(ground);
}

#define ACT(...) \
    &(const struct act) \
    { \
        __VA_ARGS__ \
    }

const struct operation queue_operations[] = {
    { "queue_put", "put into an empty queue", queue_run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .puts = 1), .modes = ALL_MODES, .last = 1,
      .switches = 1 },
    { "queue_put_first", "a process' first put", queue_run,
      ACT(.before = before_cold, .act = act_put, .kind = GETTER, .puts = 1), .modes = ALL_MODES, .last = 1,
      .switches = 1 },
    { "queue_put_1", "put with one asleep", queue_run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .sleepers = 1, .puts = 1), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "queue_put_2", "put with two asleep", queue_run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .sleepers = 2, .puts = 1), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "queue_put_large", "put of a block", queue_run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .size = 6000, .puts = 1), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "queue_put_large_1", "the same, with one asleep", queue_run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .sleepers = 1, .size = 6000, .puts = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_put_many", "put of three at once", queue_run,
      ACT(.before = before_warm, .act = act_put_many, .kind = GETTER, .puts = 3), .modes = ALL_MODES, .last = 3,
      .switches = 1 },
    { "queue_put_many_2", "the same, with two asleep", queue_run,
      ACT(.before = before_warm, .act = act_put_many, .kind = GETTER, .sleepers = 2, .puts = 3), .modes = ALL_MODES,
      .last = 3, .switches = 1 },
    { "queue_put_segment", "put into another segment", queue_run,
      ACT(.before = before_warm, .act = act_put, .first = 4, .size = 2000, .puts = 1), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_put_many_segment", "put of three at once, on both sides of a segment's end", queue_run,
      ACT(.before = before_warm, .act = act_put_many, .first = 3, .size = 2000, .puts = 3), .modes = AWAKE_AND_PAUSED,
      .last = 3, .switches = 1 },
    { "queue_put_wait", "put that waits for room", queue_run,
      ACT(.before = before_warm, .act = act_put, .kind = PUTTER, .first = 2, .full = true, .puts = 1, .wakes = true),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    /* It waits for room before it takes the block, and again with it: another may have been faster meanwhile. */
    { "queue_put_large_wait", "the same, of a block", queue_run,
      ACT(.before = before_warm, .act = act_put, .kind = PUTTER, .first = 2, .size = 6000, .full = true, .puts = 1,
          .wakes = true),
      .modes = ALL_MODES, .any_result = true },
    { "queue_put_timeout", "put that waits for room and gives up", queue_run,
      ACT(.before = before_warm, .act = act_put_nap, .kind = PUTTER, .first = 2, .full = true, .puts = 1,
          .sleeps = true),
      .modes = ALL_MODES, .quick = 150, .any_result = true },
    { "queue_put_torn", "put after one has died in the middle of his", queue_run,
      ACT(.before = before_warm, .act = act_put, .kind = GETTER, .puts = 1, .torn_put = true), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "queue_reserve", "reserve", queue_run, ACT(.before = before_warm, .act = act_reserve),
      .modes = AWAKE_AND_PAUSED },
    { "queue_commit", "commit", queue_run, ACT(.before = before_reserved, .act = act_commit, .kind = GETTER, .puts = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_commit_1", "commit with one asleep", queue_run,
      ACT(.before = before_reserved, .act = act_commit, .kind = GETTER, .sleepers = 1, .puts = 1), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "queue_withdraw", "withdraw", queue_run, ACT(.before = before_reserved, .act = act_withdraw),
      .modes = AWAKE_AND_PAUSED },
    { "queue_get", "get of one of two", queue_run, ACT(.before = before_warm, .act = act_get, .first = 2, .takes = 1),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_get_first", "a process' first get", queue_run,
      ACT(.before = before_cold, .act = act_get, .first = 1, .takes = 1), .modes = AWAKE_AND_PAUSED, .last = 1,
      .switches = 1 },
    { "queue_get_1", "get with one asleep who waits for room", queue_run,
      ACT(.before = before_warm, .act = act_get, .kind = PUTTER, .sleepers = 1, .first = 2, .full = true, .takes = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_get_last", "get of the last, with one asleep in join", queue_run,
      ACT(.before = before_warm, .act = act_get, .kind = JOINER, .sleepers = 1, .first = 1, .takes = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_get_large", "get of a block", queue_run,
      ACT(.before = before_warm, .act = act_get, .first = 2, .size = 6000, .takes = 1), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_get_large_last", "get of the last, a block, with one asleep in join", queue_run,
      ACT(.before = before_warm, .act = act_get, .kind = JOINER, .sleepers = 1, .first = 1, .size = 6000, .takes = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_get_segment", "get that leaves a segment", queue_run,
      ACT(.before = before_warm, .act = act_get_many, .first = 6, .size = 2000, .takes = 4), .modes = AWAKE_AND_PAUSED,
      .last = 4, .switches = 1 },
    { "queue_get_many", "get of three at once", queue_run,
      ACT(.before = before_warm, .act = act_get_many, .first = 3, .takes = 3), .modes = AWAKE_AND_PAUSED, .last = 3,
      .switches = 1 },
    { "queue_get_block", "get as a block", queue_run,
      ACT(.before = before_warm, .act = act_get_block, .first = 2, .takes = 1, .leaks = 1), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_get_block_large", "get of a block as it is", queue_run,
      ACT(.before = before_warm, .act = act_get_block, .first = 2, .size = 6000, .takes = 1, .leaks = 1),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_get_wait", "get that waits for a message", queue_run,
      ACT(.before = before_warm, .act = act_get, .kind = GETTER, .takes = 1, .wakes = true), .modes = ALL_MODES,
      .last = 1, .switches = 1 },
    { "queue_get_line", "the same, behind another", queue_run,
      ACT(.before = before_warm, .act = act_get, .kind = GETTER, .sleepers = 1, .takes = 1, .wakes = true),
      .modes = ALL_MODES, .any_result = true },
    { "queue_get_timeout", "get that waits and gives up", queue_run,
      ACT(.before = before_warm, .act = act_get_nap, .kind = GETTER, .takes = 1, .sleeps = true), .modes = ALL_MODES,
      .quick = 150, .any_result = true },
    { "queue_get_try", "get where there is nothing, timeout 0", queue_run,
      ACT(.before = before_warm, .act = act_get_try, .kind = GETTER, .takes = 1), .modes = ALL_MODES, .quick = 150,
      .any_result = true },
    { "queue_get_small", "get into too small a buffer", queue_run,
      ACT(.before = before_warm, .act = act_get_small, .first = 1), .modes = AWAKE_AND_PAUSED },
    { "queue_get_torn", "get after one has died in the middle of his", queue_run,
      ACT(.before = before_warm, .act = act_get, .first = 2, .takes = 1, .torn_get = true), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_get_returned", "get of a message that came back", queue_run,
      ACT(.before = before_warm, .act = act_get, .first = 2, .takes = 1, .borrowed = 1), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_get_buried", "get when one has been borrowed too often", queue_run,
      ACT(.before = before_warm, .act = act_get, .first = 2, .takes = 1, .borrowed = 2, .deliveries = 2),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_get_buried_large", "the same, of blocks", queue_run,
      ACT(.before = before_warm, .act = act_get, .first = 2, .size = 6000, .takes = 1, .borrowed = 2, .deliveries = 2),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_borrow", "borrow", queue_run, ACT(.before = before_warm, .act = act_borrow, .first = 2, .told = true),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_borrow_large", "borrow of a block", queue_run,
      ACT(.before = before_warm, .act = act_borrow, .first = 2, .size = 6000, .told = true), .modes = AWAKE_AND_PAUSED,
      .last = 1, .switches = 1 },
    { "queue_borrow_again", "borrow of one that came back", queue_run,
      ACT(.before = before_warm, .act = act_borrow, .first = 2, .borrowed = 1, .told = true), .modes = AWAKE_AND_PAUSED,
      .first = 1, .last = 2, .switches = 1 },
    { "queue_borrow_wait", "borrow that waits, others asleep behind it", queue_run,
      ACT(.before = before_warm, .act = act_borrow, .kind = GETTER, .wakes = true), .modes = ALL_MODES,
      .any_result = true },
    { "queue_done", "done", queue_run, ACT(.before = before_borrowed, .act = act_done, .first = 1, .takes = 1),
      .modes = AWAKE_AND_PAUSED, .last = 1, .switches = 1 },
    { "queue_done_1", "done with one asleep in join", queue_run,
      ACT(.before = before_borrowed, .act = act_done, .kind = JOINER, .sleepers = 1, .first = 1, .takes = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_borrowed_sleeper", "done with one asleep for a message", queue_run,
      ACT(.before = before_borrowed, .act = act_done, .kind = GETTER, .sleepers = 1, .first = 1, .takes = 1),
      .modes = ALL_MODES, .last = 1, .switches = 1 },
    { "queue_close", "close with two asleep for a message", queue_run,
      ACT(.before = before_warm, .act = act_close, .kind = CLOSED, .sleepers = 2), .modes = ALL_MODES },
    { "queue_join", "join that waits", queue_run,
      ACT(.before = before_warm, .act = act_join, .kind = JOINER, .joins = true, .first = 1, .wakes = true),
      .modes = ALL_MODES },
    { "queue_create", "create with a name", queue_run, ACT(.before = before_warm, .act = act_create, .leaks = 2),
      .modes = AWAKE_ONLY },
    { "queue_destroy", "destroy", queue_run, ACT(.before = before_made, .act = act_destroy, .leaks = 2),
      .modes = AWAKE_ONLY },
    { 0 },
};
