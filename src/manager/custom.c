/* manager/custom.c: objects of types that the program has registered, in the server. */
#include "manager/custom.h"

#include "manager/registry.h"
#include "manager/reply.h"
#include "manager/routine.h"
#include "process/end.h"

#include <errno.h>

enum { OPENING = 2 }; /* an opening's list: the type's name, the argument */

static bool read_opening(const struct item *arg, struct item *name, struct item *value)
{
    if (arg->kind != BROOD_LIST || arg->natural != OPENING)
        return false;
    struct cursor inside = item_inside(arg);
    item_next(&inside, name);
    item_next(&inside, value);
    return name->kind == BROOD_STRING;
}

bool custom_fits(const struct object *object, const struct item *arg)
{
    struct item name, value;
    return object->type != MANAGER_OBJECT ||
           (read_opening(arg, &name, &value) && registry_type(&name) == object->custom.type);
}

static int run_begin(void *context, const brood_any *arg, brood_any *result)
{
    struct custom *custom = context;
    (void)result;
    return custom->type->begin ? custom->type->begin(&custom->self, arg) : 0;
}

static int begin(struct object *object, const struct item *arg, struct parcel *reply)
{
    struct item name, value;
    if (!read_opening(arg, &name, &value))
        return reply_fail(reply, -EINVAL, "an object is made from a list: a type's name, and a value");
    struct custom custom = { .type = registry_type(&name) };
    if (!custom.type)
        return reply_fail(reply, -ENOENT, "no type '%.*s' is registered", item_shown(&name), (const char *)name.bytes);
    const struct routine routine = { run_begin, &custom, "begin of type", custom.type->name };
    int failed = routine_call(&routine, &value, reply);
    if (failed == 0)
        object->custom = custom;
    return failed;
}

struct turn {
    const struct method *method;
    void *self;
};

static int run_method(void *context, const brood_any *arg, brood_any *result)
{
    const struct turn *turn = context;
    return turn->method->run(turn->self, arg, result);
}

static int call(struct object *object, struct claimant *claimant, unsigned method, const struct item *args,
                unsigned count, struct parcel *reply)
{
    (void)claimant;
    if (method != CUSTOM_CALL || count != 2 || args[0].kind != BROOD_STRING)
        return reply_fail(reply, -EINVAL, "what is asked of an object is a method's name, and a value");
    struct turn turn = { registry_method(object->custom.type, &args[0]), object->custom.self };
    if (!turn.method)
        return reply_fail(reply, -ENOENT, "type '%s' has no method '%.*s'", object->custom.type->name,
                          item_shown(&args[0]), (const char *)args[0].bytes);
    const struct routine routine = { run_method, &turn, "method", turn.method->name };
    return routine_call(&routine, &args[1], reply);
}

static void clear(struct object *object)
{
    const struct custom custom = object->custom;
    object->custom = (struct custom){ .type = NULL };
    if (!custom.type || !custom.type->end)
        return;
    struct end_note *before = end_note_to(NULL); /* nobody is told how it fails */
    custom.type->end(custom.self);
    end_note_to(before);
}

const struct kind custom_served = {
    "an object of a type of its own", "object of that type", false, begin, call, NULL, clear, NULL, NULL
};
