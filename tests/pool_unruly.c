/* pool_unruly.c: tasks that do what no task should: what each costs is its own end, and nothing else.
 */
#include "harness.h"

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ITEMS = 40, WORKERS = 2 };

static const brood_pool_options methods[] = { { .start = BROOD_FORK },
                                              { .start = BROOD_SPAWN },
                                              { .start = BROOD_FORKSERVER } };

/* What a task does where `odd`; the others only double their value. */
struct item {
    int value;
    int odd;
    int signal;
    _Atomic int *pid; /* where it notes whom it started */
};

static void no_core(void)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
}

/* Every third item is odd: the index of item i of the odd ones. */
static bool is_odd(int i)
{
    return i % 3 == 1;
}

/* Maps over items of which some are odd, and checks that all others have their result. How the odd ended is in `ends`.
 * Then that the pool still works, with all its workers, and ends with nothing left. */
static void map_odd(brood_task *task, int signal, int failures, void check(const brood_end *, const struct item *))
{
    _Atomic int *pids = brood_alloc_array(ITEMS, sizeof *pids);
    NEED(pids != NULL);
    for (size_t method = 0; method < sizeof methods / sizeof *methods; method++) {
        int children = count_children();
        brood_pool *pool = CHECK_POINTER(brood_pool_create(WORKERS, &methods[method]));
        NEED(pool != NULL);
        struct item items[ITEMS] = { 0 };
        brood_end ends[ITEMS];
        int results[ITEMS] = { 0 };
        for (int i = 0; i < ITEMS; i++)
            items[i] = (struct item){ .value = i + 1, .odd = is_odd(i), .signal = signal, .pid = &pids[i] };
        int odd = 0;
        for (int i = 0; i < ITEMS; i++)
            odd += is_odd(i);
        CHECK_EQ(brood_pool_map(pool, task, items, sizeof *items, results, sizeof *results, ITEMS,
                                &(brood_task_options){ .ends = ends }),
                 failures ? odd : 0);
        for (int i = 0; i < ITEMS; i++)
            if (is_odd(i))
                check(&ends[i], &items[i]);
            else {
                CHECK_EQ(ends[i].how, BROOD_RETURNED);
                CHECK_EQ(results[i], 2 * (i + 1));
            }
        for (int i = 0; i < ITEMS; i++)
            items[i].odd = 0;
        CHECK_RESULT(brood_pool_map(pool, task, items, sizeof *items, results, sizeof *results, ITEMS, NULL), 0);
        CHECK_RESULT(brood_pool_destroy(pool), 0);
        CHECK(count_children() <= children + (methods[method].start == BROOD_FORKSERVER)); /* the server stays */
    }
    brood_free((void *)pids);
    CHECK_RESULT(brood_heap_check(), 0);
}

static int doubled(const struct item *item, void *out)
{
    *(int *)out = 2 * item->value;
    return 0;
}

static void check_returned(const brood_end *end, const struct item *item)
{
    (void)item;
    CHECK_EQ(end->how, BROOD_RETURNED);
}

static void check_crashed(const brood_end *end, const struct item *item)
{
    CHECK_EQ(end->how, BROOD_CRASHED);
    CHECK_EQ(end->signal, item->signal);
    CHECK(end->pid > 0);
    CHECK_HAS(end->why, brood_signal_name(item->signal));
}

/* --- descriptors ---- */

static int close_all(const void *in, void *out)
{
    const struct item *item = in;
    if (item->odd)
        for (int fd = 0; fd < 1024; fd++)
            close(fd);
    return doubled(item, out);
}

static void closes_all(void)
{
    map_odd(close_all, 0, 0, check_returned);
}

/* --- other programs ---- */

static int become(const void *in, void *out)
{
    const struct item *item = in;
    if (item->odd) {
        atomic_store(item->pid, getpid());
        execl("/bin/sleep", "sleep", item->value > ITEMS / 2 ? "1000" : "0", (char *)NULL);
    }
    return doubled(item, out);
}

/* The worker is gone, though a process of its number may run on: it has ended by no signal, or by the pool's. */
static void check_became(const brood_end *end, const struct item *item)
{
    CHECK(end->how == BROOD_EXITED || end->how == BROOD_CRASHED || end->how == BROOD_LOST);
    CHECK(wait_gone(atomic_load(item->pid), 5000));
}

static void becomes_another(void)
{
    map_odd(become, 0, 1, check_became);
}

static int fork_some(const void *in, void *out)
{
    const struct item *item = in;
    if (item->odd) {
        pid_t child = fork();
        if (child == 0) {
            for (;;)
                pause();
        }
        atomic_store(item->pid, child);
    }
    return doubled(item, out);
}

