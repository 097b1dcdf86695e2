/* manager/server.h: the loop of a manager's server: it looks at its channels (manager/channel.h) in turn, has each
 * request carried out, and sleeps when there is none.
 *
 * It does one request of a client, then one of the next: who asks faster does not get more. It knows nothing of what is
 * asked for: that is the service's.
 */
#ifndef MANAGER_SERVER_H
#define MANAGER_SERVER_H

#include "manager/channel.h"

#include <stddef.h>

#define SERVER_LATER 0x7ffffff0 /* a result: the reply comes later, by client_answer */

/* One channel, as the server sees it: private memory. own: the service's, NULL at first. holds: by the service: the
 * client's death matters to others, and the service is told of it at once. The rest is the server's. */
struct client {
    void *own;
    bool holds;
    struct channel *channel;
    uint32_t taken; /* the number of the last request that was taken up */
    uint32_t idle;  /* rounds without one */
    bool waits;     /* it is to be answered later */
    bool cancelled; /* and the service has been told that it does not want to wait any more */
    bool fresh;     /* nothing has been heard of what its last request gave it */
};

struct service {
    void *context;
    /* Carries out a request; its result, with the content of the reply in the parcel (parcel_room; of no bytes, if
     * nothing is said), or SERVER_LATER. */
    int (*call)(void *context, struct client *client, const void *request, size_t size, struct parcel *reply);
    /* The client does not want to wait any more for what was to be later: answers it, or does so soon. Told once for a
     * request. NULL: nothing is ever later. */
    void (*cancel)(void *context, struct client *client);
    /* What its last request gave the client could not be taken. NULL: nothing is ever given. */
    void (*lost)(void *context, struct client *client);
    /* The client is gone: what it holds is given back, what it waits for is forgotten. */
    void (*gone)(void *context, struct client *client);
    /* Every second or so, and when a client is gone. NULL: nothing. */
    void (*look)(void *context);
};

/* The reply of a client that waits: it is to be filled in, then answered. */
static inline struct parcel *client_reply(const struct client *client)
{
    return &client->channel->reply;
}

/* Nothing happens, if it does not wait: at the server's end nobody does, and all are told of that end. */
void client_answer(struct client *client, int result);

/* Whether the client has taken what the reply to that request gave it: the last one that tells (channel_took). */
bool client_took(const struct client *client, uint32_t number);

/* Of one that has not, and is gone: whether it may have (channel_doubt). */
bool client_may_have(const struct client *client, uint32_t number);

/* Holds the duty, and serves until `ending` is set, or a SIGTERM comes. 0, or -ENOMEM at the beginning. */
int server_run(struct switchboard *board, const struct service *service);

#endif
