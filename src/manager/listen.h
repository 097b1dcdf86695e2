/* manager/listen.h: a server is told to listen, by a process of its family.
 */
#ifndef MANAGER_LISTEN_H
#define MANAGER_LISTEN_H

#include "manager/reply.h"
#include "manager/server.h"

/* In the server: MANAGER_LISTEN. */
int listen_here(struct brood_manager *manager, struct client *client, struct cursor *arguments, struct parcel *reply);

#endif
