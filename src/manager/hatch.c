/* manager/hatch.c: queues, in the server: no getter waits while there is a message, no putter while there is room.
 *
 * A message that is got is lent: from a plain queue until its getter asks for something else, from a joinable one until
 * the getter is done with it. So one that went to a getter that died comes back: before all that were put after it,
 * whichever of several getters dies first.
 */
#include "manager/hatch.h"

#include "manager/object.h"
#include "manager/reference.h"
#include "manager/reply.h"

#include <errno.h>
#include <limits.h>

typedef int hatch_method(struct object *object, struct claimant *claimant, const struct item *args,
                         struct parcel *reply);

static const char closed[] = "it was shut down", no_room[] = "there was no room in it to the end",
                  nothing[] = "there was nothing in it to the end", not_done[] = "not all of its items are done with";

static bool is_joinable(const struct object *object)
{
    return object->type == MANAGER_JOINABLE_QUEUE;
}

static bool has_room(const struct hatch *queue)
{
    return queue->most == 0 || queue->belt.count < queue->most;
}

static bool is_done(const struct hatch *queue)
{
    return queue->belt.count == 0 && queue->lent == 0;
}

static void append(struct hatch *queue, struct message *message)
{
    message->place = ++queue->puts;
    belt_append(&queue->belt, message);
}

/* ---- giving ---- */

/* There is a message, and the claimant is prepared: its result, with the item; or no memory for that, and it stays. */
static int give(struct object *object, struct claimant *claimant, struct parcel *reply)
{
    struct hatch *queue = &object->queue;
    unsigned deliveries = queue->belt.first->deliveries;
    struct client *before = reference_answer_to(claimant->client);
    int result = reply_datum(reply, deliveries > INT_MAX / 2 ? INT_MAX / 2 : (int)deliveries, &queue->belt.first->item);
    reference_answer_to(before);
    if (result < 0)
        return result;
    struct hold *hold = claimant_give(claimant, object, 1, false, !is_joinable(object));
    belt_append(&hold->lent, belt_take_first(&queue->belt));
    queue->lent++;
    return result;
}

/* Whoever need not wait any more goes. */
static void serve_next(struct object *object)
{
    struct hatch *queue = &object->queue;
    while ((queue->belt.first && queue->getters.first) || (queue->putters.first && has_room(queue))) {
        struct claimant *getter = queue->belt.first ? queue->getters.first : NULL, *putter = queue->putters.first;
        if (getter) {
            claimant_answer(getter, give(object, getter, client_reply(getter->client)));
        } else {
            append(queue, putter->message);
            putter->message = NULL;
            claimant_answer(putter, 0);
        }
    }
    if (is_done(queue))
        object_release(&queue->joiners, 0);
}

/* ---- methods ---- */

static int put(struct object *object, struct claimant *claimant, const struct item *args, struct parcel *reply)
{
    struct hatch *queue = &object->queue;
    if (queue->closed)
        return reply_fail(reply, -EPIPE, "%s", closed);
    bool room = has_room(queue);
    if (!room && !args[1].boolean)
        return reply_fail(reply, -ETIMEDOUT, "%s", no_room);
    struct message *message = message_make(&args[0]);
    if (!message)
        return reply_fail(reply, -ENOMEM, "the server has no memory for that, or is not to have");
    if (room) {
        append(queue, message);
        serve_next(object);
        return 0;
    }
    claimant->message = message;
    claimant_join(claimant, object, &queue->putters);
    return SERVER_LATER;
}

static int get(struct object *object, struct claimant *claimant, const struct item *args, struct parcel *reply)
{
    struct hatch *queue = &object->queue;
    if (claimant_prepare(claimant) < 0)
        return -ENOMEM;
    if (queue->belt.first) {
        int result = give(object, claimant, reply);
        serve_next(object);
        return result;
    }
    if (queue->closed)
        return reply_fail(reply, -EPIPE, "%s", closed);
    if (!args[0].boolean)
        return reply_fail(reply, -ETIMEDOUT, "%s", nothing);
    claimant_join(claimant, object, &queue->getters);
    return SERVER_LATER;
}

static int done(struct object *object, struct claimant *claimant, const struct item *args, struct parcel *reply)
{
    struct hold *hold = claimant_hold(claimant, object);
    (void)args;
    if (!is_joinable(object))
        return reply_fail(reply, -EINVAL, "it is no joinable queue");
    if (!hold)
        return reply_fail(reply, -EPERM, "this thread has got nothing from it that it is not done with");
    message_drop(belt_take_first(&hold->lent));
    hold_reduce(hold, 1);
    object->queue.lent--;
    serve_next(object);
    return 0;
}

