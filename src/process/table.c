/* process/table.c */
#include "process/table.h"

#include "os/clock.h"
#include "os/futex.h"
#include "os/shm.h"
#include "os/wiped.h"
#include "region/heap.h"
#include "region/region.h"
#include "wait/latch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GATE_LOOK 20000000 /* ns between looks whether the starter still lives */

static uint32_t slots_for(size_t region_size)
{
    size_t slots = region_size / 16 / sizeof(struct slot);
    return slots < TABLE_SLOTS ? (uint32_t)slots : TABLE_SLOTS;
}

size_t table_size(size_t region_size)
{
    return sizeof(struct table) + slots_for(region_size) * sizeof(struct slot);
}

void table_lay_out(struct table *table, size_t region_size)
{
    table->count = slots_for(region_size);
}

struct slot *slot_of(slot_id id)
{
    return &region->table->slots[(uint32_t)id];
}

static uint32_t generation_of(slot_id id)
{
    return (uint32_t)(id >> 32);
}

bool slot_is(const struct slot *slot, slot_id id)
{
    uint64_t claim = atomic_load(&slot->claim);
    return (uint32_t)claim != 0 && claim >> 32 == generation_of(id);
}

/* ---- obituaries ---- */

static struct obituary *obituary_create(uint32_t refs, int how)
{
    struct obituary *obituary = heap_take(sizeof *obituary, true);
    if (obituary) {
        atomic_store(&obituary->refs, refs);
        atomic_store(&obituary->how, how);
    }
    return obituary;
}

struct obituary *obituary_write(int how)
{
    return obituary_create(1, how);
}

void obituary_release(struct obituary *obituary)
{
    if (atomic_fetch_sub(&obituary->refs, 1) == 1)
        heap_give(obituary, NULL);
}

struct obituary *obituary_ask(slot_id id)
{
    struct slot *slot = slot_of(id);
    struct obituary *known = atomic_load(&slot->obituary), *none = NULL;
    errno = 0;
    if (!slot_is(slot, id))
        return NULL;
    if (!known) {
        struct obituary *made = obituary_create(2, OBITUARY_NONE); /* the slot's and the caller's */
        if (!made) {
            errno = ENOMEM;
            return NULL;
        }
        if (atomic_compare_exchange_strong(&slot->obituary, &none, made))
            return made;
        heap_give(made, NULL);
        known = none;
    }
    atomic_fetch_add(&known->refs, 1);
    return known;
}

/* Of a slot that is about to be given back, by who has taken it for that: its process is gone. */
static void bury(struct slot *slot)
{
    struct obituary *obituary = atomic_load(&slot->obituary);
    if (!obituary)
        return;
    atomic_store(&obituary->how, atomic_load(&slot->note.how)); /* before the slot forgets it: the next one does both */
    atomic_store(&slot->obituary, NULL);
    obituary_release(obituary);
}

/* ---- slots ---- */

/* Whether a pid is nobody's, or a zombie's. A pid given to a stranger meanwhile counts as there: that keeps a slot. */
static bool pid_is_gone(int32_t pid)
{
    return pid == 0 || thread_is_gone((uint32_t)pid);
}

bool slot_process_is_gone(slot_id id, int32_t pid)
{
    return !slot_is(slot_of(id), id) || pid_is_gone(pid);
}

/* Whether nobody can come back to this slot: its process is gone, and so is the one that would take its status. */
static bool slot_is_stale(struct slot *slot, uint64_t claim)
{
    int32_t pid = atomic_load(&slot->pid);
    uint32_t life = atomic_load(&slot->life.word);
    if (life & FUTEX_TID_MASK && atomic_load(&thread_deaths_are_told))
        return false; /* it lives: no need to ask the system */
    return pid_is_gone((int32_t)(uint32_t)claim) && pid_is_gone(pid);
}

/* Takes slot `index`, free or (with `stale`) forgotten. 0: it is neither. */
static slot_id slot_claim(uint32_t index, bool stale)
{
    struct slot *slot = &region->table->slots[index];
    uint64_t claim = atomic_load(&slot->claim);
    uint32_t generation = (uint32_t)(claim >> 32) + 1;
    if ((uint32_t)claim != 0 && (!stale || !slot_is_stale(slot, claim)))
        return 0;
    if (generation == 0)
        generation = 1;
    uint64_t mine = (uint64_t)generation << 32 | (uint32_t)getpid();
    uint64_t before = claim;
    if (!atomic_compare_exchange_strong(&slot->claim, &claim, mine))
        return 0;
    /* Its process may just have begun: it writes its pid and then looks at the claim, so one of us sees the other. */
    if ((uint32_t)before != 0 && !slot_is_stale(slot, before)) {
        atomic_store(&slot->claim, before);
        return 0;
    }
    return (uint64_t)generation << 32 | index;
}

