/* manager/row.c: arrays, in the server: lists that have as many items for ever. */
#include "manager/object.h"

#include <errno.h>

/* By the number of the list's method: whether an array has it. */
static const bool methods[LIST_METHODS] = {
    [LIST_GET] = true,    [LIST_SET] = true,   [LIST_SWAP] = true,      [LIST_COMPARE] = true, [LIST_ADD] = true,
    [LIST_LENGTH] = true, [LIST_SLICE] = true, [LIST_SET_SLICE] = true, [LIST_ITEMS] = true,
};

static int call(struct object *object, struct claimant *claimant, unsigned method, const struct item *args,
                unsigned count, struct parcel *reply)
{
    (void)claimant;
    if (method >= LIST_METHODS || !methods[method])
        return reply_fail(reply, -EINVAL, "an array has no such method");
    if (method == LIST_SET_SLICE && count == 3 && args[2].kind == BROOD_LIST) {
        size_t span = sequence_span(&object->array, &args[0], &args[1]);
        if (args[2].natural != span)
            return reply_fail(reply, -EINVAL, "%llu items for %zu places", (unsigned long long)args[2].natural, span);
    }
    return sequence_call(&object->array, method, args, count, reply);
}

static int begin(struct object *object, const struct item *arg, struct parcel *reply)
{
    return sequence_call(&object->array, LIST_EXTEND, arg, 1, reply);
}

static void clear(struct object *object)
{
    sequence_clear(&object->array);
}

const struct kind array_served = { "an array", "array", false, begin, call, NULL, clear, NULL, NULL };
