/* exchange/listener.c: many strangers heard at once, inside accept.
 *
 * A guest is one who has connected: heard until its greeting is over, then waiting for an accept to take it. All lie
 * in one list, the oldest first, and there are no more than max_pending: while there are, the listening socket is not
 * looked at. One thread at a time looks and hears; others in accept wait for its lock. Whoever leaves has seen to it
 * that the lookout's descriptor says whether there is something to do: a guest that waits raises its flag, and its
 * alarm goes off when the next one is late.
 */
#include "error/error.h"
#include "error/log.h"
#include "exchange/credentials.h"
#include "exchange/gate.h"
#include "exchange/wire.h"
#include "os/clock.h"
#include "os/lookout.h"
#include "os/thread.h"
#include "region/region.h"

#include <brood/listener.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PENDING 64
#define PENDING_MOST 4096
#define HANDSHAKE_MS 5000
#define BACKLOG 128
#define AT_ONCE 32 /* sightings, and connections accepted, before others get their turn */

struct guest {
    struct guest *next, *previous;
    brood_connection *end;
    struct greeting greeting;
    bool known;       /* its greeting is over */
    short events;     /* of poll(2), that it is watched for */
    int64_t deadline; /* of its greeting */
};

struct brood_listener {
    int32_t process; /* whose it is */
    int fd;
    char name[WIRE_NAME + 16], address[SOCKET_TEXT];
    struct socket_address place;
    struct socket_file file;
    struct greeting_plan plan;
    size_t max_message;
    int64_t since; /* when the call of accept that hears now began; of whoever has the gate */
    int max_guests, handshake_ms;

    _Atomic int calls; /* threads in accept: the last thing of it that each touches, so 0 says that it can be freed */
    struct gate gate;  /* of what follows, but for the counts */
    struct lookout lookout;
    bool watched; /* the listening socket is in it */
    int held;     /* a socket for which there was no memory: it is the next to be taken in; -1: none */
    struct socket_address held_peer;
    struct guest *first, *last;
    _Atomic uint64_t accepted, refused, garbled, late, gone, pending, waiting;
};

/* ---- guests ---- */

