/* exchange/watch.c: the sets of brood/wait.h.
 *
 * Everything ends in one epoll set (os/lookout.h): descriptors are in it themselves, words by way of an io_uring
 * (os/ring.h), whose descriptor can be read when one of them has been woken. A word is armed, that is slept on, only
 * after a look that found its object not ready; so each object is in one of two states: armed, or to be looked at. What
 * a look finds ready stays to be looked at, and the set's flag is up until a call has found nothing ready. Where there
 * is no such ring the set's alarm goes off every WAITABLE_NAP instead.
 */
#include "exchange/watch.h"

#include "error/error.h"
#include "exchange/waitable.h"
#include "os/child.h"
#include "os/lookout.h"
#include "os/ring.h"
#include "region/region.h"
#include "wait/latch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAST_ROOM 16
#define NOBODY UINT32_MAX

/* One place for a thing. `turn` is raised whenever it is given up, so that what is said of an earlier one is not taken
 * for this one's. */
struct place {
    brood_waitable item;
    uint32_t turn;
    uint32_t next; /* in the list of those to be looked at, or of free places */
    bool used, armed, listed;
    bool always;    /* a descriptor that is always ready, which no epoll set takes */
    int32_t debtor; /* of a queue: a process whose end must be heard of too; 0: none */
    int debtor_fd;  /* its pidfd; -1: there is none, or it has ended */
};

struct brood_watch {
    pid_t process;
    pthread_mutex_t guard; /* held by who is in a call */
    struct lookout lookout;
    struct ring ring;
    bool has_ring, no_ring; /* neither: no word has been watched yet */
    bool shown;             /* its descriptor is known, and must say when a call is worth it */
    bool turn;              /* whose it is to come first, words' or descriptors': either may fill all the room */
    uint32_t count, room, words;
    struct place *places;
    uint32_t free;        /* first of the free places */
    uint32_t first, last; /* of those to be looked at, in that order */
};

static uint64_t tag_of(const brood_watch *watch, uint32_t at)
{
    return (uint64_t)watch->places[at].turn << 32 | at;
}

static void *who_of(uint32_t at)
{
    return (void *)((uintptr_t)at + 1);
}

/* ---- the list of those to be looked at ---- */

static void list(brood_watch *watch, uint32_t at)
{
    struct place *place = &watch->places[at];
    if (place->listed)
        return;
    place->listed = true;
    place->next = NOBODY;
    if (watch->first == NOBODY)
        watch->first = at;
    else
        watch->places[watch->last].next = at;
    watch->last = at;
}

static void unlist(brood_watch *watch, uint32_t at)
{
    uint32_t before = NOBODY, each = watch->first;
    if (!watch->places[at].listed)
        return;
    for (; each != at; each = watch->places[each].next)
        before = each;
    *(before == NOBODY ? &watch->first : &watch->places[before].next) = watch->places[at].next;
    if (watch->last == at)
        watch->last = before;
    watch->places[at].listed = false;
}

/* ---- places ---- */

static uint32_t find(const brood_watch *watch, const brood_waitable *item)
{
    for (uint32_t at = 0; at < watch->room; at++)
        if (watch->places[at].used && waitable_is(&watch->places[at].item, item))
            return at;
    return NOBODY;
}

/* A free place, or NOBODY: no memory. */
static uint32_t take_place(brood_watch *watch)
{
    if (watch->free == NOBODY) {
        uint32_t room = watch->room ? 2 * watch->room : LEAST_ROOM;
        struct place *places = realloc(watch->places, room * sizeof *places);
        if (!places)
            return NOBODY;
        memset(places + watch->room, 0, (room - watch->room) * sizeof *places);
        for (uint32_t at = watch->room; at < room; at++)
            places[at].next = at + 1 < room ? at + 1 : NOBODY;
        watch->free = watch->room;
        watch->places = places;
        watch->room = room;
    }
    uint32_t at = watch->free;
    watch->free = watch->places[at].next;
    return at;
}

static void give_place(brood_watch *watch, uint32_t at)
{
    struct place *place = &watch->places[at];
    *place = (struct place){ .turn = place->turn + 1, .next = watch->free };
    watch->free = at;
}

/* ---- the ring ---- */

static void drop_ring(brood_watch *watch)
{
    if (!watch->has_ring)
        return;
    ring_disarm_all(&watch->ring); /* closing alone would leave sleepers behind for a while */
    lookout_drop(&watch->lookout, watch->ring.fd);
    ring_close(&watch->ring);
    watch->has_ring = false;
}

