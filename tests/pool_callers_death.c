/* pool_callers_death.c: several processes that call one pool: whoever of them dies leaves the pool, and the others, as
 * they were.
 */
#include "pool_scene.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- another caller's death ---- */

static int endless(void *arg)
{
    struct scene *scene = arg;
    brood_result *results[MANY];
    int outs[MANY], next = 0, squared;
    for (int i = 0; i < MANY; i++)
        results[i] = brood_pool_apply_async(scene->pool, stay, &scene, sizeof scene, &outs[i], sizeof outs[i], NULL);
    brood_result *imap = brood_pool_imap(scene->pool, square, count_up, &next, sizeof(int), sizeof(int), NULL);
    brood_pool_map_async(scene->pool, stay, &scene, sizeof scene, outs, sizeof(int), 1,
                         &(brood_task_options){ .hard_ms = 1000000 });
    atomic_store(&scene->ready, 1);
    brood_result_next(imap, &squared, NULL, BROOD_FOREVER);
    return results[0] ? 0 : 1;
}

/* All that it had asked for ends with it: also what runs, and would for ever. */
static void killed_at_long_tasks(void)
{
    size_t before = blocks_now();
    struct scene *scene = new_scene(2);
    slay(start(endless, scene, 0)); /* whenever that is */
    check_map(scene->pool, NULL);
    size_t wanted = blocks_now() + STAYS;
    for (int method = 0; method < 2; method++) {
        atomic_store(&scene->ready, 0);
        atomic_store(&scene->begun, 0);
        brood_process *process = start(endless, scene, method);
        CHECK(wait_word(&scene->ready, 1, SOON_MS));
        CHECK(wait_word(&scene->begun, 2, SOON_MS));
        slay(process);
        CHECK(wait_until(is_idle, scene->pool, SOON_MS));
        CHECK(wait_until(has_blocks, &wanted, SOON_MS));
        check_map(scene->pool, NULL);
    }
    end_scene(scene);
    CHECK_EQ((long long)blocks_now(), (long long)before);
}

static int ask_much(void *arg)
{
    struct scene *scene = arg;
    for (int i = 0; i < harness_times(100000); i++)
        NEED(brood_pool_apply_async(scene->pool, stay, &scene, sizeof scene, NULL, 0, NULL) != NULL);
    atomic_store(&scene->ready, 1);
    return pause();
}

/* All of it is given back. */
static void killed_at_many_tasks(void)
{
    struct scene *scene = new_scene(2);
    check_map(scene->pool, NULL);
    size_t wanted = blocks_now() + STAYS;
    brood_process *process = start(ask_much, scene, 0);
    CHECK(wait_word(&scene->ready, 1, SOON_MS));
    CHECK(wait_word(&scene->begun, 2, SOON_MS));
    slay(process);
    CHECK(wait_until(is_idle, scene->pool, SOON_MS));
    CHECK(wait_until(has_blocks, &wanted, SOON_MS));
    check_map(scene->pool, NULL);
    end_scene(scene);
}

enum { ROUNDS = 60, WORKERS = 2, VICTIMS = 2, REPLIES = 3 };

/* How often each item of a caller's was run, and what its tasks replied. */
struct row {
    atomic_int map[MANY], imap[MANY], reply[REPLIES], single;
    brood_block replies[REPLIES];
};

/* In the region. Items of all that is asked for here. */
struct account {
    brood_pool *pool;
    atomic_int stop;
    atomic_llong begun, ended;
    struct row creator, witness, victims[ROUNDS * VICTIMS];
};

/* What a caller of it is handed: copied. */
struct client {
    struct account *account;
    struct row *row;
};

struct item {
    struct account *account;
    atomic_int *runs;
    int value;
};

