/* manager/managed_type.c: types and functions of the program's own, as its processes register and call them. A function
 * travels by its place in a module (os/module.h).
 */
#include "error/error.h"
#include "manager/custom.h"
#include "manager/proxy.h"
#include "os/module.h"
#include "region/region.h"

#include <brood/managed_type.h>
#include <brood/reference.h>
#include <errno.h>
#include <stdlib.h>

struct brood_managed_object {
    struct proxy proxy;
};

static const struct proxy_type type = { "object", "an", "handle of an object", OBJECT_MARK, MANAGER_OBJECT };

static struct proxy *proxy_of(brood_managed_object *object)
{
    return object ? &object->proxy : NULL;
}

/* ---- registering ---- */

static int enter(const brood_manager *manager, const char *call)
{
    int failed = manager_enter(manager, call);
    if (failed == 0 && manager->remote)
        failed = error_set(ECHILD, "%s: manager '%s' is another family's", call, manager->name);
    return failed;
}

/* `bytes` is where its name lies as long as the value is used. 0 is nil. */
static int name_code(const char *call, uintptr_t address, struct module_function *bytes, brood_any *value)
{
    *value = brood_any_nil();
    /* Where a late library's file is gone the server may have it all the same: it tells. */
    if (address && module_name(address, bytes) == -EINVAL)
        return error_set(EINVAL, "%s: the function at %p is in no module: the server cannot find it", call,
                         (void *)address);
    if (address)
        *value = brood_any_bytes(bytes, sizeof *bytes);
    return 0;
}

/* names: two more than methods. pairs: two for each method. */
static int tell_type(brood_manager *manager, const char *call, const brood_managed_type *told, size_t count,
                     struct module_function *names, brood_any *pairs)
{
    brood_any begin, end;
    int failed = name_code(call, (uintptr_t)told->begin, &names[count], &begin);
    if (failed == 0)
        failed = name_code(call, (uintptr_t)told->end, &names[count + 1], &end);
    for (size_t i = 0; failed == 0 && i < count; i++) {
        pairs[2 * i] = brood_any_string(told->methods[i].name);
        failed = name_code(call, (uintptr_t)told->methods[i].run, &names[i], &pairs[2 * i + 1]);
    }
    if (failed < 0)
        return failed;
    const brood_any name = brood_any_string(told->name), methods = brood_any_list(pairs, 2 * count);
    const struct request request = { .method = MANAGER_REGISTER, .count = 4 };
    return manager_ask(manager, call, &request, (const brood_any *const[]){ &name, &begin, &end, &methods }, NULL);
}

int brood_manager_register(brood_manager *manager, const brood_managed_type *told)
{
    static const char call[] = "brood_manager_register";
    size_t count = 0;
    int failed = enter(manager, call);
    if (failed < 0)
        return failed;
    if (!told || !told->name)
        return error_null(call, told ? "the type's name" : "the type");
    if ((failed = error_reserved(call, told->reserved, sizeof told->reserved / sizeof(void *))) < 0)
        return failed;
    while (told->methods && told->methods[count].name)
        count++;
    struct module_function *names = calloc(count + 2, sizeof *names);
    brood_any *pairs = calloc(2 * count + 1, sizeof *pairs);
    failed = names && pairs ? tell_type(manager, call, told, count, names, pairs)
                            : error_set(ENOMEM, "%s: no memory for %zu methods", call, count);
    free(names);
    free(pairs);
    return failed;
}

int brood_manager_register_function(brood_manager *manager, const char *name, brood_managed_function *function)
{
    static const char call[] = "brood_manager_register_function";
    struct module_function bytes;
    brood_any code;
    int failed = enter(manager, call);
    if (failed < 0)
        return failed;
    if (!name || !function)
        return error_null(call, name ? "the function" : "the name");
    if ((failed = name_code(call, (uintptr_t)function, &bytes, &code)) < 0)
        return failed;
    const brood_any what = brood_any_string(name);
    const struct request request = { .method = MANAGER_FUNCTION, .count = 2 };
    return manager_ask(manager, call, &request, (const brood_any *const[]){ &what, &code }, NULL);
}

/* ---- objects ---- */

brood_managed_object *(brood_manager_object)(brood_manager *manager, const char *type_name, const char *name,
                                             const brood_any *arg)
{
    static const char call[] = "brood_manager_object";
    if (manager_enter(manager, call) < 0)
        return NULL;
    if (!type_name || !arg) {
        error_null(call, type_name ? "the value that it is made from" : "the type's name");
        return NULL;
    }
    const brood_any pair[] = { brood_any_string(type_name), *arg };
    const brood_any with = brood_any_list(pair, 2);
    return (brood_managed_object *)(void *)proxy_find_with(&type, manager, call, name, &with);
}

brood_managed_object *brood_reference_object(brood_manager *manager, const brood_any *reference)
{
    return (brood_managed_object *)(void *)proxy_refer(&type, manager, "brood_reference_object", reference);
}

int brood_managed_object_close(brood_managed_object *object)
{
    return proxy_close(&type, proxy_of(object), "brood_managed_object_close");
}

int(brood_managed_object_call)(brood_managed_object *object, const char *method, const brood_any *arg,
                               brood_any *result)
{
    static const char call[] = "brood_managed_object_call";
    if (result)
        *result = brood_any_nil();
    if (!method)
        return error_null(call, "the method");
    const brood_any name = brood_any_string(method);
    return proxy_ask(&type, proxy_of(object), call, CUSTOM_CALL, (const brood_any *const[]){ &name, arg }, 2, result);
}

/* ---- functions ---- */

int(brood_managed_run)(const void *object, const char *function, const brood_any *arg, brood_any *result)
{
    static const char call[] = "brood_managed_run";
    const struct proxy *proxy = object;
    if (result)
        *result = brood_any_nil();
    if (region_enter() < 0)
        return -EINVAL;
    if (!object || !function)
        return error_null(call, object ? "the function's name" : "the object");
    const struct plain_type *plain = proxy_plain(proxy);
    if (!plain)
        return error_set(EINVAL, "%s: %p is no object at which functions run", call, object);
    int failed = manager_enter(proxy->manager, call);
    if (failed < 0)
        return failed;
    const brood_any name = brood_any_string(function);
    const struct request request = { .object = proxy->id, .method = OBJECT_RUN, .count = 2, .type = plain->opens };
    return manager_ask(proxy->manager, call, &request, (const brood_any *const[]){ &name, arg }, result);
}
