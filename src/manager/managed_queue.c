/* manager/managed_queue.c: a manager's queues, as their clients call them. */
#include "error/error.h"
#include "manager/hatch.h"
#include "manager/proxy.h"

#include <brood/managed_queue.h>
#include <brood/reference.h>

struct brood_managed_queue {
    struct proxy proxy;
};

static const struct proxy_type plain = { "queue", "a", "handle of a queue", QUEUE_MARK, MANAGER_QUEUE };
static const struct proxy_type joinable = { "queue", "a", "handle of a queue", QUEUE_MARK, MANAGER_JOINABLE_QUEUE };

static struct proxy *proxy_of(brood_managed_queue *queue)
{
    return queue ? &queue->proxy : NULL;
}

brood_managed_queue *brood_manager_queue(brood_manager *manager, const char *name, int max_items)
{
    const brood_any with = brood_any_int(max_items);
    return (brood_managed_queue *)(void *)proxy_find_with(&plain, manager, "brood_manager_queue", name, &with);
}

brood_managed_queue *brood_manager_joinable_queue(brood_manager *manager, const char *name, int max_items)
{
    static const char call[] = "brood_manager_joinable_queue";
    const brood_any with = brood_any_int(max_items);
    return (brood_managed_queue *)(void *)proxy_find_with(&joinable, manager, call, name, &with);
}

brood_managed_queue *brood_reference_queue(brood_manager *manager, const brood_any *reference)
{
    return (brood_managed_queue *)(void *)proxy_refer(&plain, manager, "brood_reference_queue", reference);
}

int brood_managed_queue_close(brood_managed_queue *queue)
{
    return proxy_close(&plain, proxy_of(queue), "brood_managed_queue_close");
}

int(brood_managed_queue_put)(brood_managed_queue *queue, const brood_any *item, int timeout_ms)
{
    static const char call[] = "brood_managed_queue_put";
    if (queue && !item)
        return error_null(call, "the item");
    return proxy_wait(&plain, proxy_of(queue), call, QUEUE_PUT, item, timeout_ms, NULL);
}

int brood_managed_queue_get(brood_managed_queue *queue, brood_any *item, int timeout_ms)
{
    static const char call[] = "brood_managed_queue_get";
    if (queue && !item)
        return error_null(call, "the place for the item");
    return proxy_wait(&plain, proxy_of(queue), call, QUEUE_GET, NULL, timeout_ms, item);
}

int brood_managed_queue_done(brood_managed_queue *queue)
{
    return proxy_ask(&plain, proxy_of(queue), "brood_managed_queue_done", QUEUE_DONE, NULL, 0, NULL);
}

int brood_managed_queue_join(brood_managed_queue *queue, int timeout_ms)
{
    return proxy_wait(&plain, proxy_of(queue), "brood_managed_queue_join", QUEUE_JOIN, NULL, timeout_ms, NULL);
}

int brood_managed_queue_shutdown(brood_managed_queue *queue)
{
    return proxy_ask(&plain, proxy_of(queue), "brood_managed_queue_shutdown", QUEUE_SHUTDOWN, NULL, 0, NULL);
}

int brood_managed_queue_count(brood_managed_queue *queue)
{
    return proxy_count(&plain, proxy_of(queue), "brood_managed_queue_count", QUEUE_COUNT, NULL, 0);
}

int brood_managed_queue_capacity(brood_managed_queue *queue)
{
    return proxy_count(&plain, proxy_of(queue), "brood_managed_queue_capacity", QUEUE_CAPACITY, NULL, 0);
}
