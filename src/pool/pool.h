/* pool/pool.h: what callers, keeper and workers of a pool share.
 *
 * The pool, its workers' and callers' records (pool/caller.h), its jobs (pool/job.h) and rings of calls (pool/ring.h)
 * are blocks of the region. Its creator, and any other process of the family that has its address, makes work and
 * waits; workers claim chunks and calls; the keeper settles what a dead worker was at, and replaces it.
 */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "os/module.h"
#include "os/thread.h"
#include "pool/caller.h"
#include "pool/function.h"
#include "pool/job.h"
#include "pool/ring.h"
#include "pool/tally.h"
#include "pool/trace.h"
#include "pool/turn.h"
#include "pool/work.h"
#include "process/table.h"
#include "wait/bell.h"

#include <brood/pool.h>
#include <stdbool.h>

#define POOL_WORKERS 1024
#define DEATHS_MOST 1000 /* that are counted: brood/pool.h says so */
#define CREW_WORKERS 8   /* records in a block */
#define POOL_SEATS 64    /* of threads that wait at once and are told at once; the last is for all who only watch */

/* One worker's place. Written by its process alone while that lives; by the keeper when it is gone. */
struct worker {
    _Alignas(64) _Atomic int32_t pid; /* 0: there is none just now */
    uint32_t index;
    _Atomic slot_id
        slot; /* its process': the keeper's to release, but if that dies its successor's. Set before it starts */
    _Atomic(struct work *) look;   /* the one it may touch: its memory stays while this names it */
    _Atomic(struct work *) work;   /* the one it is in: set only when it was still offered after `look` was set */
    struct caller *_Atomic caller; /* whose that is; set before it */
    _Atomic uint64_t chunk;  /* the chunk, or the call's number, that it claims or has; named before it is claimed */
    _Atomic uint64_t item;   /* map: the item it runs, + 1; 0: it has begun none of this chunk. Call: 1: begun */
    _Atomic bool served;     /* it has run a chunk or a call to its end */
    _Atomic bool prepares;   /* the pool's `begin`, if it has one, is next, or was */
    _Atomic bool ready;      /* ... and has returned 0 in it */
    _Atomic int32_t verdict; /* a brood_how: why the keeper killed it; 0: it did not */
    struct turn turn;
    _Atomic uint32_t cpu;      /* where it was last seen, + 1: wait/spin.h */
    struct failure *report;    /* a record that it was about to hand in */
    struct nest *nest, *spare; /* pool/task.h: of the innermost call of its task's own; and one that comes or goes */
    struct brood_pool *pool;
    struct end_note note;     /* what its task says by brood_fail */
    struct tally tally;       /* of the place, whoever has it */
    struct trace_ring *trace; /* likewise; NULL: the pool is not traced */
};

/* Where a caller sleeps. The keeper holds `duty` for its life, so that the kernel wakes the caller if the keeper dies.
 * While it is held its FUTEX_OWNER_DIED bit means nothing to the kernel; here it says SEAT_NEWS: look again. It is set
 * by whoever has news (a result is there, the pool is stuck), cleared by the caller before it looks: so the word on
 * which it then sleeps is another one if there was news meanwhile. One thread sits there at a time; but those who only
 * watch (brood/wait.h) share the last one, and sleep on its turn, which goes on with all news once SEAT_WATCHED is set
 * there, and then stays. A keeper's death they hear of by its pidfd. */
struct seat {
    _Alignas(64) struct robust_word duty;
    _Atomic uint32_t turn;
    struct caller *_Atomic holder; /* whose thread sits there, by CAS; NULL: nobody's. By the keeper for a dead one */
};

#define SEAT_NEWS FUTEX_OWNER_DIED
#define SEAT_WATCHED 1
#define WATCH_SEAT POOL_SEATS /* from 1, as in struct await */

enum { CLOSING_NOT, CLOSING_ORDERLY, CLOSING_AT_ONCE };

/* Nothing more comes of it: ENDED by its creator, when keeper and workers are gone; ORPHANED by whoever finds that the
 * creator is gone, when workers may still be about to end. */
enum { POOL_LIVES, POOL_ENDED, POOL_ORPHANED };

