/* lock_recursive.c: a lock that its holder takes again: how often, and that the last release alone lets others in; and
 * how it passes on from a holder that dies in its depth.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define TOLD_MS 2000 /* a hang, not a delay: the header says 50 ms at worst */

static const brood_process_options methods[] = { { .start = BROOD_FORK },
                                                 { .start = BROOD_SPAWN },
                                                 { .start = BROOD_FORKSERVER } };
enum { METHODS = sizeof methods / sizeof *methods };

struct guarded {
    brood_lock lock;
    long count;
    atomic_int stage;
    atomic_int leave;
    int depth;
};

static struct guarded *new_guarded(void)
{
    struct guarded *guarded = CHECK_POINTER(brood_alloc(sizeof *guarded));
    NEED(guarded != NULL);
    CHECK_RESULT(brood_lock_init(&guarded->lock, &(brood_lock_options){ .name = "tree", .recursive = true }), 0);
    return guarded;
}

static void free_guarded(struct guarded *guarded)
{
    CHECK_RESULT(brood_lock_fini(&guarded->lock), 0);
    brood_free(guarded);
}

static void take(struct guarded *guarded, int times)
{
    for (int i = 0; i < times; i++)
        CHECK_RESULT(brood_lock_acquire(&guarded->lock, i % 2 ? 0 : BROOD_FOREVER), 0);
}

static void give(struct guarded *guarded, int times)
{
    for (int i = 0; i < times; i++)
        CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
}

/* What somebody else finds while it is held: nothing to be had. */
static void *find_it_held(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 2), -ETIMEDOUT);
    CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
    CHECK_RESULT(brood_lock_abandon(&guarded->lock), -EPERM);
    CHECK_RESULT(brood_lock_fini(&guarded->lock), -EBUSY);
    return NULL;
}

static void *find_it_free(void *arg)
{
    struct guarded *guarded = arg;
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0); /* it begins anew for each holder */
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
    return NULL;
}

static void in_a_thread(void *(*body)(void *), struct guarded *guarded)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, body, guarded) == 0);
    pthread_join(thread, NULL);
}

static void released_as_often(void)
{
    struct guarded *guarded = new_guarded();
    for (int depth = 1; depth < 6; depth++) {
        take(guarded, depth);
        for (int left = depth; left > 0; left--) {
            CHECK_EQ(brood_lock_holder(&guarded->lock), getpid());
            in_a_thread(find_it_held, guarded);
            CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
        }
        CHECK_EQ(brood_lock_holder(&guarded->lock), 0);
        CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
        CHECK_HAS(brood_error(), "'tree'");
        in_a_thread(find_it_free, guarded);
    }
    take(guarded, 100000);
    in_a_thread(find_it_held, guarded);
    give(guarded, 100000);
    in_a_thread(find_it_free, guarded);
    free_guarded(guarded);
}

/* A bad timeout is one also for its holder. */
static void bad_timeout(void)
{
    struct guarded *guarded = new_guarded();
    take(guarded, 1);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, -2), -EINVAL);
    give(guarded, 1);
    CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
    free_guarded(guarded);
}

/* Not by counting there: `depth` is the lock's last but one 32-bit word, and 2^32 calls take minutes. */
static void too_often(void)
{
    struct guarded *guarded = new_guarded();
    take(guarded, 2);
    uint32_t *depth = (uint32_t *)(void *)&guarded->lock.opaque[6] + 1;
    if (!CHECK_EQ(*depth, 1))
        return;
    *depth = UINT32_MAX - 1;
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), -EOVERFLOW);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, BROOD_FOREVER), -EOVERFLOW);
    CHECK_HAS(brood_error(), "'tree'");
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    *depth = 1;
    give(guarded, 2);
    in_a_thread(find_it_free, guarded);
    free_guarded(guarded);
}

static void abandoned_whole(void)
{
    struct guarded *guarded = new_guarded();
    take(guarded, 5);
    CHECK_RESULT(brood_lock_abandon(&guarded->lock), 0);
    CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), BROOD_INHERITED);
    take(guarded, 2); /* again by the heir: nothing new to know */
    give(guarded, 2);
    CHECK_RESULT(brood_lock_abandon(&guarded->lock), 0);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), BROOD_INHERITED);
    give(guarded, 1);
    CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
    in_a_thread(find_it_free, guarded);
    free_guarded(guarded);
}

/* However often it is taken, it is one of the 1,024 words that a thread may hold. */
static void counts_once(void)
{
    enum { LOCKS = 1023 };
    struct guarded *guarded = new_guarded();
    brood_lock *locks = CHECK_POINTER(brood_alloc_array(LOCKS, sizeof *locks));
    for (int i = 0; i < LOCKS; i++)
        NEED(brood_lock_acquire(&locks[i], 0) == 0);
    take(guarded, 2000);
    give(guarded, 1999);
    struct guarded *other = new_guarded();
    CHECK_RESULT(brood_lock_acquire(&other->lock, 0), -ENOLCK);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0); /* held already: no further word */
    give(guarded, 2);
    take(other, 3);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), -ENOLCK);
    give(other, 3);
    for (int i = 0; i < LOCKS; i++)
        NEED(brood_lock_release(&locks[i]) == 0);
    brood_free(locks);
    free_guarded(other);
    free_guarded(guarded);
}

