/* internal_inspect.c: the tool's parts: what `brood doctor` concludes from two looks, made by hand (only what is there
 * in both), and what is seen of a pool whose workers come and go. */
#include "harness.h"

#include "diagnosis.h"
#include "pool/pool.h"
#include "process/table.h"
#include "spans.h"
#include "sync/noun.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The kind of the one finding; "": there is none; "many". */
static const char *kind_of(const struct sight *before, const struct sight *after, unsigned replaced)
{
    struct diagnosis diagnosis;
    diagnose(&diagnosis, before, after, &replaced);
    const char *kind = diagnosis.count == 0 ? "" : diagnosis.count == 1 ? diagnosis.all[0].kind : "many";
    CHECK(!diagnosis.failed);
    free(diagnosis.all);
    return kind;
}

#define ONE(noun, thing) \
    (struct sight) \
    { \
        .noun##s = (thing), .noun##_count = 1, .heap.limit = 1000 \
    }
#define ONE_PROCESS(thing) \
    (struct sight) \
    { \
        .processes = (thing), .process_count = 1, .heap.limit = 1000 \
    }
#define NOTHING \
    (struct sight) \
    { \
        .heap.limit = 1000 \
    }

static void left_locks(void)
{
    struct seen_lock held = { .object = &held, .what = "lock 'a'", .holder = 7, .holder_tid = 7, .last = 7 };
    struct seen_lock left = { .object = &held, .what = "lock 'a'", .last = 7 };
    struct seen_lock anew = { .object = &held, .what = "lock 'a'", .last = 8 };
    CHECK_STR(kind_of(&ONE(lock, &left), &ONE(lock, &left), 0), "dead_holder");
    CHECK_STR(kind_of(&ONE(lock, &held), &ONE(lock, &left), 0), "");
    CHECK_STR(kind_of(&NOTHING, &ONE(lock, &left), 0), "");
    CHECK_STR(kind_of(&ONE(lock, &anew), &ONE(lock, &left), 0), "");
    CHECK_STR(kind_of(&ONE(lock, &left), &ONE(lock, &held), 0), "");
}

static void stopped(void)
{
    struct seen_process runs = { .pid = 7, .state = 'R' }, stops = { .pid = 7, .state = 'T' };
    CHECK_STR(kind_of(&ONE_PROCESS(&stops), &ONE_PROCESS(&stops), 0), "stopped");
    CHECK_STR(kind_of(&ONE_PROCESS(&runs), &ONE_PROCESS(&stops), 0), "");
    CHECK_STR(kind_of(&NOTHING, &ONE_PROCESS(&stops), 0), "");
}

static void pools(void)
{
    struct seen_pool well = { .object = &well, .serial = 1, .wanted = 2 }, stuck = well, broken = well, other = well;
    stuck.stuck = 11;
    broken.broken = true;
    other.serial = 2;
    CHECK_STR(kind_of(&ONE(pool, &well), &ONE(pool, &well), 0), "");
    CHECK_STR(kind_of(&ONE(pool, &well), &ONE(pool, &well), 1), "crashing_pool");
    CHECK_STR(kind_of(&ONE(pool, &well), &ONE(pool, &other), 1), "");
    CHECK_STR(kind_of(&ONE(pool, &stuck), &ONE(pool, &stuck), 0), "stuck_pool");
    CHECK_STR(kind_of(&ONE(pool, &well), &ONE(pool, &stuck), 0), "");
    CHECK_STR(kind_of(&ONE(pool, &well), &ONE(pool, &broken), 0), "broken_pool");
}

/* Two threads that wait for each other's lock in one look, and in the other not, or not for long. */
static void circles(void)
{
    struct seen_wait then[2] = { { .pid = 7, .tid = 7, .object = &then[0], .holder = 8, .holder_tid = 8, .since = 1 },
                                 { .pid = 8, .tid = 8, .object = &then[1], .holder = 7, .holder_tid = 7, .since = 2 } };
    struct seen_wait now[2];
    struct sight before = { .waits = then, .wait_count = 2, .heap.limit = 1000 }, after = before;
    memcpy(now, then, sizeof now);
    after.waits = now;
    CHECK_STR(kind_of(&before, &after, 0), "deadlock");
    CHECK_STR(kind_of(&NOTHING, &after, 0), "");
    struct seen_process family[2] = { { .pid = 7, .state = 'S' }, { .pid = 8, .state = 'S', .starter = 7 } };
    struct diagnosis diagnosis;
    after.processes = family;
    after.process_count = 2;
    diagnose(&diagnosis, &before, &after, NULL);
    CHECK(diagnosis.count == 1 && strstr(diagnosis.all[0].advice, "kill -9 8;")); /* not its first process */
    free(diagnosis.all);
    now[1].since = 3;
    CHECK_STR(kind_of(&before, &after, 0), "");
    now[1].since = 2;
    now[1].holder = now[1].holder_tid = 9;
    CHECK_STR(kind_of(&before, &after, 0), "");
}

