/* any_use.c: dynamic values: to bytes and back, equal or not, and bytes that are none.
 */
#include "harness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void comes_back(const brood_any *value)
{
    size_t size = 0, again = 0;
    brood_any back;
    CHECK_RESULT(brood_any_encode(value, NULL, 0, &size), -EMSGSIZE);
    unsigned char *bytes = malloc(size);
    NEED(bytes != NULL);
    CHECK_RESULT(brood_any_encode(value, bytes, size - 1, &again), -EMSGSIZE);
    CHECK_EQ(again, size);
    CHECK_RESULT(brood_any_encode(value, bytes, size, &again), 0);
    CHECK_RESULT(brood_any_decode(bytes, size, &back), 0);
    CHECK_EQ(brood_any_equal(value, &back), 1);
    for (size_t i = 0; i < size; i++) { /* each beginning of it is no value */
        brood_any part;
        CHECK_RESULT(brood_any_decode(bytes, i, &part), -EBADMSG);
        CHECK_EQ(part.kind, BROOD_NIL);
    }
    brood_any_clear(&back);
    CHECK_EQ(back.kind, BROOD_NIL);
    free(bytes);
}

static void round_trip(void)
{
    const int64_t integers[] = { 0,   1,     -1,    23,         24,         -24,       -25,      255,
                                 256, 65535, 65536, 4294967295, 4294967296, INT64_MAX, INT64_MIN };
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        comes_back(&(brood_any[]){ brood_any_int(integers[i]) }[0]);
    const double reals[] = { 0, -0.5, 3.14, 1e300, (double)INFINITY, (double)NAN };
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        comes_back(&(brood_any[]){ brood_any_double(reals[i]) }[0]);
    brood_any inner[] = { brood_any_string("one"), brood_any_bytes("\0\xff", 2), brood_any_list(NULL, 0) };
    brood_any pairs[] = { brood_any_string("list"), brood_any_list(inner, 3), brood_any_int(-7), brood_any_nil() };
    brood_any all[] = { brood_any_nil(),         brood_any_bool(true),
                        brood_any_bool(false),   brood_any_uint(UINT64_MAX),
                        brood_any_string(""),    brood_any_string("gr\xc3\xbc\xc3\x9f"),
                        brood_any_map(pairs, 2), brood_any_map(NULL, 0),
                        brood_any_bytes(NULL, 0) };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        comes_back(&all[i]);
    brood_any list = brood_any_list(all, sizeof all / sizeof *all);
    comes_back(&list);
}

static void equality(void)
{
    brood_any one = brood_any_int(1), real = brood_any_double(1), nan = brood_any_double((double)NAN);
    CHECK_EQ(brood_any_equal(&one, &real), 0);
    CHECK_EQ(brood_any_equal(&nan, &nan), 1);
    CHECK_EQ(brood_any_equal(&one, NULL), 0);
    brood_any pairs[] = { brood_any_int(1), brood_any_string("a"), brood_any_int(2), brood_any_string("b") };
    brood_any turned[] = { pairs[2], pairs[3], pairs[0], pairs[1] };
    brood_any map = brood_any_map(pairs, 2), other = brood_any_map(turned, 2);
    CHECK_EQ(brood_any_equal(&map, &other), 1);
    CHECK(brood_any_find(&map, &pairs[2]) == &pairs[3]);
    CHECK(brood_any_find(&map, &nan) == NULL);
    CHECK(brood_any_find(&one, &one) == NULL);
    brood_any list = brood_any_list(pairs, 4), other_list = brood_any_list(turned, 4);
    CHECK_EQ(brood_any_equal(&list, &other_list), 0);
    CHECK_EQ(brood_any_uint(5).kind, BROOD_INT);
    CHECK_EQ(brood_any_string(NULL).kind, BROOD_NIL);
    CHECK_EQ(brood_any_list(NULL, 1).kind, BROOD_NIL);
    CHECK_STR(brood_kind_name(BROOD_MAP), "map");
    CHECK(brood_kind_name((brood_kind)99) == NULL);
}

