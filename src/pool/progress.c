/* pool/progress.c */
#include "pool/progress.h"

#include "os/clock.h"

#include <errno.h>

void progress_begin(struct progress *progress, const brood_task_options *options)
{
    if (!options || !options->progress)
        return;
    progress->teller = options->progress;
    progress->context = options->context;
    progress->began = progress->told = clock_now();
}

bool progress_is_due(const struct progress *progress, bool over)
{
    return progress->teller && !progress->last.over && (over || clock_now() - progress->told >= PROGRESS_TICK);
}

void progress_tell(struct progress *progress, size_t done, size_t count, size_t failed, bool over)
{
    brood_progress *last = &progress->last;
    if (!progress->teller || last->over)
        return;
    progress->told = clock_now();
    last->done = done > last->done ? done : last->done; /* an item that is run again counts once */
    last->count = count;
    last->failed = failed < last->done ? failed : last->done; /* those of a chunk that is not done are known before */
    last->elapsed_us = (progress->told - progress->began) / 1000;
    last->over = over;
    brood_progress told = *last;
    int error = errno;
    progress->teller(progress->context, &told);
    errno = error;
    last->calls++;
}
