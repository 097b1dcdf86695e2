/* harness_board.h: where the processes of a case and its runner meet. The harness' own. */
#ifndef TESTS_HARNESS_BOARD_H
#define TESTS_HARNESS_BOARD_H

#include "harness.h"

#include <stdatomic.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLOWNESS 4
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOWNESS 4
#endif
#endif
#ifndef SLOWNESS
#define SLOWNESS 1 /* how much more time things are given */
#endif

/* Written by any process of the case, read by the runner after the case has ended. The process that raises `failures`
 * from 0 writes `why`, as does the case's own process for `skipped`. */
struct board {
    atomic_int failures;
    atomic_int skipped;
    char why[1024];
    _Alignas(64) char page[65536]; /* the case's own */
};

/* This process' mapping of it; NULL: there is none. */
extern struct board *board;

/* Counts a failed check, and says where and why. */
void board_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Calls visit with each child of this process, unless it is NULL; returns how many there are. */
int each_child(void (*visit)(pid_t pid, char state));

/* Notes which case this process belongs to, and how the program was called, for harness_exec. */
void case_is(const char *program, const char *name, const char *part);

#endif
