/* manager/managed_reference.c: references, as clients make them and look at them; each type's file opens its own. */
#include "error/error.h"
#include "manager/proxy.h"
#include "manager/words.h"
#include "region/region.h"

#include <brood/reference.h>
#include <errno.h>

static const uint64_t marks[] = {
    DICT_MARK,      LIST_MARK,  SET_MARK,       NAMESPACE_MARK, VALUE_MARK, ARRAY_MARK,  LOCK_MARK,
    CONDITION_MARK, EVENT_MARK, SEMAPHORE_MARK, BARRIER_MARK,   QUEUE_MARK, OBJECT_MARK,
};

brood_any brood_any_reference(const void *object)
{
    const struct proxy *proxy = object;
    brood_any reference = { .kind = BROOD_REFERENCE };
    if (!object)
        return brood_any_nil();
    if (region_enter() < 0 || !region_holds(proxy, sizeof *proxy))
        return reference;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (proxy->mark == marks[i])
            reference.natural = proxy->id;
    return reference;
}

static const char *no_type(int failed, const char *why)
{
    error_set(failed, "brood_reference_type: %s", why);
    return NULL;
}

const char *brood_reference_type(brood_manager *manager, const brood_any *reference)
{
    static const char call[] = "brood_reference_type";
    if (manager_enter(manager, call) < 0)
        return NULL;
    if (!reference || reference->kind != BROOD_REFERENCE)
        return no_type(EINVAL, "that is no reference");
    const struct request request = { .method = MANAGER_TYPE, .count = 1 };
    brood_any word;
    if (manager_ask(manager, call, &request, &reference, &word) < 0)
        return NULL;
    const struct operation *type = word.kind == BROOD_STRING ? operation_named(word.string, word.size) : NULL;
    brood_any_clear(&word);
    return type ? type->name : no_type(EPROTO, "it is to an object of a type that is not known here");
}
