/* pipe_death.c: brood/pipe.h: what becomes of one end when those at the other, or beside it, are killed, and whose an
 * end is that was handed on.
 */
#include "harness.h"

#include <brood.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* What processes share. */
struct board {
    brood_connection *ends[2];
    _Atomic int ready;
    _Atomic int told[2];
};

static struct board *new_board(bool one_way, size_t max_bytes)
{
    struct board *board = CHECK_POINTER(brood_alloc(sizeof *board));
    NEED(board);
    NEED(brood_pipe_create(board->ends, &(brood_pipe_options){ .one_way = one_way, .max_bytes = max_bytes }) == 0);
    return board;
}

static brood_process *start(brood_target *target, struct board *board)
{
    brood_process *process = CHECK_POINTER(brood_process_start(target, board, 0, NULL));
    NEED(process);
    return process;
}

static void join(brood_process *process)
{
    CHECK_RESULT(brood_process_join(process, NULL, 20000), 0);
    CHECK_RESULT(brood_process_close(process), 0);
}

static void until_ready(struct board *board, int count)
{
    for (int i = 0; i < 20000 && atomic_load(&board->ready) < count; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    CHECK(atomic_load(&board->ready) >= count);
}

static size_t blocks(void)
{
    brood_heap_stats stats;
    NEED(brood_heap_stat(&stats) == 0);
    return stats.blocks;
}

static int stay(void *arg)
{
    struct board *board = arg;
    atomic_fetch_add(&board->ready, 1);
    for (int i = 0; i < 600; i++)
        pause();
    return 0;
}

/* How often this thread slept while it waited 300 ms for a message of one that lives. */
static long sleeps_of(bool one_way)
{
    struct rusage before, after;
    char byte;
    struct board *board = new_board(one_way, 0);
    brood_process *other = start(stay, board);
    CHECK_RESULT(brood_pipe_give(board->ends[1], other), 0);
    until_ready(board, 1);
    NEED(getrusage(RUSAGE_THREAD, &before) == 0);
    CHECK_RESULT(brood_connection_recv(board->ends[0], &byte, 1, NULL, 300), -ETIMEDOUT);
    NEED(getrusage(RUSAGE_THREAD, &after) == 0);
    kill(brood_process_pid(other), SIGKILL);
    join(other);
    CHECK_RESULT(brood_connection_recv(board->ends[0], &byte, 1, NULL, 20000), -EPIPE);
    CHECK_RESULT(brood_connection_close(board->ends[0]), 0);
    CHECK_RESULT(brood_connection_close(board->ends[1]), 0);
    return after.ru_nvcsw - before.ru_nvcsw;
}

/* Where deaths are told, neither naps; else both do. */
static void waits_without_naps(void)
{
    long one_way = sleeps_of(true), two_way = sleeps_of(false);
    CHECK(two_way < one_way + 15);
}

static int speak_and_stay(void *arg)
{
    struct board *board = arg;
    until_ready(board, 2);
    nanosleep(&(struct timespec){ .tv_nsec = 30000000 }, NULL); /* both sleep, as a rule */
    CHECK_RESULT(brood_connection_send(board->ends[1], "x", 1, 0), 0);
    return stay(arg);
}

static int wait_for_room(void *arg)
{
    struct board *board = arg;
    until_ready(board, 1);
    nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL); /* who started it sleeps before, as a rule */
    atomic_fetch_add(&board->ready, 1);
    brood_connection_send(board->ends[0], "12345678", 8, 20000);
    return 0;
}

