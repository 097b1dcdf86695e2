/* manager_set.c: sets in a manager: each call, each error, several clients.
 */
#include "harness.h"

#include <stdatomic.h>
#include <string.h>

enum { PARTIES = 4, EACH = 300 };

static brood_manager *manager;

static brood_set *new_set(void)
{
    manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(manager != NULL);
    brood_set *set = CHECK_POINTER(brood_manager_set(manager, NULL));
    NEED(set != NULL);
    return set;
}

static void end(brood_set *set)
{
    CHECK_RESULT(brood_set_close(set), 0);
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.memory, 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* Whether it is these small numbers, one a digit. */
static bool is(brood_set *set, const char *digits)
{
    brood_any all;
    if (!CHECK_RESULT(brood_set_items(set, &all), 0))
        return false;
    bool same = all.kind == BROOD_LIST && all.size == strlen(digits);
    for (size_t i = 0; i < all.size && same; i++)
        same = all.items[i].integer == digits[i] - '0';
    brood_any_clear(&all);
    return same;
}

/* A list of them. */
static const brood_any *list_of(const char *digits, brood_any *list)
{
    static brood_any items[16];
    for (size_t i = 0; digits[i]; i++)
        items[i] = brood_any_int(digits[i] - '0');
    *list = brood_any_list(items, strlen(digits));
    return list;
}

static void one_by_one(void)
{
    brood_set *set = new_set();
    brood_any member;
    CHECK_RESULT(brood_set_length(set), 0);
    CHECK_RESULT(brood_set_pop(set, &member), -ENOENT);
    CHECK_HAS(brood_error(), "empty");
    CHECK_RESULT(brood_set_add(set, 3), 0);
    CHECK_RESULT(brood_set_add(set, 1), 0);
    CHECK_RESULT(brood_set_add(set, 3), 1);
    CHECK_RESULT(brood_set_add(set, 2), 0);
    CHECK(is(set, "312"));
    CHECK_RESULT(brood_set_length(set), 3);
    CHECK_RESULT(brood_set_contains(set, 1), 1);
    CHECK_RESULT(brood_set_contains(set, "1"), 0);
    CHECK_RESULT(brood_set_remove(set, 1), 0);
    CHECK_RESULT(brood_set_remove(set, 1), -ENOENT);
    CHECK(is(set, "32"));
    CHECK_RESULT(brood_set_pop(set, &member), 0);
    CHECK_EQ(member.integer, 2);
    CHECK_RESULT(brood_set_add(set, "a string that is longer than a few bytes"), 0);
    CHECK_RESULT(brood_set_contains(set, "a string that is longer than a few bytes"), 1);
    CHECK_RESULT(brood_set_clear(set), 0);
    CHECK_RESULT(brood_set_length(set), 0);
    end(set);
}

static void as_a_whole(void)
{
    brood_set *set = new_set();
    brood_any list;
    CHECK_RESULT((brood_set_update)(set, list_of("1234321", &list)), 0);
    CHECK(is(set, "1234"));
    CHECK_RESULT((brood_set_update)(set, list_of("45", &list)), 0);
    CHECK(is(set, "12345"));
    brood_set *copy = CHECK_POINTER(brood_set_copy(set));
    CHECK_RESULT((brood_set_keep)(set, list_of("5719", &list)), 0);
    CHECK(is(set, "15"));
    CHECK_RESULT((brood_set_subtract)(set, list_of("12", &list)), 0);
    CHECK(is(set, "5"));
    CHECK_RESULT((brood_set_subtract)(set, list_of("", &list)), 0);
    CHECK(is(set, "5"));
    CHECK_RESULT((brood_set_keep)(set, list_of("", &list)), 0);
    CHECK(is(set, ""));
    CHECK(is(copy, "12345"));
    const brood_any wrong[] = { brood_any_int(9), brood_any_list(NULL, 0) };
    CHECK_RESULT(brood_set_update(copy, brood_any_list(wrong, 2)), -EINVAL);
    CHECK_HAS(brood_error(), "a list cannot be in a set");
    CHECK_RESULT(brood_set_keep(copy, brood_any_list(wrong, 2)), -EINVAL);
    CHECK_RESULT(brood_set_subtract(copy, 1), -EINVAL);
    CHECK_HAS(brood_error(), "an int is no list");
    CHECK(is(copy, "12345"));
    CHECK_RESULT(brood_set_close(copy), 0);
    end(set);
}

static int add_many(void *arg)
{
    for (int i = 0; i < EACH; i++)
        CHECK(brood_set_add(arg, i) >= 0);
    return 0;
}

static void many_add(void)
{
    brood_set *set = new_set();
    brood_process *processes[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        const brood_process_options options = { .start = (brood_start)(BROOD_FORK + i % 3) };
        processes[i] = CHECK_POINTER(brood_process_start(add_many, set, 0, &options));
    }
    for (int i = 0; i < PARTIES; i++)
        CHECK_RESULT(brood_process_join(processes[i], NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_set_length(set), EACH);
    end(set);
}

static void wrong_calls(void)
{
    brood_set *set = new_set();
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_any member, deep[66];
    deep[65] = brood_any_int(1);
    for (int i = 64; i >= 0; i--)
        deep[i] = brood_any_list(&deep[i + 1], 1);
    CHECK_NULL(brood_manager_set(NULL, NULL), EINVAL);
    CHECK_RESULT(brood_set_add(NULL, 1), -EINVAL);
    CHECK_RESULT(brood_set_add((brood_set *)(void *)dict, 1), -EINVAL);
    CHECK_RESULT(brood_set_add(set, "\xff"), -EINVAL);
    CHECK_RESULT(brood_set_add(set, brood_any_list(NULL, 0)), -EINVAL);
    CHECK_RESULT((brood_set_add)(set, NULL), -EINVAL);
    CHECK_RESULT(brood_set_update(set, deep[0]), -EMSGSIZE);
    CHECK_RESULT(brood_set_remove(NULL, 1), -EINVAL);
    CHECK_RESULT(brood_set_contains(NULL, 1), -EINVAL);
    CHECK_RESULT(brood_set_pop(NULL, &member), -EINVAL);
    CHECK_RESULT(brood_set_pop(set, NULL), -EINVAL);
    CHECK_RESULT(brood_set_length(NULL), -EINVAL);
    CHECK_RESULT(brood_set_items(set, NULL), -EINVAL);
    CHECK_RESULT(brood_set_clear(NULL), -EINVAL);
    CHECK_NULL(brood_set_copy(NULL), EINVAL);
    CHECK_RESULT(brood_set_close(NULL), 0);
    CHECK_RESULT(brood_dict_close(dict), 0);
    end(set);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "one_by_one", .run = one_by_one },
        { .name = "as_a_whole", .run = as_a_whole },
        { .name = "many_add", .run = many_add },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
