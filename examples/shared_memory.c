/* A child adds to a value that it shares with its starter: prints 3.14. */
#include <brood.h>
#include <stdio.h>

struct job {
    brood_value *shared_value;
    double amount;
};

static int add_to_value(void *arg)
{
    const struct job *job = arg;
    if (brood_value_add(job->shared_value, job->amount, NULL) < 0)
        return brood_fail(1, "%s", brood_error());
    return 0;
}

static int fail(const char *why)
{
    fprintf(stderr, "shared_memory: %s\n", why);
    return 1;
}

int main(void)
{
    if (brood_init(NULL) < 0)
        return fail(brood_error());
    struct job job = { brood_value_create('d', NULL), 3.14 }; /* 'd': a double, which begins as 0 */
    brood_process *process = brood_process_start(add_to_value, &job, sizeof job, NULL); /* a copy of the job */
    brood_end end;
    if (brood_process_join(process, &end, BROOD_FOREVER) < 0)
        return fail(brood_error());
    brood_process_close(process);
    if (end.how != BROOD_RETURNED)
        return fail(end.why);

    double sum;
    if (brood_value_load(job.shared_value, &sum) < 0)
        return fail(brood_error());
    printf("%g\n", sum);
    return brood_value_destroy(job.shared_value) < 0;
}