/* fini forgets that it was recursive. */
static void plain_after_fini(void)
{
    struct guarded *guarded = new_guarded();
    take(guarded, 2);
    CHECK_RESULT(brood_lock_fini(&guarded->lock), -EBUSY);
    give(guarded, 2);
    CHECK_RESULT(brood_lock_fini(&guarded->lock), 0);
    for (int i = 0; i < 8; i++)
        CHECK_EQ((long long)guarded->lock.opaque[i], 0);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), -EDEADLK);
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    free_guarded(guarded);
}

static void descend(struct guarded *guarded, int depth)
{
    CHECK_RESULT(brood_lock_acquire(&guarded->lock, BROOD_FOREVER), 0);
    guarded->count++;
    if (depth > 1)
        descend(guarded, depth - 1);
    CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
}

static void *descend_often(void *arg)
{
    for (int i = 0; i < 10000; i++)
        descend(arg, 1 + i % 4);
    return NULL;
}

static int descend_often_in_process(void *arg)
{
    descend_often(arg);
    return 0;
}

static void excludes_threads(void)
{
    struct guarded *guarded = new_guarded();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&threads[i], NULL, descend_often, guarded) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(guarded->count, 100000);
    free_guarded(guarded);
}

static void join_well(brood_process *process)
{
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

static void excludes_processes(void)
{
    struct guarded *guarded = new_guarded();
    brood_process *processes[METHODS];
    for (int i = 0; i < METHODS; i++)
        processes[i] = brood_process_start(descend_often_in_process, guarded, 0, &methods[i]);
    for (int i = 0; i < METHODS; i++)
        join_well(processes[i]);
    CHECK_EQ(guarded->count, METHODS * 25000L);
    free_guarded(guarded);
}

static int hold_deep(void *arg)
{
    struct guarded *guarded = arg;
    int result = brood_lock_acquire(&guarded->lock, BROOD_FOREVER);
    CHECK(result >= 0);
    for (int i = 1; i < guarded->depth; i++)
        CHECK_RESULT(brood_lock_acquire(&guarded->lock, 0), 0);
    atomic_store(&guarded->stage, 1 + result);
    CHECK(wait_word(&guarded->leave, 1, 15000));
    for (int i = 0; i < guarded->depth; i++)
        CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
    return 0;
}

static void waited_for_to_the_last(void)
{
    for (int i = 0; i < METHODS; i++) {
        struct guarded *guarded = new_guarded();
        guarded->depth = 3;
        brood_process *process = brood_process_start(hold_deep, guarded, 0, &methods[i]);
        NEED(process != NULL);
        CHECK(wait_word(&guarded->stage, 1, 5000));
        CHECK_EQ(brood_lock_holder(&guarded->lock), brood_process_pid(process));
        find_it_held(guarded);
        atomic_store(&guarded->leave, 1);
        CHECK_RESULT(brood_lock_acquire(&guarded->lock, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_lock_release(&guarded->lock), 0);
        join_well(process);
        free_guarded(guarded);
    }
}

/* A holder that dies deep inside passes it on whole; so does its heir, and the depth begins anew each time. */
static void holder_dies(void)
{
    for (int i = 0; i < 20; i++) {
        struct guarded *guarded = new_guarded();
        guarded->depth = 1 + i % 5;
        for (int told = 0; told < 3; told++) {
            atomic_store(&guarded->stage, 0);
            pid_t holder = fork_child(hold_deep, guarded);
            NEED(wait_word(&guarded->stage, 1, 5000));
            CHECK_EQ(atomic_load(&guarded->stage), told ? 1 + BROOD_INHERITED : 1);
            CHECK_EQ(kill_child(holder), SIGKILL);
        }
        CHECK_RESULT(brood_lock_acquire(&guarded->lock, TOLD_MS), BROOD_INHERITED);
        CHECK_HAS(brood_error(), "'tree'");
        take(guarded, 2);
        give(guarded, 2);
        in_a_thread(find_it_held, guarded);
        give(guarded, 1);
        CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
        in_a_thread(find_it_free, guarded);
        free_guarded(guarded);
    }
}

static int not_the_childs(void *arg)
{
    find_it_held(arg);
    CHECK_EQ(brood_lock_holder(&((struct guarded *)arg)->lock), getppid());
    return 0;
}

/* A child that is forked in the depth is not the holder: neither does it take it again, nor give it back. */
static void forked_while_held(void)
{
    struct guarded *guarded = new_guarded();
    take(guarded, 3);
    CHECK_EQ(wait_child(fork_child(not_the_childs, guarded)), 0);
    for (int i = 0; i < METHODS; i++)
        join_well(brood_process_start(not_the_childs, guarded, 0, &methods[i]));
    give(guarded, 3);
    CHECK_RESULT(brood_lock_release(&guarded->lock), -EPERM);
    in_a_thread(find_it_free, guarded);
    free_guarded(guarded);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "released_as_often", .run = released_as_often },
        { .name = "bad_timeout", .run = bad_timeout },
        { .name = "too_often", .run = too_often },
        { .name = "abandoned_whole", .run = abandoned_whole },
        { .name = "counts_once", .run = counts_once },
        { .name = "plain_after_fini", .run = plain_after_fini },
        { .name = "excludes_threads", .run = excludes_threads },
        { .name = "excludes_processes", .run = excludes_processes },
        { .name = "waited_for_to_the_last", .run = waited_for_to_the_last },
        { .name = "holder_dies", .run = holder_dies },
        { .name = "forked_while_held", .run = forked_while_held },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