slot_id table_claim(const char *name, slot_id starter)
{
    struct table *table = region->table;
    slot_id id = 0;
    uint32_t from = atomic_fetch_add(&table->next, 1);
    for (uint32_t tries = 0; tries < 2 * table->count && id == 0; tries++)
        id = slot_claim((from + tries) % table->count, tries >= table->count);
    if (id == 0) {
        errno = EAGAIN;
        return 0;
    }
    atomic_store(&table->next, (uint32_t)id + 1);
    uint32_t top = atomic_load(&table->top);
    while (top <= (uint32_t)id && !atomic_compare_exchange_weak(&table->top, &top, (uint32_t)id + 1))
        continue;
    struct slot *slot = slot_of(id);
    if (shm_populate(slot, sizeof *slot) < 0) {
        table_release(id);
        errno = ENOMEM;
        return 0;
    }
    bury(slot);
    if (slot->ticket) /* of one who was killed, and whose starter was */
        heap_give(slot->ticket, (void **)&slot->ticket);
    memset(&slot->life, 0, sizeof slot->life);
    memset(&slot->note, 0, sizeof slot->note);
    atomic_store(&slot->pid, 0);
    atomic_store(&slot->began, 0);
    atomic_store(&slot->gate, GATE_SHUT);
    atomic_store(&slot->set_up, 0);
    atomic_store(&slot->has_started, 0);
    if (starter)
        atomic_store_explicit(&slot_of(starter)->has_started, 1, memory_order_relaxed);
    slot->starter = starter;
    snprintf(slot->name, sizeof slot->name, "%s", name);
    return id;
}

void table_release(slot_id id)
{
    struct slot *slot = slot_of(id);
    uint64_t claim = atomic_load(&slot->claim), mine = (uint64_t)generation_of(id) << 32 | (uint32_t)getpid();
    /* Ours first: another may find the slot stale at the same time, and write a ticket of its own into it. */
    if (generation_of(id) != (uint32_t)(claim >> 32) || (uint32_t)claim == 0 ||
        !atomic_compare_exchange_strong(&slot->claim, &claim, mine))
        return;
    bury(slot);
    if (slot->ticket)
        heap_give(slot->ticket, (void **)&slot->ticket);
    atomic_store(&slot->claim, (uint64_t)generation_of(id) << 32);
}

bool table_reclaim(slot_id id)
{
    if (!slot_is(slot_of(id), id))
        return true;
    slot_id taken = slot_claim((uint32_t)id, true);
    if (taken)
        table_release(taken);
    return taken != 0;
}

void table_sweep(void)
{
    for (uint32_t i = 0; i < atomic_load(&region->table->top); i++) {
        slot_id id = (uint32_t)atomic_load(&region->table->slots[i].claim) ? slot_claim(i, true) : 0;
        if (id)
            table_release(id);
    }
}

void table_name(slot_id id, char *name)
{
    struct slot *slot = slot_of(id);
    memcpy(name, slot->name, SLOT_NAME);
    name[SLOT_NAME - 1] = 0;
    if (atomic_load(&slot->claim) >> 32 != generation_of(id))
        name[0] = 0;
}

void table_begin(slot_id id)
{
    struct slot *slot = slot_of(id);
    struct thread *self = thread_self();
    int32_t own = getpid(), there = 0;
    bool written = atomic_compare_exchange_strong(&slot->pid, &there, own);
    if ((!written && there != own) || atomic_load(&slot->claim) >> 32 != generation_of(id)) {
        /* Our starter died before it wrote our pid, and the slot was given to another: pairs with slot_claim. */
        if (written)
            atomic_compare_exchange_strong(&slot->pid, &own, 0);
        _exit(EXIT_FAILURE);
    }
    if (latch_take(self, &slot->life, LATCH_TRY) >= 0)
        latch_hold(self, &slot->life);
    atomic_store(&wiped->slot, id);
    atomic_store(&slot->began, 1);
}

void table_open_gate(struct slot *slot)
{
    if (atomic_exchange(&slot->gate, GATE_OPEN) == GATE_WAITED)
        futex_wake(&slot->gate, 1);
}

void table_pass_gate(struct slot *slot)
{
    uint32_t gate = GATE_SHUT;
    pid_t starter = (pid_t)(uint32_t)atomic_load(&slot->claim);
    if (atomic_load(&slot->gate) == GATE_OPEN || !atomic_compare_exchange_strong(&slot->gate, &gate, GATE_WAITED))
        return;
    while (atomic_load(&slot->gate) != GATE_OPEN && getppid() == starter)
        futex_sleep(&slot->gate, GATE_WAITED, clock_now() + GATE_LOOK);
}

bool table_is_last(void)
{
    uint32_t self = (uint32_t)atomic_load(&wiped->slot);
    for (uint32_t i = 0; i < region->table->count; i++) {
        struct slot *slot = &region->table->slots[i];
        uint32_t starter = (uint32_t)atomic_load(&slot->claim);
        int32_t pid = atomic_load(&slot->pid);
        if (i != self && starter && !pid_is_gone(pid ? pid : (int32_t)starter))
            return false;
    }
    return true;
}

slot_id table_self(const char *name)
{
    slot_id id = atomic_load(&wiped->slot);
    if (id == 0 && (id = table_claim(name, 0)) != 0) {
        slot_id nobody = 0;
        if (atomic_compare_exchange_strong(&wiped->slot, &nobody, id)) {
            table_begin(id);
        } else { /* another thread was first */
            table_release(id);
            id = nobody;
        }
    }
    return id;
}