static int run_item(const void *in, void *out)
{
    const struct item *item = in;
    atomic_fetch_add(&item->account->begun, 1);
    atomic_fetch_add(item->runs, 1);
    int *squared = out ? out : brood_task_reply(sizeof *squared);
    if (squared)
        *squared = item->value * item->value;
    atomic_fetch_add(&item->account->ended, 1);
    return !squared;
}

/* Those that have been waited for were run once, those that were cancelled once at most; none will be any more. */
static void check_runs(atomic_int *runs, int count, int least)
{
    for (int i = 0; i < count; i++) {
        int times = atomic_exchange(&runs[i], 0);
        CHECK(times >= least && times <= 1);
    }
}

static void fill_items(struct item *items, const struct client *client, atomic_int *runs, int count)
{
    for (int i = 0; i < count; i++)
        items[i] = (struct item){ client->account, &runs[i], i + 1 };
}

static void map_once(const struct client *client, const brood_task_options *options)
{
    struct item items[MANY];
    int squares[MANY] = { 0 };
    fill_items(items, client, client->row->map, MANY);
    CHECK_RESULT(
        brood_pool_map(client->account->pool, run_item, items, sizeof *items, squares, sizeof *squares, MANY, options),
        0);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(squares[i], (i + 1) * (i + 1));
    check_runs(client->row->map, MANY, 1);
}

/* Into the region, so that what it has been handed when it is killed can be given back. */
static void map_replies(const struct client *client)
{
    struct item items[REPLIES];
    struct row *row = client->row;
    fill_items(items, client, row->reply, REPLIES);
    CHECK_RESULT(brood_pool_map(client->account->pool, run_item, items, sizeof *items, row->replies, BROOD_BLOCKS,
                                REPLIES, NULL),
                 0);
    for (int i = 0; i < REPLIES; i++) {
        CHECK_EQ(*(int *)row->replies[i].data, (i + 1) * (i + 1));
        brood_free_from(&row->replies[i].data);
    }
    check_runs(row->reply, REPLIES, 1);
}

struct supply {
    const struct client *client;
    int next;
};

static int supply(void *context, void *in)
{
    struct supply *supply = context;
    if (supply->next == MANY)
        return 1;
    *(struct item *)in =
        (struct item){ supply->client->account, &supply->client->row->imap[supply->next], supply->next + 1 };
    supply->next++;
    return 0;
}

