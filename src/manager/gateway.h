/* manager/gateway.h: where a server listens for visitors (manager/visitor.h), in a thread of its own process.
 *
 * The thread sleeps on sockets, which the server's cannot: that sleeps on a word. So the server is never in the middle
 * of a line, of TLS or of a proof of keys, and who calls through the region does not wait for those who do not. The
 * server tells it of each reply to a channel with a session.
 */
#ifndef MANAGER_GATEWAY_H
#define MANAGER_GATEWAY_H

#include "manager/manager.h"

#include <brood/listener.h>

/* By the server's thread: listens there too; the address it has then is the manager's. 0, or -errno with a sentence. */
int gateway_listen(struct brood_manager *manager, const char *address, const brood_listener_options *options);

/* By the server's thread: a reply to a channel of the gateway's is there. */
void gateway_ring(void);

/* At the server's end: all lines are closed, with a word to those at the other end. */
void gateway_end(void);

#endif
