/* manager_list.c: lists in a manager: each call, each error, several clients.
 */
#include "harness.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

static brood_manager *manager;

static brood_list *new_list(void)
{
    manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(manager != NULL);
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL));
    NEED(list != NULL);
    return list;
}

static void end(brood_list *list)
{
    CHECK_RESULT(brood_list_close(list), 0);
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.memory, 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* Whether it is these small numbers, one a digit. */
static bool is(brood_list *list, const char *digits)
{
    brood_any all;
    if (!CHECK_RESULT(brood_list_items(list, &all), 0))
        return false;
    bool same = all.size == strlen(digits);
    for (size_t i = 0; i < all.size && same; i++)
        same = all.items[i].kind == BROOD_INT && all.items[i].integer == digits[i] - '0';
    brood_any_clear(&all);
    return same;
}

static void fill(brood_list *list, const char *digits)
{
    CHECK_RESULT(brood_list_clear(list), 0);
    for (; *digits; digits++)
        CHECK_RESULT(brood_list_append(list, *digits - '0'), 0);
}

static void one_by_one(void)
{
    brood_list *list = new_list();
    brood_any item;
    fill(list, "12345");
    CHECK(is(list, "12345"));
    CHECK_RESULT(brood_list_length(list), 5);
    CHECK_RESULT(brood_list_get(list, 0, &item), 0);
    CHECK_EQ(item.integer, 1);
    CHECK_RESULT(brood_list_get(list, -1, &item), 0);
    CHECK_EQ(item.integer, 5);
    CHECK_RESULT(brood_list_get(list, 5, &item), -ERANGE);
    CHECK_HAS(brood_error(), "item 5 of 5");
    CHECK_RESULT(brood_list_get(list, -6, &item), -ERANGE);
    CHECK_RESULT(brood_list_set(list, 1, 7), 0);
    CHECK_RESULT(brood_list_set(list, 9, 7), -ERANGE);
    CHECK_RESULT(brood_list_swap(list, -1, 8, &item), 0);
    CHECK_EQ(item.integer, 5);
    CHECK_RESULT(brood_list_swap(list, 9, 8, NULL), -ERANGE);
    CHECK_RESULT(brood_list_compare(list, 0, 2, 3), -EAGAIN);
    CHECK_RESULT(brood_list_compare(list, 0, 1, 3), 0);
    CHECK_RESULT(brood_list_compare(list, 7, 1, 3), -ERANGE);
    CHECK_RESULT(brood_list_add(list, 0, 2), 0);
    CHECK(is(list, "57348"));
    CHECK_RESULT(brood_list_add(list, 0, "x"), -EINVAL);
    CHECK_HAS(brood_error(), "a string cannot be added to an int");
    CHECK_RESULT(brood_list_add(list, 8, 1), -ERANGE);
    CHECK_RESULT(brood_list_insert(list, 1, 9), 0);
    CHECK_RESULT(brood_list_insert(list, -100, 0), 0);
    CHECK_RESULT(brood_list_insert(list, 100, 1), 0);
    CHECK(is(list, "05973481"));
    CHECK_RESULT(brood_list_pop(list, -1, &item), 0);
    CHECK_EQ(item.integer, 1);
    CHECK_RESULT(brood_list_pop(list, 20, &item), -ERANGE);
    CHECK_RESULT(brood_list_delete(list, 0), 0);
    CHECK_RESULT(brood_list_delete(list, 20), -ERANGE);
    CHECK_RESULT(brood_list_remove(list, 7), 0);
    CHECK_RESULT(brood_list_remove(list, 7), -ENOENT);
    CHECK(is(list, "59348"));
    CHECK_RESULT(brood_list_index(list, 3), 2);
    CHECK_RESULT(brood_list_index(list, 7), -ENOENT);
    CHECK_RESULT(brood_list_append_if(list, 4, 1), -EAGAIN);
    CHECK_RESULT(brood_list_append_if(list, 5, 9), 0);
    CHECK_RESULT(brood_list_count(list, 9), 2);
    CHECK_RESULT(brood_list_count(list, 7), 0);
    end(list);
}

static void slices(void)
{
    brood_list *list = new_list();
    brood_any part;
    const brood_any more[] = { brood_any_int(7), brood_any_int(8), brood_any_int(9) };
    fill(list, "12345");
    CHECK_RESULT(brood_list_slice(list, 1, -1, &part), 0);
    CHECK_EQ(part.size, 3);
    CHECK_EQ(part.items[0].integer, 2);
    CHECK_RESULT(brood_list_extend(list, part), 0);
    brood_any_clear(&part);
    CHECK(is(list, "12345234"));
    CHECK_RESULT(brood_list_slice(list, 6, INT64_MAX, &part), 0);
    CHECK_EQ(part.size, 2);
    brood_any_clear(&part);
    CHECK_RESULT(brood_list_slice(list, 4, 2, &part), 0);
    CHECK_EQ(part.size, 0);
    brood_any_clear(&part);
    CHECK_RESULT(brood_list_set_slice(list, 5, INT64_MAX, brood_any_list(NULL, 0)), 0);
    CHECK(is(list, "12345"));
    CHECK_RESULT(brood_list_set_slice(list, 1, 2, brood_any_list(more, 3)), 0);
    CHECK(is(list, "1789345"));
    CHECK_RESULT(brood_list_set_slice(list, 3, 1, brood_any_list(more, 1)), 0);
    CHECK(is(list, "17879345"));
    CHECK_RESULT(brood_list_set_slice(list, 0, 1, 5), -EINVAL);
    CHECK_RESULT(brood_list_extend(list, "abc"), -EINVAL);
    CHECK_HAS(brood_error(), "a string is no list");
    end(list);
}

static void in_order(void)
{
    brood_list *list = new_list();
    fill(list, "3141592653");
    CHECK_RESULT(brood_list_sort(list, false), 0);
    CHECK(is(list, "1123345569"));
    CHECK_RESULT(brood_list_sort(list, true), 0);
    CHECK(is(list, "9655433211"));
    CHECK_RESULT(brood_list_reverse(list), 0);
    CHECK(is(list, "1123345569"));
    brood_list *copy = CHECK_POINTER(brood_list_copy(list));
    CHECK_RESULT(brood_list_append(list, "a string"), 0);
    CHECK_RESULT(brood_list_sort(list, false), -EINVAL);
    CHECK_HAS(brood_error(), "a string has no order with an int");
    CHECK(is(copy, "1123345569"));
    CHECK_RESULT(brood_list_close(copy), 0);
    CHECK_RESULT(brood_list_clear(list), 0);
    CHECK_RESULT(brood_list_sort(list, false), 0);
    const char *words[] = { "pear", "fig", "a plum that takes more than fourteen bytes", "apple", "figs" };
    for (size_t i = 0; i < 5; i++)
        CHECK_RESULT(brood_list_append(list, words[i]), 0);
    CHECK_RESULT(brood_list_sort(list, false), 0);
    brood_any all;
    CHECK_RESULT(brood_list_items(list, &all), 0);
    CHECK_STR(all.items[0].string, words[2]);
    CHECK_STR(all.items[1].string, "apple");
    CHECK_STR(all.items[3].string, "figs");
    brood_any_clear(&all);
    end(list);
}

static void wrong_calls(void)
{
    brood_list *list = new_list();
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, "shop"));
    brood_any item;
    CHECK_NULL(brood_manager_list(manager, "shop"), EINVAL);
    CHECK_HAS(brood_error(), "'shop' is a dictionary, no list");
    CHECK_RESULT(brood_list_append(NULL, 1), -EINVAL);
    CHECK_RESULT(brood_list_append((brood_list *)(void *)dict, 1), -EINVAL);
    CHECK_RESULT(brood_list_append(list, "\xff"), -EINVAL);
    CHECK_RESULT(brood_list_get(list, 0, NULL), -EINVAL);
    CHECK_RESULT(brood_list_pop(list, 0, &item), -ERANGE);
    CHECK_EQ(item.kind, BROOD_NIL);
    CHECK_NULL(brood_list_copy(NULL), EINVAL);
    CHECK_RESULT(brood_list_close(NULL), 0);
    CHECK_RESULT(brood_list_close(list), 0);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