static int work_on(void *arg)
{
    const struct client *client = arg;
    struct account *account = client->account;
    for (unsigned i = 0;; i++) {
        struct supply supplier = { client, 0 };
        struct item item = { account, &client->row->single, 7 };
        int squared = 0;
        brood_result *single =
            CHECK_POINTER(brood_pool_apply_async(account->pool, run_item, &item, sizeof item, &squared, sizeof squared,
                                                 &(brood_task_options){ .hard_ms = i % 2 ? 10000 : 0 }));
        brood_result *imap =
            CHECK_POINTER(brood_pool_imap(account->pool, run_item, supply, &supplier, sizeof item, sizeof(int), NULL));
        map_once(client, &(brood_task_options){ .priority = (int)(i % 3), .retries = 1000 });
        map_replies(client);
        CHECK_RESULT(brood_result_next(imap, &squared, NULL, BROOD_FOREVER), 0);
        CHECK_EQ(squared, 1);
        CHECK_RESULT(brood_result_cancel(imap, 0), 0);
        CHECK_RESULT(brood_result_destroy(imap), 0);
        check_runs(client->row->imap, MANY, 0);
        CHECK_RESULT(brood_result_wait(single, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_result_destroy(single), 0);
        CHECK_EQ(squared, 49);
        check_runs(&client->row->single, 1, 1);
    }
    return 0;
}

static int witness(void *arg)
{
    const struct client *client = arg;
    for (int i = 0; !atomic_load(&client->account->stop); i++) {
        map_once(client, &(brood_task_options){ .chunk = (size_t)(i % 3) });
        map_replies(client);
    }
    return 0;
}

static brood_process *start_client(brood_target *target, struct account *account, struct row *row, int method)
{
    const brood_process_options options = { .start = method ? BROOD_SPAWN : BROOD_FORK };
    const struct client client = { account, row };
    brood_process *process = CHECK_POINTER(brood_process_start(target, &client, sizeof client, &options));
    NEED(process != NULL);
    return process;
}

/* All that was begun has ended, in one way: it returned, or its caller had died, or did not want it any more, and its
 * worker was killed in it, or where it was about to begin it. */
static bool is_settled(void *arg)
{
    struct account *account = arg;
    brood_pool_stats stats;
    CHECK_RESULT(brood_pool_stat(account->pool, &stats), 0);
    long long returned = (long long)stats.ended[BROOD_RETURNED], cancelled = (long long)stats.ended[BROOD_CANCELLED];
    return stats.running == 0 && stats.queued == 0 && returned + cancelled >= atomic_load(&account->begun);
}

static void check_account(struct account *account)
{
    brood_pool_stats stats;
    bool settled = wait_until(is_settled, account, 3 * SOON_MS);
    CHECK_RESULT(brood_pool_stat(account->pool, &stats), 0);
    if (!settled) {
        CHECK_EQ(stats.running, 0);
        CHECK_EQ((long long)stats.queued, 0);
        CHECK_EQ((long long)(stats.ended[BROOD_RETURNED] + stats.ended[BROOD_CANCELLED]), atomic_load(&account->begun));
    }
    CHECK(settled);
    CHECK((long long)stats.ended[BROOD_RETURNED] <= atomic_load(&account->ended));
    CHECK_EQ((long long)stats.retried, 0);
    for (int how = 0; how <= BROOD_OVER_MEMORY; how++)
        if (how != BROOD_RETURNED && how != BROOD_CANCELLED)
            CHECK_EQ((long long)stats.ended[how], 0);
    for (size_t i = 0; i < sizeof account->victims / sizeof *account->victims; i++) {
        struct row *row = &account->victims[i];
        check_runs(row->map, MANY, 0);
        check_runs(row->imap, MANY, 0);
        check_runs(row->reply, REPLIES, 0);
        check_runs(&row->single, 1, 0);
        for (int j = 0; j < REPLIES; j++)
            if (row->replies[j].data)
                brood_free_from(&row->replies[j].data);
    }
}

/* Anywhere: nothing of them is left, what they asked for was run once at most, and nobody else has noticed: each item
 * of the others' was run once, and returned. */
static void killed_anywhere(void)
{
    struct account *account = CHECK_POINTER(brood_alloc(sizeof *account));
    struct client creator = { account, &account->creator };
    size_t before = blocks_now();
    account->pool = CHECK_POINTER(brood_pool_create(WORKERS, NULL));
    NEED(account->pool != NULL);
    brood_process *other = start_client(witness, account, &account->witness, 0);
    uint32_t seed = 20261127;
    int rounds = harness_times(ROUNDS);
    for (int round = 0; round < rounds; round++) {
        brood_process *victims[VICTIMS];
        for (int i = 0; i < VICTIMS; i++)
            victims[i] = start_client(work_on, account, &account->victims[round * VICTIMS + i], (round + i) % 8 == 0);
        pass_us(500 + random_next(&seed) % 20000);
        slay(victims[0]);
        map_once(&creator, NULL);
        slay(victims[1]);
    }
    atomic_store(&account->stop, 1);
    join(other);
    check_account(account);
    CHECK_RESULT(brood_pool_destroy(account->pool), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_RESULT(brood_heap_check(), 0);
    /* One killed in the two stores by which it was handed a reply has lost that. */
    CHECK(blocks_now() - before <= (size_t)rounds * VICTIMS);
    brood_free(account);
}

/* ---- the creator's death ---- */

static int create(void *arg)
{
    struct scene *scene = arg;
    scene->pool = CHECK_POINTER(brood_pool_create(2, NULL));
    check_map(scene->pool, NULL);
    atomic_store(&scene->ready, 1);
    for (;;)
        pause();
    return 0;
}

static int outlive(void *arg)
{
    struct scene *scene = arg;
    int value = 3, out;
    brood_result *later =
        CHECK_POINTER(brood_pool_apply_async(scene->pool, stay, &scene, sizeof scene, &out, sizeof out, NULL));
    atomic_store(&scene->go, 1);
    CHECK_RESULT(brood_pool_map(scene->pool, stay, &scene, sizeof scene, &out, sizeof out, 1, NULL), -EOWNERDEAD);
    CHECK_HAS(brood_error(), "created it");
    brood_waitable item = { .kind = BROOD_WAIT_RESULT, .object = later };
    CHECK_RESULT(brood_wait(&item, 1, BROOD_FOREVER), 1);
    CHECK_RESULT(brood_result_wait(later, BROOD_FOREVER), -EOWNERDEAD);
    CHECK_RESULT(brood_result_destroy(later), 0);
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EOWNERDEAD);
    CHECK_NULL(brood_pool_apply_async(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL),
               EOWNERDEAD);
    CHECK(wait_gone(atomic_load(&scene->result), SOON_MS));
    atomic_store(&scene->outcome, 1);
    return 0;
}

static int first_called_late(void *arg)
{
    struct scene *scene = arg;
    int value = 3;
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EOWNERDEAD);
    return 0;
}

