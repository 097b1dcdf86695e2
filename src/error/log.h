/* error/log.h: lines for people who look for a fault: brood/log.h. */
#ifndef ERROR_LOG_H
#define ERROR_LOG_H

#include <brood/log.h>
#include <stdatomic.h>

/* The level up to which lines are wanted; by log_say and log.c only. */
extern _Atomic int log_wanted;

/* Writes the line. errno stays. */
void log_write(brood_level level, const char *sentence, ...) __attribute__((format(printf, 2, 3)));

/* Says something, where somebody wants to hear it: one load where not. */
#define log_say(level, ...) \
    ((int)(level) <= atomic_load_explicit(&log_wanted, memory_order_relaxed) ? log_write(level, __VA_ARGS__) : (void)0)

/* At brood_init: what BROOD_LOG asks for, unless the program has said it by brood_log_to. 0, or -EINVAL with a
 * sentence. */
int log_choose(void);

#define LOG_NAME 32

/* Whom to ask for this process' name, when a line is written: it fills in at most LOG_NAME bytes. */
void log_ask_name(void (*namer)(char *name));

/* That name; "" if nobody knows it. */
void log_name(char name[static LOG_NAME]);

#endif
