/* pool/tally.c */
#include "pool/tally.h"

#include "os/clock.h"

#include <string.h>

#define LOOKS 100 /* at what is being changed */

void tally_keep_slow(struct tally *tally, const struct slow *slow)
{
    struct slow *least = &tally->slowest[0];
    uint32_t version = atomic_load_explicit(&tally->version, memory_order_relaxed) | 1;
    atomic_store_explicit(&tally->version, version, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* pairs with the fence in tally_read_slowest */
    for (int i = 0; i < TALLY_SLOWEST; i++)
        if (tally->slowest[i].wall < least->wall)
            least = &tally->slowest[i];
    *least = *slow;
    for (int i = 0; i < TALLY_SLOWEST; i++)
        if (tally->slowest[i].wall < least->wall)
            least = &tally->slowest[i];
    atomic_store_explicit(&tally->least, least->wall, memory_order_relaxed);
    /* Release: pairs with the acquire in tally_read_slowest. */
    atomic_store_explicit(&tally->version, version + 1, memory_order_release);
}

void tally_open(struct tally *tally)
{
    atomic_store(&tally->failed_here, 0);
    atomic_store(&tally->born, clock_now());
    tally_add(&tally->starts, 1);
}

void tally_close(struct tally *tally)
{
    int64_t now = clock_now(), born = atomic_load(&tally->born);
    if (!born)
        return;
    tally_stop(tally, now);
    atomic_store(&tally->born, 0);
    atomic_store(&tally->lived, atomic_load(&tally->lived) + now - born);
}

int tally_read_slowest(const struct tally *tally, struct slow slowest[static TALLY_SLOWEST])
{
    int count = 0;
    /* One that died changing them leaves them odd, until its successor changes them: they are taken as they are. */
    for (int looks = 0; looks < LOOKS; looks++) {
        uint32_t version = atomic_load_explicit(&tally->version, memory_order_acquire);
        memcpy(slowest, tally->slowest, sizeof tally->slowest);
        atomic_thread_fence(memory_order_acquire); /* pairs with the fence in tally_keep_slow */
        if (version % 2 == 0 && atomic_load_explicit(&tally->version, memory_order_relaxed) == version)
            break;
    }
    for (int i = 0; i < TALLY_SLOWEST; i++)
        if (slowest[i].task)
            slowest[count++] = slowest[i];
    return count;
}
