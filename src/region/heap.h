/* region/heap.h: blocks of the region. brood/memory.h is the manual; this is for the other rooms.
 *
 * None of these leaves a sentence: callers know what the block was for.
 */
#ifndef REGION_HEAP_H
#define REGION_HEAP_H

#include <brood/memory.h>
#include <stdbool.h>
#include <stddef.h>

/* Blocks are aligned to 16 bytes, those of 256 and more to 64. */
struct heap;

/* Lays an empty heap out at `heap`, in memory of zeroes that ends at `end`. 0, or -ENOMEM: no memory for it. */
int heap_lay_out(struct heap *heap, char *end, brood_heap_mode mode);

/* What BROOD_HEAP says, for a mode of BROOD_HEAP_DEFAULT: 0, or -EINVAL with a sentence; of bad modes too. */
int heap_choose(brood_heap_mode *mode);

/* A block, or NULL: no memory. `zeroed`: else its bytes are anything. */
void *heap_take(size_t size, bool zeroed);

/* A block that begins as the `length` bytes at `from`, the rest zeroed. */
void *heap_take_copy(size_t size, const void *from, size_t length);

/* A zeroed block at a multiple of `alignment`, a power of two. */
void *heap_take_aligned(size_t size, size_t alignment);

/* A zeroed block, and *place set to it, as one step; `place` is aligned and lies in the region. */
void *heap_take_into(void **place, size_t size);

/* The same; its bytes are anything. */
void *heap_take_raw_into(void **place, size_t size);

/* Ends what the dead had begun. Called by whoever learns of a death, before its caller does: from then on the survivors
 * may move the pointer by which an unfinished change is judged. Waits for each latch, since a dying thread's latch is
 * marked after its locks. */
void heap_settle(void);

/* 0, or -EINVAL: no block starts there. With a place: *place holds the block and becomes NULL, as one step. */
int heap_give(void *block, void **place);

/* The block of that size in `*block`'s place, which may have moved. 0; -EINVAL: no block; -ENOMEM: as it was. */
int heap_resize(void **block, size_t size);

/* Its usable bytes; 0: no block starts there. */
size_t heap_size(const void *block);

/* Whether it is known of each block whose it is, and what. */
bool heap_tracks(void);

/* What a block is, for people; nothing, where nothing is tracked. */
void heap_label(void *block, const char *label);

/* Whether blocks that are left are to be told at the family's end; and tells them. */
bool heap_reports(void);
void heap_report(void);

#endif
