/* pool/job.c */
#include "pool/job.h"

#include "os/clock.h"
#include "pool/pool.h"
#include "region/heap.h"

#include <stdio.h>
#include <string.h>

#define OWNER_SHIFT JOB_OWNER_SHIFT
#define OFFSET_MASK ((UINT64_C(1) << OWNER_SHIFT) - 1)

static uint64_t word_of(uint64_t owner, uint64_t offset)
{
    return owner << OWNER_SHIFT | offset;
}

/* A table of the job's; NULL: no memory. */
static bool take_table(const void *place, size_t size)
{
    return heap_take_into((void **)(uintptr_t)place, size);
}

struct job *job_create(struct brood_pool *pool, struct held *held, size_t count, size_t chunk, uint32_t lanes,
                       bool want_ends)
{
    size_t chunks = (count + chunk - 1) / chunk;
    struct job *job = held_take(held, sizeof *job + lanes * sizeof(struct lane), true);
    if (!job)
        return NULL;
    job->held = held;
    job->work = (struct work){ .kind = WORK_MAP, .pool = pool };
    held_is(held, HELD_JOB);
    if (!take_table(&job->words, chunks * sizeof *job->words) || !take_table(&job->fates, count) ||
        (want_ends &&
         (!take_table(&job->pids, count * sizeof *job->pids) || !take_table(&job->codes, count * sizeof *job->codes) ||
          !take_table(&job->walls, count * sizeof *job->walls)))) {
        job_destroy(job);
        return NULL;
    }
    heap_label(job, "map");
    heap_label((void *)job->words, "chunks of a map");
    heap_label((void *)job->fates, "items of a map");
    job->count = count;
    job->chunk = chunk;
    job->chunks = chunks;
    job->first = SIZE_MAX;
    job->lane_count = lanes;
    for (uint32_t i = 0; i < lanes; i++) {
        job->lanes[i].begin = chunks * i / lanes;
        job->lanes[i].end = chunks * (i + 1) / lanes;
        job->lanes[i].next = job->lanes[i].begin;
    }
    return job;
}

/* A failure is in the list, or doomed, or for a moment both. */
static void free_failures(struct job *job)
{
    for (;;) {
        struct failure *first = atomic_load(&job->failures);
        if (!job->doomed)
            job->doomed = first;
        if (!job->doomed)
            return;
        if (job->doomed == first)
            atomic_store(&job->failures, first->next);
        heap_give(job->doomed, (void **)&job->doomed);
    }
}

static void free_table(const void *place)
{
    void **table = (void **)(uintptr_t)place;
    if (*table)
        heap_give(*table, table);
}

void job_destroy(struct job *job)
{
    free_failures(job);
    free_table(&job->words);
    free_table(&job->fates);
    free_table(&job->pids);
    free_table(&job->codes);
    free_table(&job->walls);
    free_table(&job->in_copy);
    for (size_t i = 0; job->replies && job->out_copy && i < job->count; i++)
        job_forget_reply(job, i);
    free_table(&job->out_copy);
    held_give(job->held, job);
}

static uint64_t chunk_end(const struct job *job, uint64_t chunk)
{
    uint64_t end = (chunk + 1) * job->chunk;
    return end < job->count ? end : job->count;
}

bool job_is_open(const struct job *job)
{
    if (atomic_load_explicit(&job->refused, memory_order_relaxed) || atomic_load(&job->finished))
        return false;
    for (uint32_t i = 0; i < job->lane_count; i++)
        if (atomic_load(&job->lanes[i].next) < job->lanes[i].end)
            return true;
    return false;
}

