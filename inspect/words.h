/* words.h: times, amounts of memory and states, as people read them. */
#ifndef INSPECT_WORDS_H
#define INSPECT_WORDS_H

#include <stdint.h>

#define WORDS_SIZE 24

/* "340 ms", "2.1 s", "12 min", "3.5 h", "9 days". Returns text. */
const char *words_time(char text[static WORDS_SIZE], int64_t ms);

/* "640 B", "12 KiB", "1.5 GiB". */
const char *words_bytes(char text[static WORDS_SIZE], uint64_t bytes);

/* "running", "sleeping", "stopped", ... of a letter of /proc/PID/stat; 0: "gone". */
const char *words_state(char state);

#endif