/* A ring with room for all words; what was armed in an earlier one is to be looked at. */
static void renew_ring(brood_watch *watch)
{
    drop_ring(watch);
    for (uint32_t at = 0; at < watch->room; at++) {
        if (!watch->places[at].armed)
            continue;
        watch->places[at].armed = false;
        list(watch, at);
    }
    uint32_t words = watch->words < LEAST_ROOM ? LEAST_ROOM : watch->words;
    int failed = ring_open(&watch->ring, 2 * words);
    if (failed == 0 && lookout_add(&watch->lookout, watch->ring.fd, &watch->ring, true, false) < 0) {
        ring_close(&watch->ring);
        failed = -ENOMEM;
    }
    watch->has_ring = failed == 0;
    watch->no_ring = failed == -ENOSYS;
}

/* Has the kernel sleep on it. False: it does not, and must be looked at again. */
static bool arm(brood_watch *watch, uint32_t at, const struct futex_watch *word)
{
    if (!word->word || watch->no_ring)
        return false;
    for (int tries = 0; tries < 2; tries++) {
        if (watch->has_ring && ring_arm(&watch->ring, word, tag_of(watch, at)) == 0) {
            watch->places[at].armed = true;
            return true;
        }
        renew_ring(watch); /* there was none yet, or it is full, of what was called off too */
    }
    return false;
}

static void take_woken(brood_watch *watch)
{
    uint64_t tag;
    while (watch->has_ring && ring_take(&watch->ring, &tag)) {
        uint32_t at = (uint32_t)tag;
        if (at >= watch->room || tag_of(watch, at) != tag || !watch->places[at].used)
            continue; /* it was removed meanwhile */
        watch->places[at].armed = false;
        list(watch, at);
    }
}

/* ---- debtors ---- */

/* Taken out of the set by hand: a forked child may have a copy of the descriptor, and with that it would stay in. */
static void unfollow(brood_watch *watch, struct place *place)
{
    if (place->debtor_fd < 0)
        return;
    lookout_drop(&watch->lookout, place->debtor_fd);
    close(place->debtor_fd);
    place->debtor_fd = -1;
}

/* Hears of the end of that process from now on, and of no other's; 0: of none. False: it cannot, or it has ended. */
static bool follow(brood_watch *watch, uint32_t at, int32_t process)
{
    struct place *place = &watch->places[at];
    if (place->debtor != process) {
        if (place->debtor)
            unfollow(watch, place);
        place->debtor = process;
        place->debtor_fd = process ? child_pidfd(process) : -1;
        if (place->debtor_fd >= 0 && lookout_add(&watch->lookout, place->debtor_fd, who_of(at), true, false) < 0) {
            close(place->debtor_fd);
            place->debtor_fd = -1;
        }
    }
    return !process || place->debtor_fd >= 0;
}

/* ---- making ---- */

brood_watch *watch_create(const char *call)
{
    brood_watch *watch = calloc(1, sizeof *watch);
    int failed = watch ? lookout_open(&watch->lookout) : -ENOMEM;
    if (failed < 0) {
        free(watch);
        error_set(-failed, "%s: %s", call, strerror(-failed));
        errno = -failed;
        return NULL;
    }
    watch->process = getpid();
    pthread_mutex_init(&watch->guard, NULL);
    watch->free = watch->first = watch->last = NOBODY;
    return watch;
}

void watch_destroy(brood_watch *watch)
{
    drop_ring(watch);
    for (uint32_t at = 0; at < watch->room; at++)
        follow(watch, at, 0);
    lookout_close(&watch->lookout);
    pthread_mutex_destroy(&watch->guard);
    free(watch->places);
    free(watch);
}

/* Into the epoll set; a file on disk cannot be, and is always ready. 0 or -errno with a sentence. */
static int look_out_for(brood_watch *watch, uint32_t at, const char *call)
{
    struct place *place = &watch->places[at];
    int fd, want = place->item.want ? place->item.want : BROOD_READABLE;
    int failed = waitable_descriptor(&place->item, call, &fd);
    if (failed < 0)
        return failed;
    failed = lookout_add(&watch->lookout, fd, who_of(at), want & BROOD_READABLE, want & BROOD_WRITABLE);
    place->always = failed == -EPERM;
    if (place->always)
        list(watch, at);
    return failed == 0 || place->always ? 0 : error_set(-failed, "%s: descriptor %d: %s", call, fd, strerror(-failed));
}

