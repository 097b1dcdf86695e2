/* pipe_fd.c: descriptors along pipes: each to the one who receives its message, whatever is killed. */
#include "harness.h"

#include <brood.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const brood_start methods[] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };

/* ---- files with a number in them ---- */

static int numbered(int number)
{
    int fd = memfd_create("numbered", MFD_CLOEXEC);
    NEED(fd >= 0 && write(fd, &number, sizeof number) == sizeof number);
    return fd;
}

/* What stands in it; it is closed. */
static int number_of(int fd)
{
    int number = -1;
    NEED(fd > 2 && fcntl(fd, F_GETFD) == FD_CLOEXEC && pread(fd, &number, sizeof number, 0) == sizeof number);
    close(fd);
    return number;
}

static void send_number(brood_connection *end, int number)
{
    int fd = numbered(number);
    CHECK_RESULT(brood_connection_send_fd(end, fd, 5000), 0);
    close(fd);
}

static void make(brood_connection *ends[2])
{
    CHECK_RESULT(brood_pipe_create(ends, &(brood_pipe_options){ .name = "line" }), 0);
}

/* This process has both ends, so that neither goes when others have done with it. */
static void have_both(brood_connection *ends[2])
{
    for (int i = 0; i < 2; i++)
        CHECK_RESULT(brood_connection_poll(ends[i], 0), -ETIMEDOUT);
}

static void close_both(brood_connection *ends[2])
{
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
}

/* The reading end of a pipe(2) whose writing end is on its way: it ends when nobody has that any more. */
static int send_witness(brood_connection *end)
{
    int ends[2];
    NEED(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    CHECK_RESULT(brood_connection_send_fd(end, ends[1], 5000), 0);
    close(ends[1]);
    return ends[0];
}

static bool has_ended(int witness)
{
    char byte;
    return read(witness, &byte, 1) == 0;
}

static void ends_well(brood_process *process)
{
    brood_end end;
    NEED(process != NULL);
    CHECK_RESULT(brood_process_join(process, &end, 20000), 0);
    CHECK_EQ(end.how, BROOD_RETURNED);
    CHECK_EQ(end.code, 0);
    CHECK_RESULT(brood_process_close(process), 0);
}

static void is_killed(brood_process *process)
{
    CHECK_RESULT(brood_process_signal(process, SIGKILL), 0);
    CHECK_RESULT(brood_process_join(process, NULL, 5000), 0);
    CHECK_RESULT(brood_process_close(process), 0);
}

/* ---- in one process ---- */

static void order(void)
{
    brood_connection *ends[2];
    char text[8];
    size_t size;
    make(ends);
    send_number(ends[0], 1);
    CHECK_RESULT(brood_connection_send(ends[0], "two", 3, 0), 0);
    send_number(ends[0], 3);
    send_number(ends[1], 10);
    CHECK_RESULT(brood_connection_poll(ends[1], 0), 0);
    CHECK_EQ(number_of(brood_connection_recv_fd(ends[1], 0)), 1);
    CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &size, 0), 0);
    CHECK(size == 3 && memcmp(text, "two", 3) == 0);
    CHECK_EQ(number_of(brood_connection_recv_fd(ends[1], 0)), 3);
    CHECK_EQ(number_of(brood_connection_recv_fd(ends[0], 0)), 10);
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -ETIMEDOUT);
    CHECK_RESULT(brood_connection_poll(ends[1], 0), -ETIMEDOUT);
    close_both(ends);
}

static void expects_the_other_kind(void)
{
    brood_connection *ends[2];
    brood_block block;
    char text[8];
    size_t size;
    make(ends);
    send_number(ends[0], 1);
    CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &size, 0), -EPROTO);
    CHECK(strstr(brood_error(), "a descriptor is next in pipe 'line'") != NULL);
    CHECK_RESULT(brood_connection_recv_block(ends[1], &block, 0), -EPROTO);
    CHECK_EQ(number_of(brood_connection_recv_fd(ends[1], 0)), 1);
    CHECK_RESULT(brood_connection_send(ends[0], "x", 1, 0), 0);
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -EPROTO);
    CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &size, 0), 0);
    CHECK_EQ(size, 1);
    close_both(ends);
}

