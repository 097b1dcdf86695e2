/* pool/result.c: what all results have in common. */
#include "pool/result.h"

#include "error/error.h"
#include "os/clock.h"
#include "pool/await.h"
#include "region/region.h"
#include "sync/noun.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TELL_FEW 4 /* results looked at by a call that only submits */

int result_enter(const brood_result *result, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!result)
        return error_null(call, "the result");
    if (result->creator != thread_self()->process)
        return error_set(EPERM, "%s: the result belongs to process %d", call, result->creator);
    return 0;
}

/* ---- the pool's list ---- */

void result_begin(brood_result *result, struct owner *owner, const brood_task_options *options)
{
    const struct thread *self = thread_self();
    result->guard = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    result->pool = owner->pool;
    result->owner = owner;
    result->creator = self->process;
    result->thread = self->id;
    result->done = options ? options->done : NULL;
    result->context = options ? options->context : NULL;
    result->told = true;
    result->ticks = options && options->progress;
    result->heard = atomic_load(&owner->pool->verdicts);
}

/* It has a callback to be run from now on, after all others' or before them. Under the pool's guard, as the next. */
static void be_untold(struct owner *owner, brood_result *result, bool first)
{
    brood_result *earlier = first ? NULL : owner->untold_last, *later = first ? owner->untold : NULL;
    result->earlier = earlier;
    result->later = later;
    *(earlier ? &earlier->later : &owner->untold) = result;
    *(later ? &later->earlier : &owner->untold_last) = result;
    owner->callbacks++;
    result->told = false;
}

static void be_told(struct owner *owner, brood_result *result)
{
    if (result->told)
        return;
    *(result->earlier ? &result->earlier->later : &owner->untold) = result->later;
    *(result->later ? &result->later->earlier : &owner->untold_last) = result->earlier;
    owner->callbacks--;
    result->told = true;
}

/* Under the pool's guard. Release: pairs with the end of this call's use of the pool; who destroys that, looks at the
 * uses first. */
static void count_results(struct owner *owner, int change)
{
    _Atomic unsigned *results = &owner->caller->results;
    unsigned count = atomic_load_explicit(results, memory_order_relaxed) + (unsigned)change;
    atomic_store_explicit(results, count, memory_order_release);
}

void result_link(brood_result *result)
{
    struct owner *owner = result->owner;
    count_results(owner, 1);
    result->next = owner->results;
    if (owner->results)
        owner->results->previous = result;
    owner->results = result;
    if (result->done)
        be_untold(owner, result, false);
    bool watched = owner->watched && !result->told;
    if (watched)
        result->kind->ask(result, WATCH_SEAT);
    if (watched && result->kind->over(result)) /* before it was asked, perhaps */
        seat_tell(&owner->pool->seats[WATCH_SEAT - 1]);
}

/* Under the pool's guard. */
static void unlink_result(struct owner *owner, brood_result *result)
{
    *(result->previous ? &result->previous->next : &owner->results) = result->next;
    if (result->next)
        result->next->previous = result->previous;
    be_told(owner, result);
    count_results(owner, -1);
}

void results_ask(struct owner *owner, unsigned seat)
{
    pthread_mutex_lock(&owner->guard);
    for (brood_result *result = owner->results; result; result = result->next)
        result->kind->ask(result, seat);
    pthread_mutex_unlock(&owner->guard);
}

void results_watch(struct owner *owner)
{
    pthread_mutex_lock(&owner->guard);
    owner->watched = true;
    pthread_mutex_unlock(&owner->guard);
    results_ask(owner, WATCH_SEAT);
}

bool results_are_over(struct owner *owner)
{
    bool over = true;
    pthread_mutex_lock(&owner->guard);
    for (brood_result *result = owner->results; result && over; result = result->next)
        over = result->kind->over(result);
    pthread_mutex_unlock(&owner->guard);
    return over;
}

void result_discard(brood_result *result)
{
    pthread_mutex_destroy(&result->guard);
    free(result->sentence);
    result->kind->discard(result);
}

/* ---- what they return ---- */

