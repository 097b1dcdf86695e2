/* diagnosis.c */
#include "diagnosis.h"

#include "words.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CIRCLE_TOLD ((size_t)8) /* threads of a circle that are named */
#define LONG_MS 1000            /* a wait that is worth a word */

/* ---- writing ---- */

static struct finding *find(struct diagnosis *diagnosis, const char *kind)
{
    struct finding *all = sight_grow(diagnosis->all, diagnosis->count, sizeof *all);
    if (!all) {
        diagnosis->failed = true;
        return NULL;
    }
    diagnosis->all = all;
    all[diagnosis->count] = (struct finding){ .kind = kind };
    return &all[diagnosis->count++];
}

static void add(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    size_t length = strlen(text);
    va_start(arguments, format);
    vsnprintf(text + length, size - length, format, arguments);
    va_end(arguments);
}

#define say(finding, ...) add((finding)->what, sizeof(finding)->what, __VA_ARGS__)
#define advise(finding, ...) add((finding)->advice, sizeof(finding)->advice, __VA_ARGS__)

/* ---- waits ---- */

static const struct seen_wait *wait_of(const struct sight *sight, int tid)
{
    for (size_t i = 0; i < sight->wait_count; i++)
        if (sight->waits[i].tid == tid)
            return &sight->waits[i];
    return NULL;
}

/* It was there already, the same one, and for the same holder. */
static bool lasts(const struct sight *before, const struct seen_wait *wait)
{
    const struct seen_wait *then = wait_of(before, wait->tid);
    return then && then->object == wait->object && then->since == wait->since && then->holder_tid == wait->holder_tid;
}

/* The waits from this one on, each for what the next one holds, back to it: how many, and the first of them; 0: there
 * is no circle, or it is told from another of its threads, the one with the lowest id. */
static size_t follow(const struct sight *before, const struct sight *after, const struct seen_wait *first,
                     const struct seen_wait *circle[static CIRCLE_TOLD])
{
    size_t count = 0;
    const struct seen_wait *passed = NULL;
    for (const struct seen_wait *wait = first; wait && lasts(before, wait);) {
        if (wait == passed)
            return 0; /* it only leads to a circle */
        if ((count & (count - 1)) == 0)
            passed = wait;
        if (count < CIRCLE_TOLD)
            circle[count] = wait;
        count++;
        if (!wait->holder_tid || wait->holder_tid < first->tid)
            return 0;
        if (wait->holder_tid == first->tid)
            return count;
        wait = wait_of(after, wait->holder_tid);
    }
    return 0;
}

/* One that others outlive: a family's first process takes the others with it. 0: there is none. */
static int victim_of(const struct sight *sight, const struct seen_wait *const *circle, size_t told)
{
    for (size_t i = 0; i < told; i++) {
        const struct seen_process *process = sight_process(sight, circle[i]->pid);
        if (!process || process->starter)
            return circle[i]->pid;
    }
    return 0;
}

static void tell_circle(struct finding *finding, const struct sight *sight, const struct seen_wait *const *circle,
                        size_t count)
{
    char time[WORDS_SIZE];
    size_t told = count < CIRCLE_TOLD ? count : CIRCLE_TOLD;
    say(finding, "Deadlock of %zu: ", count);
    for (size_t i = 0; i < told; i++)
        say(finding, "'%s' (process %d, thread %d)%swaits for %s, held by ", circle[i]->process, circle[i]->pid,
            circle[i]->tid, i ? ", which " : " ", circle[i]->what);
    if (count > told)
        say(finding, "one of %zu others that wait for each other, the last of them for what is held by ", count - told);
    say(finding, "'%s', for %s so far.", circle[0]->process, words_time(time, circle[told - 1]->waited_ms));
    int victim = victim_of(sight, circle, told);
    advise(finding, "None of them can go on. Take these locks in one order everywhere. ");
    if (victim)
        advise(finding, "To free the others now, kill one: kill -9 %d; who gets its lock then is told BROOD_INHERITED.",
               victim);
    else
        advise(finding, "Only the end of the family's first process (%d) ends it.", circle[0]->pid);
}

static void find_circles(struct diagnosis *diagnosis, const struct sight *before, const struct sight *after)
{
    const struct seen_wait *circle[CIRCLE_TOLD];
    for (size_t i = 0; i < after->wait_count; i++) {
        size_t count = follow(before, after, &after->waits[i], circle);
        struct finding *finding = count ? find(diagnosis, "deadlock") : NULL;
        if (finding)
            tell_circle(finding, after, circle, count);
    }
}

