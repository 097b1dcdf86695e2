/* manager/archive.c: saving and loading.
 *
 * A file is the CBOR list ["brood manager", 1, snapshot, checksum], where all but the snapshot has a fixed length, so
 * that the checksum, CRC-32 in a byte string, is found from the file's end. A new file is made beside the old one,
 * under a lock that the kernel gives back when its holder dies, and takes its place by rename(2), the commit.
 */
#include "manager/archive.h"

#include "error/error.h"
#include "os/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_SIZE 16 /* bytes before the snapshot */
#define TAIL_SIZE 5  /* and after it: a head, and the checksum */
#define TAIL_HEAD 0x44
#define CRC_POLYNOMIAL 0xedb88320u

static const uint8_t head[HEAD_SIZE] = "\x84\x6d"
                                       "brood manager"
                                       "\x01";

/* ---- the checksum ---- */

/* Over more bytes; 0 at first. */
static uint32_t crc(uint32_t before, const uint8_t *bytes, size_t size)
{
    uint32_t table[256], sum = ~before;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? CRC_POLYNOMIAL : 0);
    }
    for (size_t i = 0; i < size; i++)
        sum = sum >> 8 ^ table[(sum ^ bytes[i]) & 0xff];
    return ~sum;
}

static void write_tail(uint8_t tail[TAIL_SIZE], const uint8_t *content, size_t size)
{
    uint32_t sum = crc(crc(0, head, HEAD_SIZE), content, size);
    tail[0] = TAIL_HEAD;
    for (int i = 1; i < TAIL_SIZE; i++)
        tail[i] = (uint8_t)(sum >> 8 * (TAIL_SIZE - 1 - i));
}

/* ---- writing ---- */

static int put(int fd, const uint8_t *bytes, size_t size, off_t at)
{
    while (size > 0) {
        ssize_t wrote = pwrite(fd, bytes, size, at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return wrote < 0 ? -errno : -EIO;
        bytes += wrote;
        size -= (size_t)wrote;
        at += wrote;
    }
    return 0;
}

/* The file, locked: a descriptor, or -errno. -EAGAIN: who had it locked has given it its name meanwhile. */
static int open_locked(const char *path)
{
    struct stat status, named;
    int failed, fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno == ELOOP || errno == EISDIR ? -EINVAL : -errno;
    if (fstat(fd, &status) < 0)
        failed = -errno;
    else if (!S_ISREG(status.st_mode))
        failed = -EINVAL;
    else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        failed = errno == EWOULDBLOCK ? -EBUSY : -errno;
    else if (lstat(path, &named) < 0 || named.st_ino != status.st_ino || named.st_dev != status.st_dev)
        failed = -EAGAIN;
    else
        return fd;
    close(fd);
    return failed;
}

static int write_all(int fd, const uint8_t *content, size_t size)
{
    uint8_t tail[TAIL_SIZE];
    if (limits_on_file() < HEAD_SIZE + size + TAIL_SIZE) /* it would be a signal that kills */
        return -EFBIG;
    write_tail(tail, content, size);
    if (ftruncate(fd, 0) < 0)
        return -errno;
    int failed = put(fd, head, HEAD_SIZE, 0);
    if (failed == 0)
        failed = put(fd, content, size, HEAD_SIZE);
    if (failed == 0)
        failed = put(fd, tail, TAIL_SIZE, (off_t)(HEAD_SIZE + size));
    if (failed == 0 && fsync(fd) < 0)
        failed = -errno;
    return failed;
}

/* The new name is on the disk too, where the file system can do that. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    int fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

static int save(const char *path, const uint8_t *content, size_t size)
{
    char fresh[PATH_MAX];
    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return -ENAMETOOLONG;
    int fd;
    do
        fd = open_locked(fresh);
    while (fd == -EAGAIN);
    if (fd < 0)
        return fd;
    int failed = write_all(fd, content, size);
    if (failed == 0 && rename(fresh, path) < 0)
        failed = -errno;
    if (failed < 0)
        unlink(fresh);
    flock(fd, LOCK_UN); /* a child that was forked meanwhile has the descriptor too */
    close(fd);
    if (failed == 0)
        sync_folder(path);
    return failed;
}

