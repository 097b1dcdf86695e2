/* region/owner.c */
#include "region/owner.h"

#include "error/error.h"
#include "error/log.h"
#include "os/shm.h"
#include "os/wiped.h"
#include "region/look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A dead holder left an entry at worst that is free still, or that no block refers to. */
static void ledger_lock(struct thread *self, struct ledger *ledger)
{
    latch_take_light(self, &ledger->latch, CLOCK_NEVER);
}

static void ledger_unlock(struct thread *self, struct ledger *ledger)
{
    latch_drop_light(self, &ledger->latch);
}

/* Which entries blocks refer to, for a table that is full. */
struct census {
    uint64_t owners[LEDGER_MOST / 64], labels[LEDGER_MOST / 64];
};

static void mark(uint64_t *set, uint32_t number)
{
    if (number < LEDGER_MOST)
        set[number / 64] |= UINT64_C(1) << number % 64;
}

static void count_tag(void *context, size_t size, size_t blocks, uint32_t tag)
{
    struct census *census = context;
    (void)size;
    (void)blocks;
    mark(census->owners, tag_owner(tag));
    mark(census->labels, tag_label(tag));
}

static bool is_marked(const uint64_t *set, uint32_t number)
{
    return set[number / 64] >> number % 64 & 1;
}

/* A living process may be about to have its first block. */
static uint32_t free_owner(struct heap *heap)
{
    struct ledger *ledger = heap->ledger;
    struct census census = { 0 };
    for (uint32_t i = 1; i < ledger->count; i++)
        if (atomic_load(&ledger->owners[i].pid) == 0)
            return i;
    look_at_all(heap, count_tag, &census);
    uint32_t found = 0;
    for (uint32_t i = 1; i < ledger->count; i++)
        if (!is_marked(census.owners, i) && thread_is_gone((uint32_t)atomic_load(&ledger->owners[i].pid))) {
            atomic_store(&ledger->owners[i].pid, 0);
            found = i;
        }
    return found;
}

uint32_t owner_find(struct heap *heap)
{
    struct ledger *ledger = heap->ledger;
    uint32_t known = atomic_load_explicit(&wiped->heap_owner, memory_order_relaxed);
    if (known)
        return known - 1;
    struct thread *self = thread_self();
    ledger_lock(self, ledger);
    known = atomic_load(&wiped->heap_owner);
    if (!known) {
        uint32_t number = free_owner(heap);
        if (number) {
            log_name(ledger->owners[number].name);
            atomic_store(&ledger->owners[number].pid, self->process);
        }
        known = number + 1;
        atomic_store(&wiped->heap_owner, known);
    }
    ledger_unlock(self, ledger);
    return known - 1;
}

int owner_room(struct heap *heap, size_t unit, unsigned blocks)
{
    if (!heap->ledger)
        return 0;
    return shm_populate((void *)owner_tag(heap, unit, 0), blocks * sizeof(uint32_t));
}

int owner_note(struct heap *heap, size_t unit, unsigned block, uint32_t tag)
{
    if (owner_room(heap, unit, block + 1) < 0)
        return -ENOMEM;
    owner_write(heap, unit, block, tag);
    return 0;
}

/* The label's number, made if need be; 0: the table is full. Under the latch. */
static uint32_t label_number(struct heap *heap, const char *text)
{
    struct ledger *ledger = heap->ledger;
    uint32_t unused = 0;
    for (uint32_t i = 1; i < ledger->count; i++) {
        if (!atomic_load(&ledger->labels[i].used))
            unused = unused ? unused : i;
        else if (strncmp(ledger->labels[i].text, text, LABEL_TEXT - 1) == 0)
            return i;
    }
    if (!unused) {
        struct census census = { 0 };
        look_at_all(heap, count_tag, &census);
        for (uint32_t i = 1; i < ledger->count; i++)
            if (!is_marked(census.labels, i)) {
                atomic_store(&ledger->labels[i].used, 0);
                unused = i;
            }
    }
    if (unused) {
        snprintf(ledger->labels[unused].text, LABEL_TEXT, "%s", text);
        atomic_store(&ledger->labels[unused].used, 1);
    }
    return unused;
}

static void set_label(_Atomic uint32_t *tag, uint32_t label)
{
    atomic_store(tag, tag_owner(atomic_load(tag)) | label << 16);
}

void owner_label(struct heap *heap, size_t unit, unsigned block, const char *text)
{
    struct thread *self = thread_self();
    ledger_lock(self, heap->ledger);
    set_label(owner_tag(heap, unit, block), text[0] ? label_number(heap, text) : 0);
    ledger_unlock(self, heap->ledger);
}

void owner_move(struct heap *heap, size_t from_unit, unsigned from, size_t unit, unsigned block)
{
    if (!heap->ledger)
        return;
    struct thread *self = thread_self();
    ledger_lock(self, heap->ledger);
    set_label(owner_tag(heap, unit, block), tag_label(atomic_load(owner_tag(heap, from_unit, from))));
    ledger_unlock(self, heap->ledger);
}

bool owner_name(const struct heap *heap, uint32_t owner, int *pid, char name[static OWNER_NAME])
{
    *pid = 0;
    name[0] = 0;
    if (owner == 0 || owner >= heap->ledger->count)
        return false;
    const struct owner *entry = &heap->ledger->owners[owner];
    *pid = atomic_load(&entry->pid);
    memcpy(name, entry->name, OWNER_NAME);
    name[OWNER_NAME - 1] = 0;
    return thread_is_gone((uint32_t)*pid);
}

void label_text(const struct heap *heap, uint32_t label, char text[static LABEL_TEXT])
{
    text[0] = 0;
    if (label == 0 || label >= heap->ledger->count)
        return;
    memcpy(text, heap->ledger->labels[label].text, LABEL_TEXT);
    text[LABEL_TEXT - 1] = 0;
}

struct doubt {
    const struct ledger *ledger;
    uint32_t tag; /* the first that is wrong */
    bool found;
};

static void doubt_tag(void *context, size_t size, size_t blocks, uint32_t tag)
{
    struct doubt *doubt = context;
    const struct ledger *ledger = doubt->ledger;
    uint32_t owner = tag_owner(tag), label = tag_label(tag);
    (void)size;
    bool good = owner < ledger->count && (owner == 0 || atomic_load(&ledger->owners[owner].pid)) &&
                label < ledger->count && (label == 0 || atomic_load(&ledger->labels[label].used));
    if (good || blocks == 0 || doubt->found)
        return;
    doubt->found = true;
    doubt->tag = tag;
}

int owners_check(struct heap *heap)
{
    struct doubt doubt = { .ledger = heap->ledger };
    struct thread *self = thread_self();
    ledger_lock(self, heap->ledger);
    look_at_all(heap, doubt_tag, &doubt);
    ledger_unlock(self, heap->ledger);
    if (!doubt.found)
        return 0;
    return error_set(EUCLEAN, "heap: a block has owner %u and label %u, of %u", tag_owner(doubt.tag),
                     tag_label(doubt.tag), heap->ledger->count);
}
