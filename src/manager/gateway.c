/* manager/gateway.c */
#include "manager/gateway.h"

#include "error/error.h"
#include "error/log.h"
#include "manager/visitor.h"
#include "os/clock.h"
#include "os/lookout.h"
#include "wait/spin.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VISITORS_MOST 1000 /* each has a channel, and a thread may hold 1,024 words */
#define SEEN_AT_ONCE 32    /* descriptors */
#define PAUSE_NS 100000000 /* before a listener is tried again that had no descriptor for one more */
#define LOOKS_AT_ONCE 64   /* before the time is asked for */
#define HELLO_MS 10000     /* for a visitor to say who he is, if handshake_ms says nothing */

/* A place where it listens. fresh: not looked at yet. */
struct door {
    brood_listener *listener;
    size_t max_message;
    int hello_ms;
    bool watched, fresh;
    struct door *next;
};

/* doors: the list, and what is fresh: under `guard`; the rest of a door is the gateway's thread's. dozing: that may
 * sleep, and is to be rung for; ending: it is to end. */
static struct {
    struct brood_manager *manager;
    struct lookout lookout;
    pthread_t thread;
    pthread_mutex_t guard;
    struct door *doors;
    _Atomic bool up, dozing, ending;
    struct visitor *visitors;
    unsigned count;
    int64_t pause, hello_by; /* the first of them */
} gateway = { .guard = PTHREAD_MUTEX_INITIALIZER, .hello_by = CLOCK_NEVER };

/* ---- doors ---- */

static struct door *doors(void)
{
    pthread_mutex_lock(&gateway.guard);
    struct door *first = gateway.doors;
    pthread_mutex_unlock(&gateway.guard);
    return first;
}

/* Which of the doors are looked at: those that are new; none, while no more can come in. */
static void arrange_doors(void)
{
    bool open = gateway.count < VISITORS_MOST && clock_now() >= gateway.pause;
    for (struct door *door = doors(); door; door = door->next) {
        int fd = brood_listener_fd(door->listener);
        if (door->fresh)
            door->watched = lookout_add(&gateway.lookout, fd, door, true, false) == 0;
        else if (door->watched != open && lookout_change(&gateway.lookout, fd, door, open, false) == 0)
            door->watched = open;
        door->fresh = false;
    }
}

static struct door *door_of(const void *who)
{
    struct door *door = doors();
    while (door && door != who)
        door = door->next;
    return door;
}

static void let_in(struct door *door)
{
    for (int i = 0; i < SEEN_AT_ONCE && gateway.count < VISITORS_MOST; i++) {
        brood_connection *end = brood_listener_accept(door->listener, 0);
        if (!end) {
            gateway.pause = errno == ETIMEDOUT ? 0 : clock_now() + PAUSE_NS;
            return;
        }
        struct visitor *visitor =
            visitor_begin(gateway.manager, &gateway.lookout, end, door->max_message, clock_deadline(door->hello_ms));
        if (!visitor)
            continue;
        visitor->next = gateway.visitors;
        gateway.visitors = visitor;
        gateway.count++;
    }
}

/* ---- visitors ---- */

/* Each of a crowd that says nothing takes a place of those who would. */
static void send_off_late(void)
{
    int64_t now = clock_now(), first = CLOCK_NEVER;
    for (struct visitor *visitor = gateway.visitors; visitor; visitor = visitor->next) {
        if (visitor->hello_by <= now && !visitor->ended)
            visitor_late(visitor);
        else if (visitor->hello_by < first)
            first = visitor->hello_by;
    }
    gateway.hello_by = first;
}

