/* manager/listen.c: brood_manager_listen, on both sides. The options travel as a map, in which what is not set is nil
 * or 0: a key is in the region no longer than the call, and the region is in no core dump.
 */
#include "manager/listen.h"

#include "error/error.h"
#include "manager/gateway.h"
#include "manager/manager.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static const char call[] = "brood_manager_listen";

/* ---- in the family ---- */

static int tell(brood_manager *manager, const char *address, const brood_listener_options *options)
{
    const brood_any pairs[] = {
        brood_any_string("name"),         brood_any_string(options->name),
        brood_any_string("key"),          brood_any_bytes(options->key, options->key_size),
        brood_any_string("weak_digests"), brood_any_bool(options->weak_digests),
        brood_any_string("certificate"),  brood_any_string(options->certificate),
        brood_any_string("private_key"),  brood_any_string(options->private_key),
        brood_any_string("authority"),    brood_any_string(options->authority),
        brood_any_string("max_message"),  brood_any_uint(options->max_message),
        brood_any_string("max_pending"),  brood_any_int(options->max_pending),
        brood_any_string("handshake_ms"), brood_any_int(options->handshake_ms),
        brood_any_string("backlog"),      brood_any_int(options->backlog),
    };
    const brood_any where = brood_any_string(address), map = brood_any_map(pairs, sizeof pairs / sizeof *pairs / 2);
    const struct request request = { .method = MANAGER_LISTEN, .count = 2 };
    return manager_ask(manager, call, &request, (const brood_any *const[]){ &where, &map }, NULL);
}

int brood_manager_listen(brood_manager *manager, const char *address, const brood_listener_options *options)
{
    static const brood_listener_options defaults;
    const brood_listener_options *given = options ? options : &defaults;
    int failed = manager_enter(manager, call);
    if (failed == 0)
        failed = error_reserved(call, given->reserved, sizeof given->reserved / sizeof(void *));
    if (failed < 0)
        return failed;
    if (!address)
        return error_null(call, "the address");
    if (manager->remote)
        return error_set(ECHILD, "%s: manager '%s' is another family's", call, manager->name);
    if ((given->key != NULL) != (given->key_size > 0))
        return error_set(EINVAL, "%s: a key of %zu bytes at %p", call, given->key_size, given->key);
    return tell(manager, address, given);
}

const char *brood_manager_address(const brood_manager *manager)
{
    if (manager_enter(manager, "brood_manager_address") < 0)
        return NULL;
    if (manager->address[0])
        return manager->address;
    error_set(ENOENT, "brood_manager_address: manager '%s' does not listen", manager->name);
    return NULL;
}

/* ---- in the server ---- */

static const brood_any *part(const brood_any *map, const char *name, brood_kind kind)
{
    static const brood_any nil;
    const brood_any key = brood_any_string(name), *value = brood_any_find(map, &key);
    return value && value->kind == kind ? value : &nil;
}

static int number(const brood_any *map, const char *name)
{
    int64_t value = part(map, name, BROOD_INT)->integer;
    return value < INT_MIN || value > INT_MAX ? INT_MAX : (int)value;
}

static const char *text(const brood_any *map, const char *name)
{
    return part(map, name, BROOD_STRING)->string;
}

static int listen_as(struct brood_manager *manager, const brood_any *address, const brood_any *map)
{
    const brood_any *key = part(map, "key", BROOD_BYTES);
    const brood_listener_options options = {
        .name = text(map, "name"),
        .key = key->size ? key->bytes : NULL,
        .key_size = key->size,
        .weak_digests = part(map, "weak_digests", BROOD_BOOL)->boolean,
        .certificate = text(map, "certificate"),
        .private_key = text(map, "private_key"),
        .authority = text(map, "authority"),
        .max_message = (size_t)part(map, "max_message", BROOD_INT)->natural,
        .max_pending = number(map, "max_pending"),
        .handshake_ms = number(map, "handshake_ms"),
        .backlog = number(map, "backlog"),
    };
    return gateway_listen(manager, address->string, &options);
}

/* Nobody should find the key in what is used again. */
static void wipe(brood_any *map, struct parcel *request)
{
    const brood_any *key = part(map, "key", BROOD_BYTES);
    size_t size;
    if (key->size)
        explicit_bzero((char *)map->owner + ((const char *)key->bytes - (const char *)map->owner), key->size);
    if (parcel_content(request, &size))
        explicit_bzero(size <= CHANNEL_ROOM ? request->bytes : request->block, size);
    brood_any_clear(map);
}

int listen_here(struct brood_manager *manager, struct client *client, struct cursor *arguments, struct parcel *reply)
{
    static const char prefix[] = "brood_listener_create: ";
    brood_any address = item_take(arguments), map = item_take(arguments);
    int failed = address.kind == BROOD_STRING && map.kind == BROOD_MAP
                     ? listen_as(manager, &address, &map)
                     : error_set(EINVAL, "that is no address, or no options");
    wipe(&map, &client->channel->request);
    brood_any_clear(&address);
    if (failed == 0)
        return 0;
    const char *why = brood_error();
    return reply_fail(reply, failed, "%s", strncmp(why, prefix, sizeof prefix - 1) ? why : why + sizeof prefix - 1);
}
