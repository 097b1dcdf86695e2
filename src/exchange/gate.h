/* exchange/gate.h: one thread at a time, for as long as a call takes; the others wait, each as long as it likes.
 * Whoever was woken 16 times in vain asks, and newcomers let it pass. Within one process. (A mutex with a deadline by
 * the monotonic clock would do, but ThreadSanitizer does not see those.)
 */
#ifndef EXCHANGE_GATE_H
#define EXCHANGE_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
    pthread_mutex_t guard; /* of the last two; never held for long */
    pthread_cond_t left;
    bool taken;
    int asking; /* how many wait that newcomers let pass */
};

void gate_init(struct gate *gate);
void gate_fini(struct gate *gate);

/* 0 or -ETIMEDOUT, at `deadline` (os/clock.h); one in the past: it only tries. */
int gate_enter(struct gate *gate, int64_t deadline);
void gate_leave(struct gate *gate);

#endif
