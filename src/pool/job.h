/* pool/job.h: one map, as its workers see it: an array of chunks, each claimed by one CAS and ended by one store.
 *
 * A chunk is a word: who has it (0 nobody, a worker's index + 1, or DONE) and from which of its items on it is to be
 * run. That word is the truth: which chunks there are to claim, and whether the job is finished, is read off the words.
 * The lanes are hints for speed, one a worker: a worker takes from its own, then helps with the others'. A death may
 * lose a hint; the keeper then turns all lanes back to their beginnings, and whoever comes by passes over what is done.
 *
 * What a worker was at when it died: it names the chunk before it claims it and the item before it runs it, each by one
 * store, so the keeper finds one chunk at most that carries the dead worker's number, and in it one item at most.
 */
#ifndef POOL_JOB_H
#define POOL_JOB_H

#include "os/module.h"
#include "pool/caller.h"
#include "pool/work.h"

#include <brood/end.h>
#include <brood/pool.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOB_OWNER_SHIFT 48 /* in a chunk's word: below it is the item */
#define JOB_CHUNK_DONE UINT64_C(0xffff)
#define JOB_ITEMS_MOST (UINT64_C(1) << (sizeof(size_t) == 8 ? 40 : 28)) /* whose tables have a size */

struct worker;

/* How an item's run ended that did not return 0. Pushed by one CAS, never taken out until the job is freed. */
struct failure {
    struct failure *next;
    struct failure *death; /* the newest before it that was no BROOD_FAILED, in the same list; NULL: none */
    brood_end end;         /* index: the item */
};

struct lane {
    _Alignas(64) _Atomic size_t next; /* the next chunk to look at: a hint, may be turned back */
    size_t begin, end;
};

/* Above the line: written by the caller before workers see it. Below: by whom it says. */
struct job {
    struct work work;
    const struct module_function *task;
    const char *in; /* items, or, of varying size, an array of brood_block */
    char *out;
    size_t in_size, out_size, count;
    size_t chunk, chunks; /* items a chunk; how many */
    bool loose;           /* the chunks are ours: one may be left in the middle for other work */
    int retries;
    int soft_ms, hard_ms; /* of an item; 0: none */
    int64_t max_memory;
    struct held *held;        /* where the block stands */
    bool limited;             /* one of the three is there */
    bool in_varies, replies;  /* items are blocks; so are results: `out` is an array of brood_block, a copy of ours */
    bool out_is_ours;         /* a copy, zeroed before each attempt */
    void *in_copy, *out_copy; /* blocks that go with the job; NULL: none */
    uint32_t lane_count;
    _Atomic uint64_t *words;      /* of the chunks; workers by CAS and store, the keeper for dead workers */
    _Atomic size_t failed;        /* how many fates there are; a death may lose one: for progress alone */
    _Atomic unsigned char *fates; /* of the items: how it ended for good, if other than BROOD_RETURNED, else 0 */
    _Atomic int32_t *pids;        /* of the items: who ran it last; NULL where ends are not wanted */
    _Atomic int32_t *codes;       /* ... and the code or signal with which it ended: for want of memory for a record */
    _Atomic int32_t *walls;       /* ... and how many microseconds it ran, in the worker that ended it */
    /* -- */
    _Atomic uint64_t seats;             /* a bit for each seat that is to be told when it is finished; by callers */
    _Atomic int32_t refused;            /* -errno: the workers cannot run this task at all; by a worker */
    _Atomic uint32_t finished;          /* all chunks are done, or refused; by a worker or the keeper */
    _Atomic size_t frontier;            /* all chunks before it are done; a hint */
    _Atomic size_t first;               /* the lowest item that failed for good */
    _Atomic(struct failure *) failures; /* newest first */
    struct failure *doomed;             /* the one that is being freed, by whoever frees the job */
    struct lane lanes[];
};

/* A job of that shape, its tables laid out, which stands in `held`; NULL: no memory. To destroy it may be begun anew if
 * its caller was killed in it. */
struct job *job_create(struct brood_pool *pool, struct held *held, size_t count, size_t chunk, uint32_t lanes,
                       bool want_ends);
void job_destroy(struct job *job);

/* Whether there may be a chunk to claim. */
bool job_is_open(const struct job *job);

/* Claims a chunk for the worker: true, and [*begin, *end) are its items to run. False: there is none now. */
bool job_claim(struct job *job, struct worker *worker, uint64_t *begin, uint64_t *end);

/* The claimed chunk has been run up to `item`, and not further: nothing of it is being run now. */
void job_stop_at(struct job *job, struct worker *worker, uint64_t item);

/* The claimed chunk is given back: it is to be run from `item` on, by others. */
void job_leave_chunk(struct job *job, struct worker *worker, uint64_t item);

/* The claimed chunk has been run to its end. */
void job_chunk_done(struct job *job, struct worker *worker);

/* Whether all chunks are done; then sets `finished` and tells who asked. */
void job_check_finished(struct job *job);

/* Ends it now, for a reason that lies not in its items. */
void job_refuse(struct job *job, int code);

/* Whether a worker may be run anew for what ended so. */
bool how_is_retried(brood_how how);

/* Records how an item's run ended. By the worker whose item it is, or by the keeper for a dead worker, whose place for
 * the record it then uses. False: no memory for it. */
bool job_report(struct job *job, struct worker *worker, const brood_end *end);

/* The item has ended for good, otherwise than by returning 0. */
void job_seal(struct job *job, uint64_t item, const brood_end *how);

/* The worker is gone and `how` it ended is known: what it was at is settled, and the rest of its chunk can be claimed
 * again. May be repeated if its caller was killed in it. */
void job_settle(struct job *job, struct worker *worker, const brood_end *how);

/* The worker is gone: a record that it did not live to hand in is the job's, if it stands there, else it is freed. May
 * be repeated. */
void job_settle_report(struct job *job, struct worker *worker);

/* How often the item has been begun so far, and not ended: in its worker. */
int job_attempt(const struct job *job, size_t item);

/* Gives back what the item's task has replied. */
void job_forget_reply(struct job *job, size_t item);

/* Whether a worker names it as what it may touch; and the same without those who are gone for good, for when there is
 * no keeper to settle them. */
bool job_is_named(const struct job *job);
bool job_is_worked_on(const struct job *job);

/* Whether the item is known to have ended: its chunk has, or was taken up again behind it. */
bool job_item_over(const struct job *job, size_t item);

/* Whether each item is timed. */
bool job_is_timed(const struct job *job);

/* Items that nobody has begun, about. */
size_t job_waiting(const struct job *job);

/* Items that have ended so far, but those of the part of a chunk that a worker is at; and items that did not return 0,
 * those too: about, or counted one by one. */
size_t job_progress(const struct job *job);
size_t job_failed(const struct job *job, bool exactly);

#endif
