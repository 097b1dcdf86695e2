/* manager/custom.h: what can be asked of an object of a registered type; in the server, and in requests. (custom.c
 * serves it.)
 */
#ifndef MANAGER_CUSTOM_H
#define MANAGER_CUSTOM_H

#include "manager/object.h"

enum custom_method {
    CUSTOM_CALL, /* (method, argument) */
};

/* Whether it is of the type that an opening says; true of an object that is no such. */
bool custom_fits(const struct object *object, const struct item *arg);

#endif
