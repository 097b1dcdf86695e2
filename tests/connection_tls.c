/* connection_tls.c: connections over TLS: who is trusted, the same messages, the descriptor that loops watch.
 *
 * tests/tls/ has certificates for a hundred years: server.pem (localhost, brood.test, 127.0.0.1, ::1), client.pem and
 * elsewhere.pem (elsewhere.test), signed by authority.pem; intruder.pem (localhost) is signed by stranger.pem.
 */
#include "harness.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FILES TEST_FOLDER "/tls/"
#define SERVER .certificate = FILES "server.pem", .private_key = FILES "server.key"
#define CLIENT .certificate = FILES "client.pem", .private_key = FILES "client.key"
#define INTRUDER .certificate = FILES "intruder.pem", .private_key = FILES "intruder.key"
#define ELSEWHERE .certificate = FILES "elsewhere.pem", .private_key = FILES "elsewhere.key"
#define AUTHORITY .authority = FILES "authority.pem"

static brood_listener *listen_with(const brood_listener_options *options)
{
    brood_listener *listener = brood_listener_create("tcp:127.0.0.1:0", options);
    if (!listener && errno == ENOTSUP && !TEST_OPENSSL)
        harness_skip("libbrood_openssl is not built");
    NEED(CHECK(listener != NULL));
    return listener;
}

struct client {
    const char *address;
    const brood_connection_options *options;
    int result; /* 0, or errno */
    char why[400];
    brood_connection *end;
    atomic_int done;
};

static void *connect_client(void *arg)
{
    struct client *client = arg;
    client->end = brood_connection_open(client->address, client->options);
    client->result = client->end ? 0 : errno;
    snprintf(client->why, sizeof client->why, "%s", client->end ? "" : brood_error());
    atomic_store(&client->done, 1);
    return NULL;
}

/* Both ends, or neither: then the client's errno is `code`. */
static void meet(brood_listener *listener, const brood_connection_options *options, brood_connection *ends[2], int code)
{
    struct client client = { .address = brood_listener_address(listener), .options = options };
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, connect_client, &client) == 0);
    ends[1] = brood_listener_accept(listener, code ? 300 : 15000);
    while (code && !ends[1] && !atomic_load(&client.done))
        ends[1] = brood_listener_accept(listener, 50);
    pthread_join(thread, NULL);
    ends[0] = client.end;
    CHECK_EQ(client.result, code);
    CHECK((ends[0] != NULL) == (code == 0));
    if (code)
        CHECK(client.why[0]);
}

static void close_both(brood_connection *ends[2])
{
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
}

static void check_talk(brood_connection *ends[2])
{
    char text[8];
    for (int i = 0; i < 2 && ends[0] && ends[1]; i++) {
        CHECK_RESULT(brood_connection_recv(ends[i], text, 5, NULL, 0), -ETIMEDOUT);
        CHECK_RESULT(brood_connection_send(ends[1 - i], "hello", 5, 1000), 0);
        CHECK_RESULT(brood_connection_send(ends[1 - i], "", 0, 1000), 0);
        CHECK_RESULT(brood_connection_poll(ends[i], 1000), 0);
        CHECK_RESULT(brood_connection_recv(ends[i], text, 5, NULL, 1000), 0);
        CHECK(memcmp(text, "hello", 5) == 0);
        CHECK_RESULT(brood_connection_recv(ends[i], NULL, 0, NULL, 1000), 0);
        CHECK_RESULT(brood_connection_poll(ends[i], 0), -ETIMEDOUT);
    }
    close_both(ends);
}

static void check_counts(brood_listener *listener, int accepted, int refused, int garbled, int gone)
{
    brood_listener_stats stats;
    CHECK_RESULT(brood_listener_stat(listener, &stats), 0);
    CHECK_EQ((long long)stats.accepted, accepted);
    CHECK_EQ((long long)stats.refused, refused);
    CHECK_EQ((long long)stats.garbled, garbled);
    CHECK_EQ((long long)stats.gone, gone);
}

