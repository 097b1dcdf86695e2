/* window.c */
#include "window.h"

#include "utf8.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 128

/* Whether that descriptor's file is the family's region. */
static bool is_region(int fd, const struct family *family)
{
    struct stat file;
    return fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_ino == family->inode;
}

/* By one of the process' descriptors; -1: it has none that we may open. */
static int open_descriptor(const struct family *family, int pid)
{
    char path[PATH_SIZE], link[PATH_SIZE];
    int found = -1;
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && found < 0 && (entry = readdir(folder));) {
        ssize_t length = readlinkat(dirfd(folder), entry->d_name, link, sizeof link - 1);
        if (length <= 0)
            continue;
        link[length] = 0;
        if (strncmp(link, FAMILY_FILE, sizeof FAMILY_FILE - 1) != 0)
            continue;
        found = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo may be named so */
        if (found >= 0 && !is_region(found, family)) {
            close(found);
            found = -1;
        }
    }
    if (folder)
        closedir(folder);
    return found;
}

static int open_mapping(const struct family *family, int pid)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "/proc/%d/map_files/%llx-%llx", pid, (unsigned long long)family->start,
             (unsigned long long)family->end);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && !is_region(fd, family)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Once it is open it stays that process'; but the id may have become another's before. */
static int open_memory(const struct family *family, int pid)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && !family_has(family, pid)) {
        close(fd);
        errno = ESRCH;
        fd = -1;
    }
    return fd;
}

/* Of any of its processes: one may have closed its descriptors, or may be of another user. */
static bool open_any(struct window *window, const struct family *family)
{
    window->shift = family->start;
    for (size_t i = 0; i < family->count; i++)
        if ((window->fd = open_mapping(family, family->pids[i])) >= 0 ||
            (window->fd = open_descriptor(family, family->pids[i])) >= 0)
            return true;
    window->shift = 0;
    for (size_t i = 0; i < family->count; i++)
        if ((window->fd = open_memory(family, family->pids[i])) >= 0)
            return true;
    return false;
}

/* Whether this tool can read what lies there. */
static bool is_readable(const struct window *window, const struct family *family, char why[static WINDOW_WHY])
{
    const struct region *head = &window->head;
    int pid = family->pids[0];
    if (window->is_new)
        snprintf(why, WINDOW_WHY, "process %d is just founding its family", pid);
    else if (head->magic >> 24 != REGION_MAGIC >> 24)
        snprintf(why, WINDOW_WHY, "process %d maps a file named as brood's, which is none", pid);
    else if (head->magic != REGION_MAGIC)
        snprintf(why, WINDOW_WHY, "the family of process %d was made by a brood of another layout: this tool is of %s",
                 pid, region_version);
    else if (head->layout != region_layout)
        snprintf(why, WINDOW_WHY,
                 "the family of process %d was made by brood %s, in another build than this tool's, which is of %s",
                 pid, head->version, region_version);
    else if (head->base != family->start || head->size != window->size)
        snprintf(why, WINDOW_WHY, "the region of process %d is not as large as it says", pid);
    else
        return true;
    return false;
}

bool window_open(struct window *window, const struct family *family, char why[static WINDOW_WHY])
{
    *window = (struct window){ .fd = -1, .base = family->start, .size = family->end - family->start };
    if (family_is_below(family)) {
        snprintf(why, WINDOW_WHY,
                 "the family of process %d is in a container, a pid namespace of its own, where its ids mean others "
                 "than here: look at it from in there",
                 family->pids[0]);
        return false;
    }
    if (!open_any(window, family)) {
        int failed = errno;
        if (family_has_ended(family))
            snprintf(why, WINDOW_WHY, "the family of process %d has just ended", family->pids[0]);
        else
            snprintf(why, WINDOW_WHY, "the region of process %d cannot be opened: %s", family->pids[0],
                     strerror(failed));
        return false;
    }
    if (!window_read(window, (const void *)(uintptr_t)window->base, &window->head, sizeof window->head)) {
        snprintf(why, WINDOW_WHY, "the family of process %d has just ended", family->pids[0]);
        window_close(window);
        return false;
    }
    window->is_new = window->head.magic == 0;
    char *version = window->head.version;
    window_clean(version, sizeof window->head.version, version, sizeof window->head.version);
    if (is_readable(window, family, why))
        return true;
    window_close(window);
    return false;
}

void window_close(struct window *window)
{
    if (window->fd >= 0)
        close(window->fd);
    window->fd = -1;
}

bool window_holds(const struct window *window, const void *address, size_t size)
{
    uint64_t offset = (uint64_t)(uintptr_t)address - window->base;
    return offset < window->size && size <= window->size - offset;
}

bool window_read(const struct window *window, const void *address, void *copy, size_t size)
{
    char *to = copy;
    if (!window_holds(window, address, size))
        return false;
    uint64_t at = (uint64_t)(uintptr_t)address - window->shift;
    while (size > 0) {
        ssize_t got = pread(window->fd, to, size, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        at += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

/* Neither a control character, of ASCII or of C1, which terminals obey as well, nor bytes that are none. */
static bool is_printable(const char *at)
{
    const unsigned char *byte = (const unsigned char *)at;
    return byte[0] >= ' ' && byte[0] != 127 && !(byte[0] == 0xc2 && byte[1] < 0xa0) && utf8_length(at) > 0;
}

void window_clean(char *text, size_t size, const char *from, size_t room)
{
    size_t length = strnlen(from, room < size - 1 ? room : size - 1);
    memmove(text, from, length);
    text[length] = 0;
    for (char *at = text; *at;) {
        if (!is_printable(at))
            *at = '?'; /* and what follows of it is none either */
        else
            at += utf8_length(at);
    }
}

void window_text(const struct window *window, const char *address, char *text, size_t size)
{
    text[0] = 0;
    if (!window_holds(window, address, 1))
        return;
    uint64_t left = window->base + window->size - (uint64_t)(uintptr_t)address;
    size_t length = left < size - 1 ? (size_t)left : size - 1;
    if (window_read(window, address, text, length))
        window_clean(text, size, text, length);
    else
        text[0] = 0;
}
