/* bench/manager.c: what a call to a manager's server costs: from one client and from two, both sides running, or the
 * server asleep; in batches; by address; beside one who sends large values; and what a large dictionary takes.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "trouble.h"

#include <brood.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CALLS = 100000,
    CALLS_REMOTE = 20000,
    CALLS_ASLEEP = 300,
    ENTRIES = 1000000,
    BATCH = 1000,
    BATCH_SMALL = 64,
    BATCHED = 300000, /* calls in batches, of a sample */
    LARGE = 100 << 20,
    LARGE_SETS = 3,
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

static int run_batch(const struct bench *bench, brood_batch *batch, int size)
{
    const brood_any key = brood_any_string("count");
    brood_any value;
    for (int i = 0; i < size; i++) {
        int put = brood_batch_call(batch, bench->dict, "get", &key, 1);
        if (put < 0)
            return put;
    }
    int failed = brood_batch_run(batch);
    for (int i = 0; i < size && failed >= 0; i++)
        failed = brood_batch_result(batch, i, &value);
    return failed;
}

/* Microseconds of a call in batches of that size; *failed is below 0 if one failed. */
static double batches(const struct bench *bench, int size, int *failed)
{
    brood_batch *batch = brood_batch_create(bench->manager);
    if (!batch)
        *failed = -1;
    uint64_t began = clock_ns();
    for (int done = 0; done < BATCHED && *failed >= 0; done += size)
        *failed = run_batch(bench, batch, size);
    int runs = (BATCHED + size - 1) / size;
    double figure = (double)(clock_ns() - began) / NS_PER_US / ((double)runs * size);
    brood_batch_destroy(batch);
    return figure;
}

static double batches_here(int size)
{
    struct bench bench;
    int failed = begin(&bench);
    double figure = failed < 0 ? -1 : batches(&bench, size, &failed);
    return end(&bench, failed, figure);
}

double manager_batch_64_brood(void)
{
    return batches_here(BATCH_SMALL);
}

double manager_batch_brood(void)
{
    return batches_here(BATCH);
}

/* ---- by address ---- */

/* Has the server listen, and calls it there: 0, or -1. */
static int begin_remote(struct bench *bench, struct bench *remote, const char *address)
{
    *remote = (struct bench){ .dict = NULL };
    if (begin(bench) < 0 || brood_manager_listen(bench->manager, address, NULL) < 0)
        return -1;
    remote->manager = brood_manager_connect(brood_manager_address(bench->manager), NULL);
    if (remote->manager)
        remote->dict = brood_manager_dict(remote->manager, NULL);
    return remote->dict ? brood_dict_set(remote->dict, "count", 0) : -1;
}

static double end_remote(const struct bench *bench, const struct bench *remote, int failed, double figure)
{
    if (failed < 0)
        figure = trouble("%s", brood_error());
    if (remote->manager)
        brood_manager_destroy(remote->manager);
    return end(bench, 0, figure);
}

static double calls_remote(const char *address)
{
    struct bench bench, remote;
    int failed = begin_remote(&bench, &remote, address);
    uint64_t began = clock_ns();
    for (int i = 0; i < CALLS_REMOTE && failed >= 0; i++)
        failed = get(&remote);
    return end_remote(&bench, &remote, failed, (double)(clock_ns() - began) / NS_PER_US / CALLS_REMOTE);
}

static const char *unix_address(void)
{
    static char address[64];
    snprintf(address, sizeof address, "unix:@brood-bench-%d", (int)getpid());
    return address;
}

double manager_remote_get_brood(void)
{
    return calls_remote(unix_address());
}

double manager_remote_tcp_brood(void)
{
    return calls_remote("tcp:127.0.0.1:0");
}

double manager_remote_batch_brood(void)
{
    struct bench bench, remote;
    int failed = begin_remote(&bench, &remote, unix_address());
    double figure = failed < 0 ? -1 : batches(&remote, BATCH, &failed);
    return end_remote(&bench, &remote, failed, figure);
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

/* ---- beside large values ---- */

struct giant {
    struct bench bench;
    atomic_int stage; /* 0: not begun; 1: its values are on their way; 2: it is done */
};

static int set_large(void *arg)
{
    struct giant *giant = arg;
    unsigned char *bytes = calloc(1, LARGE);
    int failed = bytes ? 0 : -1;
    atomic_store(&giant->stage, 1);
    for (int i = 0; i < LARGE_SETS && failed >= 0; i++) {
        brood_any value = brood_any_bytes(bytes, LARGE);
        failed = brood_dict_set(giant->bench.dict, "large", value);
    }
    atomic_store(&giant->stage, 2);
    free(bytes);
    return failed < 0;
}

double manager_beside_100m_brood(void)
{
    struct hand hand = { .pid = 0 };
    struct giant *giant = brood_alloc(sizeof *giant);
    if (!giant)
        return trouble("%s", brood_error());
    int failed = begin(&giant->bench);
    if (failed >= 0 && hand_start(&hand, false, set_large, giant) < 0)
        failed = -1;
    while (failed >= 0 && atomic_load(&giant->stage) == 0)
        sched_yield();
    uint64_t worst = 0;
    while (failed >= 0 && atomic_load(&giant->stage) == 1) {
        uint64_t began = clock_ns();
        failed = get(&giant->bench);
        uint64_t took = clock_ns() - began;
        worst = took > worst ? took : worst;
    }
    bool large_failed = hand.pid && hand_join(&hand) != 0;
    double figure = end(&giant->bench, failed, (double)worst / NS_PER_US);
    brood_free(giant);
    return large_failed ? trouble("a value of 100 MiB was not set") : figure;
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

/* Sets the entries from `first` on in one batch. */
static int fill(const struct bench *bench, brood_batch *batch, int first)
{
    for (int i = 0; i < BATCH; i++) {
        const brood_any entry[] = { brood_any_int(first + i), brood_any_int(first + i) };
        int put = brood_batch_call(batch, bench->dict, "set", entry, 2);
        if (put < 0)
            return put;
    }
    return brood_batch_run(batch);
}

double manager_memory_1m_brood(void)
{
    struct bench bench;
    brood_manager_stats stats = { .memory = 0 };
    int failed = begin(&bench);
    brood_batch *batch = failed < 0 ? NULL : brood_batch_create(bench.manager);
    if (!batch)
        failed = -1;
    for (int i = 0; i < ENTRIES && failed == 0; i += BATCH)
        failed = fill(&bench, batch, i);
    brood_batch_destroy(batch);
    if (failed > 0)
        failed = -1;
    if (failed == 0)
        failed = brood_manager_stat(bench.manager, &stats);
    return end(&bench, failed, (double)stats.memory / 1024);
}
