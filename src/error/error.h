/* error/error.h: the sentence of this thread's last failure. */
#ifndef ERROR_ERROR_H
#define ERROR_ERROR_H

#include <stddef.h>

/* Keeps the sentence, sets errno to `code` (positive) and returns -code. */
int error_set(int code, const char *sentence, ...) __attribute__((format(printf, 2, 3)));

/* Keeps the sentence of something that succeeded but has to be told. */
void error_tell(const char *sentence, ...) __attribute__((format(printf, 1, 2)));

/* For an object that is NULL, very likely since the call that should have made it failed: says so, and adds the
 * sentence of that earlier failure. -EINVAL. */
int error_null(const char *call, const char *what);

/* The `reserved` tail of an options struct: 0, or -EINVAL with a sentence if the options are of a newer brood. */
int error_reserved(const char *call, void *const *reserved, size_t count);

#endif
