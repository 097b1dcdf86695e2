/* manager/flag.c: events, in the server. */
#include "manager/flag.h"

#include "manager/object.h"
#include "manager/reply.h"

#include <errno.h>

static const char not_set[] = "it has not been set";

static int call(struct object *object, struct claimant *claimant, unsigned method, const struct item *args,
                unsigned count, struct parcel *reply)
{
    if (method == EVENT_SET && count == 0) {
        object->event.set = true;
        object_release(&object->event.line, 0);
        return 0;
    }
    if (method == EVENT_CLEAR && count == 0) {
        object->event.set = false;
        return 0;
    }
    if (method != EVENT_WAIT || count != 1 || args[0].kind != BROOD_BOOL)
        return reply_fail(reply, -EINVAL, "an event has no such method, with these arguments");
    if (object->event.set)
        return 0;
    if (!args[0].boolean)
        return reply_fail(reply, -ETIMEDOUT, "%s", not_set);
    claimant_join(claimant, object, &object->event.line);
    return SERVER_LATER;
}

static void leave(struct claimant *claimant, bool gone)
{
    if (gone)
        claimant_leave(claimant);
    else
        claimant_refuse(claimant, -ETIMEDOUT, not_set);
}

static void clear(struct object *object)
{
    object_dismiss(&object->event.line);
}

const struct kind event_served = { "an event", "event", true, NULL, call, NULL, clear, leave, NULL };
