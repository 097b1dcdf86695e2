/* connection_use.c: messages over a socket, both ends in one process: sizes, kinds of addresses, timeouts, what stays,
 * what breaks, what is refused.
 */
#include "harness.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void make_pair(const char *address, brood_connection *ends[2], const brood_connection_options *options)
{
    brood_listener *listener = CHECK_POINTER(brood_listener_create(address, NULL));
    NEED(listener != NULL);
    ends[0] = CHECK_POINTER(brood_connection_open(brood_listener_address(listener), options));
    ends[1] = CHECK_POINTER(brood_listener_accept(listener, 5000));
    NEED(ends[0] != NULL && ends[1] != NULL);
    CHECK_RESULT(brood_listener_destroy(listener), 0);
}

static const char *abstract(void)
{
    static char address[64];
    snprintf(address, sizeof address, "unix:@brood-test-%d", (int)getpid());
    return address;
}

static void close_pair(brood_connection *ends[2])
{
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
}

/* An end of ours, and the bare socket at its other end. */
static brood_connection *against_bare(int *bare, const brood_connection_options *options)
{
    int ends[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    brood_connection *end = CHECK_POINTER(brood_connection_adopt(ends[0], options));
    NEED(end != NULL);
    *bare = ends[1];
    return end;
}

static void put(int fd, const void *bytes, size_t size)
{
    NEED(write(fd, bytes, size) == (ssize_t)size);
}

static void say_hello(const char *address)
{
    brood_connection *ends[2];
    char text[32];
    size_t got = 99;
    make_pair(address, ends, NULL);
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(brood_connection_recv(ends[i], text, sizeof text, &got, 0), -ETIMEDOUT);
        CHECK_RESULT(brood_connection_poll(ends[i], 0), -ETIMEDOUT);
        CHECK_RESULT(brood_connection_send(ends[1 - i], "hello", 5, 1000), 0);
        CHECK_RESULT(brood_connection_send(ends[1 - i], "", 0, 0), 0);
        CHECK_RESULT(brood_connection_send(ends[1 - i], NULL, 0, BROOD_FOREVER), 0);
        CHECK_RESULT(brood_connection_poll(ends[i], 1000), 0);
        CHECK_RESULT(brood_connection_recv(ends[i], text, sizeof text, &got, 1000), 0);
        CHECK_EQ((long long)got, 5);
        CHECK(memcmp(text, "hello", 5) == 0);
        CHECK_RESULT(brood_connection_recv(ends[i], text, sizeof text, &got, 1000), 0);
        CHECK_EQ((long long)got, 0);
        CHECK_RESULT(brood_connection_recv(ends[i], NULL, 0, NULL, 1000), 0);
        CHECK_RESULT(brood_connection_recv(ends[i], text, sizeof text, &got, 0), -ETIMEDOUT);
    }
    close_pair(ends);
}

static void addresses(void)
{
    char folder[200], path[260];
    struct stat file;
    NEED(make_folder(folder, sizeof folder) == 0);
    snprintf(path, sizeof path, "unix:%s/s", folder);
    if (strlen(path) < 100) {
        say_hello(path);
        CHECK(lstat(path + 5, &file) < 0 && errno == ENOENT);
    }
    rmdir(folder);
    say_hello(abstract());
    say_hello("tcp:127.0.0.1:0");
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        close(fd);
        brood_listener *listener = brood_listener_create("tcp:[::1]:0", NULL);
        if (listener) {
            brood_listener_destroy(listener);
            say_hello("tcp:[::1]:0");
        }
    }
}

