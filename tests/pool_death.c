/* pool_death.c: what a death costs a pool: a worker's its one task, the keeper's those that were being run, and nothing
 * else; every item has one end, those that returned the right result, and no call hangs.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define COUNT 200

static const brood_pool_options methods[] = { { .start = BROOD_FORK }, { .start = BROOD_SPAWN } };

enum death { SEGV, ABORT, EXIT_NOW, EXIT, KILL, FAULT, DEATHS };

struct item {
    int value;
    int deaths;          /* at how many attempts it dies */
    enum death death;    /* how */
    int us;              /* how long it takes */
    atomic_int runs;     /* how often it was begun */
    atomic_int finished; /* how often it came to its end */
};

/* Items are in the region: who runs one counts it there. */
static int run_item(const void *in, void *out)
{
    struct item *item = (struct item *)(uintptr_t)in;
    int run = atomic_fetch_add(&item->runs, 1);
    struct rlimit none = { 0, 0 };
    if (item->us > 0)
        pass_us(item->us);
    if (run < item->deaths) {
        setrlimit(RLIMIT_CORE, &none);
        switch (item->death) {
        case SEGV:
            raise(SIGSEGV);
            break;
        case ABORT:
            abort();
        case EXIT_NOW:
            _exit(3);
        case EXIT:
            exit(4);
        case KILL:
            kill(getpid(), SIGKILL);
            break;
        case FAULT:
            *(volatile char *)(uintptr_t)(run + 16) = 1; /* a true one, in the first page */
            break;
        default:
            break;
        }
    }
    *(int *)out = item->value * 2;
    atomic_fetch_add(&item->finished, 1);
    return 0;
}

static struct item *new_items(int count)
{
    struct item *items = CHECK_POINTER(brood_alloc_array((size_t)count, sizeof *items));
    NEED(items != NULL);
    for (int i = 0; i < count; i++)
        items[i].value = i + 1;
    return items;
}

static bool all_back(void *arg)
{
    brood_pool *pool = arg;
    for (int i = 0; i < brood_pool_workers(pool); i++) {
        int pid = brood_pool_worker(pool, i);
        int state = pid > 0 ? process_state(pid) : 0;   /* asked once: a zombie may be gone at the next look */
        if (state == 0 || state == 'Z' || state == 'X') /* X: just being reaped */
            return false;
    }
    return brood_pool_keeper(pool) > 0;
}

/* 0 would be this whole process group. */
static void slay(int pid)
{
    NEED(pid > 0);
    kill(pid, SIGKILL);
}

static void check_works(brood_pool *pool)
{
    struct item *items = new_items(50);
    int results[50] = { 0 };
    CHECK_RESULT(brood_pool_map(pool, run_item, items, sizeof *items, results, sizeof(int), 50, NULL), 0);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(results[i], 2 * (i + 1));
    brood_free(items);
}

/* A keeper that was killed comes back with a map: the first may still be served by workers that have not died yet. */
static bool comes_back(void *arg)
{
    check_works(arg);
    return all_back(arg);
}

static void check_whole(brood_pool *pool)
{
    check_works(pool);
    CHECK(wait_until(comes_back, pool, 5000));
}

static brood_pool *new_pool(int workers, int method)
{
    brood_pool *pool = brood_pool_create(workers, &methods[method]);
    NEED(pool != NULL);
    return pool;
}

