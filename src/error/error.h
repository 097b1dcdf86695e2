/* error/error.h: the sentence of this thread's last failure. */
#ifndef ERROR_ERROR_H
#define ERROR_ERROR_H

/* Keeps the sentence, sets errno to `code` (positive) and returns -code. */
int error_set(int code, const char *sentence, ...) __attribute__((format(printf, 2, 3)));

/* Keeps the sentence of something that succeeded but has to be told. */
void error_tell(const char *sentence, ...) __attribute__((format(printf, 1, 2)));

/* -code again for a failure whose sentence is already there: an argument that an earlier failed call left NULL. With no
 * sentence yet, says `otherwise`. */
int error_keep(int code, const char *otherwise);

#endif
