/* no_memory.c: private memory that cannot be had: each allocation of each call fails once. The call then succeeds all
 * the same, or says ENOMEM and leaves nothing: no descriptor, no process, no block; and the next one works.
 *
 * The allocator is this program's: it stands before libc's. A sanitizer has its own, and this is not for it.
 */
#include "harness.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if !defined(SANITIZED) && defined(__GLIBC__)
#define REPLACES 1
#endif

/* In the one process that fails: forks of it allocate. */
static struct {
    _Atomic int process;
    _Atomic int left; /* allocations until the one that fails */
    _Atomic int failed;
} fault;

#ifdef REPLACES
void *__libc_malloc(size_t size);               /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__libc_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__libc_realloc(void *old, size_t size);   /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static bool fails(void)
{
    if (atomic_load_explicit(&fault.process, memory_order_relaxed) == 0 || atomic_load(&fault.process) != getpid() ||
        atomic_fetch_sub(&fault.left, 1) != 1)
        return false;
    atomic_store(&fault.failed, 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size) /* NOLINT(readability-inconsistent-declaration-parameter-name) */
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) /* NOLINT(readability-inconsistent-declaration-parameter-name) */
{
    return fails() ? NULL : __libc_realloc(old, size);
}
#endif

/* What a try leaves to the next. */
struct ground {
    int ends[2];
    brood_event *event;
    brood_semaphore *semaphore;
    brood_queue *queue;
    brood_pool *pool;
    brood_listener *listener;
};

static void arm(int at)
{
    atomic_store(&fault.failed, 0);
    atomic_store(&fault.left, at);
    atomic_store(&fault.process, getpid());
}

/* 1: an allocation has failed. */
static int disarm(void)
{
    atomic_store(&fault.process, 0);
    return atomic_load(&fault.failed);
}

/* Each does its work armed, and undoes it disarmed: 0 or -errno. */
typedef int work(struct ground *ground);

/* Tries until no allocation is left to fail. */
static void try_all(work *do_it, struct ground *ground, bool may_grow)
{
    int at = 1;
    CHECK_EQ(do_it(ground), 0); /* what is made once is there */
    int descriptors = count_descriptors();
    size_t blocks = 0;
    for (;; at++) {
        brood_heap_stats stats;
        arm(at);
        int result = do_it(ground);
        int failed = disarm();
        CHECK(result == 0 || (failed && result == -ENOMEM && brood_error()[0]));
        CHECK_EQ(count_descriptors(), descriptors);
        CHECK_RESULT(brood_heap_stat(&stats), 0);
        CHECK(at == 1 || may_grow || stats.blocks <= blocks);
        blocks = stats.blocks;
        if (!failed || !CHECK(at < 500))
            break;
    }
    CHECK(at > 1); /* there was something to fail */
    CHECK_EQ(do_it(ground), 0);
}

static int wait_words(struct ground *ground)
{
    brood_waitable items[] = { { .kind = BROOD_WAIT_EVENT, .object = ground->event },
                               { .kind = BROOD_WAIT_SEMAPHORE, .object = ground->semaphore },
                               { .kind = BROOD_WAIT_QUEUE, .object = ground->queue },
                               { .kind = BROOD_WAIT_FD, .fd = ground->ends[0] } };
    int result = brood_wait(items, 4, 0);
    return result == -ETIMEDOUT ? 0 : result;
}

static int watch_many(struct ground *ground)
{
    enum { MANY = 40 };
    brood_event *events = brood_alloc_array(MANY, sizeof *events);
    int result = events ? 0 : -errno;
    brood_watch *watch = result == 0 ? brood_watch_create() : NULL;
    brood_waitable ready, fd = { .kind = BROOD_WAIT_FD, .fd = ground->ends[0] };
    if (!watch)
        result = -errno;
    if (result == 0)
        result = brood_watch_add(watch, &fd);
    for (int i = 0; i < MANY && result == 0; i++)
        result = brood_watch_add(watch, &(brood_waitable){ .kind = BROOD_WAIT_EVENT, .object = &events[i] });
    if (result == 0 && (result = brood_watch_wait(watch, &ready, 1, 0)) == -ETIMEDOUT)
        result = 0;
    if (result == 0 && brood_watch_fd(watch) < 0)
        result = -errno;
    brood_watch_destroy(watch);
    brood_free(events);
    return result;
}

