/* wait/bell.h: sleeping until something is true that another process makes true.
 *
 * A bell is one word: FUTEX_WAITERS if someone may sleep, and nothing else, so that the kernel rings it for a ringer
 * that is killed between making the thing true and the wake (os/thread.h). It rings for all; each who wakes rings for
 * the rest once more, because the kernel, which rings for the dead, wakes one only.
 */
#ifndef WAIT_BELL_H
#define WAIT_BELL_H

#include "os/thread.h"

struct bell {
    _Atomic uint32_t word;
};

/* Sleeps until ready(context) is true. 0, or -ETIMEDOUT. `ready` runs in this thread and must take no lock. */
int bell_wait(struct thread *self, struct bell *bell, bool (*ready)(void *context), void *context, int64_t deadline);

/* Before the store that makes `ready` true, and after it. */
static inline void bell_lift(struct thread *self, struct bell *bell)
{
    thread_expects(self, &bell->word);
}

void bell_ring(struct thread *self, struct bell *bell);

#endif
