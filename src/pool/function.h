/* pool/function.h: the functions that a pool is given, named once each for all its workers.
 *
 * A name is a block of the region that stays as long as the pool: so its address is enough to know it again.
 */
#ifndef POOL_FUNCTION_H
#define POOL_FUNCTION_H

#include "os/module.h"
#include "os/symbol.h"

#include <stdbool.h>
#include <stdint.h>

struct owner;

struct function {
    struct module_function name; /* first: what workers are handed is its address */
    struct function *next;
    char symbol[SYMBOL_SIZE]; /* where they are wanted, and it is known; else "" */
};

/* The pool's, of all that call it: a list that only grows, under the pool's guard, and can be read without. fresh: the
 * one that is being made; linked by `all`, which commits it: whoever inherits the guard sees by that whether it was. */
struct functions {
    struct function *_Atomic all;
    struct function *fresh;
    bool symbols; /* are wanted */
};

#define FUNCTIONS_KNOWN 64 /* of the program's own, found again by address alone */

/* A process' own. */
struct known_function {
    uintptr_t address;
    const struct module_function *name;
};

/* The name of the function at `address`. NULL: none, errno is EINVAL (it is in no module) or ENOMEM, and there is a
 * sentence, in which `call` asks for it. Under the owner's guard. */
const struct module_function *function_name(struct owner *owner, uintptr_t address, const char *call);

/* By the heir of the pool's guard. */
void functions_mend(struct functions *functions);

/* When no worker is left. */
void functions_free(struct functions *functions);

/* In a worker: the address of that function in it, or -errno. */
int function_find(const struct module_function *name, uintptr_t *address);

#endif
