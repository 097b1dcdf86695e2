/* sync/box.c */
#include "sync/box.h"

#include "error/error.h"
#include "os/clock.h"
#include "region/heap.h"
#include "sync/waiter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BLOCK_LEAST 256 /* bytes of a block that the heap aligns to BOX_LINE */

/* ---- a box ---- */

/* Where things lie behind the elements, from the box' beginning; false: it is more than there can be. */
static bool lay_out(const struct box_plan *plan, const struct type *type, size_t *shadow, size_t *name, size_t *end)
{
    size_t bytes;
    bool shadowed = type->kind == TYPE_STRUCT && !plan->raw;
    if (__builtin_mul_overflow(plan->count, type->size, &bytes) || bytes > region->size)
        return false;
    *shadow = (sizeof(struct box) + bytes + BOX_LINE - 1) & ~(size_t)(BOX_LINE - 1);
    *name = shadowed ? *shadow + type->size : *shadow;
    *end = *name + (plan->name ? strlen(plan->name) + 1 : 0);
    return true;
}

static void fill(struct box *box, const void *initial)
{
    size_t size = box->type.size, count = box->count;
    if (initial && box->type.kind != TYPE_TRUTH)
        memcpy(box->elements, initial, size * count);
    for (size_t i = 0; initial && box->type.kind == TYPE_TRUTH && i < count; i++)
        box->elements[i] = ((const char *)initial)[i] != 0;
}

struct box *box_create(const struct noun_kind *kind, const struct box_plan *plan)
{
    struct type type;
    size_t shadow, name, end = 0;
    if (region_enter() < 0)
        return NULL;
    if (!type_find(plan->type, &type)) {
        error_set(EINVAL, "%s: there is no type %d", plan->call, plan->type);
        return NULL;
    }
    struct box *box = NULL;
    if (lay_out(plan, &type, &shadow, &name, &end))
        box = heap_take(end < BLOCK_LEAST ? BLOCK_LEAST : end, true);
    if (!box) {
        error_set(ENOMEM, "%s: no memory in the region for %zu times %zu bytes", plan->call, plan->count, type.size);
        return NULL;
    }
    box->raw = plan->raw;
    box->type = type;
    box->count = plan->count;
    box->shadow = type.kind == TYPE_STRUCT && !plan->raw ? (char *)box + shadow : NULL;
    if (plan->name)
        box->lock.name = memcpy((char *)box + name, plan->name, end - name);
    atomic_store(&box->lock.latch.mark, kind->mark); /* for those who look who waits */
    fill(box, plan->initial);
    atomic_store(&box->mark, kind->mark);
    return box;
}

int box_refuse(const struct noun_kind *kind, const void *memory, const char *call)
{
    char what[NOUN_TEXT];
    if (region_enter() < 0)
        return -EINVAL;
    snprintf(what, sizeof what, "the %s", kind->name);
    if (!memory)
        return error_null(call, what);
    return error_set(EINVAL, "%s: there is no %s at %p, or not any more", call, kind->name, memory);
}

int box_destroy(const struct noun_kind *kind, void *memory, const char *call)
{
    char text[NOUN_TEXT];
    if (!memory)
        return 0;
    struct box *box = box_in(kind, memory);
    if (!box)
        return box_refuse(kind, memory, call);
    struct thread *self = thread_self();
    int taken = noun_held(self, &box->lock.latch) ? -EBUSY : latch_take(self, &box->lock.latch, LATCH_TRY);
    if (taken < 0)
        return error_set(EBUSY, "%s: the lock of %s is held by process %d", call, noun_describe(kind, &box->lock, text),
                         thread_holder(&box->lock.latch));
    if (taken == LATCH_INHERITED)
        noun_settle(self, &box->lock.latch);
    latch_drop(self, &box->lock.latch);
    atomic_store(&box->mark, 0);
    heap_give(box, NULL);
    return 0;
}

/* ---- the lock ---- */

