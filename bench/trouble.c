/* bench/trouble.c: see trouble.h.
 */
#include "trouble.h"

#include <stdarg.h>
#include <stdio.h>

double trouble(const char *what, ...)
{
    va_list arguments;
    va_start(arguments, what);
    fputs("speedlab: ", stderr);
    vfprintf(stderr, what, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return -1;
}
