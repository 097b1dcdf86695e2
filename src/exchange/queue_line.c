/* exchange/queue_line.c: see queue_line.h. */
#include "exchange/queue_line.h"

#include "region/heap.h"

#include <string.h>

/* ---- segments ---- */

/* The putters may go there: no getter is. What is seen of the getters may be old: then they have gone on since. */
static bool is_free(struct queue *queue, const struct segment *own, const struct segment *segment)
{
    return segment != own && segment != side_look(&queue->gets).in;
}

/* A new one behind the putters' own: the latch is in the list, since the heap needs the pending entry. NULL: no memory.
 * Killed in here: `fresh` tells the heir whether it is in the circle. */
static struct segment *add_segment(struct thread *self, struct side *puts, struct segment *own)
{
    size_t size = own->size * 2 < SEGMENT_MOST ? own->size * 2 : SEGMENT_MOST;
    latch_hold(self, &puts->latch);
    struct segment *added = heap_take_into((void **)&puts->fresh, size);
    if (added) {
        added->size = size;
        atomic_store(&added->next, atomic_load(&own->next));
        atomic_store(&own->next, added);
        puts->room += size;
        __atomic_store_n(&puts->fresh, NULL, __ATOMIC_SEQ_CST);
    }
    latch_unhold(self, &puts->latch);
    return added;
}

static struct segment *next_segment(struct thread *self, struct queue *queue, struct segment *own)
{
    struct segment *next = atomic_load_explicit(&own->next, memory_order_relaxed);
    return is_free(queue, own, next) ? next : add_segment(self, &queue->puts, own);
}

/* The latch is in the list. A batch may have added it anywhere behind the mark's own. */
static void mend_segments(struct side *puts, struct segment *own)
{
    const struct segment *fresh = puts->fresh;
    bool hangs = fresh == own;
    puts->room = own->size;
    for (struct segment *other = atomic_load(&own->next); other != own; other = atomic_load(&other->next)) {
        puts->room += other->size;
        hangs = hangs || other == fresh;
    }
    if (fresh && !hangs)
        heap_give(puts->fresh, (void **)&puts->fresh);
    __atomic_store_n(&puts->fresh, NULL, __ATOMIC_SEQ_CST);
}

static bool trim_one(struct thread *self, struct queue *queue)
{
    struct side *puts = &queue->puts;
    struct segment *own = side_place(puts).in, *victim = atomic_load(&own->next);
    if (puts->room <= SEGMENTS_KEPT || !is_free(queue, own, victim))
        return false;
    puts->room -= victim->size;
    __atomic_store_n(&puts->fresh, victim, __ATOMIC_SEQ_CST);
    atomic_store(&own->next, atomic_load(&victim->next));
    latch_hold(self, &puts->latch);
    heap_give(victim, (void **)&puts->fresh);
    latch_unhold(self, &puts->latch);
    return true;
}

void line_trim(struct thread *self, struct queue *queue)
{
    if (atomic_load_explicit(&queue->puts.room, memory_order_relaxed) <= SEGMENTS_KEPT ||
        side_take(self, queue, &queue->puts, LATCH_TRY) < 0)
        return;
    while (trim_one(self, queue))
        continue;
    side_drop(self, &queue->puts);
}

/* ---- writing ---- */

static void write_head(struct writer *writer, uint64_t head)
{
    struct record *record = (struct record *)(void *)writer->place.at;
    if (!writer->first) {
        writer->first = record;
        writer->first_head = head;
    } else {
        atomic_store_explicit(&record->head, head, memory_order_relaxed);
    }
}

/* The line ends here. */
static void write_end(const struct writer *writer)
{
    struct record *record = (struct record *)(void *)writer->place.at;
    atomic_store_explicit(&record->head, 0, memory_order_relaxed);
}

struct record *line_make_room(struct thread *self, struct queue *queue, struct writer *writer, size_t length)
{
    if ((size_t)(segment_end(writer->place.in) - writer->place.at) < length) {
        struct segment *next = next_segment(self, queue, writer->place.in);
        if (!next)
            return NULL;
        write_head(writer, record_head(0, RECORD_JUMP));
        writer->place.in = next;
        writer->place.at = next->bytes;
    }
    return (struct record *)(void *)writer->place.at;
}

void line_write(struct writer *writer, uint64_t head)
{
    write_head(writer, head);
    writer->place.at += record_length(head);
    writer->place.count++;
    writer->place.bytes += record_size(head);
    write_end(writer);
}

bool line_write_inline(struct thread *self, struct queue *queue, struct writer *writer, const void *data, size_t size)
{
    uint64_t head = record_head(size, RECORD_INLINE);
    struct record *record = line_make_room(self, queue, writer, record_length(head));
    if (!record)
        return false;
    if (size)
        memcpy(record->bytes, data, size);
    line_write(writer, head);
    return true;
}

bool line_write_block(struct thread *self, struct queue *queue, struct writer *writer, const struct loan *loan)
{
    uint64_t head = record_head(loan->size, RECORD_BLOCK);
    struct record *record = line_make_room(self, queue, writer, record_length(head));
    if (!record)
        return false;
    record->block = loan->block;
    line_write(writer, head);
    return true;
}

void line_commit(struct queue *queue, const struct writer *writer)
{
    if (!writer->first)
        return;
    /* Release: with the acquire of those who look at heads. */
    atomic_store_explicit(&writer->first->head, writer->first_head, memory_order_release);
    side_turn(&queue->puts, &writer->place);
}

void line_mend(struct thread *self, struct queue *queue)
{
    struct side *puts = &queue->puts;
    struct place place = side_place(puts);
    uint64_t head;
    bool behind = false;
    while ((head = atomic_load(&((struct record *)(void *)place.at)->head)) != 0) {
        behind = true;
        if ((head & RECORD_KIND) == RECORD_JUMP) {
            place.in = atomic_load(&place.in->next);
            place.at = place.in->bytes;
            continue;
        }
        place.at += record_length(head);
        place.count++;
        place.bytes += record_size(head);
    }
    if (behind)
        side_turn(puts, &place);
    if (puts->intent && place.count != puts->intent_count) {
        __atomic_store_n(&puts->intent->block, NULL, __ATOMIC_SEQ_CST);
        loan_end(self, puts->intent);
    }
    __atomic_store_n(&puts->intent, NULL, __ATOMIC_SEQ_CST);
    mend_segments(puts, place.in);
}
