/* report.h: what went wrong, on standard error, a line each; any thread may report. */
#ifndef HASHTREE_REPORT_H
#define HASHTREE_REPORT_H

#include <stdbool.h>

/* Writes "hashtree: PATH: WHY"; `path` NULL: "hashtree: WHY". The run goes on, and will end with status 1. */
void report(const char *path, const char *why);

/* Whether anything was reported. */
bool report_any(void);

#endif
