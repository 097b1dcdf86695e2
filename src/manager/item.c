/* manager/item.c */
#include "manager/item.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FEW_PAIRS 16 /* of a map that is looked through for each key */

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

/* ---- maps, whose order says nothing ---- */

/* Where a key stands, with its hash. */
struct spot {
    uint64_t hash;
    struct cursor at;
};

static int by_hash(const void *left, const void *right)
{
    uint64_t a = ((const struct spot *)left)->hash, b = ((const struct spot *)right)->hash;
    return a < b ? -1 : a > b;
}

/* The value that belongs to the key, among `most` pairs from `right` on, which goes round: where both maps have the
 * same order the first look finds it. `right` is behind it then. */
static bool find_near(const struct item *map, struct cursor *right, uint64_t *passed, uint64_t most,
                      const struct item *key, struct item *value)
{
    for (uint64_t i = 0; i < most; i++) {
        struct item other;
        if (*passed == map->natural) {
            *right = item_inside(map);
            *passed = 0;
        }
        item_next(right, &other);
        item_next(right, value);
        ++*passed;
        if (item_equal(key, &other))
            return true;
    }
    return false;
}

/* The map's keys by their hashes; NULL: no memory. To be freed. */
static struct spot *spots_of(const struct item *map)
{
    struct spot *spots = calloc((size_t)map->natural, sizeof *spots);
    struct cursor at = item_inside(map);
    for (uint64_t i = 0; spots && i < map->natural; i++) {
        struct item key, value;
        spots[i].at = at;
        item_next(&at, &key);
        item_next(&at, &value);
        spots[i].hash = item_hash(&key, (uintptr_t)spots); /* which strangers do not know */
    }
    if (spots)
        qsort(spots, (size_t)map->natural, sizeof *spots, by_hash);
    return spots;
}

static bool find_spot(const struct item *map, const struct spot *spots, const struct item *key, struct item *value)
{
    uint64_t hash = item_hash(key, (uintptr_t)spots), low = 0, high = map->natural;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (spots[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < map->natural && spots[low].hash == hash; low++) {
        struct cursor at = spots[low].at;
        struct item other;
        item_next(&at, &other);
        item_next(&at, value);
        if (item_equal(key, &other))
            return true;
    }
    return false;
}

static bool map_equal(const struct item *one, const struct item *other)
{
    struct cursor left = item_inside(one), right = item_inside(other);
    struct spot *spots = NULL;
    uint64_t passed = 0;
    bool equal = true, few = other->natural <= FEW_PAIRS;
    for (uint64_t i = 0; i < one->natural && equal; i++) {
        struct item key, value, other_value;
        item_next(&left, &key);
        item_next(&left, &value);
        bool found = !spots && find_near(other, &right, &passed, few ? other->natural : 1, &key, &other_value);
        if (!found && !few && !spots && !(spots = spots_of(other))) {
            few = true; /* no memory for them: pair by pair */
            found = find_near(other, &right, &passed, other->natural, &key, &other_value);
        }
        if (!found && spots)
            found = find_spot(other, spots, &key, &other_value);
        equal = found && item_equal(&value, &other_value);
    }
    free(spots);
    return equal;
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
    case BROOD_REFERENCE:
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

/* ---- decoded ---- */

/* The bytes are copied first: they may lie where another process can write, and decoding looks at them twice. */
int item_value(const struct item *item, brood_any *value)
{
    bool whole = item->kind == BROOD_LIST || item->kind == BROOD_MAP;
    size_t room = item->size + (whole ? 0 : CBOR_HEAD_MOST);
    *value = brood_any_nil();
    uint8_t *bytes = malloc(room);
    if (!bytes)
        return -ENOMEM;
    struct out out = { .bytes = bytes, .room = room };
    if (whole)
        memcpy(bytes, item->bytes, out.size = item->size);
    else
        item_write(&out, item);
    int failed = brood_any_decode(bytes, out.size, value);
    free(bytes);
    return failed == 0 || failed == -ENOMEM ? failed : -EINVAL;
}

brood_any item_take(struct cursor *cursor)
{
    struct item item;
    brood_any value = brood_any_nil();
    if (item_read(cursor, &item, CBOR_DEPTH_MOST) == 0)
        item_value(&item, &value);
    return value;
}

int item_shown(const struct item *text)
{
    enum { SHOWN = 100 };
    return (int)(text->size < SHOWN ? text->size : SHOWN);
}
