/* manager/cbor.h: values as bytes: CBOR (RFC 8949), the part of it that has a brood_kind.
 *
 * Written: definite lengths, integers and lengths as short as they can be, and doubles in full. Read: that, and what
 * else a decent encoder writes for the same values: longer heads, halves and singles. What has no kind (other tags,
 * undefined, indefinite lengths, negatives below INT64_MIN) is refused. Nothing read is trusted: not a byte is looked
 * at outside its bounds, and lists and maps are nested no deeper than told.
 */
#ifndef MANAGER_CBOR_H
#define MANAGER_CBOR_H

#include <brood/any.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CBOR_DEPTH_MOST 64
#define CBOR_HEAD_MOST 11 /* bytes of a value that has no content: a tag and a number */
#define CBOR_REFERENCE 39 /* the tag of a reference: what follows identifies something */

/* Where bytes are written; what does not fit is only counted. refers: there are references in what was written. */
struct out {
    uint8_t *bytes;
    size_t size, room;
    bool refers;
};

/* A value that lies encoded somewhere, or a plain one. Borrowed: what it points to is another's. */
struct item {
    brood_kind kind;
    bool refers; /* it is a reference, or has one in it */
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural; /* of a list or map: how many items or pairs; of a reference: the object's id */
        double real;
    };
    const uint8_t *bytes; /* of a string or bytes: those; of a list or map: the whole, encoded */
    size_t size;
};

/* Of a list or map only the head: its items follow. */
void item_write(struct out *out, const struct item *item);

/* A whole value: 0; -EMSGSIZE: it is deeper; -EINVAL: something in it is of no kind, or no key; -EILSEQ: a string in it
 * is no UTF-8. (any.c) */
int any_write(struct out *out, const brood_any *value, int depth);

struct cursor {
    const uint8_t *at, *end;
};

/* Reads the next one, with `depth` levels of lists and maps at most.
 * 0; -EBADMSG: it is no value; -EILSEQ: a string in it is no UTF-8; -EMSGSIZE: it is deeper; -EINVAL: a map in it has a
 * key that is none. */
int item_read(struct cursor *cursor, struct item *item, int depth);

/* The head of a list: how many items follow, of which none has been looked at. 0, or -EBADMSG: it is no list's. */
int item_enter(struct cursor *cursor, uint64_t *count);

/* A cursor before the first item of a list, or key of a map, which has been read. */
struct cursor item_inside(const struct item *item);

/* The next one of a list or map that item_read has passed: it is known to be well. Nil, if somebody has written over it
 * since: no count that its bytes do not bear out. */
void item_next(struct cursor *cursor, struct item *item);

/* The next reference, however deep, in what item_read has passed. False: there is no more. */
bool item_next_reference(struct cursor *cursor, uint64_t *id);

/* As RFC 3629 has it: no surrogates, nothing longer than need be, nothing above U+10FFFF. */
bool bytes_are_utf8(const uint8_t *at, size_t size);

static inline struct item item_int(int64_t value)
{
    return (struct item){ .kind = BROOD_INT, .integer = value };
}

static inline struct item item_natural(uint64_t value)
{
    return value <= INT64_MAX ? item_int((int64_t)value) : (struct item){ .kind = BROOD_UINT, .natural = value };
}

#endif
