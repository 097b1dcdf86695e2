/* screen_plain.c: screen.h without ncurses: there is no screen, and what is shown is printed. */
#include "screen.h"

bool screen_open(void)
{
    return false;
}

bool screen_show(const char *text, int64_t ms)
{
    (void)text;
    (void)ms;
    return false;
}

void screen_close(void) {}
