/* wait_use.c: brood/wait.h: one wait for many, and sets that are kept. */
#include "harness.h"

#include <brood.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define MANY 300

struct stage {
    brood_event event, other;
    brood_semaphore semaphore, owned;
    brood_event many[MANY];
    _Atomic int go;
};

static struct stage *stage;

static void set_up(void)
{
    stage = CHECK_POINTER(brood_alloc(sizeof *stage));
    NEED(stage != NULL);
}

static void take_down(void)
{
    CHECK_RESULT(brood_event_fini(&stage->event), 0); /* nobody sleeps on them any more */
    CHECK_RESULT(brood_event_fini(&stage->other), 0);
    CHECK_RESULT(brood_semaphore_fini(&stage->semaphore), 0);
    brood_free(stage);
}

static int set_later(void *arg)
{
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    return brood_event_set(arg) < 0;
}

static int give_later(void *arg)
{
    nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    return brood_semaphore_release(arg) < 0;
}

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

static void words(void)
{
    set_up();
    brood_waitable items[] = { { .kind = BROOD_WAIT_EVENT, .object = &stage->event },
                               { .kind = BROOD_WAIT_EVENT, .object = &stage->other },
                               { .kind = BROOD_WAIT_SEMAPHORE, .object = &stage->semaphore } };
    CHECK_RESULT(brood_wait(items, 3, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_wait(items, 3, 10), -ETIMEDOUT);
    for (int round = 0; round < 10; round++) {
        brood_process *process = CHECK_POINTER(brood_process_start(set_later, &stage->other, 0, NULL));
        CHECK_RESULT(brood_wait(items, 3, 5000), 1);
        CHECK(!items[0].ready && items[1].ready && !items[2].ready);
        CHECK_RESULT(brood_event_clear(&stage->other), 0);
        end(process);
        process = CHECK_POINTER(brood_process_start(give_later, &stage->semaphore, 0, NULL));
        CHECK_RESULT(brood_wait(items, 3, 5000), 1);
        CHECK(!items[0].ready && !items[1].ready && items[2].ready);
        CHECK_RESULT(brood_semaphore_acquire(&stage->semaphore, 0), 0);
        end(process);
    }
    CHECK_RESULT(brood_event_set(&stage->event), 0);
    CHECK_RESULT(brood_semaphore_release(&stage->semaphore), 0);
    CHECK_RESULT(brood_wait(items, 3, BROOD_FOREVER), 2);
    CHECK(items[0].ready && !items[1].ready && items[2].ready);
    CHECK_RESULT(brood_wait(items, 3, BROOD_FOREVER), 2); /* it takes nothing */
    take_down();
}

/* With descriptors among them, and processes. */
static void mixed(void)
{
    int ends[2];
    set_up();
    NEED(pipe2(ends, O_CLOEXEC) == 0);
    for (int round = 0; round < 10; round++) {
        atomic_store(&stage->go, 0);
        brood_process *process = CHECK_POINTER(brood_process_start(return_later, (void *)&stage->go, 0, NULL));
        brood_waitable items[] = { { .kind = BROOD_WAIT_PROCESS, .object = process },
                                   { .kind = BROOD_WAIT_EVENT, .object = &stage->event },
                                   { .kind = BROOD_WAIT_SEMAPHORE, .object = &stage->semaphore },
                                   { .kind = BROOD_WAIT_FD, .fd = ends[0] } };
        CHECK_RESULT(brood_wait(items, 4, 0), -ETIMEDOUT);
        atomic_store(&stage->go, 1);
        CHECK_RESULT(brood_wait(items, 4, 5000), 1);
        CHECK(items[0].ready == 1 && !items[1].ready && !items[2].ready && !items[3].ready);
        CHECK_RESULT(brood_wait(items, 4, 5000), 1); /* until it is joined, and after it */
        end(process);
        process = CHECK_POINTER(brood_process_start(set_later, &stage->event, 0, NULL));
        CHECK_RESULT(brood_wait(items + 1, 3, 5000), 1);
        CHECK(items[1].ready == 1 && !items[2].ready && !items[3].ready);
        CHECK_RESULT(brood_event_clear(&stage->event), 0);
        end(process);
        process = CHECK_POINTER(brood_process_start(give_later, &stage->semaphore, 0, NULL));
        CHECK_RESULT(brood_wait(items + 1, 3, 5000), 1);
        CHECK(!items[1].ready && items[2].ready == 1 && !items[3].ready);
        CHECK_RESULT(brood_semaphore_acquire(&stage->semaphore, 0), 0);
        end(process);
        NEED(write(ends[1], "x", 1) == 1);
        CHECK_RESULT(brood_event_set(&stage->event), 0);
        CHECK_RESULT(brood_wait(items + 1, 3, BROOD_FOREVER), 2);
        CHECK(items[1].ready == 1 && !items[2].ready && items[3].ready == BROOD_READABLE);
        char byte;
        NEED(read(ends[0], &byte, 1) == 1);
        CHECK_RESULT(brood_event_clear(&stage->event), 0);
    }
    close(ends[0]);
    close(ends[1]);
    take_down();
}

static void descriptors(void)
{
    int ends[2], other[2];
    char path[] = "/proc/self/exe";
    NEED(pipe2(ends, O_CLOEXEC) == 0 && pipe2(other, O_CLOEXEC) == 0);
    brood_waitable items[] = { { .kind = BROOD_WAIT_FD, .fd = ends[0] },
                               { .kind = BROOD_WAIT_FD, .fd = other[1], .want = BROOD_READABLE | BROOD_WRITABLE } };
    CHECK_RESULT(brood_wait(items, 1, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_wait(items, 2, 0), 1);
    CHECK_EQ(items[0].ready, 0);
    CHECK_EQ(items[1].ready, BROOD_WRITABLE);
    close(ends[1]); /* its end counts */
    CHECK_RESULT(brood_wait(items, 2, 0), 2);
    CHECK_EQ(items[0].ready, BROOD_READABLE);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    brood_waitable disk = { .kind = BROOD_WAIT_FD, .fd = file };
    CHECK_RESULT(brood_wait(&disk, 1, BROOD_FOREVER), 1);
    CHECK_EQ(disk.ready, 1);
    close(file);
    close(ends[0]);
    close(other[0]);
    close(other[1]);
}

static void errors(void)
{
    set_up();
    int ends[2];
    NEED(pipe2(ends, O_CLOEXEC) == 0);
    brood_waitable item = { .kind = BROOD_WAIT_EVENT, .object = &stage->event };
    CHECK_RESULT(brood_wait(NULL, 1, 0), -EINVAL);
    CHECK_RESULT(brood_wait(&item, 0, 0), -EINVAL);
    CHECK_RESULT(brood_wait(&item, 1, -2), -EINVAL);
    item.object = NULL;
    CHECK_RESULT(brood_wait(&item, 1, 0), -EINVAL);
    item.object = ends;
    CHECK_RESULT(brood_wait(&item, 1, 0), -EINVAL);
    item = (brood_waitable){ .kind = BROOD_WAIT_PROCESS };
    CHECK_RESULT(brood_wait(&item, 1, 0), -EINVAL);
    item = (brood_waitable){ .kind = BROOD_WAIT_FD, .fd = 1000 };
    CHECK_RESULT(brood_wait(&item, 1, 0), -EBADF);
    item = (brood_waitable){ .kind = (brood_wait_kind)77 };
    CHECK_RESULT(brood_wait(&item, 1, 0), -EINVAL);
    item = (brood_waitable){ .kind = BROOD_WAIT_FD, .fd = ends[0], .want = 8 };
    CHECK_RESULT(brood_wait(&item, 1, 0), -EINVAL);
    brood_waitable twice[] = { { .kind = BROOD_WAIT_FD, .fd = ends[0] }, { .kind = BROOD_WAIT_FD, .fd = ends[0] } };
    CHECK_RESULT(brood_wait(twice, 2, 0), -EEXIST);
    brood_watch *watch = CHECK_POINTER(brood_watch_create());
    item = (brood_waitable){ .kind = BROOD_WAIT_EVENT, .object = &stage->event };
    CHECK_RESULT(brood_watch_add(NULL, &item), -EINVAL);
    CHECK_RESULT(brood_watch_add(watch, NULL), -EINVAL);
    CHECK_RESULT(brood_watch_remove(watch, NULL), -EINVAL);
    CHECK_RESULT(brood_watch_remove(watch, &item), -ENOENT);
    CHECK_RESULT(brood_watch_add(watch, &item), 0);
    CHECK_RESULT(brood_watch_add(watch, &item), -EEXIST);
    CHECK_RESULT(brood_watch_wait(watch, NULL, 1, 0), -EINVAL);
    CHECK_RESULT(brood_watch_wait(watch, &item, 0, 0), -EINVAL);
    CHECK_RESULT(brood_watch_wait(watch, &item, 1, -2), -EINVAL);
    CHECK_RESULT(brood_watch_wait(NULL, &item, 1, 0), -EINVAL);
    CHECK_RESULT(brood_watch_fd(NULL), -EINVAL);
    CHECK_RESULT(brood_watch_destroy(NULL), 0);
    CHECK_RESULT(brood_watch_remove(watch, &item), 0);
    CHECK_RESULT(brood_watch_destroy(watch), 0);
    close(ends[0]);
    close(ends[1]);
    take_down();
}

static void many(void)
{
    set_up();
    int ends[2];
    NEED(pipe2(ends, O_CLOEXEC) == 0);
    brood_waitable *items = calloc(MANY + 1, sizeof *items);
    NEED(items != NULL);
    for (int i = 0; i < MANY; i++)
        items[i] = (brood_waitable){ .kind = BROOD_WAIT_EVENT, .object = &stage->many[i] };
    items[MANY] = (brood_waitable){ .kind = BROOD_WAIT_FD, .fd = ends[0] };
    for (int i = 0; i < MANY; i += 37) {
        brood_process *process = CHECK_POINTER(brood_process_start(set_later, &stage->many[i], 0, NULL));
        CHECK_RESULT(brood_wait(items, MANY + (i % 2), 5000), 1);
        for (int j = 0; j < MANY; j++)
            CHECK_EQ(items[j].ready, j == i);
        CHECK_RESULT(brood_event_clear(&stage->many[i]), 0);
        end(process);
    }
    free(items);
    close(ends[0]);
    close(ends[1]);
    take_down();
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

/* Takes what is ready until nothing is: what a loop does when the descriptor says so. */
static int drain(brood_watch *watch, brood_waitable *last)
{
    int count, seen = 0;
    brood_waitable ready[4];
    while ((count = brood_watch_wait(watch, ready, 4, 0)) > 0) {
        for (int i = 0; i < count; i++) {
            *last = ready[i];
            if (ready[i].kind == BROOD_WAIT_EVENT)
                CHECK_RESULT(brood_event_clear((brood_event *)(uintptr_t)ready[i].object), 0);
            else if (ready[i].kind == BROOD_WAIT_SEMAPHORE)
                CHECK_RESULT(brood_semaphore_acquire((brood_semaphore *)(uintptr_t)ready[i].object, 0), 0);
        }
        seen += count;
    }
    CHECK_EQ(count, -ETIMEDOUT);
    return seen;
}

static bool exact = true; /* else the descriptor may be readable though nothing is ready */

/* Before Linux 6.7 an io_uring cannot wait for words. */
static bool has_ring(void)
{
    struct utsname system;
    int major, minor;
    return uname(&system) == 0 && sscanf(system.release, "%d.%d", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 7));
}

/* What a loop sees: the descriptor can be read, and then something is ready. */
static int turn(brood_watch *watch, brood_waitable *last)
{
    int seen = 0;
    for (int tries = 0; seen == 0 && tries < 2000 && CHECK(is_readable(brood_watch_fd(watch), 5000)); tries++) {
        seen = drain(watch, last);
        CHECK(seen > 0 || !exact);
    }
    return seen;
}

static void watch_in_loop(void)
{
    set_up();
    brood_watch *watch = CHECK_POINTER(brood_watch_create());
    brood_waitable event = { .kind = BROOD_WAIT_EVENT, .object = &stage->event, .tag = stage },
                   semaphore = { .kind = BROOD_WAIT_SEMAPHORE, .object = &stage->semaphore }, last = { 0 };
    CHECK_RESULT(brood_watch_add(watch, &event), 0);
    CHECK_RESULT(brood_watch_add(watch, &semaphore), 0);
    int fd = brood_watch_fd(watch);
    NEED(fd >= 0);
    CHECK_EQ(drain(watch, &last), 0);
    CHECK(!is_readable(fd, 0));
    for (int round = 0; round < 10; round++) {
        brood_process *process = CHECK_POINTER(brood_process_start(set_later, &stage->event, 0, NULL));
        CHECK(is_readable(fd, 5000));
        CHECK(!exact || is_readable(fd, 0)); /* level-triggered */
        CHECK_EQ(turn(watch, &last), 1);
        CHECK(last.kind == BROOD_WAIT_EVENT && last.object == &stage->event && last.tag == stage && last.ready == 1);
        CHECK(!exact || !is_readable(fd, 0));
        end(process);
        process = CHECK_POINTER(brood_process_start(give_later, &stage->semaphore, 0, NULL));
        brood_waitable one;
        CHECK_RESULT(brood_watch_wait(watch, &one, 1, 5000), 1);
        CHECK(is_readable(fd, 0)); /* the unit is there still */
        CHECK_EQ(drain(watch, &last), 1);
        CHECK(!exact || !is_readable(fd, 0));
        end(process);
    }
    /* Removed, it is not seen any more, and free. */
    CHECK_RESULT(brood_watch_remove(watch, &event), 0);
    CHECK_RESULT(brood_event_set(&stage->event), 0);
    CHECK(!exact || !is_readable(fd, 0));
    CHECK_EQ(drain(watch, &last), 0);
    CHECK_RESULT(brood_event_clear(&stage->event), 0);
    CHECK_RESULT(brood_watch_destroy(watch), 0);
    take_down();
}

/* Many comings and goings in one set. */
static void come_and_go(void)
{
    set_up();
    brood_watch *watch = CHECK_POINTER(brood_watch_create());
    brood_waitable ready[4], last;
    for (int round = 0; round < 1000; round++) {
        brood_waitable event = { .kind = BROOD_WAIT_EVENT, .object = &stage->many[round % MANY] };
        CHECK_RESULT(brood_watch_add(watch, &event), 0);
        CHECK_RESULT(brood_watch_wait(watch, ready, 4, 0), -ETIMEDOUT);
        if (round % 3 == 0) {
            CHECK_RESULT(brood_event_set(&stage->many[round % MANY]), 0);
            CHECK_EQ(drain(watch, &last), 1);
            CHECK(last.object == event.object);
        }
        CHECK_RESULT(brood_watch_remove(watch, &event), 0);
        CHECK_RESULT(brood_event_fini(&stage->many[round % MANY]), 0);
    }
    for (int i = 0; i < MANY; i++)
        CHECK_RESULT(brood_watch_add(watch, &(brood_waitable){ .kind = BROOD_WAIT_EVENT, .object = &stage->many[i] }),
                     0);
    CHECK_RESULT(brood_watch_wait(watch, ready, 4, 0), -ETIMEDOUT);
    for (int i = 0; i < MANY; i++)
        CHECK_RESULT(brood_event_set(&stage->many[i]), 0);
    CHECK_EQ(drain(watch, &last), MANY);
    CHECK_RESULT(brood_watch_destroy(watch), 0);
    take_down();
}

static void owned(void)
{
    set_up();
    CHECK_RESULT(brood_semaphore_init(&stage->owned, 1, &(brood_semaphore_options){ .owned = true }), 0);
    brood_waitable items[] = { { .kind = BROOD_WAIT_SEMAPHORE, .object = &stage->owned },
                               { .kind = BROOD_WAIT_EVENT, .object = &stage->event } };
    CHECK_RESULT(brood_wait(items, 2, 0), 1);
    CHECK_RESULT(brood_semaphore_acquire(&stage->owned, 0), 0);
    CHECK_RESULT(brood_wait(items, 1, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_wait(items, 2, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_semaphore_release(&stage->owned), 0);
    CHECK_RESULT(brood_wait(items, 1, 0), 1);
    CHECK_RESULT(brood_semaphore_fini(&stage->owned), 0);
    take_down();
}

struct taker {
    brood_semaphore *semaphore;
    _Atomic int taken;
};

static void *take_units(void *arg)
{
    struct taker *taker = arg;
    while (brood_semaphore_acquire(taker->semaphore, 300) == 0)
        atomic_fetch_add(&taker->taken, 1);
    return NULL;
}

/* Those who watch take nothing, and nobody who takes misses a unit for them. */
static void beside_takers(void)
{
    enum { UNITS = 2000 };
    set_up();
    struct taker taker = { &stage->semaphore, 0 };
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        NEED(pthread_create(&threads[i], NULL, take_units, &taker) == 0);
    brood_waitable items[] = { { .kind = BROOD_WAIT_SEMAPHORE, .object = &stage->semaphore },
                               { .kind = BROOD_WAIT_EVENT, .object = &stage->event } };
    for (int i = 0; i < UNITS; i++) {
        brood_wait(items, 2, i % 50 == 0 ? 1 : 0);
        CHECK_RESULT(brood_semaphore_release(&stage->semaphore), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(atomic_load(&taker.taken), UNITS);
    take_down();
}

static int use_it(void *arg)
{
    brood_waitable ready;
    brood_watch *watch = *(brood_watch **)arg;
    CHECK_RESULT(brood_watch_wait(watch, &ready, 1, 0), -EPERM);
    CHECK_RESULT(brood_watch_destroy(watch), -EPERM);
    return 0;
}

static void anothers(void)
{
    brood_watch *watch = CHECK_POINTER(brood_watch_create());
    brood_process *process = CHECK_POINTER(
        brood_process_start(use_it, &watch, sizeof watch, &(brood_process_options){ .start = BROOD_FORK }));
    end(process);
    CHECK_RESULT(brood_watch_destroy(watch), 0);
}

/* Where the kernel has no io_uring, or a sandbox forbids it; and where nobody can sleep on several words. */
static void without_ring(void)
{
    if (refuse_call(SYS_io_uring_setup, EPERM) != 0)
        harness_skip("no seccomp filters here");
    exact = false;
    mixed();
    watch_in_loop();
    come_and_go();
}

static void without_waitv(void)
{
    if (refuse_call(SYS_futex_waitv, ENOSYS) != 0)
        harness_skip("no seccomp filters here");
    words();
}

static void without_descriptors(void)
{
    set_up();
    struct rlimit limit;
    brood_waitable items[] = { { .kind = BROOD_WAIT_EVENT, .object = &stage->event },
                               { .kind = BROOD_WAIT_FD, .fd = 0 } };
    brood_watch *watch = CHECK_POINTER(brood_watch_create());
    NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 3;
    NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK_RESULT(brood_wait(items, 2, 0), -EMFILE);
    CHECK_NULL(brood_watch_create(), EMFILE);
    CHECK_RESULT(brood_watch_fd(watch), -EMFILE);
    CHECK_RESULT(brood_watch_add(watch, items), 0); /* it naps, without a ring */
    brood_waitable ready;
    CHECK_RESULT(brood_watch_wait(watch, &ready, 1, 20), -ETIMEDOUT);
    CHECK_RESULT(brood_event_set(&stage->event), 0);
    CHECK_RESULT(brood_watch_wait(watch, &ready, 1, 1000), 1);
    CHECK_RESULT(brood_event_clear(&stage->event), 0);
    limit.rlim_cur = before;
    NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(brood_watch_fd(watch) >= 0);
    CHECK_RESULT(brood_watch_destroy(watch), 0);
    take_down();
}

static void before_init(void)
{
    brood_waitable item = { .kind = BROOD_WAIT_FD };
    CHECK_RESULT(brood_wait(&item, 1, 0), -EINVAL);
    CHECK_NULL(brood_watch_create(), EINVAL);
}

/* Room for one: what is always ready starves nobody, be it a word or a descriptor. */
static void none_is_starved(void)
{
    brood_watch *watch = brood_watch_create();
    brood_event *event = brood_alloc(sizeof *event);
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
    CHECK_RESULT(brood_event_set(event), 0);
    CHECK_RESULT(brood_watch_add(watch, &(brood_waitable){ .kind = BROOD_WAIT_EVENT, .object = event }), 0);
    CHECK_RESULT(brood_watch_add(watch, &(brood_waitable){ .kind = BROOD_WAIT_FD, .fd = ends[0] }), 0);
    int seen[2] = { 0 };
    for (int i = 0; i < 8; i++) {
        brood_waitable ready;
        CHECK_RESULT(brood_watch_wait(watch, &ready, 1, 1000), 1);
        seen[ready.kind == BROOD_WAIT_FD]++;
    }
    CHECK(seen[0] > 0 && seen[1] > 0);
    CHECK_RESULT(brood_watch_destroy(watch), 0);
    close(ends[0]);
    close(ends[1]);
    brood_free(event);
}

int main(int argc, char **argv)
{
    exact = has_ring();
    static const struct test_case cases[] = {
        { .name = "words", .run = words },
        { .name = "mixed", .run = mixed },
        { .name = "descriptors", .run = descriptors },
        { .name = "errors", .run = errors },
        { .name = "many", .run = many },
        { .name = "watch_in_loop", .run = watch_in_loop },
        { .name = "come_and_go", .run = come_and_go },
        { .name = "owned", .run = owned },
        { .name = "beside_takers", .run = beside_takers },
        { .name = "anothers", .run = anothers },
        { .name = "none_is_starved", .run = none_is_starved },
        { .name = "without_ring", .run = without_ring },
        { .name = "without_waitv", .run = without_waitv },
        { .name = "without_descriptors", .run = without_descriptors },
        { .name = "before_init", .run = before_init, .no_init = true },
        { 0 },
    };
    return harness_main(argc, argv, cases);
}
