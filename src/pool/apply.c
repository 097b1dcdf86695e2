/* pool/apply.c: one task: brood_pool_apply, brood_pool_apply_async; and brood_pool_map_async, which is as simple. */
#include "error/error.h"
#include "os/clock.h"
#include "pool/call.h"
#include "pool/result.h"
#include "pool/task.h"
#include "process/end.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* ---- the call that waits ---- */

static bool apply_over(void *placed)
{
    return call_is_over(placed);
}

static void apply_ask(void *placed, unsigned seat)
{
    call_ask(placed, seat);
}

static uint32_t apply_cpu(void *placed)
{
    return call_cpu(placed);
}

/* What has become of a call: `failed` as for collect (pool/result.h). */
static int end_call(struct placed *placed, const struct map *map, int failed, brood_end *end)
{
    if (failed < 0)
        call_stop(placed);
    if (call_is_over(placed))
        call_take(placed, map->out, map->out_size, end);
    else
        memset(end, 0, sizeof *end);
    int outcome = failed;
    if (end->how != BROOD_RUNNING) {
        outcome = call_outcome(placed, end);
    } else {
        bool cancelled = failed == -ECANCELED || failed == 0; /* 0: it was taken back */
        *end = (brood_end){ .how = cancelled ? BROOD_CANCELLED : BROOD_RUNNING, .attempt = 1 };
        end->index = placed->call->index;
        end_explain(end);
        if (cancelled)
            outcome = call_outcome(placed, end);
    }
    int error = errno;
    if (map->options.ends)
        *map->options.ends = *end;
    call_release(placed);
    errno = error;
    return outcome;
}

int brood_pool_apply(brood_pool *pool, brood_task *task, const void *in, size_t in_size, void *out, size_t out_size,
                     const brood_task_options *options)
{
    static const char name[] = "brood_pool_apply";
    struct map map = { .pool = pool, .in = in, .out = out, .in_size = in_size, .out_size = out_size, .count = 1 };
    struct placed placed = { 0 };
    brood_end end;
    if (options)
        map.options = *options;
    if (task_is_of(pool))
        return task_run_nested(&map, name, task);
    progress_begin(&map.progress, options);
    int result = pool_use(pool, name, true, &map.owner);
    if (result < 0)
        return result;
    if ((result = map_check(&map, name, task)) == 0)
        result = call_begin(&placed, &map, name, task, 0, false, NULL);
    int failed = errno;
    owner_has_asked(map.owner);
    errno = failed;
    if (result == 0) {
        const struct await await = { .pool = pool,
                                     .over = apply_over,
                                     .ask = apply_ask,
                                     .cpu = apply_cpu,
                                     .context = &placed,
                                     .deadline = CLOCK_NEVER };
        result = end_call(&placed, &map, pool_await(&await), &end);
        progress_tell(&map.progress, 1, 1, result != 0, true);
    }
    failed = errno;
    owner_leave(map.owner);
    errno = failed;
    return result;
}

/* ---- those that do not ---- */

struct later {
    brood_result result;
    struct map map;
    struct placed placed; /* of a call */
};

static bool map_later_is_over(void *result)
{
    struct later *later = result;
    return map_is_over(&later->map);
}

static bool call_later_is_over(void *result)
{
    struct later *later = result;
    return call_is_over(&later->placed);
}

static void map_later_ask(void *result, unsigned seat)
{
    struct later *later = result;
    map_ask(&later->map, seat);
}

static void call_later_ask(void *result, unsigned seat)
{
    struct later *later = result;
    call_ask(&later->placed, seat);
}

static uint32_t call_later_cpu(void *result)
{
    struct later *later = result;
    return call_cpu(&later->placed);
}

/* Several threads may wait for it: one of them tells, and none once it is being collected. */
static void map_later_tick(void *result)
{
    struct later *later = result;
    if (pthread_mutex_trylock(&later->result.guard) != 0)
        return;
    if (!atomic_load(&later->result.collected))
        map_tell(&later->map, false);
    pthread_mutex_unlock(&later->result.guard);
}

static int collect_map(brood_result *result, int failed)
{
    struct later *later = (struct later *)(void *)result;
    return map_end(&later->map, failed);
}

static int collect_call(brood_result *result, int failed)
{
    struct later *later = (struct later *)(void *)result;
    return end_call(&later->placed, &later->map, failed, &result->end);
}

static int finish_later(brood_result *result)
{
    struct later *later = (struct later *)(void *)result;
    if (!result->kind->over(later) && !atomic_load(&result->pool->ended))
        return result_is_busy(result);
    map_forget(&later->map);
    call_release(&later->placed);
    return 0;
}

