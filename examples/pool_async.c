/* The same squares by apply_async, one result each: prints [1, 4, 9, 16, 25]. */
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
    fprintf(stderr, "pool_async: %s\n", why);
    return 1;
}

int main(void)
{
    if (brood_init(NULL) < 0)
        return fail(brood_error());
    brood_pool *pool = brood_pool_create(5, NULL);
    if (!pool)
        return fail(brood_error());

    int squares[5];
    brood_result *results[5];
    for (int i = 0; i < 5; i++) {
        int number = i + 1; /* read before the call returns */
        results[i] = brood_pool_apply_async(pool, square, &number, sizeof number, &squares[i], sizeof *squares, NULL);
    }
    for (int i = 0; i < 5; i++) {
        if (brood_result_wait(results[i], 10000) != 0) /* a NULL result says what kept it from being made */
            return fail(brood_error());
        printf("%s%d", i ? ", " : "[", squares[i]);
        brood_result_destroy(results[i]);
    }
    puts("]");
    brood_pool_destroy(pool);
    return 0;
}