static void peers_and_names(void)
{
    brood_connection *ends[2];
    make_pair("tcp:127.0.0.1:0", ends, &(brood_connection_options){ .name = "upstream" });
    CHECK_HAS(brood_connection_peer(ends[0]), "tcp:127.0.0.1:");
    CHECK_HAS(brood_connection_peer(ends[1]), "tcp:127.0.0.1:");
    CHECK(strcmp(brood_connection_peer(ends[0]), brood_connection_peer(ends[1])) != 0);
    CHECK_RESULT(brood_connection_recv(ends[0], NULL, 0, NULL, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), "upstream");
    CHECK_RESULT(brood_connection_recv(ends[1], NULL, 0, NULL, 0), -ETIMEDOUT);
    CHECK_HAS(brood_error(), brood_connection_peer(ends[1]));
    close_pair(ends);
    make_pair(abstract(), ends, NULL);
    CHECK_STR(brood_connection_peer(ends[1]), "unix:");
    CHECK_STR(brood_connection_peer(ends[0]), abstract());
    close_pair(ends);
}

struct flow {
    brood_connection *end;
    size_t size;
    int rounds;
};

static void fill(unsigned char *bytes, size_t size, uint32_t seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(random_next(&seed) >> 8);
}

static void *pour(void *arg)
{
    const struct flow *flow = arg;
    unsigned char *bytes = malloc(flow->size + 1);
    NEED(bytes != NULL);
    for (int i = 0; i < flow->rounds; i++) {
        fill(bytes, flow->size, (uint32_t)i + 1);
        CHECK_RESULT(brood_connection_send(flow->end, bytes, flow->size, 15000), 0);
    }
    free(bytes);
    return NULL;
}

/* Received into a buffer, and as a block, by turns. */
static void drink(brood_connection *end, size_t size, int rounds)
{
    unsigned char *expected = malloc(size + 1), *bytes = malloc(size + 1);
    NEED(expected != NULL && bytes != NULL);
    for (int i = 0; i < rounds; i++) {
        brood_block block = { NULL, 0 };
        fill(expected, size, (uint32_t)i + 1);
        if (i % 2) {
            CHECK_RESULT(brood_connection_recv_block(end, &block, 15000), 0);
            CHECK(block.data != NULL && block.size == size && memcmp(block.data, expected, size) == 0);
            brood_free(block.data);
        } else {
            CHECK_RESULT(brood_connection_recv(end, bytes, size, NULL, 15000), 0);
            CHECK(memcmp(bytes, expected, size) == 0);
        }
    }
    free(expected);
    free(bytes);
}

static void sizes(void)
{
    static const size_t sizes[] = { 0, 1, 3, 8, 9, 4095, 16384, 65536, 200000, 1000003, 20000000 };
    static const char *const places[] = { NULL, "tcp:127.0.0.1:0" };
    for (int place = 0; place < 2; place++) {
        brood_connection *ends[2];
        make_pair(places[place] ? places[place] : abstract(), ends, NULL);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct flow flow = { ends[0], sizes[i], 4 };
            pthread_t thread;
            NEED(pthread_create(&thread, NULL, pour, &flow) == 0);
            drink(ends[1], sizes[i], 4);
            pthread_join(thread, NULL);
        }
        close_pair(ends);
    }
}

static void too_small_stays(void)
{
    brood_connection *ends[2];
    char text[8];
    size_t got = 0;
    make_pair(abstract(), ends, NULL);
    CHECK_RESULT(brood_connection_send(ends[0], "0123456789", 10, 0), 0);
    CHECK_RESULT(brood_connection_send(ends[0], "", 0, 0), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &got, 0), -EMSGSIZE);
        CHECK_EQ((long long)got, 10);
        CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, NULL, 0), -EMSGSIZE);
        CHECK_RESULT(brood_connection_poll(ends[1], 0), 0);
    }
    brood_block block;
    CHECK_RESULT(brood_connection_recv_block(ends[1], &block, 0), 0);
    CHECK(block.size == 10 && memcmp(block.data, "0123456789", 10) == 0);
    brood_free(block.data);
    /* An empty one too: the descriptor goes on to show it. */
    CHECK_RESULT(brood_connection_recv(ends[1], text, 1, NULL, 0), -EMSGSIZE);
    CHECK_RESULT(brood_connection_poll(ends[1], 0), 0);
    CHECK_RESULT(brood_connection_recv_block(ends[1], &block, 0), 0);
    CHECK(block.size == 0 && block.data != NULL);
    brood_free(block.data);
    close_pair(ends);
}

