/* A map over 10,000 inputs, of which some crash, hang, eat memory or call exit. Each costs itself: prints how many
 * ended in which way, and the first of each with its reason.
 */
#include <brood.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define INPUTS 10000
#define HOWS (BROOD_OVER_MEMORY + 1)

/* One in a thousand misbehaves, in each of five ways. */
static int parse(const void *in, void *out)
{
    int input = *(const int *)in;
    struct rlimit none = { 0, 0 };
    volatile char *food;
    switch (input % 1000) {
    case 123:
        setrlimit(RLIMIT_CORE, &none);
        abort();
    case 234:
        for (volatile long i = 0;; i++)
            continue;
    case 345:
        food = malloc(256 << 20);
        if (!food)
            return 1;
        for (size_t i = 0;; i = (i + 4096) % (256 << 20)) /* until it is stopped */
            food[i] = 1;
    case 456:
        exit(3);
    case 567:
        return brood_fail(22, "input %d is no number", input);
    default:
        *(int *)out = input / 2;
        return 0;
    }
}

int main(void)
{
    static int inputs[INPUTS], outputs[INPUTS];
    static brood_end ends[INPUTS];
    size_t counts[HOWS] = { 0 }, first[HOWS] = { 0 };
    if (brood_init(NULL) < 0)
        return fprintf(stderr, "crashtest: %s\n", brood_error()), 1;
    for (int i = 0; i < INPUTS; i++)
        inputs[i] = i;

    brood_pool *pool = brood_pool_create(0, &(brood_pool_options){ .name = "crashtest" });
    int failed = brood_pool_map(pool, parse, inputs, sizeof *inputs, outputs, sizeof *outputs, INPUTS,
                                &(brood_task_options){ .hard_ms = 1000, .max_memory = 64 << 20, .ends = ends });
    if (failed < 0)
        return fprintf(stderr, "crashtest: %s\n", brood_error()), 1;
    for (size_t i = INPUTS; i-- > 0;) {
        counts[ends[i].how]++;
        first[ends[i].how] = i;
    }
    for (int how = BROOD_RETURNED; how < HOWS; how++)
        if (counts[how] > 0)
            printf("%-12s %5zu  %s\n", brood_how_name((brood_how)how), counts[how],
                   how == BROOD_RETURNED ? "" : ends[first[how]].why);
    return brood_pool_destroy(pool) < 0;
}
