/* region/look.c: what can be seen of the heap: sums, shares, and what is left in the end. */
#include "region/look.h"

#include "error/error.h"
#include "error/log.h"
#include "region/heap.h"
#include "region/owner.h"
#include "region/region.h"

#include <brood/memory.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_LINES 10

static void look_at_span(const struct heap *heap, size_t unit, uint64_t kind, look_function *function, void *context)
{
    const struct span *span = &heap->spans[unit];
    size_t size;
    unsigned used = span_used(span, kind, &size);
    if (!heap->ledger) {
        function(context, size, used, 0);
        return;
    }
    for (unsigned block = 0; used > 0 && block < UNIT / size; block++)
        if (span_has(span, block))
            function(context, size, 1, atomic_load(owner_tag(heap, unit, block)));
}

void look_at_all(const struct heap *heap, look_function *function, void *context)
{
    for (size_t unit = 0; unit < heap->units.top; unit++) {
        uint64_t kind = atomic_load(&heap->units.kinds[unit]);
        if ((kind & 0xff) == KIND_SPAN)
            look_at_span(heap, unit, kind, function, context);
        else if ((kind & 0xff) == KIND_LARGE)
            function(context, kind_units(kind) << UNIT_SHIFT, 1,
                     heap->ledger ? atomic_load(owner_tag(heap, unit, 0)) : 0);
    }
}

/* ---- sums ---- */

static void add_to_stats(void *context, size_t size, size_t blocks, uint32_t tag)
{
    brood_heap_stats *stats = context;
    (void)tag;
    stats->blocks += blocks;
    stats->used += blocks * size;
}

int brood_heap_stat(brood_heap_stats *stats)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!stats)
        return error_set(EINVAL, "brood_heap_stat: stats is NULL");
    const struct units *units = &region->heap->units;
    *stats = (brood_heap_stats){ .limit = region->size,
                                 .held = units->held << UNIT_SHIFT,
                                 .peak = units->peak << UNIT_SHIFT };
    look_at_all(region->heap, add_to_stats, stats);
    for (size_t unit = 0; unit < units->top; unit++)
        stats->backed += unit_dirty(units, unit) ? UNIT : 0;
    return 0;
}

/* ---- shares ---- */

/* Blocks that are alike in size (0: in any) and in what of the tag is looked at. */
struct group {
    size_t size, blocks, used;
    uint32_t tag;
};

/* A hash table of groups, which doubles when it is half full. */
struct tally {
    uint32_t mask; /* what of a tag counts */
    bool by_size;
    bool failed;
    size_t count, room;
    struct group *groups;
};

static struct group *group_find(const struct tally *tally, size_t size, uint32_t tag)
{
    size_t at = (tag * UINT64_C(0x9e3779b97f4a7c15) ^ size * UINT64_C(0xff51afd7ed558ccd)) >> 20;
    for (;; at++) {
        struct group *group = &tally->groups[at & (tally->room - 1)];
        if (group->blocks == 0 || (group->tag == tag && group->size == size))
            return group;
    }
}

static bool tally_grow(struct tally *tally)
{
    struct tally grown = *tally;
    grown.room = tally->room ? tally->room * 2 : 64;
    grown.groups = calloc(grown.room, sizeof *grown.groups);
    if (!grown.groups)
        return false;
    for (size_t i = 0; i < tally->room; i++)
        if (tally->groups[i].blocks)
            *group_find(&grown, tally->groups[i].size, tally->groups[i].tag) = tally->groups[i];
    free(tally->groups);
    *tally = grown;
    return true;
}

static void add_to_tally(void *context, size_t size, size_t blocks, uint32_t tag)
{
    struct tally *tally = context;
    if (blocks == 0 || tally->failed)
        return;
    if (tally->count * 2 >= tally->room && !tally_grow(tally)) {
        tally->failed = true;
        return;
    }
    size_t key = tally->by_size ? size : 0;
    struct group *group = group_find(tally, key, tag & tally->mask);
    tally->count += group->blocks == 0;
    group->size = key;
    group->tag = tag & tally->mask;
    group->blocks += blocks;
    group->used += blocks * size;
}

