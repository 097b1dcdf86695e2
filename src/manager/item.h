/* manager/item.h: values that lie encoded somewhere (manager/cbor.h), compared without being decoded.
 */
#ifndef MANAGER_ITEM_H
#define MANAGER_ITEM_H

#include "manager/cbor.h"

/* Of the same kind, and with the same content: brood/any.h. */
bool item_equal(const struct item *one, const struct item *other);
bool item_is_key(const struct item *item);
static inline bool item_is_number(const struct item *item)
{
    return item->kind == BROOD_INT || item->kind == BROOD_UINT || item->kind == BROOD_DOUBLE;
}

/* A copy of it, decoded, to be cleared: 0, or -ENOMEM; -EINVAL: somebody has written over it. And the next one that
 * lies there, decoded; nil, if there is none. */
int item_value(const struct item *item, brood_any *value);
brood_any item_take(struct cursor *cursor);

/* How many of a string's bytes a sentence shows. */
int item_shown(const struct item *text);

/* Of numbers: an integer of integers, else a double. 0, or -ERANGE: it is no integer of 64 bits. */
int item_sum(const struct item *one, const struct item *other, struct item *sum);

/* Whether both are numbers, or strings, or bytes; and then below 0, 0 or above: as they follow each other. */
bool item_has_order(const struct item *one, const struct item *other);
int item_order(const struct item *one, const struct item *other);

/* Of keys. */
uint64_t item_hash(const struct item *item, uint64_t seed);

#endif