static void trusted(void)
{
    brood_connection *ends[2];
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER });
    meet(listener, &(brood_connection_options){ AUTHORITY }, ends, 0);
    check_talk(ends);
    meet(listener, &(brood_connection_options){ AUTHORITY, .host = "brood.test" }, ends, 0);
    check_talk(ends);
    meet(listener, &(brood_connection_options){ AUTHORITY, .host = "::1" }, ends, 0);
    check_talk(ends);
    check_counts(listener, 3, 0, 0, 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static void untrusted(void)
{
    brood_connection *ends[2];
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER });
    meet(listener, &(brood_connection_options){ AUTHORITY, .host = "elsewhere.test" }, ends, EACCES);
    CHECK(ends[1] == NULL);
    meet(listener, &(brood_connection_options){ AUTHORITY, .host = "127.0.0.2" }, ends, EACCES);
    meet(listener, &(brood_connection_options){ .authority = FILES "stranger.pem" }, ends, EACCES);
    meet(listener, &(brood_connection_options){ .tls = true }, ends, EACCES); /* the system knows neither */
    CHECK_NULL(brood_listener_accept(listener, 20), ETIMEDOUT);
    check_counts(listener, 0, 4, 0, 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    listener = listen_with(&(brood_listener_options){ INTRUDER });
    meet(listener, &(brood_connection_options){ AUTHORITY }, ends, EACCES);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    listener = listen_with(&(brood_listener_options){ ELSEWHERE });
    meet(listener, &(brood_connection_options){ AUTHORITY }, ends, EACCES);
    meet(listener, &(brood_connection_options){ AUTHORITY, .host = "elsewhere.test" }, ends, 0);
    check_talk(ends);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* Without a name anybody's certificate would do. */
static void named(void)
{
    char name[300];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    char where[64];
    brood_connection *ends[2];
    snprintf(where, sizeof where, "unix:@brood-test-tls-%d", (int)getpid());
    brood_listener *listener = brood_listener_create(where, &(brood_listener_options){ SERVER });
    if (!listener && errno == ENOTSUP && !TEST_OPENSSL)
        harness_skip("libbrood_openssl is not built");
    NEED(CHECK(listener != NULL));
    CHECK_NULL(brood_connection_open(where, &(brood_connection_options){ AUTHORITY }), EINVAL);
    CHECK_NULL(brood_connection_open(where, &(brood_connection_options){ .tls = true }), EINVAL);
    CHECK_NULL(brood_connection_open(where, &(brood_connection_options){ AUTHORITY, .host = "" }), EINVAL);
    CHECK_NULL(brood_connection_open(where, &(brood_connection_options){ AUTHORITY, .host = name }), EINVAL);
    meet(listener, &(brood_connection_options){ AUTHORITY, .host = "elsewhere.test" }, ends, EACCES);
    meet(listener, &(brood_connection_options){ AUTHORITY, .host = "brood.test" }, ends, 0);
    check_talk(ends);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* By TLS 1.3 a client is done before the listener has looked at its certificate: it learns with its first call. */
static void check_client_refused(brood_listener *listener, const brood_connection_options *options)
{
    struct client client = { .address = brood_listener_address(listener), .options = options };
    pthread_t thread;
    char byte;
    NEED(pthread_create(&thread, NULL, connect_client, &client) == 0);
    brood_listener_stats before, after = { 0 };
    NEED(brood_listener_stat(listener, &before) == 0);
    for (int looks = 0; looks < 300 && after.refused <= before.refused; looks++) {
        CHECK_NULL(brood_listener_accept(listener, 50), ETIMEDOUT);
        NEED(brood_listener_stat(listener, &after) == 0);
    }
    pthread_join(thread, NULL);
    if (client.end) {
        int received = brood_connection_recv(client.end, &byte, 1, NULL, 5000);
        CHECK(received == -EPROTO || received == -EPIPE);
        CHECK_RESULT(brood_connection_close(client.end), 0);
    } else {
        CHECK_EQ(client.result, EACCES);
    }
}

static void clients_with_certificates(void)
{
    brood_connection *ends[2];
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER, AUTHORITY });
    meet(listener, &(brood_connection_options){ AUTHORITY, CLIENT }, ends, 0);
    check_talk(ends);
    check_client_refused(listener, &(brood_connection_options){ AUTHORITY });
    check_client_refused(listener, &(brood_connection_options){ AUTHORITY, INTRUDER });
    check_counts(listener, 1, 2, 0, 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static void with_a_key(void)
{
    brood_connection *ends[2];
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER, .key = "k", .key_size = 1 });
    meet(listener, &(brood_connection_options){ AUTHORITY, .key = "k", .key_size = 1 }, ends, 0);
    check_talk(ends);
    meet(listener, &(brood_connection_options){ AUTHORITY, .key = "l", .key_size = 1 }, ends, EACCES);
    check_counts(listener, 1, 1, 0, 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* What came before the other end closed is received, even by one who has found out by sending. */
static void last_words(void)
{
    char text[8];
    brood_connection *ends[2];
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER });
    meet(listener, &(brood_connection_options){ AUTHORITY }, ends, 0);
    CHECK_RESULT(brood_connection_send(ends[1], "hello", 5, 1000), 0);
    CHECK_RESULT(brood_connection_send(ends[1], "world", 5, 1000), 0);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
    int sent = 0;
    for (int i = 0; i < 1000 && sent == 0; i++, pass_us(1000))
        sent = brood_connection_send(ends[0], "question", 8, 1000);
    CHECK_EQ(sent, -EPIPE);
    CHECK_RESULT(brood_connection_recv(ends[0], text, 5, NULL, 1000), 0);
    CHECK_RESULT(brood_connection_recv(ends[0], text, 5, NULL, 1000), 0);
    CHECK(memcmp(text, "world", 5) == 0);
    CHECK_RESULT(brood_connection_recv(ends[0], text, 5, NULL, 1000), -EPIPE);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

/* Only one side speaks it. */
static void one_sided(void)
{
    brood_connection *ends[2];
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER });
    brood_connection *plain = CHECK_POINTER(brood_connection_open(brood_listener_address(listener), NULL));
    CHECK_RESULT(brood_connection_send(plain, "hello", 5, 1000), 0);
    CHECK_NULL(brood_listener_accept(listener, 100), ETIMEDOUT);
    check_counts(listener, 0, 0, 1, 0);
    CHECK_RESULT(brood_connection_close(plain), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
    listener = listen_with(NULL);
    struct client client = { .address = brood_listener_address(listener),
                             .options = &(brood_connection_options){ AUTHORITY, .connect_ms = 5000 } };
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, connect_client, &client) == 0);
    ends[1] = CHECK_POINTER(brood_listener_accept(listener, 5000));
    CHECK_RESULT(brood_connection_send(ends[1], "hello", 5, 1000), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(client.result, EPROTO);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static void bad_files(void)
{
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER });
    const char *address = brood_listener_address(listener);
    CHECK_NULL(brood_listener_create("tcp:127.0.0.1:0", &(brood_listener_options){ .certificate = "/no/such/file",
                                                                                   .private_key = FILES "server.key" }),
               EINVAL);
    CHECK_HAS(brood_error(), "/no/such/file");
    CHECK_NULL(brood_listener_create("tcp:127.0.0.1:0", &(brood_listener_options){ .certificate = FILES "server.pem",
                                                                                   .private_key = FILES "client.key" }),
               EINVAL);
    /* A passphrase is not asked for. */
    CHECK_NULL(brood_listener_create("tcp:127.0.0.1:0", &(brood_listener_options){ .certificate = FILES "server.pem",
                                                                                   .private_key = FILES "locked.key" }),
               EINVAL);
    CHECK_NULL(
        brood_listener_create("tcp:127.0.0.1:0", &(brood_listener_options){ SERVER, .authority = FILES "server.key" }),
        EINVAL);
    CHECK_NULL(brood_connection_open(address, &(brood_connection_options){ .authority = FILES "server.key" }), EINVAL);
    CHECK_NULL(brood_connection_open(address, &(brood_connection_options){ .certificate = FILES "client.pem",
                                                                           .private_key = FILES "server.key" }),
               EINVAL);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

