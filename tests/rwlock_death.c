/* rwlock_death.c: a writer that dies passes the lock on, with word of it; a reader that dies is no reader; whoever dies
 * waiting leaves no trace.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TOLD_MS 2000 /* a hang, not a delay: the header says 50 ms at worst */

struct pair {
    brood_rwlock rwlock;
    long first, second; /* equal, unless a writer died between the two */
    atomic_int stage;
    atomic_int waiting;
    atomic_int go;
    atomic_int readers, writers;
    atomic_int got;
    long inherited;
};

typedef int acquirer(brood_rwlock *rwlock, int timeout_ms);
static acquirer *const either[] = { brood_rwlock_acquire_read, brood_rwlock_acquire_write };

static struct pair *new_pair(void)
{
    struct pair *pair = CHECK_POINTER(brood_alloc(sizeof *pair));
    NEED(pair != NULL);
    return pair;
}

static void free_pair(struct pair *pair)
{
    CHECK_RESULT(brood_rwlock_fini(&pair->rwlock), 0);
    brood_free(pair);
}

static int stay(struct pair *pair, int result)
{
    CHECK(result >= 0);
    atomic_store(&pair->got, result);
    atomic_fetch_add(&pair->stage, 1);
    for (;;)
        pause();
    return 0;
}

static int write_and_stay(void *arg)
{
    struct pair *pair = arg;
    atomic_fetch_add(&pair->waiting, 1);
    return stay(pair, brood_rwlock_acquire_write(&pair->rwlock, BROOD_FOREVER));
}

static int read_and_stay(void *arg)
{
    struct pair *pair = arg;
    atomic_fetch_add(&pair->waiting, 1);
    return stay(pair, brood_rwlock_acquire_read(&pair->rwlock, BROOD_FOREVER));
}

static int take_and_release(struct pair *pair, acquirer *acquire)
{
    atomic_fetch_add(&pair->waiting, 1);
    int result = acquire(&pair->rwlock, BROOD_FOREVER);
    CHECK(result >= 0);
    if (result == BROOD_INHERITED)
        CHECK_EQ(brood_rwlock_holder(&pair->rwlock), getpid());
    CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
    return result;
}

static int read_and_release(void *arg)
{
    return take_and_release(arg, brood_rwlock_acquire_read);
}

static int write_and_release(void *arg)
{
    return take_and_release(arg, brood_rwlock_acquire_write);
}

typedef int party(void *arg);
static party *const either_and_release[] = { read_and_release, write_and_release };

static pid_t start_holder(struct pair *pair, party *body)
{
    int stage = atomic_load(&pair->stage);
    pid_t pid = fork_child(body, pair);
    NEED(wait_word(&pair->stage, stage + 1, 5000));
    return pid;
}

static bool sleeps(void *pid)
{
    return process_state(*(pid_t *)pid) == 'S';
}

/* A process that waits, asleep. */
static pid_t start_waiter(struct pair *pair, party *body)
{
    int waiting = atomic_load(&pair->waiting);
    pid_t pid = fork_child(body, pair);
    NEED(wait_word(&pair->waiting, waiting + 1, 5000));
    NEED(wait_until(sleeps, &pid, 5000));
    return pid;
}

