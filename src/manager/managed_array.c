/* manager/managed_array.c: a manager's arrays, as their clients call them. */
#include "manager/proxy.h"
#include "manager/sequence.h"

#include <brood/managed_array.h>
#include <brood/reference.h>

struct brood_managed_array {
    struct proxy proxy;
};

static const struct proxy_type type = { "array", "an", "handle of an array", ARRAY_MARK, MANAGER_ARRAY };

static struct proxy *proxy_of(brood_managed_array *array)
{
    return array ? &array->proxy : NULL;
}

brood_managed_array *(brood_manager_array)(brood_manager *manager, const char *name, const brood_any *items)
{
    return (brood_managed_array *)(void *)proxy_find_with(&type, manager, "brood_manager_array", name, items);
}

brood_managed_array *brood_reference_array(brood_manager *manager, const brood_any *reference)
{
    return (brood_managed_array *)(void *)proxy_refer(&type, manager, "brood_reference_array", reference);
}

int brood_managed_array_close(brood_managed_array *array)
{
    return proxy_close(&type, proxy_of(array), "brood_managed_array_close");
}

int brood_managed_array_get(brood_managed_array *array, int64_t index, brood_any *item)
{
    const brood_any at = brood_any_int(index);
    return proxy_get(&type, proxy_of(array), "brood_managed_array_get", LIST_GET, (const brood_any *const[]){ &at }, 1,
                     item);
}

int(brood_managed_array_set)(brood_managed_array *array, int64_t index, const brood_any *item)
{
    const brood_any at = brood_any_int(index);
    return proxy_ask(&type, proxy_of(array), "brood_managed_array_set", LIST_SET,
                     (const brood_any *const[]){ &at, item }, 2, NULL);
}

int(brood_managed_array_swap)(brood_managed_array *array, int64_t index, const brood_any *item, brood_any *old)
{
    const brood_any at = brood_any_int(index);
    return proxy_ask(&type, proxy_of(array), "brood_managed_array_swap", LIST_SWAP,
                     (const brood_any *const[]){ &at, item }, 2, old);
}

int(brood_managed_array_compare)(brood_managed_array *array, int64_t index, const brood_any *expected,
                                 const brood_any *item)
{
    const brood_any at = brood_any_int(index);
    return proxy_ask(&type, proxy_of(array), "brood_managed_array_compare", LIST_COMPARE,
                     (const brood_any *const[]){ &at, expected, item }, 3, NULL);
}

int(brood_managed_array_add)(brood_managed_array *array, int64_t index, const brood_any *amount)
{
    const brood_any at = brood_any_int(index);
    return proxy_ask(&type, proxy_of(array), "brood_managed_array_add", LIST_ADD,
                     (const brood_any *const[]){ &at, amount }, 2, NULL);
}

int brood_managed_array_length(brood_managed_array *array)
{
    return proxy_count(&type, proxy_of(array), "brood_managed_array_length", LIST_LENGTH, NULL, 0);
}

int brood_managed_array_slice(brood_managed_array *array, int64_t begin, int64_t end, brood_any *items)
{
    const brood_any from = brood_any_int(begin), to = brood_any_int(end);
    return proxy_get(&type, proxy_of(array), "brood_managed_array_slice", LIST_SLICE,
                     (const brood_any *const[]){ &from, &to }, 2, items);
}

int(brood_managed_array_set_slice)(brood_managed_array *array, int64_t begin, int64_t end, const brood_any *items)
{
    const brood_any from = brood_any_int(begin), to = brood_any_int(end);
    return proxy_ask(&type, proxy_of(array), "brood_managed_array_set_slice", LIST_SET_SLICE,
                     (const brood_any *const[]){ &from, &to, items }, 3, NULL);
}

int brood_managed_array_items(brood_managed_array *array, brood_any *items)
{
    return proxy_get(&type, proxy_of(array), "brood_managed_array_items", LIST_ITEMS, NULL, 0, items);
}
