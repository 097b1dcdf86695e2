/* sync/noun.h: what the sync nouns share: 64 bytes of the user's memory that are ready when zeroed.
 *
 * Each noun begins with a robust word and a name, and has 16 bytes of its own. `mark` in the robust word says which
 * noun it is; it is set by the first call that uses the memory, and is the first of it to change and the last to be
 * cleared, so that a process killed in between leaves a noun that works.
 */
#ifndef SYNC_NOUN_H
#define SYNC_NOUN_H

#include "region/region.h"
#include "wait/latch.h"

#include <brood/result.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOUN_SIZE 64
#define NOUN_HELD_MOST 1024 /* robust words a thread may hold: the kernel looks at 2,048, not all of them brood's */
#define NOUN_TEXT 80

/* The beginning of each noun's struct. `word`: what it is used as is each noun's own matter (wait/latch.h). `name`: a
 * block of the region, or NULL; written by init, before the noun is shared. */
struct noun {
    struct robust_word word;
    char *name;
    _Alignas(8) uint64_t own[2];
};

_Static_assert(sizeof(struct noun) == NOUN_SIZE, "64 bytes");

/* Which noun: its word in sentences, with its article, and its mark; whether its word is held by one thread, which all
 * others wait for; and how far it lies behind the address that users know. Constants. */
struct noun_kind {
    const char *name, *article;
    uint32_t mark;
    bool has_holder;
    uint32_t behind;
};

extern const struct noun_kind lock_kind, rwlock_kind, semaphore_kind, event_kind, condition_kind, barrier_kind,
    value_kind, array_kind, queue_kind;

/* The kind that the memory's mark says; NULL: none. */
const struct noun_kind *noun_kind_of(const void *memory);

static inline bool noun_fits(const void *memory)
{
    return region_holds(memory, NOUN_SIZE) && (uintptr_t)memory % sizeof(uint64_t) == 0;
}

/* Says that zeroed memory is one of that kind from now on; false: it is neither. */
bool noun_recognise(const struct noun_kind *kind, void *memory);

/* The noun of that kind in there, or NULL: then noun_refuse. */
static inline void *noun_in(const struct noun_kind *kind, void *memory)
{
    const struct noun *noun = memory;
    if (!noun_fits(memory))
        return NULL;
    bool known = atomic_load_explicit(&noun->word.mark, memory_order_relaxed) == kind->mark;
    return known || noun_recognise(kind, memory) ? memory : NULL;
}

/* One that nobody has used yet: a call that changes nothing leaves it so, and it can still be named. */
bool noun_is_unused(const void *memory);

/* Why the memory holds none: -EINVAL, with a sentence; of the family's absence too. */
int noun_refuse(const struct noun_kind *kind, const void *memory, const char *call);

/* "lock 'jobs'", or where it is. */
const char *noun_describe(const struct noun_kind *kind, const void *memory, char text[static NOUN_TEXT]);

/* The first half of an init: marks unused memory, and names it. 0; -EINVAL: no place, or not zeroed; -EBUSY: in use
 * already; -ENOMEM: no room for the name. With sentences. */
int noun_begin(const struct noun_kind *kind, void *memory, const char *name, const char *call);

/* The last of a fini: frees the name, and zeroes the memory, the mark last. Nobody may use it any more. */
void noun_end(void *memory);

/* -EINVAL, with a sentence, if the timeout is none; else 0, and the deadline: LATCH_TRY for 0. */
int noun_deadline(const char *call, int timeout_ms, int64_t *deadline);

/* Whether this thread holds the word. A thread id alone is no identity: `owner` has the holder's pid. */
static inline bool noun_held(const struct thread *self, struct robust_word *word)
{
    return (atomic_load_explicit(&word->word, memory_order_relaxed) & FUTEX_TID_MASK) == self->id &&
           atomic_load_explicit(&word->owner, memory_order_relaxed) == (uint64_t)self->process;
}

/* 0, or -ENOLCK with a sentence: this thread holds as many words as it may. Before noun_hold. */
int noun_may_hold(const struct thread *self);

/* A latch that has just been taken becomes this thread's to hold beyond the call; and back: it is the pending word
 * then, and to be dropped. */
static inline void noun_hold(struct thread *self, struct robust_word *word)
{
    atomic_store_explicit(&word->owner, (uint64_t)self->process, memory_order_relaxed);
    latch_hold(self, word);
    self->held++;
}

/* Of a latch just taken, and pending, that was inherited from a dead one, by a call that will not tell of it: before
 * the news is gone with the latch, what the dead one had begun in the heap is ended. It is pending again afterwards. */
void noun_settle(struct thread *self, struct robust_word *word);

static inline void noun_unhold(struct thread *self, struct robust_word *word)
{
    latch_unhold(self, word);
    self->held--;
}

#endif
