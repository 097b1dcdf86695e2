/* manager_value.c: values in a manager: each call, each error, several clients.
 */
#include "harness.h"

#include <stdatomic.h>
#include <stdint.h>

enum { PARTIES = 4, EACH = 300 };

struct scene {
    brood_manager *manager;
    brood_managed_value *value;
    atomic_int seen[PARTIES * EACH];
};

static struct scene *new_scene(void)
{
    struct scene *scene = CHECK_POINTER(brood_alloc(sizeof *scene));
    NEED(scene != NULL);
    scene->manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(scene->manager != NULL);
    scene->value = CHECK_POINTER(brood_manager_value(scene->manager, NULL, 0));
    NEED(scene->value != NULL);
    return scene;
}

static void end(struct scene *scene)
{
    CHECK_RESULT(brood_managed_value_close(scene->value), 0);
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(scene->manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.memory, 0);
    CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
    brood_free(scene);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void every_call(void)
{
    struct scene *scene = new_scene();
    brood_managed_value *value = scene->value;
    brood_any now;
    CHECK_RESULT(brood_managed_value_get(value, &now), 0);
    CHECK_EQ(now.integer, 0);
    CHECK_RESULT(brood_managed_value_add(value, 5, &now), 0);
    CHECK_EQ(now.integer, 5);
    CHECK_RESULT(brood_managed_value_add(value, -2, NULL), 0);
    CHECK_RESULT(brood_managed_value_compare(value, 4, 9), -EAGAIN);
    CHECK_RESULT(brood_managed_value_compare(value, 3, 9), 0);
    CHECK_RESULT(brood_managed_value_swap(value, "a string that is longer than a few bytes", &now), 0);
    CHECK_EQ(now.integer, 9);
    CHECK_RESULT(brood_managed_value_add(value, 1, NULL), -EINVAL);
    CHECK_HAS(brood_error(), "must be numbers");
    CHECK_RESULT(brood_managed_value_get(value, &now), 0);
    CHECK_STR(now.string, "a string that is longer than a few bytes");
    brood_any_clear(&now);
    CHECK_RESULT(brood_managed_value_swap(value, INT64_MIN, NULL), 0);
    CHECK_RESULT(brood_managed_value_add(value, -1, NULL), -ERANGE);
    CHECK_RESULT(brood_managed_value_set(value, 1.5), 0);
    CHECK_RESULT(brood_managed_value_add(value, 1, &now), 0);
    CHECK_EQ(now.kind, BROOD_DOUBLE);
    CHECK(now.real == 2.5);
    end(scene);
}

static int take_numbers(void *arg)
{
    struct scene *scene = arg;
    for (int i = 0; i < EACH; i++) {
        brood_any sum;
        CHECK_RESULT(brood_managed_value_add(scene->value, 1, &sum), 0);
        CHECK_EQ(atomic_fetch_add(&scene->seen[sum.integer - 1], 1), 0);
    }
    return 0;
}

/* No two get the same. */
static void many_add(void)
{
    struct scene *scene = new_scene();
    brood_process *processes[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        const brood_process_options options = { .start = (brood_start)(BROOD_FORK + i % 3) };
        processes[i] = CHECK_POINTER(brood_process_start(take_numbers, scene, 0, &options));
    }
    for (int i = 0; i < PARTIES; i++)
        CHECK_RESULT(brood_process_join(processes[i], NULL, BROOD_FOREVER), 0);
    brood_any now;
    CHECK_RESULT(brood_managed_value_get(scene->value, &now), 0);
    CHECK_EQ(now.integer, PARTIES * EACH);
    end(scene);
}

static void wrong_calls(void)
{
    struct scene *scene = new_scene();
    brood_managed_value *named = CHECK_POINTER(brood_manager_value(scene->manager, "next", 7));
    brood_managed_value *same = CHECK_POINTER(brood_manager_value(scene->manager, "next", 8));
    brood_any now, deep[66];
    deep[65] = brood_any_int(1);
    for (int i = 64; i >= 0; i--)
        deep[i] = brood_any_list(&deep[i + 1], 1);
    CHECK_RESULT(brood_managed_value_get(same, &now), 0);
    CHECK_EQ(now.integer, 7);
    CHECK_NULL(brood_manager_value(NULL, NULL, 1), EINVAL);
    CHECK_NULL((brood_manager_value)(scene->manager, NULL, NULL), EINVAL);
    CHECK_NULL(brood_manager_value(scene->manager, NULL, "\xff"), EINVAL);
    CHECK_NULL(brood_manager_value(scene->manager, NULL, deep[0]), EMSGSIZE);
    CHECK_NULL(brood_manager_lock(scene->manager, "next"), EINVAL);
    CHECK_HAS(brood_error(), "'next' is a value, no lock");
    CHECK_RESULT(brood_managed_value_set(NULL, 1), -EINVAL);
    CHECK_RESULT(brood_managed_value_set(same, "\xff"), -EINVAL);
    CHECK_RESULT(brood_managed_value_set(same, deep[0]), -EMSGSIZE);
    CHECK_RESULT((brood_managed_value_set)(same, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_value_get(NULL, &now), -EINVAL);
    CHECK_RESULT(brood_managed_value_get(same, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_value_swap(NULL, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_value_compare(NULL, 1, 2), -EINVAL);
    CHECK_RESULT(brood_managed_value_add(NULL, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_value_add(same, "1", NULL), -EINVAL);
    CHECK_RESULT(brood_managed_value_close(NULL), 0);
    CHECK_RESULT(brood_managed_value_close(same), 0);
    CHECK_RESULT(brood_managed_value_close(named), 0);
    CHECK_RESULT(brood_managed_value_close(scene->value), 0);
    CHECK_RESULT(brood_manager_destroy(scene->manager), 0);
    brood_free(scene);
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
