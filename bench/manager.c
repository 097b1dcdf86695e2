/* bench/manager.c: what a call to a manager's server costs, from one client: both sides running, or the server asleep;
 * and what a large dictionary takes.
 */
#include "clock.h"
#include "figure.h"
#include "hand.h"
#include "trouble.h"

#include <brood.h>
#include <unistd.h>

enum { CALLS = 100000, CALLS_ASLEEP = 300, ENTRIES = 1000000 };

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