static int talk(struct ground *ground)
{
    int pair[2], result = 0;
    (void)ground;
    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    brood_connection *one = brood_connection_adopt(pair[0], NULL), *other = NULL;
    if (!one)
        result = -errno;
    if (result == 0 && !(other = brood_connection_adopt(pair[1], NULL)))
        result = -errno;
    static char large[100000], small[8];
    size_t size;
    brood_block block = { NULL, 0 };
    if (result == 0)
        result = brood_connection_send(one, large, sizeof large, 5000);
    if (result == 0)
        result = brood_connection_recv_block(other, &block, 5000);
    if (result == 0)
        result = brood_connection_send(other, "hello", 5, 5000);
    if (result == 0)
        result = brood_connection_recv(one, small, sizeof small, &size, 5000);
    brood_free((void *)(uintptr_t)block.data);
    if (!one)
        close(pair[0]);
    if (!other)
        close(pair[1]);
    brood_connection_close(one);
    brood_connection_close(other);
    return result;
}

/* Connects to the listener, which takes it in. */
static int meet(struct ground *ground)
{
    brood_connection *client = brood_connection_open(brood_listener_address(ground->listener), NULL), *server = NULL;
    int result = client ? 0 : -errno;
    if (result == 0 && !(server = brood_listener_accept(ground->listener, 5000)))
        result = -errno;
    if (result == 0)
        result = brood_connection_send(client, "hello", 5, 5000);
    char bytes[5];
    if (result == 0)
        result = brood_connection_recv(server, bytes, 5, NULL, 5000);
    int failed = atomic_load(&fault.failed);
    disarm();
    brood_connection *late = NULL; /* it waits for an accept that has memory; of a client without memory, too */
    while (result < 0 && (late = brood_listener_accept(ground->listener, 50)))
        brood_connection_close(late);
    atomic_store(&fault.failed, failed);
    brood_connection_close(client);
    brood_connection_close(server);
    return result;
}

static int listen_anew(struct ground *ground)
{
    (void)ground;
    brood_listener *listener = brood_listener_create("tcp:127.0.0.1:0", NULL);
    int result = listener ? 0 : -errno;
    brood_listener_destroy(listener);
    return result;
}

static int pipe_anew(struct ground *ground)
{
    brood_connection *ends[2];
    char byte;
    (void)ground;
    int result = brood_pipe_create(ends, NULL);
    if (result < 0)
        return result;
    result = brood_connection_send(ends[0], "x", 1, 0);
    if (result == 0)
        result = brood_connection_poll(ends[1], 0);
    if (result == 0)
        result = brood_connection_recv(ends[1], &byte, 1, NULL, 0);
    brood_connection_close(ends[0]);
    brood_connection_close(ends[1]);
    return result;
}

static int square(const void *in, void *out)
{
    int number = *(const int *)in;
    *(int *)out = number * number;
    return 0;
}

static int map(struct ground *ground)
{
    int in[] = { 1, 2, 3, 4 }, out[4] = { 0 };
    int result = brood_pool_map(ground->pool, square, in, sizeof *in, out, sizeof *out, 4, NULL);
    CHECK(result != 0 || out[3] == 16);
    return result;
}

static int later(struct ground *ground)
{
    int in[] = { 1, 2, 3, 4 }, out[4] = { 0 }, one = 0;
    brood_result *results[] = { brood_pool_map_async(ground->pool, square, in, sizeof *in, out, sizeof *out, 4, NULL),
                                NULL };
    int result = results[0] ? 0 : -errno;
    if (result == 0 && !(results[1] = brood_pool_apply_async(ground->pool, square, in, sizeof *in, &one, sizeof one,
                                                             &(brood_task_options){ .hard_ms = 5000 })))
        result = -errno;
    for (int i = 0; i < 2; i++) {
        if (!results[i])
            continue;
        int got = brood_result_wait(results[i], 10000);
        result = result ? result : got;
        CHECK_RESULT(brood_result_destroy(results[i]), 0);
    }
    return result;
}

static int next(void *context, void *in)
{
    int *left = context;
    *(int *)in = *left;
    return (*left)-- == 0;
}

static int one_by_one(struct ground *ground)
{
    int left = 10, out, got = 0;
    brood_result *results = brood_pool_imap(ground->pool, square, next, &left, sizeof(int), sizeof(int), NULL);
    int result = results ? 0 : -errno;
    while (result == 0 && (result = brood_result_next(results, &out, NULL, 10000)) == 0)
        got++;
    CHECK(result != -EPIPE || got == 10);
    brood_result_destroy(results);
    return result == -EPIPE ? 0 : result;
}

static int pool_anew(struct ground *ground)
{
    int in = 3, out = 0;
    (void)ground;
    brood_pool *pool = brood_pool_create(2, NULL);
    int result = pool ? brood_pool_apply(pool, square, &in, sizeof in, &out, sizeof out, NULL) : -errno;
    disarm(); /* the end is not for failing */
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    return result;
}

