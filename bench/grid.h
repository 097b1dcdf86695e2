/* bench/grid.h: the rates of queues by how many put, how many get, and the size of a message.
 */
#ifndef BENCH_GRID_H
#define BENCH_GRID_H

#include <stdbool.h>

/* For 1 to 8 putters, 1 to 8 getters and messages of 16 bytes to 1 MiB: brood's queue, a pipe, a POSIX message queue, a
 * Unix socket, and the peers that have been found (peer.h), one after the other in each round. Prints the medians, as a
 * table or as lines of JSON. 0, or -1 after trouble(). */
int grid_print(int rounds, bool json);

#endif
