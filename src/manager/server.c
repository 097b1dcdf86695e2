/* manager/server.c */
#include "manager/server.h"

#include "manager/gateway.h"
#include "os/clock.h"
#include "os/futex.h"
#include "region/heap.h"
#include "wait/latch.h"
#include "wait/spin.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define COLD_ROUNDS 1024   /* rounds without a request, after which a client is looked at less often */
#define COLD_EVERY 32      /* of how many rounds: it is looked at in one */
#define WATCHED_MOST 100   /* clients whose deaths it sleeps on; for more it naps */
#define LOOK_NS 1000000000 /* between looks at the dead who hold nothing */
#define LOOKS_AT_ONCE 64   /* rounds, before the time is asked for */

/* clients: `warm` of them first, which ask often. first: the list as it was when it was last read. */
struct server {
    struct switchboard *board;
    const struct service *service;
    struct client **clients;
    unsigned count, warm, room, rounds;
    struct channel *first;
    int64_t look_at;   /* when the service is to look around */
    uint32_t last_cpu; /* where the client ran that was served last, + 1 */
};

/* What a signal handler needs; one server a process. */
static struct switchboard *_Atomic served;

/* The bell's word becomes another, so that a server that is about to sleep does not. */
static void end_by_signal(int number)
{
    (void)number;
    struct switchboard *board = atomic_load(&served);
    if (!board)
        return;
    atomic_store(&board->ending, 1);
    atomic_fetch_and(&board->bell.word, ~(uint32_t)FUTEX_WAITERS);
}

/* ---- clients ---- */

static bool add(struct server *server, struct channel *channel)
{
    if (server->count == server->room) {
        unsigned room = server->room ? 2 * server->room : 16;
        struct client **grown = realloc(server->clients, room * sizeof(struct client *));
        if (!grown)
            return false;
        server->clients = grown;
        server->room = room;
    }
    struct client *client = calloc(1, sizeof *client);
    if (!client)
        return false;
    client->channel = channel;
    client->taken = atomic_load(&channel->reply.number);
    server->clients[server->count++] = client;
    return true;
}

/* Channels that were made since. Without memory for one it is tried again. */
static void find_new(struct server *server)
{
    struct channel *first = atomic_load(&server->board->channels);
    if (first == server->first)
        return;
    for (struct channel *channel = first; channel != server->first; channel = channel->next) {
        bool known = false;
        for (unsigned i = server->count; i-- > 0 && !known;)
            known = server->clients[i]->channel == channel;
        if (!known && !add(server, channel))
            return;
    }
    server->first = first;
}

static void swap(struct server *server, unsigned one, unsigned other)
{
    struct client *client = server->clients[one];
    server->clients[one] = server->clients[other];
    server->clients[other] = client;
}

/* ---- one request ---- */

static bool has_asked(const struct client *client)
{
    /* Acquire: pairs with the client's store of the number in channel_send. */
    return atomic_load_explicit(&client->channel->request.number, memory_order_acquire) != client->taken;
}

/* By somebody outside the family: the gateway's thread holds it, and leaves it with a ring. */
static bool is_visited(const struct channel *channel)
{
    return atomic_load_explicit(&channel->session, memory_order_relaxed) != 0;
}

static void commit(struct channel *channel, uint32_t number, int result)
{
    channel->reply.result = result;
    /* The number, then the look whether it sleeps, both seq_cst: pairs with sleep_on_reply. */
    atomic_exchange(&channel->reply.number, number);
    if (atomic_load(&channel->request.sleeping))
        futex_wake(&channel->reply.number, 1);
    if (is_visited(channel))
        gateway_ring();
}

void client_answer(struct client *client, int result)
{
    if (!client->waits)
        return;
    client->waits = false;
    commit(client->channel, client->taken, result);
}

bool client_took(const struct client *client, uint32_t number)
{
    /* Acquire: pairs with the client's store in channel_took. */
    return atomic_load_explicit(&client->channel->request.took, memory_order_acquire) == number;
}

