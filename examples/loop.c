/* An epoll loop of the program's own takes readings from a queue, and stops when those who send them have ended: prints
 * how many came from each of two sensors. */
#include <brood.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

struct reading {
    int sensor;
    double value;
};

struct sensor {
    int number, readings;
    brood_queue *queue;
};

static int sense(void *arg)
{
    const struct sensor *sensor = arg;
    for (int i = 0; i < sensor->readings; i++) {
        struct reading reading = { sensor->number, i * 0.5 };
        if (brood_queue_put(sensor->queue, &reading, sizeof reading, BROOD_FOREVER) < 0)
            return brood_fail(1, "%s", brood_error());
    }
    return 0;
}

static int fail(void)
{
    return fprintf(stderr, "%s\n", brood_error()), 1;
}

int main(void)
{
    if (brood_init(NULL) < 0)
        return fail();
    brood_queue *queue = brood_queue_create(&(brood_queue_options){ .name = "readings", .max_messages = 64 });
    for (int i = 0; i < 2; i++) {
        struct sensor sensor = { i, 100 * (i + 1), queue };
        if (brood_process_owes(brood_process_start(sense, &sensor, sizeof sensor, NULL), queue, BROOD_PUTS) < 0)
            return fail();
    }

    brood_watch *watch = brood_watch_create();
    if (brood_watch_add(watch, &(brood_waitable){ .kind = BROOD_WAIT_QUEUE, .object = queue }) < 0)
        return fail();
    int loop = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(loop, EPOLL_CTL_ADD, brood_watch_fd(watch), &(struct epoll_event){ .events = EPOLLIN });

    int seen[2] = { 0 }, result = 0;
    while (result != -EPIPE && result != -EOWNERDEAD) {
        struct epoll_event event;
        brood_waitable ready;
        if (epoll_wait(loop, &event, 1, -1) < 0) /* EINTR: once more */
            continue;
        if (brood_watch_wait(watch, &ready, 1, 0) < 0) /* nothing after all */
            continue;
        struct reading reading; /* take what there is, or one, as you like: the descriptor stays readable meanwhile */
        while ((result = brood_queue_get(queue, &reading, sizeof reading, NULL, 0)) >= 0)
            seen[reading.sensor]++;
    }
    printf("%d %d\n", seen[0], seen[1]);
    if (result != -EPIPE) /* one of them crashed, and these are not all */
        return fail();
    return brood_watch_destroy(watch) < 0 || brood_queue_destroy(queue) < 0;
}
