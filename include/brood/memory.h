/* brood/memory.h: memory of the region, which all processes of the family share.
 *
 * A block is zeroed, aligned to 16 bytes (from 256 bytes on to 64), and at the same address in every process; any
 * process may free it. Nobody frees it for you: a block outlives the process that allocated it, and goes with the
 * family's last process.
 *
 * Crash rule: a process killed anywhere in these calls leaves the heap whole. What was half done is found again by
 * whoever next uses that part of the heap, and at the latest before anyone hears of the death (a lock's heir, whoever
 * joins the process): a block that was being handed out or taken back is then one or the other. What cannot be told is
 * whether the caller, of which only a corpse is left, had kept the pointer: a process killed in the last few
 * instructions of brood_alloc, after the block became its own, is one killed right after it, and that block stays until
 * the family ends. So a kill loses one block at most, and none in brood_alloc_into and brood_free_from, where the
 * pointer tells. With BROOD_HEAP_TRACK (below) brood_heap_shares shows what the dead have left.
 *
 * Memory that cannot be had is ENOMEM, never a later SIGBUS: before the heap grows it looks at the limits, the memory
 * cgroup and what the machine has left, and takes the pages at once. What large blocks held goes back to the system
 * when they are freed, but for some MiB that are likely to be needed again: 4 at first, more (64 at most) where they
 * turn out to be.
 *
 * Before brood_init every call here fails with EINVAL.
 */
#ifndef BROOD_MEMORY_H
#define BROOD_MEMORY_H

#include <brood/result.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A block of `size` bytes, zeroed; size 0 is a block of its own too.
 * NULL, ENOMEM: the region's limit, or the machine's memory, is reached. */
BROOD_API void *brood_alloc(size_t size);

/* A block of `count` elements of `size` bytes each, zeroed. ENOMEM as above, and when count * size overflows. */
BROOD_API void *brood_alloc_array(size_t count, size_t size);

/* As brood_alloc, at an address that is a multiple of `alignment`, a power of two. An ordinary block otherwise; moved
 * by brood_realloc it keeps only the usual alignment. NULL, EINVAL: no power of two. ENOMEM as above; also where no
 * stretch of free memory is so aligned. */
BROOD_API void *brood_alloc_aligned(size_t size, size_t alignment);

/* The block made `size` bytes large: what it held stays as far as it fits, what is new is zeroed. In place where it
 * can be (within its size class; a block of more than 32 KiB also into free memory behind it), else a new block, and
 * the old one is freed. block NULL: brood_alloc(size); size 0: a block of its own, as there.
 * NULL, and the old block as it was: ENOMEM as above (never for a smaller size); EINVAL: no block starts there.
 * Killed in here: the old block is there, whole up to the smaller of both sizes, or it is the new one, or freed after a
 * copy that nobody knows of. Other processes' pointers to a block that moves are theirs to change: where they can, take
 * a new block with brood_alloc_into, copy, and swap the two pointers under their lock. */
BROOD_API void *brood_realloc(void *block, size_t size);

/* How many bytes the block has: what was asked for, rounded up to its size class. They are the caller's to use, but
 * brood_realloc takes those behind the size asked for to be still zero. 0, EINVAL: no block starts there. */
BROOD_API size_t brood_block_size(const void *block);

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

/* Gives all free memory back to the system, also what is kept for reuse. For a program that knows that it will not need
 * it again soon; it may take milliseconds, a third of one for each MiB, and others may allocate meanwhile. 0. */
BROOD_API int brood_heap_trim(void);

/* The heap's state at one moment, in bytes unless said otherwise. */
typedef struct brood_heap_stats {
    size_t limit;  /* of the region, its own tables included */
    size_t backed; /* taken from the system, for blocks and for reuse */
    size_t used;   /* in blocks handed out, each rounded up to its size class */
    size_t blocks; /* how many blocks are handed out, those that brood's own objects use included */
    size_t held;   /* of the region, in steps of 64 KiB, that large blocks and small ones' spans occupy */
    size_t peak;   /* the most that `held` has been */
    void *reserved[6];
} brood_heap_stats;

/* Fills `stats` by walking the whole heap: for messages and tests, not for every request. Others may allocate
 * meanwhile; then the figures are of no single moment. EINVAL: stats is NULL. */
BROOD_API int brood_heap_stat(brood_heap_stats *stats);

/* Verifies every invariant of the heap: what it keeps for speed against what is true of each block.
 * 0: whole.  EUCLEAN: the first broken one is named by brood_error(); nothing is changed. */
BROOD_API int brood_heap_check(void);

/* What the heap remembers of each block, beyond that it is handed out; for the whole family, from its founding on. */
typedef enum brood_heap_mode {
    BROOD_HEAP_DEFAULT, /* what BROOD_HEAP says in the environment: "track" or "report"; else nothing, the fastest */
    BROOD_HEAP_TRACK,   /* which process allocated it, and its label: some ns a call, and a fifth of the limit */
    BROOD_HEAP_REPORT,  /* as TRACK, and what is left in the end is told through the log (whatever its level): by the
                         * first process of the family, and any other, that comes to its end, or to brood_fini, when no
                         * other process of the family is left. A few lines, largest first; nothing, if nothing is. */
} brood_heap_mode;

/* Says what the block is, in a word or two for people: cut at 47 bytes, copied. Where nothing is tracked it does
 * nothing. brood's own blocks have labels too, among them the names of objects: "name of lock 'jobs'". A block has one
 * label, which is changed by calling again. EINVAL: no block starts there, or label is NULL. */
BROOD_API int brood_heap_label(void *block, const char *label);

/* What some of the blocks have together: those that one process allocated, or that have one label. */
typedef struct brood_heap_share {
    size_t blocks, used; /* as in brood_heap_stats */
    int pid;             /* of the process that allocated them, or moved them by brood_realloc; 0: not asked for, or one
                          * that came when there were as many others as can be told apart (from 256 on) */
    bool gone;           /* that process has ended */
    char owner[32];      /* its name; "" as above, and for processes that were forked by hand */
    char label[48];      /* "": none, or not asked for */
    void *reserved[4];
} brood_heap_share;

#define BROOD_BY_OWNER 1u
#define BROOD_BY_LABEL 2u

/* How the blocks that are handed out divide up by their owners, by their labels, or (BROOD_BY_OWNER | BROOD_BY_LABEL)
 * by both: fills in the largest shares, at most `room` of them, largest first, and returns how many there are, which
 * may be more. Walks the whole heap, as brood_heap_stat. EINVAL: `by` says neither, room is negative, or shares is NULL
 * though there is room.  ENOTSUP: the family tracks nothing.  ENOMEM: no private memory. */
BROOD_API int brood_heap_shares(unsigned by, brood_heap_share *shares, int room);

#ifdef __cplusplus
}
#endif

#endif
