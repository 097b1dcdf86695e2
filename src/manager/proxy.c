/* manager/proxy.c */
#include "manager/proxy.h"

#include "error/error.h"
#include "manager/words.h"
#include "region/heap.h"
#include "region/region.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

const struct plain_type *proxy_plain(const struct proxy *proxy)
{
    static const struct plain_type types[] = {
        { DICT_MARK, "dict", "a dictionary", MANAGER_DICT },
        { LIST_MARK, "list", "a list", MANAGER_LIST },
        { SET_MARK, "set", "a set", MANAGER_SET },
        { NAMESPACE_MARK, "namespace", "a namespace", MANAGER_NAMESPACE },
        { VALUE_MARK, "value", "a value", MANAGER_VALUE },
        { ARRAY_MARK, "array", "an array", MANAGER_ARRAY },
        { OBJECT_MARK, "object", "an object", MANAGER_OBJECT },
    };
    for (size_t i = 0; region_holds(proxy, sizeof *proxy) && i < sizeof types / sizeof *types; i++)
        if (proxy->mark == types[i].mark)
            return &types[i];
    return NULL;
}

static int enter(const struct proxy_type *type, const struct proxy *proxy, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!proxy) {
        char what[32];
        snprintf(what, sizeof what, "the %s", type->name);
        return error_null(call, what);
    }
    if (!region_holds(proxy, sizeof *proxy) || proxy->mark != type->mark)
        return error_set(EINVAL, "%s: %p is no %s", call, (const void *)proxy, type->name);
    return manager_enter(proxy->manager, call);
}

/* It is made before its object is asked for: killed in between, this loses it, and not the object. */
struct proxy *proxy_open(const struct proxy_type *type, struct brood_manager *manager, const char *call,
                         unsigned method, const brood_any *const *args, unsigned count)
{
    struct proxy *proxy = heap_take(sizeof *proxy, true);
    if (!proxy) {
        error_set(ENOMEM, "%s: no memory in the region for %s %s", call, type->article, type->name);
        return NULL;
    }
    heap_label(proxy, type->label);
    const struct request request = { .method = (uint16_t)method, .count = (uint16_t)count };
    brood_any id;
    if (manager_ask(manager, call, &request, args, &id) < 0) {
        int failed = errno;
        heap_give(proxy, NULL);
        errno = failed;
        return NULL;
    }
    proxy->manager = manager;
    proxy->id = id.natural;
    proxy->process = thread_self()->process;
    proxy->mark = type->mark;
    return proxy;
}

struct proxy *proxy_find(const struct proxy_type *type, struct brood_manager *manager, const char *call,
                         const char *name)
{
    const brood_any what = brood_any_string(name);
    const brood_any *const args[] = { &what };
    return manager_enter(manager, call) < 0 ? NULL : proxy_open(type, manager, call, type->opens, args, 1);
}

struct proxy *proxy_find_with(const struct proxy_type *type, struct brood_manager *manager, const char *call,
                              const char *name, const brood_any *with)
{
    const brood_any what = brood_any_string(name);
    const brood_any *const args[] = { &what, with };
    return manager_enter(manager, call) < 0 ? NULL : proxy_open(type, manager, call, type->opens, args, 2);
}

struct proxy *proxy_refer(const struct proxy_type *type, struct brood_manager *manager, const char *call,
                          const brood_any *reference)
{
    if (manager_enter(manager, call) < 0)
        return NULL;
    if (!reference || reference->kind != BROOD_REFERENCE) {
        const char *kind = reference ? brood_kind_name(reference->kind) : NULL;
        error_set(EINVAL, "%s: %s is no reference", call, kind ? kind : reference ? "what is of no kind" : "NULL");
        return NULL;
    }
    const brood_any word = brood_any_string(operation_of(0, type->opens)->name);
    return proxy_open(type, manager, call, MANAGER_OPEN, (const brood_any *const[]){ reference, &word }, 2);
}

struct proxy *proxy_copy(const struct proxy_type *type, struct proxy *proxy, const char *call)
{
    if (enter(type, proxy, call) < 0)
        return NULL;
    const brood_any id = brood_any_uint(proxy->id);
    return proxy_open(type, proxy->manager, call, MANAGER_COPY, (const brood_any *const[]){ &id }, 1);
}

int proxy_close(const struct proxy_type *type, struct proxy *proxy, const char *call)
{
    if (!proxy)
        return 0;
    int failed = enter(type, proxy, call);
    if (failed < 0)
        return failed;
    const brood_any id = brood_any_uint(proxy->id), process = brood_any_int(proxy->process);
    const struct request request = { .method = MANAGER_CLOSE, .count = 2 };
    failed = manager_ask(proxy->manager, call, &request, (const brood_any *const[]){ &id, &process }, NULL);
    if (failed < 0 && failed != -EPIPE && failed != -EOWNERDEAD && failed != -EINVAL)
        return failed;
    proxy->mark = 0;
    heap_give(proxy, NULL);
    return 0; /* a server that is gone has no handles */
}

int proxy_ask(const struct proxy_type *type, struct proxy *proxy, const char *call, unsigned method,
              const brood_any *const *args, unsigned count, brood_any *value)
{
    int failed = enter(type, proxy, call);
    if (failed < 0) {
        if (value)
            *value = brood_any_nil();
        return failed;
    }
    const struct request request = {
        .object = proxy->id, .method = (uint16_t)method, .count = (uint16_t)count, .type = type->opens
    };
    return manager_ask(proxy->manager, call, &request, args, value);
}

int proxy_get(const struct proxy_type *type, struct proxy *proxy, const char *call, unsigned method,
              const brood_any *const *args, unsigned count, brood_any *value)
{
    if (!value)
        return region_enter() < 0 ? -EINVAL : error_null(call, "the place for the value");
    return proxy_ask(type, proxy, call, method, args, count, value);
}

int proxy_wait(const struct proxy_type *type, struct proxy *proxy, const char *call, unsigned method,
               const brood_any *item, int timeout_ms, brood_any *value)
{
    int failed = enter(type, proxy, call);
    if (failed == 0 && timeout_ms < BROOD_FOREVER)
        failed = error_set(EINVAL, "%s: a timeout of %d ms", call, timeout_ms);
    if (failed < 0) {
        if (value)
            *value = brood_any_nil();
        return failed;
    }
    const brood_any waits = brood_any_bool(timeout_ms != 0);
    const brood_any *const args[] = { item ? item : &waits, &waits };
    const struct request request = {
        .object = proxy->id, .method = (uint16_t)method, .count = item ? 2 : 1, .type = type->opens
    };
    return manager_wait(proxy->manager, call, &request, args, timeout_ms, value);
}

int proxy_take(const struct proxy_type *type, struct proxy *proxy, const char *call, unsigned method, int timeout_ms)
{
    int result = proxy_wait(type, proxy, call, method, NULL, timeout_ms, NULL);
    if (result == BROOD_INHERITED)
        error_tell("%s: the %s comes from a holder that died: what it guards may be half written", call, type->name);
    return result;
}

int proxy_count(const struct proxy_type *type, struct proxy *proxy, const char *call, unsigned method,
                const brood_any *const *args, unsigned count)
{
    brood_any number;
    int failed = proxy_ask(type, proxy, call, method, args, count, &number);
    return failed < 0 ? failed : number.natural > INT_MAX ? INT_MAX : (int)number.natural;
}
