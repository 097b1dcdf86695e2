/* memory_death.c: processes killed as they allocate, resize, give back and trim, and a heap that is full while many
 * want of it: it stays whole, nobody waits for ever, and what was half done is found again.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#define SLOTS 24
#define PLAYERS 3
#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* Of one player: written by it, read by who survives it. */
struct table {
    void *slot[SLOTS];
    uint32_t seed;
    _Atomic int *steps;
};

static brood_heap_stats stats_now(void)
{
    brood_heap_stats stats = { 0 };
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    return stats;
}

/* Everything that changes blocks, for ever. The slot is empty while its block changes, so that survivors free none
 * twice. */
static int play(void *arg)
{
    struct table *table = *(struct table **)arg;
    uint32_t state = table->seed;
    for (;;) {
        uint32_t choice = random_next(&state);
        void *volatile *slot = (void *volatile *)&table->slot[choice % SLOTS];
        size_t size = random_next(&state) % ((512 * KIB) >> random_next(&state) % 14);
        void *block = *slot;
        *slot = NULL;
        if (choice >> 8 & 1)
            block = brood_realloc(block, size);
        else if (block) {
            brood_free(block);
            block = NULL;
        } else if (choice >> 9 & 1)
            block = brood_alloc_aligned(size, (size_t)1 << (choice >> 10) % 18);
        else
            block = brood_alloc(size);
        *slot = block;
        if (choice >> 24 == 0)
            NEED(brood_heap_trim() == 0);
        atomic_fetch_add_explicit(table->steps, 1, memory_order_relaxed);
    }
    return 0;
}

static void kill_player(brood_process *process)
{
    brood_end end = { 0 };
    CHECK_RESULT(brood_process_signal(process, SIGKILL), 0);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    if (!CHECK_EQ(end.signal, SIGKILL))
        CHECK_STR(end.why, "killed by SIGKILL (9)");
    CHECK_RESULT(brood_process_close(process), 0);
}

