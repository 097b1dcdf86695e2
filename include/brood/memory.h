/* brood/memory.h: memory of the region, which all processes of the family share.
 *
 * A block is zeroed, aligned to 16 bytes, and at the same address in every process; any process may free it. Nobody
 * frees it for you: a block outlives the process that allocated it, and goes with the family's last process.
 *
 * Crash rule: a process killed anywhere in these calls leaves the heap whole. At most the one block it was at is lost,
 * and with brood_alloc_into and brood_free_from not even that.
 *
 * Memory that cannot be had is ENOMEM, never a later SIGBUS: before the heap grows it looks at the limits, the memory
 * cgroup and what the machine has left, and takes the pages at once.
 *
 * Before brood_init every call here fails with EINVAL.
 */
#ifndef BROOD_MEMORY_H
#define BROOD_MEMORY_H

#include <brood/result.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A block of `size` bytes, zeroed; size 0 is a block of its own too.
 * NULL, ENOMEM: the region's limit, or the machine's memory, is reached. */
BROOD_API void *brood_alloc(size_t size);

/* A block of `count` elements of `size` bytes each, zeroed. ENOMEM as above, and when count * size overflows. */
BROOD_API void *brood_alloc_array(size_t count, size_t size);

/* A copy of `text` in the region. NULL, EINVAL: text is NULL. ENOMEM as above. */
BROOD_API char *brood_strdup(const char *text);

/* Gives a block back; NULL is fine. What is no block that brood handed out (a pointer into the middle of one, one freed
 * before, memory from elsewhere) is left alone: errno becomes EINVAL and brood_error() has the sentence. */
BROOD_API void brood_free(void *block);

/* As brood_alloc, and the pointer at `place` (a `T **`, itself in the region, that no one else changes meanwhile) set
 * to the block, as one step: a process killed in here leaves either the old pointer and no block, or the block and the
 * pointer to it. The old pointer is not freed, so a place is best NULL before: a list's last `next`, or a field
 * beside its lock where a new node stays until it is linked, and whoever inherits the lock looks first. Returns the
 * block. NULL, EINVAL: place is not in the region, or not aligned as a pointer. ENOMEM as above; the pointer is
 * unchanged. */
BROOD_API void *brood_alloc_into(void *place, size_t size);

/* Frees the block that the pointer at `place` (as above) points to and sets the pointer to NULL, as one step.
 * A NULL there is fine. Failures as brood_free's and brood_alloc_into's; the pointer is then unchanged. */
BROOD_API void brood_free_from(void *place);

/* 1 if the address lies in this family's region, else 0 (also before brood_init). Never fails. */
BROOD_API int brood_contains(const void *address);

/* The heap's state at one moment, in bytes unless said otherwise. */
typedef struct brood_heap_stats {
    size_t limit;  /* of the region, its own tables included */
    size_t backed; /* taken from the system so far: kept for reuse until the family ends */
    size_t used;   /* in blocks handed out, each rounded up to its size class */
    size_t blocks; /* how many blocks are handed out, those that brood's own objects use included */
    void *reserved[8];
} brood_heap_stats;

/* Fills `stats` by walking the whole heap: for messages and tests, not for every request. Others may allocate
 * meanwhile; then the figures are of no single moment. EINVAL: stats is NULL. */
BROOD_API int brood_heap_stat(brood_heap_stats *stats);

/* Verifies every invariant of the heap: what it keeps for speed against what is true of each block.
 * 0: whole.  EUCLEAN: the first broken one is named by brood_error(); nothing is changed. */
BROOD_API int brood_heap_check(void);

#ifdef __cplusplus
}
#endif

#endif
