/* os/terminal.c */
#include "os/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_USUAL 80 /* of one that does not say */

int terminal_columns(int fd)
{
    struct winsize window = { 0 };
    if (!isatty(fd))
        return 0;
    const char *kind = getenv("TERM"); /* NOLINT(concurrency-mt-unsafe): the header says so */
    if (!kind || strcmp(kind, "dumb") == 0)
        return 0;
    pid_t group = tcgetpgrp(fd); /* -1: it is not the controlling one, where there is no background */
    if (group > 0 && group != getpgrp())
        return 0;
    return ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : COLUMNS_USUAL;
}
