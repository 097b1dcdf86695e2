/* report.c: each report is one write, so that the lines of two threads, or of other programs, do not mix. */
#include "report.h"

#include "bar.h"
#include "line.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_bool reported;

void report(const char *path, const char *why)
{
    char name[PATH_MAX + 16], text[sizeof name + 512];
    reported = true;
    if (path)
        line_quote(name, sizeof name, path);
    int length = path ? snprintf(text, sizeof text, "hashtree: %s: %s\n", *path ? name : "''", why)
                      : snprintf(text, sizeof text, "hashtree: %s\n", why);
    if (length > 0) {
        bar_pause();
        fputs(text, stderr);
        bar_resume();
    }
}

bool report_any(void)
{
    return reported;
}