struct flow {
    brood_connection *end;
    size_t size;
    int rounds;
    bool sends;
};

static void fill(unsigned char *bytes, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(random_next(&seed) >> 8);
}

static void *flow_on(void *arg)
{
    const struct flow *flow = arg;
    unsigned char *bytes = malloc(flow->size + 1), *expected = malloc(flow->size + 1);
    NEED(bytes != NULL && expected != NULL);
    for (int i = 0; i < flow->rounds; i++) {
        fill(expected, flow->size, (uint32_t)i + 1);
        if (flow->sends) {
            CHECK_RESULT(brood_connection_send(flow->end, expected, flow->size, 15000), 0);
        } else if (i % 2) {
            brood_block block = { NULL, 0 };
            CHECK_RESULT(brood_connection_recv_block(flow->end, &block, 15000), 0);
            CHECK(block.size == flow->size && memcmp(block.data, expected, flow->size) == 0);
            brood_free(block.data);
        } else {
            CHECK_RESULT(brood_connection_recv(flow->end, bytes, flow->size, NULL, 15000), 0);
            CHECK(memcmp(bytes, expected, flow->size) == 0);
        }
    }
    free(bytes);
    free(expected);
    return NULL;
}

/* Both ways at once. */
static void sizes(void)
{
    static const size_t sizes[] = { 0, 1, 16383, 16384, 100000, 3000001 };
    brood_connection *ends[2];
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER });
    meet(listener, &(brood_connection_options){ AUTHORITY }, ends, 0);
    NEED(ends[0] && ends[1]);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pthread_t threads[4];
        struct flow flows[4];
        for (int k = 0; k < 4; k++) {
            flows[k] = (struct flow){ ends[k % 2], sizes[i], 6, k < 2 };
            NEED(pthread_create(&threads[k], NULL, flow_on, &flows[k]) == 0);
        }
        for (int k = 0; k < 4; k++)
            pthread_join(threads[k], NULL);
    }
    close_both(ends);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static bool readable(int fd, int ms)
{
    struct pollfd waited = { .fd = fd, .events = POLLIN };
    return poll(&waited, 1, ms) == 1;
}

