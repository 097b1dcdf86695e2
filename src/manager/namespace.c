/* manager/namespace.c: namespaces, as their clients call them: dictionaries, in the server. */
#include "error/error.h"
#include "manager/dictionary.h"
#include "manager/proxy.h"

#include <brood/namespace.h>
#include <brood/reference.h>
#include <errno.h>

struct brood_namespace {
    struct proxy proxy;
};

static const struct proxy_type type = { "namespace", "a", "handle of a namespace", NAMESPACE_MARK, MANAGER_NAMESPACE };

static struct proxy *proxy_of(brood_namespace *names)
{
    return names ? &names->proxy : NULL;
}

/* A call with the name, and a value if there is one to be sent. */
static int ask(brood_namespace *names, const char *call, unsigned method, const char *name, const brood_any *argument,
               unsigned count)
{
    if (names && !name)
        return error_null(call, "the name");
    const brood_any key = brood_any_string(name);
    return proxy_ask(&type, proxy_of(names), call, method, (const brood_any *const[]){ &key, argument }, count, NULL);
}

brood_namespace *brood_manager_namespace(brood_manager *manager, const char *name)
{
    return (brood_namespace *)(void *)proxy_find(&type, manager, "brood_manager_namespace", name);
}

brood_namespace *brood_reference_namespace(brood_manager *manager, const brood_any *reference)
{
    return (brood_namespace *)(void *)proxy_refer(&type, manager, "brood_reference_namespace", reference);
}

int brood_namespace_close(brood_namespace *names)
{
    return proxy_close(&type, proxy_of(names), "brood_namespace_close");
}

int(brood_namespace_set)(brood_namespace *names, const char *name, const brood_any *value)
{
    return ask(names, "brood_namespace_set", DICT_SET, name, value, 2);
}

int brood_namespace_get(brood_namespace *names, const char *name, brood_any *value)
{
    static const char call[] = "brood_namespace_get";
    const brood_any key = brood_any_string(name);
    if (value)
        *value = brood_any_nil();
    if (names && !name)
        return error_null(call, "the name");
    return proxy_get(&type, proxy_of(names), call, DICT_GET, (const brood_any *const[]){ &key }, 1, value);
}

int brood_namespace_delete(brood_namespace *names, const char *name)
{
    return ask(names, "brood_namespace_delete", DICT_DELETE, name, NULL, 1);
}

int(brood_namespace_add)(brood_namespace *names, const char *name, const brood_any *amount)
{
    return ask(names, "brood_namespace_add", DICT_ADD, name, amount, 2);
}

int brood_namespace_items(brood_namespace *names, brood_any *map)
{
    return proxy_get(&type, proxy_of(names), "brood_namespace_items", DICT_ITEMS, NULL, 0, map);
}
