/* bench/robust.h: the machine's own lock that survives its holder: a robust, process-shared pthread mutex.
 */
#ifndef BENCH_ROBUST_H
#define BENCH_ROBUST_H

#include <pthread.h>

/* 0, or -1 after trouble(). */
int robust_init(pthread_mutex_t *mutex);

#endif