/* To cancel is the first that it asks of the pool since the creator's death. */
static int cancel_late(void *arg)
{
    struct scene *scene = arg;
    brood_result *later = CHECK_POINTER(brood_pool_apply_async(scene->pool, stay, &scene, sizeof scene, NULL, 0, NULL));
    CHECK(wait_word(&scene->go, 1, SOON_MS));
    CHECK_RESULT(brood_result_cancel(later, 0), 0);
    CHECK_RESULT(brood_result_wait(later, BROOD_FOREVER), -EOWNERDEAD);
    CHECK_RESULT(brood_result_destroy(later), 0);
    return 0;
}

static void cancelled_in_orphan(void)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    brood_process *creator = start(create, scene, 0);
    CHECK(wait_word(&scene->ready, 1, SOON_MS));
    brood_process *caller = start(cancel_late, scene, 0);
    CHECK(wait_word(&scene->begun, 1, SOON_MS));
    int keeper = brood_pool_keeper(scene->pool);
    kill(keeper, SIGKILL); /* it would tell */
    slay(creator);
    CHECK(wait_gone(keeper, SOON_MS));
    atomic_store(&scene->go, 1);
    join(caller);
    brood_free(scene);
}

static void creator_killed(void)
{
    for (int method = 0; method < 2; method++) {
        struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
        brood_process *creator = start(create, scene, method);
        CHECK(wait_word(&scene->ready, 1, SOON_MS));
        brood_process *caller = start(outlive, scene, 1 - method);
        CHECK(wait_word(&scene->begun, 2, SOON_MS));
        int keeper = brood_pool_keeper(scene->pool);
        atomic_store(&scene->result, keeper);
        if (method) /* both at once: nobody is left to tell */
            kill(keeper, SIGKILL);
        long long killed = now_ms();
        slay(creator);
        CHECK(wait_word(&scene->outcome, 1, SOON_MS));
        CHECK(now_ms() - killed < SOON_MS);
        join(caller);
        join(start(first_called_late, scene, method));
        CHECK_RESULT(brood_heap_check(), 0);
        brood_free(scene);
    }
}

/* ---- the keeper's death ---- */

static int miss_keeper(void *arg)
{
    struct scene *scene = arg;
    int value = 3;
    check_map(scene->pool, NULL);
    atomic_store(&scene->ready, 1);
    CHECK(wait_word(&scene->go, 1, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EAGAIN);
    CHECK_HAS(brood_error(), "keeper");
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EAGAIN);
    atomic_store(&scene->ready, 2);
    CHECK(wait_word(&scene->go, 2, SOON_MS));
    check_map(scene->pool, NULL);
    return 0;
}

