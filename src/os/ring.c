/* os/ring.c: io_uring_setup(2), io_uring_enter(2), io_uring_register(2), with what kernel headers before 6.7 lack. */
#include "os/ring.h"

#include "os/child.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OP_FUTEX_WAIT 51
#define WORD_OF_32_BITS 2u /* FUTEX2_SIZE_U32; without FUTEX2_PRIVATE: shared */

static _Atomic uint32_t *at(const struct ring *ring, uint32_t offset)
{
    return (_Atomic uint32_t *)(void *)((char *)ring->rings + offset);
}

static struct io_uring_cqe *completion(const struct ring *ring, uint32_t index)
{
    return (struct io_uring_cqe *)(void *)((char *)ring->rings + ring->cqes) + index;
}

/* Whether words can stand in it. */
static bool takes_words(int fd)
{
    enum { OPS = OP_FUTEX_WAIT + 1 };
    struct io_uring_probe *probe = calloc(1, sizeof *probe + OPS * sizeof(struct io_uring_probe_op));
    bool takes = probe && syscall(SYS_io_uring_register, fd, IORING_REGISTER_PROBE, probe, OPS) == 0 &&
                 probe->last_op >= OP_FUTEX_WAIT && probe->ops[OP_FUTEX_WAIT].flags & IO_URING_OP_SUPPORTED;
    free(probe);
    return takes;
}

static int map(struct ring *ring, const struct io_uring_params *params)
{
    uint64_t sq = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
    uint64_t cq = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    ring->rings_size = sq > cq ? sq : cq;
    ring->entries_size = params->sq_entries * sizeof(struct io_uring_sqe);
    ring->rings = mmap(NULL, ring->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
                       (off_t)IORING_OFF_SQ_RING);
    if (ring->rings == MAP_FAILED)
        return -errno;
    ring->entries = mmap(NULL, ring->entries_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
                         (off_t)IORING_OFF_SQES);
    if (ring->entries == MAP_FAILED) {
        int failed = -errno;
        munmap(ring->rings, ring->rings_size);
        return failed;
    }
    /* A forked child has no use for it, and must not make entries in its parent's. */
    madvise(ring->rings, ring->rings_size, MADV_DONTFORK);
    madvise(ring->entries, ring->entries_size, MADV_DONTFORK);
    ring->sq_tail = params->sq_off.tail;
    ring->sq_array = params->sq_off.array;
    ring->cq_head = params->cq_off.head;
    ring->cq_tail = params->cq_off.tail;
    ring->cqes = params->cq_off.cqes;
    ring->sq_mask = atomic_load(at(ring, params->sq_off.ring_mask));
    ring->cq_mask = atomic_load(at(ring, params->cq_off.ring_mask));
    return 0;
}

int ring_open(struct ring *ring, uint32_t words)
{
    struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP };
    *ring = (struct ring){ .room = words < RING_MOST ? words : RING_MOST };
    params.cq_entries = ring->room < 8 ? 8 : ring->room;
    ring->fd = (int)syscall(SYS_io_uring_setup, 1, &params); /* one entry: each is handed over at once */
    if (ring->fd < 0)
        return errno == EPERM || errno == EINVAL ? -ENOSYS : -errno;
    int failed = child_clear_of_streams(&ring->fd, 1); /* io_uring_setup(2) makes it close-on-exec */
    if (failed < 0)
        return failed;
    if (!(params.features & IORING_FEAT_SINGLE_MMAP) || !takes_words(ring->fd))
        failed = -ENOSYS;
    else
        failed = map(ring, &params);
    if (failed < 0)
        close(ring->fd);
    return failed;
}

void ring_close(struct ring *ring)
{
    munmap(ring->entries, ring->entries_size);
    munmap(ring->rings, ring->rings_size);
    close(ring->fd);
}

int ring_arm(struct ring *ring, const struct futex_watch *watch, uint64_t tag)
{
    if (ring->armed == ring->room)
        return -ENOSPC;
    uint32_t tail = atomic_load_explicit(at(ring, ring->sq_tail), memory_order_relaxed);
    struct io_uring_sqe *entry = (struct io_uring_sqe *)ring->entries + (tail & ring->sq_mask);
    *entry = (struct io_uring_sqe){ .opcode = OP_FUTEX_WAIT,
                                    .fd = WORD_OF_32_BITS,
                                    .addr = (uintptr_t)watch->word,
                                    .off = watch->expected,
                                    .addr3 = FUTEX_BITSET_MATCH_ANY,
                                    .user_data = tag };
    atomic_store_explicit(at(ring, ring->sq_array) + (tail & ring->sq_mask), tail & ring->sq_mask,
                          memory_order_relaxed);
    /* Release: the kernel reads the entry after the tail. */
    atomic_store_explicit(at(ring, ring->sq_tail), tail + 1, memory_order_release);
    long entered;
    while ((entered = syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0)) < 0 && errno == EINTR)
        continue;
    if (entered != 1) {
        atomic_store_explicit(at(ring, ring->sq_tail), tail, memory_order_release);
        return entered < 0 ? -errno : -EAGAIN;
    }
    ring->armed++;
    return 0;
}

static void call_off(const struct ring *ring, uint64_t tag, uint32_t flags)
{
    struct io_uring_sync_cancel_reg off = {
        .addr = tag, .fd = -1, .flags = flags, .timeout = { .tv_sec = -1, .tv_nsec = -1 }
    };
    while (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_SYNC_CANCEL, &off, 1) < 0 && errno == EINTR)
        continue;
}

void ring_disarm(struct ring *ring, uint64_t tag)
{
    call_off(ring, tag, 0);
}

void ring_disarm_all(struct ring *ring)
{
    if (ring->armed > 0)
        call_off(ring, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
}

bool ring_take(struct ring *ring, uint64_t *tag)
{
    uint32_t head = atomic_load_explicit(at(ring, ring->cq_head), memory_order_relaxed);
    /* Acquire: pairs with the kernel's release of the tail, after it has filled in the completion. */
    if (head == atomic_load_explicit(at(ring, ring->cq_tail), memory_order_acquire))
        return false;
    *tag = completion(ring, head & ring->cq_mask)->user_data;
    /* Release: the kernel may fill it again. */
    atomic_store_explicit(at(ring, ring->cq_head), head + 1, memory_order_release);
    ring->armed--;
    return true;
}
