/* manager_type.c: types and functions of one's own in a manager: each call, each error, every start method, by address.
 *
 * The other family is this program started again: its client finds the address on the harness' page.
 */
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARTIES = 4, EACH = 200, SOON_MS = 5000 };

/* What both families share for the test's own sake; ended: how many accounts the server has closed. */
struct notes {
    char address[200];
    atomic_int ended, going;
};

static struct notes *notes(void)
{
    return harness_page();
}

/* ---- in the server ---- */

struct account {
    long long balance;
    char owner[64];
};

static int open_account(void **self, const brood_any *arg)
{
    if (arg->kind != BROOD_INT)
        return brood_fail(ERANGE, "an account begins with an int, not with a %s", brood_kind_name(arg->kind));
    struct account *account = calloc(1, sizeof *account);
    *self = account;
    if (!account)
        return ENOMEM;
    account->balance = arg->integer;
    return 0;
}

static void close_account(void *self)
{
    if (self)
        atomic_fetch_add(&notes()->ended, 1);
    free(self);
}

static int deposit(void *self, const brood_any *arg, brood_any *result)
{
    struct account *account = self;
    account->balance += arg->integer;
    *result = brood_any_int(account->balance);
    return 0;
}

static int withdraw(void *self, const brood_any *arg, brood_any *result)
{
    struct account *account = self;
    if (arg->integer > account->balance)
        return brood_fail(ENOSPC, "there are %lld, and not %lld", account->balance, (long long)arg->integer);
    return deposit(self, &(brood_any){ .kind = BROOD_INT, .integer = -arg->integer }, result);
}

static int owned_by(void *self, const brood_any *arg, brood_any *result)
{
    struct account *account = self;
    if (arg->kind == BROOD_STRING)
        snprintf(account->owner, sizeof account->owner, "%s", arg->string);
    *result = brood_any_string(account->owner);
    return 0;
}

static int echo(void *self, const brood_any *arg, brood_any *result)
{
    (void)self;
    *result = *arg;
    return 0;
}

static int bad_text(void *self, const brood_any *arg, brood_any *result)
{
    (void)self;
    (void)arg;
    *result = brood_any_string("\xff");
    return 0;
}

static int bad_kind(void *self, const brood_any *arg, brood_any *result)
{
    (void)self;
    (void)arg;
    *result = (brood_any){ .kind = (brood_kind)99 };
    return 0;
}

static int too_deep(void *self, const brood_any *arg, brood_any *result)
{
    static brood_any lists[70];
    (void)self;
    (void)arg;
    for (int i = 0; i < 69; i++)
        lists[i] = brood_any_list(&lists[i + 1], 1);
    *result = lists[0];
    return 0;
}

static int say_nothing(void *self, const brood_any *arg, brood_any *result)
{
    (void)self;
    (void)result;
    return (int)arg->integer;
}

static int crash(void *self, const brood_any *arg, brood_any *result)
{
    (void)self;
    (void)arg;
    (void)result;
    return raise(SIGKILL);
}

static int call_itself(void *self, const brood_any *arg, brood_any *result)
{
    brood_manager *manager;
    (void)self;
    (void)result;
    memcpy(&manager, arg->bytes, sizeof manager);
    brood_manager_stats stats;
    int failed = brood_manager_stat(manager, &stats);
    return brood_fail(-failed, "%s", brood_error());
}

static const brood_managed_method account_methods[] = { { "deposit", deposit },
                                                        { "withdraw", withdraw },
                                                        { "owned_by", owned_by },
                                                        { "echo", echo },
                                                        { "bad_text", bad_text },
                                                        { "bad_kind", bad_kind },
                                                        { "too_deep", too_deep },
                                                        { "say_nothing", say_nothing },
                                                        { "crash", crash },
                                                        { "call_itself", call_itself },
                                                        { NULL, NULL } };
static const brood_managed_type account_type = { "account", open_account, close_account, account_methods, { NULL } };