static void end_pool(brood_pool *pool)
{
    check_whole(pool);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void check_death(const brood_end *end, enum death death)
{
    static const int signals[] = { SIGSEGV, SIGABRT, 0, 0, SIGKILL, SIGSEGV };
    static const int codes[] = { 0, 0, 3, 4, 0, 0 };
    CHECK_EQ(end->how, signals[death] != 0 ? BROOD_CRASHED : BROOD_EXITED);
    CHECK_EQ(end->signal, signals[death]);
    CHECK_EQ(end->code, codes[death]);
    CHECK(end->why[0] != '\0');
    if (signals[death] != 0)
        CHECK_HAS(end->why, brood_signal_name(signals[death]));
}

/* Some items kill their worker, each in its way; only these are lost, and the others are run exactly once. */
static void die_in_items(int method, size_t chunk)
{
    brood_pool *pool = new_pool(3, method);
    struct item *items = new_items(COUNT);
    static int results[COUNT];
    static brood_end ends[COUNT];
    memset(ends, 0x77, sizeof ends);
    int deaths = 0;
    for (int i = 0; i < COUNT; i++) {
        results[i] = -5;
        if (i % 9 == 4) {
            items[i].deaths = 1;
            items[i].death = (enum death)(deaths++ % DEATHS);
        }
    }
    brood_task_options options = { .chunk = chunk, .ends = ends };
    CHECK_RESULT(brood_pool_map(pool, run_item, items, sizeof *items, results, sizeof(int), COUNT, &options), deaths);
    CHECK_HAS(brood_error(), "SIGSEGV"); /* the first, by index */
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(atomic_load(&items[i].runs), 1);
        CHECK_EQ(atomic_load(&items[i].finished), !items[i].deaths);
        CHECK_EQ(results[i], items[i].deaths ? -5 : 2 * (i + 1));
        CHECK_EQ((long long)ends[i].index, i);
        CHECK_EQ(ends[i].attempt, 1);
        CHECK(ends[i].pid > 0);
        if (items[i].deaths)
            check_death(&ends[i], items[i].death);
        else
            CHECK_EQ(ends[i].how, BROOD_RETURNED);
    }
    brood_free(items);
    end_pool(pool);
}

static void items_that_die(void)
{
    for (int method = 0; method < 2; method++) {
        static const size_t chunks[] = { 0, 1, 10, 1000 };
        for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
            die_in_items(method, chunks[i]);
    }
}

static void all_items_die(void)
{
    for (int method = 0; method < 2; method++) {
        enum { DYING = 60 };
        brood_pool *pool = new_pool(2, method);
        struct item *items = new_items(DYING);
        brood_end ends[DYING];
        int results[DYING];
        for (int i = 0; i < DYING; i++) {
            items[i].deaths = 1000;
            items[i].death = (enum death)(i % DEATHS);
        }
        brood_task_options options = { .ends = ends };
        CHECK_RESULT(brood_pool_map(pool, run_item, items, sizeof *items, results, sizeof(int), DYING, &options),
                     DYING);
        for (int i = 0; i < DYING; i++) {
            check_death(&ends[i], items[i].death);
            CHECK_EQ(atomic_load(&items[i].runs), 1);
        }
        brood_free(items);
        end_pool(pool);
    }
}

static void tried_again(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        struct item *items = new_items(COUNT);
        static int results[COUNT];
        static brood_end ends[COUNT];
        int hopeless = 0;
        for (int i = 0; i < COUNT; i++) {
            items[i].deaths = i % 20 == 3 ? 1 : i % 20 == 7 ? 2 : i % 20 == 11 ? 3 : 0;
            items[i].death = (enum death)(i / 20 % DEATHS);
            hopeless += items[i].deaths > 2;
        }
        brood_task_options options = { .retries = 2, .ends = ends };
        CHECK_RESULT(brood_pool_map(pool, run_item, items, sizeof *items, results, sizeof(int), COUNT, &options),
                     hopeless);
        for (int i = 0; i < COUNT; i++) {
            bool lost = items[i].deaths > 2;
            CHECK_EQ(ends[i].attempt, lost ? 3 : items[i].deaths + 1);
            CHECK_EQ(atomic_load(&items[i].runs), ends[i].attempt);
            CHECK_EQ(atomic_load(&items[i].finished), !lost);
            if (lost)
                check_death(&ends[i], items[i].death);
            else
                CHECK(ends[i].how == BROOD_RETURNED && results[i] == 2 * (i + 1));
        }
        brood_free(items);
        end_pool(pool);
    }
}

struct mapping {
    brood_pool *pool;
    struct item *items;
    int *results;
    brood_end *ends;
    int count;
    int retries;
    int result;
    atomic_int done;
};