/* Of one who is another's heir: finishes what the dead one had committed, and says whether there is more to mend. */
static int mend(struct thread *self, struct box *box)
{
    struct box_lock *lock = &box->lock;
    latch_hold(self, &lock->latch); /* the heap needs the pending entry */
    heap_settle();
    latch_unhold(self, &lock->latch);
    lock->depth = 0;
    if (lock->changing)
        memcpy(box_at(box, lock->changing - 1), box->shadow, box->type.size);
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint64_t *)&lock->changing = 0;
    return lock->open ? BROOD_INHERITED : 0;
}

static void open_is(struct box *box, uint32_t open)
{
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&box->lock.open = open;
    atomic_signal_fence(memory_order_seq_cst);
}

static int wait_for_latch(struct thread *self, void *latch, int64_t deadline)
{
    return latch_take(self, latch, deadline);
}

static int take(struct thread *self, struct box *box, int64_t deadline)
{
    struct robust_word *latch = &box->lock.latch;
    int taken = latch_take(self, latch, deadline == LATCH_TRY ? LATCH_TRY : LATCH_GLANCE);
    if (taken < 0 && deadline != LATCH_TRY)
        taken = waiter_wait(self, &box->lock, deadline, wait_for_latch, latch);
    return taken;
}

/* Into the box for the length of a call: with its lock, unless it is raw or the thread has the lock already. */
static void visit_begin(struct visit *visit)
{
    struct robust_word *latch = &visit->box->lock.latch;
    if (visit->box->raw)
        return;
    visit->self = thread_self();
    if (noun_held(visit->self, latch))
        return;
    visit->took = true;
    if (take(visit->self, visit->box, CLOCK_NEVER) == LATCH_INHERITED)
        visit->told = mend(visit->self, visit->box);
    atomic_store_explicit(&latch->owner, (uint64_t)visit->self->process, memory_order_relaxed);
}

/* And out. What has to be mended is left to the next. */
static int visit_end(struct visit *visit)
{
    char text[NOUN_TEXT];
    if (!visit->took)
        return 0;
    if (!visit->told) {
        latch_drop(visit->self, &visit->box->lock.latch);
        return 0;
    }
    latch_abandon(visit->self, &visit->box->lock.latch);
    error_tell("%s: %s has not been mended since a holder of its lock died, or abandoned it", visit->call,
               noun_describe(visit->kind, &visit->box->lock, text));
    return BROOD_INHERITED;
}

static int raw_has_no_lock(const struct visit *visit)
{
    char text[NOUN_TEXT];
    return error_set(EINVAL, "%s: %s is raw: it has no lock", visit->call,
                     noun_describe(visit->kind, &visit->box->lock, text));
}

int visit_acquire(struct visit *visit, int timeout_ms)
{
    char text[NOUN_TEXT];
    int64_t deadline;
    struct box *box = visit->box;
    struct box_lock *lock = &box->lock;
    if (box->raw)
        return raw_has_no_lock(visit);
    if (noun_deadline(visit->call, timeout_ms, &deadline) < 0)
        return -EINVAL;
    struct thread *self = thread_self();
    if (noun_held(self, &lock->latch)) {
        if (lock->depth == UINT32_MAX)
            return error_set(EOVERFLOW, "%s: %s cannot be taken more often by one thread", visit->call,
                             noun_describe(visit->kind, lock, text));
        lock->depth++;
        return 0;
    }
    if (noun_may_hold(self) < 0)
        return -ENOLCK;
    int taken = take(self, box, deadline);
    if (taken < 0)
        return error_set(ETIMEDOUT, "the lock of %s is held by process %d still, after %d ms",
                         noun_describe(visit->kind, lock, text), thread_holder(&lock->latch), timeout_ms);
    int told = taken == LATCH_INHERITED ? mend(self, box) : 0;
    spin_publish(&lock->latch.cpu);
    noun_hold(self, &lock->latch);
    open_is(box, 1);
    if (told)
        error_tell("the lock of %s comes from a holder that died, or abandoned it: it may be half changed",
                   noun_describe(visit->kind, lock, text));
    return told;
}

/* 0, or -errno: this thread does not hold it. */
static int check_held(const struct visit *visit)
{
    char text[NOUN_TEXT];
    if (visit->box->raw)
        return raw_has_no_lock(visit);
    if (noun_held(thread_self(), &visit->box->lock.latch))
        return 0;
    return error_set(EPERM, "%s: the lock of %s is not held by this thread", visit->call,
                     noun_describe(visit->kind, &visit->box->lock, text));
}

