/* region/wish.h: what a block shall be, once it is found. */
#ifndef REGION_WISH_H
#define REGION_WISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wish {
    size_t size;
    size_t step;      /* its alignment, a power of two, where that is more than the usual; else 0 */
    const void *from; /* it begins as the `length` bytes here... */
    size_t length;    /* ... which are no more than `size`; the rest is zeroed, */
    bool raw;         /* ... or not */
    void **place;     /* the pointer that is set to it, as one step; NULL: none */
    uint32_t tag;     /* whose it is: region/owner.h; 0 where nothing is tracked */
};

/* Fills a block of `size` bytes: as many as it has, so that brood_realloc finds zeroes behind those asked for. */
static inline void wish_fill(const struct wish *wish, char *block, size_t size)
{
    if (wish->length)
        memcpy(block, wish->from, wish->length);
    if (!wish->raw)
        memset(block + wish->length, 0, size - wish->length);
}

#endif
