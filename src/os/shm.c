/* os/shm.c: memfd_create(2) and where to map it. */
#include "os/shm.h"

#include "os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHM_ALIGN 65536

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Address space that is free in every process of a program, whatever its build: below the lowest address of
 * position-independent programs, above heaps of others, and left alone by the sanitizers' shadows. One line a machine.
 * */
#if defined(__x86_64__)
static const uintptr_t shm_lowest = 0x550000000000, shm_highest = 0x555500000000;
#elif defined(__aarch64__)
static const uintptr_t shm_lowest = 0x1000000000, shm_highest = 0x5000000000; /* fits 39-bit address spaces */
#elif defined(__i386__)
static const uintptr_t shm_lowest = 0x60000000, shm_highest = 0xa0000000; /* above programs and their heaps */
#else
#error "os/shm.c: no place for the region is known on this machine"
#endif

/* What is mapped. By shm_map, of which one succeeds in a process' life. */
static uintptr_t mapped_from, mapped_to;

int shm_create(size_t size)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_FSIZE, &files) == 0 && files.rlim_cur < size)
        return -ENOMEM; /* ftruncate would raise SIGXFSZ */
    int fd = memfd_create("brood", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("brood", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int failed = errno == EFBIG || errno == ENOSPC ? -ENOMEM : -errno;
        close(fd);
        return failed;
    }
    return child_out_of_the_way(fd);
}

static void *map_at(int fd, size_t size, void *base)
{
    void *map = mmap(base, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);
    if (map == MAP_FAILED)
        return NULL;
    if (map != base || madvise(map, size, MADV_DONTDUMP) < 0) { /* a kernel before 4.17 takes the address as a hint */
        int failed = map != base ? EEXIST : errno;
        munmap(map, size);
        errno = failed;
        return NULL;
    }
    return map;
}

void *shm_map(int fd, size_t size, void *base, int *failed)
{
    void *map = base ? map_at(fd, size, base) : NULL;
    uint64_t places = size < shm_highest - shm_lowest ? (shm_highest - shm_lowest - size) / SHM_ALIGN : 0;
    errno = base ? errno : places ? EEXIST : ENOMEM;
    for (int tries = 0; !base && !map && places && errno == EEXIST && tries < 64; tries++) {
        uint64_t random;
        if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random)
            random = (uintptr_t)&random ^ (uint64_t)getpid() << 20;
        errno = EEXIST;
        map = map_at(fd, size, (void *)(shm_lowest + (uintptr_t)(random % places) * SHM_ALIGN));
    }
    *failed = map ? 0 : -errno;
    if (map) {
        mapped_from = (uintptr_t)map;
        mapped_to = mapped_from + size;
    }
    return map;
}

bool shm_holds(const void *address)
{
    return (uintptr_t)address >= mapped_from && (uintptr_t)address < mapped_to;
}

int shm_populate(void *start, size_t size)
{
    int before = errno;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)start & ~(page - 1), to = ((uintptr_t)start + size + page - 1) & ~(page - 1);
    while (madvise((void *)from, to - from, MADV_POPULATE_WRITE) < 0) {
        if (errno == EINTR || errno == EAGAIN)
            continue;
        int failed = errno;
        errno = before;
        if (failed != EINVAL)
            return -ENOMEM;
        for (uintptr_t at = from; at < to; at += page) /* before Linux 5.14 */
            atomic_fetch_or((_Atomic unsigned char *)at, 0);
        break;
    }
    errno = before;
    return 0;
}

int shm_discard(void *start, size_t size)
{
    int before = errno, failed;
    do
        failed = madvise(start, size, MADV_REMOVE);
    while (failed < 0 && (errno == EINTR || errno == EAGAIN));
    errno = before;
    return failed < 0 ? -ENOSYS : 0;
}

int shm_identify(int fd, struct shm_identity *identity)
{
    struct stat file;
    if (fstat(fd, &file) < 0)
        return -errno;
    *identity = (struct shm_identity){ .device = file.st_dev, .inode = file.st_ino };
    return 0;
}

bool shm_is(int fd, const struct shm_identity *identity)
{
    struct shm_identity found = { 0 };
    return shm_identify(fd, &found) == 0 && found.device == identity->device && found.inode == identity->inode;
}
