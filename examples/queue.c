/* A child squares numbers into a queue: prints [1, 4, 9, 16]. */
#include <brood.h>
#include <stdio.h>

struct job {
    int numbers[4];
    brood_queue *queue;
};

static int square_numbers(void *arg)
{
    struct job *job = arg;
    for (int i = 0; i < 4; i++) {
        int square = job->numbers[i] * job->numbers[i];
        if (brood_queue_put(job->queue, &square, sizeof square, BROOD_FOREVER) < 0)
            return brood_fail(1, "%s", brood_error());
    }
    return 0;
}

int main(void)
{
    if (brood_init(NULL) < 0)
        return fprintf(stderr, "%s\n", brood_error()), 1;
    struct job job = { { 1, 2, 3, 4 }, brood_queue_create(NULL) };
    brood_process *process = brood_process_start(square_numbers, &job, sizeof job, NULL);
    if (brood_process_owes(process, job.queue, BROOD_PUTS) < 0) /* of a NULL too: with the sentence of what failed */
        return fprintf(stderr, "%s\n", brood_error()), 1;

    /* No count, no sentinel, no join: the queue ends when the process that owes it has. */
    const char *comma = "[";
    int square, result;
    while ((result = brood_queue_get(job.queue, &square, sizeof square, NULL, BROOD_FOREVER)) >= 0) {
        printf("%s%d", comma, square);
        comma = ", ";
    }
    puts("]");
    if (result != -EPIPE) /* EOWNERDEAD: it crashed half-way, and these are not all */
        fprintf(stderr, "%s\n", brood_error());
    return result != -EPIPE || brood_queue_destroy(job.queue) < 0;
}
