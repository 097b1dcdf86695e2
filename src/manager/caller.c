/* manager/caller.c */
#include "manager/caller.h"

#include "manager/object.h"
#include "manager/reply.h"

#include <errno.h>
#include <stdlib.h>

size_t callers_waiting;

struct caller *caller_of(struct client *client, bool may_make)
{
    if (!client->own && may_make) {
        struct caller *caller = calloc(1, sizeof *caller);
        if (caller)
            caller->client = client;
        client->own = caller;
    }
    return client->own;
}

int32_t caller_process(const struct caller *caller)
{
    return (int32_t)atomic_load(&caller->client->channel->holder.owner);
}

/* ---- lines ---- */

void caller_join(struct caller *caller, struct object *object, struct line *line)
{
    caller->object = object;
    caller->line = line;
    caller->before = line->last;
    caller->behind = NULL;
    *(line->last ? &line->last->behind : &line->first) = caller;
    line->last = caller;
    line->count++;
    callers_waiting++;
}

void caller_leave(struct caller *caller)
{
    struct line *line = caller->line;
    *(caller->before ? &caller->before->behind : &line->first) = caller->behind;
    *(caller->behind ? &caller->behind->before : &line->last) = caller->before;
    line->count--;
    caller->line = NULL;
    caller->object = NULL;
    callers_waiting--;
}

void caller_answer(struct caller *caller, int result)
{
    caller_leave(caller);
    client_answer(caller->client, result);
}

void caller_refuse(struct caller *caller, int failed, const char *sentence)
{
    caller_answer(caller, reply_fail(client_reply(caller->client), failed, "%s", sentence));
}

/* ---- holds ---- */

int caller_prepare(struct caller *caller)
{
    if (!caller->spare)
        caller->spare = calloc(1, sizeof *caller->spare);
    return caller->spare ? 0 : -ENOMEM;
}

struct hold *caller_hold(const struct caller *caller, const struct object *object)
{
    struct hold *hold = caller->holds;
    while (hold && hold->object != object)
        hold = hold->next;
    return hold;
}

struct hold *caller_give(struct caller *caller, struct object *object, uint64_t count, bool told, bool passing)
{
    struct hold *hold = caller_hold(caller, object);
    if (!hold) {
        hold = caller->spare;
        caller->spare = NULL;
        *hold = (struct hold){ caller, object, caller->holds, object->holds, 0, { .first = NULL } };
        caller->holds = object->holds = hold;
        caller->client->holds = true;
    }
    hold->count += count;
    caller->fresh = hold;
    caller->given = count;
    caller->number = caller->client->taken;
    caller->told = told;
    caller->passing = passing;
    return hold;
}

void hold_reduce(struct hold *hold, uint64_t count)
{
    hold->count -= count;
    if (hold->count > 0)
        return;
    struct caller *caller = hold->caller;
    struct hold **place = &caller->holds, **other = &hold->object->holds;
    while (*place != hold)
        place = &(*place)->next;
    while (*other != hold)
        other = &(*other)->next_of_object;
    *place = hold->next;
    *other = hold->next_of_object;
    if (caller->fresh == hold)
        caller->fresh = NULL;
    caller->client->holds = caller->holds != NULL;
    free(hold);
}

/* What the last call gave it. */
static void end_fresh(struct caller *caller)
{
    struct hold *hold = caller->fresh;
    if (!hold)
        return;
    bool took = client_took(caller->client, caller->number);
    enum hold_end end = took ? HOLD_DONE : client_may_have(caller->client, caller->number) ? HOLD_UNSURE : HOLD_UNTAKEN;
    caller->fresh = NULL;
    if (!took || caller->passing)
        object_kind(hold->object)->lost(hold, caller->given, end);
}

void caller_settle(struct caller *caller)
{
    end_fresh(caller);
    caller->again = caller->notified = false;
}

void caller_end(struct caller *caller)
{
    if (caller->object)
        object_kind(caller->object)->leave(caller, true);
    end_fresh(caller);
    while (caller->holds)
        object_kind(caller->holds->object)->lost(caller->holds, caller->holds->count, HOLD_DIED);
    caller->client->own = NULL;
    free(caller->spare);
    free(caller);
}
