/* manager/belt.c */
#include "manager/belt.h"

#include "manager/hoard.h"

struct message *message_make(const struct item *item)
{
    struct message *message = hoard_take(sizeof *message);
    if (!message)
        return NULL;
    message->next = NULL;
    message->deliveries = 0;
    if (datum_keep(&message->item, item) == 0)
        return message;
    hoard_give(message, sizeof *message);
    return NULL;
}

void message_drop(struct message *message)
{
    datum_drop(&message->item);
    hoard_give(message, sizeof *message);
}

void belt_append(struct belt *belt, struct message *message)
{
    message->next = NULL;
    *(belt->last ? &belt->last->next : &belt->first) = message;
    belt->last = message;
    belt->count++;
}

/* after: one that it must come after; NULL: none is known. */
static void insert(struct belt *belt, struct message *after, struct message *message)
{
    struct message **place = after ? &after->next : &belt->first;
    while (*place && (*place)->place < message->place)
        place = &(*place)->next;
    message->next = *place;
    *place = message;
    if (!message->next)
        belt->last = message;
    belt->count++;
}

void belt_insert(struct belt *belt, struct message *message)
{
    insert(belt, NULL, message);
}

struct message *belt_take_first(struct belt *belt)
{
    struct message *message = belt->first;
    if (!message)
        return NULL;
    belt->first = message->next;
    if (!belt->first)
        belt->last = NULL;
    belt->count--;
    return message;
}

struct message *belt_take_last(struct belt *belt)
{
    struct message **place = &belt->first, *before = NULL;
    while (*place && (*place)->next) {
        before = *place;
        place = &before->next;
    }
    struct message *message = *place;
    if (!message)
        return NULL;
    *place = NULL;
    belt->last = before;
    belt->count--;
    return message;
}

void belt_return(struct belt *belt, struct belt *from)
{
    struct message *before = NULL, *message;
    while ((message = belt_take_first(from))) { /* as a rule each comes behind the last */
        message->deliveries++;
        insert(belt, before && before->place < message->place ? before : NULL, message);
        before = message;
    }
}

void belt_clear(struct belt *belt)
{
    struct message *message;
    while ((message = belt_take_first(belt)))
        message_drop(message);
}
