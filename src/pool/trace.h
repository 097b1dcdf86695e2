/* pool/trace.h: what a traced pool did, on its way to a file: brood/pool.h says what for.
 *
 * Each worker's place, the keeper and the callers have a ring of events. One writes it: the worker, its keeper when it
 * is dead, callers under the file's latch. An event is there when `head` says so. Under the latch events become text
 * and are written where the file's closing bracket stands, with a new one behind them; then an intent, which is one
 * store to see, turns the ring's `tail` and the file's `length` on together. So whoever inherits the latch knows which
 * events are in the file, and writes the bracket again where a dead one was in the middle of it. No descriptor is kept
 * but the creator's, for its lock: a task may close all, and a number may be another file's by then.
 */
#ifndef POOL_TRACE_H
#define POOL_TRACE_H

#include "os/module.h"
#include "os/shm.h"
#include "os/thread.h"

#include <brood/end.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TRACE_EVENTS 256
#define TRACE_PATH 4096
#define TRACE_TEXT 16384     /* that is written at once */
#define TRACE_LINE 1024      /* the most that an event becomes */
#define TRACE_TICK 100000000 /* ns between the keeper's looks at the rings */

struct brood_pool;
struct worker;

enum trace_kind {
    TRACE_TASK,
    TRACE_CREATOR,   /* the pool was created */
    TRACE_NESTED,    /* an item of a task's own map */
    TRACE_MAP_BEGIN, /* a map, by its number */
    TRACE_MAP_END,
    TRACE_WORKER, /* began; index: its place's */
    TRACE_DIED,
    TRACE_KEEPER,
    TRACE_RESIZED, /* index: so many workers are wanted */
    TRACE_LOST,    /* index: so many events */
};

struct trace_event {
    int64_t begin, end; /* os/clock.h */
    const struct module_function *task;
    uint64_t index, count; /* count: a map's items */
    int32_t kind, how, code, signal, pid, tid;
};

struct trace_ring {
    _Atomic uint64_t head; /* by who writes it */
    _Atomic uint64_t tail; /* under the latch */
    /* What its worker is at. By the worker; for a dead one by the keeper. `begin` 0: nothing; it is written last. */
    _Atomic int64_t begin;
    const struct module_function *task;
    uint64_t index;
    int32_t pid;
    struct trace_event events[TRACE_EVENTS];
};

struct trace {
    struct robust_word latch; /* of the file, and all below but `ended` and the keeper's ring */
    _Atomic int32_t ended;    /* why nothing more is written: an errno; 0: it goes on */
    _Atomic uint64_t maps;    /* numbers given out */
    _Atomic uint32_t torn;    /* the file may not be what `length` says */
    uint64_t length;          /* of the file, without the bracket */
    uint64_t lost;            /* events that had no way into the file */
    /* Both ends of what was written become true once `pending` is 1; who finds that does it again. */
    struct {
        _Atomic uint32_t pending;
        struct trace_ring *ring;
        uint64_t tail, length;
    } intent;
    struct shm_identity file;
    struct trace_ring keeper, callers;
    char text[TRACE_TEXT + 8];
    char path[TRACE_PATH];
};

/* ---- the creator's ---- */

/* Opens the file that the option, or else the environment, names. 0, also where there is none to be; -errno with a
 * sentence. */
int trace_open(struct brood_pool *pool, const char *option);

/* Rings for the places from `from` on. 0 or -ENOMEM. */
int trace_make_rings(struct brood_pool *pool, uint32_t from, uint32_t count);

/* What is left goes to the file, when no worker is left; the blocks, when no process of the pool is. */
void trace_finish(struct brood_pool *pool);
void trace_discard(struct brood_pool *pool);

/* A map has begun: its number; and ended. 0 where nothing is traced, and is fine to hand back. By any thread. */
uint64_t trace_map_begins(struct brood_pool *pool, const struct module_function *task, uint64_t count);
void trace_map_ends(struct brood_pool *pool, uint64_t number, const struct module_function *task, int result);
void trace_resized(struct brood_pool *pool, uint32_t workers);

/* ---- a worker's: where its ring is not NULL ---- */

void trace_task_begins(struct worker *worker, const struct module_function *task, uint64_t index, int64_t now);
void trace_task_ends(struct worker *worker, int64_t now, int code);
void trace_nested(struct worker *worker, const brood_end *end, int64_t began);

/* ---- the keeper's ---- */

void trace_keeper(struct brood_pool *pool);
void trace_worker(struct worker *worker);

/* The worker is gone: what it was at is. By the keeper, or the creator when that is gone. May be repeated. */
void trace_settle(struct worker *worker, const brood_end *how);
void trace_died(struct worker *worker, const brood_end *how);

/* Writes what the rings hold. */
void trace_flush(struct brood_pool *pool);

/* Whether the keeper has to look at them now and then. */
bool trace_goes_on(const struct brood_pool *pool);

/* ---- the file (trace_file.c) ---- */

/* The ring's events become part of the file, under the latch. False: they are not. */
bool trace_write(struct brood_pool *pool, struct trace_ring *ring);

/* Nothing more is written, and the log says why; once. */
void trace_end(struct brood_pool *pool, int code);

/* An event as JSON, one object or two, without what stands between: how many bytes, fewer than TRACE_LINE. */
int trace_line(const struct brood_pool *pool, const struct trace_event *event, char *text);

#endif
