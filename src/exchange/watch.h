/* exchange/watch.h: a brood_watch, from inside. */
#ifndef EXCHANGE_WATCH_H
#define EXCHANGE_WATCH_H

#include "os/clock.h"

#include <brood/wait.h>

/* As the public calls of these names, with sentences that begin with `call`; the deadline as of os/clock.h, or
 * LATCH_TRY. */
brood_watch *watch_create(const char *call);
void watch_destroy(brood_watch *watch);
int watch_add(brood_watch *watch, const brood_waitable *item, const char *call);
int watch_wait(brood_watch *watch, brood_waitable *ready, size_t most, int64_t deadline, const char *call);

#endif
