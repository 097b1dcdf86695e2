/* pool/await.c */
#include "pool/await.h"

#include "error/error.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/futex.h"
#include "pool/owner.h"
#include "wait/spin.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <time.h>

#define KEEPER_STARTS_NS 5000000 /* between looks at a keeper that has not taken up its duty yet */
#define NO_SEAT_NS 1000000       /* between looks of who found no seat */
#define LOOKS_AT_ONCE 32         /* before it asks for the time */
#define SPIN_AWHILE 4000         /* ns: what falling asleep costs */
#define YIELDS 2
#define SPIN_ANEW 16 /* so often one who gave up spinning tries it all */

bool pool_is_kept(const struct brood_pool *pool)
{
    /* The last that it takes. */
    return atomic_load(&pool->seats[POOL_SEATS - 1].duty.word) & FUTEX_TID_MASK && atomic_load(&thread_deaths_are_told);
}

/* Who owes it runs on this processor, or is about to run anywhere: it is let. */
static bool give_way(const struct await *await)
{
    bool over = false;
    for (int i = 0; i < YIELDS && !over; i++) {
        sched_yield();
        over = await->over(await->context);
    }
    return over;
}

/* A short while awake. True: it has come. */
static bool spin(const struct await *await)
{
    static _Thread_local unsigned tries;
    struct thread *self = thread_self();
    if (!await->cpu)
        return false;
    uint32_t cpu = await->cpu(await->context);
    if (cpu == 0 || cpu == (uint32_t)cpu_current() + 1)
        return give_way(await);
    if (!spin_pays(cpu))
        return false;
    int64_t budget = ++tries % SPIN_ANEW == 0 ? SPIN_MOST : self->spin > SPIN_AWHILE ? self->spin : SPIN_AWHILE;
    int64_t end = clock_now() + budget;
    if (end > await->deadline)
        end = await->deadline;
    bool over = false;
    do {
        for (int i = 0; i < LOOKS_AT_ONCE && !(over = await->over(await->context)); i++)
            cpu_pause();
    } while (!over && clock_now() < end);
    spin_learn(self, over);
    return over;
}

/* From 1; 0: all are taken. */
static unsigned take_seat(struct owner *owner)
{
    for (unsigned seat = 1; seat < WATCH_SEAT; seat++) {
        struct caller *nobody = NULL;
        struct caller *_Atomic *holder = &owner->pool->seats[seat - 1].holder;
        if (!atomic_load_explicit(holder, memory_order_relaxed) &&
            atomic_compare_exchange_strong(holder, &nobody, owner->caller))
            return seat;
    }
    return 0;
}

static void leave_seat(struct owner *owner, unsigned seat)
{
    if (seat)
        atomic_store(&owner->pool->seats[seat - 1].holder, NULL);
    pthread_mutex_lock(&owner->guard);
    owner->fallen = 0;
    pthread_mutex_unlock(&owner->guard);
}

/* Sleeps until there is news, or the keeper dies, or until `deadline`, or for no reason. */
static void sleep_on_duty(const struct await *await, struct seat *seat, uint32_t verdicts, int64_t deadline)
{
    _Atomic uint32_t *duty = &seat->duty.word;
    uint32_t word = atomic_load(duty);
    if (!(word & FUTEX_TID_MASK) || !atomic_load(&thread_deaths_are_told)) {
        int64_t look = clock_now() + KEEPER_STARTS_NS;
        futex_sleep(duty, word, look < deadline ? look : deadline);
        return;
    }
    if (word & SEAT_NEWS) {
        atomic_fetch_and(duty, ~(uint32_t)SEAT_NEWS);
        return;
    }
    if (!(word & FUTEX_WAITERS) && !atomic_compare_exchange_strong(duty, &word, word | FUTEX_WAITERS))
        return;
    /* Read after the word: news that this does not show yet will have changed the word. */
    if (!await->over(await->context) && atomic_load(&await->pool->verdicts) == verdicts &&
        !atomic_load(&await->pool->broken))
        futex_sleep(duty, word | FUTEX_WAITERS, deadline);
}

int pool_foresee(struct brood_pool *pool, uint32_t since, uint32_t *verdicts)
{
    if (atomic_load(&pool->broken))
        return error_set(ENOTRECOVERABLE, "pool '%s' is broken: %s", pool->name, pool->why);
    int failed = pool_why_ended(pool);
    if (failed == 0)
        failed = pool_is_kept(pool) ? 0 : pool_keep(pool);
    if (failed < 0)
        return failed;
    *verdicts = atomic_load(&pool->verdicts);
    int stuck = atomic_load(&pool->stuck);
    if (stuck && *verdicts != since)
        return error_set(EAGAIN, "pool '%s' has no worker and can start none: %s", pool->name, strerror(stuck));
    return 0;
}

/* The same for one who waits; it has heard of it then. */
static int look_around(const struct await *await, uint32_t since, uint32_t *verdicts)
{
    *verdicts = since;
    int failed = pool_foresee(await->pool, since, verdicts);
    if (failed == -EAGAIN && await->heard)
        atomic_store(await->heard, *verdicts);
    return failed;
}

static uint32_t heard_before(const struct await *await)
{
    return atomic_load(await->heard ? await->heard : &await->pool->verdicts);
}

static int64_t earlier(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static int await_in(const struct await *await, unsigned seat)
{
    struct brood_pool *pool = await->pool;
    uint32_t since = heard_before(await), verdicts = since;
    int64_t tick = await->tick ? clock_now() + AWAIT_TICK : CLOCK_NEVER;
    while (!await->over(await->context)) {
        int failed = look_around(await, since, &verdicts);
        if (failed < 0)
            return await->over(await->context) ? 0 : failed;
        int64_t now = clock_now();
        if (now >= await->deadline)
            return -ETIMEDOUT;
        if (now >= tick) {
            await->tick(await->context);
            tick = clock_now() + AWAIT_TICK;
            continue;
        }
        int64_t until = earlier(await->deadline, tick);
        if (seat) {
            sleep_on_duty(await, &pool->seats[seat - 1], verdicts, until);
        } else {
            until = earlier(until - now, NO_SEAT_NS);
            nanosleep(&(struct timespec){ .tv_nsec = (long)until }, NULL);
        }
    }
    return 0;
}

int pool_await(const struct await *await)
{
    struct owner *owner = pool_owner(await->pool);
    if (await->over(await->context))
        return 0;
    if (await->deadline <=
        clock_now()) { /* who only polls also keeps the keeper alive, and learns that it is in vain */
        uint32_t verdicts;
        int failed = look_around(await, heard_before(await), &verdicts);
        return await->over(await->context) ? 0 : failed < 0 ? failed : -ETIMEDOUT;
    }
    if (spin(await))
        return 0;
    unsigned seat = take_seat(owner);
    if (seat)
        await->ask(await->context, seat);
    int result = await_in(await, seat);
    leave_seat(owner, seat);
    return result;
}
