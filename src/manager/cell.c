/* manager/cell.c: values, in the server. */
#include "manager/cell.h"

#include "manager/object.h"
#include "manager/reply.h"

#include <errno.h>

static int set(struct object *object, const struct item *value, struct parcel *reply)
{
    struct datum kept;
    if (datum_keep(&kept, value) < 0)
        return reply_fail(reply, -ENOMEM, "the server has no memory for that, or is not to have");
    datum_drop(&object->value);
    object->value = kept;
    return 0;
}

static int call(struct object *object, struct claimant *claimant, unsigned method, const struct item *args,
                unsigned count, struct parcel *reply)
{
    static const unsigned counts[VALUE_METHODS] = {
        [VALUE_SET] = 1, [VALUE_GET] = 0, [VALUE_SWAP] = 1, [VALUE_COMPARE] = 2, [VALUE_ADD] = 1
    };
    (void)claimant;
    if (method >= VALUE_METHODS || count != counts[method])
        return reply_fail(reply, -EINVAL, "a value has no such method, with %u arguments", count);
    const struct item now = datum_item(&object->value);
    if (method == VALUE_ADD)
        return reply_sum(reply, &object->value, &args[0]);
    if (method == VALUE_COMPARE && !item_equal(&now, &args[0]))
        return reply_fail(reply, -EAGAIN, "it has another value");
    int result = method == VALUE_GET || method == VALUE_SWAP ? reply_datum(reply, 0, &object->value) : 0;
    return result < 0 || method == VALUE_GET ? result : set(object, &args[count - 1], reply);
}

static int begin(struct object *object, const struct item *arg, struct parcel *reply)
{
    return set(object, arg, reply);
}

static void clear(struct object *object)
{
    datum_drop(&object->value);
    object->value = (struct datum){ .kind = BROOD_NIL };
}

const struct kind value_served = { "a value", "value", false, begin, call, NULL, clear, NULL, NULL };