bool job_claim(struct job *job, struct worker *worker, uint64_t *begin, uint64_t *end)
{
    if (atomic_load_explicit(&job->refused, memory_order_relaxed))
        return false;
    for (uint32_t i = 0; i < job->lane_count; i++) {
        struct lane *lane = &job->lanes[(worker->index + i) % job->lane_count];
        while (atomic_load_explicit(&lane->next, memory_order_relaxed) < lane->end) {
            /* Sequentially consistent, both: who leaves the chunk frees its word, then looks at `next`. One of the two
             * is seen: we find it free, or it is turned back to. */
            size_t chunk = atomic_fetch_add(&lane->next, 1);
            if (chunk >= lane->end)
                break;
            uint64_t word = atomic_load(&job->words[chunk]);
            if (word >> OWNER_SHIFT != 0)
                continue;
            atomic_store_explicit(&worker->item, 0, memory_order_relaxed);
            atomic_store_explicit(&worker->chunk, chunk, memory_order_relaxed);
            atomic_store_explicit(&worker->tally.counted, chunk * job->chunk + (word & OFFSET_MASK),
                                  memory_order_relaxed);
            atomic_signal_fence(
                memory_order_seq_cst); /* the keeper reads these as a death in program order left them */
            /* Acquire: pairs with the release in job_settle, so that what a dead worker's record says was read before
             * a successor overwrites it, and what its items wrote is seen. */
            if (!atomic_compare_exchange_strong_explicit(&job->words[chunk], &word,
                                                         word_of(worker->index + 1, word & OFFSET_MASK),
                                                         memory_order_acquire, memory_order_relaxed))
                continue;
            *begin = chunk * job->chunk + (word & OFFSET_MASK);
            *end = chunk_end(job, chunk);
            return true;
        }
    }
    return false;
}

void job_chunk_done(struct job *job, struct worker *worker)
{
    uint64_t chunk = atomic_load_explicit(&worker->chunk, memory_order_relaxed);
    /* Release: pairs with the acquire in job_check_finished; the items' results come before. */
    atomic_store_explicit(&job->words[chunk], word_of(JOB_CHUNK_DONE, 0), memory_order_release);
}

/* All before the frontier are done for good. */
static void turn_back(struct job *job)
{
    size_t frontier = atomic_load_explicit(&job->frontier, memory_order_relaxed);
    for (uint32_t i = 0; i < job->lane_count; i++) {
        struct lane *lane = &job->lanes[i];
        size_t next = lane->begin > frontier ? lane->begin : frontier < lane->end ? frontier : lane->end;
        atomic_store(&lane->next, next);
    }
}

void job_stop_at(struct job *job, struct worker *worker, uint64_t item)
{
    uint64_t chunk = atomic_load_explicit(&worker->chunk, memory_order_relaxed);
    /* Release: pairs with the acquire in job_item_over. */
    atomic_store_explicit(&job->words[chunk], word_of(worker->index + 1, item - chunk * job->chunk),
                          memory_order_release);
}

/* So that the chunk is come by again. */
static void turn_back_to(struct job *job, size_t chunk)
{
    for (uint32_t i = 0; i < job->lane_count; i++) {
        struct lane *lane = &job->lanes[i];
        size_t next = atomic_load(&lane->next);
        while (chunk >= lane->begin && chunk < lane->end && chunk < next &&
               !atomic_compare_exchange_weak(&lane->next, &next, chunk))
            continue;
    }
}

void job_leave_chunk(struct job *job, struct worker *worker, uint64_t item)
{
    uint64_t chunk = atomic_load_explicit(&worker->chunk, memory_order_relaxed);
    /* Before the look at `next`, for all: a worker that had just come by the chunk would pass over it, and be the last
     * that does. Pairs with job_claim. */
    atomic_store(&job->words[chunk], word_of(0, item - chunk * job->chunk));
    turn_back_to(job, chunk);
}

bool how_is_retried(brood_how how)
{
    return how == BROOD_CRASHED || how == BROOD_EXITED || how == BROOD_LOST;
}

static void finish(struct job *job)
{
    atomic_store(&job->finished, 1);
    uint64_t seats = atomic_load(&job->seats);
    for (; seats; seats &= seats - 1)
        seat_tell(&job->work.pool->seats[__builtin_ctzll(seats)]);
}

void job_check_finished(struct job *job)
{
    /* Each who ended chunks passes this fence before it reads the others': the last of them sees all done. */
    atomic_thread_fence(memory_order_seq_cst);
    /* Acquire: pairs with the release below, for the words that another has read and we skip. */
    size_t at = atomic_load_explicit(&job->frontier, memory_order_acquire);
    while (at < job->chunks &&
           atomic_load_explicit(&job->words[at], memory_order_acquire) >> OWNER_SHIFT == JOB_CHUNK_DONE)
        at++;
    atomic_store_explicit(&job->frontier, at, memory_order_release);
    if (at == job->chunks)
        finish(job);
}

