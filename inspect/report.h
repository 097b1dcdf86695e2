/* report.h: what a family is at, as lines for people: what `brood top` shows. */
#ifndef INSPECT_REPORT_H
#define INSPECT_REPORT_H

#include "sight.h"

#include <stdio.h>

/* Rates are since `before`; NULL: there was no look before, and so there are none. */
void report_print(FILE *out, const struct sight *sight, const struct sight *before);

/* What a work has done since then, a second; negative: not known. */
double report_rate(const struct sight *sight, const struct sight *before, const struct seen_work *work);

#endif
