/* brood/log.h: what brood tells about its work, for people who look for a fault. Off at first.
 *
 * A line is "brood[1234 reader] warning: fork of a program with other threads: ...": process id and name of the process
 * that says it, level, sentence. Errors that a call returns are no log lines: those are brood_error()'s.
 *
 * BROOD_LOG=silent|error|warning|info|debug in the environment, read by brood_init, logs to standard error at that
 * level and all above it; silent, or empty: nothing. The setting is the process' own: forked children have it too,
 * others what the environment says.
 *
 * Crash rule: a line is one write(2); a process killed in it leaves a part of a line at worst.
 */
#ifndef BROOD_LOG_H
#define BROOD_LOG_H

#include <brood/result.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum brood_level {
    BROOD_SILENT,  /* nothing */
    BROOD_ERROR,   /* something was lost, or will never end: a status that another wait took; a circle of locks */
    BROOD_WARNING, /* something works, and may not as you think: a fork with threads; a slow wait (waiter.h) */
    BROOD_INFO,    /* processes and pools come and go */
    BROOD_DEBUG,   /* with which slot, method and descriptor */
} brood_level;

/* Gets each line, without a newline, in the thread whose call had something to tell, while it may hold locks of
 * brood's: it must not call brood. */
typedef void brood_log_function(void *context, brood_level level, const char *line);

/* Sets both for this process. function NULL: standard error. Needs no brood_init, which leaves it alone.
 * EINVAL: no brood_level.  ENOMEM. */
BROOD_API int brood_log_to(brood_level level, brood_log_function *function, void *context);

/* "error", "warning", ...; "silent"; NULL for what is no brood_level. Needs no brood_init. */
BROOD_API const char *brood_level_name(brood_level level);

#ifdef __cplusplus
}
#endif

#endif
