/* bench/drawing.c: a run as bars, in SVG: a group a figure, a bar for brood, for the limit and for each peer, on one
 * logarithmic axis of time, since the figures lie seven decades apart. The goal is a mark across brood's bar.
 */
#include "outcome.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* In pixels. */
#define WIDTH 1000
#define LEFT 330 /* of the axis: room for names and numbers, which stand clear of the bars and of the goal's mark */
#define RIGHT 30
#define MARGIN 12
#define TOP 70
#define BOTTOM 20
#define BAR 16
#define GAP 14 /* between groups */

#define DECADES 8 /* 1 ns to 100 ms */

static const char *const brood_colour = "#1b6ca8";
static const char *const limit_colour = "#8a8f98";
static const char *const peer_colours[PEER_COUNT] = { "#e0a030", "#7fb069", "#b07aa1" };

/* Memory is not on the axis of time. */
static bool is_drawn(const struct outcome *outcome)
{
    return outcome_ns(outcome, 1) > 0;
}

static int bars_of(const struct outcome *outcome)
{
    int bars = 1 + (outcome->limit.count > 0);
    for (size_t i = 0; i < PEER_COUNT; i++)
        bars += outcome_has_peer(outcome, i);
    return bars;
}

/* Where a time lies on the axis. */
static double place(double ns)
{
    double decade = ns > 1 ? log10(ns) : 0;
    if (decade > DECADES)
        decade = DECADES;
    return LEFT + decade / DECADES * (WIDTH - LEFT - RIGHT);
}

static void write_text(FILE *file, double x, double y, const char *anchor, const char *text)
{
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, text);
}

static void write_axis(FILE *file, int height)
{
    static const char *const labels[DECADES + 1] = { "1 ns",   "10 ns", "100 ns", "1 µs",  "10 µs",
                                                     "100 µs", "1 ms",  "10 ms",  "100 ms" };
    for (int i = 0; i <= DECADES; i++) {
        double x = place(pow(10, i));
        fprintf(file, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#dddddd\"/>\n", x, TOP - 8, x,
                height - BOTTOM);
        write_text(file, x, TOP - 14, "middle", labels[i]);
    }
}

static void write_bar(FILE *file, double y, const struct outcome *outcome, double value, const char *name,
                      const char *colour)
{
    double end = place(outcome_ns(outcome, value));
    char text[96];
    fprintf(file, "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n", LEFT, y,
            end - LEFT > 1 ? end - LEFT : 1, BAR - 3, colour);
    const char *unit = strcmp(outcome->figure->unit, "us") == 0 ? "µs" : outcome->figure->unit;
    snprintf(text, sizeof text, value < 100 ? "%s %.1f %s" : "%s %.0f %s", name, value, unit);
    write_text(file, LEFT - MARGIN, y + BAR - 5, "end", text);
}

/* Returns where the next group begins. */
static double write_group(FILE *file, double y, const struct outcome *outcome)
{
    double goal = outcome_goal(outcome);
    write_text(file, MARGIN, y + BAR - 5, "start", outcome->figure->name);
    if (outcome_brood(outcome) > 0)
        write_bar(file, y, outcome, outcome_brood(outcome), "brood", brood_colour);
    if (goal > 0) {
        double x = place(outcome_ns(outcome, goal));
        fprintf(file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#c0392b\" stroke-width=\"2\"/>\n",
                x, y - 3, x, y + BAR);
    }
    y += BAR;
    if (outcome->limit.count > 0) {
        write_bar(file, y, outcome, outcome_limit(outcome), "limit", limit_colour);
        y += BAR;
    }
    for (size_t i = 0; i < PEER_COUNT; i++) {
        if (!outcome_has_peer(outcome, i))
            continue;
        write_bar(file, y, outcome, outcome_peer(outcome, i), peers[i].name, peer_colours[i]);
        y += BAR;
    }
    return y + GAP;
}

int drawing_write(const char *path, const struct outcome *outcomes, size_t count)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return -1;
    int height = TOP + BOTTOM;
    for (size_t i = 0; i < count; i++)
        height += is_drawn(&outcomes[i]) ? bars_of(&outcomes[i]) * BAR + GAP : 0;
    fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\"", WIDTH,
            height, WIDTH, height);
    fprintf(file, " font-family=\"sans-serif\" font-size=\"12\" fill=\"#222222\">\n");
    fprintf(file, "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", WIDTH, height);
    fprintf(file, "<text x=\"%d\" y=\"24\" font-size=\"15\">brood beside the machine's limit and its peers</text>\n",
            LEFT);
    fprintf(file,
            "<text x=\"%d\" y=\"42\" fill=\"#555555\">time for one, logarithmic; shorter is better; "
            "the red mark is the goal</text>\n",
            LEFT);
    write_axis(file, height);
    double y = TOP + 4;
    for (size_t i = 0; i < count; i++)
        y = is_drawn(&outcomes[i]) ? write_group(file, y, &outcomes[i]) : y;
    fprintf(file, "</svg>\n");
    int failed = ferror(file);
    return fclose(file) || failed ? -1 : 0;
}
