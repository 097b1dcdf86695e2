/* os/symbol.h: what a function is called, as far as the file that it is in tells: by its symbol table, which knows
 * static functions too, else by the table of what it exports. A stripped program has neither.
 */
#ifndef OS_SYMBOL_H
#define OS_SYMBOL_H

#include "os/module.h"

#include <stddef.h>

#define SYMBOL_SIZE 64

/* The name, cut to SYMBOL_SIZE - 1 bytes; "": it is not known. For messages: the file may have been replaced. */
void symbol_find(const struct module_function *function, char name[static SYMBOL_SIZE]);

/* The same by that descriptor of a file, which is as if untouched. */
void symbol_read(int fd, uint64_t offset, char name[static SYMBOL_SIZE]);

#endif
