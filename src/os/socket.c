/* os/socket.c: socket(2), unix(7), tcp(7), getaddrinfo(3). */
#include "os/socket.h"

#include "os/child.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* TCP's keepalive: silent for so long, then so many questions, so far apart (seconds): 60 in all. */
#define KEEP_IDLE 30
#define KEEP_INTERVAL 10
#define KEEP_COUNT 3

/* How often a folder that another listener is at is tried, and how long after each time (nanoseconds). */
#define LOCK_TRIES 200
#define LOCK_NAP 5000000

static int read_unix(const char *path, struct socket_address *address, const char **why)
{
    struct sockaddr_un *name = (struct sockaddr_un *)(void *)&address->storage;
    size_t length = strlen(path);
    bool abstract = path[0] == '@';
    if (length < 1 || (abstract && length < 2)) {
        *why = "there is no path behind unix:";
        return -EINVAL;
    }
    if (!abstract && path[0] != '/') {
        *why = "the path of a Unix socket must be absolute";
        return -EINVAL;
    }
    if (length >= sizeof name->sun_path) {
        *why = "a Unix path has at most 107 bytes";
        return -EINVAL;
    }
    memset(&address->storage, 0, sizeof address->storage);
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, path, length);
    if (abstract)
        name->sun_path[0] = 0;
    address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (abstract ? 0 : 1));
    return 0;
}

/* Splits host:port or [host]:port. */
static int split(const char *text, char host[static SOCKET_HOST], const char **port, const char **why)
{
    const char *begin = text, *end = strrchr(text, ':');
    *why = "it must be tcp:HOST:PORT, with an IPv6 address in brackets";
    if (!end || end == text)
        return -EINVAL;
    *port = end + 1;
    if (text[0] == '[') {
        if (end[-1] != ']')
            return -EINVAL;
        begin++;
        end--;
    } else if (memchr(text, ':', (size_t)(end - text))) {
        return -EINVAL;
    }
    size_t length = (size_t)(end - begin);
    if (length < 1 || length >= SOCKET_HOST)
        return -EINVAL;
    memcpy(host, begin, length);
    host[length] = 0;
    long number = 0;
    for (const char *digit = *port; *digit; digit++) {
        if (*digit < '0' || *digit > '9' || number > UINT16_MAX)
            number = -1;
        if (number < 0)
            break;
        number = number * 10 + (*digit - '0');
    }
    *why = "the port must be a number from 0 to 65535";
    return !**port || number < 0 || number > UINT16_MAX ? -EINVAL : 0;
}

static int read_tcp(const char *text, struct socket_places *places, const char **why)
{
    const char *port;
    int failed = split(text, places->host, &port, why);
    if (failed < 0)
        return failed;
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    failed = getaddrinfo(places->host, port, &hints, &found);
    if (failed != 0) {
        *why = failed == EAI_SYSTEM ? "the resolver failed" : gai_strerror(failed);
        return failed == EAI_AGAIN || failed == EAI_SYSTEM ? -EAGAIN : failed == EAI_MEMORY ? -ENOMEM : -ENOENT;
    }
    for (struct addrinfo *each = found; each && places->count < SOCKET_PLACES; each = each->ai_next) {
        if (each->ai_family != AF_INET && each->ai_family != AF_INET6)
            continue;
        struct socket_address *place = &places->places[places->count++];
        memset(place, 0, sizeof *place);
        memcpy(&place->storage, each->ai_addr, each->ai_addrlen);
        place->size = each->ai_addrlen;
    }
    freeaddrinfo(found);
    *why = "the host has no address of the internet";
    return places->count ? 0 : -ENOENT;
}

int socket_places(const char *text, struct socket_places *places, const char **why)
{
    places->count = 0;
    places->host[0] = 0;
    if (strncmp(text, "tcp:", 4) == 0)
        return read_tcp(text + 4, places, why);
    if (strncmp(text, "unix:", 5) == 0) {
        places->count = 1;
        return read_unix(text + 5, &places->places[0], why);
    }
    *why = "it must begin with unix: or tcp:";
    return -EINVAL;
}

