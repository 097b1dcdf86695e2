/* pool/imap.c: results one by one, of items that a source yields.
 *
 * A window of `ahead` slots, each a call of its own (pool/call.h). It is filled when a result is asked for, never by
 * itself, so memory is bounded by it.
 */
#include "error/error.h"
#include "os/clock.h"
#include "pool/call.h"
#include "pool/result.h"
#include "process/end.h"
#include "sync/noun.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD_EACH 4 /* items for each worker, where nothing is said */
#define AHEAD_MOST (1U << 20)

struct imap {
    brood_result result;
    brood_task *task;
    brood_source *source;
    void *context;
    size_t in_size, out_size;
    brood_task_options options;
    void *item;       /* what the source filled last */
    bool held;        /* and has not been put yet */
    _Atomic bool dry; /* there are no more */
    int failed;       /* the source's code; 0 */
    bool busy;        /* a thread is in brood_result_next; under the result's guard */
    /* Changed by that thread alone, with `slots_guard` held, since others look whether all is over. */
    pthread_mutex_t slots_guard;
    bool cancelled; /* and when what runs is ended: also with the guard held */
    int64_t cancel_at;
    struct placed *slots;
    size_t ahead;
    uint64_t read;  /* items that were put: each in the slot of its index, modulo `ahead`, unless unordered */
    uint64_t given; /* results that were handed out */
    struct watch watch;
    struct progress progress; /* by that thread alone, as the next two */
    size_t failures;          /* results that were handed out and had failed */
    size_t turn;              /* unordered: where to look first */
};

static bool slots_hold(struct imap *imap, bool (*holds)(const struct placed *placed), bool all)
{
    pthread_mutex_lock(&imap->slots_guard);
    bool found = all;
    for (size_t i = 0; i < imap->ahead && found == all; i++)
        if (imap->slots[i].call)
            found = holds(&imap->slots[i]);
    pthread_mutex_unlock(&imap->slots_guard);
    return found;
}

static bool all_over(void *result)
{
    return slots_hold(result, call_is_over, true);
}

static void ask_all(void *result, unsigned seat)
{
    struct imap *imap = result;
    pthread_mutex_lock(&imap->slots_guard);
    for (size_t i = 0; i < imap->ahead; i++)
        call_ask(&imap->slots[i], seat);
    pthread_mutex_unlock(&imap->slots_guard);
}

/* Whether the next result is there, in order or the first that is over from `turn` on, and in which slot. */
static bool find_next(const struct imap *imap, size_t *at)
{
    *at = imap->given % imap->ahead;
    if (!imap->options.unordered)
        return call_is_over(&imap->slots[*at]);
    for (size_t i = 0; i < imap->ahead; i++) {
        *at = (imap->turn + i) % imap->ahead;
        if (imap->slots[*at].call && call_is_over(&imap->slots[*at]))
            return true;
    }
    return false;
}

static bool next_is_over(void *result)
{
    size_t at;
    return find_next(result, &at);
}

static void ask_next(void *result, unsigned seat)
{
    struct imap *imap = result;
    if (imap->options.unordered)
        ask_all(imap, seat);
    else
        call_ask(&imap->slots[imap->given % imap->ahead], seat);
}

/* For those who watch: whether brood_result_next would not wait. */
static bool is_ready(void *result)
{
    struct imap *imap = result;
    size_t at;
    pthread_mutex_lock(&imap->slots_guard);
    bool ready = imap->given == imap->read || find_next(imap, &at);
    pthread_mutex_unlock(&imap->slots_guard);
    return ready;
}

static void ask_ready(void *result, unsigned seat)
{
    struct imap *imap = result;
    if (imap->options.unordered) {
        ask_all(imap, seat);
        return;
    }
    pthread_mutex_lock(&imap->slots_guard);
    call_ask(&imap->slots[imap->given % imap->ahead], seat);
    pthread_mutex_unlock(&imap->slots_guard);
}

