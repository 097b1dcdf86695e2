/* manager/item.c */
#include "manager/item.h"

#include <errno.h>
#include <math.h>
#include <string.h>

bool item_is_key(const struct item *item)
{
    return item->kind <= BROOD_BYTES;
}

/* 0.0 and -0.0 are equal, so they are one key; and so is every nan. */
static uint64_t real_bits(double real)
{
    uint64_t bits;
    if (real == 0)
        real = 0;
    if (isnan(real))
        real = (double)NAN;
    memcpy(&bits, &real, sizeof bits);
    return bits;
}

static bool list_equal(const struct item *one, const struct item *other)
{
    struct cursor left = item_inside(one), right = item_inside(other);
    for (uint64_t i = 0; i < one->natural; i++) {
        struct item a, b;
        item_next(&left, &a);
        item_next(&right, &b);
        if (!item_equal(&a, &b))
            return false;
    }
    return true;
}

static bool map_equal(const struct item *one, const struct item *other)
{
    struct cursor left = item_inside(one);
    for (uint64_t i = 0; i < one->natural; i++) {
        struct item key, value, other_key, other_value;
        struct cursor right = item_inside(other);
        bool found = false;
        item_next(&left, &key);
        item_next(&left, &value);
        for (uint64_t k = 0; k < other->natural && !found; k++) {
            item_next(&right, &other_key);
            item_next(&right, &other_value);
            found = item_equal(&key, &other_key);
        }
        if (!found || !item_equal(&value, &other_value))
            return false;
    }
    return true;
}

bool item_equal(const struct item *one, const struct item *other)
{
    if (one->kind != other->kind)
        return false;
    switch (one->kind) {
    case BROOD_NIL:
        return true;
    case BROOD_BOOL:
        return one->boolean == other->boolean;
    case BROOD_INT:
    case BROOD_UINT:
        return one->natural == other->natural;
    case BROOD_DOUBLE:
        return real_bits(one->real) == real_bits(other->real);
    case BROOD_STRING:
    case BROOD_BYTES:
        return one->size == other->size && (one->size == 0 || memcmp(one->bytes, other->bytes, one->size) == 0);
    case BROOD_LIST:
        return one->natural == other->natural && list_equal(one, other);
    case BROOD_MAP:
        return one->natural == other->natural && map_equal(one, other);
    }
    return false;
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

uint64_t item_hash(const struct item *item, uint64_t seed)
{
    uint64_t hash = mix(seed, item->kind), word;
    size_t i = 0;
    switch (item->kind) {
    case BROOD_NIL:
        break;
    case BROOD_BOOL:
        hash = mix(hash, item->boolean);
        break;
    case BROOD_DOUBLE:
        hash = mix(hash, real_bits(item->real));
        break;
    case BROOD_STRING:
    case BROOD_BYTES:
        for (; i + sizeof word <= item->size; i += sizeof word) {
            memcpy(&word, item->bytes + i, sizeof word);
            hash = mix(hash, word);
        }
        word = 0;
        if (i < item->size)
            memcpy(&word, item->bytes + i, item->size - i);
        hash = mix(mix(hash, word), item->size);
        break;
    default:
        hash = mix(hash, item->natural);
        break;
    }
    return mix(hash, seed);
}

/* ---- numbers and order ---- */

/* Of integers, one of which may be below 0, and the other not. 0, or -ERANGE. */
static int sum_of_integers(const struct item *one, const struct item *other, struct item *sum)
{
    bool below = one->kind == BROOD_INT && one->integer < 0,
         other_below = other->kind == BROOD_INT && other->integer < 0;
    uint64_t total = one->natural + other->natural; /* modulo 2^64, which is the sum, if it can be had */
    if (below && other_below && total <= INT64_MAX)
        return -ERANGE;
    if (!below && !other_below && total < one->natural)
        return -ERANGE;
    bool total_below =
        (below && other_below) || ((below || other_below) && total > INT64_MAX &&
                                   (below ? other->natural < -one->natural : one->natural < -other->natural));
    *sum = total_below ? item_int((int64_t)total) : item_natural(total);
    return 0;
}

static double real(const struct item *item)
{
    return item->kind == BROOD_DOUBLE ? item->real
           : item->kind == BROOD_INT  ? (double)item->integer
                                      : (double)item->natural;
}

int item_sum(const struct item *one, const struct item *other, struct item *sum)
{
    if (one->kind == BROOD_DOUBLE || other->kind == BROOD_DOUBLE) {
        *sum = (struct item){ .kind = BROOD_DOUBLE, .real = real(one) + real(other) };
        return 0;
    }
    return sum_of_integers(one, other, sum);
}

static bool is_text(const struct item *item)
{
    return item->kind == BROOD_STRING || item->kind == BROOD_BYTES;
}

bool item_has_order(const struct item *one, const struct item *other)
{
    return (item_is_number(one) && item_is_number(other)) || (is_text(one) && one->kind == other->kind);
}

/* A nan comes after all others. */
static int order_of_reals(double one, double other)
{
    if (isnan(one) || isnan(other))
        return (isnan(one) != 0) - (isnan(other) != 0);
    return (one > other) - (one < other);
}

int item_order(const struct item *one, const struct item *other)
{
    if (is_text(one)) {
        size_t size = one->size < other->size ? one->size : other->size;
        int order = size ? memcmp(one->bytes, other->bytes, size) : 0;
        return order ? order : (one->size > other->size) - (one->size < other->size);
    }
    if (one->kind == BROOD_DOUBLE || other->kind == BROOD_DOUBLE)
        return order_of_reals(real(one), real(other));
    if (one->kind != other->kind) /* one of them is above INT64_MAX */
        return one->kind == BROOD_UINT ? 1 : -1;
    if (one->kind == BROOD_INT)
        return (one->integer > other->integer) - (one->integer < other->integer);
    return (one->natural > other->natural) - (one->natural < other->natural);
}
