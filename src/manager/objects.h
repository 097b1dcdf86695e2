/* manager/objects.h: the objects of a server, their names, and which process has handles of them.
 *
 * An object lives as long as it has a name or a handle, or something refers to it (manager/reference.h). Handles are
 * counted by the process that asked for them, and given back when that is gone: a thread's end alone gives back none,
 * since others of its process use them too. Whoever comes from outside the family counts by its session
 * (manager/session.h): as the process -number.
 */
#ifndef MANAGER_OBJECTS_H
#define MANAGER_OBJECTS_H

#include "manager/cbor.h"
#include "manager/manager.h"
#include "manager/server.h"

struct object;
struct objects;
struct pair;

/* NULL: no memory. One server a process. */
struct objects *objects_create(const struct manager_limits *limits);
void objects_destroy(struct objects *objects);

/* A request that is not the manager's own MANAGER_STAT, with its arguments. Its result, or SERVER_LATER. */
int objects_call(struct objects *objects, struct client *client, const struct request *request,
                 struct cursor *arguments, struct parcel *reply);

/* Before each request of a client, and when one says that its last answer was of no use: what that gave it is its own,
 * or is given back. And behind each: what nobody needs any more goes. */
void objects_settle(struct client *client);
void objects_sweep(struct objects *objects);

/* Whether it is a request for a handle by a reference, or for what that is to: no other ends loans. */
bool objects_is_about_loan(const struct request *request);

/* It does not want to wait any more; it is gone. */
void objects_cancel(struct client *client);
void objects_gone(struct objects *objects, struct client *client);

/* The object; NULL: it is gone. And one thing less needs it: if nothing does, it goes with the next sweep. */
struct object *objects_find(uint64_t id);
void objects_release(struct object *object);

/* What the arguments of a call refer to: 0, or why it cannot be had, or stored in the object (NULL: in none). */
int objects_check_references(struct object *object, unsigned method, const struct item *args, unsigned count,
                             struct parcel *reply);

/* Gives back what processes had that are gone. */
void objects_look(struct objects *objects);

/* The next object that has a name, after that one (NULL: the first): its name, and it. NULL: there is no more. */
const struct pair *objects_next(const struct objects *objects, const struct pair *after, struct object **object);

/* A new one, empty, of which nobody has a handle; `name` is nil, if it is to have none; what it may be made of is no
 * more deep than the server's limit. 0, or why not, with a sentence: -ENOSPC, -ENOMEM; -EEXIST: there is one of that
 * name. */
int objects_add(struct objects *objects, unsigned type, const struct item *name, struct object **object,
                struct parcel *reply);
int objects_depth(const struct objects *objects);

size_t objects_count(const struct objects *objects);
size_t objects_handles(const struct objects *objects);

#endif
