/* manager_dict.c: dictionaries in a manager: each call, each error, several clients, and what their deaths leave.
 */
#include "harness.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static brood_manager *manager;

static brood_dict *new_dict(void)
{
    manager = CHECK_POINTER(brood_manager_start(NULL));
    NEED(manager != NULL);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    NEED(dict != NULL);
    return dict;
}

static void end(brood_dict *dict)
{
    CHECK_RESULT(brood_dict_close(dict), 0);
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.handles, 0);
    CHECK_EQ(stats.memory, 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static bool has(brood_dict *dict, const char *key, brood_any expected)
{
    brood_any value;
    bool same = brood_dict_get(dict, key, &value) == 0 && brood_any_equal(&value, &expected);
    brood_any_clear(&value);
    return same;
}

static void values_of_all_kinds(void)
{
    brood_dict *dict = new_dict();
    char *large = malloc(1000001);
    NEED(large != NULL);
    memset(large, 'x', 1000000);
    large[1000000] = 0;
    const brood_any pair[] = { brood_any_int(1), brood_any_string("one") };
    const brood_any list = brood_any_list(pair, 2), nested[] = { list, list, brood_any_nil() };
    const brood_any samples[] = {
        brood_any_nil(),
        brood_any_bool(true),
        brood_any_int(-5),
        brood_any_int(INT64_MIN),
        brood_any_uint(UINT64_MAX),
        brood_any_double(0.1),
        brood_any_string(""),
        brood_any_string("fourteen bytes"),
        brood_any_string("a string of more than fourteen bytes"),
        brood_any_string(large),
        brood_any_bytes("\0\xff", 2),
        list,
        brood_any_map(pair, 1),
        brood_any_list(nested, 3),
    };
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        CHECK_RESULT(brood_dict_set(dict, "it", samples[i]), 0);
        CHECK(has(dict, "it", samples[i]));
        if (samples[i].kind < BROOD_LIST) { /* as a key, too */
            CHECK_RESULT(brood_dict_set(dict, samples[i], "value"), 0);
            CHECK_RESULT(brood_dict_contains(dict, samples[i]), 1);
            CHECK_RESULT(brood_dict_delete(dict, samples[i]), 0);
        }
    }
    free(large);
    end(dict);
}

static void one_by_one(void)
{
    brood_dict *dict = new_dict();
    brood_any value;
    CHECK_RESULT(brood_dict_get(dict, "a", &value), -ENOENT);
    CHECK_EQ(value.kind, BROOD_NIL);
    CHECK_HAS(brood_error(), "no such key");
    CHECK_RESULT(brood_dict_delete(dict, "a"), -ENOENT);
    CHECK_RESULT(brood_dict_pop(dict, "a", &value), -ENOENT);
    CHECK_RESULT(brood_dict_add(dict, "a", 1), -ENOENT);
    CHECK_RESULT(brood_dict_compare(dict, "a", 1, 2), -ENOENT);
    CHECK_RESULT(brood_dict_set(dict, "a", 1), 0);
    CHECK_RESULT(brood_dict_length(dict), 1);
    CHECK_RESULT(brood_dict_add(dict, "a", 2), 0);
    CHECK(has(dict, "a", brood_any_int(3)));
    CHECK_RESULT(brood_dict_compare(dict, "a", 4, 5), -EAGAIN);
    CHECK_RESULT(brood_dict_compare(dict, "a", 3, "three"), 0);
    CHECK(has(dict, "a", brood_any_string("three")));
    CHECK_RESULT(brood_dict_swap(dict, "a", 4.5, &value), 0);
    CHECK_STR(value.string, "three");
    brood_any_clear(&value);
    CHECK_RESULT(brood_dict_swap(dict, "b", 1, &value), 1);
    CHECK_EQ(value.kind, BROOD_NIL);
    CHECK_RESULT(brood_dict_setdefault(dict, "b", 7, &value), 0);
    CHECK_EQ(value.integer, 1);
    CHECK_RESULT(brood_dict_setdefault(dict, "c", 7, NULL), 1);
    CHECK_RESULT(brood_dict_pop(dict, "c", &value), 0);
    CHECK_EQ(value.integer, 7);
    CHECK_RESULT(brood_dict_contains(dict, "c"), 0);
    CHECK_RESULT(brood_dict_contains(dict, "b"), 1);
    CHECK_RESULT(brood_dict_clear(dict), 0);
    CHECK_RESULT(brood_dict_length(dict), 0);
    end(dict);
}