bool client_may_have(const struct client *client, uint32_t number)
{
    return atomic_load(&client->channel->unsure) == number;
}

static void serve(struct server *server, struct client *client)
{
    struct channel *channel = client->channel;
    client->taken = atomic_load_explicit(&channel->request.number, memory_order_relaxed);
    client->cancelled = false;
    client->fresh = true;
    client->idle = 0;
    server->last_cpu = atomic_load_explicit(&channel->request.cpu, memory_order_relaxed);
    size_t size;
    const void *content = parcel_content(&channel->request, &size);
    channel->reply.size = 0;
    int result =
        content ? server->service->call(server->service->context, client, content, size, &channel->reply) : -EFAULT;
    client->waits = result == SERVER_LATER;
    if (client->waits && is_visited(channel)) /* which needs it no more, and may wait long */
        parcel_tidy(&channel->request, true);
    if (!client->waits)
        commit(channel, client->taken, result);
}

/* ---- the dead ---- */

static bool is_gone(const struct client *client)
{
    uint32_t word = atomic_load(&client->channel->holder.word);
    if (word & FUTEX_TID_MASK && !atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed))
        latch_mark_if_gone(&client->channel->holder, word);
    return word & FUTEX_OWNER_DIED && !(word & FUTEX_TID_MASK);
}

/* What it had asked for is done first: its number was the commit. The channel is free with the last store. */
static void bury(struct server *server, struct client *client)
{
    struct channel *channel = client->channel;
    heap_settle(); /* a block that it was taking or giving back is there or is not */
    if (has_asked(client))
        serve(server, client);
    if (server->service->gone)
        server->service->gone(server->service->context, client);
    server->look_at = 0;
    client->waits = false;
    client->holds = false;
    client->fresh = false;
    client->own = NULL;
    parcel_tidy(&channel->request, true);
    parcel_tidy(&channel->reply, true);
    atomic_store(&channel->request.cancelled, 0);
    atomic_store(&channel->reply.number, client->taken);
    atomic_store(&channel->holder.word, 0);
}

static bool look_after(struct server *server, struct client *client)
{
    if (is_gone(client)) {
        bury(server, client);
        return true;
    }
    if (client->waits && !client->cancelled && server->service->cancel &&
        atomic_load(&client->channel->request.cancelled) == client->taken) {
        client->cancelled = true;
        server->service->cancel(server->service->context, client);
        return true;
    }
    if (client->fresh && !client->waits && server->service->lost &&
        atomic_load(&client->channel->lost) == client->taken) {
        client->fresh = false;
        server->service->lost(server->service->context, client);
        return true;
    }
    return false;
}

/* ---- rounds ---- */

/* Each of them once. Whether there was anything to do. */
static bool round_of(struct server *server, unsigned from, unsigned to)
{
    bool did = false;
    for (unsigned i = from; i < to; i++) {
        struct client *client = server->clients[i];
        if (has_asked(client)) {
            serve(server, client);
            did = true;
        } else {
            client->idle++;
        }
    }
    return did;
}

/* The rarer look: at new clients, at those who ask seldom, at the dead, at who gave up. */
static bool look_around(struct server *server)
{
    find_new(server);
    bool did = round_of(server, server->warm, server->count);
    for (unsigned i = 0; i < server->count; i++)
        did |= look_after(server, server->clients[i]);
    if (server->service->look && clock_lately() >= server->look_at) {
        server->service->look(server->service->context);
        server->look_at = clock_lately() + LOOK_NS;
    }
    for (unsigned i = server->warm; i < server->count; i++)
        if (server->clients[i]->idle == 0)
            swap(server, i, server->warm++);
    for (unsigned i = server->warm; i-- > 0;)
        if (server->clients[i]->idle >= COLD_ROUNDS)
            swap(server, i, --server->warm);
    return did;
}