static void refused(void)
{
    brood_connection *ends[2], *way[2];
    make(ends);
    CHECK_RESULT(brood_connection_send_fd(ends[0], -1, 0), -EBADF);
    CHECK_RESULT(brood_connection_send_fd(ends[0], 999, 0), -EBADF);
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -ETIMEDOUT);
    CHECK_RESULT(brood_connection_send_fd(ends[0], 0, -2), -EINVAL);
    CHECK_RESULT(brood_pipe_create(way, &(brood_pipe_options){ .one_way = true }), 0);
    CHECK_RESULT(brood_connection_send_fd(way[0], 0, 0), -EINVAL);
    CHECK_RESULT(brood_connection_recv_fd(way[1], 0), -EINVAL);
    close_both(way);
    brood_connection *other = ends[1];
    CHECK_RESULT(brood_connection_poll(other, 0), -ETIMEDOUT);
    CHECK_RESULT(brood_connection_close(other), 0);
    CHECK_RESULT(brood_connection_send_fd(ends[0], 0, 0), -EPIPE);
    CHECK_RESULT(brood_connection_recv_fd(ends[0], 0), -EPIPE);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
}

/* No number is free: it stays. */
static void no_number_is_free(void)
{
    brood_connection *ends[2];
    int taken[1024], count = 0;
    struct rlimit limit;
    make(ends);
    NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_cur < 300 ? limit.rlim_cur : 300;
    NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int witness = send_witness(ends[0]);
    while (count < 1024 && (taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -EMFILE);
    close(taken[--count]);
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -EMFILE); /* the sockets' own two need room, too */
    while (count > 0)
        close(taken[--count]);
    CHECK(!has_ended(witness));
    int fd = brood_connection_recv_fd(ends[1], 0);
    CHECK(fd > 2);
    close(fd);
    CHECK(has_ended(witness));
    close_both(ends);
}

/* What nobody has received is closed with the pipe. */
static void closed_unreceived(void)
{
    brood_connection *ends[2];
    make(ends);
    int one = send_witness(ends[0]), other = send_witness(ends[1]);
    CHECK(!has_ended(one) && !has_ended(other));
    close_both(ends);
    CHECK(has_ended(one) && has_ended(other));
}

/* More than its sockets hold: a send waits, and goes on when one has been received. */
static void full(void)
{
    brood_connection *ends[2];
    int sent = 0, received = 0, fd = numbered(7);
    NEED(brood_pipe_create(ends, NULL) == 0);
    while (sent < 100000 && brood_connection_send_fd(ends[0], fd, 0) == 0)
        sent++;
    CHECK(sent >= 100);
    CHECK_RESULT(brood_connection_send_fd(ends[0], fd, 10), sent < 100000 ? -ETIMEDOUT : 0);
    for (; received < sent; received++) {
        int came = brood_connection_recv_fd(ends[1], 0);
        NEED(came > 2);
        close(came);
        if (received == 0)
            CHECK_RESULT(brood_connection_send_fd(ends[0], fd, 0), 0);
    }
    CHECK_EQ(number_of(brood_connection_recv_fd(ends[1], 0)), 7);
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -ETIMEDOUT);
    close(fd);
    close_both(ends);
}

/* Many pipes have descriptors on their way, and many come and go. */
static void many_pipes(void)
{
    enum { PIPES = 120 };
    brood_connection *ends[PIPES][2];
    for (int i = 0; i < PIPES; i++) {
        make(ends[i]);
        send_number(ends[i][0], i);
    }
    for (int i = 0; i < 1000; i++) {
        brood_connection *more[2];
        make(more);
        send_number(more[0], -i);
        if (i % 2)
            CHECK_EQ(number_of(brood_connection_recv_fd(more[1], 0)), -i);
        close_both(more);
    }
    for (int i = 0; i < PIPES; i++) {
        CHECK_EQ(number_of(brood_connection_recv_fd(ends[i][1], 0)), i);
        close_both(ends[i]);
    }
}