void job_refuse(struct job *job, int code)
{
    atomic_store(&job->refused, code);
    atomic_fetch_add(&job->work.pool->refusals, 1); /* for who leaves it just now and has seen no `refused` */
    finish(job);
}

/* The first of the list that was a worker's death, if its first is this one. */
static struct failure *newest_death(struct failure *first)
{
    return first && first->end.how == BROOD_FAILED ? first->death : first;
}

bool job_report(struct job *job, struct worker *worker, const brood_end *end)
{
    /* Which records are wanted: all, or of the lowest item so far; deaths always, since they count as attempts. */
    size_t first = atomic_load(&job->first);
    if (!job->pids && end->how == BROOD_FAILED && end->index >= first)
        return true;
    struct failure *failure = heap_take_into((void **)&worker->report, sizeof *failure);
    if (!failure)
        return false;
    failure->end = *end;
    failure->next = atomic_load(&job->failures);
    do
        failure->death = newest_death(failure->next);
    while (!atomic_compare_exchange_weak(&job->failures, &failure->next, failure));
    worker->report = NULL;
    return true;
}

void job_seal(struct job *job, uint64_t item, const brood_end *how)
{
    size_t first = atomic_load(&job->first);
    if (job->codes)
        atomic_store_explicit(&job->codes[item], how->signal ? how->signal : how->code, memory_order_relaxed);
    /* Release: pairs with the acquire of the caller who gathers the ends. */
    if (!atomic_exchange_explicit(&job->fates[item], (unsigned char)how->how, memory_order_release))
        atomic_fetch_add_explicit(&job->failed, 1, memory_order_relaxed);
    while (item < first && !atomic_compare_exchange_weak(&job->first, &first, item))
        continue;
}

/* How often workers died in this item, and the record of this one's death, if an earlier keeper lived to make it. */
static int deaths_of(const struct job *job, size_t item, int pid, const brood_end **recorded)
{
    int deaths = 0;
    *recorded = NULL;
    const struct failure *death = newest_death(atomic_load(&job->failures));
    for (; death; death = death->death) {
        if (death->end.index != item)
            continue;
        deaths++;
        if (death->end.pid == pid)
            *recorded = &death->end;
    }
    return deaths;
}

void job_settle_report(struct job *job, struct worker *worker)
{
    bool listed = false;
    if (!worker->report)
        return;
    for (const struct failure *failure = atomic_load(&job->failures); failure; failure = failure->next)
        listed |= failure == worker->report;
    if (listed)
        worker->report = NULL;
    else
        heap_give(worker->report, (void **)&worker->report);
}

static uint64_t settle_item(struct job *job, struct worker *worker, uint64_t item, const brood_end *how)
{
    const brood_end *recorded;
    int deaths = deaths_of(job, item, how->pid, &recorded);
    if (atomic_load(&job->fates[item])) /* it had failed for good, and its worker died before it went on */
        return item + 1;
    if (!recorded) {
        brood_end end = *how;
        end.wall_us = end.cpu_us = end.peak_bytes = 0; /* the worker's, of all that it ran */
        end.index = item;
        end.attempt = ++deaths;
        if (!job_report(job, worker, &end))
            deaths = job->retries + 1; /* no memory to count by: it is not run again */
    }
    if (job->replies)
        job_forget_reply(job, item);
    int64_t began = atomic_load(&worker->turn.began);
    if (job->walls && began) {
        int64_t wall = (clock_now() - began) / 1000;
        atomic_store_explicit(&job->walls[item], wall < INT32_MAX ? (int32_t)wall : INT32_MAX, memory_order_relaxed);
    }
    if (began)
        tally_slow(&worker->tally, job->task, item, clock_now() - began, how->how, how->pid);
    if (deaths <= job->retries && how_is_retried(how->how)) {
        tally_add(&worker->tally.retried, 1);
        if (job->out_is_ours)
            memset(job->out + item * job->out_size, 0, job->out_size);
        return item;
    }
    /* A keeper that follows one that died here may not know how the worker ended; the record does. */
    job_seal(job, item, recorded ? recorded : how);
    tally_add(&worker->tally.ended[how->how], 1);
    return item + 1;
}

