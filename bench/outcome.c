/* bench/outcome.c: samples the sides of a figure in turn, so that what the machine does meanwhile meets all of them.
 */
#include "outcome.h"

#include "clock.h"

#include <string.h>

enum { TURNS = 3 };

static bool is_limit(const struct figure *figure, const struct peer *peer)
{
    return figure->limit_peer && strcmp(figure->limit_peer, peer->name) == 0;
}

/* A peer that fails is its own trouble. */
static void sample_peer(struct series *series, const struct peer *peer, const struct figure *figure)
{
    if (!peer_measures(peer, figure->name))
        return;
    double sample = peer_sample(peer, figure->name);
    if (sample > 0)
        series_add(series, sample);
}

static void sample_own(struct outcome *outcome, struct series *series, measure *once)
{
    double sample = outcome->failed ? -1 : once();
    if (sample > 0)
        series_add(series, sample);
    else
        outcome->failed = true;
}

void outcome_sample(struct outcome *outcome)
{
    const struct figure *figure = outcome->figure;
    for (int turn = 0; turn < TURNS; turn++) {
        sample_own(outcome, &outcome->brood, figure->brood);
        if (figure->limit)
            sample_own(outcome, &outcome->limit, figure->limit);
        for (size_t i = 0; i < PEER_COUNT; i++)
            if (is_limit(figure, &peers[i]))
                sample_peer(&outcome->limit, &peers[i], figure);
    }
    for (size_t i = 0; i < PEER_COUNT; i++)
        if (!is_limit(figure, &peers[i]))
            sample_peer(&outcome->peers[i], &peers[i], figure);
}

static double value(const struct outcome *outcome, const struct series *series)
{
    return outcome->figure->worst ? series_most(series) : series_median(series);
}

double outcome_brood(const struct outcome *outcome)
{
    return outcome->failed ? -1 : value(outcome, &outcome->brood);
}

double outcome_limit(const struct outcome *outcome)
{
    return value(outcome, &outcome->limit);
}

double outcome_peer(const struct outcome *outcome, size_t peer)
{
    return value(outcome, &outcome->peers[peer]);
}

double outcome_goal(const struct outcome *outcome)
{
    const struct figure *figure = outcome->figure;
    if (figure->goal_ratio == 0)
        return figure->goal > 0 ? figure->goal : -1;
    double limit = outcome_limit(outcome);
    return limit < 0 ? -1 : limit * figure->goal_ratio + figure->goal;
}

bool outcome_reached(const struct outcome *outcome)
{
    double brood = outcome_brood(outcome), goal = outcome_goal(outcome);
    return outcome->figure->rate ? brood >= goal : brood <= goal;
}

bool outcome_has_peer(const struct outcome *outcome, size_t peer)
{
    return outcome->peers[peer].count > 0;
}

double outcome_ns(const struct outcome *outcome, double value_in_unit)
{
    const char *unit = outcome->figure->unit;
    if (outcome->figure->rate)
        return (double)NS_PER_S / value_in_unit;
    if (strcmp(unit, "KiB") == 0)
        return -1;
    return value_in_unit * (strcmp(unit, "ms") == 0 ? NS_PER_MS : strcmp(unit, "us") == 0 ? NS_PER_US : 1);
}
