/* sync/lock.c: brood/lock.h: a latch in the user's memory, held through the thread's robust list.
 */
#include "error/error.h"
#include "os/clock.h"
#include "region/heap.h"
#include "region/region.h"
#include "wait/latch.h"

#include <brood/lock.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOCK_MARK 0x6b636f6cu /* "lock": in latch.mark, once it is known that the memory is a lock */
#define LOCK_MOST 1024        /* a thread may hold: the kernel looks at 2,048 entries of its list, not all brood's */

/* What lies in a brood_lock. latch: see os/thread.h and wait/latch.h; its `owner` is the pid of the last holder,
 * written by the holder once it has it, for EPERM and messages. name: set by init before the lock is shared. */
struct lock {
    struct robust_word latch;
    char *name; /* a block of the region, or NULL */
    uint64_t room[2];
};

_Static_assert(sizeof(struct lock) == sizeof(brood_lock), "64 bytes");

/* "lock 'jobs'", or where it is. */
static const char *describe(const struct lock *lock, char text[static 64])
{
    if (lock->name)
        snprintf(text, 64, "lock '%.48s'", lock->name);
    else
        snprintf(text, 64, "the lock at %p", (const void *)lock);
    return text;
}

/* By single words: others may be taking the lock meanwhile. */
static bool is_zero(const brood_lock *memory)
{
    const _Atomic uint64_t *words = (const _Atomic uint64_t *)(const void *)memory;
    uint64_t any = 0;
    for (size_t i = 0; i < sizeof *memory / sizeof *words; i++)
        any |= atomic_load_explicit(&words[i], memory_order_relaxed);
    return any == 0;
}

/* Says that zeroed memory is a lock from now on; false: it is neither. Several may be at it at once: one that sees
 * something else looks for the mark again, since the mark is the first that changes. */
static bool recognise(brood_lock *memory)
{
    struct lock *lock = (struct lock *)(void *)memory;
    uint32_t none = 0;
    if (is_zero(memory))
        atomic_compare_exchange_strong(&lock->latch.mark, &none, LOCK_MARK);
    return atomic_load(&lock->latch.mark) == LOCK_MARK;
}

static int refuse(const brood_lock *lock, const char *call)
{
    if (!lock)
        return error_null(call, "the lock");
    if (!region_holds(lock, sizeof *lock) || (uintptr_t)lock % sizeof(uint64_t) != 0)
        return error_set(EINVAL, "%s: %p is no place for a lock: it must be in the region, on 8 bytes", call,
                         (const void *)lock);
    return error_set(EINVAL, "%s: the memory at %p is neither zeroed nor a lock", call, (const void *)lock);
}

static inline bool is_place(const brood_lock *memory)
{
    return region_holds(memory, sizeof *memory) && (uintptr_t)memory % sizeof(uint64_t) == 0;
}

/* A lock that nobody has used yet. Calls that change nothing leave it so, and it can still be named. */
static bool is_unused(const brood_lock *memory)
{
    return is_place(memory) && is_zero(memory);
}

/* The lock in there, or NULL. */
static inline struct lock *lock_in(brood_lock *memory)
{
    struct lock *lock = (struct lock *)(void *)memory;
    if (!is_place(memory))
        return NULL;
    return atomic_load_explicit(&lock->latch.mark, memory_order_relaxed) == LOCK_MARK || recognise(memory) ? lock
                                                                                                           : NULL;
}

static inline bool held_by(struct thread *self, struct lock *lock)
{
    return (atomic_load_explicit(&lock->latch.word, memory_order_relaxed) & FUTEX_TID_MASK) == self->id &&
           atomic_load_explicit(&lock->latch.owner, memory_order_relaxed) == (uint64_t)self->process;
}

int brood_lock_init(brood_lock *memory, const brood_lock_options *options)
{
    struct lock *lock = (struct lock *)(void *)memory;
    if (region_enter() < 0)
        return -EINVAL;
    if (!is_place(memory))
        return refuse(memory, "brood_lock_init");
    for (size_t i = 0; options && i < sizeof options->reserved / sizeof *options->reserved; i++)
        if (options->reserved[i])
            return error_set(EINVAL, "brood_lock_init: the options are of a newer brood (reserved[%zu])", i);
    uint32_t none = 0;
    if (atomic_load(&lock->latch.mark) == LOCK_MARK)
        return error_set(EBUSY, "brood_lock_init: the memory at %p is a lock already", (void *)memory);
    if (!is_zero(memory))
        return refuse(memory, "brood_lock_init");
    /* First: killed from here on, we leave a lock without a name. */
    if (!atomic_compare_exchange_strong(&lock->latch.mark, &none, LOCK_MARK))
        return error_set(EBUSY, "brood_lock_init: the memory at %p has just become a lock", (void *)memory);
    if (options && options->name) {
        size_t size = strlen(options->name) + 1;
        if (!heap_take_into((void **)&lock->name, size)) {
            atomic_store(&lock->latch.mark, 0);
            return error_set(ENOMEM, "brood_lock_init: no memory in the region for the name");
        }
        memcpy(lock->name, options->name, size);
    }
    return 0;
}

