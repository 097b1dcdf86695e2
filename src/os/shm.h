/* os/shm.h: memory that processes share, without a name: a sealed memfd mapped at one address in all of them. */
#ifndef OS_SHM_H
#define OS_SHM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A new sparse object of `size` bytes that can be neither grown nor shrunk. The descriptor (close-on-exec, moved out of
 * the way of the program's), or -ENOMEM (also: RLIMIT_FSIZE is below `size`), -ENOSYS, -EMFILE, ... */
int shm_create(size_t size);

/* Maps it at `base`, or, with NULL, at a place of its own choosing that is free in other processes of the same program
 * too. It is left out of core dumps: a dump would fill every hole of it. The address, or NULL with *failed = -errno:
 * -EEXIST where `base` is taken, -ENOMEM. */
void *shm_map(int fd, size_t size, void *base, int *failed);

/* Whether that lies in what this process has mapped by shm_map. */
bool shm_holds(const void *address);

/* Has the system back these pages now. 0, or -ENOMEM. errno stays. */
int shm_populate(void *start, size_t size);

/* Gives these whole pages back to the system, for all processes: they are holes of zeroes again. 0, or -ENOSYS: it
 * refuses, and they are as they were, or some of them are zeroes. errno stays. */
int shm_discard(void *start, size_t size);

/* What tells one object from another: a descriptor number may have been closed and given to a stranger. */
struct shm_identity {
    uint64_t device, inode;
};

int shm_identify(int fd, struct shm_identity *identity);
bool shm_is(int fd, const struct shm_identity *identity);

#endif
