/* manager_limits.c: a server with limits: what goes beyond one is refused, and nothing is changed.
 */
#include "harness.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 20000, LARGE = 8000, TOO_LARGE = 30000, OBJECTS = 3, MESSAGE = 1000, DEPTH = 3 };

static char text[TOO_LARGE + 1];

static brood_manager *start(const brood_manager_options *options)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_start(options));
    NEED(manager != NULL);
    return manager;
}

static brood_manager *start_poor(void)
{
    return start(&(brood_manager_options){ .max_memory = MOST });
}

static const char *text_of(size_t size)
{
    memset(text, 't', size);
    text[size] = 0;
    return text;
}

static size_t memory_of(brood_manager *manager)
{
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    return stats.memory;
}

static void queue(void)
{
    brood_manager *manager = start_poor();
    brood_managed_queue *queue = CHECK_POINTER(brood_manager_queue(manager, NULL, 0));
    brood_any item;
    for (int i = 0; i < 2; i++)
        CHECK_RESULT(brood_managed_queue_put(queue, text_of(LARGE), 0), 0);
    size_t memory = memory_of(manager);
    CHECK_RESULT(brood_managed_queue_put(queue, text_of(LARGE), BROOD_FOREVER), -ENOMEM);
    CHECK_HAS(brood_error(), "memory");
    CHECK_EQ(memory_of(manager), memory);
    CHECK_RESULT(brood_managed_queue_get(queue, &item, 0), 0);
    CHECK_EQ(item.size, LARGE);
    brood_any_clear(&item);
    CHECK_RESULT(brood_managed_queue_put(queue, text_of(LARGE), 0), 0); /* what was got is not kept any more */
    CHECK_RESULT(brood_managed_queue_count(queue), 2);
    CHECK_RESULT(brood_managed_queue_close(queue), 0);
    CHECK_EQ(memory_of(manager), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static void set(void)
{
    enum { MEMBERS = 1000 };
    brood_manager *manager = start_poor();
    brood_set *set = CHECK_POINTER(brood_manager_set(manager, NULL));
    brood_any *members = calloc(MEMBERS, sizeof *members);
    NEED(members != NULL);
    for (int i = 0; i < MEMBERS; i++)
        members[i] = brood_any_int(i);
    CHECK_RESULT(brood_set_add(set, -1), 0);
    size_t memory = memory_of(manager);
    CHECK_RESULT(brood_set_update(set, brood_any_list(members, MEMBERS)), -ENOMEM);
    CHECK_RESULT(brood_set_keep(set, brood_any_list(members, MEMBERS)), -ENOMEM);
    CHECK_RESULT(brood_set_add(set, text_of(TOO_LARGE)), -ENOMEM);
    CHECK_EQ(memory_of(manager), memory);
    CHECK_RESULT(brood_set_length(set), 1);
    CHECK_RESULT(brood_set_contains(set, -1), 1);
    free(members);
    CHECK_RESULT(brood_set_close(set), 0);
    CHECK_EQ(memory_of(manager), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static void value_and_array(void)
{
    brood_manager *manager = start_poor();
    brood_managed_value *value = CHECK_POINTER(brood_manager_value(manager, NULL, 5));
    brood_any now, two[2];
    CHECK_RESULT(brood_managed_value_set(value, text_of(TOO_LARGE)), -ENOMEM);
    CHECK_RESULT(brood_managed_value_swap(value, text_of(TOO_LARGE), &now), -ENOMEM);
    CHECK_RESULT(brood_managed_value_get(value, &now), 0);
    CHECK_EQ(now.integer, 5);
    CHECK_NULL(brood_manager_value(manager, NULL, text_of(TOO_LARGE)), ENOMEM);
    two[0] = two[1] = brood_any_string(text_of(MOST / 2 + 1000));
    CHECK_NULL(brood_manager_array(manager, NULL, brood_any_list(two, 2)), ENOMEM);
    CHECK_RESULT(brood_managed_value_close(value), 0);
    CHECK_EQ(memory_of(manager), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static void names(void)
{
    brood_manager *manager = start_poor();
    CHECK_NULL(brood_manager_dict(manager, text_of(TOO_LARGE)), ENOMEM);
    CHECK_HAS(brood_error(), "memory");
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.handles, 0);
    CHECK_EQ(stats.memory, 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static int open_one_too_many(void *arg)
{
    CHECK_NULL(brood_manager_lock(arg, NULL), ENOSPC);
    return 0;
}

/* Whoever asks, for whatever type, by name or not; one that is there already is found. */
static void objects(void)
{
    brood_manager *manager = start(&(brood_manager_options){ .max_objects = OBJECTS });
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, "d"));
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL));
    brood_managed_event *event = CHECK_POINTER(brood_manager_event(manager, NULL));
    NEED(dict && list && event);
    CHECK_NULL(brood_manager_dict(manager, "e"), ENOSPC);
    CHECK_HAS(brood_error(), "3 objects");
    CHECK_NULL(brood_manager_queue(manager, NULL, 0), ENOSPC);
    CHECK_NULL(brood_dict_copy(dict), ENOSPC);
    CHECK_NULL(brood_list_copy(list), ENOSPC);
    CHECK_EQ(wait_child(fork_child(open_one_too_many, manager)), 0);
    brood_dict *again = CHECK_POINTER(brood_manager_dict(manager, "d"));
    CHECK_RESULT(brood_dict_set(again, "a", 1), 0);
    CHECK_RESULT(brood_managed_event_close(event), 0);
    brood_dict *copy = CHECK_POINTER(brood_dict_copy(dict));
    CHECK_RESULT(brood_dict_length(copy), 1);
    CHECK_NULL(brood_manager_dict(manager, "e"), ENOSPC);
    CHECK_RESULT(brood_manager_forget(manager, "e"), -ENOENT);
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, OBJECTS);
    CHECK_EQ(stats.handles, OBJECTS + 1);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static void message(void)
{
    brood_manager *manager = start(&(brood_manager_options){ .max_message = MESSAGE });
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL));
    brood_any items;
    CHECK_RESULT(brood_list_append(list, text_of(MESSAGE - 3)), 0); /* its head has 3 bytes */
    CHECK_RESULT(brood_list_append(list, text_of(MESSAGE - 2)), -EMSGSIZE);
    CHECK_HAS(brood_error(), "1001 bytes");
    CHECK_RESULT(brood_list_append(list, text_of(TOO_LARGE)), -EMSGSIZE);
    CHECK_NULL(brood_manager_list(manager, text_of(MESSAGE)), EMSGSIZE);
    CHECK_RESULT(brood_list_length(list), 1);
    CHECK_RESULT(brood_list_append(list, 7), 0);
    CHECK_RESULT(brood_list_items(list, &items), -EMSGSIZE); /* both together */
    CHECK_HAS(brood_error(), "its answer would have");
    CHECK_RESULT(brood_list_slice(list, 1, INT64_MAX, &items), 0);
    CHECK_EQ(items.size, 1);
    brood_any_clear(&items);
    CHECK_RESULT(brood_list_pop(list, 0, &items), 0);
    CHECK_EQ(items.size, MESSAGE - 3);
    brood_any_clear(&items);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    for (int i = 0; i < MESSAGE; i++)
        CHECK_RESULT(brood_dict_set(dict, i, i), 0);
    CHECK_RESULT(brood_dict_keys(dict, &items), -EMSGSIZE);
    CHECK_RESULT(brood_dict_length(dict), MESSAGE);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static void depth(void)
{
    brood_manager *manager = start(&(brood_manager_options){ .max_depth = DEPTH });
    brood_managed_value *value = CHECK_POINTER(brood_manager_value(manager, NULL, 0));
    brood_any deep[DEPTH + 1], now;
    deep[0] = brood_any_list(NULL, 0);
    for (int i = 1; i <= DEPTH; i++)
        deep[i] = brood_any_list(&deep[i - 1], 1);
    CHECK_RESULT(brood_managed_value_set(value, deep[DEPTH - 1]), 0);
    CHECK_RESULT(brood_managed_value_set(value, deep[DEPTH]), -EMSGSIZE);
    CHECK_HAS(brood_error(), "3 deep");
    CHECK_NULL(brood_manager_value(manager, NULL, deep[DEPTH]), EMSGSIZE);
    CHECK_RESULT(brood_managed_value_get(value, &now), 0);
    CHECK_EQ(brood_any_equal(&now, &deep[DEPTH - 1]), 1);
    brood_any_clear(&now);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

/* The limits are the server's: who comes by an address has them too, and is still served after it has met one. */
static void by_address(void)
{
    const brood_manager_options options = {
        .max_objects = 1, .max_memory = MOST, .max_message = MESSAGE, .max_depth = 1
    };
    brood_manager *manager = start(&options);
    char address[64];
    snprintf(address, sizeof address, "unix:@brood-limits-%d", (int)getpid());
    CHECK_RESULT(brood_manager_listen(manager, address, NULL), 0);
    brood_manager *other = CHECK_POINTER(brood_manager_connect(address, NULL));
    NEED(other != NULL);
    brood_list *list = CHECK_POINTER(brood_manager_list(other, NULL));
    NEED(list != NULL);
    CHECK_NULL(brood_manager_dict(other, NULL), ENOSPC);
    CHECK_RESULT(brood_list_append(list, text_of(MESSAGE)), -EMSGSIZE);
    const brood_any inner = brood_any_list(NULL, 0);
    CHECK_RESULT(brood_list_append(list, brood_any_list(&inner, 1)), -EMSGSIZE);
    int failed = 0, count = 0;
    while ((failed = brood_list_append(list, text_of(MESSAGE / 2))) == 0)
        count++;
    CHECK_RESULT(failed, -ENOMEM);
    CHECK(count > 20 && count < MOST / (MESSAGE / 2));
    CHECK_RESULT(brood_list_length(list), count);
    CHECK_RESULT(brood_manager_destroy(other), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static void wrong_options(void)
{
    CHECK_NULL(brood_manager_start(&(brood_manager_options){ .max_depth = 65 }), EINVAL);
    CHECK_HAS(brood_error(), "max_depth");
    CHECK_NULL(brood_manager_start(&(brood_manager_options){ .max_message = 255 }), EINVAL);
    CHECK_HAS(brood_error(), "max_message");
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "names", .run = names },
        { .name = "objects", .run = objects },
        { .name = "message", .run = message },
        { .name = "depth", .run = depth },
        { .name = "by_address", .run = by_address },
        { .name = "wrong_options", .run = wrong_options },
        { .name = "queue", .run = queue },
        { .name = "set", .run = set },
        { .name = "value_and_array", .run = value_and_array },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
