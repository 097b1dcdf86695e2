/* sync/noun.c */
#include "sync/noun.h"

#include "error/error.h"
#include "os/clock.h"
#include "region/heap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NAME_MOST 48 /* of a name, in sentences */

/* Of a higher room (exchange/queue.h), which knows it from here. */
const struct noun_kind queue_kind = { "queue", "a", 0x75657571u /* "queu" */, false, 0 };

static const struct noun_kind *const kinds[] = { &lock_kind,  &rwlock_kind,    &semaphore_kind,
                                                 &event_kind, &condition_kind, &barrier_kind,
                                                 &value_kind, &array_kind,     &queue_kind };

const struct noun_kind *noun_kind_of(const void *memory)
{
    const struct noun *noun = memory;
    uint32_t mark = noun_fits(memory) ? atomic_load(&noun->word.mark) : 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i]->mark == mark)
            return kinds[i];
    return NULL;
}

/* By single words: others may be taking it into use meanwhile. */
static bool is_zero(const void *memory)
{
    const _Atomic uint64_t *words = memory;
    uint64_t any = 0;
    for (size_t i = 0; i < NOUN_SIZE / sizeof *words; i++)
        any |= atomic_load_explicit(&words[i], memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); /* these loads, then the mark's: pairs with the one after its CAS */
    return any == 0;
}

/* Several may be at it at once: one that sees something else looks for the mark again, since the mark is the first that
 * changes. */
bool noun_recognise(const struct noun_kind *kind, void *memory)
{
    struct noun *noun = memory;
    uint32_t none = 0;
    if (is_zero(memory))
        atomic_compare_exchange_strong(&noun->word.mark, &none, kind->mark);
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load(&noun->word.mark) == kind->mark;
}

bool noun_is_unused(const void *memory)
{
    return noun_fits(memory) && is_zero(memory);
}

int noun_refuse(const struct noun_kind *kind, const void *memory, const char *call)
{
    char what[NOUN_TEXT];
    if (region_enter() < 0)
        return -EINVAL;
    snprintf(what, sizeof what, "the %s", kind->name);
    if (!memory)
        return error_null(call, what);
    if (!noun_fits(memory))
        return error_set(EINVAL, "%s: %p is no place for %s %s: it must be in the region, on 8 bytes", call, memory,
                         kind->article, kind->name);
    return error_set(EINVAL, "%s: the memory at %p is neither zeroed nor %s %s", call, memory, kind->article,
                     kind->name);
}

const char *noun_describe(const struct noun_kind *kind, const void *memory, char text[static NOUN_TEXT])
{
    /* Others may look at what has just ended, and the memory be another's: then this is no name, but in the region. */
    char *const *place = &((const struct noun *)memory)->name;
    const char *name = __atomic_load_n(place, __ATOMIC_RELAXED);
    int most = NAME_MOST;
    while (most > 0 && !region_holds(name, (size_t)most))
        most--;
    if (most > 0)
        snprintf(text, NOUN_TEXT, "%s '%.*s'", kind->name, most, name);
    else
        snprintf(text, NOUN_TEXT, "the %s at %p", kind->name, memory);
    return text;
}

int noun_begin(const struct noun_kind *kind, void *memory, const char *name, const char *call)
{
    struct noun *noun = memory;
    uint32_t none = 0;
    if (region_enter() < 0)
        return -EINVAL;
    if (!noun_fits(memory))
        return noun_refuse(kind, memory, call);
    if (atomic_load(&noun->word.mark) == kind->mark)
        return error_set(EBUSY, "%s: the memory at %p is %s %s already", call, memory, kind->article, kind->name);
    if (!is_zero(memory))
        return noun_refuse(kind, memory, call);
    /* First: killed from here on, we leave one without a name. */
    if (!atomic_compare_exchange_strong(&noun->word.mark, &none, kind->mark))
        return error_set(EBUSY, "%s: the memory at %p has just come into use", call, memory);
    if (!name)
        return 0;
    size_t size = strlen(name) + 1;
    if (!heap_take_into((void **)&noun->name, size)) {
        atomic_store(&noun->word.mark, 0);
        return error_set(ENOMEM, "%s: no memory in the region for the name", call);
    }
    memcpy(noun->name, name, size);
    if (heap_tracks()) {
        char label[NOUN_TEXT + 8], what[NOUN_TEXT];
        snprintf(label, sizeof label, "name of %s", noun_describe(kind, memory, what));
        heap_label(noun->name, label);
    }
    return 0;
}

void noun_end(void *memory)
{
    struct noun *noun = memory;
    if (noun->name)
        heap_give(noun->name, (void **)&noun->name);
    noun->own[0] = noun->own[1] = 0;
    robust_forget_list(&noun->word);
    atomic_store(&noun->word.cell, 0);
    atomic_store(&noun->word.cpu, 0);
    atomic_store(&noun->word.owner, 0);
    atomic_store(&noun->word.mark, 0);
}

int noun_deadline(const char *call, int timeout_ms, int64_t *deadline)
{
    if (timeout_ms < BROOD_FOREVER)
        return error_set(EINVAL, "%s: a timeout of %d ms", call, timeout_ms);
    *deadline = timeout_ms == 0 ? LATCH_TRY : timeout_ms < 0 ? CLOCK_NEVER : clock_deadline(timeout_ms);
    return 0;
}

int noun_may_hold(const struct thread *self)
{
    if (self->held < NOUN_HELD_MOST)
        return 0;
    return error_set(ENOLCK, "this thread holds %d locks, the most it may", NOUN_HELD_MOST);
}

void noun_settle(struct thread *self, struct robust_word *word)
{
    latch_hold(self, word);
    heap_settle();
    latch_unhold(self, word);
}