static uint32_t next_cpu(void *result)
{
    struct imap *imap = result;
    return imap->options.unordered ? 0 : call_cpu(&imap->slots[imap->given % imap->ahead]);
}

/* ---- reading ahead ---- */

static struct placed *free_slot(struct imap *imap)
{
    if (!imap->options.unordered)
        return imap->slots[imap->read % imap->ahead].call ? NULL : &imap->slots[imap->read % imap->ahead];
    for (size_t i = 0; i < imap->ahead; i++) {
        size_t at = (imap->turn + i) % imap->ahead;
        if (!imap->slots[at].call)
            return &imap->slots[at];
    }
    return NULL;
}

static void read_one(struct imap *imap)
{
    int code = imap->source(imap->context, imap->item);
    imap->held = code == 0;
    if (code != 0) /* else it stays as it is: it may have been cancelled meanwhile */
        imap->dry = true;
    imap->failed = code < 0 ? code : 0;
}

/* Until the window is full, or the source dry, or the pool closed. 0, or -errno with a sentence: it could not be. */
static int fill(struct imap *imap, const char *name)
{
    struct brood_pool *pool = imap->result.pool;
    struct placed *slot;
    while ((slot = free_slot(imap))) {
        bool closed = owner_is_closed(imap->result.owner);
        if (!imap->held && !imap->dry && !closed)
            read_one(imap);
        if (!imap->held || imap->dry || closed)
            return 0;
        struct map map = { .pool = pool, .owner = imap->result.owner, .count = 1 };
        map.in = imap->in_size ? imap->item : NULL;
        map.in_size = imap->in_size;
        map.out_size = imap->out_size;
        map.options = imap->options;
        struct placed placed = { 0 };
        int failed = call_begin(&placed, &map, name, imap->task, imap->read, true, NULL);
        if (failed < 0)
            return failed;
        pthread_mutex_lock(&imap->slots_guard);
        *slot = placed;
        imap->read++;
        imap->held = false;
        bool runs = imap->cancelled && call_cancel(slot, imap->cancel_at); /* it was put just then */
        pthread_mutex_unlock(&imap->slots_guard);
        if (runs)
            pool_poke(pool);
    }
    return 0;
}

/* ---- handing out ---- */

static void tell(struct imap *imap, bool over)
{
    if (progress_is_due(&imap->progress, over))
        progress_tell(&imap->progress, imap->given, imap->dry ? imap->read : imap->options.expect, imap->failures,
                      over);
}

static void tick(void *imap)
{
    tell(imap, false);
}

static int hand_out(struct imap *imap, struct placed *slot, void *out, brood_end *end)
{
    brood_end own;
    end = end ? end : &own;
    size_t index = slot->call->index;
    call_take(slot, out, imap->out_size, end);
    if (end->how == BROOD_RUNNING) { /* it was taken back, or the pool ended */
        *end = (brood_end){ .how = BROOD_CANCELLED, .attempt = 1, .index = index };
        end_explain(end);
    }
    int outcome = call_outcome(slot, end);
    int error = errno;
    pthread_mutex_lock(&imap->slots_guard);
    struct placed old = *slot;
    slot->call = NULL;
    imap->given++;
    pthread_mutex_unlock(&imap->slots_guard);
    call_release(&old);
    imap->failures += outcome != 0;
    tell(imap, false);
    errno = error;
    return outcome;
}

