/* os/proc.c */
#include "os/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int64_t proc_private_bytes(pid_t pid)
{
    char path[32], line[128];
    long long all, resident, shared;
    snprintf(path, sizeof path, pid ? "/proc/%d/statm" : "/proc/self/statm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return 0;
    line[got] = '\0';
    char *end;
    all = strtoll(line, &end, 10);
    resident = strtoll(end, &end, 10);
    shared = strtoll(end, &end, 10);
    return all > 0 && resident > shared ? (int64_t)(resident - shared) * sysconf(_SC_PAGESIZE) : 0;
}

bool proc_open(struct proc_lines *lines, const char *path)
{
    lines->fd = open(path, O_RDONLY | O_CLOEXEC);
    lines->whole = true;
    lines->at = lines->end = 0;
    return lines->fd >= 0;
}

/* Reads more behind what is there; one byte stays free for the NUL. False: there is no more, or no room. */
static bool fill(struct proc_lines *lines)
{
    memmove(lines->buffer, lines->buffer + lines->at, lines->end - lines->at);
    lines->end -= lines->at;
    lines->at = 0;
    ssize_t got = 0;
    if (lines->end < sizeof lines->buffer - 1)
        do {
            got = read(lines->fd, lines->buffer + lines->end, sizeof lines->buffer - 1 - lines->end);
        } while (got < 0 && errno == EINTR);
    lines->end += got > 0 ? (size_t)got : 0;
    return got > 0;
}

char *proc_line(struct proc_lines *lines)
{
    for (;;) {
        char *line = lines->buffer + lines->at;
        char *newline = memchr(line, '\n', lines->end - lines->at);
        bool begins = lines->whole;
        if (!newline && fill(lines))
            continue;
        line = lines->buffer + lines->at;
        if (!newline && lines->at == lines->end)
            return NULL;
        lines->whole = newline != NULL;
        lines->at = newline ? (size_t)(newline - lines->buffer) + 1 : lines->end;
        *(newline ? newline : lines->buffer + lines->end) = '\0';
        if (begins)
            return line;
    }
}

void proc_close(struct proc_lines *lines)
{
    close(lines->fd);
}
