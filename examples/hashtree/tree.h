/* tree.h: the regular files under some directories, one after the other, without reading farther ahead than needed. */
#ifndef HASHTREE_TREE_H
#define HASHTREE_TREE_H

#include <stdint.h>

struct tree;

struct tree_file {
    const char *path; /* as `find ARGUMENT -type f` prints it; valid until the next call */
    uint64_t size;    /* in bytes, when it was seen */
};

/* A walk over `arguments` (NULL-terminated, borrowed), in their order. `problem` (NULL: nobody) is told what could not
 * be looked at. NULL: no memory. tree_close ends it; NULL is fine there. */
struct tree *tree_open(char *const *arguments, void (*problem)(const char *path, const char *why));
void tree_close(struct tree *tree);

/* The next file: 1, and `file` is filled. 0: there is none left. -ENOMEM: the walk cannot go on. */
int tree_next(struct tree *tree, struct tree_file *file);

#endif
