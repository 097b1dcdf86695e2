/* pool/trace_file.c: a trace's file: opened by the creator, written to by whoever has the trace's latch.
 *
 * It is the JSON array of Chrome's trace event format. A text is written with one pwrite(2) from where the closing
 * bracket stood, and ends with another one; so the file is whole except while a write is under way. A write that is cut
 * short (by a death the kernel cuts it between two pages, else by a full disk) is undone by writing the bracket where
 * it was.
 */
#include "pool/trace.h"

#include "error/error.h"
#include "error/log.h"
#include "os/clock.h"
#include "os/limits.h"
#include "pool/owner.h"
#include "region/heap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLOSING "\n]\n"
#define CLOSING_SIZE (sizeof CLOSING - 1)
#define FILES_MOST 1000 /* that pools of one BROOD_TRACE try */

void trace_end(struct brood_pool *pool, int code)
{
    int32_t none = 0;
    if (atomic_compare_exchange_strong(&pool->trace->ended, &none, code))
        log_say(BROOD_WARNING, "pool '%s': its trace ends here: %s: %s", pool->name, pool->trace->path, strerror(code));
}

/* ---- writing ---- */

/* The file, if it is still the one that was opened; or -errno. */
static int open_again(const struct trace *trace)
{
    int fd = open(trace->path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (shm_is(fd, &trace->file))
        return fd;
    close(fd);
    return -ESTALE;
}

static int write_at(int fd, uint64_t at, const char *text, size_t size)
{
    if (limits_on_file() < at + size) /* it would be a signal that kills */
        return -EFBIG;
    for (size_t done = 0; done < size;) {
        ssize_t wrote = pwrite(fd, text + done, size - done, (off_t)(at + done));
        if (wrote < 0 && errno != EINTR)
            return -errno;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return 0;
}

/* Ends the file where `length` says. */
static void close_again(struct trace *trace, int fd)
{
    if (write_at(fd, trace->length, CLOSING, CLOSING_SIZE) == 0 &&
        ftruncate(fd, (off_t)(trace->length + CLOSING_SIZE)) == 0)
        atomic_store(&trace->torn, 0);
}

/* What was written counts from the intent on. */
static void commit(struct trace *trace)
{
    atomic_store(&trace->intent.ring->tail, trace->intent.tail);
    trace->length = trace->intent.length;
    trace->lost = 0;
    atomic_store(&trace->torn, 0);
    atomic_store(&trace->intent.pending, 0);
}

/* From the ring's tail on, as many as have room. Where it stopped. */
static uint64_t to_text(struct brood_pool *pool, struct trace_ring *ring, uint64_t head, size_t *size)
{
    struct trace *trace = pool->trace;
    uint64_t at = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    *size = 0;
    if (trace->lost) {
        memcpy(trace->text, ",\n", 2);
        *size = 2 + (size_t)trace_line(pool,
                                       &(struct trace_event){ .kind = TRACE_LOST,
                                                              .index = trace->lost,
                                                              .begin = ring->events[at % TRACE_EVENTS].begin,
                                                              .pid = pool->creator },
                                       trace->text + 2);
    }
    for (; at < head && *size + TRACE_LINE + 2 <= TRACE_TEXT; at++) {
        memcpy(trace->text + *size, ",\n", 2);
        *size += 2 + (size_t)trace_line(pool, &ring->events[at % TRACE_EVENTS], trace->text + *size + 2);
    }
    return at;
}

static int write_text(struct brood_pool *pool, struct trace_ring *ring, uint64_t head, int fd)
{
    struct trace *trace = pool->trace;
    size_t size;
    uint64_t tail = to_text(pool, ring, head, &size);
    memcpy(trace->text + size, CLOSING, CLOSING_SIZE);
    atomic_store(&trace->torn, 1);
    int failed = write_at(fd, trace->length, trace->text, size + CLOSING_SIZE);
    if (failed < 0) {
        close_again(trace, fd);
        return failed;
    }
    trace->intent.ring = ring;
    trace->intent.tail = tail;
    trace->intent.length = trace->length + size;
    atomic_store(&trace->intent.pending, 1);
    commit(trace);
    return 0;
}

/* This process cannot open it, having another user, another root, or no descriptor left; the keeper may. */
static bool is_own_fault(int failed)
{
    return failed == -EACCES || failed == -EPERM || failed == -EMFILE || failed == -ENFILE;
}

bool trace_write(struct brood_pool *pool, struct trace_ring *ring)
{
    struct trace *trace = pool->trace;
    if (atomic_load(&trace->intent.pending))
        commit(trace);
    /* Acquire: pairs with the release of who puts events there. */
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
    if (head == atomic_load(&ring->tail) && !atomic_load(&trace->torn))
        return true;
    int fd = open_again(trace), failed = fd < 0 ? fd : 0;
    if (fd >= 0 && atomic_load(&trace->torn))
        close_again(trace, fd);
    while (failed == 0 && atomic_load(&ring->tail) != head)
        failed = write_text(pool, ring, head, fd);
    if (fd >= 0)
        close(fd);
    if (failed < 0 && fd < 0 && is_own_fault(failed)) {
        trace->lost += head - atomic_load(&ring->tail);
        atomic_store(&ring->tail, head);
        return true;
    }
    if (failed < 0)
        trace_end(pool, -failed);
    return failed == 0;
}

/* ---- opening ---- */

/* The file, locked for this pool, as it was; or -errno. */
static int open_locked(const char *path)
{
    struct stat status;
    int failed, fd = open(path, O_RDWR | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0)
        failed = -errno;
    else if (!S_ISREG(status.st_mode))
        failed = -EINVAL;
    else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        failed = errno == EWOULDBLOCK ? -EBUSY : -errno;
    else
        return fd;
    close(fd);
    return failed;
}

/* "%p" is this process' id. False: it is too long. */
static bool expand(char path[static TRACE_PATH], const char *from, unsigned number)
{
    size_t size = 0;
    for (; *from && size < TRACE_PATH - 32; from++) {
        if (from[0] == '%' && from[1] == 'p') {
            size += (size_t)snprintf(path + size, TRACE_PATH - size, "%d", getpid());
            from++;
        } else {
            path[size++] = *from;
        }
    }
    path[size] = 0;
    if (number > 1)
        snprintf(path + size, TRACE_PATH - size, ".%u", number);
    return !*from;
}

/* The first of FILE, FILE.2, ... that no pool of this process has had, and none of another has now. */
static int open_next(char path[static TRACE_PATH], const char *from)
{
    static _Atomic unsigned pools;
    int fd = -EBUSY;
    for (int i = 0; i < FILES_MOST && fd == -EBUSY; i++)
        fd = expand(path, from, atomic_fetch_add(&pools, 1) + 1) ? open_locked(path) : -ENAMETOOLONG;
    return fd;
}

static int begin_file(struct brood_pool *pool, int fd)
{
    struct trace *trace = pool->trace;
    char *whole = realpath(trace->path, NULL);
    if (!whole)
        return -errno;
    int failed = strlen(whole) < TRACE_PATH ? 0 : -ENAMETOOLONG;
    if (failed == 0)
        snprintf(trace->path, TRACE_PATH, "%s", whole);
    free(whole);
    if (failed == 0 && (ftruncate(fd, 0) < 0 || shm_identify(fd, &trace->file) < 0))
        failed = -errno;
    memcpy(trace->text, "[\n", 2);
    int size =
        2 + trace_line(pool, &(struct trace_event){ .kind = TRACE_CREATOR, .begin = clock_now(), .pid = pool->creator },
                       trace->text + 2);
    memcpy(trace->text + size, CLOSING, CLOSING_SIZE);
    trace->length = (uint64_t)size;
    return failed < 0 ? failed : write_at(fd, 0, trace->text, (size_t)size + CLOSING_SIZE);
}

static int open_trace(struct brood_pool *pool, const char *option, const char *environment)
{
    struct owner *owner = pool_owner(pool);
    struct trace *trace = heap_take_aligned(sizeof *trace, 64);
    if (!trace)
        return -ENOMEM;
    heap_label(trace, "trace of a pool");
    pool->trace = trace;
    int fd = !option                          ? open_next(trace->path, environment)
             : expand(trace->path, option, 1) ? open_locked(trace->path)
                                              : -ENAMETOOLONG;
    if (fd < 0)
        return fd;
    owner->trace_file = fd;
    int failed = begin_file(pool, fd);
    if (failed == 0)
        failed = trace_make_rings(pool, 0, atomic_load(&pool->count));
    pool->functions.symbols = true;
    return failed;
}

int trace_open(struct brood_pool *pool, const char *option)
{
    const char *environment = option ? NULL : getenv("BROOD_TRACE");
    pool_owner(pool)->trace_file = -1;
    if (!option && (!environment || !environment[0]))
        return 0;
    int failed = open_trace(pool, option, environment);
    if (failed == 0)
        return 0;
    const char *why = failed == -EBUSY    ? "another pool writes its trace there"
                      : failed == -EINVAL ? "it is no regular file"
                                          : strerror(-failed);
    if (option)
        return error_set(-failed, "brood_pool_create: trace '%s': %s", option, why);
    log_say(BROOD_WARNING, "pool '%s' is not traced: BROOD_TRACE is '%s': %s", pool->name, environment, why);
    for (uint32_t i = 0; i < atomic_load(&pool->count); i++) {
        struct worker *worker = pool_worker(pool, i);
        if (worker->trace)
            heap_give(worker->trace, (void **)&worker->trace);
    }
    if (pool_owner(pool)->trace_file >= 0)
        close(pool_owner(pool)->trace_file);
    pool_owner(pool)->trace_file = -1;
    if (pool->trace)
        heap_give(pool->trace, (void **)&pool->trace);
    return 0;
}
