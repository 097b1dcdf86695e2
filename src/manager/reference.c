/* manager/reference.c */
#include "manager/reference.h"

#include "manager/object.h"
#include "manager/reply.h"

#include <errno.h>
#include <stdlib.h>

#define BYTES_A_VALUE 8

static struct client *answered;
static uint64_t walks;

uint64_t reference_walk(void)
{
    return ++walks;
}

/* ---- loans ---- */

struct client *reference_answer_to(struct client *client)
{
    struct client *before = answered;
    answered = client;
    return before;
}

static bool lend(uint64_t id)
{
    struct object *object = objects_find(id);
    struct claimant *claimant = claimant_of(answered, true);
    if (!object || !claimant)
        return !object;
    if (claimant->loan_count == claimant->loan_room) {
        size_t room = claimant->loan_room ? 2 * claimant->loan_room : 8;
        uint64_t *loans = realloc(claimant->loans, room * sizeof *loans);
        if (!loans)
            return false;
        claimant->loans = loans;
        claimant->loan_room = room;
    }
    claimant->loans[claimant->loan_count++] = id;
    object->loans++;
    return true;
}

bool reference_lend(const struct item *item)
{
    uint64_t id;
    if (!item->refers || !answered)
        return true;
    if (item->kind == BROOD_REFERENCE)
        return lend(item->natural);
    for (struct cursor cursor = { item->bytes, item->bytes + item->size }; item_next_reference(&cursor, &id);)
        if (!lend(id))
            return false;
    return true;
}

size_t reference_loans(const struct client *client)
{
    const struct claimant *claimant = client->own;
    return claimant ? claimant->loan_count : 0;
}

void reference_end_loans(struct client *client, size_t count)
{
    struct claimant *claimant = client->own;
    if (!claimant || count == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        struct object *object = objects_find(claimant->loans[i]);
        object->loans--;
        objects_release(object);
    }
    claimant->loan_count -= count;
    for (size_t i = 0; i < claimant->loan_count; i++)
        claimant->loans[i] = claimant->loans[i + count];
    if (claimant->loan_count > 0)
        return;
    free(claimant->loans);
    claimant->loans = NULL;
    claimant->loan_room = 0;
}

/* ---- values that are kept ---- */

bool reference_take(uint64_t id)
{
    struct object *object = objects_find(id);
    if (object)
        object->references++;
    return object;
}

void reference_drop(uint64_t id)
{
    struct object *object = objects_find(id);
    if (!object) /* all objects go */
        return;
    object->references--;
    objects_release(object);
}

/* ---- what an object refers to ---- */

static void visit_datum(const struct datum *datum, size_t *values, reference_visit *visit, void *context)
{
    const struct item item = datum_item(datum);
    uint64_t id;
    --*values;
    if (!item.refers)
        return;
    if (item.kind == BROOD_REFERENCE) {
        visit(context, item.natural);
        return;
    }
    size_t passed = item.size / BYTES_A_VALUE; /* what is looked through counts, whatever it is */
    *values = *values > passed ? *values - passed : 0;
    for (struct cursor cursor = { item.bytes, item.bytes + item.size };
         *values > 0 && item_next_reference(&cursor, &id); --*values)
        visit(context, id);
}

static void visit_belt(const struct belt *belt, size_t *values, reference_visit *visit, void *context)
{
    for (const struct message *message = belt->first; message && *values > 0; message = message->next)
        visit_datum(&message->item, values, visit, context);
}

/* Those that wait for room, and those that may come back. */
static void visit_queue(const struct object *object, size_t *values, reference_visit *visit, void *context)
{
    visit_belt(&object->queue.belt, values, visit, context);
    for (const struct hold *hold = object->holds; hold; hold = hold->next_of_object)
        visit_belt(&hold->lent, values, visit, context);
    for (const struct claimant *putter = object->queue.putters.first; putter && *values > 0; putter = putter->behind)
        visit_datum(&putter->message->item, values, visit, context);
}

void reference_each(const struct object *object, size_t *values, reference_visit *visit, void *context)
{
    if (!object->refers)
        return;
    switch (object->type) {
    case MANAGER_DICT:
    case MANAGER_NAMESPACE:
        for (const struct pair *pair = NULL; *values > 0 && (pair = mapping_next(&object->dictionary, pair));)
            visit_datum(&pair->value, values, visit, context);
        break;
    case MANAGER_LIST:
    case MANAGER_ARRAY:
        for (size_t i = 0; i<object->list.count && * values> 0; i++)
            visit_datum(&object->list.items[i], values, visit, context);
        break;
    case MANAGER_VALUE:
        visit_datum(&object->value, values, visit, context);
        break;
    case MANAGER_QUEUE:
    case MANAGER_JOINABLE_QUEUE:
        visit_queue(object, values, visit, context);
        break;
    default: /* what it has been asked with is not kept */
        break;
    }
}

/* ---- cycles ---- */

/* first: objects that have been met, and are to be looked into. */
struct search {
    const struct object *keeper;
    struct object *first;
    uint64_t walk;
    bool found;
};

static void meet(void *context, uint64_t id)
{
    struct search *search = context;
    struct object *object = objects_find(id);
    if (!object || object->walk == search->walk)
        return;
    object->walk = search->walk;
    search->found |= object == search->keeper;
    object->next = search->first;
    search->first = object;
}

static int search_on(struct search *search, size_t most, struct parcel *reply)
{
    size_t values = most;
    while (search->first && !search->found && values > 0) {
        const struct object *object = search->first;
        search->first = object->next;
        reference_each(object, &values, meet, search);
    }
    if (search->found)
        return reply_fail(reply, -ELOOP, "that refers to %s, which would refer to itself",
                          object_kind(search->keeper)->article);
    if (values == 0)
        return reply_fail(reply, -ELOOP, "behind that lie %zu values and more: too many to see whether one refers back",
                          most);
    return 0;
}

int reference_check(const struct object *keeper, const struct item *item, size_t most, struct parcel *reply)
{
    struct search search = { .keeper = keeper, .walk = reference_walk() };
    struct cursor cursor = { item->bytes, item->bytes + item->size };
    uint64_t id = item->natural;
    if (!item->refers)
        return 0;
    for (bool more = item->kind == BROOD_REFERENCE || item_next_reference(&cursor, &id); more;
         more = item->kind != BROOD_REFERENCE && item_next_reference(&cursor, &id)) {
        if (!objects_find(id))
            return reply_fail(reply, -EINVAL, "it refers to an object that is gone, or of another manager");
        meet(&search, id);
    }
    if (!keeper)
        return 0;
    if (keeper->references == 0 && !search.found) /* nothing refers to it */
        return 0;
    return search_on(&search, most, reply);
}