static void refused_values(void)
{
    char bytes[256];
    size_t size;
    brood_any list = brood_any_list(NULL, 0), latin = brood_any_string("gr\xfc\xdf"),
              no_kind = { .kind = (brood_kind)77 };
    brood_any pair[] = { list, list };
    brood_any map = brood_any_map(pair, 1), nested[66];
    CHECK_RESULT(brood_any_encode(NULL, bytes, sizeof bytes, &size), -EINVAL);
    CHECK_RESULT(brood_any_encode(&list, bytes, sizeof bytes, NULL), -EINVAL);
    CHECK_RESULT(brood_any_encode(&latin, bytes, sizeof bytes, &size), -EINVAL);
    CHECK_HAS(brood_error(), "UTF-8");
    CHECK_RESULT(brood_any_encode(&no_kind, bytes, sizeof bytes, &size), -EINVAL);
    CHECK_RESULT(brood_any_encode(&map, bytes, sizeof bytes, &size), -EINVAL);
    nested[0] = brood_any_nil();
    for (int i = 1; i < 66; i++)
        nested[i] = brood_any_list(&nested[i - 1], 1);
    CHECK_RESULT(brood_any_encode(&nested[64], bytes, sizeof bytes, &size), 0);
    CHECK_RESULT(brood_any_encode(&nested[65], bytes, sizeof bytes, &size), -EMSGSIZE);
    brood_any_clear(NULL);
}

static void refused_bytes(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        int result;
    } wrong[] = {
        { "", 0, -EBADMSG },
        { "\x01\x02", 2, -EBADMSG },                             /* two values */
        { "\x9f\xff", 2, -EBADMSG },                             /* an indefinite length */
        { "\xc0\x01", 2, -EBADMSG },                             /* a tag */
        { "\xf7", 1, -EBADMSG },                                 /* undefined */
        { "\x1c", 1, -EBADMSG },                                 /* a reserved length */
        { "\x3b\xff\xff\xff\xff\xff\xff\xff\xff", 9, -EBADMSG }, /* -2^64 */
        { "\x9b\xff\xff\xff\xff\xff\xff\xff\xff", 9, -EBADMSG }, /* a list of 2^64 - 1 items */
        { "\x5b\xff\xff\xff\xff\xff\xff\xff\xff", 9, -EBADMSG }, /* bytes of that length */
        { "\x61\xff", 2, -EINVAL },                              /* no UTF-8 */
        { "\x63\xed\xa0\x80", 4, -EINVAL },                      /* a surrogate */
        { "\xa1\x80\x01", 3, -EINVAL },                          /* a list as a key */
    };
    brood_any value;
    char deep[66];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_RESULT(brood_any_decode(wrong[i].bytes, wrong[i].size, &value), wrong[i].result);
    memset(deep, '\x81', 65);
    deep[65] = '\x01';
    CHECK_RESULT(brood_any_decode(deep, 66, &value), -EMSGSIZE);
    CHECK_RESULT(brood_any_decode(NULL, 1, &value), -EINVAL);
    CHECK_RESULT(brood_any_decode("\x01", 1, NULL), -EINVAL);
    CHECK_RESULT(brood_any_decode("\xf9\x3e\x00", 3, &value), 0); /* a half */
    CHECK(value.kind == BROOD_DOUBLE && value.real == 1.5);
    CHECK_RESULT(brood_any_decode("\xfa\x3f\xc0\x00\x00", 5, &value), 0); /* a single */
    CHECK(value.kind == BROOD_DOUBLE && value.real == 1.5);
}

/* Whatever is changed in good bytes: they are refused, or are another value that comes back. */
static void hostile_bytes(void)
{
    static const char good[] =
        "\x84\x63one\xa2\x01\x82\xf5\xf6\x61z\x41\xff\xfb\x40\x09\x1e\xb8\x51\xeb\x85\x1f\x39\x01\x00";
    uint32_t seed = 7;
    for (int i = 0; i < harness_times(20000); i++) {
        char bytes[sizeof good - 1];
        brood_any value;
        memcpy(bytes, good, sizeof bytes);
        for (uint32_t changes = random_next(&seed) % 4; changes > 0; changes--)
            bytes[random_next(&seed) % sizeof bytes] = (char)random_next(&seed);
        if (brood_any_decode(bytes, sizeof bytes, &value) == 0)
            comes_back(&value);
        brood_any_clear(&value);
    }
}