/* Adds `amount` to each of the keys in the list, or to none, if one of them is missing. */
static int add_to_all(brood_managed_view *view, const brood_any *arg, brood_any *result)
{
    long long sum = 0;
    for (size_t i = 0; i < arg->size; i++)
        if (brood_managed_view_call(view, "contains", &arg->items[i], 1, NULL) != 1)
            return brood_fail(ENOENT, "'%s' is missing", arg->items[i].string);
    for (size_t i = 0; i < arg->size; i++) {
        const brood_any values[] = { arg->items[i], brood_any_int(1) };
        brood_any now;
        int failed = brood_managed_view_call(view, "add", values, 2, &now);
        if (failed < 0)
            return brood_fail(-failed, "%s", brood_error());
        sum += now.integer;
    }
    *result = brood_any_int(sum);
    return 0;
}

/* What a view is asked wrongly, and how it says so. */
static int ask_wrongly(brood_managed_view *view, const brood_any *arg, brood_any *result)
{
    brood_any deep[70];
    const brood_any one = brood_any_int(1), text = brood_any_string("\xff");
    (void)arg;
    for (int i = 0; i < 69; i++)
        deep[i] = brood_any_list(&deep[i + 1], 1);
    deep[69] = brood_any_nil();
    CHECK_RESULT(brood_managed_view_call(NULL, "get", &one, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_view_call(view, NULL, &one, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_view_call(view, "get", NULL, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_view_call(view, "get", &one, -1, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_view_call(view, "get", &one, 4, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_view_call(view, "fetch", &one, 1, NULL), -EINVAL);
    CHECK_HAS(brood_error(), "has no 'fetch'");
    CHECK_RESULT(brood_managed_view_call(view, "run", &one, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_view_call(view, "get", &text, 1, NULL), -EINVAL);
    CHECK_RESULT(brood_managed_view_call(view, "get", &deep[0], 1, NULL), -EMSGSIZE);
    CHECK_RESULT(brood_managed_view_call(view, "get", &one, 1, result), -ENOENT);
    CHECK_EQ(result->kind, BROOD_NIL);
    return brood_managed_view_call(view, "items", NULL, 0, result);
}

static int append_twice(brood_managed_view *view, const brood_any *arg, brood_any *result)
{
    (void)result;
    int failed = brood_managed_view_call(view, "append", arg, 1, NULL);
    return failed < 0 ? failed : brood_managed_view_call(view, "append", arg, 1, NULL);
}

/* Stores the argument under "kept", and returns it. */
static int keep(brood_managed_view *view, const brood_any *arg, brood_any *result)
{
    const brood_any values[] = { brood_any_string("kept"), *arg };
    int failed = brood_managed_view_call(view, "set", values, 2, NULL);
    *result = *arg;
    return failed < 0 ? brood_fail(-failed, "%s", brood_error()) : 0;
}

/* ---- clients ---- */

static brood_manager *start(const brood_manager_options *options)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_start(options));
    NEED(manager != NULL);
    CHECK_RESULT(brood_manager_register(manager, &account_type), 0);
    CHECK_RESULT(brood_manager_register_function(manager, "add to all", add_to_all), 0);
    CHECK_RESULT(brood_manager_register_function(manager, "append twice", append_twice), 0);
    CHECK_RESULT(brood_manager_register_function(manager, "ask wrongly", ask_wrongly), 0);
    CHECK_RESULT(brood_manager_register_function(manager, "keep", keep), 0);
    return manager;
}

static void finish(brood_manager *manager)
{
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void use_account(brood_manager *manager)
{
    brood_any value;
    brood_managed_object *account = CHECK_POINTER(brood_manager_object(manager, "account", NULL, 100));
    CHECK_RESULT(brood_managed_object_call(account, "deposit", 5, &value), 0);
    CHECK_EQ(value.integer, 105);
    CHECK_RESULT(brood_managed_object_call(account, "withdraw", 200, &value), -ENOSPC);
    CHECK_HAS(brood_error(), "there are 105, and not 200");
    CHECK_EQ(value.kind, BROOD_NIL);
    CHECK_RESULT(brood_managed_object_call(account, "withdraw", 5, NULL), 0);
    CHECK_RESULT(brood_managed_object_call(account, "owned_by", "Ada", &value), 0);
    CHECK_STR(value.string, "Ada");
    brood_any_clear(&value);
    CHECK_RESULT(brood_managed_object_close(account), 0);
}

static void use_functions(brood_manager *manager)
{
    brood_any value;
    const brood_any keys[] = { brood_any_string("a"), brood_any_string("b"), brood_any_string("c") };
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL));
    CHECK_RESULT(brood_dict_set(dict, "a", 10), 0);
    CHECK_RESULT(brood_dict_set(dict, "b", 20), 0);
    CHECK_RESULT(brood_managed_run(dict, "add to all", brood_any_list(keys, 2), &value), 0);
    CHECK_EQ(value.integer, 32);
    CHECK_RESULT(brood_managed_run(dict, "add to all", brood_any_list(keys, 3), &value), -ENOENT);
    CHECK_HAS(brood_error(), "'c' is missing");
    CHECK_RESULT(brood_dict_get(dict, "a", &value), 0);
    CHECK_EQ(value.integer, 11);
    CHECK_RESULT(brood_managed_run(list, "append twice", "a text that is long enough for a block of its own", NULL), 0);
    CHECK_RESULT(brood_list_length(list), 2);
    CHECK_RESULT(brood_managed_run(dict, "append twice", 1, NULL), -EINVAL);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_list_close(list), 0);
}

static int use_both(void *arg)
{
    use_account(arg);
    use_functions(arg);
    return 0;
}

static void every_start_method(void)
{
    for (brood_start method = BROOD_FORK; method <= BROOD_FORKSERVER; method++) {
        brood_manager *manager = start(&(brood_manager_options){ .start = method });
        use_both(manager);
        brood_process *process =
            CHECK_POINTER(brood_process_start(use_both, manager, 0, &(brood_process_options){ .start = method }));
        CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(process), 0);
        finish(manager);
    }
}

/* A name, handles, and the end of an object. */
static void lives(void)
{
    brood_manager *manager = start(NULL);
    brood_any value;
    brood_managed_object *one = CHECK_POINTER(brood_manager_object(manager, "account", "savings", 7));
    brood_managed_object *other = CHECK_POINTER(brood_manager_object(manager, "account", "savings", 9));
    CHECK_RESULT(brood_managed_object_call(other, "deposit", 1, &value), 0);
    CHECK_EQ(value.integer, 8); /* it was there already */
    CHECK_RESULT(brood_managed_object_close(one), 0);
    CHECK_RESULT(brood_managed_object_close(other), 0);
    CHECK_EQ(notes()->ended, 0);
    CHECK_RESULT(brood_manager_forget(manager, "savings"), 0);
    CHECK_EQ(notes()->ended, 1);
    CHECK_POINTER(brood_manager_object(manager, "account", "left", 7));
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_EQ(notes()->ended, 2); /* at the server's end */
}

static void results(void)
{
    brood_manager *manager = start(NULL);
    brood_managed_object *account = CHECK_POINTER(brood_manager_object(manager, "account", NULL, 0));
    static char large[3000000];
    memset(large, 'x', sizeof large - 1);
    const brood_any items[] = { brood_any_bool(true),    brood_any_double(1.5),    brood_any_nil(),
                                brood_any_string(large), brood_any_bytes("\0", 1), brood_any_uint(UINT64_MAX),
                                brood_any_list(NULL, 0) };
    const brood_any list = brood_any_list(items, sizeof items / sizeof *items);
    brood_any value;
    CHECK_RESULT(brood_managed_object_call(account, "echo", list, &value), 0);
    CHECK(brood_any_equal(&value, &list));
    brood_any_clear(&value);
    CHECK_RESULT(brood_managed_object_call(account, "bad_text", 0, &value), -EINVAL);
    CHECK_HAS(brood_error(), "UTF-8");
    CHECK_RESULT(brood_managed_object_call(account, "bad_kind", 0, &value), -EINVAL);
    CHECK_HAS(brood_error(), "of no kind");
    CHECK_RESULT(brood_managed_object_call(account, "too_deep", 0, &value), -EMSGSIZE);
    CHECK_RESULT(brood_managed_object_call(account, "say_nothing", EBUSY, &value), -EBUSY);
    CHECK_HAS(brood_error(), "'say_nothing' failed");
    CHECK_RESULT(brood_managed_object_call(account, "say_nothing", -EBUSY, NULL), -EBUSY);
    CHECK_RESULT(brood_managed_object_call(account, "say_nothing", 1000000, NULL), -EIO);
    CHECK_RESULT(brood_managed_object_call(account, "say_nothing", INT32_MIN, NULL), -EIO);
    CHECK_RESULT(brood_managed_object_close(account), 0);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    CHECK_RESULT(brood_managed_run(dict, "ask wrongly", 0, &value), 0);
    CHECK_EQ(value.kind, BROOD_MAP);
    brood_any_clear(&value);
    CHECK_RESULT(brood_dict_close(dict), 0);
    finish(manager);
}

/* Objects of one's own stand in others, and functions store references, which make no cycle. */
static void referred(void)
{
    brood_manager *manager = start(NULL);
    brood_any value;
    brood_dict *outer = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_dict *inner = CHECK_POINTER(brood_manager_dict(manager, NULL));
    brood_managed_object *account = CHECK_POINTER(brood_manager_object(manager, "account", NULL, 5));
    CHECK_RESULT(brood_dict_set(inner, "account", account), 0);
    CHECK_RESULT(brood_managed_object_close(account), 0);
    CHECK_RESULT(brood_managed_run(outer, "keep", inner, &value), 0);
    CHECK_EQ(value.kind, BROOD_REFERENCE);
    CHECK_STR(brood_reference_type(manager, &value), "dict");
    CHECK_RESULT(brood_managed_run(inner, "keep", outer, NULL), -ELOOP);
    CHECK_RESULT(brood_managed_run(inner, "keep", inner, NULL), -ELOOP);
    CHECK_RESULT(brood_dict_close(inner), 0);
    CHECK_RESULT(brood_dict_get(outer, "kept", &value), 0);
    inner = CHECK_POINTER(brood_reference_dict(manager, &value));
    CHECK_RESULT(brood_dict_get(inner, "account", &value), 0);
    CHECK_STR(brood_reference_type(manager, &value), "object");
    CHECK_NULL(brood_reference_list(manager, &value), EINVAL);
    account = CHECK_POINTER(brood_reference_object(manager, &value));
    CHECK_RESULT(brood_managed_object_call(account, "deposit", 1, &value), 0);
    CHECK_EQ(value.integer, 6);
    CHECK_RESULT(brood_managed_object_call(account, "echo", outer, &value), 0);
    CHECK_EQ(value.kind, BROOD_REFERENCE);
    CHECK_RESULT(brood_dict_close(outer), 0);
    CHECK_RESULT(brood_managed_object_close(account), 0);
    CHECK_EQ(notes()->ended, 0); /* it is in the inner one */
    CHECK_RESULT(brood_dict_close(inner), 0);
    CHECK_EQ(notes()->ended, 1);
    finish(manager);
}

static void refused(void)
{
    static const brood_managed_method twice[] = { { "echo", echo }, { "echo", echo }, { NULL, NULL } };
    static const brood_managed_method without[] = { { "echo", NULL }, { NULL, NULL } };
    static const brood_managed_method unnamed[] = { { "", echo }, { NULL, NULL } };
    const char *longest = "a name of 63 bytes, the longest there may be, with padding xxxxx";
    char name[65];
    snprintf(name, sizeof name, "%.63s", longest);
    brood_manager *manager = start(NULL);
    brood_any value;

    CHECK_RESULT(brood_manager_register(NULL, &account_type), -EINVAL);
    CHECK_RESULT(brood_manager_register(manager, NULL), -EINVAL);
    CHECK_RESULT(brood_manager_register(manager, &(brood_managed_type){ .name = NULL }), -EINVAL);
    CHECK_RESULT(brood_manager_register(manager, &(brood_managed_type){ .name = "" }), -EINVAL);
    CHECK_RESULT(brood_manager_register(manager, &(brood_managed_type){ .name = "\xff" }), -EINVAL);
    CHECK_RESULT(brood_manager_register(manager, &(brood_managed_type){ .name = longest }), -EINVAL);
    CHECK_RESULT(brood_manager_register(manager, &(brood_managed_type){ .name = name }), 0);
    CHECK_RESULT(brood_manager_register(manager, &(brood_managed_type){ .name = "x", .reserved = { manager } }),
                 -EINVAL);
    CHECK_RESULT(brood_manager_register(manager, &(brood_managed_type){ .name = "x", .methods = twice }), -EINVAL);
    CHECK_HAS(brood_error(), "stands twice");
    CHECK_RESULT(brood_manager_register(manager, &(brood_managed_type){ .name = "x", .methods = without }), -EINVAL);
    CHECK_RESULT(brood_manager_register(manager, &(brood_managed_type){ .name = "x", .methods = unnamed }), -EINVAL);
    CHECK_RESULT(
        brood_manager_register(manager, &(brood_managed_type){ .name = "x", .end = (void (*)(void *))(uintptr_t)name }),
        -EINVAL);
    CHECK_HAS(brood_error(), "no module");
    CHECK_RESULT(brood_manager_register(manager, &account_type), 0); /* again */
    CHECK_RESULT(brood_manager_register(manager, &(brood_managed_type){ .name = "account", .methods = unnamed + 1 }),
                 -EEXIST);
    CHECK_RESULT(brood_manager_register_function(NULL, "f", add_to_all), -EINVAL);
    CHECK_RESULT(brood_manager_register_function(manager, NULL, add_to_all), -EINVAL);
    CHECK_RESULT(brood_manager_register_function(manager, "f", NULL), -EINVAL);
    CHECK_RESULT(brood_manager_register_function(manager, "", add_to_all), -EINVAL);
    CHECK_RESULT(brood_manager_register_function(manager, longest, add_to_all), -EINVAL);
    CHECK_RESULT(brood_manager_register_function(manager, "f", (brood_managed_function *)(uintptr_t)name), -EINVAL);
    CHECK_RESULT(brood_manager_register_function(manager, "add to all", add_to_all), 0);
    CHECK_RESULT(brood_manager_register_function(manager, "add to all", append_twice), -EEXIST);

    CHECK_NULL(brood_manager_object(NULL, "account", NULL, 0), EINVAL);
    CHECK_NULL(brood_manager_object(manager, NULL, NULL, 0), EINVAL);
    CHECK_NULL((brood_manager_object)(manager, "account", NULL, NULL), EINVAL);
    CHECK_NULL(brood_manager_object(manager, "ledger", NULL, 0), ENOENT);
    CHECK_HAS(brood_error(), "'ledger'");
    CHECK_NULL(brood_manager_object(manager, "\xff", NULL, 0), EINVAL);
    CHECK_NULL(brood_manager_object(manager, "account", "\xff", 0), EINVAL);
    CHECK_NULL(brood_manager_object(manager, "account", NULL, "zero"), ERANGE);
    CHECK_HAS(brood_error(), "not with a string");
    brood_managed_object *account = CHECK_POINTER(brood_manager_object(manager, "account", "mine", 1));
    CHECK_NULL(brood_manager_object(manager, name, "mine", 1), EINVAL);
    CHECK_NULL(brood_manager_dict(manager, "mine"), EINVAL);
    CHECK_RESULT(brood_managed_object_call(NULL, "deposit", 1, &value), -EINVAL);
    CHECK_RESULT(brood_managed_object_call(account, NULL, 1, &value), -EINVAL);
    CHECK_RESULT((brood_managed_object_call)(account, "deposit", NULL, &value), -EINVAL);
    CHECK_RESULT(brood_managed_object_call(account, "deposit", "\xff", &value), -EINVAL);
    CHECK_RESULT(brood_managed_object_call(account, "steal", 1, &value), -ENOENT);
    CHECK_HAS(brood_error(), "type 'account' has no method 'steal'");
    CHECK_RESULT(brood_managed_object_call(account, longest, 1, &value), -ENOENT);
    brood_any itself = brood_any_bytes(&manager, sizeof manager);
    CHECK_RESULT(brood_managed_object_call(account, "call_itself", itself, NULL), -EDEADLK);
    CHECK_HAS(brood_error(), "cannot call itself");

    brood_managed_lock *lock = CHECK_POINTER(brood_manager_lock(manager, NULL));
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, NULL));
    CHECK_RESULT(brood_managed_run(NULL, "add to all", 1, &value), -EINVAL);
    CHECK_RESULT(brood_managed_run(dict, NULL, 1, &value), -EINVAL);
    CHECK_RESULT((brood_managed_run)(dict, "add to all", NULL, &value), -EINVAL);
    CHECK_RESULT(brood_managed_run(dict, "no such", 1, &value), -ENOENT);
    CHECK_HAS(brood_error(), "'no such'");
    CHECK_RESULT(brood_managed_run(lock, "add to all", 1, &value), -EINVAL);
    CHECK_RESULT(brood_managed_run(account, "add to all", 1, &value), -EINVAL);
    CHECK_RESULT(brood_managed_run(manager, "add to all", 1, &value), -EINVAL);
    CHECK_RESULT(brood_managed_lock_close(lock), 0);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_manager_forget(manager, "mine"), 0);
    CHECK_RESULT(brood_managed_object_close(account), 0);
    CHECK_RESULT(brood_managed_object_close(NULL), 0);
    finish(manager);
}

