/* manager/client.c: calls to a manager's server, as its clients make them. */
#include "error/error.h"
#include "manager/cbor.h"
#include "manager/manager.h"
#include "manager/remote.h"
#include "os/clock.h"
#include "region/region.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int manager_enter(const struct brood_manager *manager, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!manager)
        return error_null(call, "the manager");
    if (!region_holds(manager, sizeof *manager) || manager->mark != MANAGER_MARK)
        return error_set(EINVAL, "%s: %p is no manager", call, (const void *)manager);
    if (host_serves(manager))
        return error_set(EDEADLK, "%s: manager '%s' cannot call itself", call, manager->name);
    return 0;
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

/* Sends the request, and waits until the deadline, then for what became of it: a call that has been given up may have
 * been answered meanwhile, and counts then. */
static int call_until(struct brood_manager *manager, const char *call, struct channel *channel, int64_t deadline)
{
    struct thread *self = thread_self();
    channel_send(self, &manager->board, channel);
    int failed = channel_await(self, &manager->board, channel, deadline);
    if (failed == -ETIMEDOUT) {
        channel_cancel(self, &manager->board, channel);
        failed = channel_await(self, &manager->board, channel, CLOCK_NEVER);
    }
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

int manager_call(struct brood_manager *manager, const char *call, struct channel *channel)
{
    return call_until(manager, call, channel, CLOCK_NEVER);
}

void manager_end(struct channel *channel)
{
    parcel_tidy(&channel->request, false);
    parcel_tidy(&channel->reply, false);
}

/* How many bytes the request is; those that do not fit are only counted. Or -errno with a sentence. */
static int64_t write_request(const char *call, const struct request *request, const brood_any *const *args,
                             uint8_t *bytes, size_t room)
{
    struct out out = { .bytes = bytes + sizeof *request, .room = room - sizeof *request };
    memcpy(bytes, request, sizeof *request);
    for (unsigned i = 0; i < request->count; i++) {
        int failed = args[i] ? any_write(&out, args[i], CBOR_DEPTH_MOST) : -EFAULT;
        if (failed == -EFAULT)
            return error_null(call, "a value");
        if (failed == -EMSGSIZE)
            return error_set(EMSGSIZE, "%s: lists and maps lie more than %d deep", call, CBOR_DEPTH_MOST);
        if (failed == -EILSEQ)
            return error_set(EINVAL, "%s: a string is no UTF-8", call);
        if (failed < 0)
            return error_set(EINVAL, "%s: something in a value is of no kind, or a list, map or reference is a key",
                             call);
    }
    return (int64_t)(sizeof *request + out.size);
}

/* Into the channel, if it fits there, or measured there and then into a block. 0 or -errno. */
static int fill(struct brood_manager *manager, const char *call, struct channel *channel, const struct request *request,
                const brood_any *const *args)
{
    int64_t size = write_request(call, request, args, channel->request.bytes, CHANNEL_ROOM);
    if (size < 0)
        return (int)size;
    uint8_t *room = parcel_room(&channel->request, (size_t)size);
    if (!room)
        return error_set(ENOMEM, "%s: no memory in the region for %lld bytes to manager '%s'", call, (long long)size,
                         manager->name);
    return room == channel->request.bytes ? 0 : write_request(call, request, args, room, (size_t)size) < 0 ? -errno : 0;
}

static int fill_encoded(struct brood_manager *manager, const char *call, struct channel *channel,
                        const struct request *request, const struct bytes *args)
{
    uint8_t *room = parcel_room(&channel->request, sizeof *request + args->size);
    if (!room)
        return error_set(ENOMEM, "%s: no memory in the region for %zu bytes to manager '%s'", call, args->size,
                         manager->name);
    memcpy(room, request, sizeof *request);
    memcpy(room + sizeof *request, args->at, args->size);
    return 0;
}

/* The reply's value, if there is one and somebody wants it: `result`, or why it cannot be read. */
static int read_value(const struct channel *channel, int result, brood_any *value)
{
    size_t size;
    const void *content = parcel_content(&channel->reply, &size);
    int failed = result >= 0 && value && size ? brood_any_decode(content, size, value) : 0;
    return failed < 0 ? failed : result;
}

int manager_ask(struct brood_manager *manager, const char *call, const struct request *request,
                const brood_any *const *args, brood_any *value)
{
    if (value)
        *value = brood_any_nil();
    if (manager->remote)
        return remote_ask(manager, call, request, args, value);
    struct channel *channel = channel_find(manager, &manager->board, call);
    if (!channel)
        return -errno;
    int result = fill(manager, call, channel, request, args);
    if (result == 0)
        result = read_value(channel, manager_call(manager, call, channel), value);
    manager_end(channel);
    return result;
}

int manager_ask_encoded(struct brood_manager *manager, const char *call, const struct request *request,
                        const struct bytes *args, struct bytes *reply)
{
    *reply = (struct bytes){ .at = NULL };
    if (manager->remote)
        return remote_ask_encoded(manager, call, request, args, reply);
    struct channel *channel = channel_find(manager, &manager->board, call);
    if (!channel)
        return -errno;
    int result = fill_encoded(manager, call, channel, request, args);
    if (result == 0 && (result = manager_call(manager, call, channel)) >= 0) {
        const void *content = parcel_content(&channel->reply, &reply->size);
        reply->at = content ? malloc(reply->size) : NULL;
        if (reply->at)
            memcpy(reply->at, content, reply->size);
        else
            result = error_set(ENOMEM, "%s: no memory for an answer of %zu bytes", call, reply->size);
    }
    manager_end(channel);
    return result;
}

int manager_wait(struct brood_manager *manager, const char *call, const struct request *request,
                 const brood_any *const *args, int timeout_ms, brood_any *value)
{
    int64_t deadline =
        timeout_ms == 0 ? CLOCK_NEVER : clock_deadline(timeout_ms); /* with 0 the server waits for nobody */
    if (value)
        *value = brood_any_nil();
    if (manager->remote)
        return remote_wait(manager, call, request, args, timeout_ms, value);
    struct channel *channel = channel_find(manager, &manager->board, call);
    if (!channel)
        return -errno;
    bool answered = false, took = false;
    int result = fill(manager, call, channel, request, args);
    if (result == 0) {
        int answer = call_until(manager, call, channel, deadline);
        result = read_value(channel, answer, value);
        answered = answer >= 0;
        took = result == answer;
    }
    manager_end(channel);
    if (took) /* as the last step: who is killed before has had nothing */
        channel_took(channel);
    else if (answered)
        channel_lost(thread_self(), &manager->board, channel);
    return result;
}

/* 0: it has none of that name, or is no map. */
static uint64_t figure(const brood_any *map, const char *name)
{
    const brood_any key = brood_any_string(name), *value = brood_any_find(map, &key);
    return value ? value->natural : 0;
}

int brood_manager_stat(brood_manager *manager, brood_manager_stats *stats)
{
    static const char call[] = "brood_manager_stat";
    int failed = manager_enter(manager, call);
    if (failed < 0)
        return failed;
    if (!stats)
        return error_null(call, "stats");
    const struct request request = { .method = MANAGER_STAT };
    brood_any map;
    failed = manager_ask(manager, call, &request, NULL, &map);
    *stats = (brood_manager_stats){
        .objects = (size_t)figure(&map, "objects"),
        .handles = (size_t)figure(&map, "handles"),
        .memory = (size_t)figure(&map, "memory"),
        .clients = (size_t)figure(&map, "clients"),
        .calls = figure(&map, "calls"),
        .waiting = (size_t)figure(&map, "waiting"),
    };
    brood_any_clear(&map);
    return failed;
}

int brood_manager_forget(brood_manager *manager, const char *name)
{
    static const char call[] = "brood_manager_forget";
    int failed = manager_enter(manager, call);
    if (failed < 0)
        return failed;
    if (!name)
        return error_null(call, "the name");
    const brood_any what = brood_any_string(name);
    const struct request request = { .method = MANAGER_FORGET, .count = 1 };
    return manager_ask(manager, call, &request, (const brood_any *const[]){ &what }, NULL);
}