/* What TLS has read and nobody has received is not in the socket any more: the descriptor tells of it all the same. */
static void its_descriptor(void)
{
    brood_connection *ends[2];
    char text[40000];
    size_t got;
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER });
    meet(listener, &(brood_connection_options){ AUTHORITY }, ends, 0);
    NEED(ends[0] && ends[1]);
    int fd = brood_connection_fd(ends[1]);
    CHECK(fd > 2);
    CHECK_EQ(brood_connection_fd(ends[1]), fd);
    CHECK(!readable(fd, 0));
    memset(text, 'x', sizeof text);
    CHECK_RESULT(brood_connection_send(ends[0], text, 13, 1000), 0);
    CHECK(readable(fd, 1000));
    CHECK_RESULT(brood_connection_poll(ends[1], 1000), 0);
    CHECK(readable(fd, 0));
    CHECK_RESULT(brood_connection_recv(ends[1], text, 1, &got, 0), -EMSGSIZE);
    CHECK(readable(fd, 0));
    CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &got, 0), 0);
    CHECK_EQ((long long)got, 13);
    CHECK(!readable(fd, 0));
    for (int i = 0; i < 100; i++)
        CHECK_RESULT(brood_connection_send(ends[0], text, (size_t)i * 300, 1000), 0);
    for (int i = 0; i < 100; i++) {
        CHECK(readable(fd, 1000));
        while (brood_connection_recv(ends[1], text, sizeof text, &got, 0) == -ETIMEDOUT)
            CHECK(readable(fd, 1000));
        CHECK_EQ((long long)got, i * 300);
    }
    CHECK(!readable(fd, 0));
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK(readable(fd, 1000));
    CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &got, 1000), -EPIPE);
    CHECK_RESULT(brood_connection_send_fd(ends[1], 0, 0), -EOPNOTSUPP);
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -EOPNOTSUPP);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static void late_sends(void)
{
    size_t size = (size_t)16 << 20, got;
    char *bytes = calloc(1, size);
    brood_connection *ends[2];
    NEED(bytes != NULL);
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER });
    meet(listener, &(brood_connection_options){ AUTHORITY }, ends, 0);
    NEED(ends[0] && ends[1]);
    CHECK_RESULT(brood_connection_send(ends[0], "first", 5, 1000), 0);
    CHECK_RESULT(brood_connection_send(ends[0], bytes, size, 50), -ECONNABORTED);
    CHECK_RESULT(brood_connection_send(ends[0], bytes, 1, 50), -ECONNABORTED);
    CHECK_RESULT(brood_connection_recv(ends[1], bytes, size, &got, 1000), 0);
    CHECK_EQ((long long)got, 5);
    CHECK_RESULT(brood_connection_recv(ends[1], bytes, size, &got, 5000), -ECONNABORTED);
    free(bytes);
    close_both(ends);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static int talk_and_die(void *arg)
{
    brood_connection *end = brood_connection_open(arg, &(brood_connection_options){ AUTHORITY });
    CHECK(end != NULL);
    brood_connection_send(end, "last", 4, 1000);
    for (;;)
        pause();
    return 0;
}

