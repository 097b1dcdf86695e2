/* memory_shared.c: one heap for many processes, and what is left of it when they are killed in it.
 *
 * A process that may be killed notes each block in a table in the region, so that who survives it can free what it had.
 * With plain calls the note is a second step, and each kill may lose the one block that was between the two; with
 * brood_alloc_into and brood_free_from nothing may be missing at all.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#define SLOTS 64
#define PLAYERS 4
#define KIB ((size_t)1 << 10)

/* A block's first bytes, where it has room: who may free it. */
struct mark {
    size_t size;
    uint32_t owner;
    uint32_t slot;
};

struct table {
    struct mark *slot[SLOTS];
    uint32_t owner;
    uint32_t seed;
    bool as_one; /* by brood_alloc_into and brood_free_from */
    _Atomic int *steps;
};

struct exchange {
    struct mark *_Atomic slot[SLOTS];
    atomic_int steps;
};

static brood_start start_of(int i)
{
    return i % 2 == 0 ? BROOD_FORK : BROOD_SPAWN;
}

static brood_heap_stats stats_now(void)
{
    brood_heap_stats stats = { 0 };
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    return stats;
}

static void join_well(brood_process *process)
{
    brood_end end;
    if (!CHECK(process != NULL))
        return;
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    if (!CHECK_EQ(end.how, BROOD_RETURNED))
        CHECK_STR(end.why, "");
    CHECK_RESULT(brood_process_close(process), 0);
}

static int free_blocks(void *arg)
{
    void **blocks = arg;
    for (int i = 0; i < 1000; i++) {
        brood_free(blocks[i]);
        blocks[i] = CHECK_POINTER(brood_alloc((size_t)(i * 3)));
        memset(blocks[i], 0x33, (size_t)(i * 3));
    }
    return 0;
}

/* A block outlives who allocated it, and anyone may free it. */
static void freed_by_others(void)
{
    void **blocks = CHECK_POINTER(brood_alloc_array(1000, sizeof *blocks));
    brood_heap_stats before = stats_now();
    for (int i = 0; i < 1000; i++)
        blocks[i] = CHECK_POINTER(brood_alloc((size_t)i * 5));
    for (int i = 0; i < 4; i++) {
        brood_process_options options = { .start = start_of(i) };
        join_well(brood_process_start(free_blocks, blocks, 0, &options));
        CHECK_EQ((long long)stats_now().blocks, (long long)before.blocks + 1000);
        CHECK_RESULT(brood_heap_check(), 0);
    }
    for (int i = 0; i < 1000; i++)
        brood_free(blocks[i]);
    CHECK_EQ((long long)stats_now().blocks, (long long)before.blocks);
    CHECK_EQ((long long)stats_now().used, (long long)before.used);
    CHECK_RESULT(brood_heap_check(), 0);
    brood_free(blocks);
}

static bool is_whole(const struct mark *mark)
{
    return is_all(mark + 1, mark->owner & 255, mark->size - sizeof *mark);
}

static void write_mark(struct mark *mark, size_t size, uint32_t owner, uint32_t slot)
{
    memset(mark + 1, (int)(owner & 255), size - sizeof *mark);
    *mark = (struct mark){ size, owner, slot };
}

static size_t random_size(uint32_t *state, size_t most)
{
    return sizeof(struct mark) + random_next(state) % (most >> random_next(state) % 12);
}

/* Blocks pass from hand to hand through common slots; each is found as its last owner left it. */
static int exchange_blocks(void *arg)
{
    struct exchange *exchange = *(struct exchange **)arg;
    uint32_t state = (uint32_t)atomic_fetch_add(&exchange->steps, 1) * 7919 + 1;
    uint32_t owner = state;
    for (int step = 0; step < 20000; step++) {
        uint32_t slot = random_next(&state) % SLOTS;
        size_t size = random_size(&state, 64 * KIB);
        struct mark *mark = CHECK_POINTER(brood_alloc(size));
        if (mark == NULL)
            return 1;
        for (size_t i = 0; i < size; i += 61)
            NEED(((char *)mark)[i] == 0);
        write_mark(mark, size, owner, slot);
        struct mark *old = atomic_exchange(&exchange->slot[slot], mark);
        if (old == NULL)
            continue;
        NEED(is_whole(old));
        NEED(old->slot == slot);
        brood_free(old);
    }
    return 0;
}

