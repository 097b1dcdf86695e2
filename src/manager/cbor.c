/* manager/cbor.c */
#include "manager/cbor.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { MAJOR_NATURAL, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_STRING, MAJOR_LIST, MAJOR_MAP, MAJOR_TAG, MAJOR_SIMPLE };
enum { INFO_1 = 24, INFO_2, INFO_4, INFO_8, SIMPLE_FALSE = 20, SIMPLE_TRUE, SIMPLE_NIL };

/* ---- writing ---- */

/* Room for so many bytes more; NULL: it is only counted. */
static uint8_t *out_more(struct out *out, size_t size)
{
    uint8_t *more = out->size <= out->room && size <= out->room - out->size ? out->bytes + out->size : NULL;
    out->size += size;
    return more;
}

static void put(uint8_t *to, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(number >> 8 * (bytes - 1 - i));
}

static void write_head(struct out *out, unsigned major, uint64_t argument)
{
    unsigned bytes = argument < INFO_1        ? 0
                     : argument <= UINT8_MAX  ? 1
                     : argument <= UINT16_MAX ? 2
                     : argument <= UINT32_MAX ? 4
                                              : 8;
    uint8_t *head = out_more(out, 1 + bytes);
    if (!head)
        return;
    unsigned info = bytes == 0   ? (unsigned)argument
                    : bytes == 1 ? INFO_1
                    : bytes == 2 ? INFO_2
                    : bytes == 4 ? INFO_4
                                 : INFO_8;
    head[0] = (uint8_t)(major << 5 | info);
    put(head + 1, argument, bytes);
}

static void write_double(struct out *out, double real)
{
    uint8_t *head = out_more(out, 9);
    uint64_t bits;
    if (!head)
        return;
    memcpy(&bits, &real, sizeof bits);
    head[0] = MAJOR_SIMPLE << 5 | INFO_8;
    put(head + 1, bits, 8);
}

void item_write(struct out *out, const struct item *item)
{
    switch (item->kind) {
    case BROOD_NIL:
        write_head(out, MAJOR_SIMPLE, SIMPLE_NIL);
        break;
    case BROOD_BOOL:
        write_head(out, MAJOR_SIMPLE, item->boolean ? SIMPLE_TRUE : SIMPLE_FALSE);
        break;
    case BROOD_INT:
        if (item->integer < 0)
            write_head(out, MAJOR_NEGATIVE, (uint64_t) - (item->integer + 1));
        else
            write_head(out, MAJOR_NATURAL, (uint64_t)item->integer);
        break;
    case BROOD_UINT:
        write_head(out, MAJOR_NATURAL, item->natural);
        break;
    case BROOD_REFERENCE:
        write_head(out, MAJOR_TAG, CBOR_REFERENCE);
        write_head(out, MAJOR_NATURAL, item->natural);
        break;
    case BROOD_DOUBLE:
        write_double(out, item->real);
        break;
    case BROOD_STRING:
    case BROOD_BYTES:
        write_head(out, item->kind == BROOD_STRING ? MAJOR_STRING : MAJOR_BYTES, item->size);
        uint8_t *text = out_more(out, item->size);
        if (text && item->size)
            memcpy(text, item->bytes, item->size);
        break;
    case BROOD_LIST:
    case BROOD_MAP:
        write_head(out, item->kind == BROOD_LIST ? MAJOR_LIST : MAJOR_MAP, item->natural);
        break;
    }
}

/* ---- reading ---- */

static bool read_head(struct cursor *cursor, unsigned *major, unsigned *info, uint64_t *argument)
{
    if (cursor->at == cursor->end)
        return false;
    *major = *cursor->at >> 5;
    *info = *cursor->at++ & 31;
    *argument = *info;
    if (*info < INFO_1)
        return true;
    if (*info > INFO_8)
        return false;
    size_t bytes = (size_t)1 << (*info - INFO_1);
    if ((size_t)(cursor->end - cursor->at) < bytes)
        return false;
    *argument = 0;
    for (size_t i = 0; i < bytes; i++)
        *argument = *argument << 8 | *cursor->at++;
    return true;
}

static double half(uint64_t bits)
{
    int exponent = (int)(bits >> 10 & 31);
    double fraction = (double)(bits & 1023), real;
    if (exponent == 31)
        real = bits & 1023 ? (double)NAN : (double)INFINITY;
    else
        real = exponent ? ldexp(fraction + 1024, exponent - 25) : ldexp(fraction, -24);
    return bits & 0x8000 ? -real : real;
}

static int read_simple(struct item *item, unsigned info, uint64_t argument)
{
    if (info == INFO_8) {
        item->kind = BROOD_DOUBLE;
        memcpy(&item->real, &argument, sizeof item->real);
    } else if (info == INFO_4) {
        uint32_t bits = (uint32_t)argument;
        float single;
        memcpy(&single, &bits, sizeof single);
        item->kind = BROOD_DOUBLE;
        item->real = (double)single;
    } else if (info == INFO_2) {
        item->kind = BROOD_DOUBLE;
        item->real = half(argument);
    } else if (info == SIMPLE_NIL) {
        item->kind = BROOD_NIL;
    } else if (info == SIMPLE_FALSE || info == SIMPLE_TRUE) {
        item->kind = BROOD_BOOL;
        item->boolean = info == SIMPLE_TRUE;
    } else {
        return -EBADMSG;
    }
    return 0;
}

