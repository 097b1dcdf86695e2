/* storm.h: a crew of processes that are killed at random and replaced, and where faults go. */
#ifndef CRASH_STORM_H
#define CRASH_STORM_H

#include "point.h"

enum { MEMBERS = 4 };

struct storm {
    struct point *report; /* where faults go; shared with all who run */
    long long end;        /* us */
    bool verbose;
};

struct crew {
    pid_t pid[MEMBERS];
    void (*body)(void *context);
    void *contexts[MEMBERS];
    unsigned kills;
};

void crew_start(struct crew *crew, int member);
void crew_kill(struct crew *crew, int member);

/* Random numbers of this process; each one that is forked seeds anew. */
void storm_seed(unsigned long long value);
unsigned storm_below(unsigned limit);

/* The time between two kills. */
void storm_gap(void);

/* Kills `pid` if it is a child of `parent`: whether it did. No stranger that got its pid is meant. */
bool storm_kill_child_of(int parent, int pid);

void storm_over_sync(struct storm *storm);
void storm_over_queues(struct storm *storm);
void storm_over_stream(struct storm *storm);
void storm_over_tasks(struct storm *storm);
void storm_over_manager(struct storm *storm);

#endif
