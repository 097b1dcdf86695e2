/* sync/lock.c: brood/lock.h: a latch in the user's memory, held through the thread's robust list.
 */
#include "sync/lock.h"

#include "error/error.h"
#include "os/clock.h"
#include "region/heap.h"
#include "sync/noun.h"
#include "sync/waiter.h"

#include <errno.h>

/* What lies in a brood_lock. latch: see os/thread.h and wait/latch.h; its `owner` is the pid of the last holder,
 * written by the holder once it has it, for EPERM and messages. recursive: set by init, before the lock is shared.
 * depth: how often the holder has taken it beyond the first time; the holder's, and 0 for each new one. By single
 * stores, since someone may be looking at the memory as a whole, to see whether it is a lock. since: when the holder
 * got it (os/clock.h) if it had to wait, else 0 until another one first waits for it: by both, a hint. */
struct lock {
    struct robust_word latch;
    char *name;
    _Alignas(8) uint32_t recursive;
    _Atomic uint32_t depth;
    _Atomic int64_t since;
};

_Static_assert(sizeof(struct lock) == sizeof(brood_lock) && sizeof(brood_lock) == NOUN_SIZE, "64 bytes");
_Static_assert(offsetof(struct lock, recursive) == offsetof(struct noun, own), "a noun");

const struct noun_kind lock_kind = { "lock", "a", 0x6b636f6cu /* "lock" */, true, 0 };

static inline uint32_t depth_of(const struct lock *lock)
{
    return atomic_load_explicit(&lock->depth, memory_order_relaxed);
}

static inline void set_depth(struct lock *lock, uint32_t depth)
{
    atomic_store_explicit(&lock->depth, depth, memory_order_relaxed);
}

int brood_lock_init(brood_lock *memory, const brood_lock_options *options)
{
    if (options && error_reserved("brood_lock_init", options->reserved, sizeof options->reserved / sizeof(void *)) < 0)
        return -EINVAL;
    int failed = noun_begin(&lock_kind, memory, options ? options->name : NULL, "brood_lock_init");
    if (failed == 0 && options && options->recursive)
        ((struct lock *)(void *)memory)->recursive = 1;
    return failed;
}

int brood_lock_fini(brood_lock *memory)
{
    char text[NOUN_TEXT];
    if (!memory)
        return 0;
    if (region_enter() < 0)
        return -EINVAL;
    if (noun_is_unused(memory))
        return 0;
    struct lock *lock = noun_in(&lock_kind, memory);
    if (!lock)
        return noun_refuse(&lock_kind, memory, "brood_lock_fini");
    struct thread *self = thread_self();
    int taken = noun_held(self, &lock->latch) ? -EBUSY : latch_take(self, &lock->latch, LATCH_TRY);
    if (taken < 0)
        return error_set(EBUSY, "brood_lock_fini: %s is held by process %d", noun_describe(&lock_kind, lock, text),
                         thread_holder(&lock->latch));
    if (taken == LATCH_INHERITED)
        noun_settle(self, &lock->latch);
    latch_drop(self, &lock->latch);
    noun_end(lock);
    return 0;
}

/* Once more, by its holder. */
static int acquire_again(struct lock *lock)
{
    char text[NOUN_TEXT];
    if (!lock->recursive)
        return error_set(EDEADLK, "%s is held by this thread already", noun_describe(&lock_kind, lock, text));
    if (depth_of(lock) == UINT32_MAX)
        return error_set(EOVERFLOW, "%s cannot be taken more often by one thread",
                         noun_describe(&lock_kind, lock, text));
    set_depth(lock, depth_of(lock) + 1);
    return 0;
}

static int wait_for_latch(struct thread *self, void *latch, int64_t deadline)
{
    return latch_take(self, latch, deadline);
}

/* Takes the latch, and holds it: 0 or BROOD_INHERITED, with a sentence; -ETIMEDOUT without one. */
static inline int take(struct thread *self, struct lock *lock, int64_t deadline)
{
    char text[NOUN_TEXT];
    int64_t since = 0;
    int taken = latch_take(self, &lock->latch, deadline == LATCH_TRY ? LATCH_TRY : LATCH_GLANCE);
    if (taken < 0 && deadline != LATCH_TRY) {
        atomic_compare_exchange_strong(&lock->since, &since, clock_lately());
        taken = waiter_wait(self, lock, deadline, wait_for_latch, &lock->latch);
        since = clock_lately();
    }
    if (taken < 0)
        return taken;
    atomic_store_explicit(&lock->since, since, memory_order_relaxed);
    spin_publish(&lock->latch.cpu); /* latches inside brood do not: they are held for less than it costs to ask */
    noun_hold(self, &lock->latch);
    if (taken == LATCH_INHERITED) {
        set_depth(lock, 0);
        heap_settle();
        error_tell("%s comes from a holder that died, or abandoned it: what it guards may be half written",
                   noun_describe(&lock_kind, lock, text));
    }
    return taken;
}

