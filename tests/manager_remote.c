/* manager_remote.c: a manager's server called from outside its family: by address, with a key.
 *
 * The other family is this program started again: its client finds the address on the harness' page.
 */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY .key = "open sesame", .key_size = 11
#define FILES TEST_FOLDER "/tls/"
#define LARGE 3000000

/* What both families share for the test's own sake. */
struct notes {
    char address[200];
    atomic_int reached;
};

static struct notes *notes(void)
{
    return harness_page();
}

static const brood_listener_options with_key = { KEY };
static const brood_connection_options have_key = { KEY };

static brood_manager *start(const brood_listener_options *options)
{
    const brood_manager_options shop = { .name = "shop" };
    brood_manager *manager = CHECK_POINTER(brood_manager_start(&shop));
    NEED(manager != NULL);
    char address[64];
    snprintf(address, sizeof address, "unix:@brood-test-%d", (int)getpid());
    int failed = brood_manager_listen(manager, address, options);
    if (failed == -ENOTSUP && !TEST_OPENSSL) {
        brood_manager_destroy(manager);
        harness_skip("libbrood_openssl is not built");
    }
    CHECK_RESULT(failed, 0);
    CHECK_STR(brood_manager_address(manager), address);
    snprintf(notes()->address, sizeof notes()->address, "%s", brood_manager_address(manager));
    return manager;
}

static brood_manager *join(const brood_connection_options *options)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_connect(notes()->address, options));
    NEED(manager != NULL);
    return manager;
}

struct amount {
    brood_manager *manager;
    size_t handles, objects;
};

static bool has_amount(void *context)
{
    const struct amount *amount = context;
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(amount->manager, &stats), 0);
    return stats.handles == amount->handles && stats.objects == amount->objects;
}

static void finish(brood_manager *manager)
{
    struct amount none = { manager, 0, 0 };
    CHECK(wait_until(has_amount, &none, 5000));
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static long long number_of(brood_dict *dict, const char *key)
{
    brood_any value;
    CHECK_RESULT(brood_dict_get(dict, key, &value), 0);
    CHECK_EQ(value.kind, BROOD_INT);
    long long number = value.integer;
    brood_any_clear(&value);
    return number;
}

/* ---- another program ---- */

static void be_a_client(void)
{
    brood_manager *manager = join(&have_key);
    CHECK_EQ(brood_manager_pid(manager), 0);
    CHECK_STR(brood_manager_address(manager), notes()->address);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, "prices"));
    NEED(dict != NULL);
    CHECK_EQ(number_of(dict, "apple"), 3);
    CHECK_RESULT(brood_dict_set(dict, "pear", 4), 0);
    CHECK_RESULT(brood_dict_add(dict, "apple", 7), 0);
    CHECK_RESULT(brood_dict_contains(dict, "pear"), 1);
    CHECK_RESULT(brood_dict_contains(dict, "plum"), 0);
    CHECK_RESULT(brood_dict_length(dict), 2);
    brood_any value;
    CHECK_RESULT(brood_dict_get(dict, "plum", &value), -ENOENT);
    CHECK_HAS(brood_error(), "brood_dict_get");
    CHECK_RESULT(brood_dict_compare(dict, "pear", 5, 6), -EAGAIN);
    CHECK_RESULT(brood_dict_add(dict, "pear", "x"), -EINVAL);
    brood_dict *copy = CHECK_POINTER(brood_dict_copy(dict));
    CHECK_RESULT(brood_dict_length(copy), 2);
    CHECK_RESULT(brood_dict_close(copy), 0);

    CHECK_NULL(brood_manager_list(manager, "prices"), EINVAL);
    CHECK_HAS(brood_error(), "dictionary");
    brood_list *list = CHECK_POINTER(brood_manager_list(manager, "names"));
    for (int i = 0; i < 5; i++)
        CHECK_RESULT(brood_list_append(list, i), 0);
    CHECK_RESULT(brood_list_reverse(list), 0);
    CHECK_RESULT(brood_list_index(list, 4), 0);
    CHECK_RESULT(brood_list_items(list, &value), 0);
    CHECK_EQ(value.size, 5);
    brood_any_clear(&value);
    CHECK_RESULT(brood_list_get(list, 5, &value), -ERANGE);

    brood_namespace *names = CHECK_POINTER(brood_manager_namespace(manager, "settings"));
    CHECK_RESULT(brood_namespace_set(names, "colour", "blue"), 0);
    CHECK_RESULT(brood_namespace_get(names, "colour", &value), 0);
    CHECK_STR(value.string, "blue");
    brood_any_clear(&value);

    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(manager, &stats), 0);
    CHECK_EQ(stats.objects, 3);
    CHECK_EQ(stats.handles, 4);
    CHECK(stats.clients >= 2);
    CHECK_RESULT(brood_manager_forget(manager, "names"), 0);
    CHECK_RESULT(brood_manager_forget(manager, "names"), -ENOENT);
    CHECK_RESULT(brood_list_close(list), 0);
    CHECK_RESULT(brood_namespace_close(names), 0);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_manager_shutdown(manager), -ECHILD);
    CHECK_RESULT(brood_manager_listen(manager, "unix:@brood-test-none", NULL), -ECHILD);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void another_program(void)
{
    if (harness_part()) {
        be_a_client();
        return;
    }
    brood_manager *manager = start(&with_key);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, "prices"));
    CHECK_RESULT(brood_dict_set(dict, "apple", 3), 0);
    CHECK_EQ(wait_child(harness_start("client")), 0);
    CHECK_EQ(number_of(dict, "apple"), 10);
    CHECK_EQ(number_of(dict, "pear"), 4);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_manager_forget(manager, "prices"), 0);
    CHECK_RESULT(brood_manager_forget(manager, "settings"), 0);
    finish(manager);
}

