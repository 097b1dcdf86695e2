/* manager/registry.h: the program's own types and functions, by their names, as a server knows them. One server a
 * process; they stay until its end.
 */
#ifndef MANAGER_REGISTRY_H
#define MANAGER_REGISTRY_H

#include "manager/channel.h"
#include "manager/item.h"
#include "manager/manager.h"

#include <brood/managed_type.h>

#define REGISTRY_NAME 64 /* bytes of a name, and a 0 */

struct method {
    char name[REGISTRY_NAME];
    int (*run)(void *self, const brood_any *arg, brood_any *result);
};

struct type {
    struct type *next;
    int (*begin)(void **self, const brood_any *arg);
    void (*end)(void *self);
    size_t count;
    char name[REGISTRY_NAME];
    struct method methods[];
};

struct function {
    struct function *next;
    brood_managed_function *run;
    char name[REGISTRY_NAME];
};

/* MANAGER_REGISTER and MANAGER_FUNCTION: of the server's own family only. 0, or why not, with a sentence. */
int registry_add_type(struct cursor *arguments, struct parcel *reply);
int registry_add_function(struct cursor *arguments, struct parcel *reply);

/* NULL: there is none of that name, a string. */
const struct type *registry_type(const struct item *name);
const struct method *registry_method(const struct type *type, const struct item *name);
const struct function *registry_function(const struct item *name);

/* At the server's end, when no object is left. */
void registry_clear(void);

#endif