int brood_lock_acquire(brood_lock *memory, int timeout_ms)
{
    char text[NOUN_TEXT];
    int64_t deadline;
    struct lock *lock = noun_in(&lock_kind, memory);
    if (!lock)
        return noun_refuse(&lock_kind, memory, "brood_lock_acquire");
    if (noun_deadline("brood_lock_acquire", timeout_ms, &deadline) < 0)
        return -EINVAL;
    struct thread *self = thread_self();
    if (noun_held(self, &lock->latch))
        return acquire_again(lock);
    if (noun_may_hold(self) < 0)
        return -ENOLCK;
    int taken = take(self, lock, deadline);
    if (taken == -ETIMEDOUT)
        return error_set(ETIMEDOUT, "%s is held by process %d still, after %d ms",
                         noun_describe(&lock_kind, lock, text), thread_holder(&lock->latch), timeout_ms);
    return taken;
}

int lock_refuse(brood_lock *memory, const char *call)
{
    char text[NOUN_TEXT];
    if (region_enter() < 0)
        return -EINVAL;
    if (!noun_is_unused(memory) && !noun_in(&lock_kind, memory))
        return noun_refuse(&lock_kind, memory, call);
    return error_set(EPERM, "%s: %s is not held by this thread", call, noun_describe(&lock_kind, memory, text));
}

/* The lock, if this thread holds it, or NULL. */
static inline struct lock *held_in(brood_lock *memory, struct thread **self)
{
    struct lock *lock = (struct lock *)(void *)memory;
    if (!noun_fits(memory) || atomic_load_explicit(&lock->latch.mark, memory_order_relaxed) != lock_kind.mark)
        return NULL;
    *self = thread_self();
    return noun_held(*self, &lock->latch) ? lock : NULL;
}

struct lock *lock_held(brood_lock *memory, struct thread **self)
{
    return held_in(memory, self);
}

uint32_t lock_give_whole(struct thread *self, struct lock *lock)
{
    uint32_t depth = depth_of(lock);
    set_depth(lock, 0);
    noun_unhold(self, &lock->latch);
    latch_drop(self, &lock->latch);
    return depth;
}

int lock_take_again(struct thread *self, struct lock *lock, uint32_t depth)
{
    int taken = take(self, lock, CLOCK_NEVER);
    set_depth(lock, depth);
    return taken;
}

int brood_lock_release(brood_lock *memory)
{
    struct thread *self;
    struct lock *lock = held_in(memory, &self);
    if (!lock)
        return lock_refuse(memory, "brood_lock_release");
    if (depth_of(lock)) {
        set_depth(lock, depth_of(lock) - 1);
        return 0;
    }
    noun_unhold(self, &lock->latch);
    latch_drop(self, &lock->latch);
    return 0;
}

int brood_lock_abandon(brood_lock *memory)
{
    struct thread *self;
    struct lock *lock = held_in(memory, &self);
    if (!lock)
        return lock_refuse(memory, "brood_lock_abandon");
    set_depth(lock, 0);
    noun_unhold(self, &lock->latch);
    latch_abandon(self, &lock->latch);
    return 0;
}

int brood_lock_holder(brood_lock *memory)
{
    if (noun_is_unused(memory))
        return 0;
    struct lock *lock = noun_in(&lock_kind, memory);
    if (!lock)
        return noun_refuse(&lock_kind, memory, "brood_lock_holder");
    return thread_holder(&lock->latch);
}

int64_t brood_lock_held_us(brood_lock *memory)
{
    if (noun_is_unused(memory))
        return 0;
    struct lock *lock = noun_in(&lock_kind, memory);
    if (!lock)
        return noun_refuse(&lock_kind, memory, "brood_lock_held_us");
    int64_t since = atomic_load(&lock->since), held = since ? clock_lately() - since : 0;
    return held > 0 && atomic_load(&lock->latch.word) & FUTEX_TID_MASK ? held / 1000 : 0;
}
