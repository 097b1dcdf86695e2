/* shared_dict: ten processes count in one dictionary of a manager. Prints 10.
 *
 * Each adds one to "count", which is one step in the server; and one to "locked" by getting and setting it under a
 * lock, as a program must whose step is more than the server can do at once.
 */
#include <brood.h>
#include <stdio.h>

struct shop {
    brood_dict *dict;
    brood_lock lock;
};

static int count(void *arg)
{
    struct shop *shop = arg;
    brood_any now;
    if (brood_dict_add(shop->dict, "count", 1) < 0)
        return 1;
    if (brood_lock_acquire(&shop->lock, BROOD_FOREVER) < 0)
        return 1;
    int failed = brood_dict_get(shop->dict, "locked", &now);
    if (failed == 0)
        failed = brood_dict_set(shop->dict, "locked", now.integer + 1);
    brood_lock_release(&shop->lock);
    return failed < 0;
}

int main(void)
{
    enum { COUNTERS = 10 };
    brood_init(NULL);
    struct shop *shop = brood_alloc(sizeof *shop);
    brood_manager *manager = brood_manager_start(NULL);
    if (!shop || !manager || !(shop->dict = brood_manager_dict(manager, NULL))) {
        fprintf(stderr, "shared_dict: %s\n", brood_error());
        return 1;
    }
    brood_dict_set(shop->dict, "count", 0);
    brood_dict_set(shop->dict, "locked", 0);
    brood_process *processes[COUNTERS];
    for (int i = 0; i < COUNTERS; i++)
        processes[i] = brood_process_start(count, shop, 0, NULL);
    for (int i = 0; i < COUNTERS; i++)
        brood_process_join(processes[i], NULL, BROOD_FOREVER);
    brood_any total, locked;
    int failed = brood_dict_get(shop->dict, "count", &total);
    if (failed == 0)
        failed = brood_dict_get(shop->dict, "locked", &locked);
    if (failed == 0)
        printf("%d\n", (int)total.integer);
    brood_dict_close(shop->dict);
    brood_manager_destroy(manager);
    brood_free(shop);
    return failed < 0 || locked.integer != total.integer;
}
