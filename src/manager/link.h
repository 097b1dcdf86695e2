/* manager/link.h: a thread's line to a manager of another family.
 *
 * It is opened by the thread's first call, and closed when the thread or the manager ends. One that has failed is not
 * opened again: what its session had may be gone by then. One more is no thread's: it keeps the session, until the
 * manager ends, also while no thread has a line.
 */
#ifndef MANAGER_LINK_H
#define MANAGER_LINK_H

#include "manager/message.h"
#include "manager/remote.h"

#define LINK_WHY 160

/* In two lists, if it is a thread's: that one's, and the remote's. end: NULL when that is closed. number: of the last
 * request. failed: errno of what ended it; why: with that. */
struct link {
    struct link *next_of_thread, *next;
    struct remote *remote;
    brood_connection *end;
    int64_t number;
    int failed;
    char why[LINK_WHY];
};

/* An answer: the block is the caller's to give back. */
struct link_answer {
    brood_block block;
    int result;
    struct cursor value;
};

/* The calling thread's; NULL: it has none yet. */
struct link *link_find(const struct remote *remote);

/* A new one, of that connection, which it owns; nobody's so far. NULL: no memory, and it is closed. And the end of one
 * that is still nobody's; NULL is fine. */
struct link *link_make(struct remote *remote, brood_connection *end);
void link_discard(struct link *link);

/* It is the calling thread's from now on. False: no memory. */
bool link_own(struct link *link);

/* All of that remote are closed, and its threads free them. */
void links_close(struct remote *remote);

/* Says something of the last request, which has no answer. 0 or -errno. */
int link_say(struct link *link, const char *operation);

/* Sends a request of that number, and waits for its answer; after `timeout_ms` it asks the server to leave it, and
 * waits on. 0, or -errno with a sentence: the request could not be sent, or link->failed. */
int link_exchange(struct link *link, const void *request, size_t size, int timeout_ms, struct link_answer *answer);

#endif