int brood_lock_fini(brood_lock *memory)
{
    char text[64];
    if (!memory)
        return 0;
    if (region_enter() < 0)
        return -EINVAL;
    if (is_unused(memory))
        return 0;
    struct lock *lock = lock_in(memory);
    if (!lock)
        return refuse(memory, "brood_lock_fini");
    struct thread *self = thread_self();
    if (held_by(self, lock) || latch_take(self, &lock->latch, LATCH_TRY) < 0)
        return error_set(EBUSY, "brood_lock_fini: %s is held by process %d", describe(lock, text),
                         (int)atomic_load(&lock->latch.owner));
    latch_drop(self, &lock->latch);
    if (lock->name)
        heap_give(lock->name, (void **)&lock->name);
    /* The mark last: killed before it, we leave a free lock. */
    atomic_store(&lock->latch.version, 0);
    atomic_store(&lock->latch.cpu, 0);
    atomic_store(&lock->latch.owner, 0);
    lock->latch.next = lock->latch.prev = NULL;
    atomic_store(&lock->latch.mark, 0);
    return 0;
}

int brood_lock_acquire(brood_lock *memory, int timeout_ms)
{
    char text[64];
    struct lock *lock = lock_in(memory);
    if (!lock)
        return region_enter() < 0 ? -EINVAL : refuse(memory, "brood_lock_acquire");
    if (timeout_ms < BROOD_FOREVER)
        return error_set(EINVAL, "brood_lock_acquire: a timeout of %d ms", timeout_ms);
    struct thread *self = thread_self();
    if (held_by(self, lock))
        return error_set(EDEADLK, "%s is held by this thread already", describe(lock, text));
    if (self->held >= LOCK_MOST)
        return error_set(ENOLCK, "this thread holds %d locks, the most it may", LOCK_MOST);
    int64_t deadline = timeout_ms == 0 ? LATCH_TRY : timeout_ms < 0 ? CLOCK_NEVER : clock_deadline(timeout_ms);
    int taken = latch_take(self, &lock->latch, deadline);
    if (taken < 0)
        return error_set(ETIMEDOUT, "%s is held by process %d still, after %d ms", describe(lock, text),
                         (int)atomic_load(&lock->latch.owner), timeout_ms);
    atomic_store_explicit(&lock->latch.owner, (uint64_t)self->process, memory_order_relaxed);
    spin_publish(&lock->latch.cpu); /* latches inside brood do not: they are held for less than it costs to ask */
    latch_hold(self, &lock->latch);
    self->held++;
    if (taken == LATCH_INHERITED) {
        heap_settle();
        error_tell("%s comes from a holder that died, or abandoned it: what it guards may be half written",
                   describe(lock, text));
    }
    return taken;
}

/* Why this thread does not hold it: -errno, with a sentence. */
static int not_held(const brood_lock *memory, const char *call)
{
    char text[64];
    if (region_enter() < 0)
        return -EINVAL;
    const struct lock *lock = (const struct lock *)(const void *)memory;
    if (!is_unused(memory) && (!is_place(memory) || atomic_load(&lock->latch.mark) != LOCK_MARK))
        return refuse(memory, call);
    return error_set(EPERM, "%s: %s is not held by this thread", call, describe(lock, text));
}

/* The lock, if this thread holds it, or NULL. */
static inline struct lock *held_in(brood_lock *memory, struct thread **self)
{
    struct lock *lock = (struct lock *)(void *)memory;
    if (!is_place(memory) || atomic_load_explicit(&lock->latch.mark, memory_order_relaxed) != LOCK_MARK)
        return NULL;
    *self = thread_self();
    return held_by(*self, lock) ? lock : NULL;
}

int brood_lock_release(brood_lock *memory)
{
    struct thread *self;
    struct lock *lock = held_in(memory, &self);
    if (!lock)
        return not_held(memory, "brood_lock_release");
    latch_unhold(self, &lock->latch);
    self->held--;
    latch_drop(self, &lock->latch);
    return 0;
}

int brood_lock_abandon(brood_lock *memory)
{
    struct thread *self;
    struct lock *lock = held_in(memory, &self);
    if (!lock)
        return not_held(memory, "brood_lock_abandon");
    latch_unhold(self, &lock->latch);
    self->held--;
    latch_abandon(self, &lock->latch);
    return 0;
}

int brood_lock_holder(brood_lock *memory)
{
    if (is_unused(memory))
        return 0;
    struct lock *lock = lock_in(memory);
    if (!lock)
        return region_enter() < 0 ? -EINVAL : refuse(memory, "brood_lock_holder");
    bool held = atomic_load(&lock->latch.word) & FUTEX_TID_MASK;
    return held ? (int)atomic_load(&lock->latch.owner) : 0;
}
