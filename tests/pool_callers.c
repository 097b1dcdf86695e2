/* pool_callers.c: several processes that call one pool: each has its own calls and results. */
#include "pool_scene.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- what others may ask for ---- */

static void check_imap(brood_pool *pool)
{
    int next = 0, squared, count = 0;
    brood_result *result =
        CHECK_POINTER(brood_pool_imap(pool, square, count_up, &next, sizeof(int), sizeof(int), NULL));
    while (brood_result_next(result, &squared, NULL, BROOD_FOREVER) == 0) {
        CHECK_EQ(squared, count * count);
        count++;
    }
    CHECK_EQ(count, MANY);
    CHECK_RESULT(brood_result_destroy(result), 0);
}

static void count_done(void *context, brood_result *result, int failed)
{
    (void)result;
    *(int *)context += failed == 0;
}

static void check_callbacks(brood_pool *pool)
{
    int value = 5, squared = 0, done = 0;
    brood_result *result =
        CHECK_POINTER(brood_pool_apply_async(pool, square, &value, sizeof(int), &squared, sizeof(int),
                                             &(brood_task_options){ .done = count_done, .context = &done }));
    brood_waitable item = { .kind = BROOD_WAIT_RESULT, .object = result };
    CHECK_RESULT(brood_wait(&item, 1, BROOD_FOREVER), 1);
    brood_pool_callbacks(pool);
    CHECK_EQ(done, 1);
    CHECK_EQ(squared, 25);
    CHECK_RESULT(brood_result_destroy(result), 0);
}

static int call_all(void *arg)
{
    struct scene *scene = arg;
    brood_pool *pool = scene->pool;
    brood_pool_stats stats;
    int value = 12, squared = 0;
    brood_end end;
    check_map(pool, NULL);
    check_map(pool, &(brood_task_options){ .chunk = 1, .priority = 3, .hard_ms = 60000, .retries = 1 });
    check_blocks(pool);
    CHECK_RESULT(brood_pool_apply(pool, square, &value, sizeof value, &squared, sizeof squared, NULL), 0);
    CHECK_EQ(squared, 144);
    value = 5;
    CHECK_RESULT(brood_pool_apply(pool, odd_fails, &value, sizeof value, &squared, sizeof squared,
                                  &(brood_task_options){ .ends = &end }),
                 1);
    CHECK_STR(end.why, "5 is odd");
    check_results(pool);
    check_imap(pool);
    check_callbacks(pool);
    CHECK_RESULT(brood_pool_stat(pool, &stats), 0);
    CHECK_EQ((long long)stats.workers, brood_pool_workers(pool));
    CHECK(brood_pool_keeper(pool) > 0);
    atomic_fetch_add(&scene->rounds, 1);
    return 0;
}

static void any_call(void)
{
    brood_heap_stats before, after;
    CHECK_RESULT(brood_heap_stat(&before), 0);
    struct scene *scene = new_scene(2);
    check_map(scene->pool, NULL);
    for (int method = 0; method < 2; method++)
        join(start(call_all, scene, method));
    CHECK_EQ(wait_child(fork_child(call_all, scene)), 0);
    CHECK_EQ(atomic_load(&scene->rounds), 3);
    call_all(scene);
    end_scene(scene);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
}

static void at_once(void)
{
    struct scene *scene = new_scene(2);
    brood_process *processes[3];
    for (int i = 0; i < 3; i++)
        processes[i] = start(map_until_stopped, scene, i % 2);
    int rounds = harness_times(40);
    for (int i = 0; i < rounds || atomic_load(&scene->rounds) < rounds; i++)
        check_map(scene->pool, NULL);
    atomic_store(&scene->stop, 1);
    for (int i = 0; i < 3; i++)
        join(processes[i]);
    end_scene(scene);
}

static void *call_in_thread(void *arg)
{
    for (int i = 0; i < 5; i++)
        call_all(arg);
    return NULL;
}

