/* os/wiped.h: the private memory of this process that a fork wipes.
 *
 * What a process knows of itself (who it is, what it owns) must not be handed on by fork(2): parent and child would own
 * the same things. It all lies on one page marked MADV_WIPEONFORK, so that a child, however it was forked, finds zeroes
 * there and begins as a new process; zeroes are also a mutex that nobody holds.
 */
#ifndef OS_WIPED_H
#define OS_WIPED_H

#include "os/shm.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct wiped {
    _Atomic int32_t process;        /* os/thread.c: this process' pid once a thread of it has attached */
    _Atomic uint64_t slot;          /* process/table.c: its slot in the family's table, and the slot's generation */
    _Atomic(void *) task;           /* process/end.c: the end that this process writes for itself, and who reads it */
    pthread_mutex_t children_guard; /* process/handle.c: of the next two; also held while a child is made */
    void *children, *children_last; /* process/handle.c: the handles of its children, in the order of their starts */
    int line; /* process/begin.c: its end of the pipe that ties it to its starter, while the next is behind it */
    struct shm_identity line_file; /* process/begin.c: 0: there is none */
    pthread_mutex_t lines_guard;   /* process/lifeline.c: of the next, for a fork by hand */
    void *lifelines;               /* process/lifeline.c: what ties its children; while the list of handles is held */
    _Atomic int32_t closed;        /* process/handle.c: how many of them were closed while they ran */
    _Atomic uint32_t closed_looks; /* process/handle.c: how often those might have been looked at */
    _Atomic int64_t sweep_at; /* process/handle.c: when to look for what a dead child's own children left; 0: never */
    _Atomic bool orphans;     /* process/handle.c: such a child has died */
    _Atomic(void *) self;     /* process/process.c: its handle of itself */
    _Atomic(void *) parent;   /* process/process.c: its handle of its starter */
    pthread_mutex_t server_guard; /* process/server.c: of the next; also held while the server is asked */
    void *server;                 /* process/server.c: its fork server */
    pthread_mutex_t hooks_guard;  /* process/fini.c: of the next */
    void *hooks;                  /* process/fini.c: what is to run at its end, last one first */
    _Atomic int32_t hook_thread;  /* process/fini.c: the thread that runs one just now; 0: none */
    pthread_mutex_t owners_guard; /* pool/owner.c: of additions to the next */
    _Atomic(void *) owners;       /* pool/owner.c: its sides of pools that other processes have created */
    _Atomic uint32_t heap_owner;  /* region/owner.c: its number as an owner of blocks, + 1; 0: none yet */
    _Atomic bool heap_keeps;      /* region/units.c: the system takes no memory back from it */
};

/* Never NULL: a page of zeroes until wiped_create. */
extern struct wiped *wiped;

/* In a fresh forked child: the page's first touch. A write, since a read would cost a page fault of its own. */
static inline void wiped_begin(void)
{
    atomic_store_explicit(&wiped->process, 0, memory_order_relaxed);
}

/* Memory for what only the page points to: calloc(3), free(3). In a forked child nothing points to its copies, and that
 * is no leak. */
void *wiped_allocate(size_t size);

/* Maps the page. 0, -ENOMEM, or -ENOSYS: the kernel cannot wipe it. Call once, before threads share it. */
int wiped_create(void);

#endif
