/* bench/grid.c: see grid.h.
 *
 * All put and get at once, as fast as they can, a number of messages that is fixed beforehand. A way of sending that
 * cannot carry messages of a size, or not whole among so many, has no rate there.
 */
#include "grid.h"

#include "clock.h"
#include "hand.h"
#include "peer.h"
#include "series.h"
#include "trouble.h"

#include <brood.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIDES_MOST = 8, LARGEST = 1 << 20, IN_MQ = 10, SOCKET_BYTES = 4 << 20 };

/* A stretch of all: its messages, bounded by their bytes; each side's share is whole. */
#define BYTES_MOST (512L << 20)
#define COUNT_LEAST 128L

typedef enum way { BY_QUEUE, BY_PIPE, BY_MQ, BY_SOCKET, WAYS } way;

static const char *const way_names[WAYS] = { "brood", "pipe", "mq", "unix" };
static const long way_counts[WAYS] = { 2000000, 400000, 400000, 200000 };

/* What a peer that measures it lists; it gets the three numbers behind that. */
#define PEER_FIGURE "queue_grid"

static const size_t sizes[] = { 16, 64, 1024, 65536, LARGEST };
static const struct sides {
    int put, get;
} sides[] = { { 1, 1 }, { 1, 2 }, { 2, 1 }, { 2, 2 }, { 4, 4 }, { 1, 8 }, { 8, 1 }, { 8, 8 } };

/* In the region. ready, open: all begin at once. */
struct course {
    way way;
    size_t size;
    struct sides sides;
    long count; /* of all */
    brood_queue *queue;
    int put_fd, get_fd;
    atomic_int ready, open;
};