/* What it returns, found out once, and told each time. */
static int collect(brood_result *result, int failed)
{
    pthread_mutex_lock(&result->guard);
    if (!result->collected) {
        result->outcome = result->kind->collect(result, failed);
        result->sentence = result->outcome ? strdup(brood_error()) : NULL;
        /* Release: pairs with result_await, which then takes the guard all the same. */
        atomic_store_explicit(&result->collected, true, memory_order_release);
    } else if (result->sentence) {
        error_tell("%s", result->sentence);
    }
    int outcome = result->outcome;
    pthread_mutex_unlock(&result->guard);
    if (outcome < 0)
        errno = -outcome;
    return outcome;
}

void results_end(struct brood_pool *pool, int failed)
{
    struct owner *owner = pool_owner(pool);
    for (brood_result *result = owner->results, *next; result; result = next) {
        next = result->next;
        collect(result, result->kind->over(result) ? 0 : failed);
        result->pool = NULL;
        result->previous = result->next = NULL;
    }
    owner->results = owner->untold = owner->untold_last = NULL;
}

static int await(brood_result *result, int64_t deadline)
{
    const struct await await = { .pool = result->pool,
                                 .over = result->kind->over,
                                 .ask = result->kind->ask,
                                 .tick = result->ticks ? result->kind->tick : NULL,
                                 .cpu = result->kind->cpu,
                                 .context = result,
                                 .heard = &result->heard,
                                 .deadline = deadline };
    return pool_await(&await);
}

int result_await(brood_result *result, int64_t deadline)
{
    int failed = 0;
    if (!atomic_load(&result->collected) && !result->kind->over(result)) {
        failed = await(result, deadline);
        if (failed == -ETIMEDOUT)
            return error_set(ETIMEDOUT, "pool '%s': not all that was asked for has ended", result->pool->name);
        /* What stands in its way now may be over at the next call; it is the end only of a pool that has none. */
        if (failed < 0 && failed != -ECANCELED && failed != -ENOTRECOVERABLE && failed != -EOWNERDEAD)
            return failed;
    }
    return collect(result, failed);
}

/* ---- callbacks ---- */

/* There will be no more of it. */
static bool has_come(struct owner *owner, brood_result *result)
{
    return result->kind->over(result) || atomic_load(&owner->pool->ended);
}

/* Whether the thread is in a callback; or, with a result, whether another one is in that one's. Under guard. */
static bool is_telling(const struct owner *owner, uint32_t thread, const brood_result *result)
{
    const struct teller *teller = owner->tellers;
    while (teller && (result ? teller->result != result || teller->thread == thread : teller->thread != thread))
        teller = teller->next;
    return teller;
}

/* The oldest that is to be told, marked so, and `teller` is listed; NULL: there is none. A callback's own calls run no
 * others: each would do so in turn, and the stack would end before the results. */
static brood_result *next_to_tell(struct owner *owner, struct teller *teller, bool everyone, bool few)
{
    uint32_t thread = teller->thread;
    int looks = few ? TELL_FEW : INT32_MAX;
    brood_result *result = NULL;
    pthread_mutex_lock(&owner->guard);
    if (owner->callbacks && !is_telling(owner, thread, NULL))
        for (result = owner->untold; result; result = --looks > 0 ? result->later : NULL)
            if ((everyone || result->thread == thread) && has_come(owner, result))
                break;
    if (result) {
        be_told(owner, result);
        teller->result = result;
        teller->next = owner->tellers;
        owner->tellers = teller;
    }
    pthread_mutex_unlock(&owner->guard);
    return result;
}

static void end_telling(struct owner *owner, const struct teller *teller)
{
    pthread_mutex_lock(&owner->guard);
    struct teller **at = &owner->tellers;
    while (*at != teller)
        at = &(*at)->next;
    *at = teller->next;
    pthread_mutex_unlock(&owner->guard);
}

