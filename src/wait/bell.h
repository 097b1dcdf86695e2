/* wait/bell.h: sleeping until something is true that another process makes true.
 *
 * What sleepers of one bell wait for is the same for all of them, and can be read off shared memory at any time (a
 * level, not an edge). The bell is one word: FUTEX_WAITERS if someone may sleep, and a turn bit that changes with each
 * ring; the rest is 0, so that the kernel rings for a ringer that is killed between making the thing true and the wake
 * (os/thread.h). A ring wakes all. The kernel, ringing for the dead, wakes one, so each who wakes rings for the rest
 * once more.
 *
 * Why a sleeper cannot sleep through it: it sleeps only if the word is still what it was when it looked. A ring in
 * between cleared FUTEX_WAITERS and changed the turn; another sleeper may have set FUTEX_WAITERS again, but looks at
 * the thing after that, and if it is true rings itself.
 *
 * One duty is left to the bell's owner: whoever reaps a process rings the bells that it may have been at once more. A
 * ringer killed before it changed the word, with a sleeper stopped just before its sleep, leaves that sleeper to this.
 * Where nobody reaps for the bell (a queue's `idle`) its sleepers nap instead.
 */
#ifndef WAIT_BELL_H
#define WAIT_BELL_H

#include "os/thread.h"

struct bell {
    _Atomic uint32_t word;
};

/* Sleeps until ready(context) is true. 0, or -ETIMEDOUT. `ready` runs in this thread and must take no latch. */
int bell_wait(struct thread *self, struct bell *bell, bool (*ready)(void *context), void *context, int64_t deadline);

/* Before the store that makes `ready` true, and after it. */
static inline void bell_lift(struct thread *self, struct bell *bell)
{
    thread_expects(self, &bell->word);
}

void bell_ring(struct thread *self, struct bell *bell);

/* Whoever sleeps looks again, whatever the word says: from time to time, for ringers that may have been stopped (not
 * killed) in the middle of a ring. */
void bell_rouse(struct bell *bell);

#endif
