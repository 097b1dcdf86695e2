/* process_storm.c: ten thousand short processes by all methods, nested ones too, while a killer takes whomever it
 * meets, fork servers included. Every end is one that this process may have; nothing is left.
 */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TIMES = 10000,
    AT_ONCE = 8,
    NESTED = 3, /* children of a nested parent */
    DEPTH = 2,  /* parents below the first process */
    KNOWN = 64, /* pids that the killer may pick from */
};

enum behaviour { RETURNS, EXITS, ABORTS, STAYS, BEARS };

struct board {
    atomic_int pids[KNOWN];
    atomic_uint next;
    atomic_int stop;
    atomic_int kills, starts, crashed;
};

struct life {
    struct board *board;
    enum behaviour behaviour;
    uint32_t seed;
    int code, depth;
};

static void note_pid(struct board *board)
{
    atomic_store(&board->pids[atomic_fetch_add(&board->next, 1) % KNOWN], getpid());
}

static int live(void *arg);

static brood_process *bear(struct board *board, uint32_t *state, int depth, struct life *life)
{
    unsigned kind = random_next(state) % 40;
    *life = (struct life){
        .board = board,
        .behaviour = kind == 0           ? STAYS
                     : kind == 1         ? ABORTS
                     : kind < 4          ? EXITS
                     : kind < 6 && depth ? BEARS
                                         : RETURNS,
        .seed = random_next(state) | 1,
        .code = 1 + (int)(random_next(state) % 100),
        .depth = depth - 1,
    };
    unsigned method = random_next(state) % 16; /* a spawn takes the time of many forks */
    const brood_process_options options = {
        .start = method == 0  ? BROOD_SPAWN
                 : method < 8 ? BROOD_FORKSERVER
                              : BROOD_FORK,
        .max_core = random_next(state) % 4 ? 0 : -1,
    };
    brood_process *process = brood_process_start(live, life, sizeof *life, &options);
    atomic_fetch_add(&board->starts, 1);
    if (!process && errno == ECHILD && options.max_core)
        return NULL; /* killed before its options were in force */
    CHECK(process != NULL);
    return process;
}

static void check_end(struct board *board, brood_process *process, const struct life *life)
{
    brood_end end;
    if (life->behaviour == STAYS) {
        int sent = brood_process_signal(process, SIGKILL);
        CHECK(sent == 0 || sent == -ESRCH); /* the killer may have been first */
    }
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    bool killed = end.how == BROOD_CRASHED && end.signal == SIGKILL;
    atomic_fetch_add(&board->crashed, killed);
    if (killed) {
        return;
    }
    switch (life->behaviour) {
    case RETURNS:
        CHECK(end.how == BROOD_FAILED && end.code == life->code);
        break;
    case EXITS:
        CHECK(end.how == BROOD_EXITED && end.code == life->code);
        break;
    case ABORTS:
        CHECK(end.how == BROOD_CRASHED && end.signal == SIGABRT);
        break;
    case BEARS:
        CHECK_EQ(end.how, BROOD_RETURNED);
        break;
    default:
        CHECK(!"a process that stays was not killed");
    }
}

static void bear_many(struct board *board, uint32_t seed, int depth, int times)
{
    brood_process *processes[AT_ONCE] = { NULL };
    struct life lives[AT_ONCE];
    for (int i = 0; i < times + AT_ONCE && harness_failures() == 0; i++) {
        int place = i % AT_ONCE;
        if (processes[place])
            check_end(board, processes[place], &lives[place]);
        processes[place] = i < times ? bear(board, &seed, depth, &lives[place]) : NULL;
    }
}

static int live(void *arg)
{
    const struct life *life = arg;
    note_pid(life->board);
    switch (life->behaviour) {
    case EXITS:
        exit(life->code);
    case ABORTS:
        signal(SIGABRT, SIG_DFL);
        abort();
    case STAYS:
        for (;;)
            pause();
    case BEARS:
        bear_many(life->board, life->seed, life->depth, NESTED);
        return 0;
    default:
        return life->code;
    }
}

/* Only what is of this case: a pid may be a stranger's by now, but not in this group. */
static int kill_any(void *arg)
{
    struct board *board = arg;
    uint32_t state = 2026;
    pid_t group = getpgrp(), first = getppid();
    while (!atomic_load(&board->stop)) {
        pass_us(random_next(&state) % 2000);
        int pid = atomic_load(&board->pids[random_next(&state) % KNOWN]);
        if (pid > 0 && pid != first && pid != getpid() && getpgid(pid) == group && kill(pid, SIGKILL) == 0)
            atomic_fetch_add(&board->kills, 1);
    }
    return 0;
}

/* What a killed parent's children were to be told is given back when they are gone, by an end. */
static bool blocks_are_back(void *arg)
{
    const brood_heap_stats *before = arg;
    brood_heap_stats after = { 0 };
    CHECK_RESULT(brood_fini(), 0);
    CHECK_RESULT(brood_heap_stat(&after), 0);
    return after.blocks == before->blocks;
}

static void storm(void)
{
    struct board *board = CHECK_POINTER(brood_alloc(sizeof *board));
    brood_heap_stats before = { 0 };
    int descriptors = count_descriptors();
    pid_t killer = fork_child(kill_any, board);
    CHECK_RESULT(brood_heap_stat(&before), 0);
    uint32_t state = 4711;
    for (int left = harness_times(TIMES); left > 0 && harness_failures() == 0; left -= 500) {
        bear_many(board, random_next(&state), DEPTH, 500);
        int server = brood_start_server(); /* it is no child of the board: it is met here */
        if (CHECK(server > 0))
            kill(server, SIGKILL);
    }
    atomic_store(&board->stop, 1);
    CHECK_EQ(wait_child(killer), 0);
    CHECK_RESULT(brood_fini(), 0);
    CHECK_EQ(count_children(), 0);
    CHECK_EQ(count_descriptors(), descriptors);
    CHECK_RESULT(brood_heap_check(), 0);
    CHECK(wait_until(blocks_are_back, &before, 5000));
    printf("    %d started, %d kills sent, %d died of one\n", atomic_load(&board->starts), atomic_load(&board->kills),
           atomic_load(&board->crashed));
    brood_free(board);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "storm", .run = storm, .deadline_s = 120 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