static int next(struct imap *imap, const char *name, void *out, brood_end *end, int64_t deadline)
{
    struct brood_pool *pool = imap->result.pool;
    int failed = fill(imap, name);
    if (imap->given == imap->read) {
        if (failed < 0)
            return failed;
        tell(imap, true);
        if (imap->failed)
            return error_set(-imap->failed, "the source of pool '%s' failed", pool->name);
        return error_set(EPIPE, "there are no more results of pool '%s'", pool->name);
    }
    const struct await await = { .pool = pool,
                                 .over = next_is_over,
                                 .ask = ask_next,
                                 .tick = imap->progress.teller ? tick : NULL,
                                 .cpu = next_cpu,
                                 .context = imap,
                                 .heard = &imap->result.heard,
                                 .deadline = deadline };
    failed = pool_await(&await);
    if (failed == -ETIMEDOUT)
        return error_set(ETIMEDOUT, "the next result of pool '%s' is not there", pool->name);
    if (failed < 0 && failed != -ECANCELED)
        return failed;
    size_t at;
    if (!find_next(imap, &at)) /* the pool was ended, so that no more will be over: any of those there are */
        while (!imap->slots[at].call)
            at = (at + 1) % imap->ahead;
    pthread_mutex_lock(&imap->slots_guard);
    imap->turn = at;
    pthread_mutex_unlock(&imap->slots_guard);
    return hand_out(imap, &imap->slots[at], out, end);
}

/* One thread at a time. */
static int begin_next(struct imap *imap, const char *name)
{
    pthread_mutex_lock(&imap->result.guard);
    bool busy = imap->busy;
    imap->busy = true;
    pthread_mutex_unlock(&imap->result.guard);
    return busy ? error_set(EBUSY, "%s: another thread is in it", name) : 0;
}

static void end_next(struct imap *imap)
{
    pthread_mutex_lock(&imap->result.guard);
    imap->busy = false;
    pthread_mutex_unlock(&imap->result.guard);
}

/* The pool is being destroyed: nothing is left to ask for. */
static int collect(brood_result *result, int failed)
{
    struct imap *imap = (struct imap *)(void *)result;
    (void)failed;
    tell(imap, true);
    for (size_t i = 0; i < imap->ahead; i++)
        call_release(&imap->slots[i]);
    task_unwatch(result->owner, &imap->watch);
    imap->dry = true;
    return 0;
}

static void discard(struct imap *imap)
{
    pthread_mutex_destroy(&imap->slots_guard);
    free(imap->slots);
    free(imap->item);
    free(imap);
}

static void cancel(brood_result *result, int64_t at)
{
    struct imap *imap = (struct imap *)(void *)result;
    bool runs = false;
    imap->dry = true;
    task_watch(result->owner, &imap->watch); /* once: each call's own then takes no lock */
    pthread_mutex_lock(&imap->slots_guard);
    imap->cancelled = true;
    imap->cancel_at = at;
    for (size_t i = 0; i < imap->ahead; i++)
        runs |= call_cancel(&imap->slots[i], at);
    pthread_mutex_unlock(&imap->slots_guard);
    if (runs)
        pool_poke(result->pool);
}

static void discard_result(brood_result *result)
{
    discard((struct imap *)(void *)result);
}

/* Takes back what nobody has begun, and waits for the rest; a pool that cannot end it has no worker in it. */
static int finish(brood_result *result)
{
    struct imap *imap = (struct imap *)(void *)result;
    const struct await await = {
        .pool = result->pool, .over = all_over, .ask = ask_all, .context = imap, .deadline = CLOCK_NEVER
    };
    int failed = begin_next(imap, "brood_result_destroy");
    if (failed < 0)
        return failed;
    for (size_t i = 0; i < imap->ahead; i++) {
        struct placed *slot = &imap->slots[i];
        if (!slot->call)
            continue;
        atomic_store(&slot->call->retries, 0); /* a worker's death ends it, too */
        ring_take_back(slot->ring, slot->number);
    }
    if (pool_await(&await) < 0)
        for (size_t i = 0; i < imap->ahead; i++)
            call_stop(&imap->slots[i]);
    return collect(result, 0);
}

static const struct result_kind imap_kind = { .over = all_over,
                                              .ask = ask_all,
                                              .one_by_one = true,
                                              .ready = is_ready,
                                              .ask_ready = ask_ready,
                                              .collect = collect,
                                              .cancel = cancel,
                                              .finish = finish,
                                              .discard = discard_result };

