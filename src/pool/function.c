/* pool/function.c */
#include "pool/function.h"

#include "error/error.h"
#include "region/heap.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define FOUND_MOST 16

const struct module_function *function_name(struct functions *functions, uintptr_t address, const char *call)
{
    size_t at = (address >> 4) % FUNCTIONS_KNOWN;
    if (functions->known[at].address == address)
        return functions->known[at].name;
    struct module_function name;
    /* A library whose file is gone may still have been there when the keeper was forked: workers tell. */
    if (module_name(address, &name) == -EINVAL) {
        error_set(EINVAL, "%s: the function at %p is in no module: workers cannot find it", call, (void *)address);
        return NULL;
    }
    struct function *function = functions->all;
    while (function && memcmp(&function->name, &name, sizeof name) != 0)
        function = function->next;
    if (!function) {
        function = heap_take(sizeof *function, true);
        if (!function) {
            error_set(ENOMEM, "%s: no memory in the region for the name of a function", call);
            return NULL;
        }
        heap_label(function, "function of a pool");
        function->name = name;
        if (functions->symbols)
            symbol_find(&name, function->symbol);
        function->next = functions->all;
        functions->all = function;
    }
    if (!name.late) { /* another may lie at a late library's address one day */
        functions->known[at].address = address;
        functions->known[at].name = &function->name;
    }
    return &function->name;
}

void functions_free(struct functions *functions)
{
    for (struct function *function = functions->all, *next; function; function = next) {
        next = function->next;
        heap_give(function, NULL);
    }
    functions->all = NULL;
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
