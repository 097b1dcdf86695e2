/* manager/client.c: calls to a manager's server, as its clients make them. */
#include "error/error.h"
#include "manager/manager.h"
#include "os/clock.h"
#include "region/region.h"

#include <errno.h>
#include <string.h>

int manager_enter(const struct brood_manager *manager, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!manager)
        return error_null(call, "the manager");
    if (!region_holds(manager, sizeof *manager) || manager->mark != MANAGER_MARK)
        return error_set(EINVAL, "%s: %p is no manager", call, (const void *)manager);
    return 0;
}

struct channel *manager_begin(struct brood_manager *manager, const char *call, size_t size, void **room)
{
    struct channel *channel = channel_find(manager, &manager->board, call);
    if (!channel)
        return NULL;
    *room = parcel_room(&channel->request, size);
    if (*room)
        return channel;
    error_set(ENOMEM, "%s: no memory in the region for %zu bytes to manager '%s'", call, size, manager->name);
    return NULL;
}

/* Why there is no reply, as a sentence. */
static int say_gone(struct brood_manager *manager, const char *call, int failed)
{
    manager_reap(manager);
    if (failed == -EPIPE)
        return error_set(EPIPE, "%s: manager '%s' was shut down", call, manager->name);
    return error_set(EOWNERDEAD, "%s: the server of manager '%s', process %d, was killed", call, manager->name,
                     atomic_load(&manager->pid));
}

int manager_call(struct brood_manager *manager, const char *call, struct channel *channel)
{
    struct thread *self = thread_self();
    channel_send(self, &manager->board, channel);
    int failed = channel_await(self, &manager->board, channel, CLOCK_NEVER);
    if (failed < 0)
        return say_gone(manager, call, failed);
    if (channel->reply.result >= 0)
        return channel->reply.result;
    size_t size;
    const char *sentence = parcel_content(&channel->reply, &size);
    if (!sentence || size == 0)
        return error_set(-channel->reply.result, "%s: manager '%s': %s", call, manager->name,
                         strerror(-channel->reply.result));
    return error_set(-channel->reply.result, "%s: %.*s", call, (int)size, sentence);
}

void manager_end(struct channel *channel)
{
    parcel_tidy(&channel->request, false);
    parcel_tidy(&channel->reply, false);
}

int brood_manager_stat(brood_manager *manager, brood_manager_stats *stats)
{
    static const char call[] = "brood_manager_stat";
    int failed = manager_enter(manager, call);
    if (failed < 0)
        return failed;
    if (!stats)
        return error_null(call, "stats");
    struct request *request;
    void *room;
    struct channel *channel = manager_begin(manager, call, sizeof *request, &room);
    if (!channel)
        return -errno;
    request = room;
    *request = (struct request){ .method = MANAGER_STAT };
    failed = manager_call(manager, call, channel);
    size_t size;
    const void *reply = parcel_content(&channel->reply, &size);
    struct manager_figures figures;
    *stats = (brood_manager_stats){ .clients = 0 };
    if (failed == 0 && reply && size == sizeof figures) {
        memcpy(&figures, reply, sizeof figures);
        stats->clients = figures.clients;
        stats->calls = figures.calls;
    }
    manager_end(channel);
    return failed;
}
