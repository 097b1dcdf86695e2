/* shared_list: five processes append to one list of a manager. Prints [0, 1, 2, 3, 4]. */
#include <brood.h>
#include <stdio.h>

struct job {
    brood_list *list;
    int value;
};

static int append_to_list(void *arg)
{
    struct job *job = arg;
    return brood_list_append(job->list, job->value) < 0;
}

int main(void)
{
    brood_init(NULL);
    brood_manager *manager = brood_manager_start(NULL);
    brood_list *list = manager ? brood_manager_list(manager, NULL) : NULL;
    if (!list) {
        fprintf(stderr, "shared_list: %s\n", brood_error());
        return 1;
    }
    brood_process *processes[5];
    for (int i = 0; i < 5; i++)
        processes[i] = brood_process_start(append_to_list, &(struct job){ list, i }, sizeof(struct job), NULL);
    for (int i = 0; i < 5; i++)
        brood_process_join(processes[i], NULL, BROOD_FOREVER);
    brood_list_sort(list, false); /* they came in any order */
    brood_any items;
    if (brood_list_items(list, &items) < 0)
        return 1;
    for (size_t i = 0; i < items.size; i++)
        printf("%s%d", i ? ", " : "[", (int)items.items[i].integer);
    puts("]");
    brood_any_clear(&items);
    brood_list_close(list);
    brood_manager_destroy(manager);
    return 0;
}