static void *map_items(void *arg)
{
    struct mapping *mapping = arg;
    brood_task_options options = { .ends = mapping->ends, .retries = mapping->retries };
    mapping->result = brood_pool_map(mapping->pool, run_item, mapping->items, sizeof *mapping->items, mapping->results,
                                     sizeof(int), (size_t)mapping->count, &options);
    atomic_store(&mapping->done, 1);
    return NULL;
}

/* A map whose items take a millisecond each, running in a thread, so that others may be killed meanwhile. */
static struct mapping *start_mapping(brood_pool *pool, int count, int retries, pthread_t *thread)
{
    struct mapping *mapping = calloc(1, sizeof *mapping);
    NEED(mapping != NULL);
    *mapping = (struct mapping){ .pool = pool, .items = new_items(count), .count = count, .retries = retries };
    mapping->results = calloc((size_t)count, sizeof *mapping->results);
    mapping->ends = calloc((size_t)count, sizeof *mapping->ends);
    NEED(mapping->results != NULL && mapping->ends != NULL);
    for (int i = 0; i < count; i++)
        mapping->items[i].us = 1000;
    NEED(pthread_create(thread, NULL, map_items, mapping) == 0);
    return mapping;
}

/* Every item has one end, and what it says is true; how many were lost. */
static int account(struct mapping *mapping)
{
    int lost = 0;
    for (int i = 0; i < mapping->count; i++) {
        const brood_end *end = &mapping->ends[i];
        const struct item *item = &mapping->items[i];
        CHECK_EQ((long long)end->index, i);
        if (end->how == BROOD_RETURNED) {
            CHECK_EQ(mapping->results[i], 2 * (i + 1));
            CHECK(atomic_load(&item->runs) >= 1 && atomic_load(&item->runs) <= end->attempt);
        } else {
            CHECK(end->how == BROOD_LOST || (end->how == BROOD_CRASHED && end->signal == SIGKILL));
            CHECK_EQ(mapping->results[i], 0);
            CHECK_EQ(end->attempt, mapping->retries + 1);
            CHECK(atomic_load(&item->runs) <= end->attempt);
            CHECK(end->why[0] != '\0');
            lost++;
        }
    }
    CHECK_EQ(mapping->result, lost);
    brood_free(mapping->items);
    free(mapping->results);
    free(mapping->ends);
    free(mapping);
    return lost;
}

static void worker_killed_idle(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(3, method);
        for (int round = 0; round < 6; round++) {
            CHECK(wait_until(all_back, pool, 5000));
            int pid = brood_pool_worker(pool, round % 3);
            slay(pid);
            if (round % 2 == 0) {
                CHECK(wait_gone(pid, 5000));
                CHECK(wait_until(all_back, pool, 5000)); /* it comes back though nobody asks */
                CHECK(brood_pool_worker(pool, round % 3) != pid);
            }
            check_whole(pool);
        }
        end_pool(pool);
    }
}

static void worker_killed_busy(void)
{
    for (int method = 0; method < 2; method++) {
        brood_pool *pool = new_pool(2, method);
        for (int retries = 0; retries < 2; retries++) {
            pthread_t thread;
            struct mapping *mapping = start_mapping(pool, COUNT, retries, &thread);
            CHECK(wait_word(&mapping->items[0].runs, 1, 5000));
            for (int i = 0; i < 1 + retries; i++) {
                CHECK(wait_until(all_back, pool, 5000));
                slay(brood_pool_worker(pool, i));
            }
            pthread_join(thread, NULL);
            CHECK(account(mapping) <= 1 + retries);
        }
        end_pool(pool);
    }
}

static void keeper_killed_busy(void)
{
    for (int round = 0; round < 8; round++) {
        int retries = round % 2 ? 5 : 0;
        brood_pool *pool = new_pool(2, round / 2 % 2);
        pthread_t thread;
        struct mapping *mapping = start_mapping(pool, COUNT, retries, &thread);
        CHECK(wait_word(&mapping->items[round * 3].runs, 1, 5000));
        slay(brood_pool_keeper(pool));
        pthread_join(thread, NULL);
        CHECK(account(mapping) <= (retries ? 0 : 2));
        end_pool(pool);
    }
}

