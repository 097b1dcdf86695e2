/* manager/managed_semaphore.c: a manager's semaphores, as their clients call them. */
#include "manager/proxy.h"
#include "manager/units.h"

#include <brood/managed_semaphore.h>
#include <brood/reference.h>

struct brood_managed_semaphore {
    struct proxy proxy;
};

static const struct proxy_type plain = { "semaphore", "a", "handle of a semaphore", SEMAPHORE_MARK, MANAGER_SEMAPHORE };
static const struct proxy_type bounded = { "semaphore", "a", "handle of a semaphore", SEMAPHORE_MARK,
                                           MANAGER_BOUNDED_SEMAPHORE };

static struct proxy *proxy_of(brood_managed_semaphore *semaphore)
{
    return semaphore ? &semaphore->proxy : NULL;
}

brood_managed_semaphore *brood_manager_semaphore(brood_manager *manager, const char *name, int units)
{
    const brood_any with = brood_any_int(units);
    return (brood_managed_semaphore *)(void *)proxy_find_with(&plain, manager, "brood_manager_semaphore", name, &with);
}

brood_managed_semaphore *brood_manager_bounded_semaphore(brood_manager *manager, const char *name, int units)
{
    static const char call[] = "brood_manager_bounded_semaphore";
    const brood_any with = brood_any_int(units);
    return (brood_managed_semaphore *)(void *)proxy_find_with(&bounded, manager, call, name, &with);
}

brood_managed_semaphore *brood_reference_semaphore(brood_manager *manager, const brood_any *reference)
{
    return (brood_managed_semaphore *)(void *)proxy_refer(&plain, manager, "brood_reference_semaphore", reference);
}

int brood_managed_semaphore_close(brood_managed_semaphore *semaphore)
{
    return proxy_close(&plain, proxy_of(semaphore), "brood_managed_semaphore_close");
}

int brood_managed_semaphore_acquire(brood_managed_semaphore *semaphore, int timeout_ms)
{
    return proxy_take(&plain, proxy_of(semaphore), "brood_managed_semaphore_acquire", SEMAPHORE_ACQUIRE, timeout_ms);
}

int brood_managed_semaphore_release(brood_managed_semaphore *semaphore)
{
    return proxy_ask(&plain, proxy_of(semaphore), "brood_managed_semaphore_release", SEMAPHORE_RELEASE, NULL, 0, NULL);
}

int brood_managed_semaphore_units(brood_managed_semaphore *semaphore)
{
    return proxy_count(&plain, proxy_of(semaphore), "brood_managed_semaphore_units", SEMAPHORE_UNITS, NULL, 0);
}
