/* listener_key.c: who proves the key gets in; strangers do not, and hold up nobody. By bare sockets, since a stranger
 * keeps to no protocol. What Python's own Client and Listener say is tested in interop.sh.
 */
#include "harness.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char address[64];

static brood_listener *listen_with(const brood_listener_options *options)
{
    snprintf(address, sizeof address, "unix:@brood-test-key-%d", (int)getpid());
    brood_listener *listener = brood_listener_create(address, options);
    if (!listener && errno == ENOTSUP && !TEST_OPENSSL)
        harness_skip("libbrood_openssl is not built");
    NEED(CHECK(listener != NULL));
    return listener;
}

struct client {
    const void *key;
    size_t key_size;
    bool weak;
    int connect_ms;
    int result; /* 0, or errno */
    char why[400];
    brood_connection *end;
    atomic_int ended;
    pthread_t thread;
};

static void *connect_client(void *arg)
{
    struct client *client = arg;
    client->end = brood_connection_open(address, &(brood_connection_options){
                                                     .key = client->key,
                                                     .key_size = client->key_size,
                                                     .weak_digests = client->weak,
                                                     .connect_ms = client->connect_ms,
                                                 });
    client->result = client->end ? 0 : errno;
    snprintf(client->why, sizeof client->why, "%s", client->end ? "" : brood_error());
    atomic_store(&client->ended, 1);
    return NULL;
}

static void begin_client(struct client *client, const char *key)
{
    *client = (struct client){ .key = key, .key_size = key ? strlen(key) : 0, .connect_ms = 15000 };
    NEED(pthread_create(&client->thread, NULL, connect_client, client) == 0);
}

/* As accept, of which the client's result is told too. */
static brood_connection *let_in(brood_listener *listener, struct client *client, int ms)
{
    brood_connection *end = brood_listener_accept(listener, ms);
    pthread_join(client->thread, NULL);
    return end;
}

/* The same for one that is not let in, until it knows. */
static void keep_out(brood_listener *listener, struct client *client)
{
    bool knows;
    do {
        knows = atomic_load(&client->ended);
        CHECK_NULL(brood_listener_accept(listener, 20), ETIMEDOUT);
    } while (!knows);
    pthread_join(client->thread, NULL);
}

static void check_talk(brood_connection *a, brood_connection *b)
{
    char text[8];
    if (!CHECK(a != NULL) || !CHECK(b != NULL))
        return;
    CHECK_RESULT(brood_connection_send(a, "there", 5, 1000), 0);
    CHECK_RESULT(brood_connection_recv(b, text, 5, NULL, 5000), 0);
    CHECK_RESULT(brood_connection_send(b, "back", 4, 1000), 0);
    CHECK_RESULT(brood_connection_recv(a, text, 4, NULL, 5000), 0);
    CHECK_RESULT(brood_connection_close(a), 0);
    CHECK_RESULT(brood_connection_close(b), 0);
}

static void check_let_in(brood_listener *listener, struct client *client)
{
    brood_connection *end = let_in(listener, client, 10000);
    CHECK_EQ(client->result, 0);
    check_talk(end, client->end);
}

static void check_counts(brood_listener *listener, int accepted, int refused, int garbled, int late, int gone)
{
    brood_listener_stats stats;
    CHECK_RESULT(brood_listener_stat(listener, &stats), 0);
    CHECK_EQ((long long)stats.accepted, accepted);
    CHECK_EQ((long long)stats.refused, refused);
    CHECK_EQ((long long)stats.garbled, garbled);
    CHECK_EQ((long long)stats.late, late);
    CHECK_EQ((long long)stats.gone, gone);
}

