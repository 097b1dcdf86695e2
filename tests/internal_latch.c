/* internal_latch.c: src/wait/latch.h: a waiter that was passed over often gets its turn, and turns that nobody is left
 * to take end.
 */
#include "harness.h"
#include "os/futex.h"
#include "wait/latch.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define TURNS (UINT64_C(63) << 58)

struct desk {
    struct robust_word latch;
    atomic_int got;
};

static struct desk *new_desk(void)
{
    struct desk *desk = CHECK_POINTER(brood_alloc(sizeof *desk));
    NEED(desk != NULL);
    return desk;
}

static uint64_t turns_in(struct desk *desk)
{
    return robust_cell(&desk->latch) & TURNS;
}

static int take_and_drop(void *arg)
{
    struct desk *desk = arg;
    struct thread *self = thread_self();
    CHECK_EQ(latch_take(self, &desk->latch, CLOCK_NEVER), LATCH_CLEAN);
    CHECK_EQ((long long)turns_in(desk), 0); /* it was served: those who come need wait no more */
    latch_drop(self, &desk->latch);
    atomic_store(&desk->got, 1);
    return 0;
}

static void *take_in_thread(void *arg)
{
    take_and_drop(arg);
    return NULL;
}

/* Wakes who sleeps on a latch that is held: as often as that it looks in vain. */
static bool pass_over_until_asked(void *arg)
{
    struct desk *desk = arg;
    futex_wake(&desk->latch.word, 1);
    return turns_in(desk) != 0;
}

static void passed_over_it_asks(void)
{
    for (int i = 0; i < 10; i++) {
        struct desk *desk = new_desk();
        struct thread *self = thread_self();
        CHECK_EQ(latch_take(self, &desk->latch, LATCH_TRY), LATCH_CLEAN);
        pthread_t thread;
        NEED(pthread_create(&thread, NULL, take_in_thread, desk) == 0);
        CHECK(wait_until(pass_over_until_asked, desk, 10000));
        CHECK_EQ(atomic_load(&desk->got), 0);
        latch_drop(self, &desk->latch);
        /* We have just come: it is free, perhaps, but not for us, unless the other takes its time. */
        CHECK_EQ(latch_take(self, &desk->latch, CLOCK_NEVER), LATCH_CLEAN);
        latch_drop(self, &desk->latch);
        pthread_join(thread, NULL);
        CHECK_EQ(atomic_load(&desk->got), 1);
        CHECK_EQ((long long)turns_in(desk), 0);
        CHECK_EQ(latch_take(self, &desk->latch, LATCH_TRY), LATCH_CLEAN);
        latch_drop(self, &desk->latch);
        CHECK_EQ((int)atomic_load(&desk->latch.word), 0);
        brood_free(desk);
    }
}

/* One that only tries, or whose time is up, takes what is free; one that is ready to wait does not, at a glance. */
static void a_try_is_not_courteous(void)
{
    struct desk *desk = new_desk();
    struct thread *self = thread_self();
    CHECK_EQ(latch_take(self, &desk->latch, LATCH_GLANCE), LATCH_CLEAN);
    CHECK_EQ(latch_take(self, &desk->latch, LATCH_GLANCE), -ETIMEDOUT);
    thread_expects(self, &desk->latch.word);
    latch_drop(self, &desk->latch);
    atomic_store(&desk->latch.cell, robust_turned(TURNS | FUTEX_WAITERS));
    CHECK_EQ(latch_take(self, &desk->latch, LATCH_GLANCE), -ETIMEDOUT);
    CHECK(!thread_is_expecting(self));
    CHECK_EQ(latch_take(self, &desk->latch, LATCH_TRY), LATCH_CLEAN);
    latch_drop(self, &desk->latch); /* finds nobody asleep: that ends the turns, too */
    CHECK_EQ((int)atomic_load(&desk->latch.word), 0);
    CHECK_EQ((long long)turns_in(desk), 0);
    atomic_store(&desk->latch.cell, robust_turned(TURNS | FUTEX_WAITERS));
    CHECK_EQ(latch_take(self, &desk->latch, clock_now() + 1000), LATCH_CLEAN);
    latch_drop(self, &desk->latch);
    brood_free(desk);
}

/* An asker that dies leaves turns behind: they keep nobody out. */
static void asker_dies(void)
{
    for (int i = 0; i < 10; i++) {
        struct desk *desk = new_desk();
        struct thread *self = thread_self();
        CHECK_EQ(latch_take(self, &desk->latch, LATCH_TRY), LATCH_CLEAN);
        pid_t asker = fork_child(take_and_drop, desk);
        CHECK(wait_until(pass_over_until_asked, desk, 10000));
        if (i % 2)
            CHECK_EQ(kill_child(asker), SIGKILL);
        latch_drop(self, &desk->latch);
        if (i % 2 == 0)
            kill_child(asker); /* woken, perhaps; if it holds the latch, it is inherited */
        int taken = latch_take(self, &desk->latch, CLOCK_NEVER);
        CHECK(taken == LATCH_CLEAN || (i % 2 == 0 && taken == LATCH_INHERITED));
        latch_drop(self, &desk->latch);
        CHECK_EQ(latch_take(self, &desk->latch, CLOCK_NEVER), LATCH_CLEAN);
        latch_drop(self, &desk->latch);
        CHECK_EQ((int)atomic_load(&desk->latch.word), 0);
        CHECK_EQ((long long)turns_in(desk), 0);
        brood_free(desk);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "passed_over_it_asks", .run = passed_over_it_asks },
        { .name = "a_try_is_not_courteous", .run = a_try_is_not_courteous },
        { .name = "asker_dies", .run = asker_dies },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