/* All of them begin at once: one of them makes the process a caller. */
static int call_in_threads(void *arg)
{
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        NEED(pthread_create(&threads[i], NULL, call_in_thread, arg) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void threads(void)
{
    struct scene *scene = new_scene(2);
    brood_process *processes[] = { start(call_in_threads, scene, 0), start(call_in_threads, scene, 1) };
    call_in_thread(scene);
    for (int i = 0; i < 2; i++)
        join(processes[i]);
    CHECK_EQ(atomic_load(&scene->rounds), (2 * 6 + 1) * 5);
    end_scene(scene);
}

static int try_creators_calls(void *arg)
{
    struct scene *scene = arg;
    CHECK_RESULT(brood_pool_close(scene->pool), -EPERM);
    CHECK_HAS(brood_error(), "belongs to process");
    CHECK_RESULT(brood_pool_terminate(scene->pool), -EPERM);
    CHECK_RESULT(brood_pool_join(scene->pool, 0), -EPERM);
    CHECK_RESULT(brood_pool_destroy(scene->pool), -EPERM);
    CHECK_RESULT(brood_pool_resize(scene->pool, 1, 0), -EPERM);
    return 0;
}

static int try_result(void *arg)
{
    brood_waitable item = { .kind = BROOD_WAIT_RESULT, .object = arg };
    brood_end end;
    CHECK_RESULT(brood_result_wait(arg, 0), -EPERM);
    CHECK_HAS(brood_error(), "belongs to process");
    CHECK_RESULT(brood_result_next(arg, NULL, NULL, 0), -EPERM);
    CHECK_RESULT(brood_result_end(arg, &end), -EPERM);
    CHECK_RESULT(brood_result_cancel(arg, 0), -EPERM);
    CHECK_RESULT(brood_result_destroy(arg), -EPERM);
    CHECK_RESULT(brood_wait(&item, 1, 0), -EPERM);
    return 0;
}

static int fork_with_result(void *arg)
{
    struct scene *scene = arg;
    int value = 3, squared = 0;
    brood_result *result = CHECK_POINTER(
        brood_pool_apply_async(scene->pool, square, &value, sizeof value, &squared, sizeof squared, NULL));
    CHECK_EQ(wait_child(fork_child(try_result, result)), 0);
    CHECK_EQ(wait_child(fork_child(call_all, scene)), 0); /* another caller, which has nothing of its parent's */
    CHECK_RESULT(brood_result_wait(result, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
    return 0;
}

static void not_theirs(void)
{
    struct scene *scene = new_scene(1);
    for (int method = 0; method < 2; method++) {
        join(start(try_creators_calls, scene, method));
        join(start(fork_with_result, scene, method));
    }
    check_map(scene->pool, NULL);
    end_scene(scene);
}

/* ---- the pool's end ---- */

static int hold_result(void *arg)
{
    struct scene *scene = arg;
    int out = 0, value = 3;
    brood_result *result =
        CHECK_POINTER(brood_pool_apply_async(scene->pool, stay, &scene, sizeof scene, &out, sizeof out, NULL));
    CHECK(wait_word(&scene->begun, 1, SOON_MS));
    atomic_store(&scene->ready, 1);
    CHECK(wait_word(&scene->go, 1, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EPIPE);
    atomic_store(&scene->outcome, brood_result_wait(result, BROOD_FOREVER));
    atomic_store(&scene->result, out);
    CHECK_RESULT(brood_result_destroy(result), 0);
    return 0;
}

static void closed(void)
{
    for (int way = 0; way < 2; way++) {
        struct scene *scene = new_scene(2);
        brood_process *process = start(hold_result, scene, 0);
        CHECK(wait_word(&scene->ready, 1, SOON_MS));
        CHECK_RESULT(brood_pool_destroy(scene->pool), -EBUSY);
        CHECK_HAS(brood_error(), "process");
        check_map(scene->pool, NULL);
        if (way == 0) {
            CHECK_RESULT(brood_pool_join(scene->pool, 0), -ETIMEDOUT); /* it waits for what others asked for */
            atomic_store(&scene->leave, 1);
            CHECK_RESULT(brood_pool_join(scene->pool, SOON_MS), 0);
        } else {
            CHECK_RESULT(brood_pool_terminate(scene->pool), 0);
        }
        atomic_store(&scene->go, 1);
        join(process);
        CHECK_EQ(atomic_load(&scene->outcome), way);
        CHECK_EQ(atomic_load(&scene->result), way ? 0 : 7);
        end_scene(scene);
    }
}

/* The address of one that is gone, in a process that knew that one. */
static int use_each(void *arg)
{
    struct scene *scene = arg;
    for (int round = 1; round <= 5; round++) {
        CHECK(wait_word(&scene->go, round, SOON_MS));
        call_all(scene);
        atomic_store(&scene->ready, round);
    }
    return 0;
}

static void one_after_another(void)
{
    struct scene *scene = new_scene(1);
    brood_process *process = start(use_each, scene, 0);
    for (int round = 1; round <= 5; round++) {
        atomic_store(&scene->go, round);
        CHECK(wait_word(&scene->ready, round, SOON_MS));
        CHECK_RESULT(brood_pool_destroy(scene->pool), 0);
        scene->pool = CHECK_POINTER(brood_pool_create(1, NULL));
    }
    join(process);
    end_scene(scene);
}

/* ---- those that come later ---- */

static int call_and_stay(void *arg)
{
    struct scene *scene = arg;
    check_map(scene->pool, NULL);
    atomic_fetch_add(&scene->ready, 1);
    CHECK(wait_word(&scene->go, 1, 6 * SOON_MS));
    return 0;
}

/* There are as many records as there were callers at once, and they serve those who come later. */
static void come_and_go(void)
{
    enum { AT_ONCE = 8 };
    struct scene *scene = new_scene(2);
    brood_process *processes[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++)
        processes[i] = start(call_and_stay, scene, 0);
    CHECK(wait_word(&scene->ready, AT_ONCE, 5 * SOON_MS));
    size_t wanted = blocks_now();
    atomic_store(&scene->go, 1);
    for (int i = 0; i < AT_ONCE; i++)
        join(processes[i]);
    for (int i = 0; i < harness_times(20); i++)
        join(start(call_all, scene, 0));
    wanted += STAYS - AT_ONCE; /* of each of those its shelf of places is gone */
    CHECK(wait_until(has_blocks, &wanted, SOON_MS));
    end_scene(scene);
}

static int wait_first(void *arg)
{
    struct scene *scene = arg;
    brood_waitable item = { .kind = BROOD_WAIT_POOL, .object = scene->pool };
    brood_watch *watch = CHECK_POINTER(brood_watch_create());
    CHECK_RESULT(brood_wait(&item, 1, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_watch_add(watch, &item), 0);
    CHECK_RESULT(brood_watch_destroy(watch), 0);
    return 0;
}

/* A process' first call may be to wait for the pool. */
static void waited_for_first(void)
{
    struct scene *scene = new_scene(1);
    for (int method = 0; method < 2; method++)
        join(start(wait_first, scene, method));
    end_scene(scene);
}

/* ---- no room for another caller ---- */

static int call_at_last(void *arg)
{
    struct scene *scene = arg;
    int value = 3;
    CHECK(wait_word(&scene->go, 1, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -EAGAIN);
    CHECK_HAS(brood_error(), "table");
    atomic_store(&scene->ready, 1);
    CHECK(wait_word(&scene->go, 2, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), -ENOMEM);
    atomic_store(&scene->ready, 2);
    CHECK(wait_word(&scene->go, 3, SOON_MS));
    CHECK_RESULT(brood_pool_apply(scene->pool, square, &value, sizeof value, &value, sizeof value, NULL), 0);
    CHECK_EQ(value, 9);
    return 0;
}

static int sleep_on(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

/* A hundred places in the family's table; a child that was forked by hand takes one by its first call. */
static void no_room(void)
{
    enum { MOST = 1000 };
    static brood_process *sleepers[MOST];
    static void *blocks[1 << 16];
    int count = 0, taken = 0;
    NEED(brood_init(&(brood_init_options){ .limit = 1 << 20 }) == 0);
    struct scene *scene = new_scene(1);
    check_map(scene->pool, NULL);
    pid_t child = fork_child(call_at_last, scene);
    while (count < MOST && (sleepers[count] = brood_process_start(sleep_on, NULL, 0, NULL)))
        count++;
    CHECK_EQ(errno, EAGAIN);
    atomic_store(&scene->go, 1);
    CHECK(wait_word(&scene->ready, 1, SOON_MS));
    for (int i = 0; i < count; i++)
        slay(sleepers[i]);
    for (size_t size = 1 << 16; size >= 16; size /= 2)
        while (taken < 1 << 16 && (blocks[taken] = brood_alloc(size)))
            taken++;
    atomic_store(&scene->go, 2);
    CHECK(wait_word(&scene->ready, 2, SOON_MS));
    while (taken > 0)
        brood_free(blocks[--taken]);
    atomic_store(&scene->go, 3);
    CHECK_EQ(wait_child(child), 0);
    end_scene(scene);
}

enum { LARGE = 1 << 20 };

static int count_one(const void *in, void *out)
{
    (void)out;
    atomic_fetch_add(&(*(struct scene *const *)in)->rounds, 1);
    return 0;
}

static int map_large(void *arg)
{
    struct scene *scene = arg, **items = calloc(LARGE, sizeof *items);
    NEED(items != NULL);
    for (int i = 0; i < LARGE; i++)
        items[i] = scene;
    check_map(scene->pool, NULL);
    atomic_store(&scene->ready, 1);
    int result = brood_pool_map(scene->pool, count_one, items, sizeof *items, NULL, 0, LARGE, NULL);
    atomic_store(&scene->result, result);
    free(items);
    return 0;
}

/* Whoever is just copying its items when the pool is joined gets all of them or none. */
static void joined_while_one_asks(void)
{
    for (int round = 0; round < 20; round++) {
        struct scene *scene = new_scene(1);
        brood_process *process = start(map_large, scene, 0);
        CHECK(wait_word(&scene->ready, 1, SOON_MS));
        pass_us(round * 100);
        CHECK_RESULT(brood_pool_join(scene->pool, BROOD_FOREVER), 0);
        join(process);
        if (atomic_load(&scene->result) == 0)
            CHECK_EQ(atomic_load(&scene->rounds), LARGE);
        else
            CHECK_EQ(atomic_load(&scene->result), -EPIPE);
        end_scene(scene);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "any_call", .run = any_call },
        { .name = "waited_for_first", .run = waited_for_first },
        { .name = "at_once", .run = at_once, .deadline_s = 60 },
        { .name = "threads", .run = threads, .deadline_s = 60 },
        { .name = "not_theirs", .run = not_theirs },
        { .name = "closed", .run = closed },
        { .name = "one_after_another", .run = one_after_another, .deadline_s = 60 },
        { .name = "come_and_go", .run = come_and_go, .deadline_s = 60 },
        { .name = "no_room", .run = no_room, .deadline_s = 60, .no_init = true },
        { .name = "joined_while_one_asks", .run = joined_while_one_asks, .deadline_s = 60 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
