/* managed_reference: a dictionary of lists, in a manager. Each of three processes puts a list of its own into it, and
 * is gone; the lists live on, as the dictionary refers to them. Prints "[0, 1, 2] [1, 2, 3] [2, 3, 4]". */
#include <brood.h>
#include <stdio.h>

enum { WRITERS = 3, NUMBERS = 3 };

struct desk {
    brood_manager *manager;
    brood_dict *lists;
    int writer;
};

static int write_list(void *arg)
{
    struct desk *desk = arg;
    brood_list *list = brood_manager_list(desk->manager, NULL);
    for (int i = 0; i < NUMBERS; i++)
        brood_list_append(list, desk->writer + i);
    return brood_dict_set(desk->lists, desk->writer, list) < 0;
}

static int print_list(struct desk *desk, int writer)
{
    brood_any reference, items;
    char text[40];
    if (brood_dict_get(desk->lists, writer, &reference) < 0)
        return -1;
    brood_list *list = brood_reference_list(desk->manager, &reference); /* a handle, by the reference */
    if (!list || brood_list_items(list, &items) < 0)
        return -1;
    brood_any_print(&items, text, sizeof text);
    brood_any_clear(&items);
    brood_list_close(list);
    return printf("%s%s", writer ? " " : "", text);
}

int main(void)
{
    brood_init(NULL);
    struct desk desk = { .manager = brood_manager_start(NULL) };
    desk.lists = brood_manager_dict(desk.manager, NULL);
    brood_process *writers[WRITERS];
    int failed = 0;
    for (; desk.writer < WRITERS; desk.writer++)
        writers[desk.writer] = brood_process_start(write_list, &desk, sizeof desk, NULL);
    for (int i = 0; i < WRITERS; i++)
        brood_process_join(writers[i], NULL, BROOD_FOREVER);
    for (int i = 0; i < WRITERS && failed >= 0; i++)
        failed = print_list(&desk, i);
    if (failed < 0)
        fprintf(stderr, "managed_reference: %s\n", brood_error());
    else
        puts("");
    brood_manager_destroy(desk.manager);
    return failed < 0;
}