static int grow(struct ground *ground)
{
    int result = brood_pool_resize(ground->pool, 6, 10000);
    int failed = atomic_load(&fault.failed);
    disarm();
    CHECK_RESULT(brood_pool_resize(ground->pool, 2, 10000), 0);
    atomic_store(&fault.failed, failed);
    return result;
}

static int idle(void *arg)
{
    (void)arg;
    return 0;
}

static int start_by(brood_start method)
{
    char *environment[] = { "A=1", NULL };
    brood_end end;
    brood_process *process = brood_process_start(
        idle, NULL, 0, &(brood_process_options){ .start = method, .environment = environment, .directory = "/" });
    int result = process ? 0 : -errno;
    int failed = atomic_load(&fault.failed);
    disarm();
    if (process) {
        CHECK_RESULT(brood_process_join(process, &end, 15000), 0);
        CHECK_EQ(end.how, BROOD_RETURNED);
        CHECK_RESULT(brood_process_close(process), 0);
    }
    atomic_store(&fault.failed, failed);
    return result;
}

static int start_fork(struct ground *ground)
{
    (void)ground;
    return start_by(BROOD_FORK);
}

static int start_spawn(struct ground *ground)
{
    (void)ground;
    return start_by(BROOD_SPAWN);
}

static int start_server(struct ground *ground)
{
    (void)ground;
    return start_by(BROOD_FORKSERVER);
}

static struct ground *new_ground(void)
{
    static struct ground ground;
#ifndef REPLACES
    harness_skip("the allocator cannot be replaced here");
#endif
    NEED(pipe(ground.ends) == 0);
    ground.event = CHECK_POINTER(brood_alloc(sizeof *ground.event));
    ground.semaphore = CHECK_POINTER(brood_alloc(sizeof *ground.semaphore));
    ground.queue = CHECK_POINTER(brood_queue_create(NULL));
    return &ground;
}

static void waits(void)
{
    struct ground *ground = new_ground();
    try_all(wait_words, ground, false);
    try_all(watch_many, ground, false);
}

static void connections(void)
{
    struct ground *ground = new_ground();
    ground->listener = CHECK_POINTER(brood_listener_create("tcp:127.0.0.1:0", NULL));
    try_all(talk, ground, false);
    try_all(listen_anew, ground, false);
    try_all(meet, ground, false);
    CHECK_RESULT(brood_listener_destroy(ground->listener), 0);
}

static void pipes(void)
{
    struct ground *ground = new_ground(); /* all of it is in the region: nothing to fail */
    for (int i = 0; i < 3; i++) {
        arm(1);
        CHECK_EQ(pipe_anew(ground), 0);
        CHECK_EQ(disarm(), 0);
    }
}

static void pools(void)
{
    struct ground *ground = new_ground();
    try_all(pool_anew, ground, true);
    ground->pool = CHECK_POINTER(brood_pool_create(2, NULL));
    try_all(later, ground, true);
    try_all(one_by_one, ground, true);
    CHECK_EQ(map(ground), 0);
    CHECK_EQ(grow(ground), 0);
    CHECK_RESULT(brood_pool_destroy(ground->pool), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* The same in another process than the pool's creator, where the first call has more to allocate. */
static int use_anothers(void *arg)
{
    struct ground ground = { .pool = arg };
    arm(1);
    CHECK_EQ(later(&ground), -ENOMEM);
    CHECK_EQ(disarm(), 1);
    try_all(later, &ground, true);
    try_all(one_by_one, &ground, true);
    CHECK_EQ(map(&ground), 0);
    return 0;
}

static void pool_of_another(void)
{
    new_ground();
    brood_pool *pool = CHECK_POINTER(brood_pool_create(2, NULL));
    brood_process *process = CHECK_POINTER(brood_process_start(use_anothers, pool, 0, NULL));
    brood_end end;
    CHECK_RESULT(brood_process_join(process, &end, BROOD_FOREVER), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void processes(void)
{
    struct ground *ground = new_ground();
    try_all(start_fork, ground, true);
    try_all(start_spawn, ground, true);
    try_all(start_server, ground, true);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "waits", .run = waits },
        { .name = "connections", .run = connections, .deadline_s = 60 },
        { .name = "pipes", .run = pipes },
        { .name = "pools", .run = pools, .deadline_s = 60 },
        { .name = "pool_of_another", .run = pool_of_another, .deadline_s = 60 },
        { .name = "processes", .run = processes, .deadline_s = 60 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
