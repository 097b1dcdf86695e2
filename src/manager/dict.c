/* manager/dict.c: dictionaries, as their clients call them. */
#include "manager/dictionary.h"
#include "manager/proxy.h"

#include <brood/dict.h>
#include <brood/reference.h>

struct brood_dict {
    struct proxy proxy;
};

static const struct proxy_type type = { "dictionary", "a", "handle of a dictionary", DICT_MARK, MANAGER_DICT };

static struct proxy *proxy_of(brood_dict *dict)
{
    return dict ? &dict->proxy : NULL;
}

static brood_dict *dict_of(struct proxy *proxy)
{
    return (brood_dict *)(void *)proxy;
}

brood_dict *brood_manager_dict(brood_manager *manager, const char *name)
{
    return dict_of(proxy_find(&type, manager, "brood_manager_dict", name));
}

brood_dict *brood_reference_dict(brood_manager *manager, const brood_any *reference)
{
    return (brood_dict *)(void *)proxy_refer(&type, manager, "brood_reference_dict", reference);
}

int brood_dict_close(brood_dict *dict)
{
    return proxy_close(&type, proxy_of(dict), "brood_dict_close");
}

int(brood_dict_set)(brood_dict *dict, const brood_any *key, const brood_any *value)
{
    return proxy_ask(&type, proxy_of(dict), "brood_dict_set", DICT_SET, (const brood_any *const[]){ key, value }, 2,
                     NULL);
}

int(brood_dict_get)(brood_dict *dict, const brood_any *key, brood_any *value)
{
    return proxy_get(&type, proxy_of(dict), "brood_dict_get", DICT_GET, (const brood_any *const[]){ key }, 1, value);
}

int(brood_dict_delete)(brood_dict *dict, const brood_any *key)
{
    return proxy_ask(&type, proxy_of(dict), "brood_dict_delete", DICT_DELETE, (const brood_any *const[]){ key }, 1,
                     NULL);
}

int(brood_dict_pop)(brood_dict *dict, const brood_any *key, brood_any *value)
{
    return proxy_get(&type, proxy_of(dict), "brood_dict_pop", DICT_POP, (const brood_any *const[]){ key }, 1, value);
}

int(brood_dict_setdefault)(brood_dict *dict, const brood_any *key, const brood_any *otherwise, brood_any *value)
{
    return proxy_ask(&type, proxy_of(dict), "brood_dict_setdefault", DICT_SETDEFAULT,
                     (const brood_any *const[]){ key, otherwise }, 2, value);
}

int(brood_dict_add)(brood_dict *dict, const brood_any *key, const brood_any *amount)
{
    return proxy_ask(&type, proxy_of(dict), "brood_dict_add", DICT_ADD, (const brood_any *const[]){ key, amount }, 2,
                     NULL);
}

int(brood_dict_compare)(brood_dict *dict, const brood_any *key, const brood_any *expected, const brood_any *value)
{
    return proxy_ask(&type, proxy_of(dict), "brood_dict_compare", DICT_COMPARE,
                     (const brood_any *const[]){ key, expected, value }, 3, NULL);
}

int(brood_dict_swap)(brood_dict *dict, const brood_any *key, const brood_any *value, brood_any *old)
{
    return proxy_ask(&type, proxy_of(dict), "brood_dict_swap", DICT_SWAP, (const brood_any *const[]){ key, value }, 2,
                     old);
}

int(brood_dict_update)(brood_dict *dict, const brood_any *map)
{
    return proxy_ask(&type, proxy_of(dict), "brood_dict_update", DICT_UPDATE, (const brood_any *const[]){ map }, 1,
                     NULL);
}

int(brood_dict_contains)(brood_dict *dict, const brood_any *key)
{
    return proxy_ask(&type, proxy_of(dict), "brood_dict_contains", DICT_CONTAINS, (const brood_any *const[]){ key }, 1,
                     NULL);
}

int(brood_dict_length)(brood_dict *dict)
{
    return proxy_count(&type, proxy_of(dict), "brood_dict_length", DICT_LENGTH, NULL, 0);
}

int(brood_dict_keys)(brood_dict *dict, brood_any *list)
{
    return proxy_get(&type, proxy_of(dict), "brood_dict_keys", DICT_KEYS, NULL, 0, list);
}

int(brood_dict_values)(brood_dict *dict, brood_any *list)
{
    return proxy_get(&type, proxy_of(dict), "brood_dict_values", DICT_VALUES, NULL, 0, list);
}

int(brood_dict_items)(brood_dict *dict, brood_any *map)
{
    return proxy_get(&type, proxy_of(dict), "brood_dict_items", DICT_ITEMS, NULL, 0, map);
}

int(brood_dict_clear)(brood_dict *dict)
{
    return proxy_ask(&type, proxy_of(dict), "brood_dict_clear", DICT_CLEAR, NULL, 0, NULL);
}

brood_dict *brood_dict_copy(brood_dict *dict)
{
    return dict_of(proxy_copy(&type, proxy_of(dict), "brood_dict_copy"));
}
