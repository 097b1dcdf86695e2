/* bench/json.c: a run as one line of JSON a figure, for programs. What is not known is null.
 */
#include "outcome.h"

#include <stdio.h>

static void print_number(const char *key, double value)
{
    if (value < 0)
        printf("\"%s\": null", key);
    else
        printf("\"%s\": %.3f", key, value);
}

static void print_range(const char **comma, const char *key, const struct series *series)
{
    if (series->count == 0)
        return;
    printf("%s\"%s\": [%.3f, %.3f]", *comma, key, series_least(series), series_most(series));
    *comma = ", ";
}

static void print_peers(const struct outcome *outcome)
{
    const char *comma = "";
    printf("\"peers\": {");
    for (size_t i = 0; i < PEER_COUNT; i++) {
        if (!outcome_has_peer(outcome, i))
            continue;
        printf("%s", comma);
        print_number(peers[i].name, outcome_peer(outcome, i));
        comma = ", ";
    }
    printf("}");
}

static void print_ranges(const struct outcome *outcome)
{
    const char *comma = "";
    printf("\"ranges\": {");
    print_range(&comma, "brood", &outcome->brood);
    print_range(&comma, "limit", &outcome->limit);
    for (size_t i = 0; i < PEER_COUNT; i++)
        print_range(&comma, peers[i].name, &outcome->peers[i]);
    printf("}");
}

static void print_line(const struct outcome *outcome)
{
    double brood = outcome_brood(outcome), goal = outcome_goal(outcome);
    printf("{\"name\": \"%s\", \"unit\": \"%s\", ", outcome->figure->name, outcome->figure->unit);
    print_number("brood", brood);
    printf(", ");
    print_number("limit", outcome_limit(outcome));
    printf(", ");
    print_number("goal", goal);
    printf(", \"reached\": %s, ", brood < 0 || goal < 0 ? "null" : outcome_reached(outcome) ? "true" : "false");
    print_peers(outcome);
    printf(", \"samples\": %zu, ", outcome->brood.count);
    print_ranges(outcome);
    printf("}\n");
}

void json_print(const struct outcome *outcomes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        print_line(&outcomes[i]);
}
