/* hash.h: the task: the SHA-256 of one file. */
#ifndef HASHTREE_HASH_H
#define HASHTREE_HASH_H

#include <stdatomic.h>
#include <stdint.h>

/* Lies in the region. The worker that has the file writes; the caller may read `bytes` at any time, `digest` when the
 * task has returned 0. */
struct hash {
    unsigned char digest[32];
    _Atomic uint64_t bytes; /* read so far, by whichever attempt came farthest: it never goes back when a worker dies */
};

/* Gets SHA-256 ready, so that workers forked later need not. 0: there is none in this process. */
int hash_prepare(void);

/* A brood_task: `in` is a `const char *const *`, the path; `out` a struct hash, zeroed before the first attempt. Fails
 * with an errno, or -1, and the sentence of it. A file that is no regular one is not read. */
int hash_file(const void *in, void *out);

#endif
