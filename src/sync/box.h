/* sync/box.h: a block of elements of one type, and their lock: what a value (one element) and an array are.
 *
 * Numbers are changed by one atomic operation each and need no lock. A struct is changed under the lock, by way of its
 * `shadow`: the new one is written there, then `changing` names the element, then the shadow is copied to it. Whoever
 * inherits the lock copies it once more if an element is named: so a struct is set wholly or not at all. `open` says
 * that the lock's holder may leave something half done that brood cannot mend; only then is the heir told.
 */
#ifndef SYNC_BOX_H
#define SYNC_BOX_H

#include "sync/noun.h"
#include "sync/type.h"

#define BOX_LINE 64

/* The lock: a noun, of which `changing`, `open` and `depth` are the own part. These are written by the lock's holder
 * only; read by it, and by the heir of a dead one.
 * changing: the element that `shadow` is being copied to, + 1; 0: none. Set once the shadow is whole, which is the
 * commit. open: 1 from an acquire to the last release, and while a slice is set. depth: how often the holder has
 * acquired it beyond the first time. */
struct box_lock {
    struct robust_word latch;
    char *name;
    _Alignas(8) uint64_t changing;
    uint32_t open;
    uint32_t depth;
};

_Static_assert(sizeof(struct box_lock) == NOUN_SIZE, "a noun");
_Static_assert(offsetof(struct box_lock, changing) == offsetof(struct noun, own), "a noun");

/* All but the lock and what is behind it is written by create, before anyone else sees it, and constant: so it has a
 * cache line of its own. `mark` is the kind's until destroy. After the elements, of the block: the shadow, if it is
 * locked and of structs; the name. */
struct box {
    _Alignas(BOX_LINE) _Atomic uint32_t mark;
    bool raw;
    struct type type;
    size_t count;
    char *shadow; /* NULL: numbers, or raw */
    _Alignas(BOX_LINE) struct box_lock lock;
    _Alignas(BOX_LINE) char elements[];
};

#define BOX_LOCK_AT BOX_LINE

_Static_assert(offsetof(struct box, lock) == BOX_LOCK_AT, "on the second line");

struct box_plan {
    const char *call;
    int type;
    size_t count;
    const char *name;
    const void *initial;
    bool raw;
};

/* All that return int return what the public call does, with its sentence; `call` is its name. */
struct box *box_create(const struct noun_kind *kind, const struct box_plan *plan);
int box_destroy(const struct noun_kind *kind, void *memory, const char *call);

/* The box of that kind there, or NULL: then box_refuse. */
static inline struct box *box_in(const struct noun_kind *kind, const void *memory)
{
    struct box *box = (struct box *)(uintptr_t)memory;
    if (!region_holds(memory, sizeof *box) || (uintptr_t)memory % BOX_LINE)
        return NULL;
    return atomic_load_explicit(&box->mark, memory_order_relaxed) == kind->mark ? box : NULL;
}

int box_refuse(const struct noun_kind *kind, const void *memory, const char *call);

static inline char *box_at(struct box *box, size_t index)
{
    return box->elements + index * box->type.size;
}

/* One public call. box: NULL: there is none of that kind. took: the lock, for this call. told: BROOD_INHERITED, or 0.
 */
struct visit {
    const struct noun_kind *kind;
    struct box *box;
    const char *call;
    struct thread *self;
    bool took;
    int told;
};

static inline struct visit visit_to(const struct noun_kind *kind, const void *memory, const char *call)
{
    return (struct visit){ .kind = kind, .box = box_in(kind, memory), .call = call };
}

/* For one that has no box. */
static inline int visit_refuse(const struct visit *visit, const void *memory)
{
    return box_refuse(visit->kind, memory, visit->call);
}

/* One element; the index is in bounds. */
int visit_get(struct visit *visit, size_t index, void *datum, int type);
int visit_set(struct visit *visit, size_t index, const void *datum, int type);
int visit_add(struct visit *visit, size_t index, const void *amount, int type, void *before, int before_type);
int visit_exchange(struct visit *visit, size_t index, void *expected, int expected_type, const void *desired, int type);

/* Slices, which are in bounds. */
int visit_copy_out(struct visit *visit, size_t begin, size_t count, void *data, int type);
int visit_copy_in(struct visit *visit, size_t begin, size_t count, const void *data, int type);

/* The lock. */
int visit_acquire(struct visit *visit, int timeout_ms);
int visit_release(struct visit *visit);
int visit_abandon(struct visit *visit);

#endif