#define MANY 200

/* One of more threads than can be named; others wait for it to end. */
static void large_circle(void)
{
    static struct seen_wait waits[MANY + 1];
    struct diagnosis diagnosis;
    struct sight look = { .waits = waits, .wait_count = MANY + 1, .heap.limit = 1000 };
    for (int i = 0; i < MANY; i++)
        waits[i] = (struct seen_wait){ .pid = 1000 + i,
                                       .tid = 1000 + i,
                                       .object = &waits[i],
                                       .holder = 1000 + (i + 1) % MANY,
                                       .holder_tid = 1000 + (i + 1) % MANY,
                                       .since = 1,
                                       .waited_ms = 5000 };
    for (int i = 0; i < MANY; i++) {
        memset(waits[i].process, 'p', sizeof waits[i].process - 1);
        memset(waits[i].what, 'w', sizeof waits[i].what - 1);
    }
    waits[MANY] = (struct seen_wait){ .pid = 7, .tid = 7, .object = waits, .holder = 1050, .holder_tid = 1050 };
    diagnose(&diagnosis, &look, &look, &(unsigned){ 0 });
    NEED(diagnosis.count == 1);
    CHECK_HAS(diagnosis.all[0].what, "Deadlock of 200: ");
    CHECK_HAS(diagnosis.all[0].what, "(process 1007, thread 1007)");
    CHECK_HAS(diagnosis.all[0].what, "one of 192 others");
    CHECK_HAS(diagnosis.all[0].what, "for 5.0 s so far.");
    CHECK_HAS(diagnosis.all[0].advice, "kill -9 1000;");
    free(diagnosis.all);
}

/* ---- processes ---- */

/* A slot's process is gone, and its id has become a stranger's. */
static void stranger(void)
{
    struct families families;
    struct window window;
    struct sight sight;
    char why[WINDOW_WHY];
    int id = getppid();
    slot_id slot = table_claim("member", 0);
    NEED(slot != 0);
    atomic_store(&slot_of(slot)->pid, id);
    families_find(&families, getpid());
    NEED(families.count == 1 && window_open(&window, &families.all[0], why));
    NEED(sight_take(&sight, &window, &families.all[0], SIGHT_PROCESSES));
    CHECK(sight_process(&sight, getpid()) != NULL);
    CHECK(sight_process(&sight, id) == NULL);
    CHECK(!sight.has_ended);
    sight_free(&sight);
    window_close(&window);
    families_free(&families);
    atomic_store(&slot_of(slot)->pid, 0);
    table_release(slot);
}

/* ---- a flood ---- */

/* Memory that is nothing but locks in use, half of them of threads that there are none: there is an end to it. */
static void flood(void)
{
    struct families families;
    struct window window;
    struct sight sight;
    char why[WINDOW_WHY];
    const size_t size = (size_t)16 << 20;
    char *block = CHECK_POINTER(brood_alloc(size));
    NEED(block != NULL);
    for (size_t at = 0; at + sizeof(struct noun) <= size; at += 16) {
        struct robust_word *word = (struct robust_word *)(void *)(block + at);
        atomic_store(&word->mark, lock_kind.mark);
        atomic_store(&word->word, at % 32 ? (uint32_t)getpid() : FUTEX_TID_MASK);
    }
    families_find(&families, getpid());
    NEED(families.count == 1 && window_open(&window, &families.all[0], why));
    NEED(sight_take(&sight, &window, &families.all[0], SIGHT_SCAN));
    CHECK(sight.lock_count > 0 && sight.lock_count <= SIGHT_LOCKS);
    CHECK(sight.heap.overlooked);
    sight_free(&sight);
    window_close(&window);
    families_free(&families);
    memset(block, 0, size);
    brood_free(block);
}

