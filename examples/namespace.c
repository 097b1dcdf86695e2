/* namespace: a child changes what its parent has set in a namespace of a manager. Prints 11 child. */
#include <brood.h>
#include <stdio.h>

static int grow(void *arg)
{
    brood_namespace *settings = arg;
    return brood_namespace_add(settings, "x", 1) < 0 || brood_namespace_set(settings, "name", "child") < 0;
}

int main(void)
{
    brood_init(NULL);
    brood_manager *manager = brood_manager_start(NULL);
    brood_namespace *settings = manager ? brood_manager_namespace(manager, "settings") : NULL;
    if (!settings) {
        fprintf(stderr, "namespace: %s\n", brood_error());
        return 1;
    }
    brood_namespace_set(settings, "x", 10);
    brood_namespace_set(settings, "name", "parent");
    brood_process_join(brood_process_start(grow, settings, 0, NULL), NULL, BROOD_FOREVER);
    brood_any x, name;
    if (brood_namespace_get(settings, "x", &x) < 0 || brood_namespace_get(settings, "name", &name) < 0)
        return 1;
    printf("%d %s\n", (int)x.integer, name.string);
    brood_any_clear(&name);
    brood_namespace_close(settings);
    brood_manager_destroy(manager);
    return 0;
}