static void keeper_killed(void)
{
    struct scene *scene = new_scene(2);
    brood_process *process = start(miss_keeper, scene, 0);
    CHECK(wait_word(&scene->ready, 1, SOON_MS));
    int keeper = brood_pool_keeper(scene->pool);
    NEED(keeper > 0);
    kill(keeper, SIGKILL);
    CHECK(wait_gone(keeper, SOON_MS));
    atomic_store(&scene->go, 1);
    CHECK(wait_word(&scene->ready, 2, SOON_MS)); /* the creator does not call meanwhile */
    check_map(scene->pool, NULL);
    atomic_store(&scene->go, 2);
    join(process);
    end_scene(scene);
}

static int create_and_stay(void *arg)
{
    struct scene *scene = arg;
    int out = 0;
    scene->pool = CHECK_POINTER(brood_pool_create(2, NULL));
    check_map(scene->pool, NULL);
    atomic_store(&scene->ready, 1);
    CHECK_RESULT(brood_pool_map(scene->pool, stay, &scene, sizeof scene, &out, sizeof out, 1,
                                &(brood_task_options){ .retries = 1 }),
                 0);
    CHECK_EQ(out, 7);
    CHECK(wait_word(&scene->go, 2, SOON_MS));
    CHECK_RESULT(brood_pool_destroy(scene->pool), 0);
    return 0;
}

static int call_meanwhile(void *arg)
{
    struct scene *scene = arg;
    int value = 3;
    CHECK(wait_word(&scene->go, 1, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EAGAIN);
    CHECK_HAS(brood_error(), "keeper");
    atomic_store(&scene->outcome, 1);
    CHECK(wait_word(&scene->leave, 1, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), 0);
    CHECK_EQ(value, 9);
    return 0;
}

/* It is in a call, and would start another keeper; it looks as one that was killed there, whose pid is a stranger's. */
static void creator_stands_still(void)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    brood_process *creator = start(create_and_stay, scene, 0);
    CHECK(wait_word(&scene->ready, 1, SOON_MS));
    CHECK(wait_word(&scene->begun, 1, SOON_MS));
    brood_process *caller = start(call_meanwhile, scene, 0);
    CHECK_RESULT(brood_process_signal(creator, SIGSTOP), 0);
    int keeper = brood_pool_keeper(scene->pool);
    NEED(keeper > 0);
    kill(keeper, SIGKILL);
    CHECK(wait_gone(keeper, SOON_MS));
    atomic_store(&scene->go, 1);
    CHECK(wait_word(&scene->outcome, 1, 2 * SOON_MS));
    CHECK_RESULT(brood_process_signal(creator, SIGCONT), 0);
    CHECK(wait_word(&scene->begun, 2, SOON_MS));
    atomic_store(&scene->leave, 1);
    join(caller);
    atomic_store(&scene->go, 2);
    join(creator);
    brood_free(scene);
}

static int map_with_retries(void *arg)
{
    struct scene *scene = arg;
    while (!atomic_load(&scene->stop)) {
        check_map(scene->pool, &(brood_task_options){ .retries = 1000 });
        atomic_fetch_add(&scene->rounds, 1);
    }
    return 0;
}

