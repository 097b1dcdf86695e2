/* sync/value.c: brood/value.h: a box of one element.
 */
#include "error/error.h"
#include "sync/box.h"

#include <brood/value.h>
#include <errno.h>

const struct noun_kind value_kind = { "value", "a", 0x756c6176u /* "valu" */, true, BOX_LOCK_AT };

brood_value *brood_value_create(int type, const brood_value_options *options)
{
    struct box_plan plan = { .call = "brood_value_create", .type = type, .count = 1 };
    if (options) {
        if (error_reserved(plan.call, options->reserved, sizeof options->reserved / sizeof(void *)) < 0)
            return NULL;
        plan.name = options->name;
        plan.initial = options->initial;
        plan.raw = options->raw;
    }
    return (brood_value *)(void *)box_create(&value_kind, &plan);
}

int brood_value_destroy(brood_value *value)
{
    return box_destroy(&value_kind, value, "brood_value_destroy");
}

int brood_value_type(const brood_value *value)
{
    struct visit visit = visit_to(&value_kind, value, __func__);
    return visit.box ? visit.box->type.code : visit_refuse(&visit, value);
}

void *brood_value_at(brood_value *value)
{
    struct box *box = box_in(&value_kind, value);
    if (!box)
        box_refuse(&value_kind, value, "brood_value_at");
    return box ? box->elements : NULL;
}

int(brood_value_load)(brood_value *value, void *datum, int type)
{
    struct visit visit = visit_to(&value_kind, value, __func__);
    return visit.box ? visit_get(&visit, 0, datum, type) : visit_refuse(&visit, value);
}

int(brood_value_store)(brood_value *value, const void *datum, int type)
{
    struct visit visit = visit_to(&value_kind, value, __func__);
    return visit.box ? visit_set(&visit, 0, datum, type) : visit_refuse(&visit, value);
}

int(brood_value_add)(brood_value *value, const void *amount, int type, void *before, int before_type)
{
    struct visit visit = visit_to(&value_kind, value, __func__);
    return visit.box ? visit_add(&visit, 0, amount, type, before, before_type) : visit_refuse(&visit, value);
}

int(brood_value_compare_exchange)(brood_value *value, void *expected, int expected_type, const void *desired, int type)
{
    struct visit visit = visit_to(&value_kind, value, __func__);
    return visit.box ? visit_exchange(&visit, 0, expected, expected_type, desired, type) : visit_refuse(&visit, value);
}

int brood_value_acquire(brood_value *value, int timeout_ms)
{
    struct visit visit = visit_to(&value_kind, value, __func__);
    return visit.box ? visit_acquire(&visit, timeout_ms) : visit_refuse(&visit, value);
}

int brood_value_release(brood_value *value)
{
    struct visit visit = visit_to(&value_kind, value, __func__);
    return visit.box ? visit_release(&visit) : visit_refuse(&visit, value);
}

int brood_value_abandon(brood_value *value)
{
    struct visit visit = visit_to(&value_kind, value, __func__);
    return visit.box ? visit_abandon(&visit) : visit_refuse(&visit, value);
}
