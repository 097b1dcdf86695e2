/* bench/scale.h: what more processes at one thing come to, by their number.
 */
#ifndef BENCH_SCALE_H
#define BENCH_SCALE_H

#include <stdbool.h>

/* Prints, for 1, 2, 4, ... processes up to the processors there are, what all of them together do in a second with one
 * lock, one rwlock, the heap, one queue, one pool; beside what the system has for that. Each rate is the median of so
 * many rounds. 0, or -1 after trouble(). */
int scale_print(int rounds, bool json);

#endif