void socket_describe(const struct socket_address *address, char text[static SOCKET_TEXT])
{
    if (address->storage.ss_family == AF_UNIX) {
        const struct sockaddr_un *name = (const struct sockaddr_un *)(const void *)&address->storage;
        size_t most = address->size > offsetof(struct sockaddr_un, sun_path)
                          ? address->size - offsetof(struct sockaddr_un, sun_path)
                          : 0;
        if (most > 0 && name->sun_path[0] == 0)
            snprintf(text, SOCKET_TEXT, "unix:@%.*s", (int)most - 1, name->sun_path + 1);
        else
            snprintf(text, SOCKET_TEXT, "unix:%.*s", (int)most, name->sun_path);
        return;
    }
    char host[INET6_ADDRSTRLEN + 32] = "?", port[8] = "?";
    getnameinfo((const struct sockaddr *)(const void *)&address->storage, address->size, host, sizeof host, port,
                sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(text, SOCKET_TEXT, address->storage.ss_family == AF_INET6 ? "tcp:[%s]:%s" : "tcp:%s:%s", host, port);
}

static int new_socket(const struct socket_address *address, int flags)
{
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        return -errno;
    int failed = child_clear_of_streams(&fd, 1);
    return failed < 0 ? failed : fd;
}

static const struct sockaddr *name_of(const struct socket_address *address)
{
    return (const struct sockaddr *)(const void *)&address->storage;
}

static const char *path_of(const struct socket_address *address)
{
    const struct sockaddr_un *name = (const struct sockaddr_un *)(const void *)&address->storage;
    bool has = address->storage.ss_family == AF_UNIX && address->size > offsetof(struct sockaddr_un, sun_path);
    return has && name->sun_path[0] ? name->sun_path : NULL;
}

/* Whether a socket lies there that is nobody's. A datagram socket cannot connect to one of a listener's, and is
 * refused only if there is no socket behind the file: so nobody is disturbed by the question, and one that is bound
 * and does not listen yet counts as somebody's. */
static bool is_abandoned(const struct socket_address *address)
{
    struct stat file;
    if (lstat(path_of(address), &file) < 0 || !S_ISSOCK(file.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, name_of(address), address->size) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

/* The folder, locked, of a Unix path: of several who have seen it abandoned one at a time may replace it, or the second
 * would remove what the first has just made. The kernel unlocks for the dead. -1: it cannot be had (a folder that may
 * not be read; a stranger's lock). */
static int lock_folder(const char *path)
{
    char folder[sizeof(struct sockaddr_un)];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    slash[slash == folder ? 1 : 0] = 0;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || child_clear_of_streams(&fd, 1) < 0)
        return -1;
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = LOCK_NAP }, NULL);
    }
    close(fd);
    return -1;
}

static int bind_and_listen(int fd, const struct socket_address *address, int backlog)
{
    return bind(fd, name_of(address), address->size) < 0 || listen(fd, backlog) < 0 ? -errno : 0;
}

static int take_over(int fd, const struct socket_address *address, int backlog)
{
    int failed = -EADDRINUSE, folder = lock_folder(path_of(address));
    if (folder >= 0 && is_abandoned(address) && (unlink(path_of(address)) == 0 || errno == ENOENT))
        failed = bind_and_listen(fd, address, backlog);
    if (folder >= 0)
        close(folder);
    return failed;
}

