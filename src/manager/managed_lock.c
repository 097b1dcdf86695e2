/* manager/managed_lock.c: a manager's locks, as their clients call them. */
#include "manager/proxy.h"
#include "manager/turnstile.h"

#include <brood/managed_lock.h>
#include <brood/reference.h>

struct brood_managed_lock {
    struct proxy proxy;
};

static const struct proxy_type plain = { "lock", "a", "handle of a lock", LOCK_MARK, MANAGER_LOCK };
static const struct proxy_type recursive = { "lock", "a", "handle of a lock", LOCK_MARK, MANAGER_RLOCK };

static struct proxy *proxy_of(brood_managed_lock *lock)
{
    return lock ? &lock->proxy : NULL;
}

brood_managed_lock *brood_manager_lock(brood_manager *manager, const char *name)
{
    return (brood_managed_lock *)(void *)proxy_find(&plain, manager, "brood_manager_lock", name);
}

brood_managed_lock *brood_manager_rlock(brood_manager *manager, const char *name)
{
    return (brood_managed_lock *)(void *)proxy_find(&recursive, manager, "brood_manager_rlock", name);
}

brood_managed_lock *brood_reference_lock(brood_manager *manager, const brood_any *reference)
{
    return (brood_managed_lock *)(void *)proxy_refer(&plain, manager, "brood_reference_lock", reference);
}

int brood_managed_lock_close(brood_managed_lock *lock)
{
    return proxy_close(&plain, proxy_of(lock), "brood_managed_lock_close");
}

int brood_managed_lock_acquire(brood_managed_lock *lock, int timeout_ms)
{
    return proxy_take(&plain, proxy_of(lock), "brood_managed_lock_acquire", LOCK_ACQUIRE, timeout_ms);
}

int brood_managed_lock_release(brood_managed_lock *lock)
{
    return proxy_ask(&plain, proxy_of(lock), "brood_managed_lock_release", LOCK_RELEASE, NULL, 0, NULL);
}

int brood_managed_lock_holder(brood_managed_lock *lock)
{
    return proxy_count(&plain, proxy_of(lock), "brood_managed_lock_holder", LOCK_HOLDER, NULL, 0);
}
