/* bench/balance.c: how evenly a map's automatic chunks share tasks of very different cost among the workers.
 *
 * Of 10,000 tasks one in a hundred takes 1,000 times as long as the others. Where these lie among the items decides how
 * hard the map is to share out, so several places are tried, and the figure is the worst of them. A task spins for its
 * time, and each of the two workers needs a processor of its own.
 */
#include "clock.h"
#include "figure.h"
#include "trouble.h"

#include <brood.h>
#include <stdlib.h>

#define TASKS 10000
#define LONG_TASKS 100
#define SHORT_NS 1000
#define LONG_NS (1000 * SHORT_NS)
#define WORKERS 2

enum placing { SPREAD, AT_THE_BEGINNING, IN_THE_MIDDLE, AT_THE_END, AT_RANDOM, PLACINGS };

static int spend_time(const void *in, void *out)
{
    (void)out;
    uint64_t end = clock_ns() + *(const unsigned *)in;
    while (clock_ns() < end)
        continue;
    return 0;
}

static void place_tasks(unsigned *times, enum placing placing)
{
    unsigned random = 1;
    for (int i = 0; i < TASKS; i++)
        times[i] = SHORT_NS;
    for (int i = 0; i < LONG_TASKS;) {
        int at = i;
        random = random * 1103515245 + 12345;
        if (placing == SPREAD)
            at = i * (TASKS / LONG_TASKS);
        if (placing == IN_THE_MIDDLE)
            at = TASKS / 2 + i;
        if (placing == AT_THE_END)
            at = TASKS - 1 - i;
        if (placing == AT_RANDOM)
            at = (int)(random >> 8) % TASKS;
        i += times[at] == SHORT_NS;
        times[at] = LONG_NS;
    }
}

double pool_balance_brood(void)
{
    static unsigned times[TASKS];
    brood_pool *pool = brood_pool_create(WORKERS, NULL);
    double worst = pool ? 0 : trouble("no pool: %s", brood_error());
    for (int placing = SPREAD - 1; pool && worst >= 0 && placing < PLACINGS; placing++) {
        place_tasks(times, placing < SPREAD ? SPREAD : (enum placing)placing);
        uint64_t began = clock_ns();
        if (brood_pool_map(pool, spend_time, times, sizeof *times, NULL, 0, TASKS, NULL) != 0)
            worst = trouble("brood_pool_map: %s", brood_error());
        double took = (double)(clock_ns() - began) / NS_PER_US;
        if (placing >= SPREAD && took > worst && worst >= 0) /* the first only starts the workers */
            worst = took;
    }
    brood_pool_destroy(pool);
    return worst;
}

/* What it would take if nothing were lost: their times, shared evenly. */
double pool_balance_limit(void)
{
    return ((TASKS - LONG_TASKS) * (double)SHORT_NS + LONG_TASKS * (double)LONG_NS) / WORKERS / NS_PER_US;
}
