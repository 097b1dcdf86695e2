/* connection_wire.c: what a connection sends and takes byte by byte, against a bare socket.
 */
#include "harness.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

static void comes_in_pieces(void)
{
    int bare;
    brood_connection *end = against_bare(&bare, NULL);
    static const char wire[] = "\0\0\0\5hello\0\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\3abc";
    static const size_t ends[] = { 9, 13, 28 };
    static const char *const texts[] = { "hello", "", "abc" };
    for (int way = 0; way < 3; way++) {
        int message = 0;
        for (size_t i = 0; i < sizeof wire - 1; i++) {
            char text[16];
            size_t got = 0;
            brood_block block;
            int expected = i + 1 == ends[message] ? 0 : -ETIMEDOUT;
            put(bare, wire + i, 1);
            bool as_block = way == 1 || (way == 2 && i % 2);
            if (as_block) {
                CHECK_RESULT(brood_connection_recv_block(end, &block, 0), expected);
                if (expected == 0) {
                    memcpy(text, block.data, block.size);
                    got = block.size;
                    brood_free(block.data);
                }
            } else {
                CHECK_RESULT(brood_connection_recv(end, text, sizeof text, &got, 0), expected);
            }
            if (expected == 0) {
                CHECK_EQ((long long)got, (long long)strlen(texts[message]));
                CHECK(memcmp(text, texts[message], got) == 0);
                message++;
            }
        }
        CHECK_EQ(message, 3);
    }
    close(bare);
    CHECK_RESULT(brood_connection_close(end), 0);
}

static void sent_as_python_does(void)
{
    int bare;
    char wire[32];
    brood_connection *end = against_bare(&bare, NULL);
    CHECK_RESULT(brood_connection_send(end, "hello", 5, 0), 0);
    CHECK_EQ(read(bare, wire, sizeof wire), 9);
    CHECK(memcmp(wire, "\0\0\0\5hello", 9) == 0);
    CHECK_RESULT(brood_connection_send(end, "", 0, 0), 0);
    CHECK_EQ(read(bare, wire, sizeof wire), 4);
    CHECK(memcmp(wire, "\0\0\0\0", 4) == 0);
    close(bare);
    CHECK_RESULT(brood_connection_close(end), 0);
}

/* What the other end may send that breaks a connection, and what the calls say from then on. */
static void check_breaks(const void *wire, size_t size, bool closes, int code)
{
    int bare;
    char text[64];
    size_t got;
    brood_block block;
    brood_connection *end = against_bare(&bare, &(brood_connection_options){ .name = "odd", .max_message = 32 });
    put(bare, wire, size);
    if (closes)
        shutdown(bare, SHUT_WR);
    for (int i = 0; i < 2; i++) {
        CHECK_RESULT(brood_connection_recv(end, text, sizeof text, &got, 0), code);
        CHECK_HAS(brood_error(), "odd");
        CHECK_RESULT(brood_connection_recv_block(end, &block, 1000), code);
        CHECK_RESULT(brood_connection_send(end, "x", 1, 1000), code);
        CHECK_RESULT(brood_connection_poll(end, 1000), code);
        CHECK_RESULT(brood_connection_recv_fd(end, 1000), code);
        CHECK_RESULT(brood_connection_send_fd(end, 0, 1000), code);
    }
    if (!closes)
        CHECK_EQ(recv(bare, text, 1, 0), 0); /* it knows */
    close(bare);
    CHECK_RESULT(brood_connection_close(end), 0);
}

static void bad_input_breaks(void)
{
    check_breaks("\xff\xff\xff\xfe", 4, false, -EPROTO);
    check_breaks("\x80\0\0\0", 4, false, -EPROTO);
    check_breaks("\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", 12, false, -EPROTO); /* 2^63 */
    check_breaks("\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 12, false, -EPROTO);
    check_breaks("\0\0\0\x21", 4, false, -EPROTO); /* one more than max_message */
    check_breaks("\0\0\0\5hell", 8, true, -ECONNABORTED);
    check_breaks("\0\0\0\5", 4, true, -ECONNABORTED);
    check_breaks("\0\0", 2, true, -ECONNABORTED);
    check_breaks("GET / HTTP/1.1\r\n\r\n", 18, false, -EPROTO);
}

static void late_sends(void)
{
    int bare;
    size_t size = (size_t)4 << 20, count = 0;
    char *bytes = calloc(1, size);
    NEED(bytes != NULL);
    /* Small ones: refused wholly once there is no room, and the connection is sound. */
    brood_connection *end = against_bare(&bare, NULL);
    int result;
    while ((result = brood_connection_send(end, bytes, 60, 0)) == 0)
        count++;
    CHECK_RESULT(result, -ETIMEDOUT);
    CHECK_RESULT(brood_connection_send(end, bytes, 60, 20), -ETIMEDOUT);
    size_t there = 0;
    while (there < count * 64) {
        ssize_t got = recv(bare, bytes, size, 0);
        NEED(got > 0);
        there += (size_t)got;
    }
    CHECK_EQ((long long)there, (long long)(count * 64));
    CHECK_EQ(recv(bare, bytes, 1, MSG_DONTWAIT), -1);
    CHECK_RESULT(brood_connection_send(end, "x", 1, 0), 0);
    CHECK_EQ(recv(bare, bytes, 6, 0), 5);
    /* One that has begun: cut, told, and no byte follows what would be taken for its rest. */
    CHECK_RESULT(brood_connection_send(end, bytes, size, 20), -ECONNABORTED);
    CHECK_RESULT(brood_connection_send(end, "x", 1, 0), -ECONNABORTED);
    CHECK_RESULT(brood_connection_recv(end, bytes, 1, NULL, 0), -ECONNABORTED);
    there = 0;
    for (ssize_t got = 1; got > 0;) {
        got = recv(bare, bytes, size, 0);
        there += got > 0 ? (size_t)got : 0;
    }
    CHECK(there > 4 && there < size);
    close(bare);
    free(bytes);
    CHECK_RESULT(brood_connection_close(end), 0);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "comes_in_pieces", .run = comes_in_pieces },
        { .name = "sent_as_python_does", .run = sent_as_python_does },
        { .name = "bad_input_breaks", .run = bad_input_breaks },
        { .name = "late_sends", .run = late_sends },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
