/* batch.h: some thousand files at a time: found, hashed, printed. */
#ifndef HASHTREE_BATCH_H
#define HASHTREE_BATCH_H

#include "tree.h"

#include <brood.h>
#include <stdbool.h>
#include <stddef.h>

#define BATCH_FILES 4096 /* at most */

struct batch;

/* Room for one batch. NULL: no memory; brood_error() has the sentence if it was the region's. */
struct batch *batch_create(void);
void batch_destroy(struct batch *batch);

/* Takes the tree's next files, at most `limit`, and fewer where they are long: it may end after `least` files.
 * > 0: how many.  0: the tree has no more.  -ENOMEM: as tree_next. */
int batch_fill(struct batch *batch, struct tree *tree, size_t least, size_t limit);

/* Hashes them. What fails is known to the batch; it always ends. */
void batch_hash(struct batch *batch, brood_pool *pool);

/* Prints them in the tree's order, failures as reports. False: standard output cannot be written. */
bool batch_print(const struct batch *batch);

#endif