/* ---- its death ---- */

static void be_killed(void)
{
    brood_manager *manager = join(&have_key);
    for (int i = 0; i < 3; i++)
        NEED(brood_manager_dict(manager, NULL) != NULL);
    NEED(brood_manager_list(manager, "kept") != NULL);
    atomic_store(&notes()->reached, 1);
    for (;;)
        pause();
}

static void killed_client(void)
{
    if (harness_part())
        be_killed();
    brood_manager *manager = start(&with_key);
    struct amount held = { manager, 4, 4 }, named = { manager, 0, 1 };
    pid_t pid = harness_start("client");
    CHECK(wait_word(&notes()->reached, 1, 15000));
    CHECK(wait_until(has_amount, &held, 0));
    long long before = now_ms();
    kill_child(pid);
    CHECK(wait_until(has_amount, &named, 5000));
    CHECK(now_ms() - before < 900); /* it did not wait for the next look at the dead */
    CHECK_RESULT(brood_manager_forget(manager, "kept"), 0);
    finish(manager);
}

/* In the middle of calls, at any time: each is done or not, and the server serves on. */
static void add_for_ever(void)
{
    brood_manager *manager = join(&have_key);
    brood_dict *dict = brood_manager_dict(manager, "sums");
    NEED(dict != NULL);
    for (;;) {
        NEED(brood_dict_add(dict, "count", 1) == 0);
        atomic_fetch_add(&notes()->reached, 1);
    }
}

static void killed_in_calls(void)
{
    if (harness_part())
        add_for_ever();
    brood_manager *manager = start(&with_key);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(manager, "sums"));
    CHECK_RESULT(brood_dict_set(dict, "count", 0), 0);
    uint32_t random = 7;
    int rounds = harness_times(8);
    for (int i = 0; i < rounds; i++) {
        int before = atomic_load(&notes()->reached);
        pid_t pid = harness_start("client");
        CHECK(wait_word(&notes()->reached, before + 1, 15000));
        pass_us(random_next(&random) % 5000);
        kill_child(pid);
    }
    struct amount mine = { manager, 1, 1 };
    CHECK(wait_until(has_amount, &mine, 5000));
    long long lost = number_of(dict, "count") - atomic_load(&notes()->reached);
    CHECK(lost >= 0 && lost <= rounds);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_manager_forget(manager, "sums"), 0);
    finish(manager);
}

/* ---- the server's end ---- */

