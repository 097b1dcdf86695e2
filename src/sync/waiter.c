/* sync/waiter.c: brood/waiter.h: places where threads say what they wait for.
 *
 * A thread has one place, from its first wait to its end. A place is taken by CAS of its thread id, and the kernel
 * marks it when the thread ends; where it does not, that of a thread that is gone is taken over when all are taken.
 * What a place says is only looked at, never acted upon, so none of it need be right: a killed owner leaves a place
 * that whoever looks finds to be nobody's.
 */
#include "sync/waiter.h"

#include "error/error.h"
#include "error/log.h"
#include "os/clock.h"
#include "region/heap.h"
#include "sync/noun.h"
#include "sync/place.h"

#include <brood/waiter.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CIRCLE_MOST 16 /* threads of a circle that are followed */
#define LINE_SIZE 400

_Static_assert(sizeof(struct wait_places) <= REGION_WAITERS, "the first block");
_Static_assert(sizeof(((brood_waiter *)NULL)->process) == LOG_NAME, "a name");
_Static_assert(sizeof(((brood_waiter *)NULL)->what) == NOUN_TEXT, "a noun in words");

static _Atomic int slow_ms;
static _Atomic bool told_by_program;

/* ---- places ---- */

static struct wait_places *first_block(void)
{
    return (struct wait_places *)(void *)region->waiters;
}

static struct wait_places *next_of(_Atomic(void *) *link)
{
    return atomic_load(link);
}

/* Whose a place must be for this thread to take it. OURS: an earlier thread's of the same id, that was not marked. */
enum want { OURS, FREE, GONE };

static struct wait_place *find_place(struct thread *self, enum want want)
{
    for (struct wait_places *block = first_block(); block; block = next_of(&block->more))
        for (int i = 0; i < PLACES; i++) {
            struct robust_word *word = &block->place[i].thread;
            uint32_t seen = atomic_load(&word->word), owner = seen & FUTEX_TID_MASK;
            bool wanted = want == OURS ? owner == self->id : want == FREE ? owner == 0 : thread_is_gone(owner);
            if (!wanted)
                continue;
            thread_expects(self, &word->word);
            if (atomic_compare_exchange_strong(&word->word, &seen, self->id)) {
                thread_enlist(self, word);
                thread_expects(self, NULL);
                return &block->place[i];
            }
            thread_expects(self, NULL);
        }
    return NULL;
}

static bool add_block(void)
{
    struct wait_places *block = heap_take(sizeof *block, true);
    _Atomic(void *) *link = &first_block()->more;
    void *none = NULL;
    if (!block)
        return false;
    while (!atomic_compare_exchange_strong(link, &none, block)) {
        link = &((struct wait_places *)none)->more;
        none = NULL;
    }
    return true;
}

/* NULL: no memory, and then this wait is not seen. */
static struct wait_place *place_of(struct thread *self)
{
    struct wait_place *place = self->waiter;
    if (place)
        return place;
    bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
    while (!(place = told ? NULL : find_place(self, OURS)) && !(place = find_place(self, FREE)) &&
           !(place = told ? NULL : find_place(self, GONE)))
        if (!add_block())
            return NULL;
    atomic_store(&place->object, NULL);
    atomic_store(&place->pid, self->process);
    log_name(place->process);
    self->waiter = place;
    return place;
}

/* ---- looking ---- */

/* What a place says, if its thread waits and lives. */
static bool look_at(const struct wait_place *place, brood_waiter *waiter)
{
    uint32_t tid = place_thread(place);
    const void *object = atomic_load(&place->object);
    bool told = atomic_load_explicit(&thread_deaths_are_told, memory_order_relaxed);
    if (tid == 0 || !object || (!told && thread_is_gone(tid)))
        return false;
    const struct noun_kind *kind = noun_kind_of(object);
    int64_t waited = clock_lately() - atomic_load(&place->since);
    *waiter = (brood_waiter){ .pid = atomic_load(&place->pid), .tid = (int)tid };
    waiter->waited_us = waited > 0 ? waited / 1000 : 0;
    memcpy(waiter->process, place->process, sizeof waiter->process);
    waiter->process[sizeof waiter->process - 1] = 0;
    if (!kind)
        return false; /* it has ended meanwhile */
    waiter->object = (const char *)object - kind->behind;
    noun_describe(kind, object, waiter->what);
    const struct noun *noun = object;
    uint32_t word = atomic_load(&noun->word.word), holder = word & FUTEX_TID_MASK;
    if (kind->has_holder && holder && holder != tid && !(word & LATCH_NOTE)) {
        waiter->holder_tid = (int)holder;
        waiter->holder = thread_holder(&noun->word);
    }
    return true;
}

static bool find_waiter(int tid, brood_waiter *waiter)
{
    for (struct wait_places *block = first_block(); block; block = next_of(&block->more))
        for (int i = 0; i < PLACES; i++)
            if ((int)place_thread(&block->place[i]) == tid)
                return look_at(&block->place[i], waiter);
    return false;
}

