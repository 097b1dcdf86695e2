/* manager/any_print.c: a value as text: the diagnostic notation of CBOR (RFC 8949, section 8), JSON where that can. */
#include "error/error.h"
#include "manager/cbor.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_ROOM 40
#define DIGITS_FEW 15 /* of a double: what is written so is what was meant, if it reads back */
#define DIGITS_ALL 17 /* with these it always does */

/* size: of the whole. full: something has not fitted, so that what follows does not go there either. */
struct text {
    char *bytes;
    size_t size, room;
    bool full;
};

/* Together or not at all. */
static void put(struct text *text, const char *bytes, size_t size)
{
    text->full |= text->size >= text->room || size >= text->room - text->size;
    if (!text->full) {
        memcpy(text->bytes + text->size, bytes, size);
        text->bytes[text->size + size] = 0;
    }
    text->size += size;
}

static void put_word(struct text *text, const char *word)
{
    put(text, word, strlen(word));
}

static void put_number(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void put_number(struct text *text, const char *format, ...)
{
    char digits[NUMBER_ROOM];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(digits, sizeof digits, format, arguments);
    va_end(arguments);
    put_word(text, digits);
}

/* The locale's point may be any sign. */
static void put_double(struct text *text, double real)
{
    char digits[NUMBER_ROOM];
    if (!isfinite(real)) {
        put_word(text, isnan(real) ? "NaN" : real < 0 ? "-Infinity" : "Infinity");
        return;
    }
    snprintf(digits, sizeof digits, "%.*g", DIGITS_FEW, real);
    if (strtod(digits, NULL) != real)
        snprintf(digits, sizeof digits, "%.*g", DIGITS_ALL, real);
    const char *point = digits + strspn(digits, "-0123456789"), *exponent = digits + strcspn(digits, "e");
    put(text, digits, (size_t)(point - digits));
    if (point < exponent) {
        const char *fraction = point + strcspn(point, "0123456789");
        put(text, ".", 1);
        put(text, fraction, (size_t)(exponent - fraction));
    } else if (!*exponent) {
        put_word(text, ".0");
    }
    put_word(text, exponent);
}

/* How many bytes the character is that begins there; 0: none does. */
static size_t character(const uint8_t *at, size_t left)
{
    for (size_t size = 1; size <= 4 && size <= left; size++)
        if (bytes_are_utf8(at, size))
            return size;
    return 0;
}

static void put_string(struct text *text, const uint8_t *at, size_t left)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    put(text, "\"", 1);
    while (left > 0) {
        size_t size = character(at, left);
        const char *escape = *at ? strchr(escaped, *at) : NULL;
        if (escape)
            put(text, (const char[]){ '\\', names[escape - escaped] }, 2);
        else if (*at < ' ' || *at == 0x7f)
            put_number(text, "\\u%04x", *at);
        else if (size == 0)
            put(text, "?", 1);
        else
            put(text, (const char *)at, size);
        size += size == 0;
        at += size;
        left -= size;
    }
    put(text, "\"", 1);
}

static void put_bytes(struct text *text, const uint8_t *at, size_t size)
{
    put(text, "h'", 2);
    for (size_t i = 0; i < size; i++)
        put_number(text, "%02x", at[i]);
    put(text, "'", 1);
}

static int print(struct text *text, const brood_any *value, int depth);

static int put_inside(struct text *text, const brood_any *value, int depth)
{
    bool is_map = value->kind == BROOD_MAP;
    int failed = 0;
    put(text, is_map ? "{" : "[", 1);
    for (size_t i = 0; i < value->size && failed == 0; i++) {
        if (i > 0)
            put(text, ", ", 2);
        failed = print(text, &value->items[is_map ? 2 * i : i], depth);
        if (is_map && failed == 0) {
            put(text, ": ", 2);
            failed = print(text, &value->items[2 * i + 1], depth);
        }
    }
    put(text, is_map ? "}" : "]", 1);
    return failed;
}

/* -EINVAL: something in it is of no kind. */
static int print(struct text *text, const brood_any *value, int depth)
{
    switch (value->kind) {
    case BROOD_NIL:
        put_word(text, "null");
        return 0;
    case BROOD_BOOL:
        put_word(text, value->boolean ? "true" : "false");
        return 0;
    case BROOD_INT:
        put_number(text, "%" PRId64, value->integer);
        return 0;
    case BROOD_UINT:
        put_number(text, "%" PRIu64, value->natural);
        return 0;
    case BROOD_DOUBLE:
        put_double(text, value->real);
        return 0;
    case BROOD_REFERENCE:
        put_number(text, "%d(%" PRIu64 ")", CBOR_REFERENCE, value->natural);
        return 0;
    case BROOD_STRING:
        put_string(text, value->bytes, value->size);
        return 0;
    case BROOD_BYTES:
        put_bytes(text, value->bytes, value->size);
        return 0;
    case BROOD_LIST:
    case BROOD_MAP:
        if (depth > 0)
            return put_inside(text, value, depth - 1);
        put_word(text, "...");
        return 0;
    }
    return -EINVAL;
}

int brood_any_print(const brood_any *value, char *text, size_t room)
{
    static const char call[] = "brood_any_print";
    if (!value || (!text && room > 0))
        return error_set(EINVAL, "%s: the value or the text is NULL", call);
    struct text out = { .bytes = text, .room = room };
    if (room > 0)
        *text = 0;
    if (print(&out, value, CBOR_DEPTH_MOST) < 0)
        return error_set(EINVAL, "%s: something in the value is of no kind", call);
    return out.size > INT_MAX ? INT_MAX : (int)out.size;
}
