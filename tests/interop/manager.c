/* interop/manager.c: a manager that listens for others: tests/manager_protocol.py starts it.
 *
 *   manager ADDRESS KEY   prints where it listens; then, for each line of its standard input, how many objects and
 *                         handles there are, until that ends
 *
 * KEY "-": none. There is a list "greetings" with one string.
 */
#include <brood.h>
#include <stdio.h>
#include <string.h>

static int fail(void)
{
    printf("%s\n", brood_error());
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 3 || brood_init(NULL) < 0)
        return 2;
    brood_manager *manager = brood_manager_start(&(brood_manager_options){ .name = "shop" });
    brood_listener_options options = { .max_message = 1000000 };
    if (strcmp(argv[2], "-") != 0)
        options = (brood_listener_options){ .key = argv[2], .key_size = strlen(argv[2]), .weak_digests = true };
    if (!manager || brood_manager_listen(manager, argv[1], &options) < 0)
        return fail();
    brood_list *list = brood_manager_list(manager, "greetings");
    if (!list || brood_list_append(list, "hello from C") < 0 || brood_list_close(list) < 0)
        return fail();
    printf("%s\n", brood_manager_address(manager));
    fflush(stdout);
    char line[16];
    while (fgets(line, sizeof line, stdin)) {
        brood_manager_stats stats;
        if (brood_manager_stat(manager, &stats) < 0)
            return fail();
        printf("%zu %zu\n", stats.objects, stats.handles);
        fflush(stdout);
    }
    return brood_manager_destroy(manager) < 0 ? fail() : 0;
}
