/* sync/event.h: an event among many that are waited for. */
#ifndef SYNC_EVENT_H
#define SYNC_EVENT_H

#include "os/futex.h"

#include <brood/event.h>

/* 1: it is set.  0: it is not, and whoever sleeps on *watch is woken when it is.  -EINVAL, with a sentence that begins
 * with `call`. */
int event_announce(brood_event *memory, const char *call, struct futex_watch *watch);

#endif
