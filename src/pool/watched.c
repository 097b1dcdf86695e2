/* pool/watched.c: results, and pools for their callbacks, among the things that can be waited for together
 * (brood/wait.h).
 *
 * Any number may watch, for any time, so they share a seat (struct seat). Who looks and finds nothing has seen to it
 * that the pool has a keeper, and hears of that one's end.
 */
#include "pool/watched.h"

#include "pool/await.h"
#include "pool/result.h"

#include <errno.h>

/* What to sleep on. Before what is watched has the seat told of it, and is looked at. */
static struct futex_watch sit_down(struct brood_pool *pool)
{
    _Atomic uint32_t *turn = &pool->seats[WATCH_SEAT - 1].turn;
    return (struct futex_watch){ turn, atomic_fetch_or(turn, SEAT_WATCHED) | SEAT_WATCHED };
}

/* And whose end tells too; without one that is known, to look again. */
static void follow_keeper(const struct brood_pool *pool, struct waitable_news *news)
{
    int pid = brood_pool_keeper(pool);
    news->process = pid > 0 ? pid : 0;
    news->naps = pid <= 0;
}

static int announce_result(const void *object, const char *call, struct waitable_news *news)
{
    brood_result *result = (brood_result *)(uintptr_t)object;
    int failed = result_enter(result, call);
    if (failed < 0)
        return failed;
    struct brood_pool *pool = result->pool;
    bool (*ready)(void *) = result->kind->ready ? result->kind->ready : result->kind->over;
    void (*ask)(void *, unsigned) = result->kind->ready ? result->kind->ask_ready : result->kind->ask;
    if (!pool || atomic_load(&result->collected) || ready(result))
        return 1;
    struct owner *owner = pool_stay(pool, call);
    if (!owner)
        return -errno;
    uint32_t verdicts;
    news->word = sit_down(pool);
    ask(result, WATCH_SEAT);
    failed = pool_foresee(pool, atomic_load(&result->heard), &verdicts);
    follow_keeper(pool, news);
    bool is = failed < 0 || ready(result);
    owner_leave(owner);
    return is;
}

static int announce_pool(const void *object, const char *call, struct waitable_news *news)
{
    struct brood_pool *pool = (struct brood_pool *)(uintptr_t)object;
    struct owner *owner = pool_stay(pool, call);
    if (!owner)
        return -errno;
    uint32_t verdicts;
    news->word = sit_down(pool);
    results_watch(owner);
    int failed = pool_foresee(pool, atomic_load(&pool->verdicts), &verdicts);
    follow_keeper(pool, news);
    /* A keeper that cannot be started just now is tried again. An ended or broken pool has nothing more to tell. */
    news->naps = (news->naps || failed < 0) && !atomic_load(&pool->ended) && failed != -ENOTRECOVERABLE;
    bool is = results_have_news(owner, thread_self()->id);
    owner_leave(owner);
    return is;
}

/* At load: a process may wait for another's pool before it makes a call on it. */
__attribute__((constructor)) void pool_can_be_watched(void)
{
    waitable_announce_by(BROOD_WAIT_RESULT, announce_result);
    waitable_announce_by(BROOD_WAIT_POOL, announce_pool);
}

int brood_pool_callbacks(brood_pool *pool)
{
    struct owner *owner = pool_stay(pool, "brood_pool_callbacks");
    if (!owner)
        return -errno;
    int count = results_tell(owner, false, false);
    owner_leave(owner);
    return count;
}
