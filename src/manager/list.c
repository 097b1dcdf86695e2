/* manager/list.c: lists, as their clients call them. */
#include "manager/proxy.h"
#include "manager/sequence.h"

#include <brood/list.h>
#include <brood/reference.h>

struct brood_list {
    struct proxy proxy;
};

static const struct proxy_type type = { "list", "a", "handle of a list", LIST_MARK, MANAGER_LIST };

static struct proxy *proxy_of(brood_list *list)
{
    return list ? &list->proxy : NULL;
}

static brood_list *list_of(struct proxy *proxy)
{
    return (brood_list *)(void *)proxy;
}

brood_list *brood_manager_list(brood_manager *manager, const char *name)
{
    return list_of(proxy_find(&type, manager, "brood_manager_list", name));
}

brood_list *brood_reference_list(brood_manager *manager, const brood_any *reference)
{
    return (brood_list *)(void *)proxy_refer(&type, manager, "brood_reference_list", reference);
}

int brood_list_close(brood_list *list)
{
    return proxy_close(&type, proxy_of(list), "brood_list_close");
}

int(brood_list_append)(brood_list *list, const brood_any *item)
{
    return proxy_ask(&type, proxy_of(list), "brood_list_append", LIST_APPEND, (const brood_any *const[]){ item }, 1,
                     NULL);
}

int(brood_list_extend)(brood_list *list, const brood_any *items)
{
    return proxy_ask(&type, proxy_of(list), "brood_list_extend", LIST_EXTEND, (const brood_any *const[]){ items }, 1,
                     NULL);
}

int(brood_list_insert)(brood_list *list, int64_t index, const brood_any *item)
{
    const brood_any index_any = brood_any_int(index);
    return proxy_ask(&type, proxy_of(list), "brood_list_insert", LIST_INSERT,
                     (const brood_any *const[]){ &index_any, item }, 2, NULL);
}

int(brood_list_append_if)(brood_list *list, int64_t length, const brood_any *item)
{
    const brood_any length_any = brood_any_int(length);
    return proxy_ask(&type, proxy_of(list), "brood_list_append_if", LIST_APPEND_IF,
                     (const brood_any *const[]){ &length_any, item }, 2, NULL);
}

int(brood_list_get)(brood_list *list, int64_t index, brood_any *item)
{
    const brood_any index_any = brood_any_int(index);
    return proxy_get(&type, proxy_of(list), "brood_list_get", LIST_GET, (const brood_any *const[]){ &index_any }, 1,
                     item);
}

int(brood_list_set)(brood_list *list, int64_t index, const brood_any *item)
{
    const brood_any index_any = brood_any_int(index);
    return proxy_ask(&type, proxy_of(list), "brood_list_set", LIST_SET, (const brood_any *const[]){ &index_any, item },
                     2, NULL);
}

int(brood_list_swap)(brood_list *list, int64_t index, const brood_any *item, brood_any *old)
{
    const brood_any index_any = brood_any_int(index);
    return proxy_ask(&type, proxy_of(list), "brood_list_swap", LIST_SWAP,
                     (const brood_any *const[]){ &index_any, item }, 2, old);
}

int(brood_list_compare)(brood_list *list, int64_t index, const brood_any *expected, const brood_any *item)
{
    const brood_any index_any = brood_any_int(index);
    return proxy_ask(&type, proxy_of(list), "brood_list_compare", LIST_COMPARE,
                     (const brood_any *const[]){ &index_any, expected, item }, 3, NULL);
}

int(brood_list_add)(brood_list *list, int64_t index, const brood_any *amount)
{
    const brood_any index_any = brood_any_int(index);
    return proxy_ask(&type, proxy_of(list), "brood_list_add", LIST_ADD,
                     (const brood_any *const[]){ &index_any, amount }, 2, NULL);
}

int(brood_list_pop)(brood_list *list, int64_t index, brood_any *item)
{
    const brood_any index_any = brood_any_int(index);
    return proxy_get(&type, proxy_of(list), "brood_list_pop", LIST_POP, (const brood_any *const[]){ &index_any }, 1,
                     item);
}

int(brood_list_delete)(brood_list *list, int64_t index)
{
    const brood_any index_any = brood_any_int(index);
    return proxy_ask(&type, proxy_of(list), "brood_list_delete", LIST_DELETE, (const brood_any *const[]){ &index_any },
                     1, NULL);
}

int(brood_list_remove)(brood_list *list, const brood_any *item)
{
    return proxy_ask(&type, proxy_of(list), "brood_list_remove", LIST_REMOVE, (const brood_any *const[]){ item }, 1,
                     NULL);
}

int(brood_list_index)(brood_list *list, const brood_any *item)
{
    return proxy_count(&type, proxy_of(list), "brood_list_index", LIST_INDEX, (const brood_any *const[]){ item }, 1);
}

int(brood_list_count)(brood_list *list, const brood_any *item)
{
    return proxy_count(&type, proxy_of(list), "brood_list_count", LIST_COUNT, (const brood_any *const[]){ item }, 1);
}

int(brood_list_length)(brood_list *list)
{
    return proxy_count(&type, proxy_of(list), "brood_list_length", LIST_LENGTH, NULL, 0);
}

int(brood_list_slice)(brood_list *list, int64_t begin, int64_t end, brood_any *items)
{
    const brood_any begin_any = brood_any_int(begin);
    const brood_any end_any = brood_any_int(end);
    return proxy_get(&type, proxy_of(list), "brood_list_slice", LIST_SLICE,
                     (const brood_any *const[]){ &begin_any, &end_any }, 2, items);
}

int(brood_list_set_slice)(brood_list *list, int64_t begin, int64_t end, const brood_any *items)
{
    const brood_any begin_any = brood_any_int(begin);
    const brood_any end_any = brood_any_int(end);
    return proxy_ask(&type, proxy_of(list), "brood_list_set_slice", LIST_SET_SLICE,
                     (const brood_any *const[]){ &begin_any, &end_any, items }, 3, NULL);
}

int(brood_list_items)(brood_list *list, brood_any *items)
{
    return proxy_get(&type, proxy_of(list), "brood_list_items", LIST_ITEMS, NULL, 0, items);
}

int(brood_list_reverse)(brood_list *list)
{
    return proxy_ask(&type, proxy_of(list), "brood_list_reverse", LIST_REVERSE, NULL, 0, NULL);
}

int(brood_list_sort)(brood_list *list, bool descending)
{
    const brood_any descending_any = brood_any_bool(descending);
    return proxy_ask(&type, proxy_of(list), "brood_list_sort", LIST_SORT, (const brood_any *const[]){ &descending_any },
                     1, NULL);
}

int(brood_list_clear)(brood_list *list)
{
    return proxy_ask(&type, proxy_of(list), "brood_list_clear", LIST_CLEAR, NULL, 0, NULL);
}

brood_list *brood_list_copy(brood_list *list)
{
    return list_of(proxy_copy(&type, proxy_of(list), "brood_list_copy"));
}
