/* brood/rwlock.h: a lock that many readers hold at once, or one writer.
 *
 * A brood_rwlock is 64 bytes in a struct of yours, in the region; zeroed memory is a free one. It is held by a thread,
 * not by a process, once: never again in either mode while it is held. Any number of threads may read at once; each
 * marks a place of its own, so that readers on different processors do not slow each other down. The places are a block
 * of the region's heap, made when the first reader comes and given back by brood_rwlock_fini.
 *
 * Who waits: readers and writers wait in one crowd, as fair as a lock's (brood/lock.h), and a writer keeps new readers
 * out as soon as its turn has come; so neither can starve the other.
 *
 * Crash rule: a dead reader is no reader: what it held is free. A writer that dies in what it guards passes the lock
 * on: the next to acquire it, be it to read or to write, gets it *to write*, alone, with BROOD_INHERITED (1) instead
 * of 0, since what is guarded may be half written and a reader could not mend it. If it dies too, the next one is told
 * again; a normal release says "mended". One that dies waiting, or before its acquire has returned, has changed nothing
 * and leaves no trace. How soon the waiters are told, and what mending needs: brood/lock.h.
 *
 * One that is stopped, not dead, while it holds the lock, has just been woken for it, or is inside a call, holds the
 * others up.
 *
 * Never free, unmap or reuse memory that holds one which is held or waited for.
 *
 * EINVAL, of every call: the rwlock is NULL, not in the region, not aligned to 8 bytes, or its memory is neither zeroed
 * nor an rwlock's; or brood_init has not been called. Not repeated below.
 */
#ifndef BROOD_RWLOCK_H
#define BROOD_RWLOCK_H

#include <brood/result.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct brood_rwlock {
    uint64_t opaque[8] __attribute__((aligned(8)));
} brood_rwlock;

/* Makes `rwlock` a free one: needed for a name only. Its memory must be zeroed, or an rwlock's after brood_rwlock_fini.
 * EBUSY: it is an rwlock already: it has been initialised, or acquired, before. ENOMEM: no room for the name. */
BROOD_API int brood_rwlock_init(brood_rwlock *rwlock, const brood_name_options *options);

/* Ends its use: the memory is zeroed, its name and its readers' places are freed. NULL is fine, and so is one whose
 * writer died: the news of that is lost then. EBUSY: it is held, or is being waited for. */
BROOD_API int brood_rwlock_fini(brood_rwlock *rwlock);

/* Takes it to read, waiting up to `timeout_ms` milliseconds (0: only try: it waits for nobody but readers who are just
 * sitting down, a second at most; BROOD_FOREVER: never give up).
 * 0: taken.  BROOD_INHERITED: taken *to write*, from a writer that died. Test for < 0: both are yours to release.
 * ETIMEDOUT: a writer held it, or was before us, to the end.  EDEADLK: this thread holds it already, to read or to
 * write.  ENOLCK: this thread holds 1,024 locks, places of semaphores and the like.  ENOMEM: no memory for the places
 * of readers. */
BROOD_API int brood_rwlock_acquire_read(brood_rwlock *rwlock, int timeout_ms);

/* Takes it to write: alone. Results as above; ETIMEDOUT: others held it, or were before us, to the end.  Never
 * ENOMEM. */
BROOD_API int brood_rwlock_acquire_write(brood_rwlock *rwlock, int timeout_ms);

/* Gives it back, whichever way it was taken. EPERM: this thread does not hold it. */
BROOD_API int brood_rwlock_release(brood_rwlock *rwlock);

/* A writer gives it back as if it had died: the next to acquire gets BROOD_INHERITED. For one that finds that it cannot
 * finish what it began. EPERM: this thread does not hold it to write. */
BROOD_API int brood_rwlock_abandon(brood_rwlock *rwlock);

/* For messages, both may be out of date when you read them. The process id of its writer; 0: nobody writes. And how
 * many threads hold it to read. */
BROOD_API int brood_rwlock_holder(brood_rwlock *rwlock);
BROOD_API int brood_rwlock_readers(brood_rwlock *rwlock);

#ifdef __cplusplus
}
#endif

#endif
