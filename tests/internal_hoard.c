/* internal_hoard.c: a server that may have little memory: what does not fit is refused, and nothing is changed.
 */
#include "harness.h"
#include "manager/hoard.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 20000, LARGE = 8000, TOO_LARGE = 30000 };

static char text[TOO_LARGE + 1];

/* Its server is forked, and so has the limit. */
static brood_manager *start_poor(void)
{
    hoard_most = MOST;
    const brood_manager_options options = { .start = BROOD_FORK };
    brood_manager *manager = CHECK_POINTER(brood_manager_start(&options));
    hoard_most = SIZE_MAX;
    NEED(manager != NULL);
    return manager;
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

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "queue", .run = queue },
        { .name = "set", .run = set },
        { .name = "value_and_array", .run = value_and_array },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
