/* manager/manager.c: starting and ending servers, as their starters see it. */
#include "manager/manager.h"

#include "error/error.h"
#include "error/log.h"
#include "manager/archive.h"
#include "manager/cbor.h"
#include "manager/remote.h"
#include "os/clock.h"
#include "os/futex.h"
#include "process/process.h"
#include "process/start.h"
#include "region/heap.h"
#include "region/region.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define END_MS 5000       /* for a server to end in order; then it is killed */
#define BEGIN_NAP 2000000 /* ns between looks whether a server that begins has ended */
#define UTF8_MOST 4       /* bytes of a character */
#define MESSAGE_LEAST 256 /* bytes: what the manager's own calls need */

static int check(const brood_manager_options *options)
{
    static const char call[] = "brood_manager_start";
    if (!options)
        return 0;
    if (error_reserved(call, options->reserved, sizeof options->reserved / sizeof(void *)) < 0)
        return -EINVAL;
    if (options->start != BROOD_DEFAULT && !brood_start_name(options->start))
        return error_set(EINVAL, "%s: %d is no start method", call, (int)options->start);
    if (options->max_message && options->max_message < MESSAGE_LEAST)
        return error_set(EINVAL, "%s: max_message is %zu bytes, and must be %d at least", call, options->max_message,
                         MESSAGE_LEAST);
    if (options->max_depth > CBOR_DEPTH_MOST)
        return error_set(EINVAL, "%s: max_depth is %zu, and can be %d at most", call, options->max_depth,
                         CBOR_DEPTH_MOST);
    return 0;
}

static size_t limit(size_t given, size_t otherwise)
{
    return given ? given : otherwise;
}

static struct manager_limits limits_of(const brood_manager_options *options)
{
    static const brood_manager_options defaults;
    const brood_manager_options *given = options ? options : &defaults;
    return (struct manager_limits){ .objects = limit(given->max_objects, SIZE_MAX),
                                    .memory = limit(given->max_memory, SIZE_MAX),
                                    .message = limit(given->max_message, SIZE_MAX),
                                    .depth = limit(given->max_depth, CBOR_DEPTH_MOST) };
}

/* What strangers are told is UTF-8: cut between two characters, and '?' for what is none. */
static void name_it(struct brood_manager *manager, const char *name)
{
    size_t size = strlen(name);
    if (size >= MANAGER_NAME)
        size = MANAGER_NAME - 1;
    while (size > 0 && size >= MANAGER_NAME - UTF8_MOST && ((uint8_t)name[size] & 0xc0) == 0x80)
        size--;
    memcpy(manager->name, name, size);
    manager->name[size] = 0;
    if (!bytes_are_utf8((const uint8_t *)manager->name, size))
        for (char *at = manager->name; *at; at++)
            *at = (uint8_t)*at < 0x80 ? *at : '?';
}

static struct brood_manager *lay_out(const brood_manager_options *options)
{
    struct brood_manager *manager = heap_take_aligned(sizeof *manager, 64);
    if (!manager) {
        error_set(ENOMEM, "no memory in the region for a manager");
        return NULL;
    }
    heap_label(manager, "manager");
    name_it(manager, options && options->name ? options->name : "manager");
    manager->creator = (int32_t)getpid();
    pthread_mutex_init(&manager->guard, NULL);
    manager->start = options ? (int32_t)options->start : BROOD_DEFAULT;
    manager->limits = limits_of(options);
    manager->mark = MANAGER_MARK;
    return manager;
}

/* By the fork server rather than fork where there are other threads now, whose locks it would hand on torn. No
 * SIGTERM reaches the server before it has a handler of its own. */
static brood_process *start_server(struct brood_manager *manager)
{
    brood_start start = (brood_start)manager->start;
    if (start == BROOD_DEFAULT && (start = start_default()) == BROOD_FORK && !thread_is_only()) {
        start = BROOD_FORKSERVER;
        log_say(BROOD_INFO, "manager '%s': by the fork server, since the program has other threads", manager->name);
    }
    char name[SLOT_NAME];
    snprintf(name, sizeof name, "%.19s server", manager->name);
    const brood_process_options options = { .name = name, .start = start };
    return process_start(host_main, manager, 0, &options, HANDLE_SERVICE, NULL);
}

