/* manager_array.c: arrays in a manager: each call, each error, several clients.
 */
#include "harness.h"

#include <stdint.h>

enum { PLACES = 4, PARTIES = 4, EACH = 300 };

static brood_manager *manager;

static brood_managed_array *new_array(void)
{
    const brood_any items[PLACES] = { brood_any_int(0), brood_any_int(1), brood_any_int(2), brood_any_int(3) };
    manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(manager != NULL);
    brood_managed_array *array = CHECK_POINTER(brood_manager_array(manager, NULL, brood_any_list(items, PLACES)));
    NEED(array != NULL);
    return array;
}

static void end(brood_managed_array *array)
{
    CHECK_RESULT(brood_managed_array_close(array), 0);
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.memory, 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static bool is(brood_managed_array *array, const char *digits)
{
    brood_any all;
    if (!CHECK_RESULT(brood_managed_array_items(array, &all), 0))
        return false;
    bool same = all.size == PLACES;
    for (size_t i = 0; i < all.size && same; i++)
        same = all.items[i].integer == digits[i] - '0';
    brood_any_clear(&all);
    return same;
}

static void every_call(void)
{
    brood_managed_array *array = new_array();
    brood_any item;
    CHECK_RESULT(brood_managed_array_length(array), PLACES);
    CHECK(is(array, "0123"));
    CHECK_RESULT(brood_managed_array_get(array, -1, &item), 0);
    CHECK_EQ(item.integer, 3);
    CHECK_RESULT(brood_managed_array_get(array, PLACES, &item), -ERANGE);
    CHECK_HAS(brood_error(), "item 4 of 4");
    CHECK_RESULT(brood_managed_array_set(array, 0, 9), 0);
    CHECK_RESULT(brood_managed_array_set(array, 9, 9), -ERANGE);
    CHECK_RESULT(brood_managed_array_swap(array, 1, 8, &item), 0);
    CHECK_EQ(item.integer, 1);
    CHECK_RESULT(brood_managed_array_swap(array, -9, 8, NULL), -ERANGE);
    CHECK_RESULT(brood_managed_array_compare(array, 1, 7, 5), -EAGAIN);
    CHECK_RESULT(brood_managed_array_compare(array, 1, 8, 5), 0);
    CHECK_RESULT(brood_managed_array_compare(array, 4, 8, 5), -ERANGE);
    CHECK_RESULT(brood_managed_array_add(array, 2, 4), 0);
    CHECK_RESULT(brood_managed_array_add(array, 2, "4"), -EINVAL);
    CHECK_RESULT(brood_managed_array_add(array, 4, 4), -ERANGE);
    CHECK(is(array, "9563"));
    CHECK_RESULT(brood_managed_array_slice(array, 1, INT64_MAX, &item), 0);
    CHECK_EQ(item.size, 3);
    CHECK_EQ(item.items[0].integer, 5);
    CHECK_RESULT(brood_managed_array_set_slice(array, 0, 3, item), 0);
    CHECK(is(array, "5633"));
    CHECK_RESULT(brood_managed_array_set_slice(array, 0, 2, item), -EINVAL);
    CHECK_HAS(brood_error(), "3 items for 2 places");
    CHECK_RESULT(brood_managed_array_set_slice(array, 3, 1, item), -EINVAL);
    CHECK_RESULT(brood_managed_array_set_slice(array, 0, 2, 5), -EINVAL);
    brood_any_clear(&item);
    CHECK(is(array, "5633"));
    end(array);
}

static int add_many(void *arg)
{
    for (int i = 0; i < EACH; i++)
        CHECK_RESULT(brood_managed_array_add(arg, i % PLACES, 1), 0);
    return 0;
}

static void many_add(void)
{
    brood_managed_array *array = new_array();
    brood_process *processes[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        const brood_process_options options = { .start = (brood_start)(BROOD_FORK + i % 3) };
        processes[i] = CHECK_POINTER(brood_process_start(add_many, array, 0, &options));
    }
    for (int i = 0; i < PARTIES; i++)
        CHECK_RESULT(brood_process_join(processes[i], NULL, BROOD_FOREVER), 0);
    for (int i = 0; i < PLACES; i++) {
        brood_any item;
        CHECK_RESULT(brood_managed_array_get(array, i, &item), 0);
        CHECK_EQ(item.integer, i + PARTIES * EACH / PLACES);
    }
    end(array);
}

static void wrong_calls(void)
{
    brood_managed_array *array = new_array();
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, "shop"));
    brood_any item;
    CHECK_NULL(brood_manager_array(NULL, NULL, brood_any_list(NULL, 0)), EINVAL);
    CHECK_NULL((brood_manager_array)(manager, NULL, NULL), EINVAL);
    CHECK_NULL(brood_manager_array(manager, NULL, 5), EINVAL);
    CHECK_HAS(brood_error(), "an int is no list");
    CHECK_NULL(brood_manager_array(manager, "shop", brood_any_list(NULL, 0)), EINVAL);
    CHECK_HAS(brood_error(), "'shop' is a list, no array");
    CHECK_RESULT(brood_managed_array_get(NULL, 0, &item), -EINVAL);
    CHECK_RESULT(brood_managed_array_get(array, 0, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_array_get((brood_managed_array *)(void *)list, 0, &item), -EINVAL);
    CHECK_RESULT(brood_managed_array_set(NULL, 0, 1), -EINVAL);
    CHECK_RESULT(brood_managed_array_set(array, 0, "\xff"), -EINVAL);
    CHECK_RESULT(brood_managed_array_swap(NULL, 0, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_array_compare(NULL, 0, 1, 2), -EINVAL);
    CHECK_RESULT(brood_managed_array_add(NULL, 0, 1), -EINVAL);
    CHECK_RESULT(brood_managed_array_length(NULL), -EINVAL);
    CHECK_RESULT(brood_managed_array_slice(array, 0, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_array_set_slice(NULL, 0, 1, brood_any_list(NULL, 0)), -EINVAL);
    CHECK_RESULT(brood_managed_array_items(array, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_array_close(NULL), 0);
    CHECK_RESULT(brood_managed_array_close(array), 0);
    CHECK_RESULT(brood_list_close(list), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "every_call", .run = every_call },
        { .name = "many_add", .run = many_add },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
