/* managed_queue: two workers take jobs from a manager's queue. One is killed with a job in its hands; the job comes
 * back, and the other does it. Prints "1 worker died" and "sum 55". */
#include <brood.h>
#include <signal.h>
#include <stdio.h>

enum { JOBS = 5, WORKERS = 2 };

struct office {
    brood_managed_queue *jobs;
    brood_managed_value *sum;
};

static int work(void *arg)
{
    struct office *office = arg;
    brood_any job;
    int died; /* how often somebody had it who died */
    while ((died = brood_managed_queue_get(office->jobs, &job, BROOD_FOREVER)) >= 0) {
        if (job.integer == 3 && died == 0)
            raise(SIGKILL);
        brood_managed_value_add(office->sum, job.integer * job.integer, NULL);
        brood_managed_queue_done(office->jobs);
    }
    return died != -EPIPE; /* no more jobs will come */
}

int main(void)
{
    brood_init(NULL);
    brood_manager *manager = brood_manager_start(NULL);
    struct office office = {
        .jobs = brood_manager_joinable_queue(manager, "jobs", 0),
        .sum = brood_manager_value(manager, "sum", 0),
    };
    if (!office.jobs || !office.sum) {
        fprintf(stderr, "managed_queue: %s\n", brood_error());
        return 1;
    }
    brood_process *workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        workers[i] = brood_process_start(work, &office, sizeof office, NULL);
    for (int i = 1; i <= JOBS; i++)
        brood_managed_queue_put(office.jobs, i, BROOD_FOREVER);
    brood_managed_queue_join(office.jobs, BROOD_FOREVER);
    brood_managed_queue_shutdown(office.jobs);
    int dead = 0;
    for (int i = 0; i < WORKERS; i++) {
        brood_end end;
        brood_process_join(workers[i], &end, BROOD_FOREVER);
        dead += end.how == BROOD_CRASHED;
    }
    brood_any sum;
    if (brood_managed_value_get(office.sum, &sum) < 0)
        return 1;
    printf("%d worker died\nsum %d\n", dead, (int)sum.integer);
    brood_manager_destroy(manager);
    return 0;
}