static void server_killed(void)
{
    brood_manager *manager = start(&with_key), *remote = join(&have_key);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(remote, NULL));
    CHECK_EQ(kill(brood_manager_pid(manager), SIGKILL), 0);
    int failed;
    while ((failed = brood_dict_set(dict, 1, 2)) == 0)
        ;
    CHECK_RESULT(failed, -EOWNERDEAD);
    CHECK_HAS(brood_error(), "shop");
    CHECK_RESULT(brood_dict_set(dict, 1, 2), -EOWNERDEAD);
    CHECK_NULL(brood_manager_list(remote, NULL), EOWNERDEAD);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void server_shut_down(void)
{
    brood_manager *manager = start(&with_key), *remote = join(&have_key);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(remote, NULL));
    CHECK_RESULT(brood_manager_shutdown(manager), 0);
    CHECK_RESULT(brood_dict_set(dict, 1, 2), -EPIPE);
    CHECK_HAS(brood_error(), "shut down");
    CHECK_RESULT(brood_dict_set(dict, 1, 2), -EPIPE);
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_NULL(brood_manager_connect(notes()->address, &have_key), ECONNREFUSED);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    CHECK_RESULT(brood_manager_destroy(manager), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

/* ---- threads and processes of a client ---- */

enum { THREADS = 4, ADDS = 200 };

static void *add_often(void *arg)
{
    for (int i = 0; i < ADDS; i++)
        CHECK_RESULT(brood_dict_add(arg, "count", 1), 0);
    return NULL;
}

static void threads_of_one(void)
{
    brood_manager *manager = start(&with_key), *remote = join(&have_key);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(remote, NULL));
    CHECK_RESULT(brood_dict_set(dict, "count", 0), 0);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        NEED(pthread_create(&threads[i], NULL, add_often, dict) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(number_of(dict, "count"), THREADS * ADDS);
    struct amount held = { manager, 1, 1 }; /* the handle is the process', whose lines have gone but for one */
    CHECK(has_amount(&held));
    CHECK_RESULT(brood_dict_close(dict), 0);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    finish(manager);
}

struct pair {
    brood_manager *remote;
    brood_dict *dict;
};

static void *connect_and_end(void *arg)
{
    struct pair *pair = arg;
    pair->remote = join(&have_key);
    pair->dict = CHECK_POINTER(brood_manager_dict(pair->remote, NULL));
    return NULL;
}

static bool two_call(void *context)
{
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(context, &stats), 0);
    return stats.clients <= 2;
}

/* The handles are the process', also while no thread of it has a line. */
static void connected_by_another_thread(void)
{
    brood_manager *manager = start(&with_key);
    struct pair pair = { 0 };
    struct amount held = { manager, 1, 1 };
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, connect_and_end, &pair) == 0);
    pthread_join(thread, NULL);
    CHECK(wait_until(two_call, manager, 5000)); /* the server has seen that thread's end */
    CHECK(has_amount(&held));
    CHECK_RESULT(brood_dict_set(pair.dict, 1, 2), 0);
    CHECK_RESULT(brood_dict_close(pair.dict), 0);
    CHECK_POINTER(brood_manager_dict(pair.remote, NULL));
    CHECK_RESULT(brood_manager_destroy(pair.remote), 0);
    finish(manager);
}

static int call_in_child(void *arg)
{
    const struct pair *pair = arg;
    CHECK_RESULT(brood_dict_set(pair->dict, 1, 2), -EPERM);
    CHECK_NULL(brood_manager_dict(pair->remote, NULL), EPERM);
    CHECK_RESULT(brood_manager_destroy(pair->remote), -ECHILD);
    brood_manager *own = join(&have_key);
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(own, NULL));
    CHECK_RESULT(brood_dict_set(dict, 1, 2), 0);
    CHECK_RESULT(brood_manager_destroy(own), 0);
    return 0;
}

static void other_process(void)
{
    brood_manager *manager = start(&with_key), *remote = join(&have_key);
    struct pair pair = { remote, CHECK_POINTER(brood_manager_dict(remote, NULL)) };
    CHECK_EQ(wait_child(fork_child(call_in_child, &pair)), 0);
    CHECK_RESULT(brood_dict_length(pair.dict), 0);
    CHECK_RESULT(brood_dict_close(pair.dict), 0);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    finish(manager);
}

/* ---- sizes ---- */

static void large_values(void)
{
    brood_listener_options options = { KEY, .max_message = LARGE };
    brood_manager *manager = start(&options), *remote = join(&have_key);
    brood_list *list = CHECK_POINTER(brood_manager_list(remote, NULL));
    char *large = malloc(LARGE + 1);
    NEED(large != NULL);
    memset(large, 'x', LARGE);
    large[LARGE] = 0;
    CHECK_RESULT(brood_list_append(list, large), -EMSGSIZE);
    large[LARGE - 100] = 0;
    CHECK_RESULT(brood_list_append(list, large), 0);
    brood_any value;
    CHECK_RESULT(brood_list_get(list, 0, &value), 0);
    CHECK_EQ(value.size, LARGE - 100);
    CHECK(value.string && strcmp(value.string, large) == 0);
    brood_any_clear(&value);
    CHECK_RESULT(brood_list_append(list, "\xff"), -EINVAL);
    CHECK_HAS(brood_error(), "UTF-8");
    CHECK_RESULT(brood_list_length(list), 1);
    CHECK_RESULT(brood_list_close(list), 0);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    free(large);
    finish(manager);
}

