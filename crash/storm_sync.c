/* storm_sync.c: all sync nouns together, while those who use them are killed at random.
 *
 * Each member does one thing after another with one noun after another, in random order. What must hold is checked
 * where it is done: nobody waits longer than he may, nobody is inside with whom he must not be, who finds things
 * unequal was told, nothing that was produced lies there unasked for. In the end everything can be taken, and ended,
 * and the heap is as it was.
 */
#include "storm.h"

#include <brood.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum {
    LIMIT = 8 << 20,
    ROOMS = 2,
    WAIT_MS = 20000,    /* who waits so long for what others give back in microseconds is stuck */
    BARRIER_MS = 20,    /* the members meet now and then: as a rule one of them is late */
    LATE_US = 4000000,  /* a barrier's timeout that takes so long was none */
    STALE_US = 4000000, /* an item that lies so long has nobody told of it */
    SETTLE_US = 1000000,
};

/* In the region. */
struct hall {
    brood_lock lock;
    brood_rwlock rwlock;
    brood_semaphore rooms;  /* owned */
    brood_semaphore tokens; /* plain */
    brood_event event;
    brood_condition condition;
    brood_barrier barrier;
    brood_value *value;
    volatile long first, second;   /* of the rwlock */
    _Atomic int inside[MEMBERS];   /* pids of who has a room */
    volatile long items;           /* of the lock */
    volatile long long since;      /* us: when items was last 0, or one was taken */
    _Atomic long added[MEMBERS];   /* to the value, before and ... */
    _Atomic long certain[MEMBERS]; /* ... after the call */
    _Atomic long turns;
};

struct guest {
    struct storm *storm;
    struct hall *hall;
    int member;
};

/* A result that must be one of success: it says so, and whether it is. */
static bool done(const struct guest *guest, int result, const char *what)
{
    if (result < 0)
        point_fault(guest->storm->report, result == -ETIMEDOUT ? POINT_STUCK : POINT_TORN, "%s: %s", what,
                    brood_error());
    return result >= 0;
}

static void write_book(const struct guest *guest)
{
    struct hall *hall = guest->hall;
    int told = brood_rwlock_acquire_write(&hall->rwlock, WAIT_MS);
    if (!done(guest, told, "write"))
        return;
    if (hall->first != hall->second && told != BROOD_INHERITED)
        point_fault(guest->storm->report, POINT_TORN, "a writer was not told: %ld, %ld", hall->first, hall->second);
    hall->second = hall->first;
    hall->first++;
    hall->second++;
    done(guest, brood_rwlock_release(&hall->rwlock), "release of a writer");
}

static void read_book(const struct guest *guest)
{
    struct hall *hall = guest->hall;
    int told = brood_rwlock_acquire_read(&hall->rwlock, WAIT_MS);
    if (!done(guest, told, "read"))
        return;
    if (told == BROOD_INHERITED)
        hall->second = hall->first; /* it is a writer then */
    else if (hall->first != hall->second)
        point_fault(guest->storm->report, POINT_TORN, "a reader sees %ld, %ld", hall->first, hall->second);
    done(guest, brood_rwlock_release(&hall->rwlock), "release of a reader");
}

static int count_inside(struct hall *hall)
{
    int count = 0;
    for (int i = 0; i < MEMBERS; i++) {
        int pid = atomic_load(&hall->inside[i]);
        char state = pid ? step_state(pid) : 0;
        count += state != 0 && state != 'Z' && state != 'X';
    }
    return count;
}

static void use_room(const struct guest *guest)
{
    struct hall *hall = guest->hall;
    if (!done(guest, brood_semaphore_acquire(&hall->rooms, WAIT_MS), "a room"))
        return;
    atomic_store(&hall->inside[guest->member], getpid());
    /* One that was killed in a room may still be on its way out of the kernel. */
    for (long long end = point_us() + SETTLE_US; count_inside(hall) > ROOMS;)
        if (point_us() > end) {
            point_fault(guest->storm->report, POINT_DOUBLED, "%d in %d rooms", count_inside(hall), ROOMS);
            break;
        }
    atomic_store(&hall->inside[guest->member], 0);
    done(guest, brood_semaphore_release(&hall->rooms), "giving a room back");
}

/* Whoever waits has given one before, so there is always one for each who waits. */
static void pass_token(const struct guest *guest)
{
    done(guest, brood_semaphore_release(&guest->hall->tokens), "giving a token");
    done(guest, brood_semaphore_acquire(&guest->hall->tokens, WAIT_MS), "a token");
}

static bool has_items(void *arg)
{
    return ((struct hall *)arg)->items > 0;
}

static void consume(const struct guest *guest)
{
    struct hall *hall = guest->hall;
    if (!done(guest, brood_lock_acquire(&hall->lock, WAIT_MS), "the lock"))
        return;
    int result = brood_condition_wait_until(&hall->condition, &hall->lock, has_items, hall, WAIT_MS);
    if (result == 0) {
        hall->items--;
        hall->since = point_us();
    } else if (result != BROOD_INHERITED) {
        done(guest, result, "items");
    }
    done(guest, brood_lock_release(&hall->lock), "releasing the lock");
}

static void meet(const struct guest *guest)
{
    struct hall *hall = guest->hall;
    long long begin = point_us();
    int result = brood_barrier_wait(&hall->barrier, BARRIER_MS);
    if (point_us() - begin > LATE_US)
        point_fault(guest->storm->report, POINT_STUCK, "a barrier's %d ms took %lld us", BARRIER_MS,
                    point_us() - begin);
    if (result == -ETIMEDOUT || result == -EPIPE || result == -EOWNERDEAD)
        result = brood_barrier_reset(&hall->barrier);
    done(guest, result, "the barrier");
}

