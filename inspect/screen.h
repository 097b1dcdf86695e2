/* screen.h: a terminal that shows a text anew and anew: screen.c by ncurses, screen_plain.c where that is missing. */
#ifndef INSPECT_SCREEN_H
#define INSPECT_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

/* False: standard input or output is no terminal, or none that ncurses knows, or there is no ncurses. */
bool screen_open(void);

/* Shows the text from its first line, or from where the reader has scrolled to, for so long. False: the reader wants to
 * end. */
bool screen_show(const char *text, int64_t ms);

void screen_close(void);

#endif
