/* manager/snapshot.h: all objects of a server that have a name, as one value: a list of [name, type, content], where
 * the type is the word that opens one (manager/words.h). Those that one waits for are left out.
 */
#ifndef MANAGER_SNAPSHOT_H
#define MANAGER_SNAPSHOT_H

#include "manager/objects.h"

/* Replies with one: 0; -EFBIG, with a sentence; or -ENOMEM. */
int snapshot_take(const struct objects *objects, struct parcel *reply);

/* Makes what stands in one, which may be any bytes. 0, or with a sentence: -EBADMSG: it is none; -ENOSPC, -ENOMEM,
 * -EMSGSIZE: it goes beyond the server's limits. Then some of it may be there. */
int snapshot_restore(struct objects *objects, struct cursor *arguments, struct parcel *reply);

#endif