/* 0, or -EOWNERDEAD with a sentence: it ended first. */
static int await_beginning(struct brood_manager *manager)
{
    brood_end end;
    while (atomic_load(&manager->board.state) == MANAGER_STARTING) {
        futex_sleep(&manager->board.state, MANAGER_STARTING, clock_now() + BEGIN_NAP);
        if (atomic_load(&manager->board.state) == MANAGER_STARTING && process_await(manager->server, &end, 0))
            return error_set(EOWNERDEAD, "the server of manager '%s' ended as it began: %s", manager->name,
                             end.why[0] ? end.why : "it returned");
    }
    return 0;
}

brood_manager *brood_manager_start(const brood_manager_options *options)
{
    if (region_enter() < 0 || check(options) < 0)
        return NULL;
    struct brood_manager *manager = lay_out(options);
    if (!manager)
        return NULL;
    manager->server = start_server(manager);
    if (manager->server && await_beginning(manager) == 0) {
        if (!options || !options->load || archive_load(manager, "brood_manager_start", options->load) == 0)
            return manager;
        int unread = errno;
        brood_manager_destroy(manager);
        errno = unread;
        return NULL;
    }
    int failed = errno;
    if (manager->server)
        process_discard(manager->server);
    manager->mark = 0;
    heap_give(manager, NULL);
    errno = failed;
    return NULL;
}

void manager_reap(struct brood_manager *manager)
{
    if (manager->creator != thread_self()->process)
        return;
    pthread_mutex_lock(&manager->guard);
    if (manager->server && process_await(manager->server, NULL, clock_now() + BEGIN_NAP)) {
        process_discard(manager->server);
        manager->server = NULL;
    }
    pthread_mutex_unlock(&manager->guard);
}

static int enter_as_creator(const struct brood_manager *manager, const char *call)
{
    int failed = manager_enter(manager, call);
    if (failed == 0 && manager->creator != thread_self()->process)
        failed = error_set(ECHILD, "%s: process %d started manager '%s'", call, manager->creator, manager->name);
    return failed;
}

/* Under the guard, so that each of several threads that end it returns when it is gone. */
static void end_server(struct brood_manager *manager)
{
    struct thread *self = thread_self();
    pthread_mutex_lock(&manager->guard);
    if (manager->server) {
        bell_lift(self, &manager->board.bell);
        atomic_store(&manager->board.ending, 1);
        bell_ring(self, &manager->board.bell);
        if (!process_await(manager->server, NULL, clock_deadline(END_MS))) {
            process_signal(manager->server, SIGKILL);
            process_await(manager->server, NULL, CLOCK_NEVER);
        }
        process_discard(manager->server);
        manager->server = NULL;
    }
    pthread_mutex_unlock(&manager->guard);
}

int brood_manager_shutdown(brood_manager *manager)
{
    static const char call[] = "brood_manager_shutdown";
    int failed = enter_as_creator(manager, call);
    if (failed == 0 && manager->remote)
        failed = error_set(ECHILD, "%s: manager '%s' is another family's", call, manager->name);
    if (failed == 0)
        end_server(manager);
    return failed;
}

int brood_manager_destroy(brood_manager *manager)
{
    if (!manager)
        return 0;
    int failed = enter_as_creator(manager, "brood_manager_destroy");
    if (failed < 0)
        return failed;
    if (manager->remote) {
        remote_close(manager->remote);
    } else {
        end_server(manager);
        channels_end(&manager->board);
    }
    manager->mark = 0;
    heap_give(manager, NULL);
    return 0;
}

int brood_manager_pid(const brood_manager *manager)
{
    int failed = manager_enter(manager, "brood_manager_pid");
    if (failed < 0)
        return failed;
    bool ended = manager->remote || atomic_load(&manager->board.duty.word) & FUTEX_OWNER_DIED;
    return ended ? 0 : atomic_load(&manager->pid);
}