/* It is whole, and free for both. */
static void check_free(struct pair *pair)
{
    CHECK_RESULT(brood_rwlock_acquire_read(&pair->rwlock, 0), 0);
    CHECK_EQ(brood_rwlock_readers(&pair->rwlock), 1);
    CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
    CHECK_RESULT(brood_rwlock_acquire_write(&pair->rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
    free_pair(pair);
}

static void inherit_later(void)
{
    for (int i = 0; i < 20; i++) {
        struct pair *pair = new_pair();
        if (i & 4)
            check_free(new_pair());
        pid_t holder = start_holder(pair, write_and_stay);
        CHECK_EQ(brood_rwlock_holder(&pair->rwlock), holder);
        CHECK_EQ(kill_child(holder), SIGKILL);
        CHECK_RESULT(either[i % 2](&pair->rwlock, TOLD_MS), BROOD_INHERITED);
        CHECK(brood_error()[0] != '\0');
        CHECK_EQ(brood_rwlock_holder(&pair->rwlock), getpid()); /* to write, whatever was asked for */
        CHECK_EQ(brood_rwlock_readers(&pair->rwlock), 0);
        CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
        check_free(pair);
    }
}

static void inherited_waiting(void)
{
    for (int i = 0; i < 20; i++) {
        struct pair *pair = new_pair();
        pid_t holder = start_holder(pair, write_and_stay);
        pid_t heir = start_waiter(pair, either_and_release[i % 2]);
        CHECK_EQ(kill_child(holder), SIGKILL);
        CHECK_EQ(wait_child(heir), BROOD_INHERITED << 8);
        check_free(pair);
    }
}

/* Of readers that wait for a writer that dies, one becomes the writer and mends; the others read. */
static void one_reader_inherits(void)
{
    enum { READERS = 6 };
    for (int round = 0; round < 10; round++) {
        struct pair *pair = new_pair();
        pid_t holder = start_holder(pair, write_and_stay), readers[READERS];
        for (int i = 0; i < READERS; i++)
            readers[i] = start_waiter(pair, read_and_release);
        CHECK_EQ(kill_child(holder), SIGKILL);
        int told = 0;
        for (int i = 0; i < READERS; i++)
            told += wait_child(readers[i]) == BROOD_INHERITED << 8;
        CHECK_EQ(told, 1);
        check_free(pair);
    }
}

static void told_until_mended(void)
{
    static party *const bodies[] = { read_and_stay, write_and_stay };
    struct pair *pair = new_pair();
    pid_t holder = start_holder(pair, write_and_stay);
    CHECK_EQ(atomic_load(&pair->got), 0);
    for (int i = 0; i < 12; i++) {
        CHECK_EQ(kill_child(holder), SIGKILL);
        holder = start_holder(pair, bodies[i % 2]);
        CHECK_EQ(atomic_load(&pair->got), BROOD_INHERITED);
        CHECK_EQ(brood_rwlock_holder(&pair->rwlock), holder);
    }
    CHECK_EQ(kill_child(holder), SIGKILL);
    CHECK_RESULT(brood_rwlock_acquire_read(&pair->rwlock, TOLD_MS), BROOD_INHERITED);
    CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
    check_free(pair);
}

/* Dead readers are none, for whoever comes later and for a writer that waits; nobody hears of them. */
static void readers_die(void)
{
    enum { READERS = 12 };
    for (int round = 0; round < 6; round++) {
        struct pair *pair = new_pair();
        pid_t readers[READERS], writer = 0;
        for (int i = 0; i < READERS; i++)
            readers[i] = start_holder(pair, read_and_stay);
        CHECK_EQ(brood_rwlock_readers(&pair->rwlock), READERS);
        if (round % 2)
            writer = start_waiter(pair, write_and_release);
        for (int i = 0; i < READERS; i++)
            CHECK_EQ(kill_child(readers[i * 7 % READERS]), SIGKILL);
        if (round % 2)
            CHECK_EQ(wait_child(writer), 0);
        else
            CHECK_RESULT(brood_rwlock_acquire_write(&pair->rwlock, TOLD_MS), 0);
        if (!(round % 2))
            CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
        CHECK_EQ(brood_rwlock_readers(&pair->rwlock), 0);
        check_free(pair);
    }
}

/* Seats of the dead are used again: their number does not grow with the deaths. */
static void seats_are_used_again(void)
{
    brood_heap_stats before, after;
    struct pair *pair = new_pair();
    for (int i = 0; i < 60; i++) {
        CHECK_EQ(kill_child(start_holder(pair, read_and_stay)), SIGKILL);
        if (i == 5)
            CHECK_RESULT(brood_heap_stat(&before), 0);
    }
    CHECK_RESULT(brood_heap_stat(&after), 0);
    CHECK_EQ((long long)after.blocks, (long long)before.blocks);
    CHECK_EQ(brood_rwlock_readers(&pair->rwlock), 0);
    check_free(pair);
}

/* A reader dies, another still reads: a writer waits for that one. */
static void some_readers_die(void)
{
    struct pair *pair = new_pair();
    pid_t dies = start_holder(pair, read_and_stay), lives = start_holder(pair, read_and_stay);
    CHECK_EQ(kill_child(dies), SIGKILL);
    CHECK_EQ(brood_rwlock_readers(&pair->rwlock), 1);
    CHECK_RESULT(brood_rwlock_acquire_write(&pair->rwlock, 30), -ETIMEDOUT);
    CHECK_RESULT(brood_rwlock_acquire_read(&pair->rwlock, 0), 0);
    CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
    CHECK_EQ(kill_child(lives), SIGKILL);
    CHECK_RESULT(brood_rwlock_acquire_write(&pair->rwlock, TOLD_MS), 0);
    CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
    check_free(pair);
}

/* A writer that dies while it waits for a reader has changed nothing: nobody is told, and whom it kept out come in. */
static void waiting_writer_dies(void)
{
    for (int i = 0; i < 20; i++) {
        struct pair *pair = new_pair();
        pid_t reader = start_holder(pair, read_and_stay);
        pid_t writer = start_waiter(pair, write_and_stay);
        pid_t next = start_waiter(pair, read_and_release);
        CHECK_EQ(brood_rwlock_holder(&pair->rwlock), 0);
        CHECK_EQ(kill_child(writer), SIGKILL);
        CHECK_EQ(wait_child(next), 0);
        CHECK_RESULT(brood_rwlock_acquire_read(&pair->rwlock, TOLD_MS), 0);
        CHECK_EQ(brood_rwlock_readers(&pair->rwlock), 2);
        CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
        CHECK_EQ(kill_child(reader), SIGKILL);
        CHECK_RESULT(brood_rwlock_acquire_write(&pair->rwlock, TOLD_MS), 0);
        CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
        check_free(pair);
    }
}

/* Reader and waiting writer die at one blow: the next writer gets it. And an heir that waits for its turn dies too. */
static void reader_and_writer_die(void)
{
    for (int i = 0; i < harness_times(60); i++) {
        struct pair *pair = new_pair();
        pid_t reader = start_holder(pair, read_and_stay);
        setpgid(reader, reader);
        pid_t second = start_waiter(pair, write_and_stay);
        setpgid(second, reader);
        pid_t third = start_waiter(pair, either_and_release[i % 2]);
        if (i % 3 == 0) {
            kill(-reader, SIGKILL);
        } else {
            kill(i % 3 == 1 ? reader : second, SIGKILL);
            pass_us(i % 3 == 1 ? i : i * 2);
            kill(i % 3 == 1 ? second : reader, SIGKILL);
        }
        CHECK_EQ(wait_child(reader), SIGKILL);
        CHECK_EQ(wait_child(second), SIGKILL);
        if (!CHECK(wait_gone(third, TOLD_MS)))
            kill(third, SIGKILL);
        int status = wait_child(third); /* the second may have become the writer before it died */
        CHECK(status == 0 || status == BROOD_INHERITED << 8);
        check_free(pair);
    }
}

/* Waiters that are killed: the writer holds on, and those who come later get a free lock. */
static void waiters_die(void)
{
    enum { WAITERS = 10 };
    for (int round = 0; round < 4; round++) {
        struct pair *pair = new_pair();
        CHECK_RESULT(brood_rwlock_acquire_write(&pair->rwlock, 0), 0);
        pid_t waiters[WAITERS];
        for (int i = 0; i < WAITERS; i++)
            waiters[i] = start_waiter(pair, either_and_release[i % 2]);
        for (int i = 0; i < WAITERS - 1; i++)
            CHECK_EQ(kill_child(waiters[i * 7 % (WAITERS - 1)]), SIGKILL);
        CHECK_EQ(brood_rwlock_holder(&pair->rwlock), getpid());
        CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
        CHECK_EQ(wait_child(waiters[WAITERS - 1]), 0);
        check_free(pair);
    }
}

static int release_when_told(struct pair *pair, acquirer *acquire)
{
    CHECK_RESULT(acquire(&pair->rwlock, BROOD_FOREVER), 0);
    atomic_fetch_add(&pair->stage, 1);
    while (atomic_load(&pair->go) == 0)
        ;
    CHECK(brood_rwlock_release(&pair->rwlock) == 0);
    for (;;)
        pause();
    return 0;
}

static int read_until_told(void *arg)
{
    return release_when_told(arg, brood_rwlock_acquire_read);
}

static int write_until_told(void *arg)
{
    return release_when_told(arg, brood_rwlock_acquire_write);
}

/* The holder lets go and is killed while it does, or right after, with two asleep, one of which dies as well. */
static void releaser_dies(void)
{
    static party *const bodies[] = { read_until_told, write_until_told };
    uint32_t state = 17;
    for (int i = 0; i < harness_times(120); i++) {
        struct pair *pair = new_pair();
        pid_t holder = start_holder(pair, bodies[i % 2]);
        pid_t second = i % 4 < 2 ? start_waiter(pair, write_and_release) : 0;
        pid_t third = start_waiter(pair, i % 2 ? either_and_release[i % 3 == 0] : write_and_release);
        atomic_store(&pair->go, 1);
        for (uint32_t turns = random_next(&state) % 3000; turns > 0; turns--)
            atomic_signal_fence(memory_order_seq_cst);
        kill(holder, SIGKILL);
        if (second > 0)
            kill(second, SIGKILL);
        CHECK_EQ(wait_child(holder), SIGKILL);
        if (second > 0)
            wait_child(second);
        if (!CHECK(wait_gone(third, TOLD_MS)))
            kill(third, SIGKILL);
        int status = wait_child(third);
        CHECK(status == 0 || status == BROOD_INHERITED << 8);
        int result = brood_rwlock_acquire_write(&pair->rwlock, TOLD_MS);
        CHECK(result >= 0);
        CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
        check_free(pair);
    }
}

/* Mends, if it is to, and looks. */
static void look_whole(struct pair *pair, int result)
{
    NEED(result >= 0);
    if (result == BROOD_INHERITED) {
        NEED(pair->first == pair->second || pair->first == pair->second + 1);
        pair->second = pair->first;
        pair->inherited++;
    }
    NEED(pair->first == pair->second);
}

static int read_and_write(void *arg)
{
    struct pair *pair = *(struct pair **)arg;
    uint32_t state = (uint32_t)getpid();
    for (;;) {
        bool writes = random_next(&state) % 4 == 0;
        int result = either[writes](&pair->rwlock, BROOD_FOREVER);
        look_whole(pair, result);
        if (writes) {
            *(volatile long *)&pair->first += 1;
            for (uint32_t turns = random_next(&state) % 1000; turns > 0; turns--)
                atomic_signal_fence(memory_order_seq_cst);
            *(volatile long *)&pair->second += 1;
        }
        NEED(brood_rwlock_release(&pair->rwlock) == 0);
        atomic_fetch_add_explicit(&pair->stage, 1, memory_order_relaxed);
    }
    return 0;
}

/* Readers and writers that are killed at random times and replaced. Who inherits mends; who does not finds it whole. */
static void kill_storm(void)
{
    enum { PARTIES = 6, KILLS = 200 };
    static const brood_start starts[] = { BROOD_FORK, BROOD_FORK, BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };
    struct pair *pair = new_pair();
    brood_process *parties[PARTIES];
    uint32_t state = 2024;
    for (int i = -PARTIES; i < harness_times(KILLS); i++) {
        int which = i < 0 ? i + PARTIES : (int)(random_next(&state) % PARTIES);
        if (i >= 0) {
            pass_us(random_next(&state) % 4000);
            CHECK_RESULT(brood_process_signal(parties[which], SIGKILL), 0);
            brood_end end;
            CHECK_RESULT(brood_process_join(parties[which], &end, BROOD_FOREVER), 0);
            CHECK_EQ(end.signal, SIGKILL);
            CHECK_RESULT(brood_process_close(parties[which]), 0);
        }
        brood_process_options options = { .start = starts[(i + PARTIES) % 5] };
        parties[which] = brood_process_start(read_and_write, &pair, sizeof pair, &options);
        NEED(parties[which] != NULL);
    }
    /* those that are left go on: nobody is stuck behind a dead one */
    int steps = atomic_load(&pair->stage);
    CHECK(wait_word(&pair->stage, steps + 1000, 10000));
    for (int i = 0; i < PARTIES; i++) {
        CHECK_RESULT(brood_process_signal(parties[i], SIGKILL), 0);
        CHECK_RESULT(brood_process_join(parties[i], NULL, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(parties[i]), 0);
    }
    int result = brood_rwlock_acquire_read(&pair->rwlock, TOLD_MS);
    look_whole(pair, result);
    printf("    %ld times of %ld inherited\n", pair->inherited, pair->first);
    CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
    check_free(pair);
}

/* Stopped is not dead: others wait, and go on when it goes on. */
static void holder_stopped(void)
{
    static party *const bodies[] = { read_and_stay, write_and_stay };
    for (int writes = 0; writes < 2; writes++) {
        struct pair *pair = new_pair();
        pid_t holder = start_holder(pair, bodies[writes]);
        kill(holder, SIGSTOP);
        CHECK_RESULT(brood_rwlock_acquire_write(&pair->rwlock, 100), -ETIMEDOUT);
        CHECK_RESULT(brood_rwlock_acquire_read(&pair->rwlock, 20), writes ? -ETIMEDOUT : 0);
        if (!writes)
            CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
        kill(holder, SIGKILL);
        CHECK_RESULT(brood_rwlock_acquire_write(&pair->rwlock, TOLD_MS), writes ? BROOD_INHERITED : 0);
        CHECK_RESULT(brood_rwlock_release(&pair->rwlock), 0);
        CHECK_EQ(wait_child(holder), SIGKILL);
        check_free(pair);
    }
}

/* Where the kernel keeps no robust list, the news still comes, later. */
static void without_robust_lists(void)
{
    if (refuse_call(SYS_get_robust_list, ENOSYS) != 0 || refuse_call(SYS_set_robust_list, ENOSYS) != 0)
        harness_skip("no seccomp filters here");
    NEED(brood_init(NULL) == 0);
    for (int i = 0; i < 8; i++) {
        struct pair *pair = new_pair();
        bool writes = i & 1;
        pid_t holder = start_holder(pair, writes ? write_and_stay : read_and_stay);
        pid_t waiter = start_waiter(pair, writes ? either_and_release[i / 2 % 2] : write_and_release);
        CHECK_EQ(kill_child(holder), SIGKILL);
        CHECK_EQ(wait_child(waiter), writes ? BROOD_INHERITED << 8 : 0);
        check_free(pair);
    }
    told_until_mended();
    waiting_writer_dies();
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "inherit_later", .run = inherit_later },
        { .name = "inherited_waiting", .run = inherited_waiting },
        { .name = "one_reader_inherits", .run = one_reader_inherits },
        { .name = "told_until_mended", .run = told_until_mended },
        { .name = "readers_die", .run = readers_die },
        { .name = "seats_are_used_again", .run = seats_are_used_again },
        { .name = "some_readers_die", .run = some_readers_die },
        { .name = "waiting_writer_dies", .run = waiting_writer_dies },
        { .name = "reader_and_writer_die", .run = reader_and_writer_die, .deadline_s = 60 },
        { .name = "waiters_die", .run = waiters_die },
        { .name = "releaser_dies", .run = releaser_dies, .deadline_s = 60 },
        { .name = "kill_storm", .run = kill_storm, .deadline_s = 60 },
        { .name = "holder_stopped", .run = holder_stopped },
        { .name = "without_robust_lists", .run = without_robust_lists, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
