/* sync/lock.h: a lock as a condition needs it: given back whole while its holder waits, and taken again as it was. */
#ifndef SYNC_LOCK_H
#define SYNC_LOCK_H

#include "os/thread.h"

#include <brood/lock.h>
#include <stdint.h>

struct lock;

/* The lock in there, if this thread holds it; NULL: lock_refuse says why not. */
struct lock *lock_held(brood_lock *memory, struct thread **self);

/* -EPERM or -EINVAL, with a sentence that begins with `call`. */
int lock_refuse(brood_lock *memory, const char *call);

/* Gives it back, however often its holder has taken it. The result is for lock_take_again. */
uint32_t lock_give_whole(struct thread *self, struct lock *lock);

/* Waits for it without end. 0; BROOD_INHERITED, with a sentence. */
int lock_take_again(struct thread *self, struct lock *lock, uint32_t depth);

#endif
