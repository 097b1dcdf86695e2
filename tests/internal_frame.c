/* internal_frame.c: lengths on the wire, up to those that no test can send. */
#include "harness.h"

#include "exchange/frame.h"

#include <errno.h>
#include <string.h>

static void check_length(uint64_t size, size_t expected)
{
    unsigned char header[FRAME_HEADER];
    uint64_t read = 1;
    size_t want = 0;
    CHECK_EQ((long long)frame_write(header, size), (long long)expected);
    for (size_t have = 0; have < expected; have++) {
        CHECK_EQ(frame_read(header, have, &read, &want), 0);
        CHECK(want > have && want <= expected);
    }
    CHECK_EQ(frame_read(header, expected, &read, &want), (long long)expected);
    CHECK(read == size);
    CHECK_EQ(frame_read(header, sizeof header, &read, &want), (long long)expected); /* what is behind is no matter */
    CHECK(read == size);
}

static void lengths(void)
{
    check_length(0, 4);
    check_length(1, 4);
    check_length(255, 4);
    check_length(16384, 4);
    check_length(INT32_MAX, 4);
    check_length((uint64_t)INT32_MAX + 1, 12);
    check_length(UINT32_MAX, 12);
    check_length((uint64_t)UINT32_MAX + 1, 12);
    check_length(INT64_MAX, 12);
}

/* As struct.pack("!i") and "!Q" have it. */
static void as_python(void)
{
    unsigned char header[FRAME_HEADER];
    frame_write(header, 0x01020304);
    CHECK(memcmp(header, "\1\2\3\4", 4) == 0);
    frame_write(header, 0x80000000);
    CHECK(memcmp(header, "\xff\xff\xff\xff\0\0\0\0\x80\0\0\0", 12) == 0);
}

static void none(void)
{
    uint64_t size;
    size_t want;
    static const unsigned char minus_two[] = { 255, 255, 255, 254 }, least[] = { 128, 0, 0, 0 };
    static const unsigned char huge[] = { 255, 255, 255, 255, 128, 0, 0, 0, 0, 0, 0, 0 };
    static const unsigned char most[] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };
    CHECK_EQ(frame_read(minus_two, 4, &size, &want), -EPROTO);
    CHECK_EQ(frame_read(least, 4, &size, &want), -EPROTO);
    CHECK_EQ(frame_read(huge, 11, &size, &want), 0);
    CHECK_EQ(frame_read(huge, 12, &size, &want), -EPROTO);
    CHECK_EQ(frame_read(most, 12, &size, &want), -EPROTO);
    /* A short message by the long header: unusual, and right. */
    static const unsigned char odd[] = { 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 5 };
    CHECK_EQ(frame_read(odd, 12, &size, &want), 12);
    CHECK(size == 5);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { .name = "lengths", .run = lengths, .no_init = true },
        { .name = "as_python", .run = as_python, .no_init = true },
        { .name = "none", .run = none, .no_init = true },
        { .name = NULL },
    };
    return harness_main(argc, argv, cases);
}
