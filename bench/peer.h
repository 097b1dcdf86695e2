/* bench/peer.h: a peer: a program of ours that does the same work with what others offer.
 *
 * With `--list` it prints the figures it can measure, one a line; with the name of one, a number: one sample, in the
 * figure's unit. A peer that is not installed, or whose program was not built, is left out.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>

enum { PEER_COUNT = 4 };

struct peer {
    const char *name;
    const char *title;
    const char *needs;       /* what to install, when it is left out */
    const char *interpreter; /* NULL: the file is a program */
    const char *file;        /* in the lab's own folder */
    bool present;
    char figures[1024]; /* what --list printed */
};

extern struct peer peers[PEER_COUNT];

/* Asks each peer for its figures. */
void peers_find(void);

/* NULL: no peer of that name. */
const struct peer *peer_named(const char *name);

/* Whether it is present and measures that figure. */
bool peer_measures(const struct peer *peer, const char *figure);

/* One sample, or -1 after trouble(). */
double peer_sample(const struct peer *peer, const char *figure);

#endif
