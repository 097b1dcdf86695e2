/* symbol.h: which function an address of this program lies in. */
#ifndef CRASH_SYMBOL_H
#define CRASH_SYMBOL_H

#include <stddef.h>
#include <stdint.h>

/* "latch_drop_slowly+0x2a", static functions too; outside the program "libc.so.6+0x1234". Returns text. */
const char *symbol_name(uintptr_t address, char *text, size_t size);

#endif