static void sums(void)
{
    static const struct {
        int64_t one, other, sum;
        int result;
    } cases[] = {
        { 1, 2, 3, 0 },
        { -1, 1, 0, 0 },
        { 5, -7, -2, 0 },
        { INT64_MIN, -1, 0, -ERANGE },
        { INT64_MIN, INT64_MAX, -1, 0 },
        { INT64_MIN, 0, INT64_MIN, 0 },
    };
    brood_dict *dict = new_dict();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_RESULT(brood_dict_set(dict, "n", cases[i].one), 0);
        CHECK_RESULT(brood_dict_add(dict, "n", cases[i].other), cases[i].result);
        CHECK(has(dict, "n", brood_any_int(cases[i].result ? cases[i].one : cases[i].sum)));
        CHECK_RESULT(brood_dict_set(dict, "n", cases[i].other), 0);
        CHECK_RESULT(brood_dict_add(dict, "n", cases[i].one), cases[i].result);
    }
    CHECK_RESULT(brood_dict_set(dict, "n", INT64_MAX), 0);
    CHECK_RESULT(brood_dict_add(dict, "n", 1), 0);
    CHECK(has(dict, "n", brood_any_uint((uint64_t)INT64_MAX + 1)));
    CHECK_RESULT(brood_dict_add(dict, "n", INT64_MIN), 0);
    CHECK(has(dict, "n", brood_any_int(0)));
    CHECK_RESULT(brood_dict_set(dict, "n", UINT64_MAX), 0);
    CHECK_RESULT(brood_dict_add(dict, "n", 1), -ERANGE);
    CHECK_RESULT(brood_dict_add(dict, "n", -1), 0);
    CHECK(has(dict, "n", brood_any_uint(UINT64_MAX - 1)));
    CHECK_RESULT(brood_dict_set(dict, "n", 1), 0);
    CHECK_RESULT(brood_dict_add(dict, "n", 0.5), 0);
    CHECK(has(dict, "n", brood_any_double(1.5)));
    CHECK_RESULT(brood_dict_add(dict, "n", "x"), -EINVAL);
    CHECK_HAS(brood_error(), "a string cannot be added to a double");
    end(dict);
}

static void as_a_whole(void)
{
    brood_dict *dict = new_dict();
    enum { COUNT = 1000 };
    for (int i = 0; i < COUNT; i++)
        CHECK_RESULT(brood_dict_set(dict, i, i * i), 0);
    for (int i = 0; i < COUNT; i += 2)
        CHECK_RESULT(brood_dict_delete(dict, i), 0);
    brood_any keys, values, items;
    CHECK_RESULT(brood_dict_keys(dict, &keys), 0);
    CHECK_RESULT(brood_dict_values(dict, &values), 0);
    CHECK_RESULT(brood_dict_items(dict, &items), 0);
    CHECK(keys.kind == BROOD_LIST && values.kind == BROOD_LIST && items.kind == BROOD_MAP);
    CHECK(keys.size == COUNT / 2 && values.size == COUNT / 2 && items.size == COUNT / 2);
    for (int i = 0; i < COUNT / 2; i++) { /* in the order in which they came */
        int key = 2 * i + 1;
        CHECK_EQ(keys.items[i].integer, key);
        CHECK_EQ(values.items[i].integer, key * key);
        CHECK(items.items[2 * i].integer == key && items.items[2 * i + 1].integer == key * key);
    }
    brood_dict *copy = CHECK_POINTER(brood_dict_copy(dict));
    CHECK_RESULT(brood_dict_clear(dict), 0);
    CHECK_RESULT(brood_dict_length(copy), COUNT / 2);
    CHECK_RESULT(brood_dict_set(dict, 1, "kept"), 0);
    CHECK_RESULT(brood_dict_update(dict, items), 0);
    CHECK_RESULT(brood_dict_length(dict), COUNT / 2);
    CHECK_RESULT(brood_dict_update(dict, 5), -EINVAL);
    CHECK_HAS(brood_error(), "an int");
    CHECK_RESULT(brood_dict_close(copy), 0);
    brood_any_clear(&keys);
    brood_any_clear(&values);
    brood_any_clear(&items);
    end(dict);
}

