/* region/heap.h: blocks of the region. brood/memory.h is the manual; this is for the other rooms.
 *
 * None of these leaves a sentence: callers know what the block was for.
 */
#ifndef REGION_HEAP_H
#define REGION_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* Blocks are aligned to 16 bytes, those of 256 and more to 64. */
struct heap;

/* Lays an empty heap out at `heap`, in memory of zeroes that ends at `end`. */
void heap_lay_out(struct heap *heap, char *end);

/* A block, or NULL: no memory. `zeroed`: else its bytes are anything. */
void *heap_take(size_t size, bool zeroed);

/* The same, and *place set to it, as one step; `place` is aligned and lies in the region. */
void *heap_take_into(void **place, size_t size);

/* Ends what the dead had begun. Called by whoever learns of a death, before its caller does: from then on the survivors
 * may move the pointer by which an unfinished change is judged. Waits for each latch, since a dying thread's latch is
 * marked after its locks. */
void heap_settle(void);

/* 0, or -EINVAL: no block starts there. With a place: *place holds the block and becomes NULL, as one step. */
int heap_give(void *block, void **place);

#endif
