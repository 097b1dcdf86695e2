/* wait_result.c: results of pools among the things that are waited for, and in loops; deaths are news too.
 */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORKERS = 2, MANY = 200 };

static const brood_pool_options methods[] = { { .start = BROOD_FORK },
                                              { .start = BROOD_SPAWN },
                                              { .start = BROOD_FORKSERVER } };

/* In the region: tasks are in it, and may go. */
struct gate {
    atomic_int begun, open;
    atomic_int pid; /* of the worker that is in it */
};

static struct gate *new_gate(void)
{
    struct gate *gate = CHECK_POINTER(brood_alloc(sizeof *gate));
    NEED(gate != NULL);
    return gate;
}

/* The item is the gate's address; waits until it is open. */
static int pass(const void *in, void *out)
{
    struct gate *gate = *(struct gate *const *)in;
    atomic_store(&gate->pid, getpid());
    atomic_fetch_add(&gate->begun, 1);
    if (!wait_word(&gate->open, 1, 15000))
        return 1;
    if (out)
        *(int *)out = 7;
    return 0;
}

static int double_it(const void *in, void *out)
{
    *(int *)out = 2 * *(const int *)in;
    return 0;
}

static brood_pool *new_pool(const brood_pool_options *options)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(WORKERS, options));
    NEED(pool != NULL);
    return pool;
}

static brood_waitable of(const brood_result *result)
{
    return (brood_waitable){ .kind = BROOD_WAIT_RESULT, .object = result };
}

static brood_result *ask(brood_pool *pool, struct gate *gate, int *out)
{
    atomic_store(&gate->begun, 0);
    atomic_store(&gate->open, 0);
    brood_result *result =
        CHECK_POINTER(brood_pool_apply_async(pool, pass, &gate, sizeof(void *), out, sizeof *out, NULL));
    NEED(result != NULL);
    return result;
}

/* Not before it is there, and then in every call until it is given back; beside other things. */
static void comes(void)
{
    struct gate *gate = new_gate();
    brood_event *event = CHECK_POINTER(brood_alloc(sizeof *event));
    for (size_t method = 0; method < sizeof methods / sizeof *methods; method++) {
        brood_pool *pool = new_pool(&methods[method]);
        for (int round = 0; round < 20; round++) {
            int out = 0;
            brood_result *result = ask(pool, gate, &out);
            brood_waitable items[] = { of(result), { .kind = BROOD_WAIT_EVENT, .object = event } };
            CHECK_RESULT(brood_wait(items, 2, 0), -ETIMEDOUT);
            CHECK_RESULT(brood_wait(items, 2, 5), -ETIMEDOUT);
            atomic_store(&gate->open, 1);
            CHECK_RESULT(brood_wait(items, 2, 10000), 1);
            CHECK(items[0].ready == 1 && !items[1].ready);
            CHECK_RESULT(brood_wait(items, 2, 0), 1);
            CHECK_RESULT(brood_result_wait(result, 0), 0);
            CHECK_EQ(out, 7);
            CHECK_RESULT(brood_wait(items, 2, 0), 1); /* it has been got, and can be again */
            CHECK_RESULT(brood_result_destroy(result), 0);
        }
        CHECK_RESULT(brood_pool_destroy(pool), 0);
    }
    brood_free(event);
    brood_free(gate);
}

static void maps(void)
{
    struct gate *gate = new_gate();
    struct gate *gates[8];
    brood_pool *pool = new_pool(NULL);
    for (int i = 0; i < 8; i++)
        gates[i] = gate;
    for (int round = 0; round < 20; round++) {
        atomic_store(&gate->open, 0);
        brood_result *result = CHECK_POINTER(brood_pool_map_async(pool, pass, gates, sizeof *gates, NULL, 0, 8, NULL));
        brood_waitable item = of(result);
        CHECK_RESULT(brood_wait(&item, 1, 0), -ETIMEDOUT);
        atomic_store(&gate->open, 1);
        CHECK_RESULT(brood_wait(&item, 1, 10000), 1);
        CHECK_RESULT(brood_result_wait(result, 0), 0);
        CHECK_RESULT(brood_result_destroy(result), 0);
    }
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    brood_free(gate);
}

static int count_up(void *context, void *in)
{
    int *next = context;
    *(int *)in = *next;
    return (*next)++ >= MANY;
}

