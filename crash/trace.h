/* trace.h: the file of a traced pool, once all that is to be in it is. */
#ifndef CRASH_TRACE_H
#define CRASH_TRACE_H

#include "point.h"

/* Where it is to be, for the calling process. */
void trace_path(char *path, size_t size);

/* Each line must be an object, and the brackets must be there; so many maps have begun and ended, and so many tasks
 * were run, at least and at most. Writes a fault if not, and removes the file. */
void trace_check(struct point *point, const char *path, int maps, int least, int most);

#endif