static void kill_all(brood_pool *pool)
{
    int pids[8], count = 0;
    pids[count++] = brood_pool_keeper(pool);
    for (int i = 0; i < brood_pool_workers(pool); i++)
        pids[count++] = brood_pool_worker(pool, i);
    for (int i = 0; i < count; i++) {
        if (pids[i] > 0)
            kill(pids[i], SIGKILL);
    }
}

static void all_killed(void)
{
    for (int round = 0; round < 6; round++) {
        brood_pool *pool = new_pool(3, round % 2);
        pthread_t thread;
        struct mapping *mapping = start_mapping(pool, COUNT, round < 3 ? 0 : 9, &thread);
        CHECK(wait_word(&mapping->items[20].runs, 1, 5000));
        kill_all(pool);
        pthread_join(thread, NULL);
        CHECK(account(mapping) <= (round < 3 ? 3 : 0));
        end_pool(pool);
    }
}

/* A storm: two threads map while workers and, now and then, the keeper are killed at random. */
static void storm(int method, int retries, int kills)
{
    brood_pool *pool = new_pool(4, method);
    struct mapping *mappings[2] = { NULL, NULL };
    pthread_t threads[2];
    uint32_t state = 606;
    int lost = 0, maps = 0, may_lose = 0;
    for (int killed = 0; killed < kills;) {
        for (int i = 0; i < 2; i++) {
            if (mappings[i] != NULL && atomic_load(&mappings[i]->done) != 0) {
                pthread_join(threads[i], NULL);
                lost += account(mappings[i]);
                mappings[i] = NULL;
            }
            if (mappings[i] == NULL) {
                mappings[i] = start_mapping(pool, COUNT, retries, &threads[i]);
                maps++;
            }
        }
        pass_us(random_next(&state) % 10000);
        uint32_t which = random_next(&state) % 16;
        int pid = which == 0 ? brood_pool_keeper(pool) : brood_pool_worker(pool, (int)which % 4);
        if (pid > 0 && kill(pid, SIGKILL) == 0) {
            killed++;
            may_lose += which == 0 ? 4 : 1; /* what the worker was at; with the keeper, what each was at */
        }
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        lost += account(mappings[i]);
    }
    CHECK(lost <= (retries ? 0 : may_lose));
    printf("    %d kills, %d maps, %d items lost\n", kills, maps, lost);
    end_pool(pool);
}

static void storm_with_retries(void)
{
    storm(0, 1000, harness_times(150));
    storm(1, 1000, harness_times(50));
}

static void storm_without_retries(void)
{
    storm(0, 0, harness_times(150));
    storm(1, 0, harness_times(50));
}

static bool maps_again(void *arg)
{
    struct item *items = new_items(1);
    int result = 0;
    bool worked = brood_pool_map(arg, run_item, items, sizeof *items, &result, sizeof result, 1, NULL) == 0;
    brood_free(items);
    return worked;
}

