/* manager_namespace.c: namespaces in a manager.
 */
#include "harness.h"

static int add_one(void *arg)
{
    CHECK_RESULT(brood_namespace_add(arg, "x", 1), 0);
    return 0;
}

static void attributes(void)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_start(NULL));
    brood_namespace *names = CHECK_POINTER(brood_manager_namespace(manager, NULL));
    NEED(names != NULL);
    brood_any value;
    CHECK_RESULT(brood_namespace_get(names, "x", &value), -ENOENT);
    CHECK_RESULT(brood_namespace_delete(names, "x"), -ENOENT);
    CHECK_RESULT(brood_namespace_add(names, "x", 1), -ENOENT);
    CHECK_RESULT(brood_namespace_set(names, "x", 10), 0);
    CHECK_RESULT(brood_namespace_set(names, "y", "hello"), 0);
    CHECK_RESULT(brood_namespace_add(names, "y", 1), -EINVAL);
    for (brood_start method = BROOD_FORK; brood_start_name(method); method++) {
        const brood_process_options options = { .start = method };
        brood_process *process = CHECK_POINTER(brood_process_start(add_one, names, 0, &options));
        CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
    }
    CHECK_RESULT(brood_namespace_get(names, "x", &value), 0);
    CHECK_EQ(value.integer, 13);
    CHECK_RESULT(brood_namespace_items(names, &value), 0);
    CHECK_EQ(value.size, 2);
    CHECK_STR(value.items[3].string, "hello");
    brood_any_clear(&value);
    CHECK_RESULT(brood_namespace_delete(names, "y"), 0);
    CHECK_RESULT(brood_namespace_get(names, "y", &value), -ENOENT);
    CHECK_RESULT(brood_namespace_close(names), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void wrong_calls(void)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_start(NULL));
    brood_namespace *names = CHECK_POINTER(brood_manager_namespace(manager, "shop"));
    brood_any value;
    NEED(names != NULL);
    CHECK_NULL(brood_manager_dict(manager, "shop"), EINVAL);
    CHECK_HAS(brood_error(), "'shop' is a namespace, no dictionary");
    CHECK_RESULT(brood_namespace_set(names, NULL, 1), -EINVAL);
    CHECK_RESULT(brood_namespace_get(names, NULL, &value), -EINVAL);
    CHECK_RESULT(brood_namespace_get(names, "x", NULL), -EINVAL);
    CHECK_RESULT(brood_namespace_delete(names, NULL), -EINVAL);
    CHECK_RESULT(brood_namespace_set(names, "\xff", 1), -EINVAL);
    CHECK_RESULT(brood_namespace_set(NULL, "x", 1), -EINVAL);
    CHECK_RESULT(brood_namespace_items(NULL, &value), -EINVAL);
    CHECK_RESULT(brood_namespace_close(NULL), 0);
    CHECK_RESULT(brood_namespace_close(names), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "attributes", .run = attributes },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
