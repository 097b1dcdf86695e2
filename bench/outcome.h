/* bench/outcome.h: what a run found out about one figure.
 */
#ifndef BENCH_OUTCOME_H
#define BENCH_OUTCOME_H

#include "figure.h"
#include "peer.h"
#include "series.h"

struct outcome {
    const struct figure *figure;
    struct series brood;
    struct series limit; /* a peer's, where the limit is one's */
    struct series peers[PEER_COUNT];
    bool failed; /* brood, or the machine, did not do the work: trouble() has said how */
};

/* Takes three samples of brood and of the limit, in turn, and one of each peer that is present, which take longer. */
void outcome_sample(struct outcome *outcome);

/* All in the figure's unit; -1 where there is none. */
double outcome_brood(const struct outcome *outcome);
double outcome_limit(const struct outcome *outcome);
double outcome_peer(const struct outcome *outcome, size_t peer);
double outcome_goal(const struct outcome *outcome);

/* Whether brood came up to the goal: both are there. */
bool outcome_reached(const struct outcome *outcome);

/* Whether that peer is shown among the peers: it has a sample, and is not the limit. */
bool outcome_has_peer(const struct outcome *outcome, size_t peer);

/* How many nanoseconds that is; of a rate, nanoseconds for each; -1: it is no time. */
double outcome_ns(const struct outcome *outcome, double value);

/* The three forms that a run is told in. `load`: the machine's, before the run added its own. The drawing: 0, or -1
 * with errno. */
void table_print(const struct outcome *outcomes, size_t count, double load);
void json_print(const struct outcome *outcomes, size_t count);
int drawing_write(const char *path, const struct outcome *outcomes, size_t count);

#endif