int visit_release(struct visit *visit)
{
    struct box_lock *lock = &visit->box->lock;
    int failed = check_held(visit);
    if (failed < 0)
        return failed;
    if (lock->depth) {
        lock->depth--;
        return 0;
    }
    struct thread *self = thread_self();
    open_is(visit->box, 0);
    noun_unhold(self, &lock->latch);
    latch_drop(self, &lock->latch);
    return 0;
}

int visit_abandon(struct visit *visit)
{
    struct box_lock *lock = &visit->box->lock;
    int failed = check_held(visit);
    if (failed < 0)
        return failed;
    struct thread *self = thread_self();
    lock->depth = 0;
    noun_unhold(self, &lock->latch);
    latch_abandon(self, &lock->latch);
    return 0;
}

/* ---- data ---- */

/* The type that the caller names: 0: the box' own. False: there is none, or no datum; with a sentence. */
static bool find_type(const struct visit *visit, const void *datum, int code, struct type *type)
{
    if (!datum) {
        error_set(EINVAL, "%s: the datum is NULL", visit->call);
        return false;
    }
    if (code == 0 || code == visit->box->type.code) {
        *type = visit->box->type;
        return true;
    }
    if (!type_find(code, type)) {
        error_set(EINVAL, "%s: there is no type %d", visit->call, code);
        return false;
    }
    return true;
}

static int wrong_type(const struct visit *visit, const struct type *type)
{
    char text[NOUN_TEXT], own[TYPE_TEXT], other[TYPE_TEXT];
    return error_set(EINVAL, "%s: %s is of %s, the datum of %s", visit->call,
                     noun_describe(visit->kind, &visit->box->lock, text), type_describe(&visit->box->type, own),
                     type_describe(type, other));
}

/* 0, or -EINVAL: data of that type are not as they lie in the box. */
static int check_same(const struct visit *visit, const void *datum, int code)
{
    struct type type;
    if (!find_type(visit, datum, code, &type))
        return -EINVAL;
    return type_same(&type, &visit->box->type) ? 0 : wrong_type(visit, &type);
}

/* 0 and the datum as a number of the box' type; -EINVAL, -EDOM. */
static inline int convert(const struct visit *visit, const void *datum, int code, uint64_t *bits)
{
    char text[NOUN_TEXT], own[TYPE_TEXT];
    struct type type;
    const struct type *mine = &visit->box->type;
    if (code == mine->code && datum && mine->kind != TYPE_TRUTH && mine->kind != TYPE_STRUCT) { /* nearly always */
        *bits = bits_read(datum, mine->size);
        return 0;
    }
    if (!find_type(visit, datum, code, &type))
        return -EINVAL;
    int failed = type_convert(&type, datum, &visit->box->type, bits);
    if (failed == -EDOM)
        error_set(EDOM, "%s: %s is of %s, which cannot hold that number", visit->call,
                  noun_describe(visit->kind, &visit->box->lock, text), type_describe(&visit->box->type, own));
    return failed == -EINVAL ? wrong_type(visit, &type) : failed;
}

/* A struct, under the lock, so that it is changed wholly or not at all. The first store to `changing` is the commit. */
static void set_struct(struct box *box, size_t index, const void *datum)
{
    size_t size = box->type.size;
    if (!box->shadow) {
        memmove(box_at(box, index), datum, size);
        return;
    }
    memcpy(box->shadow, datum, size);
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint64_t *)&box->lock.changing = index + 1;
    atomic_signal_fence(memory_order_seq_cst);
    memcpy(box_at(box, index), box->shadow, size);
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint64_t *)&box->lock.changing = 0;
}

