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

/* Whether a pid is nobody's, or a zombie's. A pid given to a stranger meanwhile counts as there: that keeps a slot. */
static bool pid_is_gone(int32_t pid)
{
    return pid == 0 || thread_is_gone((uint32_t)pid);
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
    if (!atomic_compare_exchange_strong(&slot->claim, &claim, mine))
        return 0;
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
    struct slot *slot = slot_of(id);
    if (shm_populate(slot, sizeof *slot) < 0) {
        table_release(id);
        errno = ENOMEM;
        return 0;
    }
    if (slot->ticket) /* of one who was killed, and whose starter was */
        heap_give(slot->ticket, (void **)&slot->ticket);
    memset(&slot->life, 0, sizeof slot->life);
    memset(&slot->note, 0, sizeof slot->note);
    atomic_store(&slot->pid, 0);
    atomic_store(&slot->began, 0);
    atomic_store(&slot->gate, GATE_SHUT);
    atomic_store(&slot->set_up, 0);
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
    if (slot->ticket)
        heap_give(slot->ticket, (void **)&slot->ticket);
    atomic_store(&slot->claim, (uint64_t)generation_of(id) << 32);
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
    if (atomic_load(&slot->claim) >> 32 != generation_of(id))
        _exit(EXIT_FAILURE); /* our starter died before it wrote our pid, and the slot was given to another */
    atomic_store(&slot->pid, getpid());
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
