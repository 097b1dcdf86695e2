/* manager/objects.h: the objects of a server, their names, and which process has handles of them.
 *
 * An object lives as long as it has a name or a handle. Handles are counted by the process that asked for them, and
 * given back when that is gone: a thread's end alone gives back none, since others of its process use them too.
 */
#ifndef MANAGER_OBJECTS_H
#define MANAGER_OBJECTS_H

#include "manager/dictionary.h"
#include "manager/manager.h"
#include "manager/sequence.h"

struct objects;

/* NULL: no memory. */
struct objects *objects_create(void);
void objects_destroy(struct objects *objects);

/* A request that is not the manager's own MANAGER_STAT, with its arguments, by a thread of that process. */
int objects_call(struct objects *objects, int32_t process, const struct request *request, struct cursor *arguments,
                 struct parcel *reply);

/* Gives back what processes had that are gone. */
void objects_look(struct objects *objects);

size_t objects_count(const struct objects *objects);
size_t objects_handles(const struct objects *objects);

#endif
