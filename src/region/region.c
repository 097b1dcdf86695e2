/* region/region.c: founding and joining. */
#include "region/region.h"

#include "error/error.h"
#include "os/limits.h"
#include "region/heap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const uint64_t region_layout = BROOD_LAYOUT;
const char region_version[16] = BROOD_VERSION;

struct region *region;

static int region_fd = -1;
static struct shm_identity region_identity;
static char region_refusal[384] = "brood_init has not been called in this process";

static size_t aligned(size_t offset, size_t grain)
{
    return (offset + grain - 1) / grain * grain;
}

/* No region of that size: -errno with a sentence, which names the limit of this process that is in the way. */
static int refuse(const char *what, size_t size, const char *limit, uint64_t value, int failed)
{
    if (failed == -ENOMEM && value != UINT64_MAX)
        return error_set(ENOMEM, "%s the region of %zu bytes: %s is %llu", what, size, limit,
                         (unsigned long long)value);
    return error_set(-failed, "%s the region of %zu bytes: %s", what, size, strerror(-failed));
}

static int no_file(size_t size, int failed)
{
    uint64_t limit = limits_on_file();
    if (failed == -ENOSYS)
        return error_set(ENOSYS, "the kernel refuses memfd_create: %s", strerror(ENOSYS));
    return refuse(failed == -EMFILE || failed == -ENFILE ? "no descriptor is free for" : "no memory object for", size,
                  "RLIMIT_FSIZE", limit < size ? limit : UINT64_MAX, failed);
}

static int no_beginning(size_t size, int failed)
{
    return error_set(-failed, "no memory for the region's first %zu bytes: %s", size, strerror(-failed));
}

static struct region *map_new(int fd, size_t size, size_t populated)
{
    int failed = 0;
    struct region *found = shm_map(fd, size, NULL, &failed);
    if (!found) {
        refuse("no room to map", size, "RLIMIT_AS", limits_on_space(), failed);
        return NULL;
    }
    if (shm_populate(found, populated) < 0 || (failed = shm_identify(fd, &region_identity)) < 0) {
        munmap(found, size);
        no_beginning(populated, failed ? failed : -ENOMEM);
        return NULL;
    }
    return found;
}

/* Everything up to the heap's tables of units is there from the beginning: of the family's table any slot may be wanted
 * where nobody can be refused. */
struct region *region_found(size_t size, size_t table_size, brood_heap_mode mode)
{
    size = aligned(size, REGION_GRAIN);
    int fd = shm_create(size), failed;
    if (fd < 0) {
        no_file(size, fd);
        return NULL;
    }
    size_t table_at = aligned(sizeof(struct region), 64);
    size_t heap_at = aligned(table_at + table_size, 64);
    struct region *found = map_new(fd, size, heap_at);
    if (found) {
        *found = (struct region){ .magic = REGION_MAGIC,
                                  .layout = region_layout,
                                  .version = BROOD_VERSION,
                                  .base = (uintptr_t)found,
                                  .size = size,
                                  .table = (struct table *)(void *)((char *)found + table_at),
                                  .heap = (struct heap *)(void *)((char *)found + heap_at) };
        if ((failed = heap_lay_out(found->heap, (char *)found + size, mode)) < 0) {
            munmap(found, size);
            no_beginning(heap_at, failed);
            found = NULL;
        }
    }
    if (!found) {
        failed = errno;
        close(fd);
        errno = failed;
        return NULL;
    }
    region_fd = fd;
    return found;
}

void region_publish(struct region *found)
{
    __atomic_store_n(&region, found, __ATOMIC_RELEASE); /* pairs with the acquire in region_is_there */
}

bool region_is_there(void)
{
    return __atomic_load_n(&region, __ATOMIC_ACQUIRE) != NULL;
}

int region_join(int fd)
{
    struct region head;
    int failed = 0;
    if (pread(fd, &head, sizeof head, 0) != sizeof head || head.magic >> 24 != REGION_MAGIC >> 24)
        return error_set(EPERM, "descriptor %d, said to be the family's region, is not", fd);
    /* A libbrood that was replaced since the family began. */
    if (head.magic != REGION_MAGIC || head.layout != region_layout)
        return error_set(EPERM, "the family's region was laid out by another version of brood (%.15s; this is %s)",
                         head.magic == REGION_MAGIC ? head.version : "unknown", region_version);
    if (!shm_map(fd, head.size, (void *)(uintptr_t)head.base, &failed))
        return error_set(failed == -EEXIST ? EAGAIN : -failed,
                         "the region's address %#llx is taken in this process: %s", (unsigned long long)head.base,
                         strerror(-failed));
    if (shm_identify(fd, &region_identity) < 0)
        return error_set(EPERM, "the region's descriptor %d cannot be identified", fd);
    region = (struct region *)(uintptr_t)head.base;
    region_fd = fd;
    return 0;
}

void region_leave(void)
{
    munmap(region, region->size);
    region = NULL;
    close(region_fd);
    region_fd = -1;
}

int region_descriptor(void)
{
    if (!shm_is(region_fd, &region_identity))
        return error_set(EBADF, "the program closed brood's descriptor %d of the region, which a spawned child needs",
                         region_fd);
    return region_fd;
}

void region_descriptor_moved(int fd)
{
    if (region_fd != fd) /* a store would cost a fresh child the copy of a page */
        region_fd = fd;
}

void region_refuse(const char *sentence)
{
    snprintf(region_refusal, sizeof region_refusal, "%s", sentence);
}

int region_refused(void)
{
    return error_set(EINVAL, "%s", region_refusal);
}