/* Whether somebody in this list before it waits for the same. */
static bool is_first(const struct sight *sight, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (sight->waits[i].object == sight->waits[index].object)
            return false;
    return true;
}

/* Locks that are waited for long, whose holder waits for nothing itself. */
static void find_long_holders(struct diagnosis *diagnosis, const struct sight *before, const struct sight *after)
{
    char time[WORDS_SIZE];
    for (size_t i = 0; i < after->wait_count; i++) {
        const struct seen_wait *wait = &after->waits[i];
        if (!wait->holder || wait->waited_ms < LONG_MS || !lasts(before, wait) || !is_first(after, i) ||
            wait_of(after, wait->holder_tid))
            continue;
        const struct seen_process *holder = sight_process(after, wait->holder);
        char state = holder ? holder->state : 0;
        unsigned waiters = 0;
        for (size_t k = 0; k < after->wait_count; k++)
            waiters += after->waits[k].object == wait->object;
        struct finding *finding = find(diagnosis, state == 'T' || state == 't' ? "stopped_holder" : "long_holder");
        if (!finding)
            return;
        say(finding, "'%s' (%d) holds %s, for which %u thread%s, one for %s; it is %s.",
            sight_name(after, wait->holder), wait->holder, wait->what, waiters, waiters == 1 ? " waits" : "s wait",
            words_time(time, wait->waited_ms), words_state(state));
        if (state == 'T')
            advise(finding, "A stopped process is not dead, so its locks stay: kill -CONT %d lets it go on.",
                   wait->holder);
        else if (state == 't')
            advise(finding, "A debugger has stopped it: let it go on there, or detach.");
        else
            advise(finding, "Hold a lock for as short as can be. What it does there: gdb -p %d, or cat /proc/%d/stack.",
                   wait->holder, wait->holder);
    }
}

static void find_stopped(struct diagnosis *diagnosis, const struct sight *before, const struct sight *after)
{
    for (size_t i = 0; i < after->process_count; i++) {
        const struct seen_process *process = &after->processes[i], *then = sight_process(before, process->pid);
        if (process->state != 'T' || !then || then->state != 'T')
            continue;
        struct finding *finding = find(diagnosis, "stopped");
        if (!finding)
            return;
        say(finding, "'%s' (%d) is stopped.", process->name, process->pid);
        advise(finding, "Whoever waits for it or its locks waits on: kill -CONT %d lets it go on.", process->pid);
    }
}

/* Whether it was left by the same process then. */
static bool was_left(const struct sight *sight, const struct seen_lock *lock)
{
    for (size_t i = 0; i < sight->lock_count; i++)
        if (sight->locks[i].object == lock->object)
            return !sight->locks[i].holder_tid && sight->locks[i].last == lock->last;
    return false;
}

/* A lock that has just been left is about to pass on. */
static void find_left_locks(struct diagnosis *diagnosis, const struct sight *before, const struct sight *after)
{
    for (size_t i = 0; i < after->lock_count; i++) {
        const struct seen_lock *lock = &after->locks[i];
        if (lock->holder_tid || !was_left(before, lock))
            continue;
        struct finding *finding = find(diagnosis, "dead_holder");
        if (!finding)
            return;
        say(finding, "Process %d died with %s in hand, and nobody has taken it since.", lock->last, lock->what);
        advise(finding,
               "What it guards may be half changed. Who acquires it next gets it with BROOD_INHERITED (1), and "
               "is the one to put that right.");
    }
}

/* ---- queues ---- */

static const struct seen_queue *queue_of(const struct sight *sight, const void *object)
{
    for (size_t i = 0; i < sight->queue_count; i++)
        if (sight->queues[i].object == object)
            return &sight->queues[i];
    return NULL;
}

static bool is_full(const struct seen_queue *queue)
{
    return (queue->max_messages && queue->messages >= queue->max_messages) ||
           (queue->max_bytes && queue->messages && queue->bytes >= queue->max_bytes) ||
           (queue->has_putters && queue->waiters);
}