/* 0, or -1 where this way has no such messages. */
static int open_way(struct course *course)
{
    int fds[2], size = SOCKET_BYTES;
    bool shared = course->sides.put > 1 || course->sides.get > 1;
    char name[32];
    struct mq_attr bounds = { .mq_maxmsg = IN_MQ, .mq_msgsize = (long)course->size };
    switch (course->way) {
    case BY_QUEUE:
        course->queue = brood_queue_create(&(brood_queue_options){ .max_messages = course->size <= 1024 ? 10000 : 16 });
        return course->queue ? 0 : (int)trouble("%s", brood_error());
    case BY_PIPE:
        if ((shared && course->size > PIPE_BUF) || pipe2(fds, O_CLOEXEC) < 0)
            return -1;
        fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
        course->get_fd = fds[0];
        course->put_fd = fds[1];
        return 0;
    case BY_MQ:
        snprintf(name, sizeof name, "/speedlab-%d", (int)getpid());
        course->put_fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &bounds);
        course->get_fd = course->put_fd;
        mq_unlink(name);
        return course->put_fd < 0 ? -1 : 0;
    default:
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
            return -1;
        course->put_fd = fds[0];
        course->get_fd = fds[1];
        if (setsockopt(fds[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
            setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        return 0;
    }
}

static int close_way(const struct course *course)
{
    if (course->way == BY_QUEUE)
        return brood_queue_destroy(course->queue) < 0 ? (int)trouble("%s", brood_error()) : 0;
    close(course->put_fd);
    if (course->get_fd != course->put_fd)
        close(course->get_fd);
    return 0;
}

static int put_one(const struct course *course, const char *bytes)
{
    if (course->way == BY_QUEUE)
        return brood_queue_put(course->queue, bytes, course->size, BROOD_FOREVER);
    if (course->way == BY_MQ)
        return mq_send(course->put_fd, bytes, course->size, 0);
    for (size_t done = 0; done < course->size;) {
        ssize_t put = write(course->put_fd, bytes + done, course->size - done);
        if (put < 0)
            return -1;
        done += (size_t)put;
    }
    return 0;
}

static int get_one(const struct course *course, char *bytes)
{
    if (course->way == BY_QUEUE)
        return brood_queue_get(course->queue, bytes, course->size, NULL, BROOD_FOREVER);
    if (course->way == BY_MQ)
        return mq_receive(course->get_fd, bytes, course->size, NULL) < 0 ? -1 : 0;
    for (size_t done = 0; done < course->size;) {
        ssize_t got = read(course->get_fd, bytes + done, course->size - done);
        if (got <= 0)
            return -1;
        done += (size_t)got;
    }
    return 0;
}

static void begin(struct course *course)
{
    atomic_fetch_add(&course->ready, 1);
    while (!atomic_load(&course->open))
        sched_yield();
}

static int put_share(void *arg)
{
    static char bytes[LARGEST];
    struct course *course = arg;
    memset(bytes, 1, course->size);
    begin(course);
    for (long i = course->count / course->sides.put; i > 0; i--)
        if (put_one(course, bytes) < 0)
            return 1;
    return 0;
}

static int get_share(void *arg)
{
    static char bytes[LARGEST];
    struct course *course = arg;
    memset(bytes, 0, course->size);
    begin(course);
    for (long i = course->count / course->sides.get; i > 0; i--)
        if (get_one(course, bytes) < 0)
            return 1;
    return 0;
}

/* Some cannot carry such a message though they could be opened; nobody would get it. */
static bool carries(const struct course *course)
{
    static char bytes[LARGEST];
    if (course->way != BY_SOCKET)
        return true;
    return send(course->put_fd, bytes, course->size, MSG_DONTWAIT) == (ssize_t)course->size &&
           recv(course->get_fd, bytes, course->size, 0) == (ssize_t)course->size;
}

/* Messages a second; 0: it has none; -1 after trouble(). */
static double run(struct course *course)
{
    struct hand hands[2 * SIDES_MOST] = { { 0 } };
    int parties = course->sides.put + course->sides.get, failed = 0;
    for (int i = 0; i < parties && !failed; i++)
        failed = hand_start(&hands[i], course->way != BY_QUEUE, i < course->sides.put ? put_share : get_share, course);
    while (!failed && atomic_load(&course->ready) < parties)
        sched_yield();
    uint64_t began = clock_ns();
    atomic_store(&course->open, 1);
    for (int i = 0; i < parties && failed; i++)
        if (hands[i].pid)
            hand_kill(&hands[i]);
    for (int i = 0; i < parties; i++)
        failed |= hand_join(&hands[i]) != 0;
    double took = (double)(clock_ns() - began);
    return failed ? trouble("one of %d processes failed: %s", parties, way_names[course->way])
                  : (double)course->count * (double)NS_PER_S / took;
}

static double sample(way by, size_t size, struct sides side)
{
    struct course *course = brood_alloc(sizeof *course);
    if (!course)
        return trouble("%s", brood_error());
    long most = BYTES_MOST / (long)size, count = way_counts[by] < most ? way_counts[by] : most;
    *course = (struct course){ .way = by, .size = size, .sides = side };
    course->count = count < COUNT_LEAST ? COUNT_LEAST : count / (SIDES_MOST * SIDES_MOST) * (SIDES_MOST * SIDES_MOST);
    double rate = 0;
    if (open_way(course) == 0) {
        rate = carries(course) ? run(course) : 0;
        if (close_way(course) < 0)
            rate = -1;
    }
    brood_free(course);
    return rate;
}

static double sample_peer(const struct peer *peer, size_t size, struct sides side)
{
    char figure[64];
    snprintf(figure, sizeof figure, PEER_FIGURE "/%d/%d/%zu", side.put, side.get, size);
    return peer_sample(peer, figure);
}

enum { COLUMNS = WAYS + PEER_COUNT };

static bool has_column(int column)
{
    return column < WAYS || peer_measures(&peers[column - WAYS], PEER_FIGURE);
}

static const char *column_name(int column)
{
    return column < WAYS ? way_names[column] : peers[column - WAYS].name;
}

static void print_rate(double rate)
{
    if (rate <= 0)
        printf(" %9s", "-");
    else if (rate >= 1e6)
        printf(" %7.2f M", rate / 1e6);
    else if (rate >= 1e3)
        printf(" %7.1f k", rate / 1e3);
    else
        printf(" %7.0f  ", rate);
}

static void print_row(size_t size, struct sides side, const double *rates, bool json)
{
    printf(json ? "{\"name\": \"" PEER_FIGURE "\", \"unit\": \"msg/s\", \"bytes\": %zu, \"putters\": %d, "
                  "\"getters\": %d"
                : "%8zu %7d %7d",
           size, side.put, side.get);
    for (int column = 0; column < COLUMNS; column++) {
        if (!has_column(column))
            continue;
        if (!json)
            print_rate(rates[column]);
        else if (rates[column] > 0)
            printf(", \"%s\": %.0f", column_name(column), rates[column]);
    }
    puts(json ? "}" : "");
    fflush(stdout);
}

static int measure_row(size_t size, struct sides side, int rounds, double *rates)
{
    struct series series[COLUMNS] = { { .count = 0 } };
    for (int round = 0; round < rounds; round++) {
        for (int column = 0; column < COLUMNS; column++) {
            if (!has_column(column))
                continue;
            double rate =
                column < WAYS ? sample((way)column, size, side) : sample_peer(&peers[column - WAYS], size, side);
            if (rate < 0)
                return -1;
            series_add(&series[column], rate);
        }
    }
    for (int column = 0; column < COLUMNS; column++)
        rates[column] = series_median(&series[column]);
    return 0;
}

int grid_print(int rounds, bool json)
{
    double rates[COLUMNS];
    if (!json) {
        printf("messages a second\n\n%8s %7s %7s", "bytes", "put", "get");
        for (int column = 0; column < COLUMNS; column++)
            if (has_column(column))
                printf(" %9s", column_name(column));
        puts("");
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t j = 0; j < sizeof sides / sizeof *sides; j++) {
            if (measure_row(sizes[i], sides[j], rounds, rates) < 0)
                return -1;
            print_row(sizes[i], sides[j], rates, json);
        }
    }
    return 0;
}