int brood_manager_save(brood_manager *manager, const char *path)
{
    static const char call[] = "brood_manager_save";
    int failed = manager_enter(manager, call);
    if (failed < 0)
        return failed;
    if (!path)
        return error_null(call, "the path");
    if (manager->remote)
        return error_set(ECHILD, "%s: manager '%s' is another family's", call, manager->name);
    struct channel *channel = channel_find(manager, &manager->board, call);
    if (!channel)
        return -errno;
    const struct request request = { .method = MANAGER_SNAPSHOT };
    memcpy(parcel_room(&channel->request, sizeof request), &request, sizeof request); /* it fits into every channel */
    failed = manager_call(manager, call, channel);
    if (failed == 0) {
        size_t size;
        const uint8_t *content = parcel_content(&channel->reply, &size);
        failed = content ? save(path, content, size) : -EFAULT;
        if (failed < 0)
            error_set(-failed, "%s: manager '%s' cannot be saved as %s: %s", call, manager->name, path,
                      strerror(-failed));
    }
    manager_end(channel);
    return failed;
}

/* ---- reading ---- */

/* 0; -EBADMSG: there are not so many bytes. */
static int get(int fd, uint8_t *bytes, size_t size, off_t at)
{
    while (size > 0) {
        ssize_t got = pread(fd, bytes, size, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EBADMSG;
        bytes += got;
        size -= (size_t)got;
        at += got;
    }
    return 0;
}

/* Reads the file into the channel's request. 0, or -errno without a sentence. */
static int read_all(int fd, struct channel *channel)
{
    const struct request request = { .method = MANAGER_RESTORE, .count = 1 };
    uint8_t found[HEAD_SIZE], tail[TAIL_SIZE], expected[TAIL_SIZE];
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    if (!S_ISREG(status.st_mode) || status.st_size <= HEAD_SIZE + TAIL_SIZE)
        return -EBADMSG;
    if (status.st_size > UINT32_MAX)
        return -EFBIG;
    size_t size = (size_t)status.st_size - HEAD_SIZE - TAIL_SIZE;
    int failed = get(fd, found, HEAD_SIZE, 0);
    if (failed == 0 && memcmp(found, head, HEAD_SIZE) != 0)
        failed = -EBADMSG;
    if (failed < 0)
        return failed;
    uint8_t *room = parcel_room(&channel->request, sizeof request + size);
    if (!room)
        return -ENOMEM;
    memcpy(room, &request, sizeof request);
    failed = get(fd, room + sizeof request, size, HEAD_SIZE);
    if (failed == 0)
        failed = get(fd, tail, TAIL_SIZE, (off_t)(HEAD_SIZE + size));
    write_tail(expected, room + sizeof request, failed == 0 ? size : 0);
    return failed == 0 && memcmp(tail, expected, TAIL_SIZE) != 0 ? -EBADMSG : failed;
}

static int say_unread(const char *call, const char *path, int failed)
{
    if (failed == -EBADMSG)
        return error_set(EBADMSG, "%s: %s is torn, or no file of brood_manager_save", call, path);
    return error_set(-failed, "%s: %s cannot be loaded: %s", call, path, strerror(-failed));
}

int archive_load(struct brood_manager *manager, const char *call, const char *path)
{
    struct channel *channel = channel_find(manager, &manager->board, call);
    if (!channel)
        return -errno;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int failed = fd < 0 ? -errno : read_all(fd, channel);
    if (fd >= 0)
        close(fd);
    failed = failed < 0 ? say_unread(call, path, failed) : manager_call(manager, call, channel);
    manager_end(channel);
    return failed;
}