static void count_up(_Atomic uint64_t *count)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static void count_down(_Atomic uint64_t *count)
{
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

static void unlink_guest(brood_listener *listener, struct guest *guest)
{
    *(guest->previous ? &guest->previous->next : &listener->first) = guest->next;
    *(guest->next ? &guest->next->previous : &listener->last) = guest->previous;
    count_down(guest->known ? &listener->waiting : &listener->pending);
    explicit_bzero(&guest->greeting, sizeof guest->greeting);
    free(guest);
}

static void send_away(brood_listener *listener, struct guest *guest)
{
    brood_connection *end = guest->end;
    lookout_drop(&listener->lookout, wire_stream(end)->fd);
    unlink_guest(listener, guest);
    wire_discard(end);
}

static void refuse(brood_listener *listener, struct guest *guest, int failed, const char *why)
{
    bool bad_key = failed == -EACCES || failed == -ENOTSUP;
    count_up(failed == -ETIMEDOUT ? &listener->late
             : bad_key            ? &listener->refused
             : failed == -EPROTO  ? &listener->garbled
                                  : &listener->gone);
    log_say(BROOD_WARNING, "%s: refused %s: %s", listener->name, brood_connection_peer(guest->end),
            why[0] ? why : strerror(-failed));
    send_away(listener, guest);
}

/* How far its greeting is: a number for each step. */
static int progress(const struct guest *guest)
{
    return guest->greeting.sealed + 2 * (int)guest->greeting.shake.awaits;
}

/* Goes on with a guest that has something to say, or can be told something. */
static void hear(brood_listener *listener, struct guest *guest)
{
    char why[SEAL_WHY] = "";
    short events = guest->events;
    int before = progress(guest);
    int failed = greeting_step(&guest->greeting, &events, why);
    int fd = wire_stream(guest->end)->fd;
    if (failed == 0) {
        guest->known = true;
        count_down(&listener->pending);
        count_up(&listener->waiting);
        lookout_drop(&listener->lookout, fd);
        return;
    }
    if (failed == -EAGAIN && events != guest->events) {
        guest->events = events;
        failed = lookout_change(&listener->lookout, fd, guest, events & POLLIN, events & POLLOUT);
        failed = failed < 0 ? failed : -EAGAIN;
    }
    if (failed != -EAGAIN) {
        refuse(listener, guest, failed, why);
        return;
    }
    /* Not its fault, if nobody was here to hear it: it gets its time again for the next step. */
    if (progress(guest) != before && guest->deadline < listener->since)
        guest->deadline = clock_now() + (int64_t)listener->handshake_ms * 1000000;
}

/* Takes in one who has connected. It owns the socket from then on. 0 or -ENOMEM. */
static int admit(brood_listener *listener, int fd, const struct socket_address *peer)
{
    struct wire_plan wire = { NULL, listener->max_message, listener->plan.seal, listener->plan.context, NULL };
    struct guest *guest = calloc(1, sizeof *guest);
    brood_connection *end = guest ? wire_create(fd, peer, &wire) : NULL;
    if (!end) {
        free(guest);
        return -ENOMEM;
    }
    guest->end = end;
    guest->deadline = clock_now() + (int64_t)listener->handshake_ms * 1000000;
    guest->events = POLLIN;
    guest->previous = listener->last;
    *(listener->last ? &listener->last->next : &listener->first) = guest;
    listener->last = guest;
    count_up(&listener->pending);
    int failed = greeting_begin(&guest->greeting, wire_stream(end), &listener->plan, true);
    if (failed == 0)
        failed = lookout_add(&listener->lookout, fd, guest, true, false);
    if (failed < 0)
        refuse(listener, guest, failed, "");
    else
        hear(listener, guest);
    return 0;
}

static bool is_full(const brood_listener *listener)
{
    uint64_t guests = atomic_load(&listener->pending) + atomic_load(&listener->waiting);
    return guests >= (uint64_t)listener->max_guests;
}

/* 0, or -errno: no descriptor or memory for one more. */
static int admit_some(brood_listener *listener)
{
    for (int i = 0; i < AT_ONCE && !is_full(listener); i++) {
        struct socket_address peer = listener->held_peer;
        int fd = listener->held >= 0 ? listener->held : socket_accept(listener->fd, &peer);
        listener->held = -1;
        if (fd == -EAGAIN)
            return 0;
        if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM || fd == -ENOBUFS)
            return fd == -ENOBUFS ? -ENOMEM : fd;
        int failed = fd < 0 ? 0 : admit(listener, fd, &peer); /* accept(2): others are that connection's own trouble */
        if (failed < 0) {
            listener->held = fd;
            listener->held_peer = peer;
            return failed;
        }
    }
    return 0;
}

static void send_away_late(brood_listener *listener)
{
    int64_t now = clock_now();
    for (struct guest *guest = listener->first, *next; guest; guest = next) {
        next = guest->next;
        if (!guest->known && guest->deadline <= now)
            refuse(listener, guest, -ETIMEDOUT, "it took longer than handshake_ms");
    }
}

static struct guest *first_known(const brood_listener *listener)
{
    struct guest *guest = listener->first;
    while (guest && !guest->known)
        guest = guest->next;
    return guest;
}

/* Has the lookout's descriptor say what there is to do. 0 or -errno. */
static int arrange(brood_listener *listener)
{
    int64_t alarm = CLOCK_NEVER;
    for (const struct guest *guest = listener->first; guest; guest = guest->next)
        if (!guest->known && guest->deadline < alarm)
            alarm = guest->deadline;
    int failed = lookout_alarm(&listener->lookout, alarm);
    if (failed == 0)
        failed = lookout_raise(&listener->lookout, first_known(listener) != NULL || listener->held >= 0);
    if (failed == 0 && listener->watched == is_full(listener)) {
        failed = lookout_change(&listener->lookout, listener->fd, NULL, !listener->watched, false);
        listener->watched = failed == 0 ? !listener->watched : listener->watched;
    }
    return failed;
}

