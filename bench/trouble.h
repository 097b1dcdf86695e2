/* bench/trouble.h: what the lab says when a measurement could not be made. A slow figure is no trouble; a wrong result
 * is, since the time it took then means nothing.
 */
#ifndef BENCH_TROUBLE_H
#define BENCH_TROUBLE_H

/* Prints one line on standard error and returns -1, which no measurement can be. */
double trouble(const char *what, ...) __attribute__((format(printf, 1, 2)));

#endif
