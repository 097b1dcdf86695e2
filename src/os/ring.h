/* os/ring.h: sleeping on words and on descriptors at once: a descriptor that can be read once a word has been woken.
 *
 * An io_uring(7) in which futex waits stand (Linux 6.7). Not safe for two threads at once; another may watch `fd`.
 */
#ifndef OS_RING_H
#define OS_RING_H

#include "os/futex.h"

#include <stdbool.h>
#include <stdint.h>

struct ring {
    int fd;
    uint32_t room, armed; /* words that may stand in it, and do */
    void *rings, *entries;
    uint64_t rings_size, entries_size;
    uint32_t sq_tail, sq_mask, sq_array, cq_head, cq_tail, cq_mask, cqes; /* offsets in `rings` */
};

#define RING_MOST 16384 /* words in one */

/* One with room for so many words. 0; -ENOSYS: the kernel has none, or none for words, or a sandbox forbids it; or
 * another -errno: a limit. */
int ring_open(struct ring *ring, uint32_t words);
void ring_close(struct ring *ring);

/* Has the kernel sleep on the word while it holds what is expected: `fd` can be read once it has been woken, or if it
 * holds something else. Once for each arm, and ring_take tells the tag. 0; -ENOSPC: it is full; or another -errno. */
int ring_arm(struct ring *ring, const struct futex_watch *watch, uint64_t tag);

/* Has the kernel sleep no more: on the word of that tag, or on any. When it returns nobody sleeps for it; what was
 * woken meanwhile, and what was called off, is still to be taken. */
void ring_disarm(struct ring *ring, uint64_t tag);
void ring_disarm_all(struct ring *ring);

/* Takes one that was woken out of it; false: none was. */
bool ring_take(struct ring *ring, uint64_t *tag);

#endif