/* ---- other lines ---- */

static void over_tcp(void)
{
    brood_manager *manager = CHECK_POINTER(brood_manager_start(NULL));
    CHECK_RESULT(brood_manager_listen(manager, "tcp:127.0.0.1:0", NULL), 0);
    CHECK_HAS(brood_manager_address(manager), "tcp:127.0.0.1:");
    brood_manager *remote = CHECK_POINTER(brood_manager_connect(brood_manager_address(manager), NULL));
    brood_dict *dict = CHECK_POINTER(brood_manager_dict(remote, NULL));
    CHECK_RESULT(brood_dict_set(dict, "count", 0), 0);
    add_often(dict);
    CHECK_EQ(number_of(dict, "count"), ADDS);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    finish(manager);
}

static void over_tls(void)
{
    const brood_listener_options server = { .certificate = FILES "server.pem",
                                            .private_key = FILES "server.key",
                                            .authority = FILES "authority.pem",
                                            KEY,
                                            .handshake_ms = 2000 };
    const brood_connection_options client = {
        .certificate = FILES "client.pem", .private_key = FILES "client.key", .authority = FILES "authority.pem", KEY
    };
    const brood_connection_options nobody = { .authority = FILES "authority.pem", KEY };
    const brood_connection_options mistaken = { .authority = FILES "stranger.pem", KEY };
    brood_manager *manager = CHECK_POINTER(brood_manager_start(NULL));
    int failed = brood_manager_listen(manager, "tcp:127.0.0.1:0", &server);
    if (failed == -ENOTSUP && !TEST_OPENSSL) {
        brood_manager_destroy(manager);
        harness_skip("libbrood_openssl is not built");
    }
    CHECK_RESULT(failed, 0);
    const char *address = brood_manager_address(manager);
    CHECK_NULL(brood_manager_connect(address, &mistaken), EACCES);
    CHECK(!brood_manager_connect(address, &nobody));
    CHECK(!brood_manager_connect(address, &have_key));
    brood_manager *remote = CHECK_POINTER(brood_manager_connect(address, &client));
    NEED(remote != NULL);
    brood_list *list = CHECK_POINTER(brood_manager_list(remote, NULL));
    char *large = malloc(LARGE + 1);
    NEED(large != NULL);
    memset(large, 'x', LARGE);
    large[LARGE] = 0;
    brood_any value;
    for (int i = 0; i < 5; i++) {
        CHECK_RESULT(brood_list_append(list, large), 0);
        CHECK_RESULT(brood_list_get(list, i, &value), 0);
        CHECK_EQ(value.size, LARGE);
        brood_any_clear(&value);
    }
    free(large);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    finish(manager);
}

/* ---- who is let in ---- */

static void keys(void)
{
    brood_manager *manager = start(&with_key);
    const brood_connection_options wrong = { .key = "open barley", .key_size = 11 };
    CHECK_NULL(brood_manager_connect(notes()->address, &wrong), EACCES);
    CHECK_NULL(brood_manager_connect(notes()->address, NULL), EPROTO); /* the challenge is no answer */
    CHECK_RESULT(brood_manager_destroy(join(&have_key)), 0);
    finish(manager);
}

/* What is no server of this version's, or none at all: each says so to one who connects. */
struct impostor {
    brood_listener *listener;
    const char *answer;
    size_t size;
};

static void *answer_once(void *arg)
{
    const struct impostor *impostor = arg;
    char request[200];
    size_t got;
    brood_connection *end = CHECK_POINTER(brood_listener_accept(impostor->listener, 15000));
    CHECK_RESULT(brood_connection_recv(end, request, sizeof request, &got, 15000), 0);
    if (impostor->answer)
        CHECK_RESULT(brood_connection_send(end, impostor->answer, impostor->size, 15000), 0);
    CHECK_RESULT(brood_connection_close(end), 0);
    return NULL;
}