static int join(struct object *object, struct claimant *claimant, const struct item *args, struct parcel *reply)
{
    if (!is_joinable(object))
        return reply_fail(reply, -EINVAL, "it is no joinable queue");
    if (is_done(&object->queue))
        return 0;
    if (!args[0].boolean)
        return reply_fail(reply, -ETIMEDOUT, "%s", not_done);
    claimant_join(claimant, object, &object->queue.joiners);
    return SERVER_LATER;
}

static void refuse_put(struct claimant *putter, int failed, const char *sentence)
{
    message_drop(putter->message);
    putter->message = NULL;
    claimant_refuse(putter, failed, sentence);
}

static int shut_down(struct object *object, struct claimant *claimant, const struct item *args, struct parcel *reply)
{
    struct hatch *queue = &object->queue;
    (void)claimant;
    (void)args;
    (void)reply;
    queue->closed = true;
    while (queue->putters.first)
        refuse_put(queue->putters.first, -EPIPE, closed);
    while (queue->getters.first) /* there is nothing in it, or nobody would wait */
        claimant_refuse(queue->getters.first, -EPIPE, closed);
    return 0;
}

static int reply_number(struct parcel *reply, uint64_t number)
{
    const struct item item = item_natural(number);
    return reply_item(reply, 0, &item);
}

static int count_items(struct object *object, struct claimant *claimant, const struct item *args, struct parcel *reply)
{
    (void)claimant;
    (void)args;
    return reply_number(reply, object->queue.belt.count);
}

static int capacity(struct object *object, struct claimant *claimant, const struct item *args, struct parcel *reply)
{
    (void)claimant;
    (void)args;
    return reply_number(reply, object->queue.most);
}

/* ---- as a type ---- */

/* count: of arguments; the last is whether to wait. */
static const struct {
    hatch_method *call;
    unsigned count;
} methods[QUEUE_METHODS] = {
    [QUEUE_PUT] = { put, 2 },
    [QUEUE_GET] = { get, 1 },
    [QUEUE_DONE] = { done, 0 },
    [QUEUE_JOIN] = { join, 1 },
    [QUEUE_SHUTDOWN] = { shut_down, 0 },
    [QUEUE_COUNT] = { count_items, 0 },
    [QUEUE_CAPACITY] = { capacity, 0 },
};

static int call(struct object *object, struct claimant *claimant, unsigned method, const struct item *args,
                unsigned count, struct parcel *reply)
{
    if (method >= QUEUE_METHODS || count != methods[method].count || (count && args[count - 1].kind != BROOD_BOOL))
        return reply_fail(reply, -EINVAL, "a queue has no such method, with these arguments");
    return methods[method].call(object, claimant, args, reply);
}

static int begin(struct object *object, const struct item *arg, struct parcel *reply)
{
    if (arg->kind != BROOD_INT || arg->integer < 0)
        return reply_fail(reply, -EINVAL, "a queue is for 0 (any number) items or more");
    object->queue.most = arg->natural;
    return 0;
}

static void leave(struct claimant *claimant, bool gone)
{
    struct hatch *queue = &claimant->object->queue;
    bool putter = claimant->line == &queue->putters;
    const char *why = putter ? no_room : claimant->line == &queue->getters ? nothing : not_done;
    if (putter) {
        message_drop(claimant->message);
        claimant->message = NULL;
    }
    if (gone)
        claimant_leave(claimant);
    else
        claimant_refuse(claimant, -ETIMEDOUT, why);
}

/* The last one that it got, or if it died all of them. What it may have had is told as what it had. */
static void lost(struct hold *hold, uint64_t count, enum hold_end end)
{
    struct object *object = hold->object;
    struct message *last = end == HOLD_DIED ? NULL : belt_take_last(&hold->lent);
    if (!last) {
        belt_return(&object->queue.belt, &hold->lent);
    } else if (end == HOLD_DONE) {
        message_drop(last);
    } else {
        last->deliveries += end == HOLD_UNSURE;
        belt_insert(&object->queue.belt, last);
    }
    object->queue.lent -= count;
    hold_reduce(hold, count);
    serve_next(object);
}

static void clear(struct object *object)
{
    struct hatch *queue = &object->queue;
    while (queue->putters.first)
        refuse_put(queue->putters.first, -EINVAL, "that object is gone");
    object_dismiss(&queue->getters);
    object_dismiss(&queue->joiners);
    belt_clear(&queue->belt);
    for (struct hold *hold = object->holds; hold; hold = hold->next_of_object)
        belt_clear(&hold->lent);
}

const struct kind queue_served = { "a queue", "queue", true, begin, call, NULL, clear, leave, lost };
const struct kind joinable_queue_served = {
    "a joinable queue", "joinable queue", true, begin, call, NULL, clear, leave, lost
};
