/* bench/memory.c: what a block of shared memory costs, from its allocation to its being free again.
 */
#include "clock.h"
#include "figure.h"
#include "trouble.h"

#include <brood.h>

#define TURNS 31250 /* of BLOCKS pairs each: 2,000,000 pairs */

enum { BLOCKS = 64, LEAST = 48, STEP = 8 };

double alloc_free_brood(void)
{
    void *blocks[BLOCKS];
    uint64_t began = clock_ns();
    for (int turn = 0; turn < TURNS; turn++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            blocks[i] = brood_alloc(LEAST + i * STEP);
            if (!blocks[i])
                return trouble("%s", brood_error());
        }
        for (size_t i = 0; i < BLOCKS; i++)
            brood_free(blocks[i]);
    }
    double each = (double)(clock_ns() - began) / (TURNS * BLOCKS);
    if (brood_heap_check() < 0)
        return trouble("the heap is broken after alloc_free: %s", brood_error());
    return each;
}
