/* connection_death.c: an end whose process is killed at any moment: what came whole is received, nothing in part, and
 * the other end is told. And threads that share an end: each message whole.
 */
#include "harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE_MOST 300000

/* Message `number`: its size and its bytes follow from that. */
static size_t compose(unsigned char *bytes, uint32_t number)
{
    uint32_t state = number * 2654435761U + 1;
    size_t size = 4 + random_next(&state) % (number % 8 == 0 ? SIZE_MOST - 4 : 500);
    memcpy(bytes, &number, sizeof number);
    memset(bytes + 4, (int)(number & 255), size - 4);
    return size;
}

static int send_for_ever(void *arg)
{
    static unsigned char bytes[SIZE_MOST];
    brood_connection *end = brood_connection_open(arg, NULL);
    if (!CHECK(end != NULL))
        return 1;
    for (uint32_t number = 0;; number++)
        if (brood_connection_send(end, bytes, compose(bytes, number), BROOD_FOREVER) < 0)
            return 1;
    return 0;
}

/* An address that no other run of this test has. */
static char *own(const char *name)
{
    static char address[64];
    snprintf(address, sizeof address, "unix:@brood-test-%s-%d", name, (int)getpid());
    return address;
}

static void check_sender_killed(const char *address)
{
    unsigned char *bytes = malloc(SIZE_MOST), *expected = malloc(SIZE_MOST);
    char where[100];
    uint32_t random = 7;
    int cut = 0, orderly = 0;
    NEED(bytes != NULL && expected != NULL);
    brood_listener *listener = CHECK_POINTER(brood_listener_create(address, NULL));
    snprintf(where, sizeof where, "%s", brood_listener_address(listener));
    for (int round = 0; round < harness_times(60); round++) {
        pid_t pid = fork_child(send_for_ever, where);
        brood_connection *end = CHECK_POINTER(brood_listener_accept(listener, 10000));
        uint32_t number = 0, dies_at = random_next(&random) % 60;
        int result = 0;
        while (result == 0) {
            size_t got = 0, size = compose(expected, number);
            brood_block block = { NULL, 0 };
            if (number == dies_at) {
                pass_us(random_next(&random) % 500);
                kill(pid, SIGKILL);
            }
            if (number % 3 == 0) {
                result = brood_connection_recv_block(end, &block, 10000);
                got = block.size;
                if (result == 0)
                    memcpy(bytes, block.data, got);
                brood_free(block.data);
            } else {
                result = brood_connection_recv(end, bytes, SIZE_MOST, &got, 10000);
            }
            if (result == 0)
                CHECK(got == size && memcmp(bytes, expected, size) == 0);
            number++;
        }
        CHECK(number > dies_at);
        CHECK(result == -EPIPE || result == -ECONNABORTED);
        cut += result == -ECONNABORTED;
        orderly += result == -EPIPE;
        wait_child(pid);
        CHECK_RESULT(brood_connection_close(end), 0);
    }
    printf("    %s: %d cut in a message, %d between two\n", where, cut, orderly);
    free(bytes);
    free(expected);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static void sender_killed(void)
{
    check_sender_killed(own("sender"));
    check_sender_killed("tcp:127.0.0.1:0");
}

static int wait_for_ever(void *arg)
{
    char byte;
    brood_connection *end = brood_connection_open(arg, NULL);
    brood_connection_recv(end, &byte, 1, NULL, BROOD_FOREVER);
    return 0;
}

/* A full line, whose sender sleeps: its end wakes it. */
static void receiver_killed(void)
{
    static char bytes[65536];
    char *where = own("receiver");
    brood_listener *listener = CHECK_POINTER(brood_listener_create(where, NULL));
    for (int round = 0; round < harness_times(20); round++) {
        pid_t pid = fork_child(wait_for_ever, where);
        brood_connection *end = CHECK_POINTER(brood_listener_accept(listener, 10000));
        int result = 0;
        pid_t killer = fork();
        if (killer == 0) {
            pass_us(2000 + round * 300);
            kill(pid, SIGKILL);
            _exit(0);
        }
        while (result == 0)
            result = brood_connection_send(end, bytes, sizeof bytes, 10000);
        CHECK_EQ(result, -EPIPE);
        wait_child(pid);
        wait_child(killer);
        CHECK_RESULT(brood_connection_close(end), 0);
    }
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static const brood_listener_options keyed = { .key = "secret", .key_size = 6, .handshake_ms = 2000 };
static const brood_connection_options with_key = { .key = "secret", .key_size = 6, .connect_ms = 10000 };

static int knock_for_ever(void *arg)
{
    for (;;)
        brood_connection_close(brood_connection_open(arg, &with_key));
    return 0;
}

/* Clients that are killed while they prove the key disturb nobody. */
static void clients_killed(void)
{
    char *where = own("knocking");
    uint32_t random = 3;
    brood_listener *listener = brood_listener_create(where, &keyed);
    if (!listener && errno == ENOTSUP && !TEST_OPENSSL)
        harness_skip("libbrood_openssl is not built");
    NEED(CHECK(listener != NULL));
    for (int round = 0; round < harness_times(40); round++) {
        pid_t pids[2] = { fork_child(knock_for_ever, where), fork_child(knock_for_ever, where) };
        long long end = now_us() + 500 + random_next(&random) % 4000;
        while (now_us() < end)
            brood_connection_close(brood_listener_accept(listener, 1));
        kill(pids[0], SIGKILL);
        brood_connection *last = CHECK_POINTER(brood_listener_accept(listener, 10000));
        CHECK_RESULT(brood_connection_close(last), 0);
        wait_child(pids[0]);
        kill_child(pids[1]);
    }
    brood_listener_stats stats;
    do
        brood_connection_close(brood_listener_accept(listener, 10));
    while (brood_listener_stat(listener, &stats) == 0 && stats.pending + stats.waiting > 0);
    CHECK_EQ((long long)(stats.late + stats.garbled + stats.refused), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static int accept_for_ever(void *arg)
{
    brood_listener *listener = brood_listener_create(arg, &keyed);
    for (;;)
        brood_connection_close(brood_listener_accept(listener, BROOD_FOREVER));
    return 0;
}

/* And of a listener that is killed its clients are told: in the middle of the proof, or after it. */
static void listener_killed(void)
{
    char *where = own("mortal"), byte;
    brood_listener *probe = brood_listener_create(where, &keyed);
    if (!probe && errno == ENOTSUP && !TEST_OPENSSL)
        harness_skip("libbrood_openssl is not built");
    CHECK_RESULT(brood_listener_destroy(probe), 0);
    for (int round = 0; round < harness_times(40); round++) {
        pid_t pid = fork_child(accept_for_ever, where), killer = fork();
        if (killer == 0) {
            pass_us(1000 + round * 100);
            kill(pid, SIGKILL);
            _exit(0);
        }
        for (bool alive = true; alive;) {
            alive = process_state(pid) != 'Z';
            long long start = now_ms();
            brood_connection *end = brood_connection_open(where, &with_key);
            if (end)
                CHECK_RESULT(brood_connection_recv(end, &byte, 1, NULL, 10000), -EPIPE);
            else
                CHECK(errno == EPIPE || errno == ECONNREFUSED);
            CHECK(now_ms() - start < 5000);
            CHECK_RESULT(brood_connection_close(end), 0);
        }
        wait_child(pid);
        wait_child(killer);
    }
}

struct share {
    brood_connection *end;
    atomic_int *seen;
    int first, count;
};

enum { SENDERS = 4, EACH = 400 };

static void *send_share(void *arg)
{
    const struct share *share = arg;
    unsigned char *bytes = malloc(SIZE_MOST);
    NEED(bytes != NULL);
    for (int i = 0; i < share->count; i++)
        CHECK_RESULT(brood_connection_send(share->end, bytes, compose(bytes, (uint32_t)(share->first + i)), 20000), 0);
    free(bytes);
    return NULL;
}

static void *receive_share(void *arg)
{
    const struct share *share = arg;
    unsigned char *bytes = malloc(SIZE_MOST), *expected = malloc(SIZE_MOST);
    NEED(bytes != NULL && expected != NULL);
    for (;;) {
        size_t got;
        uint32_t number;
        int result = brood_connection_recv(share->end, bytes, SIZE_MOST, &got, 20000);
        if (result < 0) {
            CHECK_EQ(result, -EPIPE);
            break;
        }
        memcpy(&number, bytes, sizeof number);
        if (!CHECK(number < SENDERS * EACH))
            break;
        CHECK(compose(expected, number) == got && memcmp(expected, bytes, got) == 0);
        atomic_fetch_add(&share->seen[number], 1);
    }
    free(bytes);
    free(expected);
    return NULL;
}

static void threads_share(void)
{
    static atomic_int seen[SENDERS * EACH];
    brood_listener *listener = CHECK_POINTER(brood_listener_create(own("share"), NULL));
    brood_connection *out = CHECK_POINTER(brood_connection_open(own("share"), NULL));
    brood_connection *in = CHECK_POINTER(brood_listener_accept(listener, 5000));
    pthread_t senders[SENDERS], receivers[2];
    struct share shares[SENDERS], receiver = { .end = in, .seen = seen };
    for (int i = 0; i < 2; i++)
        NEED(pthread_create(&receivers[i], NULL, receive_share, &receiver) == 0);
    for (int i = 0; i < SENDERS; i++) {
        shares[i] = (struct share){ .end = out, .first = i * EACH, .count = EACH };
        NEED(pthread_create(&senders[i], NULL, send_share, &shares[i]) == 0);
    }
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    CHECK_RESULT(brood_connection_close(out), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(receivers[i], NULL);
    for (int i = 0; i < SENDERS * EACH; i++)
        CHECK_EQ(atomic_load(&seen[i]), 1);
    CHECK_RESULT(brood_connection_close(in), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static void *receive_one(void *arg)
{
    char byte;
    CHECK_RESULT(brood_connection_recv(arg, &byte, 1, NULL, BROOD_FOREVER), 0);
    return NULL;
}

static bool is_busy(void *end)
{
    char byte;
    return brood_connection_recv(end, &byte, 1, NULL, 0) == -ETIMEDOUT &&
           strstr(brood_error(), "another thread") != NULL;
}

static void busy(void)
{
    brood_listener *listener = CHECK_POINTER(brood_listener_create(own("in-use"), NULL));
    brood_connection *out = CHECK_POINTER(brood_connection_open(own("in-use"), NULL));
    brood_connection *in = CHECK_POINTER(brood_listener_accept(listener, 5000));
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, receive_one, in) == 0);
    NEED(wait_until(is_busy, in, 10000));
    CHECK_RESULT(brood_connection_close(in), -EBUSY);
    CHECK_RESULT(brood_connection_send(in, "back", 4, 1000), 0); /* the other way is free */
    CHECK_RESULT(brood_connection_send(out, "x", 1, 1000), 0);
    pthread_join(thread, NULL);
    CHECK_RESULT(brood_connection_close(in), 0);
    CHECK_RESULT(brood_connection_close(out), 0);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static void *poll_long(void *arg)
{
    CHECK_RESULT(brood_connection_poll(arg, 15000), 0);
    return NULL;
}

/* Who only waits is in a call too. */
static void busy_polling(void)
{
    int fds[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    brood_connection *end = CHECK_POINTER(brood_connection_adopt(fds[0], NULL));
    CHECK(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, poll_long, end) == 0);
    pass_us(100000);
    bool busy = CHECK_RESULT(brood_connection_close(end), -EBUSY);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    pthread_join(thread, NULL);
    if (busy)
        CHECK_RESULT(brood_connection_close(end), 0);
    close(fds[1]);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "sender_killed", .run = sender_killed, .deadline_s = 60 },
        { .name = "receiver_killed", .run = receiver_killed, .deadline_s = 60 },
        { .name = "clients_killed", .run = clients_killed, .deadline_s = 60 },
        { .name = "listener_killed", .run = listener_killed, .deadline_s = 60 },
        { .name = "threads_share", .run = threads_share, .deadline_s = 60 },
        { .name = "busy", .run = busy },
        { .name = "busy_polling", .run = busy_polling },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
