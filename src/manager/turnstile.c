/* manager/turnstile.c: locks and conditions, in the server.
 *
 * A claimant that waits for the lock stands in `line`, with how often it is to hold it then (`count`); one that waits
 * for a notify in `sleepers`, from where a notify, or the end of its time, brings it into the line: `again`.
 */
#include "manager/turnstile.h"

#include "manager/object.h"
#include "manager/reply.h"

#include <brood/result.h>
#include <errno.h>
#include <stdio.h>

static const char not_notified[] = "it was not notified in time";

typedef int turnstile_method(struct object *object, struct claimant *claimant, const struct item *arg,
                             struct parcel *reply);

/* The lock is free: it is the claimant's. Its result. */
static int give(struct object *object, struct claimant *claimant)
{
    bool inherited = object->lock.inherited;
    claimant_give(claimant, object, claimant->count, inherited, false);
    return inherited ? BROOD_INHERITED : 0;
}

/* It is free: the next one's turn. */
static void serve_next(struct object *object)
{
    struct claimant *claimant = object->lock.line.first;
    if (!claimant || object->holds)
        return;
    bool late = claimant->again && !claimant->notified;
    int result = give(object, claimant);
    if (late && result == 0)
        claimant_refuse(claimant, -ETIMEDOUT, not_notified);
    else
        claimant_answer(claimant, result);
}

/* From those who wait to be notified to those who wait for the lock. */
static void wake(struct object *object, struct claimant *claimant, bool notified)
{
    claimant_leave(claimant);
    claimant->notified = notified;
    claimant_join(claimant, object, &object->lock.line);
}

static void pass_notify_on(struct object *object)
{
    if (object->lock.sleepers.first)
        wake(object, object->lock.sleepers.first, true);
}

static struct hold *held_by(const struct object *object, const struct claimant *claimant)
{
    return object->holds && object->holds->claimant == claimant ? object->holds : NULL;
}

static int no_holder(struct parcel *reply)
{
    return reply_fail(reply, -EPERM, "this thread does not hold it");
}

static int timed_out(const struct object *object, char *text, size_t size)
{
    snprintf(text, size, "process %d held it to the end",
             object->holds ? claimant_process(object->holds->claimant) : 0);
    return -ETIMEDOUT;
}

/* ---- methods ---- */

static int acquire(struct object *object, struct claimant *claimant, const struct item *arg, struct parcel *reply)
{
    struct hold *hold = held_by(object, claimant);
    char text[64];
    if (hold && object->type == MANAGER_LOCK)
        return reply_fail(reply, -EDEADLK, "this thread holds it already");
    claimant->count = 1;
    if (hold) {
        claimant_give(claimant, object, 1, false, false);
        return 0;
    }
    if (claimant_prepare(claimant) < 0)
        return -ENOMEM;
    if (!object->holds)
        return give(object, claimant);
    if (!arg->boolean)
        return reply_fail(reply, timed_out(object, text, sizeof text), "%s", text);
    claimant_join(claimant, object, &object->lock.line);
    return SERVER_LATER;
}

static int release(struct object *object, struct claimant *claimant, const struct item *arg, struct parcel *reply)
{
    struct hold *hold = held_by(object, claimant);
    (void)arg;
    if (!hold)
        return no_holder(reply);
    hold_reduce(hold, 1);
    if (!object->holds)
        object->lock.inherited = false;
    serve_next(object);
    return 0;
}

static int holder(struct object *object, struct claimant *claimant, const struct item *arg, struct parcel *reply)
{
    const struct item process = item_int(object->holds ? claimant_process(object->holds->claimant) : 0);
    (void)claimant;
    (void)arg;
    return reply_item(reply, 0, &process);
}

static int wait(struct object *object, struct claimant *claimant, const struct item *arg, struct parcel *reply)
{
    struct hold *hold = held_by(object, claimant);
    if (!hold)
        return no_holder(reply);
    if (claimant_prepare(claimant) < 0)
        return -ENOMEM;
    claimant->count = hold->count;
    claimant->again = true;
    hold_reduce(hold, hold->count);
    object->lock.inherited = false;
    if (!arg->boolean && !object->lock.line.first) {
        give(object, claimant); /* nobody else wants it */
        return reply_fail(reply, -ETIMEDOUT, "%s", not_notified);
    }
    claimant_join(claimant, object, arg->boolean ? &object->lock.sleepers : &object->lock.line);
    serve_next(object);
    return SERVER_LATER;
}

static int notify(struct object *object, struct claimant *claimant, const struct item *arg, struct parcel *reply)
{
    if (!held_by(object, claimant))
        return no_holder(reply);
    for (int64_t left = arg->integer; left > 0 && object->lock.sleepers.first; left--)
        pass_notify_on(object);
    return 0;
}

/* ---- as a type ---- */

/* kind: of the argument; BROOD_NIL: there is none. */
static const struct {
    turnstile_method *call;
    brood_kind kind;
} methods[LOCK_METHODS] = {
    [LOCK_ACQUIRE] = { acquire, BROOD_BOOL },   [LOCK_RELEASE] = { release, BROOD_NIL },
    [LOCK_HOLDER] = { holder, BROOD_NIL },      [CONDITION_WAIT] = { wait, BROOD_BOOL },
    [CONDITION_NOTIFY] = { notify, BROOD_INT },
};

static int call(struct object *object, struct claimant *claimant, unsigned method, const struct item *args,
                unsigned count, struct parcel *reply)
{
    if (method >= (object->type == MANAGER_CONDITION ? LOCK_METHODS : CONDITION_WAIT) ||
        count != (methods[method].kind != BROOD_NIL) || (count == 1 && args[0].kind != methods[method].kind))
        return reply_fail(reply, -EINVAL, "%s has no such method, with these arguments", object_kind(object)->article);
    return methods[method].call(object, claimant, args, reply);
}

static void leave(struct claimant *claimant, bool gone)
{
    struct object *object = claimant->object;
    char text[64];
    if (gone) {
        claimant_leave(claimant);
        if (claimant->notified)
            pass_notify_on(object);
    } else if (claimant->line == &object->lock.sleepers) {
        wake(object, claimant, false);
        serve_next(object);
    } else if (!claimant->again) {
        int failed = timed_out(object, text, sizeof text);
        claimant_refuse(claimant, failed, text);
    }
}

static void lost(struct hold *hold, uint64_t count, enum hold_end end)
{
    struct object *object = hold->object;
    object->lock.inherited |= end != HOLD_UNTAKEN;
    if (end != HOLD_DIED && hold->claimant->notified)
        pass_notify_on(object);
    hold_reduce(hold, count);
    serve_next(object);
}

static void clear(struct object *object)
{
    object_dismiss(&object->lock.line);
    object_dismiss(&object->lock.sleepers);
}

const struct kind lock_served = { "a lock", "lock", true, NULL, call, NULL, clear, leave, lost };
const struct kind rlock_served = { "a recursive lock", "recursive lock", true, NULL, call, NULL, clear, leave, lost };
const struct kind condition_served = { "a condition", "condition", true, NULL, call, NULL, clear, leave, lost };
