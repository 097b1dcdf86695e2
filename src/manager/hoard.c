/* manager/hoard.c */
#include "manager/hoard.h"

#include <stdint.h>
#include <stdlib.h>

size_t hoard_used, hoard_most = SIZE_MAX;

/* What malloc(3) takes for it: 8 bytes before it, in steps of 16. */
static size_t cost(size_t size)
{
    return size + 8 < 32 ? 32 : (size + 8 + 15) / 16 * 16;
}

void *hoard_take(size_t size)
{
    if (hoard_used > hoard_most || cost(size) > hoard_most - hoard_used)
        return NULL;
    void *block = malloc(size);
    if (block)
        hoard_used += cost(size);
    return block;
}

void *hoard_resize(void *block, size_t before, size_t size)
{
    if (!block)
        return hoard_take(size);
    size_t without = hoard_used - cost(before);
    if (size > before && (without > hoard_most || cost(size) > hoard_most - without))
        return NULL;
    void *resized = realloc(block, size);
    if (resized)
        hoard_used = without + cost(size);
    return resized;
}

void hoard_give(void *block, size_t size)
{
    if (!block)
        return;
    hoard_used -= cost(size);
    free(block);
}
