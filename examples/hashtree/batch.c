/* batch.c: one brood_pool_map over some thousand files.
 *
 * What the workers need lies in one block of the region: the paths, pointers to them (the items), and a struct hash for
 * each (the results). The rest is private. The items stand largest first, so that no worker begins a long file when the
 * others are done; `place` leads from the tree's order to theirs.
 */
#include "batch.h"

#include "bar.h"
#include "hash.h"
#include "line.h"
#include "report.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_TEXT ((size_t)512 * 1024)            /* bytes of paths */
#define BATCH_BYTES ((uint64_t)1024 * 1024 * 1024) /* of files: then what is there should be printed some time */
#define RETRIES 3

struct shared {
    const char *items[BATCH_FILES];
    struct hash hashes[BATCH_FILES];
    char text[BATCH_TEXT];
};

struct file {
    const char *path; /* in shared->text */
    uint64_t size;
    size_t index; /* in the tree's order */
};

struct batch {
    struct shared *shared;
    size_t count;
    uint64_t bytes;                 /* of all files, as the tree saw them */
    int64_t advanced;               /* of these, what the bar knows */
    struct file files[BATCH_FILES]; /* in the items' order, once batch_hash has begun */
    size_t place[BATCH_FILES];
    brood_end ends[BATCH_FILES];
    char why[256]; /* no file at all could be hashed: the reason */
};

struct batch *batch_create(void)
{
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    batch->shared = brood_alloc(sizeof *batch->shared);
    if (!batch->shared) {
        free(batch);
        return NULL;
    }
    return batch;
}

void batch_destroy(struct batch *batch)
{
    if (batch)
        brood_free(batch->shared);
    free(batch);
}

int batch_fill(struct batch *batch, struct tree *tree, size_t least, size_t limit)
{
    size_t used = 0;
    batch->count = 0;
    batch->bytes = 0;
    limit = limit < BATCH_FILES ? limit : BATCH_FILES;
    while (batch->count < limit && BATCH_TEXT - used >= PATH_MAX &&
           (batch->bytes < BATCH_BYTES || batch->count < least)) {
        struct tree_file found;
        int more = tree_next(tree, &found);
        if (more < 0)
            return more;
        if (more == 0)
            break;
        size_t length = strlen(found.path) + 1;
        char *path = memcpy(batch->shared->text + used, found.path, length);
        batch->files[batch->count] = (struct file){ .path = path, .size = found.size, .index = batch->count };
        batch->count++;
        batch->bytes += found.size;
        used += length;
    }
    return (int)batch->count;
}

static int larger_first(const void *left, const void *right)
{
    const struct file *a = left, *b = right;
    if (a->size != b->size)
        return a->size < b->size ? 1 : -1;
    return a->index < b->index ? -1 : 1;
}

static void advance(struct batch *batch, int64_t bytes)
{
    bar_advance(bytes - batch->advanced);
    batch->advanced = bytes;
}

static void show_progress(void *context, const brood_progress *progress)
{
    struct batch *batch = context;
    int64_t bytes = 0;
    /* Files differ too much in size for their number to tell anything. */
    for (size_t i = 0; i < progress->count; i++)
        bytes += (int64_t)atomic_load_explicit(&batch->shared->hashes[i].bytes, memory_order_relaxed);
    advance(batch, bytes);
}

void batch_hash(struct batch *batch, brood_pool *pool)
{
    struct shared *shared = batch->shared;
    qsort(batch->files, batch->count, sizeof *batch->files, larger_first);
    for (size_t i = 0; i < batch->count; i++) {
        shared->items[i] = batch->files[i].path;
        batch->place[batch->files[i].index] = i;
    }
    memset(shared->hashes, 0, batch->count * sizeof *shared->hashes);
    memset(batch->ends, 0, batch->count * sizeof *batch->ends);
    batch->why[0] = '\0';
    batch->advanced = 0;
    brood_task_options options = {
        .chunk = 1, /* opening a file costs a hundred times what handing it over does */
        .retries = RETRIES,
        .ends = batch->ends,
        .progress = show_progress,
        .context = batch,
    };
    if (brood_pool_map(pool, hash_file, shared->items, sizeof *shared->items, shared->hashes, sizeof *shared->hashes,
                       batch->count, &options) < 0)
        snprintf(batch->why, sizeof batch->why, "not hashed: %s", brood_error());
    advance(batch, (int64_t)batch->bytes); /* whatever they were when they were read */
}

_Static_assert(RETRIES == 3, "this, and --help, say four");

/* Why the file at `place` has no hash: it could not be read, or processes died at it. */
static void report_end(const struct batch *batch, size_t place)
{
    const brood_end *end = &batch->ends[place];
    char why[sizeof end->why + 64];
    const char *last = end->how == BROOD_CRASHED  ? "the last was "
                       : end->how == BROOD_EXITED ? "the last "
                                                  : "of the last nothing is known: ";
    if (end->how == BROOD_RUNNING || end->how == BROOD_FAILED) {
        report(batch->files[place].path, end->how == BROOD_RUNNING ? batch->why : end->why);
        return;
    }
    snprintf(why, sizeof why, "four processes died at it; %s%s", last, end->why);
    report(batch->files[place].path, why);
}

bool batch_print(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        size_t place = batch->place[i];
        if (batch->ends[place].how == BROOD_RETURNED)
            line_print(stdout, batch->shared->hashes[place].digest, batch->files[place].path);
        else
            report_end(batch, place);
    }
    return !ferror(stdout);
}
