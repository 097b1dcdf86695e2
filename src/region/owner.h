/* region/owner.h: whose each block is, and what: for families that ask for it (brood_heap_mode).
 *
 * A block's tag is one word beside the heap: an owner and a label, both by number, 0 for none. It is written before the
 * block is handed out, so that what is handed out has one, whoever is killed; what lies in the words of free blocks
 * means nothing. Owners and labels are entries of two tables, which are never moved. An entry that no block refers to
 * any more, of a process that is gone, is given to another when the table is full.
 */
#ifndef REGION_OWNER_H
#define REGION_OWNER_H

#include "region/span.h"

#define OWNER_NAME 32
#define LABEL_TEXT 48
#define TAGS_PER_UNIT (UNIT / 16) /* one for each block that may begin there */

/* Both written under the ledger's latch: the text first, then the word that makes it an entry; read by anyone. */
struct owner {
    char name[OWNER_NAME];
    _Atomic int32_t pid; /* 0: free */
};

struct label {
    char text[LABEL_TEXT];
    _Atomic uint32_t used; /* 0: free */
};

/* Tables and numbers are constant. `tags` are each block's owner's, but the half of a tag that is the label is only
 * changed under the latch. Entry 0 of both tables is nobody's. */
struct ledger {
    _Alignas(64) struct robust_word latch;
    uint32_t count; /* of owners, and of labels */
    struct owner *owners;
    struct label *labels;
    _Atomic uint32_t *tags; /* TAGS_PER_UNIT of each unit */
};

#define LEDGER_MOST 1024
#define LEDGER_PART 2048 /* bytes of a region for each entry of both tables: a twentieth of it at most */

static inline uint32_t tag_owner(uint32_t tag)
{
    return tag & 0xffff;
}

static inline uint32_t tag_label(uint32_t tag)
{
    return tag >> 16;
}

static inline _Atomic uint32_t *owner_tag(const struct heap *heap, size_t unit, unsigned block)
{
    return &heap->ledger->tags[unit * TAGS_PER_UNIT + block];
}

/* The tag of this process' blocks; 0, where nothing is tracked. */
uint32_t owner_find(struct heap *heap);
static inline uint32_t owner_self(struct heap *heap)
{
    return heap->ledger ? owner_find(heap) : 0;
}

/* Makes room for the tags of so many blocks of a unit; 0 or -ENOMEM. */
int owner_room(struct heap *heap, size_t unit, unsigned blocks);

/* Says whose the block will be that is about to be handed out there: there is room. */
static inline void owner_write(const struct heap *heap, size_t unit, unsigned block, uint32_t tag)
{
    if (heap->ledger)
        atomic_store_explicit(owner_tag(heap, unit, block), tag, memory_order_relaxed);
}

/* Both. */
int owner_note(struct heap *heap, size_t unit, unsigned block, uint32_t tag);

/* Labels a block that is handed out. */
void owner_label(struct heap *heap, size_t unit, unsigned block, const char *text);

/* A block that has moved keeps its label. */
void owner_move(struct heap *heap, size_t from_unit, unsigned from, size_t unit, unsigned block);

/* Whether each block that is handed out has an owner and a label that there are. 0, or -EUCLEAN with a sentence. */
int owners_check(struct heap *heap);

/* What an owner's, or a label's, number stands for: copied; 0 and "" for none. Whether the process is gone. */
bool owner_name(const struct heap *heap, uint32_t owner, int *pid, char name[static OWNER_NAME]);
void label_text(const struct heap *heap, uint32_t label, char text[static LABEL_TEXT]);

#endif
