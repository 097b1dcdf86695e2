/* Ten processes add to one counter, each under its lock, so that none loses the work of another: prints 10. */
#include <brood.h>
#include <stdio.h>
#include <threads.h>

struct counter {
    brood_lock lock;
    int value;
};

static int increment_counter(void *arg)
{
    struct counter *counter = arg;
    if (brood_lock_acquire(&counter->lock, BROOD_FOREVER) < 0)
        return brood_fail(1, "%s", brood_error());
    int value = counter->value;
    thrd_sleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL); /* some computation */
    counter->value = value + 1;
    brood_lock_release(&counter->lock);
    return 0;
}

static int fail(const char *why)
{
    fprintf(stderr, "locks: %s\n", why);
    return 1;
}

int main(void)
{
    if (brood_init(NULL) < 0)
        return fail(brood_error());
    struct counter *counter = brood_alloc(sizeof *counter); /* zeroed: a free lock, and 0 */
    if (!counter)
        return fail(brood_error());

    brood_process *processes[10];
    for (int i = 0; i < 10; i++) {
        processes[i] = brood_process_start(increment_counter, counter, 0, NULL); /* size 0: the pointer itself */
        if (!processes[i])
            return fail(brood_error());
    }
    for (int i = 0; i < 10; i++) {
        brood_end end;
        if (brood_process_join(processes[i], &end, BROOD_FOREVER) < 0)
            return fail(brood_error());
        if (end.how != BROOD_RETURNED)
            return fail(end.why);
        brood_process_close(processes[i]);
    }
    printf("%d\n", counter->value);
    brood_free(counter);
    return 0;
}
