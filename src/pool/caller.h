/* pool/caller.h: a process that calls a pool, as all others see it: so that nothing of it is left when it dies.
 *
 * Each process that calls has a record: its rings of calls, and the places where the blocks stand that its calls and
 * maps have taken; a block and its place change as one.
 *
 * When the process is gone, in whatever way, the keeper refuses what it had asked for, takes it out of the rack, ends
 * what is run of it, and once no worker is in any of it gives back its blocks, rings and seats, and then the record.
 * Each step may be repeated, by another keeper too. With the creator the pool ends, and the keeper gives back last of
 * all what that had; if it dies before, all that stays.
 */
#ifndef POOL_CALLER_H
#define POOL_CALLER_H

#include "pool/work.h"
#include "process/table.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CALLER_CLOSED (1U << 31) /* beside the users: one step says that there are none, and that none may come */
#define CALLER_RINGS 16
#define SHELF_PLACES 63

struct worker;

/* Where a block stands: by its process, under that one's guard; by the keeper when that is gone. `what` is said once
 * the block can be read. */
struct held {
    void *block; /* NULL: the place is free */
    _Atomic uint32_t what;
};

enum { HELD_RAW, HELD_CALL, HELD_JOB };

/* previous: by whoever clears them. */
struct shelf {
    struct shelf *next, *previous;
    struct held places[SHELF_PLACES];
};

struct queue {
    struct ring *rings[CALLER_RINGS]; /* each twice the size of the one before, which was too small; a ring stands here
                                       * from when its block is taken */
    unsigned count;                   /* the last is in use */
};

/* slot: whose it is; 0: nobody's. Set by the process under the pool's guard, when the rest is ready; cleared by the
 * keeper, last. pid: with it. users, asking, results, watched: by the process; CALLER_CLOSED by the creator. away: it
 * is gone, and has been turned away; by the keeper. The rest by the process, under its own guard. */
struct caller {
    struct caller *_Atomic next; /* of a chain that only grows, under the pool's guard */
    _Atomic slot_id slot;
    _Atomic int32_t pid;
    _Atomic unsigned users;   /* threads in a call that submits or waits; CALLER_CLOSED: no more tasks */
    _Atomic unsigned asking;  /* of these, whose work is not in the rack yet; not counted of the creator's */
    _Atomic unsigned results; /* that it has not destroyed */
    _Atomic uint32_t watched; /* things under way that the keeper must look at: limits, cancelled tasks */
    _Atomic bool away;
    struct shelf *shelves;
    struct queue queues[WORK_LEVELS];
};

/* A record for this process. NULL with errno and a sentence that begins with the call's name. */
struct caller *caller_enlist(struct brood_pool *pool, const char *call);

/* Whether its process has ended. */
bool caller_is_gone(const struct caller *caller);

/* More places, behind the last of its shelves; NULL: it has none yet. NULL: no memory. */
struct shelf *caller_add_shelf(struct caller *caller, struct shelf *last);

/* A block that stands there. Zeroed, or its bytes are anything. NULL: no memory. And gives it
 * back. */
void *held_take(struct held *held, size_t size, bool zeroed);
void held_give(struct held *held, void *block);

/* It can be read. */
void held_is(struct held *held, uint32_t what);

/* The process is gone: nothing that it asked for is begun from here on. By the keeper. */
void caller_turn_away(struct brood_pool *pool, struct caller *caller);

/* Whether the worker names something of its as what it is in; or may touch something of its, which is not known of one
 * that is just coming to a work. */
bool caller_is_served(const struct caller *caller, const struct worker *worker);
bool caller_is_touched(const struct caller *caller, const struct worker *worker);

/* Gives back all that it has, and last the record, when no worker names anything of it. With no other user of it. */
void caller_clear(struct brood_pool *pool, struct caller *caller);

#endif
