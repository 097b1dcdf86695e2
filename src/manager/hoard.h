/* manager/hoard.h: the server's memory for objects: malloc(3), counted and bounded. One server a process, one thread.
 */
#ifndef MANAGER_HOARD_H
#define MANAGER_HOARD_H

#include <stddef.h>

extern size_t hoard_used, hoard_most; /* bytes; the second is SIZE_MAX until there is a limit */

/* NULL: no memory, or more than the limit. */
void *hoard_take(size_t size);

/* The block, of `before` bytes, made `size` bytes large; NULL: as it was. */
void *hoard_resize(void *block, size_t before, size_t size);

void hoard_give(void *block, size_t size);

#endif
