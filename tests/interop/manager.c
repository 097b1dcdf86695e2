/* interop/manager.c: a manager that listens for others: tests/manager_protocol.py starts it.
 *
 *   manager ADDRESS KEY   prints where it listens; then, for each line of its standard input, how many objects and
 *                         handles there are, until that ends
 *
 * KEY "-": none. There is a list "greetings" with one string; a type "total", which is made from a number and has the
 * methods "add" and "fail"; a function "repeat", which returns its argument, and "lengthen", which appends it to a list
 * and returns the length.
 */
#include <brood.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(void)
{
    printf("%s\n", brood_error());
    return 1;
}

/* ---- in the server ---- */

static int begin_total(void **self, const brood_any *arg)
{
    int64_t *total = malloc(sizeof *total);
    *self = total;
    if (!total)
        return ENOMEM;
    *total = arg->integer;
    return 0;
}

static int add(void *self, const brood_any *arg, brood_any *result)
{
    int64_t *total = self;
    if (arg->kind != BROOD_INT)
        return brood_fail(ERANGE, "that is a %s", brood_kind_name(arg->kind));
    *result = brood_any_int(*total += arg->integer);
    return 0;
}

/* With an errno that has no name on the wire. */
static int fail_oddly(void *self, const brood_any *arg, brood_any *result)
{
    (void)self;
    (void)arg;
    (void)result;
    return EXDEV;
}

static int repeat(brood_managed_view *view, const brood_any *arg, brood_any *result)
{
    (void)view;
    *result = *arg;
    return 0;
}

static int lengthen(brood_managed_view *view, const brood_any *arg, brood_any *result)
{
    int failed = brood_managed_view_call(view, "append", arg, 1, NULL);
    return failed < 0 ? failed : brood_managed_view_call(view, "length", NULL, 0, result);
}

static int enroll(brood_manager *manager)
{
    static const brood_managed_method methods[] = { { "add", add }, { "fail", fail_oddly }, { NULL, NULL } };
    const brood_managed_type total = { .name = "total", .begin = begin_total, .end = free, .methods = methods };
    int failed = brood_manager_register(manager, &total);
    if (failed == 0)
        failed = brood_manager_register_function(manager, "repeat", repeat);
    return failed < 0 ? failed : brood_manager_register_function(manager, "lengthen", lengthen);
}

/* ---- the program ---- */

int main(int argc, char **argv)
{
    if (argc != 3 || brood_init(NULL) < 0)
        return 2;
    brood_manager *manager = brood_manager_start(&(brood_manager_options){ .name = "shop" });
    brood_listener_options options = { .max_message = 1000000 };
    if (strcmp(argv[2], "-") != 0)
        options = (brood_listener_options){ .key = argv[2], .key_size = strlen(argv[2]), .weak_digests = true };
    if (!manager || enroll(manager) < 0 || brood_manager_listen(manager, argv[1], &options) < 0)
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
