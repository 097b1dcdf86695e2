/* bench/table.c: a run as a table that a person reads, with the conditions it was made under.
 */
#include "outcome.h"

#include <brood.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* A load that disturbs: half of one CPU. */
#define BUSY 0.5

/* A number as short as it may be read: three digits or four. Absent: "-". */
static const char *number(char *text, size_t size, double value)
{
    if (value < 0)
        snprintf(text, size, "-");
    else
        snprintf(text, size, value < 10 ? "%.2f" : value < 1000 ? "%.1f" : "%.0f", value);
    return text;
}

static void cpu_model(char *text, size_t size)
{
    char line[256];
    snprintf(text, size, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        colon += 1 + strspn(colon + 1, " ");
        snprintf(text, size, "%.*s", (int)strcspn(colon, "\n"), colon);
        break;
    }
    if (file)
        fclose(file);
}

static void print_conditions(size_t samples, double load)
{
    char model[256];
    struct utsname system;
    cpu_model(model, sizeof model);
    if (uname(&system) < 0)
        strcpy(system.release, "?");
    printf("brood %s, %d CPUs (%s), Linux %s; median of %zu samples, interleaved\n", brood_version(), brood_cpu_count(),
           model, system.release, samples);
    if (load > BUSY)
        printf("the machine was busy before the run (load %.2f): the figures, waits above all, say less\n", load);
    putchar('\n');
}

static void print_row(const struct outcome *outcome)
{
    char text[32];
    double brood = outcome_brood(outcome), limit = outcome_limit(outcome), goal = outcome_goal(outcome);
    printf("%-23s %-5s", outcome->figure->name, outcome->figure->unit);
    printf(" %9s", outcome->failed ? "failed" : number(text, sizeof text, brood));
    printf(" %9s", number(text, sizeof text, limit));
    printf(" %7s", number(text, sizeof text, brood < 0 || limit <= 0 ? -1 : brood / limit));
    printf(" %9s", number(text, sizeof text, goal));
    printf(" %-8s", brood < 0 || goal < 0 ? "-" : outcome_reached(outcome) ? "yes" : "no");
    const char *comma = "";
    for (size_t i = 0; i < PEER_COUNT; i++) {
        if (!outcome_has_peer(outcome, i))
            continue;
        printf("%s %s %s", comma, peers[i].name, number(text, sizeof text, outcome_peer(outcome, i)));
        comma = ",";
    }
    putchar('\n');
}

void table_print(const struct outcome *outcomes, size_t count, double load)
{
    print_conditions(count ? outcomes[0].brood.count : 0, load);
    printf("%-23s %-5s %9s %9s %7s %9s %-8s %s\n", "figure", "unit", "brood", "limit", "ratio", "goal", "reached",
           " peers");
    for (size_t i = 0; i < count; i++)
        print_row(&outcomes[i]);
    puts("\nlower is better, but of msg/s higher; ratio is brood / limit");
    for (size_t i = 0; i < count; i++)
        if (outcomes[i].figure->limit_is)
            printf("  limit of %-23s %s\n", outcomes[i].figure->name, outcomes[i].figure->limit_is);
}
