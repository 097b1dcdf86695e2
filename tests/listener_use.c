/* listener_use.c: addresses, files, limits, accept by timeouts and threads, what is refused. Keys: listener_key.c.
 */
#include "harness.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[200], path[256];

static void make_path(void)
{
    NEED(make_folder(folder, sizeof folder) == 0);
    snprintf(path, sizeof path, "unix:%s/s", folder);
    if (strlen(path + 5) > 107) {
        rmdir(folder);
        harness_skip("the folder's path is too long for a socket");
    }
}

static bool is_socket(void)
{
    struct stat file;
    return lstat(path + 5, &file) == 0 && S_ISSOCK(file.st_mode);
}

/* An address that no other run of this test has. */
static const char *own(const char *name)
{
    static char address[64];
    snprintf(address, sizeof address, "unix:@brood-test-%s-%d", name, (int)getpid());
    return address;
}

static void addresses(void)
{
    brood_listener *listener = CHECK_POINTER(brood_listener_create("tcp:127.0.0.1:0", NULL));
    NEED(listener != NULL);
    const char *address = brood_listener_address(listener);
    CHECK_HAS(address, "tcp:127.0.0.1:");
    CHECK(strcmp(address, "tcp:127.0.0.1:0") != 0);
    CHECK_NULL(brood_listener_create(address, NULL), EADDRINUSE);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    CHECK_NULL(brood_listener_create("tcp:203.0.113.1:0", NULL), EADDRNOTAVAIL);
    listener = CHECK_POINTER(brood_listener_create(own("address"), NULL));
    CHECK_STR(brood_listener_address(listener), own("address"));
    CHECK_NULL(brood_listener_create(own("address"), NULL), EADDRINUSE);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    CHECK_NULL(brood_connection_open(own("address"), NULL), ECONNREFUSED);
}

