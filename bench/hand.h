/* bench/hand.h: a hand: a process that takes part in a measurement, started by brood or, for the limit, by bare fork.
 * Both kinds die with the lab.
 */
#ifndef BENCH_HAND_H
#define BENCH_HAND_H

#include <brood.h>
#include <stdbool.h>
#include <sys/types.h>

struct hand {
    pid_t pid;              /* 0: not started */
    brood_process *process; /* NULL: by bare fork */
};

/* Runs target(arg) in a new process. `arg` lies in the region. 0, or -1 after trouble(). */
int hand_start(struct hand *hand, bool bare, brood_target *target, void *arg);

/* 0, or -1 after trouble(). */
int hand_kill(const struct hand *hand);

/* Waits for its end: what its target returned, 0 to 255, or -1 if it was killed. For one not started: -1. */
int hand_join(struct hand *hand);

/* Whether it sleeps in the kernel: then it waits for something. */
bool hand_sleeps(const struct hand *hand);

#endif
