/* manager/host.c: the server's process: what it does first, and what it does when it is asked. */
#include "manager/bundle.h"
#include "manager/claimant.h"
#include "manager/gateway.h"
#include "manager/hoard.h"
#include "manager/listen.h"
#include "manager/mapping.h"
#include "manager/objects.h"
#include "manager/reference.h"
#include "manager/registry.h"
#include "manager/reply.h"
#include "manager/server.h"
#include "manager/snapshot.h"
#include "os/clock.h"
#include "os/program.h"
#include "os/setup.h"
#include "process/begin.h"
#include "region/region.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define FIGURES_ROOM 128 /* bytes of all of them, as a map */

struct host {
    struct brood_manager *manager;
    struct objects *objects;
    uint64_t calls;
};

static const struct brood_manager *here; /* whose server this process is, or a copy of */

bool host_serves(const struct brood_manager *manager)
{
    return manager == here && atomic_load(&manager->pid) == thread_self()->process;
}

static int stat(const struct host *host, struct parcel *reply)
{
    int64_t clients = 0;
    const struct channel *channel = atomic_load(&host->manager->board.channels);
    for (; channel; channel = channel->next)
        clients += atomic_load(&channel->holder.word) != 0;
    const brood_any pairs[] = {
        brood_any_string("objects"), brood_any_uint(objects_count(host->objects)),
        brood_any_string("handles"), brood_any_uint(objects_handles(host->objects)),
        brood_any_string("memory"),  brood_any_uint(hoard_used),
        brood_any_string("clients"), brood_any_int(clients),
        brood_any_string("calls"),   brood_any_uint(host->calls),
        brood_any_string("waiting"), brood_any_uint(claimants_waiting),
    };
    const brood_any map = brood_any_map(pairs, sizeof pairs / sizeof *pairs / 2);
    size_t size;
    int failed = brood_any_encode(&map, parcel_room(reply, FIGURES_ROOM), FIGURES_ROOM, &size);
    reply->size = failed < 0 ? 0 : (uint32_t)size;
    return failed;
}

static int carry_out(struct host *host, struct client *client, struct request request, struct cursor arguments,
                     struct parcel *reply)
{
    if (request.object == 0 && request.method == MANAGER_STAT)
        return stat(host, reply);
    if (request.object == 0 && request.method == MANAGER_LISTEN)
        return listen_here(host->manager, client, &arguments, reply);
    if (request.object == 0 && request.method == MANAGER_BATCH)
        return bundle_call(host->objects, client, &arguments, request.count, reply, &host->calls);
    if (request.object == 0 && request.method == MANAGER_SNAPSHOT)
        return snapshot_take(host->objects, reply);
    if (request.object == 0 && request.method == MANAGER_RESTORE)
        return snapshot_restore(host->objects, &arguments, reply);
    if (request.object == 0 && request.method == MANAGER_REGISTER)
        return registry_add_type(&arguments, reply);
    if (request.object == 0 && request.method == MANAGER_FUNCTION)
        return registry_add_function(&arguments, reply);
    return objects_call(host->objects, client, &request, &arguments, reply);
}

/* What a request refers to may be lent, so loans end behind it; but before it, if it has no arguments, so that it finds
 * them ended. */
static int answer(void *context, struct client *client, const void *content, size_t size, struct parcel *reply)
{
    struct host *host = context;
    struct request request;
    host->calls++;
    if (size < sizeof request)
        return reply_fail(reply, -EBADMSG, "the request is too short to be one");
    memcpy(&request, content, sizeof request);
    objects_settle(client);
    size_t loans = objects_is_about_loan(&request) ? 0 : reference_loans(client);
    if (request.count == 0) {
        reference_end_loans(client, loans);
        objects_sweep(host->objects);
        loans = 0;
    }
    const struct cursor arguments = { (const uint8_t *)content + sizeof request, (const uint8_t *)content + size };
    int result = carry_out(host, client, request, arguments, reply);
    if (result != SERVER_LATER) /* what it waits at may be lent to it alone */
        reference_end_loans(client, loans);
    objects_sweep(host->objects);
    return result;
}

static void cancel(void *context, struct client *client)
{
    struct host *host = context;
    objects_cancel(client);
    objects_sweep(host->objects);
}

static void lost(void *context, struct client *client)
{
    struct host *host = context;
    objects_settle(client);
    objects_sweep(host->objects);
}

static void gone(void *context, struct client *client)
{
    struct host *host = context;
    objects_gone(host->objects, client);
}

static void look(void *context)
{
    struct host *host = context;
    objects_look(host->objects);
}

/* What a starter has open or waits for is none of a server's business. */
static void begin(struct brood_manager *manager)
{
    const struct setup shut = { .only_fds = true };
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    setup_apply(&shut, (int[]){ region_descriptor(), program_fd(), postbox_descriptor(), begin_line() }, 4, false);
    atomic_store(&manager->pid, (int32_t)getpid());
}

int host_main(void *arg)
{
    struct brood_manager *manager = arg;
    struct host host = { .manager = manager };
    const struct service service = {
        .context = &host, .call = answer, .cancel = cancel, .lost = lost, .gone = gone, .look = look
    };
    begin(manager);
    here = manager;
    const struct manager_limits limits = manager->limits; /* as they are now: clients can write to the region */
    hoard_most = limits.memory;
    reply_most = limits.message;
    mapping_seed = (uint64_t)clock_now() * UINT64_C(0x9e3779b97f4a7c15);
    host.objects = objects_create(&limits);
    if (!host.objects)
        return brood_fail(ENOMEM, "no memory for a server's objects");
    int result = server_run(&manager->board, &service);
    gateway_end();
    objects_destroy(host.objects);
    registry_clear();
    return result;
}