static void exchange_storm(void)
{
    struct exchange *exchange = CHECK_POINTER(brood_alloc(sizeof *exchange));
    brood_heap_stats before = stats_now();
    brood_process *players[PLAYERS];
    for (int i = 0; i < PLAYERS; i++) {
        brood_process_options options = { .start = start_of(i) };
        players[i] = brood_process_start(exchange_blocks, &exchange, sizeof exchange, &options);
    }
    for (int i = 0; i < PLAYERS; i++)
        join_well(players[i]);
    for (int i = 0; i < SLOTS; i++)
        brood_free(atomic_load(&exchange->slot[i]));
    CHECK_RESULT(brood_heap_check(), 0);
    CHECK_EQ((long long)stats_now().blocks, (long long)before.blocks);
    CHECK_EQ((long long)stats_now().used, (long long)before.used);
    brood_free(exchange);
}

/* Takes and gives back for ever, noting each block in its table: until it is killed. */
static void *play(void *arg)
{
    struct table *table = arg;
    uint32_t state = table->seed;
    for (;;) {
        uint32_t slot = random_next(&state) % SLOTS;
        struct mark *mark = table->slot[slot];
        if (mark != NULL) {
            /* a block just taken by one that was killed before it wrote its mark is still zeroed */
            if (mark->size != 0)
                NEED(mark->owner == table->owner && mark->slot == slot && is_whole(mark));
            if (table->as_one) {
                brood_free_from(&table->slot[slot]);
                NEED(table->slot[slot] == NULL);
            } else {
                table->slot[slot] = NULL;
                brood_free(mark);
            }
        } else {
            size_t size = random_size(&state, 32 * KIB - sizeof *mark);
            if (table->as_one) {
                mark = brood_alloc_into(&table->slot[slot], size);
            } else {
                mark = brood_alloc(size);
            }
            NEED(mark != NULL);
            memset(mark + 1, (int)(table->owner & 255), size - sizeof *mark);
            mark->owner = table->owner;
            mark->slot = slot;
            atomic_thread_fence(memory_order_release);
            *(volatile size_t *)&mark->size = size; /* last: a mark with a size is whole */
            if (!table->as_one)
                table->slot[slot] = mark;
        }
        atomic_fetch_add_explicit(table->steps, 1, memory_order_relaxed);
    }
    return NULL;
}

static int play_process(void *arg)
{
    play(*(struct table **)arg);
    return 0;
}

static int play_threads(void *arg)
{
    struct table *tables = *(struct table **)arg;
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, play, &tables[1]) == 0);
    play(&tables[0]);
    return 0;
}

static void kill_player(brood_process *process)
{
    brood_end end;
    CHECK_RESULT(brood_process_signal(process, SIGKILL), 0);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.signal, SIGKILL);
    if (end.signal != SIGKILL)
        CHECK_STR(end.why, "killed by SIGKILL (9)");
    CHECK_RESULT(brood_process_close(process), 0);
}