/* As another user, for whom no further process is allowed: a worker that dies cannot be replaced. */
static int map_without_room(void *arg)
{
    (void)arg;
    NEED(geteuid() != 0 || setuid(65534) == 0);
    brood_pool *pool = new_pool(1, 0);
    CHECK(wait_until(all_back, pool, 5000));
    struct rlimit limit;
    NEED(getrlimit(RLIMIT_NPROC, &limit) == 0);
    struct rlimit none = { .rlim_cur = 1, .rlim_max = limit.rlim_max };
    int members[2] = { brood_pool_keeper(pool), brood_pool_worker(pool, 0) };
    for (int i = 0; i < 2; i++)
        NEED(prlimit(members[i], RLIMIT_NPROC, &none, NULL) == 0);
    NEED(setrlimit(RLIMIT_NPROC, &none) == 0);
    struct item *items = new_items(10);
    brood_end ends[10];
    int results[10];
    items[3].deaths = 1;
    items[3].death = KILL;
    memset(ends, 0x77, sizeof ends);
    brood_task_options options = { .ends = ends, .chunk = 2 };
    CHECK_RESULT(brood_pool_map(pool, run_item, items, sizeof *items, results, sizeof(int), 10, &options), -EAGAIN);
    int running = 0;
    for (int i = 0; i < 10; i++) {
        running += ends[i].how == BROOD_RUNNING;
        CHECK(ends[i].how == BROOD_RUNNING || ends[i].how == BROOD_RETURNED || i == 3);
        CHECK(ends[i].how != BROOD_RUNNING || atomic_load(&items[i].finished) == 0);
    }
    CHECK_EQ(ends[3].how, BROOD_CRASHED);
    CHECK(running >= 6);
    CHECK_EQ(brood_pool_map(pool, run_item, items, sizeof *items, results, sizeof(int), 1, NULL), -EAGAIN);
    NEED(setrlimit(RLIMIT_NPROC, &limit) == 0);
    prlimit(brood_pool_keeper(pool), RLIMIT_NPROC, &limit, NULL);
    CHECK(wait_until(maps_again, pool, 5000)); /* usable again when the shortage is over */
    check_works(pool);
    brood_free(items);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(count_children(), 0);
    return 0;
}

static void no_replacement(void)
{
    CHECK_EQ(wait_child(fork_child(map_without_room, NULL)), 0);
}

/* A worker that cannot be told from a busy one: it is stopped, then killed. */
static void stopped_worker(void)
{
    brood_pool *pool = new_pool(2, 0);
    pthread_t thread;
    struct mapping *mapping = start_mapping(pool, COUNT, 3, &thread);
    CHECK(wait_word(&mapping->items[5].runs, 1, 5000));
    int pid = brood_pool_worker(pool, 0);
    kill(pid, SIGSTOP);
    pass_us(100000);
    kill(pid, SIGKILL);
    pthread_join(thread, NULL);
    CHECK_EQ(account(mapping), 0);
    end_pool(pool);
}

/* What a worker that died held is not lost to others: a lock is inherited, also by the next attempt. */
struct held {
    brood_lock lock;
    atomic_int inherited;
};

static int die_holding(const void *in, void *out)
{
    (void)out;
    struct held *held = (struct held *)(uintptr_t)in;
    int result = brood_lock_acquire(&held->lock, BROOD_FOREVER);
    if (!CHECK(result >= 0))
        return 1;
    if (result == BROOD_INHERITED)
        atomic_fetch_add(&held->inherited, 1);
    if (brood_task_index() % 5 == 0 && result == 0)
        kill(getpid(), SIGKILL);
    CHECK_RESULT(brood_lock_release(&held->lock), 0);
    return 0;
}

static void locks_of_the_dead(void)
{
    brood_pool *pool = new_pool(3, 0);
    struct held *held = CHECK_POINTER(brood_alloc(sizeof *held));
    brood_task_options options = { .chunk = 1, .retries = 1000 };
    CHECK_RESULT(brood_pool_map(pool, die_holding, held, 0, NULL, 0, 100, &options), 0);
    CHECK(atomic_load(&held->inherited) > 0);
    CHECK_RESULT(brood_lock_fini(&held->lock), 0);
    brood_free(held);
    end_pool(pool);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "items_that_die", .run = items_that_die, .deadline_s = 60 },
        { .name = "all_items_die", .run = all_items_die, .deadline_s = 60 },
        { .name = "tried_again", .run = tried_again, .deadline_s = 60 },
        { .name = "worker_killed_idle", .run = worker_killed_idle },
        { .name = "worker_killed_busy", .run = worker_killed_busy },
        { .name = "keeper_killed_busy", .run = keeper_killed_busy },
        { .name = "all_killed", .run = all_killed },
        { .name = "storm_with_retries", .run = storm_with_retries, .deadline_s = 90 },
        { .name = "storm_without_retries", .run = storm_without_retries, .deadline_s = 90 },
        { .name = "no_replacement", .run = no_replacement },
        { .name = "stopped_worker", .run = stopped_worker },
        { .name = "locks_of_the_dead", .run = locks_of_the_dead },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