static void files(void)
{
    make_path();
    brood_listener *listener = CHECK_POINTER(brood_listener_create(path, NULL));
    CHECK_STR(brood_listener_address(listener), path);
    CHECK(is_socket());
    CHECK_NULL(brood_listener_create(path, NULL), EADDRINUSE);
    CHECK(is_socket());
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    CHECK(!is_socket());
    /* A file that is no socket stays, and so does another's socket in its place. */
    int fd = open(path + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    CHECK_NULL(brood_listener_create(path, NULL), EADDRINUSE);
    CHECK_EQ(unlink(path + 5), 0);
    listener = CHECK_POINTER(brood_listener_create(path, NULL));
    CHECK_EQ(unlink(path + 5), 0);
    brood_listener *other = CHECK_POINTER(brood_listener_create(path, NULL));
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    CHECK(is_socket());
    CHECK_RESULT(brood_listener_destroy(other), 0);
    CHECK(!is_socket());
    CHECK_NULL(brood_listener_create("unix:/no/such/folder/s", NULL), ENOENT);
    CHECK_EQ(rmdir(folder), 0);
}

static int listen_and_stay(void *arg)
{
    atomic_int *word = arg;
    brood_listener *listener = brood_listener_create(path, NULL);
    atomic_store(word, listener ? 1 : 2);
    for (;;)
        pause();
    return 0;
}

/* Who was killed leaves the file; of several who come for it one gets it. */
static int take_over(void *arg)
{
    atomic_int *words = arg;
    while (!atomic_load(&words[1]))
        pass_us(50);
    brood_listener *listener = brood_listener_create(path, NULL);
    atomic_fetch_add(&words[listener ? 2 : errno == EADDRINUSE ? 3 : 4], 1);
    if (!listener)
        return 0;
    brood_connection *end = brood_listener_accept(listener, 10000);
    CHECK(end != NULL);
    brood_connection_close(end);
    return brood_listener_destroy(listener) < 0;
}

static void left_by_the_dead(void)
{
    atomic_int *words = harness_page();
    make_path();
    for (int round = 0; round < harness_times(12); round++) {
        for (int i = 0; i < 5; i++)
            atomic_store(&words[i], 0);
        pid_t pid = fork_child(listen_and_stay, words);
        NEED(wait_word(&words[0], 1, 5000));
        CHECK_EQ(atomic_load(&words[0]), 1);
        kill_child(pid);
        CHECK(is_socket());
        CHECK_NULL(brood_connection_open(path, NULL), ECONNREFUSED);
        pid_t children[3];
        for (int i = 0; i < 3; i++)
            children[i] = fork_child(take_over, words);
        atomic_store(&words[1], 1);
        NEED(wait_word(&words[3], 2, 10000));
        NEED(wait_word(&words[2], 1, 10000));
        CHECK_EQ(atomic_load(&words[4]), 0);
        brood_connection *end = CHECK_POINTER(brood_connection_open(path, NULL));
        CHECK_RESULT(brood_connection_close(end), 0);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(wait_child(children[i]), 0);
        CHECK(!is_socket());
    }
    CHECK_EQ(rmdir(folder), 0);
}

static bool readable(int fd, int ms)
{
    struct pollfd waited = { .fd = fd, .events = POLLIN };
    return poll(&waited, 1, ms) == 1;
}

static void timeouts(void)
{
    brood_listener *listener =
        CHECK_POINTER(brood_listener_create("tcp:127.0.0.1:0", &(brood_listener_options){ .name = "door" }));
    NEED(listener != NULL);
    int fd = brood_listener_fd(listener);
    CHECK(fd > 2);
    CHECK(!readable(fd, 0));
    CHECK_NULL(brood_listener_accept(listener, 0), ETIMEDOUT);
    CHECK_HAS(brood_error(), "door");
    long long start = now_ms();
    CHECK_NULL(brood_listener_accept(listener, 50), ETIMEDOUT);
    CHECK(now_ms() - start >= 50);
    brood_connection *clients[3];
    for (int i = 0; i < 3; i++)
        clients[i] = CHECK_POINTER(brood_connection_open(brood_listener_address(listener), NULL));
    for (int i = 0; i < 3; i++) {
        CHECK(readable(fd, 1000));
        brood_connection *end = CHECK_POINTER(brood_listener_accept(listener, 0));
        CHECK_RESULT(brood_connection_close(end), 0);
    }
    CHECK(!readable(fd, 0));
    brood_listener_stats stats;
    CHECK_RESULT(brood_listener_stat(listener, &stats), 0);
    CHECK_EQ((long long)stats.accepted, 3);
    CHECK_EQ((long long)(stats.refused + stats.garbled + stats.late + stats.gone + stats.pending + stats.waiting), 0);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_connection_close(clients[i]), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* Those who are waiting go with the listener; those handed out stay. */
static void destroyed(void)
{
    brood_listener *listener = CHECK_POINTER(brood_listener_create("tcp:127.0.0.1:0", NULL));
    brood_connection *clients[3];
    for (int i = 0; i < 3; i++)
        clients[i] = CHECK_POINTER(brood_connection_open(brood_listener_address(listener), NULL));
    brood_connection *end = CHECK_POINTER(brood_listener_accept(listener, 1000));
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    CHECK_RESULT(brood_connection_send(end, "still", 5, 1000), 0);
    CHECK_RESULT(brood_connection_recv(clients[1], NULL, 0, NULL, 2000), -EPIPE);
    CHECK_RESULT(brood_connection_recv(clients[2], NULL, 0, NULL, 2000), -EPIPE);
    char text[5];
    CHECK_RESULT(brood_connection_recv(clients[0], text, 5, NULL, 2000), 0);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_connection_close(clients[i]), 0);
    CHECK_RESULT(brood_connection_close(end), 0);
}

struct door {
    brood_listener *listener;
    atomic_int accepted, inside;
};

static void *accept_some(void *arg)
{
    struct door *door = arg;
    atomic_fetch_add(&door->inside, 1);
    for (;;) {
        brood_connection *end = brood_listener_accept(door->listener, 10000);
        char byte = 0;
        if (!CHECK(end != NULL))
            return NULL;
        CHECK_RESULT(brood_connection_recv(end, &byte, 1, NULL, 10000), 0);
        CHECK_RESULT(brood_connection_close(end), 0);
        if (byte == 'q')
            return NULL;
        atomic_fetch_add(&door->accepted, 1);
    }
}

static void several_threads(void)
{
    struct door door = { .listener = CHECK_POINTER(brood_listener_create(own("threads"), NULL)) };
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&threads[i], NULL, accept_some, &door) == 0);
    NEED(wait_word(&door.inside, 4, 5000));
    for (int i = 0; i < 200; i++) {
        brood_connection *end = CHECK_POINTER(brood_connection_open(own("threads"), NULL));
        CHECK_RESULT(brood_connection_send(end, i < 196 ? "x" : "q", 1, 1000), 0);
        CHECK_RESULT(brood_connection_close(end), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(atomic_load(&door.accepted), 196);
    CHECK_RESULT(brood_listener_destroy(door.listener), 0);
}

static void *wait_in_accept(void *arg)
{
    struct door *door = arg;
    atomic_store(&door->inside, 1);
    brood_connection *end = CHECK_POINTER(brood_listener_accept(door->listener, BROOD_FOREVER));
    CHECK_RESULT(brood_connection_close(end), 0);
    return NULL;
}

static bool is_busy(void *listener)
{
    return brood_listener_accept(listener, 0) == NULL && strstr(brood_error(), "another thread") != NULL;
}

static void busy(void)
{
    struct door door = { .listener = CHECK_POINTER(brood_listener_create("unix:@brood-test-busy", NULL)) };
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, wait_in_accept, &door) == 0);
    NEED(wait_word(&door.inside, 1, 5000));
    NEED(wait_until(is_busy, door.listener, 10000));
    CHECK_NULL(brood_listener_accept(door.listener, 5), ETIMEDOUT);
    CHECK_RESULT(brood_listener_destroy(door.listener), -EBUSY);
    brood_connection *end = CHECK_POINTER(brood_connection_open("unix:@brood-test-busy", NULL));
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_connection_close(end), 0);
    CHECK_RESULT(brood_listener_destroy(door.listener), 0);
}