/* ---- accept ---- */

/* Hears whoever has something to say until one is known: it, or NULL with *failed. */
static struct guest *hear_all(brood_listener *listener, int64_t deadline, int *failed)
{
    listener->since = clock_now();
    for (;;) {
        struct sighting seen[AT_ONCE];
        bool last = deadline != CLOCK_NEVER && clock_now() >= deadline;
        *failed = listener->held >= 0 ? admit_some(listener) : 0;
        struct guest *known = first_known(listener);
        if (!known && *failed < 0)
            return NULL;
        if (known || (*failed = arrange(listener)) < 0)
            return known;
        int count = lookout_wait(&listener->lookout, seen, AT_ONCE, deadline);
        if (count < 0 && count != -ETIMEDOUT) {
            *failed = count;
            return NULL;
        }
        *failed = 0;
        for (int i = 0; i < count; i++) {
            if (seen[i].who)
                hear(listener, seen[i].who);
            else
                *failed = admit_some(listener);
        }
        send_away_late(listener); /* whatever failed: it may be they who have all the descriptors */
        if (*failed == 0 && last)
            *failed = -ETIMEDOUT;
        if (*failed < 0 && !first_known(listener))
            return NULL;
    }
}

/* 0, or -errno with a sentence. */
static int mine(const brood_listener *listener, const char *call)
{
    if (!listener)
        return error_null(call, "the listener");
    if (listener->process != thread_self()->process)
        return error_set(EPERM, "%s: %s is process %d's", call, listener->name, listener->process);
    return 0;
}

brood_connection *brood_listener_accept(brood_listener *listener, int timeout_ms)
{
    if (mine(listener, __func__) < 0)
        return NULL;
    if (timeout_ms < BROOD_FOREVER) {
        error_set(EINVAL, "%s: a timeout of %d ms", __func__, timeout_ms);
        return NULL;
    }
    int64_t deadline = timeout_ms == 0 ? 0 : clock_deadline(timeout_ms);
    atomic_fetch_add(&listener->calls, 1);
    int failed = gate_enter(&listener->gate, deadline);
    brood_connection *end = NULL;
    const char *late = failed < 0 ? "another thread was in accept to the end" : "no connection came in time";
    if (failed == 0) {
        struct guest *guest = hear_all(listener, deadline, &failed);
        if (guest) {
            end = guest->end;
            unlink_guest(listener, guest);
            count_up(&listener->accepted);
        }
        arrange(listener);
        gate_leave(&listener->gate);
    }
    if (end)
        log_say(BROOD_INFO, "%s: accepted %s", listener->name, brood_connection_peer(end));
    else
        error_set(-failed, "%s: %s: %s", __func__, listener->name, failed == -ETIMEDOUT ? late : strerror(-failed));
    atomic_fetch_sub(&listener->calls, 1);
    return end;
}

/* ---- life ---- */

static const brood_listener_options defaults;

static int check_options(const char *call, const brood_listener_options *options)
{
    int failed = region_enter();
    if (failed < 0)
        return failed;
    if (options->max_pending < 0 || options->max_pending > PENDING_MOST)
        return error_set(EINVAL, "%s: max_pending is %d: at most %d", call, options->max_pending, PENDING_MOST);
    if (options->handshake_ms < 0 || options->backlog < 0)
        return error_set(EINVAL, "%s: handshake_ms or backlog is negative", call);
    return error_reserved(call, options->reserved, sizeof options->reserved / sizeof(void *));
}

