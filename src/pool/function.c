/* pool/function.c */
#include "pool/function.h"

#include "error/error.h"
#include "pool/owner.h"
#include "region/heap.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define FOUND_MOST 16

static struct function *find(const struct functions *functions, const struct module_function *name)
{
    struct function *function = atomic_load(&functions->all);
    while (function && memcmp(&function->name, name, sizeof *name) != 0)
        function = function->next;
    return function;
}

void functions_mend(struct functions *functions)
{
    if (functions->fresh && functions->fresh == atomic_load(&functions->all))
        functions->fresh = NULL;
}

/* Under the pool's guard; one that a killed process was making is made anew. */
static struct function *add(struct functions *functions, const struct module_function *name)
{
    struct function *function = functions->fresh;
    if (!function && !(function = heap_take_into((void **)&functions->fresh, sizeof *function)))
        return NULL;
    heap_label(function, "function of a pool");
    function->name = *name;
    if (functions->symbols)
        symbol_find(name, function->symbol);
    function->next = atomic_load(&functions->all);
    atomic_store(&functions->all, function); /* the commit */
    functions->fresh = NULL;
    return function;
}

const struct module_function *function_name(struct owner *owner, uintptr_t address, const char *call)
{
    size_t at = (address >> 4) % FUNCTIONS_KNOWN;
    if (owner->known[at].address == address)
        return owner->known[at].name;
    struct functions *functions = &owner->pool->functions;
    struct module_function name;
    /* A library whose file is gone may still have been there when the keeper was forked: workers tell. */
    if (module_name(address, &name) == -EINVAL) {
        error_set(EINVAL, "%s: the function at %p is in no module: workers cannot find it", call, (void *)address);
        return NULL;
    }
    struct function *function = find(functions, &name);
    if (!function) {
        pool_lock(owner->pool);
        function = find(functions, &name);
        if (!function)
            function = add(functions, &name);
        pool_unlock(owner->pool);
    }
    if (!function) {
        error_set(ENOMEM, "%s: no memory in the region for the name of a function", call);
        return NULL;
    }
    if (!name.late) { /* another may lie at a late library's address one day */
        owner->known[at].address = address;
        owner->known[at].name = &function->name;
    }
    return &function->name;
}

void functions_free(struct functions *functions)
{
    if (functions->fresh && functions->fresh != atomic_load(&functions->all))
        heap_give(functions->fresh, (void **)&functions->fresh);
    for (struct function *function = atomic_load(&functions->all), *next; function; function = next) {
        next = function->next;
        heap_give(function, NULL);
    }
    atomic_store(&functions->all, NULL);
}

int function_find(const struct module_function *name, uintptr_t *address)
{
    static struct {
        const struct module_function *name;
        uintptr_t address;
    } found[FOUND_MOST];
    size_t at = ((uintptr_t)name >> 6) % FOUND_MOST;
    if (found[at].name != name) {
        char why[64];
        int failed = module_find(name, &found[at].address, why, sizeof why);
        found[at].name = failed < 0 ? NULL : name;
        if (failed < 0)
            return failed;
    }
    *address = found[at].address;
    return 0;
}