static void no_descriptor(void)
{
    brood_listener *listener = CHECK_POINTER(brood_listener_create("unix:@brood-test-none-left", NULL));
    brood_connection *client = CHECK_POINTER(brood_connection_open("unix:@brood-test-none-left", NULL));
    struct rlimit limit;
    NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 400;
    NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int last, taken[400], count = 0;
    while ((last = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        taken[count++] = last;
    CHECK_NULL(brood_listener_accept(listener, 100), EMFILE);
    CHECK_NULL(brood_connection_open("unix:@brood-test-none-left", NULL), EMFILE);
    CHECK_NULL(brood_listener_create("unix:@brood-test-other", NULL), EMFILE);
    close(taken[--count]);
    brood_connection *end = CHECK_POINTER(brood_listener_accept(listener, 1000));
    while (count > 0)
        close(taken[--count]);
    CHECK_RESULT(brood_connection_close(end), 0);
    CHECK_RESULT(brood_connection_close(client), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* Silent strangers who have every descriptor are sent away like others. */
static void none_left_by_strangers(void)
{
    enum { STRANGERS = 12 };
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    const char *bare = own("strangers") + strlen("unix:@");
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(bare));
    snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "%s", bare);
    brood_listener_options options = { .key = "k", .key_size = 1, .handshake_ms = 50 };
    brood_listener_stats stats = { 0 };
    brood_listener *listener = brood_listener_create(own("strangers"), &options);
    if (!listener && errno == ENOTSUP && !TEST_OPENSSL)
        harness_skip("libbrood_openssl is not built");
    NEED(CHECK(listener != NULL));
    int strangers[STRANGERS], taken[400], count = 0;
    for (int i = 0; i < STRANGERS; i++) {
        strangers[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        NEED(connect(strangers[i], (struct sockaddr *)&name, length) == 0);
    }
    struct rlimit limit;
    NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = 400;
    NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while ((taken[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    for (int i = 0; i < 5; i++)
        close(taken[--count]);
    for (int i = 0; i < 200 && stats.late < STRANGERS; i++) {
        CHECK(brood_listener_accept(listener, 20) == NULL);
        pass_us(20000);
        CHECK_RESULT(brood_listener_stat(listener, &stats), 0);
    }
    CHECK_EQ((long long)stats.late, STRANGERS);
    while (count > 0)
        close(taken[--count]);
    for (int i = 0; i < STRANGERS; i++)
        close(strangers[i]);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static void sized(void)
{
    brood_listener_options options = { .max_message = 10 };
    brood_listener *listener = CHECK_POINTER(brood_listener_create(own("sized"), &options));
    brood_connection *client = CHECK_POINTER(brood_connection_open(own("sized"), NULL));
    brood_connection *end = CHECK_POINTER(brood_listener_accept(listener, 1000));
    char text[16] = "";
    size_t got;
    CHECK_RESULT(brood_connection_send(client, text, 10, 0), 0);
    CHECK_RESULT(brood_connection_send(client, text, 11, 0), 0);
    CHECK_RESULT(brood_connection_recv(end, text, sizeof text, &got, 1000), 0);
    CHECK_RESULT(brood_connection_recv(end, text, sizeof text, &got, 1000), -EPROTO);
    CHECK_HAS(brood_error(), "max_message");
    CHECK_RESULT(brood_connection_close(end), 0);
    CHECK_RESULT(brood_connection_close(client), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static brood_listener *inherited;

static int use_foreign(void *arg)
{
    (void)arg;
    brood_listener_stats stats;
    CHECK_NULL(brood_listener_accept(inherited, 0), EPERM);
    CHECK_RESULT(brood_listener_fd(inherited), -EPERM);
    CHECK_RESULT(brood_listener_stat(inherited, &stats), -EPERM);
    CHECK_RESULT(brood_listener_destroy(inherited), -EPERM);
    return 0;
}

static void misuse(void)
{
    brood_listener_stats stats;
    char text[128];
    CHECK_NULL(brood_listener_create(NULL, NULL), EINVAL);
    CHECK_NULL(brood_listener_create("nowhere", NULL), EINVAL);
    CHECK_NULL(brood_listener_create("tcp:127.0.0.1:99999", NULL), EINVAL);
    const char *address = "unix:@brood-test-misuse";
    CHECK_NULL(brood_listener_create(address, &(brood_listener_options){ .max_pending = -1 }), EINVAL);
    CHECK_NULL(brood_listener_create(address, &(brood_listener_options){ .max_pending = 4097 }), EINVAL);
    CHECK_NULL(brood_listener_create(address, &(brood_listener_options){ .handshake_ms = -1 }), EINVAL);
    CHECK_NULL(brood_listener_create(address, &(brood_listener_options){ .backlog = -1 }), EINVAL);
    CHECK_NULL(brood_listener_create(address, &(brood_listener_options){ .key = "" }), EINVAL);
    CHECK_NULL(brood_listener_create(address, &(brood_listener_options){ .key_size = 3 }), EINVAL);
    CHECK_NULL(brood_listener_create(address, &(brood_listener_options){ .weak_digests = true }), EINVAL);
    CHECK_NULL(brood_listener_create(address, &(brood_listener_options){ .certificate = "a" }), EINVAL);
    CHECK_NULL(brood_listener_create(address, &(brood_listener_options){ .private_key = "a" }), EINVAL);
    CHECK_NULL(brood_listener_create(address, &(brood_listener_options){ .authority = "a" }), EINVAL);
    for (int i = 0; i < 8; i++) {
        brood_listener_options options = { .reserved = { NULL } };
        options.reserved[i] = text;
        CHECK_NULL(brood_listener_create(address, &options), EINVAL);
    }
    CHECK_NULL(brood_listener_accept(NULL, 0), EINVAL);
    CHECK_NULL(brood_listener_address(NULL), EINVAL);
    CHECK_RESULT(brood_listener_fd(NULL), -EINVAL);
    CHECK_RESULT(brood_listener_stat(NULL, &stats), -EINVAL);
    CHECK_RESULT(brood_listener_destroy(NULL), 0);
    inherited = CHECK_POINTER(brood_listener_create(address, NULL));
    CHECK_RESULT(brood_listener_stat(inherited, NULL), -EINVAL);
    CHECK_NULL(brood_listener_accept(inherited, -2), EINVAL);
    CHECK_NULL(brood_listener_accept(inherited, INT_MIN), EINVAL);
    CHECK_EQ(wait_child(fork_child(use_foreign, NULL)), 0);
    CHECK_RESULT(brood_listener_destroy(inherited), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "addresses", .run = addresses },
        { .name = "files", .run = files },
        { .name = "left_by_the_dead", .run = left_by_the_dead, .deadline_s = 60 },
        { .name = "timeouts", .run = timeouts },
        { .name = "destroyed", .run = destroyed },
        { .name = "several_threads", .run = several_threads },
        { .name = "busy", .run = busy },
        { .name = "no_descriptor", .run = no_descriptor },
        { .name = "none_left_by_strangers", .run = none_left_by_strangers },
        { .name = "sized", .run = sized },
        { .name = "misuse", .run = misuse },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