/* While the creator calls, too, nobody notices; and what dead callers had is given back by the next keeper. */
static void keepers_killed(void)
{
    size_t before = blocks_now();
    struct scene *scene = new_scene(2);
    brood_process *process = start(map_with_retries, scene, 0);
    for (int round = 0; round < harness_times(12); round++) {
        brood_process *victim = start(endless, scene, 0); /* as long as it lives its tasks hold the workers */
        pass_us(round * 700);
        int keeper = brood_pool_keeper(scene->pool);
        if (round % 2)
            slay(victim);
        if (keeper > 0)
            kill(keeper, SIGKILL);
        if (round % 2 == 0)
            slay(victim);
        check_map(scene->pool, &(brood_task_options){ .retries = 1000 });
    }
    atomic_store(&scene->stop, 1);
    check_map(scene->pool, &(brood_task_options){ .retries = 1000 });
    join(process);
    CHECK(wait_until(is_idle, scene->pool, SOON_MS));
    end_scene(scene);
    CHECK_EQ((long long)blocks_now(), (long long)before);
}

static int fail(const void *in, void *out)
{
    (void)in;
    (void)out;
    return brood_fail(5, "no");
}

/* Has something of each kind when it is killed: maps that have ended, run and wait, calls that have ended or wait. */
static int create_and_ask(void *arg)
{
    enum { ITEMS = 20000 };
    struct scene *scene = arg;
    static int in[ITEMS], out[ITEMS];
    static brood_block blocks[MANY];
    brood_result *result = NULL;
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, &(brood_pool_options){ .arg = in, .arg_size = sizeof in }));
    scene->pool = pool;
    for (int i = 0; i < MANY; i++)
        result = CHECK_POINTER(brood_pool_apply_async(pool, fail, in, sizeof *in, out, sizeof *out, NULL));
    CHECK_RESULT(brood_result_wait(result, BROOD_FOREVER), 1);
    CHECK_POINTER(brood_pool_map_async(pool, reply, in, sizeof *in, blocks, BROOD_BLOCKS, MANY, NULL));
    CHECK_POINTER(brood_pool_map_async(pool, stay, &scene, sizeof scene, out, sizeof *out, 1, NULL));
    CHECK_POINTER(brood_pool_map_async(pool, stay, &scene, sizeof scene, out, sizeof *out, 1, NULL));
    CHECK(wait_word(&scene->begun, 2, SOON_MS));
    CHECK_POINTER(brood_pool_map_async(pool, square, in, sizeof *in, out, sizeof *out, ITEMS, NULL));
    for (int i = 0; i < MANY; i++)
        CHECK_POINTER(brood_pool_apply_async(pool, square, in, sizeof *in, out, sizeof *out, NULL));
    atomic_store(&scene->ready, 1);
    for (;;)
        pause();
    return 0;
}

/* What stays of each pool: itself, its workers' and its creator's records, and the names of four tasks; and for a
 * while what its keeper was told as it was started. */
static void creator_leaves_little(void)
{
    enum { PARTS = 3 + 4 + 1 };
    size_t most = blocks_now();
    for (int round = 0; round < 4; round++) {
        struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
        brood_process *creator = start(create_and_ask, scene, round % 2);
        CHECK(wait_word(&scene->ready, 1, 2 * SOON_MS));
        slay(creator);
        brood_pool *pool = scene->pool;
        brood_free(scene);
        most += PARTS;
        CHECK(wait_until(has_blocks, &most, SOON_MS));
        CHECK_RESULT(brood_heap_check(), 0);
        CHECK_RESULT(brood_pool_apply(pool, fail, NULL, 0, NULL, 0, NULL), -EOWNERDEAD);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "killed_at_long_tasks", .run = killed_at_long_tasks },
        { .name = "killed_at_many_tasks", .run = killed_at_many_tasks, .deadline_s = 60 },
        { .name = "killed_anywhere", .run = killed_anywhere, .deadline_s = 90 },
        { .name = "creator_killed", .run = creator_killed },
        { .name = "creator_leaves_little", .run = creator_leaves_little },
        { .name = "cancelled_in_orphan", .run = cancelled_in_orphan },
        { .name = "keeper_killed", .run = keeper_killed },
        { .name = "creator_stands_still", .run = creator_stands_still, .deadline_s = 60 },
        { .name = "keepers_killed", .run = keepers_killed, .deadline_s = 60 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