static void add(const struct guest *guest)
{
    struct hall *hall = guest->hall;
    atomic_fetch_add(&hall->added[guest->member], 1);
    done(guest, brood_value_add(hall->value, 1, NULL), "adding");
    atomic_fetch_add(&hall->certain[guest->member], 1);
}

static void visit(void *context)
{
    const struct guest *guest = context;
    storm_seed((unsigned long long)point_us() + (unsigned)guest->member);
    for (;; atomic_fetch_add(&guest->hall->turns, 1)) {
        switch (storm_below(8)) {
        case 0:
            write_book(guest);
            break;
        case 1:
        case 2:
            read_book(guest);
            break;
        case 3:
            use_room(guest);
            break;
        case 4:
            pass_token(guest);
            break;
        case 5:
            consume(guest);
            break;
        case 6:
            add(guest);
            done(guest, brood_event_wait(&guest->hall->event, WAIT_MS), "the event");
            break;
        default:
            meet(guest);
        }
    }
}

/* The host's: what the members wait for is there, again and again; and what he put there is taken. */
static void serve(struct storm *storm, struct hall *hall)
{
    int told = brood_lock_acquire(&hall->lock, WAIT_MS);
    if (told < 0) {
        point_fault(storm->report, POINT_STUCK, "the host: %s", brood_error());
        return;
    }
    if (hall->items == 0)
        hall->since = point_us();
    else if (point_us() - hall->since > STALE_US && brood_waiter_list(&hall->condition, NULL, 0) > 0)
        point_fault(storm->report, POINT_LOST, "%ld items, and one who waits for them", hall->items);
    hall->items++;
    brood_condition_notify(&hall->condition, 1);
    brood_lock_release(&hall->lock);
    brood_event_set(&hall->event);
    brood_event_clear(&hall->event);
}

static void check_value(struct storm *storm, const struct hall *hall)
{
    long most = 0, least = 0;
    int value = 0;
    for (int i = 0; i < MEMBERS; i++) {
        most += atomic_load(&hall->added[i]);
        least += atomic_load(&hall->certain[i]);
    }
    brood_value_load(hall->value, &value);
    if (value < least || value > most)
        point_fault(storm->report, POINT_LOST, "%d was added, between %ld and %ld", value, least, most);
}

/* Nobody is there any more: all can be taken and ended. */
static void close_hall(const struct guest *guest)
{
    struct hall *hall = guest->hall;
    for (int i = 0; i < ROOMS; i++)
        done(guest, brood_semaphore_acquire(&hall->rooms, WAIT_MS), "a room at the end");
    for (int i = 0; i < ROOMS; i++)
        done(guest, brood_semaphore_release(&hall->rooms), "giving it back");
    write_book(guest);
    done(guest, brood_lock_acquire(&hall->lock, WAIT_MS), "the lock at the end");
    done(guest, brood_lock_release(&hall->lock), "releasing it");
    check_value(guest->storm, hall);
    done(guest, brood_lock_fini(&hall->lock), "fini of the lock");
    done(guest, brood_rwlock_fini(&hall->rwlock), "fini of the rwlock");
    done(guest, brood_semaphore_fini(&hall->rooms), "fini of the rooms");
    done(guest, brood_semaphore_fini(&hall->tokens), "fini of the tokens");
    done(guest, brood_event_fini(&hall->event), "fini of the event");
    done(guest, brood_condition_fini(&hall->condition), "fini of the condition");
    done(guest, brood_barrier_fini(&hall->barrier), "fini of the barrier");
    done(guest, brood_value_destroy(hall->value), "destroying the value");
}

void storm_over_sync(struct storm *storm)
{
    struct crew crew = { .body = visit };
    struct guest guests[MEMBERS];
    brood_heap_stats before, after;
    struct hall *hall = NULL;
    if (brood_init(&(brood_init_options){ .limit = LIMIT }) < 0 || !(hall = brood_alloc(sizeof *hall))) {
        point_fault(storm->report, POINT_TORN, "no family: %s", brood_error());
        return;
    }
    brood_heap_stat(&before);
    hall->value = brood_value_create('i', NULL);
    if (!hall->value || brood_barrier_init(&hall->barrier, MEMBERS, NULL) < 0 ||
        brood_semaphore_init(&hall->rooms, ROOMS, &(brood_semaphore_options){ .owned = true }) < 0) {
        point_fault(storm->report, POINT_TORN, "no hall: %s", brood_error());
        return;
    }
    for (int i = 0; i < MEMBERS; i++) {
        guests[i] = (struct guest){ storm, hall, i };
        crew.contexts[i] = &guests[i];
        crew_start(&crew, i);
    }
    while (point_us() < storm->end) {
        storm_gap();
        serve(storm, hall);
        int member = (int)storm_below(MEMBERS * 2);
        if (member >= MEMBERS)
            continue;
        crew_kill(&crew, member);
        crew_start(&crew, member);
    }
    for (int i = 0; i < MEMBERS; i++)
        crew_kill(&crew, i);
    close_hall(&guests[0]);
    if (brood_heap_check() < 0 || brood_heap_stat(&after) < 0)
        point_fault(storm->report, POINT_TORN, "%s", brood_error());
    else if (after.blocks != before.blocks)
        point_fault(storm->report, POINT_LOST, "%zu blocks before, %zu after", before.blocks, after.blocks);
    if (atomic_load(&hall->turns) == 0)
        point_fault(storm->report, POINT_STUCK, "nothing was tried");
    if (storm->verbose)
        printf("  sync: %u kills, %ld turns\n", crew.kills, atomic_load(&hall->turns));
}