static void too_many_pipes(void)
{
    enum { PIPES = 202 };
    brood_connection *ends[PIPES][2], *more[2];
    int fd = numbered(1);
    for (int i = 0; i < PIPES; i++) {
        make(ends[i]);
        CHECK_RESULT(brood_connection_send_fd(ends[i][0], fd, 0), i < PIPES - 2 ? 0 : -ETOOMANYREFS);
    }
    make(more);
    close_both(ends[7]);
    close_both(ends[150]);
    CHECK_RESULT(brood_connection_send_fd(more[0], fd, 0), 0);
    close(fd);
    close_both(more);
    for (int i = 0; i < PIPES; i++) {
        if (i != 7 && i != 150)
            close_both(ends[i]);
    }
}

/* Somebody has read all from brood's sockets, as only a program can that plays with numbers which are not its own. */
static void read_by_others(void)
{
    brood_connection *ends[2];
    char byte;
    make(ends);
    send_number(ends[0], 1);
    CHECK_RESULT(brood_connection_send(ends[0], "two", 3, 0), 0);
    for (int fd = 3; fd < 1024; fd++) {
        int type = 0;
        socklen_t size = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET)
            continue;
        while (recv(fd, &byte, sizeof byte, MSG_DONTWAIT) > 0)
            continue;
    }
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -EIO);
    CHECK_RESULT(brood_connection_send_fd(ends[0], 0, 0), -EBADF);
    CHECK_RESULT(brood_connection_send_fd(ends[1], 0, 0), -EBADF);
    CHECK_RESULT(brood_connection_recv(ends[1], &byte, 1, NULL, 0), -EMSGSIZE);
    close_both(ends);
}

/* So many numbers are free when the family begins: 0: it cannot; 1: it can, and descriptors go along; 2: all but those;
 * 3: something is wrong. */
