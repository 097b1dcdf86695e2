/* queue_death.c: whoever dies at a queue holds nobody up: what was put is there once, what was borrowed comes back, who
 * waits is woken; and a queue ends when those that owe it have.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define TOLD_MS 2000 /* a hang, not a delay: the header says 50 ms at worst */

struct place {
    brood_queue *queue;
    size_t size;
    int count;
    atomic_int stage, got, waiting;
    atomic_long put, taken;
};

static struct place *new_place(const brood_queue_options *options, size_t size)
{
    struct place *place = CHECK_POINTER(brood_alloc(sizeof *place));
    NEED(place != NULL);
    place->queue = CHECK_POINTER(brood_queue_create(options));
    NEED(place->queue != NULL);
    place->size = size;
    return place;
}

static void free_place(struct place *place)
{
    CHECK_RESULT(brood_queue_destroy(place->queue), 0);
    brood_free(place);
    CHECK_RESULT(brood_heap_check(), 0);
}

static size_t blocks(void)
{
    brood_heap_stats stats;
    CHECK_RESULT(brood_heap_stat(&stats), 0);
    return stats.blocks;
}

static void put_numbers(struct place *place, int from, int count)
{
    char bytes[8000] = "";
    for (int i = from; i < from + count; i++) {
        memcpy(bytes, &i, sizeof i);
        CHECK_RESULT(brood_queue_put(place->queue, bytes, place->size, 1000), 0);
    }
}

static int get_number(struct place *place, int expected)
{
    char bytes[8000];
    int number = -1;
    if (CHECK_RESULT(brood_queue_get(place->queue, bytes, place->size, NULL, TOLD_MS), expected))
        memcpy(&number, bytes, sizeof number);
    return number;
}

static _Noreturn void stay(struct place *place)
{
    atomic_fetch_add(&place->stage, 1);
    for (;;)
        pause();
}

static int borrow_and_stay(void *arg)
{
    struct place *place = arg;
    brood_block message;
    for (int i = 0; i < place->count; i++)
        CHECK(brood_queue_borrow(place->queue, &message, BROOD_FOREVER) >= 0);
    stay(place);
}

static int reserve_and_stay(void *arg)
{
    struct place *place = arg;
    for (int i = 0; i < place->count; i++)
        CHECK_POINTER(brood_queue_reserve(place->queue, place->size, 0));
    stay(place);
}

static pid_t start_staying(struct place *place, int (*body)(void *arg))
{
    int stage = atomic_load(&place->stage);
    pid_t pid = fork_child(body, place);
    NEED(wait_word(&place->stage, stage + 1, 5000));
    return pid;
}

static bool sleeps(void *pid)
{
    return process_state(*(pid_t *)pid) == 'S';
}

static pid_t start_waiting(struct place *place, int (*body)(void *arg))
{
    int waiting = atomic_load(&place->waiting);
    pid_t pid = fork_child(body, place);
    NEED(wait_word(&place->waiting, waiting + 1, 5000));
    NEED(wait_until(sleeps, &pid, 5000));
    return pid;
}

/* What a borrower had comes first, in its order, and marked; others' messages come after. */
static void comes_back(void)
{
    for (int large = 0; large < 2; large++) {
        struct place *place = new_place(NULL, large ? 5000 : 8);
        put_numbers(place, 0, 5);
        place->count = 3;
        pid_t pid = start_staying(place, borrow_and_stay);
        CHECK_EQ(brood_queue_count(place->queue), 2);
        CHECK_EQ(get_number(place, 0), 3);
        CHECK_EQ(kill_child(pid), SIGKILL);
        CHECK_EQ(brood_queue_count(place->queue), 4);
        CHECK_EQ(brood_queue_bytes(place->queue), 4 * place->size);
        CHECK_RESULT(brood_queue_is_empty(place->queue), 0);
        CHECK_RESULT(brood_queue_join(place->queue, 0), -ETIMEDOUT);
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(get_number(place, 1), i);
            CHECK(brood_error()[0] != '\0');
        }
        CHECK_EQ(get_number(place, 0), 4);
        CHECK_RESULT(brood_queue_join(place->queue, 0), 0);
        free_place(place);
    }
}

