/* manager/set.c: sets, as their clients call them. */
#include "manager/collection.h"
#include "manager/proxy.h"

#include <brood/reference.h>
#include <brood/set.h>

struct brood_set {
    struct proxy proxy;
};

static const struct proxy_type type = { "set", "a", "handle of a set", SET_MARK, MANAGER_SET };

static struct proxy *proxy_of(brood_set *set)
{
    return set ? &set->proxy : NULL;
}

static brood_set *set_of(struct proxy *proxy)
{
    return (brood_set *)(void *)proxy;
}

brood_set *brood_manager_set(brood_manager *manager, const char *name)
{
    return set_of(proxy_find(&type, manager, "brood_manager_set", name));
}

brood_set *brood_reference_set(brood_manager *manager, const brood_any *reference)
{
    return (brood_set *)(void *)proxy_refer(&type, manager, "brood_reference_set", reference);
}

int brood_set_close(brood_set *set)
{
    return proxy_close(&type, proxy_of(set), "brood_set_close");
}

static int ask(brood_set *set, const char *call, unsigned method, const brood_any *arg)
{
    return proxy_ask(&type, proxy_of(set), call, method, (const brood_any *const[]){ arg }, 1, NULL);
}

int(brood_set_add)(brood_set *set, const brood_any *member)
{
    return ask(set, "brood_set_add", SET_ADD, member);
}

int(brood_set_remove)(brood_set *set, const brood_any *member)
{
    return ask(set, "brood_set_remove", SET_REMOVE, member);
}

int brood_set_pop(brood_set *set, brood_any *member)
{
    return proxy_get(&type, proxy_of(set), "brood_set_pop", SET_POP, NULL, 0, member);
}

int(brood_set_contains)(brood_set *set, const brood_any *member)
{
    return ask(set, "brood_set_contains", SET_CONTAINS, member);
}

int brood_set_length(brood_set *set)
{
    return proxy_count(&type, proxy_of(set), "brood_set_length", SET_LENGTH, NULL, 0);
}

int brood_set_items(brood_set *set, brood_any *list)
{
    return proxy_get(&type, proxy_of(set), "brood_set_items", SET_ITEMS, NULL, 0, list);
}

int(brood_set_update)(brood_set *set, const brood_any *list)
{
    return ask(set, "brood_set_update", SET_UPDATE, list);
}

int(brood_set_keep)(brood_set *set, const brood_any *list)
{
    return ask(set, "brood_set_keep", SET_KEEP, list);
}

int(brood_set_subtract)(brood_set *set, const brood_any *list)
{
    return ask(set, "brood_set_subtract", SET_SUBTRACT, list);
}

int brood_set_clear(brood_set *set)
{
    return proxy_ask(&type, proxy_of(set), "brood_set_clear", SET_CLEAR, NULL, 0, NULL);
}

brood_set *brood_set_copy(brood_set *set)
{
    return set_of(proxy_copy(&type, proxy_of(set), "brood_set_copy"));
}