static void wrong_calls(void)
{
    brood_dict *dict = new_dict();
    brood_any value, deep[70];
    CHECK_RESULT(brood_dict_set(dict, brood_any_list(NULL, 0), 1), -EINVAL);
    CHECK_HAS(brood_error(), "a list is no key");
    CHECK_RESULT(brood_dict_set(dict, "a", "\xff"), -EINVAL);
    CHECK_HAS(brood_error(), "UTF-8");
    deep[0] = brood_any_nil();
    for (int i = 1; i < 70; i++)
        deep[i] = brood_any_list(&deep[i - 1], 1);
    CHECK_RESULT(brood_dict_set(dict, "a", deep[69]), -EMSGSIZE);
    CHECK_RESULT(brood_dict_set(dict, "a", deep[64]), 0);
    CHECK_RESULT(brood_dict_get(dict, "a", NULL), -EINVAL);
    CHECK_RESULT(brood_dict_get(NULL, "a", &value), -EINVAL);
    CHECK_RESULT((brood_dict_set)(dict, NULL, &value), -EINVAL);
    CHECK_RESULT(brood_dict_get((brood_dict *)(void *)manager, "a", &value), -EINVAL);
    CHECK_RESULT(brood_manager_forget(manager, "nothing"), -ENOENT);
    CHECK_RESULT(brood_manager_forget(manager, NULL), -EINVAL);
    CHECK_NULL(brood_manager_dict(NULL, NULL), EINVAL);
    CHECK_NULL(brood_manager_dict(manager, "\xc0"), EINVAL);
    CHECK_NULL(brood_dict_copy(NULL), EINVAL);
    CHECK_RESULT(brood_dict_close(NULL), 0);
    end(dict);
}

static void names(void)
{
    brood_dict *dict = new_dict();
    brood_dict *one = CHECK_POINTER(brood_manager_dict(manager, "jobs"));
    CHECK_RESULT(brood_dict_set(one, 1, 2), 0);
    CHECK_RESULT(brood_dict_close(one), 0);
    one = CHECK_POINTER(brood_manager_dict(manager, "jobs"));
    CHECK_RESULT(brood_dict_length(one), 1);
    CHECK_RESULT(brood_manager_forget(manager, "jobs"), 0);
    brood_dict *other = CHECK_POINTER(brood_manager_dict(manager, "jobs"));
    CHECK_RESULT(brood_dict_length(other), 0);
    CHECK_RESULT(brood_dict_length(one), 1);
    CHECK_RESULT(brood_dict_close(one), 0);
    CHECK_RESULT(brood_dict_close(other), 0);
    CHECK_RESULT(brood_manager_forget(manager, "jobs"), 0);
    /* the name of names is gone with the last, and so is its memory but the table's */
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 1);
    CHECK_EQ(stats.handles, 1);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static int add_many(void *arg)
{
    for (int i = 0; i < 2000; i++)
        CHECK_RESULT(brood_dict_add(arg, "n", 1), 0);
    return 0;
}

static void no_update_is_lost(void)
{
    brood_dict *dict = new_dict();
    brood_process *processes[6];
    CHECK_RESULT(brood_dict_set(dict, "n", 0), 0);
    for (int i = 0; i < 6; i++) {
        const brood_process_options options = { .start = (brood_start)(BROOD_FORK + i % 3) };
        processes[i] = CHECK_POINTER(brood_process_start(add_many, dict, 0, &options));
    }
    for (int i = 0; i < 6; i++)
        CHECK_RESULT(brood_process_join(processes[i], NULL, BROOD_FOREVER), 0);
    CHECK(has(dict, "n", brood_any_int(12000)));
    end(dict);
}

struct account {
    brood_dict *dict;
    atomic_int begun, done;
};