/* How often this thread slept in 300 ms, after it had been woken for a message while another one waits for room. */
static long sleeps_beside_another(void)
{
    struct rusage before, after;
    char byte;
    struct board *board = new_board(false, 8);
    CHECK_RESULT(brood_connection_send(board->ends[0], "12345678", 8, 0), 0);
    brood_process *speaks = start(speak_and_stay, board);
    CHECK_RESULT(brood_pipe_give(board->ends[1], speaks), 0);
    brood_process *waits = start(wait_for_room, board);
    atomic_fetch_add(&board->ready, 1);
    CHECK_RESULT(brood_connection_recv(board->ends[0], &byte, 1, NULL, 20000), 0);
    NEED(getrusage(RUSAGE_THREAD, &before) == 0);
    CHECK_RESULT(brood_connection_recv(board->ends[0], &byte, 1, NULL, 300), -ETIMEDOUT);
    NEED(getrusage(RUSAGE_THREAD, &after) == 0);
    kill(brood_process_pid(speaks), SIGKILL);
    join(speaks);
    join(waits);
    CHECK_RESULT(brood_connection_close(board->ends[0]), 0);
    CHECK_RESULT(brood_connection_close(board->ends[1]), 0);
    return after.ru_nvcsw - before.ru_nvcsw;
}

/* Of two that wait for the same one's death, whoever comes back is no less the first for the other's naps. */
static void one_waits_without_naps(void)
{
    long alone = sleeps_of(true), least = LONG_MAX;
    for (int i = 0; i < 5 && least >= alone + 15; i++) {
        long sleeps = sleeps_beside_another();
        least = sleeps < least ? sleeps : least;
    }
    CHECK(least < alone + 15);
}

static int read_one(void *arg)
{
    struct board *board = arg;
    char bytes[8];
    atomic_fetch_add(&board->ready, 1);
    atomic_store(&board->told[0], brood_connection_recv(board->ends[0], bytes, sizeof bytes, NULL, 20000));
    return 0;
}

static int send_one(void *arg)
{
    struct board *board = arg;
    atomic_fetch_add(&board->ready, 1);
    atomic_store(&board->told[1], brood_connection_send(board->ends[0], "12345678", 8, 20000));
    return 0;
}

/* One waits for a message and one for room, both at the same end: both hear of the death. If one of them is killed
 * with it, in either order, the other one does all the same. */
static void both_waiters_hear(void)
{
    for (int round = 0; round < 24; round++) {
        struct board *board = new_board(false, 8);
        CHECK_RESULT(brood_connection_send(board->ends[0], "12345678", 8, 0), 0);
        brood_process *other = start(stay, board);
        CHECK_RESULT(brood_pipe_give(board->ends[1], other), 0);
        brood_process *waiters[2];
        for (int i = 0; i < 2; i++) {
            waiters[i] = start((round + i) % 2 ? read_one : send_one, board);
            until_ready(board, i + 1);
        }
        until_ready(board, 3);
        nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL); /* as a rule both sleep; whether or not, it holds */
        int victim = round / 2 % 3;
        kill(brood_process_pid(other), SIGKILL);
        if (victim < 2)
            kill(brood_process_pid(waiters[victim]), SIGKILL);
        for (int i = 0; i < 2; i++) {
            join(waiters[i]);
            if (i != victim)
                CHECK_EQ(atomic_load(&board->told[(round + i) % 2 ? 0 : 1]), -EPIPE);
        }
        join(other);
        CHECK_RESULT(brood_connection_close(board->ends[0]), 0);
        CHECK_RESULT(brood_connection_close(board->ends[1]), 0);
        brood_free(board);
    }
}

static int echo_and_close(void *arg)
{
    struct board *board = arg;
    char bytes[8];
    if (brood_connection_recv(board->ends[1], bytes, 4, NULL, 20000) < 0 ||
        brood_connection_send(board->ends[1], bytes, 4, 20000) < 0)
        return 1;
    return brood_connection_close(board->ends[1]) < 0 ? 2 : 0;
}

static int ask_and_close(void *arg)
{
    struct board *board = arg;
    char bytes[8];
    if (brood_connection_send(board->ends[0], "ping", 4, 20000) < 0 ||
        brood_connection_recv(board->ends[0], bytes, 4, NULL, 20000) < 0 || memcmp(bytes, "ping", 4) != 0)
        return 1;
    return brood_connection_close(board->ends[0]) < 0 ? 2 : 0;
}