struct brood_pool {
    struct bell work;          /* idle workers sleep here, until there may be something to claim */
    _Atomic uint32_t closing;  /* the creator wants it ended: how */
    _Atomic int32_t stuck;     /* an errno while no worker lives and none can be started; else 0 */
    _Atomic uint32_t verdicts; /* how often that was found anew: a caller believes none from before its call */
    _Atomic uint32_t broken;   /* for good, and `why` says by what: by the keeper, when no worker is left */
    int32_t creator;           /* pid: only it may end the pool */
    slot_id creator_slot;      /* and its slot */
    _Atomic uint32_t ended;    /* see above */
    _Atomic uint32_t closed;   /* no more tasks; by the creator, under the guard */
    _Atomic int32_t keeper;    /* pid of the keeper that was started last; by the creator */
    int64_t serial;            /* when it was created: another pool at the same address has another one */
    int32_t start;             /* brood_start of the keeper, as the creator asked */
    _Atomic uint32_t count;    /* workers' places that there are, and only become more; by the creator */
    _Atomic uint32_t wanted;   /* so many of these are to have a process; by the creator */
    _Atomic uint32_t resizes;  /* calls that wait until it is so */
    struct owner *owner;       /* the creator's private side: means nothing elsewhere; constant, as all to the name,
                                * but what is atomic */
    const struct module_function *begin, *finish; /* NULL: none */
    void *arg;                                    /* for both */
    int32_t max_tasks;                            /* of a worker; 0: any */
    int32_t max_deaths, max_deaths_ms;            /* of workers; 0: any, and in any time */
    int64_t max_memory;                           /* bytes of a worker's own; 0: any */
    void *arg_copy;                               /* goes with the pool */
    bool timed;                                   /* items of all maps are */
    bool pinned;                                  /* each worker to one processor */
    struct trace *trace;                          /* NULL: it is not traced */
    char name[SLOT_NAME];
    char why[192];
    /* One idle worker may look out for what comes, awake; then a call that is put need not ring. */
    _Alignas(64) _Atomic uint32_t lookout; /* its index + 1; by itself, by the keeper for a dead one */
    /* By callers. */
    _Alignas(64) _Atomic uint32_t offers; /* so often something was put */
    _Atomic uint32_t levels;              /* of priorities that were ever used, a bit each */
    _Atomic uint32_t caller_cpu;          /* where that was, + 1 */
    _Atomic uint32_t refusals;            /* so often a map was given up; also by workers */
    _Atomic uint32_t returned;            /* so often a worker left what others are to do; also by the keeper */
    /* Of the rest, but for seats and crews, and of turns that are cancelled. Held in its holder's robust list, so that
     * the heap may be called. What is half changed when it is inherited: functions. */
    _Alignas(64) struct robust_word guard;
    uint64_t turns; /* so many works were put into the rack */
    struct functions functions;
    struct caller *_Atomic callers; /* the first is the creator's */
    struct rack rack;
    struct rack *near, *end; /* where to look for a free place first, and the last: hints. NULL: `rack` */
    size_t spare;            /* free places: a hint, which a death may leave wrong */
    struct seat seats[POOL_SEATS];
    struct worker *crews[POOL_WORKERS / CREW_WORKERS]; /* blocks of records; each is there before `count` says so */
};

/* The place of that index, which is below the pool's count. */
static inline struct worker *pool_worker(const struct brood_pool *pool, uint32_t index)
{
    return &pool->crews[index / CREW_WORKERS][index % CREW_WORKERS];
}

/* Whether a worker that has begun there lives. Not by its pid alone: a stranger may have got that. */
bool pool_worker_lives(const struct brood_pool *pool, uint32_t index);

/* Has it places for so many workers. 0, or -ENOMEM. Before anyone else sees it, or under its owner's guard. */
int pool_make_places(struct brood_pool *pool, uint32_t count);

/* The pool's guard, and back. The heap may be called meanwhile, but nothing else that takes a latch. */
void pool_lock(struct brood_pool *pool);
void pool_unlock(struct brood_pool *pool);

/* Takes that caller's work out of the rack. */
void rack_withdraw_caller(struct brood_pool *pool, const struct caller *caller);

/* Whether its creator is gone; then the pool is orphaned, and all callers are told. */
bool pool_is_orphaned(struct brood_pool *pool);

/* Whether something is under way that the keeper must look at. */
bool pool_is_watched(const struct brood_pool *pool);

/* There may be work, or the pool is closing: wakes the idle workers. */
void pool_offer(struct brood_pool *pool);

/* Something happened that the caller there, or all, must look at. */
void seat_tell(struct seat *seat);
void pool_tell_callers(struct brood_pool *pool);

/* The worker is gone and `how` it ended is known: what it was at is settled. May be repeated. */
void work_settle(struct worker *worker, const brood_end *how);

/* The workers are gone with their pool: so are records that they were about to hand in. While the jobs that they name
 * are there. */
void pool_settle_reports(struct brood_pool *pool);

/* The targets of keeper and workers: arg is the pool, and the worker. */
int keeper_main(void *arg);
int worker_main(void *arg);

/* Has the pool a keeper that lives or is starting? If not, its creator starts one; another process waits for that, for
 * a while. 0, or -errno with a sentence: -EAGAIN: there is none, and none can be started just now; -EOWNERDEAD: the
 * creator is gone; -ECANCELED, without: the pool is being ended. By callers. */
int pool_keep(struct brood_pool *pool);

/* A worker whose keeper is gone was killed with it: waits until it is gone too, and gives its slot back. */
void pool_await_orphan(struct worker *worker, int64_t deadline);

/* Whether a keeper is on duty whose death would be told. */
bool pool_is_kept(const struct brood_pool *pool);

#endif
