/* manager/view.h: an object as a registered function sees it, which runs at it in the server.
 */
#ifndef MANAGER_VIEW_H
#define MANAGER_VIEW_H

#include "manager/object.h"

/* OBJECT_RUN: args: the function's name, and its argument. `depth`: of values that go into the object. */
int view_run(struct object *object, const struct item *args, unsigned count, int depth, struct parcel *reply);

#endif
