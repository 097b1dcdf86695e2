/* sync/array.c: brood/array.h: a box, with bounds.
 */
#include "error/error.h"
#include "sync/box.h"

#include <brood/array.h>
#include <errno.h>

const struct noun_kind array_kind = { "array", "an", 0x79617261u /* "aray" */, true, BOX_LOCK_AT };

brood_array *brood_array_create(int type, size_t count, const brood_array_options *options)
{
    struct box_plan plan = { .call = "brood_array_create", .type = type, .count = count };
    if (options) {
        if (error_reserved(plan.call, options->reserved, sizeof options->reserved / sizeof(void *)) < 0)
            return NULL;
        plan.name = options->name;
        plan.initial = options->initial;
        plan.raw = options->raw;
    }
    return (brood_array *)(void *)box_create(&array_kind, &plan);
}

int brood_array_destroy(brood_array *array)
{
    return box_destroy(&array_kind, array, "brood_array_destroy");
}

size_t brood_array_count(const brood_array *array)
{
    const struct box *box = box_in(&array_kind, array);
    if (!box)
        box_refuse(&array_kind, array, "brood_array_count");
    return box ? box->count : 0;
}

int brood_array_type(const brood_array *array)
{
    struct visit visit = visit_to(&array_kind, array, __func__);
    return visit.box ? visit.box->type.code : visit_refuse(&visit, array);
}

/* To `count` elements from `begin` on: 0; -EINVAL: there is no array; -ERANGE: not all of them are there. */
static int enter(struct visit *visit, const brood_array *array, size_t begin, size_t count, const char *call)
{
    char text[NOUN_TEXT];
    *visit = visit_to(&array_kind, array, call);
    if (!visit->box) {
        visit_refuse(visit, array);
        return -EINVAL;
    }
    const struct box *box = visit->box;
    if (begin <= box->count && count <= box->count - begin)
        return 0;
    noun_describe(&array_kind, &box->lock, text);
    if (count == 1)
        return error_set(ERANGE, "%s: %s has %zu elements, none at %zu", call, text, box->count, begin);
    return error_set(ERANGE, "%s: %s has %zu elements, not %zu from %zu on", call, text, box->count, count, begin);
}

void *brood_array_at(brood_array *array, size_t index)
{
    struct visit visit;
    return enter(&visit, array, index, 1, __func__) == 0 ? box_at(visit.box, index) : NULL;
}

int(brood_array_get)(brood_array *array, size_t index, void *datum, int type)
{
    struct visit visit;
    int failed = enter(&visit, array, index, 1, __func__);
    return failed ? failed : visit_get(&visit, index, datum, type);
}

int(brood_array_set)(brood_array *array, size_t index, const void *datum, int type)
{
    struct visit visit;
    int failed = enter(&visit, array, index, 1, __func__);
    return failed ? failed : visit_set(&visit, index, datum, type);
}

int(brood_array_add)(brood_array *array, size_t index, const void *amount, int type, void *before, int before_type)
{
    struct visit visit;
    int failed = enter(&visit, array, index, 1, __func__);
    return failed ? failed : visit_add(&visit, index, amount, type, before, before_type);
}

int(brood_array_get_slice)(brood_array *array, size_t begin, size_t count, void *data, int type)
{
    struct visit visit;
    int failed = enter(&visit, array, begin, count, __func__);
    return failed ? failed : visit_copy_out(&visit, begin, count, data, type);
}

int(brood_array_set_slice)(brood_array *array, size_t begin, size_t count, const void *data, int type)
{
    struct visit visit;
    int failed = enter(&visit, array, begin, count, __func__);
    return failed ? failed : visit_copy_in(&visit, begin, count, data, type);
}

int brood_array_acquire(brood_array *array, int timeout_ms)
{
    struct visit visit = visit_to(&array_kind, array, __func__);
    return visit.box ? visit_acquire(&visit, timeout_ms) : visit_refuse(&visit, array);
}

int brood_array_release(brood_array *array)
{
    struct visit visit = visit_to(&array_kind, array, __func__);
    return visit.box ? visit_release(&visit) : visit_refuse(&visit, array);
}

int brood_array_abandon(brood_array *array)
{
    struct visit visit = visit_to(&array_kind, array, __func__);
    return visit.box ? visit_abandon(&visit) : visit_refuse(&visit, array);
}
