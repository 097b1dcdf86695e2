/* manager/channel.c */
#include "manager/channel.h"

#include "error/error.h"
#include "os/clock.h"
#include "os/futex.h"
#include "region/heap.h"
#include "region/region.h"
#include "sync/noun.h"
#include "wait/latch.h"

#include <errno.h>
#include <string.h>

#define CACHE_SIZE 4     /* channels a thread finds at once */
#define SPIN_AWHILE 4000 /* ns: what falling asleep costs */
#define SPIN_ANEW 16     /* so often all of it is spun */
#define LOOKS_AT_ONCE 64 /* before the time is asked for */

_Static_assert(sizeof(struct channel) <= 4096, "a page");

/* What this thread has found before: a hint, which a fork leaves behind. */
static _Thread_local struct {
    const struct brood_manager *manager;
    struct channel *channel;
    int32_t process;
} cache[CACHE_SIZE];

static unsigned cache_place(const struct brood_manager *manager)
{
    return (unsigned)((uintptr_t)manager >> 8) % CACHE_SIZE;
}

static void forget(const struct channel *channel)
{
    for (unsigned i = 0; i < CACHE_SIZE; i++)
        if (cache[i].channel == channel)
            cache[i].channel = NULL;
}

/* ---- parcels ---- */

void parcel_tidy(struct parcel *parcel, bool all)
{
    void *block = *(void *volatile *)&parcel->block;
    size_t size = block ? heap_size(block) : 0;
    bool wild = block && size == 0; /* somebody wrote over it */
    if (wild || (block && (all || size > CHANNEL_BLOCK_KEPT) && heap_give(block, &parcel->block) < 0))
        parcel->block = NULL;
}

void *parcel_room(struct parcel *parcel, size_t size)
{
    if (size > UINT32_MAX)
        return NULL;
    parcel->size = (uint32_t)size;
    if (size <= CHANNEL_ROOM)
        return parcel->bytes;
    void *block = *(void *volatile *)&parcel->block; /* read once: what is checked is what is used */
    if (block && heap_size(block) >= size)
        return block;
    parcel_tidy(parcel, true);
    return heap_take_raw_into(&parcel->block, size);
}

const void *parcel_content(const struct parcel *parcel, size_t *size)
{
    /* Read once each: what is checked is what is used. */
    *size = *(const volatile uint32_t *)&parcel->size;
    const void *block = *(void *const volatile *)&parcel->block;
    if (*size <= CHANNEL_ROOM)
        return parcel->bytes;
    return block && heap_size(block) >= *size ? block : NULL;
}

/* ---- taking one ---- */

/* Held by this thread; a thread id alone is no identity, and a child that was forked has none of its parent's. */
static bool is_mine(const struct thread *self, struct channel *channel)
{
    return noun_held(self, &channel->holder);
}

static bool take(struct thread *self, struct channel *channel)
{
    uint32_t nobody = 0;
    thread_expects(self, &channel->holder.word);
    if (!atomic_compare_exchange_strong(&channel->holder.word, &nobody, self->id)) {
        thread_expects(self, NULL);
        return false;
    }
    noun_hold(self, &channel->holder);
    atomic_store(&channel->request.sleeping, 0);
    atomic_store(&channel->session, 0);
    return true;
}

static struct channel *take_free(struct thread *self, const struct switchboard *board)
{
    for (struct channel *channel = atomic_load(&board->channels); channel; channel = channel->next)
        if (atomic_load_explicit(&channel->holder.word, memory_order_relaxed) == 0 && take(self, channel))
            return channel;
    return NULL;
}

/* One that a killed thread was making: linked already, or left to be made anew. */
static void mend_guard(struct switchboard *board)
{
    if (board->fresh && atomic_load(&board->channels) == board->fresh)
        board->fresh = NULL;
}

/* The guard is held, in this thread's list: the heap needs the pending entry. */
static struct channel *make(struct thread *self, struct brood_manager *manager, struct switchboard *board)
{
    struct channel *channel = board->fresh ? board->fresh : heap_take_into(&board->fresh, sizeof *channel);
    if (!channel)
        return NULL;
    heap_label(channel, "channel of a manager");
    channel->manager = manager;
    atomic_store(&channel->holder.mark, CHANNEL_MARK);
    atomic_store(&channel->holder.word, 0); /* or it is marked, of one who was killed here */
    if (!take(self, channel))
        return NULL;
    channel->next = atomic_load(&board->channels);
    atomic_store(&board->channels, channel); /* the commit */
    board->fresh = NULL;
    return channel;
}

