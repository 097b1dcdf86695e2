/* A loop of the program's own, here epoll's, that also waits for a pool: squares are computed beside it, and their
 * callbacks run in this thread, when the loop says so. Prints the squares' sum. */
#include <brood.h>
#include <stdio.h>
#include <sys/epoll.h>

enum { TASKS = 100 };

static int square(const void *in, void *out)
{
    int number = *(const int *)in;
    *(int *)out = number * number;
    return 0;
}

struct state {
    int squares[TASKS];
    int done, failed;
};

static void count(void *context, brood_result *result, int failed)
{
    struct state *state = context;
    state->done++;
    state->failed += failed != 0;
    brood_result_destroy(result);
}

static int fail(void)
{
    return fprintf(stderr, "%s\n", brood_error()), 1;
}

int main(void)
{
    static struct state state;
    brood_pool *pool;
    if (brood_init(NULL) < 0 || !(pool = brood_pool_create(0, NULL)))
        return fail();
    for (int i = 0; i < TASKS; i++)
        if (!brood_pool_apply_async(pool, square, &i, sizeof i, &state.squares[i], sizeof(int),
                                    &(brood_task_options){ .done = count, .context = &state }))
            return fail();

    brood_watch *watch = brood_watch_create();
    if (brood_watch_add(watch, &(brood_waitable){ .kind = BROOD_WAIT_POOL, .object = pool }) < 0)
        return fail();
    int loop = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(loop, EPOLL_CTL_ADD, brood_watch_fd(watch), &(struct epoll_event){ .events = EPOLLIN });

    while (state.done < TASKS) {
        struct epoll_event event;
        brood_waitable ready;
        if (epoll_wait(loop, &event, 1, -1) < 0) /* EINTR: once more */
            continue;
        if (brood_watch_wait(watch, &ready, 1, 0) == 1)
            brood_pool_callbacks(pool);
    }
    long sum = 0;
    for (int i = 0; i < TASKS; i++)
        sum += state.squares[i];
    printf("%ld\n", sum);
    return state.failed || brood_watch_destroy(watch) < 0 || brood_pool_destroy(pool) < 0;
}
