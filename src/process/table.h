/* process/table.h: the family's processes: one slot each, in the region.
 *
 * A process is a slot and the slot's generation, never a pid alone: a slot is taken for a process before it exists, and
 * given back only when it is gone for good (its status taken, or found gone after its starter), with the generation
 * raised before anyone else gets it.
 */
#ifndef PROCESS_TABLE_H
#define PROCESS_TABLE_H

#include "os/thread.h"
#include "process/postbox.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_SLOTS 4096 /* fewer in a small region: a sixteenth of it */
#define SLOT_NAME 32

struct ticket;

/* What a process or a task says of its own end, before it ends. Its one writer is the process; read once that is gone.
 * `how` is written last: a process killed before it has said nothing. */
struct end_note {
    _Atomic int32_t how; /* a brood_how; BROOD_RUNNING: nothing was said */
    int32_t code;
    int64_t at; /* when it was said: os/clock.h */
    char why[128];
};

/* What outlives a slot. refs: the slot's own, and one for each who asked. how: a brood_how, BROOD_RUNNING if the
 * process said nothing before its end; written once, before the slot is given back. A block that nobody refers to is
 * freed; a kill in between loses it. */
struct obituary {
    _Atomic uint32_t refs;
    _Atomic int32_t how;
};

#define OBITUARY_NONE (-1) /* ask the slot still */

/* Who writes what: `claim` by CAS of whoever takes or gives back the slot; `began` and `note` by the process; the rest
 * by its starter before it exists (pid by both, the same), and then by nobody but for three: `life` is the process'
 * and, at its death, the kernel's; `gate` is both's; `watcher` is anyone's (exchange/queue_side.c). */
struct slot {
    struct robust_word
        life; /* held, for ever, by the first thread of the process that used brood: the kernel marks it */
    struct robust_word watcher; /* held by the one thread, of all that wait for its death, that sleeps on `life`; no
                                 * matter whose slot it becomes meanwhile */
    _Atomic uint64_t claim;     /* generation << 32 | pid of its starter (its own, if nobody started it); 0: free */
    _Atomic int32_t pid;        /* 0 until it exists */
    _Atomic int32_t began;      /* 1: the process has found itself here */
    /* GATE_SHUT by the starter until it has the child's pidfd, so that no foreign wait can free the pid before that.
     * The child waits here first of all, by GATE_WAITED. */
    _Atomic uint32_t gate;
    /* 0 until the child has carried out its ticket's setup; then the outcome (os/setup.h) + 1. The starter sleeps here,
     * if its ticket says that this is answered. The child's. */
    _Atomic uint32_t set_up;
    _Atomic int32_t has_started;       /* 1: it has started others; by itself */
    struct obituary *_Atomic obituary; /* for those who want to know how it ends after the slot is another's; by CAS of
                                        * whoever asks first */
    uint64_t starter;                  /* the slot_id of its starter; 0: nobody started it */
    struct ticket *ticket;             /* what it is to do: its block goes with the slot */
    char name[SLOT_NAME];
    struct end_note note;
};

enum { GATE_OPEN, GATE_SHUT, GATE_WAITED };

struct table {
    struct postbox postbox;
    uint32_t count;
    _Atomic uint32_t next; /* where to look for a free slot; a hint */
    _Atomic uint32_t top;  /* no slot from here on was ever taken; only grows */
    _Alignas(64) struct slot slots[];
};

/* Bytes that the table takes in a region of that size. */
size_t table_size(size_t region_size);
void table_lay_out(struct table *table, size_t region_size);

/* A slot and its generation, in one word: 0 is none. */
typedef uint64_t slot_id;

struct slot *slot_of(slot_id id);

/* Whether it is still the slot of that process. */
bool slot_is(const struct slot *slot, slot_id id);

/* A reference to the obituary of the process that the slot was taken for. NULL: it is another's by now, or, with errno
 * ENOMEM, no memory. Nobody may give the slot back meanwhile: its reference goes with it. */
struct obituary *obituary_ask(slot_id id);

/* One that says so already. NULL: no memory. */
struct obituary *obituary_write(int how);
void obituary_release(struct obituary *obituary);

/* Whether the process of that id, for which that slot was taken, has ended, with all its threads. */
bool slot_process_is_gone(slot_id id, int32_t pid);

/* Takes a slot for a process that is about to be started, by the process of slot `starter` (0: by nobody). 0 with errno
 * EAGAIN: the table is full; ENOMEM. */
slot_id table_claim(const char *name, slot_id starter);

/* Gives it back, with its ticket. Nothing, if it is someone else's by now. */
void table_release(slot_id id);

/* The same for a slot that another has taken, who is gone. False: its process is not gone yet, or he is not. */
bool table_reclaim(slot_id id);

/* Gives back the slots, with their tickets, of processes that are gone and whose starters are gone too, so that nobody
 * else will before the table is full. It looks at every slot that was ever taken. */
void table_sweep(void);

/* The name of the process the slot was taken for; "" if it is another's by now. Copied, SLOT_NAME bytes. */
void table_name(slot_id id, char *name);

/* This process is the one the slot was taken for: it holds the slot's life word from here on. */
void table_begin(slot_id id);

/* The starter's side of the gate, and the child's, which also goes on if its starter is gone. */
void table_open_gate(struct slot *slot);
void table_pass_gate(struct slot *slot);

/* Whether no other process of the family is left, or about to be. */
bool table_is_last(void);

/* This process' slot, taken now if nobody started it (the founder, a child forked by hand). 0 as table_claim's. */
slot_id table_self(const char *name);

#endif
