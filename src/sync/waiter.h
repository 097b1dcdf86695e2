/* sync/waiter.h: brood/waiter.h, from the side of those who wait. */
#ifndef SYNC_WAITER_H
#define SYNC_WAITER_H

#include "os/thread.h"

/* One way of waiting: 0 or more when it has come true, or -ETIMEDOUT at the deadline, with no trace left. */
typedef int waiter_way(struct thread *self, void *context, int64_t deadline);

/* Waits for the noun in that way, seen by others meanwhile, and told to the log if it takes long. What `wait` returns.
 * Nothing may be pending. For slow paths: after a first try. */
int waiter_wait(struct thread *self, const void *noun, int64_t deadline, waiter_way *wait, void *context);

/* A wait of this thread for the noun begins, seen by others until it ends. Nothing may be pending. For waits that
 * cannot be cut in two, as waiter_wait may: they are not told to the log. */
void waiter_begin(struct thread *self, const void *noun);
void waiter_end(struct thread *self);

/* At brood_init: what BROOD_SLOW_WAIT asks for. 0, or -EINVAL with a sentence. */
int waiter_choose(void);

#endif
