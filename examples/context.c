/* A child by the start method that is named, spawn if none is: prints Hello, World!
 *
 *     context [fork | spawn | forkserver]
 */
#include <brood.h>
#include <stdio.h>
#include <string.h>

static int print_hello(void *arg)
{
    (void)arg;
    puts("Hello, World!");
    return 0;
}

static int fail(const char *why)
{
    fprintf(stderr, "context: %s\n", why);
    return 1;
}

int main(int argc, char **argv)
{
    if (brood_init(NULL) < 0) /* a spawned child goes in here, prints, and exits */
        return fail(brood_error());
    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--help") == 0)) {
        fputs("usage: context [fork | spawn | forkserver]\n", argc > 2 ? stderr : stdout);
        return argc > 2 ? 2 : 0;
    }
    int method = brood_start_find(argc == 2 ? argv[1] : "spawn");
    if (method < 0)
        return fail(brood_error());
    brood_process_options options = { .start = (brood_start)method };
    brood_process *process = brood_process_start(print_hello, NULL, 0, &options);
    brood_end end;
    if (brood_process_join(process, &end, BROOD_FOREVER) < 0) /* of NULL: fails with the sentence of the start */
        return fail(brood_error());
    brood_process_close(process);
    return end.how == BROOD_RETURNED ? 0 : fail(end.why);
}
