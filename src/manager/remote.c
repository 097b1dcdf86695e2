/* manager/remote.c */
#include "manager/remote.h"

#include "error/error.h"
#include "manager/link.h"
#include "os/thread.h"
#include "region/heap.h"
#include "region/region.h"

#include <brood/memory.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_ROOM 2048 /* bytes of a request that need no memory of their own */
#define HEAD_ROOM 64      /* bytes before the arguments */

/* ---- one request ---- */

static void write_text(struct out *out, const char *text)
{
    const struct item item = { .kind = BROOD_STRING, .bytes = (const uint8_t *)text, .size = strlen(text) };
    item_write(out, &item);
}

/* What is said before the arguments. The process that a handle is closed for is the server's to say. 0, or -ENOTSUP
 * with a sentence. */
static int write_head(struct out *out, const char *call, int64_t number, const struct request *request, unsigned count)
{
    const struct operation *operation = operation_of(request->type, request->method);
    if (!operation)
        return error_set(ENOTSUP, "%s: that cannot be asked of another family's manager", call);
    const struct item head = { .kind = BROOD_LIST, .natural = 2 + (request->object != 0) + (uint64_t)count };
    const struct item first = item_int(number), object = item_natural(request->object);
    item_write(out, &head);
    item_write(out, &first);
    write_text(out, operation->name);
    if (request->object)
        item_write(out, &object);
    return 0;
}