/* Whom a task starts by hand is its own to end. */
static void check_forked(const brood_end *end, const struct item *item)
{
    CHECK_EQ(end->how, BROOD_RETURNED);
    int child = atomic_load(item->pid);
    if (CHECK(child > 0)) {
        CHECK_EQ(kill(child, SIGKILL), 0);
        CHECK(wait_gone(child, 5000));
    }
}

static void forks(void)
{
    map_odd(fork_some, 0, 0, check_forked);
}

/* The child of the fork goes on as if it were the worker: there are two now. */
static int fork_and_return(const void *in, void *out)
{
    const struct item *item = in;
    if (item->odd) {
        pid_t child = fork();
        if (child > 0)
            atomic_store(item->pid, child);
    }
    return doubled(item, out);
}

static void check_doubled_worker(const brood_end *end, const struct item *item)
{
    CHECK_EQ(end->how, BROOD_RETURNED);
    CHECK(wait_gone(atomic_load(item->pid), 5000));
}

static void forks_and_returns(void)
{
    map_odd(fork_and_return, 0, 0, check_doubled_worker);
}

/* --- jumps, stacks, signals ---- */

static int jump(const void *in, void *out)
{
    const struct item *item = in;
    jmp_buf place;
    if (item->odd && setjmp(place) == 0)
        longjmp(place, 1);
    return doubled(item, out);
}

static void jumps(void)
{
    map_odd(jump, 0, 0, check_returned);
}

static int deeper(volatile char *above, int depth)
{
    volatile char here[4096];
    here[0] = (char)depth;
    return depth < 0 ? above[0] : deeper(here, depth + 1) + here[0];
}

static int overflow(const void *in, void *out)
{
    const struct item *item = in;
    if (item->odd) {
        volatile char first[1] = { 0 };
        no_core();
        return deeper(first, 1);
    }
    return doubled(item, out);
}

static void overflows(void)
{
    if (harness_sanitized())
        harness_skip("AddressSanitizer reports the overflow itself");
    map_odd(overflow, SIGSEGV, 1, check_crashed);
}

static int raise_one(const void *in, void *out)
{
    const struct item *item = in;
    if (item->odd) {
        no_core();
        signal(item->signal, SIG_DFL);
        raise(item->signal);
    }
    return doubled(item, out);
}

static void raises(void)
{
    static const int fatal[] = { SIGILL,  SIGTRAP, SIGBUS,    SIGFPE,    SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM,
                                 SIGTERM, SIGXCPU, SIGXFSZ,   SIGPROF,   SIGSYS,  SIGINT,  SIGQUIT, SIGHUP,
                                 SIGPWR,  SIGIO,   SIGVTALRM, SIGSTKFLT, SIGABRT, SIGSEGV, SIGKILL };
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        map_odd(raise_one, fatal[i], 1, check_crashed);
}

/* Deaf to all that asks it to end. */
static int deaf(const void *in, void *out)
{
    const struct item *item = in;
    if (item->odd) {
        sigset_t all;
        sigfillset(&all);
        signal(SIGTERM, SIG_IGN);
        sigprocmask(SIG_BLOCK, &all, NULL);
        atomic_store(item->pid, getpid());
        for (;;)
            pause();
    }
    return doubled(item, out);
}

static void deaf_ones_end(void)
{
    _Atomic int *pid = brood_alloc(sizeof *pid);
    NEED(pid != NULL);
    brood_pool *pool = CHECK_POINTER(brood_pool_create(WORKERS, NULL));
    struct item item = { .value = 1, .odd = 1, .pid = pid };
    int out = 0;
    brood_result *result =
        CHECK_POINTER(brood_pool_apply_async(pool, deaf, &item, sizeof item, &out, sizeof out, NULL));
    CHECK(wait_word(pid, 1, 5000));
    CHECK_RESULT(brood_pool_terminate(pool), 0);
    CHECK_EQ(process_state(atomic_load(pid)), 0);
    brood_end end;
    CHECK_EQ(brood_result_wait(result, 0), 1);
    CHECK_RESULT(brood_result_end(result, &end), 0);
    CHECK_EQ(end.how, BROOD_CANCELLED);
    CHECK_RESULT(brood_result_destroy(result), 0);
    CHECK_RESULT(brood_pool_destroy(pool), 0);
    brood_free((void *)pid);
}

static const struct test_case cases[] = {
    { "closes_all", closes_all, 0, false },
    { "becomes_another", becomes_another, 60, false },
    { "forks", forks, 0, false },
    { "forks_and_returns", forks_and_returns, 0, false },
    { "jumps", jumps, 0, false },
    { "overflows", overflows, 60, false },
    { "raises", raises, 120, false },
    { "deaf_ones_end", deaf_ones_end, 0, false },
    { NULL, NULL, 0, false },
};

int main(int argc, char **argv)
{
    return harness_main(argc, argv, cases);
}
