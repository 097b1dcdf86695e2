/* brood/task.h: tasks: what pools run, what may be asked of each, and what a task may ask itself.
 *
 * A task is a function of the program or of a library; workers that have not loaded that library load it by its path.
 * It is called once for each item. A task with several arguments takes a struct that holds them (multiprocessing's
 * starmap is a map over an array of structs); an argument that is the same for all lies in the region, and each struct
 * points to it.
 *
 * The calls of this header's end are for the thread that runs the task; elsewhere they say 0 or NULL.
 */
#ifndef BROOD_TASK_H
#define BROOD_TASK_H

#include <brood/block.h>
#include <brood/end.h>
#include <brood/progress.h>
#include <brood/result.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_result brood_result; /* brood/async.h */

/* Reads the item at `in`, writes its result at `out` (zeroed before, unless it lies in the region: then as the caller,
 * or an attempt that died, left it). Both are aligned as the caller's arrays are, up to 16 bytes. 0: the result counts.
 * Anything else: the item failed (brood_fail gives the reason). */
typedef int brood_task(const void *in, void *out);

/* Instead of a size, for items and results of varying size:
 * in_size BROOD_BLOCKS: `in` is an array of brood_block. A task is handed the block's data, in place if they lie in the
 * region, else, and by imap, a copy, and brood_task_size() is its size; NULL if that is 0.
 * in_size BROOD_STRINGS: `in` is an array of char *, such as argv. A task is handed the string.
 * out_size BROOD_BLOCKS: `out` is an array of brood_block, and a task is handed NULL for it: it makes its result by
 * brood_task_reply. What comes back lies in the region and is the caller's, to brood_free; NULL and 0 for a task that
 * made none. */
#define BROOD_BLOCKS ((size_t)-1)
#define BROOD_STRINGS ((size_t)-2)

#define BROOD_PRIORITY_LEAST (-15)
#define BROOD_PRIORITY_MOST 15

typedef struct brood_task_options {
    /* map: items handed to a worker together. 0: by itself: a 2,048th of each worker's share, which keeps workers
     * evenly busy to the end where some items take 1,000 times as long as others; and a worker that has been at such a
     * chunk for a moment leaves the rest of it for other work that comes. */
    size_t chunk;
    /* BROOD_PRIORITY_LEAST to _MOST (EINVAL); the usual one is 0. Of what waits in a pool the highest is begun first.
     * Of equals, single tasks go in the order in which they were asked for, and so do maps; the two side by side. What
     * a worker is at is not interrupted: of a map the chunk, where its size was given, else the item. There is no
     * ageing: while there is enough of a higher priority to do, nothing of a lower one is begun. */
    int priority;
    /* How often an item is run again after its worker ended in it, by a death or by exit, at most 1,000; not after its
     * time was over, or it was over its memory, or cancelled. */
    int retries;
    brood_end *ends; /* one an item, filled for all items, but by imap; NULL: not wanted */
    /* How far it has come: called inside the calls that wait (brood_pool_map, brood_result_wait, brood_result_next), by
     * their thread, at most every 100 ms, and once at the end, also where that is brood_result_destroy. It must not
     * call into the same pool. NULL: none; brood_progress_bar: a bar on the terminal (brood/progress.h). */
    brood_progress_teller *progress;
    void *context; /* for progress, and for done */
    size_t expect; /* imap: how many items there will be, for progress alone; 0: not known until they have been read */
    /* The calls of brood/async.h: the result is there. `failed` is what brood_result_wait says of it, 0: all returned.
     * Called in the thread that asked for the result, inside a later call of its into the same pool that submits or
     * waits (brood_pool_join runs those of other threads too); it may call anything but brood_pool_destroy, and destroy
     * the result; its own calls into that pool run no callbacks. NULL: none. */
    void (*done)(void *context, brood_result *result, int failed);
    bool unordered; /* imap: results as they come, else in the order of their items */
    size_t ahead; /* imap: how many items are read before their results are asked for; 0: four for each worker; at most
                     * 1,048,576 (EINVAL) */
    /* Of each item, in milliseconds; 0: none. After soft_ms brood_task_expired says so. After hard_ms, within some 10
     * ms, its worker is killed and replaced, and the item has ended as BROOD_TIMED_OUT. */
    int soft_ms, hard_ms;
    /* Of each item: bytes of memory (its own: resident, private) that its worker may have more than when it began,
     * looked at every 10 ms, so that what is taken and given back in between, or very fast, may pass. More, and its
     * worker is killed and replaced, and it has ended as BROOD_OVER_MEMORY. 0: any. Needs /proc. */
    size_t max_memory;
    void *reserved[8];
} brood_task_options;

/* The index of the task's item: in its array, or, of imap, among all that were read. */
BROOD_API size_t brood_task_index(void);

/* Bytes of its item: a string's with the 0 at its end. */
BROOD_API size_t brood_task_size(void);

/* 1, or one more for each time that a worker ended in this item: with `retries`. 0: no task runs here. */
BROOD_API int brood_task_attempt(void);

/* 1: the task should end: its soft_ms are over, or it has been cancelled (brood_result_cancel). Else 0. */
BROOD_API int brood_task_expired(void);

/* Where out_size is BROOD_BLOCKS: the task's result, of `size` bytes, zeroed, aligned to 16 bytes; the task fills it.
 * A second call takes the first one's back. It is the pool's until the task has returned 0, and the caller's from then
 * on: nothing of it is left if the task fails or dies.
 * NULL, EINVAL: no task runs here, or not one with such a result; size is 0.  ENOMEM: no memory in the region. */
BROOD_API void *brood_task_reply(size_t size);

#ifdef __cplusplus
}
#endif

#endif
