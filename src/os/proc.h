/* os/proc.h: the lines of a file of /proc, without stdio: that has locks, and allocates, and its readers may hold a
 * latch that others wait for. */
#ifndef OS_PROC_H
#define OS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_lines {
    int fd;
    bool whole; /* the next byte begins a line */
    size_t at, end;
    char buffer[4096];
};

/* Bytes of memory that the process has to itself: resident, and shared with nobody, about; `pid` 0: the calling one's.
 * 0 where that is not told. */
int64_t proc_private_bytes(pid_t pid);

/* False: there is no such file, or no descriptor for it. */
bool proc_open(struct proc_lines *lines, const char *path);

/* The next line, without its newline, cut where it does not fit the buffer; good until the next call. NULL: no more. */
char *proc_line(struct proc_lines *lines);

void proc_close(struct proc_lines *lines);

#endif