static void impostors(void)
{
    static const struct {
        const char *answer;
        int code;
    } answers[] = {
        { "\x83\x01\x66"
          "EPROTO\x69version 2",
          EPROTO },
        { "\x83\x01\x18\x00\xa0", EPROTO },
        { "\x83\x07\x18\x00\xa0", EPROTO },
        { "\x83\xf6\x66"
          "EUSERS\x64"
          "full",
          EUSERS },
        { "\xff", EPROTO },
        { "HTTP/1.1 400 Bad Request", EPROTO },
        { NULL, EOWNERDEAD },
    };
    brood_listener *listener = CHECK_POINTER(brood_listener_create("tcp:127.0.0.1:0", NULL));
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        const char *answer = answers[i].answer;
        struct impostor impostor = { listener, answer, answer ? strlen(answer) : 0 };
        pthread_t thread;
        if (impostor.size == 3 && answer[2] == 0x18) /* with a 0 in it */
            impostor.size = 5;
        NEED(pthread_create(&thread, NULL, answer_once, &impostor) == 0);
        CHECK_NULL(brood_manager_connect(brood_listener_address(listener), NULL), answers[i].code);
        pthread_join(thread, NULL);
    }
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    CHECK_RESULT(brood_heap_check(), 0);
}

static void without_key(void)
{
    brood_manager *manager = start(NULL), *remote = join(NULL);
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(remote, &stats), 0);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    finish(manager);
}

static void wrong_places(void)
{
    brood_manager *manager = start(NULL);
    brood_listener_options reserved = { .reserved = { manager } };
    CHECK_RESULT(brood_manager_listen(manager, notes()->address, NULL), -EADDRINUSE);
    CHECK_HAS(brood_error(), "brood_manager_listen: 'unix:");
    CHECK_RESULT(brood_manager_listen(manager, "somewhere", NULL), -EINVAL);
    CHECK_RESULT(brood_manager_listen(manager, "unix:/no/such/folder/socket", NULL), -ENOENT);
    CHECK_RESULT(brood_manager_listen(manager, NULL, NULL), -EINVAL);
    CHECK_RESULT(brood_manager_listen(manager, "unix:@brood-test-none", &reserved), -EINVAL);
    CHECK_RESULT(brood_manager_listen(NULL, "unix:@brood-test-none", NULL), -EINVAL);
    CHECK_STR(brood_manager_address(manager), notes()->address);
    CHECK_NULL(brood_manager_connect("unix:@brood-test-none", NULL), ECONNREFUSED);
    CHECK_NULL(brood_manager_connect("unix:/no/such/folder/socket", NULL), ENOENT);
    CHECK_NULL(brood_manager_connect("somewhere", NULL), EINVAL);
    CHECK_NULL(brood_manager_connect(NULL, NULL), EINVAL);
    finish(manager);
    manager = CHECK_POINTER(brood_manager_start(NULL));
    CHECK_NULL(brood_manager_address(manager), ENOENT);
    CHECK_NULL(brood_manager_address(NULL), EINVAL);
    finish(manager);
}

/* A name that must be cut inside a character, and one that is no UTF-8. */
static void odd_names(void)
{
    static const char *const names[] = {
        "eighteen letters, \u20ac",
        "no \xff text",
        "",
        "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        brood_manager *manager = CHECK_POINTER(brood_manager_start(&(brood_manager_options){ .name = names[i] }));
        char address[64];
        snprintf(address, sizeof address, "unix:@brood-test-odd-%d", (int)getpid());
        CHECK_RESULT(brood_manager_listen(manager, address, NULL), 0);
        brood_manager *client = CHECK_POINTER(brood_manager_connect(address, NULL));
        CHECK_RESULT(brood_manager_destroy(client), 0);
        CHECK_RESULT(brood_manager_destroy(manager), 0);
    }
}

/* A file as address goes with the server, which listens at several. */
static void several_places(void)
{
    char folder[200], address[300];
    NEED(make_folder(folder, sizeof folder) == 0);
    brood_manager *manager = start(&with_key), *first = join(&have_key);
    snprintf(address, sizeof address, "unix:%s/s", folder);
    CHECK_RESULT(brood_manager_listen(manager, address, NULL), 0);
    brood_manager *second = CHECK_POINTER(brood_manager_connect(brood_manager_address(manager), NULL));
    brood_dict *one = CHECK_POINTER(brood_manager_dict(first, "d")),
               *other = CHECK_POINTER(brood_manager_dict(second, "d"));
    CHECK_RESULT(brood_dict_set(one, 1, 5), 0);
    CHECK_RESULT(brood_dict_add(other, 1, 5), 0);
    CHECK_RESULT(brood_manager_forget(manager, "d"), 0);
    CHECK_RESULT(brood_manager_destroy(first), 0);
    CHECK_RESULT(brood_manager_destroy(second), 0);
    finish(manager);
    CHECK(access(address + 5, F_OK) < 0);
    CHECK_EQ(rmdir(folder), 0);
}

