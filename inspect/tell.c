/* tell.c: what was seen, as JSON. Times are milliseconds, amounts bytes. */
#include "command.h"
#include "words.h"

#include <inttypes.h>
#include <string.h>

static void tell_address(struct json *json, const char *key, const void *address)
{
    char text[24];
    snprintf(text, sizeof text, "%#" PRIxPTR, (uintptr_t)address);
    json_text(json, key, text);
}

static void tell_wait(struct json *json, const char *key, const struct seen_wait *wait)
{
    json_open(json, key, '{');
    json_number(json, "pid", wait->pid);
    json_number(json, "tid", wait->tid);
    json_text(json, "process", wait->process);
    tell_address(json, "object", wait->object);
    json_text(json, "what", wait->what);
    if (wait->holder) {
        json_number(json, "holder", wait->holder);
        json_number(json, "holder_tid", wait->holder_tid);
    }
    json_number(json, "waited_ms", wait->waited_ms);
    json_close(json, '}');
}

void tell_process(struct json *json, const struct sight *sight, const struct seen_process *process)
{
    json_open(json, NULL, '{');
    json_number(json, "pid", process->pid);
    json_text(json, "name", process->name);
    json_text(json, "state", words_state(process->state));
    json_number(json, "starter", process->starter);
    json_bool(json, "member", process->is_member);
    json_number(json, "threads", process->threads);
    json_number(json, "age_ms", process->age_ms);
    json_number(json, "cpu_ms", process->cpu_ms);
    json_number(json, "resident", process->resident);
    json_number(json, "own", process->own);
    json_open(json, "waits", '[');
    for (size_t i = 0; i < sight->wait_count; i++)
        if (sight->waits[i].pid == process->pid)
            tell_wait(json, NULL, &sight->waits[i]);
    json_close(json, ']');
    json_close(json, '}');
}

void tell_waits(struct json *json, const struct sight *sight)
{
    json_open(json, "waits", '[');
    for (size_t i = 0; i < sight->wait_count; i++)
        tell_wait(json, NULL, &sight->waits[i]);
    json_close(json, ']');
}

void tell_heap(struct json *json, const struct seen_heap *heap)
{
    json_open(json, "heap", '{');
    json_number(json, "limit", (int64_t)heap->limit);
    json_number(json, "held", (int64_t)heap->held);
    json_number(json, "peak", (int64_t)heap->peak);
    json_number(json, "backed", (int64_t)heap->backed);
    json_number(json, "blocks", (int64_t)heap->blocks);
    json_number(json, "used", (int64_t)heap->used);
    json_bool(json, "partly", heap->partly);
    json_bool(json, "overlooked", heap->overlooked);
    json_close(json, '}');
}

void tell_queues(struct json *json, const struct sight *sight)
{
    json_open(json, "queues", '[');
    for (size_t i = 0; i < sight->queue_count; i++) {
        const struct seen_queue *queue = &sight->queues[i];
        json_open(json, NULL, '{');
        tell_address(json, "object", queue->object);
        json_text(json, "what", queue->what);
        json_number(json, "messages", (int64_t)queue->messages);
        json_number(json, "bytes", (int64_t)queue->bytes);
        json_number(json, "max_messages", (int64_t)queue->max_messages);
        json_number(json, "max_bytes", (int64_t)queue->max_bytes);
        json_number(json, "put", (int64_t)queue->put);
        json_number(json, "got", (int64_t)queue->got);
        json_number(json, "borrowed", queue->lent);
        json_number(json, "returned", queue->returned);
        json_number(json, "waiters", queue->waiters);
        json_bool(json, "putters_wait", queue->has_putters);
        json_bool(json, "getters_wait", queue->has_getters);
        json_bool(json, "closed", queue->closed);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void tell_work(struct json *json, const struct seen_work *work)
{
    json_open(json, NULL, '{');
    json_text(json, "kind", work->is_map ? "map" : "calls");
    if (work->is_map) {
        json_number(json, "items", (int64_t)work->items);
        json_number(json, "done", (int64_t)work->done);
        json_number(json, "failures", work->failures);
        if (work->last[0])
            json_text(json, "last_failure", work->last);
    } else {
        json_number(json, "put", (int64_t)work->calls);
        json_number(json, "queued", (int64_t)work->queued);
    }
    json_close(json, '}');
}

static void tell_workers(struct json *json, const struct sight *sight, const struct seen_pool *pool)
{
    json_open(json, "workers", '[');
    for (unsigned i = 0; pool->workers && i < pool->count; i++) {
        const struct seen_worker *worker = &pool->workers[i];
        if (!worker->pid && i >= pool->wanted)
            continue;
        json_open(json, NULL, '{');
        json_number(json, "pid", worker->pid);
        json_text(json, "doing", worker->doing);
        if (worker->began > 0 && worker->began <= sight->at)
            json_number(json, "for_ms", (sight->at - worker->began) / 1000000);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void tell_pools(struct json *json, const struct sight *sight)
{
    json_open(json, "pools", '[');
    for (size_t i = 0; i < sight->pool_count; i++) {
        const struct seen_pool *pool = &sight->pools[i];
        json_open(json, NULL, '{');
        tell_address(json, "object", pool->object);
        json_text(json, "name", pool->name);
        json_number(json, "creator", pool->creator);
        json_number(json, "size", pool->wanted);
        json_number(json, "alive", pool->alive);
        json_number(json, "busy", pool->busy);
        json_bool(json, "broken", pool->broken);
        if (pool->broken)
            json_text(json, "why", pool->why);
        else if (pool->stuck)
            json_text(json, "why", strerror(pool->stuck));
        json_open(json, "work", '[');
        for (unsigned k = 0; k < pool->works; k++)
            tell_work(json, &pool->work[k]);
        json_close(json, ']');
        tell_workers(json, sight, pool);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void tell_locks(struct json *json, const struct sight *sight)
{
    json_open(json, "locks", '[');
    for (size_t i = 0; i < sight->lock_count; i++) {
        const struct seen_lock *lock = &sight->locks[i];
        json_open(json, NULL, '{');
        tell_address(json, "object", lock->object);
        json_text(json, "what", lock->what);
        json_number(json, "holder", lock->holder);
        json_number(json, "last_holder", lock->last);
        json_number(json, "waiters", lock->waiters);
        if (lock->held_ms >= 0)
            json_number(json, "held_ms", lock->held_ms);
        json_close(json, '}');
    }
    json_close(json, ']');
}
