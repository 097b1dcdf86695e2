/* manager/mapping.c */
#include "manager/mapping.h"

#include "manager/hoard.h"

#include <errno.h>
#include <string.h>

#define ROOM_LEAST 8
#define NOWHERE SIZE_MAX

uint64_t mapping_seed;

/* Where in the index the key stands, or NOWHERE. */
static size_t place_of(const struct mapping *mapping, const struct item *key, uint64_t hash)
{
    if (mapping->size == 0)
        return NOWHERE;
    for (size_t i = hash & (mapping->size - 1);; i = (i + 1) & (mapping->size - 1)) {
        if (mapping->index[i] == 0)
            return NOWHERE;
        const struct pair *pair = &mapping->pairs[mapping->index[i] - 1];
        if (pair->hash == hash && pair->key.kind == (uint8_t)key->kind) {
            struct item other = datum_item(&pair->key);
            if (item_equal(&other, key))
                return i;
        }
    }
}

static void enter(struct mapping *mapping, size_t number)
{
    size_t i = mapping->pairs[number].hash & (mapping->size - 1);
    while (mapping->index[i] != 0)
        i = (i + 1) & (mapping->size - 1);
    mapping->index[i] = (uint32_t)number + 1;
}

/* Takes a place out of the index: those behind that were pushed on by it move up (Knuth 6.4, algorithm R). */
static void leave(struct mapping *mapping, size_t hole)
{
    size_t mask = mapping->size - 1;
    for (size_t i = (hole + 1) & mask; mapping->index[i] != 0; i = (i + 1) & mask) {
        size_t home = mapping->pairs[mapping->index[i] - 1].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            mapping->index[hole] = mapping->index[i];
            hole = i;
        }
    }
    mapping->index[hole] = 0;
}

/* Room for one pair more: 0 or -ENOMEM. */
static int make_room(struct mapping *mapping)
{
    if (mapping->used < mapping->room)
        return 0;
    size_t room = mapping->count < mapping->room / 2 ? mapping->room : mapping->room * 2;
    if (room < ROOM_LEAST)
        room = ROOM_LEAST;
    size_t size = room * 2; /* at most half full: a power of two, as the room is */
    if (room > UINT32_MAX / 2)
        return -ENOMEM;
    if (room != mapping->room) {
        uint32_t *index = hoard_take(size * sizeof *index);
        struct pair *pairs =
            index ? hoard_resize(mapping->pairs, mapping->room * sizeof *pairs, room * sizeof *pairs) : NULL;
        if (!pairs) {
            hoard_give(index, size * sizeof *index);
            return -ENOMEM;
        }
        hoard_give(mapping->index, mapping->size * sizeof *index);
        mapping->index = index;
        mapping->pairs = pairs;
        mapping->size = size;
        mapping->room = room;
    }
    size_t kept = 0;
    for (size_t i = 0; i < mapping->used; i++)
        if (mapping->pairs[i].key.kind != PAIR_GONE)
            mapping->pairs[kept++] = mapping->pairs[i];
    mapping->used = kept;
    memset(mapping->index, 0, mapping->size * sizeof *mapping->index);
    for (size_t i = 0; i < mapping->used; i++)
        enter(mapping, i);
    return 0;
}

struct pair *mapping_find(const struct mapping *mapping, const struct item *key)
{
    size_t place = place_of(mapping, key, item_hash(key, mapping_seed));
    return place == NOWHERE ? NULL : &mapping->pairs[mapping->index[place] - 1];
}

int mapping_set(struct mapping *mapping, const struct item *key, struct datum value, struct datum *before)
{
    uint64_t hash = item_hash(key, mapping_seed);
    size_t place = place_of(mapping, key, hash);
    *before = (struct datum){ .kind = BROOD_NIL };
    if (place != NOWHERE) {
        struct pair *pair = &mapping->pairs[mapping->index[place] - 1];
        *before = pair->value;
        pair->value = value;
        return 0;
    }
    struct datum kept;
    int failed = datum_keep(&kept, key);
    if (failed == 0 && (failed = make_room(mapping)) < 0)
        datum_drop(&kept);
    if (failed < 0)
        return failed;
    mapping->pairs[mapping->used] = (struct pair){ .hash = hash, .key = kept, .value = value };
    enter(mapping, mapping->used);
    mapping->used++;
    mapping->count++;
    return 1;
}

struct datum mapping_take(struct mapping *mapping, struct pair *pair)
{
    struct item key = datum_item(&pair->key);
    struct datum value = pair->value;
    leave(mapping, place_of(mapping, &key, pair->hash));
    datum_drop(&pair->key);
    *pair = (struct pair){ .key.kind = PAIR_GONE };
    mapping->count--;
    while (mapping->used > 0 && mapping->pairs[mapping->used - 1].key.kind == PAIR_GONE)
        mapping->used--;
    return value;
}

struct pair *mapping_next(const struct mapping *mapping, const struct pair *pair)
{
    for (size_t i = pair ? (size_t)(pair - mapping->pairs) + 1 : 0; i < mapping->used; i++)
        if (mapping->pairs[i].key.kind != PAIR_GONE)
            return &mapping->pairs[i];
    return NULL;
}

struct pair *mapping_last(const struct mapping *mapping)
{
    return mapping->used ? &mapping->pairs[mapping->used - 1] : NULL; /* what is gone at the end is no longer used */
}

int mapping_copy(struct mapping *copy, const struct mapping *mapping)
{
    for (const struct pair *pair = NULL; (pair = mapping_next(mapping, pair));) {
        struct item key = datum_item(&pair->key);
        struct datum value = datum_share(&pair->value), before;
        int failed = mapping_set(copy, &key, value, &before);
        if (failed < 0) {
            datum_drop(&value);
            mapping_clear(copy);
            return failed;
        }
    }
    return 0;
}

void mapping_clear(struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->used; i++)
        if (mapping->pairs[i].key.kind != PAIR_GONE) {
            datum_drop(&mapping->pairs[i].key);
            datum_drop(&mapping->pairs[i].value);
        }
    hoard_give(mapping->pairs, mapping->room * sizeof *mapping->pairs);
    hoard_give(mapping->index, mapping->size * sizeof *mapping->index);
    *mapping = (struct mapping){ .pairs = NULL };
}
