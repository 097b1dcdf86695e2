/* sight_queue.c: a queue, as its marks and loans say it is (exchange/queue.h). */
#include "exchange/queue.h"
#include "sight.h"

#include <stdlib.h>

#define PAGES_MOST 4096 /* of loans */

/* The mark that counts. The copy was not made at once: so a queue in motion may be off by a message. */
static const struct mark *mark_of(const struct side *side)
{
    return &side->marks[atomic_load(&side->turn) & 1];
}

static void see_loans(struct seen_queue *queue, const struct window *window, const struct side *side)
{
    struct loan_page page;
    const struct loan_page *at = atomic_load(&side->loans);
    for (int i = 0; i < PAGES_MOST && at && window_read(window, at, &page, sizeof page); i++) {
        for (int k = 0; k < LOANS; k++) {
            const struct loan *loan = &page.loan[k];
            if (atomic_load(&loan->state) != LOAN_LENT)
                continue;
            if (atomic_load(&loan->word.word) & FUTEX_TID_MASK) {
                queue->lent++;
            } else {
                queue->returned++;
                queue->bytes += loan->size;
            }
        }
        at = atomic_load(&page.more);
    }
}

/* Whether it is one, and not the bytes of what was one. */
static bool is_queue(const struct window *window, const struct queue *copy)
{
    return atomic_load(&copy->noun.word.mark) == queue_kind.mark &&
           window_holds(window, atomic_load(&mark_of(&copy->puts)->in), sizeof(struct segment)) &&
           window_holds(window, atomic_load(&mark_of(&copy->gets)->in), sizeof(struct segment));
}

bool may_be_queue(const char *copy, size_t size)
{
    const struct noun *noun = (const struct noun *)(const void *)copy;
    return size >= sizeof(struct queue) && atomic_load(&noun->word.mark) == queue_kind.mark;
}

bool see_queue(struct sight *sight, const struct window *window, const char *block)
{
    struct queue copy;
    struct noun noun;
    bool has_holder;
    struct seen_queue seen = { .object = block };
    if ((uintptr_t)block % 64 || !see_noun(window, block, &noun, &has_holder, seen.what) ||
        atomic_load(&noun.word.mark) != queue_kind.mark || !window_read(window, block, &copy, sizeof copy) ||
        !is_queue(window, &copy))
        return true;
    if (sight->queue_count == SIGHT_QUEUES) {
        sight->heap.overlooked = true;
        return true;
    }
    const struct mark *put = mark_of(&copy.puts), *got = mark_of(&copy.gets);
    seen.put = atomic_load(&put->count);
    seen.got = atomic_load(&got->count);
    int64_t messages = (int64_t)(seen.put - seen.got);
    int64_t bytes = (int64_t)(atomic_load(&put->bytes) - atomic_load(&got->bytes));
    seen.messages = messages > 0 ? (uint64_t)messages : 0;
    seen.bytes = bytes > 0 ? (uint64_t)bytes : 0;
    see_loans(&seen, window, &copy.gets);
    seen.messages += seen.returned;
    seen.max_messages = copy.max_messages;
    seen.max_bytes = copy.max_bytes;
    seen.closed = atomic_load(&copy.closed) != 0;
    seen.has_putters = atomic_load(&copy.puts.turnstile.word) & FUTEX_TID_MASK;
    seen.has_getters = atomic_load(&copy.gets.turnstile.word) & FUTEX_TID_MASK;
    struct seen_queue *all = sight_grow(sight->queues, sight->queue_count, sizeof *all);
    if (!all)
        return false;
    sight->queues = all;
    all[sight->queue_count++] = seen;
    return true;
}
