/* brood/result.h: what every call shares: its results, and the sentence behind a failure.
 *
 * brood.h states the rules of results, timeouts and options.
 */
#ifndef BROOD_RESULT_H
#define BROOD_RESULT_H

#include <errno.h>

#define BROOD_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* A timeout_ms that never ends. */
#define BROOD_FOREVER (-1)

/* Positive results: done, and there is something to know. */
enum {
    BROOD_INHERITED = 1, /* a lock: taken from a holder that died; mend what it guards */
    BROOD_ALREADY = 1,   /* brood_init: this process has done it before */
    BROOD_CHOSEN = 1,    /* a barrier: of all its parties this is the one */
};

/* Options of what has nothing but a name to be told. */
typedef struct brood_name_options {
    const char *name; /* in messages; NULL: its address */
    void *reserved[4];
} brood_name_options;

/* One sentence, without a newline, about this thread's last failure, BROOD_ALREADY, BROOD_INHERITED or count of failed
 * items: what, which object by its name, and why. Never NULL; "" before the first of these; all other results, positive
 * ones too, leave it alone. A call that is given NULL for an object, as a rule because the call that should have made
 * it failed, adds the sentence of that. The text is the thread's own, good until its next failure. */
BROOD_API const char *brood_error(void);

#ifdef __cplusplus
}
#endif

#endif
