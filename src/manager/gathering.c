/* manager/gathering.c: barriers, in the server: nobody waits at one that is broken. */
#include "manager/gathering.h"

#include "manager/object.h"
#include "manager/reply.h"

#include <brood/result.h>
#include <errno.h>
#include <stdio.h>

static const char not_all[] = "not all parties have come";

/* Why it is broken. */
static const char *say(const struct gathering *barrier, char *text, size_t size)
{
    if (barrier->broken == -EOWNERDEAD)
        snprintf(text, size, "it is broken: process %d, which waited there, died", barrier->by);
    else
        snprintf(text, size,
                 "it is broken: the time of one who waited was over, or its line, or it was aborted or reset");
    return text;
}

static void send_away(struct gathering *barrier, int broken, int32_t by)
{
    char text[128];
    barrier->broken = broken;
    barrier->by = by;
    while (barrier->line.first)
        claimant_refuse(barrier->line.first, broken, say(barrier, text, sizeof text));
}

static int wait(struct object *object, struct claimant *claimant, bool waits, struct parcel *reply)
{
    struct gathering *barrier = &object->barrier;
    char text[128];
    if (barrier->broken)
        return reply_fail(reply, barrier->broken, "%s", say(barrier, text, sizeof text));
    if (barrier->line.count + 1 == barrier->parties) {
        object_release(&barrier->line, 0);
        return BROOD_CHOSEN;
    }
    if (!waits)
        return reply_fail(reply, -ETIMEDOUT, "%s", not_all);
    claimant_join(claimant, object, &barrier->line);
    return SERVER_LATER;
}

static int call(struct object *object, struct claimant *claimant, unsigned method, const struct item *args,
                unsigned count, struct parcel *reply)
{
    if (method == BARRIER_WAIT && count == 1 && args[0].kind == BROOD_BOOL)
        return wait(object, claimant, args[0].boolean, reply);
    if (method == BARRIER_WAITING && count == 0) {
        const struct item waiting = item_natural(object->barrier.line.count);
        return reply_item(reply, 0, &waiting);
    }
    if ((method != BARRIER_ABORT && method != BARRIER_RESET) || count != 0)
        return reply_fail(reply, -EINVAL, "a barrier has no such method, with these arguments");
    if (method == BARRIER_RESET || !object->barrier.broken)
        send_away(&object->barrier, -EPIPE, 0);
    if (method == BARRIER_RESET)
        object->barrier.broken = 0;
    return 0;
}

static int begin(struct object *object, const struct item *arg, struct parcel *reply)
{
    if (arg->kind != BROOD_INT || arg->integer < 1 || arg->integer > BARRIER_PARTIES_MOST)
        return reply_fail(reply, -EINVAL, "a barrier must have 1 party at least, and %d at most", BARRIER_PARTIES_MOST);
    object->barrier.parties = arg->natural;
    return 0;
}

static void leave(struct claimant *claimant, bool gone)
{
    struct gathering *barrier = &claimant->object->barrier;
    int32_t process = claimant_process(claimant);
    if (gone)
        claimant_leave(claimant);
    else
        claimant_refuse(claimant, -ETIMEDOUT, not_all);
    send_away(barrier, gone ? -EOWNERDEAD : -EPIPE, process);
}

static void clear(struct object *object)
{
    object_dismiss(&object->barrier.line);
}

const struct kind barrier_served = { "a barrier", "barrier", true, begin, call, NULL, clear, leave, NULL };