int watch_add(brood_watch *watch, const brood_waitable *item, const char *call)
{
    struct waitable_news news;
    bool has_word = waitable_has_word(item);
    int failed = has_word ? waitable_announce(item, call, &news) : 0;
    if (failed < 0)
        return failed;
    uint32_t at = take_place(watch);
    if (at == NOBODY)
        return error_set(ENOMEM, "%s: no memory", call);
    watch->places[at].item = *item;
    watch->places[at].used = true;
    if (has_word)
        list(watch, at);
    else if ((failed = look_out_for(watch, at, call)) < 0) {
        give_place(watch, at);
        return failed;
    }
    watch->count++;
    watch->words += has_word;
    return 0;
}

static void remove_at(brood_watch *watch, uint32_t at)
{
    struct place *place = &watch->places[at];
    bool has_word = waitable_has_word(&place->item);
    int fd;
    if (place->armed) {
        ring_disarm(&watch->ring, tag_of(watch, at));
        take_woken(watch); /* or what was called off would show in the descriptor */
    } else if (!has_word && waitable_descriptor(&place->item, "", &fd) == 0)
        lookout_drop(&watch->lookout, fd);
    follow(watch, at, 0);
    unlist(watch, at);
    watch->count--;
    watch->words -= has_word;
    give_place(watch, at);
}

/* ---- waiting ---- */

static void put(const struct place *place, int ready, brood_waitable *out)
{
    *out = place->item;
    out->ready = ready;
}

/* Looks at those in the list, each once; what is ready goes to its end. How many, or -errno with a sentence. */
static int look(brood_watch *watch, brood_waitable *ready, size_t most, const char *call)
{
    uint32_t end = watch->last;
    size_t count = 0;
    for (uint32_t at = watch->first, next; at != NOBODY && count < most; at = next) {
        struct place *place = &watch->places[at];
        struct waitable_news news = { 0 };
        next = at == end ? NOBODY : place->next;
        int is_ready = place->always ? 1 : waitable_announce(&place->item, call, &news);
        if (is_ready < 0)
            return is_ready;
        unlist(watch, at);
        bool is_told = follow(watch, at, is_ready ? 0 : news.process) && !news.naps;
        if (is_ready || (!place->armed && !arm(watch, at, &news.word)) || !is_told)
            list(watch, at);
        place = &watch->places[at];
        if (is_ready)
            put(place, place->always && place->item.want ? place->item.want : 1, &ready[count++]);
    }
    return (int)count;
}

/* Whether some of those in the list were not ready, and nobody tells of them. */
static bool must_nap(const brood_watch *watch)
{
    return watch->first != NOBODY;
}

/* Those of the epoll set that are ready. How many, 0 at the deadline; or -errno with a sentence. */
static int sight(brood_watch *watch, brood_waitable *ready, size_t most, int64_t deadline, const char *call)
{
    enum { AT_ONCE = 64 };
    struct sighting seen[AT_ONCE];
    int count = 0, found = lookout_wait(&watch->lookout, seen, most < AT_ONCE ? (int)most : AT_ONCE, deadline);
    if (found == -ETIMEDOUT)
        return 0;
    if (found < 0)
        return error_set(-found, "%s: %s", call, strerror(-found));
    for (int i = 0; i < found; i++) {
        if (seen[i].who == &watch->ring)
            continue;
        uint32_t at = (uint32_t)(uintptr_t)seen[i].who - 1;
        struct place *place = &watch->places[at];
        if (waitable_has_word(&place->item)) { /* its debtor has ended: once is enough to know */
            unfollow(watch, place);
            list(watch, at);
            continue;
        }
        int want = place->item.want ? place->item.want : BROOD_READABLE;
        int is = (seen[i].in ? BROOD_READABLE : 0) | (seen[i].out ? BROOD_WRITABLE : 0);
        put(place, place->item.kind == BROOD_WAIT_FD ? is & want : 1, &ready[count++]);
    }
    return count;
}

/* All that is ready just now, at most `most`. */
static int collect(brood_watch *watch, brood_waitable *ready, size_t most, const char *call)
{
    take_woken(watch);
    watch->turn = !watch->turn;
    int first = watch->turn ? look(watch, ready, most, call) : sight(watch, ready, most, LATCH_TRY, call);
    if (first < 0 || (size_t)first == most)
        return first;
    brood_waitable *rest = ready + first;
    most -= (size_t)first;
    int second = watch->turn ? sight(watch, rest, most, LATCH_TRY, call) : look(watch, rest, most, call);
    return second < 0 ? second : first + second;
}

/* When to look again, though nobody has told us to. */
static int64_t next_look(const brood_watch *watch)
{
    return must_nap(watch) ? clock_now() + WAITABLE_NAP : CLOCK_NEVER;
}