/* One that is too large for the buffer of who asks stays the first. */
static void comes_back_and_stays(void)
{
    struct place *place = new_place(NULL, 8);
    char bytes[8];
    size_t got = 0;
    put_numbers(place, 0, 2);
    place->count = 1;
    CHECK_EQ(kill_child(start_staying(place, borrow_and_stay)), SIGKILL);
    CHECK_RESULT(brood_queue_get(place->queue, bytes, 4, &got, 0), -EMSGSIZE);
    CHECK_EQ(got, 8);
    CHECK_EQ(brood_queue_count(place->queue), 2);
    CHECK_EQ(get_number(place, 1), 0);
    CHECK_EQ(get_number(place, 0), 1);
    free_place(place);
}

/* So many times, counted; and then to the dead letters. */
static void dead_letters(void)
{
    for (int large = 0; large < 2; large++) {
        size_t before = blocks();
        struct place *dead = new_place(NULL, large ? 5000 : 8);
        struct place *place =
            new_place(&(brood_queue_options){ .max_deliveries = 3, .dead_letters = dead->queue }, dead->size);
        put_numbers(place, 7, 2);
        place->count = 1;
        for (int i = 0; i < 2; i++)
            CHECK_EQ(kill_child(start_staying(place, borrow_and_stay)), SIGKILL);
        brood_block message;
        CHECK_RESULT(brood_queue_borrow(place->queue, &message, 0), 2);
        CHECK_EQ(*(int *)message.data, 7);
        CHECK_RESULT(brood_queue_done(place->queue, message.data), 0);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(kill_child(start_staying(place, borrow_and_stay)), SIGKILL);
        CHECK_RESULT(brood_queue_get(place->queue, NULL, 0, NULL, 0), -ETIMEDOUT);
        CHECK_EQ(brood_queue_count(dead->queue), 1);
        CHECK_EQ(get_number(dead, 0), 8);
        CHECK_RESULT(brood_queue_join(place->queue, 0), 0);
        free_place(place);
        free_place(dead);
        CHECK_EQ(blocks(), before);
    }
}