struct crowd {
    brood_managed_object *account;
    brood_manager *manager;
};

static int deposit_often(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < EACH; i++)
        CHECK_RESULT(brood_managed_object_call(crowd->account, "deposit", 1, NULL), 0);
    return 0;
}

/* Objects of one's own are in no snapshot; what refers to one there is nil. */
static void saved(void)
{
    char folder[200], path[300];
    NEED(make_folder(folder, sizeof folder) == 0);
    snprintf(path, sizeof path, "%s/saved", folder);
    brood_manager *manager = start(NULL);
    brood_managed_object *account = CHECK_POINTER(brood_manager_object(manager, "account", "savings", 5));
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, "dict"));
    CHECK_RESULT(brood_dict_set(dict, "account", account), 0);
    CHECK_RESULT(brood_manager_save(manager, path), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    manager = start(&(brood_manager_options){ .load = path });
    brood_manager_stats stats;
    brood_any value = brood_any_int(1);
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 1);
    dict = CHECK_POINTER(brood_manager_dict(manager, "dict"));
    CHECK_RESULT(brood_dict_get(dict, "account", &value), 0);
    CHECK_EQ(value.kind, BROOD_NIL);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(rmdir(folder), 0);
}

/* No deposit is lost. */
static void many(void)
{
    struct crowd *crowd = CHECK_POINTER(brood_alloc(sizeof *crowd));
    brood_process *process[PARTIES];
    brood_any value;
    crowd->manager = start(NULL);
    crowd->account = CHECK_POINTER(brood_manager_object(crowd->manager, "account", NULL, 0));
    for (int i = 0; i < PARTIES; i++)
        process[i] = CHECK_POINTER(brood_process_start(deposit_often, crowd, 0, NULL));
    for (int i = 0; i < PARTIES; i++) {
        CHECK_RESULT(brood_process_join(process[i], NULL, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_process_close(process[i]), 0);
    }
    CHECK_RESULT(brood_managed_object_call(crowd->account, "deposit", 0, &value), 0);
    CHECK_EQ(value.integer, PARTIES * EACH);
    CHECK_RESULT(brood_managed_object_close(crowd->account), 0);
    finish(crowd->manager);
    brood_free(crowd);
}

static int hold_one(void *arg)
{
    struct crowd *crowd = arg;
    CHECK_POINTER(brood_manager_object(crowd->manager, "account", NULL, 0));
    atomic_store(&notes()->going, 1);
    for (;;)
        pause();
    return 0;
}

static bool has_ended(void *arg)
{
    (void)arg;
    return notes()->ended == 1;
}

/* A dead client's objects go. */
static void client_killed(void)
{
    struct crowd *crowd = CHECK_POINTER(brood_alloc(sizeof *crowd));
    crowd->manager = start(NULL);
    brood_process *process = CHECK_POINTER(brood_process_start(hold_one, crowd, 0, NULL));
    CHECK(wait_word(&notes()->going, 1, SOON_MS));
    CHECK_RESULT(brood_process_signal(process, SIGKILL), 0);
    CHECK_RESULT(brood_process_join(process, NULL, BROOD_FOREVER), 0);
    CHECK_RESULT(brood_process_close(process), 0);
    CHECK(wait_until(has_ended, NULL, SOON_MS));
    finish(crowd->manager);
    brood_free(crowd);
}

/* A method that crashes is the server's death, told at once. */
static void server_crashes(void)
{
    brood_manager *manager = start(NULL);
    brood_managed_object *account = CHECK_POINTER(brood_manager_object(manager, "account", NULL, 0));
    CHECK_RESULT(brood_managed_object_call(account, "crash", 0, NULL), -EOWNERDEAD);
    CHECK_RESULT(brood_managed_object_call(account, "deposit", 0, NULL), -EOWNERDEAD);
    CHECK_RESULT(brood_managed_object_close(account), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* Batches have both. */
static void batched(void)
{
    brood_manager *manager = start(NULL);
    brood_any value;
    brood_managed_object *account = CHECK_POINTER(brood_manager_object(manager, "account", NULL, 0));
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, NULL));
    brood_batch *batch = CHECK_POINTER(brood_batch_create(manager));
    const brood_any call[] = { brood_any_string("deposit"), brood_any_int(3) };
    const brood_any run[] = { brood_any_string("append twice"), brood_any_int(3) };
    CHECK_RESULT(brood_batch_call(batch, account, "call", call, 2), 0);
    CHECK_RESULT(brood_batch_call(batch, list, "run", run, 2), 1);
    CHECK_RESULT(brood_batch_call(batch, list, "length", NULL, 0), 2);
    CHECK_RESULT(brood_batch_run(batch), 0);
    CHECK_RESULT(brood_batch_result(batch, 0, &value), 0);
    CHECK_EQ(value.integer, 3);
    CHECK_RESULT(brood_batch_result(batch, 2, &value), 0);
    CHECK_EQ(value.integer, 2);
    CHECK_RESULT(brood_batch_destroy(batch), 0);
    CHECK_RESULT(brood_list_close(list), 0);
    CHECK_RESULT(brood_managed_object_close(account), 0);
    finish(manager);
}

/* ---- from outside the family ---- */

static void come_by_address(void)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_connect(notes()->address, NULL));
    NEED(manager != NULL);
    CHECK_RESULT(brood_manager_register(manager, &account_type), -ECHILD);
    CHECK_RESULT(brood_manager_register_function(manager, "f", add_to_all), -ECHILD);
    use_both(manager);
    brood_managed_object *account = CHECK_POINTER(brood_manager_object(manager, "account", NULL, 1));
    CHECK_RESULT(brood_managed_object_call(account, "steal", 1, NULL), -ENOENT);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
}

static bool is_empty(void *manager)
{
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    return stats.objects == 0;
}

static void by_address(void)
{
    if (harness_part()) {
        come_by_address();
        return;
    }
    brood_manager *manager = start(NULL);
    snprintf(notes()->address, sizeof notes()->address, "unix:@brood-test-type-%d", (int)getpid());
    CHECK_RESULT(brood_manager_listen(manager, notes()->address, NULL), 0);
    CHECK_EQ(wait_child(harness_start("client")), 0);
    CHECK(wait_until(is_empty, manager, SOON_MS));
    finish(manager);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "every_start_method", .run = every_start_method },
        { .name = "lives", .run = lives },
        { .name = "results", .run = results },
        { .name = "referred", .run = referred },
        { .name = "refused", .run = refused },
        { .name = "saved", .run = saved },
        { .name = "many", .run = many },
        { .name = "client_killed", .run = client_killed },
        { .name = "server_crashes", .run = server_crashes },
        { .name = "batched", .run = batched },
        { .name = "by_address", .run = by_address },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
