/* sync/semaphore.h: a semaphore among many that are waited for. */
#ifndef SYNC_SEMAPHORE_H
#define SYNC_SEMAPHORE_H

#include "os/futex.h"

#include <brood/semaphore.h>

/* 1: it has a unit. 0: it has none, and whoever sleeps on *watch is woken when it may have; watch->word NULL: nobody is
 * told: it is an owned one, or a giver stands still in the middle of telling. -EINVAL, with a sentence that begins with
 * `call`. */
int semaphore_announce(brood_semaphore *memory, const char *call, struct futex_watch *watch);

#endif
