/* manager/mapping.h: keys and their values, in the order in which the keys came: what dictionaries and sets are.
 *
 * Pairs lie in an array in that order, and an open-addressed index of their numbers beside it; what was removed is
 * squeezed out when the array is full. 40 bytes a pair and 4 to 12 for the index.
 */
#ifndef MANAGER_MAPPING_H
#define MANAGER_MAPPING_H

#include "manager/datum.h"

struct pair {
    uint64_t hash;
    struct datum key, value; /* key.kind PAIR_GONE: it was removed */
};

#define PAIR_GONE 0xff

struct mapping {
    struct pair *pairs;
    uint32_t *index; /* number of a pair + 1; 0: free */
    size_t used;     /* of pairs, those that are gone included */
    size_t count;    /* of pairs that are not gone */
    size_t room;     /* for pairs */
    size_t size;     /* of the index: a power of two, 0: none yet */
};

/* Against keys that are chosen to fall together: by the server, before the first. */
extern uint64_t mapping_seed;

/* The pair of that key; NULL: none. */
struct pair *mapping_find(const struct mapping *mapping, const struct item *key);

/* Sets the key's value, a datum that is the mapping's then, and gets the one before. 1: there was none; 0; -ENOMEM:
 * nothing is changed. */
int mapping_set(struct mapping *mapping, const struct item *key, struct datum value, struct datum *before);

/* Takes a pair out; its value is the caller's. */
struct datum mapping_take(struct mapping *mapping, struct pair *pair);

/* The first pair after that one (NULL: of all); NULL: there is none. */
struct pair *mapping_next(const struct mapping *mapping, const struct pair *pair);
struct pair *mapping_last(const struct mapping *mapping);

/* 0 or -ENOMEM: `copy`, empty, has the same. */
int mapping_copy(struct mapping *copy, const struct mapping *mapping);

void mapping_clear(struct mapping *mapping);

#endif
