/* bar.h: the progress bar: on standard error, and only if that is a terminal; else every call does nothing.
 *
 * Any thread may call. There is one bar a process.
 */
#ifndef HASHTREE_BAR_H
#define HASHTREE_BAR_H

#include <stdbool.h>
#include <stdint.h>

/* Shows it. Whether there is one: then bar_expect should be told how much there is to do. */
bool bar_open(void);

/* Erases it for good. */
void bar_close(void);

/* So many bytes more are to be done. `all`: it is known now that there will be no more, so the time left can be told.
 * */
void bar_expect(uint64_t bytes, bool all);

/* So many bytes more are done (negative: fewer than was said). Draws, at most ten times a second. */
void bar_advance(int64_t bytes);

/* Erases the bar and keeps it away while the caller writes to the terminal; between the two no other thread draws. */
void bar_pause(void);
void bar_resume(void);

#endif
