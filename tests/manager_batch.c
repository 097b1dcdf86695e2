/* manager_batch.c: calls to a manager that are sent together: their results, each error, who is killed, by address.
 */
#include "harness.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LEVELS = 64, MANY = 5000, PARTIES = 4, EACH = 200 };

static brood_manager *manager;
static brood_dict *dict;
static brood_list *list;
static brood_batch *batch;

/* Of that manager, from here on. */
static void begin_at(brood_manager *other)
{
    manager = CHECK_POINTER(other);
    NEED(manager != NULL);
    dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    list = CHECK_POINTER(brood_manager_list(manager, NULL));
    batch = CHECK_POINTER(brood_batch_create(manager));
    NEED(dict && list && batch);
}

static void begin(void)
{
    begin_at(brood_manager_start(NULL));
}

static void close_all(void)
{
    CHECK_RESULT(brood_batch_destroy(batch), 0);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_list_close(list), 0);
}

static void end(void)
{
    close_all();
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_EQ(stats.memory, 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* Puts a call with up to two values, of which nil is none. */
static int put(const void *object, const char *operation, brood_any one, brood_any two)
{
    const brood_any values[] = { one, two };
    int count = two.kind != BROOD_NIL ? 2 : one.kind != BROOD_NIL;
    return brood_batch_call(batch, object, operation, values, count);
}

#define NONE brood_any_nil()
#define INT(number) brood_any_int(number)
#define TEXT(text) brood_any_string(text)

/* That call's result, with its value as text. */
static void gave(int number, int result, const char *expected)
{
    brood_any value;
    char text[200];
    CHECK_RESULT(brood_batch_result(batch, number, &value), result);
    NEED(brood_any_print(&value, text, sizeof text) > 0);
    CHECK_STR(text, expected);
    brood_any_clear(&value);
}

/* The same calls, wherever the manager is. */
static void call_each(void)
{
    CHECK_RESULT(put(dict, "set", TEXT("apple"), INT(3)), 0);
    CHECK_RESULT(put(dict, "add", TEXT("apple"), INT(4)), 1);
    CHECK_RESULT(put(dict, "get", TEXT("pear"), NONE), 2);
    CHECK_RESULT(put(dict, "get", TEXT("apple"), NONE), 3);
    CHECK_RESULT(put(dict, "contains", TEXT("apple"), NONE), 4);
    CHECK_RESULT(put(list, "append", TEXT("one"), NONE), 5);
    CHECK_RESULT(put(list, "insert", INT(0), brood_any_double(0.5)), 6);
    CHECK_RESULT(put(list, "items", NONE, NONE), 7);
    CHECK_RESULT(put(list, "get", INT(9), NONE), 8);
    CHECK_RESULT(put(list, "length", NONE, NONE), 9);
    CHECK_RESULT(put(dict, "get", NONE, NONE), 10); /* too few values */
    CHECK_RESULT(put(dict, "clear", NONE, NONE), 11);
    CHECK_RESULT(brood_batch_run(batch), 3);
    gave(0, 0, "null");
    gave(1, 0, "7");
    gave(2, -ENOENT, "null");
    CHECK_STR(brood_error(), "brood_batch_result: there is no such key");
    gave(3, 0, "7");
    gave(4, 1, "null");
    gave(5, 0, "null");
    gave(6, 0, "null");
    gave(7, 0, "[0.5, \"one\"]");
    gave(8, -ERANGE, "null");
    gave(9, 0, "2");
    gave(10, -EINVAL, "null");
    gave(11, 0, "null");
    CHECK_RESULT(brood_batch_result(batch, 3, NULL), 0);
    CHECK_RESULT(brood_batch_result(batch, 2, NULL), -ENOENT);
    CHECK_RESULT(brood_dict_length(dict), 0);
    CHECK_RESULT(brood_list_clear(list), 0);
}

static void results(void)
{
    begin();
    call_each();
    call_each();
    end();
}

static void other_objects(void)
{
    begin();
    const brood_any zeroes[] = { INT(0), INT(0) }, two = brood_any_list(zeroes, 2), first = INT(1);
    brood_set *set = CHECK_POINTER(brood_manager_set(manager, NULL));
    brood_namespace *names = CHECK_POINTER(brood_manager_namespace(manager, NULL));
    brood_managed_value *value = CHECK_POINTER((brood_manager_value)(manager, NULL, &first));
    brood_managed_array *array = CHECK_POINTER((brood_manager_array)(manager, NULL, &two));
    CHECK_RESULT(put(set, "add", INT(1), NONE), 0);
    CHECK_RESULT(put(set, "add", INT(1), NONE), 1);
    CHECK_RESULT(put(names, "set", TEXT("x"), TEXT("y")), 2);
    CHECK_RESULT(put(names, "items", NONE, NONE), 3);
    CHECK_RESULT(put(value, "add", INT(41), NONE), 4);
    CHECK_RESULT(put(array, "add", INT(1), INT(5)), 5);
    CHECK_RESULT(put(array, "items", NONE, NONE), 6);
    CHECK_RESULT(brood_batch_run(batch), 0);
    gave(0, 0, "null");
    gave(1, 1, "null");
    gave(3, 0, "{\"x\": \"y\"}");
    gave(4, 0, "42");
    gave(5, 0, "5");
    gave(6, 0, "[0, 5]");
    CHECK_RESULT(brood_set_close(set), 0);
    CHECK_RESULT(brood_namespace_close(names), 0);
    CHECK_RESULT(brood_managed_value_close(value), 0);
    CHECK_RESULT(brood_managed_array_close(array), 0);
    end();
}

/* More than fits into a channel, both ways; and each value as deep as it may be. */
static void put_many(void)
{
    static char large[100000];
    brood_any nested[LEVELS + 1];
    memset(large, 'x', sizeof large - 1);
    for (int i = 0; i < MANY; i++)
        CHECK_RESULT(put(dict, "set", INT(i), i % 1000 ? INT(2 * i) : TEXT(large)), i);
    CHECK_RESULT(brood_batch_run(batch), 0);
    CHECK_RESULT(brood_dict_length(dict), MANY);
    nested[0] = TEXT("deep");
    for (int i = 1; i <= LEVELS; i++)
        nested[i] = brood_any_list(&nested[i - 1], 1);
    for (int i = 0; i < MANY; i++)
        CHECK_RESULT(put(dict, "pop", INT(i), NONE), i);
    CHECK_RESULT(put(dict, "set", TEXT("deep"), nested[LEVELS]), MANY);
    CHECK_RESULT(put(dict, "pop", TEXT("deep"), NONE), MANY + 1);
    CHECK_RESULT(brood_batch_run(batch), 0);
    brood_any value;
    for (int i = 0; i < MANY; i++) {
        CHECK_RESULT(brood_batch_result(batch, i, &value), 0);
        CHECK(i % 1000 ? value.integer == 2 * i : value.size == sizeof large - 1);
        brood_any_clear(&value);
    }
    CHECK_RESULT(brood_batch_result(batch, MANY + 1, &value), 0);
    CHECK(brood_any_equal(&value, &nested[LEVELS]));
    brood_any_clear(&value);
}

static void many(void)
{
    begin();
    brood_manager_stats before, after;
    CHECK_RESULT(brood_manager_stat(manager, &before), 0);
    put_many();
    CHECK_RESULT(brood_manager_stat(manager, &after), 0);
    CHECK_EQ(after.calls - before.calls, 2 * MANY + 2 + 1 + 2 + 1); /* both batches, a length, and the last */
    end();
}

/* ---- several clients ---- */

static int add_often(void *arg)
{
    (void)arg;
    brood_batch *own = CHECK_POINTER(brood_batch_create(manager));
    for (int i = 0; i < EACH; i++) {
        for (int j = 0; j < EACH; j++)
            CHECK_RESULT(brood_batch_call(own, dict, "add", (brood_any[]){ TEXT("count"), INT(1) }, 2), j);
        CHECK_RESULT(brood_batch_run(own), 0);
    }
    CHECK_RESULT(brood_batch_destroy(own), 0);
    return 0;
}

static void many_add(void)
{
    pid_t clients[PARTIES];
    begin();
    CHECK_RESULT(brood_dict_set(dict, "count", 0), 0);
    for (int i = 0; i < PARTIES; i++)
        clients[i] = fork_child(add_often, NULL);
    for (int i = 0; i < PARTIES; i++)
        CHECK_EQ(wait_child(clients[i]), 0);
    brood_any count;
    CHECK_RESULT(brood_dict_get(dict, "count", &count), 0);
    CHECK_EQ(count.integer, PARTIES * EACH * EACH);
    end();
}

/* ---- who dies ---- */

/* Each batch appends 0, 1, 2, ... */
static int append_for_ever(void *arg)
{
    (void)arg;
    brood_batch *own = brood_batch_create(manager);
    for (;;) {
        for (int i = 0; i < EACH; i++)
            brood_batch_call(own, list, "append", (brood_any[]){ INT(i) }, 1);
        if (brood_batch_run(own) != 0)
            _exit(1);
    }
}

static bool has_some(void *arg)
{
    (void)arg;
    return brood_list_length(list) > 10 * EACH;
}

static void killed_client(void)
{
    begin();
    for (int i = 0; i < 10; i++) {
        pid_t client = fork_child(append_for_ever, NULL);
        CHECK(wait_until(has_some, NULL, 10000));
        CHECK_EQ(kill_child(client), SIGKILL);
        brood_any items;
        CHECK_RESULT(brood_list_items(list, &items), 0);
        bool in_order = true;
        for (size_t j = 0; j < items.size; j++)
            in_order &= items.items[j].integer == (int64_t)(j % EACH);
        CHECK(in_order);
        brood_any_clear(&items);
        CHECK_RESULT(brood_list_clear(list), 0);
        CHECK_RESULT(brood_list_close(list), 0);
        list =
            CHECK_POINTER(brood_manager_list(manager, NULL)); /* what a dead one may still have asked for is not ours */
    }
    end();
}

static void server_is_gone(void)
{
    begin();
    CHECK_RESULT(put(dict, "set", INT(1), INT(2)), 0);
    CHECK_EQ(kill(brood_manager_pid(manager), SIGKILL), 0);
    CHECK_RESULT(brood_batch_run(batch), -EOWNERDEAD);
    CHECK_RESULT(brood_batch_result(batch, 0, NULL), -EINVAL);
    close_all();
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    begin();
    CHECK_RESULT(put(dict, "set", INT(1), INT(2)), 0);
    CHECK_RESULT(brood_manager_shutdown(manager), 0);
    CHECK_RESULT(brood_batch_run(batch), -EPIPE);
    close_all();
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* ---- errors ---- */

static void wrong_calls(void)
{
    begin();
    brood_manager *other = CHECK_POINTER(brood_manager_start(NULL));
    brood_dict *others = CHECK_POINTER(brood_manager_dict(other, NULL));
    brood_managed_lock *lock = CHECK_POINTER(brood_manager_lock(manager, NULL));
    brood_any nested[LEVELS + 2], no_kind = { .kind = (brood_kind)77 };
    uint64_t no_batch[16] = { 0 };
    nested[0] = brood_any_nil();
    for (int i = 1; i <= LEVELS + 1; i++)
        nested[i] = brood_any_list(&nested[i - 1], 1);
    CHECK_NULL(brood_batch_create(NULL), EINVAL);
    CHECK_RESULT(brood_batch_destroy(NULL), 0);
    CHECK_RESULT(brood_batch_destroy((brood_batch *)no_batch), -EINVAL);
    CHECK_RESULT(brood_batch_call(NULL, dict, "length", NULL, 0), -EINVAL);
    CHECK_RESULT(brood_batch_run(NULL), -EINVAL);
    CHECK_RESULT(brood_batch_result(NULL, 0, NULL), -EINVAL);
    CHECK_RESULT(brood_batch_call(batch, NULL, "length", NULL, 0), -EINVAL);
    CHECK_RESULT(brood_batch_call(batch, no_batch, "length", NULL, 0), -EINVAL);
    CHECK_RESULT(brood_batch_call(batch, manager, "length", NULL, 0), -EINVAL);
    CHECK_RESULT(brood_batch_call(batch, lock, "release", NULL, 0), -EINVAL);
    CHECK_HAS(brood_error(), "no object that a batch may call");
    CHECK_RESULT(brood_batch_call(batch, others, "length", NULL, 0), -EINVAL);
    CHECK_HAS(brood_error(), "another manager");
    CHECK_RESULT(brood_batch_call(batch, dict, NULL, NULL, 0), -EINVAL);
    CHECK_RESULT(brood_batch_call(batch, dict, "append", NULL, 0), -EINVAL);
    CHECK_HAS(brood_error(), "a dictionary has no 'append'");
    CHECK_RESULT(brood_batch_call(batch, dict, "a name that is longer than any operation's", NULL, 0), -EINVAL);
    CHECK_RESULT(brood_batch_call(batch, dict, "get", NULL, 1), -EINVAL);
    CHECK_RESULT(brood_batch_call(batch, dict, "get", nested, -1), -EINVAL);
    CHECK_RESULT(put(list, "append", TEXT("\xff"), NONE), -EINVAL);
    CHECK_HAS(brood_error(), "UTF-8");
    CHECK_RESULT(put(list, "append", no_kind, NONE), -EINVAL);
    CHECK_RESULT(put(list, "append", nested[LEVELS + 1], NONE), -EMSGSIZE);
    CHECK_RESULT(brood_batch_run(batch), 0); /* nothing has been put */
    CHECK_RESULT(brood_batch_result(batch, 0, NULL), -EINVAL);
    CHECK_RESULT(put(list, "append", nested[LEVELS], NONE), 0);
    CHECK_RESULT(put(dict, "set", nested[1], INT(1)), 1);
    CHECK_RESULT(brood_batch_call(batch, dict, "set", nested, 5), 2);
    CHECK_RESULT(brood_batch_result(batch, 0, NULL), -EINVAL); /* not yet */
    CHECK_RESULT(brood_batch_run(batch), 2);
    CHECK_RESULT(brood_batch_result(batch, -1, NULL), -EINVAL);
    CHECK_RESULT(brood_batch_result(batch, 3, NULL), -EINVAL);
    CHECK_RESULT(brood_batch_result(batch, 1, NULL), -EINVAL);
    CHECK_HAS(brood_error(), "a list is no key");
    CHECK_RESULT(brood_batch_result(batch, 2, NULL), -EINVAL);
    CHECK_HAS(brood_error(), "too many");
    for (int i = 0; i < BROOD_BATCH_MOST; i++)
        NEED(put(list, "length", NONE, NONE) == i);
    CHECK_RESULT(put(list, "length", NONE, NONE), -EMSGSIZE);
    CHECK_RESULT(brood_batch_run(batch), 0);
    gave(BROOD_BATCH_MOST - 1, 0, "1");
    CHECK_RESULT(brood_managed_lock_close(lock), 0);
    CHECK_RESULT(brood_dict_close(others), 0);
    CHECK_RESULT(brood_manager_destroy(other), 0);
    end();
}

/* In a small region: calls that do not fit there are not done; of answers that do not, the calls are done. */
static void no_memory(void)
{
    static char large[300000];
    CHECK_RESULT(brood_init(&(brood_init_options){ .limit = 1 << 20 }), 0);
    begin();
    memset(large, 'x', sizeof large - 1);
    for (int i = 0; i < 5; i++)
        CHECK_RESULT(put(list, "append", TEXT(large), NONE), i);
    CHECK_RESULT(brood_batch_run(batch), -ENOMEM);
    CHECK_RESULT(brood_list_length(list), 0);
    CHECK_RESULT((brood_list_append)(list, &(brood_any[]){ TEXT(large) }[0]), 0);
    for (int i = 0; i < 5; i++)
        CHECK_RESULT(put(list, "get", INT(0), NONE), i);
    CHECK_RESULT(put(list, "clear", NONE, NONE), 5);
    CHECK_RESULT(brood_batch_run(batch), -ENOMEM);
    CHECK_HAS(brood_error(), "may have been done");
    CHECK_RESULT(brood_batch_result(batch, 0, NULL), -EINVAL);
    CHECK_RESULT(brood_list_length(list), 0);
    end();
}

/* ---- by address ---- */

static void by_address(void)
{
    brood_listener_options options = { .max_message = 3000000 };
    brood_manager *server = CHECK_POINTER(brood_manager_start(NULL));
    NEED(server != NULL);
    char address[64];
    snprintf(address, sizeof address, "unix:@brood-test-%d", (int)getpid());
    CHECK_RESULT(brood_manager_listen(server, address, &options), 0);
    begin_at(brood_manager_connect(address, NULL));
    call_each();
    put_many();
    static char large[1000000];
    memset(large, 'x', sizeof large - 1);
    for (int i = 0; i < 4; i++)
        CHECK_RESULT(put(list, "append", TEXT(large), NONE), i);
    CHECK_RESULT(brood_list_clear(list), 0);
    CHECK_RESULT(brood_batch_run(batch), -EMSGSIZE);
    CHECK_RESULT(brood_list_length(list), 0);
    CHECK_RESULT(put(list, "append", TEXT("one"), NONE), 0);
    CHECK_RESULT(brood_batch_run(batch), 0);
    CHECK_RESULT(put(list, "append", TEXT("one"), NONE), 0);
    CHECK_EQ(kill(brood_manager_pid(server), SIGKILL), 0);
    CHECK_RESULT(brood_batch_run(batch), -EOWNERDEAD);
    CHECK_RESULT(brood_batch_run(batch), 0); /* those calls are gone */
    close_all();
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_manager_destroy(server), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "results", .run = results },
        { .name = "other_objects", .run = other_objects },
        { .name = "many", .run = many },
        { .name = "many_add", .run = many_add },
        { .name = "killed_client", .run = killed_client },
        { .name = "server_is_gone", .run = server_is_gone },
        { .name = "wrong_calls", .run = wrong_calls },
        { .name = "no_memory", .run = no_memory, .no_init = true },
        { .name = "by_address", .run = by_address },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
