/* rwlock_share.c: one rwlock for many processes: readers share, writers exclude; and what a fork does to one that is
 * held: nothing.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static const brood_process_options methods[] = { { .start = BROOD_FORK },
                                                 { .start = BROOD_SPAWN },
                                                 { .start = BROOD_FORKSERVER } };
enum { METHODS = sizeof methods / sizeof *methods };

struct guarded {
    brood_rwlock rwlock;
    long first, second; /* equal for everyone but a writer */
    atomic_int stage;
    atomic_int leave;
    atomic_int readers, writers;
};

static struct guarded *new_guarded(void)
{
    struct guarded *guarded = CHECK_POINTER(brood_alloc(sizeof *guarded));
    NEED(guarded != NULL);
    return guarded;
}

static void free_guarded(struct guarded *guarded)
{
    CHECK_RESULT(brood_rwlock_fini(&guarded->rwlock), 0);
    brood_free(guarded);
}

static void join_well(brood_process *process)
{
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

static int read_and_write(void *arg)
{
    struct guarded *guarded = arg;
    uint32_t state = (uint32_t)getpid();
    for (int i = 0; i < 20000; i++) {
        if (random_next(&state) % 10) {
            NEED(brood_rwlock_acquire_read(&guarded->rwlock, BROOD_FOREVER) == 0);
            atomic_fetch_add(&guarded->readers, 1);
            NEED(atomic_load(&guarded->writers) == 0);
            NEED(guarded->first == guarded->second);
            atomic_fetch_sub(&guarded->readers, 1);
        } else {
            NEED(brood_rwlock_acquire_write(&guarded->rwlock, BROOD_FOREVER) == 0);
            NEED(atomic_fetch_add(&guarded->writers, 1) == 0);
            NEED(atomic_load(&guarded->readers) == 0);
            guarded->first++;
            atomic_signal_fence(memory_order_seq_cst);
            guarded->second++;
            atomic_fetch_sub(&guarded->writers, 1);
        }
        NEED(brood_rwlock_release(&guarded->rwlock) == 0);
    }
    return 0;
}

static void excludes_processes(void)
{
    enum { PROCESSES = 6 };
    struct guarded *guarded = new_guarded();
    brood_process *processes[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        processes[i] = brood_process_start(read_and_write, guarded, 0, &methods[i % METHODS]);
    for (int i = 0; i < PROCESSES; i++)
        join_well(processes[i]);
    CHECK(guarded->first > 0);
    CHECK_EQ(guarded->first, guarded->second);
    CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), 0);
    CHECK_EQ(brood_rwlock_holder(&guarded->rwlock), 0);
    free_guarded(guarded);
}

static int read_and_stay(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, 0), 0);
    atomic_fetch_add(&guarded->stage, 1);
    CHECK(wait_word(&guarded->leave, 1, 15000));
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
    return 0;
}

/* Twelve at once, more than the first block has seats for, and each gets in by a mere try. */
static void readers_share(void)
{
    enum { READERS = 12 };
    struct guarded *guarded = new_guarded();
    brood_process *processes[READERS];
    for (int i = 0; i < READERS; i++)
        processes[i] = brood_process_start(read_and_stay, guarded, 0, &methods[i % METHODS]);
    CHECK(wait_word(&guarded->stage, READERS, 10000));
    CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), READERS);
    CHECK_EQ(brood_rwlock_holder(&guarded->rwlock), 0);
    CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, 30), -ETIMEDOUT);
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_abandon(&guarded->rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_fini(&guarded->rwlock), -EBUSY);
    atomic_store(&guarded->leave, 1);
    CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, BROOD_FOREVER), 0);
    CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), 0);
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
    for (int i = 0; i < READERS; i++)
        join_well(processes[i]);
    free_guarded(guarded);
}

static int write_and_stay(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, BROOD_FOREVER), 0);
    atomic_fetch_add(&guarded->stage, 1);
    CHECK(wait_word(&guarded->leave, 1, 15000));
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
    return 0;
}

static void writer_is_told(void)
{
    for (int i = 0; i < METHODS; i++) {
        struct guarded *guarded = new_guarded();
        brood_process *process = brood_process_start(write_and_stay, guarded, 0, &methods[i]);
        NEED(process != NULL);
        CHECK(wait_word(&guarded->stage, 1, 5000));
        CHECK_EQ(brood_rwlock_holder(&guarded->rwlock), brood_process_pid(process));
        CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), -EPERM);
        CHECK_RESULT(brood_rwlock_abandon(&guarded->rwlock), -EPERM);
        CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, 0), -ETIMEDOUT);
        CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, 30), -ETIMEDOUT);
        CHECK_RESULT(brood_rwlock_fini(&guarded->rwlock), -EBUSY);
        atomic_store(&guarded->leave, 1);
        CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, BROOD_FOREVER), 0);
        CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), 1);
        CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
        join_well(process);
        free_guarded(guarded);
    }
}

