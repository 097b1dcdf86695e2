/* os/post.c: socketpair(2), sendmsg(2) and recvmsg(2) with SCM_RIGHTS. */
#include "os/post.h"

#include "os/child.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Room for the descriptors of one message, aligned as a control message must be. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(POST_FDS_MAX * sizeof(int))];
};

int post_pair(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    return child_clear_of_streams(ends, 2);
}

void post_hang_up(int end)
{
    shutdown(end, SHUT_RDWR);
}

static int send_message(int end, const void *bytes, size_t size, const int *fds, int fd_count, int flags)
{
    union control control;
    struct iovec part = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (fd_count > 0) {
        size_t length = (size_t)fd_count * sizeof *fds;
        memset(&control, 0, CMSG_SPACE(length));
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(length);
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET,
            .cmsg_type = SCM_RIGHTS,
            .cmsg_len = CMSG_LEN(length),
        };
        memcpy(CMSG_DATA(&control.header), fds, length);
    }
    ssize_t sent;
    while ((sent = sendmsg(end, &message, flags | MSG_NOSIGNAL)) < 0 && errno == EINTR)
        continue;
    if (sent < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    return 0;
}

int post_send(int end, const void *bytes, size_t size, const int *fds, int fd_count)
{
    return send_message(end, bytes, size, fds, fd_count, 0);
}

int post_offer(int end, const void *bytes, size_t size, const int *fds, int fd_count)
{
    return send_message(end, bytes, size, fds, fd_count, MSG_DONTWAIT);
}

void post_widen(int end)
{
    const int room = 1 << 20;
    setsockopt(end, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

int post_rewind(int end, size_t offset)
{
    const int from = (int)offset;
    return setsockopt(end, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof from) < 0 ? -errno : 0;
}

/* What came with the message. How many. */
static int unpack(struct msghdr *message, int *fds, int room)
{
    int count = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        int came = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof *fds);
        for (int i = 0; i < came; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + (size_t)i * sizeof fd, sizeof fd);
            if (count < room)
                fds[count++] = fd;
            else
                close(fd);
        }
    }
    return count;
}

static int receive(int end, void *bytes, size_t size, int *fds, int *fd_count, int flags)
{
    union control control;
    struct iovec part = { .iov_base = bytes, .iov_len = size };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (fds) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
    }
    int room = *fd_count;
    ssize_t got;
    while ((got = recvmsg(end, &message, flags | MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    *fd_count = 0;
    if (got == 0)
        return -EPIPE;
    if (got < 0)
        return errno == ECONNRESET ? -EPIPE : -errno;
    int came = fds ? unpack(&message, fds, room) : 0;
    bool cut = fds && message.msg_flags & MSG_CTRUNC;
    if (cut || message.msg_flags & MSG_TRUNC) {
        while (came > 0)
            close(fds[--came]);
        return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : -EMFILE;
    }
    int failed = child_clear_of_streams(fds, came);
    *fd_count = failed < 0 ? 0 : came;
    return failed < 0 ? -EMFILE : (int)got;
}

int post_receive(int end, void *bytes, size_t size, int *fds, int *fd_count)
{
    return receive(end, bytes, size, fds, fd_count, 0);
}

int post_look(int end, void *bytes, size_t size, int *fds, int *fd_count)
{
    int none = 0;
    return receive(end, bytes, size, fds, fd_count ? fd_count : &none, MSG_PEEK | MSG_DONTWAIT);
}

int post_drop(int end)
{
    char byte;
    ssize_t got;
    while ((got = recv(end, &byte, sizeof byte, MSG_DONTWAIT)) < 0 && errno == EINTR)
        continue;
    return got < 0 ? -errno : 0;
}
