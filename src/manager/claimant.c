/* manager/claimant.c */
#include "manager/claimant.h"

#include "manager/object.h"
#include "manager/reply.h"

#include <errno.h>
#include <stdlib.h>

size_t claimants_waiting;

struct claimant *claimant_of(struct client *client, bool may_make)
{
    if (!client->own && may_make) {
        struct claimant *claimant = calloc(1, sizeof *claimant);
        if (claimant)
            claimant->client = client;
        client->own = claimant;
    }
    return client->own;
}

int32_t claimant_process(const struct claimant *claimant)
{
    return (int32_t)atomic_load(&claimant->client->channel->holder.owner);
}

/* ---- lines ---- */

void claimant_join(struct claimant *claimant, struct object *object, struct line *line)
{
    claimant->object = object;
    claimant->line = line;
    claimant->before = line->last;
    claimant->behind = NULL;
    *(line->last ? &line->last->behind : &line->first) = claimant;
    line->last = claimant;
    line->count++;
    claimants_waiting++;
}

void claimant_leave(struct claimant *claimant)
{
    struct line *line = claimant->line;
    *(claimant->before ? &claimant->before->behind : &line->first) = claimant->behind;
    *(claimant->behind ? &claimant->behind->before : &line->last) = claimant->before;
    line->count--;
    claimant->line = NULL;
    claimant->object = NULL;
    claimants_waiting--;
}

void claimant_answer(struct claimant *claimant, int result)
{
    claimant_leave(claimant);
    client_answer(claimant->client, result);
}

void claimant_refuse(struct claimant *claimant, int failed, const char *sentence)
{
    claimant_answer(claimant, reply_fail(client_reply(claimant->client), failed, "%s", sentence));
}

/* ---- holds ---- */

int claimant_prepare(struct claimant *claimant)
{
    if (!claimant->spare)
        claimant->spare = calloc(1, sizeof *claimant->spare);
    return claimant->spare ? 0 : -ENOMEM;
}

struct hold *claimant_hold(const struct claimant *claimant, const struct object *object)
{
    struct hold *hold = claimant->holds;
    while (hold && hold->object != object)
        hold = hold->next;
    return hold;
}

struct hold *claimant_give(struct claimant *claimant, struct object *object, uint64_t count, bool told, bool passing)
{
    struct hold *hold = claimant_hold(claimant, object);
    if (!hold) {
        hold = claimant->spare;
        claimant->spare = NULL;
        *hold = (struct hold){ claimant, object, claimant->holds, object->holds, 0, { .first = NULL } };
        claimant->holds = object->holds = hold;
        claimant->client->holds = true;
    }
    hold->count += count;
    claimant->fresh = hold;
    claimant->given = count;
    claimant->number = claimant->client->taken;
    claimant->told = told;
    claimant->passing = passing;
    return hold;
}

void hold_reduce(struct hold *hold, uint64_t count)
{
    hold->count -= count;
    if (hold->count > 0)
        return;
    struct claimant *claimant = hold->claimant;
    struct hold **place = &claimant->holds, **other = &hold->object->holds;
    while (*place != hold)
        place = &(*place)->next;
    while (*other != hold)
        other = &(*other)->next_of_object;
    *place = hold->next;
    *other = hold->next_of_object;
    if (claimant->fresh == hold)
        claimant->fresh = NULL;
    claimant->client->holds = claimant->holds != NULL;
    free(hold);
}

/* What the last call gave it. */
static void end_fresh(struct claimant *claimant)
{
    struct hold *hold = claimant->fresh;
    if (!hold)
        return;
    bool took = client_took(claimant->client, claimant->number);
    enum hold_end end = took                                                  ? HOLD_DONE
                        : client_may_have(claimant->client, claimant->number) ? HOLD_UNSURE
                                                                              : HOLD_UNTAKEN;
    claimant->fresh = NULL;
    if (!took || claimant->passing)
        object_kind(hold->object)->lost(hold, claimant->given, end);
}

void claimant_settle(struct claimant *claimant)
{
    end_fresh(claimant);
    claimant->again = claimant->notified = false;
}

void claimant_end(struct claimant *claimant)
{
    if (claimant->object)
        object_kind(claimant->object)->leave(claimant, true);
    end_fresh(claimant);
    while (claimant->holds)
        object_kind(claimant->holds->object)->lost(claimant->holds, claimant->holds->count, HOLD_DIED);
    claimant->client->own = NULL;
    free(claimant->spare);
    free(claimant);
}
