/* bench/manager.c: what a call to a manager's server costs: from one client and from two, both sides running, or the
 * server asleep; in a batch; by address; and what a large dictionary takes.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "trouble.h"

#include <brood.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CALLS = 100000,
    CALLS_REMOTE = 20000,
    CALLS_ASLEEP = 300,
    ENTRIES = 1000000,
    BATCH = 1000,
    BATCHES = 300,
    REQUEST = 24, /* bytes of a request by address, and of its answer, about */
};

struct bench {
    brood_manager *manager;
    brood_dict *dict;
    brood_list *list;
};

static int begin(struct bench *bench)
{
    bench->dict = NULL;
    bench->list = NULL;
    bench->manager = brood_manager_start(NULL);
    if (bench->manager)
        bench->dict = brood_manager_dict(bench->manager, NULL);
    if (bench->dict)
        bench->list = brood_manager_list(bench->manager, NULL);
    return bench->list ? brood_dict_set(bench->dict, "count", 0) : -1;
}

static double end(const struct bench *bench, int failed, double figure)
{
    if (failed < 0)
        figure = trouble("%s", brood_error());
    brood_dict_close(bench->dict);
    brood_list_close(bench->list);
    brood_manager_destroy(bench->manager);
    return figure;
}

static int get(const struct bench *bench)
{
    brood_any value;
    return brood_dict_get(bench->dict, "count", &value);
}

static int set(const struct bench *bench)
{
    return brood_dict_set(bench->dict, "count", 1);
}

static double calls(int (*call)(const struct bench *bench))
{
    struct bench bench;
    int failed = begin(&bench);
    uint64_t began = clock_ns();
    for (int i = 0; i < CALLS && failed >= 0; i++)
        failed = call(&bench);
    return end(&bench, failed, (double)(clock_ns() - began) / NS_PER_US / CALLS);
}

double manager_get_brood(void)
{
    return calls(get);
}

double manager_set_brood(void)
{
    return calls(set);
}

static int append(const struct bench *bench)
{
    return brood_list_append(bench->list, 1);
}

double manager_append_brood(void)
{
    return calls(append);
}

/* ---- by two ---- */

struct pair {
    struct bench bench;
    atomic_int there;
};

static int get_often(void *arg)
{
    struct pair *pair = arg;
    int failed = 0;
    atomic_fetch_add(&pair->there, 1);
    while (atomic_load(&pair->there) < 2)
        continue;
    for (int i = 0; i < CALLS && failed >= 0; i++)
        failed = get(&pair->bench);
    return failed < 0;
}

double manager_get_2_brood(void)
{
    struct hand hand = { .pid = 0 };
    struct pair *pair = brood_alloc(sizeof *pair);
    if (!pair)
        return trouble("%s", brood_error());
    int failed = begin(&pair->bench);
    if (failed >= 0 && hand_start(&hand, false, get_often, pair) < 0)
        failed = -1;
    uint64_t began = clock_ns();
    if (failed >= 0 && get_often(pair) != 0)
        failed = -1;
    if (hand_join(&hand) != 0)
        failed = -1;
    double figure = end(&pair->bench, failed, (double)(clock_ns() - began) / NS_PER_US / (2 * CALLS));
    brood_free(pair);
    return figure;
}

/* ---- in batches ---- */

static int run_batch(const struct bench *bench, brood_batch *batch)
{
    const brood_any key = brood_any_string("count");
    brood_any value;
    for (int i = 0; i < BATCH; i++) {
        int put = brood_batch_call(batch, bench->dict, "get", &key, 1);
        if (put < 0)
            return put;
    }
    int failed = brood_batch_run(batch);
    for (int i = 0; i < BATCH && failed >= 0; i++)
        failed = brood_batch_result(batch, i, &value);
    return failed;
}

double manager_batch_brood(void)
{
    struct bench bench;
    int failed = begin(&bench);
    brood_batch *batch = failed < 0 ? NULL : brood_batch_create(bench.manager);
    if (!batch)
        failed = -1;
    uint64_t began = clock_ns();
    for (int i = 0; i < BATCHES && failed >= 0; i++)
        failed = run_batch(&bench, batch);
    double figure = (double)(clock_ns() - began) / NS_PER_US / (BATCHES * BATCH);
    brood_batch_destroy(batch);
    return end(&bench, failed, figure);
}

/* ---- by address ---- */

double manager_remote_get_brood(void)
{
    struct bench bench, remote = { .dict = NULL };
    char address[64];
    snprintf(address, sizeof address, "unix:@brood-bench-%d", (int)getpid());
    int failed = begin(&bench);
    if (failed >= 0)
        failed = brood_manager_listen(bench.manager, address, NULL);
    remote.manager = failed < 0 ? NULL : brood_manager_connect(address, NULL);
    if (remote.manager && (remote.dict = brood_manager_dict(remote.manager, NULL)))
        failed = brood_dict_set(remote.dict, "count", 0);
    else
        failed = -1;
    uint64_t began = clock_ns();
    for (int i = 0; i < CALLS_REMOTE && failed >= 0; i++)
        failed = get(&remote);
    double figure = (double)(clock_ns() - began) / NS_PER_US / CALLS_REMOTE;
    if (failed < 0)
        figure = trouble("%s", brood_error());
    if (remote.manager)
        brood_manager_destroy(remote.manager);
    return failed < 0 ? (end(&bench, 0, 0), figure) : end(&bench, failed, figure);
}

static int sockets[2]; /* of the limit's two, which are forked */

static int echo(void *arg)
{
    char bytes[REQUEST];
    (void)arg;
    close(sockets[0]);
    while (read(sockets[1], bytes, sizeof bytes) == sizeof bytes)
        if (write(sockets[1], bytes, sizeof bytes) != sizeof bytes)
            return 1;
    return 0;
}

double manager_remote_get_limit(void)
{
    char bytes[REQUEST] = { 0 };
    struct hand hand;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0)
        return trouble("no sockets");
    int failed = hand_start(&hand, true, echo, NULL);
    close(sockets[1]);
    uint64_t began = clock_ns();
    for (int i = 0; i < CALLS_REMOTE && failed == 0; i++)
        if (write(sockets[0], bytes, sizeof bytes) != sizeof bytes || read(sockets[0], bytes, sizeof bytes) <= 0)
            failed = -1;
    double figure = (double)(clock_ns() - began) / NS_PER_US / CALLS_REMOTE;
    close(sockets[0]);
    if (hand_join(&hand) != 0 || failed < 0)
        return trouble("the socket failed");
    return figure;
}

/* ---- asleep ---- */

double manager_wake_brood(void)
{
    struct bench bench;
    int failed = begin(&bench);
    const struct hand server = { .pid = failed < 0 ? 0 : brood_manager_pid(bench.manager) };
    uint64_t spent = 0;
    for (int i = 0; i < CALLS_ASLEEP && failed >= 0; i++) {
        while (!hand_sleeps(&server))
            usleep(100);
        uint64_t began = clock_ns();
        failed = get(&bench);
        spent += clock_ns() - began;
    }
    return end(&bench, failed, (double)spent / NS_PER_US / CALLS_ASLEEP);
}

double manager_memory_1m_brood(void)
{
    struct bench bench;
    brood_manager_stats stats = { .memory = 0 };
    int failed = begin(&bench);
    for (int i = 0; i < ENTRIES && failed >= 0; i++)
        failed = brood_dict_set(bench.dict, i, i);
    if (failed >= 0)
        failed = brood_manager_stat(bench.manager, &stats);
    return end(&bench, failed, (double)stats.memory / 1024);
}
