/* manager/managed_condition.c: a manager's conditions, as their clients call them. */
#include "error/error.h"
#include "manager/proxy.h"
#include "manager/turnstile.h"

#include <brood/managed_condition.h>
#include <brood/reference.h>
#include <errno.h>

struct brood_managed_condition {
    struct proxy proxy;
};

static const struct proxy_type type = { "condition", "a", "handle of a condition", CONDITION_MARK, MANAGER_CONDITION };

static struct proxy *proxy_of(brood_managed_condition *condition)
{
    return condition ? &condition->proxy : NULL;
}

brood_managed_condition *brood_manager_condition(brood_manager *manager, const char *name)
{
    return (brood_managed_condition *)(void *)proxy_find(&type, manager, "brood_manager_condition", name);
}

brood_managed_condition *brood_reference_condition(brood_manager *manager, const brood_any *reference)
{
    return (brood_managed_condition *)(void *)proxy_refer(&type, manager, "brood_reference_condition", reference);
}

int brood_managed_condition_close(brood_managed_condition *condition)
{
    return proxy_close(&type, proxy_of(condition), "brood_managed_condition_close");
}

int brood_managed_condition_acquire(brood_managed_condition *condition, int timeout_ms)
{
    return proxy_take(&type, proxy_of(condition), "brood_managed_condition_acquire", LOCK_ACQUIRE, timeout_ms);
}

int brood_managed_condition_release(brood_managed_condition *condition)
{
    return proxy_ask(&type, proxy_of(condition), "brood_managed_condition_release", LOCK_RELEASE, NULL, 0, NULL);
}

int brood_managed_condition_wait(brood_managed_condition *condition, int timeout_ms)
{
    return proxy_take(&type, proxy_of(condition), "brood_managed_condition_wait", CONDITION_WAIT, timeout_ms);
}

int brood_managed_condition_notify(brood_managed_condition *condition, int count)
{
    static const char call[] = "brood_managed_condition_notify";
    if (condition && count < 0)
        return error_set(EINVAL, "%s: %d is no count", call, count);
    const brood_any how_many = brood_any_int(count);
    return proxy_ask(&type, proxy_of(condition), call, CONDITION_NOTIFY, (const brood_any *const[]){ &how_many }, 1,
                     NULL);
}
