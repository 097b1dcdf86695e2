/* manager_waiting.h: waiting until so many clients of a manager wait for something. */
#ifndef TESTS_MANAGER_WAITING_H
#define TESTS_MANAGER_WAITING_H

#include "harness.h"

enum { TOLD_MS = 5000 }; /* a hang, not a delay */

struct wanted {
    brood_manager *manager;
    size_t waiting;
};

static inline bool so_many_wait(void *context)
{
    struct wanted *wanted = context;
    brood_manager_stats stats;
    return brood_manager_stat(wanted->manager, &stats) == 0 && stats.waiting == wanted->waiting;
}

static inline void await_waiting(brood_manager *manager, size_t waiting)
{
    struct wanted wanted = { manager, waiting };
    CHECK(wait_until(so_many_wait, &wanted, TOLD_MS));
}

#endif
