/* region/run.h: large blocks: runs of whole units (region/units.h). */
#ifndef REGION_RUN_H
#define REGION_RUN_H

#include "region/span.h"

/* A block, or NULL: no memory. */
void *run_take(struct heap *heap, const struct wish *wish);

/* Gives the block at that unit back; with a place, *place becomes NULL as one step with it. 0, or -EINVAL: no block
 * starts there. */
int run_give(struct heap *heap, size_t unit, void *block, void **place);

/* Cuts or extends it where it lies. 0; -EINVAL: no block starts there; -ENOMEM: what lies behind it is not free, or no
 * memory. */
int run_resize(struct heap *heap, size_t unit, void *block, size_t size);

#endif
