/* utf8.h: names are a program's own bytes: which of them are characters, by RFC 3629. */
#ifndef INSPECT_UTF8_H
#define INSPECT_UTF8_H

/* Bytes of the character that begins there, in a text that ends with 0. 0: none does. */
int utf8_length(const char *text);

#endif
