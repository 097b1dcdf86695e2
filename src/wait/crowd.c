/* wait/crowd.c */
#include "wait/crowd.h"

#include "os/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the number is the state's low half");

void crowd_ring(struct crowd *crowd, uint32_t number)
{
    futex_wake(&crowd->gate, FUTEX_EVERYONE);
    uint32_t rung = atomic_load(&crowd->rung);
    while ((int32_t)(number - rung) > 0 && !atomic_compare_exchange_weak(&crowd->rung, &rung, number))
        continue;
}

int crowd_sleep(struct crowd *crowd, uint64_t seen, const struct futex_watch *extra, unsigned count, int64_t deadline)
{
    struct futex_watch watch[FUTEX_WATCH_MOST] = { { &crowd->gate, 0 } };
    if (count > 0)
        memcpy(&watch[1], extra, count * sizeof *extra);
    /* The state last. The kernel queues and compares word by word, and when it compares these we are in every queue
     * that a wake for a change of them may go to. */
    watch[count + 1] = (struct futex_watch){ &crowd->number, crowd_number(seen) };
    watch[count + 2] = (struct futex_watch){ &crowd->tally, (uint32_t)(seen >> 32) };
    bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
    int64_t nap = told ? deadline : clock_now() + THREAD_NAP;
    int result = futex_sleep_any(watch, count + 3, nap < deadline ? nap : deadline);
    uint32_t number = atomic_load(&crowd->number);
    if (atomic_load(&crowd->rung) != number)
        crowd_ring(crowd, number);
    return result == -ETIMEDOUT && clock_now() < deadline ? 0 : result;
}
