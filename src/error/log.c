/* error/log.c: brood/log.h. */
#include "error/log.h"

#include "error/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 512

_Atomic int log_wanted = BROOD_SILENT;

/* Function and context change as one. A listener is never freed, since a thread may be just about to call it; the next
 * one remembers it, so that it is no leak. */
struct listener {
    brood_log_function *function; /* NULL: standard error */
    void *context;
    struct listener *previous;
};

static _Atomic(struct listener *) listener;
static _Atomic bool told_by_program;

static void (*name_of_process)(char *name);

static const char *const level_names[] = { "silent", "error", "warning", "info", "debug" };
#define LEVELS ((int)(sizeof level_names / sizeof *level_names))

const char *brood_level_name(brood_level level)
{
    return (int)level >= 0 && (int)level < LEVELS ? level_names[level] : NULL;
}

int brood_log_to(brood_level level, brood_log_function *function, void *context)
{
    if (!brood_level_name(level))
        return error_set(EINVAL, "brood_log_to: %d is no level", (int)level);
    struct listener *new = malloc(sizeof *new);
    if (!new)
        return error_set(ENOMEM, "brood_log_to: no memory");
    *new = (struct listener){ .function = function, .context = context, .previous = atomic_load(&listener) };
    while (!atomic_compare_exchange_weak(&listener, &new->previous, new))
        continue;
    atomic_store(&told_by_program, true);
    atomic_store(&log_wanted, (int)level);
    return 0;
}

int log_choose(void)
{
    const char *text = getenv("BROOD_LOG");
    if (atomic_load(&told_by_program) || !text || !text[0])
        return 0;
    for (int level = 0; level < LEVELS; level++) {
        if (strcmp(text, level_names[level]) == 0) {
            atomic_store(&log_wanted, level);
            return 0;
        }
    }
    return error_set(EINVAL, "BROOD_LOG is '%s': it must be silent, error, warning, info or debug", text);
}

void log_ask_name(void (*namer)(char *name))
{
    name_of_process = namer;
}

void log_name(char name[static LOG_NAME])
{
    name[0] = 0;
    if (name_of_process)
        name_of_process(name);
}

void log_write(brood_level level, const char *sentence, ...)
{
    int kept = errno;
    char line[LINE_SIZE], name[LOG_NAME];
    log_name(name);
    int length =
        snprintf(line, sizeof line, "brood[%d%s%s] %s: ", getpid(), name[0] ? " " : "", name, brood_level_name(level));
    va_list arguments;
    va_start(arguments, sentence);
    length += vsnprintf(line + length, sizeof line - 1 - (size_t)length, sentence, arguments);
    va_end(arguments);
    if (length > LINE_SIZE - 2)
        length = LINE_SIZE - 2;
    for (int i = 0; i < length; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f) /* a stranger's address may be in it */
            line[i] = ' ';
    const struct listener *heard = atomic_load(&listener);
    if (heard && heard->function) {
        line[length] = 0;
        heard->function(heard->context, level, line);
    } else {
        line[length] = '\n';
        ssize_t written = write(STDERR_FILENO, line, (size_t)length + 1);
        (void)written; /* nobody to tell, if standard error is closed or full */
    }
    errno = kept;
}
