/* region/look.h: walking all blocks of the heap that are handed out. */
#ifndef REGION_LOOK_H
#define REGION_LOOK_H

#include "region/span.h"

/* `blocks` of `size` bytes each, with that tag (region/owner.h). */
typedef void look_function(void *context, size_t size, size_t blocks, uint32_t tag);

/* Without latches: others may allocate meanwhile. */
void look_at_all(const struct heap *heap, look_function *function, void *context);

#endif