static void expect_returned(brood_process *process)
{
    brood_end how;
    CHECK_RESULT(brood_process_join(process, &how, 20000), 0);
    CHECK(how.how == BROOD_RETURNED && how.code == 0);
    CHECK_RESULT(brood_process_close(process), 0);
}

/* The maker of a pipe hands both ends on and closes them: at once, or when those who had them have closed them. */
static void handed_on(void)
{
    size_t before = 0;
    for (int round = 0; round < 20; round++) {
        struct board *board = new_board(false, 0);
        brood_process *asks = start(ask_and_close, board), *echoes = start(echo_and_close, board);
        CHECK_RESULT(brood_pipe_give(board->ends[0], asks), 0);
        CHECK_RESULT(brood_pipe_give(board->ends[1], echoes), 0);
        for (int late = 0; late < 2; late++) {
            if (late != round % 2) {
                expect_returned(asks);
                expect_returned(echoes);
            } else {
                CHECK_RESULT(brood_connection_close(board->ends[1]), 0);
                CHECK_RESULT(brood_connection_close(board->ends[0]), 0);
            }
        }
        brood_free(board);
        if (round == 3)
            before = blocks();
    }
    CHECK_EQ((long long)blocks(), (long long)before);
    CHECK_RESULT(brood_heap_check(), 0);
}

static int close_it_thrice(void *arg)
{
    struct board *board = arg;
    for (int i = 0; i < 3; i++)
        if (brood_connection_close(board->ends[1]) < 0)
            return 1;
    return 0;
}

/* One that has only passed a pointer on closes nothing; the maker closes each end once. */
static void closed_by_others(void)
{
    struct board *board = new_board(false, 0);
    char byte;
    CHECK_RESULT(brood_connection_send(board->ends[1], "x", 1, 0), 0);
    expect_returned(start(close_it_thrice, board));
    CHECK_RESULT(brood_connection_recv(board->ends[0], &byte, 1, NULL, 0), 0);
    CHECK_RESULT(brood_connection_recv(board->ends[0], &byte, 1, NULL, 0), -ETIMEDOUT);
    brood_process *other = start(stay, board);
    CHECK_RESULT(brood_pipe_give(board->ends[1], other), 0);
    CHECK_RESULT(brood_connection_close(board->ends[1]), 0);
    CHECK_RESULT(brood_connection_close(board->ends[1]), -EINVAL);
    CHECK_RESULT(brood_connection_recv(board->ends[0], &byte, 1, NULL, 0), -ETIMEDOUT); /* the child has it */
    kill(brood_process_pid(other), SIGKILL);
    CHECK_RESULT(brood_connection_recv(board->ends[0], &byte, 1, NULL, 20000), -EPIPE);
    join(other);
    CHECK_RESULT(brood_connection_close(board->ends[0]), 0);
    CHECK_RESULT(brood_connection_close(board->ends[0]), -EINVAL);
    brood_free(board);
}

static int close_own(void *arg)
{
    struct board *board = arg;
    int mine = atomic_fetch_add(&board->ready, 1) % 2;
    while (atomic_load(&board->ready) < 2)
        continue;
    return brood_connection_close(board->ends[mine]) < 0;
}

/* Who closes last finds the other in the middle of it, or just out. */
static void closed_together(void)
{
    for (int round = 0; round < 60; round++) {
        struct board *board = new_board(round % 2, 0);
        brood_process *one = start(close_own, board), *other = start(close_own, board);
        expect_returned(one);
        expect_returned(other);
        CHECK_RESULT(brood_connection_close(board->ends[0]), 0);
        CHECK_RESULT(brood_connection_close(board->ends[1]), 0);
        brood_free(board);
    }
    CHECK_RESULT(brood_heap_check(), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "waits_without_naps", waits_without_naps, 60, false },
        { "one_waits_without_naps", one_waits_without_naps, 60, false },
        { "both_waiters_hear", both_waiters_hear, 60, false },
        { "handed_on", handed_on, 60, false },
        { "closed_by_others", closed_by_others, 60, false },
        { "closed_together", closed_together, 60, false },
        { 0 },
    };
    return harness_main(argc, argv, cases);
}
