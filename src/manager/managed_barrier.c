/* manager/managed_barrier.c: a manager's barriers, as their clients call them. */
#include "manager/gathering.h"
#include "manager/proxy.h"

#include <brood/managed_barrier.h>
#include <brood/reference.h>

struct brood_managed_barrier {
    struct proxy proxy;
};

static const struct proxy_type type = { "barrier", "a", "handle of a barrier", BARRIER_MARK, MANAGER_BARRIER };

static struct proxy *proxy_of(brood_managed_barrier *barrier)
{
    return barrier ? &barrier->proxy : NULL;
}

brood_managed_barrier *brood_manager_barrier(brood_manager *manager, const char *name, int parties)
{
    const brood_any with = brood_any_int(parties);
    return (brood_managed_barrier *)(void *)proxy_find_with(&type, manager, "brood_manager_barrier", name, &with);
}

brood_managed_barrier *brood_reference_barrier(brood_manager *manager, const brood_any *reference)
{
    return (brood_managed_barrier *)(void *)proxy_refer(&type, manager, "brood_reference_barrier", reference);
}

int brood_managed_barrier_close(brood_managed_barrier *barrier)
{
    return proxy_close(&type, proxy_of(barrier), "brood_managed_barrier_close");
}

int brood_managed_barrier_wait(brood_managed_barrier *barrier, int timeout_ms)
{
    return proxy_wait(&type, proxy_of(barrier), "brood_managed_barrier_wait", BARRIER_WAIT, NULL, timeout_ms, NULL);
}

int brood_managed_barrier_abort(brood_managed_barrier *barrier)
{
    return proxy_ask(&type, proxy_of(barrier), "brood_managed_barrier_abort", BARRIER_ABORT, NULL, 0, NULL);
}

int brood_managed_barrier_reset(brood_managed_barrier *barrier)
{
    return proxy_ask(&type, proxy_of(barrier), "brood_managed_barrier_reset", BARRIER_RESET, NULL, 0, NULL);
}

int brood_managed_barrier_waiting(brood_managed_barrier *barrier)
{
    return proxy_count(&type, proxy_of(barrier), "brood_managed_barrier_waiting", BARRIER_WAITING, NULL, 0);
}
