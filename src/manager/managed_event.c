/* manager/managed_event.c: a manager's events, as their clients call them. */
#include "manager/flag.h"
#include "manager/proxy.h"

#include <brood/managed_event.h>
#include <brood/reference.h>

struct brood_managed_event {
    struct proxy proxy;
};

static const struct proxy_type type = { "event", "an", "handle of an event", EVENT_MARK, MANAGER_EVENT };

static struct proxy *proxy_of(brood_managed_event *event)
{
    return event ? &event->proxy : NULL;
}

brood_managed_event *brood_manager_event(brood_manager *manager, const char *name)
{
    return (brood_managed_event *)(void *)proxy_find(&type, manager, "brood_manager_event", name);
}

brood_managed_event *brood_reference_event(brood_manager *manager, const brood_any *reference)
{
    return (brood_managed_event *)(void *)proxy_refer(&type, manager, "brood_reference_event", reference);
}

int brood_managed_event_close(brood_managed_event *event)
{
    return proxy_close(&type, proxy_of(event), "brood_managed_event_close");
}

int brood_managed_event_set(brood_managed_event *event)
{
    return proxy_ask(&type, proxy_of(event), "brood_managed_event_set", EVENT_SET, NULL, 0, NULL);
}

int brood_managed_event_clear(brood_managed_event *event)
{
    return proxy_ask(&type, proxy_of(event), "brood_managed_event_clear", EVENT_CLEAR, NULL, 0, NULL);
}

int brood_managed_event_wait(brood_managed_event *event, int timeout_ms)
{
    return proxy_wait(&type, proxy_of(event), "brood_managed_event_wait", EVENT_WAIT, NULL, timeout_ms, NULL);
}
