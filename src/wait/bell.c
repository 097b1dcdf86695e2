/* wait/bell.c */
#include "wait/bell.h"

#include "os/clock.h"
#include "os/futex.h"

#include <errno.h>

int bell_wait(struct thread *self, struct bell *bell, bool (*ready)(void *context), void *context, int64_t deadline)
{
    int result = 0;
    thread_expects(self, &bell->word);
    while (!ready(context)) {
        if (deadline <= clock_now()) {
            result = -ETIMEDOUT;
            break;
        }
        /* The or comes before ready() reads, as the ringer's store comes before it reads this bit: one of us sees the
         * other. Both are seq_cst. */
        atomic_fetch_or(&bell->word, FUTEX_WAITERS);
        if (ready(context))
            break;
        bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
        int64_t nap = told ? deadline : clock_now() + THREAD_NAP;
        if (futex_sleep(&bell->word, FUTEX_WAITERS, nap < deadline ? nap : deadline) == 0)
            futex_wake(&bell->word, FUTEX_EVERYONE);
    }
    thread_expects(self, NULL);
    return result;
}

void bell_ring(struct thread *self, struct bell *bell)
{
    atomic_thread_fence(memory_order_seq_cst); /* the caller's store, then this load: pairs with bell_wait */
    if (atomic_load(&bell->word) & FUTEX_WAITERS) {
        atomic_fetch_and(&bell->word, ~(uint32_t)FUTEX_WAITERS);
        futex_wake(&bell->word, FUTEX_EVERYONE);
    }
    thread_expects(self, NULL);
}
