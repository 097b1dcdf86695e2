/* line.h: how a hash, and a path in a message, are written. */
#ifndef HASHTREE_LINE_H
#define HASHTREE_LINE_H

#include <stddef.h>
#include <stdio.h>

/* Writes the line that sha256sum(1) of coreutils 9.1 writes for the 32 bytes at `digest`. Failures stay with `file`. */
void line_print(FILE *file, const unsigned char *digest, const char *path);

/* Writes `path` into `text` so that it takes one line of a terminal and does nothing to it: what is not printable in
 * the locale, and a backslash, as C would write it. Cut at `size` - 1 bytes, marked by "...". */
void line_quote(char *text, size_t size, const char *path);

#endif