static void is_text(brood_any value, const char *expected)
{
    char text[200];
    CHECK_RESULT(brood_any_print(&value, text, sizeof text), (int)strlen(expected));
    CHECK_STR(text, expected);
}

static void as_text(void)
{
    is_text(brood_any_nil(), "null");
    is_text(brood_any_bool(true), "true");
    is_text(brood_any_bool(false), "false");
    is_text(brood_any_int(INT64_MIN), "-9223372036854775808");
    is_text(brood_any_uint(UINT64_MAX), "18446744073709551615");
    is_text(brood_any_double(0.1), "0.1");
    is_text(brood_any_double(-3), "-3.0");
    is_text(brood_any_double(1e300), "1e+300");
    is_text(brood_any_double(1.0 / 3), "0.33333333333333331");
    is_text(brood_any_double((double)INFINITY), "Infinity");
    is_text(brood_any_double(-(double)INFINITY), "-Infinity");
    is_text(brood_any_double((double)NAN), "NaN");
    is_text(brood_any_string("say \"\\\n\t\x01\x7f"), "\"say \\\"\\\\\\n\\t\\u0001\\u007f\"");
    is_text(brood_any_string("gr\xc3\xbc\xfc\xdf"), "\"gr\xc3\xbc??\"");
    is_text((brood_any){ .kind = BROOD_STRING, .size = 3, .string = "a\0b" }, "\"a\\u0000b\"");
    is_text(brood_any_bytes("\0\xff", 2), "h'00ff'");
    brood_any items[] = { brood_any_int(1), brood_any_string("x"), brood_any_list(NULL, 0), brood_any_map(NULL, 0) };
    is_text(brood_any_list(items, 4), "[1, \"x\", [], {}]");
    is_text(brood_any_map(items, 2), "{1: \"x\", []: {}}");
}

/* However little room there is, the text ends, and no character is cut. */
static void cut_text(void)
{
    const brood_any items[] = { brood_any_string("gr\xc3\xbc"), brood_any_int(12345) };
    const brood_any list = brood_any_list(items, 2);
    char text[16];
    CHECK_RESULT(brood_any_print(&list, NULL, 0), 15);
    CHECK_RESULT(brood_any_print(&list, text, 16), 15);
    CHECK_STR(text, "[\"gr\xc3\xbc\", 12345]");
    CHECK_RESULT(brood_any_print(&list, text, 15), 15);
    CHECK_STR(text, "[\"gr\xc3\xbc\", 12345");
    CHECK_RESULT(brood_any_print(&list, text, 6), 15);
    CHECK_STR(text, "[\"gr");
    CHECK_RESULT(brood_any_print(&list, text, 1), 15);
    CHECK_STR(text, "");
    brood_any nested[67], no_kind = { .kind = (brood_kind)77 };
    char deep[200];
    nested[0] = brood_any_nil();
    for (int i = 1; i < 67; i++)
        nested[i] = brood_any_list(&nested[i - 1], 1);
    CHECK_RESULT(brood_any_print(&nested[66], deep, sizeof deep), 131);
    CHECK_HAS(deep, "[[...]]");
    const brood_any with_it = brood_any_list(&no_kind, 1);
    CHECK_RESULT(brood_any_print(&with_it, text, sizeof text), -EINVAL);
    CHECK_HAS(brood_error(), "no kind");
    CHECK_RESULT(brood_any_print(NULL, text, sizeof text), -EINVAL);
    CHECK_RESULT(brood_any_print(&list, NULL, 1), -EINVAL);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        { "round_trip", round_trip, 0, true },
        { "equality", equality, 0, true },
        { "refused_values", refused_values, 0, true },
        { "refused_bytes", refused_bytes, 0, true },
        { "hostile_bytes", hostile_bytes, 0, true },
        { "as_text", as_text, 0, true },
        { "cut_text", cut_text, 0, true },
        { NULL, NULL, 0, false },
    };
    return harness_main(argc, argv, cases);
}
