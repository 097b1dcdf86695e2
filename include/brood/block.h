/* brood/block.h: bytes, and how many: a message in one piece.
 */
#ifndef BROOD_BLOCK_H
#define BROOD_BLOCK_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_block {
    void *data;  /* of one that a call made for you a block of the region, never NULL: yours to brood_free, in any
                 * process, unless the call says otherwise */
    size_t size; /* bytes; 0 is a message too */
} brood_block;

#ifdef __cplusplus
}
#endif

#endif
