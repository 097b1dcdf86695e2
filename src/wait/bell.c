/* wait/bell.c */
#include "wait/bell.h"

#include "os/clock.h"
#include "os/futex.h"

#include <errno.h>

#define BELL_TURN FUTEX_OWNER_DIED /* a bit that the kernel does not look at where the id part is 0 */

/* After the thing became true: who sleeps is woken, and who is about to sleep finds another word. */
static void ring(struct bell *bell)
{
    atomic_thread_fence(memory_order_seq_cst); /* the thing, then this load: pairs with the or in bell_wait */
    uint32_t word = atomic_load(&bell->word);
    while (word & FUTEX_WAITERS) {
        if (!atomic_compare_exchange_weak(&bell->word, &word, (word & ~(uint32_t)FUTEX_WAITERS) ^ BELL_TURN))
            continue;
        futex_wake(&bell->word, FUTEX_EVERYONE);
        return;
    }
}

int bell_wait(struct thread *self, struct bell *bell, bool (*ready)(void *context), void *context, int64_t deadline)
{
    int result = 0;
    thread_expects(self, &bell->word);
    while (!ready(context)) {
        if (deadline <= clock_now()) {
            result = -ETIMEDOUT;
            break;
        }
        uint32_t word = atomic_fetch_or(&bell->word, FUTEX_WAITERS) | FUTEX_WAITERS;
        if (ready(context)) {
            ring(bell); /* our bit may have deceived one who was about to sleep */
            break;
        }
        bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
        int64_t nap = told ? deadline : clock_now() + THREAD_NAP;
        /* If it is true by now the kernel may have woken us for a dead ringer, and us alone. If it is not, nobody else
         * misses anything. */
        if (futex_sleep(&bell->word, word, nap < deadline ? nap : deadline) == 0 && ready(context))
            futex_wake(&bell->word, FUTEX_EVERYONE);
    }
    thread_expects(self, NULL);
    return result;
}

void bell_ring(struct thread *self, struct bell *bell)
{
    ring(bell);
    thread_expects(self, NULL);
}

void bell_rouse(struct bell *bell)
{
    futex_wake(&bell->word, FUTEX_EVERYONE);
}