static int by_use(const void *a, const void *b)
{
    const struct group *left = a, *right = b;
    if (left->used != right->used)
        return left->used < right->used ? 1 : -1;
    if (left->size != right->size)
        return left->size < right->size ? 1 : -1;
    return left->tag < right->tag ? -1 : left->tag > right->tag;
}

/* Walks the heap; the groups are then at the array's beginning, largest first. 0 or -ENOMEM; the array is the caller's
 * to free. */
static int tally_take(struct tally *tally)
{
    look_at_all(region->heap, add_to_tally, tally);
    if (tally->failed)
        return -ENOMEM;
    if (tally->count > 0) /* the empty ones, of 0 bytes, come last */
        qsort(tally->groups, tally->room, sizeof *tally->groups, by_use);
    return 0;
}

int brood_heap_shares(unsigned by, brood_heap_share *shares, int room)
{
    if (region_enter() < 0)
        return -EINVAL;
    if ((by & (BROOD_BY_OWNER | BROOD_BY_LABEL)) == 0 || by > (BROOD_BY_OWNER | BROOD_BY_LABEL))
        return error_set(EINVAL, "brood_heap_shares: %#x is neither by owner nor by label", by);
    if (room < 0 || (room > 0 && !shares))
        return error_set(EINVAL, "brood_heap_shares: no room for %d shares", room);
    if (!region->heap->ledger)
        return error_set(ENOTSUP, "brood_heap_shares: the family was founded without BROOD_HEAP_TRACK");
    struct tally tally = { .mask = (by & BROOD_BY_OWNER ? UINT16_MAX : 0) | (by & BROOD_BY_LABEL ? 0xffff0000 : 0) };
    if (tally_take(&tally) < 0) {
        free(tally.groups);
        return error_set(ENOMEM, "brood_heap_shares: no private memory");
    }
    for (size_t i = 0; i < tally.count && i < (size_t)room; i++) {
        const struct group *group = &tally.groups[i];
        brood_heap_share *share = &shares[i];
        *share = (brood_heap_share){ .blocks = group->blocks, .used = group->used };
        share->gone = owner_name(region->heap, tag_owner(group->tag), &share->pid, share->owner);
        label_text(region->heap, tag_label(group->tag), share->label);
    }
    free(tally.groups);
    return (int)tally.count;
}

/* ---- what is left ---- */

bool heap_reports(void)
{
    int reports = region->heap->reports;
    return reports == REPORT_ALWAYS || (reports == REPORT_IF_HEARD &&
                                        (int)BROOD_WARNING <= atomic_load_explicit(&log_wanted, memory_order_relaxed));
}

static void report_group(const struct group *group)
{
    char name[OWNER_NAME] = "", label[LABEL_TEXT] = "", owner[OWNER_NAME + 32] = "";
    int pid = 0;
    if (region->heap->ledger) {
        owner_name(region->heap, tag_owner(group->tag), &pid, name);
        label_text(region->heap, tag_label(group->tag), label);
    }
    if (pid)
        snprintf(owner, sizeof owner, ", by %d%s%s", pid, name[0] ? " " : "", name);
    log_write(BROOD_WARNING, "heap: left: %zu of %zu bytes%s%s%s", group->blocks, group->size, owner,
              label[0] ? ": " : "", label);
}

void heap_report(void)
{
    struct tally tally = { .mask = UINT32_MAX, .by_size = true };
    size_t blocks = 0, used = 0;
    if (tally_take(&tally) == 0 && tally.count > 0) {
        for (size_t i = 0; i < tally.count; i++) {
            blocks += tally.groups[i].blocks;
            used += tally.groups[i].used;
        }
        log_write(BROOD_WARNING, "heap: %zu blocks are left at the family's end, %zu bytes", blocks, used);
        for (size_t i = 0; i < tally.count && i < REPORT_LINES; i++)
            report_group(&tally.groups[i]);
        if (tally.count > REPORT_LINES)
            log_write(BROOD_WARNING, "heap: left: and %zu kinds more", tally.count - REPORT_LINES);
    }
    free(tally.groups);
}
