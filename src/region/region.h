/* region/region.h: the region, as this process sees it.
 *
 * Layout, from its base: struct region; the family's table (process/table.c); the heap's own tables (region/heap.c);
 * then, aligned, the heap's units to the end.
 */
#ifndef REGION_REGION_H
#define REGION_REGION_H

#include "os/shm.h"

#include <brood/memory.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGION_LEAST ((size_t)1 << 20)
/* More than there is address space for; on a 32-bit machine half of where it may lie (os/shm.c). */
#define REGION_MOST ((size_t)1 << (sizeof(size_t) == 8 ? 42 : 29))
#define REGION_WAITERS 4096 /* bytes */
#define REGION_GRAIN ((size_t)1 << 16)

struct heap;
struct table;

/* At the region's base; written by the founder before anyone else can see it, and but for `waiters` read only
 * afterwards. */
struct region {
    /* These three stay where they are in every version, so that any other can read them. */
    uint64_t magic;      /* REGION_MAGIC */
    uint64_t layout;     /* region_layout of the library that founded it */
    char version[16];    /* and its version, for people */
    uint64_t base, size; /* where every process maps it, and its bytes */
    struct table *table; /* the family's processes */
    struct heap *heap;
    int cpus; /* that its processes may spin on: 1, where a quota would pay for it; the founder's finding */
    _Alignas(64) unsigned char waiters[REGION_WAITERS]; /* sync/waiter.c: zeroes at first, and then its own */
};

#define REGION_MAGIC (UINT64_C(0x42524f4f44) << 24 | 4)

/* What this library's structs look like: a digest of its headers, so that no one need remember to change it. Whoever
 * finds another one in a region leaves that alone. And this library's version. */
extern const uint64_t region_layout;
extern const char region_version[16];

/* NULL until this process is in a family. */
extern struct region *region;

/* Founds one: maps it, keeps `table_size` bytes for the table, lays out the heap. NULL with errno and a sentence.
 * Nobody else sees it before region_publish. */
struct region *region_found(size_t size, size_t table_size, brood_heap_mode mode);
void region_publish(struct region *found);

/* Whether this process is in a family, asked while another thread may be founding it. */
bool region_is_there(void);

/* Maps the one behind `fd`, which a parent handed down. 0 or -errno, with a sentence. */
int region_join(int fd);

/* Unmaps it again: it turned out not to be for this process. */
void region_leave(void);

/* The descriptor, for a child; -EBADF, with a sentence, if the program closed it. */
int region_descriptor(void);

/* It has another number now, negative if none. */
void region_descriptor_moved(int fd);

/* Remembers why this process has no region, for region_enter. */
void region_refuse(const char *sentence);

/* Every public call's first step. 0; -EINVAL, with the sentence of the failed brood_init, or that there was none. */
int region_refused(void);
static inline int region_enter(void)
{
    return region ? 0 : region_refused();
}

static inline bool region_contains(const void *address)
{
    return region && (uintptr_t)address - (uintptr_t)region < region->size;
}

/* Whether [address, address + size) lies in it. */
static inline bool region_holds(const void *address, size_t size)
{
    return region_contains(address) && size <= region->size - ((uintptr_t)address - (uintptr_t)region);
}

#endif