int visit_get(struct visit *visit, size_t index, void *datum, int type)
{
    struct box *box = visit->box;
    if (check_same(visit, datum, type) < 0)
        return -EINVAL;
    if (box->type.kind != TYPE_STRUCT) {
        uint64_t bits = bits_load(box_at(box, index), box->type.size);
        bits = box->type.kind == TYPE_TRUTH ? bits != 0 : bits;
        bits_write(datum, box->type.size, bits);
        return 0;
    }
    visit_begin(visit);
    memmove(datum, box_at(box, index), box->type.size);
    return visit_end(visit);
}

int visit_set(struct visit *visit, size_t index, const void *datum, int type)
{
    struct box *box = visit->box;
    uint64_t bits;
    if (box->type.kind != TYPE_STRUCT) {
        int failed = convert(visit, datum, type, &bits);
        if (failed == 0)
            bits_store(box_at(box, index), box->type.size, bits);
        return failed;
    }
    if (check_same(visit, datum, type) < 0)
        return -EINVAL;
    visit_begin(visit);
    set_struct(box, index, datum);
    return visit_end(visit);
}

int visit_add(struct visit *visit, size_t index, const void *amount, int type, void *before, int before_type)
{
    char text[NOUN_TEXT], own[TYPE_TEXT];
    struct box *box = visit->box;
    char *place = box_at(box, index);
    size_t size = box->type.size;
    uint64_t bits, was;
    if (box->type.kind == TYPE_STRUCT || box->type.kind == TYPE_TRUTH)
        return error_set(EINVAL, "%s: %s is of %s, to which nothing can be added", visit->call,
                         noun_describe(visit->kind, &box->lock, text), type_describe(&box->type, own));
    if (before && check_same(visit, before, before_type) < 0)
        return -EINVAL;
    int failed = convert(visit, amount, type, &bits);
    if (failed < 0)
        return failed;
    if (box->type.kind == TYPE_REAL) {
        was = bits_load(place, size);
        while (!bits_exchange(place, size, &was, type_sum(&box->type, was, bits)))
            continue;
    } else {
        was = bits_add(place, size, bits);
    }
    if (before)
        bits_write(before, size, was);
    return 0;
}

int visit_exchange(struct visit *visit, size_t index, void *expected, int expected_type, const void *desired, int type)
{
    char text[NOUN_TEXT], own[TYPE_TEXT];
    struct box *box = visit->box;
    size_t size = box->type.size;
    uint64_t bits;
    if (box->type.kind == TYPE_STRUCT)
        return error_set(EINVAL, "%s: %s is of %s, which is not exchanged at once", visit->call,
                         noun_describe(visit->kind, &box->lock, text), type_describe(&box->type, own));
    if (check_same(visit, expected, expected_type) < 0)
        return -EINVAL;
    int failed = convert(visit, desired, type, &bits);
    if (failed < 0)
        return failed;
    uint64_t was = bits_read(expected, size);
    if (bits_exchange(box_at(box, index), size, &was, bits))
        return 0;
    bits_write(expected, size, was);
    return error_set(EAGAIN, "%s: %s is another number now", visit->call, noun_describe(visit->kind, &box->lock, text));
}

int visit_copy_out(struct visit *visit, size_t begin, size_t count, void *data, int type)
{
    struct box *box = visit->box;
    if (count == 0)
        return 0;
    if (check_same(visit, data, type) < 0)
        return -EINVAL;
    visit_begin(visit);
    if (box->type.kind == TYPE_STRUCT)
        memmove(data, box_at(box, begin), count * box->type.size);
    else
        bits_copy_out(data, box_at(box, begin), box->type.size, count);
    return visit_end(visit);
}

int visit_copy_in(struct visit *visit, size_t begin, size_t count, const void *data, int type)
{
    struct box *box = visit->box;
    const char *from = data;
    if (count == 0)
        return 0;
    if (check_same(visit, data, type) < 0)
        return -EINVAL;
    visit_begin(visit);
    uint32_t open = box->lock.open;
    if (!box->raw && count > 1)
        open_is(box, 1);
    if (box->type.kind == TYPE_STRUCT)
        for (size_t i = 0; i < count; i++)
            set_struct(box, begin + i, from + i * box->type.size);
    else
        bits_copy_in(box_at(box, begin), data, box->type.size, count);
    if (!box->raw && count > 1)
        open_is(box, open);
    return visit_end(visit);
}
