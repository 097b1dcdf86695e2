/* pool/progress.h: telling the caller's `progress` how far it is. */
#ifndef POOL_PROGRESS_H
#define POOL_PROGRESS_H

#include <brood/task.h>

#define PROGRESS_TICK 100000000 /* ns between two calls, at least */

/* Private memory, with what it is about. By one thread at a time. */
struct progress {
    brood_progress_teller *teller; /* NULL: nobody is told */
    void *context;
    int64_t began, told; /* os/clock.h */
    brood_progress last;
};

void progress_begin(struct progress *progress, const brood_task_options *options);

/* Whether it is time, or at the end. Then what there is to tell is worth finding out. */
bool progress_is_due(const struct progress *progress, bool over);

/* Tells it; `over` only once. */
void progress_tell(struct progress *progress, size_t done, size_t count, size_t failed, bool over);

#endif