int results_tell(struct owner *owner, bool everyone, bool few)
{
    int count = 0;
    const struct brood_pool *pool = owner->pool;
    struct teller teller = { .thread = thread_self()->id };
    brood_result *result;
    while ((result = next_to_tell(owner, &teller, everyone, few))) {
        result->done(result->context, result, collect(result, result->kind->over(result) ? 0 : pool_why_ended(pool)));
        end_telling(owner, &teller); /* the result may be gone */
        count++;
    }
    return count;
}

bool results_have_news(struct owner *owner, uint32_t thread)
{
    bool news = false;
    pthread_mutex_lock(&owner->guard);
    for (brood_result *result = owner->untold; result && !news; result = result->later)
        news = (!thread || result->thread == thread) && has_come(owner, result);
    pthread_mutex_unlock(&owner->guard);
    return news;
}

/* ---- public ---- */

int brood_result_cancel(brood_result *result, int grace_ms)
{
    static const char call[] = "brood_result_cancel";
    int64_t at;
    int failed = result_enter(result, call);
    if (failed < 0 || (failed = noun_deadline(call, grace_ms, &at)) < 0)
        return failed;
    struct brood_pool *pool = result->pool;
    if (!pool)
        return 0;
    if ((failed = owner_use(result->owner, call, false)) < 0)
        return failed;
    if (!atomic_load(&pool->ended) && !pool_is_kept(pool))
        failed = pool_keep(pool);
    pthread_mutex_lock(&result->guard);
    if (!result->collected && failed == 0 && !atomic_load(&pool->ended))
        result->kind->cancel(result, at);
    pthread_mutex_unlock(&result->guard);
    owner_leave(result->owner);
    return failed == -ECANCELED || failed == -EOWNERDEAD ? 0 : failed; /* a pool that has ended runs nothing */
}

int result_is_busy(const brood_result *result)
{
    return error_set(EBUSY, "pool '%s': not all that was asked for has ended", result->pool->name);
}

/* No thread begins its callback from here on. False: another one is in it. */
static bool silence(struct owner *owner, brood_result *result, bool *silenced)
{
    pthread_mutex_lock(&owner->guard);
    bool told_now = is_telling(owner, thread_self()->id, result);
    *silenced = !told_now && !result->told;
    if (*silenced)
        be_told(owner, result);
    pthread_mutex_unlock(&owner->guard);
    return !told_now;
}

static void unsilence(struct owner *owner, brood_result *result)
{
    pthread_mutex_lock(&owner->guard);
    be_untold(owner, result, true);
    pthread_mutex_unlock(&owner->guard);
}

int brood_result_destroy(brood_result *result)
{
    static const char call[] = "brood_result_destroy";
    int failed = result ? result_enter(result, call) : 0;
    if (!result || failed < 0)
        return failed;
    struct owner *owner = result->pool ? result->owner : NULL;
    if (owner && ((failed = owner_use(owner, call, false)) < 0))
        return failed;
    bool silenced = false;
    if (owner && result->done && !silence(owner, result, &silenced))
        failed = error_set(EBUSY, "pool '%s': another thread is in the callback of this result", owner->pool->name);
    if (owner && failed == 0 && (failed = result->kind->finish(result)) < 0 && silenced)
        unsilence(owner, result);
    if (owner && failed == 0) {
        pthread_mutex_lock(&owner->guard);
        unlink_result(owner, result);
        pthread_mutex_unlock(&owner->guard);
    }
    if (failed == 0)
        result_discard(result);
    if (owner)
        owner_leave(owner);
    return failed;
}

int brood_result_wait(brood_result *result, int timeout_ms)
{
    static const char call[] = "brood_result_wait";
    int64_t deadline;
    int failed = result_enter(result, call);
    if (failed < 0 || (failed = noun_deadline(call, timeout_ms, &deadline)) < 0)
        return failed;
    if (result->kind->one_by_one)
        return error_set(EINVAL, "%s: imap's results are for brood_result_next", call);
    if (!result->pool)
        return collect(result, 0);
    struct owner *owner = result->owner;
    if ((failed = owner_use(owner, call, false)) < 0)
        return failed;
    int outcome = result_await(result, deadline);
    owner_leave(owner);
    return outcome;
}