enum { APPENDERS = 6, EACH = 1000 };

static int append_many(void *arg)
{
    for (int i = 0; i < EACH; i++)
        CHECK_RESULT(brood_list_append(arg, i), 0);
    return 0;
}

static void many_append(void)
{
    brood_list *list = new_list();
    brood_process *processes[APPENDERS];
    for (int i = 0; i < APPENDERS; i++) {
        const brood_process_options options = { .start = (brood_start)(BROOD_FORK + i % 3) };
        processes[i] = CHECK_POINTER(brood_process_start(append_many, list, 0, &options));
    }
    for (int i = 0; i < APPENDERS; i++)
        CHECK_RESULT(brood_process_join(processes[i], NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_list_length(list), APPENDERS * EACH);
    for (int i = 0; i < EACH; i += 100)
        CHECK_RESULT(brood_list_count(list, i), APPENDERS);
    end(list);
}

/* A map's order says nothing; and one as large as this is compared in well under a second, or nobody else is served. */
static void large_maps(void)
{
    enum { PAIRS = 50000 };
    static brood_any up[2 * PAIRS], down[2 * PAIRS];
    manager = CHECK_POINTER(brood_manager_start(NULL));
    for (int i = 0; i < PAIRS; i++) {
        up[2 * i] = down[2 * (PAIRS - 1 - i)] = brood_any_int(i);
        up[2 * i + 1] = down[2 * (PAIRS - 1 - i) + 1] = brood_any_int(3 * i);
    }
    for (int count = 3; count <= PAIRS; count = count < 30 ? 30 : count < PAIRS ? PAIRS : PAIRS + 1) {
        brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL));
        const brood_any *last = &down[2 * (PAIRS - count)]; /* the same keys, of `count`, in the other order */
        brood_any map = brood_any_map(up, (size_t)count), same = brood_any_map(last, (size_t)count);
        CHECK_RESULT(brood_list_append(list, 1), 0);
        CHECK_RESULT(brood_list_append(list, map), 0);
        CHECK_EQ(brood_list_index(list, map), 1);
        CHECK_EQ(brood_list_index(list, same), 1);
        up[3].integer++;
        CHECK_EQ(brood_list_index(list, map), -ENOENT);
        up[3].integer--;
        down[2 * PAIRS - 4] = brood_any_int(-1); /* a key that the other has not */
        CHECK_EQ(brood_list_index(list, same), -ENOENT);
        down[2 * PAIRS - 4] = brood_any_int(1);
        CHECK_RESULT(brood_list_close(list), 0);
    }
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "one_by_one", .run = one_by_one },
        { .name = "slices", .run = slices },
        { .name = "in_order", .run = in_order },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = "many_append", .run = many_append },
        { .name = "large_maps", .run = large_maps },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