void job_settle(struct job *job, struct worker *worker, const brood_end *how)
{
    job_settle_report(job, worker);
    uint64_t chunk = atomic_load(&worker->chunk);
    uint64_t word = chunk < job->chunks ? atomic_load(&job->words[chunk]) : 0;
    if (word >> OWNER_SHIFT == worker->index + 1) {
        uint64_t begin = chunk * job->chunk, end = chunk_end(job, chunk), next = begin + (word & OFFSET_MASK);
        uint64_t item = atomic_load(&worker->item);
        uint64_t over = item == end + 1 ? end : item > next && item <= end ? item - 1 : next;
        if (over == item - 1 && over < end && atomic_load(&job->fates[over]))
            over = item; /* see settle_item */
        tally_chunk(&worker->tally, over);
        if (item == end + 1)
            next = end;
        else if (item > next && item <= end)
            next = settle_item(job, worker, item - 1, how);
        /* Release: pairs with the acquire in job_claim. */
        atomic_store_explicit(&job->words[chunk], next < end ? word_of(0, next - begin) : word_of(JOB_CHUNK_DONE, 0),
                              memory_order_release);
    }
    turn_back(job);
    job_check_finished(job);
}

int job_attempt(const struct job *job, size_t item)
{
    const brood_end *recorded;
    return deaths_of(job, item, 0, &recorded) + 1;
}

void job_forget_reply(struct job *job, size_t item)
{
    brood_block *reply = (brood_block *)(void *)job->out + item;
    if (reply->data)
        heap_give(reply->data, &reply->data);
}

bool job_is_named(const struct job *job)
{
    const struct brood_pool *pool = job->work.pool;
    for (uint32_t i = 0; i < pool->count; i++)
        if (atomic_load(&pool_worker(pool, i)->look) == &job->work)
            return true;
    return false;
}

bool job_is_worked_on(const struct job *job)
{
    const struct brood_pool *pool = job->work.pool;
    for (uint32_t i = 0; i < pool->count; i++)
        if (atomic_load(&pool_worker(pool, i)->look) == &job->work && pool_worker_lives(pool, i))
            return true;
    return false;
}

bool job_item_over(const struct job *job, size_t item)
{
    uint64_t word = atomic_load_explicit(&job->words[item / job->chunk], memory_order_acquire);
    return word >> OWNER_SHIFT == JOB_CHUNK_DONE || item % job->chunk < (word & OFFSET_MASK);
}

size_t job_progress(const struct job *job)
{
    size_t done = 0;
    for (size_t chunk = 0; chunk < job->chunks; chunk++) {
        uint64_t word = atomic_load_explicit(&job->words[chunk], memory_order_relaxed);
        bool over = word >> OWNER_SHIFT == JOB_CHUNK_DONE;
        done += over ? chunk_end(job, chunk) - chunk * job->chunk : word & OFFSET_MASK;
    }
    return done;
}

size_t job_failed(const struct job *job, bool exactly)
{
    if (!exactly)
        return atomic_load_explicit(&job->failed, memory_order_relaxed);
    size_t failed = 0;
    for (size_t item = 0; item < job->count; item++)
        failed += atomic_load_explicit(&job->fates[item], memory_order_relaxed) != 0;
    return failed;
}

bool job_is_timed(const struct job *job)
{
    return job->pids || job->limited || job->work.pool->timed || job->work.pool->trace;
}

size_t job_waiting(const struct job *job)
{
    const struct brood_pool *pool = job->work.pool;
    size_t waiting = 0;
    if (atomic_load(&job->refused))
        return 0;
    for (size_t chunk = 0; chunk < job->chunks; chunk++) {
        uint64_t word = atomic_load_explicit(&job->words[chunk], memory_order_relaxed);
        uint64_t begin = chunk * job->chunk + (word & OFFSET_MASK), end = chunk_end(job, chunk);
        uint64_t owner = word >> OWNER_SHIFT;
        if (owner == JOB_CHUNK_DONE)
            continue;
        uint64_t item = owner && owner <= pool->count ? atomic_load(&pool_worker(pool, (uint32_t)owner - 1)->item) : 0;
        if (item > begin && item <= end + 1) /* begun: those before it, and itself */
            begin = item < end ? item : end;
        waiting += end - begin;
    }
    return waiting;
}
