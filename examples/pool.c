/* Five workers square five numbers: prints [1, 4, 9, 16, 25]. */
#include <brood.h>
#include <stdio.h>

static int square(const void *in, void *out)
{
    const int *number = in;
    *(int *)out = *number * *number;
    return 0;
}

static int fail(const char *why)
{
    fprintf(stderr, "pool: %s\n", why);
    return 1;
}

int main(void)
{
    if (brood_init(NULL) < 0)
        return fail(brood_error());
    brood_pool *pool = brood_pool_create(5, NULL);
    if (!pool)
        return fail(brood_error());

    int numbers[] = { 1, 2, 3, 4, 5 }, squares[5];
    if (brood_pool_map(pool, square, numbers, sizeof *numbers, squares, sizeof *squares, 5, NULL) != 0)
        return fail(brood_error()); /* > 0 is how many of the five failed */
    for (int i = 0; i < 5; i++)
        printf("%s%d", i ? ", " : "[", squares[i]);
    puts("]");
    brood_pool_destroy(pool);
    return 0;
}