static void no_memory_stays(void)
{
    brood_connection *ends[2];
    brood_block block;
    size_t size = (size_t)3 << 20, got = 0;
    char *bytes = malloc(size);
    NEED(bytes != NULL);
    NEED(brood_init(&(brood_init_options){ .limit = 2 << 20 }) == 0);
    make_pair(abstract(), ends, NULL);
    struct flow flow = { ends[0], size, 1 };
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, pour, &flow) == 0);
    for (int i = 0; i < 3; i++)
        CHECK_RESULT(brood_connection_recv_block(ends[1], &block, 5000), -ENOMEM);
    CHECK_RESULT(brood_connection_poll(ends[1], 0), 0);
    CHECK_RESULT(brood_connection_recv(ends[1], bytes, size, &got, 5000), 0);
    CHECK_EQ((long long)got, (long long)size);
    pthread_join(thread, NULL);
    free(bytes);
    close_pair(ends);
}

static void the_end_comes_last(void)
{
    brood_connection *ends[2];
    char text[8];
    size_t got;
    brood_block block;
    make_pair("tcp:127.0.0.1:0", ends, NULL);
    CHECK_RESULT(brood_connection_send(ends[0], "one", 3, 0), 0);
    CHECK_RESULT(brood_connection_send(ends[0], "two", 3, 0), 0);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &got, 1000), 0);
    CHECK(memcmp(text, "one", 3) == 0);
    CHECK_RESULT(brood_connection_recv(ends[1], text, 3, NULL, 1000), 0);
    CHECK(memcmp(text, "two", 3) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(brood_connection_poll(ends[1], 1000), 0);
        CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &got, BROOD_FOREVER), -EPIPE);
        CHECK_RESULT(brood_connection_recv_block(ends[1], &block, BROOD_FOREVER), -EPIPE);
    }
    int sent = 0;
    for (int i = 0; i < 100 && sent == 0; i++) {
        sent = brood_connection_send(ends[1], "into the void", 13, 100);
        pass_us(1000);
    }
    CHECK_RESULT(sent, -EPIPE);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
}

static void descriptors(void)
{
    brood_connection *ends[2];
    int pipe_ends[2];
    char text[8];
    size_t got;
    brood_block block;
    make_pair(abstract(), ends, NULL);
    NEED(pipe(pipe_ends) == 0);
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -ETIMEDOUT);
    CHECK_RESULT(brood_connection_send(ends[0], "abc", 3, 0), 0);
    CHECK_RESULT(brood_connection_send_fd(ends[0], pipe_ends[1], 0), 0);
    CHECK_RESULT(brood_connection_send(ends[0], "de", 2, 0), 0);
    /* Each in its turn, and the wrong call breaks nothing. */
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -EPROTO);
    CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &got, 0), 0);
    CHECK_EQ((long long)got, 3);
    CHECK_RESULT(brood_connection_poll(ends[1], 0), 0);
    CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &got, 0), -EPROTO);
    CHECK_RESULT(brood_connection_recv_block(ends[1], &block, 0), -EPROTO);
    int fd = brood_connection_recv_fd(ends[1], 0);
    CHECK(fd > 2);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(write(fd, "x", 1), 1);
    CHECK_EQ(read(pipe_ends[0], text, 1), 1);
    CHECK_EQ(text[0], 'x');
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -EPROTO);
    CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &got, 0), 0);
    CHECK_EQ((long long)got, 2);
    CHECK_RESULT(brood_connection_send_fd(ends[0], 9999, 0), -EBADF);
    CHECK_RESULT(brood_connection_send_fd(ends[0], -1, 0), -EBADF);
    close(fd);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK_RESULT(brood_connection_recv_fd(ends[1], BROOD_FOREVER), -EPIPE);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
    make_pair("tcp:127.0.0.1:0", ends, NULL);
    CHECK_RESULT(brood_connection_send_fd(ends[0], 0, 0), -EOPNOTSUPP);
    CHECK_RESULT(brood_connection_recv_fd(ends[1], 0), -EOPNOTSUPP);
    close_pair(ends);
}