bool bytes_are_utf8(const uint8_t *at, size_t size)
{
    const uint8_t *end = at + size;
    while (at < end) {
        uint64_t eight;
        if (end - at >= 8 && (memcpy(&eight, at, 8), (eight & UINT64_C(0x8080808080808080)) == 0)) {
            at += 8;
            continue;
        }
        uint8_t first = *at++;
        if (first < 0x80)
            continue;
        int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || end - at < more)
            return false;
        uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        for (; more > 0; more--, at++, low = 0x80, high = 0xbf)
            if (*at < low || *at > high)
                return false;
    }
    return true;
}

static int read_text(struct cursor *cursor, struct item *item, unsigned major, uint64_t size)
{
    if (size > (uint64_t)(cursor->end - cursor->at))
        return -EBADMSG;
    item->kind = major == MAJOR_STRING ? BROOD_STRING : BROOD_BYTES;
    item->bytes = cursor->at;
    item->size = (size_t)size;
    cursor->at += size;
    return major == MAJOR_STRING && !bytes_are_utf8(item->bytes, item->size) ? -EILSEQ : 0;
}

static int read_inside(struct cursor *cursor, struct item *item, int depth)
{
    if (depth <= 0)
        return -EMSGSIZE;
    uint64_t count = item->natural, left = (uint64_t)(cursor->end - cursor->at);
    if (count > left || (item->kind == BROOD_MAP && count > left / 2))
        return -EBADMSG; /* each takes a byte at least */
    for (uint64_t i = 0; i < (item->kind == BROOD_MAP ? 2 * count : count); i++) {
        struct item inner;
        int failed = item_read(cursor, &inner, depth - 1);
        if (failed < 0)
            return failed;
        if (item->kind == BROOD_MAP && i % 2 == 0 && inner.kind > BROOD_BYTES)
            return -EINVAL;
        item->refers |= inner.refers;
    }
    return 0;
}

static int read_reference(struct cursor *cursor, struct item *item)
{
    unsigned major, info;
    uint64_t id;
    if (!read_head(cursor, &major, &info, &id) || major != MAJOR_NATURAL)
        return -EBADMSG;
    *item = (struct item){ .kind = BROOD_REFERENCE, .refers = true, .natural = id };
    return 0;
}

int item_read(struct cursor *cursor, struct item *item, int depth)
{
    const uint8_t *from = cursor->at;
    unsigned major, info;
    uint64_t argument;
    *item = (struct item){ .kind = BROOD_NIL };
    if (!read_head(cursor, &major, &info, &argument))
        return -EBADMSG;
    switch (major) {
    case MAJOR_NATURAL:
        *item = item_natural(argument);
        return 0;
    case MAJOR_NEGATIVE:
        if (argument > INT64_MAX)
            return -EBADMSG;
        *item = item_int(-1 - (int64_t)argument);
        return 0;
    case MAJOR_BYTES:
    case MAJOR_STRING:
        return read_text(cursor, item, major, argument);
    case MAJOR_LIST:
    case MAJOR_MAP:
        item->kind = major == MAJOR_LIST ? BROOD_LIST : BROOD_MAP;
        item->natural = argument;
        int failed = read_inside(cursor, item, depth);
        item->bytes = from;
        item->size = (size_t)(cursor->at - from);
        return failed;
    case MAJOR_TAG:
        return argument == CBOR_REFERENCE ? read_reference(cursor, item) : -EBADMSG;
    default:
        return read_simple(item, info, argument);
    }
}

int item_enter(struct cursor *cursor, uint64_t *count)
{
    unsigned major, info;
    return read_head(cursor, &major, &info, count) && major == MAJOR_LIST ? 0 : -EBADMSG;
}

struct cursor item_inside(const struct item *item)
{
    struct cursor cursor = { item->bytes, item->bytes + item->size };
    unsigned major, info;
    uint64_t argument;
    read_head(&cursor, &major, &info, &argument);
    return cursor;
}

void item_next(struct cursor *cursor, struct item *item)
{
    if (item_read(cursor, item, CBOR_DEPTH_MOST) < 0)
        *item = (struct item){ .kind = BROOD_NIL };
}

bool item_next_reference(struct cursor *cursor, uint64_t *id)
{
    unsigned major, info;
    uint64_t argument;
    while (read_head(cursor, &major, &info, &argument)) {
        if (major == MAJOR_TAG)
            return read_head(cursor, &major, &info, id);
        if (major != MAJOR_BYTES && major != MAJOR_STRING)
            continue;
        if (argument > (uint64_t)(cursor->end - cursor->at))
            break;
        cursor->at += argument;
    }
    return false;
}
