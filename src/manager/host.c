/* manager/host.c: the server's process: what it does first, and what it does when it is asked. */
#include "error/error.h"
#include "manager/manager.h"
#include "manager/server.h"
#include "os/program.h"
#include "os/setup.h"
#include "process/begin.h"
#include "region/region.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct host {
    struct brood_manager *manager;
    uint64_t calls;
};

static int say(struct parcel *reply, int failed, const char *sentence)
{
    size_t size = strlen(sentence);
    void *room = parcel_room(reply, size);
    if (room)
        memcpy(room, sentence, size);
    else
        reply->size = 0;
    return failed;
}

static int stat(const struct host *host, struct parcel *reply)
{
    struct manager_figures figures = { .calls = host->calls };
    const struct channel *channel = atomic_load(&host->manager->board.channels);
    for (; channel; channel = channel->next)
        figures.clients += atomic_load(&channel->holder.word) != 0;
    void *room = parcel_room(reply, sizeof figures);
    if (!room)
        return -ENOMEM;
    memcpy(room, &figures, sizeof figures);
    return 0;
}

static int answer(void *context, struct client *client, const void *content, size_t size, struct parcel *reply)
{
    struct host *host = context;
    struct request request;
    (void)client;
    host->calls++;
    if (size < sizeof request)
        return say(reply, -EBADMSG, "the request is too short to be one");
    memcpy(&request, content, sizeof request);
    if (request.object == 0 && request.method == MANAGER_STAT)
        return stat(host, reply);
    return say(reply, -EINVAL, "there is no such object");
}

/* What a starter has open or waits for is none of a server's business. */
static void begin(struct brood_manager *manager)
{
    const struct setup shut = { .only_fds = true };
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    setup_apply(&shut, (int[]){ region_descriptor(), program_fd(), begin_line() }, 3, false);
    atomic_store(&manager->pid, (int32_t)getpid());
}

int host_main(void *arg)
{
    struct brood_manager *manager = arg;
    struct host host = { .manager = manager };
    const struct service service = { .context = &host, .call = answer };
    begin(manager);
    return server_run(&manager->board, &service);
}
