/* bench/scale.c: see scale.h. */
#include "scale.h"

#include "clock.h"
#include "hand.h"
#include "robust.h"
#include "series.h"
#include "trouble.h"

#include <brood.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STRETCH_NS (NS_PER_S / 4)
#define TASK_NS 10000 /* of a task that does something */

enum { PARTIES_MOST = 64, CACHE_LINE = 64, LINE = 64, TINY = 1000000, COARSE = 20000 };

/* ready, stop: by all, and by the starter. done: by the party. */
struct crowd {
    _Alignas(CACHE_LINE) brood_lock lock;
    _Alignas(CACHE_LINE) pthread_mutex_t mutex;
    _Alignas(CACHE_LINE) brood_rwlock rwlock;
    _Alignas(CACHE_LINE) pthread_rwlock_t system_rwlock;
    _Alignas(CACHE_LINE) atomic_int ready;
    atomic_int stop;
    int parties;
    brood_queue *queue;
    void *block; /* what brood_alloc returned */
    struct {
        _Alignas(CACHE_LINE) long done;
    } party[PARTIES_MOST];
};

/* One step of a party's; 0, or it failed. `index`: of the party. */
typedef int scale_step(struct crowd *crowd, int index);

static int lock_step(struct crowd *crowd, int index)
{
    if (brood_lock_acquire(&crowd->lock, BROOD_FOREVER) < 0)
        return 1;
    crowd->party[index].done++;
    return brood_lock_release(&crowd->lock) < 0;
}

static int mutex_step(struct crowd *crowd, int index)
{
    if (pthread_mutex_lock(&crowd->mutex))
        return 1;
    crowd->party[index].done++;
    return pthread_mutex_unlock(&crowd->mutex);
}

static int rwlock_step(struct crowd *crowd, int index)
{
    if (brood_rwlock_acquire_read(&crowd->rwlock, BROOD_FOREVER) < 0)
        return 1;
    crowd->party[index].done++;
    return brood_rwlock_release(&crowd->rwlock) < 0;
}

static int system_rwlock_step(struct crowd *crowd, int index)
{
    if (pthread_rwlock_rdlock(&crowd->system_rwlock))
        return 1;
    crowd->party[index].done++;
    return pthread_rwlock_unlock(&crowd->system_rwlock);
}

static int heap_step(struct crowd *crowd, int index)
{
    void *blocks[8];
    for (int i = 0; i < 8; i++)
        if (!(blocks[i] = brood_alloc(LINE)))
            return 1;
    for (int i = 0; i < 8; i++)
        brood_free(blocks[i]);
    crowd->party[index].done += 8;
    return 0;
}

static int malloc_step(struct crowd *crowd, int index)
{
    void *volatile blocks[8];
    for (int i = 0; i < 8; i++)
        blocks[i] = malloc(LINE);
    for (int i = 0; i < 8; i++)
        free(blocks[i]);
    crowd->party[index].done += 8;
    return 0;
}

/* The first half of them put, the others get; a party that is alone does both. What is got counts. */
static int queue_step(struct crowd *crowd, int index)
{
    char message[LINE] = { 0 };
    bool puts = index < crowd->parties / 2 || crowd->parties == 1, gets = index >= crowd->parties / 2;
    if (puts && brood_queue_put(crowd->queue, message, sizeof message, BROOD_FOREVER) < 0)
        return !atomic_load(&crowd->stop);
    if (gets && brood_queue_get(crowd->queue, message, sizeof message, NULL, BROOD_FOREVER) < 0)
        return !atomic_load(&crowd->stop);
    crowd->party[index].done += gets;
    return 0;
}

static const struct kind {
    const char *name, *what;
    scale_step *step;
    bool bare;
} kinds[] = {
    { "lock", "acquire and release of one lock", lock_step, false },
    { "lock, robust mutex", "the same", mutex_step, true },
    { "rwlock, readers", "acquire to read and release", rwlock_step, false },
    { "rwlock, pthread", "the same; not robust", system_rwlock_step, true },
    { "heap", "alloc and free of 64 bytes, by eights", heap_step, false },
    { "heap, malloc", "the same; private", malloc_step, true },
    { "queue", "messages of 64 bytes, half put, half get", queue_step, false },
};

enum { KINDS = sizeof kinds / sizeof *kinds };

/* What a party is to do; in the region. */
struct part {
    struct crowd *crowd;
    int kind;
};

static int take_part(void *arg)
{
    const struct part *part = arg;
    struct crowd *crowd = part->crowd;
    int index = atomic_fetch_add(&crowd->ready, 1), failed = 0;
    while (atomic_load(&crowd->ready) < crowd->parties)
        sched_yield();
    while (!failed && !atomic_load_explicit(&crowd->stop, memory_order_relaxed))
        failed = kinds[part->kind].step(crowd, index);
    return failed;
}

static void rest(uint64_t ns)
{
    nanosleep(&(struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) }, NULL);
}

static struct crowd *crowd_create(int parties)
{
    char *block = brood_alloc(sizeof(struct crowd) + CACHE_LINE);
    if (!block) {
        trouble("%s", brood_error());
        return NULL;
    }
    struct crowd *crowd = (struct crowd *)(block + (CACHE_LINE - (uintptr_t)block % CACHE_LINE) % CACHE_LINE);
    pthread_rwlockattr_t shared;
    crowd->block = block;
    crowd->parties = parties;
    pthread_rwlockattr_init(&shared);
    pthread_rwlockattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_rwlock_init(&crowd->system_rwlock, &shared);
    crowd->queue = brood_queue_create(&(brood_queue_options){ .max_messages = 10000 });
    if (crowd->queue && robust_init(&crowd->mutex) == 0)
        return crowd;
    trouble("%s", brood_error());
    brood_free(block);
    return NULL;
}

