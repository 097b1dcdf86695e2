/* bench/fair.h: how evenly a lock is shared by more processes than there are processors.
 */
#ifndef BENCH_FAIR_H
#define BENCH_FAIR_H

/* Eight processes on two processors (fewer, if there are not so many) take and release one lock for so many seconds;
 * then the same with a robust mutex, and with nothing to wait for. Prints what each waited. 0, or -1 after
 * trouble(). */
int fair_print(int seconds);

#endif
