/* sight.h: what is to be seen of a family at one moment.
 *
 * All is copied from the region without a latch, while others go on: parts may be of different moments. Nothing here
 * is believed that is not held against bounds, and every walk has a most.
 */
#ifndef INSPECT_SIGHT_H
#define INSPECT_SIGHT_H

#include "window.h"

#define SIGHT_NAME 32
#define SIGHT_WHAT 80

/* What is seen at most, of a family that may have made it all up; what is beyond is `overlooked`. */
#define SIGHT_LOCKS ((size_t)16384)
#define SIGHT_TRIES ((size_t)1 << 20) /* places that look like a lock's */
#define SIGHT_QUEUES ((size_t)16384)
#define SIGHT_POOLS ((size_t)1024)
#define SIGHT_CHUNKS ((size_t)16 << 20) /* of all maps, that are looked at one by one */

/* A process: of the family's table, and as the kernel knows it. */
struct seen_process {
    int pid, starter;
    int parent; /* as the kernel has it */
    char name[SIGHT_NAME];
    char state;     /* as /proc says: R, S, D, T, t, Z; 0: it is gone */
    bool is_member; /* it has a place in the table; else it was forked by hand, and has not called brood */
    int threads;
    int64_t age_ms, cpu_ms;
    int64_t resident, own; /* bytes; own: shared with nobody, about */
};

/* A thread that waits. */
struct seen_wait {
    int pid, tid;
    char process[SIGHT_NAME];
    const void *object;
    char what[SIGHT_WHAT];  /* "lock 'jobs'" */
    int holder, holder_tid; /* 0: there is none */
    int64_t since, waited_ms;
};

/* A lock, rwlock, value's or array's lock that is held, or was left by a dead holder: those that are waited for, and
 * with SIGHT_SCAN the others too. */
struct seen_lock {
    const void *object;
    char what[SIGHT_WHAT];
    int holder, holder_tid; /* 0: it was left */
    int last;               /* the process that had it last */
    unsigned waiters;
    int64_t held_ms; /* -1: not known */
};

struct seen_queue {
    const void *object;
    char what[SIGHT_WHAT];
    uint64_t messages, bytes, max_messages, max_bytes; /* a most of 0: none */
    uint64_t put, got;                                 /* since it was made */
    unsigned lent, returned;
    unsigned waiters;
    bool closed, has_putters, has_getters; /* that wait */
};

struct seen_worker {
    int pid;
    uint64_t slot; /* another one: it was replaced */
    char doing[48];
    int64_t began; /* 0: idle, or not known */
};

struct seen_work {
    const void *object;
    bool is_map;
    uint64_t items, done, queued; /* of a map; queued: calls that no worker has yet */
    uint64_t calls;               /* that were put since the pool was made */
    unsigned failures, more;      /* of a map: records of items that did not return 0 */
    char last[128];               /* what the latest says */
};

#define SEEN_WORKS 15

struct seen_pool {
    const void *object;
    int64_t serial; /* another pool at the same address has another one */
    char name[SIGHT_NAME];
    int creator;
    unsigned count, wanted; /* places for workers, and how many of them are to have one */
    unsigned alive, busy;
    bool broken, closing, recycles; /* recycles: workers are replaced in good order, too */
    int stuck;                      /* an errno */
    char why[192];
    struct seen_worker *workers; /* NULL: no memory */
    unsigned works;
    struct seen_work work[SEEN_WORKS];
};

struct seen_heap {
    uint64_t limit, held, peak, backed; /* bytes */
    uint64_t blocks, used;              /* handed out */
    bool partly;                        /* not all was counted: there is more */
    bool overlooked;                    /* not all was looked through: there may be more queues, pools and locks */
};

struct sight {
    int64_t at; /* os/clock.h */
    bool has_ended;
    struct seen_process *processes;
    size_t process_count;
    struct seen_wait *waits;
    size_t wait_count;
    struct seen_lock *locks;
    size_t lock_count;
    struct seen_queue *queues;
    size_t queue_count;
    struct seen_pool *pools;
    size_t pool_count;
    struct seen_heap heap;
    size_t tries, chunks; /* that were looked at so far */
};

/* How closely to look: only at who there is, and waits; at brood's objects and the heap too; besides at all that is
 * handed out, for locks. What cannot all be looked through is `overlooked`. */
enum sight_depth { SIGHT_PROCESSES, SIGHT_OBJECTS, SIGHT_SCAN };

/* False: no memory. A family that ended meanwhile is has_ended. */
bool sight_take(struct sight *sight, const struct window *window, const struct family *family, enum sight_depth depth);
void sight_free(struct sight *sight);

/* The entry of that process; NULL: there is none. */
const struct seen_process *sight_process(const struct sight *sight, int pid);

/* Its name; "?" if it is not known. */
const char *sight_name(const struct sight *sight, int pid);

/* Looks again at the pool's records only: how many of its workers have been replaced since, or died. One that leaves as
 * the pool becomes smaller, or ends, has not. */
unsigned sight_replaced(const struct window *window, struct seen_pool *pool);

/* What a worker is at, just now. */
struct seen_task {
    int pid;          /* 0: there is none */
    const void *work; /* a map, or a call; NULL: it is at none */
    bool is_map;
    uint64_t item;        /* its index */
    const void *function; /* a struct function of pool/function.h; NULL: it could not be read */
    int64_t began;        /* 0: not known */
};

/* Looks at one place of a pool only. False: it cannot be read. */
bool sight_task(const struct window *window, const struct seen_pool *pool, unsigned index, struct seen_task *task);

/* Room for one more entry; the array may move. NULL: no memory. */
void *sight_grow(void *array, size_t count, size_t size);

/* The parts, in their files. Each false: no memory. */
bool see_processes(struct sight *sight, const struct window *window, const struct family *family);
bool see_waits(struct sight *sight, const struct window *window);
bool see_blocks(struct sight *sight, const struct window *window, enum sight_depth depth);

/* Whether the copy of a block of so many bytes looks like a queue's, or a pool's; and what starts at that block, if it
 * is one. */
bool may_be_queue(const char *copy, size_t size);
bool may_be_pool(const struct window *window, const char *copy, size_t size);
bool see_queue(struct sight *sight, const struct window *window, const char *block);
bool see_pool(struct sight *sight, const struct window *window, const char *block);

/* The locks in `size` bytes copied from `address`. */
bool see_locks(struct sight *sight, const struct window *window, const char *address, const char *copy, size_t size);

/* The noun at that address in words; false: there is none. And where its word is read from. */
struct noun;
bool see_noun(const struct window *window, const void *address, struct noun *noun, bool *has_holder,
              char what[static SIGHT_WHAT]);

#endif
