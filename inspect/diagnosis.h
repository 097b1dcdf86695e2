/* diagnosis.h: what is wrong in a family, as far as two looks at it tell. */
#ifndef INSPECT_DIAGNOSIS_H
#define INSPECT_DIAGNOSIS_H

#include "sight.h"

struct finding {
    const char *kind; /* "deadlock", "dead_holder", ... */
    char what[1600];  /* one sentence or two */
    char advice[320];
};

struct diagnosis {
    struct finding *all;
    size_t count;
    bool failed; /* no memory: some are missing */
};

/* Between the two looks `replaced[i]` workers of the i-th pool of the first one were replaced. What is believed must be
 * there in both. */
void diagnose(struct diagnosis *diagnosis, const struct sight *before, const struct sight *after,
              const unsigned *replaced);

#endif
