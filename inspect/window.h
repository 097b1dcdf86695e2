/* window.h: a family's region, read from outside.
 *
 * The region is read by pread(2) from its file, which is that of a process' mapping (/proc/PID/map_files, as root), or
 * of a descriptor (/proc/PID/fd), else from a process' memory (/proc/PID/mem): always read only, and never mapped,
 * since to touch the hole of a mapped sparse file fills it. What is read is a copy, so that what is checked of it stays
 * true, and each address is held against the region's bounds first: what lies there may change at any time, or be
 * nonsense.
 */
#ifndef INSPECT_WINDOW_H
#define INSPECT_WINDOW_H

#include "family.h"
#include "region/region.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_WHY 256

struct window {
    int fd;
    uint64_t base, size;
    uint64_t shift; /* address - shift: where in the file */
    struct region head;
    bool is_new; /* not opened: it was mapped just now, and has no head yet */
};

/* A window into that family. False: `why` is a sentence. */
bool window_open(struct window *window, const struct family *family, char why[static WINDOW_WHY]);
void window_close(struct window *window);

/* Whether [address, address + size) lies in the region. */
bool window_holds(const struct window *window, const void *address, size_t size);

/* Copies what is there. False: it is not in the region, or not to be had any more. */
bool window_read(const struct window *window, const void *address, void *copy, size_t size);

/* Copies a string, at most size - 1 bytes of it, what cannot be printed as '?'. "" if there is none. */
void window_text(const struct window *window, const char *address, char *text, size_t size);

/* The same of a text that was copied with what it lies in: `from` has `room` bytes. */
void window_clean(char *text, size_t size, const char *from, size_t room);

#endif