/* Who connects and says nothing does not stay; who has said hello may be silent. */
static void silent(void)
{
    const brood_listener_options options = { .handshake_ms = 50 };
    brood_manager *manager = start(NULL), *remote = join(NULL);
    char address[64], bytes[200] = "";
    size_t got;
    snprintf(address, sizeof address, "unix:@brood-test-silent-%d", (int)getpid());
    CHECK_RESULT(brood_manager_listen(manager, address, &options), 0);
    brood_connection *end = CHECK_POINTER(brood_connection_open(address, NULL));
    NEED(end != NULL);
    CHECK_RESULT(brood_connection_recv(end, bytes, sizeof bytes - 1, &got, 10000), 0);
    CHECK_HAS(bytes, "ETIMEDOUT");
    CHECK_RESULT(brood_connection_recv(end, bytes, sizeof bytes, &got, 10000), -EPIPE);
    CHECK_RESULT(brood_connection_close(end), 0);
    CHECK_POINTER(brood_manager_dict(remote, NULL));
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    finish(manager);
}

struct load {
    brood_managed_queue *queue;
    const char *text;
};

static void *put_load(void *arg)
{
    const struct load *load = arg;
    CHECK_RESULT(brood_managed_queue_put(load->queue, load->text, BROOD_FOREVER), 0);
    return NULL;
}

static bool one_waits(void *context)
{
    brood_manager_stats stats;
    CHECK_RESULT(brood_manager_stat(context, &stats), 0);
    return stats.waiting == 1;
}

/* However many have called: what their requests and answers took of the region is given back, also of one that waits.
 */
static void nothing_kept(void)
{
    enum { LOAD = 200000 }; /* a block of that size would be kept for a thread of the family */
    brood_manager *manager = start(NULL), *remote = join(NULL);
    brood_managed_queue *queue = CHECK_POINTER(brood_manager_queue(remote, NULL, 1));
    brood_heap_stats before, now;
    CHECK_RESULT(brood_managed_queue_put(queue, 1, 0), 0);
    CHECK_RESULT(brood_heap_stat(&before), 0);
    char *large = calloc(1, LOAD + 1);
    NEED(large != NULL);
    memset(large, 'l', LOAD);
    brood_any item;
    for (int i = 0; i < 3; i++) {
        CHECK_RESULT(brood_managed_queue_put(queue, large, 20), -ETIMEDOUT);
        CHECK_RESULT(brood_managed_queue_get(queue, &item, 0), 0);
        brood_any_clear(&item);
        CHECK_RESULT(brood_managed_queue_put(queue, large, 0), 0);
    }
    struct load load = { queue, large };
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, put_load, &load) == 0);
    CHECK(wait_until(one_waits, manager, 5000));
    CHECK_RESULT(brood_heap_stat(&now), 0);
    CHECK(now.used < before.used + LOAD);
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(brood_managed_queue_get(queue, &item, 5000), 0);
        brood_any_clear(&item);
    }
    pthread_join(thread, NULL);
    free(large);
    CHECK_RESULT(brood_managed_queue_close(queue), 0);
    CHECK_RESULT(brood_manager_destroy(remote), 0);
    finish(manager);
}

static const struct test_case cases[] = {
    { .name = "another_program", .run = another_program },
    { .name = "killed_client", .run = killed_client },
    { .name = "killed_in_calls", .run = killed_in_calls, .deadline_s = 60 },
    { .name = "server_killed", .run = server_killed },
    { .name = "server_shut_down", .run = server_shut_down },
    { .name = "threads_of_one", .run = threads_of_one },
    { .name = "connected_by_another_thread", .run = connected_by_another_thread },
    { .name = "other_process", .run = other_process },
    { .name = "large_values", .run = large_values },
    { .name = "over_tcp", .run = over_tcp },
    { .name = "over_tls", .run = over_tls },
    { .name = "nothing_kept", .run = nothing_kept },
    { .name = "silent", .run = silent },
    { .name = "keys", .run = keys },
    { .name = "impostors", .run = impostors },
    { .name = "without_key", .run = without_key },
    { .name = "wrong_places", .run = wrong_places },
    { .name = "several_places", .run = several_places },
    { .name = "odd_names", .run = odd_names },
    { .name = NULL },
};

int main(int argc, char **argv)
{
    return harness_main(argc, argv, cases);
}