/* Each result of it in turn; and the end. */
static void one_by_one(void)
{
    for (int unordered = 0; unordered < 2; unordered++)
        for (size_t ahead = 1; ahead < 10; ahead += 4) {
            brood_pool *pool = new_pool(NULL);
            int next = 0, seen = 0, result_code, out;
            brood_result *result =
                CHECK_POINTER(brood_pool_imap(pool, double_it, count_up, &next, sizeof(int), sizeof(int),
                                              &(brood_task_options){ .unordered = unordered, .ahead = ahead }));
            brood_waitable item = of(result);
            long sum = 0;
            do {
                CHECK_RESULT(brood_wait(&item, 1, 10000), 1);
                while ((result_code = brood_result_next(result, &out, NULL, 0)) == 0) {
                    sum += out;
                    seen++;
                }
            } while (result_code == -ETIMEDOUT);
            CHECK_EQ(result_code, -EPIPE);
            CHECK_EQ(seen, MANY);
            CHECK_EQ(sum, (long)MANY * (MANY - 1));
            CHECK_RESULT(brood_wait(&item, 1, 0), 1); /* there will be no more: next does not wait */
            CHECK_RESULT(brood_result_destroy(result), 0);
            CHECK_RESULT(brood_pool_destroy(pool), 0);
        }
}

static bool is_readable(int fd, int ms)
{
    struct epoll_event event = { .events = EPOLLIN };
    int loop = epoll_create1(EPOLL_CLOEXEC), found;
    NEED(loop >= 0 && epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) == 0);
    while ((found = epoll_wait(loop, &event, 1, ms)) < 0 && errno == EINTR)
        continue;
    close(loop);
    return found == 1;
}

/* A descriptor of one result, for a loop. */
static void descriptor(void)
{
    struct gate *gate = new_gate();
    brood_pool *pool = new_pool(NULL);
    for (int round = 0; round < 10; round++) {
        int out = 0;
        brood_result *result = ask(pool, gate, &out);
        brood_watch *watch = CHECK_POINTER(brood_watch_create());
        brood_waitable item = of(result), ready;
        CHECK_RESULT(brood_watch_add(watch, &item), 0);
        CHECK_RESULT(brood_watch_add(watch, &item), -EEXIST);
        int fd = brood_watch_fd(watch);
        NEED(fd >= 0);
        CHECK_RESULT(brood_watch_wait(watch, &ready, 1, 0), -ETIMEDOUT);
        atomic_store(&gate->open, 1);
        int found = -ETIMEDOUT; /* the pool may have had other news first */
        for (int tries = 0; found == -ETIMEDOUT && tries < 2000 && CHECK(is_readable(fd, 10000)); tries++)
            found = brood_watch_wait(watch, &ready, 1, 0);
        CHECK_EQ(found, 1);
        CHECK(is_readable(fd, 0)); /* until it is found not to be ready */
        CHECK(ready.object == result && ready.ready == 1);
        CHECK_RESULT(brood_result_wait(result, 0), 0);
        CHECK_RESULT(brood_watch_remove(watch, &item), 0);
        CHECK_RESULT(brood_result_destroy(result), 0);
        CHECK_RESULT(brood_watch_destroy(watch), 0);
    }
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    brood_free(gate);
}