static void crowd_destroy(struct crowd *crowd)
{
    pthread_mutex_destroy(&crowd->mutex);
    pthread_rwlock_destroy(&crowd->system_rwlock);
    brood_lock_fini(&crowd->lock);
    brood_rwlock_fini(&crowd->rwlock);
    brood_queue_destroy(crowd->queue);
    brood_free(crowd->block);
}

/* Of all parties, in a second; -1 after trouble(). */
static double crowd_run(struct crowd *crowd, int kind)
{
    struct part *part = brood_alloc(sizeof *part);
    struct hand hands[PARTIES_MOST] = { { 0 } };
    int failed = !part;
    if (part)
        *part = (struct part){ crowd, kind };
    for (int i = 0; i < crowd->parties && !failed; i++)
        failed = hand_start(&hands[i], kinds[kind].bare, take_part, part) < 0;
    if (failed)
        atomic_store(&crowd->ready, crowd->parties); /* lets those that wait for the others go */
    while (atomic_load(&crowd->ready) < crowd->parties)
        sched_yield();
    uint64_t began = clock_ns();
    rest(failed ? 0 : STRETCH_NS);
    atomic_store(&crowd->stop, 1);
    brood_queue_close(crowd->queue);
    double took = (double)(clock_ns() - began), done = 0;
    for (int i = 0; i < crowd->parties; i++)
        failed |= hand_join(&hands[i]) != 0;
    for (int i = 0; i < crowd->parties; i++)
        done += (double)crowd->party[i].done;
    brood_free(part);
    return failed ? trouble("one of %d processes failed: %s", crowd->parties, kinds[kind].name)
                  : done * (double)NS_PER_S / took;
}

static double sample_kind(int kind, int parties)
{
    struct crowd *crowd = crowd_create(parties);
    if (!crowd)
        return -1;
    double rate = crowd_run(crowd, kind);
    crowd_destroy(crowd);
    return rate;
}

/* ---- a pool ---- */

static int tiny(const void *in, void *out)
{
    *(int *)out = *(const int *)in + 1;
    return 0;
}

static int coarse(const void *in, void *out)
{
    uint64_t end = clock_ns() + TASK_NS;
    while (clock_ns() < end)
        continue;
    return tiny(in, out);
}

static const struct task {
    const char *name, *what;
    brood_task *task;
    size_t count;
} tasks[] = {
    { "pool, tiny tasks", "tasks of a map of 1 M", tiny, TINY },
    { "pool, 10 us tasks", "tasks of a map of 20 k", coarse, COARSE },
};

enum { TASKS = sizeof tasks / sizeof *tasks };

static double sample_task(const struct task *task, int workers)
{
    int *numbers = brood_alloc(task->count * sizeof *numbers);
    brood_pool *pool = numbers ? brood_pool_create(workers, NULL) : NULL;
    int failed = !pool;
    double took = 1;
    for (int i = 0; i < 2 && !failed; i++) { /* the first to warm up */
        uint64_t began = clock_ns();
        failed =
            brood_pool_map(pool, task->task, numbers, sizeof *numbers, numbers, sizeof *numbers, task->count, NULL) < 0;
        took = (double)(clock_ns() - began);
    }
    if (failed)
        trouble("%s", brood_error());
    brood_pool_destroy(pool);
    brood_free(numbers);
    return failed ? -1 : (double)task->count * (double)NS_PER_S / took;
}

/* ---- the table ---- */

static double sample(int row, int parties)
{
    return row < KINDS ? sample_kind(row, parties) : sample_task(&tasks[row - KINDS], parties);
}

static int print_row(int row, int most, int rounds, bool json)
{
    const char *name = row < KINDS ? kinds[row].name : tasks[row - KINDS].name;
    const char *what = row < KINDS ? kinds[row].what : tasks[row - KINDS].what;
    printf(json ? "{\"name\": \"scale\", \"what\": \"%s\", \"unit\": \"1/s\"" : "%-20s", name);
    for (int parties = 1; parties <= most; parties *= 2) {
        struct series series = { .count = 0 };
        for (int i = 0; i < rounds; i++) {
            double rate = sample(row, parties);
            if (rate < 0)
                return -1;
            series_add(&series, rate);
        }
        if (json)
            printf(", \"%d\": %.0f", parties, series_median(&series));
        else
            printf(" %9.2f", series_median(&series) / 1e6);
        fflush(stdout);
    }
    if (json)
        puts("}");
    else
        printf("   %s\n", what);
    return 0;
}

int scale_print(int rounds, bool json)
{
    int most = brood_cpu_count() < PARTIES_MOST ? brood_cpu_count() : PARTIES_MOST;
    if (!json) {
        printf("millions a second, of all processes together\n\n%-20s", "processes");
        for (int parties = 1; parties <= most; parties *= 2)
            printf(" %9d", parties);
        puts("");
    }
    for (int row = 0; row < KINDS + TASKS; row++)
        if (print_row(row, most, rounds, json) < 0)
            return -1;
    return 0;
}