/* 0, or -errno with a sentence: nothing is open then. */
static int listen_at(brood_listener *listener, const char *address, const brood_listener_options *options)
{
    static const char call[] = "brood_listener_create";
    struct socket_places places;
    const char *why;
    int failed = socket_places(address, &places, &why);
    if (failed < 0)
        return error_set(-failed, "%s: '%s': %s", call, address, why);
    listener->place = places.places[0];
    listener->fd = socket_listen(&listener->place, options->backlog ? options->backlog : BACKLOG);
    if (listener->fd < 0)
        return error_set(-listener->fd, "%s: '%s': %s", call, address, strerror(-listener->fd));
    socket_file_of(&listener->place, &listener->file);
    failed = socket_name(listener->fd, &listener->place);
    if (failed == 0 && (failed = lookout_open(&listener->lookout)) == 0) {
        failed = lookout_equip(&listener->lookout, true);
        if (failed == 0)
            failed = lookout_add(&listener->lookout, listener->fd, NULL, true, false);
        if (failed < 0)
            lookout_close(&listener->lookout);
    }
    if (failed < 0) {
        socket_remove_file(&listener->place, &listener->file);
        close(listener->fd);
        return error_set(-failed, "%s: '%s': %s", call, address, strerror(-failed));
    }
    listener->watched = true;
    socket_describe(&listener->place, listener->address);
    if (options->name)
        snprintf(listener->name, sizeof listener->name, "listener '%.60s'", options->name);
    else
        snprintf(listener->name, sizeof listener->name, "the listener at %.70s", listener->address);
    return 0;
}

brood_listener *brood_listener_create(const char *address, const brood_listener_options *options)
{
    const brood_listener_options *given = options ? options : &defaults;
    if (check_options(__func__, given) < 0)
        return NULL;
    if (!address) {
        error_null(__func__, "the address");
        return NULL;
    }
    brood_listener *listener = calloc(1, sizeof *listener);
    if (!listener) {
        error_set(ENOMEM, "%s: no memory", __func__);
        return NULL;
    }
    struct seal_plan files = { true, given->certificate, given->private_key, given->authority };
    if (credentials_read(&listener->plan, __func__, given->key, given->key_size, given->weak_digests, false, &files) <
            0 ||
        listen_at(listener, address, given) < 0) {
        int failed = errno;
        credentials_forget(&listener->plan);
        free(listener);
        errno = failed;
        return NULL;
    }
    listener->process = thread_self()->process;
    listener->held = -1;
    listener->max_message = given->max_message;
    listener->max_guests = given->max_pending ? given->max_pending : PENDING;
    listener->handshake_ms = given->handshake_ms ? given->handshake_ms : HANDSHAKE_MS;
    gate_init(&listener->gate);
    log_say(BROOD_INFO, "%s listens at %s", listener->name, listener->address);
    return listener;
}

const char *brood_listener_address(const brood_listener *listener)
{
    if (listener)
        return listener->address;
    error_null(__func__, "the listener");
    return NULL;
}

int brood_listener_fd(brood_listener *listener)
{
    int failed = mine(listener, __func__);
    return failed < 0 ? failed : listener->lookout.fd;
}

int brood_listener_stat(brood_listener *listener, brood_listener_stats *stats)
{
    int failed = mine(listener, __func__);
    if (failed < 0)
        return failed;
    if (!stats)
        return error_set(EINVAL, "%s: there is no place for the counts", __func__);
    *stats = (brood_listener_stats){
        .accepted = atomic_load(&listener->accepted),
        .refused = atomic_load(&listener->refused),
        .garbled = atomic_load(&listener->garbled),
        .late = atomic_load(&listener->late),
        .gone = atomic_load(&listener->gone),
        .pending = atomic_load(&listener->pending),
        .waiting = atomic_load(&listener->waiting),
    };
    return 0;
}

int brood_listener_destroy(brood_listener *listener)
{
    int failed = listener ? mine(listener, __func__) : 0;
    if (failed < 0 || !listener)
        return failed;
    if (atomic_load(&listener->calls))
        return error_set(EBUSY, "%s: a thread is in accept of %s", __func__, listener->name);
    while (listener->first)
        send_away(listener, listener->first);
    socket_remove_file(&listener->place, &listener->file);
    if (listener->held >= 0)
        close(listener->held);
    close(listener->fd);
    lookout_close(&listener->lookout);
    gate_fini(&listener->gate);
    credentials_forget(&listener->plan);
    free(listener);
    return 0;
}
