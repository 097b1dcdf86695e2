/* manager_queue.c: queues in a manager, plain and joinable: each call, each error, and whoever dies with an item.
 */
#include "harness.h"
#include "manager_waiting.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PARTIES = 4, EACH = 300, LARGE = 200000, JOBS = 200, KILLS = 60 };

struct scene {
    brood_manager *manager;
    brood_managed_queue *queue;
    atomic_int stage, results[PARTIES], got[PARTIES];
    atomic_int done[JOBS]; /* how often each was got */
};

static struct scene *new_scene(bool joinable, int most)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    NEED(scene != NULL);
    scene->manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(scene->manager != NULL);
    scene->queue = CHECK_POINTER(joinable ? brood_manager_joinable_queue(scene->manager, NULL, most)
                                          : brood_manager_queue(scene->manager, NULL, most));
    NEED(scene->queue != NULL);
    return scene;
}

static void end(struct scene *scene)
{
    CHECK_RESULT(brood_managed_queue_close(scene->queue), 0);
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(scene->manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.memory, 0);
    CHECK_EQ(stats.waiting, 0);
    CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
    brood_free(scene);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void put(struct scene *scene, int number)
{
    CHECK_RESULT(brood_managed_queue_put(scene->queue, number, BROOD_FOREVER), 0);
}

/* What is got must be that number, and the result that. */
static void get(struct scene *scene, int number, int result)
{
    brood_any item;
    if (CHECK_RESULT(brood_managed_queue_get(scene->queue, &item, TOLD_MS), result))
        CHECK_EQ(item.integer, number);
}

static int get_and_tell(void *arg)
{
    struct scene *scene = arg;
    brood_any item;
    int result = brood_managed_queue_get(scene->queue, &item, BROOD_FOREVER);
    int at = atomic_fetch_add(&scene->stage, 1) % PARTIES;
    atomic_store(&scene->results[at], result);
    atomic_store(&scene->got[at], (int)item.integer);
    return 0;
}

static int get_and_stay(void *arg)
{
    get_and_tell(arg);
    for (;;)
        pause();
    return 0;
}

static int put_and_tell(void *arg)
{
    struct scene *scene = arg;
    int result = brood_managed_queue_put(scene->queue, 100, BROOD_FOREVER);
    atomic_store(&scene->results[atomic_fetch_add(&scene->stage, 1) % PARTIES], result);
    return 0;
}

static void in_order(void)
{
    struct scene *scene = new_scene(false, 3);
    brood_any item;
    CHECK_RESULT(brood_managed_queue_capacity(scene->queue), 3);
    CHECK_RESULT(brood_managed_queue_get(scene->queue, &item, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "nothing in it");
    CHECK_EQ(item.kind, BROOD_NIL);
    CHECK_RESULT(brood_managed_queue_get(scene->queue, &item, 20), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_managed_queue_put(scene->queue, i, 0), 0);
    CHECK_RESULT(brood_managed_queue_put(scene->queue, 3, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "no room");
    CHECK_RESULT(brood_managed_queue_put(scene->queue, 3, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_managed_queue_count(scene->queue), 3);
    for (int i = 0; i < 3; i++)
        get(scene, i, 0);
    CHECK_RESULT(brood_managed_queue_count(scene->queue), 0);
    end(scene);
}

static void values_of_all_kinds(void)
{
    struct scene *scene = new_scene(false, 0);
    char *large = calloc(1, LARGE + 1);
    NEED(large != NULL);
    memset(large, 'l', LARGE);
    const brood_any parts[] = { brood_any_int(1), brood_any_string(large), brood_any_nil() };
    CHECK_RESULT(brood_managed_queue_capacity(scene->queue), 0);
    for (int i = 0; i < 3; i++) {
        brood_any item;
        CHECK_RESULT(brood_managed_queue_put(scene->queue, brood_any_list(parts, 3), BROOD_FOREVER), 0);
        CHECK_RESULT(brood_managed_queue_put(scene->queue, brood_any_nil(), BROOD_FOREVER), 0);
        CHECK_RESULT(brood_managed_queue_get(scene->queue, &item, BROOD_FOREVER), 0);
        CHECK_EQ(item.size, 3);
        CHECK_EQ(item.items[1].size, LARGE);
        CHECK_STR(item.items[1].string, large);
        brood_any_clear(&item);
        CHECK_RESULT(brood_managed_queue_get(scene->queue, &item, BROOD_FOREVER), 0);
        CHECK_EQ(item.kind, BROOD_NIL);
    }
    free(large);
    end(scene);
}

/* Getters, then putters, in the order in which they came. */
static void first_come_first_served(void)
{
    struct scene *scene = new_scene(false, 1);
    pid_t pids[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        pids[i] = fork_child(get_and_tell, scene);
        await_waiting(scene->manager, (size_t)i + 1);
    }
    for (int i = 0; i < PARTIES; i++) {
        put(scene, i);
        CHECK_EQ(wait_child(pids[i]), 0);
        CHECK_EQ(atomic_load(&scene->results[i]), 0);
        CHECK_EQ(atomic_load(&scene->got[i]), i);
    }
    put(scene, 7);
    for (int i = 0; i < PARTIES; i++) {
        pids[i] = fork_child(put_and_tell, scene);
        await_waiting(scene->manager, (size_t)i + 1);
    }
    get(scene, 7, 0);
    for (int i = 0; i < PARTIES; i++) {
        CHECK_EQ(wait_child(pids[i]), 0);
        CHECK_EQ(atomic_load(&scene->stage), PARTIES + i + 1);
        get(scene, 100, 0);
    }
    end(scene);
}

static int put_many(void *arg)
{
    for (int i = 0; i < EACH; i++)
        put(arg, i);
    return 0;
}

static int get_many(void *arg)
{
    struct scene *scene = arg;
    brood_any item;
    for (int i = 0; i < EACH; i++) {
        CHECK_RESULT(brood_managed_queue_get(scene->queue, &item, BROOD_FOREVER), 0);
        atomic_fetch_add(&scene->stage, (int)item.integer);
    }
    return 0;
}

static void many_at_once(void)
{
    struct scene *scene = new_scene(false, 5);
    brood_process *processes[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        const brood_process_options options = { .start = (brood_start)(BROOD_FORK + i % 3) };
        processes[i] = CHECK_POINTER(brood_process_start(i % 2 ? put_many : get_many, scene, 0, &options));
    }
    for (int i = 0; i < PARTIES; i++)
        CHECK_RESULT(brood_process_join(processes[i], NULL, BROOD_FOREVER), 0);
    CHECK_EQ(atomic_load(&scene->stage), PARTIES / 2 * EACH * (EACH - 1) / 2);
    CHECK_RESULT(brood_managed_queue_count(scene->queue), 0);
    end(scene);
}

/* A plain queue's item is its getter's. */
static void killed_getter(void)
{
    struct scene *scene = new_scene(false, 0);
    pid_t pid = fork_child(get_and_stay, scene), waiter = fork_child(get_and_stay, scene);
    await_waiting(scene->manager, 2);
    put(scene, 5);
    NEED(wait_word(&scene->stage, 1, TOLD_MS));
    CHECK_EQ(kill_child(pid), SIGKILL);
    CHECK_EQ(kill_child(waiter), SIGKILL);
    await_waiting(scene->manager, 0);
    CHECK_RESULT(brood_managed_queue_count(scene->queue), 0);
    put(scene, 6);
    get(scene, 6, 0);
    end(scene);
}

static void killed_putter(void)
{
    struct scene *scene = new_scene(false, 1);
    put(scene, 1);
    pid_t pid = fork_child(put_and_tell, scene);
    await_waiting(scene->manager, 1);
    CHECK_EQ(kill_child(pid), SIGKILL);
    await_waiting(scene->manager, 0);
    get(scene, 1, 0);
    CHECK_RESULT(brood_managed_queue_count(scene->queue), 0);
    end(scene);
}

static int get_three_and_die(void *arg)
{
    struct scene *scene = arg;
    for (int i = 0; i < 4; i++)
        get(scene, i, 0);
    CHECK_RESULT(brood_managed_queue_done(scene->queue), 0);
    atomic_store(&scene->stage, 1);
    raise(SIGKILL);
    return 0;
}

static int wait_for_end(void *arg)
{
    struct scene *scene = arg;
    atomic_store(&scene->results[0], brood_managed_queue_join(scene->queue, BROOD_FOREVER));
    return 0;
}

static bool four_are_there(void *context)
{
    struct scene *scene = context;
    return brood_managed_queue_count(scene->queue) == 4;
}

/* What the dead one had comes back, in its order, before all others, and counted; join waits for all of that. */
static void joinable(void)
{
    struct scene *scene = new_scene(true, 5);
    CHECK_RESULT(brood_managed_queue_join(scene->queue, 0), 0);
    CHECK_RESULT(brood_managed_queue_done(scene->queue), -EPERM);
    for (int i = 0; i < 5; i++)
        put(scene, i);
    CHECK_RESULT(brood_managed_queue_join(scene->queue, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_managed_queue_join(scene->queue, 20), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "not all of its items");
    pid_t joiner = fork_child(wait_for_end, scene);
    await_waiting(scene->manager, 1);
    wait_child(fork_child(get_three_and_die, scene));
    CHECK_EQ(atomic_load(&scene->stage), 1);
    CHECK(wait_until(four_are_there, scene, TOLD_MS));
    for (int i = 1; i < 5; i++)
        get(scene, i, i < 4);
    for (int i = 1; i < 5; i++) {
        CHECK_RESULT(brood_managed_queue_join(scene->queue, 0), -ETIMEDOUT);
        CHECK_RESULT(brood_managed_queue_done(scene->queue), 0);
    }
    CHECK_RESULT(brood_managed_queue_done(scene->queue), -EPERM);
    CHECK_EQ(wait_child(joiner), 0);
    CHECK_EQ(atomic_load(&scene->results[0]), 0);
    CHECK_RESULT(brood_managed_queue_join(scene->queue, BROOD_FOREVER), 0);
    end(scene);
}

struct back {
    struct scene *scene;
    int count;
};

static bool are_back(void *context)
{
    struct back *back = context;
    return brood_managed_queue_count(back->scene->queue) == back->count;
}

static void await_back(struct scene *scene, int count)
{
    struct back back = { scene, count };
    CHECK(wait_until(are_back, &back, TOLD_MS));
}

/* What comes back from several stands in the order in which it was put, whoever of them dies first. */
static void back_in_order(void)
{
    struct scene *scene = new_scene(true, 0);
    pid_t pids[2];
    for (int i = 0; i < 2; i++) {
        put(scene, i);
        pids[i] = fork_child(get_and_stay, scene);
        CHECK(wait_word(&scene->stage, i + 1, TOLD_MS));
    }
    CHECK_EQ(kill_child(pids[0]), SIGKILL);
    await_back(scene, 1);
    CHECK_EQ(kill_child(pids[1]), SIGKILL);
    await_back(scene, 2);
    put(scene, 2);
    for (int i = 0; i < 3; i++) {
        get(scene, i, i < 2);
        CHECK_RESULT(brood_managed_queue_done(scene->queue), 0);
    }
    end(scene);
}

static void shut_down(void)
{
    struct scene *scene = new_scene(false, 1);
    brood_any item;
    pid_t pid = fork_child(get_and_tell, scene);
    await_waiting(scene->manager, 1);
    CHECK_RESULT(brood_managed_queue_shutdown(scene->queue), 0);
    CHECK_EQ(wait_child(pid), 0);
    CHECK_EQ(atomic_load(&scene->results[0]), -EPIPE);
    CHECK_RESULT(brood_managed_queue_close(scene->queue), 0);
    scene->queue = CHECK_POINTER(brood_manager_queue(scene->manager, NULL, 1));
    put(scene, 1);
    pid = fork_child(put_and_tell, scene);
    await_waiting(scene->manager, 1);
    CHECK_RESULT(brood_managed_queue_shutdown(scene->queue), 0);
    CHECK_RESULT(brood_managed_queue_shutdown(scene->queue), 0);
    CHECK_EQ(wait_child(pid), 0);
    CHECK_EQ(atomic_load(&scene->results[1]), -EPIPE);
    CHECK_RESULT(brood_managed_queue_put(scene->queue, 2, 0), -EPIPE);
    CHECK_HAS(brood_error(), "shut down");
    get(scene, 1, 0);
    CHECK_RESULT(brood_managed_queue_get(scene->queue, &item, BROOD_FOREVER), -EPIPE);
    end(scene);
}

static void server_ends(void)
{
    for (int round = 0; round < 6; round++) {
        struct scene *scene = new_scene(false, 1);
        if (round % 2)
            put(scene, 1);
        pid_t pid = fork_child(round % 2 ? put_and_tell : get_and_tell, scene);
        await_waiting(scene->manager, 1);
        if (round < 2)
            CHECK_RESULT(brood_manager_shutdown(scene->manager), 0);
        else if (round < 4)
            CHECK_EQ(kill(brood_manager_pid(scene->manager), SIGKILL), 0);
        CHECK_RESULT(brood_managed_queue_close(scene->queue), 0);
        CHECK_EQ(wait_child(pid), 0);
        CHECK_EQ(atomic_load(&scene->results[0]), round < 2 ? -EPIPE : round < 4 ? -EOWNERDEAD : -EINVAL);
        CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
        brood_free(scene);
    }
}

static int get_without_memory_and_stay(void *arg)
{
    struct scene *scene = arg;
    struct rlimit before;
    brood_any item;
    CHECK_EQ(getrlimit(RLIMIT_DATA, &before), 0);
    /* 0 would be no limit, if there is none above it. */
    CHECK_EQ(setrlimit(RLIMIT_DATA, &(struct rlimit){ 4096, before.rlim_max }), 0);
    int result = brood_managed_queue_get(scene->queue, &item, BROOD_FOREVER);
    CHECK_EQ(setrlimit(RLIMIT_DATA, &before), 0);
    CHECK_EQ(result, -ENOMEM);
    CHECK_EQ(item.kind, BROOD_NIL);
    atomic_store(&scene->stage, 1);
    for (;;)
        pause();
    return 0;
}

/* What the getter has no memory for is the next one's at once, and not only with that getter's next call. */
static void no_memory(void)
{
    if (harness_sanitized())
        harness_skip("a sanitizer's malloc does not heed RLIMIT_DATA");
    struct scene *scene = new_scene(false, 0);
    static char large[LARGE + 1];
    memset(large, 'l', LARGE);
    CHECK_RESULT(brood_managed_queue_put(scene->queue, large, BROOD_FOREVER), 0);
    put(scene, 2);
    pid_t pid = fork_child(get_without_memory_and_stay, scene);
    NEED(wait_word(&scene->stage, 1, TOLD_MS));
    brood_any item;
    await_back(scene, 2);
    CHECK_RESULT(brood_managed_queue_get(scene->queue, &item, TOLD_MS), 0);
    CHECK_EQ(item.size, LARGE);
    brood_any_clear(&item);
    get(scene, 2, 0);
    CHECK_EQ(kill_child(pid), SIGKILL);
    end(scene);
}

static void wrong_calls(void)
{
    struct scene *scene = new_scene(false, 1);
    brood_managed_queue *other = CHECK_POINTER(brood_manager_joinable_queue(scene->manager, "jobs", 7));
    brood_any item, deep[66];
    CHECK_NULL(brood_manager_queue(NULL, NULL, 0), EINVAL);
    CHECK_NULL(brood_manager_queue(scene->manager, NULL, -1), EINVAL);
    CHECK_NULL(brood_manager_queue(scene->manager, "jobs", 1), EINVAL);
    CHECK_HAS(brood_error(), "'jobs' is a joinable queue, no queue");
    CHECK_NULL(brood_manager_joinable_queue(NULL, NULL, 0), EINVAL);
    CHECK_NULL(brood_manager_joinable_queue(scene->manager, NULL, -1), EINVAL);
    CHECK_RESULT(brood_managed_queue_put(NULL, 1, 0), -EINVAL);
    CHECK_RESULT(brood_managed_queue_put(scene->queue, 1, -2), -EINVAL);
    CHECK_RESULT(brood_managed_queue_put(scene->queue, "\xff", 0), -EINVAL);
    CHECK_RESULT((brood_managed_queue_put)(scene->queue, NULL, 0), -EINVAL);
    deep[65] = brood_any_int(1);
    for (int i = 64; i >= 0; i--)
        deep[i] = brood_any_list(&deep[i + 1], 1);
    CHECK_RESULT(brood_managed_queue_put(scene->queue, deep[0], 0), -EMSGSIZE);
    CHECK_RESULT(brood_managed_queue_get(NULL, &item, 0), -EINVAL);
    CHECK_RESULT(brood_managed_queue_get(scene->queue, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_managed_queue_get(scene->queue, &item, -2), -EINVAL);
    CHECK_RESULT(brood_managed_queue_done(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_queue_done(scene->queue), -EINVAL);
    CHECK_HAS(brood_error(), "no joinable queue");
    CHECK_RESULT(brood_managed_queue_join(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_managed_queue_join(scene->queue, 0), -EINVAL);
    CHECK_RESULT(brood_managed_queue_join(other, -2), -EINVAL);
    CHECK_RESULT(brood_managed_queue_shutdown(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_queue_count(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_queue_capacity(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_queue_close(NULL), 0);
    CHECK_RESULT(brood_managed_queue_close(other), 0);
    CHECK_RESULT(brood_managed_queue_close(scene->queue), 0);
    CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
    brood_free(scene);
}

static int work_until_killed(void *arg)
{
    struct scene *scene = arg;
    for (;;) {
        brood_any job;
        CHECK(brood_managed_queue_get(scene->queue, &job, BROOD_FOREVER) >= 0);
        atomic_fetch_add(&scene->done[job.integer], 1);
        CHECK_RESULT(brood_managed_queue_done(scene->queue), 0);
    }
    return 0;
}

/* Killed wherever they are: each job is done, and join ends. */
static void killed_at_random(void)
{
    struct scene *scene = new_scene(true, 10);
    uint32_t seed = 31;
    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        pids[i] = fork_child(work_until_killed, scene);
    for (int i = 0; i < JOBS; i++) {
        put(scene, i);
        if (i % (JOBS / harness_times(KILLS)) != 0)
            continue;
        pass_us(random_next(&seed) % 1000);
        CHECK_EQ(kill_child(pids[i % 3]), SIGKILL);
        pids[i % 3] = fork_child(work_until_killed, scene);
    }
    CHECK_RESULT(brood_managed_queue_join(scene->queue, TOLD_MS), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(kill_child(pids[i]), SIGKILL);
    for (int i = 0; i < JOBS; i++)
        CHECK(atomic_load(&scene->done[i]) >= 1);
    end(scene);
}

/* Of a plain one each is got once, but those whose getters were killed with them. */
static int get_until_killed(void *arg)
{
    struct scene *scene = arg;
    for (;;) {
        brood_any job;
        CHECK(brood_managed_queue_get(scene->queue, &job, BROOD_FOREVER) >= 0);
        atomic_fetch_add(&scene->done[job.integer], 1);
    }
    return 0;
}

static bool is_empty(void *context)
{
    struct scene *scene = context;
    return brood_managed_queue_count(scene->queue) == 0;
}

static void getters_killed_at_random(void)
{
    struct scene *scene = new_scene(false, 10);
    uint32_t seed = 32;
    int killed = 0, missing = 0;
    pid_t pids[3];
    for (int i = 0; i < 3; i++)
        pids[i] = fork_child(get_until_killed, scene);
    for (int i = 0; i < JOBS; i++) {
        put(scene, i);
        if (i % (JOBS / harness_times(KILLS)) != 0)
            continue;
        pass_us(random_next(&seed) % 1000);
        CHECK_EQ(kill_child(pids[i % 3]), SIGKILL);
        pids[i % 3] = fork_child(get_until_killed, scene);
        killed++;
    }
    CHECK(wait_until(is_empty, scene, TOLD_MS));
    await_waiting(scene->manager, 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(kill_child(pids[i]), SIGKILL);
    for (int i = 0; i < JOBS; i++) {
        CHECK(atomic_load(&scene->done[i]) <= 1);
        missing += atomic_load(&scene->done[i]) == 0;
    }
    CHECK(missing <= killed);
    end(scene);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "in_order", .run = in_order },
        { .name = "values_of_all_kinds", .run = values_of_all_kinds },
        { .name = "first_come_first_served", .run = first_come_first_served },
        { .name = "many_at_once", .run = many_at_once, .deadline_s = 60 },
        { .name = "killed_getter", .run = killed_getter },
        { .name = "killed_putter", .run = killed_putter },
        { .name = "joinable", .run = joinable },
        { .name = "back_in_order", .run = back_in_order },
        { .name = "shut_down", .run = shut_down },
        { .name = "server_ends", .run = server_ends },
        { .name = "no_memory", .run = no_memory },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = "killed_at_random", .run = killed_at_random, .deadline_s = 60 },
        { .name = "getters_killed_at_random", .run = getters_killed_at_random, .deadline_s = 60 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