static int begin_with(void *arg)
{
    const int *free_numbers = arg;
    int taken[64], count = 0;
    struct rlimit limit, few;
    brood_connection *ends[2];
    NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    few = limit;
    few.rlim_cur = 64;
    NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
    while (count < 64 && (taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    for (int i = 0; i < *free_numbers && count > 0; i++)
        close(taken[--count]);
    if (brood_init(&(brood_init_options){ .limit = 4 << 20 }) < 0)
        return 0;
    NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    NEED(brood_pipe_create(ends, NULL) == 0);
    int sent = brood_connection_send_fd(ends[0], 0, 0), got = brood_connection_recv_fd(ends[1], 0);
    close_both(ends);
    return sent == 0 && got > 2 ? 1 : sent == -ENOTSUP && got == -ETIMEDOUT ? 2 : 3;
}

/* The founder has no numbers free for them: all else works. */
static void founder_without_sockets(void)
{
    int seen[4] = { 0 };
    for (int i = 0; i < 10; i++) {
        int status = wait_child(fork_child(begin_with, &i));
        NEED(WIFEXITED(status) && WEXITSTATUS(status) < 4);
        seen[WEXITSTATUS(status)]++;
    }
    CHECK(seen[0] > 0 && seen[1] > 0 && seen[2] > 0 && seen[3] == 0);
}

/* ---- between processes ---- */

/* Sends back what it receives, descriptors and all, until the end. */
static int echo(void *arg)
{
    brood_connection *end = arg;
    for (;;) {
        int fd = brood_connection_recv_fd(end, BROOD_FOREVER);
        if (fd == -EPIPE)
            return 0;
        if (fd < 0 || brood_connection_send_fd(end, fd, 5000) < 0)
            return 1;
        close(fd);
    }
}

/* The child is there before the pipe is used for the first time, and so inherits nothing of it. */
static void to_children(void)
{
    for (int i = 0; i < 3; i++) {
        brood_connection *ends[2];
        make(ends);
        brood_process *child = brood_process_start(echo, ends[1], 0, &(brood_process_options){ .start = methods[i] });
        NEED(child != NULL);
        CHECK_RESULT(brood_pipe_give(ends[1], child), 0);
        for (int k = 0; k < 20; k++) {
            send_number(ends[0], k);
            CHECK_EQ(number_of(brood_connection_recv_fd(ends[0], 5000)), k);
        }
        close_both(ends);
        ends_well(child);
    }
}

/* A socket of our own goes to a child that was told to keep no descriptors. */
static void to_one_without_any(void)
{
    brood_connection *ends[2];
    int pair[2];
    make(ends);
    int only = numbered(1);
    brood_process *child = brood_process_start(
        echo, ends[1], 0, &(brood_process_options){ .start = BROOD_FORK, .fds = &only, .fd_count = 1 });
    close(only);
    NEED(child != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    CHECK_RESULT(brood_pipe_give(ends[1], child), 0);
    CHECK_RESULT(brood_connection_send_fd(ends[0], pair[1], 5000), 0);
    close(pair[1]);
    int back = brood_connection_recv_fd(ends[0], 5000);
    char byte = 0;
    CHECK(back > 2 && write(back, "y", 1) == 1 && read(pair[0], &byte, 1) == 1 && byte == 'y');
    close(back);
    close(pair[0]);
    close_both(ends);
    ends_well(child);
}

static int close_everything(void *arg)
{
    brood_connection *end = arg;
    syscall(SYS_close_range, 3U, ~0U, 0U);
    int received = brood_connection_recv_fd(end, 5000);
    return received == -EBADF && brood_connection_send_fd(end, 0, 0) == -EBADF ? 0 : 1;
}

/* One that has closed all descriptors, brood's too, cannot receive any: another can. */
static void to_one_who_closed_all(void)
{
    brood_connection *ends[2];
    make(ends);
    brood_process *child = brood_process_start(close_everything, ends[1], 0, NULL);
    NEED(child != NULL);
    send_number(ends[0], 5);
    ends_well(child);
    CHECK_EQ(number_of(brood_connection_recv_fd(ends[1], 0)), 5);
    close_both(ends);
}

struct crowd {
    brood_connection *ends[2];
    _Atomic int got[2000];
    _Atomic int wrong;
    int count;
};

static int receive_many(void *arg)
{
    struct crowd *crowd = arg;
    for (;;) {
        int fd = brood_connection_recv_fd(crowd->ends[1], BROOD_FOREVER), number = -1;
        if (fd == -EPIPE)
            return 0;
        if (fd < 0 || pread(fd, &number, sizeof number, 0) != sizeof number || number < 0 || number >= crowd->count)
            crowd->wrong++;
        else
            crowd->got[number]++;
        if (fd >= 0)
            close(fd);
    }
}

/* So many as it is told, from its own first on. */
struct part {
    struct crowd *crowd;
    int first, count;
};

static int send_many(void *arg)
{
    const struct part *part = arg;
    for (int i = 0; i < part->count; i++) {
        int fd = numbered(part->first + i);
        int failed = brood_connection_send_fd(part->crowd->ends[0], fd, BROOD_FOREVER);
        close(fd);
        if (failed < 0)
            return 1;
    }
    return 0;
}

/* Several at each end: each descriptor comes once. */
static void crowds(void)
{
    struct crowd *crowd = brood_alloc(sizeof *crowd);
    brood_process *senders[2], *receivers[2];
    NEED(crowd && brood_pipe_create(crowd->ends, NULL) == 0);
    have_both(crowd->ends);
    crowd->count = 400;
    for (int i = 0; i < 2; i++) {
        struct part part = { crowd, i * 200, 200 };
        receivers[i] = brood_process_start(receive_many, crowd, 0, &(brood_process_options){ .start = methods[i + 1] });
        senders[i] =
            brood_process_start(send_many, &part, sizeof part, &(brood_process_options){ .start = methods[i] });
        NEED(receivers[i] && senders[i]);
        NEED(brood_pipe_give(crowd->ends[0], senders[i]) == 0 && brood_pipe_give(crowd->ends[1], receivers[i]) == 0);
    }
    for (int i = 0; i < 2; i++)
        ends_well(senders[i]);
    CHECK_RESULT(brood_connection_close(crowd->ends[0]), 0);
    for (int i = 0; i < 2; i++)
        ends_well(receivers[i]);
    CHECK_RESULT(brood_connection_close(crowd->ends[1]), 0);
    CHECK_EQ(crowd->wrong, 0);
    for (int i = 0; i < crowd->count; i++)
        CHECK_EQ(crowd->got[i], 1);
    brood_free(crowd);
}

static int send_for_ever(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0;; i++) {
        int fd = numbered(i % crowd->count);
        if (brood_connection_send_fd(crowd->ends[0], fd, BROOD_FOREVER) < 0)
            return 1;
        close(fd);
    }
}

/* Senders and receivers are killed at any time. Nothing is wrong, nothing hangs; in the end everything is closed. */
static void killed(void)
{
    struct crowd *crowd = brood_alloc(sizeof *crowd);
    NEED(crowd && brood_pipe_create(crowd->ends, NULL) == 0);
    crowd->count = 1000;
    have_both(crowd->ends);
    for (int round = 0; round < 40; round++) {
        brood_process *sender = brood_process_start(send_for_ever, crowd, 0, NULL);
        brood_process *receiver = brood_process_start(receive_many, crowd, 0, NULL);
        NEED(sender && receiver);
        NEED(brood_pipe_give(crowd->ends[0], sender) == 0 && brood_pipe_give(crowd->ends[1], receiver) == 0);
        usleep((useconds_t)(1000 + round * 137 % 3000)); /* at any time, not for anything to have happened */
        is_killed(round % 2 ? sender : receiver);
        is_killed(round % 2 ? receiver : sender);
    }
    int fd;
    while ((fd = brood_connection_recv_fd(crowd->ends[1], 0)) >= 0)
        close(fd);
    CHECK_RESULT(fd, -ETIMEDOUT);
    CHECK_EQ(crowd->wrong, 0);
    int witness = send_witness(crowd->ends[0]);
    close(brood_connection_recv_fd(crowd->ends[1], 0));
    CHECK(has_ended(witness));
    witness = send_witness(crowd->ends[0]);
    CHECK_RESULT(brood_connection_close(crowd->ends[0]), 0);
    CHECK_RESULT(brood_connection_close(crowd->ends[1]), 0);
    CHECK(has_ended(witness));
    brood_free(crowd);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "order", .run = order },
        { .name = "expects_the_other_kind", .run = expects_the_other_kind },
        { .name = "refused", .run = refused },
        { .name = "no_number_is_free", .run = no_number_is_free },
        { .name = "closed_unreceived", .run = closed_unreceived },
        { .name = "full", .run = full },
        { .name = "many_pipes", .run = many_pipes },
        { .name = "too_many_pipes", .run = too_many_pipes },
        { .name = "read_by_others", .run = read_by_others },
        { .name = "founder_without_sockets", .run = founder_without_sockets, .no_init = true },
        { .name = "to_children", .run = to_children },
        { .name = "to_one_without_any", .run = to_one_without_any },
        { .name = "to_one_who_closed_all", .run = to_one_who_closed_all },
        { .name = "crowds", .run = crowds },
        { .name = "killed", .run = killed },
        { 0 },
    };
    return harness_main(argc, argv, cases);
}