static int64_t earlier(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static void see_out(void)
{
    for (struct visitor **place = &gateway.visitors, *visitor; (visitor = *place);) {
        if (!visitor->ended) {
            place = &visitor->next;
            continue;
        }
        *place = visitor->next;
        visitor_end(visitor, false);
        gateway.count--;
    }
}

static bool has_news(void)
{
    for (const struct visitor *visitor = gateway.visitors; visitor; visitor = visitor->next)
        if (visitor->more || visitor->ended || visitor_is_answered(visitor))
            return true;
    return atomic_load(&gateway.ending);
}

static void bring_news(void)
{
    for (struct visitor *visitor = gateway.visitors; visitor; visitor = visitor->next) {
        if (visitor_is_answered(visitor))
            visitor_answer(visitor);
        else if (visitor->more)
            visitor_look(visitor);
    }
}

static unsigned asking(void)
{
    unsigned count = 0;
    for (const struct visitor *visitor = gateway.visitors; visitor; visitor = visitor->next)
        count += visitor->asks;
    return count;
}

/* As long as a wake costs: most answers are there sooner. */
static void await_answers(void)
{
    if (!spin_pays(atomic_load_explicit(&gateway.manager->board.duty.cpu, memory_order_relaxed)))
        return;
    int64_t end = clock_now() + SPIN_MOST;
    do {
        for (int i = 0; i < LOOKS_AT_ONCE; i++)
            cpu_pause();
    } while (!has_news() && clock_now() < end);
}

static void *run(void *context)
{
    struct sighting seen[SEEN_AT_ONCE];
    (void)context;
    while (!atomic_load(&gateway.ending)) {
        arrange_doors();
        atomic_store(&gateway.dozing, true); /* then look: pairs with gateway_ring */
        int64_t until = has_news() ? 0 : earlier(gateway.pause ? gateway.pause : CLOCK_NEVER, gateway.hello_by);
        int count = lookout_wait(&gateway.lookout, seen, SEEN_AT_ONCE, until);
        atomic_store(&gateway.dozing, false);
        lookout_heed(&gateway.lookout);
        if (gateway.pause && clock_now() >= gateway.pause)
            gateway.pause = 0;
        unsigned asked = asking();
        for (int i = 0; i < count; i++) {
            struct door *door = door_of(seen[i].who);
            if (door)
                let_in(door);
            else
                visitor_look(seen[i].who);
        }
        if (asking() > asked)
            await_answers();
        bring_news();
        send_off_late();
        see_out();
    }
    while (gateway.visitors) { /* by this thread, which holds their channels */
        struct visitor *visitor = gateway.visitors;
        gateway.visitors = visitor->next;
        visitor_end(visitor, true);
    }
    return NULL;
}

/* ---- the server's side ---- */

/* All signals are the server's: one of them ends it. */
static int begin(struct brood_manager *manager)
{
    sigset_t all, before;
    int failed = lookout_open(&gateway.lookout);
    if (failed < 0)
        return failed;
    gateway.manager = manager;
    failed = lookout_equip(&gateway.lookout, false);
    if (failed == 0) {
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        failed = -pthread_create(&gateway.thread, NULL, run, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (failed < 0)
        lookout_close(&gateway.lookout);
    atomic_store(&gateway.up, failed == 0);
    return failed;
}

int gateway_listen(struct brood_manager *manager, const char *address, const brood_listener_options *options)
{
    struct door *door = calloc(1, sizeof *door);
    if (!door)
        return error_set(ENOMEM, "the server has no memory to listen");
    door->listener = brood_listener_create(address, options);
    int failed = door->listener ? 0 : -errno;
    if (failed == 0 && !atomic_load(&gateway.up) && (failed = begin(manager)) < 0) {
        brood_listener_destroy(door->listener);
        error_set(-failed, "the server cannot start a thread to listen with: %s", strerror(-failed));
    }
    if (failed < 0) {
        free(door);
        return failed;
    }
    door->max_message = options->max_message;
    door->hello_ms = options->handshake_ms ? options->handshake_ms : HELLO_MS;
    door->fresh = true;
    snprintf(manager->address, sizeof manager->address, "%s", brood_listener_address(door->listener));
    pthread_mutex_lock(&gateway.guard);
    door->next = gateway.doors;
    gateway.doors = door;
    pthread_mutex_unlock(&gateway.guard);
    lookout_poke(&gateway.lookout);
    return 0;
}

void gateway_ring(void)
{
    if (atomic_exchange(&gateway.dozing, false))
        lookout_poke(&gateway.lookout);
}

void gateway_end(void)
{
    if (!atomic_load(&gateway.up))
        return;
    atomic_store(&gateway.ending, true);
    lookout_poke(&gateway.lookout);
    pthread_join(gateway.thread, NULL);
    while (gateway.doors) {
        struct door *door = gateway.doors;
        gateway.doors = door->next;
        brood_listener_destroy(door->listener);
        free(door);
    }
    lookout_close(&gateway.lookout);
}