/* As a message; what does not fit is only counted. 0, or -errno with a sentence. */
static int write_request(struct out *out, const char *call, int64_t number, const struct request *request,
                         const brood_any *const *args)
{
    bool closes = request->object == 0 && request->method == MANAGER_CLOSE;
    unsigned count = request->count - closes;
    int failed = write_head(out, call, number, request, count);
    for (unsigned i = 0; i < count && failed == 0; i++) {
        failed = args[i] ? any_write(out, args[i], CBOR_DEPTH_MOST) : -EFAULT;
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
    return failed;
}

static int say_lost(const struct brood_manager *manager, const char *call, const struct link *link)
{
    if (link->failed == EPIPE)
        return error_set(EPIPE, "%s: manager '%s' was shut down", call, manager->name);
    return error_set(link->failed, "%s: manager '%s' at %s is lost: %s", call, manager->name, manager->address,
                     link->why);
}

/* What the answer says: its result, with the value, if one is wanted, or the sentence. */
static int take_answer(const char *call, const struct link_answer *answer, brood_any *value)
{
    brood_any content = brood_any_nil();
    int failed = value || answer->result < 0
                     ? brood_any_decode(answer->value.at, (size_t)(answer->value.end - answer->value.at), &content)
                     : 0;
    if (failed < 0)
        return failed;
    if (answer->result >= 0) {
        if (value)
            *value = content;
        return answer->result;
    }
    failed = error_set(-answer->result, "%s: %s", call, content.string);
    brood_any_clear(&content);
    return failed;
}

static int check_size(const struct link *link, const struct brood_manager *manager, const char *call, size_t size)
{
    if (link->remote->most && size > link->remote->most)
        return error_set(EMSGSIZE, "%s: a request of %zu bytes, and manager '%s' takes %zu", call, size, manager->name,
                         link->remote->most);
    return 0;
}

/* waits: the server is told whether the answer has arrived, also one that is no success: a condition's lock comes back
 * with a timeout, too. */
static int ask_over(struct link *link, const struct brood_manager *manager, const char *call,
                    const struct request *request, const brood_any *const *args, bool waits, int timeout_ms,
                    brood_any *value)
{
    uint8_t bytes[REQUEST_ROOM], *large = NULL;
    struct out out = { .bytes = bytes, .room = sizeof bytes };
    if (link->failed)
        return say_lost(manager, call, link);
    int failed = write_request(&out, call, ++link->number, request, args);
    if (failed < 0)
        return failed;
    failed = check_size(link, manager, call, out.size);
    if (failed < 0)
        return failed;
    if (out.size > out.room) {
        size_t size = out.size;
        large = malloc(size);
        if (!large)
            return error_set(ENOMEM, "%s: no memory for a request of %zu bytes", call, size);
        out = (struct out){ .bytes = large, .room = size };
        failed = write_request(&out, call, link->number, request, args);
    }
    struct link_answer answer = { .result = 0 };
    if (failed == 0)
        failed = link_exchange(link, out.bytes, out.size, timeout_ms, &answer);
    free(large);
    if (link->failed)
        return say_lost(manager, call, link);
    if (failed < 0)
        return failed;
    failed = take_answer(call, &answer, value);
    brood_free(answer.block.data);
    if (waits)
        link_say(link, failed == answer.result ? "took" : "lost");
    return failed;
}

/* ---- greeting ---- */

/* The first request of a line. *map is the caller's to clear. 0 or -errno with a sentence. */
static int hello(struct link *link, const struct brood_manager *manager, const char *call, const brood_any *session,
                 brood_any *map)
{
    const struct request request = { .method = LINE_HELLO, .count = 2 };
    const brood_any version = brood_any_int(MESSAGE_VERSION);
    *map = brood_any_nil();
    return ask_over(link, manager, call, &request, (const brood_any *const[]){ &version, session }, false,
                    BROOD_FOREVER, map);
}

static struct link *no_memory(const struct brood_manager *manager, const char *call)
{
    error_set(ENOMEM, "%s: no memory for a line to manager '%s'", call, manager->name);
    return NULL;
}

/* A line that has been greeted. NULL with errno and a sentence. */
static struct link *open_link(const struct brood_manager *manager, const char *call, brood_any *map)
{
    struct remote *remote = manager->remote;
    brood_connection *end = brood_connection_open(remote->address, &remote->options);
    if (!end)
        return NULL;
    struct link *link = link_make(remote, end);
    if (!link)
        return no_memory(manager, call);
    int failed = hello(link, manager, call, &remote->session, map);
    if (failed == 0)
        return link;
    link_discard(link);
    errno = -failed;
    return NULL;
}

/* The calling thread's, opened if there is none yet. NULL with errno and a sentence. */
static struct link *own_link(const struct brood_manager *manager, const char *call)
{
    if (manager->creator != thread_self()->process) {
        error_set(EPERM, "%s: process %d has connected to manager '%s'", call, manager->creator, manager->name);
        return NULL;
    }
    struct link *link = link_find(manager->remote);
    if (link)
        return link;
    brood_any map = brood_any_nil();
    link = open_link(manager, call, &map);
    brood_any_clear(&map);
    if (!link || link_own(link))
        return link;
    link_discard(link);
    return no_memory(manager, call);
}

int remote_ask(struct brood_manager *manager, const char *call, const struct request *request,
               const brood_any *const *args, brood_any *value)
{
    struct link *link = own_link(manager, call);
    return link ? ask_over(link, manager, call, request, args, false, BROOD_FOREVER, value) : -errno;
}

/* Keeps the answer's value. */
static int keep_answer(const char *call, const struct link_answer *answer, struct bytes *reply)
{
    if (answer->result < 0)
        return take_answer(call, answer, NULL);
    reply->size = (size_t)(answer->value.end - answer->value.at);
    reply->at = malloc(reply->size);
    if (!reply->at)
        return error_set(ENOMEM, "%s: no memory for an answer of %zu bytes", call, reply->size);
    memcpy(reply->at, answer->value.at, reply->size);
    return answer->result;
}

int remote_ask_encoded(struct brood_manager *manager, const char *call, const struct request *request,
                       const struct bytes *args, struct bytes *reply)
{
    struct link *link = own_link(manager, call);
    if (!link)
        return -errno;
    if (link->failed)
        return say_lost(manager, call, link);
    uint8_t head[HEAD_ROOM];
    struct out out = { .bytes = head, .room = sizeof head };
    int failed = write_head(&out, call, ++link->number, request, request->count);
    if (failed == 0)
        failed = check_size(link, manager, call, out.size + args->size);
    if (failed < 0)
        return failed;
    uint8_t *bytes = malloc(out.size + args->size);
    if (!bytes)
        return error_set(ENOMEM, "%s: no memory for a request of %zu bytes", call, out.size + args->size);
    memcpy(bytes, head, out.size);
    memcpy(bytes + out.size, args->at, args->size);
    struct link_answer answer;
    failed = link_exchange(link, bytes, out.size + args->size, BROOD_FOREVER, &answer);
    free(bytes);
    if (link->failed)
        return say_lost(manager, call, link);
    if (failed < 0)
        return failed;
    failed = keep_answer(call, &answer, reply);
    brood_free(answer.block.data);
    return failed;
}

/* With a timeout of 0 the server waits for nobody. */
int remote_wait(struct brood_manager *manager, const char *call, const struct request *request,
                const brood_any *const *args, int timeout_ms, brood_any *value)
{
    struct link *link = own_link(manager, call);
    if (!link)
        return -errno;
    return ask_over(link, manager, call, request, args, true, timeout_ms == 0 ? BROOD_FOREVER : timeout_ms, value);
}

/* ---- life ---- */

/* Copies all that the options point to. False: no memory. */
static bool keep(struct remote *remote, const char *address, const brood_connection_options *options)
{
    brood_connection_options *kept = &remote->options;
    *kept = *options;
    const char **texts[REMOTE_TEXTS] = { &kept->name, &kept->authority, &kept->certificate, &kept->private_key,
                                         &kept->host };
    remote->address = strdup(address);
    bool all = remote->address;
    for (int i = 0; i < REMOTE_TEXTS; i++) {
        if (*texts[i] && !(remote->kept[i] = strdup(*texts[i])))
            all = false;
        *texts[i] = remote->kept[i];
    }
    if (kept->key && kept->key_size) {
        remote->key = malloc(kept->key_size);
        if (remote->key)
            memcpy(remote->key, options->key, kept->key_size);
        all &= remote->key != NULL;
        kept->key = remote->key;
    }
    return all;
}

static void forget(struct remote *remote)
{
    for (int i = 0; i < REMOTE_TEXTS; i++)
        free(remote->kept[i]);
    if (remote->key)
        explicit_bzero(remote->key, remote->options.key_size);
    free(remote->key);
    free(remote->address);
    brood_any_clear(&remote->session);
    pthread_mutex_destroy(&remote->guard);
    free(remote);
}

void remote_release(struct remote *remote)
{
    if (atomic_fetch_sub(&remote->uses, 1) == 1)
        forget(remote);
}

void remote_close(struct remote *remote)
{
    links_close(remote);
    link_discard(remote->keeper);
    link_find(remote); /* this thread's own goes at once */
    remote_release(remote);
}

static const brood_any *part(const brood_any *map, const char *name, brood_kind kind)
{
    const brood_any key = brood_any_string(name), *value = brood_any_find(map, &key);
    return value && value->kind == kind ? value : NULL;
}

/* Copies what the server has said of itself. 0, or -EPROTO with a sentence. */
static int meet(struct brood_manager *manager, const char *call, const brood_any *map)
{
    const brood_any *session = part(map, "session", BROOD_BYTES), *name = part(map, "manager", BROOD_STRING);
    const brood_any *most = part(map, "max_message", BROOD_INT);
    if (!session || !name || !most)
        return error_set(EPROTO, "%s: '%s' is no manager of brood's", call, manager->remote->address);
    manager->remote->most = (size_t)most->natural;
    snprintf(manager->name, sizeof manager->name, "%s", name->string);
    uint8_t bytes[64];
    size_t size;
    int failed = brood_any_encode(session, bytes, sizeof bytes, &size);
    return failed < 0 ? failed : brood_any_decode(bytes, size, &manager->remote->session);
}

/* A session, with the line that keeps it; and the calling thread's own. */
static int greet(struct brood_manager *manager, const char *call)
{
    brood_any map = brood_any_nil();
    manager->remote->keeper = open_link(manager, call, &map);
    int failed = manager->remote->keeper ? meet(manager, call, &map) : -errno;
    brood_any_clear(&map);
    if (failed < 0)
        return failed;
    return own_link(manager, call) ? 0 : -errno;
}

brood_manager *brood_manager_connect(const char *address, const brood_connection_options *options)
{
    static const char call[] = "brood_manager_connect";
    static const brood_connection_options defaults;
    if (region_enter() < 0)
        return NULL;
    if (!address) {
        error_null(call, "the address");
        return NULL;
    }
    struct remote *remote = calloc(1, sizeof *remote);
    if (remote)
        pthread_mutex_init(&remote->guard, NULL);
    struct brood_manager *manager = remote ? heap_take_aligned(sizeof *manager, 64) : NULL;
    if (!manager || !keep(remote, address, options ? options : &defaults)) {
        if (remote)
            forget(remote);
        heap_give(manager, NULL);
        error_set(ENOMEM, "%s: no memory for a manager", call);
        return NULL;
    }
    heap_label(manager, "manager of another family");
    atomic_store(&remote->uses, 1);
    manager->creator = thread_self()->process;
    manager->remote = remote;
    remote->process = manager->creator;
    snprintf(manager->name, sizeof manager->name, "manager");
    snprintf(manager->address, sizeof manager->address, "%s", address);
    manager->mark = MANAGER_MARK;
    int failed = greet(manager, call);
    if (failed == 0)
        return manager;
    char why[400];
    snprintf(why, sizeof why, "%s", brood_error());
    remote_close(remote);
    manager->mark = 0;
    heap_give(manager, NULL);
    error_set(-failed, "%s", why);
    return NULL;
}