static void storm(brood_heap_mode mode, int kills)
{
    NEED(brood_init(&(brood_init_options){ .limit = 96 * MIB, .heap = mode }) == 0);
    struct table *tables = CHECK_POINTER(brood_alloc_array(PLAYERS, sizeof *tables));
    atomic_int *steps = CHECK_POINTER(brood_alloc(sizeof *steps));
    brood_heap_stats before = stats_now();
    brood_process *players[PLAYERS] = { NULL };
    uint32_t state = 815;
    int killed = 0;
    for (int turn = 0; killed < kills; turn++) {
        int i = turn % PLAYERS;
        if (players[i] != NULL) {
            pass_us(random_next(&state) % 4000);
            kill_player(players[i]);
            killed++;
            if (killed % 16 == 0)
                CHECK_RESULT(brood_heap_check(), 0);
        }
        struct table *own = &tables[i];
        for (int j = 0; j < SLOTS; j++) {
            if (own->slot[j] != NULL)
                CHECK_ERRNO(brood_free(own->slot[j]), 0);
            own->slot[j] = NULL;
        }
        own->seed = random_next(&state) | 1;
        own->steps = steps;
        brood_process_options options = { .start = turn % 16 == 15 ? BROOD_SPAWN : BROOD_FORK };
        players[i] = brood_process_start(play, &own, sizeof own, &options);
        NEED(players[i] != NULL);
    }
    NEED(wait_word(steps, atomic_load(steps) + 100, 5000));
    for (int i = 0; i < PLAYERS; i++)
        kill_player(players[i]);
    for (int i = 0; i < PLAYERS; i++)
        for (int j = 0; j < SLOTS; j++)
            CHECK_ERRNO(brood_free(tables[i].slot[j]), 0);
    CHECK_RESULT(brood_heap_check(), 0);
    /* Of each one block was between slot and heap, as this test is written, and another if it was being moved. The heap
     * itself holds nothing back for the dead. */
    brood_heap_stats after = stats_now();
    CHECK(after.blocks - before.blocks <= 2 * ((size_t)killed + PLAYERS));
    CHECK_RESULT(brood_heap_trim(), 0);
    after = stats_now();
    CHECK_EQ((long long)after.backed, (long long)after.held);
    CHECK(after.held <= after.used + after.blocks * 64 * KIB);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void kills(void)
{
    storm(BROOD_HEAP_DEFAULT, harness_times(200));
}

static void kills_tracked(void)
{
    storm(BROOD_HEAP_TRACK, harness_times(120));
}

/* ---- killed in the middle of a large block ---- */

static int take_large(void *arg)
{
    _Atomic int *steps = arg;
    for (;;) {
        void *block = CHECK_POINTER(brood_alloc(40 * MIB));
        brood_free(block);
        atomic_fetch_add(steps, 1);
    }
    return 0;
}

/* What a dead process was backing and clearing is free again as soon as it is joined: there is room for one such block
 * only. */
static void large_is_found_again(void)
{
    NEED(brood_init(&(brood_init_options){ .limit = 64 * MIB }) == 0);
    atomic_int *steps = CHECK_POINTER(brood_alloc(sizeof *steps));
    uint32_t state = 3;
    int lost = 0;
    for (int i = 0; i < harness_times(40); i++) {
        brood_heap_stats before = stats_now();
        brood_process *process =
            brood_process_start(take_large, steps, 0, &(brood_process_options){ .start = BROOD_FORK });
        NEED(wait_word(steps, atomic_load(steps) + 1, 10000));
        pass_us(random_next(&state) % 30000);
        kill_player(process);
        brood_heap_stats after = stats_now();
        CHECK_RESULT(brood_heap_check(), 0);
        if (after.blocks > before.blocks) { /* it had the block: that is nobody's fault, and ends this */
            lost++;
            break;
        }
        CHECK(after.held < before.held + 40 * MIB);
    }
    if (!lost)
        brood_free(CHECK_POINTER(brood_alloc(40 * MIB)));
}

/* ---- a full heap ---- */

struct crowd {
    _Atomic int refused, served, stop;
};

/* Takes until it is refused, gives half of it back, and again. */
static int be_greedy(void *arg)
{
    enum { MOST = 200 };
    struct crowd *crowd = arg;
    uint32_t state = (uint32_t)atomic_fetch_add(&crowd->served, 1) * 77 + 1;
    void *blocks[MOST] = { NULL };
    for (int round = 0; !atomic_load(&crowd->stop); round++) {
        for (int i = 0; i < MOST; i++) {
            if (blocks[i])
                continue;
            size_t size = 1 + random_next(&state) % (round % 2 == 0 ? 200 * KIB : 3000);
            blocks[i] = brood_alloc(size);
            if (blocks[i]) {
                memset(blocks[i], 1, size);
                atomic_fetch_add(&crowd->served, 1);
                continue;
            }
            CHECK_EQ(errno, ENOMEM);
            CHECK_HAS(brood_error(), "no memory for ");
            atomic_fetch_add(&crowd->refused, 1);
            break;
        }
        for (int i = (int)(random_next(&state) % 2); i < MOST; i += 2) {
            brood_free(blocks[i]);
            blocks[i] = NULL;
        }
    }
    for (int i = 0; i < MOST; i++)
        brood_free(blocks[i]);
    return 0;
}

static void full_for_many(void)
{
    enum { CROWD = 4 };
    NEED(brood_init(&(brood_init_options){ .limit = 8 * MIB }) == 0);
    struct crowd *crowd = CHECK_POINTER(brood_alloc(sizeof *crowd));
    brood_heap_stats before = stats_now();
    brood_process *process[CROWD];
    for (int i = 0; i < CROWD; i++) {
        brood_process_options options = { .start = i % 2 == 0 ? BROOD_FORK : BROOD_SPAWN };
        process[i] = brood_process_start(be_greedy, crowd, 0, &options);
    }
    CHECK(wait_word(&crowd->refused, harness_times(400), 15000));
    CHECK(wait_word(&crowd->served, harness_times(4000), 15000));
    kill_player(process[0]);
    int refused = atomic_load(&crowd->refused);
    CHECK(wait_word(&crowd->refused, refused + 50, 15000)); /* the others go on */
    atomic_store(&crowd->stop, 1);
    for (int i = 1; i < CROWD; i++) {
        brood_end end;
        CHECK_RESULT(brood_process_join(process[i], &end, 5000), 0);
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK_RESULT(brood_process_close(process[i]), 0);
    }
    CHECK_RESULT(brood_heap_check(), 0);
    CHECK(stats_now().blocks <= before.blocks + 200); /* the killed one's */
    CHECK_NULL(brood_alloc(8 * MIB), ENOMEM);
    CHECK_HAS(brood_error(), "8388608 bytes in the region of 8388608");
    CHECK_NULL(brood_alloc_aligned(4 * MIB, 8 * MIB), ENOMEM);
    CHECK_NULL(brood_realloc(crowd, 8 * MIB), ENOMEM);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "kills", .run = kills, .deadline_s = 60, .no_init = true },
        { .name = "kills_tracked", .run = kills_tracked, .deadline_s = 60, .no_init = true },
        { .name = "large_is_found_again", .run = large_is_found_again, .deadline_s = 60, .no_init = true },
        { .name = "full_for_many", .run = full_for_many, .deadline_s = 60, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
