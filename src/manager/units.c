/* manager/units.c: semaphores, in the server: nobody waits while a unit is free.
 *
 * Units of a bounded one are held. One of a plain one is, too, but only until its taker asks for something else: then
 * it has had its use of it, and nobody holds it. Of one that may have taken it, or not, it is not lost, but stale.
 */
#include "manager/units.h"

#include "manager/object.h"
#include "manager/reply.h"

#include <brood/result.h>
#include <errno.h>
#include <limits.h>

static const char none_free[] = "there was no unit to the end";

/* There is one: it is the claimant's. Its result. */
static int give(struct object *object, struct claimant *claimant)
{
    struct units *units = &object->semaphore;
    bool stale = units->stale > 0;
    units->free--;
    units->stale -= stale;
    claimant_give(claimant, object, 1, stale, object->type == MANAGER_SEMAPHORE);
    return stale ? BROOD_INHERITED : 0;
}

static void serve_next(struct object *object)
{
    while (object->semaphore.free > 0 && object->semaphore.line.first) {
        struct claimant *claimant = object->semaphore.line.first;
        claimant_answer(claimant, give(object, claimant));
    }
}

static int acquire(struct object *object, struct claimant *claimant, bool waits, struct parcel *reply)
{
    if (claimant_prepare(claimant) < 0)
        return -ENOMEM;
    if (object->semaphore.free > 0)
        return give(object, claimant);
    if (!waits)
        return reply_fail(reply, -ETIMEDOUT, "%s", none_free);
    claimant_join(claimant, object, &object->semaphore.line);
    return SERVER_LATER;
}

static int release(struct object *object, struct claimant *claimant, struct parcel *reply)
{
    if (object->type == MANAGER_BOUNDED_SEMAPHORE) {
        struct hold *hold = claimant_hold(claimant, object);
        if (!hold)
            return reply_fail(reply, -EPERM, "this thread holds none of its units");
        hold_reduce(hold, 1);
    } else if (object->semaphore.free == object->semaphore.most) {
        return reply_fail(reply, -EOVERFLOW, "it has as many units as it may");
    }
    object->semaphore.free++;
    serve_next(object);
    return 0;
}

static int call(struct object *object, struct claimant *claimant, unsigned method, const struct item *args,
                unsigned count, struct parcel *reply)
{
    if (method == SEMAPHORE_ACQUIRE && count == 1 && args[0].kind == BROOD_BOOL)
        return acquire(object, claimant, args[0].boolean, reply);
    if (method == SEMAPHORE_RELEASE && count == 0)
        return release(object, claimant, reply);
    if (method != SEMAPHORE_UNITS || count != 0)
        return reply_fail(reply, -EINVAL, "a semaphore has no such method, with these arguments");
    const struct item units = item_natural(object->semaphore.free);
    return reply_item(reply, 0, &units);
}

static int begin(struct object *object, const struct item *arg, struct parcel *reply)
{
    bool bounded = object->type == MANAGER_BOUNDED_SEMAPHORE;
    if (arg->kind != BROOD_INT || arg->integer < bounded || arg->integer > INT_MAX)
        return reply_fail(reply, -EINVAL, "%s must have %d units at least, and %d at most",
                          object_kind(object)->article, bounded, INT_MAX);
    object->semaphore.free = arg->natural;
    object->semaphore.most = bounded ? arg->natural : INT_MAX;
    return 0;
}

static void leave(struct claimant *claimant, bool gone)
{
    if (gone)
        claimant_leave(claimant);
    else
        claimant_refuse(claimant, -ETIMEDOUT, none_free);
}

static void lost(struct hold *hold, uint64_t count, enum hold_end end)
{
    struct object *object = hold->object;
    bool told = hold->claimant->told;
    hold_reduce(hold, count);
    if (end == HOLD_DONE)
        return;
    object->semaphore.free += count;
    object->semaphore.stale += end == HOLD_UNTAKEN ? told : count;
    serve_next(object);
}

static void clear(struct object *object)
{
    object_dismiss(&object->semaphore.line);
}

const struct kind semaphore_served = { "a semaphore", "semaphore", true, begin, call, NULL, clear, leave, lost };
const struct kind bounded_semaphore_served = {
    "a bounded semaphore", "bounded semaphore", true, begin, call, NULL, clear, leave, lost
};