/* ---- a pool ---- */

struct watched {
    struct window window;
    struct sight sight;
    unsigned replaced;
};

static struct watched watch_pool(void)
{
    struct families families;
    struct watched watched = { 0 };
    char why[WINDOW_WHY];
    families_find(&families, getpid());
    NEED(families.count == 1 && window_open(&watched.window, &families.all[0], why));
    NEED(sight_take(&watched.sight, &watched.window, &families.all[0], SIGHT_OBJECTS) && watched.sight.pool_count == 1);
    families_free(&families);
    return watched;
}

static unsigned look_again(struct watched *watched)
{
    watched->replaced += sight_replaced(&watched->window, watched->sight.pools);
    return watched->replaced;
}

static bool has_been_replaced(void *watched)
{
    return look_again(watched) > 0;
}

/* A worker that was killed is seen to be replaced, others that leave or come in good order are not. */
static void replaced_workers(void)
{
    brood_pool *pool = CHECK_POINTER(brood_pool_create(4, NULL));
    NEED(pool && brood_pool_resize(pool, 4, 10000) == 0);
    struct watched watched = watch_pool();
    CHECK_EQ(look_again(&watched), 0);
    CHECK_RESULT(brood_pool_resize(pool, 1, 10000), 0);
    CHECK_EQ(look_again(&watched), 0);
    CHECK_RESULT(brood_pool_resize(pool, 3, 10000), 0);
    CHECK_EQ(look_again(&watched), 0);
    kill(watched.sight.pools->workers[0].pid, SIGKILL);
    CHECK(wait_until(has_been_replaced, &watched, 10000));
    CHECK_EQ(look_again(&watched), 1);
    watched.sight.pools->serial--; /* as of another pool that was there */
    watched.sight.pools->workers[0].slot++;
    CHECK_EQ(look_again(&watched), 1);
    watched.sight.pools->serial++;
    CHECK_EQ(look_again(&watched), 2);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_EQ(look_again(&watched), 2);
    sight_free(&watched.sight);
    window_close(&watched.window);
}

static int rest(const void *in, void *out)
{
    _Atomic int *page = harness_page();
    (void)in;
    (void)out;
    atomic_store(&page[0], 1);
    wait_word(&page[1], 1, 60000);
    return 0;
}

/* The file that a family names as a function's library is not opened, if that could wait, or do something. */
static void false_library(void)
{
    _Atomic int *page = harness_page();
    char folder[512], fifo[sizeof folder + 8];
    struct spans spans;
    FILE *out = tmpfile();
    NEED(out && make_folder(folder, sizeof folder) == 0);
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    NEED(mkfifo(fifo, 0600) == 0);
    brood_pool *pool = CHECK_POINTER(brood_pool_create(1, NULL));
    brood_result *result = CHECK_POINTER(brood_pool_apply_async(pool, rest, NULL, 0, NULL, 0, NULL));
    NEED(pool && result && wait_word(&page[0], 1, 10000));
    struct function *function = atomic_load(&pool->functions.all);
    NEED(function && !function->next);
    function->name.kind = MODULE_LIBRARY;
    snprintf(function->name.path, sizeof function->name.path, "%s", fifo);
    struct watched watched = watch_pool();
    spans_begin(&spans, out, &watched.window);
    spans_worker(&spans, watched.sight.pools, 0, 1);
    spans_end(&spans, 2);
    CHECK_EQ(spans.count, 1);
    atomic_store(&page[1], 1);
    CHECK_RESULT(brood_result_wait(result, 10000), 0);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    sight_free(&watched.sight);
    window_close(&watched.window);
    fclose(out);
    unlink(fifo);
    CHECK_EQ(rmdir(folder), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = { { .name = "left_locks", .run = left_locks, .no_init = true },
                                              { .name = "stopped", .run = stopped, .no_init = true },
                                              { .name = "pools", .run = pools, .no_init = true },
                                              { .name = "circles", .run = circles, .no_init = true },
                                              { .name = "large_circle", .run = large_circle, .no_init = true },
                                              { .name = "stranger", .run = stranger },
                                              { .name = "flood", .run = flood },
                                              { .name = "replaced_workers", .run = replaced_workers },
                                              { .name = "false_library", .run = false_library },
                                              { .name = NULL } };
    return harness_main(argc, argv, cases);
}