static void killed(void)
{
    char text[8], address[100];
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER });
    snprintf(address, sizeof address, "%s", brood_listener_address(listener));
    pid_t pid = fork_child(talk_and_die, address);
    brood_connection *end = CHECK_POINTER(brood_listener_accept(listener, 10000));
    CHECK_RESULT(brood_connection_poll(end, 5000), 0);
    kill_child(pid);
    CHECK_RESULT(brood_connection_recv(end, text, 4, NULL, 1000), 0);
    CHECK_RESULT(brood_connection_recv(end, text, 4, NULL, 1000), -EPIPE);
    CHECK_RESULT(brood_connection_close(end), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

struct shared {
    brood_connection *end;
    atomic_int got, over;
};

static void *receive_all(void *arg)
{
    struct shared *shared = arg;
    char text[8];
    while (brood_connection_recv(shared->end, text, 4, NULL, 5000) == 0)
        atomic_fetch_add(&shared->got, 1);
    return NULL;
}

static void *poll_all_the_time(void *arg)
{
    struct shared *shared = arg;
    while (!atomic_load(&shared->over))
        brood_connection_poll(shared->end, 50);
    return NULL;
}

/* Who polls takes nothing from who receives: each message is received before the next one is sent. */
static void polled_while_received(void)
{
    enum { MESSAGES = 3000, POLLERS = 2 };
    brood_connection *ends[2];
    pthread_t receiver, pollers[POLLERS];
    brood_listener *listener = listen_with(&(brood_listener_options){ SERVER });
    meet(listener, &(brood_connection_options){ .tls = true, AUTHORITY }, ends, 0);
    struct shared shared = { .end = ends[0] };
    NEED(pthread_create(&receiver, NULL, receive_all, &shared) == 0);
    for (int i = 0; i < POLLERS; i++)
        NEED(pthread_create(&pollers[i], NULL, poll_all_the_time, &shared) == 0);
    for (int i = 0; i < MESSAGES; i++) {
        CHECK_RESULT(brood_connection_send(ends[1], "last", 4, 1000), 0);
        if (!CHECK(wait_word(&shared.got, i + 1, 3000)))
            break;
    }
    atomic_store(&shared.over, 1);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
    pthread_join(receiver, NULL);
    for (int i = 0; i < POLLERS; i++)
        pthread_join(pollers[i], NULL);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "trusted", .run = trusted },
        { .name = "untrusted", .run = untrusted },
        { .name = "named", .run = named },
        { .name = "clients_with_certificates", .run = clients_with_certificates },
        { .name = "with_a_key", .run = with_a_key },
        { .name = "last_words", .run = last_words },
        { .name = "one_sided", .run = one_sided },
        { .name = "bad_files", .run = bad_files },
        { .name = "sizes", .run = sizes, .deadline_s = 60 },
        { .name = "its_descriptor", .run = its_descriptor },
        { .name = "late_sends", .run = late_sends },
        { .name = "killed", .run = killed },
        { .name = "polled_while_received", .run = polled_while_received, .deadline_s = 60 },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