static void cancel_later(brood_result *result, int64_t at)
{
    struct later *later = (struct later *)(void *)result;
    if (later->map.job)
        map_cancel(&later->map, at);
    else if (call_cancel(&later->placed, at))
        pool_poke(result->pool);
}

static void discard_later(brood_result *result)
{
    pthread_mutex_destroy(&((struct later *)(void *)result)->map.job_guard);
    free(result);
}

static const struct result_kind map_kind = { .over = map_later_is_over,
                                             .ask = map_later_ask,
                                             .tick = map_later_tick,
                                             .collect = collect_map,
                                             .cancel = cancel_later,
                                             .finish = finish_later,
                                             .discard = discard_later };
static const struct result_kind call_kind = { .over = call_later_is_over,
                                              .ask = call_later_ask,
                                              .cpu = call_later_cpu,
                                              .collect = collect_call,
                                              .cancel = cancel_later,
                                              .finish = finish_later,
                                              .discard = discard_later };

/* NULL: no memory. Zeroed in parts: compilers make a calloc(3) of the whole, which looks for memory anew each time. */
static struct later *new_later(const char *name, struct owner *owner, const struct result_kind *kind,
                               const brood_task_options *options)
{
    struct later *later = malloc(sizeof *later);
    if (!later) {
        error_set(ENOMEM, "%s: no memory for a result", name);
        return NULL;
    }
    memset(later, 0, offsetof(struct later, placed));
    memset(&later->placed, 0, sizeof later->placed);
    later->result.kind = kind;
    later->map.pool = owner->pool;
    later->map.owner = owner;
    later->map.job_guard = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    if (options)
        later->map.options = *options;
    result_begin(&later->result, owner, options);
    return later;
}

static struct map *set_items(struct map *map, const void *in, size_t in_size, void *out, size_t out_size, size_t count)
{
    map->in = in;
    map->in_size = in_size;
    map->out = out;
    map->out_size = out_size;
    map->count = count;
    return map;
}

/* Of a call that has been made, or, `failed`, has not. */
static brood_result *hand_out(struct later *later, int failed, struct owner *owner)
{
    int error = errno;
    if (later && failed < 0) {
        result_discard(&later->result);
        later = NULL;
    }
    owner_has_asked(owner);
    owner_leave(owner);
    errno = error;
    return later ? &later->result : NULL;
}

brood_result *brood_pool_apply_async(brood_pool *pool, brood_task *task, const void *in, size_t in_size, void *out,
                                     size_t out_size, const brood_task_options *options)
{
    static const char name[] = "brood_pool_apply_async";
    struct owner *owner;
    int failed = 0;
    if (pool_use(pool, name, true, &owner) < 0)
        return NULL;
    struct later *later = new_later(name, owner, &call_kind, options);
    if (later)
        failed = map_check(set_items(&later->map, in, in_size, out, out_size, 1), name, task);
    if (later && failed == 0)
        failed = call_begin(&later->placed, &later->map, name, task, 0, false, &later->result);
    return hand_out(later, failed, owner);
}

brood_result *brood_pool_map_async(brood_pool *pool, brood_task *task, const void *in, size_t in_size, void *out,
                                   size_t out_size, size_t count, const brood_task_options *options)
{
    static const char name[] = "brood_pool_map_async";
    struct owner *owner;
    int failed = 0;
    if (pool_use(pool, name, true, &owner) < 0)
        return NULL;
    struct later *later = new_later(name, owner, &map_kind, options);
    if (later)
        failed = map_begin(set_items(&later->map, in, in_size, out, out_size, count), name, task);
    if (later && failed == 0) {
        pthread_mutex_lock(&owner->guard);
        result_link(&later->result);
        pthread_mutex_unlock(&owner->guard);
    }
    return hand_out(later, failed, owner);
}

/* ---- looking at them ---- */

int brood_result_end(brood_result *result, brood_end *end)
{
    static const char name[] = "brood_result_end";
    int failed = result_enter(result, name);
    if (failed < 0)
        return failed;
    if (!end)
        return error_set(EINVAL, "%s: end is NULL", name);
    if (result->kind != &call_kind)
        return error_set(EINVAL, "%s: this result is of more than one task", name);
    struct later *later = (struct later *)(void *)result;
    pthread_mutex_lock(&result->guard);
    if (result->collected)
        *end = result->end;
    else if (call_is_over(&later->placed) && later->placed.call->end.how != BROOD_RUNNING)
        *end = later->placed.call->end;
    else if (call_is_over(&later->placed))
        *end = (brood_end){ .how = BROOD_CANCELLED, .attempt = 1, .why = "cancelled" };
    else
        *end = (brood_end){ .how = BROOD_RUNNING, .attempt = 1 };
    pthread_mutex_unlock(&result->guard);
    return 0;
}