/* One that comes along with a message, or in a crowd, is not kept open. */
static void unwanted_descriptors(void)
{
    int bare;
    char text[16];
    size_t got;
    brood_connection *end = against_bare(&bare, NULL);
    int before = count_descriptors();
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(20 * sizeof(int))];
    } control = { .bytes = { 0 } };
    int many[20];
    for (int i = 0; i < 20; i++)
        many[i] = bare;
    for (int round = 0; round < 2; round++) {
        char wire[] = "\0\0\0\5hello";
        struct iovec part = { round ? wire : wire + 4, round ? 1 : 5 };
        struct msghdr message = {
            .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
        };
        control.header =
            (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof many) };
        memcpy(CMSG_DATA(&control.header), many, sizeof many);
        if (round == 0)
            put(bare, wire, 4);
        NEED(sendmsg(bare, &message, 0) > 0);
        if (round == 0) {
            CHECK_RESULT(brood_connection_recv(end, text, sizeof text, &got, 0), 0);
            CHECK_EQ((long long)got, 5);
            CHECK_EQ(count_descriptors(), before);
        } else {
            int fd = brood_connection_recv_fd(end, 0);
            CHECK(fd > 2);
            CHECK_EQ(count_descriptors(), before + 1);
            close(fd);
        }
    }
    close(bare);
    CHECK_RESULT(brood_connection_close(end), 0);
}

static bool readable(int fd, int ms)
{
    struct pollfd waited = { .fd = fd, .events = POLLIN };
    return poll(&waited, 1, ms) == 1;
}

static void its_descriptor(void)
{
    brood_connection *ends[2];
    char text[8];
    size_t got;
    make_pair(abstract(), ends, NULL);
    int fd = brood_connection_fd(ends[1]);
    CHECK(fd > 2);
    CHECK_EQ(brood_connection_fd(ends[1]), fd);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(!readable(fd, 0));
    CHECK_RESULT(brood_connection_send(ends[0], "a", 1, 0), 0);
    CHECK_RESULT(brood_connection_send(ends[0], "", 0, 0), 0);
    for (int i = 0; i < 2; i++) {
        CHECK(readable(fd, 1000));
        CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &got, 0), 0);
    }
    CHECK(!readable(fd, 0));
    CHECK_RESULT(brood_connection_close(ends[0]), 0);
    CHECK(readable(fd, 1000));
    CHECK_RESULT(brood_connection_recv(ends[1], text, sizeof text, &got, 0), -EPIPE);
    CHECK_RESULT(brood_connection_close(ends[1]), 0);
    CHECK(fcntl(fd, F_GETFD) < 0);
}

