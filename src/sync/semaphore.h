/* sync/semaphore.h: a semaphore among many that are waited for. */
#ifndef SYNC_SEMAPHORE_H
#define SYNC_SEMAPHORE_H

#include "os/futex.h"

#include <brood/semaphore.h>

/* 1: it has a unit.  0: it has none, and whoever sleeps on *watch is woken when it has, unless a giver is killed just
 * then; watch->word NULL: it is an owned one, of which nobody can be told.  -EINVAL, with a sentence that begins with
 * `call`. */
int semaphore_announce(brood_semaphore *memory, const char *call, struct futex_watch *watch);

#endif
