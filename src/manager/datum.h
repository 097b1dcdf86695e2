/* manager/datum.h: a value that the server keeps: 16 bytes, and a block if it is long.
 *
 * Numbers and short strings are in place. Lists and maps are kept encoded, as they came: plain data that nobody looks
 * into as a rule. Blocks are counted, so that a copy of a container copies no content; what is in one refers to other
 * objects once for all of its copies.
 */
#ifndef MANAGER_DATUM_H
#define MANAGER_DATUM_H

#include "manager/item.h"

#define DATUM_SHORT 14

struct blob {
    uint32_t uses;
    bool refers;    /* there are references in it, which are counted */
    uint64_t count; /* of a list or map: items or pairs */
    size_t size;
    uint8_t bytes[];
};

struct datum {
    uint8_t kind;    /* a brood_kind */
    uint8_t length;  /* of a string or bytes in place; DATUM_LONG: in a block */
    uint8_t text[6]; /* bytes in place begin here and go on in the next */
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double real;
        struct blob *blob;
    };
};

_Static_assert(sizeof(struct datum) == 16, "two words");

/* Keeps a copy of the item, and what it refers to: 0, or -ENOMEM (which it is, too, if that is gone: it has been looked
 * for before). */
int datum_keep(struct datum *datum, const struct item *item);
void datum_drop(struct datum *datum);

/* One more of it. */
struct datum datum_share(const struct datum *datum);

/* What it is, good as long as the datum is neither moved nor dropped. */
struct item datum_item(const struct datum *datum);

#endif