static void misuse(void)
{
    brood_connection *ends[2];
    char text[8];
    size_t got;
    brood_block block;
    CHECK_NULL(brood_connection_open(NULL, NULL), EINVAL);
    static const char *const bad[] = { "",         "tcp",       "tcp:",        "tcp:host",     "tcp::1",
                                       "tcp:a:",   "tcp:a:x",   "tcp:a:70000", "tcp:[::1]1:2", "tcp:::1:2",
                                       "unix:",    "unix:@",    "unix:a",      "udp:a:1",      "/tmp/x",
                                       "tcp:a:-1", "tcp:[::1]", "tcp:a:1 ",    "tcp:a: 1",     "localhost:1" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_NULL(brood_connection_open(bad[i], NULL), EINVAL);
    char longer[128] = "unix:/";
    memset(longer + 6, 'x', 110);
    CHECK_NULL(brood_connection_open(longer, NULL), EINVAL);
    CHECK_NULL(brood_connection_open("unix:/no/such/place", NULL), ENOENT);
    CHECK_NULL(brood_connection_open("unix:@brood-nobody-listens-here", NULL), ECONNREFUSED);
    const char *address = abstract();
    CHECK_NULL(brood_connection_open(address, &(brood_connection_options){ .connect_ms = -2 }), EINVAL);
    CHECK_NULL(brood_connection_open(address, &(brood_connection_options){ .key = "" }), EINVAL);
    CHECK_NULL(brood_connection_open(address, &(brood_connection_options){ .key_size = 1 }), EINVAL);
    CHECK_NULL(brood_connection_open(address, &(brood_connection_options){ .key = "a", .key_size = 65537 }), EINVAL);
    CHECK_NULL(brood_connection_open(address, &(brood_connection_options){ .weak_digests = true }), EINVAL);
    CHECK_NULL(brood_connection_open(address, &(brood_connection_options){ .certificate = "x" }), EINVAL);
    for (int i = 0; i < 8; i++) {
        brood_connection_options options = { .reserved = { NULL } };
        options.reserved[i] = text;
        CHECK_NULL(brood_connection_open(address, &options), EINVAL);
        CHECK_NULL(brood_connection_adopt(0, &options), EINVAL);
    }
    CHECK_NULL(brood_connection_adopt(-1, NULL), EBADF);
    CHECK_NULL(brood_connection_adopt(9999, NULL), EBADF);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK_NULL(brood_connection_adopt(fd, NULL), ENOTSOCK);
    close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_NULL(brood_connection_adopt(fd, NULL), ENOTCONN);
    close(fd);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK_NULL(brood_connection_adopt(fd, NULL), EPROTOTYPE);
    close(fd);

    CHECK_RESULT(brood_connection_close(NULL), 0);
    CHECK_RESULT(brood_connection_send(NULL, "a", 1, 0), -EINVAL);
    CHECK_RESULT(brood_connection_recv(NULL, text, 1, &got, 0), -EINVAL);
    CHECK_RESULT(brood_connection_recv_block(NULL, &block, 0), -EINVAL);
    CHECK_RESULT(brood_connection_send_fd(NULL, 0, 0), -EINVAL);
    CHECK_RESULT(brood_connection_recv_fd(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_connection_poll(NULL, 0), -EINVAL);
    CHECK_RESULT(brood_connection_fd(NULL), -EINVAL);
    CHECK_NULL(brood_connection_peer(NULL), EINVAL);
    void *block_of_region = brood_alloc(64);
    CHECK_RESULT(brood_connection_poll(block_of_region, 0), -EINVAL);
    brood_free(block_of_region);
    make_pair(abstract(), ends, NULL);
    static const int bad_times[] = { -2, INT_MIN };
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(brood_connection_send(ends[0], "a", 1, bad_times[i]), -EINVAL);
        CHECK_RESULT(brood_connection_recv(ends[0], text, 1, &got, bad_times[i]), -EINVAL);
        CHECK_RESULT(brood_connection_recv_block(ends[0], &block, bad_times[i]), -EINVAL);
        CHECK_RESULT(brood_connection_send_fd(ends[0], 0, bad_times[i]), -EINVAL);
        CHECK_RESULT(brood_connection_recv_fd(ends[0], bad_times[i]), -EINVAL);
        CHECK_RESULT(brood_connection_poll(ends[0], bad_times[i]), -EINVAL);
    }
    CHECK_RESULT(brood_connection_send(ends[0], NULL, 1, 0), -EINVAL);
    CHECK_RESULT(brood_connection_recv(ends[0], NULL, 1, &got, 0), -EINVAL);
    CHECK_RESULT(brood_connection_recv_block(ends[0], NULL, 0), -EINVAL);
    CHECK_RESULT(brood_connection_poll(ends[1], 0), -ETIMEDOUT); /* none of that has sent anything */
    close_pair(ends);
}

static void before_init(void)
{
    CHECK_NULL(brood_connection_open("unix:@x", NULL), EINVAL);
    CHECK_NULL(brood_connection_adopt(0, NULL), EINVAL);
    CHECK_NULL(brood_listener_create("unix:@x", NULL), EINVAL);
}

static brood_connection *inherited;

static int use_foreign(void *arg)
{
    (void)arg;
    char text[8];
    size_t got;
    brood_block block;
    CHECK_RESULT(brood_connection_send(inherited, "a", 1, 0), -EPERM);
    CHECK_RESULT(brood_connection_recv(inherited, text, 1, &got, 0), -EPERM);
    CHECK_RESULT(brood_connection_recv_block(inherited, &block, 0), -EPERM);
    CHECK_RESULT(brood_connection_send_fd(inherited, 0, 0), -EPERM);
    CHECK_RESULT(brood_connection_recv_fd(inherited, 0), -EPERM);
    CHECK_RESULT(brood_connection_poll(inherited, 0), -EPERM);
    CHECK_RESULT(brood_connection_fd(inherited), -EPERM);
    CHECK_RESULT(brood_connection_close(inherited), -EPERM);
    return 0;
}

/* The child takes over the socket behind it, under its number. */
static int adopt_here(void *arg)
{
    brood_connection *end = CHECK_POINTER(brood_connection_adopt(*(int *)arg, NULL));
    char text[8];
    CHECK_RESULT(brood_connection_recv(end, text, 4, NULL, 5000), 0);
    CHECK_RESULT(brood_connection_send(end, "pong", 4, 5000), 0);
    CHECK_RESULT(brood_connection_close(end), 0);
    return 0;
}

static void other_processes(void)
{
    brood_connection *ends[2];
    char text[8];
    make_pair(abstract(), ends, NULL);
    inherited = ends[1];
    wait_child(fork_child(use_foreign, NULL));
    int fd = brood_connection_fd(ends[1]);
    static const brood_start ways[] = { BROOD_FORK, BROOD_SPAWN, BROOD_FORKSERVER };
    for (int i = 0; i < 3; i++) {
        brood_process_options options = { .start = ways[i], .fds = &fd, .fd_count = 1 };
        brood_process *child = CHECK_POINTER(brood_process_start(adopt_here, &fd, sizeof fd, &options));
        CHECK_RESULT(brood_connection_send(ends[0], "ping", 4, 1000), 0);
        CHECK_RESULT(brood_connection_recv(ends[0], text, 4, NULL, 15000), 0);
        CHECK(memcmp(text, "pong", 4) == 0);
        CHECK_RESULT(brood_process_join(child, NULL, 15000), 0);
        CHECK_RESULT(brood_process_close(child), 0);
    }
    close_pair(ends);
}

static void no_signal_no_leak(void)
{
    struct sigaction action;
    NEED(sigaction(SIGPIPE, NULL, &action) == 0);
    CHECK(action.sa_handler == SIG_DFL); /* the case would die of one */
    brood_connection *ends[2];
    make_pair(abstract(), ends, NULL);
    close_pair(ends);
    int before = count_descriptors();
    for (int i = 0; i < 50; i++) {
        make_pair(i % 2 ? abstract() : "tcp:127.0.0.1:0", ends, NULL);
        CHECK_RESULT(brood_connection_close(ends[1]), 0);
        int sent = 0;
        for (int k = 0; k < 200 && sent == 0; k++)
            sent = brood_connection_send(ends[0], "x", 1, 100);
        CHECK_RESULT(sent, -EPIPE);
        CHECK_RESULT(brood_connection_close(ends[0]), 0);
    }
    CHECK_EQ(count_descriptors(), before);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "addresses", .run = addresses },
        { .name = "peers_and_names", .run = peers_and_names },
        { .name = "sizes", .run = sizes, .deadline_s = 60 },
        { .name = "too_small_stays", .run = too_small_stays },
        { .name = "no_memory_stays", .run = no_memory_stays, .no_init = true },
        { .name = "the_end_comes_last", .run = the_end_comes_last },
        { .name = "descriptors", .run = descriptors },
        { .name = "unwanted_descriptors", .run = unwanted_descriptors },
        { .name = "its_descriptor", .run = its_descriptor },
        { .name = "misuse", .run = misuse },
        { .name = "before_init", .run = before_init, .no_init = true },
        { .name = "other_processes", .run = other_processes, .deadline_s = 60 },
        { .name = "no_signal_no_leak", .run = no_signal_no_leak },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
