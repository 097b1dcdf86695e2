/* process/process.h: the handles of the processes that this process started; for the other rooms. */
#ifndef PROCESS_PROCESS_H
#define PROCESS_PROCESS_H

#include <brood/process.h>
#include <stdint.h>

/* In a forked child, first of all: what its parent kept for its children is not the child's. */
void process_forget_all(void);

/* Takes the status of those that were closed while they ran and have ended since: no zombie stays. */
void process_reap_left(void);

/* As brood_process_join, in the starter, without a sentence: true: it has ended, and *end (if not NULL) says how. */
bool process_await(brood_process *process, brood_end *end, int64_t deadline);

/* As brood_process_signal, without a sentence. */
int process_signal(brood_process *process, int signal);

/* Its pidfd, to poll with others; -1 where there is none. The handle's. */
int process_descriptor(const brood_process *process);

#endif
