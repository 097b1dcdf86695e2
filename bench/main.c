/* bench/main.c: the speed lab: measures the figures that its arguments name, in rounds, and shows what it found.
 *
 * In every round each figure is measured by every side. A slow figure is shown as it is and fails nothing; the lab
 * fails only if the work was not done, or done wrongly.
 */
#include "fair.h"
#include "grid.h"
#include "outcome.h"
#include "scale.h"
#include "trouble.h"

#include <brood.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 9, QUICK_ROUNDS = 1, GRID_ROUNDS = 3, SCALE_ROUNDS = 5 };

/* A figure's round takes seconds. One that never ends must not hang the lab, which SIGALRM then ends, and with it all
 * that it started. */
#define ROUND_PATIENCE_S 300

struct request {
    bool json;
    bool help;
    bool grid;
    bool scale;
    int rounds;
    int fair;            /* seconds; 0: figures are wanted */
    const char *drawing; /* path; NULL: none */
    bool all;            /* no figure was named */
    bool wanted[128];    /* by index of figure */
};

static void print_help(void)
{
    puts("usage: tools/bench.sh [--json] [--quick] [--svg FILE] [FIGURE...]\n\n"
         "Measures brood beside the machine's limit for the same work and the peers that are installed.\n\n"
         "  --json       one line of JSON a figure, instead of a table\n"
         "  --quick      1 round instead of 9: about a minute on an idle machine, and rougher\n"
         "  --svg FILE   draws the figures as bars, too\n"
         "  --fair N     no figures, but how evenly 8 processes share a lock, N seconds for each way of sharing it\n"
         "  --grid       no figures, but the rates of queues by putters, getters and bytes, some minutes\n"
         "  --scale      no figures, but what 1, 2, 4, ... processes do together with one lock, queue, pool, ...\n"
         "  --help       this\n\n"
         "Figures (all of them, if none is named):");
    for (size_t i = 0; i < figure_count; i++)
        printf("  %-23s %s, %s\n", figures[i].name, figures[i].unit, figures[i].what);
}

/* 0, or -1 if no figure has that name. */
static int want(struct request *request, const char *name)
{
    for (size_t i = 0; i < figure_count; i++) {
        if (strcmp(figures[i].name, name) == 0) {
            request->wanted[i] = true;
            request->all = false;
            return 0;
        }
    }
    return -1;
}

static int parse(struct request *request, int argc, char **argv)
{
    *request = (struct request){ .rounds = ROUNDS, .all = true };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            request->json = true;
        else if (strcmp(argv[i], "--quick") == 0)
            request->rounds = QUICK_ROUNDS;
        else if (strcmp(argv[i], "--help") == 0)
            request->help = true;
        else if (strcmp(argv[i], "--grid") == 0)
            request->grid = true;
        else if (strcmp(argv[i], "--scale") == 0)
            request->scale = true;
        else if (strcmp(argv[i], "--svg") == 0 && i + 1 < argc)
            request->drawing = argv[++i];
        else if (strcmp(argv[i], "--fair") == 0 && i + 1 < argc && atoi(argv[i + 1]) > 0)
            request->fair = atoi(argv[++i]);
        else if (want(request, argv[i]) < 0) {
            trouble("no such option or figure, or nothing behind it: %s; --help lists them", argv[i]);
            return -1;
        }
    }
    return 0;
}

static void measure_all(struct outcome *outcomes, size_t count, int rounds)
{
    bool tell = isatty(STDERR_FILENO);
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            if (tell)
                fprintf(stderr, "\rround %d of %d: %-24s", round + 1, rounds, outcomes[i].figure->name);
            alarm(ROUND_PATIENCE_S);
            outcome_sample(&outcomes[i]);
        }
    }
    alarm(0);
    if (tell)
        fprintf(stderr, "\r%40s\r", "");
}

/* On standard error: with --json, standard output is for figures only. */
static void tell_left_out(void)
{
    fflush(stdout);
    for (size_t i = 0; i < PEER_COUNT; i++)
        if (!peers[i].present)
            fprintf(stderr, "left out: %s (needs %s)\n", peers[i].title, peers[i].needs);
}

static int run(const struct request *request)
{
    struct outcome *outcomes = calloc(figure_count, sizeof *outcomes);
    if (!outcomes)
        return 1;
    size_t count = 0;
    for (size_t i = 0; i < figure_count; i++)
        if (request->all || request->wanted[i])
            outcomes[count++].figure = &figures[i];
    double load = 0;
    getloadavg(&load, 1);
    peers_find();
    measure_all(outcomes, count, request->rounds);
    if (request->json)
        json_print(outcomes, count);
    else
        table_print(outcomes, count, load);
    tell_left_out();
    int failed = 0;
    for (size_t i = 0; i < count; i++)
        failed |= outcomes[i].failed;
    if (request->drawing && drawing_write(request->drawing, outcomes, count) < 0) {
        trouble("%s: %s", request->drawing, strerror(errno));
        failed = 1;
    }
    free(outcomes);
    return failed;
}

int main(int argc, char **argv)
{
    /* Large arrays go back to the system when freed: a process that kept them would fork at their price ever after. */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    if (argc == 2 && strcmp(argv[1], RETURN_AT_ONCE) == 0)
        return 0;
    if (brood_init(&(brood_init_options){ .name = "speedlab" }) < 0) {
        trouble("%s", brood_error());
        return 1;
    }
    struct request request;
    if (parse(&request, argc, argv) < 0)
        return 2;
    if (request.help) {
        print_help();
        return 0;
    }
    if (request.fair)
        return fair_print(request.fair) < 0;
    if (request.scale)
        return scale_print(request.rounds == ROUNDS ? SCALE_ROUNDS : 1, request.json) < 0;
    if (request.grid) {
        peers_find();
        return grid_print(request.rounds == ROUNDS ? GRID_ROUNDS : 1, request.json) < 0;
    }
    return run(&request);
}