static void find_full_queues(struct diagnosis *diagnosis, const struct sight *before, const struct sight *after)
{
    char time[WORDS_SIZE];
    for (size_t i = 0; i < after->queue_count; i++) {
        const struct seen_queue *queue = &after->queues[i], *then = queue_of(before, queue->object);
        if (!then || !is_full(then) || !is_full(queue) || then->got != queue->got)
            continue;
        struct finding *finding = find(diagnosis, "full_queue");
        if (!finding)
            return;
        say(finding, "%c%s is full: ", queue->what[0] == 't' ? 'T' : 'Q', queue->what + 1);
        say(finding, "%" PRIu64, queue->messages);
        if (queue->max_messages)
            say(finding, " of %" PRIu64, queue->max_messages);
        say(finding, " messages, %" PRIu64, queue->bytes);
        if (queue->max_bytes)
            say(finding, " of %" PRIu64, queue->max_bytes);
        say(finding, " bytes; nothing was taken out for %s; ", words_time(time, (after->at - before->at) / 1000000));
        if (queue->waiters)
            say(finding, "%u thread%s to put more.", queue->waiters, queue->waiters == 1 ? " waits" : "s wait");
        else
            say(finding, "nobody waits to put more just now.");
        if (queue->lent)
            advise(finding, "%u of its messages are borrowed, so there are getters: look what they are at. ",
                   queue->lent);
        else
            advise(finding, "Nobody has borrowed from it or waits to get: are its getters gone, or busy elsewhere? ");
        advise(finding,
               "If getters are only slow, start more; brood_process_owes ends a wait whose getters have ended.");
    }
}

/* ---- pools ---- */

static const struct seen_pool *pool_of(const struct sight *sight, const struct seen_pool *then)
{
    for (size_t i = 0; i < sight->pool_count; i++)
        if (sight->pools[i].object == then->object && sight->pools[i].serial == then->serial)
            return &sight->pools[i];
    return NULL;
}

static void advise_of_crashes(struct finding *finding, const struct seen_pool *pool)
{
    for (unsigned i = 0; i < pool->works; i++)
        if (pool->work[i].last[0]) {
            say(finding, " A task's last failure: %s.", pool->work[i].last);
            break;
        }
    advise(finding, "Each costs one task. Find the item by its brood_end (.ends), and run it alone under a debugger; "
                    "max_deaths makes a pool give up.");
}

static void find_bad_pools(struct diagnosis *diagnosis, const struct sight *before, const struct sight *after,
                           const unsigned *replaced)
{
    char time[WORDS_SIZE];
    for (size_t i = 0; i < before->pool_count; i++) {
        const struct seen_pool *then = &before->pools[i], *pool = pool_of(after, then);
        if (!pool || pool->closing)
            continue;
        bool stuck = pool->stuck && then->stuck;
        const char *kind = pool->broken ? "broken_pool" : stuck ? "stuck_pool" : "crashing_pool";
        if (!pool->broken && !stuck && (replaced[i] == 0 || pool->recycles))
            continue;
        struct finding *finding = find(diagnosis, kind);
        if (!finding)
            return;
        if (pool->broken) {
            say(finding, "Pool '%s' is broken: %s.", pool->name, pool->why);
            advise(finding, "It runs no task any more: destroy it, put right what broke it, and create another.");
        } else if (stuck) {
            say(finding, "Pool '%s' has no worker, and none can be started: %s.", pool->name, strerror(pool->stuck));
            advise(finding, "Look at the limits on processes and memory (ulimit -u, cgroup); it goes on by itself.");
        } else {
            say(finding, "Pool '%s' keeps losing workers: %u of its %u were replaced in %s.", pool->name, replaced[i],
                pool->wanted, words_time(time, (after->at - before->at) / 1000000));
            advise_of_crashes(finding, pool);
        }
    }
}

/* ---- memory ---- */

static void find_no_room(struct diagnosis *diagnosis, const struct sight *sight)
{
    char held[WORDS_SIZE], limit[WORDS_SIZE];
    const struct seen_heap *heap = &sight->heap;
    if (heap->held / 9 <= heap->limit / 10)
        return;
    struct finding *finding = find(diagnosis, "heap_full");
    if (!finding)
        return;
    say(finding, "The region is nearly full: %s of %s are taken.", words_bytes(held, heap->held),
        words_bytes(limit, heap->limit));
    advise(finding, "Soon calls fail with ENOMEM. BROOD_LIMIT or brood_init's limit makes it larger; BROOD_HEAP=track "
                    "and brood_heap_shares tell whose it is.");
}

void diagnose(struct diagnosis *diagnosis, const struct sight *before, const struct sight *after,
              const unsigned *replaced)
{
    *diagnosis = (struct diagnosis){ 0 };
    find_circles(diagnosis, before, after);
    find_long_holders(diagnosis, before, after);
    find_left_locks(diagnosis, before, after);
    find_full_queues(diagnosis, before, after);
    find_bad_pools(diagnosis, before, after, replaced);
    find_stopped(diagnosis, before, after);
    find_no_room(diagnosis, after);
}
