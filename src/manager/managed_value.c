/* manager/managed_value.c: a manager's values, as their clients call them. */
#include "manager/cell.h"
#include "manager/proxy.h"

#include <brood/managed_value.h>
#include <brood/reference.h>

struct brood_managed_value {
    struct proxy proxy;
};

static const struct proxy_type type = { "value", "a", "handle of a value", VALUE_MARK, MANAGER_VALUE };

static struct proxy *proxy_of(brood_managed_value *value)
{
    return value ? &value->proxy : NULL;
}

brood_managed_value *(brood_manager_value)(brood_manager *manager, const char *name, const brood_any *value)
{
    return (brood_managed_value *)(void *)proxy_find_with(&type, manager, "brood_manager_value", name, value);
}

brood_managed_value *brood_reference_value(brood_manager *manager, const brood_any *reference)
{
    return (brood_managed_value *)(void *)proxy_refer(&type, manager, "brood_reference_value", reference);
}

int brood_managed_value_close(brood_managed_value *value)
{
    return proxy_close(&type, proxy_of(value), "brood_managed_value_close");
}

int(brood_managed_value_set)(brood_managed_value *value, const brood_any *now)
{
    return proxy_ask(&type, proxy_of(value), "brood_managed_value_set", VALUE_SET, (const brood_any *const[]){ now }, 1,
                     NULL);
}

int brood_managed_value_get(brood_managed_value *value, brood_any *now)
{
    return proxy_get(&type, proxy_of(value), "brood_managed_value_get", VALUE_GET, NULL, 0, now);
}

int(brood_managed_value_swap)(brood_managed_value *value, const brood_any *now, brood_any *before)
{
    return proxy_ask(&type, proxy_of(value), "brood_managed_value_swap", VALUE_SWAP, (const brood_any *const[]){ now },
                     1, before);
}

int(brood_managed_value_compare)(brood_managed_value *value, const brood_any *expected, const brood_any *now)
{
    return proxy_ask(&type, proxy_of(value), "brood_managed_value_compare", VALUE_COMPARE,
                     (const brood_any *const[]){ expected, now }, 2, NULL);
}

int(brood_managed_value_add)(brood_managed_value *value, const brood_any *amount, brood_any *sum)
{
    return proxy_ask(&type, proxy_of(value), "brood_managed_value_add", VALUE_ADD, (const brood_any *const[]){ amount },
                     1, sum);
}
