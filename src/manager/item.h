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

/* Of numbers: an integer of integers, else a double. 0, or -ERANGE: it is no integer of 64 bits. */
int item_sum(const struct item *one, const struct item *other, struct item *sum);

/* Whether both are numbers, or strings, or bytes; and then below 0, 0 or above: as they follow each other. */
bool item_has_order(const struct item *one, const struct item *other);
int item_order(const struct item *one, const struct item *other);

/* Of keys. */
uint64_t item_hash(const struct item *item, uint64_t seed);

#endif