int brood_result_next(brood_result *result, void *out, brood_end *end, int timeout_ms)
{
    static const char name[] = "brood_result_next";
    int64_t deadline;
    int failed = result_enter(result, name);
    if (failed < 0 || (failed = noun_deadline(name, timeout_ms, &deadline)) < 0)
        return failed;
    if (result->kind != &imap_kind)
        return error_set(EINVAL, "%s: only imap has results one by one", name);
    struct imap *imap = (struct imap *)(void *)result;
    if (out && !imap->out_size)
        return error_set(EINVAL, "%s: out is there, but results have no size", name);
    if (!result->pool)
        return error_set(EPIPE, "%s: the pool was destroyed", name);
    if ((failed = begin_next(imap, name)) < 0)
        return failed;
    int outcome = owner_use(result->owner, name, false);
    if (outcome == 0) {
        outcome = next(imap, name, out, end, deadline);
        owner_leave(result->owner);
    }
    int error = errno;
    end_next(imap);
    errno = error;
    return outcome;
}

/* ---- its beginning ---- */

static int check(const char *name, const struct map *map, brood_task *task, brood_source *source)
{
    const brood_task_options *options = &map->options;
    int failed = task_check(name, task, options);
    if (failed < 0)
        return failed;
    if (!source)
        return error_set(EINVAL, "%s: source is NULL", name);
    if (options->ends || options->chunk || options->done)
        return error_set(EINVAL, "%s: ends, chunk and done are not for it", name);
    if (map->out_size == BROOD_STRINGS)
        return error_set(EINVAL, "%s: results of varying size are BROOD_BLOCKS", name);
    if (options->ahead > AHEAD_MOST)
        return error_set(EINVAL, "%s: %zu items ahead: at most %u can be had", name, options->ahead, AHEAD_MOST);
    return 0;
}

static struct imap *make(const char *name, const struct map *map)
{
    struct imap *imap = calloc(1, sizeof *imap);
    size_t item = task_varies(map->in_size) ? sizeof(brood_block) : map->in_size;
    if (imap) {
        pthread_mutex_init(&imap->slots_guard, NULL);
        imap->ahead = map->options.ahead ? map->options.ahead : (size_t)atomic_load(&map->pool->wanted) * AHEAD_EACH;
        imap->slots = calloc(imap->ahead, sizeof *imap->slots);
        imap->item = calloc(1, item ? item : 1);
    }
    if (imap && imap->slots && imap->item)
        return imap;
    if (imap)
        discard(imap);
    error_set(ENOMEM, "%s: no memory for a result", name);
    return NULL;
}

brood_result *brood_pool_imap(brood_pool *pool, brood_task *task, brood_source *source, void *context, size_t in_size,
                              size_t out_size, const brood_task_options *options)
{
    static const char name[] = "brood_pool_imap";
    struct map map = { .pool = pool, .in_size = in_size, .out_size = out_size, .count = 1 };
    if (options)
        map.options = *options;
    if (pool_use(pool, name, true, &map.owner) < 0)
        return NULL;
    owner_has_asked(map.owner); /* its source may itself wait for who joins */
    struct imap *imap = check(name, &map, task, source) < 0 ? NULL : make(name, &map);
    if (imap) {
        imap->task = task;
        imap->source = source;
        imap->context = context;
        imap->in_size = in_size;
        imap->out_size = out_size;
        imap->options = map.options;
        progress_begin(&imap->progress, options);
        imap->result.kind = &imap_kind;
        result_begin(&imap->result, map.owner, NULL);
        int failed = fill(imap, name);
        if (failed < 0 && imap->read == 0 && failed != -ENOMEM) {
            result_discard(&imap->result);
            imap = NULL;
        } else {
            pthread_mutex_lock(&map.owner->guard);
            result_link(&imap->result);
            pthread_mutex_unlock(&map.owner->guard);
        }
    }
    int error = errno;
    owner_leave(map.owner);
    errno = error;
    return imap ? &imap->result : NULL;
}