/* For those who watch the descriptor: whether something may be ready, and when to look again. */
static void show(brood_watch *watch, bool ready, int64_t again)
{
    if (!watch->shown)
        return;
    lookout_raise(&watch->lookout, ready); /* equipped for both: neither fails */
    lookout_alarm(&watch->lookout, again);
}

int watch_wait(brood_watch *watch, brood_waitable *ready, size_t most, int64_t deadline, const char *call)
{
    int count;
    show(watch, false, CLOCK_NEVER);
    for (;;) {
        count = collect(watch, ready, most, call);
        if (count != 0 || clock_now() >= deadline)
            break;
        int64_t again = next_look(watch);
        /* One look at what is there, to sleep; the next round collects it. */
        brood_waitable one;
        if ((count = sight(watch, &one, 1, again < deadline ? again : deadline, call)) < 0)
            break;
    }
    bool more = count != 0 && watch->first != NOBODY;
    show(watch, more, more ? CLOCK_NEVER : next_look(watch));
    return count == 0 ? -ETIMEDOUT : count;
}

/* ---- the public calls ---- */

brood_watch *brood_watch_create(void)
{
    if (region_enter() < 0) {
        errno = EINVAL;
        return NULL;
    }
    return watch_create("brood_watch_create");
}

/* Begins a call: 0, or -errno with a sentence. */
static int enter(brood_watch *watch, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!watch)
        return error_null(call, "the watch");
    if (watch->process != getpid())
        return error_set(EPERM, "%s: the watch is process %d's", call, (int)watch->process);
    if (pthread_mutex_trylock(&watch->guard) != 0)
        return error_set(EBUSY, "%s: another thread is in a call on the watch", call);
    return 0;
}

static int leave(brood_watch *watch, int result)
{
    pthread_mutex_unlock(&watch->guard);
    return result;
}

int brood_watch_destroy(brood_watch *watch)
{
    if (!watch)
        return 0;
    int failed = enter(watch, "brood_watch_destroy");
    if (failed < 0)
        return failed;
    pthread_mutex_unlock(&watch->guard);
    watch_destroy(watch);
    return 0;
}

int brood_watch_add(brood_watch *watch, const brood_waitable *item)
{
    int failed = enter(watch, "brood_watch_add");
    if (failed < 0)
        return failed;
    if (!item)
        return leave(watch, error_null("brood_watch_add", "the item"));
    if (find(watch, item) != NOBODY)
        return leave(watch, error_set(EEXIST, "brood_watch_add: that is watched already"));
    failed = watch_add(watch, item, "brood_watch_add");
    if (failed == 0)
        show(watch, true, CLOCK_NEVER); /* it may be ready: the next wait looks */
    return leave(watch, failed);
}

int brood_watch_remove(brood_watch *watch, const brood_waitable *item)
{
    int failed = enter(watch, "brood_watch_remove");
    if (failed < 0)
        return failed;
    uint32_t at = item ? find(watch, item) : NOBODY;
    if (!item)
        return leave(watch, error_null("brood_watch_remove", "the item"));
    if (at == NOBODY)
        return leave(watch, error_set(ENOENT, "brood_watch_remove: that is not watched"));
    remove_at(watch, at);
    return leave(watch, 0);
}

int brood_watch_wait(brood_watch *watch, brood_waitable *ready, size_t most, int timeout_ms)
{
    int failed = enter(watch, "brood_watch_wait");
    if (failed < 0)
        return failed;
    if (!ready || most == 0)
        return leave(watch, error_set(EINVAL, "brood_watch_wait: there is no room for what is ready"));
    if (timeout_ms < BROOD_FOREVER)
        return leave(watch, error_set(EINVAL, "brood_watch_wait: a timeout of %d ms", timeout_ms));
    int count =
        watch_wait(watch, ready, most < INT32_MAX ? most : INT32_MAX, clock_deadline(timeout_ms), "brood_watch_wait");
    if (count == -ETIMEDOUT)
        error_set(ETIMEDOUT, "none of %u things was ready, after %d ms", watch->count, timeout_ms);
    return leave(watch, count);
}

int brood_watch_fd(brood_watch *watch)
{
    int failed = enter(watch, "brood_watch_fd");
    if (failed < 0)
        return failed;
    if (!watch->shown) {
        if ((failed = lookout_equip(&watch->lookout, true)) < 0)
            return leave(watch, error_set(-failed, "brood_watch_fd: %s", strerror(-failed)));
        watch->shown = true;
        show(watch, true, CLOCK_NEVER); /* until a call has looked */
    }
    return leave(watch, watch->lookout.fd);
}
