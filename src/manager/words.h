/* manager/words.h: what operations and errors are called on the wire (docs/protocol.md), where numbers would tie the
 * other end to one version of brood, and to one kind of machine.
 */
#ifndef MANAGER_WORDS_H
#define MANAGER_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* type: the manager's method that opens such an object; 0: it is the manager's own. method: of that type. */
struct operation {
    const char *name;
    uint16_t type, method;
};

/* Of the line itself: no server's methods. */
enum { LINE_HELLO = 0xfffc, LINE_CANCEL, LINE_TOOK, LINE_LOST };

/* NULL: there is none. */
const struct operation *operation_named(const char *name, size_t size);
const struct operation *operation_of(unsigned type, unsigned method);

/* "set" of a dictionary: what is "dict.set" elsewhere. */
const struct operation *operation_at(unsigned type, const char *name);
/* Of types that are asked in the same words, the one that has them here. */
unsigned type_kin(unsigned type);

/* Of an object at which nobody waits, and of which nothing is held: it may stand in a batch. */
bool operation_is_plain(const struct operation *operation);

/* "ENOENT", of 2 or of -2; "EIO" of what has no name here. And back: EIO of an unknown one. */
const char *code_name(int code);
int code_named(const char *name, size_t size);

#endif