static void let_go(struct thread *self, struct channel *channel)
{
    noun_unhold(self, &channel->holder);
    atomic_store(&channel->holder.word, 0);
    thread_expects(self, NULL);
    forget(channel);
}

static void give_back(struct channel *channel)
{
    parcel_tidy(&channel->request, true);
    parcel_tidy(&channel->reply, true);
    heap_give(channel, NULL);
}

/* Channels of managers that are gone. */
static void give_back_left(struct thread *self)
{
    struct robust_word *held = NULL;
    while ((held = thread_listed(self, held))) {
        struct channel *channel = (struct channel *)(void *)held;
        if (!region_holds(held, sizeof *channel) || atomic_load(&held->mark) != CHANNEL_MARK ||
            !atomic_load(&channel->left))
            continue;
        let_go(self, channel);
        give_back(channel);
        held = NULL; /* from the first one on again */
    }
}

static struct channel *find_mine(const struct thread *self, const struct switchboard *board)
{
    for (struct channel *channel = atomic_load(&board->channels); channel; channel = channel->next)
        if (is_mine(self, channel))
            return channel;
    return NULL;
}

static struct channel *take_or_make(struct thread *self, struct brood_manager *manager, struct switchboard *board)
{
    struct channel *channel = take_free(self, board);
    if (channel)
        return channel;
    if (latch_take(self, &board->guard, CLOCK_NEVER) == LATCH_INHERITED) {
        noun_settle(self, &board->guard);
        mend_guard(board);
    }
    latch_hold(self, &board->guard);
    channel = make(self, manager, board);
    latch_unhold(self, &board->guard);
    latch_drop(self, &board->guard);
    return channel;
}

struct channel *channel_find(struct brood_manager *manager, struct switchboard *board, const char *call)
{
    struct thread *self = thread_self();
    unsigned place = cache_place(manager);
    struct channel *channel = cache[place].channel;
    if (channel && cache[place].manager == manager && cache[place].process == self->process &&
        !atomic_load_explicit(&channel->left, memory_order_relaxed))
        return channel;
    cache[place].channel = NULL;
    give_back_left(self);
    channel = find_mine(self, board);
    if (!channel) {
        int failed = noun_may_hold(self);
        if (failed < 0) {
            errno = -failed;
            return NULL;
        }
        channel = take_or_make(self, manager, board);
    }
    if (!channel) {
        error_set(ENOMEM, "%s: no memory in the region for a channel to the manager", call);
        return NULL;
    }
    cache[place].manager = manager;
    cache[place].channel = channel;
    cache[place].process = self->process;
    return channel;
}

struct channel *channel_take(struct brood_manager *manager, struct switchboard *board, int32_t session,
                             const char *call)
{
    struct thread *self = thread_self();
    int failed = noun_may_hold(self);
    if (failed < 0) {
        errno = -failed;
        return NULL;
    }
    struct channel *channel = take_or_make(self, manager, board);
    if (channel)
        atomic_store(&channel->session, session);
    else
        error_set(ENOMEM, "%s: no memory in the region for a channel to the manager", call);
    return channel;
}

void channel_leave(struct thread *self, struct switchboard *board, struct channel *channel)
{
    noun_unhold(self, &channel->holder);
    atomic_store(&channel->holder.word, FUTEX_OWNER_DIED);
    bell_lift(self, &board->bell); /* the server looks at all of them before it sleeps again */
    bell_ring(self, &board->bell);
}

/* ---- calling ---- */

bool channel_is_answered(struct channel *channel)
{
    /* seq_cst, for who has said before that it dozes (gateway.c); the request's number is this thread's own. */
    return atomic_load(&channel->reply.number) == atomic_load_explicit(&channel->request.number, memory_order_relaxed);
}

void channel_send(struct thread *self, struct switchboard *board, struct channel *channel)
{
    uint32_t last = atomic_load_explicit(&channel->request.number, memory_order_relaxed);
    uint32_t number = last == UINT32_MAX ? 1 : last + 1; /* 0 is none */
    spin_publish(&channel->request.cpu);
    bell_lift(self, &board->bell);
    /* Release: pairs with the server's load. What follows in bell_ring is ordered after it by a fence. */
    atomic_store_explicit(&channel->request.number, number, memory_order_release);
    bell_ring(self, &board->bell);
}

void channel_cancel(struct thread *self, struct switchboard *board, struct channel *channel)
{
    bell_lift(self, &board->bell);
    atomic_store(&channel->request.cancelled, atomic_load(&channel->request.number));
    bell_ring(self, &board->bell);
}