static void thrown_away(void)
{
    struct place *place = new_place(&(brood_queue_options){ .max_deliveries = 1 }, 8);
    put_numbers(place, 0, 1);
    place->count = 1;
    CHECK_EQ(kill_child(start_staying(place, borrow_and_stay)), SIGKILL);
    CHECK_RESULT(brood_queue_get(place->queue, NULL, 0, NULL, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_queue_join(place->queue, 0), 0);
    free_place(place);
}

static int get_and_tell(void *arg)
{
    struct place *place = arg;
    char bytes[8000];
    atomic_fetch_add(&place->waiting, 1);
    int result = brood_queue_get(place->queue, bytes, place->size, NULL, BROOD_FOREVER);
    atomic_fetch_add(&place->got, 1);
    return result;
}

static void check_ended(pid_t pid, int expected)
{
    if (!CHECK(wait_gone(pid, TOLD_MS)))
        kill(pid, SIGKILL);
    CHECK_EQ(wait_child(pid), (expected & 0xff) << 8);
}

/* Who sleeps at an empty queue is woken by a borrower's death. */
static void comes_back_to_a_sleeper(void)
{
    for (int i = 0; i < harness_times(40); i++) {
        struct place *place = new_place(NULL, i % 2 ? 5000 : 8);
        pid_t waiter = 0, borrower;
        place->count = 1;
        if (i % 3) {
            put_numbers(place, 0, 1);
            borrower = start_staying(place, borrow_and_stay);
        } else { /* it sleeps before there is any loan to watch */
            borrower = fork_child(borrow_and_stay, place);
            NEED(wait_until(sleeps, &borrower, 5000));
            waiter = start_waiting(place, get_and_tell);
            put_numbers(place, 0, 1);
            NEED(wait_word(&place->stage, 1, 5000));
        }
        waiter = waiter ? waiter : start_waiting(place, get_and_tell);
        pid_t second = start_waiting(place, get_and_tell);
        CHECK_EQ(kill_child(borrower), SIGKILL);
        CHECK(wait_word(&place->got, 1, TOLD_MS));
        put_numbers(place, 1, 1);
        int sum = 0;
        pid_t pids[] = { waiter, second };
        for (int j = 0; j < 2; j++) {
            if (!CHECK(wait_gone(pids[j], TOLD_MS)))
                kill(pids[j], SIGKILL);
            sum += wait_child(pids[j]) >> 8;
        }
        CHECK_EQ(sum, 1); /* one of them was told that its message is redelivered */
        free_place(place);
    }
}

/* The front of those who wait and the borrower, killed by one signal: the next one in line is told. */
static void borrower_and_front_die(void)
{
    for (int i = 0; i < harness_times(60); i++) {
        struct place *place = new_place(NULL, 8);
        put_numbers(place, 0, 1);
        place->count = 1;
        pid_t borrower = start_staying(place, borrow_and_stay);
        setpgid(borrower, borrower);
        pid_t front = start_waiting(place, get_and_tell);
        setpgid(front, borrower);
        pid_t next = start_waiting(place, get_and_tell);
        if (i % 3 == 0) {
            kill(-borrower, SIGKILL);
        } else {
            kill(borrower, SIGKILL);
            pass_us(i % 3 == 1 ? 0 : i);
            kill(front, SIGKILL);
        }
        CHECK_EQ(wait_child(borrower), SIGKILL);
        int status = wait_child(front);
        CHECK(status == SIGKILL || status == 1 << 8);
        if (status == SIGKILL && !wait_gone(next, TOLD_MS / 4)) {
            /* the front may have got it and died before it could say so */
            CHECK_EQ(brood_queue_count(place->queue), 0);
            put_numbers(place, 0, 1);
        } else if (status != SIGKILL) {
            put_numbers(place, 0, 1);
        }
        if (!CHECK(wait_gone(next, TOLD_MS)))
            kill(next, SIGKILL);
        wait_child(next);
        free_place(place);
    }
}

/* Sleepers that are killed take nothing along. */
static void waiters_die(void)
{
    for (int i = 0; i < harness_times(60); i++) {
        struct place *place = new_place(NULL, 8);
        pid_t pids[3];
        for (int j = 0; j < 3; j++)
            pids[j] = start_waiting(place, get_and_tell);
        kill(pids[i % 3], SIGKILL);
        if (i % 2)
            CHECK_EQ(wait_child(pids[i % 3]), SIGKILL);
        put_numbers(place, 0, 3);
        for (int j = 0; j < 3; j++) {
            if (j != i % 3)
                check_ended(pids[j], 0);
            else if (i % 2 == 0)
                wait_child(pids[j]);
        }
        CHECK(brood_queue_count(place->queue) <= 1);
        free_place(place);
    }
}

static void reserved_is_given_back(void)
{
    size_t before = blocks();
    struct place *place = new_place(NULL, 6000);
    place->count = 10;
    CHECK_EQ(kill_child(start_staying(place, reserve_and_stay)), SIGKILL);
    size_t with = blocks();
    for (int i = 0; i < 20; i++) { /* each takes one of the dead one's places, or a free one */
        void *reserved[20];
        for (int j = 0; j <= i; j++)
            reserved[j] = CHECK_POINTER(brood_queue_reserve(place->queue, 1, 0));
        for (int j = 0; j <= i; j++)
            CHECK_RESULT(brood_queue_withdraw(place->queue, reserved[j]), 0);
    }
    CHECK(blocks() < with);
    free_place(place);
    CHECK_EQ(blocks(), before);
}

static void destroyed_with_the_dead(void)
{
    size_t before = blocks();
    struct place *place = new_place(NULL, 6000);
    place->count = 4;
    put_numbers(place, 0, 7);
    pid_t pid = start_staying(place, borrow_and_stay);
    CHECK_RESULT(brood_queue_destroy(place->queue), -EBUSY);
    CHECK_EQ(kill_child(pid), SIGKILL);
    CHECK_EQ(kill_child(start_staying(place, reserve_and_stay)), SIGKILL);
    free_place(place);
    CHECK_EQ(blocks(), before);
}

/* ---- who owes ---- */

static int put_and_return(void *arg)
{
    struct place *place = arg;
    for (int i = 0; i < place->count; i++)
        CHECK_RESULT(brood_queue_put(place->queue, &i, sizeof i, BROOD_FOREVER), 0);
    return 0;
}

static int put_and_fail(void *arg)
{
    put_and_return(arg);
    return brood_fail(3, "no more paper");
}

static int put_and_die(void *arg)
{
    put_and_return(arg);
    raise(SIGKILL);
    return 0;
}

static int wait_and_die(void *arg)
{
    struct place *place = arg;
    wait_word(&place->got, 1, 10000);
    raise(SIGKILL);
    return 0;
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int drain(struct place *place)
{
    int number, count = 0, result;
    while ((result = brood_queue_get(place->queue, &number, sizeof number, NULL, 5000)) == 0)
        CHECK_EQ(number, count++);
    CHECK_EQ(count, place->count);
    return result;
}

static void owed_by(brood_target *target, brood_start method, int expected, const char *word)
{
    struct place *place = new_place(NULL, sizeof(int));
    place->count = 100;
    brood_process *process = CHECK_POINTER(
        brood_process_start(target, place, 0, &(brood_process_options){ .name = "writer", .start = method }));
    CHECK_RESULT(brood_process_owes(process, place->queue, BROOD_PUTS), 0);
    CHECK_EQ(drain(place), expected);
    CHECK_HAS(brood_error(), word);
    CHECK_RESULT(brood_process_join(process, NULL, 5000), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    for (int i = 0; i < 3; i++) { /* others come into its slot */
        brood_process *other = CHECK_POINTER(brood_process_start(do_nothing, NULL, 0, NULL));
        CHECK_RESULT(brood_process_join(other, NULL, 5000), 0);
        CHECK_RESULT(brood_process_close(other), 0);
    }
    CHECK_RESULT(brood_queue_get(place->queue, &(int){ 0 }, sizeof(int), NULL, 0), expected);
    CHECK_RESULT(brood_queue_get(place->queue, &(int){ 0 }, sizeof(int), NULL, BROOD_FOREVER), expected);
    free_place(place);
}

static void owed(void)
{
    for (brood_start method = BROOD_FORK; method <= BROOD_FORKSERVER; method++) {
        owed_by(put_and_return, method, -EPIPE, "returned");
        owed_by(put_and_fail, method, -EOWNERDEAD, "writer");
        owed_by(put_and_die, method, -EOWNERDEAD, "writer");
    }
}

/* It has ended, and been joined, before it is said that it owes. */
static void owed_too_late(void)
{
    static brood_target *const targets[] = { put_and_return, put_and_fail, put_and_die };
    for (int i = 0; i < 3; i++) {
        struct place *place = new_place(NULL, sizeof(int));
        place->count = 3;
        brood_process *process = CHECK_POINTER(brood_process_start(targets[i], place, 0, NULL));
        CHECK_RESULT(brood_process_join(process, NULL, 5000), 0);
        CHECK_RESULT(brood_process_owes(process, place->queue, BROOD_PUTS), 0);
        CHECK_EQ(drain(place), i == 0 ? -EPIPE : -EOWNERDEAD);
        CHECK_RESULT(brood_process_close(process), 0);
        free_place(place);
    }
}

/* All of them must have ended; one that crashed is named, whatever the others did. */
static void owed_by_several(void)
{
    size_t before = blocks();
    struct place *place = new_place(NULL, sizeof(int)), *other = new_place(NULL, sizeof(int));
    brood_process *first = CHECK_POINTER(brood_process_start(do_nothing, NULL, 0, NULL));
    brood_process *last =
        CHECK_POINTER(brood_process_start(wait_and_die, place, 0, &(brood_process_options){ .name = "last" }));
    CHECK_RESULT(brood_process_owes(first, place->queue, BROOD_PUTS), 0);
    CHECK_RESULT(brood_process_owes(last, place->queue, BROOD_PUTS | BROOD_GETS), 0);
    CHECK_RESULT(brood_process_owes(last, other->queue, BROOD_PUTS), 0);
    CHECK_RESULT(brood_process_join(first, NULL, 5000), 0);
    CHECK_RESULT(brood_queue_get(place->queue, &(int){ 0 }, sizeof(int), NULL, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_queue_put(place->queue, &(int){ 0 }, sizeof(int), 0), 0);
    CHECK_RESULT(brood_queue_get(place->queue, &(int){ 0 }, sizeof(int), NULL, 0), 0);
    pid_t pids[] = { start_waiting(place, get_and_tell), start_waiting(place, get_and_tell),
                     start_waiting(other, get_and_tell) };
    atomic_store(&place->got, 1);
    for (int i = 0; i < 3; i++)
        check_ended(pids[i], -EOWNERDEAD);
    CHECK_RESULT(brood_queue_put(place->queue, &(int){ 0 }, sizeof(int), 0), -EOWNERDEAD);
    CHECK_HAS(brood_error(), "last");
    CHECK_NULL(brood_queue_reserve(place->queue, 1, 0), EOWNERDEAD);
    CHECK_RESULT(brood_queue_put(other->queue, &(int){ 0 }, sizeof(int), 0), 0);
    CHECK_RESULT(brood_process_join(last, NULL, 5000), 0);
    CHECK_RESULT(brood_process_close(first), 0);
    CHECK_RESULT(brood_process_close(last), 0);
    free_place(place);
    free_place(other);
    CHECK_EQ(blocks(), before);
}

static int put_and_tell(void *arg)
{
    struct place *place = arg;
    atomic_fetch_add(&place->waiting, 1);
    return brood_queue_put(place->queue, "x", 1, BROOD_FOREVER);
}

/* Who waits for room that those who owe gets would make. */
static void owed_gets(void)
{
    struct place *place = new_place(&(brood_queue_options){ .max_messages = 1 }, 1);
    CHECK_RESULT(brood_queue_put(place->queue, "x", 1, 0), 0);
    brood_process *getter = CHECK_POINTER(brood_process_start(wait_and_die, place, 0, NULL));
    CHECK_RESULT(brood_process_owes(getter, place->queue, BROOD_GETS), 0);
    pid_t pids[] = { start_waiting(place, put_and_tell), start_waiting(place, put_and_tell) };
    atomic_store(&place->got, 1);
    for (int i = 0; i < 2; i++)
        check_ended(pids[i], -EOWNERDEAD);
    CHECK_RESULT(brood_process_join(getter, NULL, 5000), 0);
    CHECK_RESULT(brood_process_close(getter), 0);
    CHECK_RESULT(brood_process_owes(brood_process_self(), place->queue, BROOD_GETS), 0); /* and so it goes on */
    CHECK_RESULT(brood_queue_put(place->queue, "x", 1, 5), -ETIMEDOUT);
    free_place(place);
}

/* ---- a storm: what was put is got once, or lost with its getter ---- */

static int put_for_ever(void *arg)
{
    struct place *place = arg;
    char bytes[8000] = "";
    for (uint32_t seed = (uint32_t)getpid();;) {
        size_t size = random_next(&seed) % 3 ? 8 : 6000;
        if (brood_queue_put(place->queue, bytes, size, 5000) != 0)
            return 1;
        atomic_fetch_add(&place->put, 1);
    }
}

static int get_for_ever(void *arg)
{
    struct place *place = arg;
    char bytes[8000];
    for (size_t got;;) {
        if (brood_queue_get(place->queue, bytes, sizeof bytes, &got, 5000) < 0)
            return 1;
        atomic_fetch_add(&place->taken, 1);
    }
}

static void storm(void)
{
    enum { MEMBERS = 4 };
    size_t before = blocks();
    struct place *place = new_place(&(brood_queue_options){ .max_messages = 20 }, 8);
    pid_t pids[MEMBERS];
    long kills = 0;
    uint32_t seed = 1;
    for (int i = 0; i < MEMBERS; i++)
        pids[i] = fork_child(i % 2 ? put_for_ever : get_for_ever, place);
    for (long long end = now_ms() + 2000; now_ms() < end;) {
        int member = (int)(random_next(&seed) % MEMBERS);
        pass_us(random_next(&seed) % 3000);
        CHECK_EQ(kill_child(pids[member]), SIGKILL);
        pids[member] = fork_child(member % 2 ? put_for_ever : get_for_ever, place);
        kills++;
    }
    for (int i = 0; i < MEMBERS; i++)
        CHECK_EQ(kill_child(pids[i]), SIGKILL);
    char bytes[8000];
    long left = 0, put = atomic_load(&place->put), taken = atomic_load(&place->taken);
    for (size_t got; brood_queue_get(place->queue, bytes, sizeof bytes, &got, 0) >= 0;)
        left++;
    /* Each kill may have come between a commit and its count. */
    CHECK(taken + left <= put + kills + MEMBERS && taken + left >= put - kills - MEMBERS);
    CHECK(put > 1000);
    free_place(place);
    CHECK_EQ(blocks(), before);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "comes_back", comes_back, 0, false },
        { "comes_back_and_stays", comes_back_and_stays, 0, false },
        { "dead_letters", dead_letters, 0, false },
        { "thrown_away", thrown_away, 0, false },
        { "comes_back_to_a_sleeper", comes_back_to_a_sleeper, 60, false },
        { "borrower_and_front_die", borrower_and_front_die, 60, false },
        { "waiters_die", waiters_die, 60, false },
        { "reserved_is_given_back", reserved_is_given_back, 0, false },
        { "destroyed_with_the_dead", destroyed_with_the_dead, 0, false },
        { "owed", owed, 60, false },
        { "owed_too_late", owed_too_late, 0, false },
        { "owed_by_several", owed_by_several, 0, false },
        { "owed_gets", owed_gets, 0, false },
        { "storm", storm, 60, false },
        { 0 },
    };
    return harness_main(argc, argv, cases);
}