int socket_listen(const struct socket_address *address, int backlog)
{
    int fd = new_socket(address, SOCK_NONBLOCK), one = 1;
    if (fd < 0)
        return fd;
    if (address->storage.ss_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    int failed = bind_and_listen(fd, address, backlog);
    if (failed == -EADDRINUSE && path_of(address) && is_abandoned(address))
        failed = take_over(fd, address, backlog);
    if (failed == 0)
        return fd;
    close(fd);
    return failed;
}

int socket_name(int fd, struct socket_address *address)
{
    memset(address, 0, sizeof *address);
    address->size = sizeof address->storage;
    return getsockname(fd, (struct sockaddr *)(void *)&address->storage, &address->size) < 0 ? -errno : 0;
}

void socket_file_of(const struct socket_address *address, struct socket_file *made)
{
    struct stat file;
    *made = (struct socket_file){ 0 };
    if (path_of(address) && lstat(path_of(address), &file) == 0 && S_ISSOCK(file.st_mode))
        *made = (struct socket_file){ file.st_dev, file.st_ino };
}

void socket_remove_file(const struct socket_address *address, const struct socket_file *made)
{
    struct socket_file there;
    socket_file_of(address, &there);
    if (made->inode && there.inode == made->inode && there.device == made->device)
        unlink(path_of(address));
}

void socket_prepare(int fd)
{
    int one = 1, idle = KEEP_IDLE, interval = KEEP_INTERVAL, count = KEEP_COUNT;
    fcntl(fd, F_SETFD, FD_CLOEXEC); /* of one that was handed down */
    /* All refused by a Unix socket, which needs none of it. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

int socket_accept(int listening, struct socket_address *peer)
{
    int fd;
    do {
        memset(peer, 0, sizeof *peer);
        peer->size = sizeof peer->storage;
        fd = accept4(listening, (struct sockaddr *)(void *)&peer->storage, &peer->size, SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    int failed = child_clear_of_streams(&fd, 1);
    if (failed < 0)
        return failed;
    socket_prepare(fd);
    return fd;
}

/* A Unix socket that does not block has its connect refused while the listener's queue is full. */
static int connect_unix(int fd, const struct socket_address *address, int64_t deadline)
{
    while (connect(fd, name_of(address), address->size) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return -errno;
        if (clock_now() >= deadline)
            return -ETIMEDOUT;
        clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ .tv_nsec = 1000000 }, NULL);
    }
    return 0;
}