void channel_took(struct channel *channel)
{
    /* Release: pairs with the server's load in client_took. */
    atomic_store_explicit(&channel->request.took, atomic_load_explicit(&channel->request.number, memory_order_relaxed),
                          memory_order_release);
}

void channel_doubt(struct channel *channel)
{
    atomic_store(&channel->unsure, atomic_load_explicit(&channel->request.number, memory_order_relaxed));
}

void channel_lost(struct thread *self, struct switchboard *board, struct channel *channel)
{
    bell_lift(self, &board->bell);
    atomic_store(&channel->lost, atomic_load_explicit(&channel->request.number, memory_order_relaxed));
    bell_ring(self, &board->bell);
}

int64_t spin_budget(const struct thread *self)
{
    static _Thread_local unsigned tries;
    return ++tries % SPIN_ANEW == 0 ? SPIN_MOST : self->spin > SPIN_AWHILE ? self->spin : SPIN_AWHILE;
}

/* A short while awake. True: it is answered. */
static bool spin(struct thread *self, struct switchboard *board, struct channel *channel)
{
    bool answered = channel_is_answered(channel);
    if (answered || !spin_pays(atomic_load_explicit(&board->duty.cpu, memory_order_relaxed)))
        return answered;
    for (int i = 0; i < LOOKS_AT_ONCE && !answered; i++) {
        cpu_pause();
        answered = channel_is_answered(channel);
    }
    if (answered)
        return true;
    int64_t end = clock_now() + spin_budget(self);
    do {
        for (int i = 0; i < LOOKS_AT_ONCE && !(answered = channel_is_answered(channel)); i++)
            cpu_pause();
    } while (!answered && clock_now() < end);
    spin_learn(self, answered);
    return answered;
}

/* Sleeps until the reply is there, the server dies, the deadline comes, or for no reason. */
static void sleep_on_reply(struct thread *self, struct switchboard *board, struct channel *channel, int64_t deadline)
{
    _Atomic uint32_t *duty = &board->duty.word;
    bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
    atomic_store(&channel->request.sleeping, 1); /* then look again: pairs with commit in server.c */
    thread_expects(self, duty);
    uint32_t word = atomic_fetch_or(duty, FUTEX_WAITERS) | FUTEX_WAITERS;
    uint32_t answer = atomic_load(&channel->reply.number);
    if (answer != atomic_load_explicit(&channel->request.number, memory_order_relaxed) && !(word & FUTEX_OWNER_DIED)) {
        const struct futex_watch watch[] = { { &channel->reply.number, answer }, { duty, word } };
        bool naps =
            !told || !(word & FUTEX_TID_MASK); /* a server that has not begun: nobody would be told of its end */
        int64_t nap = naps ? clock_now() + THREAD_NAP : deadline;
        futex_sleep_any(watch, 2, nap < deadline ? nap : deadline);
    }
    /* The kernel wakes one for the dead server, and that may be us. */
    word = atomic_load(duty);
    if (!told && word & FUTEX_TID_MASK)
        latch_mark_if_gone(&board->duty, word);
    if (word & FUTEX_OWNER_DIED)
        futex_wake(duty, FUTEX_EVERYONE);
    thread_expects(self, NULL);
    atomic_store_explicit(&channel->request.sleeping, 0, memory_order_relaxed);
}

int channel_await(struct thread *self, struct switchboard *board, struct channel *channel, int64_t deadline)
{
    if (spin(self, board, channel))
        return 0;
    while (!channel_is_answered(channel)) {
        bool dead = atomic_load(&board->duty.word) & FUTEX_OWNER_DIED;
        bool ended = atomic_load(&board->state) == MANAGER_ENDED;
        if (dead || ended) /* what it said before that counts */
            return channel_is_answered(channel) ? 0 : ended ? -EPIPE : -EOWNERDEAD;
        if (deadline != CLOCK_NEVER && clock_now() >= deadline)
            return -ETIMEDOUT;
        sleep_on_reply(self, board, channel, deadline);
    }
    return 0;
}

void channels_end(struct switchboard *board)
{
    struct thread *self = thread_self();
    heap_settle();
    if (board->fresh && atomic_load(&board->channels) != board->fresh)
        heap_give(board->fresh, &board->fresh);
    for (struct channel *channel = atomic_load(&board->channels), *next; channel; channel = next) {
        next = channel->next;
        if (is_mine(self, channel))
            let_go(self, channel);
        if (atomic_load(&channel->holder.word) & FUTEX_TID_MASK)
            atomic_store(&channel->left, 1);
        else
            give_back(channel);
    }
}
