/* manager/dict.c: dictionaries, as their clients call them. */
#include "error/error.h"
#include "manager/dictionary.h"
#include "manager/manager.h"
#include "region/heap.h"
#include "region/region.h"

#include <brood/dict.h>
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#define DICT_MARK UINT64_C(0x7463696401)

/* In the region; constant, until it is closed. process: which asked for it. */
struct brood_dict {
    uint64_t mark;
    struct brood_manager *manager;
    uint64_t id;
    int32_t process;
};

static int enter(const struct brood_dict *dict, const char *call)
{
    if (region_enter() < 0)
        return -EINVAL;
    if (!dict)
        return error_null(call, "the dictionary");
    if (!region_holds(dict, sizeof *dict) || dict->mark != DICT_MARK)
        return error_set(EINVAL, "%s: %p is no dictionary", call, (const void *)dict);
    return manager_enter(dict->manager, call);
}

/* A handle is made before its object is asked for: killed in between, this loses it, and not the object. */
static struct brood_dict *open_dict(struct brood_manager *manager, const char *call, unsigned method,
                                    const brood_any *what)
{
    struct brood_dict *dict = heap_take(sizeof *dict, true);
    if (!dict) {
        error_set(ENOMEM, "%s: no memory in the region for a dictionary", call);
        return NULL;
    }
    heap_label(dict, "handle of a dictionary");
    const struct request request = { .method = (uint16_t)method, .count = 1 };
    brood_any id;
    if (manager_ask(manager, call, &request, &what, &id) < 0) {
        int failed = errno;
        heap_give(dict, NULL);
        errno = failed;
        return NULL;
    }
    dict->manager = manager;
    dict->id = id.natural;
    dict->process = thread_self()->process;
    dict->mark = DICT_MARK;
    return dict;
}

brood_dict *brood_manager_dict(brood_manager *manager, const char *name)
{
    static const char call[] = "brood_manager_dict";
    const brood_any what = brood_any_string(name);
    return manager_enter(manager, call) < 0 ? NULL : open_dict(manager, call, MANAGER_DICT, &what);
}

int brood_manager_forget(brood_manager *manager, const char *name)
{
    static const char call[] = "brood_manager_forget";
    int failed = manager_enter(manager, call);
    if (failed < 0)
        return failed;
    if (!name)
        return error_null(call, "the name");
    const brood_any what = brood_any_string(name), *args[] = { &what };
    const struct request request = { .method = MANAGER_FORGET, .count = 1 };
    return manager_ask(manager, call, &request, args, NULL);
}

int brood_dict_close(brood_dict *dict)
{
    static const char call[] = "brood_dict_close";
    if (!dict)
        return 0;
    int failed = enter(dict, call);
    if (failed < 0)
        return failed;
    const brood_any id = brood_any_uint(dict->id), process = brood_any_int(dict->process), *args[] = { &id, &process };
    const struct request request = { .method = MANAGER_CLOSE, .count = 2 };
    failed = manager_ask(dict->manager, call, &request, args, NULL);
    if (failed < 0 && failed != -EPIPE && failed != -EOWNERDEAD && failed != -EINVAL)
        return failed;
    dict->mark = 0;
    heap_give(dict, NULL);
    return 0; /* a server that is gone has no handles */
}

static int ask(brood_dict *dict, const char *call, unsigned method, const brood_any *const *args, unsigned count,
               brood_any *value)
{
    int failed = enter(dict, call);
    if (failed < 0) {
        if (value)
            *value = brood_any_nil();
        return failed;
    }
    const struct request request = { .object = dict->id, .method = (uint16_t)method, .count = (uint16_t)count };
    return manager_ask(dict->manager, call, &request, args, value);
}

/* For calls that are no use without it. */
static int ask_for(brood_dict *dict, const char *call, unsigned method, const brood_any *const *args, unsigned count,
                   brood_any *value)
{
    if (!value)
        return region_enter() < 0 ? -EINVAL : error_null(call, "the place for the value");
    return ask(dict, call, method, args, count, value);
}

int(brood_dict_set)(brood_dict *dict, const brood_any *key, const brood_any *value)
{
    return ask(dict, "brood_dict_set", DICT_SET, (const brood_any *const[]){ key, value }, 2, NULL);
}

int(brood_dict_get)(brood_dict *dict, const brood_any *key, brood_any *value)
{
    return ask_for(dict, "brood_dict_get", DICT_GET, (const brood_any *const[]){ key }, 1, value);
}

int(brood_dict_delete)(brood_dict *dict, const brood_any *key)
{
    return ask(dict, "brood_dict_delete", DICT_DELETE, (const brood_any *const[]){ key }, 1, NULL);
}

int(brood_dict_pop)(brood_dict *dict, const brood_any *key, brood_any *value)
{
    return ask_for(dict, "brood_dict_pop", DICT_POP, (const brood_any *const[]){ key }, 1, value);
}

int(brood_dict_setdefault)(brood_dict *dict, const brood_any *key, const brood_any *otherwise, brood_any *value)
{
    return ask(dict, "brood_dict_setdefault", DICT_SETDEFAULT, (const brood_any *const[]){ key, otherwise }, 2, value);
}

int(brood_dict_add)(brood_dict *dict, const brood_any *key, const brood_any *amount)
{
    return ask(dict, "brood_dict_add", DICT_ADD, (const brood_any *const[]){ key, amount }, 2, NULL);
}

int(brood_dict_compare)(brood_dict *dict, const brood_any *key, const brood_any *expected, const brood_any *value)
{
    return ask(dict, "brood_dict_compare", DICT_COMPARE, (const brood_any *const[]){ key, expected, value }, 3, NULL);
}

int(brood_dict_swap)(brood_dict *dict, const brood_any *key, const brood_any *value, brood_any *old)
{
    return ask(dict, "brood_dict_swap", DICT_SWAP, (const brood_any *const[]){ key, value }, 2, old);
}

int(brood_dict_update)(brood_dict *dict, const brood_any *map)
{
    return ask(dict, "brood_dict_update", DICT_UPDATE, (const brood_any *const[]){ map }, 1, NULL);
}

int(brood_dict_contains)(brood_dict *dict, const brood_any *key)
{
    return ask(dict, "brood_dict_contains", DICT_CONTAINS, (const brood_any *const[]){ key }, 1, NULL);
}

int brood_dict_length(brood_dict *dict)
{
    brood_any count;
    int failed = ask(dict, "brood_dict_length", DICT_LENGTH, NULL, 0, &count);
    return failed < 0 ? failed : count.natural > INT_MAX ? INT_MAX : (int)count.natural;
}

int(brood_dict_keys)(brood_dict *dict, brood_any *list)
{
    return ask_for(dict, "brood_dict_keys", DICT_KEYS, NULL, 0, list);
}

int(brood_dict_values)(brood_dict *dict, brood_any *list)
{
    return ask_for(dict, "brood_dict_values", DICT_VALUES, NULL, 0, list);
}

int(brood_dict_items)(brood_dict *dict, brood_any *map)
{
    return ask_for(dict, "brood_dict_items", DICT_ITEMS, NULL, 0, map);
}

int(brood_dict_clear)(brood_dict *dict)
{
    return ask(dict, "brood_dict_clear", DICT_CLEAR, NULL, 0, NULL);
}

brood_dict *brood_dict_copy(brood_dict *dict)
{
    static const char call[] = "brood_dict_copy";
    if (enter(dict, call) < 0)
        return NULL;
    const brood_any id = brood_any_uint(dict->id);
    return open_dict(dict->manager, call, MANAGER_COPY, &id);
}
