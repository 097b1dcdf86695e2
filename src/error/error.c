/* error/error.c: brood_error(). */
#include "error/error.h"

#include <brood/result.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ERROR_SIZE 384

static _Thread_local char error_sentence[ERROR_SIZE];

/* Formats first, stores afterwards: an argument may be the sentence itself. */
static void keep(const char *sentence, va_list arguments)
{
    char text[ERROR_SIZE];
    vsnprintf(text, sizeof text, sentence, arguments);
    for (size_t i = 0; i < sizeof text; i++) {
        error_sentence[i] = text[i] == '\n' ? ' ' : text[i];
        if (!text[i])
            break;
    }
}

int error_set(int code, const char *sentence, ...)
{
    va_list arguments;
    va_start(arguments, sentence);
    keep(sentence, arguments);
    va_end(arguments);
    errno = code;
    return -code;
}

void error_tell(const char *sentence, ...)
{
    va_list arguments;
    va_start(arguments, sentence);
    keep(sentence, arguments);
    va_end(arguments);
}

int error_null(const char *call, const char *what)
{
    static const char link[] = "; before that: ";
    const char *cause = strstr(error_sentence, link); /* several calls in a row on the same NULL: one cause */
    cause = cause ? cause + sizeof link - 1 : error_sentence;
    return error_set(EINVAL, "%s: %s is NULL%s%s", call, what, cause[0] ? link : "", cause);
}

const char *brood_error(void)
{
    return error_sentence;
}

int error_reserved(const char *call, void *const *reserved, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (reserved[i])
            return error_set(EINVAL, "%s: the options are of a newer brood (reserved[%zu])", call, i);
    return 0;
}