/* More than there are seats, by one watch: each comes once. */
static void many(void)
{
    static brood_result *results[MANY];
    static int outs[MANY];
    int seen = 0;
    brood_pool *pool = new_pool(NULL);
    brood_watch *watch = CHECK_POINTER(brood_watch_create());
    for (int i = 0; i < MANY; i++) {
        results[i] = CHECK_POINTER(brood_pool_apply_async(pool, double_it, &i, sizeof i, &outs[i], sizeof(int), NULL));
        brood_waitable item = of(results[i]);
        item.tag = &results[i];
        CHECK_RESULT(brood_watch_add(watch, &item), 0);
    }
    while (seen < MANY) {
        brood_waitable ready[16];
        int count = brood_watch_wait(watch, ready, 16, 10000);
        if (!CHECK(count > 0))
            break;
        for (int i = 0; i < count; i++, seen++) {
            brood_result **place = ready[i].tag;
            CHECK(*place == ready[i].object);
            CHECK_RESULT(brood_result_wait(*place, 0), 0);
            CHECK_EQ(outs[place - results], 2 * (int)(place - results));
            CHECK_RESULT(brood_watch_remove(watch, &ready[i]), 0);
            CHECK_RESULT(brood_result_destroy(*place), 0);
        }
    }
    CHECK_RESULT(brood_watch_destroy(watch), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

/* A worker's death ends its task, the keeper's all that run: both are told, in a wait and in a loop. */
static void deaths(void)
{
    struct gate *gate = new_gate();
    for (size_t method = 0; method < sizeof methods / sizeof *methods; method++) {
        brood_pool *pool = new_pool(&methods[method]);
        for (int round = 0; round < 8; round++) {
            bool keeper = round & 1, loop = round & 2;
            int out = 0;
            brood_result *result = ask(pool, gate, &out);
            brood_watch *watch = CHECK_POINTER(brood_watch_create());
            brood_waitable item = of(result), ready;
            CHECK_RESULT(brood_watch_add(watch, &item), 0);
            CHECK_RESULT(brood_watch_wait(watch, &ready, 1, 0), -ETIMEDOUT);
            CHECK(wait_word(&gate->begun, 1, 10000));
            int victim = keeper ? brood_pool_keeper(pool) : atomic_load(&gate->pid);
            NEED(victim > 0 && kill(victim, SIGKILL) == 0);
            if (loop)
                CHECK_RESULT(brood_watch_wait(watch, &ready, 1, 10000), 1);
            else
                CHECK_RESULT(brood_wait(&item, 1, 10000), 1);
            CHECK_RESULT(brood_result_wait(result, 0), 1);
            brood_end end;
            CHECK_RESULT(brood_result_end(result, &end), 0);
            CHECK_EQ(end.how, keeper ? BROOD_LOST : BROOD_CRASHED);
            CHECK_RESULT(brood_watch_destroy(watch), 0);
            CHECK_RESULT(brood_result_destroy(result), 0);
        }
        CHECK_RESULT(brood_pool_destroy(pool), 0);
    }
    brood_free(gate);
}

/* The keeper is killed while a task still waits for its turn: whoever watches has another one started. */
static void keeper_again(void)
{
    struct gate *gate = new_gate();
    brood_pool *pool = new_pool(NULL);
    for (int round = 0; round < 5; round++) {
        brood_result *results[WORKERS + 1];
        int outs[WORKERS + 1] = { 0 };
        atomic_store(&gate->begun, 0);
        atomic_store(&gate->open, 0);
        for (int i = 0; i <= WORKERS; i++)
            results[i] =
                CHECK_POINTER(brood_pool_apply_async(pool, pass, &gate, sizeof(void *), &outs[i], sizeof(int), NULL));
        CHECK(wait_word(&gate->begun, WORKERS, 10000));
        int keeper = brood_pool_keeper(pool);
        NEED(keeper > 0 && kill(keeper, SIGKILL) == 0);
        CHECK(wait_gone(keeper, 10000)); /* or its workers might run the last one too */
        brood_waitable last = of(results[WORKERS]);
        atomic_store(&gate->open, 1);
        CHECK_RESULT(brood_wait(&last, 1, 10000), 1);
        CHECK_RESULT(brood_result_wait(results[WORKERS], 0), 0);
        for (int i = 0; i <= WORKERS; i++) {
            CHECK(brood_result_wait(results[i], 10000) >= 0);
            CHECK_RESULT(brood_result_destroy(results[i]), 0);
        }
    }
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    brood_free(gate);
}

static void note(void *context, brood_result *result, int failed)
{
    CHECK_EQ(failed, 0);
    ++*(int *)context;
    CHECK_RESULT(brood_result_destroy(result), 0);
}

/* Callbacks in a loop: the pool says when there are some. */
static void callbacks(void)
{
    static int outs[MANY];
    int told = 0;
    brood_pool *pool = new_pool(NULL);
    brood_watch *watch = CHECK_POINTER(brood_watch_create());
    brood_waitable item = { .kind = BROOD_WAIT_POOL, .object = pool }, ready;
    CHECK_RESULT(brood_watch_add(watch, &item), 0);
    CHECK_RESULT(brood_watch_wait(watch, &ready, 1, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_pool_callbacks(pool), 0);
    for (int round = 0; round < 5; round++) {
        int before = told, called = 0;
        for (int i = 0; i < MANY; i++) /* some are called by later submissions */
            CHECK_POINTER(brood_pool_apply_async(pool, double_it, &i, sizeof i, &outs[i], sizeof(int),
                                                 &(brood_task_options){ .done = note, .context = &told }));
        while (told < before + MANY && CHECK(brood_watch_wait(watch, &ready, 1, 10000) == 1)) {
            CHECK(ready.kind == BROOD_WAIT_POOL && ready.object == pool);
            int count = brood_pool_callbacks(pool);
            CHECK(count > 0);
            called += count;
        }
        CHECK(called > 0);
        CHECK_RESULT(brood_watch_wait(watch, &ready, 1, 0), -ETIMEDOUT);
    }
    CHECK_RESULT(brood_watch_destroy(watch), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

static int refuse(void *arg)
{
    (void)arg;
    return brood_fail(5, "not today");
}

/* A pool that is broken, and one that is gone, stand in the way: a wait for the result would not last. */
static void in_the_way(void)
{
    struct gate *gate = new_gate();
    int out;
    brood_pool *pool = new_pool(&(brood_pool_options){ .begin = refuse });
    brood_result *result = brood_pool_apply_async(pool, pass, &gate, sizeof(void *), &out, sizeof out, NULL);
    if (result) { /* it may know already */
        brood_waitable item = of(result);
        CHECK_RESULT(brood_wait(&item, 1, 10000), 1);
        CHECK_RESULT(brood_result_wait(result, 0), -ENOTRECOVERABLE);
        CHECK_HAS(brood_error(), "not today");
        CHECK_RESULT(brood_result_destroy(result), 0);
    }
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    pool = new_pool(NULL);
    result = ask(pool, gate, &out);
    brood_waitable item = of(result);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_RESULT(brood_wait(&item, 1, 0), 1);
    CHECK_RESULT(brood_result_wait(result, 0), 1);
    CHECK_RESULT(brood_result_destroy(result), 0);
    brood_free(gate);
}

static int use_anothers(void *arg)
{
    brood_waitable items[] = { { .kind = BROOD_WAIT_POOL, .object = arg } };
    brood_pool *own = CHECK_POINTER(brood_pool_create(1, NULL));
    CHECK_RESULT(brood_wait(items, 1, 0), -ETIMEDOUT); /* it has no callbacks there */
    CHECK_RESULT(brood_pool_callbacks(arg), 0);
    CHECK_RESULT(brood_pool_destroy(own), 0);
    return 0;
}

static void wrong(void)
{
    brood_waitable none[] = { { .kind = BROOD_WAIT_RESULT }, { .kind = BROOD_WAIT_POOL } };
    CHECK_RESULT(brood_wait(&none[0], 1, 0), -EINVAL); /* there is no pool at all */
    CHECK_RESULT(brood_wait(&none[1], 1, 0), -EINVAL);
    brood_pool *pool = new_pool(NULL);
    CHECK_RESULT(brood_wait(&none[0], 1, 0), -EINVAL);
    CHECK_RESULT(brood_wait(&none[1], 1, 0), -EINVAL);
    CHECK_RESULT(brood_pool_callbacks(NULL), -EINVAL);
    brood_process *process = CHECK_POINTER(brood_process_start(use_anothers, pool, 0, NULL));
    brood_end end;
    CHECK_RESULT(brood_process_join(process, &end, 10000), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
}

/* Where the kernel has no io_uring, or a sandbox forbids it. */
static void without_ring(void)
{
    if (refuse_call(SYS_io_uring_setup, EPERM) != 0)
        harness_skip("no seccomp filters here");
    maps();
    one_by_one();
    descriptor();
    many();
    callbacks();
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "comes", .run = comes, .deadline_s = 60 },
        { .name = "maps", .run = maps },
        { .name = "one_by_one", .run = one_by_one, .deadline_s = 60 },
        { .name = "descriptor", .run = descriptor },
        { .name = "many", .run = many },
        { .name = "deaths", .run = deaths, .deadline_s = 60 },
        { .name = "keeper_again", .run = keeper_again, .deadline_s = 60 },
        { .name = "callbacks", .run = callbacks },
        { .name = "in_the_way", .run = in_the_way },
        { .name = "wrong", .run = wrong },
        { .name = "without_ring", .run = without_ring, .deadline_s = 60 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
