/* manager/object.h: an object of a server, and the table by which its type is known.
 */
#ifndef MANAGER_OBJECT_H
#define MANAGER_OBJECT_H

#include "manager/claimant.h"
#include "manager/dictionary.h"
#include "manager/manager.h"
#include "manager/sequence.h"

struct type;

/* Of locks and conditions. inherited: its last holder died, and nobody has released it since. sleepers: who waits for a
 * notify. */
struct turnstile {
    struct line line, sleepers;
    bool inherited;
};

struct flag {
    struct line line;
    bool set;
};

/* Of semaphores. free: units to be taken; stale: how many of them come from the dead. most: there may be no more. */
struct units {
    struct line line;
    uint64_t free, stale, most;
};

/* broken: 0, or why, as a result; by: which process had died. */
struct gathering {
    struct line line;
    uint64_t parties;
    int broken;
    int32_t by;
};

/* most: there may be no more messages in it; 0: any number. lent: how many have been got, and are not done with.
 * puts: how many have ever been in it. closed: nothing more can be put. */
struct hatch {
    struct belt belt;
    struct line getters, putters, joiners;
    uint64_t most, lent, puts;
    bool closed;
};

/* type: NULL: it could not begin. self: what the type's begin has made. */
struct custom {
    const struct type *type;
    void *self;
};

/* id: 0: none is here. handles: of all processes. turn: how many were here: the next id is another.
 * references: of values that the server keeps; loans: of answers (manager/reference.h). refers: it may have references
 * itself. idle: nothing may need it any more, and next_idle is another such one.
 * walk: the last one that met it; in a walk: next, and its number. */
struct object {
    uint64_t id;
    uint32_t handles, turn;
    size_t references, loans;
    bool named, refers, idle;
    struct object *next_idle, *next;
    uint64_t walk, number;
    unsigned type; /* a manager_method, by which it is opened */
    struct hold *holds;
    union {
        struct mapping dictionary;
        struct mapping set; /* its values are nil */
        struct sequence list, array;
        struct datum value;
        struct turnstile lock;
        struct flag event;
        struct units semaphore;
        struct gathering barrier;
        struct hatch queue;
        struct custom custom;
    };
};

/* name: with its article, and without. Functions may be NULL where the type has nothing to do.
 * begin: makes a zeroed one what it is to be, with what its opening has besides the name: 0, or why not. NULL: nothing.
 * call: carries out a request; `claimant` is NULL where the type does not wait. copy: 0 or -ENOMEM, into an empty one;
 * NULL: it cannot be copied. clear: gives back all that it has. leave: a claimant that waits at it does not want to any
 * more, and is to be answered, or is gone. lost: so many units of a hold of it end, in that way: it
 * reduces the hold. */
struct kind {
    const char *article, *name;
    bool waits;
    int (*begin)(struct object *object, const struct item *arg, struct parcel *reply);
    int (*call)(struct object *object, struct claimant *claimant, unsigned method, const struct item *args,
                unsigned count, struct parcel *reply);
    int (*copy)(struct object *copy, const struct object *object);
    void (*clear)(struct object *object);
    void (*leave)(struct claimant *claimant, bool gone);
    void (*lost)(struct hold *hold, uint64_t count, enum hold_end end);
};

extern const struct kind dictionary_served, namespace_served, list_served, lock_served, rlock_served, condition_served,
    event_served, semaphore_served, bounded_semaphore_served, barrier_served, set_served, value_served, array_served,
    queue_served, joinable_queue_served, custom_served;

/* Of the object's type. */
const struct kind *object_kind(const struct object *object);

/* Everyone in the line gets that answer; and it says that the object is gone. */
void object_release(struct line *line, int result);
void object_dismiss(struct line *line);

#endif
