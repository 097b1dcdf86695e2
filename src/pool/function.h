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

/* A list that only grows, under the creator's guard. */
struct function {
    struct module_function name; /* first: what workers are handed is its address */
    struct function *next;
    char symbol[SYMBOL_SIZE]; /* where they are wanted, and it is known; else "" */
};

#define FUNCTIONS_KNOWN 64 /* of the program's own, found again by address alone */

/* The creator's. */
struct functions {
    struct function *all;
    bool symbols; /* are wanted */
    struct {
        uintptr_t address;
        const struct module_function *name;
    } known[FUNCTIONS_KNOWN];
};

/* The name of the function at `address`. NULL: none, errno is EINVAL (it is in no module) or ENOMEM, and there is a
 * sentence, in which `call` asks for it. Under the creator's guard. */
const struct module_function *function_name(struct functions *functions, uintptr_t address, const char *call);

/* When no worker is left. */
void functions_free(struct functions *functions);

/* In a worker: the address of that function in it, or -errno. */
int function_find(const struct module_function *name, uintptr_t *address);

#endif
