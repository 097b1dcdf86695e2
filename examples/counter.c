/* Eight processes add 1 to one counter, ten million times in all, in three ways: prints how many got lost in each.
 *
 *     counter [fork | spawn | forkserver]
 *
 * By the pointer two of them may read the same number and write the same one back: of two increments one is lost.
 */
#include <brood.h>
#include <stdio.h>
#include <string.h>

enum { PROCESSES = 8, INCREMENTS = 10000000 };

struct job {
    brood_value *counter;
    brood_value *started; /* so that they all begin at once */
};

typedef int counting(brood_value *counter);

static int count_bare(brood_value *counter)
{
    volatile int *number = brood_value_at(counter);
    for (int i = 0; i < INCREMENTS / PROCESSES; i++)
        (*number)++;
    return 0;
}

static int count_locked(brood_value *counter)
{
    int *number = brood_value_at(counter);
    for (int i = 0; i < INCREMENTS / PROCESSES; i++) {
        if (brood_value_acquire(counter, BROOD_FOREVER) < 0)
            return -1;
        (*number)++;
        brood_value_release(counter);
    }
    return 0;
}

static int count_adding(brood_value *counter)
{
    for (int i = 0; i < INCREMENTS / PROCESSES; i++)
        if (brood_value_add(counter, 1, NULL) < 0)
            return -1;
    return 0;
}

static int run(void *arg, counting *count)
{
    const struct job *job = arg;
    int started;
    brood_value_add(job->started, 1, NULL);
    do
        if (brood_value_load(job->started, &started) < 0)
            return brood_fail(1, "%s", brood_error());
    while (started < PROCESSES);
    return count(job->counter) < 0 ? brood_fail(1, "%s", brood_error()) : 0;
}

static int run_bare(void *arg)
{
    return run(arg, count_bare);
}

static int run_locked(void *arg)
{
    return run(arg, count_locked);
}

static int run_adding(void *arg)
{
    return run(arg, count_adding);
}

static int fail(const char *why)
{
    fprintf(stderr, "counter: %s\n", why);
    return 1;
}

/* 0, and how many increments are missing; or 1. */
static int count_lost(brood_target *target, brood_start method, int *lost)
{
    struct job job = { brood_value_create('i', NULL), brood_value_create('i', &(brood_value_options){ .raw = true }) };
    brood_process_options options = { .start = method, .daemon = true };
    brood_process *processes[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        if (!(processes[i] = brood_process_start(target, &job, sizeof job, &options)))
            return fail(brood_error()); /* those that have been started end with main: daemons */
    for (int i = 0; i < PROCESSES; i++) {
        brood_end end;
        if (brood_process_join(processes[i], &end, BROOD_FOREVER) < 0)
            return fail(brood_error());
        if (end.how != BROOD_RETURNED)
            return fail(end.why);
        brood_process_close(processes[i]);
    }
    int counted;
    if (brood_value_load(job.counter, &counted) < 0)
        return fail(brood_error());
    *lost = INCREMENTS - counted;
    return brood_value_destroy(job.counter) < 0 || brood_value_destroy(job.started) < 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        brood_target *target;
    } ways[] = { { "no lock", run_bare }, { "lock", run_locked }, { "brood_value_add", run_adding } };
    if (brood_init(NULL) < 0)
        return fail(brood_error());
    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--help") == 0)) {
        fputs("usage: counter [fork | spawn | forkserver]\n", argc > 2 ? stderr : stdout);
        return argc > 2 ? 2 : 0;
    }
    int method = argc == 2 ? brood_start_find(argv[1]) : brood_start_default();
    if (method < 0)
        return fail(brood_error());
    for (int i = 0; i < 3; i++) {
        int lost;
        if (count_lost(ways[i].target, (brood_start)method, &lost))
            return 1;
        printf("%s: %d of %d lost\n", ways[i].name, lost, INCREMENTS);
    }
    return 0;
}