static _Noreturn int add_until_killed(void *arg)
{
    struct account *account = arg;
    char text[3000];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 0;
    for (;;) {
        atomic_fetch_add(&account->begun, 1);
        CHECK_RESULT(brood_dict_add(account->dict, "n", 1), 0);
        atomic_fetch_add(&account->done, 1);
        CHECK_RESULT(brood_dict_set(account->dict, "text", text), 0);
        brood_any value;
        CHECK_RESULT(brood_dict_get(account->dict, "text", &value), 0);
        CHECK_EQ(value.size, sizeof text - 1);
        brood_any_clear(&value);
    }
}

/* The account is exact but for the one call that each was killed in. */
static void clients_are_killed(void)
{
    struct account *account = CHECK_POINTER(brood_alloc(sizeof *account));
    uint32_t seed = 99;
    NEED(account != NULL);
    account->dict = new_dict();
    CHECK_RESULT(brood_dict_set(account->dict, "n", 0), 0);
    for (int i = 0; i < harness_times(200); i++) {
        pid_t pid = fork_child(add_until_killed, account);
        pass_us(random_next(&seed) % 1500);
        CHECK_EQ(kill_child(pid), SIGKILL);
    }
    brood_any n;
    CHECK_RESULT(brood_dict_get(account->dict, "n", &n), 0);
    CHECK(n.integer >= atomic_load(&account->done) && n.integer <= atomic_load(&account->begun));
    end(account->dict);
    brood_free(account);
}

static _Noreturn int open_and_stay(void *arg)
{
    brood_dict **place = arg;
    *place = CHECK_POINTER(brood_manager_dict(manager, NULL));
    CHECK_RESULT(brood_dict_set(*place, 1, 1), 0);
    for (;;)
        pause();
}

static bool is_open(void *context)
{
    brood_dict *volatile *place = context;
    return *place && brood_dict_length(*place) == 1;
}

static bool one_handle(void *context)
{
    brood_manager_stats stats;
    (void)context;
    return brood_manager_stat(manager, &stats) == 0 && stats.handles == 1 && stats.objects == 1;
}

/* What a process had is given back, though it is not its first thread that sees it. */
static void handles_of_the_dead(void)
{
    brood_dict *dict = new_dict(), **place = CHECK_POINTER(brood_alloc(sizeof *place));
    NEED(place != NULL);
    pid_t pid = fork_child(open_and_stay, place);
    CHECK(wait_until(is_open, place, 5000));
    CHECK_EQ(kill_child(pid), SIGKILL);
    CHECK(wait_until(one_handle, NULL, 5000));
    CHECK_RESULT(brood_dict_length(*place), -EINVAL);
    CHECK_RESULT(brood_dict_close(*place), 0);
    brood_free(place);
    end(dict);
}

static void server_is_gone(void)
{
    brood_dict *dict = new_dict();
    brood_any value;
    CHECK_RESULT(brood_dict_set(dict, 1, 1), 0);
    CHECK_RESULT(brood_manager_shutdown(manager), 0);
    CHECK_RESULT(brood_dict_get(dict, 1, &value), -EPIPE);
    CHECK_EQ(value.kind, BROOD_NIL);
    CHECK_NULL(brood_manager_dict(manager, NULL), EPIPE);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    dict = new_dict();
    int pid = brood_manager_pid(manager);
    NEED(pid > 0 && kill(pid, SIGKILL) == 0);
    CHECK(wait_gone(pid, 5000));
    CHECK_RESULT(brood_dict_set(dict, 1, 1), -EOWNERDEAD);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "values_of_all_kinds", .run = values_of_all_kinds },
        { .name = "one_by_one", .run = one_by_one },
        { .name = "sums", .run = sums },
        { .name = "as_a_whole", .run = as_a_whole },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = "names", .run = names },
        { .name = "no_update_is_lost", .run = no_update_is_lost },
        { .name = "clients_are_killed", .run = clients_are_killed, .deadline_s = 60 },
        { .name = "handles_of_the_dead", .run = handles_of_the_dead },
        { .name = "server_is_gone", .run = server_is_gone },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