static int connect_tcp(int fd, const struct socket_address *address, int64_t deadline)
{
    if (connect(fd, name_of(address), address->size) == 0)
        return 0;
    if (errno != EINPROGRESS && errno != EINTR)
        return -errno;
    int failed = socket_wait(fd, POLLOUT, deadline), error = 0;
    socklen_t size = sizeof error;
    if (failed == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    return failed < 0 ? failed : -error;
}

int socket_connect(const struct socket_address *address, int64_t deadline)
{
    int fd = new_socket(address, SOCK_NONBLOCK);
    if (fd < 0)
        return fd;
    int failed = address->storage.ss_family == AF_UNIX ? connect_unix(fd, address, deadline)
                                                       : connect_tcp(fd, address, deadline);
    int flags = fcntl(fd, F_GETFL);
    if (failed == 0 && (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0))
        failed = -errno;
    if (failed < 0) {
        close(fd);
        return failed;
    }
    socket_prepare(fd);
    return fd;
}

int socket_check(int fd, struct socket_address *peer)
{
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
        return -errno;
    if (type != SOCK_STREAM)
        return -EPROTOTYPE;
    memset(peer, 0, sizeof *peer);
    peer->size = sizeof peer->storage;
    return getpeername(fd, (struct sockaddr *)(void *)&peer->storage, &peer->size) < 0 ? -errno : 0;
}

static ssize_t receive(int fd, struct msghdr *message, int flags)
{
    ssize_t got;
    while ((got = recvmsg(fd, message, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
        continue;
    return got < 0 ? errno == EWOULDBLOCK ? -EAGAIN : -errno : got;
}

ssize_t socket_read_both(int fd, void *first, size_t first_size, void *second, size_t second_size)
{
    struct iovec parts[2] = { { first, first_size }, { second, second_size } };
    struct msghdr message = { .msg_iov = first_size ? parts : parts + 1, .msg_iovlen = first_size ? 2 : 1 };
    return receive(fd, &message, 0); /* a descriptor among it has no room, and is closed by the kernel */
}

ssize_t socket_read(int fd, void *bytes, size_t size)
{
    return socket_read_both(fd, NULL, 0, bytes, size);
}

/* unix(7) does not say: a look ends behind a piece that has a descriptor; but it has gone on to that from the piece
 * before, even if that had all the bytes that were asked for. So one byte alone, where more were asked for, with a
 * descriptor, is what socket_send_fd sends; and more than one begin with a piece that has none. */
ssize_t socket_peek(int fd, void *bytes, size_t size)
{
    struct iovec part = { bytes, size };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    ssize_t got = receive(fd, &message, MSG_PEEK);
    return got == 1 && size > 1 && message.msg_flags & MSG_CTRUNC ? -EBADMSG : got;
}

ssize_t socket_write(int fd, const void *first, size_t first_size, const void *second, size_t second_size)
{
    struct iovec parts[2] = { { (void *)(uintptr_t)first, first_size }, { (void *)(uintptr_t)second, second_size } };
    struct msghdr message = { .msg_iov = first_size ? parts : parts + 1,
                              .msg_iovlen = first_size && second_size ? 2 : 1 };
    ssize_t sent;
    while ((sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0 && errno == EINTR)
        continue;
    if (sent < 0)
        return errno == ECONNRESET ? -EPIPE : errno == EWOULDBLOCK ? -EAGAIN : -errno;
    return sent;
}

size_t socket_available(int fd)
{
    int count = 0;
    return ioctl(fd, FIONREAD, &count) == 0 && count > 0 ? (size_t)count : 0;
}

/* Room for one descriptor, aligned as a control message must be. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

int socket_send_fd(int fd, int sent)
{
    char byte = 1; /* how many, as Python's reduction.sendfds says */
    union control control = { .bytes = { 0 } };
    struct iovec part = { &byte, 1 };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(sizeof sent)
    };
    control.header =
        (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof sent) };
    memcpy(CMSG_DATA(&control.header), &sent, sizeof sent);
    ssize_t done;
    while ((done = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)) < 0 && errno == EINTR)
        continue;
    if (done < 0)
        return errno == ECONNRESET ? -EPIPE : errno == EWOULDBLOCK ? -EAGAIN : -errno;
    return 0;
}

int socket_receive_fd(int fd)
{
    char byte, look[2];
    ssize_t looked = socket_peek(fd, look, sizeof look);
    if (looked > 0)
        return -EBADMSG;
    if (looked != -EBADMSG)
        return looked == 0 ? -EPIPE : (int)looked;
    union control control; /* of which only so much is offered that the padding takes no second one */
    struct iovec part = { &byte, 1 };
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))
    };
    ssize_t got = receive(fd, &message, 0);
    if (got <= 0)
        return got == 0 ? -EPIPE : (int)got;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len < CMSG_LEN(sizeof(int)))
        return -EMFILE; /* there was no room for it */
    int received;
    memcpy(&received, CMSG_DATA(header), sizeof received);
    int failed = child_clear_of_streams(&received, 1);
    return failed < 0 ? -EMFILE : received;
}

void socket_hang_up(int fd)
{
    shutdown(fd, SHUT_RDWR);
}

int socket_wait(int fd, short events, int64_t deadline)
{
    struct pollfd waited = { .fd = fd, .events = events };
    for (;;) {
        struct timespec left = { 0 };
        int64_t rest = 0;
        if (deadline != CLOCK_NEVER && deadline > 0) {
            rest = deadline - clock_now();
            if (rest > 0)
                left = (struct timespec){ .tv_sec = rest / 1000000000, .tv_nsec = rest % 1000000000 };
        }
        int found = ppoll(&waited, 1, deadline == CLOCK_NEVER ? NULL : &left, NULL);
        if (found > 0)
            return 0;
        if (found < 0 && errno != EINTR)
            return -ENOMEM;
        if (deadline != CLOCK_NEVER && rest <= 0 && found == 0)
            return -ETIMEDOUT;
    }
}