static void right_key(void)
{
    struct client client;
    brood_listener *listener = listen_with(&(brood_listener_options){ .key = "secret", .key_size = 6 });
    for (int i = 0; i < 10; i++) {
        begin_client(&client, "secret");
        brood_connection *end = let_in(listener, &client, 10000);
        CHECK_EQ(client.result, 0);
        check_talk(client.end, end);
    }
    check_counts(listener, 10, 0, 0, 0, 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    /* Keys of any bytes and lengths. */
    static char key[65536] = { 1, 0, 2 };
    listener = listen_with(&(brood_listener_options){ .key = key, .key_size = sizeof key });
    client = (struct client){ .key = key, .key_size = sizeof key };
    NEED(pthread_create(&client.thread, NULL, connect_client, &client) == 0);
    brood_connection *end = let_in(listener, &client, 10000);
    check_talk(client.end, end);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static void wrong_key(void)
{
    struct client client;
    brood_listener *listener = listen_with(&(brood_listener_options){ .key = "secret", .key_size = 6 });
    static const char *const keys[] = { "secreT", "s", "secret ", "secretsecret" };
    for (int i = 0; i < 4; i++) {
        begin_client(&client, keys[i]);
        keep_out(listener, &client);
        CHECK_EQ(client.result, EACCES);
        CHECK_HAS(client.why, "refused the key");
    }
    check_counts(listener, 0, 4, 0, 0, 0);
    begin_client(&client, "secret");
    check_let_in(listener, &client);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* One side has a key and the other has none: neither takes the other's first words for a message in silence. */
static void one_sided_key(void)
{
    struct client client;
    char text[100];
    size_t got;
    brood_listener *listener = listen_with(&(brood_listener_options){ .key = "secret", .key_size = 6 });
    begin_client(&client, NULL);
    keep_out(listener, &client);
    CHECK_EQ(client.result, 0); /* it finds the challenge for a message, as Python does */
    CHECK_RESULT(brood_connection_recv(client.end, text, sizeof text, &got, 5000), 0);
    CHECK(got > 11 && memcmp(text, "#CHALLENGE#", 11) == 0);
    CHECK_RESULT(brood_connection_send(client.end, "hello", 5, 1000), 0);
    CHECK_NULL(brood_listener_accept(listener, 100), ETIMEDOUT);
    check_counts(listener, 0, 0, 1, 0, 0);
    CHECK_RESULT(brood_connection_close(client.end), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    listener = listen_with(NULL);
    client = (struct client){ .key = "secret", .key_size = 6, .connect_ms = 200 };
    NEED(pthread_create(&client.thread, NULL, connect_client, &client) == 0);
    brood_connection *end = let_in(listener, &client, 5000);
    CHECK(end != NULL);
    CHECK_EQ(client.result, ETIMEDOUT);
    CHECK_RESULT(brood_connection_close(end), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* ---- strangers ---- */

static int connect_bare(void)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t length = strlen(address + 5);
    memcpy(name.sun_path, address + 5, length);
    name.sun_path[0] = 0;
    NEED(fd >= 0);
    NEED(connect(fd, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == 0);
    return fd;
}

static void put(int fd, const void *bytes, size_t size)
{
    CHECK_EQ(send(fd, bytes, size, MSG_NOSIGNAL), (long long)size);
}

static bool is_closed(int fd, int ms)
{
    char byte[512];
    for (;;) {
        struct pollfd waited = { .fd = fd, .events = POLLIN };
        if (poll(&waited, 1, ms) != 1)
            return false;
        ssize_t got = recv(fd, byte, sizeof byte, MSG_DONTWAIT);
        if (got <= 0)
            return got == 0 || errno == ECONNRESET;
    }
}

static void garbage(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        int refused, garbled;
    } strangers[] = {
        { "\xff\xff\xff\xfe", 4, 0, 1 },
        { "\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", 12, 0, 1 },
        { "\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 12, 0, 1 },
        { "\0\0\1\1", 4, 0, 1 }, /* 257 bytes */
        { "\x7f\xff\xff\xff", 4, 0, 1 },
        { "\0\0\0\0", 4, 0, 1 },
        { "\0\0\0\5hello", 9, 0, 1 },
        { "\0\0\0\x18{sha256}short signature", 28, 1, 0 },
        { "\0\0\0\x28{sha256}0123456789abcdef0123456789abcdef", 44, 1, 0 },
        { "\0\0\0\x28{sha512}0123456789abcdef0123456789abcdef", 44, 0, 1 },
        { "\0\0\0\20"
          "0123456789abcdef",
          20, 1, 0 }, /* MD5, not allowed */
        { "\0\0\0\x15{md5}0123456789abcdef", 25, 1, 0 },
        { "\0\0\0\x08{sha256}", 12, 0, 1 },
        { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27, 0, 1 },
        { "\x16\x03\x01\x02\0\1\0\1\xfc\3\3", 11, 0, 1 },
    };
    int count = sizeof strangers / sizeof *strangers;
    int refused = 0, garbled = 0;
    brood_listener *listener = listen_with(&(brood_listener_options){ .key = "secret", .key_size = 6 });
    for (int i = 0; i < count; i++) {
        int fd = connect_bare();
        put(fd, strangers[i].bytes, strangers[i].size);
        CHECK_NULL(brood_listener_accept(listener, 20), ETIMEDOUT);
        CHECK(is_closed(fd, 5000));
        close(fd);
        refused += strangers[i].refused;
        garbled += strangers[i].garbled;
        check_counts(listener, 0, refused, garbled, 0, 0);
    }
    struct client client;
    begin_client(&client, "secret");
    check_let_in(listener, &client);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* The right first step is not enough: the listener proves itself by a challenge of the client's, or the client hangs
 * up: whoever says nonsense then is sent away too. The signature cannot be known here, so a client of brood's does it
 * with a listener made by hand. */
static void *false_listener(void *arg)
{
    int listening = *(int *)arg;
    static const char *const words[] = { "\0\0\0\11#WELCOME#", "\0\0\0\11#FAILURE#", "\0\0\0\11#NONSENSE", "" };
    for (int i = 0; i < 4; i++) {
        char bytes[200];
        int fd = accept(listening, NULL, NULL);
        static const char challenge[] = "\0\0\0\x3b#CHALLENGE#{sha256}0123456789012345678901234567890123456789";
        put(fd, challenge, sizeof challenge - 1);
        CHECK(recv(fd, bytes, sizeof bytes, 0) == 44);
        if (i < 3)
            put(fd, words[i], 13);
        if (i == 0) { /* welcomed, the client asks in its turn */
            CHECK(recv(fd, bytes, sizeof bytes, 0) == 63);
            put(fd, "\0\0\0\x28{sha256}0123456789abcdef0123456789abcdef", 44);
            CHECK(recv(fd, bytes, sizeof bytes, 0) == 13);
            CHECK(memcmp(bytes, "\0\0\0\11#FAILURE#", 13) == 0);
        }
        close(fd);
    }
    return NULL;
}

/* A bare listener at `address`. */
static int listen_bare(void)
{
    brood_listener *listener = listen_with(&(brood_listener_options){ .key = "k", .key_size = 1 });
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t length = strlen(address + 5);
    memcpy(name.sun_path, address + 5, length);
    name.sun_path[0] = 0;
    NEED(bind(listening, (struct sockaddr *)&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == 0 &&
         listen(listening, 5) == 0);
    return listening;
}

/* A listener without the key has one client sign what another asks of it. */
static void clients_as_signers(void)
{
    static const char any[] = "\0\0\0\x3b#CHALLENGE#{sha256}0123456789012345678901234567890123456789";
    struct client clients[2];
    char bytes[200];
    int listening = listen_bare(), fds[2];
    for (int i = 0; i < 2; i++) {
        begin_client(&clients[i], "k");
        fds[i] = accept(listening, NULL, NULL);
    }
    put(fds[0], any, sizeof any - 1);
    CHECK(recv(fds[0], bytes, sizeof bytes, 0) == 44);
    put(fds[0], "\0\0\0\11#WELCOME#", 13);
    CHECK(recv(fds[0], bytes, sizeof bytes, 0) == 63);
    put(fds[1], bytes, 63);
    ssize_t signed_bytes = recv(fds[1], bytes, sizeof bytes, 0);
    CHECK(signed_bytes <= 0);
    if (signed_bytes > 0)
        put(fds[0], bytes, (size_t)signed_bytes);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        pthread_join(clients[i].thread, NULL);
        CHECK(clients[i].end == NULL);
    }
    CHECK_EQ(clients[1].result, EACCES);
    close(listening);
}

static void false_listeners(void)
{
    static const int codes[] = { EACCES, EACCES, EPROTO, EPIPE };
    int listening = listen_bare();
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, false_listener, &listening) == 0);
    for (int i = 0; i < 4; i++)
        CHECK_NULL(brood_connection_open(address, &(brood_connection_options){ .key = "k", .key_size = 1 }), codes[i]);
    pthread_join(thread, NULL);
    close(listening);
}

/* Silent ones, halves of messages and one byte at a time: the honest get in at once. */
static void slow_ones(void)
{
    enum { SLOW = 20 };
    int slow[SLOW];
    brood_listener *listener =
        listen_with(&(brood_listener_options){ .key = "secret", .key_size = 6, .handshake_ms = 3000 });
    for (int i = 0; i < SLOW; i++) {
        slow[i] = connect_bare();
        if (i % 2)
            put(slow[i], "\0\0\0\x28{sha", i % 4 == 1 ? 2 : 8);
    }
    long long start = now_ms();
    struct client client;
    for (int i = 0; i < 5; i++) {
        begin_client(&client, "secret");
        check_let_in(listener, &client);
    }
    long long honest = now_ms() - start;
    brood_listener_stats stats;
    CHECK_RESULT(brood_listener_stat(listener, &stats), 0);
    if (honest < 1000) {
        CHECK_EQ((long long)stats.pending, SLOW);
        CHECK_EQ((long long)stats.late, 0);
    }
    /* One that hangs up is gone, the others are late, and the descriptor says so to a loop. */
    close(slow[0]);
    struct pollfd waited = { .fd = brood_listener_fd(listener), .events = POLLIN };
    long long end = now_ms() + 10000;
    do {
        CHECK_NULL(brood_listener_accept(listener, 0), ETIMEDOUT);
        CHECK_RESULT(brood_listener_stat(listener, &stats), 0);
        CHECK(stats.pending == 0 || poll(&waited, 1, 5000) == 1);
    } while (stats.pending > 0 && now_ms() < end);
    check_counts(listener, 5, 0, 0, SLOW - 1, 1);
    for (int i = 1; i < SLOW; i++) {
        CHECK(is_closed(slow[i], 0));
        close(slow[i]);
    }
    CHECK_NULL(brood_listener_accept(listener, 0), ETIMEDOUT);
    CHECK_EQ(poll(&waited, 1, 0), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* No more are heard at a time than max_pending; the rest wait, and come in their turn. */
static void crowded(void)
{
    enum { MOST = 4, CROWD = 9 };
    int strangers[CROWD];
    brood_listener *listener = listen_with(
        &(brood_listener_options){ .key = "secret", .key_size = 6, .handshake_ms = 1000, .max_pending = MOST });
    for (int i = 0; i < CROWD; i++)
        strangers[i] = connect_bare();
    brood_listener_stats stats;
    CHECK_NULL(brood_listener_accept(listener, 20), ETIMEDOUT);
    CHECK_RESULT(brood_listener_stat(listener, &stats), 0);
    CHECK_EQ((long long)stats.pending, MOST);
    struct pollfd waited = { .fd = brood_listener_fd(listener), .events = POLLIN };
    CHECK_EQ(poll(&waited, 1, 0), 0); /* a loop would else turn for nothing */
    struct client client;
    begin_client(&client, "secret");
    check_let_in(listener, &client); /* after two rounds of those before it */
    CHECK_RESULT(brood_listener_stat(listener, &stats), 0);
    CHECK((long long)stats.late >= CROWD - 1);
    for (int i = 0; i < CROWD; i++)
        close(strangers[i]);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* Many at once, right and wrong by turns. */
static void many_at_once(void)
{
    enum { MANY = 24 };
    static struct client clients[MANY];
    brood_listener *listener = listen_with(&(brood_listener_options){ .key = "secret", .key_size = 6 });
    for (int i = 0; i < MANY; i++)
        begin_client(&clients[i], i % 3 ? "secret" : "other");
    brood_connection *ends[MANY];
    int right = MANY - MANY / 3;
    for (int i = 0; i < right; i++)
        ends[i] = CHECK_POINTER(brood_listener_accept(listener, 10000));
    CHECK_NULL(brood_listener_accept(listener, 300), ETIMEDOUT);
    for (int i = 0; i < MANY; i++) {
        pthread_join(clients[i].thread, NULL);
        CHECK_EQ(clients[i].result, i % 3 ? 0 : EACCES);
        CHECK_RESULT(brood_connection_close(clients[i].end), 0);
    }
    for (int i = 0; i < right; i++)
        CHECK_RESULT(brood_connection_close(ends[i]), 0);
    check_counts(listener, right, MANY / 3, 0, 0, 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* A program that was away for longer than handshake_ms finds the honest still there. */
static void kept_waiting(void)
{
    enum { AWAY_MS = 1200 }; /* the client answers within the rest, starved as it may be */
    struct client client;
    brood_listener *listener =
        listen_with(&(brood_listener_options){ .key = "secret", .key_size = 6, .handshake_ms = AWAY_MS - 200 });
    begin_client(&client, "secret");
    struct pollfd waited = { .fd = brood_listener_fd(listener), .events = POLLIN };
    brood_connection *end = NULL;
    for (int i = 0; i < 20 && !end; i++) {
        NEED(poll(&waited, 1, 10000) == 1);
        pass_us(AWAY_MS * 1000);
        end = brood_listener_accept(listener, 0);
    }
    pthread_join(client.thread, NULL);
    CHECK_EQ(client.result, 0);
    check_talk(client.end, end);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static atomic_int told;
static char line_told[512];

static void hear_line(void *context, brood_level level, const char *line)
{
    (void)context;
    if (level == BROOD_WARNING && atomic_fetch_add(&told, 1) == 0)
        snprintf(line_told, sizeof line_told, "%s", line);
}

static void told_in_the_log(void)
{
    CHECK_RESULT(brood_log_to(BROOD_WARNING, hear_line, NULL), 0);
    brood_listener *listener = listen_with(&(brood_listener_options){ .name = "door", .key = "secret", .key_size = 6 });
    int fd = connect_bare();
    put(fd, "\0\0\0\0", 4);
    CHECK_NULL(brood_listener_accept(listener, 20), ETIMEDOUT);
    CHECK_EQ(atomic_load(&told), 1);
    CHECK_HAS(line_told, "listener 'door'");
    CHECK_HAS(line_told, "unix:");
    CHECK_HAS(line_told, "digest");
    close(fd);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "right_key", .run = right_key },
        { .name = "wrong_key", .run = wrong_key },
        { .name = "one_sided_key", .run = one_sided_key },
        { .name = "garbage", .run = garbage },
        { .name = "false_listeners", .run = false_listeners },
        { .name = "clients_as_signers", .run = clients_as_signers },
        { .name = "slow_ones", .run = slow_ones },
        { .name = "crowded", .run = crowded },
        { .name = "many_at_once", .run = many_at_once },
        { .name = "kept_waiting", .run = kept_waiting },
        { .name = "told_in_the_log", .run = told_in_the_log },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