int brood_waiter_list(const void *object, brood_waiter *waiters, size_t max)
{
    int count = 0;
    if (region_enter() < 0)
        return -EINVAL;
    if (!waiters && max)
        return error_set(EINVAL, "brood_waiter_list: waiters is NULL, and max is %zu", max);
    for (struct wait_places *block = first_block(); block; block = next_of(&block->more))
        for (int i = 0; i < PLACES; i++) {
            brood_waiter waiter;
            if (!look_at(&block->place[i], &waiter) || (object && waiter.object != object))
                continue;
            if ((size_t)count < max)
                waiters[count] = waiter;
            count++;
        }
    return count;
}

/* ---- telling ---- */

static size_t say_wait(char *line, const brood_waiter *waiter, const char *joint)
{
    int length = snprintf(line, LINE_SIZE, "%s'%s' (process %d, thread %d) waits for %s", joint, waiter->process,
                          waiter->pid, waiter->tid, waiter->what);
    return length < LINE_SIZE ? (size_t)length : LINE_SIZE - 1;
}

/* The waits from this one on, each for what the next one holds. How many there are; *closed: the last one is for what
 * the first one holds. */
static int follow(const brood_waiter *first, brood_waiter *chain, bool *closed)
{
    int count = 1;
    chain[0] = *first;
    *closed = false;
    while (count < CIRCLE_MOST && chain[count - 1].holder_tid && !*closed) {
        *closed = chain[count - 1].holder_tid == first->tid;
        if (*closed || !find_waiter(chain[count - 1].holder_tid, &chain[count]))
            break;
        count++;
    }
    return count;
}

/* Looked at twice: a circle of locks that is there stays there, one that only seemed to be, of looks at different
 * times, does not. */
static bool is_circle(const brood_waiter *first, brood_waiter *chain, int *count)
{
    brood_waiter again[CIRCLE_MOST];
    bool closed, still;
    *count = follow(first, chain, &closed);
    int then = follow(first, again, &still);
    if (!closed || !still || then != *count)
        return false;
    for (int i = 0; i < then; i++)
        if (chain[i].tid != again[i].tid || chain[i].object != again[i].object)
            return false;
    return true;
}

static void tell(const brood_waiter *waiter)
{
    brood_waiter chain[CIRCLE_MOST];
    char line[LINE_SIZE];
    int count;
    size_t length;
    if (is_circle(waiter, chain, &count)) {
        length = 0;
        for (int i = 0; i < count && length < LINE_SIZE - 1; i++) {
            char link[LINE_SIZE];
            say_wait(link, &chain[i], i ? ", held by " : "");
            length += (size_t)snprintf(line + length, LINE_SIZE - length, "%s", link);
        }
        log_say(BROOD_ERROR, "deadlock: %s, held by '%s'", line, waiter->process);
        return;
    }
    length = say_wait(line, waiter, "");
    if (waiter->holder)
        snprintf(line + length, LINE_SIZE - length, ", held by process %d, thread %d%s%s%s", waiter->holder,
                 waiter->holder_tid, count > 1 ? ", which waits for " : "", count > 1 ? chain[1].what : "",
                 count > 1 ? " itself" : "");
    log_say(BROOD_WARNING, "%s, for %lld ms so far", line, (long long)waiter->waited_us / 1000);
}

int brood_waiter_watch(int ms)
{
    if (ms < 0)
        return error_set(EINVAL, "brood_waiter_watch: %d ms", ms);
    atomic_store(&told_by_program, true);
    atomic_store(&slow_ms, ms);
    return 0;
}

int waiter_choose(void)
{
    const char *text = getenv("BROOD_SLOW_WAIT"); /* NOLINT(concurrency-mt-unsafe): at brood_init */
    char *end;
    if (atomic_load(&told_by_program) || !text || !text[0])
        return 0;
    errno = 0;
    long ms = strtol(text, &end, 10);
    if (*end || errno || ms < 0 || ms > INT32_MAX)
        return error_set(EINVAL, "BROOD_SLOW_WAIT is '%s': it must be a number of milliseconds", text);
    atomic_store(&slow_ms, (int)ms);
    return 0;
}

void waiter_begin(struct thread *self, const void *noun)
{
    struct wait_place *place = place_of(self);
    if (!place)
        return;
    atomic_store_explicit(&place->since, clock_lately(), memory_order_relaxed);
    /* Release: who sees the object sees since when. Pairs with the load in look_at. */
    atomic_store_explicit(&place->object, noun, memory_order_release);
}

void waiter_end(struct thread *self)
{
    struct wait_place *place = self->waiter;
    if (place)
        atomic_store_explicit(&place->object, NULL, memory_order_relaxed);
}

/* Once: this thread waits longer than it likes. */
static void tell_own(struct thread *self)
{
    brood_waiter waiter;
    if (self->waiter && look_at(self->waiter, &waiter))
        tell(&waiter);
}

int waiter_wait(struct thread *self, const void *noun, int64_t deadline, waiter_way *wait, void *context)
{
    int ms = atomic_load_explicit(&slow_ms, memory_order_relaxed), result = -ETIMEDOUT;
    int64_t slow = ms ? clock_now() + ms * INT64_C(1000000) : CLOCK_NEVER;
    waiter_begin(self, noun);
    if (slow < deadline && (result = wait(self, context, slow)) == -ETIMEDOUT)
        tell_own(self);
    if (result == -ETIMEDOUT)
        result = wait(self, context, deadline);
    waiter_end(self);
    return result;
}