static bool one_round(struct server *server)
{
    bool did = round_of(server, 0, server->warm);
    if (++server->rounds % COLD_EVERY == 0)
        did |= look_around(server);
    return did;
}

/* A short while awake. True: there was something. */
static bool spin(struct server *server, struct thread *self)
{
    if (!spin_pays(server->last_cpu))
        return false;
    bool did = false;
    int64_t end = 0, now = 0; /* the time is asked for only when the next request is not there soon */
    do {
        for (int i = 0; i < LOOKS_AT_ONCE && !did; i++) {
            cpu_pause();
            did = round_of(server, 0, server->warm);
        }
        now = did ? now : clock_now();
        end = end ? end : now + spin_budget(self);
    } while (!did && !atomic_load(&server->board->ending) && now < end);
    spin_learn(self, did);
    return did;
}

/* Those of the family who hold something, and live: the kernel wakes for their deaths. */
static unsigned watch_holders(struct server *server, struct futex_watch *watch, unsigned count)
{
    for (unsigned i = 0; i < server->count && count <= WATCHED_MOST; i++) {
        struct client *client = server->clients[i];
        if ((!client->holds && !client->waits) || is_visited(client->channel))
            continue;
        _Atomic uint32_t *word = &client->channel->holder.word;
        uint32_t seen = atomic_load(word);
        if (!(seen & FUTEX_WAITERS) && seen & FUTEX_TID_MASK)
            seen = atomic_fetch_or(word, FUTEX_WAITERS) | FUTEX_WAITERS;
        watch[count++] = (struct futex_watch){ word, seen };
    }
    return count;
}

static void sleep_until_news(struct server *server)
{
    struct bell *bell = &server->board->bell;
    struct futex_watch watch[WATCHED_MOST + 2];
    uint32_t word = atomic_fetch_or(&bell->word, FUTEX_WAITERS) | FUTEX_WAITERS;
    atomic_thread_fence(memory_order_seq_cst); /* that it sleeps, then the look: pairs with the fence in bell_ring */
    watch[0] = (struct futex_watch){ &bell->word, word };
    unsigned count = watch_holders(server, watch, 1);
    if (atomic_load(&server->board->ending) || look_around(server) || round_of(server, 0, server->warm)) {
        atomic_fetch_and(&bell->word, ~(uint32_t)FUTEX_WAITERS); /* it is awake: nobody need ring */
        return;
    }
    bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
    futex_sleep_any(watch, count, clock_now() + (told && count <= WATCHED_MOST ? LOOK_NS : THREAD_NAP));
    atomic_fetch_and(&bell->word, ~(uint32_t)FUTEX_WAITERS);
}

/* ---- beginning and end ---- */

static void begin(struct switchboard *board)
{
    struct thread *self = thread_self();
    latch_take(self, &board->duty, CLOCK_NEVER);
    spin_publish(&board->duty.cpu);
    latch_hold(self, &board->duty);
    struct sigaction action = { .sa_handler = end_by_signal };
    sigset_t term;
    atomic_store(&served, board);
    sigaction(SIGTERM, &action, NULL);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &term, NULL);
    atomic_store(&board->state, MANAGER_UP);
    futex_wake(&board->state, FUTEX_EVERYONE);
}

/* The duty stays held: its mark, at this process' end, wakes all who sleep for a reply. */
int server_run(struct switchboard *board, const struct service *service)
{
    struct server server = { .board = board, .service = service };
    struct thread *self = thread_self();
    begin(board);
    while (!atomic_load(&board->ending)) {
        spin_publish(&board->duty.cpu);
        if (!one_round(&server) && !spin(&server, self))
            sleep_until_news(&server);
    }
    atomic_store(&board->state, MANAGER_ENDED);
    for (unsigned i = 0; i < server.count; i++)
        server.clients[i]->waits = false;
    for (unsigned i = 0; i < server.count; i++) {
        if (service->gone)
            service->gone(service->context, server.clients[i]);
        free(server.clients[i]);
    }
    free(server.clients);
    return 0;
}
