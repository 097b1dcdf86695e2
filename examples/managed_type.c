/* managed_type: a type of the program's own in a manager, an account; and a function of its own that moves money
 * between two entries of a dictionary, seen by nobody in between. Prints "140", "there are 140, and not 200" behind the
 * call's name, and "70 80". */
#include <brood.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- in the server ---- */

struct account {
    long long balance;
};

static int open_account(void **self, const brood_any *arg)
{
    struct account *account = malloc(sizeof *account);
    *self = account;
    if (!account)
        return ENOMEM;
    account->balance = arg->integer;
    return 0;
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
    *result = brood_any_int(account->balance -= arg->integer);
    return 0;
}

/* arg: from whom, to whom, how much. Nobody sees the dictionary in between. */
static int transfer(brood_managed_view *view, const brood_any *arg, brood_any *result)
{
    const brood_any *from = &arg->items[0], *to = &arg->items[1], *amount = &arg->items[2];
    (void)result;
    if (brood_managed_view_call(view, "contains", to, 1, NULL) != 1)
        return brood_fail(ENOENT, "nobody is called '%s'", to->string);
    const brood_any less[] = { *from, brood_any_int(-amount->integer) }, more[] = { *to, *amount };
    if (brood_managed_view_call(view, "add", less, 2, NULL) < 0)
        return brood_fail(ENOENT, "%s", brood_error());
    return brood_managed_view_call(view, "add", more, 2, NULL);
}

/* ---- everywhere ---- */

static int pay_in(void *arg)
{
    brood_managed_object *account = *(brood_managed_object **)arg;
    return brood_managed_object_call(account, "deposit", 10, NULL) < 0;
}

static int fail(void)
{
    fprintf(stderr, "managed_type: %s\n", brood_error());
    return 1;
}

int main(void)
{
    static const brood_managed_method methods[] = { { "deposit", deposit }, { "withdraw", withdraw }, { NULL, NULL } };
    brood_init(NULL);
    brood_manager *manager = brood_manager_start(NULL);
    if (brood_manager_register(
            manager,
            &(brood_managed_type){ .name = "account", .begin = open_account, .end = free, .methods = methods }) < 0 ||
        brood_manager_register_function(manager, "transfer", transfer) < 0)
        return fail();

    brood_managed_object *account = brood_manager_object(manager, "account", "savings", 100);
    brood_process *payers[4];
    for (int i = 0; i < 4; i++)
        payers[i] = brood_process_start(pay_in, &account, sizeof account, NULL);
    for (int i = 0; i < 4; i++)
        brood_process_join(payers[i], NULL, BROOD_FOREVER);
    brood_any balance;
    if (brood_managed_object_call(account, "deposit", 0, &balance) < 0)
        return fail();
    printf("%d\n", (int)balance.integer);
    if (brood_managed_object_call(account, "withdraw", 200, NULL) == -ENOSPC)
        puts(brood_error());

    brood_dict *purses = brood_manager_dict(manager, "purses");
    brood_dict_set(purses, "ann", 100);
    brood_dict_set(purses, "bob", 50);
    const brood_any order[] = { brood_any_string("ann"), brood_any_string("bob"), brood_any_int(30) };
    brood_any ann, bob;
    if (brood_managed_run(purses, "transfer", brood_any_list(order, 3), NULL) < 0 ||
        brood_dict_get(purses, "ann", &ann) < 0 || brood_dict_get(purses, "bob", &bob) < 0)
        return fail();
    printf("%d %d\n", (int)ann.integer, (int)bob.integer);
    return brood_manager_destroy(manager) < 0;
}
