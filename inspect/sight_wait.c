/* sight_wait.c: who waits for what, as the threads say it (sync/place.h); and nouns in words. */
#include "os/clock.h"
#include "os/futex.h"
#include "sight.h"
#include "sync/box.h"
#include "sync/noun.h"
#include "sync/place.h"

#include <stdio.h>
#include <unistd.h>

#define BLOCKS_MOST 1024 /* of places */

static const struct noun_kind *kind_of(uint32_t mark)
{
    const struct noun_kind *const kinds[] = { &lock_kind,  &rwlock_kind,    &semaphore_kind,
                                              &event_kind, &condition_kind, &barrier_kind,
                                              &value_kind, &array_kind,     &queue_kind };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i]->mark == mark)
            return kinds[i];
    return NULL;
}

bool see_noun(const struct window *window, const void *address, struct noun *noun, bool *has_holder,
              char what[static SIGHT_WHAT])
{
    char name[49];
    if ((uintptr_t)address % sizeof(uint64_t) || !window_read(window, address, noun, sizeof *noun))
        return false;
    const struct noun_kind *kind = kind_of(atomic_load(&noun->word.mark));
    if (!kind)
        return false;
    *has_holder = kind->has_holder;
    window_text(window, noun->name, name, sizeof name);
    if (name[0])
        snprintf(what, SIGHT_WHAT, "%s '%s'", kind->name, name);
    else
        snprintf(what, SIGHT_WHAT, "the %s at %p", kind->name, (void *)((uintptr_t)address - kind->behind));
    return true;
}

/* The process of a holder: the word's owner may be the one before. */
static int process_of(const struct robust_word *word, uint32_t thread)
{
    char path[64];
    int owner = (int)atomic_load(&word->owner);
    snprintf(path, sizeof path, "/proc/%d/task/%u", owner, thread);
    if (owner > 0 && access(path, F_OK) == 0)
        return owner;
    FILE *file;
    char line[256];
    int pid = 0;
    snprintf(path, sizeof path, "/proc/%u/status", thread);
    if (!(file = fopen(path, "re")))
        return owner;
    while (!pid && fgets(line, sizeof line, file))
        if (sscanf(line, "Tgid: %d", &pid) != 1)
            pid = 0;
    fclose(file);
    return pid ? pid : owner;
}

static bool thread_lives(int pid, uint32_t thread)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%u", pid, thread);
    return access(path, F_OK) == 0;
}

static bool add_wait(struct sight *sight, const struct window *window, const struct wait_place *place)
{
    struct noun noun;
    bool has_holder;
    struct seen_wait wait = { .pid = atomic_load(&place->pid), .tid = (int)place_thread(place) };
    const void *object = atomic_load(&place->object);
    if (wait.tid == 0 || !object || !thread_lives(wait.pid, (uint32_t)wait.tid) ||
        !see_noun(window, object, &noun, &has_holder, wait.what))
        return true;
    wait.object = object;
    wait.since = atomic_load(&place->since);
    if (wait.since <= 0)
        wait.since = sight->at; /* nonsense */
    wait.waited_ms = sight->at > wait.since ? (sight->at - wait.since) / 1000000 : 0;
    window_clean(wait.process, sizeof wait.process, place->process, LOG_NAME);
    uint32_t word = atomic_load(&noun.word.word), holder = word & FUTEX_TID_MASK;
    if (has_holder && holder && (int)holder != wait.tid && !(word & LATCH_NOTE)) {
        wait.holder_tid = (int)holder;
        wait.holder = process_of(&noun.word, holder);
    }
    struct seen_wait *all = sight_grow(sight->waits, sight->wait_count, sizeof *all);
    if (!all)
        return false;
    sight->waits = all;
    all[sight->wait_count++] = wait;
    return true;
}

bool see_waits(struct sight *sight, const struct window *window)
{
    struct wait_places block;
    const void *at = (const void *)((uintptr_t)window->base + offsetof(struct region, waiters));
    for (int i = 0; i < BLOCKS_MOST && at && window_read(window, at, &block, sizeof block); i++) {
        for (int k = 0; k < PLACES; k++)
            if (!add_wait(sight, window, &block.place[k]))
                return false;
        at = atomic_load(&block.more);
    }
    return true;
}

/* ---- locks ---- */

/* When a lock's holder got it, to some milliseconds: brood_lock_held_us's word. */
static int64_t held_ms(const struct sight *sight, const struct noun *noun)
{
    int64_t since = (int64_t)noun->own[1];
    bool is_lock = atomic_load(&noun->word.mark) == lock_kind.mark;
    return is_lock && since > 0 && since <= sight->at ? (sight->at - since) / 1000000 : -1;
}

static bool add_lock(struct sight *sight, const struct window *window, const char *address)
{
    struct noun noun;
    bool has_holder;
    struct seen_lock lock = { .object = address };
    if (!see_noun(window, address, &noun, &has_holder, lock.what) || !has_holder)
        return true;
    uint32_t word = atomic_load(&noun.word.word);
    lock.last = (int)atomic_load(&noun.word.owner);
    lock.holder_tid = (int)(word & FUTEX_TID_MASK);
    lock.held_ms = lock.holder_tid ? held_ms(sight, &noun) : -1;
    if (lock.holder_tid) {
        lock.holder = process_of(&noun.word, (uint32_t)lock.holder_tid);
        if (!thread_lives(lock.holder, (uint32_t)lock.holder_tid))
            return true; /* a copy of a lock, or one that is going over just now */
    } else if (!(word & FUTEX_OWNER_DIED)) {
        return true;
    }
    struct seen_lock *all = sight_grow(sight->locks, sight->lock_count, sizeof *all);
    if (!all)
        return false;
    sight->locks = all;
    all[sight->lock_count++] = lock;
    return true;
}

/* A noun's mark lies in the middle of its first 16 bytes; only what is held, or was left, is looked at again. */
bool see_locks(struct sight *sight, const struct window *window, const char *address, const char *copy, size_t size)
{
    for (size_t at = 0; at + NOUN_SIZE <= size; at += sizeof(uint64_t)) {
        const struct noun *noun = (const struct noun *)(const void *)(copy + at);
        uint32_t mark = atomic_load_explicit(&noun->word.mark, memory_order_relaxed);
        bool is_lock =
            mark == lock_kind.mark || mark == rwlock_kind.mark || mark == value_kind.mark || mark == array_kind.mark;
        if (!is_lock || !atomic_load(&noun->word.word))
            continue;
        if (sight->lock_count == SIGHT_LOCKS || sight->tries == SIGHT_TRIES) {
            sight->heap.overlooked = true;
            return true;
        }
        sight->tries++;
        if (!add_lock(sight, window, address + at))
            return false;
    }
    return true;
}
