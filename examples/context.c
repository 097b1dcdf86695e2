/* A child that inherits nothing, since it is the program started afresh (spawn): prints Hello, World! */
#include <brood.h>
#include <stdio.h>

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

int main(void)
{
    if (brood_init(NULL) < 0) /* the child goes in here, prints, and exits */
        return fail(brood_error());
    brood_process_options spawn = { .start = BROOD_SPAWN };
    brood_process *process = brood_process_start(print_hello, NULL, 0, &spawn);
    brood_end end;
    if (brood_process_join(process, &end, BROOD_FOREVER) < 0) /* of NULL: fails with the sentence of the start */
        return fail(brood_error());
    brood_process_close(process);
    return end.how == BROOD_RETURNED ? 0 : fail(end.why);
}