/* Players on `tables`, `each` to a process, are killed at random times and replaced, `kills` times. */
static void kill_storm(brood_target *target, int each, bool as_one, int kills)
{
    int tables_count = PLAYERS * each;
    struct table *tables = CHECK_POINTER(brood_alloc_array((size_t)tables_count, sizeof *tables));
    atomic_int *steps = CHECK_POINTER(brood_alloc(sizeof *steps));
    brood_heap_stats before = stats_now();
    brood_process *players[PLAYERS];
    uint32_t state = 4711;
    for (int i = 0; i < tables_count; i++) {
        tables[i].owner = (uint32_t)i + 1;
        tables[i].as_one = as_one;
        tables[i].steps = steps;
    }
    int started = 0;
    for (int killed = -PLAYERS; killed < kills; killed++) {
        int i = killed < 0 ? killed + PLAYERS : (int)(random_next(&state) % PLAYERS);
        if (killed >= 0) {
            pass_us(random_next(&state) % 8000);
            kill_player(players[i]);
            if (killed % 16 == 0)
                CHECK_RESULT(brood_heap_check(), 0);
        }
        struct table *own = &tables[i * each];
        for (int j = 0; j < each; j++)
            own[j].seed = random_next(&state) | 1;
        brood_process_options options = { .start = started++ % 8 == 7 ? BROOD_SPAWN : BROOD_FORK };
        players[i] = brood_process_start(target, &own, sizeof own, &options);
        NEED(players[i] != NULL);
    }
    for (int i = 0; i < PLAYERS; i++)
        kill_player(players[i]);
    CHECK_RESULT(brood_heap_check(), 0);
    CHECK(atomic_load(steps) > kills);
    for (int i = 0; i < tables_count; i++) {
        for (int slot = 0; slot < SLOTS; slot++) {
            if (as_one) {
                CHECK_ERRNO(brood_free_from(&tables[i].slot[slot]), 0);
            } else {
                CHECK_ERRNO(brood_free(tables[i].slot[slot]), 0);
            }
        }
    }
    size_t lost = stats_now().blocks - before.blocks;
    size_t may_lose = as_one ? 0 : (size_t)(kills + PLAYERS) * (size_t)each;
    CHECK(lost <= may_lose);
    if (lost > may_lose)
        CHECK_EQ((long long)lost, (long long)may_lose);
    CHECK_RESULT(brood_heap_check(), 0);
    /* whole, and as good as before: blocks of all sizes can be had */
    for (size_t size = 16; size <= 1024 * KIB; size *= 2)
        brood_free(CHECK_POINTER(brood_alloc(size)));
    brood_free(steps);
    brood_free(tables);
}

static void kills_with_notes(void)
{
    kill_storm(play_process, 1, false, harness_times(250));
}

static void kills_as_one(void)
{
    kill_storm(play_process, 1, true, harness_times(250));
}

static void kills_of_threads(void)
{
    kill_storm(play_threads, 2, true, harness_times(150));
}

/* Killed processes must not use up the region: what they held back for themselves comes back. */
static void dead_hold_nothing_back(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 16 << 20 }) == 0);
    struct table *table = CHECK_POINTER(brood_alloc(sizeof *table));
    table->steps = CHECK_POINTER(brood_alloc(sizeof *table->steps));
    table->as_one = true;
    table->owner = 1;
    brood_heap_stats before = stats_now();
    uint32_t state = 99;
    for (int i = 0; i < 150; i++) {
        table->seed = random_next(&state) | 1;
        brood_process *process =
            brood_process_start(play_process, &table, sizeof table, &(brood_process_options){ .start = BROOD_FORK });
        NEED(process != NULL);
        NEED(wait_word(table->steps, 30 * (i + 1), 5000));
        pass_us(random_next(&state) % 300);
        kill_player(process);
        for (int slot = 0; slot < SLOTS; slot++)
            brood_free_from(&table->slot[slot]);
        CHECK_EQ((long long)stats_now().blocks, (long long)before.blocks);
        atomic_store(table->steps, 30 * (i + 1));
    }
    CHECK_RESULT(brood_heap_check(), 0);
    size_t room = 0;
    while (room < 1000 && brood_alloc(64 * KIB) != NULL)
        room++;
    CHECK(room * 64 * KIB >= (size_t)8 << 20);
    CHECK_RESULT(brood_heap_check(), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "freed_by_others", .run = freed_by_others },
        { .name = "exchange_storm", .run = exchange_storm, .deadline_s = 60 },
        { .name = "kills_with_notes", .run = kills_with_notes, .deadline_s = 60 },
        { .name = "kills_as_one", .run = kills_as_one, .deadline_s = 60 },
        { .name = "kills_of_threads", .run = kills_of_threads, .deadline_s = 60 },
        { .name = "dead_hold_nothing_back", .run = dead_hold_nothing_back, .deadline_s = 60, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
