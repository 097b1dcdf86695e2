/* brood/progress.h: how far a map has come, for people who wait for it; and a progress bar that is ready to use:
 *
 *     brood_pool_map(pool, task, in, sizeof *in, out, sizeof *out, count,
 *                    &(brood_task_options){ .progress = brood_progress_bar, .context = "frames" });
 *
 * Both are for the options of brood/task.h.
 */
#ifndef BROOD_PROGRESS_H
#define BROOD_PROGRESS_H

#include <brood/result.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_progress {
    size_t done;        /* items that have ended; of imap: whose results have been handed out. It never shrinks */
    size_t count;       /* all; 0: not known (imap) */
    size_t failed;      /* of those done; about, until the end */
    int64_t elapsed_us; /* since it was begun */
    unsigned calls;     /* how often this has been told before */
    bool over; /* it has ended, or was given up: this is the last call. It comes even if nothing was told yet */
    void *reserved[4];
} brood_progress;

/* A function that is told; `context` is the one of the options. */
typedef void brood_progress_teller(void *context, const brood_progress *progress);

/* One of them: draws a line on standard error, such as
 *
 *     frames [##########----------] 512 of 1,024, 87.3/s, 0:06 left, 2 failed
 *
 * and redraws it in place, narrower where the terminal is; takes it away at the end. `context` is a label (a string in
 * UTF-8), or NULL. Does nothing where standard error is no terminal, or a dumb one (TERM), or this program stands in
 * the background there. It keeps nothing between calls, so any thread may use it, though two at once share the line.
 * Who writes to the terminal meanwhile should begin with "\r\033[K", which erases the line. A program that is killed
 * leaves it where it is. */
BROOD_API void brood_progress_bar(void *context, const brood_progress *progress);

#ifdef __cplusplus
}
#endif

#endif
