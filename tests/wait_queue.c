/* wait_queue.c: brood/wait.h over queues, and over those that owe them messages. */
#include "harness.h"

#include <brood.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Once it is told that it may. */
static int return_later(void *arg)
{
    CHECK(wait_word(arg, 1, 5000));
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    return 0;
}

static void end(brood_process *process)
{
    brood_end end;
    CHECK_RESULT(brood_process_join(process, &end, 5000), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_RESULT(brood_process_close(process), 0);
}

static bool is_readable(int fd, int ms)
{
    struct epoll_event event = { .events = EPOLLIN };
    int loop = epoll_create1(EPOLL_CLOEXEC), found;
    NEED(loop >= 0 && epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) == 0);
    while ((found = epoll_wait(loop, &event, 1, ms)) < 0 && errno == EINTR)
        continue;
    close(loop);
    return found == 1;
}

static int put_later(void *arg)
{
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    return brood_queue_put(arg, &(int){ 7 }, sizeof(int), 1000) < 0;
}

static int get_later(void *arg)
{
    int number;
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    return brood_queue_get(arg, &number, sizeof number, NULL, 1000) < 0;
}

static void queues(void)
{
    brood_event *event = CHECK_POINTER(brood_alloc(sizeof *event));
    brood_queue *queue = CHECK_POINTER(brood_queue_create(NULL));
    brood_queue *full = CHECK_POINTER(brood_queue_create(&(brood_queue_options){ .max_messages = 1 }));
    brood_waitable items[] = { { .kind = BROOD_WAIT_QUEUE, .object = queue },
                               { .kind = BROOD_WAIT_QUEUE, .object = full, .want = BROOD_PUTS },
                               { .kind = BROOD_WAIT_EVENT, .object = event },
                               { .kind = BROOD_WAIT_FD, .fd = 0 } };
    int ends[2], number;
    NEED(pipe2(ends, O_CLOEXEC) == 0);
    items[3].fd = ends[0];
    CHECK_RESULT(brood_wait(items, 2, 0), 1);
    CHECK(!items[0].ready && items[1].ready);
    CHECK_RESULT(brood_queue_put(full, "x", 1, 0), 0);
    CHECK_RESULT(brood_wait(items, 4, 0), -ETIMEDOUT);
    for (int round = 0; round < 20; round++) {
        size_t count = round % 2 ? 4 : 3; /* words alone, or with a descriptor */
        brood_process *process = CHECK_POINTER(brood_process_start(put_later, queue, 0, NULL));
        CHECK_RESULT(brood_wait(items, count, 5000), 1);
        CHECK(items[0].ready && !items[1].ready);
        CHECK_RESULT(brood_queue_get(queue, &number, sizeof number, NULL, 0), 0);
        CHECK_EQ(number, 7);
        end(process);
        CHECK_RESULT(brood_queue_put(queue, &number, sizeof number, 0), 0);
        CHECK_RESULT(brood_queue_get(queue, &number, sizeof number, NULL, 0), 0);
        CHECK_RESULT(brood_wait(items, count, 0), -ETIMEDOUT);
    }
    CHECK_RESULT(brood_queue_get(full, &number, 1, NULL, 0), 0);
    CHECK_RESULT(brood_queue_put(full, &(int){ 3 }, sizeof(int), 0), 0);
    for (int round = 0; round < 6; round++) {
        brood_process *process = CHECK_POINTER(brood_process_start(get_later, full, 0, NULL));
        CHECK_RESULT(brood_wait(items, 3 + round % 2, 5000), 1);
        CHECK(!items[0].ready && items[1].ready);
        end(process);
        CHECK_RESULT(brood_queue_put(full, &(int){ 3 }, sizeof(int), 0), 0);
    }
    items[0].want = 3;
    CHECK_RESULT(brood_wait(items, 1, 0), -EINVAL);
    items[0].want = BROOD_GETS;
    CHECK_RESULT(brood_queue_close(queue), 0);
    CHECK_RESULT(brood_wait(items, 4, 0), 1);
    CHECK(items[0].ready);
    close(ends[0]);
    close(ends[1]);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    CHECK_RESULT(brood_queue_destroy(full), 0);
    CHECK_RESULT(brood_event_fini(event), 0); /* nobody sleeps on it any more */
    brood_free(event);
}

static int put_three(void *arg)
{
    for (int i = 0; i < 3; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        if (brood_queue_put(arg, &i, sizeof i, 1000) < 0)
            return 1;
    }
    return 0;
}

static int put_and_die(void *arg)
{
    put_three(arg);
    raise(SIGKILL);
    return 0;
}

/* The draft of a consumer in a loop: it ends when those who owe it messages have. */
static int consume(brood_target *target, int *seen)
{
    brood_queue *queue = CHECK_POINTER(brood_queue_create(&(brood_queue_options){ .name = "readings" }));
    brood_watch *watch = CHECK_POINTER(brood_watch_create());
    brood_waitable item = { .kind = BROOD_WAIT_QUEUE, .object = queue }, ready;
    brood_process *processes[2];
    CHECK_RESULT(brood_watch_add(watch, &item), 0);
    for (int i = 0; i < 2; i++) {
        processes[i] = CHECK_POINTER(brood_process_start(target, queue, 0, NULL));
        CHECK_RESULT(brood_process_owes(processes[i], queue, BROOD_PUTS), 0);
    }
    int number, result = 0, fd = brood_watch_fd(watch);
    while (result != -EPIPE && result != -EOWNERDEAD && CHECK(is_readable(fd, 5000))) {
        if (brood_watch_wait(watch, &ready, 1, 0) < 0)
            continue;
        while ((result = brood_queue_get(queue, &number, sizeof number, NULL, 0)) >= 0)
            ++*seen;
    }
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(brood_process_join(processes[i], NULL, 5000), 0);
        CHECK_RESULT(brood_process_close(processes[i]), 0);
    }
    CHECK_RESULT(brood_watch_destroy(watch), 0);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
    return result;
}

static void owed(void)
{
    int seen = 0;
    CHECK_EQ(consume(put_three, &seen), -EPIPE);
    CHECK_EQ(seen, 6);
    seen = 0;
    CHECK_EQ(consume(put_and_die, &seen), -EOWNERDEAD);
    CHECK_EQ(seen, 6);
    /* And once, by words at first. */
    brood_queue *queue = CHECK_POINTER(brood_queue_create(NULL));
    _Atomic int *go = CHECK_POINTER(brood_alloc(sizeof *go));
    brood_process *process = CHECK_POINTER(brood_process_start(return_later, (void *)go, 0, NULL));
    CHECK_RESULT(brood_process_owes(process, queue, BROOD_PUTS), 0);
    atomic_store(go, 1);
    brood_waitable item = { .kind = BROOD_WAIT_QUEUE, .object = queue };
    CHECK_RESULT(brood_wait(&item, 1, 5000), 1);
    CHECK_RESULT(brood_queue_get(queue, &seen, sizeof seen, NULL, 0), -EPIPE);
    end(process);
    brood_free((void *)go);
    CHECK_RESULT(brood_queue_destroy(queue), 0);
}

/* Where the kernel has no io_uring, or a sandbox forbids it. */
static void without_ring(void)
{
    if (refuse_call(SYS_io_uring_setup, EPERM) != 0)
        harness_skip("no seccomp filters here");
    queues();
    owed();
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "queues", .run = queues },
        { .name = "owed", .run = owed },
        { .name = "without_ring", .run = without_ring },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
