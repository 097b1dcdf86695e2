/* os/wiped.h: the private memory of this process that a fork wipes.
 *
 * What a process knows of itself (who it is, what it owns) must not be handed on by fork(2): parent and child would own
 * the same things. It all lies on one page marked MADV_WIPEONFORK, so that a child, however it was forked, finds zeroes
 * there and begins as a new process. One member per room that has such state.
 */
#ifndef OS_WIPED_H
#define OS_WIPED_H

#include <stdatomic.h>
#include <stdint.h>

struct wiped {
    _Atomic int32_t process;     /* os/thread.c: this process' pid once a thread of it has attached */
    _Atomic uint64_t slot;       /* process/table.c: its slot in the family's table, and the slot's generation */
    _Atomic(void *) left;        /* process/process.c: handles closed while their process ran, to be reaped later */
    _Atomic int32_t left_busy;   /* process/process.c: a thread walks that list */
    _Atomic uint32_t left_looks; /* process/process.c: how often that list might have been walked */
    _Atomic int32_t tied_busy;   /* process/process.c: a thread is at the list of lifelines, or forks */
    _Atomic(void *) task;        /* process/end.c: the end that this process writes for itself, and who reads it */
};

/* Never NULL: a page of zeroes until wiped_create. */
extern struct wiped *wiped;

/* In a fresh forked child: the page's first touch. A write, since a read would cost a page fault of its own. */
static inline void wiped_begin(void)
{
    atomic_store_explicit(&wiped->process, 0, memory_order_relaxed);
}

/* Maps the page. 0, or -ENOMEM. Call once, before threads share it. */
int wiped_create(void);

#endif