static int read_once(void *arg)
{
    struct guarded *guarded = arg;
    atomic_fetch_add(&guarded->stage, 1);
    CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, BROOD_FOREVER), 0);
    atomic_fetch_add(&guarded->readers, 1);
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
    return 0;
}

static int write_once(void *arg)
{
    struct guarded *guarded = arg;
    atomic_fetch_add(&guarded->stage, 1);
    CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, BROOD_FOREVER), 0);
    guarded->first++;
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
    return 0;
}

/* One release lets them all through, readers and writers. */
static void many_waiters(void)
{
    enum { WAITERS = 12 };
    struct guarded *guarded = new_guarded();
    CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, 0), 0);
    brood_process *processes[WAITERS];
    for (int i = 0; i < WAITERS; i++)
        processes[i] = brood_process_start(i % 3 ? read_once : write_once, guarded, 0, &methods[i % 4 == 3]);
    CHECK(wait_word(&guarded->stage, WAITERS, 10000));
    CHECK_EQ(guarded->first, 0);
    CHECK_EQ(atomic_load(&guarded->readers), 0);
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
    for (int i = 0; i < WAITERS; i++)
        join_well(processes[i]);
    CHECK_EQ(guarded->first, 4);
    CHECK_EQ(atomic_load(&guarded->readers), 8);
    free_guarded(guarded);
}

/* `first` says how its parent holds it: 1 to write, 0 to read. */
static int not_the_childs(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_abandon(&guarded->rwlock), -EPERM);
    CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, 20), -ETIMEDOUT);
    CHECK_EQ(brood_rwlock_holder(&guarded->rwlock), guarded->first ? getppid() : 0);
    CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), !guarded->first);
    CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, 0), guarded->first ? -ETIMEDOUT : 0);
    return 0; /* if it reads, with that in its hands */
}

static int die_at_once(void *arg)
{
    (void)arg;
    raise(SIGKILL);
    return 0;
}

/* A child that is forked while its parent holds it does not hold it, and its death gives nothing back. */
static void forked_while_held(void)
{
    for (int writes = 0; writes < 2; writes++) {
        struct guarded *guarded = new_guarded();
        CHECK_RESULT((writes ? brood_rwlock_acquire_write : brood_rwlock_acquire_read)(&guarded->rwlock, 0), 0);
        guarded->first = writes;
        CHECK_EQ(wait_child(fork_child(not_the_childs, guarded)), 0);
        CHECK_EQ(wait_child(fork_child(die_at_once, NULL)), SIGKILL);
        for (int i = 0; i < METHODS; i++)
            join_well(brood_process_start(not_the_childs, guarded, 0, &methods[i]));
        CHECK_EQ(brood_rwlock_holder(&guarded->rwlock), writes ? getpid() : 0);
        CHECK_EQ(brood_rwlock_readers(&guarded->rwlock), !writes);
        CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, 0), -EDEADLK);
        CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
        CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_rwlock_release(&guarded->rwlock), 0);
        free_guarded(guarded);
    }
}

static void *fork_and_look(void *arg)
{
    for (int i = 0; i < 30; i++)
        CHECK_EQ(wait_child(fork_child(i % 3 ? read_once : write_once, arg)), 0);
    return NULL;
}

static void *write_often(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 20000; i++) {
        if (!CHECK_RESULT(brood_rwlock_acquire_write(&guarded->rwlock, BROOD_FOREVER), 0))
            return NULL;
        guarded->first++;
        NEED(brood_rwlock_release(&guarded->rwlock) == 0);
    }
    return NULL;
}

static void *read_often(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 20000; i++) {
        if (!CHECK_RESULT(brood_rwlock_acquire_read(&guarded->rwlock, BROOD_FOREVER), 0))
            return NULL;
        NEED(brood_rwlock_release(&guarded->rwlock) == 0);
    }
    return NULL;
}

/* Forks by hand in a process whose threads use it all the time. */
static void forked_under_use(void)
{
    struct guarded *guarded = new_guarded();
    static void *(*const bodies[])(void *) = { fork_and_look, write_often, read_often };
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        NEED(pthread_create(&threads[i], NULL, bodies[i], guarded) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(guarded->first, 20010);
    free_guarded(guarded);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "excludes_processes", .run = excludes_processes, .deadline_s = 60 },
        { .name = "readers_share", .run = readers_share },
        { .name = "writer_is_told", .run = writer_is_told },
        { .name = "many_waiters", .run = many_waiters },
        { .name = "forked_while_held", .run = forked_while_held },
        { .name = "forked_under_use", .run = forked_under_use },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
