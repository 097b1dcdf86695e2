/* manager/registry.c */
#include "manager/registry.h"

#include "manager/reply.h"
#include "os/module.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct type *types;
static struct function *functions;

static bool is_name(const brood_any *name)
{
    return name->kind == BROOD_STRING && name->size > 0 && name->size < REGISTRY_NAME &&
           strlen(name->string) == name->size;
}

/* Of a function that is not there, nil, the address is 0. 0, or why not, with a sentence. */
static int find_code(const brood_any *code, uintptr_t *address, struct parcel *reply)
{
    struct module_function name;
    char text[MODULE_PATH_MAX + 64], why[128] = "";
    *address = 0;
    if (code->kind == BROOD_NIL)
        return 0;
    if (code->kind != BROOD_BYTES || code->size != sizeof name)
        return reply_fail(reply, -EINVAL, "that is no function");
    memcpy(&name, code->bytes, sizeof name);
    name.path[MODULE_PATH_MAX - 1] = 0;
    int failed = module_find(&name, address, why, sizeof why);
    if (failed == 0)
        return 0;
    module_describe(&name, text, sizeof text);
    return reply_fail(reply, failed, "the server lacks the %.100s: %s", text, why);
}

static const struct type *type_named(const char *name)
{
    const struct type *type = types;
    while (type && strcmp(type->name, name) != 0)
        type = type->next;
    return type;
}

static const struct function *function_named(const char *name)
{
    const struct function *function = functions;
    while (function && strcmp(function->name, name) != 0)
        function = function->next;
    return function;
}

static const struct method *method_named(const struct type *type, const char *name)
{
    for (size_t i = 0; i < type->count; i++)
        if (strcmp(type->methods[i].name, name) == 0)
            return &type->methods[i];
    return NULL;
}

/* ---- types ---- */

/* methods: name, function, name, function, ... */
static int fill_type(struct type *type, const brood_any *begin, const brood_any *end, const brood_any *methods,
                     struct parcel *reply)
{
    uintptr_t begins = 0, ends = 0, runs = 0;
    int failed = find_code(begin, &begins, reply);
    if (failed == 0)
        failed = find_code(end, &ends, reply);
    for (size_t i = 0; failed == 0 && i < methods->size; i += 2) {
        const brood_any *name = &methods->items[i];
        if (!is_name(name) || method_named(type, name->string))
            return reply_fail(reply, -EINVAL, "the name of method %zu is none, or stands twice", i / 2);
        failed = find_code(&methods->items[i + 1], &runs, reply);
        if (failed == 0 && !runs)
            return reply_fail(reply, -EINVAL, "method '%s' has no function", name->string);
        struct method *method = &type->methods[type->count];
        memcpy(method->name, name->string, name->size);
        method->run = failed == 0 ? (int (*)(void *, const brood_any *, brood_any *))runs : NULL;
        type->count++;
    }
    if (failed < 0)
        return failed;
    type->begin = (int (*)(void **, const brood_any *))begins;
    type->end = (void (*)(void *))ends;
    return 0;
}

static bool is_same(const struct type *one, const struct type *other)
{
    if (one->begin != other->begin || one->end != other->end || one->count != other->count)
        return false;
    for (size_t i = 0; i < one->count; i++)
        if (strcmp(one->methods[i].name, other->methods[i].name) != 0 || one->methods[i].run != other->methods[i].run)
            return false;
    return true;
}

static int add_type(const brood_any *name, const brood_any *begin, const brood_any *end, const brood_any *methods,
                    struct parcel *reply)
{
    if (!is_name(name) || methods->kind != BROOD_LIST || methods->size % 2)
        return reply_fail(reply, -EINVAL, "that is no type, or has no name");
    struct type *type = calloc(1, sizeof *type + methods->size / 2 * sizeof *type->methods);
    if (!type)
        return reply_fail(reply, -ENOMEM, "the server has no memory for type '%s'", name->string);
    memcpy(type->name, name->string, name->size);
    int failed = fill_type(type, begin, end, methods, reply);
    const struct type *before = type_named(type->name);
    if (failed == 0 && before && !is_same(before, type))
        failed = reply_fail(reply, -EEXIST, "there is another type '%s' already", type->name);
    if (failed < 0 || before) {
        free(type);
        return failed;
    }
    type->next = types;
    types = type;
    return 0;
}

int registry_add_type(struct cursor *arguments, struct parcel *reply)
{
    brood_any name = item_take(arguments), begin = item_take(arguments), end = item_take(arguments);
    brood_any methods = item_take(arguments);
    int failed = add_type(&name, &begin, &end, &methods, reply);
    brood_any_clear(&name);
    brood_any_clear(&begin);
    brood_any_clear(&end);
    brood_any_clear(&methods);
    return failed;
}

/* ---- functions ---- */

static int add_function(const brood_any *name, const brood_any *code, struct parcel *reply)
{
    uintptr_t address;
    if (!is_name(name))
        return reply_fail(reply, -EINVAL, "that function has no name");
    int failed = find_code(code, &address, reply);
    if (failed == 0 && !address)
        return reply_fail(reply, -EINVAL, "that is no function");
    if (failed < 0)
        return failed;
    brood_managed_function *run = (brood_managed_function *)address;
    const struct function *before = function_named(name->string);
    if (before)
        return before->run == run ? 0
                                  : reply_fail(reply, -EEXIST, "there is another function '%s' already", name->string);
    struct function *function = calloc(1, sizeof *function);
    if (!function)
        return reply_fail(reply, -ENOMEM, "the server has no memory for function '%s'", name->string);
    memcpy(function->name, name->string, name->size);
    function->run = run;
    function->next = functions;
    functions = function;
    return 0;
}

int registry_add_function(struct cursor *arguments, struct parcel *reply)
{
    brood_any name = item_take(arguments), code = item_take(arguments);
    int failed = add_function(&name, &code, reply);
    brood_any_clear(&name);
    brood_any_clear(&code);
    return failed;
}

/* ---- looking ---- */

/* As a string of C. False: it is none, or longer than any name. */
static bool text_of(const struct item *name, char text[REGISTRY_NAME])
{
    if (name->kind != BROOD_STRING || name->size >= REGISTRY_NAME)
        return false;
    memcpy(text, name->bytes, name->size);
    text[name->size] = 0;
    return strlen(text) == name->size;
}

const struct type *registry_type(const struct item *name)
{
    char text[REGISTRY_NAME];
    return text_of(name, text) ? type_named(text) : NULL;
}

const struct method *registry_method(const struct type *type, const struct item *name)
{
    char text[REGISTRY_NAME];
    return text_of(name, text) ? method_named(type, text) : NULL;
}

const struct function *registry_function(const struct item *name)
{
    char text[REGISTRY_NAME];
    return text_of(name, text) ? function_named(text) : NULL;
}

void registry_clear(void)
{
    for (struct type *type = types, *next; type; type = next) {
        next = type->next;
        free(type);
    }
    for (struct function *function = functions, *next; function; function = next) {
        next = function->next;
        free(function);
    }
    types = NULL;
    functions = NULL;
}
