/* manager/remote.h: a manager of another family, reached over lines: docs/protocol.md.
 *
 * Each thread that calls has a line of its own (manager/link.h), as it has a channel of a manager here: what a thread
 * holds or waits for there is known by its line, and given back when that ends. All lines of a manager are one session,
 * whose handles are the process': one line more keeps it while no thread has one.
 */
#ifndef MANAGER_REMOTE_H
#define MANAGER_REMOTE_H

#include "manager/manager.h"

#include <brood/connection.h>
#include <pthread.h>
#include <stdatomic.h>

#define REMOTE_TEXTS 5

struct link;

/* In the private memory of the process that connected. Constant once it is connected, but for the first four. uses: the
 * manager's, until it is destroyed, and its lines': each thread frees its own. links: under `guard`, as is their
 * closing. keeper: the line that keeps the session. options: with copies of all that they point to, which are `kept`.
 * most: bytes of a request. */
struct remote {
    _Atomic unsigned uses;
    _Atomic bool closed;
    pthread_mutex_t guard;
    struct link *links;
    struct link *keeper;
    int32_t process;
    size_t most;
    char *address;
    brood_connection_options options;
    void *kept[REMOTE_TEXTS], *key;
    brood_any session; /* its secret */
};

/* As manager_ask, manager_ask_encoded and manager_wait. */
int remote_ask(struct brood_manager *manager, const char *call, const struct request *request,
               const brood_any *const *args, brood_any *value);
int remote_ask_encoded(struct brood_manager *manager, const char *call, const struct request *request,
                       const struct bytes *args, struct bytes *reply);
int remote_wait(struct brood_manager *manager, const char *call, const struct request *request,
                const brood_any *const *args, int timeout_ms, brood_any *value);

/* One use less; the last frees it. */
void remote_release(struct remote *remote);

/* The manager's end: closes all lines. Nobody is in a call. */
void remote_close(struct remote *remote);

#endif
