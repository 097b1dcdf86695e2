/* manager/routine.h: how the program's own code is called in the server: with a value, for a value or a sentence.
 */
#ifndef MANAGER_ROUTINE_H
#define MANAGER_ROUTINE_H

#include "manager/channel.h"
#include "manager/item.h"

/* what, name: "method 'deposit'", for sentences. run: 0 or an errno, of either sign. */
struct routine {
    int (*run)(void *context, const brood_any *arg, brood_any *result);
    void *context;
    const char *what, *name;
};

/* Calls it, and replies with its result: 0, or what it returned, negative, with what it said by brood_fail; -EINVAL,
 * -EMSGSIZE, -ENOMEM: its argument or its result is none. */
int routine_call(const struct routine *routine, const struct item *arg, struct parcel *reply);

#endif
