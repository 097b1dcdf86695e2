/* sight.c */
#include "sight.h"

#include "os/clock.h"

#include <stdlib.h>
#include <string.h>

void *sight_grow(void *array, size_t count, size_t size)
{
    if (count & (count - 1)) /* there is room up to the next power of two */
        return array;
    return realloc(array, (count ? count * 2 : 1) * size);
}

/* Those that somebody waits for are known without a scan. */
static bool add_waited(struct sight *sight)
{
    for (size_t i = 0; i < sight->wait_count; i++) {
        const struct seen_wait *wait = &sight->waits[i];
        bool known = !wait->holder;
        for (size_t k = 0; k < sight->lock_count && !known; k++)
            known = sight->locks[k].object == wait->object;
        if (known)
            continue;
        struct seen_lock *all = sight_grow(sight->locks, sight->lock_count, sizeof *all);
        if (!all)
            return false;
        sight->locks = all;
        all[sight->lock_count] = (struct seen_lock){ .object = wait->object,
                                                     .holder = wait->holder,
                                                     .holder_tid = wait->holder_tid,
                                                     .last = wait->holder,
                                                     .held_ms = -1 };
        memcpy(all[sight->lock_count++].what, wait->what, sizeof wait->what);
    }
    return true;
}

/* Of each lock, how many wait for it; of each queue, too. */
static void count_waiters(struct sight *sight)
{
    for (size_t i = 0; i < sight->wait_count; i++) {
        for (size_t k = 0; k < sight->lock_count; k++)
            sight->locks[k].waiters += sight->locks[k].object == sight->waits[i].object;
        for (size_t k = 0; k < sight->queue_count; k++)
            sight->queues[k].waiters += sight->queues[k].object == sight->waits[i].object;
    }
}

/* What lies there may name any thread of the machine, and advice be taken of it: only the family's are believed, and of
 * a thread one wait. */
static void drop_false_waits(struct sight *sight)
{
    size_t kept = 0;
    for (size_t i = 0; i < sight->wait_count; i++) {
        bool known = false;
        for (size_t k = 0; k < kept && !known; k++)
            known = sight->waits[k].tid == sight->waits[i].tid;
        if (!known && sight_process(sight, sight->waits[i].pid))
            sight->waits[kept++] = sight->waits[i];
    }
    sight->wait_count = kept;
}

static bool is_alive(const struct sight *sight)
{
    for (size_t i = 0; i < sight->process_count; i++)
        if (sight->processes[i].state && sight->processes[i].state != 'Z')
            return true;
    return false;
}

bool sight_take(struct sight *sight, const struct window *window, const struct family *family, enum sight_depth depth)
{
    *sight = (struct sight){ .at = clock_now() };
    bool good = see_processes(sight, window, family) && see_waits(sight, window);
    drop_false_waits(sight);
    if (!good || (depth != SIGHT_PROCESSES && !see_blocks(sight, window, depth)) || !add_waited(sight)) {
        sight_free(sight);
        return false;
    }
    count_waiters(sight);
    sight->has_ended = !is_alive(sight);
    return true;
}

void sight_free(struct sight *sight)
{
    for (size_t i = 0; i < sight->pool_count; i++)
        free(sight->pools[i].workers);
    free(sight->processes);
    free(sight->waits);
    free(sight->locks);
    free(sight->queues);
    free(sight->pools);
    *sight = (struct sight){ 0 };
}

const struct seen_process *sight_process(const struct sight *sight, int pid)
{
    for (size_t i = 0; i < sight->process_count; i++)
        if (sight->processes[i].pid == pid)
            return &sight->processes[i];
    return NULL;
}

const char *sight_name(const struct sight *sight, int pid)
{
    const struct seen_process *process = sight_process(sight, pid);
    return process && process->name[0] ? process->name : "?";
}
